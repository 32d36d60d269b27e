"""The app's frame: the shared filters, then the chosen page. Streamlit runs this for each visit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import Page

from clickhouse.errors import QuestionError, WarehouseError
from streamlit_app import access, address, asking, data, i18n, places, states, text, who
from streamlit_app.access import Viewer
from streamlit_app.filters import show_filters
from streamlit_app.i18n import t
from streamlit_app.narrowing import CARRIED

ASSETS = Path(__file__).parent / "assets"


def _choose_language() -> None:
    """Find the language of this run, before anything is written."""
    address.carry("language", texts=[address.LANGUAGE, address.NAMES])
    asked = address.get(address.LANGUAGE)
    chosen = i18n.choose(asked, st.context.locale)
    st.session_state[i18n.STATE] = chosen  # for what runs without this: callbacks and fragments
    i18n.speak(chosen)


def _show_language() -> None:
    """Draw the switch of languages."""
    shown = i18n.language()
    if st.session_state.get("pick_language") != shown:
        st.session_state["pick_language"] = shown
    st.segmented_control(
        t("Language"),
        list(i18n.LANGUAGES),
        format_func=i18n.LANGUAGES.__getitem__,
        key="pick_language",
        required=True,
        on_change=_language_picked,
        label_visibility="collapsed",
    )


def _language_picked() -> None:
    address.put(address.LANGUAGE, i18n.choose(st.session_state["pick_language"], None))


def _pages(viewer: Viewer) -> dict[str, list[Page]]:
    """Make the navigation; what is at / is the first page that the viewer may open.

    Others are there too, so that who opens one by its address is told why it is empty.
    """
    first = _first(viewer)
    return {
        t(section) if section else "": [
            st.Page(
                places.VIEWS / place.file,
                title=t(place.title),
                icon=f":material/{place.icon}:",
                url_path=place.path,
                default=place is first,
                visibility="visible" if who.may_open(viewer, place) else "hidden",
            )
            for place in found
        ]
        for section, found in places.sections()
    }


def _first(viewer: Viewer) -> places.Place:
    open_to = (place for place in places.known() if who.may_open(viewer, place))
    return next(open_to, places.TOTALS)


def _place(page: Page, viewer: Viewer) -> places.Place:
    """Tell which page is open: the address of the first one is /."""
    found = (place for place in places.known() if place.path == page.url_path)
    return next(found, _first(viewer))


def _run(
    page: Page, place: places.Place, viewer: Viewer, sidebar: Sequence[DeltaGenerator]
) -> None:
    above, filters, below = sidebar
    try:
        if not data.version():
            states.show_empty()
            return
        who.hide_in_address()
        with above:
            who.show_viewer(viewer)
        with filters:
            show_filters()
        with below:
            who.show_names_switch()
        if st.session_state.pop(asking.STOPPED, False):
            states.show_stopped()
        elif who.may_open(viewer, place):
            page.run()
        else:
            who.show_refused(place)
    except QuestionError as error:
        title = t("This cannot be asked")
        st.error(text.plain(str(error)), title=title, icon=":material/event_busy:")
    except WarehouseError as error:
        states.show_failure(error)


def main() -> None:
    """Draw the frame and the page."""
    st.set_page_config(
        page_title="PyChartAccounting", page_icon=str(ASSETS / "icon.svg"), layout="wide"
    )
    st.html(ASSETS / "app.css")
    _choose_language()
    st.logo(ASSETS / "logo.svg", icon_image=ASSETS / "icon.svg", size="large")
    viewer = access.viewer()
    page = st.navigation(_pages(viewer), position="top" if viewer.roles else "hidden")
    place = _place(page, viewer)
    st.session_state[data.PAGE] = place.path
    who.take_pending()
    address.carry("filters", CARRIED, [address.PERIOD, *place.parameters])
    if not viewer.roles:
        _show_language()
        who.show_door(viewer)
        return
    with st.sidebar:
        above, filters, below = st.container(), st.container(), st.container()
        _show_language()
    _run(page, place, viewer, (above, filters, below))


main()
