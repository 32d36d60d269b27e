"""The only module that asks the warehouse, and for whom: each question carries the viewer's scope.

Answers are kept for each scope apart: about months that have all their lines until these change,
others until something is loaded, and all until something is set. Questions that are asked together
run side by side. Where names are hidden, words stand in their place from here on,
and filters come as words: no page sees a name then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from math import inf
from typing import Any, TypeVar

import pyarrow as pa
import streamlit as st
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from clickhouse import parts, records
from clickhouse.distributions import Asked as Distribution
from clickhouse.distributions import Heatmap
from clickhouse.errors import QuestionError, WarehouseError
from clickhouse.flagged import flagged
from clickhouse.query import Filter, Question, ask, values
from clickhouse.records import JobKey
from clickhouse.running import Running
from clickhouse.scope import PERSONAL, Scope
from clickhouse.settings import Settings
from streamlit_app import access, asking, audit, identity, pseudonyms
from streamlit_app.access import Viewer
from streamlit_app.asking import ANSWER_SECONDS, Asked, answer_all, pool
from streamlit_app.pseudonyms import Words
from streamlit_app.warehouse import holder

UNKNOWN_TABLE = 60
VERSION_SECONDS = 1.0  # between two looks whether something was loaded
LINES_AT_ONCE = 5_000_000  # of which any answer takes half a second
SELECTOR_NAMES = 500  # names that a filter offers; others can be typed
ALL_NAMES = 5_000_000  # of a dimension: each has its word
PAGE = "page_shown"  # of the session state: for the audit log
# What a line tells of people in free text.
TELLING = ("category", "qdel_info", "cwd", "submit_cmd", "userset", "later_fields")
T = TypeVar("T", bound=Asked)
_page_of_file: ContextVar[str] = ContextVar("page", default="")

# What has been loaded, in the words of the page "Data"; constants, with bound values only.
_VERSION = (
    "SELECT concat(toString((SELECT max(loaded_at) FROM batches)), ' ',"
    " toString((SELECT count() FROM accounting)), ' ', toString((SELECT groupBitXor("
    "cityHash64(name, checksum)) FROM migrations FINAL))), (SELECT count() FROM accounting)"
    " + (SELECT count() FROM batches)"
)
STATEMENTS = {
    "totals": "SELECT sum(lines) AS lines, sum(records) AS records, sum(rejects) AS rejects,"
    " sum(ignored) AS ignored, count() AS files FROM sources WHERE {chosen}",
    "sources": "SELECT cluster, toValidUTF8(path) AS path, bytes, lines, records, rejects, ignored,"
    " toString(toDateTime(last_loaded)) AS last_loaded FROM sources WHERE {chosen}"
    " ORDER BY cluster, last_loaded DESC, path LIMIT 1000",
    "ledger": "SELECT toString(toDateTime(loaded_at)) AS loaded, cluster,"
    " toValidUTF8(path) AS path, start_offset, end_offset, lines, records, rejects, ignored"
    " FROM ledger WHERE {chosen} ORDER BY loaded_at DESC, end_offset DESC LIMIT 200",
    "reasons": "SELECT toValidUTF8(substring(reason, 1, position(concat(reason, ':'), ':') - 1))"
    " AS reason, count() AS lines FROM rejects WHERE {chosen} GROUP BY reason"
    " ORDER BY lines DESC, reason LIMIT 100",
    "rejects": "SELECT rejects.cluster AS cluster,"
    " toValidUTF8(if(path = '', rejects.file_id, path)) AS file, offset,"
    " toValidUTF8(reason) AS reason, toValidUTF8(substring(line, 1, 2000)) AS line"
    " FROM (SELECT * FROM rejects WHERE {chosen}) AS rejects"
    " LEFT ANY JOIN (SELECT cluster, file_id, path, last_loaded FROM sources) AS files"
    " ON rejects.cluster = files.cluster AND rejects.file_id = files.file_id"
    " ORDER BY last_loaded DESC, file, offset DESC LIMIT 200",
    "reconciled": "SELECT cluster, lines, records, rejects, ignored, stored,"
    " toInt64(records) - toInt64(stored) AS copies,"
    " toInt64(lines) - toInt64(records + rejects + ignored) AS missing FROM"
    " (SELECT cluster, sum(lines) AS lines, sum(records) AS records, sum(rejects) AS rejects,"
    " sum(ignored) AS ignored FROM sources WHERE {chosen} GROUP BY cluster) AS read"
    " LEFT ANY JOIN (SELECT cluster, count() AS stored FROM records WHERE {chosen}"
    " GROUP BY cluster) AS kept USING (cluster) ORDER BY cluster",
    # of copies of a line too: merging them first takes twenty times as long
    "last_job": "SELECT toString(max(end_time)) AS ended FROM accounting WHERE {chosen}",
}

FLAGS = "flags"  # of the lines that were accepted


@dataclass(frozen=True)
class Activity:
    """The days on which a job ended, in order."""

    days: tuple[date, ...]

    @cached_property
    def months(self) -> list[date]:
        """The first days of the months with an executed job, in order."""
        return sorted({day.replace(day=1) for day in self.days})

    @property
    def years(self) -> list[int]:
        """Calendar years with an executed job, the latest first."""
        return sorted({month.year for month in self.months}, reverse=True)


def version() -> str:
    """Name the state of the database, '' where nothing is loaded.

    It is another one once what was loaded is in the rollups, or ten seconds later if it is not, and
    once the settings have changed the views.
    """
    return _version()


@st.cache_resource(ttl=VERSION_SECONDS, max_entries=1, show_spinner=False)
def _version() -> str:
    holder.refresh()
    try:
        [(name, rows)] = holder.get().rows(_VERSION)
    except WarehouseError as error:
        if error.code == UNKNOWN_TABLE:
            return ""
        raise
    return asking.shown(str(name)) if rows else ""


def settings() -> Settings:
    """Give the settings of the database that is open."""
    return holder.get().settings


# --- who looks, and how ---


def sees_names(dimension: str = "user") -> bool:
    """Tell whether the viewer may see values of a dimension at all."""
    return access.viewer().is_named or dimension not in PERSONAL


def _scope() -> Scope | None:
    return access.viewer().scope


def _page() -> str:
    if get_script_run_ctx(suppress_warning=True):
        return str(st.session_state.get(PAGE, ""))
    return _page_of_file.get()


def _asked_by(viewer: Viewer, kind: str, asked: Iterable[tuple[dict[str, Any], int]]) -> None:
    audit.record(viewer, _page(), kind, asked)


def _scoped(asked: T) -> T:
    """Give a question the viewer's scope, and names for words where names are hidden."""
    scoped = replace(asked, scope=_scope())
    if not pseudonyms.are_on():
        return scoped
    scoped = replace(scoped, filters=tuple(map(_named, asked.filters)))
    if isinstance(scoped, Question) and scoped.ranked in pseudonyms.WORDS:
        return replace(scoped, names=tuple(map(_words(scoped.ranked).name, scoped.names)))
    return scoped


