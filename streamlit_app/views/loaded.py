"""Data: what has been loaded from where, up to when, and what could not be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa
import streamlit as st

from clickhouse import health
from clickhouse.query import Period
from streamlit_app import charts, data, shape, text
from streamlit_app.cards import COLUMNS, card, draw, nothing, page_header, show_table
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import mark, t, tn
from streamlit_app.panels import parts_panel, per_grain

NOTHING = mark("Nothing here.")
FRESHNESS_SECONDS = 5.0  # between two looks at what the daemon says
TOTALS = {
    "lines": mark("Lines read of all files; lines = records + rejected + ignored."),
    "records": mark("Lines accepted as accounting records."),
    "rejects": mark("Lines that could not be read."),
    "ignored": mark("Comments and empty lines."),
}


def show(scope: Scope) -> None:
    """Draw the page; of the filters, only the cluster applies."""
    page_header(t("Data"), None)
    if not data.sees_files():
        _freshness()
        st.caption(t("Files and their lines are shown to administrators."))
        _coverage(scope)
        return
    st.caption(_of_what(scope))
    _freshness()
    names = ("totals", "last_job", "reconciled", "sources", "reasons", "rejects", "flags", "ledger")
    answers = dict(zip(names, data.loaded(*names, clusters=scope.clusters), strict=True))
    _totals(answers["totals"], answers["last_job"], answers["sources"])
    _reconciled_card(answers["reconciled"])
    _coverage(scope)
    _sources_card(answers["sources"])
    left, right = st.columns(2)
    with left:
        _counts_card(
            "data_reasons",
            t("Rejected lines by reason"),
            answers["reasons"].rename_columns(["name", "lines"]),
            t("lines that could not be read; they are kept below, none is lost"),
        )
    with right:
        _counts_card(
            "data_flags",
            t("Unusual records"),
            _in_words(answers["flags"]),
            t("accepted records with something odd or missing; one can have several signs"),
        )
    _table_card("data_rejects", t("Latest rejected lines"), answers["rejects"])
    _table_card("data_ledger", t("Latest batches"), answers["ledger"])


def _of_what(scope: Scope) -> str:
    if not scope.clusters:
        return t("Everything that was loaded; of the filters, only the cluster applies here.")
    return t(
        "Everything that was loaded of {clusters}; of the filters, only the cluster applies here.",
        clusters=text.plain(", ".join(map(text.short, scope.clusters))),
    )


def _in_words(flags: pa.Table) -> pa.Table:
    shown = [text.value("flag", name) for name in flags.column("name").to_pylist()]
    return flags.set_column(0, "name", pa.array(shown, pa.string()))


@st.fragment(run_every=FRESHNESS_SECONDS)
def _freshness() -> None:
    """Say up to when the data is, as the daemon of this host tells it, and what disturbs it."""
    settings = data.settings()
    found = [health.read(settings, cluster) for cluster in health.clusters(settings)]
    for each in found:
        if each is not None and each.state != "stopped":
            _say_how(each)


def _say_how(found: health.Health) -> None:
    # a problem names files
    for problem in found.problems() if data.sees_files() else []:
        title = t("Loading of {cluster} is disturbed", cluster=text.plain(found.cluster))
        st.error(text.plain(problem), title=title, icon=":material/sync_problem:")
    st.caption(text.plain("  ·  ".join([_up_to(found), *_behind(found)])))


def _up_to(found: health.Health) -> str:
    if not found.caught_up:
        return t("{cluster}: never complete yet", cluster=found.cluster)
    return t("{cluster}: data up to {time}", cluster=found.cluster, time=_clock(found.caught_up))


def _behind(found: health.Health) -> list[str]:
    if found.state == "loading":
        return [t("loading, about {time} left", time=text.duration(found.eta))]
    return [t("{size} behind", size=text.size(found.lag_bytes))] if found.lag_bytes else []


def _clock(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    today = datetime.now(UTC).date() == moment.date()
    return f"{moment:%H:%M:%S} UTC" if today else f"{text.day(moment.date())} {moment:%H:%M:%S} UTC"


def _totals(totals: pa.Table, last_job: pa.Table, sources: pa.Table) -> None:
    row = totals.to_pylist()[0]
    with st.grid(4, min_column_width=190, gap="small", key="totals"):
        for name, meaning in TOTALS.items():
            value = text.whole(row[name] or 0)
            st.metric(t(COLUMNS[name]), value, help=t(meaning), border=True)
    parts = [tn("{count} file", "{count} files", row["files"] or 0), _sums(row)]
    if loaded := max((r["last_loaded"] for r in sources.to_pylist()), default=""):
        parts.append(t("last load {time} UTC", time=loaded))
    ended = str(last_job.column("ended")[0].as_py() or "")
    if ended and not ended.startswith("1970"):
        parts.append(t("last job ended {time} UTC", time=ended))
    st.caption(text.plain("  ·  ".join(parts)))


def _sums(row: dict[str, Any]) -> str:
    missing = (row["lines"] or 0) - sum(row[n] or 0 for n in ("records", "rejects", "ignored"))
    if not missing:
        return t("lines = records + rejected + ignored")
    return tn("{count} line differs", "{count} lines differ", missing)


def _reconciled_card(table: pa.Table) -> None:
    """Compare what was read with what is stored, so that a loss would show."""
    with card("data_reconciled", t("Reconciliation"), table):
        alt = t("Lines read and records stored, by cluster")
        show_table(table, "data_reconciled", alt)
        st.caption(
            t(
                "Nothing may be unaccounted for. Read and not stored is the same line in several"
                " files; fewer read than stored means that a file has been replaced since."
            )
        )


def _coverage(scope: Scope) -> None:
    """Show which days there are jobs of, and where there is a gap."""
    kept = tuple(f for f in scope.filters if f.dimension == "cluster")
    all_time = replace(scope, period=Period(), filters=kept, **_span())
    per_step, per_day = data.answers(
        all_time.question(("attempts",), all_time.grain, "cluster"),
        all_time.question(("attempts",), "day", "cluster"),
    )
    names = sorted(set(per_step.column("cluster").to_pylist()))
    shaped = shape.parts_over_time(per_step, "cluster", "attempts", all_time, names)
    title = t("Coverage: attempts {steps}", steps=per_grain(all_time))
    attempts = shape.total(per_step, "attempts")
    parts_panel("data_covered", title, "attempts", shaped, all_time, attempts, per_step)
    gaps = _gaps(per_day)
    with card("data_gaps", t("Days with and without jobs"), gaps):
        if not gaps.num_rows:
            nothing(NOTHING)
            return
        show_table(gaps, "data_gaps", t("First and last day and gaps, by cluster"))


def _span() -> dict[str, date]:
    days = data.activity().days or (date.today(),)
    return {"first": days[0], "last": days[-1]}


def _gaps(per_day: pa.Table) -> pa.Table:
    """Count, for each cluster, the days on which no job ended, and the longest row of them."""
    found: dict[str, list[date]] = {}
    for row in per_day.to_pylist():
        found.setdefault(row["cluster"], []).append(row["day"])
    return pa.Table.from_pylist([_gaps_of(name, sorted(found[name])) for name in sorted(found)])


def _gaps_of(cluster: str, days: list[date]) -> dict[str, object]:
    span = (days[-1] - days[0]).days + 1
    between = ((later - day).days - 1 for day, later in pairwise(days))
    return {
        "cluster": cluster,
        "first_day": text.day(days[0]),
        "last_day": text.day(days[-1]),
        "days": span,
        "days_without": span - len(days),
        "longest_gap": max(between, default=0),
    }


def _sources_card(table: pa.Table) -> None:
    with card("data_sources", t("Files"), table):
        if not table.num_rows:
            nothing(NOTHING)
            return
        sizes = [text.size(number) for number in table.column("bytes").to_pylist()]
        at = table.column_names.index("bytes")
        shown = table.set_column(at, "read", pa.array(sizes, pa.string()))
        alt = t("Files that were loaded, with what was found in them")
        show_table(shown, "data_sources", alt)


def _counts_card(key: str, title: str, table: pa.Table, meaning: str) -> None:
    with card(key, title, table):
        if not table.num_rows:
            nothing(NOTHING)
            return
        counts = table.column("lines").to_pylist()
        names = table.column(0).to_pylist()
        rows = [(n, c, text.whole(c)) for n, c in zip(names, counts, strict=True)]
        shaped = shape.bars(rows)
        draw(charts.ranking(t(COLUMNS["lines"]), False), shaped, key, title)
        st.caption(meaning)


def _table_card(key: str, title: str, table: pa.Table) -> None:
    with card(key, title, table):
        if not table.num_rows:
            nothing(NOTHING)
            return
        show_table(table, key, title)


show(current())
