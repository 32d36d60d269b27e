"""A warehouse on two servers, each a shard, beside one on a single server: the same answers.

Without Keeper, so that replicas are looked at only as far as the server reads their statements.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest
import yaml

from benchmarks.questions import DISTRIBUTIONS, randomly, standard
from clickhouse import coverage
from clickhouse.clustered import migrate_cluster, on_every_server, replicated_sql
from clickhouse.connection import Warehouse
from clickhouse.cubes import STORED
from clickhouse.distributions import distribution
from clickhouse.errors import ConfigError, WarehouseError, WarehouseUnreachable
from clickhouse.extras import Extras, ask_more
from clickhouse.failures import translate
from clickhouse.migrate import INTERFACE, migrate, schema, views
from clickhouse.query import Filter, Period, Question, ask, to_sql, values
from clickhouse.records import Search, search
from clickhouse.rollups import refresh
from clickhouse.scope import Scope
from clickhouse.settings import Settings, load_settings
from ingest import ledger
from ingest.loader import load_file
from pychart.demo_site import write_demo_site
from pychart.verify import print_verified
from tests import helpers
from tests import server as servers
from tests.conftest import missing

ROOT = Path(__file__).parent.parent
NAME = "two"
JOBS = 1000
YEARS = 2.0
RANDOM = 100
CONFIG = """<clickhouse>
  <tcp_port>{port}</tcp_port>
  <remote_servers><{name}><secret>between servers</secret>{shards}</{name}></remote_servers>
  <macros><shard>{port}</shard><replica>1</replica></macros>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>"""
SHARD = """<shard>
  <internal_replication>true</internal_replication>
  <replica><host>127.0.0.1</host><port>{port}</port></replica>
</shard>"""
# Each statement is asked once: to compile one, or to share out its few rows, takes longer.
USERS = """<clickhouse>
  <profiles><default>
    <max_threads>1</max_threads>
    <compile_expressions>0</compile_expressions>
    <compile_aggregate_expressions>0</compile_aggregate_expressions>
    <compile_sort_description>0</compile_sort_description>
  </default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password/><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota>
  </default></users>
