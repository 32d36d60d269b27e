"""The page that ranks users, groups, queues or the like: who is first, over time, all figures."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import streamlit as st

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import charts, data, shape, text
from streamlit_app.cards import card, draw, draw_clickable, note, nothing, show_table
from streamlit_app.filters import NAMED, Scope

BARS = 10
PARTS = 8  # of a stacked chart; the rest is summed up
TABLE_ROWS = 5000  # the table shows the largest ones
MOST, LEAST = "Most", "Least"
# The first is what people ask for most often, and what a page begins with.
LISTED = (
    "jobs", "core_hours", "cpu_hours", "cpu_efficiency", "wall_hours",
    "memory_avg", "memory_max", "ram_avg", "ram_max",
    "duration_min", "duration_avg", "duration_median", "duration_max",
    "wait_min", "wait_avg", "wait_median", "wait_max", "slots_avg",
)  # fmt: skip
DEFAULT_METRIC = "core_hours"
CLASSES = ("sequential", "single-node", "multi-node", "parallel-unknown")


def show_rankings(key: str, dimensions: Sequence[str], scope: Scope) -> None:
    """Draw the controls and the cards for the chosen one of some dimensions."""
    dimension, metric, order = _controls(key, dimensions)
    whole_metrics = (metric,) if metric == "jobs" else (metric, "jobs")
    best, parts, whole, table = data.answers(
        scope.question(whole_metrics, dimension, limit=BARS, ascending=order == LEAST),
        scope.question((metric,), scope.grain, dimension, limit=PARTS),
        scope.question((metric,), scope.grain),
        scope.question(_first(metric, LISTED), dimension, limit=TABLE_ROWS),
    )
    left, right = st.columns([2, 3])
    with left:
        _ranking_card(key, dimension, metric, order, best, scope)
    with right:
        _time_card(key, dimension, metric, parts, whole, table, scope)
    _table_card(key, dimension, table)


def _first(name: str, names: Sequence[str]) -> tuple[str, ...]:
    return (name, *(other for other in names if other != name))


def _controls(key: str, dimensions: Sequence[str]) -> tuple[str, str, str]:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        dimension = st.segmented_control(
            "Show",
            dimensions,
            label_visibility="collapsed",
            format_func=lambda name: f"{DIMENSIONS[name].label}s",
            default=dimensions[0],
            required=True,
            key=f"{key}_by",
            persist_state="session",
        )
        metric = st.selectbox(
            "Ranked by",
            LISTED,
            label_visibility="collapsed",
            index=LISTED.index(DEFAULT_METRIC),
            format_func=lambda name: METRICS[name].label,
            key=f"{key}_metric",
            persist_state="session",
            width=280,
        )
        order = st.segmented_control(
            "Order",
            (MOST, LEAST),
            label_visibility="collapsed",
            default=MOST,
            required=True,
            key=f"{key}_order",
            persist_state="session",
        )
    # what the browser sends is not bound to the options
    return (
        dimension if dimension in dimensions else dimensions[0],
        metric if metric in LISTED else DEFAULT_METRIC,
        LEAST if order == LEAST else MOST,
    )


def _ranking_card(
    key: str, dimension: str, metric: str, order: str, best: pa.Table, scope: Scope
) -> None:
    chosen = METRICS[metric]
    what = f"{DIMENSIONS[dimension].label.lower()}s"
    title = f"{'Top' if order == MOST else 'Bottom'} {BARS} {what} by {_lower(chosen.label)}"
    with card(f"{key}_ranking", title, best):
        shaped = shape.ranked(best, dimension, metric)
        if not shape.total(best):
            nothing()
            return
        draw_ranking(shaped, f"{key}_ranking_{dimension}_{metric}_{order}", title, dimension, scope)
        note(metric, shape.total(best), f" of these {best.num_rows}")


def draw_ranking(shaped: shape.Shaped, key: str, title: str, dimension: str, scope: Scope) -> None:
    """Draw a ranking; a click on a bar narrows all pages where the dimension has a filter."""
    clickable = dimension in NAMED
    spec = charts.ranking(shaped.axis.label, shaped.table.num_rows, clickable)
    alt = title
    if shaped.table.num_rows:
        leader = shaped.table.slice(0, 1).to_pylist()[0]
        alt = f"{title}; first is {text.short(leader['name'])} with {leader['shown']}"
    if clickable:
        draw_clickable(spec, shaped.table, key, alt, dimension, scope)
    else:
        draw(spec, shaped.table, key, alt)


def _time_card(
    key: str,
    dimension: str,
    metric: str,
    parts: pa.Table,
    whole: pa.Table,
    table: pa.Table,
    scope: Scope,
) -> None:
    chosen = METRICS[metric]
    what = f"{DIMENSIONS[dimension].label.lower()}s"
    title = f"{chosen.label} per {scope.grain}, top {PARTS} {what}"
    order = [str(name) for name in table.column(dimension).to_pylist()[:PARTS]]
    additive = metric in shape.ADDITIVE
    # parts that overlap leave no rest
    rest = whole if additive and not DIMENSIONS[dimension].is_many else None
    shaped = shape.parts_over_time(parts, dimension, metric, scope, order, rest)
    with card(f"{key}_time", title, parts, shaped.axis.unit):
        if not shape.total(table):
            nothing()
            return
        build = charts.stacked if additive else charts.lines
        spec = build(shaped.axis.label, scope.grain)
        draw(spec, shaped.table, f"{key}_time_{dimension}_{metric}_{scope.grain}", title)
        note(metric, shape.total(table))


def _table_card(key: str, dimension: str, table: pa.Table) -> None:
    what = f"{DIMENSIONS[dimension].label.lower()}s"
    rows = f"the {TABLE_ROWS:,} first" if table.num_rows == TABLE_ROWS else f"{table.num_rows:,}"
    shown = table.select([dimension, *LISTED])
    with card(f"{key}_all", f"All {what} ({rows})", shown):
        if not table.num_rows:
            nothing()
            return
        show_table(shown, f"{key}_all_{dimension}", f"All figures of the {what}")


def _lower(label: str) -> str:
    """Write a label within a sentence; `CPU time` keeps its capitals."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
