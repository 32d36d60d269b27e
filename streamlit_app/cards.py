"""Cards of a page: a titled box with one chart or table, what it stands on, and its data as CSV."""

from __future__ import annotations

import hashlib
import io
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast

import pyarrow as pa
import pyarrow.csv
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import charts, text
from streamlit_app.filters import Scope, add_to_filter

NO_JOBS = "No executed job matches these filters."


def page_header(title: str, scope: Scope | None) -> None:
    """Draw the page's title and what it is about."""
    st.title(title, anchor=False)
    if scope:
        st.caption(scope.words)


def card(
    key: str, title: str, table: pa.Table | None, unit: str = ""
) -> AbstractContextManager[Any]:
    """Open a titled box, with the unit of its axis; with a table it offers it as CSV."""
    box = st.container(border=True, key=key, height="stretch")
    with box, st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{title}**" + (f"  :gray[{unit}]" if unit else ""), width="stretch")
        if table is not None and table.num_rows:
            _download(key, table)
    return cast(AbstractContextManager[Any], box)


def _download(key: str, table: pa.Table) -> None:
    st.download_button(
        "CSV",
        data=partial(csv_bytes, table),
        file_name=f"{key}.csv",
        mime="text/csv",
        key=f"{key}_csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def csv_bytes(table: pa.Table) -> bytes:
    """Write a table as CSV, with labels and units in its first line."""
    output = io.BytesIO()
    pa.csv.write_csv(table.rename_columns([_heading(n) for n in table.column_names]), output)
    return output.getvalue()


def _heading(column: str) -> str:
    if column in METRICS:
        metric = METRICS[column]
        return f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    return DIMENSIONS[column].label if column in DIMENSIONS else column


def note(metric: str, jobs: int, whose: str = "") -> None:
    """Say below a chart how its figure is computed, and on how many jobs it stands."""
    chosen = METRICS[metric]
    known = "" if chosen.needs in ("is_executed", "is_attempt", "1") else ", where known"
    formula = text.plain(f"{chosen.label} = {chosen.formula}")
    st.caption(f"{formula}  ·  from {text.count(jobs, 'executed job')}{whose}{known}")


def nothing(message: str = NO_JOBS) -> None:
    """Say in a card that there is nothing to draw."""
    st.caption(f":material/filter_alt_off: {message}")


def draw(spec: charts.Spec, table: pa.Table, key: str, alt: str) -> None:
    """Draw a chart."""
    st.vega_lite_chart(table, spec, key=f"{key}_chart", alt=alt, width="stretch")


def draw_clickable(
    spec: charts.Spec, table: pa.Table, key: str, alt: str, dimension: str, scope: Scope
) -> None:
    """Draw a chart whose bars narrow all pages to the name that is clicked."""
    # a new filter makes a new chart: the old one would keep its bar picked
    mark = hashlib.sha1(repr(scope.filters).encode(), usedforsecurity=False).hexdigest()[:8]
    drawn = f"{key}_chart_{mark}"
    st.vega_lite_chart(
        table,
        spec,
        key=drawn,
        alt=alt,
        width="stretch",
        on_select=partial(_picked, drawn, dimension),
        selection_mode=[charts.PICK],
    )


def _picked(key: str, dimension: str) -> None:
    picked = st.session_state[key].selection.get(charts.PICK) or []
    for point in picked:
        name = str(point.get("name", ""))
        add_to_filter(dimension, "" if name == text.NO_NAME else name)


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
    """Turn seconds into durations, which the browser writes as `2 hr, 5 min`."""
    if name not in METRICS or METRICS[name].unit != "s":
        return column
    rounded = [None if text.is_missing(v) else _round_seconds(v) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(rounded, pa.duration("s"))])


def _round_seconds(seconds: float) -> int:
    step = 3600 if seconds >= 172_800 else 60 if seconds >= 3600 else 1
    return round(seconds / step) * step


def _column(name: str, values: pa.ChunkedArray) -> ColumnConfig:
    if name not in METRICS:
        return _plain_column(name)
    metric = METRICS[name]
    if metric.unit == "s":
        return st.column_config.NumberColumn(metric.label, format="localized", help=metric.formula)
    label = f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    decimals = 0 if name in WHOLE else _decimals(values)
    return st.column_config.NumberColumn(label, format=f"%,.{decimals}f", help=metric.formula)


def _decimals(values: pa.ChunkedArray) -> int:
    """Choose the decimals that a column of figures needs, by its largest."""
    largest = max((v for v in values.to_pylist() if not text.is_missing(v)), default=0.0)
    return 0 if largest >= 10_000 else 1 if largest >= 10 else 2


def _plain_column(name: str) -> ColumnConfig:
    label = DIMENSIONS[name].label if name in DIMENSIONS else name.replace("_", " ").capitalize()
    if name in WHOLE:
        return st.column_config.NumberColumn(label, format="%,d")
    return st.column_config.Column(label, pinned=name in DIMENSIONS)


WHOLE = frozenset(
    {"jobs", "attempts", "users", "lines", "records", "rejects", "ignored", "bytes", "offset"}
    | {"start_offset", "end_offset"}
)
