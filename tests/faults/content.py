"""Accounting to be loaded: lines of every kind that a real file holds, each known by its number."""

from __future__ import annotations

import random
from typing import Any

from tests.helpers import line

HEADER = b"# Version: 8.1.9\n#\n# DO NOT MODIFY THIS FILE MANUALLY!\n#\n"
YEAR = 31_556_952
BEGINNING = 1_300_000_000


def lines(count: int, *, first: int = 1, years: int = 3, seed: int = 1) -> list[bytes]:
    """`count` lines with their newlines: mostly started attempts, some retried, some broken."""
    chance = random.Random(f"{seed} {first}")
    made: list[bytes] = []
    never = b""
    for number in range(first, first + count):
        at = BEGINNING + (number - first) * years * YEAR // count
        kind = chance.random()
        if kind < 0.03 and made:
            made.append(chance.choice(made[-20:]))  # an equal line: kept once if it had started
        elif kind < 0.06 and never:
            made.append(never)  # a retry that did not start either: every one is kept
        elif kind < 0.12:
            never = record(number, at, start_time=0, end_time=0, failed=26)
            made.append(never)
        elif kind < 0.14:
            made.append(record(number, at, cpu="1,5"))  # a comma: rejected
        elif kind < 0.16:
            made.append(chance.choice([b"\n", b"#\n", b"# restarted\n", b"x\n"]))
        else:
            made.append(record(number, at, cpu=number / 8))
    return made


def record(number: int, at: int, **changes: Any) -> bytes:
    """One attempt of job `number`, submitted at `at`, with its newline."""
    times: dict[str, Any] = {"submission_time": at, "start_time": at + 60, "end_time": at + 3660}
    who = {"owner": f"user{number % 17}", "job_name": f"job{number}", "job_number": number}
    return line(**{**times, **who, **changes}) + b"\n"


def years_apart(count: int, *, step: int = YEAR, beginning: int = 20_000_000) -> list[bytes]:
    """`count` attempts, `step` seconds between each two."""
    return [record(1 + each, beginning + each * step) for each in range(count)]
