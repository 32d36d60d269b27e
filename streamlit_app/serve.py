"""Runs the app in this process: `pychart app` and `pychart up` call `serve`."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from streamlit import config, net_util
from streamlit.web import bootstrap

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, WarehouseBusy, WarehouseError
from clickhouse.settings import Settings
from streamlit_app.asgi import MAIN, build_app
from streamlit_app.connections import (
    MOST_HEADER_BYTES,
    MOST_MESSAGE_BYTES,
    GuardedProtocol,
    allow_files,
)
from streamlit_app.warehouse import holder

LOG = logging.getLogger(__name__)
SHUTDOWN_SECONDS = 3  # that open pages get to hang up
SOCKET_BACKLOG = 1024  # connections that wait to be taken in
UNREAD_MILLISECONDS = 60_000  # after which a connection that takes nothing is closed
UNIX = "unix:"  # before the path of a socket file, in the place of a host

Background = Callable[[Warehouse], AbstractContextManager[None]]


def serve(settings: Settings, host: str, port: int, background: Background | None = None) -> None:
    """Serve the app on `host` and `port` until SIGINT or SIGTERM; a port of 0 takes a free one.

    A `host` of `unix:/path` is a socket file, for a proxy on this machine and no other user of it.

    `background` is entered with the open warehouse while the app runs. Raises `ConfigError` for an
    address that cannot be had, and `WarehouseError` for an embedded database that cannot be opened;
    a server that does not answer is waited for, unless there is a `background`.
    """
    allow_files()
    listener = _listen(host, port)
    try:
        holder.configure(settings)
        _open_early(needed=background is not None or settings.database.startswith("chdb://"))
        _configure_streamlit(host, 0 if host.startswith(UNIX) else listener.getsockname()[1])
        announce = partial(_announce, host, listener)
        app = build_app(background, announce, settings.allowed_hosts)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_level="warning",
                use_colors=False,
                http=GuardedProtocol,
                h11_max_incomplete_event_size=MOST_HEADER_BYTES,
                proxy_headers=False,  # who is connected must not be what a header says
                server_header=False,
                ws="websockets-sansio",
                ws_max_size=MOST_MESSAGE_BYTES,
                ws_per_message_deflate=False,  # Streamlit's choice: it costs more than it saves
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )
        # what it says, as an error, of each connection that was refused
        logging.getLogger("uvicorn.error").addFilter(
            lambda record: "without completing handshake" not in record.getMessage()
        )
        with _signals_that_only_stop():
            server.run(sockets=[listener])
    finally:
        listener.close()
        if host.startswith(UNIX):
            Path(host.removeprefix(UNIX)).unlink(missing_ok=True)
        holder.close()


@contextmanager
def _signals_that_only_stop() -> Iterator[None]:
    """Survive the signal that uvicorn raises anew once it has stopped: there is more to close."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _open_early(needed: bool) -> None:
    try:
        holder.get()
    except WarehouseBusy:
        raise
    except WarehouseError as error:
        if needed:
            raise
        LOG.warning("%s", error)


def _listen(host: str, port: int) -> socket.socket:
    if host.startswith(UNIX):
        return _listen_at(Path(host.removeprefix(UNIX)))
    address = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, resolved = found[0]
        # asyncio sends small pieces at once only where the socket names its protocol
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"{address}: no such address: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # of whoever asks and then reads no more
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        listener.bind(resolved)
        listener.listen(SOCKET_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"{address}: the port is in use; choose another with --port"
            ) from error
        raise ConfigError(f"{address}: {error.strerror}") from error
    return listener


def _listen_at(path: Path) -> socket.socket:
    """Listen on a socket file, for the owner and the group of it alone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        if path.is_socket() and not _is_answered(path):
            path.unlink()  # of a process that was killed
        listener.bind(str(path))
        listener.listen(SOCKET_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{UNIX}{path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return listener


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _configure_streamlit(host: str, port: int) -> None:
    """Read the config.toml beside main.py, wherever the process was started."""
    config._main_script_path = str(MAIN)  # what `streamlit run` does; there is no public way
    address = {} if host.startswith(UNIX) else {"server.address": host, "server.port": port}
    bootstrap.load_config_options(address)
    # else a visit from a foreign page makes the server ask the internet for its own address
    net_util._external_ip = "127.0.0.1"


def _announce(host: str, listener: socket.socket) -> None:
    place = host
    if not host.startswith(UNIX):
        shown = f"[{host}]" if ":" in host else host
        place = f"http://{shown}:{listener.getsockname()[1]}"
    print(f"PyChartAccounting is ready: {place}", flush=True)
