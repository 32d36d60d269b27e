"""Answers that are kept while other days get lines: never beyond what they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clickhouse import rollups
from clickhouse.connection import Warehouse
from clickhouse.coverage import look
from clickhouse.dimensions import DIMENSIONS
from clickhouse.distributions import Histogram, distribution
from clickhouse.lasting import REACHING
from clickhouse.metrics import METRICS
from clickhouse.query import Period, Question, ask
from clickhouse.rowset import needed
from streamlit_app.asking import Answers, Asked
from tests.helpers import line, load_bytes
from tests.rolled import DAY, PERIODS, T, accounting, questions

YEAR = 365 * DAY
OF_2018 = Period.parse("2018")
BEFORE = Question(("jobs", "users"), ("month",), OF_2018)
AFTER = replace(BEFORE, period=Period.parse("2019"))
OPEN = replace(BEFORE, period=Period())
CLASSES = Question(("jobs",), ("parallel_class",), Period.parse("2018-03"))
SPREAD = Question(("wall_hours",), ("month",), OF_2018, booked="spread")
WAITS = Histogram("wait", (0, 60, 3600), (), OF_2018)
EVERY: tuple[Asked, ...] = (BEFORE, AFTER, OPEN, CLASSES, SPREAD, WAITS)


class Kept:
    """What the app keeps of answers, in one state of the database after another."""

    def __init__(self, db: Warehouse) -> None:
        self.db, self.known, self.states = db, Answers(), 0
        self.runs: dict[Asked, object] = {}

    def changed(self) -> set[Asked]:
        """Ask everything once more after something was done; tells what was asked anew."""
        self.states += 1
        found = {asked: self.known.join(asked, f"state {self.states}") for asked in EVERY}
        for asked, run in found.items():
            answer = ask if isinstance(asked, Question) else distribution
            expected = answer(self.db, asked).to_pylist()  # type: ignore[operator]
            assert run.future.result().to_pylist() == expected, asked
            self.known.leave(run)
        before, self.runs = self.runs, {**found}
        return {asked for asked, run in found.items() if before.get(asked) is not run}


def job(number: int, end: int, **changes: object) -> bytes:
    return line(
        job_number=number, owner=f"u{number}", submission_time=end - 100, start_time=end - 50,
        end_time=end, **changes,
    ) + b"\n"  # fmt: skip


def test_an_answer_is_kept_until_its_days_get_lines(opened: Warehouse, tmp_path: Path) -> None:
    march = T + 75 * DAY
    mpi = {"granted_pe": "mpi", "slots": 4, "hostname": "n1"}
    names = (tmp_path / f"{number}" for number in range(20))

    def load(*lines: bytes) -> None:
        load_bytes(opened, next(names), b"".join(lines))

    load(job(1, march), job(2, T + YEAR + DAY), job(3, march, **mpi))
    rollups.refresh(opened)
    kept = Kept(opened)
    assert kept.changed() == {*EVERY}
    assert kept.changed() == {OPEN, SPREAD}
    load(job(4, T + YEAR + 2 * DAY))  # of a month that a build has
    assert kept.changed() == {*EVERY} - {BEFORE, WAITS}
    rollups.refresh(opened)
    assert kept.changed() == {*EVERY} - {BEFORE, WAITS}
    load(job(5, T + 2 * YEAR + 40 * DAY))  # of a month that none has
    assert kept.changed() == {*EVERY} - {BEFORE, AFTER, WAITS}
    rollups.refresh(opened)
    kept.changed()
    # a task of an attempt of March ends in another year
    task = {**mpi, "hostname": "n2", "pe_taskid": "1.n2", "job_number": 3, "owner": "u3"}
    load(
        line(submission_time=march, start_time=march - 40, end_time=T + YEAR + DAY, **task) + b"\n"
    )
    assert CLASSES in kept.changed()
    rollups.refresh(opened)
    assert CLASSES in kept.changed()
    [(_, jobs)] = [
        tuple(row.values()) for row in ask(opened, CLASSES).to_pylist() if "multi" in str(row)
    ]
    assert jobs == 1
    load(job(6, march))  # late
    assert {BEFORE, WAITS} <= kept.changed()
    rollups.refresh(opened)
    assert {BEFORE, WAITS} <= kept.changed()
    assert kept.changed() == {OPEN, SPREAD}


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_what_other_lines_tell_is_known(opened: Warehouse) -> None:
    derived = dict(look(opened).derived)

    def reaches(*texts: str) -> bool:
        return "node_spread" in needed(derived, texts)

    found = {name for name, d in DIMENSIONS.items() if reaches(d.sql, d.array_join, d.has)}
    assert found == REACHING
    assert not any(reaches(metric.sql) for metric in METRICS.values())


@pytest.fixture
def filled(opened: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    load_bytes(opened, tmp_path / "first", accounting(1, 200))
    rollups.refresh(opened)
    return opened


def test_what_is_kept_is_what_would_be_answered(filled: Warehouse, tmp_path: Path) -> None:
    known, numbers = Answers(), iter(range(10_000))
    period = st.sampled_from([*PERIODS, "2018-01", "2018-04", "2017"])

    @hypothesis_settings(max_examples=8, deadline=None, database=None, derandomize=True)
    @given(
        asked=st.lists(st.tuples(questions(), period), min_size=3, max_size=6),
        days=st.lists(st.integers(-40, 400), min_size=1, max_size=2),
        refreshed=st.booleans(),
    )
    def check(asked: list[tuple[Question, str]], days: list[int], refreshed: bool) -> None:
        every = [replace(question, period=Period.parse(name)) for question, name in asked]
        for day in (None, *days):
            number = next(numbers)
            if day is not None:
                more = accounting(number + 10, 5, T + day * DAY, 3)
                load_bytes(filled, tmp_path / f"{number}", b"# more\n" + more)
                if refreshed:
                    rollups.refresh(filled)
            for question in every:
                run = known.join(question, str(number))
                found, true = run.future.result(), ask(filled, question)
                assert found.to_pylist() == true.to_pylist(), question
                known.leave(run)

    check()
