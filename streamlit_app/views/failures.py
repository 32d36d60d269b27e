"""Failures: how attempts ended, what the codes say, what was lost, and nodes out of line."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from clickhouse.query import Question
from clickhouse.totals import without_total
from streamlit_app import charts, data, forms, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header, show_table
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
    parts_panel,
    per_grain,
    quick,
    ranking_panel,
    stands_on,
    time_panel,
)

KEY_FIGURES = ("failed_jobs", "failure_rate", "lost_core_hours", "attempts")
OUTCOMES = (
    "error", "failed", "killed", "over its limit", "rescheduled", "never started", "running",
)  # fmt: skip
SIGMAS = 3.0  # that chance alone hardly reaches
NODES = ("failed_jobs", "failure_rate", "lost_core_hours", "jobs")
MOST_NODES = 2000
CODE_PIXELS = 240  # for what a code means


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Failures"), scope)
    period = choose_comparison("failures", scope)
    lost = ("lost_core_hours", "jobs")
    exits = scope.question(("attempts",), "exit_status", limit=100)
    nodes = scope.question(NODES, "node", limit=MOST_NODES)
    over_time = scope.over_time((*KEY_FIGURES, "jobs"))
    found, outcomes, parts, codes, users, queues = data.answers(
        over_time,
        scope.question(("attempts",), "outcome"),
        scope.question(("attempts",), scope.grain, "outcome"),
        scope.question(("attempts",), "failed"),
        scope.question(lost, "user", limit=BARS),
        scope.question(lost, "queue", limit=BARS),
        ahead=(*earlier_questions(over_time, period), *quick(exits, nodes)),
    )
    per_step, totals = without_total(found)
    earlier = ask_earlier(over_time, scope, period)
    show_figures("failures", KEY_FIGURES, totals, per_step, scope, earlier)
    left, right = st.columns([2, 3])
    with left:
        title = t("How attempts ended")
        ranking_panel("failures_outcomes", title, "outcome", "attempts", outcomes, scope)
    with right:
        _over_time(parts, scope)
    left, right = st.columns(2)
    with left:
        _codes_card("failures_failed", t("What the scheduler says: failed"), "failed", codes)
    with right:
        _exit_card(exits, shape.total(outcomes, "attempts"))
    left, right = st.columns(2)
    with left:
        time_panel("failures_rate", "failure_rate", per_step, scope, earlier)
    with right:
        time_panel("failures_lost", "lost_core_hours", per_step, scope, earlier)
    whole = totals.column("lost_core_hours")[0].as_py()
    for place, name, table in zip(st.columns(2), ("user", "queue"), (users, queues), strict=True):
        with place:
            title = t("Lost core time, by {what}", what=text.lower(text.label(name)))
            ranking_panel(f"failures_{name}", title, name, "lost_core_hours", table, scope, whole)
    _nodes_card(nodes, shape.total(totals))


def _over_time(parts: pa.Table, scope: Scope) -> None:
    """Draw the attempts that did not end well; those that did would hide them."""
    title = t("Attempts that did not end with done, {steps}", steps=per_grain(scope))
    present = set(parts.column("outcome").to_pylist())
    order = [name for name in OUTCOMES if name in present]
    shaped = shape.parts_over_time(parts, "outcome", "attempts", scope, order)
    attempts = shape.total(parts, "attempts")
    if attempts and not order:
        with card("failures_time", title, parts):
            nothing(t("All attempts ended well."))
        return
    parts_panel("failures_time", title, "attempts", shaped, scope, attempts, parts)


def _codes_card(key: str, title: str, dimension: str, table: pa.Table) -> None:
    """Draw codes in words, those that say nothing of a failure left out."""
    with card(key, title, table):
        rows = forms.codes(table, dimension)[: 2 * BARS]
        if not rows:
            nothing(t("No attempt has a code that tells of a failure."))
            return
        shaped = shape.bars(rows)
        spec = charts.ranking(text.label("attempts"), False, CODE_PIXELS)
        draw(spec, shaped, key, title)
        stands_on("attempts", shape.total(table, "attempts"))


def _exit_card(question: Question, attempts: int) -> None:
    title = t("What the job said: exit status")
    if affordable("failures_exits", title, attempts, question):
        _codes_card("failures_exits", title, "exit_status", data.answer(question))


def _nodes_card(question: Question, jobs: int) -> None:
    """Draw the failure rate of each node over its jobs, and list those that are out of line."""
    title = t("Failure rate of each node over its executed jobs")
    if not affordable("failures_nodes", title, jobs, question):
        return
    table = data.answer(question)
    with card("failures_nodes", title, table, "%"):
        dotted, odd = forms.outliers(table, "node", "failure_rate", "failed_jobs", SIGMAS)
        if not dotted.num_rows:
            nothing()
            return
        spec = charts.dots(text.label("failure_rate"), text.label("jobs"))
        draw(spec, dotted, "failures_nodes", title)
        words = t("out of line: more failures than chance would give as many jobs (3 σ)")
        st.caption(text.plain(words))
        note("failure_rate", shape.total(table))
        if odd:
            listed = pa.Table.from_pylist(odd, schema=table.schema)
            shown = listed.select(["node", *NODES]).sort_by([("failed_jobs", "descending")])
            show_table(shown, "failures_odd", t("Nodes out of line"))


show(current())
