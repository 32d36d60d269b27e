"""Totals: what everybody may see, without a name and without a figure of a few people."""

from __future__ import annotations

import streamlit as st

from streamlit_app import access, data, text
from streamlit_app.cards import page_header
from streamlit_app.figures import show_figures
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.panels import (
    BARS,
    per_grain,
    ranking_panel,
    shares_panel,
    table_panel,
    time_panel,
)
from streamlit_app.ranking import CLASSES

FIGURES = (
    "jobs", "core_hours", "cpu_hours", "cpu_efficiency",
    "memory_avg", "duration_avg", "wait_avg", "failure_rate",
)  # fmt: skip
PLACES = ("cluster", "queue")


def show(scope: Scope) -> None:
    """Draw the page; whoever looks sees what the public sees."""
    page_header(t("Totals"), scope)
    totals, per_step, classes, outcomes, *tops = data.answers(
        scope.question(FIGURES),
        scope.question(FIGURES, scope.grain),
        scope.question(("jobs", "core_hours"), "parallel_class"),
        scope.question(("attempts",), "outcome"),
        *(scope.question(("core_hours", "jobs"), each, limit=BARS) for each in PLACES),
    )
    show_figures("totals", FIGURES, totals, per_step, scope, None)
    left, right = st.columns(2)
    with left:
        time_panel("totals_jobs", "jobs", per_step, scope)
    with right:
        time_panel("totals_core_hours", "core_hours", per_step, scope)
    whole = totals.column("core_hours")[0].as_py()
    for place, each, table in zip(st.columns(2), PLACES, tops, strict=True):
        with place:
            title = t("Top {what} by core time", what=text.lower(text.labels(each)))
            ranking_panel(f"totals_{each}", title, each, "core_hours", table, scope, whole)
    left, right = st.columns(2)
    with left:
        title = t("Jobs by parallel class")
        shares_panel("totals_classes", title, "parallel_class", "jobs", classes, CLASSES)
    with right:
        title = t("How attempts ended")
        ranking_panel("totals_outcomes", title, "outcome", "attempts", outcomes, scope)
    table_panel("totals_table", t("All figures {steps}", steps=per_grain(scope)), per_step)
    st.caption(t("What fewer than five people make up is not shown."))


with access.acting_for(access.as_public()):
    show(current())
