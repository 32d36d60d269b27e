"""The pages of users, groups, queues, nodes and the like: all of them ranked, and one in detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import streamlit as st

from clickhouse.query import Period, Question
from clickhouse.totals import without_total
from streamlit_app import address, capacity, charts, data, forms, shape, text
from streamlit_app.cards import card, draw, note, nothing, page_header, show_table
from streamlit_app.figures import (
    MEDIANS,
    QUICK,
    ask_earlier,
    choose_comparison,
    earlier_questions,
    show_all_figures,
    show_figures,
    wants_medians,
)
from streamlit_app.filters import Scope
from streamlit_app.i18n import mark, t, tn
from streamlit_app.panels import (
    BARS,
    affordable,
    histogram_panel,
    per_grain,
    quick,
    ranking_panel,
    shares_panel,
    table_panel,
    time_panel,
)
from streamlit_app.ranking import (
    CLASSES,
    DEFAULT_METRIC,
    LEAST,
    MACHINES,
    MOST,
    TABLE_ROWS,
    Choice,
    choose,
    end,
    end_panel,
    first_names,
    firsts_over_time,
    has_whole,
    over_time_panel,
    with_jobs,
)

DOTS = 500
CORES = mark("cores")
CLASSES_OF = (("jobs", "core_hours"), "parallel_class")
KEY_FIGURES = (
    "jobs", "core_hours", "cpu_efficiency", "failure_rate",
    "duration_avg", "wait_avg", "memory_avg", "slots_avg",
)  # fmt: skip
# The rollup of nodes has no slots.
NODE_FIGURES = (
    "jobs", "core_hours", "cpu_efficiency", "failure_rate",
    "duration_avg", "wait_avg", "memory_avg", "ram_avg",
)  # fmt: skip
# What tells most of one: who used it, or what it used.
SPLITS = {
    "user": ("queue", "project"),
    "group": ("user", "queue"),
    "metagroup": ("group", "user"),
    "project": ("user", "queue"),
    "cluster": ("user", "queue"),
    "sub_cluster": ("user", "queue"),
    "department": ("user", "queue"),
    "account": ("user", "queue"),
    "queue": ("user", "node"),
    "node": ("user", "queue"),
}
# The table of nodes that is kept has no slots: asked by node, they would need every line.
WITHOUT = {"node": frozenset({"slots_avg", "slots_max"}), "user": frozenset({"users"})}


def show_entities(key: str, title: str, dimensions: Sequence[str], scope: Scope) -> None:
    """Draw the page of some dimensions: of the one that is chosen in the filter, else of all."""
    for dimension in dimensions:
        if name := chosen(scope, dimension):
            _show_one(key, dimension, name, scope)
            return
    page_header(title, scope)
    _show_all(key, dimensions, scope)


def chosen(scope: Scope, dimension: str) -> str:
    """Give the one value that the filter of a dimension lets through, '' where there are more."""
    for kept in scope.filters:
        if kept.dimension == dimension and not kept.exclude and len(kept.values) == 1:
            return kept.values[0]
    return ""


def listed(dimension: str) -> tuple[str, ...]:
    """List the figures that a table of a dimension has without a look at every line."""
    return tuple(name for name in QUICK if name not in WITHOUT.get(dimension, ()))


def _show_all(key: str, dimensions: Sequence[str], scope: Scope) -> None:
    choice = choose(dimensions, (*listed(dimensions[0]), *MEDIANS))
    dimension, metric = choice.dimension, choice.metric
    columns = _each_once(metric, "jobs", *listed(dimension))
    parts, found, table = data.answers(
        firsts_over_time(choice, scope),
        scope.over_time(_each_once(metric, "jobs", DEFAULT_METRIC, "cpu_efficiency")),
        scope.question(columns, dimension, limit=TABLE_ROWS),
        ahead=quick(_medians(dimension, columns[0], scope)),
    )
    whole, totals = without_total(found)
    left, right = st.columns([2, 3])
    with left:
        end_panel(f"{key}_ranking", choice, end(choice, table, scope), totals, scope)
    with right:
        order = first_names(table, dimension, metric)
        over_time_panel(f"{key}_time", choice, order, parts, whole, scope)
    left, right = st.columns([2, 3])
    with left:
        # there are too many nodes for a ring, and what overlaps is no part of one
        if dimension in ("node", "metagroup"):
            _other_end(key, choice, table, totals, scope)
        else:
            _shares(key, choice, table, totals)
    with right:
        if dimension in MACHINES:
            _use(key, choice, scope)
        else:
            _efficiency(key, dimension, table, totals)
    if dimension in MACHINES - {"node"} and table.num_rows > 1:
        left, right = st.columns([2, 3])
        with left:
            _other_end(key, choice, table, totals, scope)
        with right:
            _efficiency(key, dimension, table, totals)
    _table(key, dimension, table, totals, scope)


def _each_once(*metrics: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(metrics))


def _shares(key: str, choice: Choice, table: pa.Table, totals: pa.Table) -> None:
    """Draw who has which share; of what does not add up, the shares of core time instead."""
    dimension = choice.dimension
    metric = choice.metric if choice.metric in shape.ADDITIVE else DEFAULT_METRIC
    title = t("{figure}, shares", figure=text.label(metric))
    first = table.take(pa.array(_largest(table, dimension, metric), pa.int64())).select(
        [dimension, *with_jobs(metric)]
    )
    whole = totals.column(metric)[0].as_py() if has_whole(metric, dimension) else None
    shares_panel(f"{key}_shares", title, dimension, metric, first, (), whole)


def _largest(table: pa.Table, dimension: str, metric: str) -> list[int]:
    places = {str(name): row for row, name in enumerate(table.column(dimension).to_pylist())}
    return [places[name] for name in first_names(table, dimension, metric)]


def _efficiency(key: str, dimension: str, table: pa.Table, totals: pa.Table) -> None:
    """Draw how well each used what it had, those apart who used less than half of what all did."""
    title = t("CPU efficiency over core time, one dot for each")
    shown = table.slice(0, DOTS).select([dimension, DEFAULT_METRIC, "cpu_efficiency", "jobs"])
    with card(f"{key}_dots", title, shown, "%"):
        dotted = forms.dots(shown, dimension, DEFAULT_METRIC, "cpu_efficiency", totals)
        if not dotted.num_rows:
            nothing()
            return
        spec = charts.dots(text.label("cpu_efficiency"), text.label(DEFAULT_METRIC))
        draw(spec, dotted, f"{key}_dots_{dimension}", title)
        note("cpu_efficiency", shape.total(shown))


def _use(key: str, choice: Choice, scope: Scope) -> None:
    """Draw how many cores were busy on average, of all there are or of the busiest step's."""
    table = data.answer(firsts_over_time(replace(choice, metric=DEFAULT_METRIC), scope))
    dimension = choice.dimension
    busy = forms.busy_cores(table, dimension, scope)
    rows = capacity.of_all(data.settings(), dimension, busy, scope.clusters)
    title = t("Busy cores: average, and all there are")
    titles = (t("There are"), t("Average"))
    words = t("core time of the jobs that ended in the period ÷ its hours; average / all there are")
    if not rows:
        rows = busy
        title = t("Busy cores: average, and the busiest step")
        titles = (t("Busiest"), t("Average"))
        words = t(
            "core time of the jobs that ended within a step ÷ its hours; average / busiest step"
        )
    with card(f"{key}_use", title, table):
        if not rows:
            nothing()
            return
        named = [(text.value(dimension, name), most, mean) for name, most, mean in rows]
        shaped = forms.asked_and_used(named, CORES)
        draw(charts.asked_and_used(titles), shaped, f"{key}_use_{dimension}", title)
        jobs = tn("from {count} executed job", "from {count} executed jobs", shape.total(table))
        st.caption(f"{text.plain(words)}  ·  {jobs}")


