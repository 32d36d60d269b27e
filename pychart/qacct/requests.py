"""`-l`: what a job asked for in its category, compared as numbers where it is a size or a time.

A size ends in k, m, g or t (powers of 1000) or K, M, G or T (of 1024); a time is [[h:]m:]s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from clickhouse.errors import QuestionError
from pychart.qacct.patterns import hex_regex

UNITS = {unit: 1000.0 ** (n + 1) for n, unit in enumerate("kmgt")}
UNITS |= {unit: 1024.0 ** (n + 1) for n, unit in enumerate("KMGT")}


def number(text: str) -> float | None:
    """Read a size or a time; None where it is neither."""
    size = re.fullmatch(r"(\d+\.?\d*|\.\d+)([kmgtKMGT]?)", text, re.ASCII)
    if size:
        return float(size[1]) * UNITS.get(size[2], 1.0)
    if not re.fullmatch(r"\d*(:\d+)+", text, re.ASCII):
        return None
    return float(sum(int(part or 0) * 60**n for n, part in enumerate(reversed(text.split(":")))))


@dataclass(frozen=True)
class Request:
    """A resource that a job must have asked for; `wanted` None means that it is TRUE."""

    name: str
    wanted: str | None

    def condition(self, bind: Callable[[object, str], str]) -> str:
        """Write it as a condition on the category; `bind` gives a value its parameter."""
        regex = rf"(?:^| )-l (?:[^ ]*,)?{re.escape(self.name)}=([^, ]*)"
        asked = f"extract(category, {bind(regex, 'String')})"
        if self.wanted is None or self.wanted.upper() == "TRUE":
            return f"upper({asked}) IN ('TRUE', '1')"
        amount = number(self.wanted)
        if amount is None:
            pattern = hex_regex(os.fsencode(self.wanted))
            return f"match(hex({asked}), {bind(pattern, 'String')})"
        return f"{_number_sql(asked)} = {bind(amount, 'Float64')}"


def parse_requests(text: str) -> tuple[Request, ...]:
    """Read `attr=value,…`."""
    return tuple(_request(part) for part in text.split(","))


def _request(part: str) -> Request:
    name, equals, wanted = part.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9_.:+-]+", name) or (equals and not wanted):
        raise QuestionError(f"qacct: -l takes attr=value,…, not {part!r}")
    return Request(name, wanted if equals else None)


def _number_sql(text: str) -> str:
    """Write what `number` does in SQL, NULL where the text is neither."""
    factor = f"transform(right({text}, 1), {list(UNITS)}, {list(UNITS.values())}, 1.)"
    parts = f"arrayMap(toFloat64OrZero, arrayReverse(splitByChar(':', {text})))"
    return (
        f"multiIf(match({text}, '^[0-9.]+[kmgtKMGT]?$'),"
        f" toFloat64OrNull(replaceRegexpOne({text}, '[a-zA-Z]$', '')) * {factor},"
        f" match({text}, '^[0-9]*(:[0-9]+)+$'),"
        f" arraySum((part, n) -> part * pow(60, n - 1), {parts}, arrayEnumerate({parts})),"
        " NULL)"
    )
