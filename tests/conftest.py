"""What all tests share: the two engines, the sample of a live cell, programs that may be missing.

With `PYCHART_TEST_REQUIRE_ALL` set, whatever would be skipped for a missing server or program
fails instead.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NoReturn

import pytest

from clickhouse.connection import Warehouse
from ingest.loader import load_file
from tests import helpers
from tests import server as servers
from tests.databases import Pool

pytest.register_assert_rewrite("tests.rolled")  # or `check` would not say what differs


def pytest_configure() -> None:
    """Allow all the open files there may be: chDB leaves 15 behind for each folder it opened."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's tester leaves a page as `__main__`, which a forked process would then run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(autouse=True)
def server_answers(request: pytest.FixtureRequest) -> None:
    """Let no test fail because the server ended after another one."""
    if "server" in request.fixturenames:
        running = request.getfixturevalue("server")
        if isinstance(running, servers.RunningServer):
            running.revive()


def missing(reason: str) -> NoReturn:
    """Skip the test that needs what is not here, or fail it where everything is required."""
    if os.environ.get("PYCHART_TEST_REQUIRE_ALL"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require(tool: str) -> str:
    """Path of a program (`qacct`, `clickhouse-client`, `chromium`, …), or what `missing` does."""
    path = shutil.which(tool)
    return path or missing(f"{tool} is not installed")


def start_server(folder: Path, config_file: Path | None = None) -> servers.RunningServer:
    """Start a real ClickHouse, or take the one that is named; see `tests/server.py`."""
    try:
        named = servers.from_environment()
        return named or servers.start(folder / "data", config_file=config_file)
    except servers.ServerUnavailable as error:
        missing(str(error))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RunningServer]:
    """A real ClickHouse for the whole run."""
    with start_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def pool(server: servers.RunningServer) -> Pool:
    """The databases of that server."""
    return Pool(server)


def of_engine(
    request: pytest.FixtureRequest,
    folder: Path,
    of_server: Callable[[Pool], AbstractContextManager[str]],
    pool: str = "pool",
) -> AbstractContextManager[str]:
    """Give the URL of a database of the engine that the test is to run on."""
    if request.param == "chdb":
        # One engine path per process at a time: a test closes every client that it opened.
        return nullcontext(f"chdb://{folder}/db")
    return of_server(request.getfixturevalue(pool))


@pytest.fixture(params=["chdb", "server"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database, one test run per engine; on the server it has its tables."""
    with of_engine(request, tmp_path, Pool.migrated) as url:
        yield url


@pytest.fixture(params=["chdb", "server"])
def new_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that does not exist yet, one test run per engine."""
    with of_engine(request, tmp_path, Pool.none_yet) as url:
        yield url


@pytest.fixture(scope="session")
def sample() -> Path:
    """The accounting file of a live Son of Grid Engine 8.1.9 cell, qacct's answers beside it."""
    return Path(__file__).parent / "data" / "sge-8.1.9-live" / "accounting"


@pytest.fixture
def opened(database_url: str) -> Iterator[Warehouse]:
    """A fresh warehouse that the app shares, on either engine."""
    import streamlit as st  # the app's packages, which few tests need, take seconds to import

    from streamlit_app.warehouse import holder

    with helpers.warehouse(database_url) as warehouse:
        st.cache_resource.clear()
        holder.use(warehouse)
        yield warehouse
    holder.close()
    st.cache_resource.clear()


@pytest.fixture
def loaded(opened: Warehouse, sample: Path) -> Warehouse:
    """The same with the accounting file of a live cell in it."""
    load_file(opened, helpers.CLUSTER, sample)
    return opened


@pytest.fixture(scope="session")
def qacct(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What the real `qacct` prints for a file, given its options; it wants to see a cell."""
    program = require("qacct")
    root = tmp_path_factory.mktemp("sge")
    common = root / "default" / "common"
    common.mkdir(parents=True)
    (common / "act_qmaster").write_text("localhost\n")
    (common / "bootstrap").write_text(
        "admin_user none\ndefault_domain none\nignore_fqdn true\nspooling_method classic\n"
        "spooling_lib libspoolc\nspooling_params x;y\nbinary_path x\nqmaster_spool_dir x\n"
        "security_mode none\nlistener_threads 2\nworker_threads 2\nscheduler_threads 1\n"
    )
    environment = {**os.environ, "SGE_ROOT": str(root), "SGE_CELL": "default", "TZ": "UTC"}

    def run(file: Path, *options: str) -> str:
        command = [program, "-f", str(file), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    return run
