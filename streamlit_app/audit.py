"""The log of who asked what for whom: a line of JSON for each question, cached or not.

A line is written in one piece and the file is opened for it anew, so it can be rotated by renaming.
JSON escapes all that is not printable ASCII: no name begins a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from clickhouse.errors import QuestionError
from clickhouse.query import Filter, Period, Question
from clickhouse.scope import Scope
from streamlit_app.access import EVERYTHING, Viewer, rules

LOG = logging.getLogger(__name__)
LINES = logging.getLogger("pychart.audit")  # where `audit` is "logging"
LOGGING = Path("logging")
VIEW, EXPORT, NAMES, SQL, JOBS = "view", "export", "names", "sql", "jobs"


class AuditFailed(QuestionError):
    """The log could not be written, and the settings want no answer without it."""


class _State:
    """What went wrong the last time, to say it in the app and only once in the log."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.problem = ""


_state = _State()


def problem() -> str:
    """Say what keeps the log from being written; '' where nothing does."""
    return _state.problem


def is_on() -> bool:
    """Tell whether questions are written down at all."""
    access = rules.current()
    return access is not None and access.audit is not None


def of_question(question: Question) -> dict[str, Any]:
    """Say what a question asks, for a line."""
    found: dict[str, Any] = {
        "metrics": list(question.metrics),
        "by": list(question.dimensions),
        "period": of_period(question.period),
        "filters": [of_filter(kept) for kept in question.filters],
    }
    if question.names:
        found["names"] = list(question.names)
    return found


def of_period(period: Period) -> list[str | None]:
    """Write the first day of a period, and the day after its last."""
    return [day.isoformat() if day else None for day in (period.start, period.end)]


def of_filter(kept: Filter) -> dict[str, Any]:
    """Write a filter, without what it leaves open."""
    return {name: value for name, value in asdict(kept).items() if value not in ((), None, False)}


def record(
    who: Viewer,
    page: str,
    kind: str,
    asked: Iterable[tuple[dict[str, Any], int]],
    refused: str = "",
) -> None:
    """Write a line for each of some questions with the rows of its answer.

    Raises `AuditFailed` where that cannot be and `audit_required` is set.
    """
    access = rules.current()
    if access is None or access.audit is None or who is EVERYTHING:
        return  # who works on the command line has the database itself
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    about = {"time": now, "identity": who.name, "login": who.login, "roles": list(who.roles)}
    about |= {"sees": _of_scope(who.scope), "page": page, "kind": kind}
    failed = {"refused": refused} if refused else {}
    lines = [about | what | {"rows": rows} | failed for what, rows in asked]
    try:
        _write(access.audit, [json.dumps(line, default=_plain) for line in lines])
    except OSError as error:
        _fail(f"{access.audit}: {error.strerror}", access.audit_required)
    else:
        _state.problem = ""


def _of_scope(scope: Scope | None) -> Any:  # noqa: ANN401 - JSON
    if scope is None:
        return "everything"
    return "public" if scope.public else scope.by_dimension()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _write(file: Path, lines: list[str]) -> None:
    if file == LOGGING:
        for line in lines:
            LINES.info("%s", line)
        return
    content = "".join(f"{line}\n" for line in lines).encode("ascii")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    opened = os.open(file, flags, 0o600)
    try:
        if os.write(opened, content) != len(content):
            raise OSError(0, "only a part could be written")
    finally:
        os.close(opened)


def _fail(said: str, required: bool) -> None:
    with _state.lock:
        if said != _state.problem:
            LOG.error("the audit log cannot be written: %s", said)
        _state.problem = said
    if required:
        raise AuditFailed("the audit log cannot be written, and without it nothing is answered")
