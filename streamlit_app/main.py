"""The app's frame: the shared filters, then the chosen page. Streamlit runs this for each visit."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import Page

from clickhouse.errors import QuestionError, WarehouseError
from streamlit_app import address, asking, data, i18n, places, states, text
from streamlit_app.filters import CARRIED, show_filters
from streamlit_app.i18n import t

ASSETS = Path(__file__).parent / "assets"


def _choose_language() -> None:
    """Find the language of this run, before anything is written."""
    address.carry("language", texts=[address.LANGUAGE])
    asked = address.get(address.LANGUAGE)
    st.session_state[i18n.STATE] = i18n.choose(asked, st.context.locale)


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


def _pages() -> dict[str, list[Page]]:
    """Make the navigation; what is at / is the first page of all."""
    first = next(iter(places.SECTIONS.values()))[0]
    return {
        t(section) if section else "": [
            st.Page(
                places.VIEWS / place.file,
                title=t(place.title),
                icon=f":material/{place.icon}:",
                url_path=place.path,
                default=place is first,
            )
            for place in found
        ]
        for section, found in places.SECTIONS.items()
    }


def _run(page: Page, sidebar: DeltaGenerator) -> None:
    try:
        if not data.version():
            states.show_empty()
            return
        with sidebar:
            show_filters()
        if st.session_state.pop(asking.STOPPED, False):
            states.show_stopped()
        else:
            page.run()
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
    page = st.navigation(_pages(), position="top")
    own = next((place.parameters for place in places.every() if place.path == page.url_path), ())
    address.carry("filters", CARRIED, [address.PERIOD, *own])
    with st.sidebar:
        filters = st.container()
        _show_language()
    _run(page, filters)


main()
