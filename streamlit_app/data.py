"""The only module that asks the warehouse: answers are cached until something new is loaded or set.

Questions that are asked together run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import streamlit as st

from clickhouse import distributions, parts
from clickhouse.distributions import Asked
from clickhouse.errors import WarehouseError
from clickhouse.query import Question, ask, values
from clickhouse.settings import Settings
from streamlit_app.asking import ANSWER_SECONDS, answer_all, pool
from streamlit_app.warehouse import holder

UNKNOWN_TABLE = 60
VERSION_SECONDS = 1.0  # how long after a load the pages may show what was there before
SELECTOR_NAMES = 500  # names that a filter offers; others can be typed

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
    "flags": "SELECT arrayJoin(flags) AS name, count() AS lines FROM records WHERE {chosen}"
    " GROUP BY name ORDER BY lines DESC, name",
    "last_job": "SELECT toString(maxIf(end_time, end_time > 0)) AS ended FROM records"
    " WHERE {chosen}",
}


@dataclass(frozen=True)
class Activity:
    """The days on which a job ended, in order."""

    days: tuple[date, ...]

    @property
    def years(self) -> list[int]:
        """Calendar years with an executed job, the latest first."""
        return sorted({found.year for found in self.days}, reverse=True)


def version() -> str:
    """Name the state of the database, '' where nothing is loaded.

    It is another one after each load, and once the settings have changed the views.
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
    return str(name) if rows else ""


def settings() -> Settings:
    """Give the settings of the database that is open."""
    return holder.get().settings


def answer(question: Question) -> pa.Table:
    """Answer one question."""
    return answers(question)[0]


def answers(*questions: Question) -> list[pa.Table]:
    """Answer several questions, side by side; a reader who goes elsewhere stops them."""
    return answer_all(questions, version())


def with_unused(question: Question) -> pa.Table:
    """Answer a split by one dimension, with the names too that have nothing in the period."""
    return _with_unused(repr(question), version(), question)


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=500, show_spinner=False)
def _with_unused(key: str, at: str, _question: Question) -> pa.Table:
    return parts.with_unused(holder.get(), _question)


def distribution(asked: Asked) -> pa.Table:
    """Answer a histogram, quantile bands or a heatmap."""
    return _distribution(repr(asked), version(), asked)


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=500, show_spinner=False)
def _distribution(key: str, at: str, _asked: Asked) -> pa.Table:
    return distributions.distribution(holder.get(), _asked)


def names(dimension: str) -> list[str]:
    """List the values of a dimension for a selector, the most active ones."""
    return _names(dimension, version())


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=50, show_spinner=False)
def _names(dimension: str, at: str) -> list[str]:
    return values(holder.get(), dimension, limit=SELECTOR_NAMES)


def exists(dimension: str, name: str) -> bool:
    """Tell whether any line has this value."""
    return name in names(dimension) or name in _like(dimension, name, version())


def search(dimension: str, contains: str, most: int) -> list[str]:
    """Look in the database for values that contain a text, the most active ones first."""
    return _like(dimension, contains, version())[:most]


def search_all(dimensions: Sequence[str], contains: str, most: int) -> dict[str, list[str]]:
    """Look for a text in several dimensions, side by side."""
    current = version()
    pending = {name: pool.submit(_like, name, contains, current) for name in dimensions}
    return {name: future.result()[:most] for name, future in pending.items()}


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=500, show_spinner=False)
def _like(dimension: str, name: str, at: str) -> list[str]:
    return values(holder.get(), dimension, contains=name, limit=SELECTOR_NAMES)


def activity() -> Activity:
    """Say on which days jobs ended, whatever the filters are."""
    return _activity(version())


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=2, show_spinner=False)
def _activity(at: str) -> Activity:
    rows = ask(holder.get(), Question(("jobs",), ("day",))).to_pydict()
    found = zip(rows["day"], rows["jobs"], strict=True)
    return Activity(tuple(ended for ended, jobs in found if jobs))


def loaded(*statements: str, clusters: Sequence[str] = ()) -> list[pa.Table]:
    """Answer some of `STATEMENTS`, side by side, for all clusters or those named."""
    current = version()
    pending = [pool.submit(_loaded, name, tuple(clusters), current) for name in statements]
    return [future.result() for future in pending]


@st.cache_resource(ttl=ANSWER_SECONDS, max_entries=200, show_spinner=False)
def _loaded(statement: str, clusters: tuple[str, ...], at: str) -> pa.Table:
    chosen = "cluster IN {clusters:Array(String)}" if clusters else "1"
    parameters: dict[str, Any] = {"clusters": list(clusters)} if clusters else {}
    sql = STATEMENTS[statement].replace("{chosen}", chosen)
    return holder.get().arrow(sql, parameters)
