"""Metagroups: all of them ranked by any figure, or one in detail."""

from __future__ import annotations

import streamlit as st

from streamlit_app import data
from streamlit_app.cards import page_header
from streamlit_app.entity import chosen, show_entities
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t

EXAMPLE = """\
[metagroups.biology]
groups = ["bio", "genomics"]
users = ["ann"]
"""


def show(scope: Scope) -> None:
    """Draw the page, or say how to make metagroups where the settings name none."""
    if data.names("metagroup") or chosen(scope, "metagroup"):
        show_entities("metagroups", t("Metagroups"), ("metagroup",), scope)
        st.caption(
            t(
                "A job counts in each metagroup of its user or group, its hours by the share that"
                " the settings give; so metagroups can add up to more than the whole."
            )
        )
        return
    page_header(t("Metagroups"), scope)
    st.markdown(
        t("The settings name no metagroup: a laboratory, a faculty, or any users and groups.")
    )
    st.code(EXAMPLE, language="toml")
    st.caption(t("An edit of pychart.toml shows here at once; nothing needs to be loaded again."))


show(current())