def _named(kept: Filter) -> Filter:
    if kept.dimension not in pseudonyms.WORDS:
        return kept
    words = _words(kept.dimension)
    return replace(kept, values=tuple(map(words.name, kept.values)))


def _shown(table: pa.Table) -> pa.Table:
    """Put words in the place of the names in an answer, where names are hidden."""
    if not pseudonyms.are_on():
        return table
    for at, column in enumerate(table.column_names):
        if dimension := pseudonyms.COLUMNS.get(column):
            words = _words(dimension).column(table.column(at))
            table = table.set_column(at, column, words)
    return table


def words_of(dimension: str) -> Words:
    """Give the words of a dimension's names that the viewer may see."""
    return _words(dimension)


def _words(dimension: str) -> Words:
    return _words_of(dimension, _scope(), version())


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=50, show_spinner=False)
def _words_of(dimension: str, scope: Scope | None, at: str) -> Words:
    warehouse = holder.get()
    key = pseudonyms.key_of(holder.configured)
    if dimension not in pseudonyms.LISTED or (scope is not None and scope.public):
        return Words(key, dimension, {})
    words = pseudonyms.words_of(key, dimension, values(warehouse, dimension, limit=ALL_NAMES))
    if scope is None:
        return Words(key, dimension, words)
    seen = values(warehouse, dimension, limit=ALL_NAMES, scope=scope)
    return Words(key, dimension, {name: words[name] for name in seen if name in words})


