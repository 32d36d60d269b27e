"""Row policies of a server: who sees which rows, whatever the statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from clickhouse import policies, rollups
from clickhouse.connection import Warehouse
from clickhouse.cubes import TABLES
from clickhouse.errors import PychartError
from clickhouse.query import Question, ask
from clickhouse.scope import EVERYTHING, Scope, settings_of
from clickhouse.settings import Settings
from pychart import cli
from tests import helpers, server
from tests.conftest import missing
from tests.policed import policed_server
from tests.scoped import (
    CLUSTERS,
    METAGROUPS,
    MIXED,
    OTHERS,
    QUESTIONS,
    SEEN,
    filled,
    same,
    write_lines,
)

NO_STORAGE, READONLY_SETTING = 514, 452


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, sample: Path
) -> Iterator[server.RunningServer]:
    """A server whose users see what our row policies let them see."""
    folder = tmp_path_factory.mktemp("guarded")
    lines = folder / "accounting"
    write_lines(lines, sample)

    def fill(running: server.RunningServer) -> dict[str, str]:
        with filled(running.url("pychart"), lines) as opened:
            return policies.conditions(opened)

    try:
        with policed_server(folder, folder / "data", fill) as running:
            yield running
    except server.ServerUnavailable as error:
        missing(str(error))


def test_a_server_shows_rows_to_nobody_in_particular(guarded: server.RunningServer) -> None:
    def count(user: str, comment: str = "", sql: str = "count() FROM pychart.records") -> int:
        settings = {"log_comment": comment} if comment else None
        return int(guarded.query(f"SELECT {sql}", user=user, settings=settings))

    everything = count("default")
    assert everything > 0
    tables = ("accounting", "cube_months", "cube_days", "value_months", "rejected_lines", "batches")
    for table in tables:
        assert count("pychart_app", sql=f"count() FROM pychart.{table}") == 0
        assert count("pychart_app", EVERYTHING, f"count() FROM pychart.{table}") > 0
    for comment in ("nonsense", "{}", '{"pychart_scope":"names"}', '{"pychart_scope":"All"}'):
        assert count("pychart_app", comment) == 0
    assert count("pychart_app", EVERYTHING) == everything
    own = count("default", sql="countIf(owner = 'alice') FROM pychart.records")
    assert count("alice") == own > 0
    for sql in (
        "uniqExact(owner) FROM pychart.jobs",
        "uniqExact(owner) FROM merge('pychart', '^accounting$')",
        "uniqExact(owner) FROM pychart.cube_months",
        "uniqExact(owner) FROM (SELECT owner FROM pychart.jobs UNION ALL"
        " SELECT owner FROM pychart.records)",
    ):
        assert count("alice", sql=sql) == 1
    assert count("alice", sql="countIf(throwIf(owner != 'alice')) FROM pychart.accounting") == 0
    for where in ("WHERE", "PREWHERE"):
        sql = f"count() FROM pychart.accounting {where} throwIf(owner != 'alice') = 0"
        assert count("alice", sql=sql) == own
    # the aliases of a policy are its own, whatever a statement names so
    for mine in (
        f"'{EVERYTHING}' AS pychart_said",
        "['bob'] AS pychart_users",
        "['labs'] AS pychart_metagroups",
    ):
        for analyzer in (0, 1):
            sql = f"uniqExact(owner) FROM pychart.accounting SETTINGS enable_analyzer = {analyzer}"
            assert guarded.query(f"WITH {mine} SELECT {sql}", user="alice") == "1\n"
            sql = f"countIf(owner != 'alice'), {mine} FROM pychart.accounting GROUP BY ALL"
            sql += f" SETTINGS enable_analyzer = {analyzer}"
            assert guarded.query(f"SELECT {sql}", user="alice").split("\t")[0] == "0"
    for sql in ("SELECT 1 SETTINGS log_comment = 'x'", "SET log_comment = 'x'"):
        with pytest.raises(server.QueryRefused) as error:
            guarded.query(sql, user="alice")
        assert error.value.code == READONLY_SETTING
    with pytest.raises(server.QueryRefused) as error:
        guarded.query("SELECT 1", user="alice", settings={"log_comment": EVERYTHING})
    assert error.value.code == READONLY_SETTING


def test_no_month_of_a_rollup_tells_of_days_beyond_a_membership(
    guarded: server.RunningServer,
) -> None:
    for name in ("within", "left"):
        said = settings_of(Scope(metagroups=(name,)))

        def count(sql: str, said: dict[str, str] = said) -> int:
            return int(guarded.query(f"SELECT {sql}", user="pychart_app", settings=said))

        seen = count("count() FROM pychart.lines")
        assert count("sum(line_count) FROM pychart.cube_days") == seen > 0
        assert 0 < count("sum(line_count) FROM pychart.user_months") < seen
        for cube in TABLES:
            if cube.names_people and "line_count" in cube.measures:
                assert count(f"sum(line_count) FROM pychart.{cube.name}") <= seen, cube.name


def test_questions_say_for_whom_they_are(guarded: server.RunningServer) -> None:
    settings = [
        Settings(database=guarded.url("pychart", user), clusters=CLUSTERS, metagroups=METAGROUPS)
        for user in ("default", "pychart_app")
    ]
    with Warehouse(settings[0]) as free, Warehouse(settings[1]) as bound:
        for scope in (None, MIXED["correspondent"]):
            for name in ("totals", "by day", "medians", "over days", "lines"):
                scoped = replace(QUESTIONS[name], scope=scope)
                same(ask(bound, scoped), ask(free, scoped))
            for name in ("histogram", "search"):
                asked = Question(("jobs",), scope=scope)
                same(OTHERS[name](bound, asked), OTHERS[name](free, asked))
        # a question that forgets its scope is still for somebody
        for role, scope in MIXED.items():
            found = bound.rows("SELECT count() FROM lines", settings=settings_of(scope))
            assert found == free.rows(f"SELECT count() FROM lines WHERE {SEEN[role]}")


def test_policies_are_made_on_a_server_only(guarded: server.RunningServer, tmp_path: Path) -> None:
    with helpers.warehouse(f"chdb://{tmp_path}/db") as embedded:
        assert policies.apply(embedded) == []
    settings = Settings(database=guarded.url("pychart"), clusters=CLUSTERS, metagroups=METAGROUPS)
    with Warehouse(settings) as opened, pytest.raises(PychartError) as error:
        policies.apply(opened)  # understood and permitted; this build has nowhere to store it
    assert getattr(error.value, "code", 0) == NO_STORAGE


def test_policies_are_there_before_what_they_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pychart.toml"
    config.write_text(
        f'database = "chdb://{tmp_path}/db"\n[access]\nmethod = "header"\nadmins.users = ["root"]\n'
    )
    done: list[str] = []

    def noted(module: ModuleType, name: str) -> None:
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: done.append(name) or real(*given))

    noted(policies, "apply")
    noted(rollups, "refresh")
    found = CliRunner().invoke(cli.app, ["--config", str(config), "migrate"])
    assert found.exit_code == 0, found.output
    assert done == ["apply", "refresh"]