</clickhouse>"""
STATEMENTS = (
    "SELECT owner, count(), avg(h_rt) FROM jobs JOIN requests USING (category) GROUP BY 1",
    "SELECT meaning, count() FROM jobs JOIN failed_codes USING (failed) GROUP BY 1",
    "SELECT attempt, attempts, count() FROM jobs JOIN attempts USING (record_id) GROUP BY 1, 2",
    "SELECT owner, count() FROM jobs WHERE job_number IN"
    " (SELECT job_number FROM jobs WHERE outcome = 'failed') GROUP BY 1",
    "SELECT owner, sum(wall_seconds) OVER (PARTITION BY owner ORDER BY end_time, record_id) FROM"
    " jobs",
    "SELECT * FROM jobs WHERE end_time = (SELECT max(end_time) FROM jobs)",
)
YEAR = Period.parse("2025")
PUBLIC = Scope(public=True)
MORE: tuple[tuple[Question, Extras], ...] = (
    (Question(("jobs", "core_hours"), ("user",), limit=5, other=True), Extras(share=True)),
    (Question(("core_hours",), ("user", "month"), YEAR, limit=3, other=True), Extras()),
    (Question(("jobs",), ("queue",), YEAR), Extras(unused=True)),
    (Question(("jobs",), ("day",), Period.parse("2025-03")), Extras(fill=True)),
    (Question(("jobs",), ("metagroup",), rows_behind=True), Extras(total=True)),
    (Question(("jobs", "users", "wait_median"), ("month",), YEAR), Extras(total=True)),
    (Question(("core_hours",), ("metagroup", "month"), YEAR, booked="spread"), Extras()),
    (Question(("jobs", "users"), ("queue",), scope=Scope(groups=("chimie",))), Extras()),
    (Question(("jobs", "core_hours"), ("queue", "month"), YEAR, scope=PUBLIC), Extras()),
)


@dataclass
class Pair:
    """The two servers, what is on both, and the same on the first one alone."""

    servers: list[servers.RunningServer]
    both: Warehouse
    alone: Warehouse
    accounting: Path

    def settings(self, of: int = 0, database: str = "pychart") -> Settings:
        hosts = tuple(server.url("").rstrip("/") for server in self.servers)
        update = {"database": self.servers[of].url(database), "database_hosts": hosts}
        return self.both.settings.model_copy(update=update)

    def differ(self, answer: Any) -> str:
        """Say where the answers of both differ, '' where they do not."""
        return different(answer(self.both), answer(self.alone))


def different(one: pa.Table, other: pa.Table) -> str:
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return f"{one.schema} {one.num_rows} {other.schema} {other.num_rows}"
    for name in one.column_names:
        for pair in zip(one[name].to_pylist(), other[name].to_pylist(), strict=True):
            if not same(*pair):
                return f"{name}: {pair[0]!r} {pair[1]!r}"
    return ""


def same(one: object, other: object) -> bool:
    """Sums of floats depend on the order in the last digits, on one server too."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-9)
    return one == other


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("cluster")
    write_demo_site(folder, JOBS, YEARS, 1, "45")
    with ExitStack() as stack:
        try:
            running = [stack.enter_context(each) for each in two_servers(folder)]
        except servers.ServerUnavailable as error:
            missing(str(error))
        site = load_settings(folder / "pychart.toml")
        hosts = tuple(server.url("").rstrip("/") for server in running)
        of_both = site.model_copy(
            update={"database": running[0].url("pychart"), "database_hosts": hosts}
        )
        alone = site.model_copy(update={"database": running[0].url("alone")})
        found = Pair(
            running,
            stack.enter_context(Warehouse(of_both, create=True)),
            stack.enter_context(Warehouse(alone, create=True)),
            folder / "accounting",
        )
        assert migrate_cluster(found.both, NAME, replicated=False)
        migrate(found.alone)
        for warehouse in (found.both, found.alone):
            load_file(warehouse, "demo", found.accounting)
            load_file(warehouse, helpers.CLUSTER, sample)
            refresh(warehouse)
        yield found


def two_servers(folder: Path) -> list[servers.RunningServer]:
    ports = [servers.free_port() for _ in range(2)]
    (folder / "users.xml").write_text(USERS)
    shards = "".join(SHARD.format(port=port) for port in ports)
    started = []
    for number, port in enumerate(ports):
        config = folder / f"config{number}.xml"
        users = escape(str(folder / "users.xml"))
        config.write_text(CONFIG.format(port=port, name=NAME, shards=shards, users=users))
        data = folder / f"server{number}"
        started.append(servers.start(data, tcp_port=port, config_file=config))
    return started


# --- what is where ----------------------------------------------------------------------------


def test_each_server_holds_its_lines_and_shows_all(pair: Pair) -> None:
    counts = [
        int(server.query("SELECT count() FROM pychart_shard.accounting")) for server in pair.servers
    ]
    assert min(counts) > sum(counts) / 3
    assert {
        int(server.query("SELECT count() FROM pychart.records")) for server in pair.servers
    } == {sum(counts)}
    assert migrate(pair.both) == []
    assert migrate_cluster(pair.both, NAME, replicated=False) == []


def test_what_cannot_be_a_cluster_is_refused(pair: Pair) -> None:
    with pytest.raises(WarehouseError, match="holds the lines of a single server"):
        migrate_cluster(pair.alone, NAME, replicated=False)
    with (
        Warehouse(pair.settings(database="other"), create=True) as other,
        pytest.raises(ConfigError, match="knows no cluster 'three'"),
    ):
        migrate_cluster(other, "three", replicated=False)
    with pytest.raises(ConfigError, match="'two' was made without replication"):
        migrate_cluster(pair.both, NAME, replicated=True)
    with pytest.raises(ConfigError, match="can be no name"):
        migrate_cluster(pair.both, "two')", replicated=False)
    one_host = pair.settings().model_copy(update={"database_hosts": ("http://127.0.0.1:1",)})
    with Warehouse(one_host) as opened, pytest.raises(ConfigError, match="names 1 servers"):
        migrate(opened)


