"""One job: what became of it, its figures, attempts, parallel tasks, fields and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import streamlit as st

from clickhouse import records
from clickhouse.fields import FIELDS
from clickhouse.records import JobKey
from streamlit_app import address, data, pseudonyms, text
from streamlit_app.cards import card, nothing, page_header
from streamlit_app.i18n import t
from streamlit_app.jobs import array, facts
from streamlit_app.jobs.tables import CLOCK, HOUR, durations, list_columns

MOST_LINES = 500  # of a job: attempts and parallel tasks


def show(key: JobKey) -> None:
    """Draw a job, or the array of that number."""
    shown = facts.number(key)
    page_header(t("Job {number}", number=shown), None)
    submissions = data.of_job(records.submissions, key).to_pylist()
    if not submissions:
        st.info(
            t("Cluster {cluster} has no job of this number.", cluster=text.plain(key.cluster)),
            icon=":material/search_off:",
        )
        return
    chosen = _choose_submission(submissions, key)
    if chosen["last_task"] and not key.task:
        array.show(key, chosen)
        return
    lines = data.of_job(records.lines_of, key, chosen["submitted"], MOST_LINES)
    if not lines:
        st.info(t("The array has no task of this number."), icon=":material/search_off:")
        return
    _show_attempt(key, lines)


def _choose_submission(found: Sequence[dict[str, Any]], key: JobKey) -> dict[str, Any]:
    """Let the reader choose where a number came round again; the latest is the usual one."""
    if len(found) == 1:
        return found[0]
    at = st.selectbox(
        t("This number was given {count} times", count=len(found)),
        range(len(found)),
        key=f"jobs_submission_{key}",
        format_func=lambda i: _submission_words(found[i], key.cluster),
        width=520,
    )
    return found[at] if at in range(len(found)) else found[0]


def _submission_words(found: Mapping[str, Any], cluster: str) -> str:
    when = facts.moment(found["submitted"], cluster)
    return f"{when}  ·  {text.short(found['owner'])}  ·  {text.short(found['job_name'])}"


def _show_attempt(key: JobKey, lines: Sequence[dict[str, Any]]) -> None:
    attempts = [line for line in lines if not line["pe_taskid"]]
    parallel = [line for line in lines if line["pe_taskid"]]
    if not attempts:
        st.info(t("Only parallel tasks of this job are in the accounting."))
        _parallel_card(parallel)
        return
    line = _choose_attempt(key, attempts)
    used = _with_parallel(line, parallel)
    _story(key, line)
    _tiles(used, key, line)
    left, right = st.columns(2)
    with left:
        _requests_card(used)
    with right:
        _place_card(line)
    if len(attempts) > 1:
        _attempts_card(attempts)
    _fields_card(line)
    if parallel:
        _parallel_card(parallel)


def _choose_attempt(key: JobKey, attempts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Let the reader choose one of several attempts; the last one is the usual one."""
    if len(attempts) == 1:
        return attempts[0]
    at = st.selectbox(
        t("This job was attempted {count} times", count=len(attempts)),
        range(len(attempts)),
        key=f"jobs_attempt_{key}",
        index=len(attempts) - 1,
        format_func=lambda i: t("Attempt {number}", number=i + 1),
        width=320,
    )
    return attempts[at if at in range(len(attempts)) else -1]


def _attempts_card(attempts: Sequence[Mapping[str, Any]]) -> None:
    title = t("Attempts")
    clusters = [line["cluster"] for line in attempts]
    table = pa.table(
        {
            "attempt": pa.array(range(1, len(attempts) + 1), pa.int32()),
            "queue": pa.array([line["qname"] for line in attempts]),
            "node": pa.array([line["hostname"] for line in attempts]),
            "started": facts.local_times([line["start_time"] for line in attempts], clusters),
            "ended": facts.local_times([line["end_time"] for line in attempts], clusters),
            "wall_seconds": durations(map(facts.ran_seconds, attempts)),
            "failed": pa.array([facts.failed_words(line["failed"]) for line in attempts]),
            "exit_status": pa.array([line["exit_status"] for line in attempts]),
        }
    )
    with card("jobs_attempts", title, table):
        columns = list_columns() | {
            "attempt": t("Attempt"),
            "failed": t("Failure"),
            "exit_status": t("Exit status"),
        }
        height: Any = "auto" if len(attempts) <= 10 else 400
        st.dataframe(
            table,
            key="jobs_attempts_table",
            hide_index=True,
            height=height,
            column_config=columns,
            alt=title,
        )


