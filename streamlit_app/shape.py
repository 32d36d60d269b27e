"""Turns answers into the tables that charts draw: gaps filled, a rest added, figures in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import calendars, text
from streamlit_app.filters import Scope
from streamlit_app.i18n import day_name, t
from streamlit_app.specs import Axis, axis_of

OTHER = "other"
LETTER_SHARE = 0.045  # of a bar's length, which the letter of a figure takes at its end
# Sums can be stacked and have a rest; averages and maxima cannot.
ADDITIVE = frozenset(
    {"jobs", "attempts", "failed_jobs", "wall_hours", "core_hours", "lost_core_hours"}
    | {"cpu_hours", "user_cpu_hours", "system_cpu_hours", "io", "memory_integral"}
)


@dataclass(frozen=True)
class Shaped:
    """A chart's data and its value axis."""

    table: pa.Table
    axis: Axis


def total(table: pa.Table, column: str = "jobs") -> int:
    """Add up a column."""
    return int(sum(value or 0 for value in table.column(column).to_pylist()))


def figures(table: pa.Table, metric: str) -> list[float | None]:
    """Give the figures of a metric, None where no row stands behind one."""
    return [None if text.is_missing(v) else float(v) for v in table.column(metric).to_pylist()]


def series(table: pa.Table, metric: str, scope: Scope) -> list[float | None]:
    """Give a figure for each step of the scope, without gaps: 0 for sums, None for averages."""
    found = dict(zip(_days(table, scope), figures(table, metric), strict=True))
    missing = 0.0 if metric in ADDITIVE | {"users"} else None
    return calendars.fill(found, calendars.steps(scope.grain, scope.first, scope.last), missing)


def _days(table: pa.Table, scope: Scope) -> list[date]:
    return [calendars.as_day(value) for value in table.column(scope.grain).to_pylist()]


def over_time(
    table: pa.Table, metric: str, scope: Scope, before: Sequence[float | None] = ()
) -> Shaped:
    """Shape an answer by the scope's grain for bars over time.

    `before` has the figures of an earlier period, step by step; it may be longer or shorter.
    """
    values = series(table, metric, scope)
    times = calendars.steps(scope.grain, scope.first, scope.last)
    shaped = over_steps(metric, scope, times, values)
    if not before:
        return shaped
    aligned = [*before[: len(times)], *[None] * (len(times) - len(before))]
    unit, divisor = METRICS[metric].unit, shaped.axis.divisor
    with_before = shaped.table.append_column(
        "before", pa.array([v if v is None else v / divisor for v in aligned], pa.float64())
    ).append_column("before_shown", pa.array([text.figure(v, unit) for v in aligned], pa.string()))
    return Shaped(with_before, shaped.axis)


def over_steps(
    metric: str,
    scope: Scope,
    times: Sequence[date],
    values: Sequence[float | None],
    parts: Mapping[str, Sequence[Any]] | None = None,
) -> Shaped:
    """Make the data of a chart over time, with more columns for its parts."""
    chosen = METRICS[metric]
    axis = axis_of(text.label(metric), chosen.unit, [value or 0.0 for value in values])
    columns: dict[str, Any] = {
        "time": pa.array(times, pa.date32()),
        "step": [calendars.label(scope.grain, step) for step in times],
        "value": pa.array([v if v is None else v / axis.divisor for v in values], pa.float64()),
        "shown": [text.figure(value, chosen.unit) for value in values],
    }
    return Shaped(pa.table(columns | dict(parts or {})), axis)


def parts_over_time(
    table: pa.Table,
    dimension: str,
    metric: str,
    scope: Scope,
    order: Sequence[str],
    whole: pa.Table | None = None,
) -> Shaped:
    """Shape an answer by grain and name, in the given order of names.

    With the `whole` by grain, what is missing from it becomes the part `OTHER`.
    """
    steps = calendars.steps(scope.grain, scope.first, scope.last)
    found = by_name(table, dimension, metric, scope)
    missing = 0.0 if metric in ADDITIVE else None
    rows = {name: calendars.fill(found.get(name, {}), steps, missing) for name in order}
    if whole is not None:
        rest = _rest(series(whole, metric, scope), list(rows.values()))
        if any(rest):
            rows[t(OTHER)] = rest
    kept = [
        (rank, name, step, value)
        for rank, (name, values) in enumerate(rows.items())
        for step, value in zip(steps, values, strict=True)
        if value is not None
    ]
    parts = {
        "name": [text.short(text.value(dimension, name), 200) for _, name, _, _ in kept],
        "rank": pa.array([rank for rank, *_ in kept], pa.int32()),
    }
    return over_steps(metric, scope, [row[2] for row in kept], [row[3] for row in kept], parts)


def by_name(
    table: pa.Table, dimension: str, metric: str, scope: Scope
) -> dict[str, dict[date, float | None]]:
    """Give the figures of each name by step."""
    found: dict[str, dict[date, float | None]] = {}
    names = table.column(dimension).to_pylist()
    rows = zip(names, _days(table, scope), figures(table, metric), strict=True)
    for name, step, value in rows:
        found.setdefault(str(name), {})[step] = value
    return found


def _rest(
    whole: Sequence[float | None], parts: Sequence[Sequence[float | None]]
) -> list[float | None]:
    sums = [sum(part[i] or 0.0 for part in parts) for i in range(len(whole))]
    # what is left of a float subtraction is no other user
    return [
        rest if (rest := (all_of or 0.0) - known) > 1e-9 * (all_of or 0.0) else 0.0
        for all_of, known in zip(whole, sums, strict=True)
    ]


