"""The rollups: tables of rows that stand for the lines of a month, which answer most questions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce

from clickhouse.measures import (
    AMOUNTS,
    ASKS,
    COUNTED,
    FEW,
    KEYS,
    LINE_AMOUNTS,
    LINE_COLUMNS,
    MEASURES,
    QUANTITIES,
    WITHOUT_ASKS,
)

# A build is its refresh times this, plus the month, counted from 1970, or this many and the year.
MONTHS_PER_REFRESH = 2_500
YEARS_FROM = 2_000
OF_REFRESH = f"intDiv(build, {MONTHS_PER_REFRESH})"  # the refresh that made a row
YEARLY = ("toYear(day)", "toStartOfYear(day)")
MONTHLY = (*YEARLY, "toStartOfMonth(day)", "toStartOfQuarter(day)", "academic_year_start")
TOTAL_KEYS = ("cluster", "flags", "outcome")
JOB_KEYS = (
    "cluster", "qname", "owner", "group", "project", "department", "account", "granted_pe", "slots",
    "failed", "outcome", "flags", "node_spread",
)  # fmt: skip
USER_KEYS = ("cluster", "owner", "group", "project", "flags", "outcome")
QUEUE_KEYS = ("cluster", "qname", "granted_pe", "slots", "node_spread", "flags", "outcome")
NODE_KEYS = (
    "cluster", "qname", "hostname", "owner", "group", "project", "flags", "outcome", "failed",
)  # fmt: skip
HOST_KEYS = ("cluster", "qname", "hostname", "flags", "outcome")
WHOSE_KEYS = ("cluster", "qname", "owner", "group", "project")
NAME_KEYS = (*WHOSE_KEYS, "job_name", "flags", "outcome")
EXIT_KEYS = (*WHOSE_KEYS, "exit_status", "failed", "flags", "outcome")
SIZE_KEYS = ("granted_pe", "slots", "node_spread")
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
    "year": ("toStartOfYear(day)", YEARLY),
}
ROWS_PER_MARK = 256  # somebody's rows of a month are few, and those of values are long
# Each part that is read takes half a millisecond, as long as thousands of rows, so small rollups
# have one for years. Each row has to be written again now and then, which large ones save.
YEARS_PER_PART = 5
FEW_PARTS = (
    ", min_bytes_for_wide_part = 1048576, min_age_to_force_merge_seconds = 120,"
    " min_age_to_force_merge_on_partition_only = 1"
)
# Of a few rows that are looked for a whole block is read: twice as fast, for 4 % more on disk.
SMALL_BLOCKS = ", min_compress_block_size = 8192, max_compress_block_size = 8192"
UNALIGNED = " SETTINGS enable_unaligned_array_join = 1"  # quantities have more values or fewer
ARRAY_TYPES = {"value": "Array(Float32)", "weight": "Array(UInt32)"}
PEOPLE_KEYS = ("owner", "group", "project")  # that scopes are made of
# What hardly shrinks, so that LZ4 would be time lost.
PLAIN = frozenset({"cpu", "ru_utime", "ru_stime", "mem", "io"})


def build_of(refresh: int, month: date) -> int:
    """Give the build of a month that a refresh made."""
    return refresh * MONTHS_PER_REFRESH + (month.year - 1970) * 12 + month.month


def build_sql(refresh: int, day: str) -> str:
    """Write the build of the month in which a day is."""
    return f"{refresh * MONTHS_PER_REFRESH} + (toYear({day}) - 1970) * 12 + toMonth({day})"


def build_of_year(refresh: int, year: int) -> int:
    """Give the build of a year whose twelve months a refresh made."""
    return refresh * MONTHS_PER_REFRESH + YEARS_FROM + year - 1970


def build_of_year_sql(refresh: int, day: str) -> str:
    """Write the build of the year in which a day is."""
    return f"{refresh * MONTHS_PER_REFRESH + YEARS_FROM} + toYear({day}) - 1970"


@dataclass(frozen=True)
class Cube:
    """A rollup: a row for each `grain` and combination of keys that occurs.

    It holds measures or, `of_values`, of each quantity the values that occur, in order, and how
    many lines have each: two arrays. `kept` names the measures or quantities, where not all. Where
    no key names people, or `of_scopes` says so, it is `scoped`: besides the rows of everybody,
    whose `scope` is 0, it has rows for each scope that is known, in builds of their own. Those of
    many refreshes are merged where it is `small`, else each has a partition.
    """

    name: str
    grain: str  # of GRAINS: its `day` stands for all the days that this does not tell apart
    keys: tuple[str, ...]
    of_values: bool = False
    kept: tuple[str, ...] = ()
    of_scopes: bool = False
    small: bool = False

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
        """Tell whether the other one's rows of a scope can be made of this: months tell it."""
        has_people = not self.of_years and {*PEOPLE_KEYS} <= {*self.keys}
        return has_people and self.has_all_of(other)

    def is_of_years_of(self, other: Cube) -> bool:
        """Tell whether it has the same as a rollup of months, for whole years alone."""
        of_months = replace(self, name=other.name, grain="month", small=other.small)
        return self.of_years and of_months == other

    @property
    def of_years(self) -> bool:
        """Tell whether it has rows of whole years alone, each under a build of its own."""
        return self.grain == "year"

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
        return tuple(f"{name}_{each}" for name in names for each in ARRAY_TYPES)

    @property
    def names(self) -> dict[str, str]:
        """The columns of names that are counted, and what its rows have of each."""
        if "jobs" not in self.measures:
            return {}
        having = [name for name in COUNTED if name in self.keys]
        return {f"counted_{name}": f"`{name}`" for name in having} | {
            f"{name}_jobs": "jobs" for name in having
        }

    @property
    def create_sql(self) -> str:
        """The statement that makes the table."""
        columns = {"build": "UInt64", "day": "Date"} | {key: KEYS[key] for key in self.keys}
        columns |= {"scope": "UInt64"} if self.scoped else {}
        for name in self.amounts if self.of_values else ():
            columns |= {f"{name}_{each}s": kind for each, kind in ARRAY_TYPES.items()}
        columns |= {name: MEASURES[name].type for name in self.measures}
        # somebody's rows are together, in rollups of more keys those of each month
        whose = ("scope",) * self.scoped + PEOPLE_KEYS * self.names_people
        first = ("build", *whose) if {"owner", "qname"} <= {*self.keys} else (*whose, "build")
        names = dict.fromkeys((*first, "day", *self.keys))
        order = ", ".join(f"`{name}`" for name in names)
        years = f"intDiv(toYear(day), {YEARS_PER_PART})"
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name}"
            f" ({', '.join(f'`{name}` {kind}' for name, kind in columns.items())})"
            f" ENGINE = MergeTree PARTITION BY {years if self.small else OF_REFRESH}"
            f" ORDER BY ({order})"
            f" SETTINGS allow_nullable_key = 1, index_granularity = {ROWS_PER_MARK}"
            f"{'' if self.of_values else SMALL_BLOCKS}{FEW_PARTS * self.small}"
        )

    def joined_sql(self, columns: Collection[str]) -> str:
        """Write what makes rows with these columns of the arrays of a row; '' if it has none.

        Each row has a value of every quantity, with the weight 0 where another one has more.
        """
        arrays = [f"{name}s AS {name}" for name in self.values_of_rows if name in columns]
        # LEFT: what has no value is a part of the answer too
        joined = f" LEFT ARRAY JOIN {', '.join(arrays)}" if arrays else ""
        return f"{joined}{UNALIGNED}" if arrays[2:] else joined


