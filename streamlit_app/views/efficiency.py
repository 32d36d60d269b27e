"""Efficiency: what became of the core time, and who asked for more than was used."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from clickhouse.totals import without_total
from streamlit_app import charts, data, forms, shape, specs, text
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
    draw_ranking,
    histogram_of,
    histogram_panel,
    lines_panel,
    per_grain,
    table_panel,
    time_panel,
)

KEY_FIGURES = (
    "cpu_efficiency", "cpu_hours", "core_hours", "system_share",
    "io", "io_wait_share", "memory_avg", "ram_avg",
)  # fmt: skip
OVER_TIME = (*KEY_FIGURES, "jobs", "user_cpu_hours", "system_cpu_hours")
BY_USER = ("core_hours", "cpu_hours", "cpu_efficiency", "system_share", "io_wait_share", "jobs")
MOST_USERS = 5000
QUANTITIES = ("memory", "ram")
# what was asked, and how much of it was not used (%)
REQUESTS = {
    "memory": ("requested_memory_avg", "requested_memory_unused"),
    "time": ("requested_time_avg", "requested_time_unused"),
}
REQUESTED = tuple(name for names in REQUESTS.values() for name in names)


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Efficiency"), scope)
    period = choose_comparison("efficiency", scope)
    with_requests = scope.question((*BY_USER, *REQUESTED), "user", limit=MOST_USERS)
    has_requests = data.is_quick(with_requests)
    over_time = scope.over_time(OVER_TIME)
    found, users, queues = data.answers(
        over_time,
        with_requests if has_requests else scope.question(BY_USER, "user", limit=MOST_USERS),
        scope.question(BY_USER, "queue", limit=MOST_USERS),
        ahead=(
            *earlier_questions(over_time, period),
            *(histogram_of(quantity, scope) for quantity in QUANTITIES),
        ),
    )
    per_step, totals = without_total(found)
    requests = users if has_requests else None
    users = users.select(["user", *BY_USER])
    earlier = ask_earlier(over_time, scope, period)
    show_figures("efficiency", KEY_FIGURES, totals, per_step, scope, earlier)
    left, right = st.columns(2)
    with left:
        _where_it_went(per_step, scope)
    with right:
        time_panel("efficiency_cpu", "cpu_efficiency", per_step, scope, earlier)
    left, right = st.columns(2)
    with left:
        _unused(users, scope)
    with right:
        _dots(users, totals)
    left, right = st.columns(2)
    with left:
        title = t("System share and I/O wait {steps}", steps=per_grain(scope))
        lines_panel("efficiency_system", title, per_step, ("system_share", "io_wait_share"), scope)
    with right:
        time_panel("efficiency_io", "io", per_step, scope, earlier)
    for place, quantity in zip(st.columns(2), QUANTITIES, strict=True):
        with place:
            histogram_panel(f"efficiency_by_{quantity}", quantity, scope)
    for name, place in zip(REQUESTS, st.columns(2), strict=True):
        with place:
            _asked_and_used(name, requests, shape.total(totals), scope)
    table_panel("efficiency_queues", t("All queues"), queues)


def _where_it_went(per_step: pa.Table, scope: Scope) -> None:
    title = t("Where core time went {steps}", steps=per_grain(scope))
    shaped = forms.over_parts(per_step, scope)
    columns = [scope.grain, "core_hours", "user_cpu_hours", "system_cpu_hours"]
    with card("efficiency_parts", title, per_step.select(columns), shaped.axis.unit):
        jobs = shape.total(per_step)
        if not jobs:
            nothing()
            return
        spec = charts.areas(shaped.axis.label, scope.grain)
        draw(spec, shaped.table, f"efficiency_parts_{scope.grain}", title)
        words = t("not used = core time − ru_utime − ru_stime")
        st.caption(text.plain(words))
        note("core_hours", jobs)


def _unused(users: pa.Table, scope: Scope) -> None:
    """Rank users by the core time that their jobs had and did not use."""
    title = t("Top users by unused core time")
    with card("efficiency_unused", title, users):
        rows = forms.unused(users, "user")[:BARS]
        if not rows:
            nothing()
            return
        shaped = shape.Shaped(shape.bars(rows), specs.axis_of(t("Unused core time"), "core-h", []))
        draw_ranking(shaped, "efficiency_unused", title, "user", scope)
        words = t("core time − CPU time, where positive; in brackets the CPU efficiency")
        st.caption(text.plain(words))
        note("core_hours", shape.total(users))


def _dots(users: pa.Table, totals: pa.Table) -> None:
    title = t("CPU efficiency over core time, one dot for each user")
    shown = users.slice(0, 500).select(["user", "core_hours", "cpu_efficiency", "jobs"])
    with card("efficiency_dots", title, shown, "%"):
        dotted = forms.dots(shown, "user", "core_hours", "cpu_efficiency", totals)
        if not dotted.num_rows:
            nothing()
            return
        spec = charts.dots(text.label("cpu_efficiency"), text.label("core_hours"))
        draw(spec, dotted, "efficiency_dots", title)
        note("cpu_efficiency", shape.total(shown))


def _asked_and_used(name: str, requests: pa.Table | None, jobs: int, scope: Scope) -> None:
    """Draw who asked for most more than was used, of memory or of time.

    Where many lines are read to tell, only if the reader wants it: of either, then.
    """
    asked, unused = REQUESTS[name]
    titles = {
        "memory": t("Memory asked for and used, by user"),
        "time": t("Time asked for and used, by user"),
    }
    if requests is None:
        question = scope.question((*REQUESTED, "jobs"), "user", limit=MOST_USERS)
        if not affordable(f"efficiency_{name}", titles[name], jobs, question):
            return
        requests = data.answer(question)
    table = requests.select(["user", asked, unused, "jobs"])
    with card(f"efficiency_{name}_asked", titles[name], table):
        rows = forms.requests(table, "user", asked, unused)[:BARS]
        if not rows:
            nothing(t("No job that these filters let through asked for it."))
            return
        shaped = forms.asked_in_unit(rows, asked)
        spec = charts.asked_and_used((t("Asked"), t("Used")))
        draw(spec, shaped, f"efficiency_{name}", titles[name])
        st.caption(
            text.plain(t("average used / asked of a job; those who left most unused come first"))
        )
        note(unused, shape.total(table))


show(current())
