"""Overview: the key figures, how they went over time, and who stands behind them."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import streamlit as st

from clickhouse.dimensions import DIMENSIONS
from clickhouse.query import Period, Question
from clickhouse.totals import without_total
from streamlit_app import charts, data, forms, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header
from streamlit_app.compare import asked_of
from streamlit_app.figures import (
    MEDIANS,
    QUICK,
    ask_earlier,
    choose_comparison,
    earlier_questions,
    show_all_figures,
    show_figures,
)
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.narrowing import offered
from streamlit_app.panels import (
    BARS,
    per_grain,
    quick,
    ranking_panel,
    shares_panel,
    table_panel,
    time_panel,
)
from streamlit_app.ranking import CLASSES

KEY_FIGURES = (
    "jobs", "core_hours", "cpu_hours", "cpu_efficiency",
    "memory_avg", "duration_avg", "wait_avg", "users",
)  # fmt: skip
WHO = ("core_hours", "jobs")


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Overview"), scope)
    period = choose_comparison("overview", scope)
    dimensions = _split(scope)
    over_time = scope.over_time(QUICK)
    found, classes, outcomes, days, *tops = data.answers(
        over_time,
        scope.question(("jobs", "core_hours"), "parallel_class"),
        scope.question(("attempts",), "outcome"),
        _days_of_last_year(scope),
        *(scope.question(WHO, each, limit=BARS) for each in dimensions),
        ahead=(
            *earlier_questions(over_time, period),
            *quick(scope.question(MEDIANS)),
        ),
    )
    per_step, totals = without_total(found)
    earlier = ask_earlier(over_time, scope, period)
    show_figures("overview", KEY_FIGURES, totals, per_step, scope, earlier)
    left, right = st.columns(2)
    with left:
        time_panel("overview_jobs", "jobs", per_step, scope, earlier)
    with right:
        time_panel("overview_core_hours", "core_hours", per_step, scope, earlier)
    whole = totals.column("core_hours")[0].as_py()
    for pair in zip(dimensions[::2], dimensions[1::2], strict=False):
        for place, each in zip(st.columns(2), pair, strict=True):
            with place:
                _top(each, tops[dimensions.index(each)], scope, whole)
    left, right = st.columns(2)
    with left:
        title = t("Jobs by parallel class")
        shares_panel("overview_classes", title, "parallel_class", "jobs", classes, CLASSES)
    with right:
        title = t("How attempts ended")
        ranking_panel("overview_outcomes", title, "outcome", "attempts", outcomes, scope)
    _calendar_card(days, scope)
    show_all_figures("overview", totals, scope)
    table_panel("overview_table", t("All figures {steps}", steps=per_grain(scope)), per_step)


def _split(scope: Scope) -> tuple[str, ...]:
    """Choose an even number of dimensions, by what the settings say of the site."""
    found = ("user", "group", "queue", *offered("metagroup"))
    return found if len(found) % 2 == 0 else (*found, "project")


def _top(dimension: str, table: pa.Table, scope: Scope, whole: float | None) -> None:
    title = t("Top {what} by core time", what=text.lower(text.labels(dimension)))
    share = None if DIMENSIONS[dimension].is_many else whole
    ranking_panel(f"overview_{dimension}", title, dimension, "core_hours", table, scope, share)


def _days_of_last_year(scope: Scope) -> Question:
    """Ask for the days of the latest year that the page is about."""
    start = max(scope.first, date(scope.last.year, 1, 1))
    return asked_of(scope.question(("jobs",), "day"), Period(start, scope.last + timedelta(days=1)))


def _calendar_card(days: pa.Table, scope: Scope) -> None:
    if scope.grain == "day":
        return  # the bars above show the days
    title = t("Executed jobs per day of {year}", year=scope.last.year)
    with card("overview_calendar", title, days):
        jobs = shape.total(days)
        if not jobs:
            nothing()
            return
        shaped = forms.calendar(days, "jobs", scope.last.year)
        alt = t("Executed jobs per day of the year")
        draw(charts.calendar(text.label("jobs")), shaped, "overview_calendar", alt)
        note("jobs", jobs)


show(current())
