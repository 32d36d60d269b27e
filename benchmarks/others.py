"""Who is asked beside pychart in `benchmarks.against`: DuckDB, PostgreSQL, pandas and qacct."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.load import FIELDS
from benchmarks.qacct import cell
from benchmarks.same import Same, literal

Figures = list[list[float]]  # of each metric the values, in order
Answer = Callable[[Same], Figures | None]
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


def figures(columns: Iterable[Iterable[object]]) -> Figures:
    """Put the values of each metric in order; where there is none, or 0, nothing stands."""
    return [_in_order(column) for column in columns]


def _in_order(column: Iterable[object]) -> list[float]:
    values = [float(str(each)) for each in column if each not in (None, "")]
    return sorted(value for value in values if value and not math.isnan(value))


def _of_rows(rows: Iterable[Sequence[object]], same: Same) -> Figures:
    keys, metrics = len(same.question.dimensions), len(same.question.metrics)
    every = [*rows]
    return figures([row[keys + number] for row in every] for number in range(metrics))


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
            f"CREATE TABLE accounting AS SELECT *, {added} FROM read_csv({literal(str(file))},"
            " delim=':', header=false, quote='', escape='', comment='#', auto_detect=false,"
            f" columns={{{kinds}}})"
        )
    return half.rename(path)


def _added(zone: str) -> list[tuple[str, str, str]]:
    clock = f"timezone({literal(zone)}, to_timestamp(end_time))"
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

    def asked(same: Same) -> Figures:
        found = same.frame(frame)
        if isinstance(found, pd.DataFrame):  # a row for each part, a column for each figure
            return figures(found[name] for name in found.columns)
        return figures([found] if same.question.dimensions else ([each] for each in found))

    yield asked


@contextmanager
def qacct_of(file: Path, scratch: Path, zone: str) -> Iterator[Answer]:
    """Run qacct where it has options for a question; what it prints is compared by the tests."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        environment = cell(Path(folder)) | {"TZ": zone}

        def asked(same: Same) -> None:
            if same.qacct is not None:
                words = ["qacct", "-f", str(file), *same.qacct]
                subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)

        yield asked


WAYS = {"duckdb": duckdb_of, "postgres": postgres_of, "pandas": pandas_of, "qacct": qacct_of}
