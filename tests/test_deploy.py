"""The files an installation is made from: container image, compose file, units, server users."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from pydantic import SecretStr

from clickhouse import policies
from clickhouse.connection import Warehouse
from clickhouse.cubes import NEAR, TABLES
from clickhouse.migrate import migrate, views
from clickhouse.query import Question, ask
from clickhouse.rollups import refresh
from clickhouse.running import Reader
from clickhouse.scope import EVERYTHING
from clickhouse.settings import MetagroupSettings, Settings
from ingest.loader import load_file
from pychart.verify import print_verified
from tests import helpers
from tests import server as servers
from tests.conftest import missing, require
from tests.policed import row_filters

ROOT = Path(__file__).parent.parent
UNITS = sorted((ROOT / "ingest" / "systemd").glob("*.service"))
SERVER_SETTINGS = ROOT / "clickhouse" / "server"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MOST_EXPOSED = 2.0
ENDING = {"migrate", "cluster-migrate"}  # services that do their work and end


# --- packages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "extras"), [("constraints.txt", []), ("constraints-dev.txt", ["dev", "bench"])]
)
def test_every_requirement_is_locked_with_hashes(lock: str, extras: list[str]) -> None:
    text = re.sub(r"^#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    pins = {}
    for entry in re.split(r"\n(?=\S)", text.replace("\\\n", "").strip()):
        requirement, *hashes = re.split(r"\s+--hash=", entry)
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes)
        found = Requirement(requirement)
        [pin] = found.specifier
        assert pin.operator == "=="
        pins[_canonical(found.name)] = pin.version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    more = [project["project"]["optional-dependencies"][extra] for extra in extras]
    lines = sum(more, project["project"]["dependencies"] + project["build-system"]["requires"])
    wanted = [Requirement(line) for line in lines]
    assert [str(r) for r in wanted if pins.get(_canonical(r.name), "") not in r.specifier] == []


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- container image --------------------------------------------------------------------------


def test_dockerfile_copies_what_exists_and_is_not_ignored() -> None:
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", _dockerfile(), re.MULTILINE)
    sources = [word for line in copies for word in line.split()]
    assert sources
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert set(sources) == let_in


def test_dockerfile_pins_python_and_packages_and_drops_root() -> None:
    text = _dockerfile()
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:3.13-slim"}
    installs = re.findall(r"pip install (.*)", text)
    assert installs
    assert all(
        "--require-hashes" in arguments or "--no-deps ." in arguments for arguments in installs
    )
    last_stage = text.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last_stage, re.MULTILINE)


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


# --- compose file -----------------------------------------------------------------------------


def test_compose_file_follows_the_specification() -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_compose_publishes_only_the_app_and_on_the_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["app", "cluster-app"]
    assert published["cluster-app"] == published["app"]
    assert all(
        port.startswith("${PYCHART_PUBLISH_ADDRESS:-127.0.0.1}:") for port in published["app"]
    )
    assert COMPOSE["networks"]["database"]["internal"] is True
    in_front = [name for name, service in SERVICES.items() if "front" in service["networks"]]
    assert in_front == ["app", "cluster-app"]


@pytest.mark.parametrize("name", SERVICES)
def test_compose_service_is_pinned_checked_and_confined(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+\.\d+(\.\d+)*$", service["image"])
    assert name in ENDING or service["healthcheck"]["test"][0] == "CMD"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert "mem_limit" in service


def test_compose_server_is_a_long_term_release() -> None:
    year, month = SERVICES["clickhouse"]["image"].rsplit(":", 1)[1].split(".")[:2]
    assert (int(year), int(month)) >= (26, 3)
    assert int(month) in {3, 8}


def test_compose_holds_no_password() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{PYCHART_\w+_PASSWORD:\?.+\}", value)
            assert not re.search(r"://[^/@]*:[^/@]*@", value)
    by_name = _example_environment()
    assert {by_name[name] for name in by_name if "PASSWORD" in name} == {""}


def test_compose_variables_are_all_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert used == set(_example_environment())


def _example_environment() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_compose_reads_the_accounting_files_and_writes_only_the_database() -> None:
    accounting = [v for v in SERVICES["ingest"]["volumes"] if v["target"] == "/accounting"]
    assert [volume["read_only"] for volume in accounting] == [True]
    for name, user in (("migrate", "admin"), ("ingest", "ingest"), ("app", "app")):
        found = SERVICES[name]["environment"]
        assert found["PYCHART_DATABASE"].startswith(f"http://pychart_{user}@")
        assert f"PYCHART_{user.upper()}_PASSWORD" in found["PYCHART_DATABASE_PASSWORD"]
    after = SERVICES["ingest"]["depends_on"]["migrate"]
    assert after == {"condition": "service_completed_successfully"}
    mounted = [v for v in SERVICES["clickhouse"]["volumes"] if v.startswith("./")]
    assert len(mounted) == 2
    for volume in mounted:
        source, target, mode = volume.split(":")
        assert (ROOT / source).is_file()
        assert mode == "ro"
        assert target.endswith(source.removeprefix("./clickhouse/server"))


# --- systemd ----------------------------------------------------------------------------------


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def systemd_unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy whose program exists, or systemd would complain about that alone."""
    unit: Path = request.param
    copy = tmp_path / unit.name
    installed = "/opt/pychart/.venv/bin/pychart"
    text = unit.read_text()
    assert f"ExecStart={installed} --config /etc/pychart/pychart.toml " in text
    copy.write_text(text.replace(installed, "/bin/true"))
    return copy


