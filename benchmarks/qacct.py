"""How much faster `pychart qacct` is than the real qacct, on the same file, start-up included.

    python -m benchmarks.qacct [--file FILE | --jobs N] [--runs N] [--options="-o -g"]
                               [--database chdb:///folder]

Every run is a process of its own, timed from its start to its end; the best of `--runs` counts on
both sides, so the file comes from the page cache. Where the database does not exist yet, the file
is loaded into it first, which is not timed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params x;y
binary_path x
qmaster_spool_dir x
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""


def cell(scratch: Path) -> dict[str, str]:
    """Make the folder that the real qacct wants to see, and name it in the environment."""
    common = scratch / "sge" / "default" / "common"
    common.mkdir(parents=True)
    (common / "act_qmaster").write_text("localhost\n")
    (common / "bootstrap").write_text(BOOTSTRAP)
    return {**os.environ, "SGE_ROOT": str(scratch / "sge"), "SGE_CELL": "default"}


def pychart(database: str, *words: str) -> list[str]:
    """Write the command line, as installed."""
    script = "from pychart.cli import main; main()"
    return [sys.executable, "-c", script, "--database", database, *words]


def seconds(command: list[str], output: Path, environment: Mapping[str, str]) -> float:
    """Run once, its output into a file."""
    began = time.monotonic()
    with output.open("wb") as file:
        subprocess.run(command, stdout=file, env=environment, check=False)
    return time.monotonic() - began


def differing(first: Path, second: Path) -> str:
    """Say how many lines of the two outputs are not equal."""
    lines = [path.read_bytes().splitlines() for path in (first, second)]
    unequal = sum(one != other for one, other in zip(*lines, strict=False))
    unequal += abs(len(lines[0]) - len(lines[1]))
    return f"{unequal} of {len(lines[0])} lines differ" if unequal else "equal output"


def compare(file: Path, database: str, options: list[str], runs: int, scratch: Path) -> str:
    """Time both and compare what they print."""
    environment = cell(scratch)
    outputs = {name: scratch / name for name in ("qacct", "pychart")}
    commands = {
        "qacct": ["qacct", "-f", str(file), *options],
        "pychart": pychart(database, "qacct", *options),
    }
    best: dict[str, float] = {}
    for name, command in commands.items():
        taken = [seconds(command, outputs[name], environment) for _ in range(runs)]
        best[name] = min(taken)
        print(f"{name}: {', '.join(f'{one:.2f}' for one in taken)} s", file=sys.stderr)
    return (
        f"{shlex.join(options) or 'no option':24}{best['qacct']:9.2f}{best['pychart']:9.2f}"
        f"{best['qacct'] / best['pychart']:8.0f} x   {differing(*outputs.values())}"
    )


def demo_file(jobs: int, scratch: Path) -> Path:
    """Make up an accounting file of that many jobs."""
    from pychart.demo import write_demo

    file = scratch / f"accounting-{jobs}"
    print(f"Making up {jobs:,} jobs", file=sys.stderr)
    write_demo(file, jobs, 10, 1)
    return file


def main() -> None:
    """Compare for each set of options."""
    parsed = _options()
    scratch = Path(tempfile.mkdtemp(prefix="pychart-qacct-", dir=parsed.scratch))
    try:
        file: Path = parsed.file or demo_file(parsed.jobs, scratch)
        database: str = parsed.database or f"chdb://{scratch}/warehouse"
        if not Path(database.removeprefix("chdb://")).is_dir():
            subprocess.run(pychart(database, "load", str(file)), check=True)
        print(f"{file}: {file.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} cores")
        print(f"{'':24}{'qacct s':>9}{'pychart':>9}{'faster':>10}")
        for number, options in enumerate(parsed.options):
            folder = scratch / str(number)
            folder.mkdir()
            print(compare(file, database, shlex.split(options), parsed.runs, folder), flush=True)
    finally:
        shutil.rmtree(scratch)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qacct", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", type=Path, help="an accounting file, not compressed")
    source.add_argument("--jobs", type=int, default=1_000_000, help="size of a demo file")
    parser.add_argument("--database", help="where the file is loaded already, or is to be loaded")
    parser.add_argument("--runs", type=int, default=3, help="of each, the best counts")
    parser.add_argument("--scratch", type=Path, help="folder for the demo file and the database")
    parser.add_argument("--options", action="append", help="of qacct; may be repeated")
    parsed = parser.parse_args()
    parsed.options = parsed.options or ["-o"]
    return parsed


if __name__ == "__main__":
    main()
