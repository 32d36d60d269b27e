"""The daemon: following, rotating, retrying, isolating, ending, and saying how it does."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clickhouse import health, rollups
from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, PychartError, WarehouseError
from clickhouse.settings import Settings, load_settings
from ingest import family, follower, refresher
from ingest.daemon import Daemon, beside
from tests import server as servers
from tests.conftest import missing
from tests.databases import Pool
from tests.helpers import CLUSTER, column, line, one, warehouse

JOBS = "SELECT job_number FROM records ORDER BY 1"


def lines(*numbers: int, **changes: Any) -> bytes:
    return b"".join(line(job_number=number, **changes) + b"\n" for number in numbers)


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until something is so; gives what it says."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.02)
    return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for accounting files, and pauses short enough for a test."""
    monkeypatch.setattr(follower, "HALTED_SECONDS", 0.5)
    monkeypatch.setattr(follower, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(follower, "AUDIT_SECONDS", 0.2)
    monkeypatch.setattr(follower, "_full_jitter", lambda _: 0.2)
    folder = tmp_path / "common"
    folder.mkdir()
    return folder


def settings_for(url: str, site: Path, **changes: Any) -> Settings:
    clusters = changes.pop("clusters", {CLUSTER: {"files": [f"{site}/accounting*"]}})
    common = {"poll_seconds": 0.2, "state_directory": site.parent / "state"}
    return Settings(database=url, clusters=clusters, **common | changes)


@contextmanager
def running(settings: Settings, shared: Warehouse | None = None) -> Iterator[Daemon]:
    """The daemon in this process, ticking as it does in its own."""
    ended = threading.Event()
    with Daemon(settings, shared) as daemon:

        def tick() -> None:
            while not ended.wait(0.05):
                daemon.tick()

        ticking = threading.Thread(target=tick)
        ticking.start()
        try:
            yield daemon
        finally:
            ended.set()
            ticking.join()


@contextmanager
def following(url: str, site: Path, **changes: Any) -> Iterator[tuple[Warehouse, Daemon]]:
    """A warehouse, and the daemon that fills it."""
    settings = settings_for(url, site, **changes)
    with warehouse(url) as db, running(settings, db if db.embedded else None) as daemon:
        yield db, daemon


def state(daemon: Daemon, cluster: str = CLUSTER) -> health.Health:
    return next(each for each in daemon.healths() if each.cluster == cluster)


def test_a_new_line_is_there_within_two_seconds_and_half_a_line_is_not(
    database_url: str, site: Path
) -> None:
    path = site / "accounting"
    path.write_bytes(lines(1))
    with following(database_url, site, poll_seconds=30) as (db, daemon):
        until(lambda: column(db, JOBS) == [1])
        began = time.monotonic()
        with path.open("ab") as file:
            file.write(lines(2) + lines(3)[:50])
        until(lambda: column(db, JOBS) == [1, 2])
        assert time.monotonic() - began < 2
        partial = until(lambda: state(daemon).partial_since)
        assert state(daemon).lag_bytes == 50
        assert abs(partial - time.time()) < 20
        with path.open("ab") as file:
            file.write(lines(3)[50:])
        until(lambda: column(db, JOBS) == [1, 2, 3])
        until(lambda: not state(daemon).partial_since)


def test_rollups_are_made_of_what_was_loaded_and_again_of_what_comes(
    database_url: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(refresher, "LOOK_SECONDS", 0.05)
    path = site / "accounting"
    path.write_bytes(lines(1))
    with following(database_url, site) as (db, _):
        in_rollups = (
            "SELECT sum(jobs) FROM cube_days WHERE build IN (SELECT build FROM rollup_months FINAL)"
        )
        until(lambda: db.rows("EXISTS TABLE cube_days") == [(1,)])
        until(lambda: one(db, in_rollups) == 1)
        with path.open("ab") as file:
            file.write(lines(2, 3))
        until(lambda: one(db, in_rollups) == 3)


def test_rollups_are_looked_at_now_and_then_though_nothing_comes(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def refresh(*words: Any, **more: Any) -> None:
        done.append(real(*words, **more))

    real = rollups.refresh
    monkeypatch.setattr(rollups, "refresh", refresh)
    monkeypatch.setattr(rollups, "REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(rollups, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(refresher, "LOOK_SECONDS", 0.05)
    (site / "accounting").write_bytes(lines(1))
    with following(f"chdb://{tmp_path}/again", site):
        until(lambda: len(done) > 2)


def test_rollups_that_cannot_be_made_are_said_once_and_made_later(
    database_url: str,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = []

    def fail_at_first(*words: Any) -> None:
        tries.append(words)
        if len(tries) < 4:
            raise WarehouseError("no space")
        build(*words)

    build = rollups._build
    monkeypatch.setattr(rollups, "_build", fail_at_first)
    monkeypatch.setattr(rollups, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(refresher, "LOOK_SECONDS", 0.05)
    (site / "accounting").write_bytes(lines(1))
    with following(database_url, site) as (db, _):
        until(lambda: db.rows("EXISTS TABLE cube_days") == [(1,)])
        until(lambda: one(db, "SELECT uniq(month) FROM rollup_months") == 1)
    assert caplog.text.count("questions are slower: no space") == 1


def test_every_kind_of_rotation(database_url: str, site: Path) -> None:
    path, kept = site / "accounting", site / "accounting.0"
    path.write_bytes(lines(1))
    with following(database_url, site) as (db, daemon):
        until(lambda: column(db, JOBS) == [1])
        with path.open("ab") as still_open:  # renamed, with more to come
            path.rename(kept)
            still_open.write(lines(2))
        path.write_bytes(lines(3))
        until(lambda: column(db, JOBS) == [1, 2, 3])
        packed = site / "accounting.0.gz"
        packed.write_bytes(gzip.compress(kept.read_bytes()))
        kept.unlink()
        until(lambda: state(daemon).rotations.get("compressed") == 1)
        (site / "accounting.1").write_bytes(path.read_bytes() + lines(4))  # copied, then cut
        path.write_bytes(b"")
        until(lambda: column(db, JOBS) == [1, 2, 3, 4])
        path.write_bytes(lines(5))
        until(lambda: column(db, JOBS) == [1, 2, 3, 4, 5])
        path.unlink()  # away, and another one of the same size: perhaps with its inode
        path.write_bytes(lines(6))
        until(lambda: column(db, JOBS) == [1, 2, 3, 4, 5, 6])
        until(lambda: state(daemon).rotations.get("renamed", 0) >= 2)
        assert one(db, "SELECT max(generation) FROM ledger") == 0
        until(lambda: one(db, "SELECT sum(lines) FROM ledger") == 6)


def test_what_is_left_of_a_file_whose_name_is_gone_is_read(
    database_url: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "SETTLED_SECONDS", 3.0)
    path = site / "accounting"
    path.write_bytes(lines(1))
    with following(database_url, site) as (db, daemon):
        until(lambda: column(db, JOBS) == [1])
        with path.open("ab") as still_open:
            path.rename(site / "elsewhere")  # no name that is followed
            path.write_bytes(lines(9))
            until(lambda: column(db, JOBS) == [1, 9])
            still_open.write(lines(2) + b"torn")
        until(lambda: column(db, JOBS) == [1, 2, 9])
        until(lambda: column(db, "SELECT line FROM rejects") == ["torn"])
        assert not state(daemon).problems()


def test_an_archive_is_read_once_it_is_whole_and_reported_until_then(
    database_url: str, site: Path
) -> None:
    content = gzip.compress(lines(*range(1, 300)))
    packed = site / "accounting.0.gz"
    packed.write_bytes(content[:-20])
    (site / "accounting").write_bytes(lines(500))
    with following(database_url, site) as (db, daemon):
        until(lambda: column(db, JOBS) == [500])  # the others go on
        [problem] = until(lambda: state(daemon).problems())
        assert "still being written, or damaged" in problem
        assert one(db, "SELECT count() FROM accounting") == 1
        packed.write_bytes(content)
        until(lambda: one(db, "SELECT count() FROM records") == 300)
        until(lambda: not state(daemon).problems())


def test_a_rewritten_file_is_another_generation_and_an_old_copy_is_none(
    database_url: str, site: Path
) -> None:
    path, copy = site / "accounting", site / "accounting.bak"
    copy.write_bytes(lines(1, 2))
    path.write_bytes(lines(1, 2, 3))
    with following(database_url, site) as (db, daemon):
        until(lambda: column(db, JOBS) == [1, 2, 3])
    generations = "SELECT max(generation) FROM batches"
    with following(database_url, site) as (db, daemon):
        until(lambda: state(daemon).caught_up)
    with following(database_url, site) as (db, daemon):
        until(lambda: state(daemon).caught_up)
        known = one(db, generations)
        path.write_bytes(lines(1, 20, 3, 4))
        until(lambda: column(db, JOBS) == [1, 2, 3, 4, 20])
        until(lambda: one(db, generations) == known + 1)
        assert until(lambda: state(daemon).rotations.get("rewritten")) == 1


def test_a_ledger_that_was_restored_or_emptied_is_filled_again(
    database_url: str, site: Path
) -> None:
    (site / "accounting.0").write_bytes(lines(1, 2))
    (site / "accounting").write_bytes(lines(3))
    with following(database_url, site) as (db, _):
        until(lambda: one(db, "SELECT sum(lines) FROM ledger") == 3)
        for table in ("accounting", "batches"):
            db.command(f"TRUNCATE TABLE {table}")
        until(lambda: column(db, JOBS) == [1, 2, 3])
        until(lambda: one(db, "SELECT sum(lines) FROM ledger") == 3)


def test_a_halted_cluster_keeps_its_offset_and_leaves_the_others_running(
    database_url: str, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one_, two = site / "one", site / "two"
    for folder in (one_, two):
        folder.mkdir()
        (folder / "accounting").write_bytes(lines(1 if folder == one_ else 2))
    clusters = {"a": {"files": [f"{one_}/*"]}, "b": {"files": [f"{two}/*"]}}
    with following(database_url, site, clusters=clusters) as (db, daemon):
        until(lambda: column(db, JOBS) == [1, 2])
        until(lambda: state(daemon, "b").state == "following")
        db.command("RENAME TABLE accounting TO put_aside")
        with (one_ / "accounting").open("ab") as file:
            file.write(lines(3))
        until(lambda: state(daemon, "a").state == "halted")
        assert state(daemon, "b").state == "following"
        until(lambda: state(daemon, "a").retries["configuration"] >= 2)
        said = [
            r for r in caplog.records if r.levelno >= logging.ERROR and "cluster a" in r.message
        ]
        assert len(said) == 1  # a line for the problem, not for each try
        db.command("RENAME TABLE put_aside TO accounting")
        until(lambda: column(db, JOBS) == [1, 2, 3])
        until(lambda: state(daemon, "a").state == "following")


def test_a_line_that_the_database_refuses_goes_to_the_rejects_with_its_words(
    database_url: str, site: Path
) -> None:
    numbers = range(1, 10_001)
    (site / "accounting").write_bytes(lines(*numbers))
    with warehouse(database_url) as db:
        db.command("ALTER TABLE accounting ADD CONSTRAINT poison CHECK job_number != 7777")
    with following(database_url, site) as (db, _):
        until(lambda: one(db, "SELECT sum(lines) FROM ledger") == 10_000, 60)
        assert one(db, "SELECT count() FROM records") == 9_999
        [(offset, reason)] = db.rows("SELECT offset, reason FROM rejects")
        assert offset == len(lines(*range(1, 7777)))
        assert "refused by the database: " in reason
        assert "poison" in reason
        assert db.rows("SELECT sum(records), sum(rejects) FROM ledger") == [(9_999, 1)]


def test_a_server_that_goes_away_is_waited_for_with_one_line_in_the_log(
    site: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (site / "accounting").write_bytes(lines(1))
    try:
        server = servers.start(tmp_path / "server")
    except servers.ServerUnavailable as error:
        missing(str(error))
    with server:
        url = server.url("pychart_away")
        with running(settings_for(url, site)) as daemon:
            until(lambda: state(daemon).caught_up)
            server.kill9()
            with (site / "accounting").open("ab") as file:
                file.write(lines(2))
            until(lambda: state(daemon).retries["transient"] >= 3)
            assert state(daemon).state == "retrying"
            assert "connection refused" in state(daemon).why
            assert state(daemon).lag_bytes == len(lines(2))
            server.restart()
            until(lambda: state(daemon).records == 2)
            until(lambda: "well again" in caplog.text)
        with Warehouse(Settings(database=url)) as db:
            assert column(db, JOBS) == [1, 2]
    failures = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(failures) == 1, caplog.text


def test_a_crash_is_shown_logged_and_started_again(
    database_url: str, site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = follower.load_file

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(follower, "load_file", crash)
    (site / "accounting").write_bytes(lines(1))
    with following(database_url, site) as (db, daemon):
        until(lambda: state(daemon).state == "crashed")
        settings = settings_for(database_url, site)
        problems = until(lambda: (at := health.read(settings, CLUSTER)) and at.problems())
        assert problems == ["crashed: ZeroDivisionError: a fault"]
        until(lambda: "Traceback" in caplog.text)  # which comes after the state
        monkeypatch.setattr(follower, "load_file", real)
        until(lambda: column(db, JOBS) == [1])


def test_a_second_daemon_on_this_host_is_refused(database_url: str, site: Path) -> None:
    (site / "accounting").write_bytes(lines(1))
    settings = settings_for(database_url, site)
    with following(database_url, site) as (db, _):
        other = Daemon(settings, db if db.embedded else None)
        with (
            pytest.raises(PychartError, match=f"process {os.getpid()}.* follows it already"),
            other,
        ):
            pass
    with following(database_url, site) as (db, _):  # the lock went with its owner
        until(lambda: column(db, JOBS) == [1])


def test_changed_settings_are_used_and_bad_ones_are_not(
    database_url: str, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, path = site.parent / "pychart.toml", site / "accounting"
    common = (
        f"database = '{database_url}'\npoll_seconds = 0.2\n"
        f"state_directory = '{site.parent}/state'\n[clusters.c1]\nfiles = ['{path}']\n"
    )
    config.write_text(common)
    path.write_bytes(lines(1, granted_pe="mpi", slots=4))
    (site / "second").write_bytes(lines(2))
    classes = "SELECT parallel_class FROM jobs WHERE job_number = 1"
    settings = load_settings(config)
    with warehouse(database_url) as db, running(settings, db if db.embedded else None) as daemon:
        until(lambda: column(db, classes) == ["parallel-unknown"])
        config.write_text(common + "nonsense = 1\n")
        until(lambda: "no such setting; the settings stay as they were" in caplog.text)
        config.write_text(common + "[clusters.c1.pe_classes]\nmpi = 'multi-node'\n")
        until(lambda: column(db, classes) == ["multi-node"])
        config.write_text(common + f"[clusters.c2]\nfiles = ['{site}/second']\n")
        until(lambda: column(db, JOBS) == [1, 2])
        assert [each.cluster for each in daemon.healths()] == ["c1", "c2"]
        config.write_text(common)
        until(lambda: [each.cluster for each in daemon.healths()] == ["c1"])


def test_a_new_role_has_its_rollups_though_nothing_is_loaded(
    database_url: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(refresher, "LOOK_SECONDS", 0.05)
    config = site.parent / "pychart.toml"
    common = (
        f"database = '{database_url}'\nstate_directory = '{site.parent}/state'\n"
        f"[clusters.c1]\nfiles = ['{site}/accounting']\n[access]\nmethod = 'header'\n"
    )
    config.write_text(common)
    (site / "accounting").write_bytes(lines(1))
    settings = load_settings(config)
    scopes = "SELECT DISTINCT length(made_scopes) FROM rollup_months FINAL"
    with warehouse(database_url):
        pass
    with Warehouse(settings) as db, running(settings, db if db.embedded else None):
        until(lambda: db.rows("EXISTS TABLE rollup_near_lines") == [(1,)])
        until(lambda: column(db, scopes) == [0])
        config.write_text(common + "[access.pis.ann]\nusers = ['bob']\n")
        until(lambda: column(db, scopes) == [1])


def ask(port: int, path: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_health_are_on_the_loopback_if_asked_for(tmp_path: Path, site: Path) -> None:
    port = servers.free_port()
    (site / "accounting").write_bytes(lines(1, 2) + b"short\n# comment\n" + b"partial")
    with following(f"chdb://{tmp_path}/db", site, metrics_port=port) as (_, daemon):
        until(lambda: state(daemon).caught_up)
        status, answer = ask(port, "/health")
        assert (status, json.loads(answer)["well"]) == (200, True)
        text = ask(port, "/metrics")[1]
        values = dict(row.rsplit(" ", 1) for row in text.splitlines() if row[0] != "#")
        assert float(values['pychart_lines_total{cluster="c1",result="record"}']) == 2
        assert float(values['pychart_lines_total{cluster="c1",result="reject"}']) == 1
        assert float(values['pychart_lines_total{cluster="c1",result="ignored"}']) == 1
        assert float(values['pychart_lag_bytes{cluster="c1"}']) == len(b"partial")
        assert float(values['pychart_halted{cluster="c1"}']) == 0
        taken = Daemon(settings_for(f"chdb://{tmp_path}/x", site, metrics_port=port))
        with pytest.raises(ConfigError, match="metrics_port: .*in use"), taken:
            pass
        (site / "accounting.gz").write_bytes(gzip.compress(b"x")[:-3])
        until(lambda: ask(port, "/health")[0] == 503)
    with pytest.raises(OSError, match="refused"):
        ask(port, "/health")


def test_beside_the_app_its_state_can_be_read(tmp_path: Path, site: Path) -> None:
    settings = settings_for(f"chdb://{tmp_path}/db", site)
    (site / "accounting").write_bytes(lines(1))
    with warehouse(settings.database) as db:
        db.settings = settings
        with beside(db):
            found = health.read(settings, CLUSTER)  # from the first moment
            assert found is not None
            assert found.state in health.WORKING
            until(lambda: column(db, JOBS) == [1])
        ended = health.read(settings, CLUSTER)
        assert ended is not None
        assert ended.state == "stopped"


@contextmanager
def process(config: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "from pychart.cli import main; main()"]
    with subprocess.Popen(
        [*command, "--config", config, "watch"],
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def test_the_service_talks_to_systemd_rereads_and_ends_in_its_back_off(
    tmp_path: Path, site: Path
) -> None:
    config, path = tmp_path / "pychart.toml", site / "accounting"
    config.write_text(
        f"database = 'http://default@127.0.0.1:{servers.free_port()}/x'\npoll_seconds = 30\n"
        f"state_directory = '{tmp_path}/state'\n[clusters.c1]\nfiles = ['{path}']\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        with process(config, NOTIFY_SOCKET=str(tmp_path / "notify")) as daemon:
            heard = b""
            # ready, though no database answers
            expected = (b"READY=1", b"WATCHDOG=1", b"STATUS=c1: retrying: ")
            while not all(word in heard for word in expected):
                heard += manager.recv(4096) + b"\n"
            config.write_text("nonsense")
            daemon.send_signal(signal.SIGHUP)
            log = b""
            while b"the settings stay as they were" not in log:
                said = daemon.stderr.readline()  # type: ignore[union-attr]
                assert said, log
                log += said
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
            assert time.monotonic() - began < 10
    assert b"connection refused" in log


def test_an_idle_daemon_sleeps(tmp_path: Path, site: Path, pool: Pool) -> None:
    """Wake-ups are counted: what each costs differs a hundredfold from one machine to another."""
    config = tmp_path / "pychart.toml"
    (site / "accounting").write_bytes(lines(1))
    with pool.migrated() as url:
        config.write_text(f"database = '{url}'\n[clusters.c1]\nfiles = ['{site}/accounting*']\n")
        settings = load_settings(config)
        with process(config) as daemon:
            until(lambda: (found := health.read(settings, CLUSTER)) and found.caught_up)
            found: list[tuple[float, float]] = []
            while not any(woken < 20 and busy < 0.3 for woken, busy in found):
                assert len(found) < 10, found  # the rollups are made meanwhile
                before = effort(daemon.pid)
                time.sleep(3)
                woken, busy = (b - a for a, b in zip(before, effort(daemon.pid), strict=True))
                found.append((woken / 3, busy / 3))
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0


def effort(pid: int) -> tuple[int, float]:
    """Say how often the threads of a process have waited, and how long they have computed in s."""
    tasks = [*Path(f"/proc/{pid}/task").iterdir()]
    waits = r"^voluntary_ctxt_switches:\s+(\d+)"
    woken = [re.findall(waits, (each / "status").read_text(), re.M)[0] for each in tasks]
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, woken)), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
