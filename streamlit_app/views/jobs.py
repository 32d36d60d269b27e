"""Jobs: a search among all of them, and everything that the accounting has on one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st

from clickhouse import records
from clickhouse.errors import QuestionError
from clickhouse.fields import FIELDS
from clickhouse.records import JobKey
from streamlit_app import address, charts, data, i18n, jobpage, linked, pseudonyms, text
from streamlit_app.cards import card, draw, nothing, page_header
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import cached_per_language, mark, t

LIMIT = 200  # jobs of a list
MOST_TASKS = 5000  # of an array, the longest ones
MOST_LINES = 500  # of a job: attempts and parallel tasks
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
GIB = 1024**3
HOUR = 3600
CLOCK = "YYYY-MM-DD HH:mm:ss"


def show(scope: Scope) -> None:
    """Draw the list, or one job where the address names it."""
    asked = address.get("job")
    if not asked:
        _show_search(scope)
        return
    try:
        key = JobKey.parse(asked)
    except QuestionError as error:
        page_header(t("Jobs"), None)
        _back()
        st.error(text.plain(str(error)), icon=":material/error_outline:")
        return
    _show_job(key)


# --- the list ---


def _show_search(scope: Scope) -> None:
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
        column_config=_list_columns(),
        on_select=partial(_picked, "jobs_table", keys),
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
        [jobpage.number(JobKey("", r["job_number"], r["task_number"])) for r in rows]
    )
    for name in ("job_name", "owner", "queue", "node"):
        columns[name] = pa.array([text.short(row[name], 60) for row in rows])
    columns["slots"] = pa.array([row["slots"] for row in rows], pa.uint32())
    columns["outcome"] = pa.array([text.value("outcome", row["outcome"]) for row in rows])
    columns["ended"] = jobpage.local_times([row["ended"] for row in rows], clusters)
    for name in ("wall_seconds", "wait_seconds"):
        columns[name] = _durations(row[name] for row in rows)
    columns["core_hours"] = pa.array([_over(row["core_seconds"], HOUR) for row in rows])
    columns["memory"] = pa.array([_over(row["maxvmem"], GIB) for row in rows], pa.float64())
    columns["group"] = pa.array([text.short(row["group"], 60) for row in rows])
    for name in ("submitted", "started"):
        columns[name] = jobpage.local_times([row[name] for row in rows], clusters)
    return pa.table(columns)


def _durations(seconds: Iterable[float | None]) -> pa.Array:
    known = [None if each is None else round(each) for each in seconds]
    return pa.array(known, pa.duration("s"))


def _over(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _list_columns() -> dict[str, Any]:
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


def _picked(table: str, keys: Sequence[str]) -> None:
    rows = st.session_state[table].selection.rows
    if rows and rows[0] < len(keys):
        address.put("job", keys[rows[0]])


# --- one job ---


def _back() -> None:
    st.button(
        t("All jobs"),
        key="jobs_back",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=address.put,
        args=("job", ""),
    )


def _show_job(key: JobKey) -> None:
    _back()
    shown = jobpage.number(key)
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
        _show_array(key, chosen)
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
    when = jobpage.moment(found["submitted"], cluster)
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
            "started": jobpage.local_times([line["start_time"] for line in attempts], clusters),
            "ended": jobpage.local_times([line["end_time"] for line in attempts], clusters),
            "wall_seconds": _durations(map(jobpage.ran_seconds, attempts)),
            "failed": pa.array([jobpage.failed_words(line["failed"]) for line in attempts]),
            "exit_status": pa.array([line["exit_status"] for line in attempts]),
        }
    )
    with card("jobs_attempts", title, table):
        columns = _list_columns() | {
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
            user=_bold(line["owner"]),
            name=_bold(line["job_name"]),
            when=jobpage.moment(line["submission_time"], cluster),
        )
    ]
    waited, ran = jobpage.waited_seconds(line), jobpage.ran_seconds(line)
    if not line["start_time"]:
        parts.append(t("It never started."))
    else:
        parts.append(
            t(
                "It started on {when} on {node}, in the queue {queue}.",
                when=jobpage.moment(line["start_time"], cluster),
                node=_bold(line["hostname"]),
                queue=_bold(line["qname"]),
            )
        )
        if line["granted_pe"] and line["slots"]:
            parts.append(t("It had {slots} slots: {what}.", slots=line["slots"], what=what))
    if waited is not None:
        parts.append(t("It had waited {time}.", time=text.duration(waited)))
    if ran is not None:
        ended = jobpage.moment(line["end_time"], cluster)
        parts.append(t("It ended on {when}, after {time}.", when=ended, time=text.duration(ran)))
    if line["failed"]:
        words = jobpage.failed_words(line["failed"])
        number = line["failed"]
        parts.append(
            t(
                "The scheduler says: {words} (failed {number}).",
                words=text.plain(words),
                number=number,
            )
        )
    if line["exit_status"]:
        words = jobpage.exit_words(line["exit_status"])
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


def _bold(name: str) -> str:
    return f"**{text.plain(text.short(name, 60))}**"


def _tiles(used: Mapping[str, Any], key: JobKey, line: Mapping[str, Any]) -> None:
    ran = jobpage.ran_seconds(line)
    core = None if ran is None or not line["slots"] else ran * line["slots"] / HOUR
    memory = line["maxvmem"]
    shown = {
        t("Slots"): text.MISSING if line["slots"] is None else str(line["slots"]),
        t("Wait"): _duration(jobpage.waited_seconds(line)),
        t("Run time"): _duration(ran),
        t("Core time"): text.figure(core, "core-h"),
        t("CPU time"): _duration(used["cpu"]),
        t("CPU efficiency"): text.figure(jobpage.efficiency(used), "%"),
        t("Memory, largest"): text.MISSING if memory is None else text.size(memory),
        t("I/O"): text.figure(line["io"], "GiB"),
    }
    with st.grid(4, min_column_width=170, gap="small", key="jobs_tiles"):
        for label, value in shown.items():
            st.metric(label, value, border=True)


def _duration(seconds: float | None) -> str:
    return text.MISSING if seconds is None else text.duration(seconds)


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
        said = t("byte {offset}", offset=jobpage.thousands(offset))
        st.markdown(f"{text.plain(path or line['file_id'])}, {said}")
        if raw := path and jobpage.raw_line(path, offset, line):
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
    table = jobpage.fields(line)
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
            "started": jobpage.local_times([line["start_time"] for line in lines], clusters),
            "ended": jobpage.local_times([line["end_time"] for line in lines], clusters),
            "cpu": _durations(line["cpu"] for line in lines),
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


# --- an array ---


def _show_array(key: JobKey, submission: Mapping[str, Any]) -> None:
    at = submission["submitted"]
    campaign = data.of_job(records.campaign, key, at)
    table = data.of_job(records.tasks, key, at, MOST_TASKS)
    st.markdown(
        t(
            "{user} submitted the array {name} on {when}.",
            user=_bold(submission["owner"]),
            name=_bold(submission["job_name"]),
            when=jobpage.moment(at, key.cluster),
        )
    )
    if campaign:
        _array_tiles(campaign)
    rows = table.to_pylist()
    _tasks_chart(rows, campaign.get("median_wall_seconds"))
    _tasks_table(key, rows)


def _array_tiles(found: Mapping[str, Any]) -> None:
    shown = {
        t("Tasks"): jobpage.thousands(found["tasks"]),
        t("Executed"): jobpage.thousands(found["executed"]),
        t("Not done"): jobpage.thousands(found["failed"]),
        t("Attempts"): jobpage.thousands(found["attempts"]),
        t("First start to last end"): _duration(found["span_seconds"]),
        t("Median task"): _duration(found["median_wall_seconds"]),
        t("Stragglers"): jobpage.thousands(found["stragglers"]),
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
        axis = charts.axis_of(t("Run time"), "s", [row["wall_seconds"] for row in known])
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
            _dots(f"{t('Run time')} ({text.unit_name(axis.unit)})"),
            table,
            "jobs_tasks",
            t("Run time of each task"),
        )
        st.caption(t("Stragglers ran more than twice as long as the median, which the line shows."))


@cached_per_language
def _dots(title: str) -> charts.Spec:
    axis = alt.Axis(title=title, tickCount=5, domain=False, ticks=False)
    points = (
        charts._empty()
        .mark_point(filled=True, size=35, opacity=0.75)
        .encode(
            x=alt.X("task:Q", axis=alt.Axis(title=t("Task"), grid=False, format="d")),
            y=alt.Y("value:Q", axis=axis),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=[t("task"), t("straggler")]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("task:Q", title=t("Task")),
                alt.Tooltip("shown:N", title=t("Run time")),
            ],
        )
    )
    line = charts._empty().mark_rule(strokeDash=[5, 3], color=charts.GRAY, tooltip=False)
    drawn = alt.layer(points, line.encode(y="mean(median):Q"))
    return charts._finish(drawn.properties(height=charts.TIME_HEIGHT))


def _tasks_table(key: JobKey, rows: Sequence[Mapping[str, Any]]) -> None:
    keys = [str(JobKey(key.cluster, key.number, row["task_number"])) for row in rows]
    clusters = [key.cluster] * len(rows)
    table = pa.table(
        {
            "task": pa.array([row["task_number"] for row in rows]),
            "attempts": pa.array([row["attempts"] for row in rows]),
            "outcome": pa.array([text.value("outcome", row["outcome"]) for row in rows]),
            "node": pa.array([row["node"] for row in rows]),
            "started": jobpage.local_times([row["started"] for row in rows], clusters),
            "ended": jobpage.local_times([row["ended"] for row in rows], clusters),
            "wall_seconds": _durations(row["wall_seconds"] for row in rows),
            "cpu": _durations(row["cpu"] for row in rows),
            "memory": pa.array([_over(row["maxvmem"], GIB) for row in rows], pa.float64()),
        }
    )
    with card("jobs_array_list", t("Tasks, the longest first"), table):
        columns = _list_columns()
        columns |= {"task": t("Task"), "attempts": t("Attempts"), "cpu": t("CPU time")}
        st.dataframe(
            table,
            key="jobs_tasks_table",
            hide_index=True,
            height="auto" if len(rows) <= 12 else 460,
            column_config=columns,
            on_select=partial(_picked, "jobs_tasks_table", keys),
            selection_mode="single-row",
            alt=t("Tasks, the longest first"),
        )


show(current())