def test_statements_run_on_every_server(pair: Pair) -> None:
    assert on_every_server(pair.both, ["CREATE TABLE seen (x UInt8) ENGINE = Null"]) == []
    asked = "SELECT count() FROM system.tables WHERE database = 'pychart_shard' AND name = 'seen'"
    assert [server.query(asked) for server in pair.servers] == ["1\n", "1\n"]
    on_every_server(pair.both, ["DROP TABLE seen"])


# --- answers ----------------------------------------------------------------------------------


def test_standard_questions_have_the_same_answers(pair: Pair) -> None:
    user = values(pair.alone, "user", limit=1)[0]
    assert values(pair.both, "user") == values(pair.alone, "user")
    for exact in (False, True):
        for name, question in standard(user).items():
            asked = replace(question, exact=exact)
            assert not pair.differ(lambda db, asked=asked: ask(db, asked)), (name, exact)
    for name, shape in DISTRIBUTIONS.items():
        assert not pair.differ(lambda db, shape=shape: distribution(db, shape)), name


@pytest.mark.parametrize("period", [YEAR, Period(), Period.parse("2024-11..2025-12")])
def test_whole_years_are_the_same_on_shards(pair: Pair, period: Period) -> None:
    for asked in (
        Question(("jobs", "core_hours"), ("user", "parallel_class"), period),
        Question(("jobs", "users", "core_hours"), ("node",), period),
        Question(("duration_median", "wait_p90"), ("user",), period),
    ):
        for warehouse in (pair.both, pair.alone):
            read = to_sql(warehouse, asked)[2].tables
            assert any(name.endswith("_years") for name in read), read
        assert not pair.differ(lambda db, asked=asked: ask(db, asked)), asked


