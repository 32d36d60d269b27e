"""What is added up: the columns that rollups keep and metrics are made of.

A metric is a formula over these names, so it is the same SQL over lines, where a measure is one
line's value, and over a rollup, where it is that of many.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce

from clickhouse.codes import FLAGS

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
    to multiples of `step`, SQL over {x}, of which half is at most 1 % of any value.
    """

    sql: str
    condition: str
    step: str

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


def _quantity(sql: str, condition: str, step: str) -> Quantity:
    return Quantity(f"ifNull({sql}, 0)", f"is_executed AND {condition}", step)


# Each gives rows the columns {name}_value and {name}_weight.
QUANTITIES: dict[str, Quantity] = {
    "run": _quantity("wall_seconds", "wall_seconds IS NOT NULL", _OF_TIME),  # s
    "wait": _quantity("wait_seconds", "wait_seconds IS NOT NULL", _OF_TIME),  # s
    "vmem": _quantity("maxvmem", f"NOT bitTest(flags, {FLAGS.index('maxvmem missing')})", _BINARY),
    "rss": _quantity(
        "ru_maxrss", f"NOT bitTest(flags, {FLAGS.index('ru_maxrss missing')})", _BINARY
    ),
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
        (f"counted_{name}", Measure("LowCardinality(String)", f"lines.{name}")),
        (f"{name}_jobs", Measure("UInt32", "toUInt32(is_executed)")),
    )
}

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
}
# What metrics and dimensions may need beyond these, which only the lines have.
LINE_COLUMNS = frozenset(
    {
        "job_name", "job_number", "task_number", "time", "submission_time", "start_time",
        "end_time", "priority", "category", "is_attempt", "is_executed", "wall_seconds",
        "wait_seconds", "core_seconds", "maxvmem", "ru_maxrss", "layout", "start_day",
        "start_us", "requested_time", "requested_memory",
    }
)  # fmt: skip
MONTHLY = ("toYear(day)", "toStartOfMonth(day)", "toStartOfQuarter(day)", "academic_year_start")
TOTAL_KEYS = ("cluster", "flags", "outcome")
JOB_KEYS = (
    "cluster", "qname", "owner", "group", "project", "department", "account", "granted_pe", "slots",
    "failed", "outcome", "flags", "node_spread",
)  # fmt: skip
USER_KEYS = ("cluster", "owner", "group", "project", "flags", "outcome")
QUEUE_KEYS = ("cluster", "qname", "granted_pe", "slots", "node_spread", "flags", "outcome")
NODE_KEYS = ("cluster", "qname", "hostname", "owner", "group", "project", "flags", "outcome")
HOST_KEYS = ("cluster", "qname", "hostname", "flags", "outcome")
WHOSE_KEYS = ("cluster", "qname", "owner", "group", "project")
HOUR_KEYS = ("submission_weekday", "submission_hour")
VALUE_KEYS = (
    "cluster", "owner", "group", "project", "qname", "granted_pe", "slots", "node_spread",
    "requested_time_from",
)  # fmt: skip
# From the finest: the day by which rows are made, and what SQL over it it is as good for as a day.
GRAINS = {
    "day": ("day", ()),
    # the first one of its name in the month
    "weekday": (
        "toStartOfMonth(day)"
        " + toIntervalDay((7 + toDayOfWeek(day) - toDayOfWeek(toStartOfMonth(day))) % 7)",
        (*MONTHLY, "toDayOfWeek(day)"),
    ),
    "month": ("toStartOfMonth(day)", MONTHLY),
}
ROWS_PER_MARK = 256  # somebody's rows of a month are few, and those of values are long
# Of a few rows that are looked for a whole block is read: twice as fast, for 4 % more on disk.
SMALL_BLOCKS = ", min_compress_block_size = 8192, max_compress_block_size = 8192"
UNALIGNED = " SETTINGS enable_unaligned_array_join = 1"  # quantities have more values or fewer
PEOPLE_KEYS = ("owner", "group", "project")  # that scopes are made of


