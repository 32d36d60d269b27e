"""Migrations: repeatable, from two processes at once, never edited, never backwards."""

from __future__ import annotations

import re
import threading

import pytest

from clickhouse import migrate as migrations
from clickhouse.connection import Warehouse
from clickhouse.errors import WarehouseError
from clickhouse.migrate import migrate, schema, views
from clickhouse.settings import ClusterSettings, Settings
from tests.helpers import one, warehouse

CONTRACT = {"records", "jobs", "rejects", "ledger", "sources"}


def test_a_second_run_changes_nothing(database_url: str) -> None:
    with Warehouse(Settings(database=database_url), create=True) as db:
        assert len(migrate(db)) == len(schema()) + len(views(db.settings))
        assert migrate(db) == []
        tables = {row[0] for row in db.rows("SHOW TABLES")}
    assert tables >= CONTRACT


def test_files_are_numbered_without_gaps_and_hold_one_statement() -> None:
    for statements in (schema(), views(Settings())):
        assert [each.number for each in statements] == list(range(1, len(statements) + 1))
        assert all(";" not in re.sub("--.*", "", each.sql) for each in statements)


def test_two_at_once_are_safe(database_url: str) -> None:
    with Warehouse(Settings(database=database_url), create=True) as db:
        faults: list[BaseException] = []

        def run() -> None:
            try:
                migrate(db)
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert migrate(db) == []
        assert one(db, "SELECT count() FROM jobs") == 0


def test_an_edited_statement_and_a_newer_database_are_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse(database_url) as db:
        known = schema()
        edited = migrations.Statement(2, known[1].name, known[1].sql + " ")
        monkeypatch.setattr(migrations, "schema", lambda: [known[0], edited, *known[2:]])
        with pytest.raises(WarehouseError, match=r"0002_accounting.sql was edited"):
            migrate(db)
        monkeypatch.setattr(migrations, "schema", lambda: known[:-1])
        with pytest.raises(WarehouseError, match="newer than this pychart"):
            migrate(db)


def test_settings_of_clusters_apply_to_what_is_loaded(database_url: str) -> None:
    with warehouse(database_url):
        pass
    cluster = ClusterSettings(timezone="Asia/Tokyo", pe_classes={"it's": "multi-node"})
    with warehouse(database_url, clusters={"c'1": cluster}) as db:
        assert migrate(db) == []
        made = one(db, "SHOW CREATE VIEW lines")
    assert "Asia/Tokyo" in made
    assert "multi-node" in made
