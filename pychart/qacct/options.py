"""qacct's command line, read as qacct 8.1.9 reads it.

The word after an option that may have a value is its value, unless it starts with `-`.
"""

from __future__ import annotations

import grp
import os
import re
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from clickhouse.errors import QuestionError
from pychart.qacct.columns import COLUMNS, GROUP, HOST, QUEUE, RESERVATION, Column
from pychart.qacct.requests import Request, parse_requests

DAY_SECONDS = 24 * 3600
UINT32 = 0xFFFFFFFF
BY_OPTION = {column.option: column for column in COLUMNS} | {"-u": COLUMNS[3]}


@dataclass(frozen=True)
class Tasks:
    """Array tasks `first` to `last`, each `step`-th."""

    first: int
    last: int
    step: int


@dataclass
class Options:
    """What a command line asks for; times are seconds since 1970."""

    split: set[Column] = field(default_factory=set)  # a row for each value
    only: dict[Column, bytes | int] = field(default_factory=dict)  # this value alone
    queues: list[bytes] = field(default_factory=list)  # patterns of queue[@host]
    all_jobs: bool = False
    job_number: int = 0
    job_name: bytes | None = None
    tasks: Tasks | None = None
    begin: int | None = None
    end: int | None = None
    days: int | None = None
    by_end: bool = False
    masters_only: bool = False
    requests: tuple[Request, ...] = ()
    help: bool = False

    @property
    def names_job(self) -> bool:
        """Whether a job is named, so that it alone is printed and no table."""
        return bool(self.job_number) or self.job_name is not None

    @property
    def prints_jobs(self) -> bool:
        """Whether each line is printed in full."""
        return self.all_jobs or self.names_job

    def period(self, now: float) -> tuple[int | None, int | None]:
        """Give the first and the last second, None where it is open; `-d` yields to -b with -e."""
        span = None if self.days is None else self.days * DAY_SECONDS & UINT32
        begin, end = self.begin, self.end
        if span is None or (begin is not None and end is not None):
            return begin, end
        if begin is not None:
            return begin, begin + span
        return (int(now) if end is None else end) - span, end


def parse(words: Sequence[str]) -> Options:
    """Read the words after `qacct`; a QuestionError says what is wrong with them."""
    options = Options()
    rest = deque(words)
    while rest and not options.help:
        _read(options, rest.popleft(), rest)
    if options.tasks and not options.names_job:
        raise QuestionError("qacct: -t requires -j with a job")
    return options


def _read(options: Options, word: str, rest: deque[str]) -> None:
    if word in BY_OPTION:
        _read_column(options, BY_OPTION[word], _optional(rest))
    elif word == "-j":
        _read_job(options, _optional(rest))
    elif word in ("-E", "-m", "-help"):
        options.by_end |= word == "-E"
        options.masters_only |= word == "-m"
        options.help |= word == "-help"
    elif word in ("-b", "-e", "-d", "-t", "-l"):
        _read_limit(options, word, _required(word, rest))
    elif word == "-f":
        raise QuestionError(
            "qacct: -f: the warehouse answers, not a file; `pychart load FILE` puts one into it"
        )
    else:
        raise QuestionError(f"qacct: unknown option {word!r}; `pychart qacct -help` lists them")


def _optional(rest: deque[str]) -> str | None:
    return rest.popleft() if rest and not rest[0].startswith("-") else None


def _required(option: str, rest: deque[str]) -> str:
    if not rest:
        raise QuestionError(f"qacct: {option} needs a value")
    return rest.popleft()


def _read_column(options: Options, column: Column, value: str | None) -> None:
    if column is QUEUE:
        options.split.add(QUEUE)
        if value is not None:
            options.split.add(HOST)
            options.queues.append(_queue(value))
    elif value is None:
        options.split.add(column)
    elif column.is_number:
        _set_number(options, column, value)
    elif column is HOST:
        options.only[HOST] = os.fsencode(canonical_host(value))
    else:
        options.only[column] = os.fsencode(_group(value) if column is GROUP else value)


def _queue(value: str) -> bytes:
    if "@@" in value:
        raise QuestionError(f"qacct: -q {value}: no accounting says what is in a host group")
    return os.fsencode(value)


def _set_number(options: Options, column: Column, value: str) -> None:
    number = leading_number(value)
    if number is None and column is RESERVATION:
        raise QuestionError(f"qacct: -ar takes a number, not {value!r}")
    if number:
        options.only[column] = number
    else:  # qacct takes 0 for no limit
        options.only.pop(column, None)


def leading_number(text: str) -> int | None:
    """Read the number that a text starts with, as C does; None where it starts with none."""
    found = re.match(r"\s*([+-]?[0-9]+)", text)
    return int(found[1]) & UINT32 if found else None


def _group(value: str) -> str:
    number = leading_number(value)
    try:
        return value if number is None else grp.getgrgid(number).gr_name
    except (KeyError, OverflowError):
        return value


def canonical_host(name: str) -> str:
    """Give a host the name that it has for this machine; one that nobody knows keeps its own."""
    try:
        found = socket.gethostbyname_ex(name)[0] if name else name
        return socket.gethostbyaddr(name)[0] if found[:1].isdigit() and found == name else found
    except (OSError, UnicodeError):
        return name


def _read_job(options: Options, value: str | None) -> None:
    if value is None:
        options.all_jobs = True
        return
    number = leading_number(value)
    options.job_number = number or 0
    if number is None:
        options.job_name = os.fsencode(value)


def _read_limit(options: Options, option: str, value: str) -> None:
    if option == "-b":
        options.begin = parse_time(option, value)
    elif option == "-e":
        options.end = parse_time(option, value)
    elif option == "-l":
        options.requests = parse_requests(value)
    elif option == "-t":
        options.tasks = parse_tasks(value)
    else:
        options.days = leading_number(value)
        if options.days is None:
            raise QuestionError(f"qacct: -d takes a number of days, not {value!r}")


def parse_tasks(text: str) -> Tasks | None:
    """Read `n[-m[:step]]`; None where it starts at 0, which qacct takes for no limit at all."""
    found = re.fullmatch(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?", text)
    step = int(found[3] or 1) if found else 0
    if not found or not step:
        raise QuestionError(f"qacct: -t takes one range of tasks, n[-m[:step]], not {text!r}")
    first, last = sorted((int(found[1]), int(found[2] or found[1])))
    return Tasks(first, last, step) if first else None


def parse_time(option: str, text: str) -> int:
    """Read [[CC]YY]MMDDhhmm[.SS], local time; without CC, years before 70 are 20YY."""
    found = re.fullmatch(r"(\d\d|\d{4})?(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d\d)?)?", text, re.ASCII)
    if not found:
        raise QuestionError(f"qacct: {option} takes [[CC]YY]MMDDhhmm[.SS], not {text!r}")
    month, day, hour, minute, second = (int(part or 0) for part in found.groups()[1:])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        raise QuestionError(f"qacct: {option} {text}: no such date")
    try:
        made = time.mktime((_year(found[1]), month, day, hour, minute, second, 0, 0, -1))
    except OverflowError:
        made = -1
    if made < 0:
        raise QuestionError(f"qacct: {option} {text}: before 1970")
    return int(made) & UINT32


def _year(text: str | None) -> int:
    if text is None:
        return time.localtime().tm_year
    if len(text) == 4:
        return int(text)
    return int(text) + (2000 if int(text) < 70 else 1900)