def test_systemd_understands_the_unit(systemd_unit: Path) -> None:
    said = _systemd_analyze("verify", "--man=no", str(systemd_unit))
    assert said.returncode == 0
    assert systemd_unit.name not in said.stderr  # what it ignores, it says and returns 0


def test_systemd_confines_the_unit(systemd_unit: Path) -> None:
    said = _systemd_analyze("security", "--offline=true", "--no-pager", str(systemd_unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert found, said.stdout + said.stderr
    assert float(found[1]) <= MOST_EXPOSED


def _systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [require("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# --- users of a real server -------------------------------------------------------------------

# As a ClickHouse package brings them; ours are laid over these.
PACKAGED_CONFIG = """<clickhouse>
  <users_config>{folder}/users.xml</users_config>
  <user_directories><users_xml><path>{folder}/users.xml</path></users_xml></user_directories>
</clickhouse>"""
PACKAGED_USERS = """<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password/>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
</clickhouse>"""
# The test server is its own first client, as `default`, which our file takes away.
RESTORED_DEFAULT = """<clickhouse>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
</clickhouse>"""
PASSWORDS = {
    "PYCHART_ADMIN_PASSWORD": "m4kes it",
    "PYCHART_INGEST_PASSWORD": "Wr1te$ @ll:it/2",
    "PYCHART_APP_PASSWORD": "reads only",
    "PYCHART_ANALYST_PASSWORD": "asks",
}
LINES = 10
READONLY = 164
UNKNOWN_USER = 516
ACCESS_DENIED = 497
PROHIBITED = 392
CONSTRAINT_VIOLATION = 452
TIMEOUT = 159
TOO_MANY_ROWS = 158
TOO_MANY_RESULT_ROWS = 396


class Users:
    """The server with our users, each by name."""

    def __init__(self, server: servers.RunningServer) -> None:
        self.server = server

    def ask(self, user: str, sql: str, settings: dict[str, object] | None = None) -> str:
        password = PASSWORDS[f"PYCHART_{user.upper()}_PASSWORD"]
        name = f"pychart_{user}"
        return self.server.query(sql, user=name, password=password, settings=settings)

    def app(self, sql: str, settings: dict[str, object] | None = None) -> str:
        return self.ask("app", sql, settings)

    def refused(
        self, sql: str, settings: dict[str, object] | None = None, user: str = "app"
    ) -> int:
        """Error code that a user gets."""
        with pytest.raises(servers.QueryRefused) as error:
            self.ask(user, sql, settings)
        return error.value.code

    def settings(self, user: str, **more: Any) -> Settings:
        """What `pychart` is set to where it works as one of them."""
        password = PASSWORDS[f"PYCHART_{user.upper()}_PASSWORD"]
        url = f"http://pychart_{user}@127.0.0.1:{self.server.http_port}/pychart"
        return Settings(database=url, database_password=SecretStr(password), **more)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    folder = tmp_path_factory.mktemp("users")
    shutil.copytree(SERVER_SETTINGS, folder, dirs_exist_ok=True)
    (folder / "config.xml").write_text(PACKAGED_CONFIG.format(folder=folder))
    (folder / "users.xml").write_text(PACKAGED_USERS)
    (folder / "users.d" / "z-test.xml").write_text(RESTORED_DEFAULT)
    try:
        server = servers.start(folder / "data", config_file=folder / "config.xml", env=PASSWORDS)
    except servers.ServerUnavailable as error:
        missing(str(error))
    with server:
        users = Users(server)
        with Warehouse(users.settings("admin"), create=True) as warehouse:
            assert migrate(warehouse)
        lines = [helpers.line(job_number=n, owner=f"u{n}") for n in range(LINES)]
        (folder / "accounting").write_bytes(b"\n".join(lines) + b"\n")
        with Warehouse(users.settings("ingest"), create=True) as warehouse:
            assert migrate(warehouse) == []
            assert load_file(warehouse, helpers.CLUSTER, folder / "accounting").records == LINES
            assert refresh(warehouse).months == 1
        yield users


def test_server_has_no_other_user() -> None:
    tree = ET.parse(SERVER_SETTINGS / "users.d" / "pychart.xml")
    found = tree.findall("users/*")
    names = {"pychart_admin", "pychart_ingest", "pychart_app", "pychart_analyst"}
    assert {user.tag for user in found} == {"default"} | names
    assert [user.get("remove") for user in found if user.tag == "default"] == ["remove"]
    secrets = {user.tag: user.find("password") for user in found if user.tag != "default"}
    assert {tag: s is not None and s.get("from_env") for tag, s in secrets.items()} == {
        name: f"{name.upper()}_PASSWORD" for name in names
    }


def test_server_wants_the_password(users: Users) -> None:
    for user in ("pychart_admin", "pychart_ingest", "pychart_app", "pychart_analyst"):
        with pytest.raises(servers.QueryRefused) as error:
            users.server.query("SELECT 1", user=user, password="")
        assert error.value.code == UNKNOWN_USER


def test_ingest_user_loads_and_changes_nothing(users: Users, tmp_path: Path) -> None:
    again = tmp_path / "again"  # the same lines from another file: looked for, merged away
    lines = [helpers.line(job_number=n, owner=f"u{n}") for n in range(LINES)]
    again.write_bytes(b"# another file\n" + b"\n".join(lines) + b"\n")
    metagroups = {"lab": MetagroupSettings(users=("u1",))}
    with Warehouse(users.settings("ingest", metagroups=metagroups)) as warehouse:
        assert load_file(warehouse, helpers.CLUSTER, again).records == LINES
        # an edit of the settings reaches the views
        assert "0015_metagroups" in migrate(warehouse)
        refresh(warehouse)
        found = warehouse.rows("SELECT count() FROM accounting")
        assert print_verified(warehouse, helpers.CLUSTER, again)
    assert found == [(LINES,)]
    assert users.app("SELECT metagroup FROM pychart.metagroups") == "lab\n"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE DATABASE other",
        "CREATE USER another",
        "GRANT SELECT ON *.* TO pychart_ingest",
        "DROP DATABASE pychart",
        "DROP TABLE pychart.accounting",
        "DROP VIEW pychart.accept",
        "TRUNCATE TABLE pychart.accounting",
        "TRUNCATE TABLE pychart.batches",
        "ALTER TABLE pychart.accounting DELETE WHERE 1",
        "ALTER TABLE pychart.accounting UPDATE owner = 'x' WHERE 1",
        "ALTER TABLE pychart.accounting DROP PARTITION 2017",
        "ALTER TABLE pychart.batches DELETE WHERE 1",
        "INSERT INTO pychart.accounting (owner) VALUES ('x')",
        "INSERT INTO pychart.rejected_lines (line) VALUES ('x')",
        "CREATE TABLE pychart.more (n Int32) ENGINE = Memory",
        "CREATE ROW POLICY p ON pychart.accounting USING 1 TO ALL",
        "SELECT * FROM file('x', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'n Int32')",
        "SYSTEM SHUTDOWN",
    ],
)
def test_ingest_user_is_refused(users: Users, sql: str) -> None:
    assert users.refused(sql, user="ingest") == ACCESS_DENIED
    assert users.app("SELECT count() FROM pychart.records") == f"{LINES}\n"


def test_ingest_user_has_the_rollups_and_the_views() -> None:
    text = (SERVER_SETTINGS / "users.d" / "pychart.xml").read_text()
    for table in (*TABLES, NEAR):
        assert f"CREATE TABLE, DROP TABLE, INSERT, ALTER DELETE ON pychart.{table.name}<" in text
    for view in views(Settings()):
        assert f"CREATE VIEW, DROP VIEW, CREATE TABLE, INSERT ON pychart.{view.name[5:]}<" in text


def test_analyst_asks_what_the_app_shows(users: Users) -> None:
    assert users.ask("analyst", "SELECT count() FROM pychart.jobs") == f"{LINES}\n"
    for sql in (
        "INSERT INTO pychart.batches (path) VALUES ('x')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT query_id FROM system.processes",
        "SELECT * FROM system.parts",
    ):
        assert users.refused(sql, user="analyst") in {ACCESS_DENIED, READONLY}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO pychart.accounting (owner) VALUES ('x')",
        "INSERT INTO pychart.landing (cluster) VALUES ('x')",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
        "ALTER TABLE pychart.accounting DELETE WHERE 1",
        "CREATE TABLE pychart.more (n Int32) ENGINE = Memory",
        "CREATE TEMPORARY TABLE more (n Int32)",
        "DROP TABLE pychart.accounting",
        "DROP DATABASE pychart",
        "TRUNCATE TABLE pychart.accounting",
        "OPTIMIZE TABLE pychart.accounting",
        "GRANT SELECT ON *.* TO pychart_app",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'n Int32')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key.csv')",
        "SELECT * FROM executable('id', 'TSV', 'line String')",
        "SELECT query FROM system.processes",
        "SELECT * FROM system.users",
    ],
)
def test_app_user_is_refused(users: Users, sql: str) -> None:
    assert users.refused(sql) in {ACCESS_DENIED, READONLY}
    assert users.app("SELECT count() FROM pychart.jobs") == f"{LINES}\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("readonly", 0),
        ("readonly", 1),
        ("allow_ddl", 1),
        ("max_execution_time", 0),
        ("max_execution_time", 3600),
        ("max_memory_usage", 0),
        ("max_memory_usage", 10**12),
        ("max_memory_usage_for_user", 0),
        ("max_result_rows", 0),
        ("max_result_rows", 10**9),
        ("max_result_bytes", 0),
        ("max_rows_to_read", 0),
        ("max_concurrent_queries_for_user", 0),
        ("result_overflow_mode", "break"),
        ("timeout_overflow_mode", "break"),
        ("read_overflow_mode", "break"),
    ],
)
def test_app_user_cannot_lift_a_limit(users: Users, name: str, value: object) -> None:
    assert users.refused("SELECT 1", {name: value}) in {
        READONLY,
        PROHIBITED,
        CONSTRAINT_VIOLATION,
    }


