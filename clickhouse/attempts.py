"""Attempts with tasks on other nodes: their lines tell of each other, wherever in time they are."""

from __future__ import annotations

from datetime import date, timedelta
from weakref import WeakKeyDictionary

from clickhouse.connection import Warehouse
from clickhouse.coverage import Coverage
from clickhouse.days import DAY, seconds
from clickhouse.shards import rows_of

EPOCH = date(1970, 1, 1)
_doubted: WeakKeyDictionary[Warehouse, tuple[Coverage, Coverage]] = WeakKeyDictionary()

_PARALLEL = "granted_pe != '' AND slots != 1 AND start_time > 0"
_WITHIN = "time BETWEEN {low:UInt32} AND {high:UInt32}"
_OF_ITS_JOBS = f"job_number IN (SELECT job_number FROM accounting WHERE {_WITHIN} AND {_PARALLEL})"


def multi_node_lines(low: int = 0, high: int = 2**32 - 1) -> str:
    """Select the lines of attempts that name several hosts, of a span of `time` in seconds.

    The attempt of a task is the last one of the job that had started before it did; copies of a
    line do no harm here.
    """
    span = f"time BETWEEN {low} AND {high} AND granted_pe != '' AND slots != 1"
    return f"""
        SELECT arrayJoin(groupArray(record_id)) AS record_id
        FROM
        (
            SELECT
                cityHash64(cluster) AS cluster_hash, job_number, task_number, record_id, hostname,
                toUInt32(start_time) AS start,
                max(if(pe_taskid = '', bitShiftLeft(toUInt64(start), 32) + toUInt32(end_time), 0))
                    OVER (PARTITION BY cluster_hash, job_number, task_number ORDER BY start)
                    AS attempt
            FROM accounting
            WHERE {span} AND time >= start_time AND job_number IN
                (SELECT job_number FROM accounting WHERE {span} AND pe_taskid != '')
        )
        WHERE start <= bitAnd(attempt, 4294967295)
        GROUP BY cluster_hash, job_number, task_number, attempt
        HAVING min(hostname) != max(hostname)"""


def reach(warehouse: Warehouse, low: int, high: int, *, roughly: bool = False) -> tuple[int, int]:
    """Give the span of `time` of all lines of the attempts with a line between these seconds.

    The attempt of a task began before it did, and ended after it began. It is found `roughly`, and
    three times as fast, where the lines of any job count: the span may then be a longer one.
    """
    of_jobs = "1" if roughly else _OF_ITS_JOBS

    def bound(value: str, condition: str, otherwise: int) -> int:
        lines = f"SELECT time, start_time FROM accounting WHERE {_PARALLEL} AND {condition}"
        sql = f"SELECT count(), toUInt32({value}) FROM {rows_of(warehouse.shards, lines)}"
        parameters = {"low": low, "high": high, "edge": otherwise}
        [(count, found)] = warehouse.rows(sql, parameters)
        return int(found) if count else otherwise

    started = "start_time <= {high:UInt32} AND time >="
    first = bound("min(start_time)", _WITHIN, low)
    first = bound("min(start_time)", f"{started} {{edge:UInt32}} AND {of_jobs}", first)
    last = bound("max(time)", f"{started} {{high:UInt32}} AND {of_jobs}", high)
    late = "start_time <= {edge:UInt32} AND time >= {edge:UInt32}"
    last = bound("max(time)", f"{late} AND {of_jobs}", last)
    return min(first, low), max(last, high)


def _other_days(warehouse: Warehouse, low: int, high: int) -> list[date]:
    """List the days in UTC of lines beyond a span of `time` whose attempts may have some within it.

    Those of jobs that have lines of tasks, since no others tell of several hosts.
    """
    first, last = reach(warehouse, low, high)
    if (first, last) == (low, high):
        return []
    whole = f"time BETWEEN {first} AND {last}"
    lines = (
        f"SELECT toUInt16(toDate(time)) AS day FROM accounting WHERE {whole} AND NOT ({_WITHIN})"
        f" AND {_PARALLEL} AND {_OF_ITS_JOBS}"
        f" AND job_number IN (SELECT job_number FROM accounting WHERE {whole} AND pe_taskid != '')"
    )
    sql = f"SELECT DISTINCT day FROM {rows_of(warehouse.shards, lines)}"
    return [
        EPOCH + timedelta(days=day) for (day,) in warehouse.rows(sql, {"low": low, "high": high})
    ]


def doubting_attempts(warehouse: Warehouse, coverage: Coverage) -> Coverage:
    """Take for stale the days too of other lines of the attempts that have got new ones since."""
    known, doubted = _doubted.get(warehouse, (None, coverage))
    if known is coverage:
        return doubted
    doubtful = [
        (day - DAY, day + 2 * DAY)
        for first, end in coverage.unseen()
        for day in _other_days(warehouse, seconds(first), seconds(end) - 1)
    ]
    _doubted[warehouse] = (coverage, coverage.doubting(doubtful))
    return _doubted[warehouse][1]
