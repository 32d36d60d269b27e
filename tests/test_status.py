"""What `pychart status` and `pychart verify` say, beside the daemon and without one."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from clickhouse import health
from clickhouse.errors import ConfigError
from clickhouse.health import FileHealth, Health
from clickhouse.settings import Settings
from ingest import loader
from ingest.loader import load_file
from pychart import verify
from pychart.status import print_status, statuses
from pychart.verify import print_verified
from streamlit_app import filters
from streamlit_app.warehouse import holder
from tests.helpers import CLUSTER, line, load_bytes, warehouse


def settings_for(url: str, tmp_path: Path) -> Settings:
    clusters = {CLUSTER: {"files": [f"{tmp_path}/accounting*"]}}
    return Settings(database=url, state_directory=tmp_path / "state", clusters=clusters)


def lines(*numbers: int, **changes: Any) -> bytes:
    return b"".join(line(job_number=number, **changes) + b"\n" for number in numbers)


def daemon_says(settings: Settings, **changes: Any) -> None:
    now = time.time()
    known = {"pid": os.getpid(), "started": now - 60, "alive": now, "caught_up": now - 1}
    folder = health.directory(settings)
    health.write(folder, settings, Health(CLUSTER, **{"state": "following"} | known | changes))


def test_beside_a_daemon_it_answers_without_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for("http://default@127.0.0.1:1/not_there", tmp_path)
    path = tmp_path / "accounting"
    path.write_bytes(b"x" * 150)
    with health.lock(health.directory(settings), settings, CLUSTER):
        files = [FileHealth(str(path), size=100, offset=100)]
        daemon_says(settings, files=files, rejects_in_all=3, retries={"transient": 2})
        assert print_status(settings, "json")
        answer = json.loads(capsys.readouterr().out)
        [cluster] = answer["clusters"]
        assert (answer["well"], cluster["state"], cluster["lag_bytes"]) == (True, "following", 50)
        assert (cluster["rejects"], cluster["retries"]) == (3, {"transient": 2})
        assert cluster["files"][0]["size"] == 150
        assert 0 < cluster["lag_seconds"] < 30
        daemon_says(settings, state="halted", why="no such table", files=files)
        assert not print_status(settings, "text")
        said = capsys.readouterr().out
        assert "c1: NOT WELL: halted (no such table)" in said
        daemon_says(settings, files=files, caught_up=time.time() - 999)
        assert "50 bytes wait since" in statuses(settings, time.time())[0].problems[0]
        daemon_says(settings, files=[FileHealth("a.gz", problem="still being written")])
        assert statuses(settings, time.time())[0].problems == ["a.gz: still being written"]
        daemon_says(settings, alive=time.time() - 300)
        assert "does not move" in statuses(settings, time.time())[0].why
    daemon_says(settings)  # the lock is gone, and with it the daemon
    [found] = statuses(settings, time.time())
    assert (found.well, found.state) == (False, "crashed")
    assert "is gone" in found.why
    with pytest.raises(ConfigError, match="--format: 'xml' is none of text, json"):
        print_status(settings, "xml")


def test_without_a_daemon_the_ledger_answers(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(database_url, tmp_path)
    path = tmp_path / "accounting"
    with warehouse(database_url) as db:
        load_bytes(db, path, lines(1, 2) + b"bad\n")
    daemon_says(settings, state="stopped")
    assert print_status(settings, "text")
    assert "c1: well: not followed" in (said := capsys.readouterr().out)
    assert "1 rejects" in said
    assert statuses(settings, time.time())[0].lag_bytes == 0
    with path.open("ab") as file:
        file.write(lines(3))
    os.utime(path, (1, 1))
    later = time.time() + 1000
    [found] = statuses(settings, later)
    assert (found.well, found.lag_bytes) == (False, len(lines(3)))
    assert found.problems == [f"{path}: not loaded"]
    path.unlink()
    [found] = statuses(settings, later)
    assert found.problems == [f"{tmp_path}/accounting*: no file matches"]


def verified(db: Any, path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    well = print_verified(db, CLUSTER, path)
    said = capsys.readouterr().out.splitlines()
    assert well == (len(said) == 1 and said[0].endswith(": ledger and rows agree"))
    return [each.strip() for each in said[1:]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several portions and batches of a short file."""
    monkeypatch.setattr(verify, "PORTION_LINES", 7)
    monkeypatch.setattr(loader, "EMBEDDED_BLOCK_BYTES", 1500)
    monkeypatch.setattr(loader, "SERVER_BLOCK_BYTES", 1500)


