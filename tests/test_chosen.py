"""Names chosen within a scope that shows all of theirs: asked for by the filter alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse import chosen, coverage, members, rollups
from clickhouse.connection import Warehouse
from clickhouse.distributions import TIMES, Histogram, tables
from clickhouse.migrate import migrate
from clickhouse.paths import Path as Rows
from clickhouse.query import Filter, Period, Question, to_sql
from clickhouse.scope import Scope, settings_of
from clickhouse.settings import Settings
from tests.helpers import line, load_bytes
from tests.rolled import OWNERS, PERIODS, SITE, T, check, questions, refreshed

LAB = Scope(users=("cid",), metagroups=("lab",))  # ann, bob, and chem
NODES = Question(("jobs", "core_hours"), ("node",))


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    with refreshed(database_url, tmp_path) as opened:
        yield opened


def chosen_of(scope: Scope | None, *filters: Filter, **more: Any) -> Question:
    return replace(NODES, filters=filters, scope=scope, **more)


def path_of(db: Warehouse, question: Question) -> Rows:
    return to_sql(db, question)[2]


def users(*names: str, exclude: bool = False) -> Filter:
    return Filter("user", names, exclude)


KEPT = {
    users("ann"): Scope(users=("ann",)),
    users("ann", "bob"): Scope(users=("ann", "bob")),
    users("nobody"): Scope(users=("nobody",)),
    Filter("group", ("chem",)): Scope(groups=("chem",)),
    users("o'neil"): None,  # of whose jobs only those of chem may be seen
    users("ann", "o'neil"): None,
    users("ann", ""): None,
    users("ann", exclude=True): None,
    users(): None,
    Filter("group", ("physics",)): None,
    Filter("project", ("p1",)): None,
    Filter("metagroup", ("lab",)): None,
}


def test_the_filter_is_all_that_is_asked(db: Warehouse) -> None:
    for kept, shown in KEPT.items():
        asked = chosen_of(LAB, kept)
        sql, values, path = to_sql(db, asked)
        assert path.chosen == shown, kept
        free, free_values, _ = to_sql(db, replace(asked, scope=None))
        assert (sql == free) == (shown is not None), kept
        if shown:
            assert {values[name] == free_values[name] for name in free_values} == {True}
        if shown and not db.embedded:
            assert path.for_whom(db, LAB) == settings_of(shown)
        check(db, asked)


def test_both_kinds_are_the_users(db: Warehouse) -> None:
    both = chosen_of(LAB, Filter("group", ("physics",)), users("ann"))
    assert path_of(db, both).chosen == Scope(users=("ann",))
    check(db, both)


def test_many_names_are_asked_for_within_the_scope(db: Warehouse) -> None:
    for count, known in ((chosen.MOST, True), (chosen.MOST + 1, False)):
        asked = chosen_of(LAB, users(*(f"u{number}" for number in range(count))))
        assert (path_of(db, asked).chosen is not None) == known


def test_lines_are_never_asked_for_without_the_scope(db: Warehouse, tmp_path: Path) -> None:
    asked = chosen_of(LAB, users("ann"))
    for question in (
        replace(asked, exact=True),
        replace(asked, booked="spread", metrics=("wall_hours",)),
        replace(asked, filters=(*asked.filters, Filter("job_name", ("x",)))),
    ):
        path = path_of(db, question)
        assert path.chosen is None or "lines" not in path.tables
    assert path_of(db, replace(asked, exact=True)).chosen is None
    load_bytes(db, tmp_path / "more", line(job_number=9000, owner="ann", end_time=T) + b"\n")
    path = path_of(db, asked)
    assert path.chosen is None
    assert "lines" in path.tables
    check(db, asked)


def test_who_gets_jobs_beyond_the_scope_is_asked_for_within_it(
    db: Warehouse, tmp_path: Path
) -> None:
    scope, day = Scope(groups=("math",)), Period.parse("2018-01")
    inside = {"owner": "zoe", "group": "math", "end_time": T + 5000}
    load_bytes(db, tmp_path / "a", line(job_number=9000, **inside) + b"\n")
    rollups.refresh(db)
    asked = chosen_of(scope, users("zoe"))
    assert path_of(db, asked).chosen == Scope(users=("zoe",))
    beyond = inside | {"group": "chem", "end_time": T + 40 * 86400}
    load_bytes(db, tmp_path / "b", line(job_number=9001, **beyond) + b"\n")
    assert path_of(db, asked).chosen is None
    check(db, asked)
    rollups.refresh(db)
    assert path_of(db, asked).chosen is None
    check(db, asked)
    # but not in January, of which nothing is hidden
    assert path_of(db, replace(asked, period=day)).chosen == Scope(users=("zoe",))
    check(db, replace(asked, period=day))


def test_a_membership_within_a_month_is_told_by_days(db: Warehouse) -> None:
    asked = chosen_of(Scope(metagroups=("moved",)), users("bob"))
    assert path_of(db, asked).chosen is None
    check(db, asked)


def test_an_edited_metagroup_shows_others(database_url: str, db: Warehouse) -> None:
    asked = chosen_of(LAB, users("ann"))
    assert path_of(db, asked).chosen
    db.close()
    members._known.clear()  # what is looked up once a second
    labs = SITE["metagroups"] | {"lab": {"users": ["bob"], "groups": ["chem"]}}
    with Warehouse(Settings(**SITE | {"metagroups": labs}, database=database_url)) as opened:
        migrate(opened)
        rollups.refresh(opened)
        assert path_of(opened, asked).chosen is None
        check(opened, asked)


def test_distributions_are_asked_so_too(db: Warehouse) -> None:
    of_ann = Histogram("wait", TIMES, filters=(users("ann"),), scope=LAB)
    assert tables(db, of_ann) == tables(db, replace(of_ann, scope=None))


def test_what_was_found_out_does_not_grow(db: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MOST_REMEMBERED", 5)
    for day in range(10, 22):
        asked = chosen_of(LAB, users("ann"), period=Period.parse(f"2018-01-{day}"))
        assert path_of(db, asked).chosen == Scope(users=("ann",))
        assert 0 < len(coverage.coverage_of(db).memo) <= 5


SCOPES = [LAB, Scope(users=("ann", "bob")), Scope(groups=("physics",)), Scope(projects=("p1",))]
CHOSEN = [users(*some) for some in (OWNERS[:1], OWNERS[:3], OWNERS[3:5], ["nobody"])]
CHOSEN += [Filter("group", ("chem",)), Filter("project", ("p1",)), Filter("project", ("",))]


def test_answers_are_those_of_the_lines(db: Warehouse) -> None:
    @settings(max_examples=30, deadline=None, database=None, derandomize=True)
    @given(
        asked=questions(),
        kept=st.sampled_from(CHOSEN),
        scope=st.sampled_from(SCOPES),
        period=st.sampled_from(PERIODS),
    )
    def compare(asked: Question, kept: Filter, scope: Scope, period: str) -> None:
        filters = (kept, *asked.filters)
        check(db, replace(asked, filters=filters, scope=scope, period=Period.parse(period)))

    compare()
