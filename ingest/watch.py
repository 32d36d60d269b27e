"""Follows the configured files: loads what is new at each event, and at each poll in any case."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from clickhouse.connection import Warehouse
from clickhouse.errors import PychartError
from clickhouse.settings import Settings
from ingest.loader import Summary, load_file
from ingest.sources import expand

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0  # seconds before a failed cluster is tried again, doubled up to
LONGEST_PAUSE = 60.0
SETTLED_SECONDS = 60.0  # an older file of a family that has been still for this long has ended


@dataclass
class _Followed:
    """One cluster: its files as last seen, and when it may be tried again after a failure."""

    name: str
    patterns: tuple[str, ...]
    seen: dict[Path, tuple[int, int, bool]] = field(default_factory=dict)
    pause: float = 0.0
    retry_at: float = 0.0
    problem: str = ""


class Watcher:
    """Follows the files of all clusters; a cluster that fails leaves the others alone."""

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        """Follow what `settings` names, into `warehouse`."""
        self._warehouse = warehouse
        self._poll_seconds = settings.poll_seconds
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._clusters = [
            _Followed(name, cluster.files)
            for name, cluster in settings.clusters.items()
            if cluster.files
        ]

    def stop(self) -> None:
        """End `run` after the file that is being loaded."""
        self._stopped.set()
        self._changed.set()

    def run(self) -> None:
        """Load and wait, until stopped."""
        with self._events():
            while not self._stopped.is_set():
                self.poll()
                self._changed.wait(self._poll_seconds)
                self._changed.clear()

    def poll(self) -> None:
        """Look at every file once and load what is new."""
        for cluster in self._clusters:
            if not self._stopped.is_set() and time.monotonic() >= cluster.retry_at:
                self._poll_cluster(cluster)

    def _poll_cluster(self, cluster: _Followed) -> None:
        try:
            self._load_new(cluster)
        except PychartError as error:
            cluster.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * cluster.pause))
            cluster.retry_at = time.monotonic() + cluster.pause
            if str(error) != cluster.problem:
                log.error("cluster %s: %s; trying again", cluster.name, error)
            cluster.problem = str(error)
        else:
            if cluster.problem:
                log.info("cluster %s: well again", cluster.name)
            cluster.pause, cluster.retry_at, cluster.problem = 0.0, 0.0, ""

    def _load_new(self, cluster: _Followed) -> None:
        family = expand(cluster.patterns)
        if not family:
            raise PychartError(f"no file matches {', '.join(cluster.patterns)}")
        for path in family:
            if self._stopped.is_set():
                return
            self._load_if_new(cluster, path, last=path == family[-1])

    def _load_if_new(self, cluster: _Followed, path: Path, *, last: bool) -> None:
        try:
            status = path.stat()
        except OSError:  # rotated away: its new name is found at the next look
            return
        ended = not last and time.time() - status.st_mtime > SETTLED_SECONDS
        state = (status.st_size, status.st_mtime_ns, ended)
        if cluster.seen.get(path) == state:
            return
        report(cluster.name, load_file(self._warehouse, cluster.name, path, superseded=ended))
        cluster.seen[path] = state

    @contextmanager
    def _events(self) -> Iterator[None]:
        observer = Observer()
        handler = _Wake(self._changed)
        folders = {Path(pattern).parent for c in self._clusters for pattern in c.patterns}
        for folder in folders:
            try:
                observer.schedule(handler, str(folder))
            except OSError as error:  # the poll sees what events do not
                log.warning(
                    "%s: no events (%s); looking every %g s", folder, error, self._poll_seconds
                )
        observer.start()
        try:
            yield
        finally:
            observer.stop()
            observer.join()


class _Wake(FileSystemEventHandler):
    def __init__(self, changed: threading.Event) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):
            self._changed.set()


def report(cluster: str, summary: Summary) -> None:
    """Log what a load did, and each of its first rejects; nothing where nothing was new."""
    if summary.lines:
        log.info(
            "cluster %s: %s: %d lines, %d records, %d rejects, %d ignored in %.1f s, up to byte %d",
            cluster,
            summary.path,
            summary.lines,
            summary.records,
            summary.rejects,
            summary.ignored,
            summary.seconds,
            summary.offset,
        )
    for offset, reason in summary.first_rejects:
        log.warning("%s: byte %d rejected: %s", summary.path, offset, reason)
