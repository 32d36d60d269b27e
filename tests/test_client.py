"""Debian's clickhouse-client over the native protocol: it loads into the landing table and asks."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.sources import open_source
from ingest.tail import read_head
from tests import server as servers
from tests.conftest import require
from tests.helpers import warehouse

numbers = itertools.count(1)


@pytest.fixture
def client(server: servers.RunningServer) -> Iterator[Callable[..., str]]:
    program = require("clickhouse-client")
    database = f"pychart_client_{os.getpid()}_{next(numbers)}"
    with warehouse(server.url(database)):
        pass

    def run(query: str, stdin: bytes = b"") -> str:
        command = [program, "--host", server.host, "--port", str(server.tcp_port)]
        command += ["--database", database, "--query", query]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    yield run
    server.query(f"DROP DATABASE {database} SYNC")


def test_load_and_ask_over_the_native_protocol(client: Callable[..., str], sample: Path) -> None:
    with open_source(sample) as source:
        head = read_head(source)
    assert head is not None
    block = sample.read_bytes().decode().replace("\\", "\\\\").replace("\n", "\\n")
    row = f"c1\t{head.file_id}\t0\t{block}\n".encode()
    for _ in range(2):
        client("INSERT INTO landing (cluster, file_id, offset, block) FORMAT TSV", row)
    assert client("SELECT count(), sum(ru_wallclock) FROM records") == "223\t434\n"
    assert client("SELECT count() FROM jobs WHERE started") == "177\n"
    views = "records jobs rejects ledger sources lines submitted_jobs attempts campaigns"
    for view in f"{views} metagroups failed_codes exit_codes".split():  # requests has a Map
        client(f"SELECT * FROM {view} FORMAT Null")
    totals = client("SELECT owner, sum(cpu) FROM records GROUP BY owner ORDER BY owner LIMIT 1")
    assert totals.startswith("alice\t2.29252")
