"""A real ClickHouse for the tests, its HTTP and native listeners included.

Looked for in this order:

1. `PYCHART_TEST_SERVER`, the URL of one that runs already (`http://user:password@host:8123`),
2. a `clickhouse` program on the PATH,
3. the library of the npm package `@chdb/lib-linux-*-gnu`, cached outside the checkout.

The last two run `clickhouse local`, which serves like a server once told `SYSTEM START LISTEN`.

    with start(tmp_path / "data") as server:
        server.query("SELECT 1")
        server.kill9()
        server.restart()     # same ports, same data
"""

from __future__ import annotations

import base64
import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

VERSION = "26.7.3-stable.1"
OLDEST = (26, 3)
PACKAGES = {
    "x86_64": "@chdb/lib-linux-x64-gnu",
    "aarch64": "@chdb/lib-linux-arm64-gnu",
}
SHA512 = {
    "x86_64": (
        "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="
    ),
}
READY_SECONDS = 60
SERVE = (
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; "
    "SELECT sleepEachRow(3) FROM system.numbers FORMAT Null "
    "SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1"
)
PR_SET_PDEATHSIG = 1

# A proxy in the environment must not get between the tests and the loopback.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerUnavailable(Exception):
    """No ClickHouse can be had here; the text says what was tried."""


class ServerFailed(Exception):
    """One could be had and does not run: no reason to skip a test. Holds the end of its log."""


class QueryRefused(Exception):
    """The server answered with an error; `code` is ClickHouse's own number, 0 if it gave none."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = re.match(r"Code: (\d+)", text)
        self.code = int(found[1]) if found else 0


@dataclass
class RunningServer:
    """A server that answers on `http_port` and `tcp_port`.

    Ours (`data_dir` is set) may be stopped, killed and restarted; one named by
    `PYCHART_TEST_SERVER` may not.
    """

    host: str
    http_port: int
    tcp_port: int
    user: str = "default"
    password: str = ""
    data_dir: Path | None = None
    config_file: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, database: str = "default", user: str | None = None, password: str = "") -> str:
        """`http://user:password@host:port/database`, as `--database` takes it."""
        if user is None:
            user, password = self.user, self.password
        secret = f":{urllib.parse.quote(password, safe='')}" if password else ""
        return f"http://{user}{secret}@{self.host}:{self.http_port}/{database}"

    def query(
        self,
        sql: str,
        *,
        database: str = "",
        user: str | None = None,
        password: str = "",
        settings: Mapping[str, object] | None = None,
    ) -> str:
        """The answer to one statement over plain HTTP, as text.

        Raises `QueryRefused` on an error, `ServerFailed` where the server has ended by itself.
        """
        if user is None:
            user, password = self.user, self.password
        arguments = {**(settings or {}), "wait_end_of_query": 1}
        if database:
            arguments["database"] = database
        request = urllib.request.Request(
            f"http://{self.host}:{self.http_port}/?{urllib.parse.urlencode(arguments)}",
            data=sql.encode(),
            headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": password},
        )
        try:
            with _http.open(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                raise QueryRefused(error.read().decode(errors="replace")) from None
        except OSError as error:
            if self.process is None or self.process.poll() is None:
                raise
            raise ServerFailed(f"it has ended by itself: {self._said()}") from error

    def answers(self) -> bool:
        """Whether the HTTP listener is up."""
        try:
            with _http.open(f"http://{self.host}:{self.http_port}/ping", timeout=2) as answer:
                return bool(answer.read() == b"Ok.\n")
        except OSError:
            return False

    def stop(self) -> None:
        """End it as an administrator would; whatever runs is cut off. Harmless if it is down."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """End it between two instructions, as the kernel's out-of-memory killer would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Start it again on the same ports and data; stop it first where it still runs."""
        if self.data_dir is None:
            raise ServerFailed("PYCHART_TEST_SERVER is not ours to restart")
        self.stop()
        self._launch()

    def revive(self) -> None:
        """Start it again if it has ended by itself, as this build does now and then; tells of it.

        For between two tests: one during which it ends fails.
        """
        try:
            self.query("SELECT 1")
        except (QueryRefused, ServerFailed, OSError) as error:
            if self.data_dir is None:
                raise
            warnings.warn(f"the tests' server is started again: {error}", stacklevel=2)
            self.kill9()
            self.restart()

    def _launch(self) -> None:
        with self._log().open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, __file__, *_engine(), *self._arguments()],
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill9()
                raise ServerFailed(self._said())
            time.sleep(0.05)

    def _log(self) -> Path:
        assert self.data_dir is not None
        return self.data_dir.with_name(self.data_dir.name + ".log")

    def _said(self) -> str:
        return self._log().read_text(errors="replace")[-4000:] or "no output"

    def _arguments(self) -> list[str]:
        config = [f"--config-file={self.config_file}"] if self.config_file else []
        return [
            *config,
            f"--path={self.data_dir}",
            f"--listen_host={self.host}",
            f"--http_port={self.http_port}",
            f"--tcp_port={self.tcp_port}",
            "--multiquery",
            f"--query={SERVE}",
        ]


