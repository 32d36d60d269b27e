"""An array: how its tasks went, and which of them took much longer than the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import streamlit as st

from clickhouse import records
from clickhouse.records import JobKey
from streamlit_app import charts, data, specs, text
from streamlit_app.cards import card, draw, nothing
from streamlit_app.i18n import t
from streamlit_app.jobs import facts
from streamlit_app.jobs.tables import GIB, HOUR, divided, durations, list_columns, picked

MOST_TASKS = 5000  # of an array, the longest ones


def show(key: JobKey, submission: Mapping[str, Any]) -> None:
    """Draw the array that a submission made."""
    at = submission["submitted"]
    campaign = data.of_job(records.campaign, key, at)
    table = data.of_job(records.tasks, key, at, MOST_TASKS)
    st.markdown(
        t(
            "{user} submitted the array {name} on {when}.",
            user=facts.bold(submission["owner"]),
            name=facts.bold(submission["job_name"]),
            when=facts.moment(at, key.cluster),
        )
    )
    if campaign:
        _array_tiles(campaign)
    rows = table.to_pylist()
    _tasks_chart(rows, campaign.get("median_wall_seconds"))
    _tasks_table(key, rows)


def _array_tiles(found: Mapping[str, Any]) -> None:
    shown = {
        t("Tasks"): facts.thousands(found["tasks"]),
        t("Executed"): facts.thousands(found["executed"]),
        t("Not done"): facts.thousands(found["failed"]),
        t("Attempts"): facts.thousands(found["attempts"]),
        t("First start to last end"): facts.duration(found["span_seconds"]),
        t("Median task"): facts.duration(found["median_wall_seconds"]),
        t("Stragglers"): facts.thousands(found["stragglers"]),
        t("Core time"): text.figure(found["core_seconds"] / HOUR, "core-h"),
    }
    with st.grid(4, min_column_width=170, gap="small", key="jobs_array_tiles"):
        for label, value in shown.items():
            st.metric(label, value, border=True)


def _tasks_chart(rows: Sequence[Mapping[str, Any]], median: float | None) -> None:
    known = [row for row in rows if row["wall_seconds"] is not None]
    with card("jobs_tasks", t("Run time of each task"), None):
        if len(known) < 2 or median is None:
            nothing(t("Fewer than two tasks ran."))
            return
        axis = specs.axis_of(t("Run time"), "s", [row["wall_seconds"] for row in known])
        kinds = [t("straggler") if r["wall_seconds"] > 2 * median else t("task") for r in known]
        table = pa.table(
            {
                "task": pa.array([row["task_number"] for row in known]),
                "value": pa.array([row["wall_seconds"] / axis.divisor for row in known]),
                "shown": pa.array([text.duration(row["wall_seconds"]) for row in known]),
                "kind": pa.array(kinds),
                "median": pa.array([median / axis.divisor] * len(known)),
            }
        )
        draw(
            charts.tasks(f"{t('Run time')} ({text.unit_name(axis.unit)})"),
            table,
            "jobs_tasks",
            t("Run time of each task"),
        )
        st.caption(t("Stragglers ran more than twice as long as the median, which the line shows."))


def _tasks_table(key: JobKey, rows: Sequence[Mapping[str, Any]]) -> None:
    keys = [str(JobKey(key.cluster, key.number, row["task_number"])) for row in rows]
    clusters = [key.cluster] * len(rows)
    table = pa.table(
        {
            "task": pa.array([row["task_number"] for row in rows]),
            "attempts": pa.array([row["attempts"] for row in rows]),
            "outcome": pa.array([text.value("outcome", row["outcome"]) for row in rows]),
            "node": pa.array([row["node"] for row in rows]),
            "started": facts.local_times([row["started"] for row in rows], clusters),
            "ended": facts.local_times([row["ended"] for row in rows], clusters),
            "wall_seconds": durations(row["wall_seconds"] for row in rows),
            "cpu": durations(row["cpu"] for row in rows),
            "memory": pa.array([divided(row["maxvmem"], GIB) for row in rows], pa.float64()),
        }
    )
    with card("jobs_array_list", t("Tasks, the longest first"), table):
        columns = list_columns()
        columns |= {"task": t("Task"), "attempts": t("Attempts"), "cpu": t("CPU time")}
        st.dataframe(
            table,
            key="jobs_tasks_table",
            hide_index=True,
            height="auto" if len(rows) <= 12 else 460,
            column_config=columns,
            on_select=partial(picked, "jobs_tasks_table", keys),
            selection_mode="single-row",
            alt=t("Tasks, the longest first"),
        )
