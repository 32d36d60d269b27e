"""What the app shows where there is nothing to show: no data yet, no database, no patience."""

from __future__ import annotations

import streamlit as st

from clickhouse.errors import WarehouseBusy, WarehouseError, WarehouseUnreachable
from streamlit_app import data, text
from streamlit_app.i18n import t
from streamlit_app.warehouse import holder

LOOK_AGAIN_SECONDS = 5.0
TIMED_OUT, OUT_OF_MEMORY, CANCELLED = 159, 241, 394  # ClickHouse's numbers
LOAD = """\
# your scheduler's accounting file, once
pychart load --cluster NAME /path/to/accounting

# or load it, follow it and serve this app, all in one process
pychart up --cluster NAME /path/to/accounting

# or try it with made-up data
pychart demo --output demo && pychart --config demo/pychart.toml up
"""


def show_empty() -> None:
    """Say how to load data; the page turns into the app once some is there."""
    st.title(t("Nothing has been loaded yet"), anchor=False)
    st.markdown(
        t(
            "PyChartAccounting reads the accounting file of Grid Engine,"
            " `$SGE_ROOT/default/common/accounting`. Load it from a terminal:"
        )
    )
    st.code(LOAD, language="bash")
    st.caption(
        t(
            "The embedded database belongs to one process: stop this app while `pychart load`"
            " runs, or use `pychart up`. This page looks again every few seconds."
        )
    )
    _wait_for_data()


@st.fragment(run_every=LOOK_AGAIN_SECONDS)
def _wait_for_data() -> None:
    try:
        found = bool(data.version())
    except WarehouseError:
        found = False
    if found:
        st.rerun()


def show_stopped() -> None:
    """Say that the reader stopped the questions of this page."""
    st.info(
        t("The database has been told to stop. Other pages and filters work as before."),
        title=t("Stopped"),
        icon=":material/stop_circle:",
    )
    st.button(t("Ask again"), key="retry", icon=":material/refresh:")


def show_failure(error: WarehouseError) -> None:
    """Say in a sentence what is wrong with the database, or with what was asked of it."""
    if error.code in (TIMED_OUT, OUT_OF_MEMORY, CANCELLED):
        _show_too_large(error)
    else:
        st.error(text.plain(str(error)), title=_headline(error), icon=":material/database_off:")
    st.button(t("Try again"), key="retry", icon=":material/refresh:")


def _headline(error: WarehouseError) -> str:
    if isinstance(error, WarehouseUnreachable):
        return t("The database does not answer")
    if isinstance(error, WarehouseBusy):
        return t("The database is in use by another process")
    return t("The database refused the question")


def _show_too_large(error: WarehouseError) -> None:
    """Say what to do about a question that was stopped because it takes too much."""
    seconds = holder.get().settings.query_seconds
    headline = {
        TIMED_OUT: t("This took longer than {seconds} s and was stopped", seconds=seconds),
        OUT_OF_MEMORY: t("This needs more memory than the database may use"),
        CANCELLED: t("This was stopped"),
    }[error.code]
    st.warning(
        t("Choose a shorter period or more filters, then it has less to read."),
        title=headline,
        icon=":material/timer_off:",
    )
