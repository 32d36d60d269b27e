"""Writes figures and names for people, in their language: with units, never raw seconds."""

from __future__ import annotations

import math
import re
from datetime import date

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import i18n
from streamlit_app.i18n import t

MISSING = "–"
NO_NAME = "(none)"  # of an empty field of the accounting file; the address has this word too
MILLION = 1e6
LEAST = 1e-6  # what is smaller is written as 0
NAME_LENGTH = 40  # characters of a name that a heading or a label shows
# Dimensions whose values are words of ours, which have a translation; all others are site's names.
WORDED = frozenset({"parallel_class", "outcome", "flag"})
UNITS = ("h", "core-h", "s", "min", "d", "GiB", "GiB s", "%", "B", "KiB", "MiB")

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
    return _with_unit(_number(value, unit), unit)


def exact(value: float | None, unit: str) -> str:
    """Write a figure in full, where `figure` shortens it to millions."""
    if value is None or math.isnan(value) or unit == "s":
        return figure(value, unit)
    return _with_unit(i18n.number(f"{value:,.{_decimals(value, unit)}f}"), unit)


def _with_unit(number: str, unit: str) -> str:
    return f"{number} {unit_name(unit)}" if unit else number


def unit_name(unit: str) -> str:
    """Write a unit in the reader's language: in French, GiB is Gio and d (days) is j."""
    return t(unit) if unit else ""


def _number(value: float, unit: str) -> str:
    if abs(value) >= 10 * MILLION:
        millions = value / MILLION
        return i18n.number(f"{millions:,.{1 if abs(millions) < 1000 else 0}f}") + " M"
    return i18n.number(f"{value:,.{_decimals(value, unit)}f}")


def _decimals(value: float, unit: str) -> int:
    usual = _usual_decimals(value, unit)
    if abs(value) >= 0.5 * 10**-usual or abs(value) < LEAST:
        return usual
    return 1 - math.floor(math.log10(abs(value)))  # two digits of what would be shown as 0


def _usual_decimals(value: float, unit: str) -> int:
    if not unit:
        return 0 if value == int(value) else 1
    if unit == "%":
        return 1
    return 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0


def whole(number: int) -> str:
    """Write a whole number, thousands separated."""
    return i18n.number(f"{number:,}")


def percent(share: float, decimals: int = 1) -> str:
    """Write a share of 1 as `71.7 %`; what rounds to nothing is `<0.1 %`."""
    least = 10.0**-decimals
    if 0 < 100 * share < least / 2:
        return i18n.number(f"<{least:.{decimals}f}") + " %"
    return i18n.number(f"{100 * share:,.{decimals}f}") + " %"


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: `42 s`, `5 min 03 s`, `2 h 05 min`, `3 d 04 h`."""
    rounded_seconds = round(seconds)
    for size, sign, smaller, smaller_sign in _DURATIONS:
        rounded = round(rounded_seconds / smaller) * smaller
        if rounded >= size:
            large, rest = divmod(rounded, size)
            return f"{whole(large)} {t(sign)} {rest // smaller:02d} {t(smaller_sign)}"
    if rounded_seconds or not seconds:
        return f"{rounded_seconds} {t('s')}"
    return i18n.number(f"{seconds:.1f}") + f" {t('s')}"


def day(value: date) -> str:
    """Write a day as `3 Mar 2018`."""
    return f"{value.day} {i18n.month_name(value.month)} {value.year}"


def size(number: float) -> str:
    """Write bytes in the largest fitting binary unit: `68.1 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return i18n.number(f"{number:,.{0 if unit == 'B' else 1}f}") + f" {t(unit)}"
        number /= 1024
    return i18n.number(f"{number:,.1f}") + f" {t('GiB')}"


def label(name: str) -> str:
    """Write a metric or a dimension as people call it."""
    return t((METRICS if name in METRICS else DIMENSIONS)[name].label)


def formula(metric: str) -> str:
    """Say in words how a metric is computed."""
    return t(METRICS[metric].formula)


def labels(dimension: str) -> str:
    """Write a dimension in the plural: `Users`, `Parallel classes`."""
    return t(plural(DIMENSIONS[dimension].label))


def plural(english: str) -> str:
    """Write the plural of an English label, which is a key of the catalogues."""
    if english in ("Slots", "Array or not"):
        return english
    return english + ("es" if english.endswith("s") else "s")


def lower(shown: str) -> str:
    """Write a label within a sentence; `CPU time` keeps its capitals."""
    return shown if shown[:2].isupper() else shown[:1].lower() + shown[1:]


def value(dimension: str, raw: str) -> str:
    """Write a value of a dimension: ours in the reader's language, a site's name as it is."""
    if raw in ("", NO_NAME):
        return t(NO_NAME)
    return t(raw) if dimension in WORDED else raw


def short(name: str, length: int = NAME_LENGTH) -> str:
    """Cut a name that is too long to show; an empty one gets a name."""
    if not name:
        return t(NO_NAME)
    return name if len(name) <= length else name[: length - 1] + "…"


def plain(text: str) -> str:
    """Escape a text so that Markdown shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
