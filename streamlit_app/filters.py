"""The filters that all pages share: they live in the address, so a link restores them.

What the address and the widgets give is checked here again: a browser can send anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import streamlit as st

from clickhouse.errors import QuestionError
from clickhouse.query import Filter, Period, Question
from streamlit_app import address, data, text
from streamlit_app.calendars import grain_of
from streamlit_app.i18n import mark, t

# Periods as the address has them; beside these, whatever `Period.parse` reads.
ALL, CUSTOM = "", "custom"
PRESETS = {
    ALL: mark("All time"),
    "this-year": mark("This year"),
    "last-year": mark("Last year"),
    "last-12-months": mark("Last 12 months"),
    "last-30-days": mark("Last 30 days"),
    "this-academic-year": mark("This academic year"),
    "last-academic-year": mark("Last academic year"),
}
ACADEMIC = "academic-"  # before the year in which it begins
# the dimensions that have a filter: those shown at once, those behind "More filters"
COMMON = ("cluster", "user", "group", "queue")
FURTHER = ("sub_cluster", "metagroup", "project", "node", "parallel_class", "outcome")
NAMED = COMMON + FURTHER
CONFIGURED = ("sub_cluster", "metagroup")  # only where the settings give them values
CARRIED = (*NAMED, address.EXCLUDED)  # the lists in the address

OFFERED = 100  # names in a selector, the most active ones; the search finds all others
SIMILAR = 5  # names that are suggested in place of one that does not exist
FOUND = 4  # matches of a search for each dimension
SEARCHED = ("user", "group", "project", "queue", "node", "metagroup")
SHOWN_NAMES = 3  # of a filter in words
SCOPE = "scope"  # of the session state, from the frame to the page
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
        period = _show_period(activity)
    except QuestionError as error:
        problem, period = error, Period()
    _show_search()
    for name in COMMON:
        _show_names(name)
    _show_further()
    if problem:
        raise problem
    first, last = _span(period, activity)
    scope = Scope(period, tuple(_chosen()), first, last)
    st.session_state[SCOPE] = scope
    return scope


def current() -> Scope:
    """Give what `show_filters` found in this run of the script, to the page that follows it."""
    scope = st.session_state[SCOPE]
    assert isinstance(scope, Scope)
    return scope


def offered(*dimensions: str) -> tuple[str, ...]:
    """Leave out those that the settings would have to give values, or that one may not see."""
    seen = (name for name in dimensions if data.sees_names(name))
    return tuple(name for name in seen if name not in CONFIGURED or data.names(name))


def _chosen() -> Iterator[Filter]:
    """Read the filters from the address."""
    for dimension in NAMED:
        if names := address.get_all(dimension):
            yield Filter(dimension, _raw(names))
    for dimension in NAMED:
        if names := excluded(dimension):
            yield Filter(dimension, _raw(names), exclude=True)


def _raw(names: Iterable[str]) -> tuple[str, ...]:
    return tuple("" if name == text.NO_NAME else name for name in names)


def excluded(dimension: str) -> tuple[str, ...]:
    """Give the names that are left out."""
    pairs = (value.partition(":") for value in address.get_all(address.EXCLUDED))
    return tuple(name for of, _, name in pairs if of == dimension)


def add_to_filter(dimension: str, name: str, exclude: bool = False) -> None:
    """Narrow all pages to one more value, or leave it out, from a callback; '' is no value."""
    name = name or text.NO_NAME
    parameter = address.EXCLUDED if exclude else dimension
    value = f"{dimension}:{name}" if exclude else name
    address.put(parameter, dict.fromkeys((*address.get_all(parameter), value)))


def drop_filter(dimension: str, exclude: bool = False) -> None:
    """Take one filter away, from a callback."""
    if not exclude:
        address.put(dimension, [])
        return
    kept = [v for v in address.get_all(address.EXCLUDED) if not v.startswith(f"{dimension}:")]
    address.put(address.EXCLUDED, kept)


def set_period(period: str) -> None:
    """Choose another period, from a callback."""
    address.put(address.PERIOD, period)


def clear_filters() -> None:
    """Take all filters away, from a callback."""
    set_period(ALL)
    for name in CARRIED:
        address.put(name, [])


def is_filtered() -> bool:
    """Tell whether there is anything to clear."""
    return bool(address.get(address.PERIOD) or any(map(address.get_all, CARRIED)))


def show_chips(scope: Scope) -> None:
    """Draw what is chosen, each with a button that takes it away."""
    period = address.get(address.PERIOD)
    if not period and not scope.filters:
        return
    with st.container(horizontal=True, gap="xsmall", key="chips"):
        if period:
            _chip("chip_period", period_name(period), set_period, ALL)
        for kept in scope.filters:
            key = f"chip_{'not_' if kept.exclude else ''}{kept.dimension}"
            _chip(key, in_words(kept), drop_filter, kept.dimension, kept.exclude)


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
            disabled=not is_filtered(),
            on_click=clear_filters,
        )


def _sync(key: str, wanted: object) -> None:
    """Let a widget show what the address says; it would else keep what was picked in it."""
    if st.session_state.get(key) != wanted:
        st.session_state[key] = wanted


def _show_period(activity: data.Activity) -> Period:
    chosen = address.get(address.PERIOD)
    _sync("pick_period", CUSTOM if ".." in chosen else chosen)
    st.selectbox(
        t("Period"),
        _periods(activity),
        key="pick_period",
        format_func=period_name,
        accept_new_options=True,
        on_change=lambda: set_period(st.session_state["pick_period"] or ALL),
        help=t(
            "Or type a year, a month or a day: 2018, 2018-03, 2018-03-01, 2018-03..2019-06."
            " A job counts on the day on which it ended, in the cluster's time zone."
        ),
    )
    if chosen == CUSTOM or ".." in chosen:
        _show_dates(chosen)
    return preset(chosen, newest_day(activity), academic_month())


def _periods(activity: data.Activity) -> list[str]:
    month = academic_month()
    academic = {academic_year(ended, month) for ended in activity.days}
    return [
        *PRESETS,
        *(str(year) for year in activity.years),
        *(f"{ACADEMIC}{year}" for year in sorted(academic, reverse=True)),
        CUSTOM,
    ]


def academic_month() -> int:
    """Give the month in which academic years begin, as the settings say."""
    return data.settings().academic_year_starts


def academic_year(day: date, month: int) -> int:
    """Give the year in which the academic year of a day began; all begin in `month`."""
    return day.year - (day.month < month)


def period_name(period: str) -> str:
    """Write a period as people call it; one that was typed stays as it is."""
    if period in PRESETS:
        return t(PRESETS[period])
    if period == CUSTOM:
        return t("Custom dates")
    if period.startswith(ACADEMIC):
        year = period.removeprefix(ACADEMIC)
        return t("Academic year {years}", years=_two_years(year))
    return period


def _two_years(year: str) -> str:
    return f"{year}–{int(year) + 1}" if year.isdecimal() else year


def _show_dates(chosen: str) -> None:
    known = Period.parse(chosen) if chosen != CUSTOM else Period()
    pick = partial(
        st.date_input,
        value=None,
        min_value=FIRST_DAY,
        max_value=LAST_DAY,
        format="YYYY-MM-DD",
        on_change=_dates_picked,
    )
    _sync("pick_from", known.start)
    _sync("pick_to", known.end - timedelta(days=1) if known.end else None)
    pick(t("From"), key="pick_from")
    pick(t("To"), key="pick_to")


def _dates_picked() -> None:
    first, last = (st.session_state[key] for key in ("pick_from", "pick_to"))
    days = [day.isoformat() if _is_day(day) else "" for day in (first, last)]
    set_period("..".join(days) if any(days) else CUSTOM)


def _is_day(chosen: object) -> bool:
    return isinstance(chosen, date) and FIRST_DAY <= chosen <= LAST_DAY


def newest_day(activity: data.Activity) -> date:
    """Give the day that "this" and "last" count from: that of the last job, at most today."""
    today = date.today()
    return max((ended for ended in activity.days if ended <= today), default=today)


def preset(chosen: str, newest: date, month: int = 9) -> Period:
    """Turn an option of the period filter into days; raises `QuestionError` for what is none.

    "This" and "last" count from the day `newest`; academic years begin in `month`.
    """
    if chosen in (ALL, CUSTOM):
        return Period()
    if chosen in ("this-year", "last-year"):
        return Period.parse(str(newest.year - (chosen == "last-year")))
    if chosen == "last-12-months":
        months = newest.year * 12 + newest.month - 12
        return Period(date(months // 12, months % 12 + 1, 1), newest + timedelta(days=1))
    if chosen == "last-30-days":
        return Period(newest - timedelta(days=29), newest + timedelta(days=1))
    if chosen in ("this-academic-year", "last-academic-year"):
        year = academic_year(newest, month) - (chosen == "last-academic-year")
        return _academic(year, month)
    if re.fullmatch(f"{ACADEMIC}[12][0-9]{{3}}", chosen):
        return _academic(int(chosen.removeprefix(ACADEMIC)), month)
    return Period.parse(chosen)


def _academic(year: int, month: int) -> Period:
    return Period(date(year, month, 1), date(year + 1, month, 1))


def _show_names(dimension: str) -> None:
    """Draw the selector of a dimension: the most active names, and any that is typed."""
    known, chosen = data.names(dimension), address.get_all(dimension)
    if not data.sees_names(dimension):
        return
    if dimension in CONFIGURED and not known and not chosen:
        return
    options = list(dict.fromkeys((*known[:OFFERED], *chosen)))
    key, worded = f"pick_{dimension}", dimension in text.WORDED
    _sync(key, list(chosen))
    st.multiselect(
        text.label(dimension),
        options,
        key=key,
        format_func=partial(text.value, dimension),
        accept_new_options=not worded,
        placeholder=t("All"),
        on_change=lambda: address.put(dimension, st.session_state[key]),
        help=t("The {count} most active ones are offered; any other can be typed.", count=OFFERED)
        if len(known) > OFFERED
        else None,
    )
    for name in chosen:
        if name != text.NO_NAME and not data.exists(dimension, name):
            _show_unknown(dimension, name)


def _show_unknown(dimension: str, name: str) -> None:
    """Say that nothing has this name, and offer those that are like it."""
    what = text.lower(text.label(dimension))
    shown = text.plain(text.short(name))
    st.markdown(f":orange[{t('No {what} is named {name}.', what=what, name=shown)}]")
    with st.container(horizontal=True, gap="xsmall"):
        for other in data.search(dimension, name, SIMILAR):
            st.button(
                text.plain(text.short(other)),
                key=f"similar_{dimension}_{other}",
                on_click=_replace,
                args=(dimension, name, other),
            )


def _replace(dimension: str, name: str, other: str) -> None:
    chosen = [other if each == name else each for each in address.get_all(dimension)]
    address.put(dimension, dict.fromkeys(chosen))


@st.fragment
def _show_search() -> None:
    """Find a name among all there are: the database looks, while one types."""
    typed = st.text_input(
        t("Find a name"),
        key="find",
        type="search",
        live="300ms",
        placeholder=t("User, group, queue, node …"),
        icon=":material/search:",
        label_visibility="collapsed",
    )
    if len(typed) < 2:
        return
    found = data.search_all(offered(*SEARCHED), typed, FOUND)
    with st.container(gap=None, key="matches"):
        for dimension, names in found.items():
            for name in names:
                _show_match(dimension, name)
    if not any(found.values()):
        st.caption(t("Nothing is named like this."))


def _show_match(dimension: str, name: str) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        shown = f"{text.plain(text.short(name))}  :gray[{text.label(dimension)}]"
        key = f"{dimension}_{name}"
        st.button(
            shown,
            key=f"only_{key}",
            type="tertiary",
            width="stretch",
            on_click=_found,
            args=(dimension, name, False),
            help=t("Only this one"),
        )
        st.button(
            t("not"),
            key=f"without_{key}",
            type="tertiary",
            on_click=_found,
            args=(dimension, name, True),
            help=t("Leave this one out"),
        )


def _found(dimension: str, name: str, exclude: bool) -> None:
    add_to_filter(dimension, name, exclude)
    st.session_state["find"] = ""
    st.rerun()  # the whole page, not just the search


def _show_further() -> None:
    """Draw the filters that few need; what is chosen in them shows in the chips."""
    more = st.expander(t("More filters"), key="further", on_change="rerun")
    if not more.open:
        return
    with more:
        for name in FURTHER:
            _show_names(name)
        _show_excluded()


def _show_excluded() -> None:
    """Draw the selector of what is left out, of one dimension at a time."""
    dimension = st.selectbox(
        t("Leave out"),
        offered(*NAMED),
        key="pick_excluded_of",
        format_func=text.label,
        persist_state="session",
    )
    key = f"pick_not_{dimension}"
    chosen = excluded(dimension)
    _sync(key, list(chosen))
    st.multiselect(
        t("Left out"),
        list(dict.fromkeys((*data.names(dimension)[:OFFERED], *chosen))),
        key=key,
        format_func=partial(text.value, dimension),
        accept_new_options=dimension not in text.WORDED,
        placeholder=t("None"),
        label_visibility="collapsed",
        on_change=_excluded_picked,
        args=(dimension, key),
    )


def _excluded_picked(dimension: str, key: str) -> None:
    picked = list(st.session_state[key])
    drop_filter(dimension, exclude=True)
    for name in picked:
        add_to_filter(dimension, name, exclude=True)


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
