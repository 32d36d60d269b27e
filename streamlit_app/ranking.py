"""Who is first and who is last by a figure: what to rank by, the two ends, and parts over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from clickhouse.dimensions import DIMENSIONS
from clickhouse.parts import in_order
from clickhouse.query import Question
from streamlit_app import data, linked, shape, text
from streamlit_app.filters import Scope
from streamlit_app.i18n import t
from streamlit_app.panels import BARS, parts_panel, per_grain, ranking_panel

TABLE_ROWS = 5000  # the table shows the largest ones
PARTS = 8  # of a stacked chart; the rest is summed up
SMALL = 0.2  # of the whole
MOST, LEAST = "most", "least"
MACHINES = frozenset({"cluster", "sub_cluster", "queue", "node"})
FORMS = ("bars", "areas", "share", "lines")
# The first is what people ask for most often, and what a page begins with.
LISTED = (
    "jobs", "core_hours", "cpu_hours", "cpu_efficiency", "wall_hours",
    "memory_avg", "memory_max", "ram_avg", "ram_max",
    "duration_min", "duration_avg", "duration_median", "duration_max",
    "wait_min", "wait_avg", "wait_median", "wait_max", "slots_avg",
)  # fmt: skip
DEFAULT_METRIC = "core_hours"
CLASSES = ("sequential", "single-node", "multi-node", "parallel-unknown")


@dataclass(frozen=True)
class Choice:
    """What a page ranks, by which figure, from which end, and how parts over time are drawn."""

    dimension: str
    metric: str
    order: str
    form: str

    @property
    def least(self) -> bool:
        """Whether the smallest come first."""
        return self.order == LEAST


def choose(dimensions: Sequence[str], metrics: Sequence[str], with_order: bool = True) -> Choice:
    """Draw the controls of a page, whose choice is in the address."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        dimension = _choose_dimension(dimensions) if len(dimensions) > 1 else dimensions[0]
        metric = _choose_metric(metrics)
        order = _choose_order() if with_order else MOST
        form = _choose_form(metric)
    return Choice(dimension, metric, order, form)


def _choose_dimension(dimensions: Sequence[str]) -> str:
    return linked.select(t("Show"), "of", dimensions, text.labels, widget=_segments)


def _choose_metric(metrics: Sequence[str]) -> str:
    return linked.select(
        t("Ranked by"),
        "metric",
        metrics,
        text.label,
        DEFAULT_METRIC,
        label_visibility="collapsed",
        width=280,
    )


def _choose_order() -> str:
    names = {MOST: t("Most"), LEAST: t("Least")}
    return linked.select(t("Order"), "order", [*names], names.__getitem__, widget=_segments)


def _choose_form(metric: str) -> str:
    if metric not in shape.ADDITIVE:
        return "lines"  # averages do not add up
    names = dict(zip(FORMS, (t("Bars"), t("Areas"), t("Shares"), t("Lines")), strict=True))
    return linked.select(t("Over time"), "form", [*names], names.__getitem__, widget=_segments)


_segments = partial(st.segmented_control, required=True, label_visibility="collapsed")


def with_jobs(metric: str) -> tuple[str, ...]:
    """Ask for a figure and for the number of jobs that stand behind it."""
    return (metric,) if metric == "jobs" else (metric, "jobs")


def has_whole(metric: str, dimension: str) -> bool:
    """Tell whether parts add up to a whole, so that they have shares and a rest."""
    return metric in shape.ADDITIVE and not DIMENSIONS[dimension].is_many


def end(choice: Choice, table: pa.Table, scope: Scope) -> pa.Table:
    """Give one end of a ranking; the least used machines are those too that nobody used.

    `table` has the first `TABLE_ROWS` of all that are ranked, those with the largest figures.
    """
    asked, least = with_jobs(choice.metric), choice.least
    question = scope.question(asked, choice.dimension, limit=BARS, ascending=least)
    found = table.select([choice.dimension, *asked])
    is_beyond = least and found.num_rows == TABLE_ROWS
    if least and choice.dimension in MACHINES:
        every = data.answer(replace(question, limit=None)) if is_beyond else found
        return data.with_unused(question, every)
    return data.answer(question) if is_beyond else in_order(question, found)


def end_panel(key: str, choice: Choice, table: pa.Table, totals: pa.Table, scope: Scope) -> None:
    """Draw one end of a ranking, with each one's share and that of all others."""
    words = (
        t("Bottom {count}: {what} by {figure}")
        if choice.least
        else t("Top {count}: {what} by {figure}")
    )
    title = words.format(
        count=BARS,
        what=text.lower(text.labels(choice.dimension)),
        figure=text.lower(text.label(choice.metric)),
    )
    whole = (
        totals.column(choice.metric)[0].as_py()
        if has_whole(choice.metric, choice.dimension)
        else None
    )
    jobs = shape.total(totals)
    ranking_panel(key, title, choice.dimension, choice.metric, table, scope, whole, jobs)


def firsts_over_time(choice: Choice, scope: Scope) -> Question:
    """Ask for the first ones over time: as many as a ranking has, for other cards have those."""
    return scope.question(with_jobs(choice.metric), scope.grain, choice.dimension, limit=BARS)


def over_time_panel(
    key: str, choice: Choice, order: Sequence[str], parts: pa.Table, whole: pa.Table, scope: Scope
) -> None:
    """Draw the first ones over time, and all others as one part."""
    dimension, metric = choice.dimension, choice.metric
    parts = parts.filter(pc.is_in(parts.column(dimension), pa.array(order, pa.string())))
    rest = whole if has_whole(metric, dimension) and choice.form != "lines" else None
    if rest is not None and _hidden(parts, whole, metric):
        rest = None  # it would leave no room for the parts
    shaped = shape.parts_over_time(parts, dimension, metric, scope, order, rest)
    figure, steps = text.label(metric), per_grain(scope)
    title = t("{figure} {steps}, top {count}", figure=figure, steps=steps, count=len(order))
    alt = t("{figure} {steps}", figure=figure, steps=steps)
    parts_panel(key, title, metric, shaped, scope, shape.total(whole), parts, choice.form, alt)


def _hidden(parts: pa.Table, whole: pa.Table, metric: str) -> bool:
    """Tell whether parts are so small that all others would hide them."""
    shown, all_of = (
        sum(v or 0.0 for v in shape.figures(table, metric)) for table in (parts, whole)
    )
    return shown < SMALL * all_of


def first_names(table: pa.Table, dimension: str, metric: str) -> list[str]:
    """Name those who have the largest figure, from a table in any order."""
    rows = zip(table.column(dimension).to_pylist(), shape.figures(table, metric), strict=True)
    known = [(str(name), value) for name, value in rows if value is not None]
    return [name for name, _ in sorted(known, key=lambda row: -row[1])[:PARTS]]
