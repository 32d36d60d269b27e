"""Rollups of scopes: the same answers as from the lines, for those alone who may see them."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse import askers, builds, members, policies, rollups, unnamed
from clickhouse.connection import Warehouse
from clickhouse.cubes import TABLES
from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from clickhouse.migrate import migrate
from clickhouse.query import Filter, Period, Question, ask, to_sql
from clickhouse.roles import AccessSettings
from clickhouse.scope import Scope, settings_of
from clickhouse.seen import of_scope
from clickhouse.settings import Settings
from tests.conftest import of_engine, start_server
from tests.databases import Pool
from tests.helpers import CLUSTER, column, line, load_bytes, one, warehouse
from tests.rolled import NODES, OWNERS, QUEUES, SITE, T, accounting, check, refreshed

ACCESS: dict[str, Any] = {
    "method": "header",
    "admins": {"users": ["root"]},
    "pis": {"ann": {"users": ["bob", "o'neil"], "groups": ["physics"]}},
    "correspondents": {
        "lab": {"logins": ["cid", "bob"], "metagroups": ["lab"]},
        "dated": {"logins": ["dora"], "metagroups": ["since"], "projects": ["p1"]},
        "within": {"logins": ["eve"], "metagroups": ["moved"]},
        "by token": {"token_groups": ["bio"], "groups": ["chem"]},
    },
}
METAGROUPS = {
    **SITE["metagroups"],
    "since": {"members": [{"group": "chem", "since": "2018-02-01", "clusters": [CLUSTER]}]},
}
CONFIGURED = SITE | {"metagroups": METAGROUPS, "access": ACCESS}
SCOPED = [table.name for table in TABLES if table.scoped]
BY_QUEUE = Question(("jobs", "core_hours", "wait_median"), ("queue",))


def scope_of(login: str) -> Scope:
    return AccessSettings(**ACCESS).appointed(login).scope


def tables(db: Warehouse, question: Question) -> tuple[str, ...]:
    return to_sql(db, question)[2].tables


def numbers(db: Warehouse) -> set[int]:
    return {*column(db, "SELECT arrayJoin(made_scopes.1) FROM rollup_months FINAL")}


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    with refreshed(database_url, tmp_path, 300, CONFIGURED) as opened:
        yield opened


def test_roles_that_name_people_have_rollups() -> None:
    assert AccessSettings(**ACCESS).scopes() == tuple(
        map(scope_of, ("ann", "cid", "bob", "dora", "eve"))
    )
    assert scope_of("bob") == Scope(users=("bob",), metagroups=("lab",))
    assert scope_of("ann") == Scope(users=("ann", "bob", "o'neil"), groups=("physics",))


def scopes_read(db: Warehouse, question: Question) -> set[int]:
    sql, parameters, _ = to_sql(db, question)
    return {parameters[name] for name in re.findall(r"scope = \{(\w+):UInt64\}", sql)}


def test_each_question_takes_the_smallest_rollup_of_its_scope(db: Warehouse) -> None:
    assert SCOPED == [
        "queue_days", "total_days", "host_months", "ending_months", "hour_months", "queue_months",
        "user_months", "total_months", "request_value_months", "queue_value_months",
        "size_value_months", "qname_value_months", "total_value_months", "host_years",
        "size_value_years",
    ]  # fmt: skip
    by = {
        (): ("total_months",),
        ("month", "outcome"): ("total_months",),
        ("queue", "slots"): ("queue_months",),
        ("node",): ("host_months",),
        ("submission_hour",): ("hour_months",),
        ("hour", "weekday"): ("ending_months",),
        ("day",): ("total_days",),
        ("day", "queue"): ("queue_days",),
        ("user",): ("user_months",),
        ("node", "day"): ("line_days",),
    }
    for login in ("ann", "cid", "dora"):
        asked = {each: Question(("jobs",), each, scope=scope_of(login)) for each in by}
        assert {each: tables(db, question) for each, question in asked.items()} == by, login
        assert 0 not in scopes_read(db, asked["user",]) > set(), login
    medians = Question(("wait_median",), ("requested_time_from",), scope=scope_of("ann"))
    assert tables(db, medians) == ("request_value_months",)
    assert tables(db, replace(medians, dimensions=())) == ("total_value_months",)
    some_days = replace(BY_QUEUE, metrics=("jobs",), period=Period.parse("2018-01-10..2018-02"))
    assert tables(db, replace(some_days, scope=scope_of("ann"))) == ("queue_months", "queue_days")
    # no month tells who joined within it, and nobody said which people have a role by their token
    for scope in (scope_of("eve"), Scope(users=("x",), groups=("chem",)), Scope(users=("ann",))):
        assert not {*tables(db, replace(BY_QUEUE, scope=scope))} & {*SCOPED}
        assert scopes_read(db, Question(("jobs",), ("user",), scope=scope)) <= {0}
    assert tables(db, replace(BY_QUEUE, scope=Scope(public=True)))[0] in ("cube_months", "lines")
    assert tables(db, replace(BY_QUEUE, exact=True, scope=scope_of("ann"))) == ("lines",)


FILTERS = [Filter("queue", (QUEUES[0],)), Filter("node", (NODES[0],), exclude=True)]
FILTERS += [Filter("user", (OWNERS[0],)), Filter("year", ("2017",)), Filter("slots", ("4",))]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    some = st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=3, unique=True)
    by = st.lists(st.sampled_from(sorted(DIMENSIONS)), max_size=2, unique=True)
    periods = ["all", "2018", "2018-02", "2018-01-10..2018-03-20", "..2017-12"]
    return Question(
        tuple(draw(some)),
        tuple(draw(by)),
        Period.parse(draw(st.sampled_from(periods))),
        tuple(draw(st.lists(st.sampled_from(FILTERS), max_size=1))),
        scope=scope_of(draw(st.sampled_from(["ann", "bob", "cid", "dora", "eve"]))),
    )


def check_all(db: Warehouse, examples: int = 2) -> None:
    """Compare random questions with the lines, and what rollups of scopes are for."""

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(question=questions())
    def compare(question: Question) -> None:
        check(db, question)

    compare()
    for login, dimensions in itertools.product(("ann", "dora"), [("queue",), ("month", "outcome")]):
        check(db, Question(("jobs", "core_hours"), dimensions, scope=scope_of(login)))


def test_answers_are_those_of_the_lines(db: Warehouse) -> None:
    check_all(db, 40)
    for login in ("ann", "bob", "cid", "dora"):
        for dimension in (
            "queue",
            "node",
            "day",
            "submission_hour",
            "parallel_class",
            "slots_from",
        ):
            check(
                db,
                Question(
                    ("jobs", "core_hours", "duration_max"), (dimension,), scope=scope_of(login)
                ),
            )
        for metric in ("wait_median", "duration_p90", "memory_p99"):
            check(db, Question((metric,), ("queue",), scope=scope_of(login)))


def test_new_lines_are_in_the_next_answer(db: Warehouse, tmp_path: Path) -> None:
    asked = Question(("jobs",), ("queue",), scope=scope_of("ann"))
    made = [line(job_number=9000 + n, owner="ann", end_time=T + n, qname="new.q") for n in range(3)]
    load_bytes(db, tmp_path / "more", b"\n".join(made) + b"\n")
    assert {"queue": "new.q", "jobs": 3} in ask(db, asked).to_pylist()
    assert "lines" in tables(db, asked)
    assert to_sql(db, asked)[2].alone == 0
    check_all(db)
    load_bytes(db, tmp_path / "late", accounting(3, 60))
    check_all(db)
    rollups.refresh(db)
    assert tables(db, asked) == ("queue_months",)
    assert {"queue": "new.q", "jobs": 3} in ask(db, asked).to_pylist()
    check_all(db, 5)


def changed(database_url: str, **changes: Any) -> Warehouse:
    opened = Warehouse(Settings(**(CONFIGURED | changes), database=database_url))
    migrate(opened)
    return opened


def test_another_role_is_answered_at_once_and_fast_after_a_refresh(
    database_url: str, db: Warehouse
) -> None:
    before, builds = numbers(db), column(db, "SELECT build FROM rollup_months FINAL ORDER BY month")
    asked = replace(BY_QUEUE, scope=Scope(users=("new", "é🦆")))
    check(db, asked)
    db.close()
    more = ACCESS | {"pis": ACCESS["pis"] | {"new": {"users": ["é🦆"]}}}
    with changed(database_url, access=more) as opened:
        assert not {*tables(opened, asked)} & {*SCOPED}
        assert rollups.refresh(opened).months == 0
        assert tables(opened, asked) == ("queue_months", "qname_value_months")
        assert column(opened, "SELECT build FROM rollup_months FINAL ORDER BY month") == builds
        assert numbers(opened) > before
        check(opened, asked)
        check_all(opened)
        assert rollups.refresh(opened).months == 0  # and nothing is left to do
        assert numbers(opened) > before


def test_an_edited_metagroup_is_another_scope(database_url: str, db: Warehouse) -> None:
    asked = replace(BY_QUEUE, scope=scope_of("cid"))
    before = of_scope(db, asked.scope, {}).number
    db.close()
    labs = METAGROUPS | {"lab": {"users": ["bob"], "groups": ["physics"]}}
    members._known.clear()  # what is looked up once a second
    with changed(database_url, metagroups=labs) as opened:
        for again in range(2):
            assert of_scope(opened, asked.scope, {}).number != before
            assert bool({*tables(opened, asked)} & {*SCOPED}) == bool(again)
            check(opened, asked)
            rollups.refresh(opened)


def test_a_refresh_that_ends_half_way_changes_no_answer(
    db: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_bytes(db, tmp_path / "more", accounting(7, 80))
    whole, made = builds._insert, random.Random(1)

    def failing(*words: Any, **more: Any) -> None:
        whole(*words, **more)
        if len(words) == 7 and made.random() < 0.4:  # rows of scopes
            raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(builds, "_insert", failing)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="killed"):
                rollups.refresh(db)
            check_all(db)
    rollups.refresh(db)
    assert tables(db, replace(BY_QUEUE, scope=scope_of("ann")))[0] == "queue_months"
    check_all(db, 5)
    unnamed.drop_unnamed(db, kept_seconds=0, settled_seconds=0)
    refreshes = "arrayJoin(arrayPushBack(made_scopes.2, intDiv(build, 2500)))"
    named = f"SELECT {refreshes} FROM rollup_months FINAL"
    for name in SCOPED:
        left = f"SELECT count() FROM {name} WHERE intDiv(build, 2500) NOT IN ({named})"
        assert one(db, left) == 0
    check_all(db, 5)


def test_without_roles_there_are_none(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url, **SITE) as opened:
        load_bytes(opened, tmp_path / "accounting", accounting(1, 50))
        rollups.refresh(opened)
        assert numbers(opened) == set()
        assert all(one(opened, f"SELECT countIf(scope > 0) FROM {name}") == 0 for name in SCOPED)
        check(opened, replace(BY_QUEUE, scope=scope_of("ann")))


def test_a_server_shows_them_to_those_alone_whose_they_are(db: Warehouse) -> None:
    condition = policies.conditions(db)["queue_months"]
    for login in ("ann", "cid", "dora"):
        said = comment_of(db, scope_of(login))
        own = of_scope(db, scope_of(login), {}).number
        shown = column_as(db, f"SELECT DISTINCT scope FROM queue_months WHERE {condition}", said)
        assert shown == [own] and own > 0, login
        # what asks for nothing else says so, and is shown nothing else
        alone = settings_of(scope_of(login), own, alone=True)["log_comment"]
        for table, condition_of_table in policies.conditions(db).items():
            scoped = "scope" if table in SCOPED else "0"
            sql = f"SELECT DISTINCT {scoped} FROM {table} WHERE {condition_of_table}"
            shown = column_as(db, sql, alone)
            assert shown in ([own], []), (login, table)
            assert table not in ("queue_months", "user_months") or shown, (login, table)
    for comment in ("", "{}", '{"pychart_number":0}', '{"pychart_number":"x"}'):
        assert column_as(db, f"SELECT scope FROM queue_months WHERE {condition}", comment) == []


def test_a_policy_knows_a_name_as_it_is_shown(database_url: str, tmp_path: Path) -> None:
    file = accounting(1, 60).replace(b":ann:", b":ann\xe9:").replace(b":bob:", b":b\xefb:")
    its = {"its": {"users": ["ann\ufffd"]}}
    with warehouse(database_url, **SITE | {"metagroups": its}) as opened:
        load_bytes(opened, tmp_path / "accounting", file)
        rollups.refresh(opened)
        for table, condition in policies.conditions(opened).items():
            if table not in ("accounting", "cube_months", "user_months"):
                continue
            is_ann = "toValidUTF8(owner) = 'ann\ufffd'"
            sql = f"SELECT DISTINCT {is_ann} FROM {table} WHERE {condition}"
            said = settings_of(Scope(users=("ann\ufffd", "nobody")))["log_comment"]
            for comment in (
                said,
                said.replace("\ufffd", "\\ufffd"),
                said.replace("\ufffd", "\\uFFFD"),
            ):
                assert column_as(opened, sql, comment) == [1], (table, comment)
            for name in ("ann", "ann\xe9"):
                said = settings_of(Scope(users=(name,)))["log_comment"]
                assert column_as(opened, sql, said) == []
            said = settings_of(Scope(metagroups=("its",)))["log_comment"]
            assert column_as(opened, sql, said) == [1]


def comment_of(db: Warehouse, scope: Scope) -> str:
    return settings_of(scope, of_scope(db, scope, {}).number)["log_comment"]


def column_as(db: Warehouse, sql: str, comment: str) -> list[Any]:
    return [row[0] for row in db.rows(sql, settings={"log_comment": comment})]


@pytest.fixture(scope="module")
def of_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The databases of a server that keeps a log: a server does, `clickhouse local` if told to."""
    folder = tmp_path_factory.mktemp("log")
    config = folder / "config.xml"
    config.write_text("<clickhouse><query_log><table>query_log</table></query_log></clickhouse>")
    with start_server(folder, config) as running:
        yield Pool(running)


