"""The app's frame: the shared filters, then the chosen page. Streamlit runs this for each visit."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from clickhouse.errors import QuestionError, WarehouseError
from streamlit_app import data, states, text
from streamlit_app.filters import show_filters

ASSETS = Path(__file__).parent / "assets"
VIEWS = Path(__file__).parent / "views"
# file, title, icon, path in the address; the first one is at /
PAGES = (
    ("overview.py", "Overview", ":material/dashboard:", "overview"),
    ("people.py", "People", ":material/group:", "people"),
    ("machines.py", "Machines", ":material/dns:", "machines"),
    ("sizes.py", "Job sizes", ":material/stacked_bar_chart:", "sizes"),
    ("loaded.py", "Data", ":material/database:", "data"),
)


def _run(page: Page) -> None:
    try:
        if not data.version():
            states.show_empty()
            return
        show_filters()
        page.run()
    except QuestionError as error:
        st.error(text.plain(str(error)), title="No such period", icon=":material/event_busy:")
    except WarehouseError as error:
        states.show_failure(error)


def main() -> None:
    """Draw the frame and the page."""
    st.set_page_config(
        page_title="PyChartAccounting", page_icon=str(ASSETS / "icon.svg"), layout="wide"
    )
    st.logo(ASSETS / "logo.svg", icon_image=ASSETS / "icon.svg", size="large")
    pages = [
        st.Page(VIEWS / file, title=title, icon=icon, url_path=path, default=file == PAGES[0][0])
        for file, title, icon, path in PAGES
    ]
    _run(st.navigation(pages))


main()
