"""What an accounting file must become, from the format alone.

Shares no code with the product: Python's own `split`, `int` and `float`, a line at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

WHOLE = {5, 7, 8, 9, 10, 11, 12, 34, 35, 43, 44}  # job_number … ar_submission_time, from 0
NUMBERS = WHOLE | {13, 14, 15, 16, 36, 37, 38, 40, 42} | set(range(17, 31))
NOT_NEGATIVE = (WHOLE - {7}) | {13, 14, 15, 36}  # not priority, exit_status; times and cpu
MEASURES = NUMBERS - WHOLE  # nan and inf: missing
EXIT_STATUS = 12
COLON_MAY_BE_IN = (4, 6, 39)  # job_name, account, category
LONGEST = 1024**2

Row = tuple[Any, ...]


@dataclass
class Expected:
    """Accepted lines, each once as the rule of identity says; rejects by place; what was counted.

    A never-started line and a reject are known by their offset as well. `files`: of each
    file, the byte up to which it must be loaded and its lines.
    """

    rows: Counter[Row] = field(default_factory=Counter)
    rejects: Counter[Row] = field(default_factory=Counter)
    lines: int = 0
    files: list[tuple[int, int]] = field(default_factory=list)


def expect(contents: Iterable[bytes], *, ended: bool = False) -> Expected:
    """Count what these files hold; a file that comes twice, or grown, counts once.

    A last line without its newline is not there yet; where the file has `ended` it is rejected.
    Of a file that was rewritten, the rows of both contents stay; lines and end are the last one's.
    """
    rows: set[tuple[bytes, Row]] = set()
    rejects: set[tuple[bytes, Row]] = set()
    latest: dict[bytes, tuple[int, int]] = {}
    for content in contents:
        name = first_line(content)
        lines, end = split(content, ended)
        if name:
            latest[name] = (end, len(lines))
        offset = 0
        for raw in lines:
            whole = offset + len(raw) < len(content)
            line = raw.lstrip(b"\0").removesuffix(b"\r")
            if is_said(line):
                row = accepted(line) if whole else None
                if row is None:
                    rejects.add((name, (offset, line)))
                elif row[3] > 0:
                    rows.add((b"", row))
                else:
                    rows.add((name, (offset, *row)))
            offset += len(raw) + 1
    return Expected(
        Counter(row for _, row in rows),
        Counter(row for _, row in rejects),
        sum(count for _, count in latest.values()),
        sorted(latest.values()),
    )


def split(content: bytes, ended: bool) -> tuple[list[bytes], int]:
    """The lines that may be consumed, and the byte after the last of them."""
    *lines, last = content.split(b"\n")
    if last and ended:
        return [*lines, last], len(content)
    return lines, len(content) - len(last)


def is_said(line: bytes) -> bool:
    """Whether a line says anything: not empty, not one character, no comment."""
    return len(line) > 1 and not line.startswith(b"#")


def first_line(content: bytes) -> bytes:
    """A file's name for itself: its first line that says something."""
    for raw in content.split(b"\n"):
        line = raw.lstrip(b"\0").removesuffix(b"\r")
        if is_said(line):
            return line
    return b""


def accepted(line: bytes) -> Row | None:
    """The fields that are compared, None where the line must be rejected."""
    if len(line) > LONGEST or b"\0" in line:
        return None
    fields = line.split(b":")
    if len(fields) < 43 or (len(fields) == 47 and fields[0].isdigit() and fields[1] == b"acct"):
        return None
    if sound(fields):
        return row_of(fields)
    excess = len(fields) - 45
    splits = [merged(fields, at, excess) for at in COLON_MAY_BE_IN] if excess > 0 else []
    readable = [each for each in splits if sound(each)]
    return row_of(readable[0]) if len(readable) == 1 else None


def merged(fields: list[bytes], at: int, excess: int) -> list[bytes]:
    """The fields with `excess` colons given back to one of them."""
    return [*fields[:at], b":".join(fields[at : at + excess + 1]), *fields[at + excess + 1 :]]


def sound(fields: list[bytes]) -> bool:
    """Whether a number stands wherever one belongs."""
    return all(is_number(fields[place], place) for place in NUMBERS if place < len(fields))


def is_number(word: bytes, place: int) -> bool:
    try:
        value = float(word)
    except ValueError:
        return False
    if not isfinite(value):
        return place in MEASURES
    if place in WHOLE and value != int(value):
        return False
    return value >= (-1 if place == EXIT_STATUS else 0) or place not in NOT_NEGATIVE


def row_of(fields: list[bytes]) -> Row:
    """job, submission, task, start, end, owner, exit status, task of a parallel job, cpu, name."""
    cpu = float(fields[36])
    return (
        int(float(fields[5])),
        seconds(fields[8]),
        int(float(fields[35])),
        seconds(fields[9]),
        seconds(fields[10]),
        fields[3],
        int(float(fields[12])) % 2**32,
        b"" if fields[41] == b"NONE" else fields[41],
        cpu if isfinite(cpu) else None,
        fields[4],
    )


def seconds(word: bytes) -> int:
    """A time in seconds, milliseconds or microseconds, told by its magnitude."""
    value = float(word)
    return int(value if value < 1e11 else value / (1e3 if value < 1e14 else 1e6))
