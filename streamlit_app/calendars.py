"""Steps of a chart over time: which one fits a period, and all of its steps without a gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TypeVar

from streamlit_app import i18n, text

T = TypeVar("T")

DAILY_UP_TO = 92  # days
MONTHLY_UP_TO = 15 * 366  # days


def grain_of(first: date, last: date) -> str:
    """Choose day, month or year, so that a chart has about 10 to 180 steps."""
    days = (last - first).days + 1
    return "day" if days <= DAILY_UP_TO else "month" if days <= MONTHLY_UP_TO else "year"


def steps(grain: str, first: date, last: date) -> list[date]:
    """List the first day of each step from `first` to `last`, those without a job too."""
    return list(_steps(grain, first, last))


def _steps(grain: str, first: date, last: date) -> Iterator[date]:
    step = _begin(grain, first)
    while step <= last:
        yield step
        step = _next(grain, step)


def _begin(grain: str, day: date) -> date:
    return day if grain == "day" else day.replace(day=1, month=day.month if grain == "month" else 1)


def _next(grain: str, step: date) -> date:
    if grain == "day":
        return step + timedelta(days=1)
    return _begin(grain, step + timedelta(days=31 if grain == "month" else 366))


def as_day(value: date | int) -> date:
    """Give a step of an answer as its first day; years come as numbers."""
    return date(value, 1, 1) if isinstance(value, int) else value


def fill(found: Mapping[date, T], wanted: list[date], missing: T) -> list[T]:
    """Give the value of each step, `missing` where there is none."""
    return [found.get(step, missing) for step in wanted]


def label(grain: str, step: date) -> str:
    """Write a step: `3 Mar 2018`, `Mar 2018` or `2018`."""
    if grain == "day":
        return text.day(step)
    if grain == "month":
        return f"{i18n.month_name(step.month)} {step.year}"
    return str(step.year)
