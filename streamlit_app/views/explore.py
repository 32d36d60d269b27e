"""Explore: any figure by any one or two dimensions, in the chart that one wants.

All of it is in the address: a link is a saved view.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import streamlit as st

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import charts, data, explorer, linked, shape, specs, text
from streamlit_app.cards import card, draw, note, nothing, page_header, show_table
from streamlit_app.explorer import NOTHING, TIME
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.narrowing import offered
from streamlit_app.panels import draw_ranking

COUNTS = ("5", "10", "20", "50")
USUAL_COUNT = "10"
FEW = ("5", str(explorer.PARTS))
MOST, LEAST = "most", "least"
FIRST = ("core_hours", "jobs", "cpu_efficiency", "wait_avg", "wait_median", "memory_avg")
TABLE_ROWS = 5000


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Explore"), scope)
    metric, by, then = _question()
    chart, order, count = _looks(metric, by, then)
    title = _title(metric, by, then)
    if chart == "table":
        _table(title, metric, by, then, order, scope)
    elif then != NOTHING and TIME in (by, then):
        _over_time_by(title, metric, then if by == TIME else by, chart, count, scope)
    elif then != NOTHING:
        _by_two(title, metric, by, then, chart, order, count, scope)
    elif by == TIME:
        _over_time(title, metric, chart, scope)
    else:
        _by_one(title, metric, by, chart, order, count, scope)
    st.caption(t("The address of this page holds all that is chosen: keep it as a saved view."))


def _question() -> tuple[str, str, str]:
    metrics = (*FIRST, *(name for name in METRICS if name not in FIRST))
    dimensions = ("user", TIME, *(n for n in offered(*DIMENSIONS) if n != "user"))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        metric = linked.select(t("Figure"), "metric", metrics, text.label, width=260)
        by = linked.select(t("By"), "by", dimensions, _name, width=230)
        others = (NOTHING, *(name for name in dimensions if name != by))
        then = linked.select(t("And by"), "then", others, _name, width=230)
    return metric, by, then


def _name(dimension: str) -> str:
    if dimension == NOTHING:
        return "–"
    return t("Time") if dimension == TIME else text.label(dimension)


def _looks(metric: str, by: str, then: str) -> tuple[str, str, int]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chart = linked.select(
            t("Chart"),
            "chart",
            explorer.suited(metric, by, then),
            lambda name: t(explorer.CHARTS[name]),
            widget=st.segmented_control,
            required=True,
        )
        if (by, then) in ((TIME, NOTHING), (NOTHING, TIME)):
            return chart, MOST, int(USUAL_COUNT)
        few = explorer.is_coloured(chart, by, then)
        count = linked.select(
            t("How many"),
            "top",
            FEW if few else COUNTS,
            usual=FEW[-1] if few else USUAL_COUNT,
            widget=st.segmented_control,
            required=True,
        )
        order = linked.select(
            t("Order"),
            "order",
            (MOST, LEAST),
            lambda name: t("Most") if name == MOST else t("Least"),
            widget=st.segmented_control,
            required=True,
        )
    return chart, order, int(count)


def _title(metric: str, by: str, then: str) -> str:
    figure = text.label(metric)
    first = text.lower(_name(by))
    if then == NOTHING:
        return t("{figure} by {first}", figure=figure, first=first)
    second = text.lower(_name(then))
    return t("{figure} by {first} and {second}", figure=figure, first=first, second=second)


def _asked(metric: str) -> tuple[str, ...]:
    return (metric,) if metric == "jobs" else (metric, "jobs")


def _over_time(title: str, metric: str, chart: str, scope: Scope) -> None:
    [table] = data.answers(scope.question(_asked(metric), scope.grain))
    shaped = shape.over_time(table, metric, scope)
    with card("explore_card", title, table, shaped.axis.unit):
        if not shape.total(table):
            nothing()
            return
        label, rows = shaped.axis.label, shaped.table
        if chart == "columns":
            spec = charts.over_time(label, scope.grain)
        else:
            rows = explorer.named(rows, text.label(metric))
            spec = (charts.lines if chart == "lines" else charts.areas)(label, scope.grain)
        draw(spec, rows, f"explore_{metric}_{chart}_{scope.grain}", title)
        note(metric, shape.total(table))


def _over_time_by(
    title: str, metric: str, dimension: str, chart: str, count: int, scope: Scope
) -> None:
    """Draw the largest parts over time."""
    best, parts, whole = data.answers(
        scope.question(_asked(metric), dimension, limit=count),
        scope.question((metric,), scope.grain, dimension, limit=count),
        scope.question(_asked(metric), scope.grain),
    )
    order = [str(name) for name in best.column(dimension).to_pylist()]
    adds_up = METRICS[metric].kind == "sum" and not explorer.is_many(dimension)
    rest = whole if adds_up and chart != "heatmap" else None
    shaped = shape.parts_over_time(parts, dimension, metric, scope, order, rest)
    with card("explore_card", title, parts, "" if chart == "share" else shaped.axis.unit):
        if not shape.total(whole):
            nothing()
            return
        spec, rows = _time_chart(chart, shaped, dimension, scope)
        draw(spec, rows, f"explore_{metric}_{dimension}_{chart}_{scope.grain}", title)
        note(metric, shape.total(whole))


def _time_chart(
    chart: str, shaped: shape.Shaped, dimension: str, scope: Scope
) -> tuple[specs.Spec, pa.Table]:
    label, grain, rows = shaped.axis.label, scope.grain, shaped.table
    if chart == "heatmap":
        names = rows.column("name").to_pylist()
        times = rows.column("time").to_pylist()
        cells = pa.table(
            {
                "row": rows.column("name"),
                "column": rows.column("step"),
                "rank": pa.array([time.toordinal() for time in times], pa.int32()),
                "value": rows.column("value"),
                "shown": rows.column("shown"),
            }
        )
        titles = (text.label(dimension), t("When"))
        return explorer.heatmap(label, titles, len(set(names))), cells
    build = {"lines": charts.lines, "area": charts.areas}.get(chart)
    return (build(label, grain) if build else charts.stacked(label, grain, chart == "share")), rows


def _by_one(
    title: str, metric: str, by: str, chart: str, order: str, count: int, scope: Scope
) -> None:
    best, whole = data.answers(
        scope.question(_asked(metric), by, limit=count, ascending=order == LEAST),
        scope.question(_asked(metric)),
    )
    adds_up = METRICS[metric].kind == "sum" and not explorer.is_many(by)
    total = whole.column(metric)[0].as_py() if adds_up else None
    upright = shape.classes(best, by, metric)
    with card("explore_card", title, best, upright.axis.unit if chart == "columns" else ""):
        if not shape.total(best):
            nothing()
            return
        key = f"explore_{metric}_{by}_{order}_{count}"
        if chart == "bars":
            draw_ranking(shape.ranked(_worded(best, by), by, metric, total), key, title, by, scope)
        elif chart == "pie":
            shaped = shape.shares(_worded(best, by), by, metric, whole=total)
            draw(charts.donut(shaped.axis.label), shaped.table, f"{key}_pie", title)
        else:
            shaped = upright
            spec = charts.columns(shaped.axis.label, text.label(by))
            draw(spec, shaped.table, f"{key}_columns", title)
        note(metric, shape.total(best), t(" of these {count}", count=best.num_rows))


def _worded(table: pa.Table, by: str) -> pa.Table:
    """Write values that are numbers or dates for people."""
    if DIMENSIONS[by].type == "String":
        return table
    words = [explorer.in_words(by, value) for value in table.column(by).to_pylist()]
    return table.set_column(table.column_names.index(by), by, pa.array(words, pa.string()))


def _by_two(
    title: str,
    metric: str,
    by: str,
    then: str,
    chart: str,
    order: str,
    count: int,
    scope: Scope,
) -> None:
    question = scope.question((metric,), by, then, limit=count, ascending=order == LEAST)
    best, whole, table = data.answers(
        scope.question(_asked(metric), by, limit=count, ascending=order == LEAST),
        scope.question(("jobs",)),
        # the limit is on the first name: the other one is cut in the chart
        replace(question, names=(), limit=None) if _is_second(by, then) else question,
    )
    kept = set(best.column(by).to_pylist())
    wanted = [value in kept for value in table.column(by).to_pylist()]
    table = table.filter(pa.array(wanted, pa.bool_()))
    shaped = explorer.pairs(_in_order(table, best, by), by, then, metric)
    with card("explore_card", title, table, "" if chart == "share" else shaped.axis.unit):
        if not shape.total(whole) or not table.num_rows:
            nothing()
            return
        label, names, bars = text.label(metric), (text.label(by), text.label(then)), len(kept)
        spec = (
            explorer.heatmap(label, names, bars)
            if chart == "heatmap"
            else explorer.stacked_names(label, names, bars, chart == "share")
        )
        draw(spec, shaped.table, f"explore_{metric}_{by}_{then}_{chart}_{bars}", title)
        note(metric, shape.total(best))


def _is_second(by: str, then: str) -> bool:
    """Tell whether a question by both would rank the second one."""
    ranks = [name for name in (by, then) if not DIMENSIONS[name].is_time]
    named = [name for name in ranks if not DIMENSIONS[name].is_ordered]
    return next(iter((*named, *ranks)), by) != by


def _in_order(table: pa.Table, best: pa.Table, by: str) -> pa.Table:
    """Bring rows into the order of the ranking of their first dimension."""
    place = {value: i for i, value in enumerate(best.column(by).to_pylist())}
    order = sorted(range(table.num_rows), key=lambda i: place[table.column(by)[i].as_py()])
    return table.take(pa.array(order, pa.int64()))


def _table(title: str, metric: str, by: str, then: str, order: str, scope: Scope) -> None:
    dimensions = [scope.grain if name == TIME else name for name in (by, then) if name]
    [table] = data.answers(
        scope.question(_asked(metric), *dimensions, limit=TABLE_ROWS, ascending=order == LEAST)
    )
    with card("explore_card", title, table):
        if not table.num_rows:
            nothing()
            return
        show_table(table, f"explore_{'_'.join(dimensions)}", title)
        note(metric, shape.total(table))


show(current())
