"""Data: what has been loaded from where, up to when, and what could not be read."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import streamlit as st

from clickhouse import health
from streamlit_app import charts, data, shape, text
from streamlit_app.cards import card, draw, nothing, page_header, show_table
from streamlit_app.filters import Scope, current
from streamlit_app.warehouse import holder

NOTHING = "Nothing here."
FRESHNESS_SECONDS = 5.0  # between two looks at what the daemon says


def show(scope: Scope) -> None:
    """Draw the page; of the filters, only the cluster applies."""
    page_header("Data", None)
    chosen = (
        f" of {text.plain(', '.join(map(text.short, scope.clusters)))}" if scope.clusters else ""
    )
    st.caption(
        f"Everything that was loaded{chosen}; of the filters, only the cluster applies here."
    )
    _freshness()
    names = ("totals", "last_job", "sources", "reasons", "rejects", "flags", "ledger")
    answers = dict(zip(names, data.loaded(*names, clusters=scope.clusters), strict=True))
    _totals(answers["totals"], answers["last_job"], answers["sources"])
    _sources_card(answers["sources"])
    left, right = st.columns(2)
    with left:
        _counts_card(
            "data_reasons",
            "Rejected lines by reason",
            answers["reasons"].rename_columns(["name", "lines"]),
            "lines that could not be read; they are kept below, none is lost",
        )
    with right:
        _counts_card(
            "data_flags",
            "Unusual records",
            answers["flags"],
            "accepted records with something odd or missing; one record can have several signs",
        )
    _table_card("data_rejects", "Latest rejected lines", answers["rejects"])
    _table_card("data_ledger", "Latest batches", answers["ledger"])


@st.fragment(run_every=FRESHNESS_SECONDS)
def _freshness() -> None:
    """Say up to when the data is, as the daemon of this host tells it, and what disturbs it."""
    settings = holder.get().settings
    found = [health.read(settings, cluster) for cluster in health.clusters(settings)]
    for each in found:
        if each is not None and each.state != "stopped":
            _say_how(each)


def _say_how(found: health.Health) -> None:
    headline = f"{found.cluster}: data up to {_clock(found.caught_up)}"
    if found.state == "loading":
        headline += f"  ·  loading, about {found.eta:,.0f} s left"
    elif found.lag_bytes:
        headline += f"  ·  {found.lag_bytes:,} bytes behind"
    for problem in found.problems():
        title = f"Loading of {found.cluster} is disturbed"
        st.error(text.plain(problem), title=title, icon=":material/sync_problem:")
    st.caption(text.plain(headline))


def _clock(seconds: float) -> str:
    if not seconds:
        return "no time yet"
    moment = datetime.fromtimestamp(seconds, UTC)
    today = datetime.now(UTC).date() == moment.date()
    return f"{moment:%H:%M:%S} UTC" if today else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _totals(totals: pa.Table, last_job: pa.Table, sources: pa.Table) -> None:
    row = totals.to_pylist()[0]
    with st.grid(4, min_column_width=190, gap="small", key="totals"):
        for name, meaning in (
            ("lines", "Lines read of all files; lines = records + rejected + ignored."),
            ("records", "Lines accepted as accounting records."),
            ("rejects", "Lines that could not be read."),
            ("ignored", "Comments and empty lines."),
        ):
            label = "Rejected" if name == "rejects" else name.capitalize()
            st.metric(label, f"{row[name] or 0:,}", help=meaning, border=True)
    missing = (row["lines"] or 0) - sum(row[n] or 0 for n in ("records", "rejects", "ignored"))
    sums = "lines = records + rejected + ignored" if not missing else f"{missing:,} lines differ"
    loaded = max((r["last_loaded"] for r in sources.to_pylist()), default="")
    ended = str(last_job.column("ended")[0].as_py() or "")
    parts = [text.count(row["files"] or 0, "file"), sums]
    parts += [f"last load {loaded} UTC"] if loaded else []
    parts += [f"last job ended {ended} UTC"] if ended and not ended.startswith("1970") else []
    st.caption(text.plain("  ·  ".join(parts)))


def _sources_card(table: pa.Table) -> None:
    with card("data_sources", "Files", table):
        if not table.num_rows:
            nothing(NOTHING)
            return
        sizes = [text.size(number) for number in table.column("bytes").to_pylist()]
        at = table.column_names.index("bytes")
        shown = table.set_column(at, "read", pa.array(sizes, pa.string()))
        show_table(shown, "data_sources", "Files that were loaded, with what was found in them")


def _counts_card(key: str, title: str, table: pa.Table, meaning: str) -> None:
    with card(key, title, table):
        if not table.num_rows:
            nothing(NOTHING)
            return
        counts = table.column("lines").to_pylist()
        names = table.column(0).to_pylist()
        shaped = shape.bars([(n, c, f"{c:,}") for n, c in zip(names, counts, strict=True)])
        draw(charts.ranking("Lines", shaped.num_rows, False), shaped, key, title)
        st.caption(meaning)


def _table_card(key: str, title: str, table: pa.Table) -> None:
    with card(key, title, table):
        if not table.num_rows:
            nothing(NOTHING)
            return
        show_table(table, key, title)


show(current())
