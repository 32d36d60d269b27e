"""Distributions: how many jobs have which execution time, wait, memory or number of slots.

As precise as quantiles: rollups hold values to 1 %, so a job whose value is that near to the edge
of a bin may be counted in the one next to it; with `exact` the lines are asked.

>>> distribution(warehouse, Histogram("wait", log_bins(), by=("queue",)))
>>> distribution(warehouse, Bands("duration", "month", period=Period.parse("2018")))
>>> distribution(warehouse, Heatmap("jobs", "weekday", "hour"))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.measures import values_of
from clickhouse.metrics import GIB, KIB_PER_GIB
from clickhouse.paths import Path
from clickhouse.public import PEOPLE, is_public, without_few
from clickhouse.query import ask, grouped_sql, leaves_enough_out
from clickhouse.question import Filter, Period, Question, known
from clickhouse.scope import Scope

LEVELS = (10, 25, 50, 75, 90)  # % of the jobs
MOST_EDGES = 1000
MINUTE, HOUR, DAY = 60, 3600, 86400
# s: edges that people know
TIMES = (
    0, 1, 10, MINUTE, 10 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY,
)  # fmt: skip


@dataclass(frozen=True)
class Quantity:
    """What jobs have an amount of, in s, in GiB or in no unit."""

    label: str
    unit: str
    value: str  # SQL of a row's value, in its unit
    weight: str  # and of how many jobs have it


def _quantity(label: str, unit: str, column: str, over: int = 1) -> Quantity:
    value, weight = values_of(column)
    return Quantity(label, unit, f"{value} / {over}", weight)


QUANTITIES: dict[str, Quantity] = {
    "duration": _quantity("Execution time", "s", "run"),
    "wait": _quantity("Wait", "s", "wait"),
    "memory": _quantity("Memory", "GiB", "vmem", GIB),
    "ram": _quantity("RAM", "GiB", "rss", KIB_PER_GIB),
    "slots": _quantity("Slots", "", "slots"),
}


def fixed_bins(width: float, count: int = 50) -> tuple[float, ...]:
    """Give the edges of bins of one width, the last of which is open."""
    return tuple(width * number for number in range(count))


def log_bins(first: float = 1, decades: int = 7, per_decade: int = 5) -> tuple[float, ...]:
    """Give the edges of bins from 0, from `first`, and then so many for each factor of ten."""
    steps = range(decades * per_decade + 1)
    return (0, *(float(f"{first * 10 ** (step / per_decade):.6g}") for step in steps))


@dataclass(frozen=True)
class Histogram:
    """How many jobs have how much, for each value of the dimensions `by`.

    A bin goes from its edge up to, not including, the next; the last is open. Answered with a
    column per dimension, then `low` and `high` in the quantity's unit (`high` is null in the last
    one) and `jobs`, for all bins from 0 jobs on.
    """

    quantity: str
    edges: tuple[float, ...]
    by: tuple[str, ...] = ()
    period: Period = Period()
    filters: tuple[Filter, ...] = ()
    exact: bool = False
    scope: Scope | None = None


@dataclass(frozen=True)
class Bands:
    """Quantiles over time, for each `step` (day, week, month, quarter, year, …) and values of `by`.

    Answered with the step, a column per dimension, `p10` and so on in the quantity's unit, one for
    each level in %, and `jobs`, on which they stand.
    """

    quantity: str
    step: str
    by: tuple[str, ...] = ()
    levels: tuple[int, ...] = LEVELS
    period: Period = Period()
    filters: tuple[Filter, ...] = ()
    exact: bool = False
    scope: Scope | None = None


@dataclass(frozen=True)
class Heatmap:
    """One metric for each pair of values of two dimensions that occurs.

    Of names the `most` largest by the metric are kept. Answered with three columns: the dimensions
    and the metric.
    """

    metric: str
    x: str
    y: str
    most: int = 40
    period: Period = Period()
    filters: tuple[Filter, ...] = ()
    exact: bool = False
    scope: Scope | None = None


Asked = Histogram | Bands | Heatmap


def distribution(warehouse: Warehouse, asked: Asked) -> pa.Table:
    """Answer as the class of what is asked says."""
    if isinstance(asked, Histogram):
        return _histogram(warehouse, asked)
    if isinstance(asked, Bands):
        return _bands(warehouse, asked)
    return _heatmap(warehouse, asked)


def tables(warehouse: Warehouse, asked: Histogram | Bands) -> tuple[str, ...]:
    """Name the tables that would answer."""
    return _written(warehouse, asked)[2].tables


def _histogram(warehouse: Warehouse, asked: Histogram) -> pa.Table:
    sql, parameters, path = _written(warehouse, asked)
    found = warehouse.arrow(sql, parameters, path.for_whom(warehouse, asked.scope))
    return _filled(_seen(warehouse, found, asked, [*asked.by, "low"], ["jobs"]), asked)


def _seen(
    warehouse: Warehouse, found: pa.Table, asked: Asked, keys: list[str], figures: list[str]
) -> pa.Table:
    """Name the columns; the public sees no cell of few people, see `public`."""
    if not is_public(asked.scope):
        return found.rename_columns([*keys, *figures])
    if not leaves_enough_out(warehouse, _question(asked, ())):
        found = found.slice(0, 0)
    named = found.rename_columns([*keys, *figures, "people"])
    return without_few(named, keys, ["people"], "jobs")


def _filled(found: pa.Table, asked: Histogram) -> pa.Table:
    """Add the bins that no job is in, or that are not shown, and where each ends."""
    nothing = None if is_public(asked.scope) else 0
    jobs: dict[tuple[Any, ...], dict[float, int]] = {}
    for *names, low, count in zip(*(column.to_pylist() for column in found.columns), strict=True):
        jobs.setdefault(tuple(names), {})[low] = count
    if not asked.by:
        jobs = jobs or {(): {}}
    ends = [*asked.edges[1:], None]
    rows = [
        (*names, low, high, bins.get(low, nothing))
        for names, bins in jobs.items()
        for low, high in zip(asked.edges, ends, strict=True)
    ]
    kinds = [found.schema.field(name).type for name in asked.by]
    schema = pa.schema(
        [
            *zip(asked.by, kinds, strict=True),
            ("low", pa.float64()),
            ("high", pa.float64()),
            ("jobs", pa.uint64()),
        ]
    )
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema)


def _bands(warehouse: Warehouse, asked: Bands) -> pa.Table:
    sql, parameters, path = _written(warehouse, asked)
    levels = [f"p{level}" for level in asked.levels]
    found = warehouse.arrow(sql, parameters, path.for_whom(warehouse, asked.scope))
    return _seen(warehouse, found, asked, [asked.step, *asked.by], [*levels, "jobs"])


def _heatmap(warehouse: Warehouse, asked: Heatmap) -> pa.Table:
    kept = [*asked.filters]
    for name in (asked.x, asked.y):
        known(name, DIMENSIONS, "dimension")
        chosen = DIMENSIONS[name]
        if chosen.is_time or chosen.is_ordered:
            continue
        most = Question(
            (asked.metric,),
            (name,),
            asked.period,
            asked.filters,
            asked.most,
            exact=asked.exact,
            scope=asked.scope,
        )
        found = ask(warehouse, most)[name].to_pylist()
        kept.append(Filter(name, tuple(str(value) for value in found)))
    both = (asked.x, asked.y)
    pairs = Question((asked.metric,), both, asked.period, tuple(kept), exact=asked.exact)
    return ask(warehouse, replace(pairs, scope=asked.scope))


def _written(warehouse: Warehouse, asked: Histogram | Bands) -> tuple[str, dict[str, Any], Path]:
    """Write the SQL, the values of its parameters, and where its rows are from."""
    _check(asked)
    chosen = QUANTITIES[asked.quantity]
    value, jobs, has_one = chosen.value, f"sum({chosen.weight})", f"{chosen.weight} > 0"
    by = asked.by if isinstance(asked, Histogram) else (asked.step, *asked.by)
    question = _question(asked, by)
    people = [PEOPLE] if is_public(asked.scope) else []
    if isinstance(asked, Histogram):
        low = f"roundDown(toFloat64({value}), {{edges:Array(Float64)}})"
        bound = {"edges": [*asked.edges]}
        return grouped_sql(warehouse, question, [jobs, *people], [has_one], low, bound)
    levels = ", ".join(str(level / 100) for level in asked.levels)
    found = f"quantilesExactWeightedInterpolated({levels})({value}, {chosen.weight})"
    figures = [f"{found}[{number}]" for number, _ in enumerate(asked.levels, 1)]
    return grouped_sql(warehouse, question, [*figures, jobs, *people], [has_one])


def _question(asked: Asked, by: tuple[str, ...]) -> Question:
    question = Question(("jobs",), by, asked.period, asked.filters, exact=asked.exact)
    return replace(question, scope=asked.scope)


def _check(asked: Histogram | Bands) -> None:
    """Refuse what cannot be answered."""
    known(asked.quantity, QUANTITIES, "quantity")
    if isinstance(asked, Histogram):
        edges = asked.edges
        if not 0 < len(edges) <= MOST_EDGES or list(edges) != sorted({*edges}):
            raise QuestionError(f"a histogram has 1 to {MOST_EDGES} edges, each above the last")
        if edges[0] != 0 or not edges[-1] < math.inf:
            raise QuestionError("the first edge of a histogram is 0, and all are finite")
        return
    known(asked.step, [name for name in DIMENSIONS if DIMENSIONS[name].is_time], "step")
    if not asked.levels or not all(0 <= level <= 100 for level in asked.levels):
        raise QuestionError("quantiles need levels from 0 to 100 %")
