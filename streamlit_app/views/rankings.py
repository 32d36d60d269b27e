"""Rankings: the first ten and the last ten of anything, by any figure."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from clickhouse.metrics import METRICS
from clickhouse.totals import without_total
from streamlit_app import data, text
from streamlit_app.cards import page_header
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t
from streamlit_app.narrowing import offered
from streamlit_app.panels import shares_panel, table_panel
from streamlit_app.ranking import (
    LEAST,
    MOST,
    PARTS,
    TABLE_ROWS,
    choose,
    end,
    end_panel,
    first_names,
    firsts_over_time,
    has_whole,
    over_time_panel,
    with_jobs,
)

DIMENSIONS = ("user", "group", "metagroup", "project", "queue", "node")


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Rankings"), scope)
    chosen = choose(offered(*DIMENSIONS), tuple(METRICS), with_order=False)
    dimension, metric = chosen.dimension, chosen.metric
    asked = with_jobs(metric)
    found, parts, table = data.answers(
        scope.over_time(asked),
        firsts_over_time(chosen, scope),
        scope.question(asked, dimension, limit=TABLE_ROWS),
    )
    whole, totals = without_total(found)
    top, bottom = (replace(chosen, order=order) for order in (MOST, LEAST))
    most = end(top, table, scope)
    left, right = st.columns(2)
    with left:
        end_panel("rankings_top", top, most, totals, scope)
    with right:
        end_panel("rankings_bottom", bottom, end(bottom, table, scope), totals, scope)
    left, right = st.columns([2, 3])
    if has_whole(metric, dimension):
        with left:
            title = t("{figure}, shares", figure=text.label(metric))
            rest = totals.column(metric)[0].as_py()
            shares_panel("rankings_shares", title, dimension, metric, most[:PARTS], (), rest)
    with right if has_whole(metric, dimension) else st.container():
        order = first_names(table, dimension, metric)
        over_time_panel("rankings_time", chosen, order, parts, whole, scope)
    kinds = text.lower(text.labels(dimension))
    title = t("All {kinds} in this order", kinds=kinds)
    table_panel("rankings_all", title, table)


show(current())
