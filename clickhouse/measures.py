"""What is added up: the columns that rollups keep and metrics are made of.

A metric is a formula over these names, so it is the same SQL over lines, where a measure is one
line's value, and over a rollup, where it is that of many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clickhouse.codes import FLAGS


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


# What a job asked for, where it did: bytes for all of its slots, and s.
_ASKS_MEMORY = "is_executed AND ifNull(requested_memory, 0) > 0"
_ASKS_TIME = "is_executed AND ifNull(requested_time, 0) > 0"
_ASKS_RUN = f"{_ASKS_TIME} AND wall_seconds IS NOT NULL"


# No name of these is a column of `lines`: one word never means two things in a query.
MEASURES: dict[str, Measure] = {
    "line_count": _count("1"),
    "attempts": _count("is_attempt"),
    "jobs": _count("is_executed"),
    "runs": _count("is_executed AND wall_seconds IS NOT NULL"),  # with a known duration
    "run_time": _total("if(is_executed, ifNull(wall_seconds, 0), 0)"),  # s
    "core_time": _total("if(is_executed, ifNull(wall_seconds, 0) * slots, 0)"),  # s
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
    "slot_jobs": _count("is_executed AND slots > 0"),  # whose slots are known
    "slot_sum": _total("if(is_executed, slots, 0)"),
    "slot_max": Measure("UInt32", "toUInt32(slots)", "max", "slot_jobs"),
    "memory_asks": _count(_ASKS_MEMORY),
    "memory_asked": _total(f"if({_ASKS_MEMORY}, requested_memory, 0)"),  # bytes
    "memory_used": _total(f"if({_ASKS_MEMORY}, maxvmem, 0)"),  # bytes
    "time_asks": _count(_ASKS_TIME),
    "time_asked": _total(f"if({_ASKS_TIME}, requested_time, 0)"),  # s
    "run_asks": _count(_ASKS_RUN),  # of jobs with a known duration
    "run_asked": _total(f"if({_ASKS_RUN}, requested_time, 0)"),  # s
    "run_used": _total(f"if({_ASKS_RUN}, wall_seconds, 0)"),  # s
}
ASKS = (
    "memory_asks", "memory_asked", "memory_used",
    "time_asks", "time_asked", "run_asks", "run_asked", "run_used",
)  # fmt: skip
WITHOUT_ASKS = tuple(name for name in MEASURES if name not in ASKS)
# What is kept of lines in parts for which the rest is hardly asked.
FEW = (
    "line_count", "attempts", "jobs", "runs", "run_time", "core_time", "waits", "wait_time",
)  # fmt: skip


@dataclass(frozen=True)
class Quantity:
    """Values whose distribution is asked for: `sql`, of each line that meets `condition`.

    Rows have it as two columns: a value, and how many lines have it. Rollups have values rounded
    to multiples of `step`, SQL over {x}, of which half is at most 1 % of any value. Those of lines
    are rounded so where hardly two are alike, as when `measured` in bytes: telling them apart takes
    three times as long.
    """

    sql: str
    condition: str
    step: str
    measured: bool = False

    def rounded_sql(self, value: str) -> str:
        """Write a value as rollups have it."""
        step = self.step.replace("{x}", value)
        return f"toFloat32(round({value} / ({step})) * ({step}))"


# Seven binary digits: whole numbers up to 128 stay as they are, others change by 0.8 % at most.
_BINARY = "exp2(floor(log2(greatest({x}, 1e-6))) - 6)"
# Divisors of minutes, hours and days where these are long enough, so that a job that was stopped at
# its limit keeps its length. Each is the step of values from the one before it on, all in s.
_STEPS = (
    (128, 2), (150, 3), (250, 5), (600, 12), (1_000, 20), (1_500, 30), (3_000, 60), (6_000, 120),
    (9_000, 180), (15_000, 300), (30_000, 600), (60_000, 1_200), (90_000, 1_800),
    (180_000, 3_600), (360_000, 7_200), (720_000, 14_400), (1_080_000, 21_600),
    (2_160_000, 43_200), (4_320_000, 86_400),
)  # fmt: skip
_OF_TIME = (
    f"if({{x}} < {_STEPS[0][0]}, {_BINARY}, toFloat64({[step for _, step in _STEPS]}"
    f"[{' + '.join(f'({{x}} >= {least})' for least, _ in _STEPS)}]))"
)


def _time(column: str) -> Quantity:
    return _quantity(column, f"{column} IS NOT NULL", _OF_TIME)


def _size(column: str) -> Quantity:
    has_one = f"NOT bitTest(flags, {FLAGS.index(f'{column} missing')})"
    return replace(_quantity(column, has_one, _BINARY), measured=True)


def _quantity(sql: str, condition: str, step: str) -> Quantity:
    return Quantity(f"ifNull({sql}, 0)", f"is_executed AND {condition}", step)


# Each gives rows the columns {name}_value and {name}_weight.
QUANTITIES: dict[str, Quantity] = {
    "run": _time("wall_seconds"),  # s
    "wait": _time("wait_seconds"),  # s
    "vmem": _size("maxvmem"),
    "rss": _size("ru_maxrss"),
}  # the last two in bytes and KiB
VALUES: dict[str, Measure] = {
    f"{name}_{column}": Measure(kind, sql)
    for name, each in QUANTITIES.items()
    for column, kind, sql in (
        ("value", "Float64", f"toFloat64({each.sql})"),
        ("weight", "UInt32", f"toUInt32({each.condition})"),
    )
}


def values_of(quantity: str) -> tuple[str, str]:
    """Write a row's value of a quantity, and how many executed jobs have it."""
    if quantity == "slots":
        return "slots", "if(slots > 0, jobs, 0)"
    return f"{quantity}_value", f"{quantity}_weight"


# Names of which those with an executed job are counted. Rows have each as two columns, and how many
# such jobs it has, so that figures beside it can be of rows that do not tell the names.
COUNTED = ("owner", "group", "hostname")
NAMES: dict[str, Measure] = {
    column: measure
    for name in COUNTED
    for column, measure in (
        (f"counted_{name}", Measure("LowCardinality(String)", f"`{name}`")),
        (f"{name}_jobs", Measure("UInt32", "toUInt32(is_executed)")),
    )
}

JOBS_OF_NAMES = frozenset(f"{name}_jobs" for name in COUNTED)

# All that a row tells of lines.
AMOUNTS = MEASURES | VALUES | NAMES

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
    "exit_status": "UInt32",
    "submission_weekday": "Nullable(UInt8)",
    "submission_hour": "Nullable(UInt8)",
    "hour": "UInt8",
    "requested_time_from": "Nullable(UInt32)",
    "job_name": "String",
}
# What metrics and dimensions may need of a line beyond these.
LINE_COLUMNS: dict[str, str] = {
    "job_number": "UInt32",
    "task_number": "UInt32",
    "submission_time": "DateTime('UTC')",
    "is_attempt": "UInt8",
    "is_executed": "UInt8",
    "wall_seconds": "Nullable(Float64)",
    "wait_seconds": "Nullable(Float64)",
    "requested_time": "Nullable(Float64)",
    "requested_memory": "Nullable(Float64)",
    "maxvmem": "Float64",
    "ru_maxrss": "Float64",
}
# What measures are made of besides.
LINE_AMOUNTS = ("cpu", "ru_utime", "ru_stime", "mem", "io", "iow")
# What the days on which a line ran are told by.
START_COLUMNS = frozenset({"start_day", "start_time", "start_us"})
