"""The database that tests of answers ask, and what they ask it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from clickhouse import rollups
from clickhouse.connection import Warehouse
from tests import server as servers
from tests.answers.shared import CONFIGURED, JOBS
from tests.helpers import load_bytes, warehouse


@pytest.fixture(scope="module", params=["chdb", "server"])
def db(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """One database for all tests of a module: they only ask."""
    folder = tmp_path_factory.mktemp("answers")
    url, name = f"chdb://{folder}/db", f"pychart_test_{os.getpid()}_{folder.name}"
    if request.param == "server":
        running: servers.RunningServer = request.getfixturevalue("server")
        url = running.url(name)
    with warehouse(url, **CONFIGURED) as opened:
        load_bytes(opened, folder / "accounting", JOBS)
        rollups.refresh(opened)
        yield opened
    if request.param == "server":
        running.query(f"DROP DATABASE IF EXISTS {name} SYNC")


@pytest.fixture
def asked_sql(db: Warehouse, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries of questions, as they are asked."""
    found: list[str] = []
    arrow = db.arrow
    monkeypatch.setattr(db, "arrow", lambda sql, *given: found.append(sql) or arrow(sql, *given))
    return found
