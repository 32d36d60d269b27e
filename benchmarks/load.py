"""How fast a file is loaded: pychart, DuckDB and pandas, on the same file, in turns, in one run.

    python -m benchmarks.load [--file FILE | --jobs N] [--runs N] [--ways pychart,duckdb,pandas]

Every load is a process of its own with an empty database, timed from its start to its end, when all
rows are stored; its CPU seconds are those of all its threads. The medians are compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PANDAS_ROWS = 200_000  # per chunk
FIELDS = """
    qname hostname group owner job_name job_number account priority submission_time start_time
    end_time failed exit_status ru_wallclock ru_utime ru_stime ru_maxrss ru_ixrss ru_ismrss
    ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap ru_inblock ru_oublock ru_msgsnd ru_msgrcv
    ru_nsignals ru_nvcsw ru_nivcsw project department granted_pe slots task_number cpu mem io
    category iow pe_taskid maxvmem arid ar_submission_time
"""


@dataclass(frozen=True)
class Load:
    """One load of the file: wall and CPU seconds, and the rows that the database then held."""

    seconds: float
    cpu_seconds: float
    rows: int


def load_with_pychart(file: Path, folder: Path) -> None:
    """Load as a user does: `pychart load`."""
    from pychart.cli import main

    sys.argv = ["pychart", "--database", f"chdb://{folder}/warehouse", "load", str(file)]
    main()


def load_with_duckdb(file: Path, folder: Path) -> None:
    """Create a table from DuckDB's CSV reader, which finds the types by itself."""
    import duckdb

    with duckdb.connect(str(folder / "duckdb")) as db:
        db.execute(
            "CREATE TABLE accounting AS SELECT * FROM"
            " read_csv(?, delim=':', header=false, quote='', escape='', comment='#')",
            [str(file)],
        )


def load_with_pandas(file: Path, folder: Path) -> None:
    """Read chunks with pandas and insert them as frames into the engine that pychart embeds."""
    import clickhouse_connect
    import pandas as pd

    client = clickhouse_connect.get_client(interface="chdb", path=str(folder / "pandas"))
    chunks = pd.read_csv(
        file,
        sep=":",
        names=FIELDS.split(),
        comment="#",
        quoting=3,
        keep_default_na=False,
        chunksize=PANDAS_ROWS,
    )
    for number, chunk in enumerate(chunks):
        if number == 0:
            client.command(_create_table(chunk))
        client.insert_df("accounting", chunk)
    client.close()


def _create_table(chunk: pd.DataFrame) -> str:
    kinds = {"i": "Int64", "f": "Float64"}
    columns = ", ".join(
        f"`{name}` {kinds.get(dtype.kind, 'String')}" for name, dtype in chunk.dtypes.items()
    )
    return f"CREATE TABLE accounting ({columns}) ENGINE = MergeTree ORDER BY (end_time, job_number)"


def rows_of_pychart(folder: Path) -> int:
    """Count through the view that users read."""
    from clickhouse.connection import Warehouse
    from clickhouse.settings import Settings

    with Warehouse(Settings(database=f"chdb://{folder}/warehouse")) as warehouse:
        return int(warehouse.rows("SELECT count() FROM records")[0][0])


def rows_of_duckdb(folder: Path) -> int:
    """Count what DuckDB stored."""
    import duckdb

    with duckdb.connect(str(folder / "duckdb")) as db:
        found = db.execute("SELECT count(*) FROM accounting").fetchone()
    return int(found[0]) if found else 0


def rows_of_pandas(folder: Path) -> int:
    """Count what arrived through pandas."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=str(folder / "pandas"))
    return int(client.query("SELECT count() FROM accounting").result_rows[0][0])


WAYS = {
    "pychart": (load_with_pychart, rows_of_pychart),
    "duckdb": (load_with_duckdb, rows_of_duckdb),
    "pandas": (load_with_pandas, rows_of_pandas),
}


def measure(way: str, file: Path, scratch: Path) -> Load:
    """Load the file once, into an empty folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        began = time.monotonic()
        load = subprocess.Popen(_child("load", way, file, folder), stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(load.pid, 0)
        seconds = time.monotonic() - began
        load.returncode = os.waitstatus_to_exitcode(status)
        if load.returncode:
            raise SystemExit(f"{way}: the load ended with status {load.returncode}")
        rows = subprocess.run(
            _child("count", way, file, folder), stdout=subprocess.PIPE, check=True
        ).stdout
    return Load(seconds, usage.ru_utime + usage.ru_stime, int(rows.split()[-1]))


def _child(step: str, way: str, file: Path, folder: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.load", "--child", step, way, str(file), folder]


def _child_main(step: str, way: str, file: str, folder: str) -> None:
    load, count = WAYS[way]
    if step == "load":
        load(Path(file), Path(folder))
    else:
        print(count(Path(folder)))


def report(loads: dict[str, list[Load]], size: int) -> str:
    """Lay out the medians, and how many times as fast pychart is."""
    lines = [f"{'':10}{'MB/s':>8}{'s':>8}{'CPU s/GB':>10}{'rows':>12}   pychart is"]
    seconds = {way: statistics.median(load.seconds for load in runs) for way, runs in loads.items()}
    for way, runs in loads.items():
        cpu = statistics.median(load.cpu_seconds for load in runs)
        ratio = f"{seconds[way] / seconds['pychart']:6.2f} x" if "pychart" in seconds else ""
        lines.append(
            f"{way:10}{size / 1e6 / seconds[way]:8.0f}{seconds[way]:8.2f}{cpu / size * 1e9:10.1f}"
            f"{runs[-1].rows:12,}   {ratio}"
        )
    return "\n".join(lines)


def demo_file(jobs: int, scratch: Path) -> Path:
    """Make up an accounting file of that many jobs."""
    from pychart.demo import write_demo

    file = scratch / f"accounting-{jobs}"
    print(f"Making up {jobs:,} jobs", file=sys.stderr)
    write_demo(file, jobs, 5, 1)
    return file


def main() -> None:
    """Measure all ways in turns, each round in the opposite order, and print the medians."""
    if sys.argv[1:2] == ["--child"]:
        return _child_main(*sys.argv[2:])
    options = _options()
    scratch = Path(tempfile.mkdtemp(prefix="pychart-load-", dir=options.scratch))
    try:
        file: Path = options.file or demo_file(options.jobs, scratch)
        size = file.stat().st_size
        with file.open("rb") as warm:  # the disk is not what is measured
            while warm.read(1 << 24):
                pass
        ways = options.ways.split(",")
        loads: dict[str, list[Load]] = {way: [] for way in ways}
        for number in range(options.runs):
            for way in ways if number % 2 == 0 else reversed(ways):
                done = measure(way, file, scratch)
                loads[way].append(done)
                print(
                    f"{way}: {done.seconds:.2f} s, {size / 1e6 / done.seconds:.0f} MB/s,"
                    f" {done.cpu_seconds:.1f} CPU s",
                    file=sys.stderr,
                )
        print(f"{file}: {size / 1e6:,.0f} MB, median of {options.runs}, {os.cpu_count()} cores")
        print(report(loads, size))
    finally:
        shutil.rmtree(scratch)
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", type=Path, help="an accounting file, not compressed")
    source.add_argument("--jobs", type=int, default=1_000_000, help="size of a demo file")
    parser.add_argument("--runs", type=int, default=3, help="loads of each way")
    parser.add_argument("--ways", default=",".join(WAYS), help="which, with commas between them")
    parser.add_argument("--scratch", type=Path, help="folder for the databases and the demo file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