# --- questions ---


def answer(question: Asked) -> pa.Table:
    """Answer one question."""
    return answers(question)[0]


def answers(*questions: Asked, ahead: Iterable[Asked] = ()) -> list[pa.Table]:
    """Answer several questions, side by side; a reader who goes elsewhere stops them.

    Those that will be asked later are asked `ahead` with them, so that they need not wait then.
    """
    asked = [_scoped(question) for question in questions]
    found = answer_all([*asked, *map(_scoped, ahead)], version())
    return _told(asked, found[: len(asked)])


def is_quick(question: Question, lines: float = inf) -> bool:
    """Tell whether an answer takes no look at every line of the period, or at a few only."""
    return lines <= LINES_AT_ONCE or asking.is_quick(_scoped(question), version())


def asked_plainly(*questions: Question) -> list[pa.Table]:
    """Answer questions where there is no page that could show how far they are."""
    asked = [_scoped(question) for question in questions]
    return _told(asked, [ask(holder.get(), question) for question in asked])


def _told(asked: Sequence[Asked], found: Sequence[pa.Table]) -> list[pa.Table]:
    if audit.is_on():
        rows = ((_of_asked(q), table.num_rows) for q, table in zip(asked, found, strict=True))
        _asked_by(access.viewer(), audit.VIEW, rows)
    return [_shown(table) for table in found]


def _of_asked(asked: Asked) -> dict[str, Any]:
    if isinstance(asked, Question):
        return audit.of_question(asked)
    return {
        "distribution": type(asked).__name__,
        "of": _of_what(asked),
        "period": audit.of_period(asked.period),
        "filters": [audit.of_filter(kept) for kept in asked.filters],
    }


def _of_what(asked: Distribution) -> list[str]:
    if isinstance(asked, Heatmap):
        return [asked.metric, asked.x, asked.y]
    return [asked.quantity, *asked.by]


def with_unused(question: Question, found: pa.Table) -> pa.Table:
    """Add the names that have nothing in the period to the answer of a split without a limit."""
    ever = answer(parts.whenever(question))
    return parts.add_unused(settings(), _scoped(question), found, ever)


# --- names ---


def names(dimension: str) -> list[str]:
    """List the values of a dimension for a selector, the most active ones that may be seen."""
    if not sees_names(dimension):
        return []
    return _in_words(dimension, _names(dimension, _scope(), version()))


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=500, show_spinner=False)
def _names(dimension: str, scope: Scope | None, at: str) -> list[str]:
    return values(holder.get(), dimension, limit=SELECTOR_NAMES, scope=scope)


def _in_words(dimension: str, found: list[str]) -> list[str]:
    if not pseudonyms.are_on() or dimension not in pseudonyms.WORDS:
        return found
    return [_words(dimension).word(name) for name in found]


def exists(dimension: str, name: str) -> bool:
    """Tell whether any line that may be seen has this value."""
    if not sees_names(dimension):
        return False
    return name in names(dimension) or name in search(dimension, name, SELECTOR_NAMES)


def search(dimension: str, contains: str, most: int) -> list[str]:
    """Look in the database for values that contain a text, the most active ones first."""
    return search_all([dimension], contains, most)[dimension]


