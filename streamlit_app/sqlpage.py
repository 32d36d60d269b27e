"""What the SQL page shows besides the statement: the schema, examples, and answers as files."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet
import streamlit as st

from clickhouse.fields import FIELDS
from clickhouse.migrate import INTERFACE
from streamlit_app import data
from streamlit_app.exports import write_csv
from streamlit_app.i18n import mark, t
from streamlit_app.warehouse import holder

VIEWS = {
    "records": mark("every accepted line, under the names of accounting(5)"),
    "jobs": mark("one row per attempt of a job, with what its parallel tasks used"),
    "submitted_jobs": mark("one row per job as it was submitted, however many attempts it took"),
    "attempts": mark("the attempts of each job, counted; join on record_id"),
    "campaigns": mark("one row per array job"),
    "requests": mark("what jobs asked for, one row per category; join on category"),
    "failed_codes": mark("the numbers in failed, in words"),
    "exit_codes": mark("exit statuses in words"),
    "metagroups": mark("who belongs to which metagroup"),
    "rejects": mark("lines that could not be read"),
    "sources": mark("one row per accounting file"),
    "ledger": mark("what has been loaded, batch by batch"),
}
EXAMPLES = {
    mark("Core hours by user and year"): """\
SELECT owner, toYear(day) AS year, round(sum(core_seconds) / 3600) AS core_hours
FROM jobs
GROUP BY owner, year
ORDER BY core_hours DESC
LIMIT 50""",
    mark("Jobs that used less than half of the memory they asked for"): """\
SELECT owner, count() AS jobs, round(avg(maxvmem / (h_vmem * slots)) * 100, 1) AS percent_used
FROM jobs
WHERE started AND h_vmem > 0 AND maxvmem < 0.5 * h_vmem * slots
GROUP BY owner
ORDER BY jobs DESC
LIMIT 20""",
    mark("How jobs ended on each node"): """\
SELECT hostname, countIf(outcome = 'done') AS done, countIf(outcome != 'done') AS not_done,
    round(100 * not_done / count(), 1) AS percent
FROM jobs
WHERE started
GROUP BY hostname
ORDER BY percent DESC
LIMIT 20""",
    mark("Median and 90 % of the wait by queue, in minutes"): """\
SELECT qname, count() AS jobs, round(median(wait_seconds) / 60, 1) AS median_minutes,
    round(quantile(0.9)(wait_seconds) / 60, 1) AS p90_minutes
FROM jobs
WHERE started
GROUP BY qname
ORDER BY p90_minutes DESC""",
    mark("The longest array jobs and their stragglers"): """\
SELECT cluster, job_number, owner, job_name, tasks, stragglers,
    round(span_seconds / 3600, 1) AS span_hours
FROM campaigns
ORDER BY span_seconds DESC
LIMIT 20""",
    mark("Why the scheduler called jobs failed"): """\
SELECT failed, meaning, count() AS jobs
FROM jobs JOIN failed_codes USING failed
WHERE failed > 0
GROUP BY failed, meaning
ORDER BY jobs DESC""",
    mark("Resources that jobs asked for"): """\
SELECT arrayJoin(mapKeys(resources)) AS resource, count() AS categories
FROM requests
GROUP BY resource
ORDER BY categories DESC""",
}
FIRST = next(iter(EXAMPLES.values()))
# meanings of columns that are called the same elsewhere
ELSEWHERE = {("campaigns", "failed"): mark("tasks whose last attempt did not end with done")}


def show_examples() -> None:
    """Offer statements to begin with."""
    st.selectbox(
        t("Examples"),
        list(EXAMPLES),
        index=None,
        key="sql_example",
        format_func=t,
        placeholder=t("Begin with an example…"),
        label_visibility="collapsed",
        on_change=_take_example,
    )


def _take_example() -> None:
    chosen = EXAMPLES.get(str(st.session_state.get("sql_example")))
    if chosen:
        st.session_state["pick_sql"] = chosen


def show_schema() -> None:
    """List the columns of a view with their types and meanings."""
    view = st.selectbox(
        t("Views and their columns"),
        list(VIEWS),
        key="sql_view",
        persist_state="session",
        index=list(VIEWS).index("jobs"),
    )
    view = view if view in VIEWS else "jobs"
    st.caption(t(VIEWS[view]))
    st.dataframe(
        columns_of(view),
        key=f"sql_columns_{view}",
        hide_index=True,
        height=470,
        column_config={
            "column": st.column_config.Column(t("Column"), width=130, pinned=True),
            "meaning": st.column_config.Column(t("Meaning"), width=230),
            "unit": st.column_config.Column(t("Unit"), width=60),
            "type": st.column_config.Column(t("Type"), width="medium"),
        },
        alt=t("Columns of {view}", view=view),
    )


def columns_of(view: str) -> pa.Table:
    """List the columns of one of `VIEWS`, with units, meanings and types."""
    found = _described(view, data.version())
    known = [FIELDS.get(name) for name, _ in found]
    meanings = [t(each.meaning) if each else "" for each in known]
    for i, (name, _) in enumerate(found):
        if other := ELSEWHERE.get((view, name)):
            meanings[i] = t(other)
    return pa.table(
        {
            "column": [name for name, _ in found],
            "meaning": meanings,
            "unit": [each.unit if each else "" for each in known],
            "type": [kind for _, kind in found],
        }
    )


@st.cache_resource(max_entries=100, show_spinner=False)
def _described(view: str, at: str) -> list[tuple[str, str]]:
    assert view in INTERFACE
    return [(str(row[0]), str(row[1])) for row in holder.get().rows(f"DESCRIBE {view}")]


def readable(table: pa.Table) -> pa.Table:
    """Turn what a browser's table cannot show into text: bytes, and what is nested."""
    columns = {}
    for i, name in enumerate(_apart(table.column_names)):
        columns[name] = _readable(table.column(i))
    return pa.table(columns)


def _apart(names: list[str]) -> list[str]:
    """Tell columns of the same name apart."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return found


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
        return pa.chunked_array(
            [pa.array([v if v is None else _word(v) for v in column.to_pylist()], pa.string())]
        )
    if pa.types.is_nested(column.type) and not pa.types.is_list(column.type):
        return pa.chunked_array(
            [pa.array([v if v is None else str(v) for v in column.to_pylist()], pa.string())]
        )
    return column


def _word(value: bytes) -> str:
    try:
        found = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return found if found.isprintable() else value.hex()


def csv_bytes(table: pa.Table) -> bytes:
    """Write an answer as CSV."""
    flat = [_flat(_readable(table.column(i))) for i in range(table.num_columns)]
    return write_csv(pa.table(flat, names=table.column_names))


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write lists as text, for which CSV has no form."""
    if not pa.types.is_list(column.type):
        return column
    texts = [v if v is None else ", ".join(map(str, v)) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def parquet_bytes(table: pa.Table) -> bytes:
    """Write an answer as Parquet."""
    output = io.BytesIO()
    names = _apart(table.column_names)
    pa.parquet.write_table(table.rename_columns(names), output, compression="zstd")
    return output.getvalue()
