"""The trend of a figure as a small line without axes: a picture that the style sheet colours.

Streamlit's own is a chart made anew at each run, and writes figures without their unit.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import date
from urllib.parse import quote

from streamlit_app import calendars, text
from streamlit_app.i18n import t

WIDTH, HEIGHT, EDGE = 240, 56, 2  # of the picture, which is stretched to its place


def draw(values: Sequence[float | None], steps: Sequence[date], grain: str, unit: str) -> str:
    """Write the figures of some steps as HTML; '' where fewer than two are known."""
    known = [(i, value) for i, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    words = html.escape(_words(known, steps, grain, unit))
    picture = quote(_picture(known, len(values)), safe=" =:/.,-")
    style = html.escape(f'mask-image: url("data:image/svg+xml,{picture}")')
    said = f'role="img" aria-label="{words}" title="{words}"'
    return f'<div class="sparkline" {said} style="{style}"></div>'


def _words(known: Sequence[tuple[int, float]], steps: Sequence[date], grain: str, unit: str) -> str:
    """Say from when to when it goes, and between which figures."""
    (low_at, low), (high_at, high) = (
        choose(known, key=lambda each: each[1]) for choose in (min, max)
    )
    return t(
        "{first} to {last}: smallest {low} ({low_step}), largest {high} ({high_step})",
        first=calendars.label(grain, steps[known[0][0]]),
        last=calendars.label(grain, steps[known[-1][0]]),
        low=text.figure(low, unit),
        low_step=calendars.label(grain, steps[low_at]),
        high=text.figure(high, unit),
        high_step=calendars.label(grain, steps[high_at]),
    )


def _picture(known: Sequence[tuple[int, float]], steps: int) -> str:
    """Draw the line and the area beneath it, from the smallest figure to the largest."""
    low, high = min(value for _, value in known), max(value for _, value in known)
    across, up = WIDTH / max(steps - 1, 1), (HEIGHT - 2 * EDGE) / ((high - low) or 1.0)
    points = [f"{i * across:.1f},{HEIGHT - EDGE - (value - low) * up:.1f}" for i, value in known]
    first, last = (f"{known[end][0] * across:.1f},{HEIGHT}" for end in (0, -1))
    line = " ".join(points)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'"
        f" preserveAspectRatio='none'><path d='M{first} {line} {last}' opacity='.25'/>"
        f"<path d='M{line}' fill='none' stroke='black' stroke-width='2'"
        " stroke-linejoin='round' vector-effect='non-scaling-stroke'/></svg>"
    )
