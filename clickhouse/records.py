"""Finds jobs among the lines, and gives all there is on one of them.

Jobs of one number are told apart by cluster and submission; their attempts, tasks of an array and
parallel tasks are lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from clickhouse.attempts import multi_node_lines, reach
from clickhouse.connection import Warehouse
from clickhouse.coverage import coverage_of
from clickhouse.days import DAY, seconds
from clickhouse.errors import QuestionError
from clickhouse.filtering import of_filters
from clickhouse.need import FIRST_DAY, LAST_DAY, Need
from clickhouse.paths import from_lines
from clickhouse.query import Filter, Question
from clickhouse.requests import LAMBDAS
from clickhouse.rowset import of_near_lines
from clickhouse.scope import Scope, refuse_public
from clickhouse.seen import for_whom, of_scope

MAX_NUMBER = 2**32 - 1
AMOUNTS = ("h_rt", "s_rt", "h_cpu", "h_vmem", "s_vmem", "mem_free")
# Days looked at in turn for the newest jobs, so that a page of them is there before all are read.
WINDOWS = (4, 64)
# What the list can be ordered by; the newest are those with the latest end.
ORDERS = {
    "newest": "time DESC",
    "oldest": "time",
    "longest": "wall_seconds DESC NULLS LAST",
    "core_time": "core_seconds DESC NULLS LAST",
    "wait": "wait_seconds DESC NULLS LAST",
    "cpu": "cpu DESC",
    "memory": "if(bitTest(flags, 9), 0, maxvmem) DESC",
    "slots": "slots DESC",
}
LISTED = {
    "cluster": "cluster",
    "job_number": "job_number",
    "task_number": "task_number",
    "job_name": "job_name",
    "owner": "owner",
    "group": "`group`",
    "queue": "qname",
    "node": "hostname",
    "slots": "slots",
    "submitted": "toUInt32(submission_time)",
    "started": "toUInt32(start_time)",
    "ended": "toUInt32(end_time)",
    "wait_seconds": "wait_seconds",
    "wall_seconds": "wall_seconds",
    "core_seconds": "core_seconds",
    "cpu": "cpu",
    "maxvmem": "if(bitTest(flags, 9), NULL, maxvmem)",
    "outcome": "outcome",
}


@dataclass(frozen=True)
class JobKey:
    """A job or an array, as addresses and people write it: `CLUSTER/NUMBER` or `….TASK`."""

    cluster: str
    number: int
    task: int | None = None

    @classmethod
    def parse(cls, text: str) -> JobKey:
        """Read `e5/123` or `e5/123.4`; raises `QuestionError`."""
        found = re.fullmatch(r"(.+)/(\d{1,10})(?:\.(\d{1,10}))?", text, re.DOTALL)
        if not found or max(int(found[2]), int(found[3] or 0)) > MAX_NUMBER:
            raise QuestionError(f"{text!r} is no job: CLUSTER/NUMBER or CLUSTER/NUMBER.TASK")
        return cls(found[1], int(found[2]), int(found[3]) if found[3] else None)

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return f"{self.cluster}/{self.number}" + (f".{self.task}" if self.task else "")


@dataclass(frozen=True)
class Search:
    """Which jobs; `first` and `last` are days, both included.

    `text` is a number (`123`, `123.4`), or a part of the job's name in which * and ? stand for
    other signs.
    """

    first: date
    last: date
    text: str = ""
    order: str = "newest"
    filters: tuple[Filter, ...] = ()
    scope: Scope | None = None


@dataclass(frozen=True)
class Found:
    """The first jobs of a search; `more` tells that there are others."""

    table: pa.Table
    more: bool


def search(warehouse: Warehouse, wanted: Search, limit: int) -> Found:
    """List attempts of jobs, the first `limit` in the order that is wanted."""
    refuse_public(wanted.scope, "single jobs")
    for first in _windows(wanted):
        table = _listed(warehouse, wanted, first, limit + 1)
        if table.num_rows > limit or first == wanted.first:
            return Found(table.slice(0, limit), table.num_rows > limit)
    raise AssertionError("not reached: the last window is all of the period")


def _windows(wanted: Search) -> list[date]:
    """Give the days from which to look: only the newest can be had without looking at all."""
    if wanted.order != "newest" or _number(wanted.text):
        return [wanted.first]
    near = [wanted.last - timedelta(days=days) for days in WINDOWS]
    return [day for day in near if day > wanted.first] + [wanted.first]


def _listed(warehouse: Warehouse, wanted: Search, first: date, rows: int) -> pa.Table:
    parameters: dict[str, Any] = {}
    asked = Question(("jobs",), filters=wanted.filters)
    filtered, _ = of_filters(asked, parameters)
    seen = of_scope(warehouse, wanted.scope, parameters).conditions
    parameters["rows"] = rows
    conditions = ["is_attempt", *filtered, *seen, *_of_text(wanted.text, parameters)]
    conditions += _days(first, wanted.last, parameters)
    order = f"{ORDERS[wanted.order]}, cluster, job_number, task_number"
    if not _number(wanted.text):
        days = (first, wanted.last)
        conditions += _of_first_ones(warehouse, conditions, order, parameters, days, wanted.scope)
    columns = [f"{sql} AS l{i}" for i, sql in enumerate(LISTED.values())]
    sql = _rows(warehouse, columns, conditions, (first, wanted.last))
    sql += f" ORDER BY {order}, record_id LIMIT {{rows:UInt32}}"
    found = warehouse.arrow(sql, parameters, for_whom(warehouse, wanted.scope))
    return found.rename_columns([*LISTED])


def _of_first_ones(
    warehouse: Warehouse,
    conditions: Sequence[str],
    order: str,
    parameters: dict[str, Any],
    days: tuple[date, date],
    scope: Scope | None,
) -> list[str]:
    """Find the first ones by what they are ordered by alone; the key then finds all of them."""
    rows = _rows(warehouse, ["toUInt32(time)", "job_number"], conditions, days)
    sql = f"{rows} ORDER BY {order} LIMIT {{rows:UInt32}}"
    found = warehouse.rows(sql, parameters, for_whom(warehouse, scope))
    parameters |= {"times": [row[0] for row in found], "numbers": [row[1] for row in found]}
    return [
        "time IN arrayMap(second -> toDateTime(second, 'UTC'), {times:Array(UInt32)})",
        "job_number IN {numbers:Array(UInt32)}",
    ]


def _rows(
    warehouse: Warehouse,
    columns: Sequence[str],
    conditions: Sequence[str],
    days: tuple[date, date],
) -> str:
    """Select columns of lines; multi-node attempts are looked for around the days alone."""
    if not any("parallel_class" in each for each in conditions):
        return f"SELECT {', '.join(columns)} FROM lines WHERE {_all(conditions)}"
    low, high = max(days[0] - DAY, FIRST_DAY), min(days[1] + 2 * DAY, LAST_DAY)
    near = multi_node_lines(*reach(warehouse, seconds(low), seconds(high)))
    derived = dict(coverage_of(warehouse).derived)
    if warehouse.shards is None:
        return of_near_lines("", derived, columns, conditions, near)
    rows = warehouse.shards.rows(of_near_lines("", derived, ["*"], conditions, near))
    return f"SELECT {', '.join(columns)} FROM {rows}"


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({each})" for each in conditions)


def _days(first: date, last: date, parameters: dict[str, Any]) -> list[str]:
    """Limit the calendar day, and `time` a day wider on each side, which the key can use."""
    parameters |= {"first": first, "last": last}
    return [
        "day BETWEEN {first:Date} AND {last:Date}",
        "time >= toDateTime({first:Date}, 'UTC') - 86400",
        "time < toDateTime({last:Date}, 'UTC') + 172800",
    ]


def _number(text: str) -> re.Match[str] | None:
    return re.fullmatch(r"(\d{1,10})(?:\.(\d{1,10}))?", text.strip())


def _of_text(text: str, parameters: dict[str, Any]) -> list[str]:
    """Write the condition of a number, or of a part of the name."""
    if found := _number(text):
        parameters["number"] = min(int(found[1]), MAX_NUMBER)
        of_number = ["job_number = {number:UInt32}"]
        if found[2]:
            parameters["task"] = min(int(found[2]), MAX_NUMBER)
            of_number.append("task_number = {task:UInt32}")
        return of_number
    if not text.strip():
        return []
    parameters["name"] = _like(text.strip())
    return ["job_name ILIKE {name:String}"]


def _like(text: str) -> str:
    """Turn what people type into a pattern of LIKE; without * and ? it may be anywhere."""
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    if "*" not in text and "?" not in text:
        return f"%{escaped}%"
    return escaped.replace("*", "%").replace("?", "_")


def submissions(warehouse: Warehouse, key: JobKey, scope: Scope | None = None) -> pa.Table:
    """List the submissions of a number, the latest first: numbers come round again."""
    parameters = _bound(key)
    return warehouse.arrow(
        "SELECT toUInt32(submission_time) AS submitted, count() AS attempts,"
        " uniqExact(task_number) AS tasks, max(task_number) AS last_task,"
        " any(owner) AS owner, any(job_name) AS job_name"
        f" FROM (SELECT * FROM lines WHERE {_OF_JOB} AND is_attempt"
        f"{_seen(warehouse, scope, parameters)}) WHERE 1"
        " AND ({task:UInt32} = 0 OR task_number = {task:UInt32})"
        " GROUP BY submission_time ORDER BY submission_time DESC LIMIT 100",
        parameters,
        for_whom(warehouse, scope),
    )


def _seen(warehouse: Warehouse, scope: Scope | None, parameters: dict[str, Any]) -> str:
    """Write what more a line must meet to be seen; the public sees none."""
    refuse_public(scope, "single jobs")
    return "".join(f" AND {each}" for each in of_scope(warehouse, scope, parameters).conditions)


_OF_JOB = "cluster = {cluster:String} AND job_number = {number:UInt32}"


def _bound(key: JobKey, submission: int = 0) -> dict[str, Any]:
    return {
        "cluster": key.cluster,
        "number": key.number,
        "task": key.task or 0,
        "submission": submission,
    }


def tasks(
    warehouse: Warehouse, key: JobKey, submission: int, limit: int, scope: Scope | None = None
) -> pa.Table:
    """List the tasks of an array, each with its last attempt, those that ran longest first."""
    parameters = _bound(key, submission) | {"rows": limit}
    seen = _seen(warehouse, scope, parameters)
    return warehouse.arrow(
        "SELECT task_number, count() AS attempts, argMax(outcome, place) AS outcome,"
        " argMax(hostname, place) AS node,"
        " argMax(toUInt32(start_time), place) AS started,"
        " argMax(toUInt32(end_time), place) AS ended,"
        " argMax(wall_seconds, place) AS wall_seconds, argMax(cpu, place) AS cpu,"
        " argMax(if(bitTest(flags, 9), NULL, maxvmem), place) AS maxvmem"
        f" FROM (SELECT *, (time, offset) AS place FROM lines WHERE {_OF_JOB} AND is_attempt"
        f" AND submission_time = toDateTime({{submission:UInt32}}, 'UTC'){seen})"
        " GROUP BY task_number ORDER BY wall_seconds DESC NULLS LAST, task_number"
        " LIMIT {rows:UInt32}",
        parameters,
        for_whom(warehouse, scope),
    )


def campaign(
    warehouse: Warehouse, key: JobKey, submission: int, scope: Scope | None = None
) -> dict[str, Any]:
    """Sum up an array, see the view `campaigns`; empty where a task of it is not to be seen."""
    parameters = _bound(key, submission)
    seen = _seen(warehouse, scope, parameters)
    of_array = f"{_OF_JOB} AND submission_time = toDateTime({{submission:UInt32}}, 'UTC')"
    # it counts them all
    hidden = f" AND (SELECT countIf(NOT (1{seen})) FROM lines WHERE {of_array}) = 0" if seen else ""
    rows: list[dict[str, Any]] = warehouse.arrow(
        f"SELECT * FROM campaigns WHERE {of_array}{hidden}", parameters
    ).to_pylist()
    return rows[0] if rows else {}


def lines_of(
    warehouse: Warehouse, key: JobKey, submission: int, limit: int, scope: Scope | None = None
) -> list[dict[str, Any]]:
    """Give the lines of a job, or of a task of an array: all fields of each, attempts first."""
    parameters = _bound(key, submission) | {"rows": limit}
    seen = _seen(warehouse, scope, parameters)
    # metagroups are told by `lines`
    seen = f" AND record_id IN (SELECT record_id FROM lines WHERE {_OF_JOB}{seen})" if seen else ""
    rows: list[dict[str, Any]] = warehouse.arrow(
        f"SELECT * FROM records WHERE {_OF_JOB} AND task_number = {{task:UInt32}}"
        f" AND submission_time = toDateTime({{submission:UInt32}}, 'UTC'){seen}"
        " ORDER BY pe_taskid != '', file_id, offset LIMIT {rows:UInt32}",
        parameters,
        for_whom(warehouse, scope),
    ).to_pylist()
    return rows


def parallel_class(warehouse: Warehouse, key: JobKey, day: date, scope: Scope | None = None) -> str:
    """Tell whether the job of that number that ended on a day was on several nodes; '' if none."""
    refuse_public(scope, "single jobs")
    parameters = _bound(key)
    seen = of_scope(warehouse, scope, parameters)
    conditions = (_OF_JOB, "task_number = {task:UInt32}", "is_attempt")
    need = Need(("parallel_class",), conditions, day, day + timedelta(days=1), seen)
    path = from_lines(warehouse, need)
    sql = f"SELECT any(parallel_class) FROM {path.rows}"
    [(found,)] = warehouse.rows(sql, path.parameters | parameters, for_whom(warehouse, scope))
    return str(found)


def last_day(
    warehouse: Warehouse, key: JobKey, submission: int, scope: Scope | None = None
) -> date | None:
    """Give the day on which the last attempt ended, in the cluster's time zone."""
    parameters = _bound(key, submission)
    sql = (
        f"SELECT count(), max(day) FROM lines WHERE {_OF_JOB} AND task_number = {{task:UInt32}}"
        " AND submission_time = toDateTime({submission:UInt32}, 'UTC') AND is_attempt"
        f"{_seen(warehouse, scope, parameters)}"
    )
    [(count, day)] = warehouse.rows(sql, parameters, for_whom(warehouse, scope))
    return day if count else None


def requests_of(warehouse: Warehouse, category: str) -> dict[str, Any]:
    """Take the options apart with which a job was submitted: amounts in s and bytes, or None."""
    amounts = ", ".join(f"amount(requested(category, '{name}')) AS {name}" for name in AMOUNTS)
    sql = f"WITH {LAMBDAS} SELECT {amounts} FROM (SELECT {{category:String}} AS category)"
    [row] = warehouse.arrow(sql, {"category": category}).to_pylist()
    return {str(name): value for name, value in row.items()}


def file_of(warehouse: Warehouse, cluster: str, file_id: str, scope: Scope | None = None) -> str:
    """Give the path where an accounting file was last seen, '' where it is not known.

    Files are of no one, so a scope hides it.
    """
    if scope is not None:
        return ""
    found = warehouse.rows(
        "SELECT path FROM sources WHERE cluster = {cluster:String} AND file_id = {file:String}",
        {"cluster": cluster, "file": file_id},
    )
    return str(found[0][0]) if found else ""
