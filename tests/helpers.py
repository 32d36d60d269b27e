"""What several test modules do: open a fresh warehouse, load lines, ask in SQL, run the command."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from clickhouse.connection import Warehouse
from clickhouse.migrate import migrate
from clickhouse.settings import Settings
from ingest.loader import Summary, load_file

CLUSTER = "c1"


@contextmanager
def warehouse(url: str, **settings: Any) -> Iterator[Warehouse]:
    """A migrated database, closed at the end."""
    wanted, folder = Settings(database=url, **settings), Path(url.removeprefix("chdb://"))
    is_copied = wanted.describes_site or not settings  # else its views would stay as they are
    if url.startswith("chdb://") and is_copied and not folder.exists():
        shutil.copytree(_migrated(), folder, symlinks=True)
    with Warehouse(wanted, create=True) as opened:
        migrate(opened)
        yield opened


@cache
def _migrated() -> Path:
    """Make an empty migrated database once: to copy it takes a fifth of the time."""
    folder = Path(tempfile.mkdtemp(prefix="pychart-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with Warehouse(Settings(database=f"chdb://{folder}/db"), create=True) as opened:
        migrate(opened)
    return folder / "db"


def load_bytes(opened: Warehouse, path: Path, content: bytes, **options: Any) -> Summary:
    path.write_bytes(content)
    return load_file(opened, CLUSTER, path, **options)


def column(opened: Warehouse, sql: str) -> list[Any]:
    return [row[0] for row in opened.rows(sql)]


def one(opened: Warehouse, sql: str) -> Any:
    return opened.rows(sql)[0][0]


def pychart(*words: str | Path, stdin: bytes = b"", timeout: float = 120) -> Any:
    """Run the command line as people do, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from pychart.cli import main; main()", *map(str, words)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


FIELDS = (
    "all.q node1 chem ann job 7 sge 0 1500000000 1500000100 1500000200 0 0 100 1.5 0.5 2048"
    " 0 0 0 0 10 0 0 0 0 0 0 0 5 6 NONE defaultdepartment NONE 1 0 2.000000 0.250000"
    " 0.125000 NONE 0.000000 NONE 1048576.000000 0 0"
).split()

NAMES = (
    "qname hostname group owner job_name job_number account priority submission_time"
    " start_time end_time failed exit_status ru_wallclock ru_utime ru_stime ru_maxrss"
    " ru_ixrss ru_ismrss ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap ru_inblock"
    " ru_oublock ru_msgsnd ru_msgrcv ru_nsignals ru_nvcsw ru_nivcsw project department"
    " granted_pe slots task_number cpu mem io category iow pe_taskid maxvmem arid"
    " ar_submission_time"
).split()


def line(layout: int = 45, **changes: Any) -> bytes:
    """One line of accounting, without its newline; fields are changed by name."""
    fields = [str(changes.pop(name, value)) for name, value in zip(NAMES, FIELDS, strict=True)]
    assert not changes, changes
    fields += ["x"] * (layout - 45)
    return ":".join(fields[:layout]).encode()
