"""Texts in the reader's language: English stands in the source, the others in catalogues.

A catalogue is `locales/LANGUAGE/*.json`, from the English text to the translated one; placeholders
such as {name} stay as they are. `t("English text {name}", name=…)` gives the text to show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

P = ParamSpec("P")
T = TypeVar("T")

LOCALES = Path(__file__).parent / "locales"
LANGUAGES = {"en": "English", "fr": "Français"}
SOURCE = "en"  # the language of the texts in the source
STATE = "language"  # of the session state; main.py sets it at the start of each run

_SEPARATORS = {"en": {",": ",", ".": "."}, "fr": {",": "\u202f", ".": ","}}
_MONTHS = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
}
_FULL_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
}
_forced: ContextVar[str | None] = ContextVar("language", default=None)


def choose(asked: object, locale: str | None) -> str:
    """Choose what was asked for, else the browser's language, else English."""
    if isinstance(asked, str) and asked in LANGUAGES:
        return asked
    spoken = (locale or "").split("-")[0].lower()
    return spoken if spoken in LANGUAGES else SOURCE


def language() -> str:
    """Give the language of this run of the script; outside of one it is English."""
    if forced := _forced.get():
        return forced
    if get_script_run_ctx(suppress_warning=True) is None:
        return SOURCE
    return str(st.session_state.get(STATE, SOURCE))


def speak(name: str) -> None:
    """Use a language for the rest of this run of the script, without a look at the session."""
    _forced.set(name)


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Use a language whatever the session's is: in a report, on the command line, in a test."""
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def t(english: str, /, **values: object) -> str:
    """Write a text in the reader's language, its placeholders filled."""
    found = catalogue(language()).get(english, english)
    return found.format(**values) if values else found


def mark(english: str) -> str:
    """Mark a text that stands in a table, to be handed to `t` where it is shown."""
    return english


def tn(one: str, many: str, count: int, /, **values: object) -> str:
    """Write a text for one or for many; {count} in it is the number, thousands separated."""
    single = abs(count) < 2 if language() == "fr" else count == 1
    return t(one if single else many, count=number(f"{count:,}"), **values)


def number(english: str) -> str:
    """Turn the separators of a number that is written as `1,234.5` into the reader's."""
    separators = _SEPARATORS[language()]
    return "".join(separators.get(sign, sign) for sign in english)


def month_name(month: int, *, full: bool = False) -> str:
    """Name a month from 1 to 12, whatever the locale of the process is."""
    return (_FULL_MONTHS if full else _MONTHS)[language()].split()[month - 1]


def day_name(weekday: int) -> str:
    """Name a day of the week; 1 is Monday."""
    return _DAYS[language()].split()[weekday - 1]


@cache
def catalogue(name: str) -> dict[str, str]:
    """Read the texts of a language, those of all its files together."""
    texts: dict[str, str] = {}
    for file in sorted((LOCALES / name).glob("*.json")):
        texts |= json.loads(file.read_text("utf-8"))
    return texts


def cached_per_language(build: Callable[P, T]) -> Callable[P, T]:
    """Cache what a function builds, separately for each language that it may write with `t`."""

    @cache
    def _built(_language: str, *args: P.args, **options: P.kwargs) -> T:
        return build(*args, **options)

    @wraps(build)
    def wrapped(*args: P.args, **options: P.kwargs) -> T:
        return _built(language(), *args, **options)  # type: ignore[arg-type]  # all hashable

    return wrapped


@cache
def _vega_locale(name: str) -> dict[str, Any]:
    with speaking(name):
        months = [month_name(m) for m in range(1, 13)]
        full = [month_name(m, full=True) for m in range(1, 13)]
        days = [day_name(d) for d in (7, 1, 2, 3, 4, 5, 6)]
    signs = _SEPARATORS[name]
    return {
        "number": {
            "decimal": signs["."],
            "thousands": signs[","],
            "grouping": [3],
            "currency": ["", ""],
            "percent": "%" if name == SOURCE else "\u202f%",
        },
        "time": {
            "dateTime": "%e %B %Y %X",
            "date": "%Y-%m-%d",
            "time": "%H:%M:%S",
            "periods": ["AM", "PM"],
            "days": days,
            "shortDays": [day[:3] for day in days],
            "months": full,
            "shortMonths": months,
        },
    }


def vega_locale() -> dict[str, Any]:
    """Give the reader's numbers and dates as Vega's `config.locale`."""
    return _vega_locale(language())