def _with_parallel(line: dict[str, Any], parallel: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add what the parallel tasks used that began while the attempt ran."""
    cpu = line["cpu"]
    for task in parallel:
        if cpu is not None and line["start_time"] <= task["start_time"] <= line["end_time"]:
            cpu += task["cpu"] or 0.0
    return {**line, "cpu": cpu}


def _parallel_class(key: JobKey, submission: int) -> str:
    day = data.of_job(records.last_day, key, submission)
    return str(data.of_job(records.parallel_class, key, day)) if day else ""


def _story(key: JobKey, line: Mapping[str, Any]) -> None:
    """Say in sentences what became of it."""
    cluster = key.cluster
    found = _parallel_class(key, line["submission_time"])
    what = text.value("parallel_class", found)
    parts = [
        t(
            "{user} submitted {name} on {when}.",
            user=facts.bold(line["owner"]),
            name=facts.bold(line["job_name"]),
            when=facts.moment(line["submission_time"], cluster),
        )
    ]
    waited, ran = facts.waited_seconds(line), facts.ran_seconds(line)
    if not line["start_time"]:
        parts.append(t("It never started."))
    else:
        parts.append(
            t(
                "It started on {when} on {node}, in the queue {queue}.",
                when=facts.moment(line["start_time"], cluster),
                node=facts.bold(line["hostname"]),
                queue=facts.bold(line["qname"]),
            )
        )
        if line["granted_pe"] and line["slots"]:
            parts.append(t("It had {slots} slots: {what}.", slots=line["slots"], what=what))
    if waited is not None:
        parts.append(t("It had waited {time}.", time=text.duration(waited)))
    if ran is not None:
        ended = facts.moment(line["end_time"], cluster)
        parts.append(t("It ended on {when}, after {time}.", when=ended, time=text.duration(ran)))
    if line["failed"]:
        words = facts.failed_words(line["failed"])
        number = line["failed"]
        parts.append(
            t(
                "The scheduler says: {words} (failed {number}).",
                words=text.plain(words),
                number=number,
            )
        )
    if line["exit_status"]:
        words = facts.exit_words(line["exit_status"])
        known = f" – {text.plain(words)}" if words else ""
        parts.append(t("Exit status {number}{words}.", number=line["exit_status"], words=known))
    st.markdown(" ".join(parts))
    if line["task_number"]:
        whole = str(JobKey(key.cluster, key.number))
        st.button(
            t("The whole array {number}", number=key.number),
            key="jobs_array",
            icon=":material/view_module:",
            type="tertiary",
            on_click=address.put,
            args=("job", whole),
        )


def _tiles(used: Mapping[str, Any], key: JobKey, line: Mapping[str, Any]) -> None:
    ran = facts.ran_seconds(line)
    core = None if ran is None or not line["slots"] else ran * line["slots"] / HOUR
    memory = line["maxvmem"]
    shown = {
        t("Slots"): text.MISSING if line["slots"] is None else str(line["slots"]),
        t("Wait"): facts.duration(facts.waited_seconds(line)),
        t("Run time"): facts.duration(ran),
        t("Core time"): text.figure(core, "core-h"),
        t("CPU time"): facts.duration(used["cpu"]),
        t("CPU efficiency"): text.figure(facts.efficiency(used), "%"),
        t("Memory, largest"): text.MISSING if memory is None else text.size(memory),
        t("I/O"): text.figure(line["io"], "GiB"),
    }
    with st.grid(4, min_column_width=170, gap="small", key="jobs_tiles"):
        for label, value in shown.items():
            st.metric(label, value, border=True)


def _requests_card(line: Mapping[str, Any]) -> None:
    with card("jobs_requests", t("What it asked for"), None):
        if not line["category"]:
            hidden = t("Names are hidden, and what it asked for may tell them.")
            said = t("The line does not say what it asked for.")
            nothing(hidden if pseudonyms.are_on() else said)
            return
        found = data.requests(line["category"])
        rows = [
            f"| {text.plain(t(FIELDS[name].meaning))} | {text.plain(_amount(name, value))} |"
            for name, value in found.items()
            if value is not None
        ]
        if rows:
            st.markdown("\n".join([f"| {t('Request')} | |", "|:--|--:|", *rows]))
        st.code(line["category"], language=None, wrap_lines=True)


def _amount(name: str, value: float) -> str:
    return text.duration(value) if FIELDS[name].unit == "s" else text.size(value)


def _place_card(line: Mapping[str, Any]) -> None:
    """Say where the line stands, and show it where the file can be read from here."""
    with card("jobs_place", t("Where the line stands"), None):
        if not data.sees_files():
            nothing(t("Files and their lines are shown to administrators."))
            _flags(line)
            return
        path = data.file_of(line["cluster"], line["file_id"])
        offset = line["offset"]
        said = t("byte {offset}", offset=facts.thousands(offset))
        st.markdown(f"{text.plain(path or line['file_id'])}, {said}")
        if raw := path and facts.raw_line(path, offset, line):
            st.code(raw, language=None, wrap_lines=True)
        else:
            st.caption(t("The file cannot be read from here, is compressed, or has moved on."))
        st.caption(t("How each field of it is read:"))
        st.code(f"pychart explain {path or 'FILE'}:{offset}", language="bash")
        _flags(line)


def _flags(line: Mapping[str, Any]) -> None:
    if line["flags"]:
        flags = ", ".join(text.value("flag", flag) for flag in line["flags"])
        st.caption(text.plain(t("Unusual about it: {flags}", flags=flags)))


def _fields_card(line: Mapping[str, Any]) -> None:
    table = facts.fields(line)
    with card("jobs_fields", t("All fields"), table):
        st.dataframe(
            table,
            key="jobs_fields_table",
            hide_index=True,
            height=460,
            column_config={
                "field": st.column_config.Column(t("Field"), pinned=True),
                "value": st.column_config.Column(t("Value"), width="medium"),
                "stored": st.column_config.Column(t("As stored")),
                "meaning": st.column_config.Column(t("Meaning"), width="large"),
            },
            alt=t("All fields"),
        )


def _parallel_card(lines: Sequence[Mapping[str, Any]]) -> None:
    title = t("Parallel tasks")
    clusters = [line["cluster"] for line in lines]
    table = pa.table(
        {
            "task": pa.array([line["pe_taskid"] for line in lines]),
            "node": pa.array([line["hostname"] for line in lines]),
            "started": facts.local_times([line["start_time"] for line in lines], clusters),
            "ended": facts.local_times([line["end_time"] for line in lines], clusters),
            "cpu": durations(line["cpu"] for line in lines),
            "exit_status": pa.array([line["exit_status"] for line in lines]),
        }
    )
    with card("jobs_parallel", title, table):
        make = st.column_config
        st.dataframe(
            table,
            key="jobs_parallel_table",
            hide_index=True,
            column_config={
                "task": t("Task"),
                "node": text.label("node"),
                "started": make.DatetimeColumn(t("Started"), format=CLOCK),
                "ended": make.DatetimeColumn(t("Ended"), format=CLOCK),
                "cpu": t("CPU time"),
                "exit_status": t("Exit status"),
            },
            alt=title,
        )
