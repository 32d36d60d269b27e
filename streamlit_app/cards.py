"""Cards of a page: a titled box with one chart or table, what it stands on, and its data."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.column_types import ColumnConfig

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import charts, data, i18n, pictures, specs, text
from streamlit_app.exports import write_csv
from streamlit_app.filters import Scope, show_chips
from streamlit_app.i18n import mark, t, tn
from streamlit_app.narrowing import add_to_filter

NO_JOBS = mark("No executed job matches these filters.")
# What columns that are neither a metric nor a dimension are called.
COLUMNS = {
    "lines": mark("Lines"),
    "records": mark("Records"),
    "rejects": mark("Rejected"),
    "ignored": mark("Ignored"),
    "bytes": mark("Bytes"),
    "read": mark("Read"),
    "path": mark("Path"),
    "file": mark("File"),
    "reason": mark("Reason"),
    "line": mark("Line"),
    "offset": mark("Offset"),
    "start_offset": mark("Start offset"),
    "end_offset": mark("End offset"),
    "loaded": mark("Loaded"),
    "last_loaded": mark("Last loaded"),
    "name": mark("Name"),
    "stored": mark("Stored"),
    "copies": mark("Read, not stored"),
    "missing": mark("Not accounted for"),
    "first_day": mark("First day"),
    "last_day": mark("Last day"),
    "days": mark("Days"),
    "days_without": mark("Days without a job"),
    "longest_gap": mark("Longest gap, days"),
}
WHOLE = frozenset(
    {"jobs", "attempts", "users", "lines", "records", "rejects", "ignored", "bytes", "offset"}
    | {"start_offset", "end_offset", "stored", "copies", "missing", "days", "days_without"}
    | {"longest_gap", "slots_max", "failed_jobs", "groups", "nodes", "distinct_jobs", "array_jobs"}
)


@dataclass
class Frame:
    """A card that is open, and the chart in it once one is drawn."""

    key: str
    title: str
    table: pa.Table | None
    spec: specs.Spec | None = None
    drawn: pa.Table | None = None


_open: ContextVar[Frame | None] = ContextVar("card", default=None)


def page_header(title: str, scope: Scope | None) -> None:
    """Draw the page's title, what it is about, and the filters to take away."""
    st.title(title, anchor=False)
    if scope:
        st.caption(scope.days)
        show_chips(scope)


@contextmanager
def card(key: str, title: str, table: pa.Table | None, unit: str = "") -> Iterator[DeltaGenerator]:
    """Open a titled box, with the unit of its axis; it offers its table and the chart in it."""
    box = st.container(border=True, key=key, height="stretch")
    frame = Frame(key, f"{title} ({text.unit_name(unit)})" if unit else title, table)
    with box:
        head = st.container(horizontal=True, vertical_alignment="center", gap="small")
        shown = f"  :gray[{text.unit_name(unit)}]" if unit else ""
        head.markdown(f"**{title}**{shown}", width="stretch")
        before = _open.set(frame)
        try:
            yield box
        finally:
            _open.reset(before)
        if frame.table is not None and frame.table.num_rows:
            with head:
                _show_downloads(frame)


def _show_downloads(frame: Frame) -> None:
    offered = st.popover(
        ":material/download:",
        type="tertiary",
        key=f"{frame.key}_downloads",
        help=t("Download the data or the picture"),
        on_change="rerun",
    )
    if not offered.open:  # four buttons in each card are half of what a page sends
        return
    with offered, st.container(horizontal=True, gap="medium"):
        _download(frame, "CSV", "text/csv", partial(csv_bytes, frame.table))
        _download(frame, "Parquet", "application/vnd.apache.parquet", partial(parquet, frame.table))
        if frame.spec is not None:
            drawn = (frame.spec, frame.drawn, frame.title)
            _download(frame, "PNG", "image/png", partial(pictures.png, *drawn))
            _download(frame, "SVG", "image/svg+xml", partial(pictures.svg, *drawn))


def _download(frame: Frame, kind: str, mime: str, write: Callable[[], str | bytes]) -> None:
    st.download_button(
        kind,
        data=data.exported(
            frame.title, kind, _rows(frame), partial(_written, i18n.language(), write)
        ),
        file_name=f"{frame.key}.{kind.lower()}",
        mime=mime,
        key=f"{frame.key}_{kind.lower()}",
        on_click="ignore",
        type="tertiary",
    )


def _rows(frame: Frame) -> int:
    return 0 if frame.table is None else int(frame.table.num_rows)


def _written(language: str, write: Callable[[], str | bytes]) -> str | bytes:
    """Write a download when it is asked for, which is after the run of the script."""
    with i18n.speaking(language):
        return write()


def csv_bytes(table: pa.Table) -> bytes:
    """Write a table as CSV, with labels and units in its first line."""
    return write_csv(table.rename_columns([_heading(n) for n in table.column_names]))


def parquet(table: pa.Table) -> bytes:
    """Write a table as Parquet, with the names that questions use."""
    output = io.BytesIO()
    pa.parquet.write_table(table, output)
    return output.getvalue()


def _heading(column: str) -> str:
    unit = METRICS[column].unit if column in METRICS else ""
    return f"{_column_name(column)} ({text.unit_name(unit)})" if unit else _column_name(column)


def _column_name(column: str) -> str:
    if column in METRICS or column in DIMENSIONS:
        return text.label(column)
    return t(COLUMNS[column]) if column in COLUMNS else column.replace("_", " ").capitalize()


