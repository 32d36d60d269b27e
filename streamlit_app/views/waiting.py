"""Waiting: how long jobs wait, in which queue, of which size, at which hour, and over time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from streamlit_app import charts, data, forms, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header
from streamlit_app.figures import ask_earlier, choose_comparison, show_figures
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.panels import (
    BARS,
    affordable,
    bands_panel,
    histogram_panel,
    per_grain,
    ranking_panel,
    spans_panel,
    table_panel,
)

KEY_FIGURES = ("wait_median", "wait_p90", "wait_avg", "wait_max")
BAND = ("wait_median", "wait_p90")
ASKED = (*BAND, "jobs")
LISTED = ("jobs", "wait_min", "wait_avg", "wait_median", "wait_p90", "wait_max")
HEAT = ("jobs", "wait_avg", "wait_median")


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Waiting"), scope)
    period = choose_comparison("waiting", scope)
    totals, per_step, queues, sizes, users = data.answers(
        scope.question((*KEY_FIGURES, "jobs")),
        scope.question((*KEY_FIGURES, "jobs"), scope.grain),
        scope.question(LISTED, "queue"),
        scope.question(ASKED, "slots_from"),
        scope.question(("wait_avg", "jobs"), "user", limit=BARS),
    )
    earlier = ask_earlier(KEY_FIGURES, scope, period)
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
        _by_line("waiting_requested", t("Median to 90 %, by requested time"), jobs, scope)
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


def _by_line(key: str, title: str, jobs: int, scope: Scope) -> None:
    if not affordable(key, title, jobs):
        return
    [table] = data.answers(scope.question(ASKED, "requested_time_from"))
    table = table.filter(pc.is_valid(table.column("requested_time_from")))
    if not table.num_rows:
        with card(key, title, table):
            nothing(t("No job that these filters let through asked for it."))
        return
    spans_panel(key, title, "requested_time_from", BAND, table.sort_by("requested_time_from"))


def _heatmap(jobs: int, scope: Scope) -> None:
    """Draw when jobs were submitted, or how long those wait that were submitted then."""
    title = t("By weekday and hour of the submission")
    if not affordable("waiting_heat", title, jobs):
        return
    [table] = data.answers(scope.question(HEAT, "submission_weekday", "submission_hour"))
    with card("waiting_heat", title, table):
        if not table.num_rows or not jobs:
            nothing()
            return
        metric = st.segmented_control(
            t("Show"),
            HEAT,
            format_func=text.label,
            default="wait_median",
            required=True,
            key="waiting_heat_metric",
            persist_state="session",
            label_visibility="collapsed",
        )
        metric = metric if metric in HEAT else "wait_median"
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
