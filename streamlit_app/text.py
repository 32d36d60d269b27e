"""Writes figures and names for people: thousands separated, with their unit, never raw seconds."""

from __future__ import annotations

import math
import re
from datetime import date

MISSING = "–"
NO_NAME = "(none)"  # an empty field of the accounting file
MILLION = 1e6
NAME_LENGTH = 40  # characters of a name that a heading or a label shows

# From the longest: seconds in it, its sign, the next smaller one and its sign.
_DURATIONS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def is_missing(value: float | None) -> bool:
    """Tell whether no row stands behind a figure."""
    return value is None or math.isnan(value)


def figure(value: float | None, unit: str) -> str:
    """Write a figure with its unit: `47.6 M core-h`, `2 h 05 min`, `71.7 %`, `1,234`."""
    if value is None or math.isnan(value):
        return MISSING
    if unit == "s":
        return duration(value)
    return f"{_number(value, unit)} {unit}".rstrip()


def exact(value: float | None, unit: str) -> str:
    """Write a figure in full, where `figure` shortens it to millions."""
    if value is None or math.isnan(value) or unit == "s":
        return figure(value, unit)
    return f"{value:,.{_decimals(value, unit)}f} {unit}".rstrip()


def _number(value: float, unit: str) -> str:
    if abs(value) >= 10 * MILLION:
        millions = value / MILLION
        return f"{millions:,.{1 if abs(millions) < 1000 else 0}f} M"
    return f"{value:,.{_decimals(value, unit)}f}"


def _decimals(value: float, unit: str) -> int:
    if not unit:
        return 0 if value == int(value) else 1
    if unit == "%":
        return 1
    return 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: `42 s`, `5 min 03 s`, `2 h 05 min`, `3 d 04 h`."""
    whole = round(seconds)
    for size, sign, smaller, smaller_sign in _DURATIONS:
        rounded = round(whole / smaller) * smaller
        if rounded >= size:
            large, rest = divmod(rounded, size)
            return f"{large:,} {sign} {rest // smaller:02d} {smaller_sign}"
    return f"{whole} s" if whole or not seconds else f"{seconds:.1f} s"


def day(value: date) -> str:
    """Write a day as `3 Mar 2018`."""
    return f"{value.day} {value:%b %Y}"


def count(number: int, what: str) -> str:
    """Write `1 job`, `1,234 jobs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Write bytes in the largest fitting binary unit: `68.1 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:,.0f} B" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


def short(name: str, length: int = NAME_LENGTH) -> str:
    """Cut a name that is too long to show; an empty one gets a name."""
    if not name:
        return NO_NAME
    return name if len(name) <= length else name[: length - 1] + "…"


def plain(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
