"""How fast questions are answered beside PostgreSQL, DuckDB, pandas and qacct, on the same rows.

    python -m benchmarks.against --config pychart.toml --scratch FOLDER
        [--ways duckdb,postgres,pandas,qacct] [--runs 5]

The settings name a cluster with one file, which is loaded, its rollups fresh. DuckDB and
PostgreSQL get tables of their own in `--scratch`, which stay there for the next run: all fields
with their types, and what a site would work out once (when a job ended on the cluster's clock,
whether it ran, how long, how long it waited). PostgreSQL has indexes on the time and on each name,
is analysed, and has a quarter of this machine's memory. pandas holds the columns that are asked for
in memory, names as categories. qacct reads the file each time.

Each question is asked by all, in turn: `--runs` times after a first one that does not count, only
that one where it takes longer than `LONG` seconds. Medians of wall time, and how many times as long
as pychart each takes. Where an answer differs the script fails.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from benchmarks.load import FIELDS
from benchmarks.qacct import cell
from clickhouse.connection import Warehouse
from clickhouse.query import Filter, Period, Question, ask, explain, values
from clickhouse.rollups import refresh
from clickhouse.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd

LONG = 10.0
YEAR = Period.parse("2020")
IN_2020 = "ended >= '2020-01-01' AND ended < '2021-01-01'"
POSTGRES = Path("/usr/lib/postgresql/15/bin")
NUMBERS = (
    "job_number", "priority", "submission_time", "start_time", "end_time", "failed",
    "exit_status", "slots", "task_number", "arid", "ar_submission_time",
)  # fmt: skip
NAMES = (
    "qname", "hostname", "group", "owner", "job_name", "account", "project", "department",
    "granted_pe", "category", "pe_taskid",
)  # fmt: skip
# What a site would add to the fields, in SQL that DuckDB and PostgreSQL share but for the clock.
RAN = "pe_taskid = 'NONE' AND start_time > 0 AND exit_status <> 4294967295"
ADDED = {
    "ended": ("timestamp", "{clock}"),
    "executed": ("boolean", RAN),
    "wall": (
        "double precision",
        f"CASE WHEN {RAN} AND end_time >= start_time THEN end_time - start_time END",
    ),
    "wait": (
        "double precision",
        f"CASE WHEN {RAN} AND submission_time > 0 AND start_time >= submission_time"
        " THEN start_time - submission_time END",
    ),
}
ASKED = (
    "ended", "executed", "wall", "wait", "owner", "qname", "hostname", "job_name", "failed",
    "exit_status", "slots", "cpu", "maxvmem",
)  # fmt: skip


@dataclass(frozen=True)
class Same:
    """One question: for pychart, in SQL for others, as frames are asked, and as qacct is."""

    question: Question
    sql: str
    frame: Callable[[pd.DataFrame], pd.DataFrame | pd.Series[float]]
    qacct: Sequence[str] | None = None
    near: float = 1e-6  # how far figures may be apart: quantiles from rollups are to 1 %


Answer = Callable[[Same], list[float] | None]  # the first figure of each row, in order
T = TypeVar("T")


def _by(*keys: str) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: frame.groupby([*keys], observed=True)


def _jobs_and_hours(split: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: split(frame.assign(core=frame.wall * frame.slots / 3600))[
        ["executed", "core"]
    ].sum()


def _five(key: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def asked(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.assign(core=frame.wall * frame.slots / 3600)
        return frame.groupby(key, observed=True).agg(
            {"executed": "sum", "core": "sum", "cpu": "sum", "wait": "mean", "wall": "mean"}
        )

    return asked


def _steps(step: str) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: frame.groupby(frame.ended.dt.to_period(step))


def _of_2020(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame.ended >= "2020-01-01") & (frame.ended < "2021-01-01")]


def standard(user: str) -> dict[str, Same]:
    """List what pages ask: over all years unless it says 2020."""
    mine = (Filter("user", (user,)),)
    core = "sum(wall * slots) / 3600"
    jobs = "count(*) FILTER (WHERE executed)"
    five = f"{jobs}, {core}, sum(cpu) / 3600, avg(wait), avg(wall)"
    of_user = f"owner = '{user}'"
    names = ("jobs", "core_hours", "cpu_hours", "wait_avg", "duration_avg")
    median = "percentile_cont(0.5) WITHIN GROUP (ORDER BY wait)"
    return {
        "totals": Same(
            Question(("jobs", "wall_hours", "core_hours", "cpu_hours")),
            f"SELECT {jobs}, sum(wall) / 3600, {core}, sum(cpu) / 3600 FROM accounting",
            lambda frame: frame.assign(core=frame.wall * frame.slots / 3600)[
                ["executed", "wall", "core", "cpu"]
            ].sum(),
            (),
        ),
        "totals, 2020": Same(
            Question(("jobs", "wall_hours", "core_hours", "cpu_hours"), (), YEAR),
            f"SELECT {jobs}, sum(wall) / 3600, {core}, sum(cpu) / 3600 FROM accounting"
            f" WHERE {IN_2020}",
            lambda frame: _of_2020(frame.assign(core=frame.wall * frame.slots / 3600))[
                ["executed", "wall", "core", "cpu"]
            ].sum(),
            ("-b", "202001010000", "-e", "202101010000"),
        ),
        "by year": Same(
            Question(("jobs", "core_hours"), ("year",)),
            f"SELECT date_trunc('year', ended) AS y, {jobs}, {core} FROM accounting GROUP BY y",
            _jobs_and_hours(_steps("Y")),
        ),
        "by month": Same(
            Question(("jobs", "core_hours"), ("month",)),
            f"SELECT date_trunc('month', ended) AS m, {jobs}, {core} FROM accounting GROUP BY m",
            _jobs_and_hours(_steps("M")),
        ),
        "by day": Same(
            Question(("jobs",), ("day",)),
            f"SELECT date_trunc('day', ended) AS d, {jobs} FROM accounting GROUP BY d",
            lambda frame: _steps("D")(frame).executed.sum(),
        ),
        "five figures by user, top 10": Same(
            Question(names, ("user",), limit=10),
            f"SELECT owner, {five} FROM accounting GROUP BY owner ORDER BY {jobs} DESC LIMIT 10",
            lambda frame: _five("owner")(frame).nlargest(10, "executed"),
            ("-o",),
        ),
        "five figures by queue": Same(
            Question(names, ("queue",)),
            f"SELECT qname, {five} FROM accounting GROUP BY qname",
            _five("qname"),
            ("-q",),
        ),
        "core hours by node": Same(
            Question(("core_hours", "jobs"), ("node",)),
            f"SELECT hostname, {core}, {jobs} FROM accounting GROUP BY hostname",
            lambda frame: _jobs_and_hours(_by("hostname"))(frame)[["core", "executed"]],
            ("-h",),
        ),
        "memory by year": Same(
            Question(("memory_max", "memory_avg"), ("year",)),
            "SELECT date_trunc('year', ended) AS y, max(maxvmem) FILTER (WHERE executed)"
            " / 1073741824, avg(maxvmem) FILTER (WHERE executed) / 1073741824"
            " FROM accounting GROUP BY y",
            lambda frame: _steps("Y")(frame[frame.executed]).maxvmem.agg(["max", "mean"]) / 2**30,
        ),
        "users by year": Same(
            Question(("users",), ("year",)),
            "SELECT date_trunc('year', ended) AS y, count(DISTINCT owner) FILTER (WHERE executed)"
            " FROM accounting GROUP BY y",
            lambda frame: _steps("Y")(frame[frame.executed]).owner.nunique(),
        ),
        "top 10 users by month": Same(
            Question(("core_hours",), ("user", "month"), limit=10),
            f"SELECT owner, date_trunc('month', ended) AS m, {core} FROM accounting"
            " WHERE owner IN (SELECT owner FROM accounting GROUP BY owner"
            f" ORDER BY {core} DESC NULLS LAST LIMIT 10) GROUP BY owner, m",
            _top_by_month,
        ),
        "by month, 2020": Same(
            Question(("jobs", "core_hours"), ("month",), YEAR),
            f"SELECT date_trunc('month', ended) AS m, {jobs}, {core} FROM accounting"
            f" WHERE {IN_2020} GROUP BY m",
            lambda frame: _jobs_and_hours(_steps("M"))(_of_2020(frame)),
        ),
        "a user by month and queue": Same(
            Question(("jobs",), ("month", "queue"), filters=mine),
            f"SELECT date_trunc('month', ended) AS m, qname, {jobs} FROM accounting"
            f" WHERE {of_user} GROUP BY m, qname",
            lambda frame: _user_by_month(frame[frame.owner == user]),
        ),
        "a user's nodes": Same(
            Question(("jobs",), ("node",), filters=mine),
            f"SELECT hostname, {jobs} FROM accounting WHERE {of_user} GROUP BY hostname",
            lambda frame: _by("hostname")(frame[frame.owner == user]).executed.sum(),
        ),
        "median wait by queue, 2020": Same(
            Question(("wait_median",), ("queue",), YEAR),
            f"SELECT qname, {median} FROM accounting WHERE {IN_2020} GROUP BY qname",
            lambda frame: _by("qname")(_of_2020(frame)).wait.median(),
            near=0.0101,
        ),
        "median wait by queue": Same(
            Question(("wait_median",), ("queue",)),
            f"SELECT qname, {median} FROM accounting GROUP BY qname",
            lambda frame: _by("qname")(frame).wait.median(),
            near=0.0101,
        ),
        "median wait by month": Same(
            Question(("wait_median",), ("month",)),
            f"SELECT date_trunc('month', ended) AS m, {median} FROM accounting GROUP BY m",
            lambda frame: _steps("M")(frame).wait.median(),
            near=0.0101,
        ),
    }


def mixtures() -> dict[str, Same]:
    """List what no rollup has, so that the lines are read."""
    core = "sum(wall * slots) / 3600"
    jobs = "count(*) FILTER (WHERE executed)"
    return {
        "jobs by job name and queue": Same(
            Question(("jobs", "core_hours"), ("job_name", "queue")),
            f"SELECT job_name, qname, {jobs}, {core} FROM accounting GROUP BY job_name, qname",
            _jobs_and_hours(_by("job_name", "qname")),
        ),
        "jobs by job name and queue, 2020": Same(
            Question(("jobs", "core_hours"), ("job_name", "queue"), YEAR),
            f"SELECT job_name, qname, {jobs}, {core} FROM accounting WHERE {IN_2020}"
            " GROUP BY job_name, qname",
            lambda frame: _jobs_and_hours(_by("job_name", "qname"))(_of_2020(frame)),
        ),
        "jobs by failed code and node": Same(
            Question(("jobs",), ("failed", "node")),
            f"SELECT failed, hostname, {jobs} FROM accounting GROUP BY failed, hostname",
            lambda frame: _by("failed", "hostname")(frame).executed.sum(),
        ),
        "largest memory by job name": Same(
            Question(("memory_max",), ("job_name",)),
            "SELECT job_name, max(maxvmem) FILTER (WHERE executed) / 1073741824"
            " FROM accounting GROUP BY job_name",
            lambda frame: _by("job_name")(frame[frame.executed]).maxvmem.max() / 2**30,
        ),
        "jobs by exit status and slots, 2020": Same(
            Question(("jobs",), ("exit_status", "slots"), YEAR),
            f"SELECT exit_status, slots, {jobs} FROM accounting WHERE {IN_2020}"
            " GROUP BY exit_status, slots",
            lambda frame: _by("exit_status", "slots")(_of_2020(frame)).executed.sum(),
        ),
    }


def _top_by_month(frame: pd.DataFrame) -> pd.Series[float]:
    frame = frame.assign(core=frame.wall * frame.slots / 3600)
    best = frame.groupby("owner", observed=True).core.sum().nlargest(10).index
    kept = frame[frame.owner.isin(best)]
    return kept.groupby(["owner", kept.ended.dt.to_period("M")], observed=True).core.sum()


def _user_by_month(frame: pd.DataFrame) -> pd.Series[float]:
    return frame.groupby([frame.ended.dt.to_period("M"), "qname"], observed=True).executed.sum()


# --- the others ---


def _kind(name: str) -> str:
    if name in NAMES:
        return "text"
    return "bigint" if name in NUMBERS else "double precision"


@contextmanager
def duckdb_of(file: Path, scratch: Path, zone: str) -> Iterator[Answer]:
    """Open DuckDB's table, which is made where it is not there yet."""
    import duckdb

    with duckdb.connect(str(_duckdb_file(file, scratch, zone))) as db:
        yield lambda same: _of_rows(db.execute(same.sql).fetchall(), same)


