"""People: users and groups, ranked by any figure."""

from __future__ import annotations

from streamlit_app.cards import page_header
from streamlit_app.filters import Scope, current
from streamlit_app.ranking import show_rankings


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header("People", scope)
    show_rankings("people", ("user", "group"), scope)


show(current())
