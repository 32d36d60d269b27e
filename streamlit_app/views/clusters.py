"""Clusters and their parts: all of them ranked by any figure, or one in detail."""

from __future__ import annotations

from streamlit_app import data
from streamlit_app.entity import show_entities
from streamlit_app.filters import current
from streamlit_app.i18n import t
from streamlit_app.narrowing import offered

# of a single cluster its parts tell more
parts = (
    ("sub_cluster", "cluster") if len(data.names("cluster")) == 1 else ("cluster", "sub_cluster")
)
show_entities("clusters", t("Clusters"), offered(*parts), current())
