"""Rows of whole years: taken where one refresh made all twelve months, the same as from lines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clickhouse import due, rollups, unnamed
from clickhouse.connection import Warehouse
from clickhouse.cubes import CUBES, TABLES, VALUE_CUBES, YEAR_CUBES
from clickhouse.policies import conditions
from clickhouse.query import Filter, Period, Question
from clickhouse.roles import AccessSettings
from clickhouse.scope import Scope
from clickhouse.seen import for_whom
from tests.helpers import column, load_bytes
from tests.rolled import DAY, SITE, T, accounting, check, refreshed, tables

METAGROUPS = {
    **SITE["metagroups"],
    "joined": {"members": [{"group": "chem", "since": "2018-03-01", "until": "2018-10-01"}]},
    "of 2018": {"members": [{"group": "chem", "since": "2018-01-01", "until": "2019-01-01"}]},
}
ACCESS: dict[str, Any] = {
    "method": "header",
    "pis": {"ann": {"users": ["bob"], "groups": ["physics"]}},
    "correspondents": {
        "some": {"logins": ["cid"], "metagroups": ["joined"]},
        "all": {"logins": ["dora"], "metagroups": ["of 2018"]},
    },
}
CONFIGURED = SITE | {"metagroups": METAGROUPS, "access": ACCESS}
YEARS = {cube.name for cube in YEAR_CUBES}
CLASSES = Question(("jobs", "core_hours"), ("user", "parallel_class"))
MEDIANS = Question(("wait_median", "duration_p90"), ("user",))
SIZES = Question(("jobs", "duration_median"), ("slots",))
HOSTS = Question(("jobs", "users", "core_hours"), ("node", "year"))
ASKED = [
    CLASSES, MEDIANS, SIZES, HOSTS,
    replace(CLASSES, dimensions=("account", "year"), filters=(Filter("queue", ("all.q",)),)),
    replace(MEDIANS, dimensions=("metagroup",)),
    replace(HOSTS, dimensions=("sub_cluster",)),
    replace(HOSTS, dimensions=("node",), filters=(Filter("user", ("bob",), exclude=True),)),
]  # fmt: skip
PERIODS = ["all", "2017", "2018", "2017..2018", "2016-12..2018-01", "2017-06..2019", "..2018-11-20"]
SCOPES = [AccessSettings(**ACCESS).appointed(login).scope for login in ("ann", "cid", "dora")]


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    """Two years and some days before and after them."""
    with refreshed(database_url, tmp_path, 600, CONFIGURED, T - 400 * DAY, 800) as opened:
        yield opened


def in_(question: Question, period: str) -> Question:
    return replace(question, period=Period.parse(period))


def reads_years(db: Warehouse, question: Question) -> bool:
    return not YEARS.isdisjoint(tables(db, question))


def rows_of_years(db: Warehouse) -> dict[str, int]:
    return {name: int(db.rows(f"SELECT count() FROM {name}")[0][0]) for name in YEARS}


def test_each_is_as_a_rollup_of_months() -> None:
    for cube in YEAR_CUBES:
        assert [c for c in (*CUBES, *VALUE_CUBES) if cube.is_of_years_of(c)], cube.name
        assert not any(cube.has_people_of(other) for other in TABLES)


def test_whole_years_come_from_rows_of_years(db: Warehouse) -> None:
    assert tables(db, in_(CLASSES, "2017")) == ("cube_years",)
    assert tables(db, in_(CLASSES, "2017..2018")) == ("cube_years",)
    assert tables(db, CLASSES) == ("cube_years", "cube_months")
    assert tables(db, in_(CLASSES, "2017-02..2018")) == ("cube_years", "cube_months")
    assert tables(db, in_(CLASSES, "2018-01-02..2018-12")) == ("cube_months", "cube_days")
    assert tables(db, replace(CLASSES, dimensions=("user", "quarter"))) == ("user_months",)
    assert tables(db, replace(CLASSES, dimensions=("account", "month"))) == ("cube_months",)
    assert tables(db, in_(MEDIANS, "2018")) == ("user_value_years",)
    assert tables(db, in_(SIZES, "2018")) == ("queue_months", "size_value_years")
    of_user = replace(CLASSES, filters=(Filter("user", ("bob",)),))  # few rows: one table will do
    assert tables(db, of_user) == ("cube_months",)
    assert tables(db, in_(HOSTS, "2018")) == ("host_years", "node_years")
    [rows] = column(db, "SELECT count() FROM cube_years")
    [months] = column(db, "SELECT count() FROM cube_months")
    assert 0 < rows < months  # type: ignore[operator]


def test_they_say_the_same_as_lines(db: Warehouse) -> None:
    for asked in ASKED:
        for period in PERIODS:
            check(db, in_(asked, period))


def test_a_year_with_a_new_line_is_not_one_until_one_refresh_makes_it(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_bytes(db, tmp_path / "late", accounting(2, 5, T + 150 * DAY, 1))
    assert not reads_years(db, in_(CLASSES, "2018"))
    assert reads_years(db, in_(CLASSES, "2017"))
    check(db, CLASSES)
    rollups.refresh(db)
    assert tables(db, in_(CLASSES, "2018")) == ("cube_months",)
    check(db, CLASSES)
    monkeypatch.setattr(due, "TOGETHER_SECONDS", 0)
    rollups.refresh(db)
    assert tables(db, in_(CLASSES, "2018")) == ("cube_years",)
    for asked in ASKED:
        check(db, in_(asked, "2017..2018"))


def test_rows_of_years_that_nothing_names_are_dropped(
    db: Warehouse,
) -> None:
    before = rows_of_years(db)
    db.command("TRUNCATE TABLE rollup_months")
    rollups.refresh(db)
    assert rows_of_years(db) == {name: 2 * rows for name, rows in before.items()}
    unnamed.drop_unnamed(db, kept_seconds=0, settled_seconds=0)
    assert rows_of_years(db) == before
    check(db, CLASSES)


def test_a_month_that_is_gone_takes_its_year_along(db: Warehouse) -> None:
    db.command(
        "ALTER TABLE accounting DELETE WHERE toYYYYMM(time) = 201804 SETTINGS mutations_sync = 2"
    )
    assert not reads_years(db, in_(CLASSES, "2018"))
    check(db, in_(CLASSES, "2018"))
    rollups.refresh(db)
    for asked in ASKED:
        check(db, in_(asked, "2017..2018"))


@pytest.mark.parametrize("scope", SCOPES, ids=["PI", "some of 2018", "all of 2018"])
def test_a_scope_sees_its_own_of_a_year(db: Warehouse, scope: Scope) -> None:
    assert tables(db, replace(in_(SIZES, "2018"), scope=scope))[-1] == "size_value_years"
    rng = random.Random(1)
    for asked in ASKED:
        for period in ("2018", "2016-12..2018", rng.choice(PERIODS)):
            check(db, replace(in_(asked, period), scope=scope))
    found = {*tables(db, replace(in_(MEDIANS, "2018"), scope=scope))}
    found |= {*tables(db, replace(in_(HOSTS, "2018"), scope=scope))}
    by_month = scope.metagroups == ("joined",)  # which rows of months tell, and the scope's own
    assert ({"user_value_years", "node_years"} <= found) != by_month
    assert ({"user_value_months", "node_months"} <= found) == by_month


@pytest.mark.parametrize("database_url", ["server"], indirect=True)
def test_a_row_policy_shows_years_that_are_whole_memberships(db: Warehouse) -> None:
    """No row of a year may show what was before a member joined, or after he left."""
    said = conditions(db)
    for scope, expected in zip(SCOPES, (None, set(), {("chem", 2018)}), strict=True):
        for name in ("cube_years", "node_years", "user_value_years"):
            rows = db.rows(
                f"SELECT DISTINCT `group`, toYear(day), owner FROM {name} WHERE {said[name]}",
                settings=for_whom(db, scope),
            )
            if expected is None:
                assert {year for _, year, _ in rows} == {2017, 2018}
                assert all(group == "physics" or owner in scope.users for group, _, owner in rows)
            else:
                assert {(group, year) for group, year, _ in rows} == expected