def _other_end(key: str, choice: Choice, table: pa.Table, totals: pa.Table, scope: Scope) -> None:
    """Draw the least used where the page ranks the most used, and the other way round."""
    other = replace(choice, order=MOST if choice.least else LEAST)
    end_panel(f"{key}_other_end", other, end(other, table, scope), totals, scope)


def _table(key: str, dimension: str, table: pa.Table, totals: pa.Table, scope: Scope) -> None:
    columns = [dimension, *listed(dimension)]
    shown = table.select(columns)
    kinds = text.lower(text.labels(dimension))
    count = text.whole(table.num_rows)
    full = t("All figures of the {kinds} ({count})", count=count, kinds=kinds)
    first = t("All figures of the first {count} {kinds}", count=count, kinds=kinds)
    title = first if table.num_rows == TABLE_ROWS else full
    with card(f"{key}_all", title, shown):
        if not table.num_rows:
            nothing()
            return
        question = _medians(dimension, table.column_names[1], scope)
        if wants_medians(key, question, shape.total(totals)):
            shown = forms.joined(shown, data.answer(question), dimension, MEDIANS)
        show_table(shown, f"{key}_all_{dimension}", title)


def _medians(dimension: str, metric: str, scope: Scope) -> Question:
    """Ask for the medians of those that the table lists, the largest by a metric."""
    return scope.question(_each_once(metric, *MEDIANS), dimension, limit=TABLE_ROWS)


