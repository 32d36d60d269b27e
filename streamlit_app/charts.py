"""Chart specifications: each is built once, on an empty frame, and the data is sent as Arrow.

The columns of a chart's data: `name` or `time` and its `step` in words, `value` in the axis' unit,
`shown` for the tooltip, `rank` for the order of stacked parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import pandas as pd

PICK = "pick"  # the selection that a click on a bar makes
BAR_PIXELS = 30
TIME_HEIGHT = 250
NAME_PIXELS = 150  # longer names end in an ellipsis; the tooltip has them whole
TIME_UNITS = {"day": "yearmonthdate", "month": "yearmonth", "year": "year"}

SPACING = {"day": 1.5, "month": 0.75, "year": 6}  # pixels between two bars

# From the longest: the axis' unit and the seconds in it.
_SECONDS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))

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


def _finish(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> Spec:
    spec: Spec = chart.to_dict()
    for unwanted in ("data", "datasets", "config", "$schema"):
        spec.pop(unwanted, None)
    for layer in spec.get("layer", []):
        layer.pop("data", None)
    return spec


def _empty() -> alt.Chart:
    return alt.Chart(pd.DataFrame())


def _value_axis() -> alt.Axis:
    # below 1, the prefix of '~s' would be a milli that nobody reads as one
    short = "format(datum.value, abs(datum.value) < 1 ? '.2~f' : '~s')"
    return alt.Axis(title=None, labelExpr=short, tickCount=5, domain=False, ticks=False)


def _time(grain: str) -> alt.X:
    axis = alt.Axis(
        title=None,
        grid=False,
        labelOverlap=True,
        labelFlush=False,
        tickCount={"year": 12}.get(grain, 10),
    )
    return alt.X(
        "time:T",
        timeUnit={"unit": TIME_UNITS[grain], "utc": True},
        axis=axis,
        scale=alt.Scale(type="utc"),
    )


@cache
def over_time(title: str, grain: str) -> Spec:
    """Bars of a count or a sum, one for each step."""
    return _finish(
        _empty()
        .mark_bar(binSpacing=SPACING[grain], cornerRadiusTopLeft=1, cornerRadiusTopRight=1)
        .encode(
            x=_time(grain),
            y=alt.Y("value:Q", axis=_value_axis()),
            tooltip=[alt.Tooltip("step:N", title="When"), alt.Tooltip("shown:N", title=title)],
        )
        .properties(height=TIME_HEIGHT)
    )


@cache
def stacked(title: str, grain: str, share: bool = False) -> Spec:
    """Bars over time, stacked by name; with `share` each step's parts make up the whole."""
    axis = alt.Axis(title=None, format="%", tickCount=5, domain=False, ticks=False)
    return _finish(
        _empty()
        .mark_bar(binSpacing=SPACING[grain])
        .encode(
            x=_time(grain),
            y=alt.Y(
                "value:Q",
                stack="normalize" if share else "zero",
                axis=axis if share else _value_axis(),
            ),
            color=_color(),
            order=alt.Order("rank:Q"),
            tooltip=_part_tooltip(title),
        )
        .properties(height=TIME_HEIGHT + 50)
    )


@cache
def lines(title: str, grain: str) -> Spec:
    """One line for each name; for averages, which do not add up."""
    return _finish(
        _empty()
        .mark_line(point=alt.OverlayMarkDef(size=22), strokeWidth=2, interpolate="linear")
        .encode(
            x=_time(grain),
            y=alt.Y("value:Q", axis=_value_axis()),
            color=_color(),
            tooltip=_part_tooltip(title),
        )
        .properties(height=TIME_HEIGHT + 50)
    )


def _part_tooltip(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("step:N", title="When"),
        alt.Tooltip("name:N", title="Name"),
        alt.Tooltip("shown:N", title=title),
    ]


def _color() -> alt.Color:
    legend = alt.Legend(title=None, orient="right", labelLimit=NAME_PIXELS, symbolType="square")
    return alt.Color("name:N", sort=None, legend=legend)


@cache
def ranking(title: str, bars: int, clickable: bool) -> Spec:
    """Horizontal bars in the order of the data, each with its figure at the end.

    The column `reach` leaves room for the figures.
    """
    names = alt.Axis(
        title=None, labelLimit=NAME_PIXELS, labelOverlap=False, domain=False, ticks=False
    )
    bar = _empty().encode(
        y=alt.Y("name:N", sort=None, axis=names),
        x=alt.X("value:Q", axis=None),
        tooltip=[alt.Tooltip("name:N", title="Name"), alt.Tooltip("shown:N", title=title)],
    )
    drawn = bar.mark_bar(
        cornerRadiusTopRight=2,
        cornerRadiusBottomRight=2,
        cursor="pointer" if clickable else "default",
    )
    if clickable:
        drawn = drawn.add_params(alt.selection_point(name=PICK, fields=["name"], on="click"))
    written = bar.mark_text(align="left", dx=5, fontSize=12, color="currentColor").encode(
        text="shown:N"
    )
    room = _empty().mark_tick(opacity=0, aria=False).encode(y=bar.encoding.y, x="reach:Q")
    return _finish(alt.layer(drawn, written, room).properties(height=BAR_PIXELS * (bars + 1)))


@cache
def donut(title: str) -> Spec:
    """Shares of a whole, in the order of the data."""
    return _finish(
        _empty()
        .mark_arc(innerRadius=58, padAngle=0.012, cornerRadius=2)
        .encode(
            theta=alt.Theta("value:Q", stack=True),
            color=alt.Color(
                "name:N",
                sort=None,
                legend=alt.Legend(
                    title=None,
                    orient="right",
                    labelLimit=220,
                    symbolType="square",
                    labelFontSize=13,
                ),
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("name:N", title="Name"),
                alt.Tooltip("shown:N", title=title),
                alt.Tooltip("value:Q", title="Share", format=".1%"),
            ],
        )
        .properties(height=TIME_HEIGHT)
    )


@cache
def columns(title: str, x_title: str) -> Spec:
    """Upright bars, one for each class, in the order of the data."""
    return _finish(
        _empty()
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X(
                "name:N",
                sort=None,
                axis=alt.Axis(title=x_title, labelAngle=-40, labelOverlap=False),
            ),
            y=alt.Y("value:Q", axis=_value_axis()),
            tooltip=[alt.Tooltip("name:N", title=x_title), alt.Tooltip("shown:N", title=title)],
        )
        .properties(height=TIME_HEIGHT)
    )


def warm() -> None:
    """Build what most pages begin with, so that the first visitor does not wait for Altair."""
    for grain in TIME_UNITS:
        for title in ("Executed jobs", "Core time"):
            over_time(title, grain)
            stacked(title, grain)
            stacked(title, grain, share=True)
    ranking("Core time", 10, True)
    donut("Executed jobs")
    columns("Executed jobs", "Slots")
