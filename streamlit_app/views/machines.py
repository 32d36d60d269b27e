"""Machines: queues, nodes and sub-clusters, ranked by any figure."""

from __future__ import annotations

from streamlit_app.cards import page_header
from streamlit_app.filters import Scope, current, offered
from streamlit_app.ranking import show_rankings


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header("Machines", scope)
    show_rankings("machines", offered("queue", "node", "sub_cluster"), scope)


show(current())