def start(
    data_dir: Path,
    *,
    http_port: int = 0,
    tcp_port: int = 0,
    config_file: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> RunningServer:
    """Start a server on `data_dir`, made if missing, and wait until it answers.

    A port of 0 takes a free one. `config_file` is a server's config.xml, which names its users in
    `<user_directories>`; `env` is what its `from_env` attributes read. Output goes to
    `data_dir` + ".log". The server dies with the thread that called: call from the main one.
    Raises `ServerUnavailable` and `ServerFailed`.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    server = RunningServer(
        host="127.0.0.1",
        http_port=http_port or free_port(),
        tcp_port=tcp_port or free_port(),
        data_dir=data_dir.resolve(),
        config_file=config_file.resolve() if config_file else None,
        env=env or {},
    )
    server._launch()
    return server


def from_environment() -> RunningServer | None:
    """The server that `PYCHART_TEST_SERVER` names, None where it is not set."""
    url = os.environ.get("PYCHART_TEST_SERVER")
    if not url:
        return None
    parts = urllib.parse.urlsplit(url)
    server = RunningServer(
        host=parts.hostname or "127.0.0.1",
        http_port=parts.port or 8123,
        tcp_port=int(os.environ.get("PYCHART_TEST_SERVER_TCP_PORT", "9000")),
        user=urllib.parse.unquote(parts.username or "default"),
        password=urllib.parse.unquote(parts.password or ""),
    )
    if not server.answers():
        raise ServerFailed(f"PYCHART_TEST_SERVER: no answer from {server.host}:{server.http_port}")
    return server


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10) -> None:
    """Wait until something listens there on the loopback."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _engine() -> list[str]:
    """What `_main` is told to become: `program PATH` or `library PATH`."""
    program = shutil.which("clickhouse")
    if program and _version(program) >= OLDEST:
        return ["program", program]
    return ["library", str(library())]


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def library() -> Path:
    """Path of libchdb.so in the cache, fetched with npm where it is not there yet."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in PACKAGES:
        raise ServerUnavailable(f"no server library for {platform.system()} on {machine}")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = base / "pychart-accounting"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"libchdb-{VERSION}-{machine}.so"
    with (cache / "lock").open("w") as lock:  # two test runs at once fetch it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _fetch(machine, target)
    return target


def _fetch(machine: str, target: Path) -> None:
    if not shutil.which("npm"):
        raise ServerUnavailable("no server: neither PYCHART_TEST_SERVER, clickhouse nor npm")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        got = subprocess.run(
            ["npm", "pack", "--silent", f"{PACKAGES[machine]}@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        packed = next(Path(folder).glob("*.tgz"), None)
        if got.returncode or packed is None:
            raise ServerUnavailable(f"npm cannot fetch the server library: {got.stderr.strip()}")
        _check_sum(packed, SHA512.get(machine))
        unpacked = Path(folder) / "libchdb.so"
        with tarfile.open(packed) as archive, unpacked.open("wb") as output:
            member = archive.extractfile("package/libchdb.so")
            assert member is not None
            shutil.copyfileobj(member, output)
            output.flush()
            os.fsync(output.fileno())
        unpacked.rename(target)  # whole or not at all


def _check_sum(packed: Path, expected: str | None) -> None:
    """Compare with the sum known here; npm has compared with the registry's already."""
    with packed.open("rb") as content:
        found = base64.b64encode(hashlib.file_digest(content, "sha512").digest()).decode()
    if expected and found != expected:
        raise ServerFailed(f"{packed.name}: sha512 is {found}, not {expected}")


def _main(kind: str, path: str, *arguments: str) -> None:
    """Become the server, in a process of its own: the engine ends the one that it ran in."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if kind == "program":
        os.execv(path, [path, "local", *arguments])
    words = [word.encode() for word in ("clickhouse", *arguments)]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    query_cmdline = ctypes.CDLL(path).chdb_query_cmdline
    query_cmdline.restype = ctypes.c_void_p
    query_cmdline(len(words), argv)
    sys.exit(1)  # it returns only where it could not serve; the log says why


if __name__ == "__main__":
    _main(*sys.argv[1:])
