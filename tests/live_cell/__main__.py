"""`python -m tests.live_cell`: 200 jobs in a real cell, followed by the daemon, against its qacct.

As root on Debian 12. `cell.sh` sets the cell up; ordinary users submit; `pychart watch` follows the
cell's own accounting file, on each engine; then every record is compared with what `qacct -j` says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.case import Case, Watch
from tests.faults.report import write
from tests.server import RunningServer, start

CELL = Path(__file__).parent / "cell.sh"
ROOT = Path("/var/lib/gridengine")
ACCOUNTING = ROOT / "default" / "common" / "accounting"
USERS = ("cella", "cellb", "cellc")
ENVIRONMENT = {**os.environ, "SGE_ROOT": str(ROOT), "SGE_CELL": "default", "TZ": "UTC"}
LATEST = 2.0  # seconds after its last line by which all must be there
PATIENCE = 600.0  # seconds that the jobs may take

# what a job is: options of qsub, and its script
KINDS = (
    ("plain", "", "sleep 1"),
    ("burn", "-P chem", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"),
    ("openmp", "-pe openmp_FALSE 4 -l h_rt=00:10:00", "sleep 1"),
    ("openmpsum", "-pe openmp_TRUE 3", "sleep 1"),
    ("mpi", "-V -pe mpi_FALSE 2", "for i in 1 2; do qrsh -inherit localhost sleep 1; done"),
    ("mpisum", "-V -pe mpi_TRUE 2", "qrsh -inherit localhost sleep 1"),
    ("array", "-t 1-3", "sleep 1"),
    ("exit", "", "exit $((JOB_ID % 5 + 1))"),
    ("requeue", "-r y", "[ -e $HOME/again.$JOB_ID ] && exit 0; touch $HOME/again.$JOB_ID; exit 99"),
    ("failing", "", "exit 100"),
    ("killed", "", "kill -9 $$"),
    ("limit", "-l h_rt=0:0:2", "sleep 30"),
    ("nowhere", "-wd /nonexistent", "sleep 1"),
    ("memory", "", "head -c 100000000 /dev/zero | tail -c 1 | wc -c"),
    ("output", "", "dd if=/dev/zero of=$HOME/dd.$JOB_ID bs=1M count=5; rm $HOME/dd.$JOB_ID"),
    ("deleted", "", "sleep 300"),
)
FIELDS = {
    "qname": "qname",
    "hostname": "hostname",
    "group": "`group`",
    "owner": "owner",
    "project": "project",
    "department": "department",
    "jobname": "job_name",
    "jobnumber": "toString(job_number)",
    "taskid": "toString(task_number)",
    "account": "account",
    "priority": "toString(priority)",
    "qsub_time": "toUnixTimestamp(submission_time)",
    "start_time": "toUnixTimestamp(start_time)",
    "end_time": "toUnixTimestamp(end_time)",
    "granted_pe": "granted_pe",
    "slots": "toString(slots)",
    "failed": "toString(failed)",
    "exit_status": "toString(exit_status)",
    "ru_wallclock": "ru_wallclock",
    "ru_utime": "ru_utime",
    "ru_stime": "ru_stime",
    "ru_maxrss": "ru_maxrss",  # in KiB, which qacct takes for bytes
    "ru_minflt": "toString(toUInt64(ru_minflt))",
    "ru_inblock": "toString(toUInt64(ru_inblock))",
    "ru_nvcsw": "toString(toUInt64(ru_nvcsw))",
    "cpu": "cpu",
    "mem": "mem * 1073741824",
    "io": "io * 1073741824",
    "iow": "iow",
    "maxvmem": "maxvmem",
    "category": "category",
}
TIMES = ("qsub_time", "start_time", "end_time")
SECONDS = ("ru_utime", "ru_stime", "cpu", "iow")
BYTES = ("ru_maxrss", "mem", "io", "maxvmem")


@dataclass
class Delays:
    """How long after a line stood in the file the ledger said that its rows are there."""

    all: list[float]
    last: float


def submit(count: int) -> None:
    """Submit `count` jobs of all kinds, as each user a third of them."""
    for place, user in enumerate(USERS):
        commands = ["export SGE_ROOT=/var/lib/gridengine SGE_CELL=default"]
        for number in range(place, count, len(USERS)):
            name, options, script = KINDS[number // len(USERS) % len(KINDS)]
            where = "" if "-wd" in options else "-cwd"
            commands.append(
                f"qsub -terse -N {name} -j y -o /dev/null {where} {options} <<'END'\n{script}\nEND"
            )
        text = "\n".join(commands) + "\n"
        subprocess.run(["su", "-", user], input=text, text=True, check=True, capture_output=True)


def qstat(*options: str) -> list[list[str]]:
    """The rows that qstat prints."""
    said = subprocess.run(
        ["qstat", "-u", "*", *options], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return [line.split() for line in said.stdout.splitlines()[2:]]


def delete(*jobs: str) -> None:
    if jobs:
        command = ["qdel", *jobs]
        subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)


@dataclass
class Growth:
    """When the file had which size, looked at fifty times a second."""

    seen: list[tuple[int, float]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        before = ACCOUNTING.stat().st_size
        while not self.ended.wait(0.02):
            size = ACCOUNTING.stat().st_size
            if size != before:
                self.seen.append((size, time.monotonic()))
                before = size


def follow(watch: Watch) -> Delays:
    """Wait until all jobs are gone, timing how late each growth of the file is in the ledger."""
    growth, delays, quiet_since, began = Growth(), [0.0], 0.0, time.monotonic()
    threading.Thread(target=growth.look, daemon=True).start()
    looked = 0.0
    while time.monotonic() - began < PATIENCE:
        loaded, now = max(watch.ends(), default=0), time.monotonic()
        while growth.seen and growth.seen[0][0] <= loaded:
            delays.append(now - growth.seen.pop(0)[1])
        if now - looked > 2:
            looked = now
            running = qstat()
            delete(*(row[0] for row in running if row[2] == "deleted" and row[4] == "r"))
            delete(*(row[0] for row in running if "E" in row[4]))
            quiet_since = (quiet_since or now) if not running and not growth.seen else 0.0
        if quiet_since and now - quiet_since > 4:  # no job is left, and nothing more came
            growth.ended.set()
            return Delays(delays, delays[-1])
        time.sleep(0.05)
    raise TimeoutError(f"jobs are left after {PATIENCE:g} s: {qstat()}")


def said_by_qacct() -> list[dict[str, str]]:
    """The records that `qacct -j` prints, in the file's order."""
    said = subprocess.run(
        ["qacct", "-j"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    records: list[dict[str, str]] = []
    for line in said.stdout.split("Total System Usage")[0].splitlines():
        if line.startswith("==="):
            records.append({})
        else:
            name, _, value = line.partition(" ")
            records[-1][name] = value.strip()
    return records


def said_by_warehouse(case: Case) -> list[dict[str, str]]:
    """The same of the warehouse, in the same words."""
    columns = ", ".join(f"{sql} AS f{number}" for number, sql in enumerate(FIELDS.values()))
    (rows,) = case.query(f"SELECT {columns} FROM records ORDER BY offset")
    return [
        {name: in_words(name, value) for name, value in zip(FIELDS, row, strict=True)}
        for row in rows
    ]


def in_words(name: str, value: Any) -> str:
    """A value as qacct writes it."""
    if name in TIMES:
        return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(int(value))) if value else "-/-"
    if name in SECONDS:
        return f"{value:.3f}s"
    if name == "ru_wallclock":
        return f"{value:.0f}s"
    if name in BYTES:
        return scaled(float(value)) + ("s" if name == "mem" else "")
    if name == "taskid":
        return "undefined" if value == "0" else str(value)
    return str(value)


def scaled(amount: float) -> str:
    """An amount of bytes with the unit that qacct chooses."""
    units = ["B", "KB", "MB", "GB", "TB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{amount:.3f}{units[0]}"


def differences(case: Case) -> Iterator[str]:
    """Say where the warehouse does not equal qacct."""
    theirs, ours = said_by_qacct(), said_by_warehouse(case)
    if len(theirs) != len(ours):
        yield f"qacct has {len(theirs)} records, the warehouse {len(ours)}"
    for one, other in zip(theirs, ours, strict=False):
        for name in FIELDS:
            said, have = one.get(name, ""), other[name]
            if name in ("failed", "exit_status"):
                said = said.split()[0]  # a text follows
            if said != have and not (said in ("NONE", "UNKNOWN") and not have):
                yield f"job {one['jobnumber']}: {name}: qacct {said!r}, warehouse {have!r}"


def run(engine: str, count: int, folder: Path, server: RunningServer | None) -> str:
    """Submit, follow and compare on one engine; a line for the report."""
    place = folder / engine
    place.mkdir()
    case = Case(engine, place, running=server)
    case.fresh()
    case.config(files=[str(ACCOUNTING)])
    ACCOUNTING.touch()
    before = len(said_by_qacct()) if ACCOUNTING.stat().st_size else 0
    with case.watch() as watch:
        submit(count)
        delays = follow(watch)
    found = list(differences(case))
    for each in found[:20]:
        case.complain(each)
    case.expect(delays.last <= LATEST, f"the last line came {delays.last:.1f} s late")
    case.equal(ACCOUNTING.read_bytes())
    records = len(said_by_qacct())
    case.expect(records - before >= count, f"only {records - before} records of {count} jobs")
    for complaint in case.verdict.complaints:
        print(f"    {engine}: {complaint}", file=sys.stderr)
    kinds = len({name for name, _, _ in KINDS})
    return (
        f"| {engine} | {count} of {kinds} kinds | {records - before} | {records} |"
        f" {len(found)} | {delays.last:.1f} s | {max(delays.all):.1f} s |"
        f" {'holds' if case.verdict.holds else 'FAILS'} |"
    )


@contextmanager
def cell() -> Iterator[None]:
    subprocess.run([CELL, "up"], check=True)
    try:
        yield
    finally:
        subprocess.run([CELL, "down"], check=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live_cell", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--engine", choices=["embedded", "server"], action="append")
    parser.add_argument("--write", action="store_true", help="put it into docs/reliability.md")
    options = parser.parse_args()
    lines = [
        "| engine | jobs | their records | records in all | other than qacct | last line there"
        " after | latest of all | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with (
        tempfile.TemporaryDirectory(prefix="pychart-cell-") as made,
        cell(),
        start(Path(made) / "data") as server,
    ):
        for engine in options.engine or ["embedded", "server"]:
            of_server = server if engine == "server" else None
            lines.append(run(engine, options.jobs, Path(made), of_server))
            print(lines[-1], flush=True)
    if options.write:
        write("live cell", "\n".join(lines))
    return 0 if all(line.endswith("holds |") for line in lines[2:]) else 1


if __name__ == "__main__":
    sys.exit(main())
