"""Connections: made when they are needed, lent to one user at a time, none after the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clickhouse.connection import Warehouse
from clickhouse.errors import WarehouseError
from clickhouse.pool import Pool
from tests import helpers


class Connection:
    def __init__(self) -> None:
        self.users = self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_each_is_lent_to_one_user_at_a_time_and_no_more_are_made_than_are_needed() -> None:
    made: list[Connection] = []
    inside = threading.Barrier(3, timeout=20)

    def make() -> Connection:
        made.append(Connection())
        return made[-1]

    pool = Pool(make, 3)

    def use(together: bool) -> None:
        with pool.lend() as one:
            one.users += 1
            assert one.users == 1
            if together:
                inside.wait()
            one.users -= 1

    use(together=False)
    use(together=False)
    assert len(made) == 1
    with ThreadPoolExecutor(9) as threads:
        list(threads.map(use, [True] * 9))
    assert len(made) == 3
    pool.close()
    assert [one.closed for one in made] == [1, 1, 1]


def test_one_that_cannot_be_made_leaves_its_place_to_the_next() -> None:
    def make() -> Connection:
        raise WarehouseError("no answer")

    pool = Pool(make, 1)
    for _ in range(2):
        with pytest.raises(WarehouseError, match="no answer"), pool.lend():
            pass


def test_one_that_is_made_while_the_pool_is_closed_is_closed_too() -> None:
    late = Connection()

    def make() -> Connection:
        pool.close()
        return late

    pool = Pool(make, 1)
    with pytest.raises(WarehouseError, match="has been closed"), pool.lend():
        pass
    assert late.closed == 1


def test_a_question_after_the_end_is_refused(database_url: str) -> None:
    with helpers.warehouse(database_url) as warehouse:
        assert warehouse.rows("SELECT 1")
    with pytest.raises(WarehouseError, match="has been closed"):
        warehouse.rows("SELECT 1")
    with pytest.raises(WarehouseError, match="has been closed"):
        warehouse.command("SELECT 1")
    with helpers.warehouse(database_url) as again:
        assert again.rows("SELECT 1")


def test_a_question_has_a_time_limit_and_work_has_none(database_url: str) -> None:
    endless = "SELECT sleepEachRow(0.1) FROM numbers(13) SETTINGS max_block_size = 1"
    with helpers.warehouse(database_url) as made:
        settings = made.settings.model_copy(update={"query_seconds": 1})
    with Warehouse(settings) as warehouse:
        with pytest.raises(WarehouseError, match=r"(?i)timeout"):
            warehouse.rows(endless)
        warehouse.command(f"CREATE TABLE slow ENGINE = Memory AS {endless}")
