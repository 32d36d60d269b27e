"""What the app shows where there is nothing to show: no data yet, or no database."""

from __future__ import annotations

import streamlit as st

from clickhouse.errors import WarehouseBusy, WarehouseError, WarehouseUnreachable
from streamlit_app import data, text

LOOK_AGAIN_SECONDS = 5.0
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
    st.title("Nothing has been loaded yet", anchor=False)
    st.markdown(
        "PyChartAccounting reads the accounting file of Grid Engine,"
        " `$SGE_ROOT/default/common/accounting`. Load it from a terminal:"
    )
    st.code(LOAD, language="bash")
    st.caption(
        "The embedded database belongs to one process: stop this app while `pychart load` runs,"
        " or use `pychart up`. This page looks again every few seconds."
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


def show_failure(error: WarehouseError) -> None:
    """Say in a sentence what is wrong with the database."""
    headline = {
        WarehouseUnreachable: "The database does not answer",
        WarehouseBusy: "The database is in use by another process",
    }.get(type(error), "The database refused the question")
    st.error(text.plain(str(error)), title=headline, icon=":material/database_off:")
    st.button("Try again", key="retry", icon=":material/refresh:")
