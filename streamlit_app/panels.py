"""Cards that several pages have: over time, rankings, shares, parts over time, tables."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import streamlit as st

from clickhouse.dimensions import SPANS
from clickhouse.distributions import LEVELS, QUANTITIES, Bands, Histogram
from clickhouse.metrics import METRICS
from clickhouse.query import Question
from streamlit_app import charts, data, forms, shape, text
from streamlit_app.cards import card, draw, draw_clickable, note, nothing, show_table
from streamlit_app.figures import Earlier
from streamlit_app.filters import Scope
from streamlit_app.i18n import t, tn
from streamlit_app.narrowing import NAMED

BARS = 10
TIME_EDGES = tuple(float(seconds) for seconds in SPANS)
MEMORY_EDGES = (0.0, *(2.0**power for power in range(-2, 12)))  # GiB


def per_grain(scope: Scope) -> str:
    """Say how long the steps of a chart over time are: `per month`."""
    return {"day": t("per day"), "month": t("per month"), "year": t("per year")}[scope.grain]


def time_panel(
    key: str, metric: str, per_step: pa.Table, scope: Scope, earlier: Earlier | None = None
) -> None:
    """Draw a figure over time, with the earlier period's behind it."""
    title = t("{figure} {steps}", figure=text.label(metric), steps=per_grain(scope))
    shaped = shape.over_time(per_step, metric, scope, _before(metric, earlier, scope))
    with card(key, title, per_step.select([scope.grain, metric]), shaped.axis.unit):
        jobs = shape.total(per_step)
        if not jobs:
            nothing()
            return
        spec = charts.over_time(shaped.axis.label, scope.grain, _has_before(shaped))
        draw(spec, shaped.table, f"{key}_{metric}_{scope.grain}", title)
        note(metric, jobs, more=_peak(shaped))


def _before(metric: str, earlier: Earlier | None, scope: Scope) -> list[float | None]:
    # a shorter month can make steps of another length
    if earlier is None or earlier.scope.grain != scope.grain or not shape.total(earlier.totals):
        return []
    return shape.series(earlier.per_step, metric, earlier.scope)


def _has_before(shaped: shape.Shaped) -> bool:
    return "before" in shaped.table.column_names


def _peak(shaped: shape.Shaped) -> str:
    known = [row for row in shaped.table.to_pylist() if not text.is_missing(row["value"])]
    if not known:
        return ""
    top = max(known, key=lambda row: row["value"])
    return t("highest: {step}, {figure}", step=top["step"], figure=top["shown"])


def ranking_panel(
    key: str,
    title: str,
    dimension: str,
    metric: str,
    table: pa.Table,
    scope: Scope,
    whole: float | None = None,
    jobs: int = 0,
) -> None:
    """Draw an answer by one dimension as bars in its order, with shares of the whole.

    Where these have none of the `jobs` of all, they are drawn too.
    """
    with card(key, title, table):
        counted = "attempts" if metric == "attempts" else "jobs"
        shaped = shape.ranked(table, dimension, metric, whole)
        if not shaped.table.num_rows or not (shape.total(table, counted) or jobs):
            nothing()
            return
        draw_ranking(shaped, f"{key}_{dimension}_{metric}", title, dimension, scope)
        if rest := _rest(table, metric, whole):
            st.caption(rest)
        whose = t(" of these {count}", count=text.whole(table.num_rows)) if whole else ""
        stands_on(metric, shape.total(table, counted), whose)


def _rest(table: pa.Table, metric: str, whole: float | None) -> str:
    known = sum(value or 0.0 for value in shape.figures(table, metric))
    if not whole or whole - known <= 1e-9 * whole:
        return ""
    unit, rest = METRICS[metric].unit, whole - known
    figure, part = text.figure(rest, unit), text.percent(rest / whole)
    return text.plain(t("All others: {figure}, {share}", figure=figure, share=part))


def draw_ranking(shaped: shape.Shaped, key: str, title: str, dimension: str, scope: Scope) -> None:
    """Draw a ranking; a click on a bar narrows all pages where the dimension has a filter."""
    clickable = dimension in NAMED
    spec = charts.ranking(shaped.axis.label, clickable)
    if clickable:
        draw_clickable(spec, shaped.table, key, title, dimension, scope)
    else:
        draw(spec, shaped.table, key, title)


def shares_panel(
    key: str,
    title: str,
    dimension: str,
    metric: str,
    table: pa.Table,
    order: Sequence[str] = (),
    whole: float | None = None,
) -> None:
    """Draw an answer by one dimension as the parts of a ring; with the whole, others too."""
    with card(key, title, table):
        counted = "attempts" if metric == "attempts" else "jobs"
        if not table.num_rows or not shape.total(table, counted):
            nothing()
            return
        shaped = shape.shares(table, dimension, metric, order, whole)
        if not shaped.table.num_rows:
            nothing(t("All of these are zero."))
            return
        draw(charts.donut(shaped.axis.label), shaped.table, f"{key}_{metric}", title)
        stands_on(metric, shape.total(table, counted))


