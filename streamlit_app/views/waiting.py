"""Waiting: how long jobs wait, in which queue, of which size, at which hour, and over time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from clickhouse.query import Question
from clickhouse.totals import without_total
from streamlit_app import charts, data, forms, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header
from streamlit_app.figures import (
    ask_earlier,
    choose_comparison,
    earlier_questions,
    show_figures,
)
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.panels import (
    BARS,
    affordable,
    bands_of,
    bands_panel,
    histogram_of,
    histogram_panel,
    per_grain,
    quick,
    ranking_panel,
    spans_panel,
    table_panel,
)

KEY_FIGURES = ("wait_median", "wait_p90", "wait_avg", "wait_max")
BAND = ("wait_median", "wait_p90")
ASKED = (*BAND, "jobs")
LISTED = ("jobs", "wait_min", "wait_avg", "wait_median", "wait_p90", "wait_max")
HEAT = ("wait_avg", "wait_median", "jobs")
HEAT_SHOWN = "waiting_heat_metric"  # of the session state


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Waiting"), scope)
    period = choose_comparison("waiting", scope)
    requested = scope.question(ASKED, "requested_time_from")
    over_time = scope.over_time((*KEY_FIGURES, "jobs"))
    found, queues, sizes, users = data.answers(
        over_time,
        scope.question(LISTED, "queue"),
        scope.question(ASKED, "slots_from"),
        scope.question(("wait_avg", "jobs"), "user", limit=BARS),
        ahead=(
            *earlier_questions(over_time, period),
            bands_of("wait", scope),
            histogram_of("wait", scope),
            *quick(requested, _heat(HEAT[0], scope)),
        ),
    )
    per_step, totals = without_total(found)
    earlier = ask_earlier(over_time, scope, period)
    show_figures("waiting", KEY_FIGURES, totals, per_step, scope, earlier)
    jobs = shape.total(totals)
    bands_panel("waiting_time", t("Wait {steps}", steps=per_grain(scope)), "wait", scope)
    left, right = st.columns(2)
    with left:
        most = queues.take(pa.array(_most(queues), pa.int64())).select(["queue", *ASKED])
        spans_panel("waiting_queue", t("Median to 90 %, by queue"), "queue", BAND, most)
    with right:
        title = t("Median to 90 %, by slots")
        spans_panel("waiting_slots", title, "slots_from", BAND, sizes.sort_by("slots_from"))
    left, right = st.columns(2)
    with left:
        _by_requested_time(requested, jobs)
    with right:
        histogram_panel("waiting_histogram", "wait", scope)
    _heatmap(jobs, scope)
    left, right = st.columns([2, 3])
    with left:
        title = t("Top users by average wait")
        ranking_panel("waiting_user", title, "user", "wait_avg", users, scope)
    with right:
        table_panel("waiting_all", t("All queues"), queues)


def _most(queues: pa.Table) -> list[int]:
    """Give the rows of the queues with most jobs."""
    jobs = queues.column("jobs").to_pylist()
    return sorted(range(len(jobs)), key=lambda row: -jobs[row])[:BARS]


def _by_requested_time(question: Question, jobs: int) -> None:
    key, title = "waiting_requested", t("Median to 90 %, by requested time")
    if not affordable(key, title, jobs, question):
        return
    table = data.answer(question)
    table = table.filter(pc.is_valid(table.column("requested_time_from")))
    if not table.num_rows:
        with card(key, title, table):
            nothing(t("No job that these filters let through asked for it."))
        return
    spans_panel(key, title, "requested_time_from", BAND, table.sort_by("requested_time_from"))


def _heat(metric: str, scope: Scope) -> Question:
    """Ask for a figure and the jobs by the hours of the week in which jobs were submitted."""
    metrics = dict.fromkeys((metric, "jobs"))
    return scope.question(tuple(metrics), "submission_weekday", "submission_hour")


def _heatmap(jobs: int, scope: Scope) -> None:
    """Draw when jobs were submitted, or how long those wait that were submitted then."""
    title = t("By weekday and hour of the submission")
    offered = [name for name in HEAT if data.is_quick(_heat(name, scope), jobs)] or HEAT[:1]
    chosen = st.session_state.get(HEAT_SHOWN)  # what the control below was set to
    metric = str(chosen) if chosen in offered else offered[0]
    question = _heat(metric, scope)
    if not affordable("waiting_heat", title, jobs, question):
        return
    table = data.answer(question)
    with card("waiting_heat", title, table):
        if not table.num_rows or not jobs:
            nothing()
            return
        st.segmented_control(
            t("Show"),
            offered,
            format_func=text.label,
            default=offered[0],
            required=True,
            key=HEAT_SHOWN,
            persist_state="session",
            label_visibility="collapsed",
        )
        shaped = forms.heatmap(table, "submission_weekday", "submission_hour", metric)
        spec = charts.heatmap(
            shaped.axis.label,
            text.label("submission_hour"),
            text.label("submission_weekday"),
            text.unit_name(shaped.axis.unit),
        )
        draw(spec, shaped.table, f"waiting_heat_{metric}", title)
        note(metric, jobs)


show(current())
