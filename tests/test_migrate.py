"""Migrations: repeatable, from two processes at once, never edited, never backwards."""

from __future__ import annotations

import re
import threading
import time
from itertools import count
from pathlib import Path

import pytest

from clickhouse import migrate as migrations
from clickhouse.connection import Warehouse
from clickhouse.errors import WarehouseError
from clickhouse.migrate import migrate, parser, schema, views
from clickhouse.settings import ClusterSettings, Settings
from tests.helpers import column, line, load_bytes, one, warehouse

CONTRACT = {"records", "jobs", "rejects", "ledger", "sources"}


def test_a_second_run_changes_nothing(new_database_url: str) -> None:
    with Warehouse(Settings(database=new_database_url), create=True) as db:
        assert len(migrate(db)) == len(schema() + parser() + views(db.settings))
        assert migrate(db) == []
        tables = {row[0] for row in db.rows("SHOW TABLES")}
    assert tables >= CONTRACT


def test_an_upgrade_beneath_a_running_process_leaves_it_as_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with warehouse(database_url) as db:
        monkeypatch.setattr(migrations, "files", lambda _: tmp_path)
        assert migrate(db) == []


def test_files_are_numbered_and_hold_one_statement() -> None:
    for statements in (schema(), parser(), views(Settings())):
        numbers = [each.number for each in statements]
        assert sorted(set(numbers)) == numbers
        assert all(";" not in re.sub("--.*", "", each.sql) for each in statements)


def test_two_at_once_are_safe(new_database_url: str) -> None:
    with Warehouse(Settings(database=new_database_url), create=True) as db:
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


def test_a_changed_parser_replaces_the_old_one(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = parser()
    careless = [each.sql.replace("lines.owner", "upper(lines.owner)") for each in known]
    assert careless != [each.sql for each in known]
    edited = [
        migrations.Statement(each.number, each.name, sql)
        for each, sql in zip(known, careless, strict=True)
    ]
    with warehouse(database_url) as db:
        monkeypatch.setattr(migrations, "parser", lambda: edited)
        assert migrate(db) == [each.name for each in known]
        load_bytes(db, tmp_path / "old", line(owner="ann") + b"\n")
        monkeypatch.setattr(migrations, "parser", lambda: known)
        assert migrate(db) == [each.name for each in known]
        load_bytes(db, tmp_path / "new", line(owner="bob") + b"\n")
        assert column(db, "SELECT owner FROM records ORDER BY owner") == ["ANN", "bob"]


def test_a_piece_that_an_earlier_parser_had_goes_with_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    again = (
        "CREATE MATERIALIZED VIEW again TO rejected_lines AS"
        " SELECT cluster, file_id, generation, offset, owner AS line, 'again' AS reason"
        " FROM parsed_lines WHERE sound"
    )
    known = parser()
    with warehouse(database_url) as db:
        earlier = [*known, migrations.Statement(400, "0400_again", again)]
        monkeypatch.setattr(migrations, "parser", lambda: earlier)
        migrate(db)
        load_bytes(db, tmp_path / "old", line(owner="ann") + b"\n")
        monkeypatch.setattr(migrations, "parser", lambda: known)
        migrate(db)
        load_bytes(db, tmp_path / "new", line(owner="bob") + b"\n")
        assert column(db, "SELECT line FROM rejects") == ["ann"]


@pytest.mark.parametrize("steps", [0, 1, 5, 12, 18])
def test_a_parser_that_was_half_replaced_is_made_again_by_the_version_before_too(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steps: int
) -> None:
    before = parser()
    newer = [
        migrations.Statement(each.number, each.name, each.sql.replace("lines.owner", "'other'"))
        for each in before
    ]
    newer.append(
        migrations.Statement(400, "0400_spare", "CREATE TABLE spare (a UInt8) ENGINE Null")
    )
    with warehouse(database_url) as db:
        calls = count()

        def killed(sql: str) -> None:
            if next(calls) == steps:
                raise KeyboardInterrupt
            command(sql)

        with monkeypatch.context() as newest:
            newest.setattr(migrations, "parser", lambda: newer)
            command = db.command
            newest.setattr(db, "command", killed)
            with pytest.raises(KeyboardInterrupt):
                migrations.replace_parser(db)
        assert migrate(db) == [each.name for each in before]
        load_bytes(db, tmp_path / "accounting", line(owner="ann") + b"\n")
        assert column(db, "SELECT owner FROM records") == ["ann"]
        assert migrate(db) == []


def test_a_piece_of_the_parser_that_had_other_numbers_goes(database_url: str) -> None:
    with warehouse(database_url) as db:
        db.command("CREATE MATERIALIZED VIEW pass_sound ENGINE Null AS SELECT * FROM parsed_lines")
        db.command("TRUNCATE TABLE migrations")
        migrate(db)
        assert one(db, "EXISTS TABLE pass_sound") == 0


def test_a_year_that_gets_no_more_lines_becomes_one_part(database_url: str, tmp_path: Path) -> None:
    def parts() -> int:
        return int(one(db, "SELECT count() FROM system.parts WHERE active AND table = 'accounting'"
                       " AND database = currentDatabase()"))  # fmt: skip

    with warehouse(database_url) as db:
        for number in (1, 2):
            load_bytes(db, tmp_path / f"accounting.{number}", line(job_number=number) + b"\n")
        written = one(db, "SHOW CREATE TABLE accounting")
        assert "min_age_to_force_merge_seconds = 3600" in written
        assert "min_age_to_force_merge_on_partition_only = 1" in written
        assert parts() == 2
        db.command("ALTER TABLE accounting MODIFY SETTING min_age_to_force_merge_seconds = 1")
        until = time.monotonic() + 60
        while parts() > 1 and time.monotonic() < until:
            time.sleep(0.2)
        assert parts() == 1
        assert column(db, "SELECT job_number FROM records ORDER BY 1") == [1, 2]


def test_settings_of_clusters_apply_to_what_is_loaded(database_url: str) -> None:
    with warehouse(database_url):
        pass
    cluster = ClusterSettings(timezone="Asia/Tokyo", pe_classes={"it's": "multi-node"})
    with warehouse(database_url, clusters={"c'1": cluster}) as db:
        assert migrate(db) == []
        made = one(db, "SHOW CREATE VIEW lines")
    assert "Asia/Tokyo" in made
    assert "multi-node" in made
    with warehouse(database_url) as db:  # without settings: those that were written stay
        assert "Asia/Tokyo" in one(db, "SHOW CREATE VIEW lines")
