"""Chart specifications: each is built once, on an empty frame, and the data is sent as Arrow.

The columns of a chart's data: `name` or `time` and its `step` in words, `value` in the axis' unit,
`shown` for the tooltip, `rank` for the order of stacked parts. What a chart needs beyond these, its
function says.
"""

from __future__ import annotations

import altair as alt

from streamlit_app.i18n import cached_per_language, t
from streamlit_app.specs import (
    IN_ORDER,
    NAME_PIXELS,
    SHORT,
    TIME_UNITS,
    Spec,
    band_axis,
    each_name,
    empty,
    finish,
    name_axis,
    time_axis,
    value_axis,
)

PICK = "pick"  # the selection that a click on a bar makes
TIME_HEIGHT = 250
CALENDAR_HEIGHT = 150

GRAY = "#8A96A6"  # of what is there to compare with; readable on either background

SPACING = {"day": 1.5, "month": 0.75, "year": 6}  # pixels between two bars


@cached_per_language
def over_time(title: str, grain: str, earlier: bool = False) -> Spec:
    """Bars of a count or a sum, one for each step.

    With `earlier`, a line shows the column `before`, of an earlier period, named `before_shown`.
    """
    bars = empty().mark_bar(
        binSpacing=SPACING[grain], cornerRadiusTopLeft=1, cornerRadiusTopRight=1
    )
    tooltip = [alt.Tooltip("step:N", title=t("When")), alt.Tooltip("shown:N", title=title)]
    if earlier:
        tooltip.append(alt.Tooltip("before_shown:N", title=t("Before")))
    value = alt.Y("value:Q", stack=None, axis=value_axis())
    drawn = bars.encode(x=time_axis(grain), y=value, tooltip=tooltip)
    if not earlier:
        return finish(drawn.properties(height=TIME_HEIGHT))
    line = empty().mark_line(strokeWidth=2, strokeDash=[5, 3], color=GRAY, tooltip=False)
    before = line.encode(x=time_axis(grain, middle=True), y=alt.Y("before:Q", axis=value_axis()))
    return finish(alt.layer(drawn, before).properties(height=TIME_HEIGHT))


@cached_per_language
def stacked(title: str, grain: str, share: bool = False) -> Spec:
    """Bars over time, stacked by name; with `share` each step's parts make up the whole."""
    axis = alt.Axis(title=None, format="%", tickCount=5, domain=False, ticks=False)
    return finish(
        empty()
        .mark_bar(binSpacing=SPACING[grain])
        .encode(
            x=time_axis(grain),
            y=alt.Y(
                "value:Q",
                stack="normalize" if share else "zero",
                axis=axis if share else value_axis(),
            ),
            color=_color(),
            order=alt.Order("rank:Q"),
            tooltip=_part_tooltip(title),
        )
        .properties(height=TIME_HEIGHT + 50)
    )


@cached_per_language
def lines(title: str, grain: str) -> Spec:
    """One line for each name; for averages, which do not add up."""
    return finish(
        empty()
        .mark_line(point=alt.OverlayMarkDef(size=22), strokeWidth=2, interpolate="linear")
        .encode(
            x=time_axis(grain),
            y=alt.Y("value:Q", axis=value_axis()),
            color=_color(),
            tooltip=_part_tooltip(title),
        )
        .properties(height=TIME_HEIGHT + 50)
    )


def _part_tooltip(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("step:N", title=t("When")),
        alt.Tooltip("name:N", title=t("Name")),
        alt.Tooltip("shown:N", title=title),
    ]


def _color() -> alt.Color:
    legend = alt.Legend(title=None, orient="right", labelLimit=NAME_PIXELS, symbolType="square")
    return alt.Color("name:N", sort=IN_ORDER, legend=legend)


@cached_per_language
def ranking(title: str, clickable: bool, pixels: int = NAME_PIXELS) -> Spec:
    """Horizontal bars in the order of the data, each with its figure at the end.

    The column `reach` leaves room for the figures, `pixels` is what a name can take.
    """
    bar = empty().encode(
        y=alt.Y("name:N", sort=IN_ORDER, axis=name_axis(pixels)),
        x=alt.X("value:Q", stack=None, axis=None),
        tooltip=[alt.Tooltip("name:N", title=t("Name")), alt.Tooltip("shown:N", title=title)],
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
    room = empty().mark_tick(opacity=0, aria=False).encode(y=bar.encoding.y, x="reach:Q")
    return finish(alt.layer(drawn, written, room).properties(height=each_name()))


@cached_per_language
def donut(title: str) -> Spec:
    """Shares of a whole, in the order of the data."""
    return finish(
        empty()
        .mark_arc(innerRadius=58, padAngle=0.012, cornerRadius=2)
        .encode(
            theta=alt.Theta("value:Q", stack=True),
            color=alt.Color(
                "name:N",
                sort=IN_ORDER,
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
                alt.Tooltip("name:N", title=t("Name")),
                alt.Tooltip("shown:N", title=title),
                alt.Tooltip("value:Q", title=t("Share"), format=".1%"),
            ],
        )
        .properties(height=TIME_HEIGHT)
    )


@cached_per_language
def columns(title: str, x_title: str) -> Spec:
    """Upright bars, one for each class, in the order of the data."""
    axis = alt.Axis(title=x_title, labelAngle=-40, labelOverlap=False, labelLimit=NAME_PIXELS)
    return finish(
        empty()
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X("name:N", sort=IN_ORDER, axis=axis),
            y=alt.Y("value:Q", stack=None, axis=value_axis()),
            tooltip=[alt.Tooltip("name:N", title=x_title), alt.Tooltip("shown:N", title=title)],
        )
        .properties(height=TIME_HEIGHT)
    )


