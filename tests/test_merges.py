"""Merges wait while a long file is loaded into an embedded database, and never longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickhouse.connection import Warehouse
from clickhouse.errors import WarehouseError
from ingest import merges
from ingest.loader import Control, Summary, load_file
from tests.helpers import CLUSTER, line, one, warehouse

BLOCKS = 40
LINES_PER_BLOCK = 50
PARTS = "SELECT count() FROM system.parts WHERE table = 'accounting' AND active"


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "accounting"
    path.write_bytes(
        b"".join(line(job_number=1 + number) + b"\n" for number in range(BLOCKS * LINES_PER_BLOCK))
    )
    return path


def blocks_of(path: Path) -> int:
    return path.stat().st_size // BLOCKS


def merge(db: Warehouse) -> int:
    """Merge, which fails where merges wait, and give the parts that are left."""
    db.command("OPTIMIZE TABLE accounting FINAL")
    return int(str(one(db, PARTS)))


def test_merges_wait_while_a_long_file_is_loaded(tmp_path: Path, long_file: Path) -> None:
    with warehouse(f"chdb://{tmp_path}/warehouse") as db:
        seen: list[int] = []

        def committed(summary: Summary) -> None:
            if summary.offset < long_file.stat().st_size:
                seen.append(int(str(one(db, PARTS))))
                with pytest.raises(WarehouseError):
                    merge(db)

        control = Control(committed=committed, block_bytes=blocks_of(long_file))
        summary = load_file(db, CLUSTER, long_file, control=control)
        assert summary.records == BLOCKS * LINES_PER_BLOCK
        assert seen == sorted(seen)
        assert seen[-1] > BLOCKS - 10
        assert merge(db) == 1
        assert one(db, "SELECT count() FROM records") == summary.records


def test_merges_go_on_after_a_load_that_fails(tmp_path: Path, long_file: Path) -> None:
    with warehouse(f"chdb://{tmp_path}/warehouse") as db:
        commits: list[int] = []

        def committed(summary: Summary) -> None:
            commits.append(summary.records)
            if len(commits) == 3:
                raise RuntimeError("the follower ends here")

        control = Control(committed=committed, block_bytes=blocks_of(long_file))
        with pytest.raises(RuntimeError, match="ends here"):
            load_file(db, CLUSTER, long_file, control=control)
        assert merge(db) == 1


def test_merges_go_on_once_a_year_has_many_parts(
    tmp_path: Path, long_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "MOST_PARTS", 10)
    with warehouse(f"chdb://{tmp_path}/warehouse") as db:
        merged: list[int] = []

        def committed(summary: Summary) -> None:
            if one(db, PARTS) > 10 or merged:
                merged.append(summary.records)
                if len(merged) > 1:
                    merge(db)

        control = Control(committed=committed, block_bytes=blocks_of(long_file))
        load_file(db, CLUSTER, long_file, control=control)
        assert len(merged) > 3


def test_a_short_load_leaves_merges_alone(
    database_url: str, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse(database_url) as db:
        commands: list[str] = []
        command = db.command
        monkeypatch.setattr(
            db, "command", lambda sql, *each: commands.append(sql) or command(sql, *each)
        )
        load_file(db, CLUSTER, sample)
        assert not [sql for sql in commands if "MERGES" in sql]


@pytest.mark.parametrize("database_url", ["server"], indirect=True)
def test_a_server_merges_as_it_likes(database_url: str, long_file: Path) -> None:
    with warehouse(database_url) as db:
        control = Control(
            committed=lambda _: db.command("OPTIMIZE TABLE accounting FINAL"),
            block_bytes=blocks_of(long_file),
        )
        assert load_file(db, CLUSTER, long_file, control=control).records