@pytest.mark.usefixtures("small")
def test_verify_is_right_whatever_else_was_loaded(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    never = lines(7, 7, start_time=0, end_time=0)
    content = lines(*range(20), 3, 3) + never + b"# comment\n\nbad\n\0" + lines(30)
    path, copy = tmp_path / "accounting", tmp_path / "copy"
    with warehouse(database_url) as db:
        load_bytes(db, path, content)
        assert verified(db, path, capsys) == []
        load_bytes(db, copy, lines(99) + content)  # another file: its rows take their places
        db.command("OPTIMIZE TABLE accounting FINAL")
        assert verified(db, path, capsys) == []
        assert verified(db, copy, capsys) == []
        path.write_bytes(lines(0) + lines(50))
        load_file(db, CLUSTER, path)  # another generation
        assert verified(db, path, capsys) == []
        path.write_bytes(content)  # what it was before is known as well
        assert verified(db, path, capsys) == []
        with path.open("ab") as file:
            file.write(lines(31)[:60])
        assert verified(db, path, capsys) == []


@pytest.mark.usefixtures("small")
def test_verify_finds_what_is_lost_doubled_or_miscounted(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accounting"
    with warehouse(database_url) as db:
        load_bytes(db, path, lines(*range(30)) + b"bad\n")
        place = "(SELECT min(offset) FROM accounting WHERE job_number = 5)"
        db.command("DELETE FROM accounting WHERE job_number = 3")
        [fault] = verified(db, path, capsys)
        assert fault.startswith("1 lines have no row, at byte ")
        load_bytes(db, tmp_path / "again", lines(*range(2, 5)))  # repaired, from elsewhere
        assert verified(db, path, capsys) == []
        db.command(
            "INSERT INTO accounting SELECT * REPLACE (time + 1 AS time) FROM accounting"
            " WHERE job_number = 5"
        )
        db.command(
            "INSERT INTO accounting SELECT * REPLACE (offset + 1 AS offset, time + 1 AS time)"
            " FROM accounting WHERE job_number = 8"
        )
        db.command(
            "INSERT INTO rejected_lines SELECT cluster, file_id, generation, offset, 'x', 'y'"
            f" FROM accounting WHERE offset = {place} LIMIT 1"
        )
        kinds = sorted(fault.split(", at byte")[0] for fault in verified(db, path, capsys))
        assert kinds == [
            "1 lines are both record and reject",
            "1 places have several records",
            "1 rows stand where no line begins",
        ]
        for table in ("accounting", "rejected_lines"):
            db.command(f"TRUNCATE TABLE {table}")  # and the ledger stays
        assert verified(db, path, capsys)[0].startswith("31 lines have no row, at byte 0, ")
        db.command("TRUNCATE TABLE batches")
        assert verified(db, path, capsys) == ["nothing of it is loaded"]


@pytest.mark.usefixtures("small")
def test_verify_reads_the_ledger_batch_by_batch(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accounting"
    with warehouse(database_url) as db:
        load_bytes(db, path, lines(*range(30)))
        ends = [row[0] for row in db.rows("SELECT end_offset FROM ledger ORDER BY 1")]
        assert len(ends) > 4
        db.command(f"DELETE FROM batches WHERE end_offset = {ends[2]}")
        [fault] = verified(db, path, capsys)
        assert fault == f"the ledger has a gap after byte {ends[1]:,}, and goes on to {ends[-1]:,}"
        load_file(db, CLUSTER, path)
        assert verified(db, path, capsys) == []
        db.command(
            "INSERT INTO batches SELECT * REPLACE (lines + 1 AS lines, loaded_at + 9 AS loaded_at)"
            f" FROM batches WHERE start_offset = 0 AND end_offset = {ends[0]}"
        )
        [fault] = verified(db, path, capsys)
        assert fault.startswith(f"from byte 0 to {ends[0]:,} the ledger has ")
        path.write_bytes(path.read_bytes()[:-100])
        assert any("the file to" in each for each in verified(db, path, capsys))


def test_the_data_page_says_up_to_when_and_what_disturbs(tmp_path: Path, sample: Path) -> None:
    settings = settings_for(f"chdb://{tmp_path}/db", tmp_path)
    folder = health.directory(settings)
    moment = datetime.now(UTC).replace(hour=14, minute=3, second=20)
    with warehouse(settings.database) as db, health.lock(folder, settings, CLUSTER):
        load_file(db, CLUSTER, sample)
        db.settings = settings
        holder.use(db)
        st.cache_resource.clear()
        daemon_says(settings, caught_up=moment.timestamp())
        page = AppTest.from_file(str(Path(filters.__file__).parent / "main.py")).run(timeout=30)
        page.switch_page("views/loaded.py").run(timeout=30)
        assert not page.exception
        assert not page.error
        said = [each.value.replace("\\", "") for each in page.caption]  # what Markdown shows
        assert "c1: data up to 14:03:20 UTC" in said
        daemon_says(settings, state="crashed", why="ZeroDivisionError: a fault")
        page.run(timeout=30)
        [shown] = [each.value.replace("\\", "") for each in page.error]
        assert shown == "crashed: ZeroDivisionError: a fault"
        holder.close()