def test_random_questions_have_the_same_answers(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for warehouse in (pair.both, pair.alone):  # as a page does, which looks at the rollups once
        seen = coverage.look(warehouse)
        monkeypatch.setattr(warehouse, "coverage", lambda seen=seen: seen)
    for number, question in enumerate(randomly(pair.alone, RANDOM)):
        period = question.period if str(question.period.end) > "2024-02" else Period()
        asked = replace(question, exact=number % 2 == 1, period=period)
        assert not pair.differ(lambda db, asked=asked: ask(db, asked)), asked


def test_other_questions_have_the_same_answers(pair: Pair) -> None:
    for question, extras in MORE:
        assert not pair.differ(lambda db, q=question, e=extras: ask_more(db, q, e)), question
    kept = (Filter("parallel_class", ("multi-node",)),)
    for order in ("newest", "core_time"):
        wanted = Search(date(2016, 1, 1), date(2026, 1, 1), "", order, kept)
        assert not pair.differ(lambda db, wanted=wanted: search(db, wanted, 30).table), order


def test_views_and_statements_have_the_same_rows(pair: Pair) -> None:
    besides = {"ledger": "loaded_at", "sources": "first_loaded, last_loaded"}
    for view in (*INTERFACE, "lines"):
        chosen = f"* EXCEPT ({besides[view]})" if view in besides else "*"
        statement = f"SELECT {chosen} FROM {view} ORDER BY ALL"
        assert not pair.differ(lambda db, sql=statement: db.arrow(sql)), view
    for statement in STATEMENTS:
        ordered = f"{statement} ORDER BY ALL"
        assert not pair.differ(lambda db, sql=ordered: db.arrow(sql)), statement


def test_another_replica_than_the_one_looked_at_says_so(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = coverage.look(pair.both)
    assert len(seen.servers) == 2
    elsewhere = replace(seen, servers=("elsewhere:9000",), memo={})
    monkeypatch.setattr(pair.both, "coverage", lambda: elsewhere)
    with pytest.raises(WarehouseUnreachable, match="another replica answers .*; ask again"):
        ask(pair.both, Question(("jobs",)))


# --- loading ----------------------------------------------------------------------------------


def test_copies_through_another_server_change_nothing(pair: Pair, tmp_path: Path) -> None:
    lines = pair.accounting.read_bytes().splitlines(keepends=True)
    copy = tmp_path / "copy"
    copy.write_bytes(b"# cut out of the middle\n" + b"".join(lines[400:900]))
    started = "SELECT record_id FROM records WHERE start_time > 0 ORDER BY 1"
    before = pair.both.arrow(started)
    with Warehouse(pair.settings(of=1)) as through_the_other:
        again = load_file(through_the_other, "demo", pair.accounting)
        added = load_file(through_the_other, "demo", copy)
    load_file(pair.alone, "demo", copy)
    assert (again.lines, added.records) == (0, 500)
    assert pair.both.arrow(started) == before
    on_two = (
        "SELECT count() FROM (SELECT record_id FROM accounting GROUP BY record_id"
        " HAVING uniqExact(_shard_num) > 1)"
    )
    assert helpers.one(pair.both, on_two) == 0
    for question in list(randomly(pair.alone, 5)):  # while rollups are behind
        assert not pair.differ(lambda db, asked=question: ask(db, asked)), question


def refused(server: servers.RunningServer, asked: Callable[[], object], match: str) -> None:
    """Check that it is refused, asked once more where the server that is left ended meanwhile.

    It gives up what it asks of itself once the other shard does not answer, and this build, which
    serves as `clickhouse local`, ends now and then when a connection to it is given up.
    """
    for _ in range(5):
        with pytest.raises(WarehouseError) as error:
            asked()
        if isinstance(error.value, WarehouseUnreachable) and re.search(match, str(error.value)):
            return
        assert has_ended(server), error.value
        server.kill9()
        server.restart()
    pytest.fail(f"the server ended each time: {error.value}")


def has_ended(server: servers.RunningServer) -> bool:
    try:
        server.query("SELECT 1")
    except (servers.QueryRefused, servers.ServerFailed, OSError):
        return True
    return False


def test_a_lost_shard_is_an_error_and_nothing_is_lost(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is killed while a file is being loaded; what was under way is loaded again."""
    left, lost = pair.servers
    at = f"127.0.0.1:{lost.tcp_port}"
    new = tmp_path / "new"
    write_demo_site(tmp_path / "site", JOBS, 1.0, 2, "45")
    (tmp_path / "site" / "accounting").rename(new)
    whole = new.read_bytes()
    half = whole.index(b"\n", len(whole) // 2) + 1
    new.write_bytes(whole[:half])
    load_file(pair.both, "demo", new)
    new.write_bytes(whole)
    lost.kill9()
    for asked in (
        lambda: ask(pair.both, Question(("jobs",))),
        lambda: ask(pair.both, Question(("jobs",), exact=True)),
        lambda: pair.both.rows("SELECT count() FROM jobs"),
        lambda: load_file(pair.both, "demo", new),
    ):
        refused(left, asked, f"no answer from the shard at {at}$")
    refused(
        left,
        lambda: migrate_cluster(pair.both, NAME, replicated=False),
        "1 of 2 servers of 'two' are not done",
    )
    left.kill9()  # if it has not ended by now
    left.restart()
    lost.restart()
    load_file(pair.both, "demo", new)
    load_file(pair.alone, "demo", new)
    assert print_verified(pair.both, "demo", new), capsys.readouterr()
    at_end = ledger.position(pair.both, "demo", load_file(pair.both, "demo", new).file_id)
    assert at_end.offset == len(whole)
    statement = "SELECT * EXCEPT (file_id, offset) FROM records ORDER BY ALL"
    assert not pair.differ(lambda db: db.arrow(statement))


def test_a_shard_that_breaks_off_is_named() -> None:
    text = (
        "Code: 32. DB::Exception: Attempt to read after eof: while receiving packet from"
        " 127.0.0.1:19102, local address: 127.0.0.1:33050: Insertion status: Wrote 1 blocks and"
        " 13088 rows on shard 0 replica 0 (ATTEMPT_TO_READ_AFTER_EOF) (version 26.7.2.1)"
    )
    error = translate(RuntimeError(text), "http://u:secret@h:8123/pychart")
    assert isinstance(error, WarehouseUnreachable)
    assert str(error) == "http://u@h:8123/pychart: the shard at 127.0.0.1:19102 broke off"


# --- the files of a cluster --------------------------------------------------------------------


def test_compose_profile_and_configuration_name_the_same_servers() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    of_cluster = {name for name, each in services.items() if each.get("profiles") == ["cluster"]}
    config = ET.parse(ROOT / "clickhouse/server/cluster/config.xml").getroot()
    keeper = ET.parse(ROOT / "clickhouse/server/cluster/keeper.xml").getroot()
    shards = config.findall("remote_servers/pychart/shard")
    hosts = [[host.text or "" for host in shard.findall("replica/host")] for shard in shards]
    assert [len(replicas) for replicas in hosts] == [2, 2]
    for shard, replicas in enumerate(hosts, 1):
        for replica, host in enumerate(replicas, 1):
            given = services[host]["environment"]
            assert (given["PYCHART_SHARD"], given["PYCHART_REPLICA"]) == (str(shard), str(replica))
            assert given["PYCHART_HOST"] == host
            for volume in services[host]["volumes"][1:]:
                assert (ROOT / volume.split(":")[0]).is_file()
    keepers = [host.text for host in config.findall("zookeeper/node/host")]
    assert keepers == [
        host.text for host in keeper.findall(".//raft_configuration/server/hostname")
    ]
    numbers = [services[str(name)]["environment"]["KEEPER_ID"] for name in keepers]
    assert numbers == [each.text for each in keeper.findall(".//raft_configuration/server/id")]
    every_host = {host for replicas in hosts for host in replicas}
    assert of_cluster == every_host | {*map(str, keepers)} | {
        "cluster-migrate", "cluster-ingest", "cluster-app"
    }  # fmt: skip
    assert services["cluster-migrate"]["command"] == ["migrate", "--cluster", "pychart"]


def test_users_of_a_cluster_may_do_on_a_shard_what_they_do_on_one_server() -> None:
    users = ET.parse(ROOT / "clickhouse/server/cluster/users.xml").getroot()
    queries = users.findall("users/pychart_ingest/grants/query")
    assert {query.get("cluster") for query in queries} == {"1"}
    granted = "\n".join(query.text or "" for query in queries)
    for name in [table.name for table in STORED] + [view.name[5:] for view in views(Settings())]:
        assert re.search(rf"CREATE TABLE, .*INSERT.* ON pychart_shard\.{name}$", granted, re.M), (
            name
        )


# --- replicas, as far as their statements -----------------------------------------------------


def test_replicated_tables_are_statements_that_the_server_reads(pair: Pair) -> None:
    stored = [each.sql for each in schema() if "ENGINE = ReplacingMergeTree" in each.sql]
    assert len(stored) > 3
    for sql in stored:
        made = replicated_sql(sql, "/clickhouse/tables/{shard}/x", "{replica}")
        assert "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/x', '{replica}'" in made
        assert b"ReplicatedReplacingMergeTree" in pair.both.text(f"EXPLAIN AST {made}", "TSV")


def test_replicas_without_keeper_are_refused(pair: Pair) -> None:
    with (
        Warehouse(pair.settings(database="replicas"), create=True) as opened,
        pytest.raises(ConfigError, match="no Keeper; without one, --no-replication"),
    ):
        migrate_cluster(opened, NAME, replicated=True)
    with (
        Warehouse(pair.settings(database="replicas")) as opened,
        pytest.raises(WarehouseError, match="finish `pychart migrate --cluster` first"),
    ):
        migrate(opened)
