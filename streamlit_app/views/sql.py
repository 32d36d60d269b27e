"""SQL: one statement over the views, with the schema at hand."""

from __future__ import annotations

from functools import partial

import streamlit as st

from clickhouse.errors import PychartError
from clickhouse.running import ABANDONED_SECONDS, MOST_SECONDS, Answer, Running
from streamlit_app import access, address, data, i18n, linked, pseudonyms, sqlpage, text
from streamlit_app.cards import page_header
from streamlit_app.i18n import t

ROWS = ("1000", "10000", "100000")
SHOWN_ROWS = 10_000  # in the page; the downloads have all
LOOK_SECONDS = 0.5  # between two looks at a statement that runs
AT_ONCE_SECONDS = 0.7  # most statements end within this: they show no progress
RUNNING, LAST, FOR = "sql_running", "sql_last", "sql_for"  # of the session state


def show() -> None:
    """Draw the page."""
    page_header(t("SQL"), None)
    if pseudonyms.are_on():
        said = t("Names are hidden, and a statement would give them as they are.")
        st.info(said, icon=":material/visibility_off:")
        return
    _forget_if_roles_changed()
    st.caption(
        t(
            "One SELECT over the views on the right, for at most {seconds} s."
            " It reads and changes nothing; the filters do not apply here.",
            seconds=min(MOST_SECONDS, data.settings().query_seconds),
        )
    )
    left, right = st.columns([5, 3], gap="medium")
    with right:
        sqlpage.show_schema()
    with left:
        _editor()
        running = st.session_state.get(RUNNING)
        if isinstance(running, Running):
            _follow(running)
        else:
            _result(st.session_state.get(LAST))


def _forget_if_roles_changed() -> None:
    """Drop an answer that was given to more, or fewer, roles than its reader has now."""
    scope = access.viewer().scope
    if st.session_state.get(FOR, scope) != scope:
        _stop()
        st.session_state[LAST] = None
    st.session_state[FOR] = scope


def _editor() -> None:
    sqlpage.show_examples()
    key = "pick_sql"
    if st.session_state.get(key) is None or st.session_state.get("sql_seen") != address.get("sql"):
        st.session_state[key] = address.get("sql") or sqlpage.FIRST
        st.session_state["sql_seen"] = address.get("sql")
    st.html("<style>.st-key-pick_sql textarea {font-family: monospace}</style>")
    st.text_area(t("Statement"), key=key, height=200, label_visibility="collapsed")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            t("Run"), key="sql_run", type="primary", icon=":material/play_arrow:", on_click=_start
        )
        linked.select(
            t("Rows"),
            "rows",
            ROWS,
            lambda rows: t("{count} rows at most", count=i18n.number(f"{int(rows):,}")),
            label_visibility="collapsed",
            width=220,
        )


def _start() -> None:
    """Begin to run what stands in the editor, from a callback; what ran before is stopped."""
    _stop()
    st.session_state[LAST] = None
    statement = str(st.session_state["pick_sql"])
    address.put("sql", statement[: address.MAX_LENGTH])
    st.session_state["sql_seen"] = address.get("sql")
    asked = address.get("rows")
    try:
        running = data.start_statement(statement, int(asked if asked in ROWS else ROWS[0]))
    except PychartError as error:
        st.session_state[LAST] = error
        return
    running.wait(AT_ONCE_SECONDS)
    st.session_state[RUNNING] = running


def _stop() -> None:
    running = st.session_state.pop(RUNNING, None)
    if isinstance(running, Running) and not running.done:
        running.stop()


def _stop_and_say() -> None:
    running = st.session_state.get(RUNNING)
    if isinstance(running, Running):
        running.stop()
        running.wait(ABANDONED_SECONDS)


def _follow(running: Running) -> None:
    if running.done:
        st.session_state.pop(RUNNING)
        st.session_state[LAST] = running.answer or running.error
        data.statement_ended(running.sql, running.answer.table.num_rows if running.answer else 0)
        _result(st.session_state[LAST])
        return
    _progress()


@st.fragment(run_every=LOOK_SECONDS)
def _progress() -> None:
    """Say how far the statement is, until it has ended."""
    running = st.session_state.get(RUNNING)
    if not isinstance(running, Running) or running.done:
        st.rerun()
    found = running.progress()
    said = t("{seconds} s of {most} s", seconds=int(running.elapsed), most=running.seconds)
    share = running.elapsed / running.seconds
    if found and found.total:
        share = found.rows / found.total
        read = t("{count} rows read", count=i18n.number(f"{found.rows:,}"))
        said = f"{said}  ·  {read}"
    with st.container(horizontal=True, vertical_alignment="center", key="sql_progress"):
        st.progress(min(max(share, 0.01), 1.0), said, width="stretch")
        st.button(t("Stop"), key="sql_stop", icon=":material/stop_circle:", on_click=_stop_and_say)


def _result(last: object) -> None:
    if isinstance(last, PychartError):
        st.error(text.plain(str(last)), title=t("No answer"), icon=":material/error_outline:")
    elif isinstance(last, Answer):
        _table(last)


def _table(answer: Answer) -> None:
    rows = i18n.tn("{count} row", "{count} rows", answer.table.num_rows)
    said = t("{rows} in {seconds} s", rows=rows, seconds=i18n.number(f"{answer.seconds:.2f}"))
    if answer.cut:
        said += "  ·  " + t("there are more; a LIMIT or a larger number of rows shows them")
    with st.container(horizontal=True, vertical_alignment="center", key="sql_said"):
        st.caption(said, width="stretch")
        for kind, write, mime in (
            ("csv", sqlpage.csv_bytes, "text/csv"),
            ("parquet", sqlpage.parquet_bytes, "application/vnd.apache.parquet"),
        ):
            st.download_button(
                kind.upper() if kind == "csv" else "Parquet",
                data=data.exported(
                    "sql", kind, answer.table.num_rows, partial(write, answer.table)
                ),
                file_name=f"pychart.{kind}",
                mime=mime,
                key=f"sql_{kind}",
                on_click="ignore",
                icon=":material/download:",
                type="tertiary",
            )
    shown = answer.table.slice(0, SHOWN_ROWS)
    st.dataframe(
        sqlpage.readable(shown),
        key="sql_table",
        hide_index=True,
        height="auto" if shown.num_rows <= 12 else 460,
        alt=t("Answer of the statement"),
    )


show()
