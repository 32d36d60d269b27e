"""The filters that all pages share: they live in the address, so a link restores them.

What a widget gives is checked again here: a browser can send anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import streamlit as st

from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.query import Filter, Period, Question
from streamlit_app import data, text
from streamlit_app.calendars import grain_of

ALL, CUSTOM = "All time", "Custom dates"
PRESETS = ("This year", "Last year", "Last 12 months", "Last 30 days")
# the dimensions that have a filter, and which of them only where the settings give them values
NAMED = ("cluster", "sub_cluster", "user", "group", "metagroup", "queue")
CONFIGURED = ("sub_cluster", "metagroup")
DEFAULTS: dict[str, object] = {"period": ALL, "from": None, "to": None} | {n: [] for n in NAMED}
SCOPE = "scope"  # of the session state, from the frame to the page
MAX_NAMES = 100  # chosen at once
MAX_NAME_LENGTH = 10_000  # characters; the longest line that is accepted has a million
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2105, 12, 31)


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
        return next((kept.values for kept in self.filters if kept.dimension == "cluster"), ())

    def question(
        self,
        metrics: tuple[str, ...],
        *dimensions: str,
        limit: int | None = None,
        ascending: bool = False,
    ) -> Question:
        """Ask for metrics by dimensions, of what the filters let through."""
        return Question(metrics, dimensions, self.period, self.filters, limit, ascending)

    @property
    def words(self) -> str:
        """The scope in words, as Markdown that shows names as they are."""
        parts = [f"{text.day(self.first)} – {text.day(self.last)}"]
        for kept in self.filters:
            shown = ", ".join(text.plain(text.short(name)) for name in kept.values[:3])
            more = f" and {len(kept.values) - 3} more" if len(kept.values) > 3 else ""
            parts.append(f"{DIMENSIONS[kept.dimension].label.lower()} {shown}{more}")
        return "  ·  ".join(parts)


def show_filters() -> Scope:
    """Draw the filters in the sidebar and say what is chosen.

    Raises `QuestionError` for a period that cannot be, once all filters are there to change it.
    """
    activity = data.activity()
    problem: QuestionError | None = None
    with st.sidebar:
        heading = st.container()
        try:
            period = _show_period(activity)
        except QuestionError as error:
            problem, period = error, Period()
        filters = tuple(kept for name in NAMED if (kept := _show_names(name)))
        with heading:
            _show_heading()
    if problem:
        raise problem
    first, last = _span(period, activity)
    scope = Scope(period, filters, first, last)
    st.session_state[SCOPE] = scope
    return scope


def current() -> Scope:
    """Give what `show_filters` found in this run of the script, to the page that follows it."""
    scope = st.session_state[SCOPE]
    assert isinstance(scope, Scope)
    return scope


def add_to_filter(dimension: str, name: str) -> None:
    """Narrow all pages to one more value, from a callback."""
    chosen = list(st.session_state.get(dimension) or [])
    if name and name not in chosen:
        st.session_state[dimension] = [*chosen, name]


def clear_filters() -> None:
    """Take all filters away, from a callback."""
    for name, default in DEFAULTS.items():
        st.session_state[name] = default


def _show_heading() -> None:
    """Draw the title, once the filters say whether there is anything to clear."""
    changed = any(
        st.session_state.get(name) not in (default, None) for name, default in DEFAULTS.items()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Filters**", width="stretch")
        st.button(
            "Clear",
            key="clear",
            icon=":material/close:",
            type="tertiary",
            disabled=not changed,
            on_click=clear_filters,
        )


def _show_period(activity: data.Activity) -> Period:
    options = [ALL, *PRESETS, *(str(year) for year in activity.years), CUSTOM]
    chosen = st.selectbox(
        "Period",
        options,
        key="period",
        bind="query-params",
        accept_new_options=True,
        help="Or type a year, a month or a day: 2018, 2018-03, 2018-03-01, 2018-03..2019-06."
        " A job counts on the day on which it ended, in the cluster's time zone.",
    )
    if chosen == CUSTOM:
        return _show_dates()
    return preset(chosen or ALL, newest_day(activity))


def _show_dates() -> Period:
    left, right = st.columns(2)
    pick = partial(
        st.date_input,
        value=None,
        min_value=FIRST_DAY,
        max_value=LAST_DAY,
        format="YYYY-MM-DD",
        bind="query-params",
    )
    with left:
        first = _single(pick("From", key="from"))
    with right:
        last = _single(pick("To", key="to"))
    if first and last and first > last:
        raise QuestionError(f"{text.day(first)} comes after {text.day(last)}")
    return Period(first, last + timedelta(days=1) if last else None)


def _single(chosen: object) -> date | None:
    return chosen if isinstance(chosen, date) and FIRST_DAY <= chosen <= LAST_DAY else None


def newest_day(activity: data.Activity) -> date:
    """Give the day that "this" and "last" count from: that of the last job, at most today."""
    today = date.today()
    return max((ended for ended in activity.days if ended <= today), default=today)


def preset(chosen: str, newest: date) -> Period:
    """Turn an option of the period filter into days; raises `QuestionError` for what is none."""
    if chosen == "This year":
        return Period.parse(str(newest.year))
    if chosen == "Last year":
        return Period.parse(str(newest.year - 1))
    if chosen == "Last 12 months":
        months = newest.year * 12 + newest.month - 12
        return Period(date(months // 12, months % 12 + 1, 1), newest + timedelta(days=1))
    if chosen == "Last 30 days":
        return Period(newest - timedelta(days=29), newest + timedelta(days=1))
    return Period.parse("all" if chosen == ALL else chosen)


def offered(*dimensions: str) -> tuple[str, ...]:
    """Leave out those that the settings would have to give values."""
    return tuple(name for name in dimensions if name not in CONFIGURED or data.names(name))


def _show_names(dimension: str) -> Filter | None:
    options = data.names(dimension)
    asked = dimension in st.query_params or st.session_state.get(dimension)
    if dimension in CONFIGURED and not options and not asked:
        return None
    label = DIMENSIONS[dimension].label
    chosen = st.multiselect(
        label,
        options,
        key=dimension,
        bind="query-params",
        accept_new_options=True,
        placeholder=f"All {label.lower()}s",
        help=f"The {data.SELECTOR_NAMES} most active ones are offered; any other can be typed."
        if len(options) == data.SELECTOR_NAMES
        else None,
    )
    valid = tuple(str(name)[:MAX_NAME_LENGTH] for name in chosen[:MAX_NAMES])
    for name in valid:
        if not data.exists(dimension, name):
            st.caption(f":orange[No {label.lower()} is named {text.plain(text.short(name))}.]")
    return Filter(dimension, valid) if valid else None


def _span(period: Period, activity: data.Activity) -> tuple[date, date]:
    """Limit a period to the days that have data, so that no chart begins or ends with a void."""
    today = date.today()
    oldest = activity.days[0] if activity.days else today
    newest = activity.days[-1] if activity.days else today
    first = period.start or oldest
    last = period.end - timedelta(days=1) if period.end else newest
    if first > newest or last < oldest:
        return first, max(first, last)
    return max(first, oldest), min(last, newest)
