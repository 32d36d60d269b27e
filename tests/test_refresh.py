"""Refreshing rollups: at a time, together, and what they leave behind that nothing names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from clickhouse import rollups, unnamed
from clickhouse.connection import Warehouse
from clickhouse.cubes import TABLES
from clickhouse.query import Period, Question, ask, to_sql
from tests.helpers import column, load_bytes, one
from tests.test_rollups import BY_MONTH, T, accounting, check_all, refreshed, tables


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    with refreshed(database_url, tmp_path) as opened:
        yield opened


def test_two_refreshes_at_a_time_while_questions_are_asked(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_bytes(db, tmp_path / "late", accounting(2, 200))
    monthly = Question(("jobs", "cpu_hours"), ("month",), exact=True)
    true = ask(db, monthly).to_pylist()
    monkeypatch.setattr(rollups, "_one_at_a_time", nullcontext())  # as in two processes
    threads = [threading.Thread(target=rollups.refresh, args=(db,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert ask(db, BY_MONTH).to_pylist() == true
    assert tables(db, BY_MONTH) == ("total_months",)
    assert ask(db, BY_MONTH).to_pylist() == true


def test_a_question_about_to_be_asked_while_rows_lose_their_name_is_answered(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as where nothing was loaded for hours before
    monkeypatch.setattr(unnamed.drop_unnamed, "__defaults__", (0.0, unnamed.SETTLED_SECONDS))
    monthly = replace(BY_MONTH, period=Period.parse("..2018-03"))
    before = ask(db, monthly).to_pylist()
    sql, parameters, _ = to_sql(db, monthly)
    load_bytes(db, tmp_path / "more", accounting(8, 30))
    assert rollups.refresh(db).months
    found = db.arrow(sql, parameters).rename_columns(["month", *BY_MONTH.metrics])
    assert found.to_pylist() == before


def test_years_with_few_lines_are_made_together(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT groupUniqArray(year) FROM (SELECT intDiv(build, 2500) AS number, toYear(month) AS"
    sql += " year FROM rollup_months FINAL) GROUP BY number ORDER BY number"
    assert [sorted(years) for years in column(db, sql)] == [[2017, 2018]]
    monkeypatch.setattr(rollups, "LINES_AT_ONCE", 100)
    load_bytes(db, tmp_path / "late", accounting(2, 30))
    rollups.refresh(db)
    assert column(db, sql) == [[2018], [2017]]
    check_all(db, 2)


def unnamed_rows(db: Warehouse, table: str) -> int:
    named = "SELECT intDiv(build, 2500) FROM rollup_months FINAL"
    return int(one(db, f"SELECT countIf(intDiv(build, 2500) NOT IN ({named})) FROM {table}"))


def test_rows_that_nothing_names_are_dropped_in_time(db: Warehouse, tmp_path: Path) -> None:
    for seed in range(2):
        load_bytes(db, tmp_path / f"late{seed}", accounting(10 + seed, 20))
        rollups.refresh(db)
    assert all(unnamed_rows(db, cube.name) for cube in TABLES)
    unnamed.drop_unnamed(db, kept_seconds=0, settled_seconds=0)
    assert not any(unnamed_rows(db, cube.name) for cube in TABLES)
    check_all(db)


def test_small_rollups_keep_rows_that_nothing_names_until_they_are_many(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_bytes(db, tmp_path / "late", accounting(2, 30))
    rollups.refresh(db)
    monkeypatch.setattr(unnamed, "UNNAMED_SHARE", 0.9)
    unnamed.drop_unnamed(db, kept_seconds=0, settled_seconds=0)
    assert unnamed_rows(db, "user_months")
    assert not unnamed_rows(db, "cube_days")
    check_all(db)


def test_a_year_that_many_refreshes_made_is_made_again_as_one(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshes = "SELECT max(made) FROM (SELECT uniqExact(intDiv(build, 2500)) AS made"
    refreshes += " FROM rollup_months FINAL GROUP BY toYear(month))"
    load_bytes(db, tmp_path / "late", accounting(2, 5, T, 1))
    assert rollups.refresh(db).months
    assert rollups.refresh(db).months == 0  # for lines may still come
    assert one(db, refreshes) == 2
    monkeypatch.setattr(rollups, "TOGETHER_SECONDS", 0)
    assert rollups.refresh(db).months
    assert one(db, refreshes) == 1
    assert rollups.refresh(db).months == 0
    check_all(db)
