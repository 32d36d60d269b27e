"""What is added up: the columns that rollups keep and metrics are made of.

A metric is a formula over these names, so it is the same SQL over lines, where a measure is one
line's value, and over a rollup, where it is that of many.
"""

from __future__ import annotations

from dataclasses import dataclass

MONTHS_PER_REFRESH = 2_500  # a build is its refresh times this, plus the month, counted from 1970


@dataclass(frozen=True)
class Measure:
    """One column: `sql` over the view `lines`, and the function that takes many to one.

    `counted` names the measure that says how many lines have a value at all, for a smallest or a
    largest one.
    """

    type: str
    sql: str
    function: str = "sum"
    counted: str = ""


def _count(condition: str) -> Measure:
    return Measure("UInt32", f"toUInt32({condition})")


def _total(sql: str) -> Measure:
    return Measure("Float64", f"toFloat64({sql})")


def _extremes(name: str, sql: str, counted: str) -> dict[str, Measure]:
    return {
        f"{name}_{function}": Measure("Float64", f"toFloat64({sql})", function, counted)
        for function in ("min", "max")
    }


# No name of these is a column of `lines`: one word never means two things in a query.
MEASURES: dict[str, Measure] = {
    "line_count": _count("1"),
    "attempts": _count("is_attempt"),
    "jobs": _count("is_executed"),
    "runs": _count("is_executed AND wall_seconds IS NOT NULL"),  # with a known duration
    "run_time": _total("if(is_executed, ifNull(wall_seconds, 0), 0)"),  # s
    "core_time": _total("if(is_executed, ifNull(core_seconds, 0), 0)"),  # s
    **_extremes("run", "ifNull(wall_seconds, 0)", "runs"),
    "waits": _count("is_executed AND wait_seconds IS NOT NULL"),  # with a known wait
    "wait_time": _total("if(is_executed, ifNull(wait_seconds, 0), 0)"),  # s
    **_extremes("wait", "ifNull(wait_seconds, 0)", "waits"),
    "cpu_time": _total("cpu"),  # s
    "user_time": _total("ru_utime"),  # s
    "system_time": _total("ru_stime"),  # s
    "mem_time": _total("mem"),  # GiB s
    "io_volume": _total("io"),  # GiB
    "io_wait": _total("iow"),  # s
    "vmem": _total("if(is_executed, maxvmem, 0)"),  # bytes
    "vmem_max": Measure("Float64", "toFloat64(maxvmem)", "max", "jobs"),
    "rss": _total("if(is_executed, ru_maxrss, 0)"),  # KiB
    "rss_max": Measure("Float64", "toFloat64(ru_maxrss)", "max", "jobs"),
}

# What a rollup can be split and filtered by. A missing measure has its bit in `flags`, so that the
# lines that lack it are rows of their own.
KEYS: dict[str, str] = {
    "cluster": "LowCardinality(String)",
    "qname": "LowCardinality(String)",
    "owner": "LowCardinality(String)",
    "group": "LowCardinality(String)",
    "project": "LowCardinality(String)",
    "department": "LowCardinality(String)",
    "account": "LowCardinality(String)",
    "granted_pe": "LowCardinality(String)",
    "slots": "UInt32",
    "failed": "UInt32",
    "outcome": "LowCardinality(String)",
    "flags": "UInt32",
    "node_spread": "UInt8",
    "hostname": "LowCardinality(String)",
}
# What metrics and dimensions may need beyond these, which only the lines have.
LINE_COLUMNS = frozenset(
    {
        "job_name", "job_number", "task_number", "time", "submission_time", "start_time",
        "end_time", "exit_status", "priority", "category", "is_attempt", "is_executed",
        "wall_seconds", "wait_seconds", "core_seconds", "maxvmem", "ru_maxrss", "layout",
        "hour", "submission_hour", "submission_weekday", "start_day", "start_us",
    }
)  # fmt: skip
JOB_KEYS = tuple(key for key in KEYS if key != "hostname")
NODE_KEYS = ("cluster", "qname", "hostname", "owner", "group", "project", "flags")


@dataclass(frozen=True)
class Cube:
    """A rollup: a row for each `grain` and combination of keys that occurs."""

    name: str
    grain: str  # day or month, of which `day` is the first
    keys: tuple[str, ...]

    @property
    def columns(self) -> frozenset[str]:
        """What a question may need and this rollup can give."""
        return frozenset({"day", *self.keys, *MEASURES})

    @property
    def create_sql(self) -> str:
        """The statement that makes the table."""
        columns = {"build": "UInt64", "day": "Date"} | {key: KEYS[key] for key in self.keys}
        columns |= {name: measure.type for name, measure in MEASURES.items()}
        order = ", ".join(f"`{key}`" for key in ("build", "day", *self.keys))
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name}"
            f" ({', '.join(f'`{name}` {kind}' for name, kind in columns.items())})"
            f" ENGINE = MergeTree PARTITION BY intDiv(build, {MONTHS_PER_REFRESH})"
            f" ORDER BY ({order})"
        )


# Questions take the first that has what they need: the smallest comes first.
CUBES = (
    Cube("cube_months", "month", JOB_KEYS),
    Cube("node_months", "month", NODE_KEYS),
)
DAYS = Cube("cube_days", "day", JOB_KEYS)
TABLES = (*CUBES, DAYS)


def definition() -> str:
    """Say how rollups are made, but for what the view `lines` makes of a line."""
    return "\n".join([*(cube.create_sql for cube in TABLES), repr(MEASURES)])
