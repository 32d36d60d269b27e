"""The filters that all pages share, drawn in the sidebar, and what they say: a `Scope`.

They live in the address (`narrowing.py`), so that a link restores them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import streamlit as st

from clickhouse.errors import QuestionError
from clickhouse.query import Filter, Period, Question
from streamlit_app import address, data, narrowing, periods, selectors, text
from streamlit_app.calendars import grain_of
from streamlit_app.i18n import t

SHOWN_NAMES = 3  # of a filter in words
SCOPE = "scope"  # of the session state, from the frame to the page


@dataclass(frozen=True)
class Scope:
    """What the pages are about: `first` and `last` are the days that a chart over time spans."""

    period: Period
    filters: tuple[Filter, ...]
    first: date
    last: date

    @property
    def grain(self) -> str:
        """Step of a chart over time: day, month or year."""
        return grain_of(self.first, self.last)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Chosen clusters; none means all."""
        return next(
            (k.values for k in self.filters if k.dimension == "cluster" and not k.exclude), ()
        )

    def question(
        self,
        metrics: tuple[str, ...],
        *dimensions: str,
        limit: int | None = None,
        ascending: bool = False,
    ) -> Question:
        """Ask for metrics by dimensions, of what the filters let through."""
        return Question(metrics, dimensions, self.period, self.filters, limit, ascending)

    def over_time(self, metrics: tuple[str, ...]) -> Question:
        """Ask for metrics step by step, with the total: to be taken apart by `without_total`."""
        return replace(self.question(metrics, self.grain), total=True)

    @property
    def days(self) -> str:
        """The days in words."""
        return f"{text.day(self.first)} – {text.day(self.last)}"

    @property
    def words(self) -> str:
        """The scope in words, as Markdown that shows names as they are."""
        return "  ·  ".join([self.days, *(text.plain(in_words(kept)) for kept in self.filters)])


def in_words(kept: Filter) -> str:
    """Write a filter: `user alice, bruno and 2 more`, `without queue gpu.q`."""
    dimension = kept.dimension
    names = [text.short(text.value(dimension, n)) for n in kept.values[:SHOWN_NAMES]]
    shown = ", ".join(names)
    if len(kept.values) > SHOWN_NAMES:
        shown = t("{names} and {count} more", names=shown, count=len(kept.values) - SHOWN_NAMES)
    what = text.lower(text.label(dimension))
    if kept.exclude:
        return t("without {what} {names}", what=what, names=shown)
    return f"{what} {shown}"


def show_filters() -> Scope:
    """Draw the filters in the sidebar and say what is chosen.

    Raises `QuestionError` for a period that cannot be, once all filters are there to change it.
    """
    activity = data.activity()
    problem: QuestionError | None = None
    _show_heading()
    try:
        period = selectors.show_period(activity)
    except QuestionError as error:
        problem, period = error, Period()
    selectors.show_search()
    for name in narrowing.COMMON:
        selectors.show_names(name)
    selectors.show_further()
    if problem:
        raise problem
    first, last = periods.span(period, activity)
    scope = Scope(period, tuple(narrowing.filters()), first, last)
    st.session_state[SCOPE] = scope
    return scope


def current() -> Scope:
    """Give what `show_filters` found in this run of the script, to the page that follows it."""
    scope = st.session_state[SCOPE]
    assert isinstance(scope, Scope)
    return scope


def show_chips(scope: Scope) -> None:
    """Draw what is chosen, each with a button that takes it away.

    Their place is there without any too: what comes first on a page moves all the rest, which the
    browser then makes anew.
    """
    period = address.get(address.PERIOD)
    with st.container(horizontal=True, gap="xsmall", key="chips"):
        if period:
            _chip("chip_period", periods.name(period), narrowing.set_period, periods.ALL)
        for kept in scope.filters:
            key = f"chip_{'not_' if kept.exclude else ''}{kept.dimension}"
            _chip(key, in_words(kept), narrowing.drop_filter, kept.dimension, kept.exclude)


def _chip(key: str, shown: str, action: Callable[..., None], *arguments: object) -> None:
    st.button(
        text.plain(shown),
        key=key,
        icon=":material/close:",
        icon_position="right",
        on_click=action,
        args=arguments,
        help=t("Take this filter away"),
    )


def _show_heading() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{t('Filters')}**", width="stretch")
        st.button(
            t("Clear"),
            key="clear",
            icon=":material/close:",
            type="tertiary",
            disabled=not narrowing.is_filtered(),
            on_click=narrowing.clear_filters,
        )
