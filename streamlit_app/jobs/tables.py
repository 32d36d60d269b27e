"""What the tables of jobs share: columns, durations, and a row that opens its job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import streamlit as st

from streamlit_app import address, text
from streamlit_app.i18n import t

GIB = 1024**3
HOUR = 3600
CLOCK = "YYYY-MM-DD HH:mm:ss"


def durations(seconds: Iterable[float | None]) -> pa.Array:
    """Make a column of durations, to the second."""
    known = [None if each is None else round(each) for each in seconds]
    return pa.array(known, pa.duration("s"))


def divided(value: float | None, unit: float) -> float | None:
    """Give a figure in a larger unit."""
    return None if value is None else value / unit


def list_columns() -> dict[str, Any]:
    """Say how each column of a table of jobs is called and written."""
    make = st.column_config
    time = partial(make.DatetimeColumn, format=CLOCK, width=150)
    return {
        "cluster": text.label("cluster"),
        "job": make.Column(t("Job"), pinned=True),
        "job_name": text.label("job_name"),
        "owner": text.label("user"),
        "group": text.label("group"),
        "queue": text.label("queue"),
        "node": text.label("node"),
        "slots": make.NumberColumn(text.label("slots")),
        "outcome": text.label("outcome"),
        "submitted": time(t("Submitted")),
        "started": time(t("Started")),
        "ended": time(t("Ended")),
        "wait_seconds": make.Column(t("Wait")),
        "wall_seconds": make.Column(t("Run time")),
        "core_hours": make.NumberColumn(f"{t('Core time')} ({t('core-h')})", format="%.2f"),
        "memory": make.NumberColumn(f"{t('Memory')} ({t('GiB')})", format="%.2f"),
    }


def picked(table: str, keys: Sequence[str]) -> None:
    """Open the job whose row was picked in a table; `keys` are those of its rows."""
    rows = st.session_state[table].selection.rows
    if rows and rows[0] < len(keys):
        address.put("job", keys[rows[0]])
