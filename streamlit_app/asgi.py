"""The app as an ASGI application: what is done once per process, and the readiness check."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path

import anyio
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from clickhouse.connection import Warehouse
from clickhouse.errors import PychartError
from streamlit_app import identity
from streamlit_app.protection import Hosts, Protection
from streamlit_app.warehouse import holder

LOG = logging.getLogger(__name__)
MAIN = Path(__file__).parent / "main.py"
READY_SECONDS = 5.0  # a database that takes longer for `SELECT 1` is not ready


def build_app(
    background: Callable[[Warehouse], AbstractContextManager[None]] | None = None,
    ready: Callable[[], None] = lambda: None,
    hosts: Sequence[str] = (),
) -> st.App:
    """Build the application; `ready` is called, and `background` entered, once it has started.

    `hosts` are the names by which it may be asked; none means those of this machine.
    """

    @asynccontextmanager
    async def lifespan(_app: st.App) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(_prepare)
        with ExitStack() as running:
            if background:
                running.enter_context(background(holder.get()))
            ready()
            try:
                yield
            finally:
                # leaving the background may take a while: the last batch is finished
                await anyio.to_thread.run_sync(running.close)

    access = holder.configured.access
    login = access is not None and access.method == "oidc"
    middleware = [
        Middleware(Protection, hosts=Hosts(hosts), login=login),
        *identity.middleware(access),
    ]
    routes = [Route("/api/ready", _ready)]
    return st.App(MAIN, lifespan=lifespan, routes=routes, middleware=middleware)


def _prepare() -> None:
    """Do what the first visitor would wait for; what is frozen is left out of collections."""
    for module in ("altair", "pandas", "pyarrow", "streamlit_app.filters", "streamlit_app.ranking"):
        import_module(module)
    import_module("streamlit_app.charts").warm()
    gc.collect()
    gc.freeze()


async def _ready(_request: Request) -> PlainTextResponse:
    """Say ready or not; why not is for the log, since anyone on this machine may ask."""
    problem = "the database does not answer in time"
    with anyio.move_on_after(READY_SECONDS):
        problem = await anyio.to_thread.run_sync(_ping, abandon_on_cancel=True)
    if problem:
        LOG.warning("not ready: %s", problem)
    return PlainTextResponse("not ready\n" if problem else "ready\n", 503 if problem else 200)


def _ping() -> str:
    """Ask the database for a sign of life; gives what is wrong, in one line, or nothing."""
    try:
        holder.get().rows("SELECT 1")
    except PychartError as error:
        return str(error)
    return ""