def test_app_user_answers_questions_from_rollups_and_sees_its_progress(users: Users) -> None:
    with Warehouse(users.settings("app"), read_only=True) as warehouse:
        table = ask(warehouse, Question(("jobs",), ("user",)))
        assert sum(table.column("jobs").to_pylist()) == LINES
        sql = "SELECT count() FROM numbers(1e9) WHERE sipHash64(number) = 1"
        running = Reader(users.settings("app")).start(sql, rows=1)
        told = (running.progress() for _ in range(1000) if not running.wait(0.01))
        assert next(filter(None, told)).rows >= 0
        running.stop()
        assert running.wait(10)
    known = users.app("SELECT query_id FROM system.processes", {"query_id": "looked-at"})
    assert "looked-at" in known.split()


def test_app_user_sends_the_settings_that_the_app_sends(users: Users) -> None:
    answer = users.app(
        "SELECT count() FROM pychart.jobs",
        {
            "max_execution_time": 5,
            "max_result_rows": 10,
            "replace_running_query": 1,
            "query_id": "page-1",
        },
    )
    assert answer == f"{LINES}\n"


def test_app_user_is_stopped_at_the_limits(users: Users) -> None:
    assert users.refused("SELECT sleep(1)", {"max_execution_time": 0.1}) == TIMEOUT
    assert users.refused("SELECT number FROM numbers(1000001)") == TOO_MANY_RESULT_ROWS
    assert users.refused("SELECT count() FROM numbers(3000000000)") == TOO_MANY_ROWS