@dataclass(frozen=True)
class LineCube(Cube):
    """The lines of a month once each, with what is made of each one at hand.

    Amounts are made of its columns where it is read, as they are of the view `lines`.
    """

    @property
    def amounts(self) -> tuple[str, ...]:
        """Nothing is added up."""
        return ()

    @property
    def columns(self) -> frozenset[str]:
        """What a question may need and this rollup can give."""
        return frozenset({"day", *self.stored, *self.names})

    @property
    def stored(self) -> dict[str, str]:
        """The columns of the table but for the build, with their types, as the view has them."""
        amounts = dict.fromkeys(LINE_AMOUNTS, "Float64")
        return {"day": "Date"} | {key: KEYS[key] for key in self.keys} | LINE_COLUMNS | amounts

    @property
    def names(self) -> dict[str, str]:
        """The amounts, and what each is made of."""
        rounded = {
            f"{name}_value": f"toFloat64({each.rounded_sql(each.sql)})"
            for name, each in QUANTITIES.items()
            if each.measured
        }
        return {name: each.sql for name, each in AMOUNTS.items()} | rounded

    def has_all_of(self, other: Cube) -> bool:
        """Tell whether the other one can be made of this."""
        return other != self

    def has_people_of(self, other: Cube) -> bool:
        """Tell whether the other one's rows of a scope can be made of this: of smaller ones."""
        return False

    @property
    def create_sql(self) -> str:
        """The statement that makes the table.

        Jobs of one name are together, so that they are quickly told to be of one, and take no room.
        """
        columns = "".join(
            f", `{name}` {kind} CODEC({'NONE' if name in PLAIN else 'LZ4'})"
            for name, kind in self.stored.items()
        )
        order = ", ".join(f"`{name}`" for name in (*PEOPLE_KEYS, "qname", "job_name", "day"))
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} (build UInt64{columns})"
            f" ENGINE = MergeTree PARTITION BY {OF_REFRESH} ORDER BY (build, {order})"
        )


