"""What can be measured: for each name its SQL over the view `lines`, its unit and what it counts.

A line has `is_attempt` unless it is a task's of a parallel job: slots and times count on attempts,
usage (cpu, mem, io, iow) is summed over all lines, as qacct does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clickhouse.codes import FLAGS
from clickhouse.measures import values_of

GIB = 1024**3
KIB_PER_GIB = 1024**2


@dataclass(frozen=True)
class Metric:
    """One measure: `sql` aggregates over the lines; `unit` is '', h, core-h, s, GiB, GiB s or %.

    {share} in it is where a line's share counts in a split by metagroup, nothing in others; {days}
    is the number of days of the period, or of a row's part of it. `formula` says in words what is
    computed; `needs` is the SQL condition a line must meet to be in it. `rows` counts these lines
    and `of` those among which they are, so that a chart can say what a figure stands on.

    Of a `sum` the parts add up to the whole; a `count` is 0 where there is nothing, a `figure`
    null. `can_spread` tells whether it can be had with wall time on the days that jobs ran.
    """

    label: str
    unit: str
    sql: str
    formula: str
    needs: str = "is_executed"
    kind: Literal["sum", "count", "figure"] = "figure"
    can_spread: bool = False

    @property
    def is_extreme(self) -> bool:
        """Tell whether it is the value of a single job."""
        return self.sql.startswith(("minOrNull", "maxOrNull"))

    @property
    def rows(self) -> str:
        """SQL that counts the lines that meet `needs`."""
        return _ROWS[self.needs]

    @property
    def of(self) -> str:
        """SQL that counts the lines among which they are: all, attempts, or executed jobs."""
        return _ROWS[self.needs if self.needs in ("1", "is_attempt") else "is_executed"]


def _quantiles(
    name: str, columns: tuple[str, str], unit: str, what: str, needs: str, over: int = 1
) -> dict[str, Metric]:
    """Make the median, p90 and p99 of values, of which a row tells how many lines have its own."""
    # one call for all levels, which the engine then computes once
    value, weight = columns
    found = f"quantilesExactWeightedInterpolatedIf(0.5, 0.9, 0.99)({value}, {weight}, {weight} > 0)"
    article = "an" if what[0] in "AEIOU" else "a"
    have = f"{article} {what.lower()} of at most this" if unit == "s" else "at most this"
    named = (("median", "median", "half"), ("p90", "90 %", "90 %"), ("p99", "99 %", "99 %"))
    return {
        f"{name}_{suffix}": Metric(
            f"{what}, {label}",
            unit,
            f"if(isNaN({found}[{number}]), NULL, {found}[{number}] / {over})",
            f"{share} of the jobs have {have}",
            needs,
        )
        for number, (suffix, label, share) in enumerate(named, 1)
    }


def _spread(name: str, measure: str, count: str, column: str, what: str) -> dict[str, Metric]:
    """Make min, average, median and max of a duration in seconds."""
    needs = f"is_executed AND {column} IS NOT NULL"
    return {
        f"{name}_min": Metric(
            f"{what}, shortest",
            "s",
            f"minOrNullIf({measure}_min, {count} > 0)",
            f"smallest {what.lower()}",
            needs,
        ),
        f"{name}_avg": Metric(
            f"{what}, average",
            "s",
            f"sum({measure}_time) / nullIf(sum({count}), 0)",
            f"mean {what.lower()}",
            needs,
        ),
        **_quantiles(name, values_of(measure), "s", what, needs),
        f"{name}_max": Metric(
            f"{what}, longest",
            "s",
            f"maxOrNullIf({measure}_max, {count} > 0)",
            f"largest {what.lower()}",
            needs,
        ),
    }


def _lacks(flag: str) -> str:
    return f"NOT bitTest(flags, {FLAGS.index(flag)})"


_VMEM, _RSS = _lacks("maxvmem missing"), _lacks("ru_maxrss missing")
_HAS_MAXVMEM = f"is_executed AND {_VMEM}"
_HAS_MAXRSS = f"is_executed AND {_RSS}"
_MEASURED = _lacks("reserved usage")
_HAS_SLOTS = "is_executed AND slots > 0"
_ASKED_TIME = "is_executed AND requested_time > 0"
_ASKED_MEMORY = "is_executed AND requested_memory > 0"
_JOB = "job_number, task_number, submission_time"
_DAYS_OF = "the days of the period, or of its part in a split by time"

# How many lines meet what a metric needs, over measures, so that rollups tell it too.
_ROWS = {
    "1": "sum(line_count)",
    "is_attempt": "sum(attempts)",
    "is_executed": "sum(jobs)",
    "is_executed AND wall_seconds IS NOT NULL": "sum(runs)",
    "is_executed AND wait_seconds IS NOT NULL": "sum(waits)",
    _HAS_SLOTS: "sum(slot_jobs)",
    _ASKED_TIME: "sum(time_asks)",
    f"{_ASKED_TIME} AND wall_seconds IS NOT NULL": "sum(run_asks)",
    _ASKED_MEMORY: "sum(memory_asks)",
    f"{_ASKED_MEMORY} AND {_VMEM}": f"sumIf(memory_asks, {_VMEM})",
    **{
        f"is_executed AND {condition}": f"sumIf(jobs, {condition})"
        for condition in (
            _VMEM,
            _RSS,
            _MEASURED,
            "task_number > 0",
        )
    },
}

METRICS: dict[str, Metric] = {
    "jobs": Metric("Executed jobs", "", "sum(jobs)", "attempts of jobs that started", kind="sum"),
    "attempts": Metric(
        "Attempts",
        "",
        "sum(attempts)",
        "lines of jobs, whether they started or not",
        "is_attempt",
        kind="sum",
    ),
    "distinct_jobs": Metric(
        "Jobs",
        "",
        f"uniqExactIf(cityHash64(cluster, {_JOB}), is_executed)",
        "jobs that started, however many attempts they took; each task of an array is one",
        kind="count",
    ),
    "array_jobs": Metric(
        "Array jobs",
        "",
        "uniqExactIf(cityHash64(cluster, job_number, submission_time),"
        " is_executed AND task_number > 0)",
        "array jobs of which a task started",
        "is_executed AND task_number > 0",
        kind="count",
    ),
    "jobs_per_day": Metric(
        "Jobs per day",
        "",
        "sum(jobs) / {days}",
        f"executed jobs ÷ {_DAYS_OF}",
        kind="count",
    ),
    "jobs_per_hour": Metric(
        "Jobs per hour",
        "",
        "sum(jobs) / {days} / 24",
        f"executed jobs ÷ 24 ÷ {_DAYS_OF}",
        kind="count",
    ),
    "wall_hours": Metric(
        "Wall time",
        "h",
        "sum(run_time{share}) / 3600",
        "sum of end − start",
        kind="sum",
        can_spread=True,
    ),
    "core_hours": Metric(
        "Core time",
        "core-h",
        "sum(core_time{share}) / 3600",
        "sum of slots × (end − start)",
        kind="sum",
        can_spread=True,
    ),
    "cores_in_use": Metric(
        "Cores in use, average",
        "",
        "sum(core_time{share}) / {days} / 86400",
        f"core time ÷ 24 ÷ {_DAYS_OF}",
        kind="count",
        can_spread=True,
    ),
    "lost_core_hours": Metric(
        "Lost core time",
        "core-h",
        "sumIf(core_time{share}, outcome != 'done') / 3600",
        "core time of attempts with another outcome than done",
        kind="sum",
        can_spread=True,
    ),
    "cpu_hours": Metric(
        "CPU time",
        "h",
        "sum(cpu_time{share}) / 3600",
        "sum of cpu over all lines, those of parallel tasks too",
        "1",
        kind="sum",
    ),
    "cpu_efficiency": Metric(
        "CPU efficiency",
        "%",
        f"if(sumIf(core_time, {_MEASURED}) > 0,"
        f" 100 * sumIf(cpu_time, {_MEASURED}) / sumIf(core_time, {_MEASURED}), NULL)",
        "CPU time ÷ core time, of lines whose CPU time is not just what was reserved",
        f"is_executed AND {_MEASURED}",
    ),
    "user_cpu_hours": Metric(
        "CPU time, user",
        "h",
        "sum(user_time) / 3600",
        "sum of ru_utime over all lines",
        "1",
        kind="sum",
    ),
    "system_cpu_hours": Metric(
        "CPU time, system",
        "h",
        "sum(system_time) / 3600",
        "sum of ru_stime over all lines",
        "1",
        kind="sum",
    ),
    "system_share": Metric(
        "System share",
        "%",
        "100 * sum(system_time) / nullIf(sum(user_time) + sum(system_time), 0)",
        "ru_stime ÷ (ru_utime + ru_stime)",
        "1",
    ),
    "io": Metric("I/O", "GiB", "sum(io_volume)", "sum of io over all lines", "1", kind="sum"),
    "io_wait_share": Metric(
        "I/O wait",
        "%",
        "100 * sum(io_wait) / nullIf(sum(run_time), 0)",
        "iow over all lines ÷ execution time of the jobs",
        "1",
    ),
    "memory_integral": Metric(
        "Memory over time",
        "GiB s",
        "sum(mem_time)",
        "sum of mem over all lines",
        "1",
        kind="sum",
    ),
    "memory_avg": Metric(
        "Memory, average",
        "GiB",
        f"sumIf(vmem, {_VMEM}) / nullIf(sumIf(jobs, {_VMEM}), 0) / {GIB}",
        "mean of maxvmem, a job's peak of virtual memory",
        _HAS_MAXVMEM,
    ),
    "memory_max": Metric(
        "Memory, maximum",
        "GiB",
        f"maxOrNullIf(vmem_max, jobs > 0 AND {_VMEM}) / {GIB}",
        "largest maxvmem",
        _HAS_MAXVMEM,
    ),
    **_quantiles("memory", values_of("vmem"), "GiB", "Memory", _HAS_MAXVMEM, GIB),
    "ram_avg": Metric(
        "RAM, average",
        "GiB",
        f"sumIf(rss, {_RSS}) / nullIf(sumIf(jobs, {_RSS}), 0) / {KIB_PER_GIB}",
        "mean of ru_maxrss, a job's peak of resident memory",
        _HAS_MAXRSS,
    ),
    "ram_max": Metric(
        "RAM, maximum",
        "GiB",
        f"maxOrNullIf(rss_max, jobs > 0 AND {_RSS}) / {KIB_PER_GIB}",
        "largest ru_maxrss",
        _HAS_MAXRSS,
    ),
    **_quantiles("ram", values_of("rss"), "GiB", "RAM", _HAS_MAXRSS, KIB_PER_GIB),
    "requested_memory_avg": Metric(
        "Requested memory, average",
        "GiB",
        f"sum(memory_asked) / nullIf(sum(memory_asks), 0) / {GIB}",
        "mean of h_vmem × slots, of jobs that asked for it",
        _ASKED_MEMORY,
    ),
    "requested_memory_unused": Metric(
        "Requested memory, unused",
        "%",
        f"100 - 100 * sumIf(memory_used, {_VMEM}) / nullIf(sumIf(memory_asked, {_VMEM}), 0)",
        "1 − maxvmem ÷ (h_vmem × slots), of jobs that have both",
        f"{_ASKED_MEMORY} AND {_VMEM}",
    ),
    "requested_time_avg": Metric(
        "Requested time, average",
        "s",
        "sum(time_asked) / nullIf(sum(time_asks), 0)",
        "mean of h_rt, of jobs that asked for it",
        _ASKED_TIME,
    ),
    "requested_time_unused": Metric(
        "Requested time, unused",
        "%",
        "100 - 100 * sum(run_used) / nullIf(sum(run_asked), 0)",
        "1 − execution time ÷ h_rt, of jobs that have both",
        f"{_ASKED_TIME} AND wall_seconds IS NOT NULL",
    ),
    **_spread("duration", "run", "runs", "wall_seconds", "Execution time"),
    **_spread("wait", "wait", "waits", "wait_seconds", "Wait"),
    "slots_avg": Metric(
        "Slots, average",
        "",
        "sum(slot_sum) / nullIf(sum(slot_jobs), 0)",
        "mean of slots",
        "is_executed AND slots > 0",
    ),
    "slots_max": Metric(
        "Slots, most",
        "",
        "maxOrNullIf(slot_max, slot_jobs > 0)",
        "largest slots",
        "is_executed AND slots > 0",
    ),
    **_quantiles("slots", values_of("slots"), "", "Slots", _HAS_SLOTS),
    "failed_jobs": Metric(
        "Failed jobs",
        "",
        "sumIf(jobs, outcome != 'done')",
        "executed jobs with another outcome than done",
        kind="sum",
    ),
    "failure_rate": Metric(
        "Failure rate",
        "%",
        "100 * sumIf(jobs, outcome != 'done') / nullIf(sum(jobs), 0)",
        "failed jobs ÷ executed jobs",
    ),
    "groups": Metric(
        "Active groups",
        "",
        "uniqExactIf(cityHash64(counted_group), group_jobs > 0)",
        "groups with an executed job",
        kind="count",
    ),
    "nodes": Metric(
        "Active nodes",
        "",
        "uniqExactIf(cityHash64(counted_hostname), hostname_jobs > 0)",
        "nodes on which a job was executed, of a parallel one the first",
        kind="count",
    ),
    "users": Metric(
        "Active users",
        "",
        "uniqExactIf(cityHash64(counted_owner), owner_jobs > 0)",
        "users with an executed job",
        kind="count",
    ),
}