def _show_one(key: str, dimension: str, name: str, scope: Scope) -> None:
    """Draw all that there is of one: its figures, over time, and what it ran or who used it."""
    page_header(f"{text.label(dimension)} {text.plain(text.short(name))}", scope)
    period = _one_controls(key, dimension, scope)
    figures = NODE_FIGURES if dimension == "node" else KEY_FIGURES
    asked = _each_once(*listed(dimension), *figures)
    others = replace(scope, filters=tuple(f for f in scope.filters if f.dimension != dimension))
    over_time = scope.over_time(asked)
    found, everything = data.answers(
        over_time,
        others.question(("core_hours", "jobs")),
        ahead=earlier_questions(over_time, period),
    )
    per_step, totals = without_total(found)
    earlier = ask_earlier(over_time, scope, period)
    _share_of_all(totals, everything)
    show_figures(key, figures, totals, per_step, scope, earlier)
    left, right = st.columns(2)
    with left:
        time_panel(f"{key}_one_jobs", "jobs", per_step, scope, earlier)
    with right:
        time_panel(f"{key}_one_core_hours", "core_hours", per_step, scope, earlier)
    _one_splits(key, dimension, totals, scope)
    what, jobs = t("What it ran"), shape.total(everything)
    if affordable(f"{key}_one_ran", what, jobs, scope.question(*CLASSES_OF)):
        _one_ran(key, scope)
    show_all_figures(key, totals, scope)
    table_panel(f"{key}_one_all", t("All figures {steps}", steps=per_grain(scope)), per_step)


def _one_controls(key: str, dimension: str, scope: Scope) -> Period | None:
    """Draw the way back to all of them, and the choice of what to compare with."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            t("All {kinds}", kinds=text.lower(text.labels(dimension))),
            key=f"{key}_back",
            icon=":material/arrow_back:",
            on_click=address.put,
            args=(dimension, []),
        )
        return choose_comparison(key, scope)


def _one_splits(key: str, dimension: str, totals: pa.Table, scope: Scope) -> None:
    """Draw who used it, or what it used."""
    splits, asked = SPLITS[dimension], ("core_hours", "jobs")
    tops = data.answers(*(scope.question(asked, each, limit=BARS) for each in splits))
    whole = totals.column("core_hours")[0].as_py()
    for place, each, table in zip(st.columns(2), splits, tops, strict=True):
        with place:
            title = t("Top {what} by core time", what=text.lower(text.labels(each)))
            ranking_panel(f"{key}_one_{each}", title, each, "core_hours", table, scope, whole)


def _one_ran(key: str, scope: Scope) -> None:
    """Draw the classes, outcomes, durations and waits of its jobs."""
    classes, outcomes = data.answers(
        scope.question(*CLASSES_OF),
        scope.question(("attempts",), "outcome"),
    )
    left, right = st.columns(2)
    with left:
        title = t("Jobs by parallel class")
        shares_panel(f"{key}_one_class", title, "parallel_class", "jobs", classes, CLASSES)
    with right:
        title = t("How attempts ended")
        ranking_panel(f"{key}_one_outcome", title, "outcome", "attempts", outcomes, scope)
    for place, quantity in zip(st.columns(2), ("duration", "wait"), strict=True):
        with place:
            histogram_panel(f"{key}_one_{quantity}", quantity, scope)


def _share_of_all(totals: pa.Table, everything: pa.Table) -> None:
    mine, all_of = (table.column("core_hours")[0].as_py() or 0.0 for table in (totals, everything))
    jobs, all_jobs = shape.total(totals), shape.total(everything)
    if all_of and all_jobs:
        words = t(
            "{core_time} of all core time and {jobs} of all executed jobs",
            core_time=text.percent(mine / all_of),
            jobs=text.percent(jobs / all_jobs),
        )
        st.caption(text.plain(words))
