"""What chart specifications are made of: axes, units, heights, and the order of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa

NTH = "nth"  # the column that `numbered` adds
# Names in the order of the data. Without it Vega keeps names where they were when it gets other
# rows: rankings would be out of order, and colours those of other names.
IN_ORDER = alt.EncodingSortField(NTH, op="min")
BAR_PIXELS = 30  # of each name: a chart of more of them is higher
NAME_PIXELS = 150  # longer names end in an ellipsis; the tooltip has them whole
TIME_UNITS = {"day": "yearmonthdate", "month": "yearmonth", "year": "year"}

# From the longest: the axis' unit and the seconds in it.
_SECONDS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))

# Labels of an axis: below 1, the prefix of '~s' would be a milli that nobody reads as one.
SHORT = "format(datum.value, abs(datum.value) < 1 ? '.2~f' : '~s')"

Spec = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """What an axis counts: values are divided by `divisor` to be in its unit."""

    label: str
    unit: str = ""
    divisor: float = 1.0


def axis_of(label: str, unit: str, values: Sequence[float]) -> Axis:
    """Choose the unit of an axis; durations get the largest one that their maximum fills twice."""
    if unit == "s":
        longest = max(values, default=0.0)
        name, seconds = next((u for u in _SECONDS if longest >= 2 * u[1]), ("s", 1.0))
        return Axis(label, name, seconds)
    return Axis(label, unit)


def finish(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> Spec:
    """Give a chart's specification, without what the browser gets apart from it."""
    spec: Spec = chart.to_dict()
    for unwanted in ("data", "datasets", "config", "$schema"):
        spec.pop(unwanted, None)
    for layer in spec.get("layer", []):
        layer.pop("data", None)
    return spec


def numbered(table: pa.Table) -> pa.Table:
    """Add the number of each row, since specifications go by the order of the data."""
    return table.append_column(NTH, pa.array(range(table.num_rows), pa.int32()))


def empty() -> alt.Chart:
    """Begin a chart whose data come later."""
    return alt.Chart(pd.DataFrame())


def value_axis() -> alt.Axis:
    """Make the axis of a count or an amount, with short numbers."""
    return alt.Axis(title=None, labelExpr=SHORT, tickCount=5, domain=False, ticks=False)


def time_axis(grain: str, middle: bool = False) -> alt.X:
    """Make the axis of time; `middle` puts marks over the middle of a step's bar."""
    axis = alt.Axis(
        title=None,
        grid=False,
        labelOverlap=True,
        labelFlush=False,
        tickCount={"year": 12}.get(grain, 10),
        format={"day": "%-d %b %Y", "month": "%b %Y", "year": "%Y"}[grain],
    )
    return alt.X(
        "time:T",
        timeUnit={"unit": TIME_UNITS[grain], "utc": True},
        axis=axis,
        scale=alt.Scale(type="utc"),
        bandPosition=0.5 if middle else alt.Undefined,
    )


def each_name() -> alt.Step:
    """Make a chart as high as it has names, so that other rows need no other specification."""
    return alt.Step(BAR_PIXELS)


def name_axis(pixels: int = NAME_PIXELS) -> alt.Axis:
    """Make the axis of names, none left out; `pixels` is what a name can take."""
    return alt.Axis(
        title=None,
        labelLimit=pixels,
        labelOverlap=False,
        labelFlush=False,  # else the first name is beside its marks
        domain=False,
        ticks=False,
    )


def band_axis(title: str | None) -> alt.Axis:
    """Make the axis of cells side by side."""
    return alt.Axis(title=title, labelAngle=0, domain=False, ticks=False, grid=False)
