"""Turns answers into the tables that charts draw: gaps filled, a rest added, figures in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from clickhouse.metrics import METRICS
from streamlit_app import calendars, text
from streamlit_app.charts import Axis, axis_of
from streamlit_app.filters import Scope

OTHER = "other"
LETTER_SHARE = 0.045  # of a bar's length, which the letter of a figure takes at its end
# Sums can be stacked and have a rest; averages and maxima cannot.
ADDITIVE = frozenset(
    {"jobs", "attempts", "wall_hours", "core_hours", "lost_core_hours", "cpu_hours"}
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


def over_time(table: pa.Table, metric: str, scope: Scope) -> Shaped:
    """Shape an answer by the scope's grain for bars over time."""
    values = series(table, metric, scope)
    times = calendars.steps(scope.grain, scope.first, scope.last)
    return _shaped(metric, scope, times, values)


def _shaped(
    metric: str,
    scope: Scope,
    times: Sequence[date],
    values: Sequence[float | None],
    parts: Mapping[str, Sequence[Any]] | None = None,
) -> Shaped:
    chosen = METRICS[metric]
    axis = axis_of(chosen.label, chosen.unit, [value or 0.0 for value in values])
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
    found = _by_name(table, dimension, metric, scope)
    missing = 0.0 if metric in ADDITIVE else None
    rows = {name: calendars.fill(found.get(name, {}), steps, missing) for name in order}
    if whole is not None:
        rest = _rest(series(whole, metric, scope), list(rows.values()))
        if any(rest):
            rows[OTHER] = rest
    kept = [
        (rank, name, step, value)
        for rank, (name, values) in enumerate(rows.items())
        for step, value in zip(steps, values, strict=True)
        if value is not None
    ]
    parts = {
        "name": [text.short(name, 200) for _, name, _, _ in kept],
        "rank": pa.array([rank for rank, *_ in kept], pa.int32()),
    }
    return _shaped(metric, scope, [row[2] for row in kept], [row[3] for row in kept], parts)


def _by_name(
    table: pa.Table, dimension: str, metric: str, scope: Scope
) -> dict[str, dict[date, float | None]]:
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


def ranked(table: pa.Table, dimension: str, metric: str) -> Shaped:
    """Shape an answer by one dimension for bars in its order; no bar without a figure."""
    chosen = METRICS[metric]
    names = [str(name) for name in table.column(dimension).to_pylist()]
    rows = [(n, v) for n, v in zip(names, figures(table, metric), strict=True) if v is not None]
    axis = axis_of(chosen.label, chosen.unit, [value for _, value in rows])
    return Shaped(bars([(n, v / axis.divisor, text.figure(v, chosen.unit)) for n, v in rows]), axis)


def bars(rows: Sequence[tuple[str, float, str]]) -> pa.Table:
    """Make the data of a ranking from names, values and their figures in words."""
    longest = max((len(shown) for _, _, shown in rows), default=0)
    reach = max((value for _, value, _ in rows), default=0.0) * (1 + LETTER_SHARE * longest)
    return pa.table(
        {
            "name": pa.array([name or text.NO_NAME for name, _, _ in rows], pa.string()),
            "value": pa.array([value for _, value, _ in rows], pa.float64()),
            "shown": pa.array([shown for _, _, shown in rows], pa.string()),
            "reach": pa.array([reach for _ in rows], pa.float64()),
        }
    )


def shares(table: pa.Table, dimension: str, metric: str, order: Sequence[str]) -> Shaped:
    """Shape an answer by one dimension as shares of its sum, their per cent in the names."""
    unit = METRICS[metric].unit
    names = [str(name) for name in table.column(dimension).to_pylist()]
    found = dict(zip(names, figures(table, metric), strict=True))
    rows = [(n, v) for n in _in_order(found, order) if (v := found[n])]
    whole = sum(value for _, value in rows) or 1.0
    shaped = pa.table(
        {
            "name": pa.array(
                [f"{name}  {_share(value / whole)}" for name, value in rows], pa.string()
            ),
            "value": pa.array([value / whole for _, value in rows], pa.float64()),
            "shown": pa.array([text.figure(value, unit) for _, value in rows], pa.string()),
            "rank": pa.array(range(len(rows)), pa.int32()),
        }
    )
    return Shaped(shaped, Axis(METRICS[metric].label))


def _share(part: float) -> str:
    return "<0.1 %" if part < 0.0005 else f"{100 * part:.1f} %"


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
    return Shaped(shaped, axis_of(chosen.label, chosen.unit, values))


def _slot_class(upper: int) -> str:
    if upper == 0:
        return "unknown"
    return str(upper) if upper <= 2 else f"{upper // 2 + 1}–{upper}"