def note(metric: str, jobs: int, whose: str = "", more: str = "") -> None:
    """Say below a chart how its figure is computed, and on how many jobs it stands; and more."""
    known = METRICS[metric].needs not in ("is_executed", "is_attempt", "1")
    stands = tn("from {count} executed job", "from {count} executed jobs", jobs)
    parts = [
        text.plain(f"{text.label(metric)} = {text.formula(metric)}"),
        stands + whose + (t(", where known") if known else ""),
        *([text.plain(more)] if more else []),
    ]
    st.caption("  ·  ".join(parts))


def nothing(message: str = NO_JOBS) -> None:
    """Say in a card that there is nothing to draw."""
    st.caption(f":material/filter_alt_off: {t(message)}")


def draw(spec: specs.Spec, table: pa.Table, key: str, alt: str) -> None:
    """Draw a chart; `alt` says what it shows, not what the rows tell.

    It is part of what Vega compiles: with other words the browser makes the chart anew, and a year
    that was asked before took a fourth longer on Overview.
    """
    _remember(spec, table)
    rows = specs.numbered(table)
    st.vega_lite_chart(rows, _localized(spec), key=f"{key}_chart", alt=alt, width="stretch")


def draw_clickable(
    spec: specs.Spec, table: pa.Table, key: str, alt: str, dimension: str, scope: Scope
) -> None:
    """Draw a chart whose bars narrow all pages to the name that is clicked."""
    _remember(spec, table)
    # a new filter makes a new chart: the old one would keep its bar picked
    seal = hashlib.sha1(repr(scope.filters).encode(), usedforsecurity=False).hexdigest()[:8]
    drawn = f"{key}_chart_{seal}"
    st.vega_lite_chart(
        specs.numbered(table),
        _localized(spec),
        key=drawn,
        alt=alt,
        width="stretch",
        on_select=partial(_picked, drawn, dimension),
        selection_mode=[charts.PICK],
    )


def _remember(spec: specs.Spec, table: pa.Table) -> None:
    """Tell the card what is drawn in it, so that it can offer pictures of it."""
    if frame := _open.get():
        frame.spec, frame.drawn = spec, table


def _localized(spec: specs.Spec) -> specs.Spec:
    """Let the browser write numbers and dates in the reader's language."""
    if i18n.language() == i18n.SOURCE:
        return spec
    return spec | {"config": spec.get("config", {}) | {"locale": i18n.vega_locale()}}


def _picked(key: str, dimension: str) -> None:
    picked = st.session_state[key].selection.get(charts.PICK) or []
    for point in picked:
        add_to_filter(dimension, _raw(dimension, str(point.get("name", ""))))


def _raw(dimension: str, shown: str) -> str:
    """Turn a name that a chart shows into the value it stands for, '' for none."""
    if shown == t(text.NO_NAME):
        return ""
    if dimension not in text.WORDED:
        return shown
    return next((n for n in data.names(dimension) if text.value(dimension, n) == shown), shown)


def show_table(table: pa.Table, key: str, alt: str) -> None:
    """Draw a table: figures keep their order when sorted, and have units and thousands."""
    configuration = {name: _column(name, table.column(name)) for name in table.column_names}
    converted = [_converted(name, table.column(name)) for name in table.column_names]
    st.dataframe(
        pa.table(dict(zip(table.column_names, converted, strict=True))),
        key=f"{key}_table",
        hide_index=True,
        column_config=configuration,
        height="auto" if table.num_rows <= 10 else 460,
        alt=alt,
    )


def _converted(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn seconds into durations, which the browser writes as `2 hr, 5 min`; round the rest."""
    if name in text.WORDED:
        shown = [text.value(name, str(value)) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(shown, pa.string())])
    if name not in METRICS:
        return column
    if METRICS[name].unit != "s":
        # where the browser chooses the decimals, as many as English has
        english = i18n.language() == i18n.SOURCE
        return column if english else pc.round(column, ndigits=_decimals_of(name, column))
    rounded = [None if text.is_missing(v) else _round_seconds(v) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(rounded, pa.duration("s"))])


def _round_seconds(seconds: float) -> int:
    step = 3600 if seconds >= 172_800 else 60 if seconds >= 3600 else 1
    return round(seconds / step) * step


def _column(name: str, values: pa.ChunkedArray) -> ColumnConfig:
    if name not in METRICS:
        return _plain_column(name)
    formula = text.formula(name)
    if METRICS[name].unit == "s":
        shown = text.label(name)
        return st.column_config.NumberColumn(shown, format="localized", help=formula)
    decimals = _decimals_of(name, values)
    return st.column_config.NumberColumn(_heading(name), format=_format(decimals), help=formula)


def _format(decimals: int) -> str:
    """Choose how the browser writes a column: with English commas, or as its own settings say."""
    return f"%,.{decimals}f" if i18n.language() == i18n.SOURCE else "localized"


def _decimals_of(name: str, values: pa.ChunkedArray) -> int:
    """Choose the decimals that a column of figures needs, by its largest."""
    if name in WHOLE:
        return 0
    largest = max((v for v in values.to_pylist() if not text.is_missing(v)), default=0.0)
    return 0 if largest >= 10_000 else 1 if largest >= 10 else 2


def _plain_column(name: str) -> ColumnConfig:
    if name in WHOLE:
        return st.column_config.NumberColumn(_column_name(name), format=_format(0))
    return st.column_config.Column(_column_name(name), pinned=name in DIMENSIONS)
