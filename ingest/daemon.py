"""The ingest service: follows the files until it is told to end."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, WarehouseUnreachable
from clickhouse.migrate import migrate
from clickhouse.settings import Settings
from ingest.watch import FIRST_PAUSE, LONGEST_PAUSE, Watcher

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Follow the files of all clusters until SIGTERM or SIGINT, as the service does."""
    if not any(cluster.files for cluster in settings.clusters.values()):
        raise ConfigError("no files to follow: name them in [clusters.NAME] files = [...]")
    stopped = threading.Event()
    watchers: list[Watcher] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        for watcher in watchers:
            watcher.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    warehouse = _open(settings, stopped)
    if warehouse is None:
        return
    with warehouse:
        watchers.append(Watcher(warehouse, settings))
        if stopped.is_set():
            return
        log.info("following the files of %s", ", ".join(settings.clusters))
        watchers[0].run()
    log.info("ended")


def _open(settings: Settings, stopped: threading.Event) -> Warehouse | None:
    """Open and migrate the database, waiting for a server that is not there yet."""
    pause = FIRST_PAUSE
    while not stopped.is_set():
        try:
            warehouse = Warehouse(settings, create=True)
            migrate(warehouse)
            return warehouse
        except WarehouseUnreachable as error:
            log.error("%s; trying again in %g s", error, pause)
            stopped.wait(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
    return None


@contextmanager
def beside(warehouse: Warehouse) -> Iterator[None]:
    """Follow the files in a thread of this process, for as long as the block runs."""
    watcher = Watcher(warehouse, warehouse.settings)
    thread = threading.Thread(target=watcher.run, name="ingest", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watcher.stop()
        thread.join()
