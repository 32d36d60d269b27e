"""What the page Explore can draw, and the shaping of answers by any one or two dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pyarrow as pa

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import shape, specs, text
from streamlit_app.i18n import cached_per_language, mark, t

TIME = "time"  # by steps that fit the period
NOTHING = ""  # no second dimension
PARTS = 8  # that colours tell apart; the ninth one is for the rest
CHARTS = {
    "bars": mark("Bars"),
    "columns": mark("Columns"),
    "stacked": mark("Stacked bars"),
    "share": mark("Shares"),
    "lines": mark("Lines"),
    "area": mark("Areas"),
    "pie": mark("Pie"),
    "heatmap": mark("Heatmap"),
    "table": mark("Table"),
}
# of what does not add up to a whole there is neither a pie nor a stack
COLOURED = frozenset({"stacked", "share", "lines", "area"})
ADDING_UP = frozenset({"stacked", "share", "area", "pie"})


def suited(metric: str, by: str, then: str) -> tuple[str, ...]:
    """List the charts that suit a metric and its dimensions, the usual one first."""
    if then == NOTHING:
        found: tuple[str, ...] = ("bars", "columns", "pie", "table")
        if by == TIME:
            found = ("columns", "lines", "area", "table")
        elif DIMENSIONS[by].is_ordered or DIMENSIONS[by].is_time:
            found = ("columns", "bars", "table")
    elif TIME in (by, then):
        found = ("stacked", "lines", "area", "share", "heatmap", "table")
    else:
        found = ("stacked", "heatmap", "share", "table")
    adds_up = METRICS[metric].kind == "sum"
    return tuple(name for name in found if adds_up or name not in ADDING_UP)


def is_coloured(chart: str, by: str, then: str) -> bool:
    """Tell whether the ranked names are told apart by colours, of which there are few."""
    return chart == "pie" or TIME in (by, then) and then != NOTHING and chart in COLOURED


def is_many(*dimensions: str) -> bool:
    """Tell whether parts overlap, so that they leave no rest."""
    return any(name in DIMENSIONS and DIMENSIONS[name].is_many for name in dimensions)


def in_words(dimension: str, raw: object) -> str:
    """Write a value of any dimension for people."""
    if raw is None or raw == "":
        return t(text.NO_NAME)
    chosen = DIMENSIONS[dimension]
    if chosen.type == "String":
        return text.short(text.value(dimension, str(raw)))
    return t(chosen.text(raw))


def pairs(table: pa.Table, by: str, then: str, metric: str) -> shape.Shaped:
    """Shape an answer by two dimensions: columns `row`, `column`, `name`, `value`, `shown`.

    Of the second one the largest parts stay, and the others are summed up where they add up.
    """
    rows = list(
        zip(
            table.column(by).to_pylist(),
            table.column(then).to_pylist(),
            shape.figures(table, metric),
            strict=True,
        )
    )
    kept = _largest(rows, then)
    sums: dict[tuple[str, str], float] = {}
    for first, second, value in rows:
        part = in_words(then, second) if second in kept else t(shape.OTHER)
        if value is None or second not in kept and METRICS[metric].kind != "sum":
            continue
        key = (in_words(by, first), part)
        sums[key] = sums.get(key, 0.0) + value
    return _long(sums, [in_words(then, each) for each in kept], metric)


def _largest(rows: Sequence[tuple[Any, Any, float | None]], then: str) -> list[Any]:
    totals: dict[Any, float] = {}
    for _, second, value in rows:
        totals[second] = totals.get(second, 0.0) + (value or 0.0)
    kept = sorted(totals, key=lambda each: -totals[each])[:PARTS]
    chosen = DIMENSIONS[then]
    if chosen.is_ordered or chosen.is_time:
        return sorted(kept, key=lambda each: (each is None, each))
    return kept


def _long(sums: Mapping[tuple[str, str], float], parts: Sequence[str], metric: str) -> shape.Shaped:
    unit = METRICS[metric].unit
    order = {part: rank for rank, part in enumerate(dict.fromkeys((*parts, t(shape.OTHER))))}
    firsts = {first: rank for rank, first in enumerate(dict.fromkeys(f for f, _ in sums))}
    found = sorted(sums.items(), key=lambda each: (firsts[each[0][0]], order[each[0][1]]))
    axis = specs.axis_of(text.label(metric), unit, [value for _, value in found])
    rows = pa.table(
        {
            "row": pa.array([first for (first, _), _ in found], pa.string()),
            "column": pa.array([part for (_, part), _ in found], pa.string()),
            "name": pa.array([part for (_, part), _ in found], pa.string()),
            "rank": pa.array([order[part] for (_, part), _ in found], pa.int32()),
            "value": pa.array([value / axis.divisor for _, value in found], pa.float64()),
            "shown": pa.array([text.figure(value, unit) for _, value in found], pa.string()),
        }
    )
    return shape.Shaped(rows, axis)


def named(shaped: pa.Table, name: str) -> pa.Table:
    """Give rows over time the name that a chart of lines or areas wants."""
    return shaped.append_column(
        "name", pa.array([name] * shaped.num_rows, pa.string())
    ).append_column("rank", pa.array([0] * shaped.num_rows, pa.int32()))


@cached_per_language
def stacked_names(title: str, titles: tuple[str, str], bars: int, share: bool) -> specs.Spec:
    """Horizontal bars, stacked by `name`, one for each `row`, in the order of the data."""
    axis = alt.Axis(title=None, labelLimit=specs.NAME_PIXELS, domain=False, ticks=False)
    along = alt.Axis(title=None, format="%" if share else "~s", tickCount=5, domain=False)
    legend = alt.Legend(title=None, orient="right", labelLimit=specs.NAME_PIXELS)
    return specs.finish(
        specs.empty()
        .mark_bar()
        .encode(
            y=alt.Y("row:N", sort=specs.IN_ORDER, axis=axis),
            x=alt.X("value:Q", stack="normalize" if share else "zero", axis=along),
            color=alt.Color("name:N", sort=specs.IN_ORDER, legend=legend),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("row:N", title=titles[0]),
                alt.Tooltip("name:N", title=titles[1]),
                alt.Tooltip("shown:N", title=title),
            ],
        )
        .properties(height=max(specs.BAR_PIXELS * (bars + 1), 160))
    )


@cached_per_language
def heatmap(title: str, titles: tuple[str, str], rows: int) -> specs.Spec:
    """Colour a cell for each pair of `row` and `column`; columns are in the order of `rank`."""
    names = alt.Axis(title=None, labelLimit=specs.NAME_PIXELS, domain=False, ticks=False)
    below = alt.Axis(title=None, labelAngle=-35, labelLimit=110, domain=False, ticks=False)
    shade = alt.Color(
        "value:Q", scale=alt.Scale(zero=True), legend=alt.Legend(title=None, format="~s")
    )
    return specs.finish(
        specs.empty()
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("column:N", sort=alt.EncodingSortField("rank", op="min"), axis=below),
            y=alt.Y("row:N", sort=specs.IN_ORDER, axis=names),
            color=shade,
            tooltip=[
                alt.Tooltip("row:N", title=titles[0]),
                alt.Tooltip("column:N", title=titles[1]),
                alt.Tooltip("shown:N", title=title),
            ],
        )
        .properties(height=max(24 * rows + 70, 180))
    )
