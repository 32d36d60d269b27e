"""Key figures with their trend and how they changed, and the full list of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

import pyarrow as pa
import streamlit as st

from clickhouse.metrics import METRICS
from clickhouse.query import Period, Question
from clickhouse.totals import without_total
from streamlit_app import calendars, compare, data, shape, sparkline, text
from streamlit_app.cards import card, nothing
from streamlit_app.filters import Scope
from streamlit_app.i18n import t

# more of these is better, or worse; of all others it is neither
BETTER = frozenset({"cpu_efficiency"})
WORSE = frozenset(
    {"failure_rate", "failed_jobs", "lost_core_hours", "system_share", "io_wait_share"}
    | {"wait_avg", "wait_median", "wait_p90", "wait_max"}
)
# All that a page tells of whatever is chosen.
VOLUME = ("jobs", "attempts", "users", "wall_hours", "core_hours", "slots_avg", "slots_max")
TIMES = (
    "duration_min", "duration_avg", "duration_median", "duration_max",
    "wait_min", "wait_avg", "wait_median", "wait_max",
)  # fmt: skip
PROCESSOR = (
    "cpu_hours", "cpu_efficiency", "user_cpu_hours", "system_cpu_hours", "system_share",
    "io", "io_wait_share",
)  # fmt: skip
MEMORY = ("memory_avg", "memory_max", "ram_avg", "ram_max")
FULL = (*VOLUME, *TIMES, *PROCESSOR, *MEMORY)
QUICK = tuple(name for name in FULL if not name.endswith("_median"))
MEDIANS = tuple(name for name in FULL if name.endswith("_median"))
JOBS_AT_ONCE = 500_000  # whose medians take a tenth of a second, by whatever they are asked
COLUMN_PIXELS = 330
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Earlier:
    """Figures of an earlier period: its days, its totals, and those of each of its steps."""

    period: Period
    totals: pa.Table
    per_step: pa.Table
    scope: Scope


def choose_comparison(key: str, scope: Scope) -> Period | None:
    """Let the reader choose an earlier period to compare with, where there can be one."""
    place = st.container(key=f"{key}_comparison")  # there in any case, as that of chips
    if compare.earlier(scope, compare.PREVIOUS) is None:
        return None
    names = {compare.PREVIOUS: t("Period before"), compare.YEAR_BEFORE: t("Year before")}
    chosen = place.segmented_control(
        t("Compare with"),
        list(names),
        format_func=lambda which: names[which],
        default=compare.PREVIOUS,
        key=f"{key}_compare",
        persist_state="session",
        label_visibility="collapsed",
    )
    if chosen == compare.PREVIOUS:
        return compare.earlier(scope, compare.PREVIOUS)
    return compare.earlier(scope, compare.YEAR_BEFORE) if chosen in names else None


def earlier_questions(question: Question, period: Period | None) -> tuple[Question, ...]:
    """Write the question of `ask_earlier`, to ask it with those of the page.

    It is what the page asks of the period that it is about, so that the answer serves both.
    """
    return (compare.asked_of(question, period),) if period else ()


def ask_earlier(question: Question, scope: Scope, period: Period | None) -> Earlier | None:
    """Ask what `Scope.over_time` asks, of the period to compare with."""
    if period is None or period.start is None or period.end is None:
        return None
    [found] = data.answers(*earlier_questions(question, period))
    per_step, totals = without_total(found)
    before = replace(scope, period=period, first=period.start, last=period.end - DAY)
    return Earlier(period, totals, per_step, before)


def show_figures(
    key: str,
    names: Sequence[str],
    totals: pa.Table,
    per_step: pa.Table,
    scope: Scope,
    earlier: Earlier | None = None,
) -> None:
    """Draw a tile for each figure: its trend, and how it differs from the earlier period."""
    with st.grid(4, min_column_width=215, gap="small", key=f"{key}_figures"):
        for name in names:
            _tile(name, totals, per_step, scope, earlier)


def _tile(
    name: str, totals: pa.Table, per_step: pa.Table, scope: Scope, earlier: Earlier | None
) -> None:
    unit = METRICS[name].unit
    value = totals.column(name)[0].as_py() if shape.total(totals) else None
    before = earlier.totals.column(name)[0].as_py() if earlier else None
    changed = compare.change(value, before, unit) if earlier and _any(earlier.totals) else None
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(
            text.label(name),
            text.figure(value, unit),
            changed,
            help=_explained(name, value, before, earlier),
            delta_color=_color(name, changed),
            delta_description=compare.span(earlier.period)
            if earlier and changed is not None
            else None,
        )
        if trend := value is not None and _trend(name, per_step, scope):
            st.html(trend)


def _trend(name: str, per_step: pa.Table, scope: Scope) -> str:
    steps = calendars.steps(scope.grain, scope.first, scope.last)
    values = shape.series(per_step, name, scope)
    return sparkline.draw(values, steps, scope.grain, METRICS[name].unit)


def _any(totals: pa.Table) -> bool:
    return bool(shape.total(totals))


def _color(name: str, changed: str | int | None) -> Literal["primary", "normal", "inverse"]:
    if changed is None or name not in BETTER | WORSE:
        return "primary"
    return "normal" if name in BETTER else "inverse"


def _explained(
    name: str, value: float | None, before: float | None, earlier: Earlier | None
) -> str:
    parts = [text.formula(name)]
    unit = METRICS[name].unit
    if value is not None:
        parts.append(t("Exactly: {figure}.", figure=text.exact(value, unit)))
    if earlier and before is not None:
        figure, days = text.figure(before, unit), compare.span(earlier.period)
        parts.append(t("It was {figure} in {days}.", figure=figure, days=days))
    return text.plain(". ".join([parts[0], " ".join(parts[1:])]) if parts[1:] else parts[0])


def show_all_figures(key: str, totals: pa.Table, scope: Scope) -> None:
    """Draw the full list of figures of what the filters let through."""
    title, known = t("All figures"), [name for name in QUICK if name in totals.column_names]
    with card(f"{key}_list", title, totals.select(known)):
        jobs = shape.total(totals)
        if not jobs:
            nothing()
            return
        found = {name: totals.column(name)[0].as_py() for name in known}
        question = scope.question(MEDIANS)
        if wants_medians(key, question, jobs):
            medians = data.answer(question)
            found |= {name: medians.column(name)[0].as_py() for name in MEDIANS}
        titles = (t("Volume"), t("Durations"), t("Processor and I/O"), t("Memory"))
        with st.grid(2, min_column_width=COLUMN_PIXELS, gap="medium", key=f"{key}_lists"):
            for heading, names in zip(titles, (VOLUME, TIMES, PROCESSOR, MEMORY), strict=True):
                st.markdown(_list(heading, names, found))


def wants_medians(key: str, question: Question, jobs: int) -> bool:
    """Tell whether to ask for medians; where many lines are read for them, the reader chooses."""
    if jobs <= JOBS_AT_ONCE or data.is_quick(question):
        return True
    return st.toggle(
        t("With medians"),
        key=f"{key}_medians",
        persist_state="session",
        help=t("A median needs every line: over many years it takes some seconds."),
    )


def _list(heading: str, names: Sequence[str], found: dict[str, float | None]) -> str:
    rows = [f"| {text.plain(heading)} | |", "|:--|--:|"]
    rows += [
        f"| {text.plain(text.label(n))} | {_value(n, found[n])} |" for n in names if n in found
    ]
    return "\n".join(rows)


def _value(name: str, value: float | None) -> str:
    """Write a figure that is not broken into lines."""
    return text.plain(text.figure(value, METRICS[name].unit)).replace(" ", "\u00a0")
