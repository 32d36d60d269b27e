"""Parallel attempts whose lines come at different times, for days that are made apart."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clickhouse import coverage, due, rollups
from clickhouse.attempts import doubting_attempts
from clickhouse.query import Question, ask
from tests.helpers import line, load_bytes, warehouse
from tests.rolled import DAY, SITE, T, check, tables


@pytest.mark.parametrize("last", ["task", "master"])
@pytest.mark.parametrize("months", [1, 2])
def test_a_line_tells_of_others_of_its_attempt_in_another_month(
    database_url: str, tmp_path: Path, last: str, months: int
) -> None:
    attempt: dict[str, Any] = {"granted_pe": "mpi", "slots": 4, "start_time": T, "job_number": 5}
    lines = {
        "task": line(**attempt, hostname="node2", end_time=T + 2 * DAY, pe_taskid="1.node2"),
        "master": line(**attempt, hostname="node1", end_time=T + months * 31 * DAY + DAY),
        "other": line(job_number=9, granted_pe="mpi", slots=4, start_time=T, end_time=T + 9 * DAY),
    }
    with warehouse(database_url, **SITE) as opened:
        load_bytes(opened, tmp_path / "a", b"".join(lines[k] + b"\n" for k in lines if k != last))
        rollups.refresh(opened)
        load_bytes(opened, tmp_path / "b", lines[last] + b"\n")
        by_class = Question(("jobs", "attempts", "cpu_hours"), ("parallel_class", "month"))
        for _ in range(2):
            assert {"multi-node"} <= {*ask(opened, by_class)["parallel_class"].to_pylist()}
            check(opened, by_class)
            rollups.refresh(opened)
        assert tables(opened, by_class) == ("queue_months",)


@pytest.mark.parametrize("last", ["task", "master"])
def test_a_refresh_may_stop_between_the_years_of_an_attempt(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(due, "LINES_AT_ONCE", 0)  # each year by itself, the latest first
    attempt: dict[str, Any] = {"granted_pe": "mpi", "slots": 4, "start_time": T, "job_number": 5}
    lines = {
        "task": line(**attempt, hostname="node2", end_time=T + 2 * DAY, pe_taskid="1.node2"),
        "master": line(**attempt, hostname="node1", end_time=T + 400 * DAY),
    }
    by_class = Question(("jobs", "attempts", "cpu_hours"), ("parallel_class", "month"))
    first = "master" if last == "task" else "task"
    with warehouse(database_url, **SITE) as opened:
        for name in (first, last):
            load_bytes(opened, tmp_path / name, lines[name] + b"\n")
            stops = iter([False] * (2 if name == first else 1))
            rollups.refresh(opened, lambda stops=stops: next(stops, True))  # type: ignore[misc]
            check(opened, by_class)
        rollups.refresh(opened)
        assert tables(opened, by_class) == ("queue_months",)
        check(opened, by_class)


def test_attempts_without_tasks_elsewhere_make_no_other_day_stale(
    database_url: str, tmp_path: Path
) -> None:
    long = {"granted_pe": "mpi", "slots": 4, "start_time": T}
    with warehouse(database_url, **SITE) as opened:
        for number, days in enumerate((2, 4, 20)):
            made = line(**long, job_number=number, end_time=T + days * DAY)
            load_bytes(opened, tmp_path / str(days), made + b"\n")
            if days < 20:
                rollups.refresh(opened)
        known = coverage.look(opened)
        doubted = doubting_attempts(opened, known)
        month = date(2018, 1, 1)
        assert doubted.stale(month) == known.stale(month)
        assert known.stale(month) == [(date(2018, 1, 20), date(2018, 1, 23))]
