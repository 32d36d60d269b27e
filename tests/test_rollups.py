"""Rollups: the same answers as from the lines, whatever was loaded, lost or left half done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from clickhouse import builds, coverage, rollups, site
from clickhouse.connection import Warehouse
from clickhouse.cubes import TABLES
from clickhouse.days import united, without
from clickhouse.dimensions import DIMENSIONS
from clickhouse.measures import AMOUNTS, KEYS
from clickhouse.metrics import METRICS
from clickhouse.migrate import migrate
from clickhouse.need import COLUMNS
from clickhouse.query import Filter, Period, Question, ask, explain, to_sql
from clickhouse.rowset import DERIVED
from clickhouse.settings import ClusterSettings, Settings
from clickhouse.spans import Built, Part
from clickhouse.words import words
from tests.helpers import CLUSTER, column, line, load_bytes, warehouse
from tests.rolled import (
    BY_MONTH,
    DAY,
    QUEUES,
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


def test_answers_are_those_of_the_lines(db: Warehouse) -> None:
    assert tables(db, BY_MONTH) == ("total_months",)
    check_all(db, 40)


def test_each_question_takes_the_smallest_rollup_that_will_do(db: Warehouse) -> None:
    by = {
        ("user", "parallel_class"): ("cube_months",),
        ("day",): ("total_days",),
        ("day", "queue"): ("queue_days",),
        ("day", "user"): ("cube_days",),
        ("outcome",): ("total_months",),
        ("weekday", "hour"): ("ending_months",),
        ("weekday", "group", "year"): ("user_ending_months",),
        ("weekday", "outcome"): ("total_days",),
        ("week", "outcome"): ("total_days",),
        ("user", "outcome"): ("user_months",),
        ("queue", "slots"): ("queue_months",),
        ("node",): ("host_months",),
        ("node", "user"): ("node_months",),
        ("node", "outcome"): ("host_months",),
        ("node", "day"): ("line_days",),
        ("job_name", "queue"): ("name_months",),
        ("job_name", "outcome", "year"): ("name_months",),
        ("job_name", "node"): ("line_days",),
        ("failed", "node"): ("node_months",),
        ("exit_status", "node"): ("line_days",),
        ("exit_status", "user"): ("exit_months",),
        ("exit_status", "failed", "outcome"): ("exit_months",),
        ("submission_weekday", "submission_hour"): ("hour_months",),
        ("submission_hour", "group"): ("user_hour_months",),
        ("requested_time_from", "queue"): ("request_months",),
        ("sub_cluster",): ("host_months",),
        ("metagroup", "year"): ("cube_days",),  # someone joined one in the middle of a month
    }
    found = {dimensions: tables(db, Question(("jobs",), dimensions)) for dimensions in by}
    assert found == by
    medians = {
        (): ("total_value_months",),
        ("year", "cluster"): ("total_value_months",),
        ("month", "queue"): ("qname_value_months",),
        ("queue", "slots_from"): ("queue_value_months",),
        ("requested_time_from",): ("request_value_months",),
        ("requested_time_from", "user"): ("value_months",),
        ("parallel_class",): ("size_value_months",),
        ("user",): ("user_value_months",),
        ("metagroup",): ("line_days",),  # of someone who joined one in the middle of a month
        ("user", "slots_from"): ("value_months",),
        ("outcome",): ("line_days",),
        ("week",): ("line_days",),
    }
    found = {
        dimensions: tables(db, Question(("wait_median",), dimensions)) for dimensions in medians
    }
    assert found == medians
    assert tables(db, Question(("slots_p90",), ("day",))) == ("queue_days",)
    both = Question(("wait_p90", "users", "memory_median", "jobs"), ("queue",))
    assert tables(db, both) == ("cube_months", "qname_value_months")
    assert tables(db, replace(both, dimensions=("outcome",))) == ("user_months", "line_days")
    check(db, both)
    assert to_sql(db, both)[2].sql.count("qname_value_months") == 1  # of both quantities at once
    waits = Question(("wait_median", "memory_p90", "wait_p99"), ("requested_time_from",))
    assert tables(db, waits) == ("value_months", "request_value_months")
    check(db, waits)
    month = Question(("jobs",), period=Period.parse("2018-01-10..2018-02"))
    assert tables(db, month) == ("total_months", "total_days")


def test_what_a_part_lacks_is_no_part_of_what_it_has(db: Warehouse, tmp_path: Path) -> None:
    asked = Question(("memory_p90", "ram_avg", "failure_rate"), ("queue",))
    check(db, asked)
    check(db, replace(asked, dimensions=("account",)))
    classes = ("year", "parallel_class")
    check(db, Question(("wait_median", "requested_memory_avg", "slots_p90"), classes))
    load_bytes(db, tmp_path / "late", accounting(2, 400, T + 50 * DAY, 10))
    assert "lines" in tables(db, asked)
    check(db, asked)
    check(db, replace(asked, dimensions=("account",)))


def test_names_are_counted_where_they_are_few(db: Warehouse) -> None:
    counted = ("jobs", "lost_core_hours", "memory_max", "users", "groups", "nodes")
    by = {
        (): ("user_months", "host_months", "total_months"),
        ("cluster", "year"): ("user_months", "host_months", "total_months"),
        ("queue",): ("cube_months", "host_months", "queue_months"),
        ("node",): ("node_months", "host_months"),
        ("node", "user"): ("node_months",),
        ("sub_cluster",): ("node_months", "host_months"),
        ("user",): ("user_months", "node_months"),
        ("day",): ("cube_days", "line_days", "total_days"),
    }
    found = {dimensions: tables(db, Question(counted, dimensions)) for dimensions in by}
    assert found == by
    for dimensions in by:
        check(db, Question(counted, dimensions))
        check(db, Question((*counted, "wait_median"), dimensions, Period.parse("2018-01-10..")))
    # without nodes, rows with people are few, and are read at once
    assert tables(db, Question(counted[:-1], ("cluster",))) == ("user_months",)
    assert tables(db, Question(counted[:-1], ("queue",))) == ("cube_months",)


def test_names_beside_many_figures_are_counted_apart(db: Warehouse, tmp_path: Path) -> None:
    many = (
        "jobs", "attempts", "core_hours", "cpu_hours", "io", "memory_avg", "ram_max", "wait_avg",
        "duration_avg", "users", "groups",
    )  # fmt: skip
    by = {
        (): ("total_months", "user_months"),
        ("queue",): ("cube_months", "queue_months"),
        ("sub_cluster",): ("node_months", "host_months"),
        ("month", "parallel_class"): ("cube_months", "queue_months"),
        ("user",): ("user_months",),
        ("metagroup",): ("cube_days",),
    }
    found = {dimensions: {*tables(db, Question(many, dimensions))} for dimensions in by}
    assert found == {dimensions: {*names} for dimensions, names in by.items()}
    some = Question((*many, "nodes", "wait_median"), filters=(Filter("queue", (QUEUES[0],)),))
    for again in range(2):
        for dimensions in by:
            check(db, Question(many, dimensions))
            check(db, replace(some, dimensions=dimensions, period=Period.parse("2018-01-10..")))
            check(db, Question(many, dimensions, limit=2, other=bool(dimensions)))
        if not again:  # lines that no rollup knows yet, of names that it knows and of others
            load_bytes(db, tmp_path / "late", accounting(2, 100, T + 50 * DAY, 10))


def test_new_lines_are_in_the_next_answer(db: Warehouse, tmp_path: Path) -> None:
    before = ask(db, Question(("attempts",))).to_pylist()
    load_bytes(
        db, tmp_path / "more", line(owner="new", job_number=1, start_time=T, end_time=T) + b"\n"
    )
    assert tables(db, BY_MONTH) == ("total_months", "total_days", "lines")
    assert ask(db, Question(("attempts",))).to_pylist() == [{"attempts": before[0]["attempts"] + 1}]
    check_all(db)
    assert rollups.refresh(db).months <= 2
    assert tables(db, BY_MONTH) == ("total_months",)
    check_all(db)


def test_duplicates_and_late_lines_and_another_year(db: Warehouse, tmp_path: Path) -> None:
    load_bytes(db, tmp_path / "copy", b"# a copy\n" + accounting(1, 400))
    check_all(db)
    load_bytes(db, tmp_path / "late", accounting(2, 30))
    check_all(db)
    load_bytes(db, tmp_path / "later", accounting(3, 30, T + 400 * DAY))
    check_all(db)
    rollups.refresh(db)
    assert tables(db, BY_MONTH) == ("total_months",)
    check_all(db)


def test_rows_that_are_inserted_merged_changed_or_dropped_behind_our_back(db: Warehouse) -> None:
    for statement in (
        "INSERT INTO accounting SELECT * REPLACE (job_number + 9000 AS job_number) FROM accounting"
        " WHERE owner = 'ann'",
        "OPTIMIZE TABLE accounting FINAL",
        "ALTER TABLE accounting UPDATE cpu = cpu + 1 WHERE owner = 'bob' SETTINGS mutations_sync=2",
        "ALTER TABLE accounting DELETE WHERE owner = 'ann' SETTINGS mutations_sync=2",
        "ALTER TABLE accounting DROP PARTITION 2018",
    ):
        db.command(statement)
        check_all(db)
        rollups.refresh(db)
        check_all(db, 2)
        assert rollups.refresh(db).months == 0


def test_a_merge_alone_leaves_nothing_to_do(db: Warehouse, tmp_path: Path) -> None:
    load_bytes(db, tmp_path / "late", accounting(2, 30))
    rollups.refresh(db)
    db.command("OPTIMIZE TABLE accounting FINAL")
    assert tables(db, BY_MONTH) == ("total_months",)
    check_all(db)


def test_a_merge_with_lines_of_another_month_leaves_nothing_to_do(
    database_url: str, tmp_path: Path
) -> None:
    def made(*days: int) -> bytes:
        ends = ((number, T + number * DAY) for number in days)
        lines = (line(job_number=n, start_time=end - 60, end_time=end) for n, end in ends)
        return b"".join(each + b"\n" for each in lines)

    with warehouse(database_url, **SITE) as opened:
        load_bytes(opened, tmp_path / "a", made(*range(90)))
        rollups.refresh(opened)
        load_bytes(opened, tmp_path / "b", made(90))  # of April alone
        assert rollups.refresh(opened).months <= 2
        opened.command("OPTIMIZE TABLE accounting FINAL")
        assert tables(opened, BY_MONTH) == ("total_months",)
        assert rollups.refresh(opened).months == 0
        load_bytes(opened, tmp_path / "c", made(91))
        opened.command("OPTIMIZE TABLE accounting FINAL")  # before any refresh
        check(opened, BY_MONTH)
        rollups.refresh(opened)
        assert tables(opened, BY_MONTH) == ("total_months",)
        check(opened, BY_MONTH)


@pytest.mark.parametrize(
    ("module", "step"), [(builds, "_insert_from_cube"), (rollups, "_name")], ids=["make", "name"]
)
def test_a_crash_at_any_step_leaves_right_answers(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str
) -> None:
    load_bytes(db, tmp_path / "late", accounting(2, 30))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, step, crash)
        rollups.refresh(db)
    check_all(db, 2)
    rollups.refresh(db)
    assert tables(db, BY_MONTH) == ("total_months",)
    check_all(db, 2)


def test_one_look_at_the_rollups_does_until_something_changes(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Warehouse] = []
    look = coverage._look_at_server
    monkeypatch.setattr(
        coverage, "_look_at_server", lambda warehouse: looks.append(warehouse) or look(warehouse)
    )
    for table in ("accounting", "rollup_months", "migrations"):
        db.command(f"OPTIMIZE TABLE {table} FINAL")  # else it may be merged meanwhile
    ask(db, BY_MONTH)
    looks.clear()
    ask(db, BY_MONTH)
    assert not looks
    zone = {CLUSTER: ClusterSettings(timezone="Asia/Tokyo")}
    other = Settings(database=db.settings.database, clusters=zone)
    changes: tuple[Callable[[], object], ...] = (
        lambda: load_bytes(db, tmp_path / "late", accounting(2, 30)),
        lambda: rollups.refresh(db),
        lambda: db.command("OPTIMIZE TABLE accounting FINAL"),
        lambda: setattr(db, "settings", other) or migrate(db),
    )
    for change in changes:
        looks.clear()
        change()  # a refresh looks by itself
        ask(db, BY_MONTH)
        assert looks


def test_what_another_version_left_does_not_count_as_made(db: Warehouse) -> None:
    """It made a table its own way, and this version is back: the months that it names are not."""
    [table] = [each for each in TABLES if each.name == "total_value_months"]
    db.command(f"DROP TABLE {table.name} SYNC")
    db.command(f"{table.create_sql} COMMENT 'another version'")
    assert rollups.refresh(db).months > 0
    median = Question(("wait_median",))
    assert tables(db, median) == (table.name,)
    check(db, median)


def test_values_stay_in_their_arrays_where_all_rows_have_such(db: Warehouse) -> None:
    medians = Question(("wait_median", "jobs", "memory_p90"), ("queue",))
    assert "InterpolatedArray" in to_sql(db, medians)[0]
    check(db, medians)
    some_days = replace(medians, period=Period.parse("2018-01-10..2018-02"))
    assert "InterpolatedArray" not in to_sql(db, some_days)[0]
    check(db, some_days)


def test_other_settings(db: Warehouse, database_url: str) -> None:
    zone = {CLUSTER: ClusterSettings(timezone="Asia/Tokyo")}
    classes = {CLUSTER: ClusterSettings(timezone="Europe/Paris", pe_classes={"mpi": "multi-node"})}
    known = db.settings
    for clusters, path in [(classes, ("queue_months",)), (zone, ("lines",))]:
        db.settings = Settings(database=database_url, clusters=clusters)
        migrate(db)
        assert tables(db, Question(("jobs",), ("parallel_class",))) == path
        check_all(db)
    rollups.refresh(db)
    assert tables(db, Question(("jobs",), ("parallel_class",))) == ("queue_months",)
    check_all(db)
    db.settings = known


def test_memberships_that_change_with_a_month_need_no_days(
    db: Warehouse, database_url: str
) -> None:
    moved = [
        {"user": "bob", "until": "2018-02-01"},
        {"user": "bob", "since": "2018-02-01", "share": 0.5},
        {"group": "chem", "since": "2018-01-01"},
    ]
    known = db.settings
    changed = SITE | {"metagroups": {"lab": {"users": ["ann"]}, "moved": {"members": moved}}}
    db.settings = Settings(database=database_url, **changed)
    migrate(db)
    rollups.refresh(db)
    for metric, table in {"core_hours": "user_months", "wait_median": "user_value_months"}.items():
        for dimensions in ("metagroup",), ("metagroup", "year"):
            asked = Question((metric,), dimensions)
            assert tables(db, asked) == (table,)
            check(db, asked)
            kept = replace(asked, filters=(Filter("metagroup", ("moved",)),))
            assert tables(db, kept) == (table,)
            check(db, kept)
    by_week = Question(("core_hours",), ("metagroup", "week"))
    assert tables(db, by_week) == ("cube_days",)
    check(db, by_week)
    db.settings = known


def test_without_rollups_and_without_lines(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url) as opened:
        assert ask(opened, Question(("jobs", "wait_avg"))).to_pylist() == [
            {"jobs": 0, "wait_avg": None}
        ]
        assert rollups.refresh(opened).months == 0
        load_bytes(opened, tmp_path / "accounting", accounting(1, 50))
        assert tables(opened, BY_MONTH) == ("lines",)
        check_all(opened, 2)


@pytest.mark.parametrize("missing", ["VIEW definitions", "TABLE rollup_months"])
def test_before_a_migration_answers_are_from_the_lines(db: Warehouse, missing: str) -> None:
    db.command(f"DROP {missing} SYNC")
    coverage._looked.pop(db, None)  # as in a process that begins then
    assert tables(db, BY_MONTH) == ("lines",)
    assert ask(db, Question(("attempts",))).to_pylist() == [{"attempts": 400}]
    assert ask(db, BY_MONTH).num_rows > 3


def test_words_have_one_meaning(db: Warehouse) -> None:
    columns = set(column(db, "SELECT name FROM system.columns WHERE database = currentDatabase()"
                             " AND table = 'lines'"))  # fmt: skip
    assert not columns & set(AMOUNTS)
    assert set(DERIVED) <= columns
    assert set(KEYS) <= columns
    texts = [metric.sql for metric in METRICS.values()]
    texts += [each.sql + each.array_join + each.has for each in DIMENSIONS.values()]
    texts += site.derived(db.settings).values()
    assert words(texts) & columns <= COLUMNS


def test_parts_that_a_refresh_saw_are_known_when_they_merge() -> None:
    seen = Built([("2018", 1, 3, 0), ("2018", 5, 5, 0), ("2019", 4, 4, 9)])

    def knows(partition: str, first: int, last: int, version: int = 0) -> bool:
        return seen.knows(Part(partition, first, last, version, date.min, date.min))

    assert knows("2018", 1, 3) and knows("2018", 1, 5)
    assert not knows("2018", 1, 6) and not knows("2018", 6, 6) and not knows("2018", 2, 3)
    assert not knows("2018", 1, 3, 7) and knows("2019", 4, 4, 9) and not knows("2019", 4, 4, 10)
    assert not knows("2017", 1, 1)


def test_spans_of_days() -> None:
    day = [date(2018, 1, each) for each in range(1, 10)]
    assert list(united([(day[4], day[5]), (day[0], day[2]), (day[2], day[3])])) == [
        (day[0], day[3]),
        (day[4], day[5]),
    ]
    holes = [(day[0], day[1]), (day[3], day[4]), (day[6], day[8])]
    assert list(without((day[1], day[7]), holes)) == [(day[1], day[3]), (day[4], day[6])]


def test_explain_says_what_answered_and_what_was_read(db: Warehouse) -> None:
    explained = explain(db, BY_MONTH)
    assert explained.tables == ("total_months",)
    assert re.fullmatch(r"total_months: [1-9]\d* rows, 0\.\d MB read, \d+ ms", str(explained))
    lines = explain(db, Question(("jobs",), exact=True))
    assert lines.tables == ("lines",) and lines.rows > explained.rows
