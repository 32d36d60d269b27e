"""Overview: the key figures, how they went over time, and who stands behind them."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import calendars, charts, data, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header
from streamlit_app.filters import Scope, current
from streamlit_app.ranking import BARS, CLASSES, draw_ranking

KEY_FIGURES = (
    "jobs", "core_hours", "cpu_hours", "cpu_efficiency",
    "memory_avg", "duration_avg", "wait_avg", "users",
)  # fmt: skip


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header("Overview", scope)
    totals, per_step, users, groups, classes, outcomes = data.answers(
        scope.question(KEY_FIGURES),
        scope.question(KEY_FIGURES, scope.grain),
        scope.question(("core_hours", "jobs"), "user", limit=BARS),
        scope.question(("core_hours", "jobs"), "group", limit=BARS),
        scope.question(("jobs", "core_hours"), "parallel_class"),
        scope.question(("attempts",), "outcome"),
    )
    _key_figures(totals, per_step, scope)
    left, right = st.columns(2)
    with left:
        _time_card("jobs", per_step, scope)
    with right:
        _time_card("core_hours", per_step, scope)
    left, right = st.columns(2)
    with left:
        _top_card("user", users, scope)
    with right:
        _top_card("group", groups, scope)
    left, right = st.columns(2)
    with left:
        _classes_card(classes)
    with right:
        _outcomes_card(outcomes, scope)


def _key_figures(totals: pa.Table, per_step: pa.Table, scope: Scope) -> None:
    jobs = shape.total(totals)
    with st.grid(4, min_column_width=215, gap="small", key="figures"):
        for name in KEY_FIGURES:
            _key_figure(name, totals.column(name)[0].as_py(), per_step, scope, jobs)


def _key_figure(
    name: str, value: float | None, per_step: pa.Table, scope: Scope, jobs: int
) -> None:
    metric = METRICS[name]
    known = [figure for figure in shape.series(per_step, name, scope) if figure is not None]
    formula = f"{metric.formula}. Exactly: {text.exact(value, metric.unit)}."
    st.metric(
        metric.label,
        text.figure(value, metric.unit) if jobs else text.MISSING,
        help=text.plain(formula if jobs else metric.formula),
        border=True,
        height="stretch",
        chart_data=known if jobs and len(known) > 1 else None,
        chart_type="area",
        delta_color="primary",
    )


def _time_card(metric: str, per_step: pa.Table, scope: Scope) -> None:
    chosen = METRICS[metric]
    title = f"{chosen.label} per {scope.grain}"
    with card(f"overview_{metric}", title, per_step.select([scope.grain, metric]), chosen.unit):
        jobs = shape.total(per_step)
        if not jobs:
            nothing()
            return
        shaped = shape.over_time(per_step, metric, scope)
        spec = charts.over_time(shaped.axis.label, scope.grain)
        draw(spec, shaped.table, f"overview_{metric}_{scope.grain}", _peak(title, shaped, scope))
        note(metric, jobs)


def _peak(title: str, shaped: shape.Shaped, scope: Scope) -> str:
    rows = shaped.table.to_pylist()
    top = max(rows, key=lambda row: row["value"] or 0.0)
    first, last = (calendars.label(scope.grain, rows[i]["time"]) for i in (0, -1))
    return f"{title}, {first} to {last}, highest in {top['step']} with {top['shown']}"


def _top_card(dimension: str, table: pa.Table, scope: Scope) -> None:
    title = f"Top {DIMENSIONS[dimension].label.lower()}s by core time"
    with card(f"overview_{dimension}", title, table):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        shaped = shape.ranked(table, dimension, "core_hours")
        draw_ranking(shaped, f"overview_{dimension}", title, dimension, scope)
        note("core_hours", jobs, f" of these {shaped.table.num_rows}")


def _classes_card(table: pa.Table) -> None:
    title = "Jobs by parallel class"
    with card("overview_classes", title, table):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        shaped = shape.shares(table, "parallel_class", "jobs", CLASSES)
        draw(charts.donut(METRICS["jobs"].label), shaped.table, "overview_classes", title)
        note("jobs", jobs)


def _outcomes_card(table: pa.Table, scope: Scope) -> None:
    title = "How attempts ended"
    with card("overview_outcomes", title, table):
        attempts = shape.total(table, "attempts")
        if not attempts:
            nothing("No line matches these filters.")
            return
        shaped = shape.ranked(table, "outcome", "attempts")
        draw_ranking(shaped, "overview_outcomes", title, "outcome", scope)
        formula = METRICS["attempts"].formula
        st.caption(f"{text.plain(formula)}  ·  {text.count(attempts, 'attempt')}")


show(current())
