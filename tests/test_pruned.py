"""The view `lines` with some of its columns says the same as the whole one, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clickhouse import pruned
from clickhouse.connection import Warehouse
from clickhouse.coverage import look
from clickhouse.query import Question, ask, to_sql
from clickhouse.settings import ClusterSettings
from tests.helpers import CLUSTER, column, load_bytes, warehouse
from tests.rolled import SITE, accounting

HOSTILE = "it's -- no {comment}, AS x\nFROM\n("  # names in the settings are texts in the view
GROUPED = {"metagroups": {HOSTILE: {"users": ["ann", HOSTILE]}, "lab": {"groups": ["chem"]}}}


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    clusters = {
        CLUSTER: ClusterSettings(timezone="Europe/Paris", pe_classes={"a--*": "multi-node"})
    }
    with warehouse(database_url, **SITE | GROUPED | {"clusters": clusters}) as opened:
        load_bytes(opened, tmp_path / "accounting", accounting(1, 60))
        yield opened


def test_each_column_by_itself_is_that_of_the_view(db: Warehouse) -> None:
    view = look(db).lines_view
    names = column(db, "SELECT name FROM system.columns WHERE database = currentDatabase()"
                       " AND table = 'lines' ORDER BY position")  # fmt: skip
    made = [name for name in names if name not in column(
        db, "SELECT name FROM system.columns WHERE database = currentDatabase()"
            " AND table = 'accounting'")]  # fmt: skip
    assert len(made) == 24
    for name in [*made, "owner", "job_name", "time"]:
        sql = f"SELECT toTypeName({name}), {name} FROM {{}} ORDER BY record_id, {name}"
        alone = db.rows(sql.format(pruned.of_lines(view, [name])))
        assert alone == db.rows(sql.format("lines")), name


def test_what_nobody_asked_for_is_not_in_it(db: Warehouse) -> None:
    sql, _, path = to_sql(db, Question(("core_hours",), ("user",)))
    assert path.tables == ("lines",)
    assert "AS wall_seconds" in sql
    assert not any(f"AS {name}" in sql for name in ("metagroup_ids", "requested_time", "outcome"))
    sql, _, _ = to_sql(db, Question(("jobs",), ("metagroup",)))
    assert "AS metagroup_ids" in sql and "AS wall_seconds" not in sql


def test_names_in_the_settings_are_no_sql(db: Warehouse) -> None:
    found = ask(db, Question(("jobs",), ("metagroup",), exact=True)).to_pylist()
    jobs = {row["metagroup"]: row["jobs"] for row in found}
    [by_hand] = db.rows("SELECT countIf(owner = 'ann') FROM lines WHERE is_executed")
    assert jobs[HOSTILE] == by_hand[0] > 0
