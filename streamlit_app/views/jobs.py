"""Jobs: a search among all of them, and everything that the accounting has on one."""

from __future__ import annotations

import streamlit as st

from clickhouse.errors import QuestionError
from clickhouse.records import JobKey
from streamlit_app import address, text
from streamlit_app.cards import page_header
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.jobs import one, search


def show(scope: Scope) -> None:
    """Draw the list, or one job where the address names it."""
    asked = address.get("job")
    if not asked:
        search.show(scope)
        return
    try:
        key = JobKey.parse(asked)
    except QuestionError as error:
        page_header(t("Jobs"), None)
        _back()
        st.error(text.plain(str(error)), icon=":material/error_outline:")
        return
    _back()
    one.show(key)


def _back() -> None:
    st.button(
        t("All jobs"),
        key="jobs_back",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=address.put,
        args=("job", ""),
    )


show(current())
