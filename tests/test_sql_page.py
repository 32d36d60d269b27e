"""SQL of people: what is let through and what refused, how long it may take; on both engines."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from streamlit.testing.v1 import AppTest

from clickhouse import readonly
from clickhouse import running as running_module
from clickhouse.connection import Warehouse
from clickhouse.errors import PychartError, QuestionError, WarehouseError
from clickhouse.fields import FIELDS
from clickhouse.migrate import INTERFACE
from clickhouse.running import MOST_AT_ONCE, Reader, Running
from ingest.loader import load_file
from streamlit_app import i18n, sqlpage
from streamlit_app.warehouse import holder
from tests import helpers
from tests.app import app

SOUND = (
    "SELECT 1",
    "select count() from jobs;",
    "-- a comment\nSELECT owner, /* another */ sum(core_seconds) FROM jobs\nGROUP BY owner",
    "FROM jobs SELECT owner, count() GROUP BY ALL",
    "WITH best AS (SELECT owner, count() AS n FROM jobs GROUP BY owner) SELECT * FROM best"
    " WHERE owner IN (SELECT owner FROM records)",
    "WITH ('alice', 'bruno') AS people SELECT count() FROM jobs WHERE owner IN ('alice', 'bruno')",
    "SELECT j.owner, c.meaning FROM jobs AS j JOIN failed_codes AS c USING failed LIMIT 3",
    "SELECT * EXCEPT (category) REPLACE (upper(owner) AS owner) FROM records LIMIT 2",
    "SELECT owner FROM jobs UNION DISTINCT SELECT `group` FROM jobs",
    "SELECT owner FROM jobs INTERSECT SELECT owner FROM records",
    "SELECT row_number() OVER w AS n, sum(slots) OVER (PARTITION BY owner) FROM jobs"
    " WINDOW w AS (ORDER BY job_number) LIMIT 3",
    "SELECT quantileExactInclusiveOrNullIf(0.5)(wait_seconds, started),"
    " countIf(outcome = 'done'), argMaxIf(owner, slots, started) FROM jobs",
    "SELECT CASE WHEN slots > 1 THEN 'many' ELSE 'one' END AS k, CAST(count() AS String) FROM jobs"
    " GROUP BY k",
    "SELECT arrayMap(x -> x * 2, [1, 2]), tupleElement((1, 'a'), 2), '\\n', 'it''s', NULL, 1 AS a",
    "SELECT toStartOfMonth(day) AS m, count() FROM jobs GROUP BY m ORDER BY m WITH FILL LIMIT 3",
    "SELECT number FROM numbers(3)",
    "SELECT resources['h_rt'], arrayJoin(mapKeys(resources)) FROM requests LIMIT 5",
    "SELECT arrayJoin(flags) AS flag, count() FROM records GROUP BY flag",
    "DESCRIBE jobs",
    "DESC TABLE records",
    "EXPLAIN SELECT count() FROM jobs",
    "EXPLAIN PLAN indexes = 1 SELECT count() FROM jobs WHERE job_number = 1",
    "EXPLAIN SYNTAX SELECT 1",
    "SELECT 'SELECT * FROM system.users; DROP TABLE accounting' AS harmless",
)
# How a file, the network, another table, a setting or the server could be reached.
HOSTILE = (
    "SELECT file('/etc/passwd')",
    "SELECT FILE('/etc/passwd')",
    "SELECT file('/etc/passwd') AS count",
    "SELECT length((SELECT file('/etc/passwd')))",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM `file`('/etc/passwd', 'LineAsString', 'line String')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM executable('x.sh', 'CSV', 'a String')",
    "SELECT * FROM merge('system', '.*')",
    "SELECT * FROM merge('.*')",
    "SELECT * FROM dictionary('d')",
    "SELECT * FROM python('x')",
    "SELECT * FROM view(SELECT * FROM system.users)",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM system.users))",
    "SELECT * FROM (EXPLAIN SELECT * FROM system.users)",
    "SELECT * FROM format('LineAsString', 'a')",
    "SELECT * FROM input('a String')",
    "SELECT * FROM loop(system.users)",
    "SELECT * FROM generateRandom('a String')",
    "SELECT * FROM fuzzJSON('{}')",
    "SELECT * FROM system.tables",
    "SELECT * FROM `system`.`users`",
    'SELECT * FROM "system"."settings"',
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM default.jobs",
    "SELECT * FROM accounting",
    "SELECT * FROM migrations",
    "SELECT * FROM landing",
    "SELECT 1 IN system.one",
    "SELECT 1 WHERE 'default' IN (system.users)",
    "SELECT 1 WHERE tuple(1) GLOBAL NOT IN accounting",
    "SELECT count() FROM jobs JOIN system.users ON 1",
    "SELECT count() FROM jobs WHERE owner = (SELECT name FROM system.users LIMIT 1)",
    "WITH x AS (SELECT * FROM system.users) SELECT * FROM x",
    "WITH (SELECT any(name) FROM system.users) AS x SELECT x",
    "SELECT 1 UNION ALL SELECT count() FROM system.users",
    "SELECT 1 EXCEPT SELECT count() FROM system.users",
    "EXPLAIN SELECT file('/etc/passwd')",
    "EXPLAIN SELECT (SELECT count() FROM system.users)",
    "EXPLAIN AST INSERT INTO accounting SELECT * FROM accounting",
    "EXPLAIN ESTIMATE SELECT * FROM system.users",
    "EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:1', 'd', 't', 'u', 'p') PARTITION BY 1",
    "DESCRIBE url('http://127.0.0.1:1/')",
    "DESCRIBE file('/etc/passwd')",
    "DESCRIBE system.users",
    "DESCRIBE (SELECT file('/etc/passwd'))",
    "SELECT * APPLY(file) FROM jobs",
    "SELECT COLUMNS('owner') APPLY file FROM jobs",
    "SELECT * APPLY(x -> file(x)) FROM jobs",
    "SELECT arrayReduce('sum', [1]), arrayMap(x -> file(x), ['/etc/passwd'])",
    "SELECT initializeAggregation('sum', 1)",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT joinGet('t', 'v', 1)",
    "SELECT hasColumnInTable('system', 'users', 'name')",
    "SELECT getSetting('max_threads')",
    "SELECT getServerSetting('max_connections')",
    "SELECT getMacro('x')",
    "SELECT getClientHTTPHeader('Authorization')",
    "SELECT hostName(), version(), currentUser(), uptime()",
    "SELECT showCertificate()",
    "SELECT filesystemAvailable()",
    "SELECT addressToLine(1)",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM numbers(100)",
    "SELECT aiGenerate('x', 'y')",
    "SELECT catboostEvaluate('/etc/passwd', 1)",
    "SELECT regionToName(1)",
    "SELECT encrypt('aes-256-gcm', 'a', 'b')",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT count() FROM (SELECT 1 SETTINGS readonly = 0)",
    "SELECT 1 INTO OUTFILE '/tmp/pychart_stolen'",
    "SELECT 1 FORMAT CSV",
    "SELECT 1; DROP TABLE accounting",
    "SELECT 1) ; DROP TABLE accounting; SELECT (1",
    "SELECT 1 PARALLEL WITH SELECT 2",
    "SELECT {x:String}",
    "SELECT * FROM {x:Identifier}",
    "SET readonly = 0",
    "USE system",
    "SHOW TABLES",
    "SHOW CREATE TABLE jobs",
    "SHOW GRANTS",
    "EXISTS TABLE accounting",
    "CHECK TABLE accounting",
    "INSERT INTO accounting SELECT * FROM accounting",
    "INSERT INTO FUNCTION file('/tmp/pychart_stolen') SELECT 1",
    "DROP TABLE accounting",
    "TRUNCATE TABLE accounting",
    "ALTER TABLE accounting DELETE WHERE 1",
    "DELETE FROM accounting WHERE 1",
    "UPDATE accounting SET slots = 0 WHERE 1",
    "OPTIMIZE TABLE accounting",
    "RENAME TABLE accounting TO a",
    "CREATE TABLE t (a Int8) ENGINE = File(CSV)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER u",
    "ATTACH TABLE t FROM '/tmp' (a Int8) ENGINE = File(CSV)",
    "DETACH TABLE accounting",
    "BACKUP TABLE accounting TO File('/tmp/pychart_stolen')",
    "KILL QUERY WHERE 1",
    "SYSTEM SHUTDOWN",
    "GRANT ALL ON *.* TO default",
    "EXECUTE AS default SELECT 1",
    "SELECT 1 AS `x\n        Function count`",
    "SELECT `a\\nb` FROM jobs",
    "",
    " ; ",
    "SELECT '" + "x" * readonly.MOST_CHARACTERS + "'",
    "SELECT 1\0",
)

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3"


@pytest.fixture
def reader(database_url: str, sample: Path) -> Iterator[Reader]:
    """What runs statements, over the sample of a live cell."""
    with helpers.warehouse(database_url) as opened:
        load_file(opened, helpers.CLUSTER, sample)
        found = Reader(opened.settings)
        yield found
        found.close()


def answered(reader: Reader, statement: str, rows: int = 1000) -> pa.Table:
    running = reader.start(statement, rows)
    assert running.wait(30)
    if running.error:
        raise running.error
    assert running.answer
    return running.answer.table


def test_what_is_let_through_and_what_is_refused(reader: Reader, tmp_path: Path) -> None:
    for statement in SOUND:
        assert answered(reader, statement).num_columns, statement
    let_through = []
    for statement in HOSTILE:
        try:
            reader.start(statement, 10).wait(30)
            let_through.append(statement)
        except QuestionError as error:
            assert str(error) and "\n" not in str(error), statement
    assert let_through == []
    assert not Path("/tmp/pychart_stolen").exists()
    assert answered(reader, "SELECT count() FROM records").to_pylist() != [{"count()": 0}]


def test_the_connections_themselves_may_only_read(reader: Reader) -> None:
    for statement in ("CREATE TABLE t (a Int8) ENGINE = Memory", "SET readonly = 0"):
        with pytest.raises(WarehouseError, match="readonly"):
            reader._warehouse.command(statement)


def test_a_long_statement_tells_how_far_it_is_and_can_be_stopped(reader: Reader) -> None:
    running = reader.start(ENDLESS, 10)
    assert not running.wait(0.5)
    first = running.progress()
    assert first and 0 < first.rows < first.total
    began = time.monotonic()
    running.stop()
    assert running.wait(5) and time.monotonic() - began < 3
    assert "stopped after" in str(running.error)
    assert answered(reader, "SELECT 1").num_rows == 1


def test_a_statement_ends_in_time_and_within_its_memory(reader: Reader) -> None:
    running = reader.start(ENDLESS, 10, seconds=1)
    assert running.wait(10) and "took longer than 1 s" in str(running.error)
    running = reader.start("SELECT groupArray(number) FROM numbers(1000000000)", 10)
    assert running.wait(60) and "more than 2 GB" in str(running.error)


def test_what_nobody_waits_for_is_stopped(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_module, "ABANDONED_SECONDS", 0.6)
    running = reader.start(ENDLESS, 10)
    for _ in range(4):
        assert not running.wait(0.3)
    time.sleep(2.5)
    assert running.done and "stopped" in str(running.error)


def test_only_some_run_at_once(reader: Reader) -> None:
    some = [reader.start(ENDLESS, 10) for _ in range(MOST_AT_ONCE)]
    with pytest.raises(QuestionError, match="try again"):
        reader.start("SELECT 1", 10)
    for running in some:
        running.stop()
    assert all(running.wait(5) for running in some)
    assert answered(reader, "SELECT 1").num_rows == 1


def test_rows_are_cut_and_said_to_be(reader: Reader) -> None:
    for rows, cut in ((10, True), (11, False)):
        running: Running = reader.start("SELECT number FROM numbers(11) ORDER BY number", rows)
        assert running.wait(10) and running.answer
        assert (running.answer.table.num_rows, running.answer.cut) == (rows, cut)


def test_times_are_times(reader: Reader) -> None:
    table = answered(reader, "SELECT max(end_time) AS last, max(job_number) FROM records")
    assert pa.types.is_timestamp(table.schema.field("last").type)
    assert table.schema.types[1] == pa.uint32()


def test_errors_say_what_is_wrong_in_a_line(reader: Reader) -> None:
    for statement, words in (
        ("SELECT owner FROM jobs WHER slots > 1", "syntax error at character"),
        ("SELECT 'open", "near .'open"),
        ("SELECT nothing FROM jobs", "nothing"),
        ("SELECT * FROM system.users", "none of the views"),
        ("SELECT file('x')", "the function file is not for this page"),
    ):
        with pytest.raises(PychartError, match=words) as error:
            answered(reader, statement)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_every_function_of_the_list_exists(reader: Reader) -> None:
    listed = readonly.allowed()
    sql = "SELECT lower(name) AS name, is_aggregate FROM system.functions"
    known = {(row[0], bool(row[1])) for row in reader._warehouse.rows(sql)}
    assert {name for name in listed["aggregate"] if (name, True) not in known} == set()
    assert {n for n in listed["plain"] - {"lambda"} if (n, False) not in known} == set()


def run(at: AppTest, statement: str) -> AppTest:
    at.text_area(key="pick_sql").set_value(statement)
    at.button(key="sql_run").click().run()
    assert not at.exception
    return at


def test_the_page_answers_in_a_table(loaded: Warehouse) -> None:
    at = run(
        app("sql"), "SELECT owner, count() AS n FROM jobs GROUP BY owner ORDER BY n DESC, owner"
    )
    [frame] = [table.value for table in at.dataframe if "n" in table.value]
    expected = loaded.rows(
        "SELECT owner, count() AS n FROM jobs GROUP BY owner ORDER BY n DESC, owner"
    )
    assert [tuple(row) for row in frame.to_numpy()] == [tuple(row) for row in expected]
    assert not at.error
    assert "SELECT file" not in at.text_area(key="pick_sql").value


def test_the_page_says_what_is_wrong(loaded: Warehouse) -> None:
    at = run(app("sql"), "SELECT file('/etc/passwd')")
    assert "the function file is not for this page" in at.error[0].value
    at = run(at, "SELECT 1 AS one")
    assert not at.error


def test_a_link_holds_the_statement(loaded: Warehouse) -> None:
    at = app("sql", sql="SELECT 42 AS answer")
    assert at.text_area(key="pick_sql").value == "SELECT 42 AS answer"
    assert not [table for table in at.dataframe if "answer" in table.value]  # only Run runs it
    at.button(key="sql_run").click().run()
    assert [table for table in at.dataframe if "answer" in table.value]


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_the_examples_answer_and_the_schema_has_meanings(loaded: Warehouse) -> None:
    for statement in sqlpage.EXAMPLES.values():
        assert answered(holder.reader(), statement).num_columns > 1
    assert set(sqlpage.VIEWS) == set(INTERFACE)
    for view in INTERFACE:
        rows = sqlpage.columns_of(view).to_pylist()
        assert [row["column"] for row in rows if not row["meaning"]] == [], view
    texts = {each.meaning for each in FIELDS.values()}
    assert sorted(texts - i18n.catalogue("fr").keys()) == []


def test_answers_become_files() -> None:
    table = pa.table({"a": [b"\xff", b"b"], "b": [[1, 2], []]})
    assert sqlpage.csv_bytes(table) == b'"a","b"\n"ff","1, 2"\n"b",""\n'
    assert pyarrow.parquet.read_table(io.BytesIO(sqlpage.parquet_bytes(table))).num_rows == 2
