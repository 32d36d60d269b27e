"""The list of the page Jobs: what a search finds within the filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import streamlit as st

from clickhouse import records
from clickhouse.records import JobKey
from streamlit_app import data, i18n, linked, text
from streamlit_app.cards import card, nothing, page_header
from streamlit_app.filters import Scope
from streamlit_app.i18n import mark, t
from streamlit_app.jobs import facts
from streamlit_app.jobs.tables import GIB, HOUR, divided, durations, list_columns, picked

LIMIT = 200  # jobs of a list
SORTS = {
    "newest": mark("Latest end first"),
    "oldest": mark("Earliest end first"),
    "longest": mark("Longest first"),
    "core_time": mark("Most core time first"),
    "wait": mark("Longest wait first"),
    "cpu": mark("Most CPU time first"),
    "memory": mark("Most memory first"),
    "slots": mark("Most slots first"),
}


def show(scope: Scope) -> None:
    """Draw the search and what it finds."""
    page_header(t("Jobs"), scope)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        find = linked.text_input(
            t("Number or name"),
            "search",
            placeholder=t("4711, 4711.3, blast or sim*_v?"),
            icon=":material/search:",
            help=t("A job's number, with .TASK that of an array's task; or a part of its name."),
            width="stretch",
        )
        sort = linked.select(
            t("Order"), "sort", list(SORTS), lambda name: t(SORTS[name]), width=230
        )
    with st.spinner(t("Looking through the accounting…"), show_time=True):
        wanted = records.Search(scope.first, scope.last, find, sort, scope.filters)
        found = data.search_jobs(wanted, LIMIT)
    with card("jobs_list", t("Attempts of jobs"), found.table):
        if not found.table.num_rows:
            nothing(t("No job matches this search and these filters."))
            return
        _list(found)


def _list(found: records.Found) -> None:
    rows = found.table.to_pylist()
    keys = [str(JobKey(r["cluster"], r["job_number"], r["task_number"] or None)) for r in rows]
    many = len({row["cluster"] for row in rows}) > 1
    shown = _readable(rows, with_cluster=many)
    st.dataframe(
        shown,
        key="jobs_table",
        hide_index=True,
        height="auto" if shown.num_rows <= 12 else 520,
        column_config=list_columns(),
        on_select=partial(picked, "jobs_table", keys),
        selection_mode="single-row",
        alt=t("Jobs that match"),
    )
    count = i18n.tn("{count} attempt", "{count} attempts", len(rows))
    more = t("the first {count} of more; narrow the search", count=len(rows))
    st.caption(
        (more if found.more else count) + "  ·  " + t("pick a row to see all there is on a job")
    )


def _readable(rows: Sequence[Mapping[str, Any]], *, with_cluster: bool) -> pa.Table:
    clusters = [row["cluster"] for row in rows]
    columns: dict[str, pa.Array] = {"cluster": pa.array(clusters)} if with_cluster else {}
    columns["job"] = pa.array(
        [facts.number(JobKey("", r["job_number"], r["task_number"])) for r in rows]
    )
    for name in ("job_name", "owner", "queue", "node"):
        columns[name] = pa.array([text.short(row[name], 60) for row in rows])
    columns["slots"] = pa.array([row["slots"] for row in rows], pa.uint32())
    columns["outcome"] = pa.array([text.value("outcome", row["outcome"]) for row in rows])
    columns["ended"] = facts.local_times([row["ended"] for row in rows], clusters)
    for name in ("wall_seconds", "wait_seconds"):
        columns[name] = durations(row[name] for row in rows)
    columns["core_hours"] = pa.array([divided(row["core_seconds"], HOUR) for row in rows])
    columns["memory"] = pa.array([divided(row["maxvmem"], GIB) for row in rows], pa.float64())
    columns["group"] = pa.array([text.short(row["group"], 60) for row in rows])
    for name in ("submitted", "started"):
        columns[name] = facts.local_times([row[name] for row in rows], clusters)
    return pa.table(columns)
