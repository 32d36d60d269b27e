"""The widgets of the sidebar: the period, a selector of each dimension, a search for a name.

They show what the address says, and what is picked in them goes there.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import streamlit as st

from clickhouse.query import Period
from streamlit_app import address, data, narrowing, periods, text
from streamlit_app.i18n import t

OFFERED = 100  # names in a selector, the most active ones; the search finds all others
SIMILAR = 5  # names that are suggested in place of one that does not exist
FOUND = 4  # matches of a search for each dimension
SEARCHED = ("user", "group", "project", "queue", "node", "metagroup")


def _sync(key: str, wanted: object) -> None:
    """Let a widget show what the address says; it would else keep what was picked in it."""
    if st.session_state.get(key) != wanted:
        st.session_state[key] = wanted


def show_period(activity: data.Activity) -> Period:
    """Draw the period; raises `QuestionError` for one that cannot be."""
    chosen = address.get(address.PERIOD)
    _sync("pick_period", periods.CUSTOM if ".." in chosen else chosen)
    st.selectbox(
        t("Period"),
        periods.offered(activity),
        key="pick_period",
        format_func=periods.name,
        accept_new_options=True,
        on_change=lambda: narrowing.set_period(st.session_state["pick_period"] or periods.ALL),
        help=t(
            "Or type a year, a month or a day: 2018, 2018-03, 2018-03-01, 2018-03..2019-06."
            " A job counts on the day on which it ended, in the cluster's time zone."
        ),
    )
    if chosen == periods.CUSTOM or ".." in chosen:
        _show_dates(chosen)
    return periods.preset(chosen, periods.newest_day(activity), periods.academic_month())


def _show_dates(chosen: str) -> None:
    known = Period.parse(chosen) if chosen != periods.CUSTOM else Period()
    pick = partial(
        st.date_input,
        value=None,
        min_value=periods.FIRST_DAY,
        max_value=periods.LAST_DAY,
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
    narrowing.set_period("..".join(days) if any(days) else periods.CUSTOM)


def _is_day(chosen: object) -> bool:
    return isinstance(chosen, date) and periods.FIRST_DAY <= chosen <= periods.LAST_DAY


def show_names(dimension: str) -> None:
    """Draw the selector of a dimension: the most active names, and any that is typed."""
    known, chosen = data.names(dimension), address.get_all(dimension)
    if not data.sees_names(dimension):
        return
    if dimension in narrowing.CONFIGURED and not known and not chosen:
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
def show_search() -> None:
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
    found = data.search_all(narrowing.offered(*SEARCHED), typed, FOUND)
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
    narrowing.add_to_filter(dimension, name, exclude)
    st.session_state["find"] = ""
    st.rerun()  # the whole page, not just the search


def show_further() -> None:
    """Draw the filters that few need; what is chosen in them shows in the chips."""
    more = st.expander(t("More filters"), key="further", on_change="rerun")
    if not more.open:
        return
    with more:
        for name in narrowing.FURTHER:
            show_names(name)
        _show_excluded()


def _show_excluded() -> None:
    """Draw the selector of what is left out, of one dimension at a time."""
    dimension = st.selectbox(
        t("Leave out"),
        narrowing.offered(*narrowing.NAMED),
        key="pick_excluded_of",
        format_func=text.label,
        persist_state="session",
    )
    key = f"pick_not_{dimension}"
    chosen = narrowing.excluded(dimension)
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
    narrowing.drop_filter(dimension, exclude=True)
    for name in picked:
        narrowing.add_to_filter(dimension, name, exclude=True)
