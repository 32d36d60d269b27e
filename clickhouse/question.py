"""What can be asked: a period, filters, and a question made of them, each checked by name.

A name is a key of `METRICS` or `DIMENSIONS`, never SQL; a value is text that is read as the
dimension's type says.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Literal

from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.metrics import METRICS
from clickhouse.scope import Scope, refuse_personal, refuse_public

MAX_INTEGER = {"UInt16": 2**16 - 1, "UInt32": 2**32 - 1}
MOST_ROWS = 1_000_000
LACKING = -1  # what stands in SQL for a number that a line has none of; no number is below 0
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Period:
    """Calendar days in the cluster's time zone, from `start` up to but not including `end`."""

    start: date | None = None
    end: date | None = None

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2018`, `2018-03`, `2018-03-01`, `2018-03..2019` (both ends included) or `all`."""
        if text == "all":
            return cls()
        first, dots, last = text.partition("..")
        start = _days(first, text)[0] if first else None
        end = _days(last, text)[1] if last else None if dots else _days(first, text)[1]
        if start and end and start >= end:
            raise QuestionError(f"period {text!r} ends before it begins")
        return cls(start, end)


def _days(text: str, whole: str) -> tuple[date, date]:
    """Give the first day of a year, month or day, and the day after its last."""
    if not re.fullmatch(r"\d{4}(-\d{2}){0,2}", text):
        raise QuestionError(
            f"period {whole!r} is none of 2018, 2018-03, 2018-03-01, 2018-03..2019-06, all"
        )
    year, month, day = ([int(part) for part in text.split("-")] + [0, 0])[:3]
    try:
        start = date(year, month or 1, day or 1)
        if not month:
            return start, date(year + 1, 1, 1)
        days = 1 if day else calendar.monthrange(year, month)[1]
        return start, start + timedelta(days=days)
    except (ValueError, OverflowError):
        raise QuestionError(f"period {whole!r}: {text} is no date") from None


@dataclass(frozen=True)
class Filter:
    """Keep the lines whose dimension has one of these values, or lies from `low` to `high`.

    Both ends are included, and either may be open; `exclude` drops these lines instead. The value
    '' is that of lines that have none. Durations may be written as 90, 30m, 4h or 2d.
    """

    dimension: str
    values: tuple[str, ...] = ()
    exclude: bool = False
    low: str | None = None
    high: str | None = None

    @property
    def is_range(self) -> bool:
        """Tell whether this goes by `low` and `high`."""
        return self.low is not None or self.high is not None

    def check(self) -> None:
        """Refuse a name that does not exist, and values that its dimension cannot have."""
        known(self.dimension, DIMENSIONS, "dimension")
        if not self.is_range:
            typed_values(self.values, self.dimension)
            return
        if self.values:
            raise QuestionError(f"{self.dimension}: either values or a range")
        if not DIMENSIONS[self.dimension].is_ranged:
            raise QuestionError(f"{self.dimension} has names, of which no range can be taken")
        self.bounds()

    def bounds(self) -> tuple[int | date | None, int | date | None]:
        """Give the ends of the range as numbers or dates."""
        low, high = (
            None if end is None else _number(end, self.dimension) for end in (self.low, self.high)
        )
        return low, high


@dataclass(frozen=True)
class Question:
    """Metrics, by dimensions, over a period, of the filtered lines.

    `limit` keeps the `limit` largest by the first metric (the smallest with `ascending`): of the
    first dimension that is a name, each with all of its rows; `names` keeps the ones that it names.
    With `other` the rest is summed up as one row more for each value of the other dimensions, with
    `total` all is as a last row, with averages, quantiles and distinct counts of all.
    `rows_behind` says of each metric how many rows it stands on. `booked` tells on which day wall
    time counts: that of the job's `end`, as qacct has it, or `spread` over the days that it ran.
    `exact` asks the lines, even where a rollup would do. `scope` tells whose jobs there are at all.
    """

    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    period: Period = Period()
    filters: tuple[Filter, ...] = ()
    limit: int | None = None
    ascending: bool = False
    exact: bool = False
    names: tuple[str, ...] = ()
    other: bool = False
    rows_behind: bool = False
    booked: Literal["end", "spread"] = "end"
    scope: Scope | None = None
    total: bool = False

    @property
    def ranked(self) -> str | None:
        """Name the dimension of which only some values are kept, None where there is none."""
        chosen = [name for name in self.dimensions if not DIMENSIONS[name].is_time]
        named = [name for name in chosen if not DIMENSIONS[name].is_ordered]
        return next(iter((*named, *chosen)), None)

    @property
    def keeps_some(self) -> bool:
        """Tell whether only some values of the ranked dimension have rows of their own."""
        return bool(self.ranked) and (self.limit is not None or bool(self.names))

    def check(self) -> None:
        """Refuse names that do not exist, and what cannot be answered."""
        if not self.metrics:
            raise QuestionError("a question needs at least one metric")
        for name in self.metrics:
            known(name, METRICS, "metric")
        for name in self.dimensions:
            known(name, DIMENSIONS, "dimension")
        for kept in self.filters:
            kept.check()
        for names in (self.metrics, self.dimensions):
            if len(set(names)) < len(names):
                raise QuestionError(f"named twice: {', '.join(names)}")
        if self.limit is not None and not 0 < self.limit <= MOST_ROWS:
            raise QuestionError(f"a limit is from 1 to {MOST_ROWS}, not {self.limit}")
        self._check_scope()
        self._check_kept()
        self._check_booked()

    def _check_scope(self) -> None:
        refuse_personal(self.scope, (*self.dimensions, *(kept.dimension for kept in self.filters)))
        for name in self.metrics:
            if METRICS[name].is_extreme:
                refuse_public(self.scope, name)

    def _check_kept(self) -> None:
        if self.total and not self.dimensions:
            raise QuestionError("a total is of what is split: name a dimension")
        if self.names and self.limit is not None:
            raise QuestionError("either names or a limit")
        if self.names and not self.ranked:
            raise QuestionError("names need a dimension that is no time")
        if self.names and self.ranked:
            typed_values(self.names, self.ranked)
        if self.other and not self.keeps_some:
            raise QuestionError("other needs a limit, and a dimension that is no time")

    def _check_booked(self) -> None:
        if self.booked not in ("end", "spread"):
            raise QuestionError(f"booked is end or spread, not {self.booked!r}")
        if self.booked == "end":
            return
        if self.rows_behind:
            raise QuestionError("a row is behind several days where wall time is spread over them")
        for name in self.metrics:
            if not METRICS[name].can_spread:
                able = ", ".join(each for each, metric in METRICS.items() if metric.can_spread)
                raise QuestionError(f"{name} cannot be spread over days; there are {able}")


def typed_values(values: Iterable[str], dimension: str) -> list[str | int | date]:
    """Read values as the dimension's type says."""
    return [_typed(value, dimension) for value in values]


def _typed(value: str, dimension: str) -> str | int | date:
    chosen = DIMENSIONS[dimension]
    if chosen.type == "String":
        return _utf8(value, dimension)
    return LACKING if chosen.can_lack and value == "" else _number(value, dimension)


def _utf8(value: str, dimension: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of an argument that are no text
        raise QuestionError(f"{dimension}: {value!r} is no text in UTF-8") from None
    return value


def _number(value: str, dimension: str) -> int | date:
    chosen = DIMENSIONS[dimension]
    try:
        if chosen.type == "Date":
            return date.fromisoformat(value)
        number = _seconds(value) if chosen.unit == "s" else int(value)
        if not 0 <= number <= MAX_INTEGER[chosen.type]:
            raise ValueError
        return number
    except ValueError:
        what = "date (2018-03-01)" if chosen.type == "Date" else "number"
        raise QuestionError(f"{dimension}: {value!r} is no {what}") from None


def _seconds(value: str) -> int:
    found = re.fullmatch(r"(\d+)([smhd]?)", value)
    if not found:
        raise ValueError
    return int(found[1]) * SECONDS[found[2]]


def known(name: str, names: Iterable[str], kind: str) -> None:
    """Refuse a name that is none of these."""
    if name not in names:
        near = get_close_matches(name, list(names), n=1)
        meant = f"did you mean {near[0]!r}? There" if near else "there"
        raise QuestionError(f"unknown {kind} {name!r}; {meant} are {', '.join(names)}")