def _duckdb_file(file: Path, scratch: Path, zone: str) -> Path:
    import duckdb

    path = scratch / "against.duckdb"
    if path.exists():
        return path
    half = scratch / "half.duckdb"
    half.unlink(missing_ok=True)
    kinds = ", ".join(f"'{name}': '{_kind(name)}'" for name in FIELDS.split())
    added = ", ".join(f"({sql})::{kind} AS {name}" for name, kind, sql in _added(zone))
    with duckdb.connect(str(half)) as db:
        db.execute(
            f"CREATE TABLE accounting AS SELECT *, {added} FROM read_csv('{file}', delim=':',"
            " header=false, quote='', escape='', comment='#', auto_detect=false,"
            f" columns={{{kinds}}})"
        )
    return half.rename(path)


def _added(zone: str) -> list[tuple[str, str, str]]:
    clock = f"timezone('{zone}', to_timestamp(end_time))"
    return [(name, kind, sql.replace("{clock}", clock)) for name, (kind, sql) in ADDED.items()]


@contextmanager
def postgres_of(file: Path, scratch: Path, zone: str) -> Iterator[Answer]:
    """Run a PostgreSQL of our own, as its user; its table is made where it is not there yet."""
    folder, socket, filled = (scratch / name for name in ("postgres", "socket", "postgres-filled"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    options = {
        "unix_socket_directories": socket,
        "listen_addresses": "''",
        "shared_buffers": f"{memory // 4}MB",
        "effective_cache_size": f"{memory // 2}MB",
        "work_mem": "256MB",
        "maintenance_work_mem": "2GB",
        "max_parallel_workers_per_gather": os.cpu_count(),
        "max_wal_size": "8GB",
    }
    if not filled.exists():
        shutil.rmtree(folder, ignore_errors=True)
    for each in (folder, socket):
        each.mkdir(exist_ok=True)
        shutil.chown(each, "postgres")
        each.chmod(0o700)
    if not filled.exists():
        _as_postgres("initdb", "-D", folder, "--locale=C.UTF-8", "-A", "trust")
    told = " ".join(f"-c {name}={value}" for name, value in options.items())
    log = folder / "log"
    _as_postgres("pg_ctl", "-D", folder, "-l", log, "-w", "-t", "600", "-o", told, "start")
    try:
        tell = partial(_psql, socket)
        if not filled.exists():
            _fill_postgres(tell, file, zone)
            filled.touch()
        yield lambda same: _of_rows(
            [line.split("|") for line in tell(same.sql).splitlines() if line], same
        )
    finally:
        _as_postgres("pg_ctl", "-D", folder, "-m", "fast", "-w", "stop")


def _as_postgres(program: str, *words: str | Path) -> None:
    command = ["runuser", "-u", "postgres", "--", str(POSTGRES / program), *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


def _psql(socket: Path, sql: str, stdin: Any = subprocess.DEVNULL) -> str:  # noqa: ANN401 - a file
    words = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"]
    return subprocess.run(
        [*words, "-h", str(socket), "-d", "postgres", "-c", sql],
        check=True, stdin=stdin, stdout=subprocess.PIPE, text=True, cwd="/",
    ).stdout  # fmt: skip


def _fill_postgres(tell: Callable[..., str], file: Path, zone: str) -> None:
    fields = [f'"{name}" {_kind(name)}' for name in FIELDS.split()]
    added = [
        f"{name} {kind} GENERATED ALWAYS AS ({sql}) STORED" for name, kind, sql in _added(zone)
    ]
    tell(f"CREATE TABLE accounting ({', '.join([*fields, *added])})")
    names = ", ".join(f'"{name}"' for name in FIELDS.split())
    with subprocess.Popen(["grep", "-v", "^#", str(file)], stdout=subprocess.PIPE) as lines:
        tell(
            f"COPY accounting ({names}) FROM STDIN"
            " (FORMAT csv, DELIMITER ':', QUOTE E'\\x01', NULL E'\\x02')",
            stdin=lines.stdout,
        )
    for name in ("ended", "owner", '"group"', "qname", "hostname", "project"):
        tell(f"CREATE INDEX ON accounting ({name})")
    tell("VACUUM ANALYZE accounting")


@contextmanager
def pandas_of(file: Path, scratch: Path, zone: str) -> Iterator[Answer]:
    """Hold the columns that are asked for in memory; DuckDB reads them from its table."""
    import duckdb
    import pandas as pd

    with duckdb.connect(str(_duckdb_file(file, scratch, zone))) as db:
        table: pa.Table = db.sql(f"SELECT {', '.join(ASKED)} FROM accounting").to_arrow_table()
    texts = [name for name in ASKED if pa.types.is_string(table.schema.field(name).type)]
    for name in texts:
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].dictionary_encode().unify_dictionaries())
    frame = table.to_pandas(self_destruct=True)
    del table

    def asked(same: Same) -> list[float]:
        found = same.frame(frame)
        if isinstance(found, pd.DataFrame):  # a row for each part, a column for each figure
            found = found.iloc[:, 0]
        return _figures(found if same.question.dimensions else found.head(1))

    yield asked


@contextmanager
def qacct_of(file: Path, scratch: Path, zone: str) -> Iterator[Answer]:
    """Run qacct where it has options for a question; what it prints is compared by the tests."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        environment = cell(Path(folder)) | {"TZ": zone}

        def asked(same: Same) -> list[float] | None:
            if same.qacct is not None:
                words = ["qacct", "-f", str(file), *same.qacct]
                subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
            return None

        yield asked


WAYS = {"duckdb": duckdb_of, "postgres": postgres_of, "pandas": pandas_of, "qacct": qacct_of}


# --- answers ---


def _figures(found: Iterable[object]) -> list[float]:
    """Put the first figures of all rows in order; rows without one, or with 0, are left out."""
    values = [float(str(each)) for each in found if each not in (None, "")]
    return sorted(value for value in values if value and not math.isnan(value))


def _of_rows(rows: Iterable[Sequence[object]], same: Same) -> list[float]:
    return _figures(row[len(same.question.dimensions)] for row in rows)


def differ(name: str, way: str, same: Same, mine: list[float], found: list[float]) -> None:
    """Fail where the answers are not the same."""
    if len(mine) != len(found) or not all(
        math.isclose(one, other, rel_tol=same.near) for one, other in zip(mine, found, strict=True)
    ):
        raise SystemExit(f"{name}: {way} answers {found[-3:]} of {len(found)}, not {mine[-3:]}")


def timed(ask_it: Callable[[], T], runs: int) -> tuple[T, float]:
    """Ask again and again; the first answer, and the median of seconds."""
    began = time.monotonic()
    found = ask_it()
    took = [time.monotonic() - began]
    if took[0] > LONG:
        return found, took[0]
    for _ in range(runs):
        began = time.monotonic()
        ask_it()
        took.append(time.monotonic() - began)
    return found, statistics.median(took[1:])


def compare(
    db: Warehouse, asked: dict[str, Same], ways: dict[str, Answer], runs: int
) -> dict[str, list[float]]:
    """Ask each question of all; gives the ratios of each way."""
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for name, same in asked.items():
        answered, took = timed(partial(ask, db, same.question), runs)
        mine = _figures(answered[same.question.metrics[0]].to_pylist())
        print(f"{name:34}{took * 1e3:8.0f} ms", end="")
        for way, answer in ways.items():
            if way == "qacct" and same.qacct is None:
                print(f"{'':>19}", end="")
                continue
            found, their = timed(partial(answer, same), runs)
            if found is not None:
                differ(name, way, same, mine, found)
            ratios[way].append(their / took)
            print(f"{their:10.3f} s{their / took:6.1f}x", end="", flush=True)
        print(f"  {', '.join(explain(db, same.question).tables)}", flush=True)
    return ratios


def show(title: str, ratios: dict[str, list[float]]) -> None:
    for way, found in ratios.items():
        if found:
            mean = statistics.geometric_mean(found)
            print(f"{title}: {way} takes {mean:.1f} times as long, at least {min(found):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--ways", type=lambda text: text.split(","), default=[*WAYS])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    settings = load_settings(options.config)
    [cluster] = settings.clusters.values()
    [file] = map(Path, cluster.files)
    with Warehouse(settings) as db, ExitStack() as opened:
        refresh(db)
        user = values(db, "user", limit=1)[0]
        ways = {
            way: opened.enter_context(WAYS[way](file, options.scratch, cluster.timezone))
            for way in options.ways
        }
        print(f"{'':45}" + "".join(f"{way:>19}" for way in ways))
        for title, asked in (("standard", standard(user)), ("mixtures", mixtures())):
            show(title, compare(db, asked, ways, options.runs))


if __name__ == "__main__":
    main()
