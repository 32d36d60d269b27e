"""Job sizes: sequential or parallel, on one node or several, with how many slots, and by whom."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import streamlit as st

from clickhouse.metrics import METRICS
from streamlit_app import charts, data, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import mark, t
from streamlit_app.narrowing import offered
from streamlit_app.panels import parts_panel, per_grain, shares_panel, table_panel
from streamlit_app.ranking import CLASSES, LISTED

COUNTED = ("jobs", "core_hours")
SHARE, AMOUNT = "share", "amount"
FORMS = {AMOUNT: mark("Amount"), SHARE: mark("Share")}
RUNNERS = ("user", "group", "metagroup", "project", "queue")
MOST_RUNNERS = 15


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Job sizes"), scope)
    form, runner = _controls()
    over_time, classes, slots, runners = data.answers(
        scope.question(COUNTED, scope.grain, "parallel_class"),
        scope.question(LISTED, "parallel_class"),
        scope.question(LISTED, "slots"),
        scope.question(("core_hours", "jobs"), runner, "parallel_class", limit=MOST_RUNNERS),
    )
    for metric, place in zip(COUNTED, st.columns(2), strict=True):
        with place:
            _time_card(metric, over_time, scope, form)
    for metric, place in zip(COUNTED, st.columns(2), strict=True):
        with place:
            title = t("{figure}, shares by parallel class", figure=text.label(metric))
            table = classes.select(list(dict.fromkeys(["parallel_class", metric, "jobs"])))
            key = f"sizes_share_{metric}"
            shares_panel(key, title, "parallel_class", metric, table, CLASSES)
    for metric, place in zip(COUNTED, st.columns(2), strict=True):
        with place:
            _slots_card(metric, slots)
    _runners_card(runner, runners)
    table_panel("sizes_classes", t("All figures by parallel class"), classes)
    table_panel("sizes_slots", t("All figures by slots"), slots.sort_by("slots"))


def _controls() -> tuple[str, str]:
    """Let the reader choose amounts or shares, and by whom."""
    runners = offered(*RUNNERS)
    with st.container(horizontal=True, gap="medium"):
        form = st.segmented_control(
            t("Over time"),
            list(FORMS),
            format_func=lambda name: t(FORMS[name]),
            default=AMOUNT,
            required=True,
            key="sizes_form",
            persist_state="session",
            label_visibility="collapsed",
        )
        runner = st.segmented_control(
            t("Who runs what"),
            runners,
            format_func=text.labels,
            default=runners[0],
            required=True,
            key="sizes_runner",
            persist_state="session",
            label_visibility="collapsed",
        )
    # what the browser sends is not bound to the options
    return SHARE if form == SHARE else AMOUNT, runner if runner in runners else runners[0]


def _time_card(metric: str, table: pa.Table, scope: Scope, form: str) -> None:
    title = t(
        "{figure} {steps} by parallel class", figure=text.label(metric), steps=per_grain(scope)
    )
    present = set(table.column("parallel_class").to_pylist())
    order = [name for name in CLASSES if name in present]
    shaped = shape.parts_over_time(table, "parallel_class", metric, scope, order)
    jobs = shape.total(table)
    parts_panel(f"sizes_{metric}", title, metric, shaped, scope, jobs, table, form)


def _slots_card(metric: str, table: pa.Table) -> None:
    title = t("{figure} by slots", figure=text.label(metric))
    counted = table.select(["slots", metric]).sort_by("slots")
    with card(f"sizes_slots_{metric}", title, counted, METRICS[metric].unit):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        shaped = shape.slot_classes(table, metric)
        spec = charts.columns(shaped.axis.label, text.label("slots"))
        draw(spec, shaped.table, f"sizes_slots_{metric}", title)
        note(metric, jobs)


def _runners_card(runner: str, table: pa.Table) -> None:
    what = text.lower(text.labels(runner))
    title = t("Who runs what: top {count} {what} by core time", count=MOST_RUNNERS, what=what)
    with card("sizes_runners", title, table):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        shaped = _compositions(table, runner)
        spec = charts.compositions(text.label("core_hours"), text.label("parallel_class"))
        draw(spec, shaped, f"sizes_runners_{runner}", title)
        note("core_hours", jobs)


def _compositions(table: pa.Table, runner: str) -> pa.Table:
    """Shape core hours by name and class, as shares of the name's, the largest name first."""
    found: dict[str, dict[str, float]] = {}
    for row in table.to_pylist():
        found.setdefault(str(row[runner]), {})[row["parallel_class"]] = row["core_hours"] or 0.0
    ordered = sorted(found.items(), key=lambda item: -sum(item[1].values()))
    rows = [
        (text.short(text.value(runner, name)), each, parts[each], sum(parts.values()))
        for name, parts in ordered
        for each in CLASSES
        if parts.get(each)
    ]
    return pa.table(_columns(rows))


def _columns(rows: list[tuple[str, str, float, float]]) -> Mapping[str, pa.Array]:
    def words(value: float, whole: float) -> str:
        return f"{text.figure(value, 'core-h')} ({text.percent(value / whole)})"

    return {
        "name": pa.array([name for name, *_ in rows], pa.string()),
        "part": pa.array([text.value("parallel_class", p) for _, p, _, _ in rows], pa.string()),
        "rank": pa.array([CLASSES.index(part) for _, part, _, _ in rows], pa.int32()),
        "value": pa.array([value / whole for _, _, value, whole in rows], pa.float64()),
        "shown": pa.array([words(value, whole) for _, _, value, whole in rows], pa.string()),
    }


show(current())