def test_analyst_cannot_say_for_whom_a_question_is(users: Users) -> None:
    """The policies are in a file here: this server has no other place for them."""
    with Warehouse(users.settings("admin")) as owner:
        conditions = policies.conditions(owner)
    bound = "".join(
        f"<pychart_{user}>{row_filters(conditions)}</pychart_{user}>"
        for user in ("ingest", "app", "analyst")
    )
    assert users.server.config_file
    file = users.server.config_file.parent / "users.d" / "y-policies.xml"
    file.write_text(f"<clickhouse><users>{bound}</users></clickhouse>")
    users.server.restart()
    sql = "SELECT count() FROM pychart.jobs"
    for user in ("ingest", "app"):
        with Warehouse(users.settings(user)) as warehouse:
            assert warehouse.rows(sql) == [(LINES,)]
    assert users.ask("analyst", sql) == "0\n"
    for name, value in (("log_comment", EVERYTHING), ("log_comment", "x"), ("readonly", 0)):
        refusals = {CONSTRAINT_VIOLATION, READONLY}
        assert users.refused(sql, {name: value}, "analyst") in refusals
        assert users.refused(f"{sql} SETTINGS {name} = '{value}'", user="analyst") in refusals
    file.unlink()


def test_users_survive_a_restart(users: Users) -> None:
    users.server.restart()
    assert users.app("SELECT count() FROM pychart.jobs") == f"{LINES}\n"
