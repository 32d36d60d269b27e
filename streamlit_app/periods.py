"""Periods as the address has them and as people call them, and the days that they stand for."""

from __future__ import annotations

import re
from datetime import date, timedelta

from clickhouse.query import Period
from streamlit_app import data
from streamlit_app.i18n import mark, t

# Periods as the address has them; beside these, whatever `Period.parse` reads.
ALL, CUSTOM = "", "custom"
PRESETS = {
    ALL: mark("All time"),
    "this-year": mark("This year"),
    "last-year": mark("Last year"),
    "last-12-months": mark("Last 12 months"),
    "last-30-days": mark("Last 30 days"),
    "this-academic-year": mark("This academic year"),
    "last-academic-year": mark("Last academic year"),
}
ACADEMIC = "academic-"  # before the year in which it begins
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2105, 12, 31)  # that can be picked


def offered(activity: data.Activity) -> list[str]:
    """List the periods to choose from: presets, calendar years and academic years with jobs."""
    month = academic_month()
    academic = {academic_year(each, month) for each in activity.months}
    return [
        *PRESETS,
        *(str(year) for year in activity.years),
        *(f"{ACADEMIC}{year}" for year in sorted(academic, reverse=True)),
        CUSTOM,
    ]


def academic_month() -> int:
    """Give the month in which academic years begin, as the settings say."""
    return data.settings().academic_year_starts


def academic_year(day: date, month: int) -> int:
    """Give the year in which the academic year of a day began; all begin in `month`."""
    return day.year - (day.month < month)


def name(period: str) -> str:
    """Write a period as people call it; one that was typed stays as it is."""
    if period in PRESETS:
        return t(PRESETS[period])
    if period == CUSTOM:
        return t("Custom dates")
    if period.startswith(ACADEMIC):
        year = period.removeprefix(ACADEMIC)
        return t("Academic year {years}", years=_two_years(year))
    return period


def _two_years(year: str) -> str:
    return f"{year}–{int(year) + 1}" if year.isdecimal() else year


def newest_day(activity: data.Activity) -> date:
    """Give the day that "this" and "last" count from: that of the last job, at most today."""
    today = date.today()
    return next((ended for ended in reversed(activity.days) if ended <= today), today)


def preset(chosen: str, newest: date, month: int = 9) -> Period:
    """Turn an option of the period filter into days; raises `QuestionError` for what is none.

    "This" and "last" count from the day `newest`; academic years begin in `month`.
    """
    if chosen in (ALL, CUSTOM):
        return Period()
    if chosen in ("this-year", "last-year"):
        return Period.parse(str(newest.year - (chosen == "last-year")))
    if chosen == "last-12-months":
        months = newest.year * 12 + newest.month - 12
        return Period(date(months // 12, months % 12 + 1, 1), newest + timedelta(days=1))
    if chosen == "last-30-days":
        return Period(newest - timedelta(days=29), newest + timedelta(days=1))
    if chosen in ("this-academic-year", "last-academic-year"):
        year = academic_year(newest, month) - (chosen == "last-academic-year")
        return _academic(year, month)
    if re.fullmatch(f"{ACADEMIC}[12][0-9]{{3}}", chosen):
        return _academic(int(chosen.removeprefix(ACADEMIC)), month)
    return Period.parse(chosen)


def _academic(year: int, month: int) -> Period:
    return Period(date(year, month, 1), date(year + 1, month, 1))


def span(period: Period, activity: data.Activity) -> tuple[date, date]:
    """Limit a period to the days that have data, so that no chart begins or ends with a void."""
    today = date.today()
    oldest = activity.days[0] if activity.days else today
    newest = activity.days[-1] if activity.days else today
    first = period.start or oldest
    last = period.end - timedelta(days=1) if period.end else newest
    if first > newest or last < oldest:
        return first, max(first, last)
    return max(first, oldest), min(last, newest)