@cached_per_language
def areas(title: str, grain: str) -> Spec:
    """Areas over time, stacked by name."""
    return finish(
        empty()
        .mark_area(opacity=0.85, interpolate="monotone")
        .encode(
            x=time_axis(grain),
            y=alt.Y("value:Q", stack="zero", axis=value_axis()),
            color=_color(),
            order=alt.Order("rank:Q"),
            tooltip=_part_tooltip(title),
        )
        .properties(height=TIME_HEIGHT + 50)
    )


@cached_per_language
def bands(grain: str, names: tuple[str, ...]) -> Spec:
    """Draw a line over time within two bands: columns `q0` to `q4`, of which `q2` is the line.

    Their words are in `q0_shown` and so on, called by `names`.
    """
    tooltip = [alt.Tooltip("step:N", title=t("When"))]
    tooltip += [alt.Tooltip(f"q{i}_shown:N", title=name) for i, name in enumerate(names)]
    base = empty().encode(x=time_axis(grain), tooltip=tooltip)
    axis = value_axis()
    outer = base.mark_area(opacity=0.15).encode(y=alt.Y("q0:Q", axis=axis), y2="q4:Q")
    inner = base.mark_area(opacity=0.3).encode(y=alt.Y("q1:Q", axis=axis), y2="q3:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=22), strokeWidth=2)
    drawn = alt.layer(outer, inner, line.encode(y=alt.Y("q2:Q", axis=axis)))
    return finish(drawn.properties(height=TIME_HEIGHT))


@cached_per_language
def spans(titles: tuple[str, str]) -> Spec:
    """Join a dot and a ring for each name: columns `value` and `high`.

    Their words are in `shown` and `high_shown`, both of them in `both`; `reach` leaves room.
    """
    tooltip = [
        alt.Tooltip("name:N", title=t("Name")),
        alt.Tooltip("shown:N", title=titles[0]),
        alt.Tooltip("high_shown:N", title=titles[1]),
    ]
    base = empty().encode(y=alt.Y("name:N", sort=IN_ORDER, axis=name_axis()), tooltip=tooltip)
    low, high = alt.X("value:Q", axis=None), alt.X("high:Q", axis=None)
    drawn = alt.layer(
        base.mark_rule(strokeWidth=5, opacity=0.4, color=GRAY).encode(x=low, x2="high:Q"),
        base.mark_point(filled=True, size=90, opacity=1).encode(x=low),
        base.mark_point(filled=False, size=90, strokeWidth=2, opacity=1).encode(x=high),
        base.mark_text(align="left", dx=10, fontSize=12, color="currentColor").encode(
            x=high, text="both:N"
        ),
        empty().mark_tick(opacity=0, aria=False).encode(y=base.encoding.y, x="reach:Q"),
    )
    return finish(drawn.properties(height=each_name()))


@cached_per_language
def asked_and_used(titles: tuple[str, str]) -> Spec:
    """Lay a thin bar of what was used over one of what was asked: columns `value` and `asked`.

    Their words are in `shown` and `asked_shown`, both of them in `both`; `reach` leaves room.
    """
    tooltip = [
        alt.Tooltip("name:N", title=t("Name")),
        alt.Tooltip("asked_shown:N", title=titles[0]),
        alt.Tooltip("shown:N", title=titles[1]),
    ]
    base = empty().encode(y=alt.Y("name:N", sort=IN_ORDER, axis=name_axis()), tooltip=tooltip)
    asked = alt.X("asked:Q", axis=None)
    drawn = alt.layer(
        base.mark_bar(size=18, opacity=0.25).encode(x=asked),
        base.mark_bar(size=8).encode(x=alt.X("value:Q", axis=None)),
        base.mark_text(align="left", dx=5, fontSize=12, color="currentColor").encode(
            x=alt.X("longest:Q", axis=None), text="both:N"
        ),
        empty().mark_tick(opacity=0, aria=False).encode(y=base.encoding.y, x="reach:Q"),
    )
    return finish(drawn.properties(height=each_name()))


@cached_per_language
def dots(title: str, x_title: str) -> Spec:
    """Draw a dot for each name over a logarithmic `jobs`, and a line at the `mean` of all.

    The column `kind` colours them, the first kind being the usual one.
    """
    tooltip = [
        alt.Tooltip("name:N", title=t("Name")),
        alt.Tooltip("shown:N", title=title),
        alt.Tooltip("jobs_shown:N", title=x_title),
    ]
    axis = alt.Axis(title=x_title, labelExpr=SHORT, tickCount=6, grid=False)
    dotted = empty().mark_point(filled=True, size=60, opacity=0.75)
    drawn = dotted.encode(
        x=alt.X("jobs:Q", scale=alt.Scale(type="log", nice=True), axis=axis),
        y=alt.Y("value:Q", axis=value_axis()),
        color=alt.Color(
            "kind:N", sort=IN_ORDER, legend=alt.Legend(title=None, orient="top", labelLimit=300)
        ),
        tooltip=tooltip,
    )
    mean = empty().mark_rule(strokeDash=[5, 3], color=GRAY, strokeWidth=1.5, tooltip=False)
    return finish(
        alt.layer(drawn, mean.encode(y="mean(mean):Q")).properties(height=TIME_HEIGHT + 50)
    )


@cached_per_language
def tasks(title: str) -> Spec:
    """Draw a dot for each task of an array, and a line at the `median`; `kind` colours them."""
    axis = alt.Axis(title=title, tickCount=5, domain=False, ticks=False)
    points = (
        empty()
        .mark_point(filled=True, size=35, opacity=0.75)
        .encode(
            x=alt.X("task:Q", axis=alt.Axis(title=t("Task"), grid=False, format="d")),
            y=alt.Y("value:Q", axis=axis),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=[t("task"), t("straggler")]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("task:Q", title=t("Task")),
                alt.Tooltip("shown:N", title=t("Run time")),
            ],
        )
    )
    line = empty().mark_rule(strokeDash=[5, 3], color=GRAY, tooltip=False)
    drawn = alt.layer(points, line.encode(y="mean(median):Q"))
    return finish(drawn.properties(height=TIME_HEIGHT))


