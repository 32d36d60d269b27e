"""The command as people call it: what it prints, its exit status, one clear line for each error."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import server as servers
from tests.helpers import line, one, pychart, warehouse


def on(url: str, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return pychart("--database", url, *words, stdin=stdin)


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode()
    assert text.startswith("pychart: "), text
    assert text.count("\n") == 1, text
    return text.removeprefix("pychart: ").rstrip("\n")


def test_the_version_is_told_without_settings(tmp_path: Path) -> None:
    (tmp_path / "pychart.toml").write_text("no toml")
    done = pychart("--config", tmp_path / "pychart.toml", "--version")
    assert (done.returncode, done.stderr) == (0, b"")
    told = dict(each.split(" ") for each in done.stdout.decode().splitlines())
    assert told["pychart-accounting"] == version("pychart-accounting")
    assert [*told] == ["pychart-accounting", "chdb", "clickhouse-connect", "streamlit", "Python"]


def test_load_ask_sql_status_verify(database_url: str, sample: Path) -> None:
    done = on(database_url, "load", sample)
    assert done.returncode == 0, done.stderr
    assert "227 lines = 223 records + 0 rejects + 4 ignored" in done.stdout.decode()
    again = on(database_url, "load", sample)
    assert (again.returncode, again.stdout.decode()) == (0, f"{sample}: nothing new\n")
    asked = on(database_url, *"ask --metric jobs --metric core_hours --by user --by year".split(),
               *"--where queue=all.q --period 2026 --top 2 --format csv".split())  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(asked.stdout.decode())))
    assert list(rows[0]) == ["user", "year", "jobs", "core_hours"]
    assert [row["year"] for row in rows] == ["2026", "2026"]
    as_json = on(database_url, *"ask --metric jobs --by month --format json".split())
    assert json.loads(as_json.stdout) == [{"month": "2026-11", "jobs": 177}]
    bars = on(database_url, *"ask --metric jobs --by user --top 1 --other --share --total".split(),
              "--format", "bar").stdout.decode()  # fmt: skip
    assert "dora" in bars and " 26.55 █" in bars and bars.rstrip().endswith(" 177  100.00")
    table = on(database_url, *"ask --metric wall_hours --by group".split()).stdout.decode()
    assert "Wall time (h)" in table
    assert "chimie" in table
    selected = on(database_url, "sql", "SELECT count() AS n FROM jobs", "--format", "CSVWithNames")
    assert selected.stdout.decode() == '"n"\n188\n'
    for changing in ("DROP TABLE accounting", "INSERT INTO migrations (version) VALUES (9999)"):
        refused = on(database_url, "sql", changing)
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert "readonly mode" in refused.stderr.decode()
    verified = on(database_url, "verify", sample)
    assert verified.returncode == 0
    assert "ledger and rows agree" in verified.stdout.decode()
    assert on(database_url, "status").returncode == 0
    made = on(database_url, "migrate").stdout.decode()
    assert made == "up to date\nmonths of rollups made: 1\n"
    assert on(database_url, "migrate").stdout.decode() == "up to date\n"


def test_verify_tells_what_is_missing(database_url: str, sample: Path, tmp_path: Path) -> None:
    copy = tmp_path / "accounting"
    copy.write_bytes(sample.read_bytes())
    on(database_url, "load", copy)
    with warehouse(database_url) as db:
        db.command("DELETE FROM accounting WHERE job_number = 2")
    done = on(database_url, "verify", copy)
    assert done.returncode == 1
    assert "1 lines have no row, at byte " in done.stdout.decode()
    copy.write_bytes(sample.read_bytes()[:-100])
    assert "the file to 56,956" in on(database_url, "verify", copy).stdout.decode()


def test_load_from_standard_input(database_url: str, sample: Path) -> None:
    done = on(database_url, "load", "-", stdin=gzip.compress(sample.read_bytes()))
    assert b"223 records" in done.stdout
    done = on(database_url, "load", "-", stdin=sample.read_bytes())
    assert (done.returncode, done.stdout) == (0, b"-: nothing new\n")
    with warehouse(database_url) as db:
        assert one(db, "SELECT count() FROM records") == 223


def test_rejects_are_shown_with_place_and_value(tmp_path: Path) -> None:
    path = tmp_path / "accounting"
    path.write_bytes(line() + b"\n" + line(cpu="2,5") + b"\nend of it")
    done = on(f"chdb://{tmp_path}/db", "load", path)
    assert done.returncode == 0
    assert f"rejected at byte {len(line()) + 1}: cpu is not a number: 2,5" in done.stdout.decode()
    assert "9 bytes after the last newline wait" in done.stdout.decode()


def test_files_of_the_current_folder_are_not_taken_for_tables(
    tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    for name in ("accounting", "jobs", "records", "lines", "landing", "ledger"):
        (tmp_path / name).write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert b"223 records" in on("chdb://db", "load", "accounting").stdout
    assert on("chdb://db", "sql", "SELECT count() FROM jobs").stdout == b"count()\n188\n"


def test_the_interface_is_in_default_of_the_embedded_engine(tmp_path: Path) -> None:
    with warehouse(f"chdb://{tmp_path}/db") as db:
        for name in ("records", "jobs", "rejects", "ledger", "sources"):
            assert one(db, f"SELECT count() FROM default.{name}") == 0


def test_ask_with_everything(database_url: str, sample: Path, tmp_path: Path) -> None:
    on(database_url, "load", sample)
    file = tmp_path / "answer.csv"
    asked = on(
        database_url, *"ask --metric core_hours --by day --by queue --top 1 --other --fill".split(),
        *"--compare previous --share --total --spread --period 2026-11-20..2026-11-23".split(),
        *"--where slots=1..8 --where wait>=0 --format csv --output".split(), file,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    assert (asked.stdout, asked.stderr.decode()) == (
        b"", "wall time spread over the days that jobs ran\n",
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert list(rows[0]) == [
        "day", "queue", "core_hours", "core_hours_previous", "core_hours_change",
        "core_hours_change_percent", "core_hours_share", "row",
    ]  # fmt: skip
    assert [(row["day"], row["row"]) for row in rows[::2]] == [
        *((f"2026-11-{day}", "part") for day in (20, 21, 22, 23)), ("", "total"),
    ]  # fmt: skip
    assert sum(float(row["core_hours_share"]) for row in rows[:-1]) == pytest.approx(100)
    parquet = on(database_url, *"ask --metric jobs --by user --format parquet".split())
    table = pq.read_table(io.BytesIO(parquet.stdout))
    assert table.schema.field("jobs").metadata[b"label"] == b"Executed jobs"
    never = on(database_url, *"ask --metric jobs --by user --bottom 1 --unused".split(),
               *"--period 2030 --rows --format json".split())  # fmt: skip
    assert json.loads(never.stdout) == [
        {"user": "alice", "jobs": 0, "jobs_rows": 0, "jobs_rows_share": None}
    ]


USAGE = {
    "unknown metric": (["ask", "--metric", "cost"], "unknown metric 'cost'; there are jobs,"),
    "a metric misspelt": (
        ["ask", "--metric", "job"],
        "unknown metric 'job'; did you mean 'jobs'? There are jobs,",
    ),
    "unknown dimension": (["ask", "--metric", "jobs", "--by", "owner"], "unknown dimension"),
    "bad period": (["ask", "--metric", "jobs", "--period", "soon"], "period 'soon' is none of"),
    "bad filter": (["ask", "--metric", "jobs", "--where", "x"], "'x' is not of the form"),
    "bad range": (["ask", "--metric", "jobs", "--where", "user>=a"], "no range can be taken"),
    "bad comparison": (["ask", "--metric", "jobs", "--compare", "x"], "none of previous, year"),
    "nothing to compare": (["ask", "--metric", "jobs", "--compare", "year"], "needs a period"),
    "no gaps": (["ask", "--metric", "jobs", "--by", "user", "--fill"], "only a split by time"),
    "no share": (["ask", "--metric", "wait_avg", "--share"], "no share can be had of wait_avg"),
    "no names": (["ask", "--metric", "jobs", "--by", "year", "--unused"], "one dimension with"),
    "no top": (["ask", "--metric", "jobs", "--by", "user", "--other"], "other needs a limit"),
    "no spread": (["ask", "--metric", "jobs", "--spread"], "jobs cannot be spread over days"),
    "bad format": (["ask", "--metric", "jobs", "--format", "xls"], "'xls' is none of table,"),
    "unknown option": (["load", "--quickly", "f"], "No such option: --quickly"),
    "nothing to load": (["load"], "Missing argument 'files'"),
    "unknown command": (["fly"], "No such command 'fly'"),
    "bad port": (["app", "--port", "99999"], "Invalid value for '--port'"),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_wrong_call_is_one_line_and_status_2(tmp_path: Path, case: str) -> None:
    words, text = USAGE[case]
    done = on(f"chdb://{tmp_path}/db", *words)
    assert done.returncode == 2
    assert text in complaint(done)
    assert not (tmp_path / "db").exists()


SETTINGS = {
    "no such file": (None, "No such file or directory"),
    "no TOML": ("database = 1 2", "at line 1"),
    "a time zone that is none": (
        '[clusters.e5]\ntimezone = "Paris"',
        "clusters.e5.timezone: 'Paris' is no time zone",
    ),
    "a key that is none": (
        "[clusters.e5]\ntimezon = 'UTC'",
        "clusters.e5.timezon: no such setting",
    ),
    "a wrong type": ("poll_seconds = 'often'", "poll_seconds: "),
    "a wrong URL": ("database = 'ftp://host'", "database: 'ftp://host' must start with chdb://"),
    "a class that is none": (
        "[clusters.e5.pe_classes]\nmpi = 'many'",
        "clusters.e5.pe_classes.mpi: Input should be 'single-node' or 'multi-node', not 'many'",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_bad_setting_is_one_line_with_file_key_and_value(tmp_path: Path, case: str) -> None:
    content, text = SETTINGS[case]
    file = tmp_path / "pychart.toml"
    if content is not None:
        file.write_text(content)
    done = pychart("--config", file, "status")
    assert done.returncode == 2
    assert complaint(done).startswith(f"{file}: ")
    assert text in complaint(done)


def test_settings_can_come_from_the_environment(tmp_path: Path, sample: Path) -> None:
    environment = {
        "PYCHART_DATABASE": f"chdb://{tmp_path}/db",
        "PYCHART_CLUSTERS__E5__TIMEZONE": "Europe/Paris",
        "PYCHART_CLUSTERS__E5__FILES": json.dumps([str(sample)]),
    }
    command = [sys.executable, "-c", "from pychart.cli import main; main()"]
    for words in (["load", str(sample)], ["status"]):
        done = subprocess.run(
            [*command, *words], env={**os.environ, **environment}, capture_output=True, check=True
        )
    assert "e5: well: not followed" in done.stdout.decode()
    assert f"  {sample}: 57,056 bytes loaded\n" in done.stdout.decode()


def test_what_cannot_be_loaded_is_one_line_and_nothing_is_done(
    tmp_path: Path, sample: Path
) -> None:
    url = f"chdb://{tmp_path}/db"
    assert complaint(on(url, "load", tmp_path / "no")).endswith("no: No such file or directory")
    assert complaint(on(url, "load", sample, tmp_path)).endswith(
        "is a directory; name the accounting file in it"
    )
    assert not (tmp_path / "db").exists()
    unreadable = complaint(on(url, "load", "/proc/self/mem"))
    assert "Input/output error" in unreadable
    assert "no such database; load a file first" in complaint(on(url + "2", "status"))


def test_a_server_that_is_not_there_or_refuses_is_one_line(
    server: servers.RunningServer, sample: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://default@127.0.0.1:{taken.getsockname()[1]}/pychart"
        done = on(url, "load", sample)
    assert (done.returncode, complaint(done)) == (1, f"{url}: connection refused")
    wrong = on(server.url("pychart_none").replace("default@", "default:secret@"), "status")
    assert wrong.returncode == 2  # everybody on the machine could read it
    assert "secret" not in complaint(wrong)
    missing = complaint(on(server.url("pychart_none"), "status"))
    assert missing.endswith("no such database; run `pychart migrate` first")


def test_a_second_process_on_an_embedded_database_is_told_so(tmp_path: Path, sample: Path) -> None:
    url = f"chdb://{tmp_path}/db"
    with warehouse(url):
        done = on(url, "load", sample)
    assert done.returncode == 1
    assert "is open in another process" in complaint(done)
    assert on(url, "load", sample).returncode == 0


def test_two_files_and_two_clusters(tmp_path: Path, sample: Path) -> None:
    config = tmp_path / "pychart.toml"
    config.write_text(f"database = 'chdb://{tmp_path}/db'\n[clusters.a]\n[clusters.b]\n")
    done = pychart("--config", config, "load", sample)
    assert (done.returncode, complaint(done)) == (2, "--cluster: which one of a, b?")
    assert pychart("--config", config, "load", "--cluster", "a", sample).returncode == 0
    done = pychart("--config", config, "load", "--cluster", "b", sample)
    assert (done.returncode, "would count twice" in complaint(done)) == (2, True)
    done = pychart("--config", config, "load", "--cluster", "c", sample)
    assert "'c' is not in the settings, which have a, b" in complaint(done)


def test_demo_writes_a_site_that_loads(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = pychart("demo", "--jobs", "500", "--years", "1", "--seed", "2", "--output", site)
    assert done.returncode == 0, done.stderr
    loaded = pychart("--config", site / "pychart.toml", "load", site / "accounting")
    assert b" 0 rejects" in loaded.stdout
    classes = pychart(
        "--config", site / "pychart.toml", *"ask --metric jobs --by parallel_class".split()
    )
    assert b"single-node" in classes.stdout


def test_watch_follows_resumes_and_ends_on_sigterm(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "accounting"
    path.write_bytes(line(job_number=1) + b"\n")
    config = tmp_path / "pychart.toml"
    config.write_text(
        f"database = '{database_url}'\npoll_seconds = 0.5\n[clusters.c1]\nfiles = ['{path}*']\n"
    )
    command = [sys.executable, "-c", "from pychart.cli import main; main()"]
    for job in (2, 3):
        with subprocess.Popen(
            [*command, "--config", config, "watch"], stderr=subprocess.PIPE
        ) as daemon:
            assert daemon.stderr is not None
            log = b""
            while b"loaded" not in log and f"up to byte {path.stat().st_size}".encode() not in log:
                log += daemon.stderr.readline()
                if b"following" in log and job == 3:
                    break
            with path.open("ab") as accounting:
                accounting.write(line(job_number=job) + b"\n")
            end = f"up to byte {path.stat().st_size}".encode()
            while end not in (text := daemon.stderr.readline()):
                assert text, log
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
            assert time.monotonic() - began < 30
    with warehouse(database_url) as db:
        assert db.rows("SELECT job_number FROM records ORDER BY 1") == [(1,), (2,), (3,)]
        assert one(db, "SELECT sum(lines) FROM ledger") == 3


def test_watch_without_files_is_a_wrong_setting(tmp_path: Path) -> None:
    done = on(f"chdb://{tmp_path}/db", "watch")
    assert (done.returncode, "no files to follow" in complaint(done)) == (2, True)
