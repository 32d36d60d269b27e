"""Whose jobs are seen: every function, each kind of scope, both engines, statements of people."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clickhouse import policies, records
from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.distributions import TIMES, Heatmap, Histogram, distribution
from clickhouse.errors import PychartError, QuestionError, WarehouseError
from clickhouse.extras import Extras, ask_more
from clickhouse.metrics import METRICS
from clickhouse.parts import with_unused
from clickhouse.query import Filter, Period, Question, ask, to_sql, values
from clickhouse.records import JobKey, Search
from clickhouse.running import Reader
from clickhouse.scope import FEWEST_PEOPLE, PERSONAL, Scope
from clickhouse.totals import whole, without_total
from tests import helpers, server
from tests.scoped import (
    ALL,
    MIXED,
    OTHERS,
    QUESTIONS,
    SEEN,
    YEAR,
    filled,
    same,
    write_lines,
)

KINDS = {
    "user": Scope(users=("alice", "nobody")),
    "group": Scope(groups=("chimie", "info")),
    "project": Scope(projects=("climate",)),
    "metagroup": Scope(metagroups=("labs", "theirs", "elsewhere")),
    "dated": Scope(metagroups=("until", "")),
    "within a month": Scope(metagroups=("within", "unknown")),
}
MAIN = ("metagroup",)  # which is asked everything
NOBODY, PUBLIC = Scope(), Scope(public=True)
FILTERS = {
    kind: (Filter("metagroup" if kind in ("dated", "within a month") else kind, names),)
    for kind, scope in KINDS.items()
    for names in (sum(scope.by_dimension().values(), ()),)
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    file = tmp_path_factory.mktemp("scope") / "accounting"
    write_lines(file, sample)
    return file


@pytest.fixture(scope="module", params=["chdb", "server"])
def db(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lines: Path
) -> Iterator[Warehouse]:
    url = f"chdb://{tmp_path_factory.mktemp('scope')}/db"
    running: server.RunningServer | None = None
    if request.param == "server":
        running = request.getfixturevalue("server")
        url = running.url("pychart_scope_all")
    with filled(url, lines) as opened:
        yield opened
    if running:
        running.query("DROP DATABASE pychart_scope_all SYNC")


@pytest.fixture(scope="module")
def visible(
    server: server.RunningServer, tmp_path_factory: pytest.TempPathFactory, lines: Path
) -> Iterator[Warehouse]:
    """A warehouse that holds only the lines that the correspondent is to see."""
    kept = tmp_path_factory.mktemp("visible") / "accounting"
    kept.write_bytes(b"".join(filter(is_seen, lines.read_bytes().splitlines(keepends=True))))
    with filled(server.url("pychart_scope_visible"), kept) as opened:
        yield opened
    server.query("DROP DATABASE pychart_scope_visible SYNC")


def is_seen(line: bytes) -> bool:
    """Tell by hand whether the correspondent is to see a line."""
    fields = line.decode().split(":")
    if len(fields) < 45:
        return False
    group, owner, project = fields[2], fields[3], fields[31]
    time = int(fields[10]) or int(fields[8])
    day = datetime.fromtimestamp(time, ZoneInfo("Europe/Paris")).date()
    return (
        group in ("info", "chimie", "rmn")
        or owner == "emile"
        or project == "climate"
        or (group == "biologie" and day < date(2025, 1, 1))
    )


# --- questions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_scope_sees_what_its_filter_keeps(db: Warehouse, kind: str) -> None:
    for name, question in QUESTIONS.items():
        if kind not in MAIN and name not in ("totals", "medians", "over days"):
            continue
        if name == "metagroups" and "metagroup" in (each.dimension for each in FILTERS[kind]):
            continue  # of a line in several, a filter shows only those that it names
        # the filter asks the lines where members are so within a month: medians are exact there
        question = replace(question, exact=question.exact or name == "medians")
        scoped = replace(question, scope=KINDS[kind])
        filtered = replace(question, filters=question.filters + FILTERS[kind])
        same(ask(db, scoped), ask(db, filtered))
        if kind != "within a month":
            tables = {"lines"} & {*to_sql(db, question)[2].tables}
            assert {"lines"} & {*to_sql(db, scoped)[2].tables} == tables, name
    for name, function in OTHERS.items():
        asked = Question(("jobs",))
        if kind not in MAIN and name != "search":
            continue
        same(
            function(db, replace(asked, scope=KINDS[kind])),
            function(db, replace(asked, filters=FILTERS[kind])),
        )
    for dimension in ("user", "queue", "metagroup") if kind in MAIN else ():
        found = {*values(db, dimension, limit=10_000, scope=KINDS[kind])}
        names = ask(db, Question(("attempts",), (dimension,), scope=KINDS[kind]))
        assert found == {str(each) for each in names[dimension].to_pylist()} - {""}


def test_a_scope_without_names_sees_nothing(db: Warehouse) -> None:
    for scope in (NOBODY, Scope(users=("",), metagroups=("",)), Scope(users=("' OR 1 --",))):
        for question in [*QUESTIONS.values()][:: 2 if scope is NOBODY else 5]:
            found = ask(db, replace(question, scope=scope)).to_pylist()
            assert all(not found[0][name] for name in question.metrics if found)
        for name, function in OTHERS.items():
            table = function(db, Question(("jobs",), scope=scope))
            assert name == "extras" or not any(
                table["jobs"].to_pylist() if "jobs" in table.column_names else [table.num_rows]
            )
        assert values(db, "user", scope=scope) == []


def test_never_used_names_of_people_are_those_of_the_scope(db: Warehouse) -> None:
    seen = Scope(users=("alice",), metagroups=("labs",))
    asked = Question(("jobs",), ("queue",), YEAR, scope=seen)
    assert "unused.q" in with_unused(db, asked)["queue"].to_pylist()
    users = {*with_unused(db, replace(asked, dimensions=("user",)))["user"].to_pylist()}
    assert users <= {*values(db, "user", limit=1000, scope=seen), "alice", "emile"}
    groups = {*with_unused(db, replace(asked, dimensions=("group",)))["group"].to_pylist()}
    assert "rmn" in groups
    assert not groups & {"info", "maths"}
    names = with_unused(db, replace(asked, dimensions=("metagroup",)))["metagroup"].to_pylist()
    assert {*names} == {"labs"}


def test_a_job_of_another_is_none(db: Warehouse) -> None:
    sql = "SELECT job_number, task_number, toUInt32(submission_time) FROM lines WHERE is_attempt"
    own, other = Scope(users=("alice",)), Scope(users=("bruno",))
    number, task, submitted = db.rows(f"{sql} AND owner = 'alice' ORDER BY task_number DESC")[0]
    key = JobKey(helpers.CLUSTER, number, task)
    for scope, finds in ((own, True), (other, False), (NOBODY, False)):
        assert bool(records.submissions(db, key, scope).num_rows) == finds
        assert bool(records.tasks(db, key, submitted, 5, scope).num_rows) == finds
        assert bool(records.campaign(db, key, submitted, scope)) == (finds and task > 0)
        assert bool(records.lines_of(db, key, submitted, 5, scope)) == finds
        day = records.last_day(db, key, submitted, scope)
        assert bool(day) == finds
        known = records.last_day(db, key, submitted)
        assert known
        assert bool(records.parallel_class(db, key, known, scope)) == finds
        found = records.search(
            db, Search(date(2000, 1, 1), date(2030, 1, 1), str(number), scope=scope), 5
        )
        assert bool(found.table.num_rows) == finds
    [(file_id,)] = db.rows("SELECT any(file_id) FROM sources")
    assert records.file_of(db, helpers.CLUSTER, file_id)
    assert records.file_of(db, helpers.CLUSTER, file_id, own) == ""


SOME_METRICS = [
    name
    for name in METRICS
    if not name.startswith(("jobs_per_",)) and "{days}" not in METRICS[name].sql
]
SOME_DIMENSIONS = [name for name in DIMENSIONS if name not in ("wait", "duration")]


@hypothesis_settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_scope_answers_as_if_there_were_no_other_lines(
    db: Warehouse, visible: Warehouse, data: st.DataObject
) -> None:
    some = st.lists(st.sampled_from(SOME_METRICS), min_size=1, max_size=3, unique=True)
    by = st.lists(st.sampled_from(SOME_DIMENSIONS), max_size=2, unique=True)
    people = ("emile", "alice", *values(db, "user", limit=8))
    kept = st.sampled_from(
        [
            (),
            (Filter("queue", ("all.q",), exclude=True),),
            (Filter("user", people),),
            (Filter("user", people, exclude=True), Filter("queue", ("all.q",))),
        ]
    )
    question = Question(
        tuple(data.draw(some)),
        tuple(data.draw(by)),
        data.draw(st.sampled_from([ALL, YEAR, Period.parse("2023-05-17..2024-02-03")])),
        data.draw(kept),
        exact=data.draw(st.booleans()),
    )
    scoped = replace(question, scope=MIXED["correspondent"])
    same(ask(db, scoped), ask(visible, question))


# --- the public ---------------------------------------------------------------------------------


def test_the_public_asks_nothing_about_people(db: Warehouse) -> None:
    key, day = JobKey(helpers.CLUSTER, 1), date(2024, 1, 1)
    refused: list[Callable[[], object]] = [
        *(
            lambda name=name: ask(db, Question(("jobs",), (name,), scope=PUBLIC))
            for name in PERSONAL
        ),
        *(
            lambda name=name: ask(
                db, Question(("jobs",), filters=(Filter(name, ("x",)),), scope=PUBLIC)
            )
            for name in PERSONAL
        ),
        *(
            lambda name=name: ask(db, Question((name,), scope=PUBLIC))
            for name in ("duration_max", "wait_min", "memory_max", "ram_max", "slots_max")
        ),
        lambda: values(db, "user", scope=PUBLIC),
        lambda: with_unused(db, Question(("jobs",), ("user",), scope=PUBLIC)),
        lambda: distribution(db, Heatmap("jobs", "queue", "user", scope=PUBLIC)),
        lambda: distribution(db, Histogram("wait", TIMES, ("group",), scope=PUBLIC)),
        lambda: records.search(db, Search(day, day, scope=PUBLIC), 1),
        lambda: records.submissions(db, key, PUBLIC),
        lambda: records.tasks(db, key, 1, 1, PUBLIC),
        lambda: records.campaign(db, key, 1, PUBLIC),
        lambda: records.lines_of(db, key, 1, 1, PUBLIC),
        lambda: records.parallel_class(db, key, day, PUBLIC),
        lambda: records.last_day(db, key, 1, PUBLIC),
        lambda: policies.filters(db, PUBLIC),
    ]
    for function in refused:
        with pytest.raises(QuestionError, match="not for the public"):
            function()


@pytest.mark.parametrize(
    "by", [(), ("queue",), ("node",), ("queue", "month"), ("outcome", "queue", "year")]
)
def test_the_public_sees_no_few_people(db: Warehouse, by: tuple[str, ...]) -> None:
    """Not in a cell, nor in the difference between a sum and the cells that make it up."""
    public = Question(("attempts", "jobs"), by, scope=PUBLIC)
    cells = {key(row, by): row for row in ask(db, replace(public, scope=None)).to_pylist()}
    shown = {key(row, by): row for row in ask(db, public).to_pylist()}
    assert shown
    people: dict[tuple[Any, ...], set[str]] = {}
    for row in ask(db, Question(("attempts",), (*by, "user"))).to_pylist():
        people.setdefault(key(row, by), set()).add(row["user"])
    for cell, row in shown.items():
        assert row == cells[cell]
        assert len(people[cell]) >= FEWEST_PEOPLE
    for count in range(len(by)):
        for places in itertools.combinations(range(len(by)), count):
            rest: dict[tuple[Any, ...], set[str]] = {}
            for cell in people.keys() - shown.keys():
                rest.setdefault(tuple(cell[i] for i in places), set()).update(people[cell])
            some = {tuple(cell[i] for i in places) for cell in shown}
            few = {part: who for part, who in rest.items() if len(who) < FEWEST_PEOPLE}
            assert not some & few.keys(), few
    limited = ask(db, replace(public, limit=2)).to_pylist() if by else []
    assert all(row in shown.values() for row in limited)
    if by:
        split, total = without_total(ask(db, replace(public, total=True)))
        assert split.to_pylist() == [*shown.values()]
        assert total.drop_columns([*by]).to_pylist() == ask(db, whole(public)).to_pylist()


def key(row: dict[str, Any], by: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in by)


def test_the_public_filters_no_few_people(db: Warehouse) -> None:
    by_node = ask(db, Question(("users", "jobs"), ("node",))).to_pylist()
    few = next(row["node"] for row in by_node if 0 < row["users"] < FEWEST_PEOPLE - 1)
    for exclude in (False, True):  # what is left out is a difference too
        kept = (Filter("node", (few,), exclude),)
        asked = Question(("jobs",), filters=kept, scope=PUBLIC)
        assert ask(db, asked).to_pylist() == [{"jobs": None}]
        assert ask(db, replace(asked, dimensions=("month",))).num_rows == 0
        histogram = distribution(db, Histogram("wait", TIMES, filters=kept, scope=PUBLIC))
        assert not any(histogram["jobs"].to_pylist())
    series = ask_more(db, Question(("jobs",), ("day",), YEAR, scope=PUBLIC), Extras(fill=True))
    assert series.num_rows == 366
    assert None in series["jobs"].to_pylist()  # rather than a 0 that is none
    by_user = ask(db, Question(("attempts",), ("node", "user")))["node"].to_pylist()
    assert {*values(db, "node", limit=1000, scope=PUBLIC)} == {
        name for name in by_user if by_user.count(name) >= FEWEST_PEOPLE
    }


# --- statements of people -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(db: Warehouse) -> Iterator[Reader]:
    found = Reader(db.settings)
    yield found
    found.close()


def answer(reader: Reader, sql: str, scope: Scope | None) -> Any:
    running = (reader.limited(scope) if scope else reader).start(sql, 1000)
    assert running.wait(30)
    if running.error:
        raise running.error
    assert running.answer
    return running.answer.table.to_pylist()


LEAKS = {
    "everybody": "SELECT DISTINCT owner FROM {view}",
    "joined": "SELECT DISTINCT a.owner AS owner FROM {view} a JOIN records b USING (record_id)",
    "united": "SELECT owner FROM {view} UNION DISTINCT SELECT owner FROM records",
    "within": "SELECT DISTINCT owner FROM (SELECT * FROM (SELECT * FROM {view}))",
    "by number": "SELECT DISTINCT owner FROM {view} WHERE job_number IN"
    " (SELECT job_number FROM jobs)",
    "common": "WITH x AS (SELECT owner FROM {view}) SELECT DISTINCT owner FROM x",
    "scalar": "SELECT arrayJoin((SELECT groupUniqArray(owner) FROM {view})) AS owner",
    "grouped": "SELECT owner FROM {view} GROUP BY owner WITH TOTALS",
    "least": "SELECT min(owner) AS owner FROM {view} UNION ALL SELECT max(owner) FROM {view}",
}


@pytest.mark.parametrize("role", MIXED)
def test_a_statement_sees_no_further(db: Warehouse, reader: Reader, role: str) -> None:
    scope = MIXED[role]
    seen = {row[0] for row in db.rows(f"SELECT DISTINCT owner FROM lines WHERE {SEEN[role]}")}
    for number, sql in enumerate(LEAKS.values()):
        found = answer(reader, sql.format(view=("records", "jobs")[number % 2]), scope)
        assert {row["owner"] for row in found} - {""} == (
            {min(seen), max(seen)} if "min(" in sql else seen
        )
    [(lines, jobs)] = db.rows(f"SELECT count(), countIf(is_attempt) FROM lines WHERE {SEEN[role]}")
    for view, count in (("records", lines), ("jobs", jobs), ("attempts", jobs)):
        assert answer(reader, f"SELECT count() AS n FROM {view}", scope) == [{"n": count}]
    for view in ("rejects", "ledger", "sources"):
        assert answer(reader, f"SELECT count() AS n FROM {view}", None) != [{"n": 0}]
        assert answer(reader, f"SELECT count() AS n FROM {view}", scope) == [{"n": 0}]
    members = answer(reader, "SELECT metagroup, kind, member FROM metagroups", scope)
    assert all(
        row["metagroup"] in scope.metagroups
        or row["member"] in (scope.users if row["kind"] == "user" else scope.groups)
        for row in members
    )
    assert answer(reader, "SELECT uniqExact(owner) AS n FROM campaigns", NOBODY) == [{"n": 0}]


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN ESTIMATE SELECT * FROM records",
        "EXPLAIN indexes = 1 SELECT * FROM records",
        "SELECT owner FROM accounting",
        "SELECT owner FROM lines",
        "SELECT * FROM cube_months",
        "SELECT rows FROM system.parts",
        "SELECT * FROM system.columns",
        "SELECT * FROM merge('pychart', 'accounting')",
        "SELECT * FROM records SETTINGS additional_table_filters = {}",
        "SELECT * FROM (SELECT owner FROM records SETTINGS additional_table_filters = {})",
        'SELECT * FROM records SETTINGS log_comment = \'{"pychart_scope":"all"}\'',
        'SET log_comment = \'{"pychart_scope":"all"}\'',
        "SELECT 1; SET additional_table_filters = {}",
        "SELECT dictGet('d', 'owner', 1)",
        "SELECT joinGet('j', 'owner', 1)",
        "SELECT getSetting('log_comment')",
        "SELECT * FROM view(SELECT * FROM accounting)",
        "SELECT * FROM remote('127.0.0.1', 'pychart', 'accounting')",
        "SELECT owner FROM records PREWHERE throwIf(owner = 'dora') = 0",
    ],
)
def test_a_statement_around_the_scope_is_refused(reader: Reader, sql: str) -> None:
    with pytest.raises(PychartError):
        answer(reader, sql, MIXED["user"])


def test_conditions_without_effect_are_noticed(
    db: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "_databases", lambda _: ("another",))
    with pytest.raises(WarehouseError, match="takes no conditions"):
        policies.filters(db, MIXED["user"])


def test_an_error_tells_nothing_of_hidden_rows(db: Warehouse, reader: Reader) -> None:
    """A condition that fails on one value of another's line must not be asked of that line."""
    # the smallest and the largest, and what the key and an index are made of
    columns = ("record_id", "job_number", "end_time", "offset", "job_name", "owner", "cpu", "flags")
    for role in MIXED:
        for column in columns:
            found = db.rows(
                f"SELECT cityHash64(toString(`{column}`)) AS h FROM records GROUP BY h"
                f" HAVING countIf(record_id IN (SELECT record_id FROM lines WHERE {SEEN[role]}))"
                " = 0 LIMIT 1"
            )
            for (hashed,) in found:
                of_hidden = f"cityHash64(toString(`{column}`)) = {hashed}"
                sql = f"SELECT count() AS n FROM records WHERE throwIf({of_hidden}) = 0"
                assert answer(reader, sql, MIXED[role])
    with pytest.raises(PychartError):
        answer(reader, sql, None)


# --- the scope itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        {"users": "alice"},
        {"users": ("a\0",)},
        {"groups": ("\udcff",)},
        {"metagroups": (1,)},
        {"users": ("a",), "public": True},
    ],
)
def test_a_scope_is_made_of_names(names: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        Scope(**names)