def ranked(table: pa.Table, dimension: str, metric: str, whole: float | None = None) -> Shaped:
    """Shape an answer by one dimension for bars in its order; no bar without a figure.

    With the `whole`, each bar tells its share of it.
    """
    unit = METRICS[metric].unit
    names = [str(name) for name in table.column(dimension).to_pylist()]
    rows = [(n, v) for n, v in zip(names, figures(table, metric), strict=True) if v is not None]
    axis = axis_of(text.label(metric), unit, [value for _, value in rows])
    shown = [
        (text.value(dimension, n), v / axis.divisor, text.figure(v, unit) + _of(v, whole))
        for n, v in rows
    ]
    return Shaped(bars(shown), axis)


def _of(value: float, whole: float | None) -> str:
    return f" · {text.percent(value / whole)}" if whole else ""


def bars(rows: Sequence[tuple[str, float, str]]) -> pa.Table:
    """Make the data of a ranking from names, values and their figures in words."""
    longest = max((len(shown) for _, _, shown in rows), default=0)
    largest = max((value for _, value, _ in rows), default=0.0) or 1.0  # zeros begin at the left
    reach = largest * (1 + LETTER_SHARE * longest)
    return pa.table(
        {
            "name": pa.array([name or t(text.NO_NAME) for name, _, _ in rows], pa.string()),
            "value": pa.array([value for _, value, _ in rows], pa.float64()),
            "shown": pa.array([shown for _, _, shown in rows], pa.string()),
            "reach": pa.array([reach for _ in rows], pa.float64()),
        }
    )


def shares(
    table: pa.Table,
    dimension: str,
    metric: str,
    order: Sequence[str] = (),
    whole: float | None = None,
) -> Shaped:
    """Shape an answer by one dimension as shares of its sum, their per cent in the names.

    With the `whole`, what the answer lacks of it becomes the part `OTHER`.
    """
    unit = METRICS[metric].unit
    names = [str(name) for name in table.column(dimension).to_pylist()]
    found = dict(zip(names, figures(table, metric), strict=True))
    shown = {n: text.short(text.value(dimension, n)) for n in found}
    rows = [(shown[n], v) for n in _in_order(found, order) if (v := found[n])]
    known = sum(value for _, value in rows)
    if whole and whole - known > 1e-9 * whole:
        rows.append((t(OTHER), whole - known))
    parts = [(f"{name}  {text.percent(v / (whole or known))}", v) for name, v in rows]
    shaped = pa.table(
        {
            "name": pa.array([name for name, _ in parts], pa.string()),
            "value": pa.array([v / (whole or known) for _, v in parts], pa.float64()),
            "shown": pa.array([text.figure(v, unit) for _, v in parts], pa.string()),
            "rank": pa.array(range(len(parts)), pa.int32()),
        }
    )
    return Shaped(shaped, Axis(text.label(metric)))


def _in_order(found: Mapping[str, object], order: Sequence[str]) -> list[str]:
    return [n for n in order if n in found] + [n for n in found if n not in order]


def slot_classes(table: pa.Table, metric: str) -> Shaped:
    """Add up an answer by slots in classes that double: 1, 2, 3–4, 5–8 and so on."""
    chosen = METRICS[metric]
    sums: dict[int, float] = {}
    for slots, value in zip(table.column("slots").to_pylist(), figures(table, metric), strict=True):
        upper = 0 if slots == 0 else 1 << (int(slots) - 1).bit_length()
        sums[upper] = sums.get(upper, 0.0) + (value or 0.0)
    largest = max(sums, default=0)
    uppers = [0] * (0 in sums) + [1 << i for i in range(largest.bit_length()) if largest]
    values = [sums.get(upper, 0.0) for upper in uppers]
    shaped = pa.table(
        {
            "name": pa.array([_slot_class(upper) for upper in uppers], pa.string()),
            "value": pa.array(values, pa.float64()),
            "shown": pa.array([text.figure(value, chosen.unit) for value in values], pa.string()),
        }
    )
    return Shaped(shaped, axis_of(text.label(metric), chosen.unit, values))


def _slot_class(upper: int) -> str:
    if upper == 0:
        return t("unknown")
    return str(upper) if upper <= 2 else f"{upper // 2 + 1}–{upper}"


def classes(table: pa.Table, dimension: str, metric: str) -> Shaped:
    """Shape an answer by one dimension for upright bars, in its own order."""
    unit = METRICS[metric].unit
    values = figures(table, metric)
    axis = axis_of(text.label(metric), unit, [v or 0.0 for v in values])
    names = [text.short(value_name(dimension, n)) for n in table.column(dimension).to_pylist()]
    shaped = pa.table(
        {
            "name": pa.array(names, pa.string()),
            "value": pa.array([v if v is None else v / axis.divisor for v in values], pa.float64()),
            "shown": pa.array([text.figure(v, unit) for v in values], pa.string()),
        }
    )
    return Shaped(shaped, axis)


def value_name(dimension: str, value: object) -> str:
    """Write a value of a dimension: a name as it is, what we made in the reader's language."""
    if value is None:
        return t("unknown")
    if dimension in ("weekday", "submission_weekday"):
        return day_name(int(str(value)))
    if dimension in ("hour", "submission_hour"):
        return f"{int(str(value)):02}"
    if DIMENSIONS[dimension].type == "String":
        return text.value(dimension, str(value))
    return t(DIMENSIONS[dimension].text(value))
