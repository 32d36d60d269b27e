"""Runs one command line of qacct: what is printed, and the exit status."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import BinaryIO

from clickhouse.connection import Warehouse
from clickhouse.settings import Settings
from pychart.qacct import jobs, totals
from pychart.qacct.options import Options, parse
from pychart.qacct.selection import select

USAGE = """\
usage: pychart qacct [--cluster NAME] [options]

A table of what was used, with a row for each value of these, or for the value given:
 -o [owner], -u [owner]   -g [group]     -P [project]   -D [department]
 -q [queue[@host]]        -h [host]      -pe [parallel environment]
 -slots [number]          -A [account]   -ar [advance reservation]

Only lines
 -b TIME, -e TIME         of jobs that started from this time on, up to this time
 -d DAYS                  that many days after -b, before -e or before now
 -E                       the same, of the end of jobs
 -m                       of jobs, not of their parallel tasks
 -l ATTR[=VALUE],...      of jobs that asked for these resources

 -j [number|name|pattern] every line in full; of one job: no table
 -t n[-m[:step]]          only these array tasks of the job
 -help                    this text

TIME is [[CC]YY]MMDDhhmm[.SS] in local time ($TZ); names of queues and jobs may hold * ? [ ]
"""


def run(settings: Settings, cluster: str | None, words: Sequence[str]) -> int:
    """Answer the command line and give its exit status; a QuestionError says what is wrong."""
    options = parse(words)
    if options.help:
        sys.stdout.write(USAGE)
        return 0
    with Warehouse(settings) as warehouse:
        if warehouse.embedded:  # a merge that began now could not end before this process does
            warehouse.command("SYSTEM STOP MERGES accounting")
        return answer(warehouse, cluster, options, sys.stdout.buffer)


def answer(warehouse: Warehouse, cluster: str | None, options: Options, out: BinaryIO) -> int:
    """Write what a command line asks for; `cluster` None means the only one there is."""
    selection = select(warehouse, cluster, options, time.time())
    found = False
    if options.prints_jobs:
        for text in jobs.texts(warehouse, selection):
            found = True
            out.write(text)
    if not options.names_job:
        out.write(totals.table(warehouse, selection, options))
    elif not found:
        sys.stderr.write(f"error: {_not_found(options)}\n")
        return 1
    return 0


def _not_found(options: Options) -> str:
    name = (options.job_name or b"").decode(errors="replace")
    if options.tasks is None:
        kind = f"id {options.job_number}" if options.job_number else f"name {name}"
        return f"job {kind} not found"
    job = str(options.job_number) if options.job_number else f'"{name}"'
    tasks = options.tasks
    return f"Job-array tasks {job}.{tasks.first}-{tasks.last}:{tasks.step} not found"
