"""Draws charts on the server, as PNG and SVG, from the specification and data the browser gets."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import streamlit as st
import vl_convert

from streamlit_app import i18n, specs
from streamlit_app.specs import Spec

WIDTH = 860  # pixels, of what takes the width of its box in the browser
SCALE = 2.0  # pixels of a PNG for each of the chart's
FONT = "sans-serif"
CONFIG = Path(__file__).parent / ".streamlit" / "config.toml"


def svg(spec: Spec, table: pa.Table, title: str = "") -> str:
    """Draw a chart as SVG, without any reference to the outside."""
    return vl_convert.vegalite_to_svg(_whole(spec, table, title), allowed_base_urls=[])


def png(spec: Spec, table: pa.Table, title: str = "") -> bytes:
    """Draw a chart as PNG, at twice its size."""
    return vl_convert.vegalite_to_png(_whole(spec, table, title), scale=SCALE, allowed_base_urls=[])


def _whole(spec: Spec, table: pa.Table, title: str) -> Spec:
    """Put data, title, size and colours into a specification."""
    found = specs.numbered(table).to_pylist()
    rows = [{name: _plain(value) for name, value in row.items()} for row in found]
    whole = dict(spec) | {"data": {"values": rows}, "config": _config()}
    if not any(name in spec for name in ("facet", "hconcat", "vconcat", "concat", "repeat")):
        whole.setdefault("width", WIDTH)
    return whole | ({"title": title} if title else {})


def _plain(value: object) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return None if isinstance(value, float) and value != value else value


def _config() -> dict[str, Any]:
    return _look() | {"locale": i18n.vega_locale()}


@cache
def _look() -> dict[str, Any]:
    """Take colours from the light theme, as pictures end up on paper."""
    text, grid = _theme("textColor"), _theme("borderColor")
    words = {"labelColor": text, "titleColor": text, "labelFont": FONT, "titleFont": FONT}
    return {
        "font": FONT,
        "background": "white",
        "view": {"stroke": None},
        "title": {"anchor": "start", "fontSize": 15, "color": text, "offset": 14},
        "axis": words | {"gridColor": grid, "domainColor": grid, "tickColor": grid},
        "legend": words,
        "range": {"category": _theme("chartCategoricalColors")},
        "mark": {"color": _theme("primaryColor")},
    }


def _theme(option: str) -> Any:  # noqa: ANN401 - a colour or a list of them
    return st.get_option(f"theme.light.{option}") or _of_the_app()[option]


@cache
def _of_the_app() -> dict[str, Any]:
    """Read the light theme where the app's settings are: only the app itself has taken them in."""
    settings = tomllib.loads(CONFIG.read_text("utf-8"))
    return dict(settings["theme"]["light"])
