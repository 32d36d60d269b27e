"""The app with roles switched on, over the jobs of a few people, as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.loader import load_file
from tests import helpers

# Each of these has ten jobs, and a group, project and job names that nobody else has.
PEOPLE = ("ann", "bob", "cid", "chief", "mallory")
MARKS = {name: f"{name}zz" for name in PEOPLE}  # in the names of all that one has
SETTINGS = """
allowed_hosts = [{hosts}]
database = "chdb://{folder}/db"
state_directory = "{folder}"
query_seconds = 3

[access]
method = "header"
audit = "{folder}/audit.jsonl"
{more}

[access.admins]
users = ["chiefzz"]

[access.pis.annzz]
users = ["bobzz"]
"""


def make_site(folder: Path, hosts: tuple[str, ...] = (), more: str = "") -> Path:
    """Load the jobs of all into an embedded database; gives the settings file."""
    lines = [
        helpers.line(
            owner=own, group=f"{own}-group", project=f"{own}-project", account=f"{own}-account",
            department=f"{own}-dept", job_name=f"{own}-job{number}", category=f"-u {own}",
            job_number=100 * i + number, hostname=f"node{i % 2}", qname="all.q",
        )
        for i, own in enumerate(MARKS.values(), 1)
        for number in range(10)
    ]  # fmt: skip
    (folder / "accounting").write_bytes(b"\n".join(lines) + b"\nbroken mallory line of chiefzz\n")
    with helpers.warehouse(f"chdb://{folder}/db") as opened:
        load_file(opened, helpers.CLUSTER, folder / "accounting")
    file = folder / "pychart.toml"
    named = ", ".join(f'"{host}"' for host in hosts)
    file.write_text(SETTINGS.format(folder=folder, hosts=named, more=more))
    return file


@contextmanager
def running(settings: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run `pychart app`, wait until it is ready, and end it as a service manager would."""
    command = [sys.executable, "-c", "from pychart.cli import main; main()"]
    command += ["--config", str(settings), "app", *words]
    log = settings.with_name("app.log")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout
            line = next((line for line in process.stdout if "ready" in line), "")
            assert line, log.read_text()[-2000:]
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0, log.read_text()[-2000:]
