"""Wakes whoever follows files when something happens in their folders; only a hint.

Network file systems give no events and queues overflow: the poll finds what is missed here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)
logging.getLogger("watchdog").setLevel(logging.CRITICAL)  # it complains of events while it ends


class Events:
    """Events of the folders of several clusters; `close` ends them."""

    def __init__(
        self, patterns: Mapping[str, tuple[str, ...]], wake: Callable[[str], None]
    ) -> None:
        """Call `wake` with the cluster's name at each event beside its files."""
        self._observer: BaseObserver | None = Observer()
        for cluster, globs in patterns.items():
            for folder in {Path(pattern).parent for pattern in globs}:
                self._schedule(_Wake(globs, partial(wake, cluster)), folder)
        try:
            self._observer.start()
        except OSError as error:
            log.warning("no events of the file system: %s; the files are polled", error)
            self._observer = None

    def close(self) -> None:
        """End the observer's threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)

    def _schedule(self, handler: FileSystemEventHandler, folder: Path) -> None:
        assert self._observer is not None
        try:
            self._observer.schedule(handler, str(folder))
        except OSError as error:
            log.warning("%s: no events (%s); the files in it are polled", folder, error)


class _Wake(FileSystemEventHandler):
    def __init__(self, globs: tuple[str, ...], wake: Callable[[], None]) -> None:
        self._globs, self._wake = globs, wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return
        paths = (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))
        if any(fnmatch(path, glob) for path in paths for glob in self._globs):
            self._wake()
