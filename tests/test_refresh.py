"""Refreshing rollups: at a time, together, and what they leave behind that nothing names."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from clickhouse import due, rollups, unnamed
from clickhouse.connection import Warehouse
from clickhouse.coverage import look
from clickhouse.cubes import TABLES
from clickhouse.days import DAY, next_month
from clickhouse.query import Period, Question, ask, to_sql
from clickhouse.spans import Built, Part
from tests.helpers import column, line, load_bytes, one, warehouse
from tests.rolled import (
    BY_MONTH,
    SITE,
    T,
    accounting,
    check,
    check_all,
    refreshed,
    tables,
)


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


def spans(db: Warehouse) -> dict[date, list[tuple[date, date, int]]]:
    made = look(db).spans
    return {month: [(s.start, s.end, s.build) for s in its] for month, its in made.items()}


def ending(day: date, number: int) -> bytes:
    """Give the line of a job that ended on this day."""
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    return line(job_number=number, start_time=noon - 60, end_time=noon) + b"\n"


@pytest.fixture
def live(db: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """The same on the day of its last line, when more may come."""
    newest = max(part.ends for part in look(db).parts)
    monkeypatch.setattr(due, "today", lambda: newest)
    db.command("TRUNCATE TABLE rollup_months")
    rollups.refresh(db)
    return db


def test_months_are_whole_where_no_line_came_for_long(db: Warehouse) -> None:
    made = [[span[:2] for span in each] for each in spans(db).values()]
    assert made == [[(month, next_month(month))] for month in spans(db)]


def test_recent_days_are_made_again_without_the_rest_of_their_month(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    june = date(2019, 6, 1)

    def refresh_with(number: int, *days: date) -> list[tuple[date, date, int]]:
        made = b"".join(ending(day, 10 * number + i) for i, day in enumerate(days))
        load_bytes(opened, tmp_path / str(number), made)
        monkeypatch.setattr(due, "today", lambda: max(days))
        rollups.refresh(opened)
        for grain in "month", "week", "day":
            check(opened, Question(("jobs", "wall_hours", "duration_median"), (grain,)))
        assert tables(opened, BY_MONTH) == ("total_months",)
        return spans(opened)[june]

    with warehouse(database_url, **SITE) as opened:
        days = [june.replace(day=day) for day in range(1, 21)]
        [before, recent] = refresh_with(1, *days)
        assert [span[:2] for span in (before, recent)] == [
            (june, date(2019, 6, 17)),
            (date(2019, 6, 17), date(2019, 7, 1)),
        ]
        [same, again] = refresh_with(2, date(2019, 6, 21))
        assert same == before and again[:2] == recent[:2] and again[2] > recent[2]
        [other, later] = refresh_with(3, date(2019, 6, 10))  # a late one
        assert other[2] > same[2] and later[2] > again[2]
        [longer, rest] = refresh_with(4, date(2019, 6, 29))
        assert longer[1] == rest[0] == date(2019, 6, 26)
        [untouched, tail] = refresh_with(5, date(2019, 7, 1))  # of which the 30th may be, elsewhere
        assert untouched == longer and tail[2] > rest[2]
        assert [span[:2] for span in spans(opened)[date(2019, 7, 1)]] == [
            (date(2019, 7, 1), date(2019, 8, 1))
        ]
        [whole] = refresh_with(6, date(2019, 9, 20), june)
        assert whole[:2] == (june, date(2019, 7, 1))


def test_the_daemon_pauses_in_proportion_but_for_a_minute_at_most() -> None:
    assert [rollups.pause(took) for took in (0.0, 0.4, 1.0, 5.0, 180.0)] == [5, 5, 10, 50, 60]


def test_days_that_two_refreshes_at_a_time_left_to_none_are_made_again(live: Warehouse) -> None:
    db = live
    [(month, (before, recent))] = [each for each in spans(db).items() if len(each[1]) > 1]
    db.insert_rows(
        "rollup_months",
        ["month", "recent", "split", "build", "made_by", "parts"],
        [[str(month), 0, str(before[1] - DAY), before[2] + 2500, look(db).origin, []]],
    )
    assert month not in spans(db)
    check_all(db)
    assert rollups.refresh(db).months
    assert [span[:2] for span in spans(db)[month]] == [before[:2], recent[:2]]
    check_all(db)


def test_what_lost_its_name_is_dropped_while_refreshes_go_on(db: Warehouse, tmp_path: Path) -> None:
    for seed in range(3):
        load_bytes(db, tmp_path / f"late{seed}", accounting(10 + seed, 20))
        rollups.refresh(db)
    unnamed.drop_unnamed(db)  # a question may still be about to read it
    assert unnamed_rows(db, "line_days") and unnamed_rows(db, "user_months")
    unnamed.drop_unnamed(db, settled_seconds=0)
    assert not unnamed_rows(db, "line_days") and not unnamed_rows(db, "user_months")
    check_all(db)


def test_what_another_process_makes_is_not_dropped_before_it_is_named(
    db: Warehouse, tmp_path: Path
) -> None:
    other = time.time_ns() // 1000  # that has made rows, and not named them
    for cube in TABLES:
        db.command(f"INSERT INTO {cube.name} (build, day) VALUES ({other * 2500}, '2018-01-01')")
    load_bytes(db, tmp_path / "late", accounting(10, 20))
    rollups.refresh(db)
    unnamed.drop_unnamed(db, settled_seconds=0)
    of_other = f"SELECT count() FROM {{}} WHERE intDiv(build, 2500) = {other}"
    assert all(one(db, of_other.format(cube.name)) == 1 for cube in TABLES)
    unnamed.drop_unnamed(db, kept_seconds=0, settled_seconds=0)
    assert not any(one(db, of_other.format(cube.name)) for cube in TABLES if not cube.small)


def test_years_with_few_lines_are_made_together(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT groupUniqArray(year) FROM (SELECT intDiv(build, 2500) AS number, toYear(month) AS"
    sql += " year FROM rollup_months FINAL WHERE recent = 0) GROUP BY number ORDER BY number"
    assert [sorted(years) for years in column(db, sql)] == [[2017, 2018]]
    monkeypatch.setattr(due, "LINES_AT_ONCE", 100)
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
    assert all(unnamed_rows(db, cube.name) for cube in TABLES if not cube.of_years)  # none whole
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
    monkeypatch.setattr(due, "TOGETHER_SECONDS", 0)
    assert rollups.refresh(db).months
    assert one(db, refreshes) == 1
    assert rollups.refresh(db).months == 0
    check_all(db)


def test_lines_that_a_mutation_took_from_the_end_of_a_part_are_in_no_answer(db: Warehouse) -> None:
    check(db, BY_MONTH)
    last = one(db, "SELECT max(time) FROM accounting WHERE toYear(time) = 2018").timestamp()
    late = f"time > {last - 40 * 86400}"
    db.command(f"ALTER TABLE accounting DELETE WHERE {late} SETTINGS mutations_sync = 1")
    check_all(db)
    rollups.refresh(db)
    check_all(db)
    assert tables(db, BY_MONTH) == ("total_months",)


@pytest.mark.parametrize(
    ("known", "part", "is_known", "is_changed"),
    [
        ([(1, 4, 0), (5, 5, 0)], (1, 5, 0), True, False),
        ([(1, 4, 0), (5, 5, 0)], (1, 4, 6), False, True),
        ([(1, 4, 6), (5, 5, 0)], (5, 5, 6), False, True),  # the mutation was half done
        ([(1, 4, 6), (7, 7, 0)], (1, 7, 6), True, False),  # the second was inserted after it
        ([(1, 4, 6), (7, 7, 0)], (1, 7, 8), False, True),
        ([(1, 4, 0)], (1, 5, 0), False, False),
        ([(1, 4, 0)], (1, 5, 6), False, True),
        ([(1, 4, 0)], (5, 5, 6), False, False),
    ],
)
def test_a_mutated_part_is_no_part_that_a_build_knows(
    known: list[tuple[int, int, int]],
    part: tuple[int, int, int],
    is_known: bool,
    is_changed: bool,
) -> None:
    built = Built([("2018", *each) for each in known])
    found = Part("2018", *part, date(2018, 1, 1), date(2018, 1, 2))
    assert (built.knows(found), built.changed_in(found)) == (is_known, is_changed)