@pytest.fixture(params=["chdb", "server"])
def noted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse within whose scopes nobody has asked yet, where it is noted who does."""
    with (
        of_engine(request, tmp_path, Pool.none_yet, "of_log") as url,
        refreshed(url, tmp_path, 300, CONFIGURED) as opened,
    ):
        yield opened


def asked_within(db: Warehouse) -> list[Scope]:
    if not db.embedded:
        db.command("SYSTEM FLUSH LOGS query_log")
    return askers.scopes(db)


def test_who_has_a_role_by_the_token_has_rollups_once_he_has_asked(noted: Warehouse) -> None:
    by_token = AccessSettings(**ACCESS).appointed("gil", ["bio"]).scope
    assert by_token == Scope(users=("gil",), groups=("chem",))
    theirs = replace(BY_QUEUE, scope=by_token)
    of_metagroup = replace(theirs, scope=Scope(users=("gil",), metagroups=("lab", "since")))
    alone = replace(theirs, scope=Scope(users=("bob",)))
    of_nobody = replace(theirs, scope=Scope(users=("",)))
    before = numbers(noted)
    check(noted, of_nobody)
    for each in (theirs, of_metagroup, alone):
        check(noted, each)
        assert not {*tables(noted, each)} & {*SCOPED}
    of_those = {of_scope(noted, each.scope, {}).number for each in (theirs, of_metagroup, alone)}
    assert {of_scope(noted, scope, {}).number for scope in asked_within(noted)} >= of_those
    rollups.refresh(noted)
    assert numbers(noted) == before | of_those
    for each in (theirs, of_metagroup, alone):
        assert tables(noted, each) == ("queue_months", "qname_value_months")
        check(noted, each)
    check(noted, of_nobody)
    check_all(noted)


def test_who_comes_adds_rows_and_others_keep_theirs(noted: Warehouse) -> None:
    """One user after the other: each refresh makes rows of the new one alone."""
    made = "SELECT DISTINCT arrayJoin(made_scopes) FROM rollup_months FINAL"
    before = {*column(noted, made)}
    for name in ("bob", "o'neil", "é🦆", "nobody"):
        own = Question(("jobs", "core_hours", "wait_p90"), ("queue",), scope=Scope(users=(name,)))
        by_node = replace(own, metrics=("jobs",), dimensions=("node",))
        check(noted, own)
        asked_within(noted)
        rollups.refresh(noted)
        after = {*column(noted, made)}
        assert before < after
        number = of_scope(noted, own.scope, {}).number
        assert {scope for scope, _ in after - before} == {number}
        for question in (own, by_node):
            path = to_sql(noted, question)[2]
            assert {*path.tables} <= {*SCOPED}
            assert path.alone == number
            check(noted, question)
        assert asked_within(noted).count(own.scope) == 1
        before = after
    check_all(noted, 5)


def test_the_last_who_asked_are_kept(noted: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askers, "MOST", 2)
    monkeypatch.setattr(askers, "MOST_USERS", 1)
    scopes = [Scope(users=("gil", name)) for name in ("a", "b", "c")]
    single = [Scope(users=(name,)) for name in ("a", "b")]
    none = (Scope(public=True), Scope(), Scope(users=("",)))
    for scope in (*scopes, *single, scopes[1], *none):
        ask(noted, Question(("jobs",), scope=scope))
    assert asked_within(noted) == [scopes[1], scopes[2], single[1]]


WRITTEN = [
    '{"pychart_number": 5, "pychart_users": "bob"}',
    '{"pychart_number": 5, "pychart_users": 7, "pychart_groups": []}',
    '{"pychart_number": 5, "pychart_users": [1, 2], "pychart_groups": ["x"]}',
    '{"pychart_number": 5, "pychart_users": ["a\\u0000", "b"]}',
    '{"pychart_number": 5, "pychart_groups": ["\\ud800"]}',
    '{"pychart_number": 5, "pychart_named": {"pychart_users": [7]}}',
    '{"pychart_number": 5, "pychart_named": "pychart_users"}',
    '["pychart_number"]',
    '"pychart_number"',
    "pychart_number",
]


def test_what_others_write_in_the_log_makes_no_scope(noted: Warehouse) -> None:
    before = numbers(noted)
    for comment in WRITTEN:
        noted.rows("SELECT count() FROM accounting", settings={"log_comment": comment})
    assert asked_within(noted) == []
    rollups.refresh(noted)
    assert numbers(noted) == before
