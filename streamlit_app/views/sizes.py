"""Job sizes: sequential or parallel, on one node or several, and with how many slots."""

from __future__ import annotations

import pyarrow as pa
import streamlit as st

from clickhouse.metrics import METRICS
from streamlit_app import charts, data, shape
from streamlit_app.cards import card, draw, note, nothing, page_header, show_table
from streamlit_app.filters import Scope, current
from streamlit_app.ranking import CLASSES, LISTED

COUNTED = ("jobs", "core_hours")
AMOUNT, SHARE = "Amount", "Share"


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header("Job sizes", scope)
    over_time, classes, slots = data.answers(
        scope.question(COUNTED, scope.grain, "parallel_class"),
        scope.question(LISTED, "parallel_class"),
        scope.question(LISTED, "slots"),
    )
    share = _share_control()
    left, right = st.columns(2)
    with left:
        _time_card("jobs", over_time, scope, share)
    with right:
        _time_card("core_hours", over_time, scope, share)
    left, right = st.columns(2)
    with left:
        _shares_card("jobs", classes)
    with right:
        _shares_card("core_hours", classes)
    left, right = st.columns(2)
    with left:
        _slots_card("jobs", slots)
    with right:
        _slots_card("core_hours", slots)
    _table_card("parallel_class", "All figures by parallel class", classes)
    _table_card("slots", "All figures by slots", slots.sort_by("slots"))


def _share_control() -> bool:
    chosen = st.segmented_control(
        "Over time",
        (AMOUNT, SHARE),
        default=AMOUNT,
        required=True,
        key="sizes_share",
        persist_state="session",
        label_visibility="collapsed",
    )
    return chosen == SHARE


def _time_card(metric: str, table: pa.Table, scope: Scope, share: bool) -> None:
    title = f"{METRICS[metric].label} per {scope.grain} by parallel class"
    with card(f"sizes_{metric}", title, table, "" if share else METRICS[metric].unit):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        present = set(table.column("parallel_class").to_pylist())
        order = [name for name in CLASSES if name in present]
        shaped = shape.parts_over_time(table, "parallel_class", metric, scope, order)
        spec = charts.stacked(shaped.axis.label, scope.grain, share)
        draw(spec, shaped.table, f"sizes_{metric}_{scope.grain}_{share}", title)
        note(metric, jobs)


def _shares_card(metric: str, table: pa.Table) -> None:
    title = f"{METRICS[metric].label}, share by parallel class"
    with card(f"sizes_share_{metric}", title, table.select(["parallel_class", metric])):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        shaped = shape.shares(table, "parallel_class", metric, CLASSES)
        draw(charts.donut(METRICS[metric].label), shaped.table, f"sizes_share_{metric}", title)
        note(metric, jobs)


def _slots_card(metric: str, table: pa.Table) -> None:
    title = f"{METRICS[metric].label} by slots"
    counted = table.select(["slots", metric]).sort_by("slots")
    with card(f"sizes_slots_{metric}", title, counted, METRICS[metric].unit):
        jobs = shape.total(table)
        if not jobs:
            nothing()
            return
        shaped = shape.slot_classes(table, metric)
        spec = charts.columns(shaped.axis.label, "Slots")
        draw(spec, shaped.table, f"sizes_slots_{metric}", title)
        note(metric, jobs)


def _table_card(dimension: str, title: str, table: pa.Table) -> None:
    with card(f"sizes_all_{dimension}", title, table):
        if not table.num_rows:
            nothing()
            return
        show_table(table, f"sizes_all_{dimension}", title)


show(current())
