"""Clusters and their parts: all of them ranked by any figure, or one in detail."""

from __future__ import annotations

from streamlit_app.entity import show_entities
from streamlit_app.filters import current, offered
from streamlit_app.i18n import t

show_entities("clusters", t("Clusters"), offered("cluster", "sub_cluster"), current())
