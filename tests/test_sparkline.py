"""The trends beneath the key figures: what is drawn, and the words for it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import date
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlit_app import i18n, sparkline
from streamlit_app.sparkline import EDGE, HEIGHT, WIDTH

MONTHS = [date(2023 + i // 12, i % 12 + 1, 1) for i in range(30)]


def drawn(values: Sequence[float | None]) -> str:
    return sparkline.draw(values, MONTHS[: len(values)], "month", "s")


def points(made: str) -> list[tuple[float, float]]:
    [picture] = re.findall(r'data:image/svg\+xml,([^"]*)"', html.unescape(made))
    _, line = ET.fromstring(unquote(picture))
    pairs = (pair.split(",") for pair in line.attrib["d"].removeprefix("M").split())
    return [(float(x), float(y)) for x, y in pairs]


def test_a_trend_is_told_in_words_with_units() -> None:
    made = drawn([7200.0, None, 60.0])
    said = "Jan 2023 to Mar 2023: smallest 1 min 00 s (Mar 2023), largest 2 h 00 min (Jan 2023)"
    assert f'aria-label="{said}" title="{said}"' in made
    with i18n.speaking("fr"):
        assert "janv. 2023 à mars 2023" in drawn([7200.0, None, 60.0])


@pytest.mark.parametrize("values", [[], [None], [1.0], [None, 1.0, None]])
def test_fewer_than_two_figures_are_no_trend(values: list[float | None]) -> None:
    assert drawn(values) == ""


def test_a_step_without_a_figure_keeps_its_place() -> None:
    assert points(drawn([0.0, None, 2.0, 1.0, None])) == [
        (0, HEIGHT - EDGE),
        (WIDTH / 2, EDGE),
        (WIDTH * 3 / 4, HEIGHT / 2),
    ]


@given(st.lists(st.none() | st.floats(0, 1e300), min_size=2, max_size=30))
def test_all_of_a_trend_is_in_the_picture(values: list[float | None]) -> None:
    made = drawn(values)
    known = [value for value in values if value is not None]
    assert bool(made) == (len(known) > 1)
    if not made:
        return
    at = points(made)
    assert len(at) == len(known)
    assert all(0 <= x <= WIDTH and EDGE <= y <= HEIGHT - EDGE for x, y in at)
    assert [x for x, _ in at] == sorted(x for x, _ in at)