def search_all(dimensions: Sequence[str], contains: str, most: int) -> dict[str, list[str]]:
    """Look for a text in several dimensions, side by side."""
    scope, current = _scope(), version()
    seen = [name for name in dimensions if sees_names(name)]
    if audit.is_on() and contains:
        asked: dict[str, Any] = {"search": contains, "in": seen}
        _asked_by(access.viewer(), audit.NAMES, [(asked, most)])
    hidden = [name for name in seen if pseudonyms.are_on() and name in pseudonyms.WORDS]
    pending = {
        name: pool.submit(_like, name, contains, scope, current)
        for name in seen
        if name not in hidden
    }
    found = {name: future.result()[:most] for name, future in pending.items()}
    found |= {name: _words(name).like(contains, most) for name in hidden}
    return {name: found.get(name, []) for name in dimensions}


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=500, show_spinner=False)
def _like(dimension: str, name: str, scope: Scope | None, at: str) -> list[str]:
    return values(holder.get(), dimension, contains=name, limit=SELECTOR_NAMES, scope=scope)


def activity() -> Activity:
    """Say on which days jobs ended that may be seen, whatever the filters are."""
    return _activity(_scope(), version())


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=200, show_spinner=False)
def _activity(scope: Scope | None, at: str) -> Activity:
    rows = ask(holder.get(), Question(("jobs",), ("day",), scope=scope)).to_pydict()
    found = zip(rows["day"], rows["jobs"], strict=True)
    return Activity(tuple(ended for ended, jobs in found if jobs))


# --- single jobs ---


def search_jobs(wanted: records.Search, limit: int) -> records.Found:
    """List attempts of jobs, as `records.search` does."""
    filters = tuple(map(_named, wanted.filters)) if pseudonyms.are_on() else wanted.filters
    scoped = replace(wanted, filters=filters, scope=_scope())
    found = _search_jobs(repr((scoped, limit)), version(), scoped, limit)
    asked: dict[str, Any] = {"search": scoped.text, "period": [str(scoped.first), str(scoped.last)]}
    asked |= {"filters": [audit.of_filter(kept) for kept in scoped.filters]}
    _asked_by(access.viewer(), audit.JOBS, [(asked, found.table.num_rows)])
    return records.Found(_shown(found.table), found.more)


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=200, show_spinner=False)
def _search_jobs(key: str, at: str, _wanted: records.Search, _limit: int) -> records.Found:
    return records.search(holder.get(), _wanted, _limit)


def of_job(ask_records: Callable[..., Any], key: JobKey, *arguments: Any) -> Any:  # noqa: ANN401
    """Ask one of the functions of `records` about a job, with its arguments after the key."""
    scope = _scope()
    found = _of_job(ask_records.__name__, str(key), arguments, scope, version(), ask_records, key)
    rows = len(found) if isinstance(found, (list, pa.Table)) else 1
    asked = {"job": str(key), "what": ask_records.__name__}
    _asked_by(access.viewer(), audit.JOBS, [(asked, rows)])
    return _job_shown(found)


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=500, show_spinner=False)
def _of_job(
    name: str,
    job: str,
    arguments: tuple[Any, ...],
    scope: Scope | None,
    at: str,
    _ask_records: Callable[..., Any],
    _key: JobKey,
) -> Any:  # noqa: ANN401 - as the function says
    return _ask_records(holder.get(), _key, *arguments, scope=scope)


def _job_shown(found: Any) -> Any:  # noqa: ANN401
    if not pseudonyms.are_on():
        return found
    if isinstance(found, pa.Table):
        return _shown(found)
    if isinstance(found, list):
        return [_job_shown(each) for each in found]
    return _line_shown(found) if isinstance(found, dict) else found


