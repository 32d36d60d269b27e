"""Distributions and quantiles: what rollups say of them is what the lines say, to 1 %."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clickhouse import distributions, rollups
from clickhouse.connection import Warehouse
from clickhouse.distributions import (
    QUANTITIES,
    TIMES,
    Bands,
    Heatmap,
    Histogram,
    distribution,
    fixed_bins,
    log_bins,
)
from clickhouse.errors import QuestionError
from clickhouse.measures import QUANTITIES as COLUMNS
from clickhouse.query import Filter, Period, Question, ask
from tests.helpers import line, load_bytes, one, warehouse
from tests.rolled import accounting, assert_near, refreshed

HOUR, DAY = 3600, 86400
T = 1514764800  # 2018-01-01 00:00 UTC
LIMITS = [60, 3600, 4 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 10 * DAY, 30 * DAY]


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    with refreshed(database_url, tmp_path) as opened:
        yield opened


def lines(*waits: int) -> bytes:
    """Jobs of ten minutes in a queue of its own for each parity of the wait."""
    made = [
        line(
            job_number=number,
            qname=f"q{wait % 2}",
            submission_time=T - wait,
            start_time=T,
            end_time=T + 600,
            maxvmem=2**30 * (number + 1),
            slots=1 + number,
        )
        for number, wait in enumerate(waits)
    ]
    return b"".join(each + b"\n" for each in made)


def rows(db: Warehouse, asked: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in distribution(db, asked).to_pylist()]


def test_known_distributions(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", lines(0, 59, 60, 3599, 3600, 100_000))
        for _ in range(2):  # from the lines, and then from rollups
            assert rows(db, Histogram("wait", (0, 60, 3600))) == [
                (0, 60, 2), (60, 3600, 1 if rollups_answer(db) else 2),
                (3600, None, 3 if rollups_answer(db) else 2),
            ]  # fmt: skip
            assert rows(db, Histogram("wait", (0, 60), by=("queue",))) == [
                ("q0", 0, 60, 1), ("q0", 60, None, 3), ("q1", 0, 60, 1), ("q1", 60, None, 1),
            ]  # fmt: skip
            assert rows(db, Histogram("memory", fixed_bins(2, 3))) == [
                (0, 2, 1), (2, 4, 2), (4, None, 3),
            ]  # fmt: skip
            assert rows(db, Histogram("slots", (0, 4))) == [(0, 4, 3), (4, None, 3)]
            assert rows(db, Bands("slots", "year", levels=(0, 50, 100))) == [(2018, 1, 3.5, 6, 6)]
            assert rows(db, Bands("memory", "month", ("queue",), (50,)))[0][1:] == ("q0", 4, 4)
            assert rows(db, Heatmap("jobs", "weekday", "queue")) == [(1, "q0", 4), (1, "q1", 2)]
            rollups.refresh(db)


def rollups_answer(db: Warehouse) -> bool:
    return distributions.tables(db, Histogram("wait", (0,))) == ("total_value_months",)


def test_a_heatmap_keeps_the_largest_names(db: Warehouse) -> None:
    found = distribution(db, Heatmap("jobs", "user", "node", most=2))
    for name in ("user", "node"):
        most = ask(db, Question(("jobs",), (name,), limit=2))[name].to_pylist()
        assert set(found[name].to_pylist()) == set(most)


def test_values_are_rounded_by_one_percent_at_most(db: Warehouse) -> None:
    for quantity in COLUMNS.values():
        rounded = quantity.rounded_sql("x")
        worst = (
            f"SELECT max(abs({rounded} - x) / x) FROM (SELECT toFloat64(number) AS x"
            " FROM numbers(1, 200000) UNION ALL SELECT toFloat64(exp(number / 5000))"
            " FROM numbers(210000) UNION ALL SELECT exp(-number / 5000) FROM numbers(60000))"
        )
        assert one(db, worst) <= 0.01
        assert one(db, f"SELECT {quantity.rounded_sql('toFloat64(0)')}") == 0
    small = [*range(129), *LIMITS]
    rounded = COLUMNS["run"].rounded_sql("x")
    kept = f"SELECT groupArray({rounded}) FROM (SELECT arrayJoin({small}::Array(Float64)) AS x)"
    assert [*one(db, kept)] == small
    amounts = [0, 1, 2**20, 3 * 2**29, 2**30, 96 * 2**30, 2**49]
    rounded = COLUMNS["vmem"].rounded_sql("x")
    kept = f"SELECT groupArray({rounded}) FROM (SELECT arrayJoin({amounts}::Array(Float64)) AS x)"
    assert [*one(db, kept)] == amounts


ASKED: list[Histogram | Bands] = [
    *(Histogram(quantity, log_bins(0.001), ("queue",)) for quantity in QUANTITIES),
    *(Bands(quantity, "month") for quantity in QUANTITIES),
    Histogram("wait", TIMES, ("parallel_class", "month")),
    Histogram("duration", fixed_bins(600, 20), ("user",), Period.parse("2018-01-10..2018-03")),
    Bands("wait", "year", ("metagroup",), filters=(Filter("queue", ("all.q",)),)),
    Bands("duration", "quarter", ("user", "slots"), period=Period.parse("2018")),
    Bands("memory", "day", ("outcome",)),
]


def compare(db: Warehouse, asked: Histogram | Bands) -> None:
    """Hold bands to 1 %, and a histogram to what moving values by 1 % can make of it."""
    found, true = distribution(db, asked), distribution(db, replace(asked, exact=True))
    if isinstance(asked, Bands):
        assert found.drop_columns(levels(asked)).equals(true.drop_columns(levels(asked)))
        for name in levels(asked):
            assert_near(found[name].to_pylist(), true[name].to_pylist(), asked)
        return
    assert found.drop_columns("jobs").equals(true.drop_columns("jobs"))
    less, more = (
        distribution(db, replace(asked, exact=True, edges=tuple(e * f for e in asked.edges)))
        for f in (1 / 1.0101, 1.0101)
    )
    bounds = (running(less, asked), running(found, asked), running(more, asked))
    assert all(low <= one <= high for low, one, high in zip(*bounds, strict=True)), asked


def levels(asked: Bands) -> list[str]:
    return [f"p{level}" for level in asked.levels]


def running(table: Any, asked: Histogram) -> list[int]:
    """Count the jobs below each edge."""
    jobs, size = table["jobs"].to_pylist(), len(asked.edges)
    return [sum(jobs[at - at % size : at]) for at in range(len(jobs))]


def test_rollups_and_lines_agree(db: Warehouse, tmp_path: Path) -> None:
    for asked in ASKED:
        compare(db, asked)
    load_bytes(db, tmp_path / "late", accounting(2, 60, T + 50 * DAY, 10))
    assert distributions.tables(db, ASKED[1]) == ("qname_value_months", "line_days", "lines")
    for asked in ASKED:
        compare(db, asked)
    load_bytes(db, tmp_path / "copy", b"# a copy\n" + accounting(1, 400))
    db.command("ALTER TABLE accounting DELETE WHERE owner = 'ann' SETTINGS mutations_sync = 2")
    for asked in ASKED[:4]:
        compare(db, asked)
    rollups.refresh(db)
    assert distributions.tables(db, ASKED[1]) == ("qname_value_months",)
    for asked in ASKED:
        compare(db, asked)


def test_which_tables_answer(db: Warehouse) -> None:
    assert distributions.tables(db, Histogram("slots", (0,))) == ("queue_months",)
    assert distributions.tables(db, Bands("slots", "day")) == ("queue_days",)
    assert distributions.tables(db, Bands("wait", "month", ("user",))) == ("user_value_months",)
    assert distributions.tables(db, Bands("wait", "week")) == ("line_days",)
    assert distributions.tables(db, Histogram("wait", (0,), exact=True)) == ("lines",)


REFUSED: list[Any] = [
    Histogram("cpu", (0,)),
    Histogram("wait", ()),
    Histogram("wait", (0, 5, 5)),
    Histogram("wait", (1, 2)),
    Histogram("wait", (0, float("inf"))),
    Histogram("wait", (0, float("nan"))),
    Histogram("wait", fixed_bins(1, 2000)),
    Histogram("wait", (0,), by=("nothing",)),
    Bands("wait", "queue"),
    Bands("wait", "month", levels=()),
    Bands("wait", "month", levels=(101,)),
    Heatmap("jobs", "weekday", "1; DROP TABLE accounting"),
    Heatmap("jobs); DROP TABLE accounting --", "weekday", "queue"),
]


def test_what_cannot_be_answered_is_refused(database_url: str) -> None:
    with warehouse(database_url) as db:
        for asked in REFUSED:
            with pytest.raises(QuestionError):
                distribution(db, asked)


def test_edges() -> None:
    assert fixed_bins(0.5, 3) == (0, 0.5, 1)
    assert log_bins(1, 2, 2) == (0, 1, 3.16228, 10, 31.6228, 100)


def test_quantiles_of_lines_are_exact(database_url: str, tmp_path: Path) -> None:
    waits = [7, 1000, 54_321, 100_001]
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", lines(*waits))
        rollups.refresh(db)
        question = Question(("wait_median", "memory_median", "slots_median", "ram_p99"))
        [found] = ask(db, replace(question, exact=True)).to_pylist()
        expected = {"wait_median": statistics.median(waits), "memory_median": 2.5}
        assert found == expected | {"slots_median": 2.5, "ram_p99": 2048 / 2**20}
        [near] = ask(db, question).to_pylist()
        assert near["wait_median"] != found["wait_median"]
        assert near == pytest.approx(found, rel=0.01)