def parts_panel(
    key: str,
    title: str,
    metric: str,
    shaped: shape.Shaped,
    scope: Scope,
    jobs: int,
    table: pa.Table,
    form: str = "",
    alt: str = "",
) -> None:
    """Draw parts over time; `form` is areas, lines or share, else bars.

    `alt` is what the title says that is so of any rows.
    """
    with card(key, title, table, "" if form == "share" else shaped.axis.unit):
        if not jobs or not shaped.table.num_rows:
            nothing()
            return
        label, grain = shaped.axis.label, scope.grain
        build = {"areas": charts.areas, "lines": charts.lines}.get(form)
        spec = build(label, grain) if build else charts.stacked(label, grain, form == "share")
        draw(spec, shaped.table, f"{key}_{metric}_{grain}_{form}", alt or title)
        stands_on(metric, jobs)


def stands_on(metric: str, rows: int, whose: str = "") -> None:
    """Say how a figure is computed, and on how many jobs or attempts it stands."""
    if metric != "attempts":
        note(metric, rows, whose)
        return
    formula = text.plain(f"{text.label(metric)} = {text.formula(metric)}")
    st.caption(f"{formula}  ·  {tn('{count} attempt', '{count} attempts', rows)}{whose}")


def table_panel(key: str, title: str, table: pa.Table) -> None:
    """Draw an answer as a table."""
    with card(key, title, table):
        if not table.num_rows:
            nothing()
            return
        show_table(table, key, title)


def quick(*questions: Question) -> list[Question]:
    """List the optional questions of a page that a rollup answers, to ask them with the rest."""
    return [question for question in questions if data.is_quick(question)]


def affordable(key: str, title: str, jobs: int, question: Question) -> bool:
    """Tell whether to ask; where many lines have to be read for it, only if the reader wants it."""
    wanted = f"{key}_wanted"
    if st.session_state.get(wanted) or data.is_quick(question, jobs):
        return True
    with card(f"{key}_offer", title, None):
        st.caption(t("This reads {count} lines, which takes some seconds.", count=text.whole(jobs)))
        st.button(t("Show"), key=f"{key}_show", on_click=_want, args=(wanted,))
    return False


def _want(key: str) -> None:
    st.session_state[key] = True


def lines_panel(
    key: str, title: str, per_step: pa.Table, metrics: Sequence[str], scope: Scope
) -> None:
    """Draw several figures of one unit over time, a line each."""
    shaped = forms.figures_over_time(per_step, metrics, scope)
    with card(key, title, per_step.select([scope.grain, *metrics]), shaped.axis.unit):
        jobs = shape.total(per_step)
        if not jobs or not shaped.table.num_rows:
            nothing()
            return
        draw(charts.lines(title, scope.grain), shaped.table, f"{key}_{scope.grain}", title)
        for metric in metrics:
            note(metric, jobs)


def bands_of(quantity: str, scope: Scope) -> Bands:
    """Write the question of `bands_panel`."""
    return Bands(quantity, scope.grain, (), LEVELS, scope.period, scope.filters)


def bands_panel(key: str, title: str, quantity: str, scope: Scope) -> None:
    """Draw how jobs differ over time: their median, the middle half, and four in five of them."""
    table = data.answer(bands_of(quantity, scope))
    shaped = forms.bands(table, quantity, scope)
    with card(key, title, table, shaped.axis.unit):
        if not shape.total(table):
            nothing()
            return
        names = tuple(f"{level} %" for level in LEVELS)
        draw(charts.bands(scope.grain, names), shaped.table, f"{key}_{scope.grain}", title)
        words = t(
            "line: the median, half of the jobs have at most this; dark: 25 % to 75 %;"
            " light: 10 % to 90 %"
        )
        jobs = tn("from {count} executed job", "from {count} executed jobs", shape.total(table))
        st.caption(f"{text.plain(words)}  ·  {jobs}{t(', where known')}")


def histogram_of(quantity: str, scope: Scope) -> Histogram:
    """Write the question of `histogram_panel`."""
    edges = TIME_EDGES if QUANTITIES[quantity].unit == "s" else MEMORY_EDGES
    return Histogram(quantity, edges, (), scope.period, scope.filters)


def histogram_panel(key: str, quantity: str, scope: Scope) -> None:
    """Draw how many jobs have which duration, wait, or amount of memory."""
    label = t(QUANTITIES[quantity].label)
    title = t("Executed jobs by {quantity}", quantity=text.lower(label))
    table = data.answer(histogram_of(quantity, scope))
    with card(key, title, table):
        if not shape.total(table):
            nothing()
            return
        bars = forms.bins(table, QUANTITIES[quantity].unit)
        draw(charts.columns(text.label("jobs"), label), bars, key, title)
        note("jobs", shape.total(table), t(", where known"))


def spans_panel(
    key: str, title: str, dimension: str, metrics: tuple[str, str], table: pa.Table
) -> None:
    """Draw two figures of one unit for each value of a dimension, joined by a line."""
    with card(key, title, table):
        shaped = forms.spans(table, dimension, *metrics)
        if not shaped.table.num_rows:
            nothing()
            return
        spec = charts.spans((text.label(metrics[0]), text.label(metrics[1])))
        draw(spec, shaped.table, f"{key}_{dimension}", title)
        for metric in metrics:
            note(metric, shape.total(table))
