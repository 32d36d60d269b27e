"""What can be measured: for each name its SQL over the view `lines`, its unit and what it counts.

A line has `is_attempt` unless it is a task's of a parallel job: slots and times count on attempts,
usage (cpu, mem, io, iow) is summed over all lines, as qacct does.
"""

from __future__ import annotations

from dataclasses import dataclass

# Flag bits of a missing measure; schema/0016_accept.sql sets them.
MAXVMEM_MISSING = 9
MAXRSS_MISSING = 17

GIB = 1024**3
KIB_PER_GIB = 1024**2


@dataclass(frozen=True)
class Metric:
    """One measure: `sql` aggregates over the lines; `unit` is '', h, core-h, s, GiB, GiB s or %.

    `formula` says in words what is computed; `needs` is the SQL condition a line must meet to be
    in it, so that a chart can say how many jobs a figure stands on.
    """

    label: str
    unit: str
    sql: str
    formula: str
    needs: str = "is_executed"


def _spread(name: str, column: str, what: str) -> dict[str, Metric]:
    """Make min, average, median and max of a duration in seconds."""
    needs = f"is_executed AND {column} IS NOT NULL"
    return {
        f"{name}_min": Metric(
            f"{what}, shortest",
            "s",
            f"minOrNullIf({column}, {needs})",
            f"smallest {what.lower()}",
            needs,
        ),
        f"{name}_avg": Metric(
            f"{what}, average",
            "s",
            f"avgOrNullIf({column}, {needs})",
            f"mean {what.lower()}",
            needs,
        ),
        f"{name}_median": Metric(
            f"{what}, median",
            "s",
            f"quantileExactInclusiveOrNullIf(0.5)({column}, {needs})",
            f"half of the jobs have a {what.lower()} of at most this",
            needs,
        ),
        f"{name}_max": Metric(
            f"{what}, longest",
            "s",
            f"maxOrNullIf({column}, {needs})",
            f"largest {what.lower()}",
            needs,
        ),
    }


_HAS_MAXVMEM = f"is_executed AND NOT bitTest(flags, {MAXVMEM_MISSING})"
_HAS_MAXRSS = f"is_executed AND NOT bitTest(flags, {MAXRSS_MISSING})"

METRICS: dict[str, Metric] = {
    "jobs": Metric("Executed jobs", "", "countIf(is_executed)", "attempts of jobs that started"),
    "attempts": Metric(
        "Attempts",
        "",
        "countIf(is_attempt)",
        "lines of jobs, whether they started or not",
        "is_attempt",
    ),
    "wall_hours": Metric(
        "Wall time",
        "h",
        "ifNull(sumIf(wall_seconds, is_executed), 0) / 3600",
        "sum of end − start",
    ),
    "core_hours": Metric(
        "Core time",
        "core-h",
        "ifNull(sumIf(core_seconds, is_executed), 0) / 3600",
        "sum of slots × (end − start)",
    ),
    "cpu_hours": Metric(
        "CPU time",
        "h",
        "sum(cpu) / 3600",
        "sum of cpu over all lines, those of parallel tasks too",
        "1",
    ),
    "cpu_efficiency": Metric(
        "CPU efficiency",
        "%",
        "if(sumIf(core_seconds, is_executed) > 0,"
        " 100 * sum(cpu) / sumIf(core_seconds, is_executed), NULL)",
        "CPU time ÷ core time",
    ),
    "memory_avg": Metric(
        "Memory, average",
        "GiB",
        f"avgOrNullIf(maxvmem, {_HAS_MAXVMEM}) / {GIB}",
        "mean of maxvmem, a job's peak of virtual memory",
        _HAS_MAXVMEM,
    ),
    "memory_max": Metric(
        "Memory, maximum",
        "GiB",
        f"maxOrNullIf(maxvmem, {_HAS_MAXVMEM}) / {GIB}",
        "largest maxvmem",
        _HAS_MAXVMEM,
    ),
    "ram_avg": Metric(
        "RAM, average",
        "GiB",
        f"avgOrNullIf(ru_maxrss, {_HAS_MAXRSS}) / {KIB_PER_GIB}",
        "mean of ru_maxrss, a job's peak of resident memory",
        _HAS_MAXRSS,
    ),
    "ram_max": Metric(
        "RAM, maximum",
        "GiB",
        f"maxOrNullIf(ru_maxrss, {_HAS_MAXRSS}) / {KIB_PER_GIB}",
        "largest ru_maxrss",
        _HAS_MAXRSS,
    ),
    **_spread("duration", "wall_seconds", "Execution time"),
    **_spread("wait", "wait_seconds", "Wait"),
    "slots_avg": Metric(
        "Slots, average",
        "",
        "avgOrNullIf(slots, is_executed AND slots > 0)",
        "mean of slots",
        "is_executed AND slots > 0",
    ),
    "users": Metric(
        "Active users", "", "uniqExactIf(owner, is_executed)", "users with an executed job"
    ),
}
