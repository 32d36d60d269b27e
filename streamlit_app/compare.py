"""Comparison with an earlier period: which one it is, and how a figure changed since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

from clickhouse.compare import Earlier, shifted
from clickhouse.errors import QuestionError
from clickhouse.query import Period, Question
from streamlit_app import text
from streamlit_app.filters import Scope
from streamlit_app.i18n import month_name

PREVIOUS: Literal["previous"] = "previous"
YEAR_BEFORE: Literal["year"] = "year"


def earlier(scope: Scope, which: Earlier) -> Period | None:
    """Give the days to compare with: as many, directly before, or the same ones a year before.

    None where the period is open, as there is nothing before all time.
    """
    if scope.period.start is None:
        return None
    try:
        return shifted(Period(scope.first, scope.last + timedelta(days=1)), which)
    except QuestionError:
        return None


def asked_of(question: Question, period: Period) -> Question:
    """Ask the same of other days."""
    return replace(question, period=period)


def span(period: Period) -> str:
    """Write a bounded period: `2018`, `3 Mar – 9 Apr 2018`, `3 Mar 2018 – 2 Mar 2019`."""
    assert period.start and period.end
    last = period.end - timedelta(days=1)
    if (period.start.month, period.start.day, last.month, last.day) == (1, 1, 12, 31):
        same = period.start.year == last.year
        return str(last.year) if same else f"{period.start.year} – {last.year}"
    if period.start == last:
        return text.day(last)
    if period.start.year == last.year:
        return f"{period.start.day} {month_name(period.start.month)} – {text.day(last)}"
    return f"{text.day(period.start)} – {text.day(last)}"


def change(now: float | None, before: float | None, unit: str) -> str | int | None:
    """Write how a figure changed: in per cent, per cents in points; 0 for not, None if unknown."""
    if now is None or before is None or text.is_missing(now) or text.is_missing(before):
        return None
    if unit != "%" and not before:
        return None
    points = unit == "%"
    by = now - before if points else 100 * (now - before) / before
    if abs(by) < 0.05:
        return 0
    sign = "+" if by > 0 else "-"
    return f"{sign}{text.figure(abs(by), '%').removesuffix(' %')} {'pt' if points else '%'}"