# Questions take the first that has what they need: the smallest comes first.
CUBES = (
    Cube("total_months", "month", TOTAL_KEYS, small=True),
    Cube("user_months", "month", USER_KEYS, of_scopes=True, small=True),
    Cube("queue_months", "month", QUEUE_KEYS, small=True),
    Cube("cube_months", "month", JOB_KEYS, small=True),
    Cube("name_months", "month", NAME_KEYS, small=True),
    Cube("exit_months", "month", EXIT_KEYS, kept=WITHOUT_ASKS, small=True),
    Cube(
        "request_months",
        "month",
        (*WHOSE_KEYS, "requested_time_from"),
        kept=(*FEW, *ASKS),
        small=True,
    ),
    Cube("hour_months", "month", ("cluster", "qname", *HOUR_KEYS), kept=FEW, small=True),
    Cube("user_hour_months", "month", (*WHOSE_KEYS, *HOUR_KEYS), kept=FEW),
    Cube("ending_months", "weekday", ("cluster", "qname", "hour"), kept=FEW, small=True),
    Cube("user_ending_months", "weekday", (*WHOSE_KEYS, "hour"), kept=FEW),
    Cube("host_months", "month", HOST_KEYS, kept=WITHOUT_ASKS, small=True),
    Cube("node_months", "month", NODE_KEYS, kept=WITHOUT_ASKS),
)
LINE_DAYS = LineCube("line_days", "day", tuple(KEYS))
DAY_CUBES = (
    Cube("total_days", "day", TOTAL_KEYS, small=True),
    Cube("queue_days", "day", QUEUE_KEYS),
    Cube("cube_days", "day", JOB_KEYS),
    LINE_DAYS,
)
VALUE_CUBES = (
    Cube("total_value_months", "month", ("cluster",), of_values=True, small=True),
    Cube("qname_value_months", "month", ("cluster", "qname"), of_values=True, small=True),
    Cube("size_value_months", "month", ("cluster", *SIZE_KEYS), of_values=True, small=True),
    Cube("queue_value_months", "month", ("cluster", "qname", *SIZE_KEYS), of_values=True),
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
# Of years that one refresh made: what takes long to read for ten years of months.
YEAR_CUBES = (
    Cube("cube_years", "year", JOB_KEYS, small=True),
    Cube("node_years", "year", NODE_KEYS, kept=WITHOUT_ASKS),
    Cube("host_years", "year", HOST_KEYS, kept=WITHOUT_ASKS, small=True),
    Cube("size_value_years", "year", ("cluster", *SIZE_KEYS), of_values=True, small=True),
    Cube("user_value_years", "year", ("cluster", *PEOPLE_KEYS), of_values=True, small=True),
)
# In the order in which they are made: what others are made of comes first.
TABLES = (*reversed(DAY_CUBES), *reversed(CUBES), *reversed(VALUE_CUBES), *YEAR_CUBES)
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
            f" ENGINE = MergeTree PARTITION BY {OF_REFRESH} ORDER BY build"
        )


NEAR = Scratch()
STORED: tuple[Cube | Scratch, ...] = (*TABLES, NEAR)


def definition() -> str:
    """Say how rollups are made, but for what the view `lines` makes of a line."""
    made_of = (repr(MEASURES), repr(QUANTITIES))
    return "\n".join([*(cube.create_sql for cube in TABLES), *made_of])