def _line_shown(line: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {
        name: _words(dimension).word(line[name])
        for name, dimension in pseudonyms.COLUMNS.items()
        if isinstance(line.get(name), str)
    }
    if "metagroups" in line:
        names["metagroups"] = [_words("metagroup").word(name) for name in line["metagroups"]]
    return line | names | {name: type(line[name])() for name in TELLING if name in line}


def requests(category: str) -> dict[str, Any]:
    """Take the options apart with which a job was submitted."""
    return _requests(category)


@st.cache_resource(max_entries=500, show_spinner=False)
def _requests(category: str) -> dict[str, Any]:
    return records.requests_of(holder.get(), category)


def sees_files() -> bool:
    """Tell whether the viewer may see accounting files and their lines, which are of everybody."""
    return access.viewer().is_admin and not pseudonyms.are_on()


def file_of(cluster: str, file_id: str) -> str:
    """Give the path of an accounting file, '' for those who may not know."""
    if not sees_files():
        return ""
    return records.file_of(holder.get(), cluster, file_id)


# --- statements, and what has been loaded ---


def start_statement(sql: str, rows: int) -> Running:
    """Begin to run a statement of the viewer, who sees in it what the pages show.

    Raises `QuestionError` where it may not be run.
    """
    viewer = access.viewer()
    if pseudonyms.are_on():
        raise QuestionError("names are hidden, and a statement would give them as they are")
    if not viewer.is_named:
        raise QuestionError("no statement can be run without a name")
    audit.record(viewer, _page(), audit.SQL, [({"sql": sql}, 0)])
    reader = holder.reader()
    return (reader if viewer.scope is None else reader.limited(viewer.scope)).start(sql, rows)


def statement_ended(sql: str, rows: int) -> None:
    """Write down how many rows a statement gave."""
    audit.record(access.viewer(), _page(), audit.SQL, [({"sql": sql, "ended": True}, rows)])


def loaded(*statements: str, clusters: Sequence[str] = ()) -> list[pa.Table]:
    """Answer some of `STATEMENTS`, or `FLAGS`, side by side, for all clusters or those named.

    They are for administrators: lines and files are of everybody. Raises `QuestionError`.
    """
    viewer = access.viewer()
    if not sees_files():
        raise QuestionError("files and lines are shown to administrators, where names are")
    current = version()
    pending = [pool.submit(_loaded, name, tuple(clusters), current) for name in statements]
    found = [future.result() for future in pending]
    rows = [
        ({"loaded": n, "clusters": list(clusters)}, t.num_rows)
        for n, t in zip(statements, found, strict=True)
    ]
    _asked_by(viewer, audit.VIEW, rows)
    return found


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=200, show_spinner=False)
def _loaded(statement: str, clusters: tuple[str, ...], at: str) -> pa.Table:
    if statement == FLAGS:
        return flagged(holder.get(), clusters)
    chosen = "cluster IN {clusters:Array(String)}" if clusters else "1"
    parameters: dict[str, Any] = {"clusters": list(clusters)} if clusters else {}
    sql = STATEMENTS[statement].replace("{chosen}", chosen)
    return holder.get().arrow(sql, parameters)


# --- files ---


def exported(
    what: str, kind: str, rows: int, write: Callable[[], str | bytes]
) -> Callable[[], str | bytes]:
    """Make what a download button calls once it is clicked, outside of the run of the script.

    The file is written for who sees the page now, with names as they are shown; it goes to the log,
    and to nobody else.
    """
    viewer, hidden, page = access.viewer(), pseudonyms.are_on(), _page()
    asked = {"export": what, "as": kind, "address": st.query_params.to_dict()}

    def written() -> str | bytes:
        if not access.still(viewer):
            raise QuestionError("the roles have changed; open the page again")
        audit.record(viewer, page, audit.EXPORT, [(asked, rows)])
        with ExitStack() as stack:
            stack.enter_context(access.acting_for(viewer))
            stack.callback(_page_of_file.reset, _page_of_file.set(page))
            stack.enter_context(pseudonyms.hiding(hidden))
            content = write()
        identity.downloads.own(content, viewer.key)
        return content

    return written
