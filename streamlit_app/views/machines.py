"""Machines: queues and nodes, ranked by any figure."""

from __future__ import annotations

from streamlit_app.cards import page_header
from streamlit_app.filters import Scope, current
from streamlit_app.ranking import show_rankings


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header("Machines", scope)
    show_rankings("machines", ("queue", "node"), scope)


show(current())