@cached_per_language
def compositions(title: str, part_title: str) -> Spec:
    """Horizontal bars of equal length: what each `name` is made of, in parts in order of `rank`."""
    axis = alt.Axis(title=None, format="%", tickCount=5, domain=False, ticks=False)
    return finish(
        empty()
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort=IN_ORDER, axis=name_axis()),
            x=alt.X("value:Q", stack="normalize", axis=axis),
            color=alt.Color("part:N", sort=IN_ORDER, legend=alt.Legend(title=None, orient="top")),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("name:N", title=t("Name")),
                alt.Tooltip("part:N", title=part_title),
                alt.Tooltip("shown:N", title=title),
            ],
        )
        .properties(height=each_name())
    )


@cached_per_language
def heatmap(title: str, x_title: str, y_title: str, unit: str) -> Spec:
    """Colour a cell for each pair of `row`, in the order of `rank`, and `column`."""
    return finish(
        empty()
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("column:N", sort="ascending", axis=band_axis(x_title)),
            y=alt.Y("row:N", sort=alt.EncodingSortField("rank", "min"), axis=band_axis(None)),
            color=_shade(unit),
            tooltip=[
                alt.Tooltip("row:N", title=y_title),
                alt.Tooltip("column:N", title=x_title),
                alt.Tooltip("shown:N", title=title),
            ],
        )
        .properties(height=TIME_HEIGHT)
    )


@cached_per_language
def calendar(title: str) -> Spec:
    """Colour a cell for each day, weeks side by side: `week` is the day before its Monday.

    (Weeks begin on Sunday here; the column `weekday` names the day.)
    """
    months = alt.Axis(
        title=None, format="%b", grid=False, tickCount="month", ticks=False, domain=False
    )
    return finish(
        empty()
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X(
                "week:T",
                timeUnit={"unit": "yearweek", "utc": True},
                scale=alt.Scale(type="utc"),
                axis=months,
            ),
            y=alt.Y("weekday:N", sort=IN_ORDER, axis=band_axis(None)),
            color=_shade(),
            tooltip=[alt.Tooltip("step:N", title=t("When")), alt.Tooltip("shown:N", title=title)],
        )
        .properties(height=CALENDAR_HEIGHT)
    )


def _shade(unit: str = "") -> alt.Color:
    legend = alt.Legend(title=unit or None, orient="right", format="~s", gradientLength=120)
    return alt.Color("value:Q", scale=alt.Scale(zero=True), legend=legend)


def warm() -> None:
    """Build what most pages begin with, so that the first visitor does not wait for Altair."""
    for grain in TIME_UNITS:
        for title in ("Executed jobs", "Core time"):
            over_time(title, grain)
            stacked(title, grain)
            stacked(title, grain, share=True)
    ranking("Core time", True)
    donut("Executed jobs")
    columns("Executed jobs", "Slots")
