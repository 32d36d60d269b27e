"""Records as Open Cluster Scheduler and Gridware 9 write them: a JSON object, times in µs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pychart.demo.attempts import OUTCOMES
from pychart.demo.columns import (
    MICRO,
    PE_TASKS,
    Moments,
    Rusage,
    decimals,
    indices,
    integers,
    job_numbers,
    join,
    micros,
    texts,
)
from pychart.demo.layouts import JSON_90
from pychart.demo.placement import PLACES, SUMMARY
from pychart.demo.population import Population
from pychart.demo.records import Records
from pychart.demo.site import PES, PROJECTS
from pychart.demo.submissions import Submissions


def member(key: str, value: str) -> str:
    """`,"key":"value"`, nothing where there is no value, as the scheduler does it."""
    return "" if value in ("", "NONE") else f',"{key}":{json.dumps(value)}'


def _place(place: str) -> str:
    queue, host = place.split(":")
    return member("qname", queue) + member("hostname", host)


def _outcome(outcome: str) -> str:
    failed, exit_status = outcome.split(":")
    return f',"failed":{failed},"exit_status":{exit_status}'


PLACE_MEMBERS = texts([_place(place) for place in PLACES])
OUTCOME_MEMBERS = texts([_outcome(outcome) for outcome in OUTCOMES])
PROJECT_MEMBERS = texts([member("project", project) for project in PROJECTS])
PE_MEMBERS = texts([member("granted_pe", pe) for pe in PES])
# what a site may have the scheduler add: usage_patterns, or keys of a later version
EXTRA_USAGE = texts(["", ',"energy":{"cpu":12.5,"total":99}'])
EXTRA_KEYS = texts(["", ',"binding":{"slots":1,"tags":["a:b",null,"}"]}'])
PE_TASK_MEMBERS = texts([member("pe_taskid", task) for task in PE_TASKS])


class JsonFormatter:
    """Formats lines of `accounting.jsonl`."""

    def __init__(self, people: Population) -> None:
        """Prepare the texts that depend on the users alone."""
        self._people = texts(
            [
                member("owner", owner) + member("group", group) + member("account", "sge")
                for owner, group in zip(people.owners, people.groups, strict=True)
            ]
        )
        self._job_names = texts([member("job_name", name) for name in people.job_names])

    def format(
        self,
        layout: int,
        records: Records,
        used: Rusage,
        submissions: Submissions,
        requests: tuple[pa.BinaryArray, pa.BinaryArray],
        when: Moments,
    ) -> pa.BinaryArray:
        """Lines of version 9.0 or 9.1; `requests` are category and command of each submission."""
        job = indices(records.submission)
        category, command = requests
        more = indices((submissions.number % 11 == 0) & (layout > JSON_90)).take(job)
        pieces = [
            *('{"job_number":', integers(job_numbers(submissions)).take(job)),
            *(',"task_number":', integers(records.task_number)),
            *(',"start_time":', integers(when.start), ',"end_time":', integers(when.end)),
            self._people.take(indices(submissions.user)).take(job),
            PLACE_MEMBERS.take(indices(records.place)),
            PROJECT_MEMBERS.take(indices(submissions.project)).take(job),
            ',"department":"defaultdepartment"',
            PE_MEMBERS.take(indices(submissions.pe)).take(job),
            *(',"slots":', integers(submissions.slots).take(job)),
            self._job_names.take(indices(submissions.job_name)).take(job),
            *(',"priority":', integers(submissions.priority).take(job)),
            *(',"submission_time":', integers(when.submitted)),
            *(',"submit_cmd_line":', _quoted(command).take(job)),
            PE_TASK_MEMBERS.take(indices(records.pe_task)),
            _category_member(category, always=layout == JSON_90).take(job),
            OUTCOME_MEMBERS.take(indices(records.outcome)),
            *(',"usage":{"rusage":', *_rusage(records, used)),
            *(',"usage":' if layout == JSON_90 else ',"eusage":', *_usage(records, submissions)),
            *(EXTRA_USAGE.take(more), "}", EXTRA_KEYS.take(more), "}\n"),
        ]
        return join(pieces)


def _quoted(column: pa.BinaryArray) -> pa.BinaryArray:
    """Make a JSON string of each text, which has no control characters."""
    escaped = pc.replace_substring(column, pattern=b"\\", replacement=b"\\\\")
    escaped = pc.replace_substring(escaped, pattern=b'"', replacement=b'\\"')
    return join(['"', escaped, '"'])


def _category_member(category: pa.BinaryArray, *, always: bool) -> pa.BinaryArray:
    """`,"category":"…"`; where nothing was asked for, it is empty or left out."""
    members = join([',"category":', _quoted(category)])
    nothing = texts([',"category":""' if always else ""])[0]
    return pc.if_else(pc.equal(category, b"NONE"), nothing, members)


def _rusage(records: Records, used: Rusage) -> list[pa.Array | str]:
    """Write the object of what getrusage(2) counts, whole numbers but for the two times."""
    return [
        *('{"ru_wallclock":', integers(used.wall)),
        *(',"ru_utime":', decimals(micros(records.user_seconds))),
        *(',"ru_stime":', decimals(micros(records.system_seconds))),
        *(',"ru_maxrss":', integers(records.max_rss_kib)),
        ',"ru_ixrss":0,"ru_ismrss":0,"ru_idrss":0,"ru_isrss":0',
        *(',"ru_minflt":', integers(used.minor_faults)),
        *(',"ru_majflt":', integers(used.major_faults)),
        *(',"ru_nswap":0,"ru_inblock":', integers(used.blocks_in)),
        *(',"ru_oublock":', integers(used.blocks_out)),
        ',"ru_msgsnd":0,"ru_msgrcv":0,"ru_nsignals":0',
        *(',"ru_nvcsw":', integers(used.yielded)),
        *(',"ru_nivcsw":', integers(used.preempted), "}"),
    ]


def _usage(records: Records, submissions: Submissions) -> list[pa.Array | str]:
    """Write the object of what the scheduler measures; its wallclock is a sum over the tasks."""
    job = records.submission
    tasks = np.where(submissions.kind[job] == SUMMARY, submissions.hosts[job], 1)
    wall = (records.end - records.start) * tasks
    return [
        *('{"wallclock":', decimals(wall * MICRO)),
        *(',"cpu":', decimals(micros(records.user_seconds) + micros(records.system_seconds))),
        *(',"mem":', decimals(micros(records.gib_seconds))),
        *(',"io":', decimals(micros(records.io_gib))),
        *(',"iow":', decimals(micros(records.io_wait_seconds))),
        *(',"maxvmem":', decimals(records.maxvmem_bytes * 10, 1)),
        *(',"maxrss":', decimals(records.max_rss_kib * 10240, 1), "}"),
    ]
