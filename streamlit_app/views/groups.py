"""Groups: all of them ranked by any figure, or one in detail."""

from __future__ import annotations

from streamlit_app.entity import show_entities
from streamlit_app.filters import current
from streamlit_app.i18n import t

show_entities("groups", t("Groups"), ("group",), current())