@dataclass(frozen=True)
class Cube:
    """A rollup: a row for each `grain` and combination of keys that occurs.

    It holds measures or, `of_values`, of each quantity the values that occur, in order, and how
    many lines have each: two arrays. `kept` names the measures or quantities, where not all. Where
    no key names people, or `of_scopes` says so, it is `scoped`: besides the rows of everybody,
    whose `scope` is 0, it has rows for each scope that is known, in builds of their own.
    """

    name: str
    grain: str  # of GRAINS: its `day` stands for all the days that this does not tell apart
    keys: tuple[str, ...]
    of_values: bool = False
    kept: tuple[str, ...] = ()
    of_scopes: bool = False

    @property
    def names_people(self) -> bool:
        """Tell whether its keys say whose lines its rows are made of."""
        return bool({*PEOPLE_KEYS} & {*self.keys})

    @property
    def scoped(self) -> bool:
        """Tell whether it has rows of scopes."""
        return self.of_scopes or not self.names_people

    @property
    def amounts(self) -> tuple[str, ...]:
        """The measures or quantities that it holds."""
        return self.kept or tuple(QUANTITIES if self.of_values else MEASURES)

    def has_all_of(self, other: Cube) -> bool:
        """Tell whether the other one can be made of this."""
        return (
            self.of_values == other.of_values
            and {*other.keys} <= {*self.keys}
            and {*other.amounts} <= {*self.amounts}
            and [*GRAINS].index(self.grain) <= [*GRAINS].index(other.grain)
        )

    def without_coarse(self, sql: str) -> str:
        """Leave out of some SQL what is the same for all days that it does not tell apart."""
        return reduce(lambda text, coarse: text.replace(coarse, ""), GRAINS[self.grain][1], sql)

    def has_people_of(self, other: Cube) -> bool:
        """Tell whether the other one's rows of a scope can be made of this."""
        return self.has_all_of(other) and not {*PEOPLE_KEYS} - {*self.keys}

    @property
    def columns(self) -> frozenset[str]:
        """What a question may need and this rollup can give."""
        return frozenset({"day", *self.keys, *self.values_of_rows, *self.measures, *self.names})

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that it holds."""
        return () if self.of_values else self.amounts

    @property
    def values_of_rows(self) -> tuple[str, ...]:
        """The columns with values and with their weights that its rows can be taken apart into."""
        names = self.amounts if self.of_values else ()
        return tuple(f"{name}_{each}" for name in names for each in ("value", "weight"))

    @property
    def names(self) -> dict[str, str]:
        """The columns of names that are counted, and what its rows have of each.

        With the table's name: beside them, a column's own may stand for nothing.
        """
        if "jobs" not in self.measures:
            return {}
        having = [name for name in COUNTED if name in self.keys]
        return {f"counted_{name}": f"{self.name}.{name}" for name in having} | {
            f"{name}_jobs": f"{self.name}.jobs" for name in having
        }

    @property
    def create_sql(self) -> str:
        """The statement that makes the table."""
        columns = {"build": "UInt64", "day": "Date"} | {key: KEYS[key] for key in self.keys}
        columns |= {"scope": "UInt64"} if self.scoped else {}
        for name in self.amounts if self.of_values else ():
            columns |= {f"{name}_values": "Array(Float32)", f"{name}_weights": "Array(UInt32)"}
        columns |= {name: MEASURES[name].type for name in self.measures}
        # somebody's rows of a year are together, of large rollups those of each month
        whose = ("scope",) * self.scoped + PEOPLE_KEYS * self.names_people
        first = ("build", *whose) if {"owner", "qname"} <= {*self.keys} else (*whose, "build")
        names = dict.fromkeys((*first, "day", *self.keys))
        order = ", ".join(f"`{name}`" for name in names)
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name}"
            f" ({', '.join(f'`{name}` {kind}' for name, kind in columns.items())})"
            f" ENGINE = MergeTree PARTITION BY intDiv(build, {MONTHS_PER_REFRESH})"
            f" ORDER BY ({order})"
            f" SETTINGS allow_nullable_key = 1, index_granularity = {ROWS_PER_MARK}"
            f"{'' if self.of_values else SMALL_BLOCKS}"
        )

    def joined_sql(self, columns: Collection[str]) -> str:
        """Write what makes rows with these columns of the arrays of a row; '' if it has none.

        Each row has a value of every quantity, with the weight 0 where another one has more.
        """
        arrays = [f"{name}s AS {name}" for name in self.values_of_rows if name in columns]
        # LEFT: what has no value is a part of the answer too
        joined = f" LEFT ARRAY JOIN {', '.join(arrays)}" if arrays else ""
        return f"{joined}{UNALIGNED}" if arrays[2:] else joined


# Questions take the first that has what they need: the smallest comes first.
CUBES = (
    Cube("total_months", "month", TOTAL_KEYS),
    Cube("user_months", "month", USER_KEYS, of_scopes=True),
    Cube("queue_months", "month", QUEUE_KEYS),
    Cube("cube_months", "month", JOB_KEYS),
    Cube("exit_months", "month", (*WHOSE_KEYS, "exit_status"), kept=FEW),
    Cube("request_months", "month", (*WHOSE_KEYS, "requested_time_from"), kept=(*FEW, *ASKS)),
    Cube("hour_months", "month", ("cluster", "qname", *HOUR_KEYS), kept=FEW),
    Cube("user_hour_months", "month", (*WHOSE_KEYS, *HOUR_KEYS), kept=FEW),
    Cube("ending_months", "weekday", ("cluster", "qname", "hour"), kept=FEW),
    Cube("user_ending_months", "weekday", (*WHOSE_KEYS, "hour"), kept=FEW),
    Cube("host_months", "month", HOST_KEYS, kept=WITHOUT_ASKS),
    Cube("node_months", "month", NODE_KEYS, kept=WITHOUT_ASKS),
)
DAY_CUBES = (Cube("queue_days", "day", QUEUE_KEYS), Cube("cube_days", "day", JOB_KEYS))
VALUE_CUBES = (
    Cube(
        "queue_value_months",
        "month",
        ("cluster", "qname", "granted_pe", "slots", "node_spread"),
        of_values=True,
    ),
    Cube(
        "request_value_months",
        "month",
        ("cluster", "qname", "requested_time_from"),
        of_values=True,
        kept=("wait",),
    ),
    Cube("user_value_months", "month", ("cluster", "owner", "group", "project"), of_values=True),
    Cube("value_months", "month", VALUE_KEYS, of_values=True),
)
# In the order in which they are made: what others are made of comes first.
TABLES = (*reversed(DAY_CUBES), *reversed(CUBES), *reversed(VALUE_CUBES))
# Most of whose rows a question without a filter reads, within a scope too.
WHOLE = frozenset(cube.name for cube in TABLES if cube.scoped)


@dataclass(frozen=True)
class Scratch:
    """What a refresh works with, and drops at its end: multi-node lines."""

    name: str = "rollup_near_lines"

    @property
    def create_sql(self) -> str:
        """The statement that makes the table."""
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} (build UInt64, record_id FixedString(16))"
            f" ENGINE = MergeTree PARTITION BY intDiv(build, {MONTHS_PER_REFRESH}) ORDER BY build"
        )


NEAR = Scratch()
STORED: tuple[Cube | Scratch, ...] = (*TABLES, NEAR)


def definition() -> str:
    """Say how rollups are made, but for what the view `lines` makes of a line."""
    made_of = (repr(MEASURES), repr(QUANTITIES))
    return "\n".join([*(cube.create_sql for cube in TABLES), *made_of])
