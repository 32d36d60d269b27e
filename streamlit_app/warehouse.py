"""The process's one warehouse: opened at the start, or on demand once the database is there."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, WarehouseError
from clickhouse.migrate import migrate, refresh_views
from clickhouse.running import Reader
from clickhouse.settings import Settings, load_settings

LOG = logging.getLogger(__name__)
RETRY_SECONDS = 3.0  # so that many waiting sessions do not each try, and time out, in turn


class Holder:
    """Keeps the warehouse that all sessions share, and opens it where that failed before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._warehouse: Warehouse | None = None
        self._reader: Reader | None = None
        self._failure: WarehouseError | None = None
        self._failed_at = 0.0
        self._file_state = (0, 0)

    def configure(self, settings: Settings) -> None:
        """Say which database it is; it is opened on first use."""
        self.close()
        self._settings = settings
        self._file_state = file_state(settings.file)

    def use(self, warehouse: Warehouse) -> None:
        """Share a warehouse that is open already."""
        self.configure(warehouse.settings)
        self._warehouse = warehouse

    @property
    def configured(self) -> Settings:
        """Give the settings that the process was started with, whether or not it has a database."""
        with self._lock:
            return self._started_with()

    def get(self) -> Warehouse:
        """Give the open warehouse; raises `WarehouseError` while it cannot be opened."""
        with self._lock:
            if self._warehouse is None:
                self._warehouse = self._open()
            return self._warehouse

    def reader(self) -> Reader:
        """Give what runs statements of people, with connections of its own."""
        settings = self.get().settings
        with self._lock:
            if self._reader is None:
                self._reader = Reader(settings)
            return self._reader

    def refresh(self) -> None:
        """Take in an edit of the settings file, where the database is embedded.

        A server's views are the daemon's to change. A file that cannot be read changes nothing.
        """
        warehouse = self.get()
        state = file_state(warehouse.settings.file)
        if not warehouse.embedded or state == self._file_state:
            return
        self._file_state = state
        try:
            refresh_views(warehouse, warehouse.settings.reread())
        except ConfigError as error:
            LOG.error("%s; the settings stay as they were", error)

    def close(self) -> None:
        """Close the warehouse if it is open."""
        with self._lock:
            for opened in (self._reader, self._warehouse):
                if opened is not None:
                    opened.close()
            self._reader, self._warehouse, self._failure = None, None, None

    def _started_with(self) -> Settings:
        if self._settings is None:
            self._settings = load_settings()
            self._file_state = file_state(self._settings.file)
        return self._settings

    def _open(self) -> Warehouse:
        if self._failure and time.monotonic() - self._failed_at < RETRY_SECONDS:
            raise self._failure
        try:
            return open_warehouse(self._started_with())
        except WarehouseError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise


def file_state(file: Path | None) -> tuple[int, int]:
    """Tell one content of a file from another, as far as its inode does."""
    try:
        found = file.stat() if file else None
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size) if found else (0, 0)


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the database; an embedded one, which is this process's alone, is made and migrated."""
    embedded = settings.database.startswith("chdb://")
    warehouse = Warehouse(settings, create=embedded)
    if embedded:
        try:
            migrate(warehouse)
        except WarehouseError:
            warehouse.close()
            raise
    return warehouse


holder = Holder()
