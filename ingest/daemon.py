"""The ingest service: a thread per cluster, and one that looks after them all."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Self

from clickhouse import health
from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, PychartError
from clickhouse.settings import Settings
from ingest import metrics
from ingest.events import Events
from ingest.follower import Follower
from ingest.loader import EMBEDDED_BLOCK_BYTES, SERVER_BLOCK_BYTES
from ingest.notify import notify
from ingest.refresher import Refresher

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
SIGN_SECONDS = 10.0  # between two signs of life where nothing changes
END_SECONDS = 40.0  # that the batches under way get when it is told to end
LEAST_BLOCK_BYTES = 256 * 1024
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
AT_START = ("database", "metrics_port", "state_directory")  # settings that a restart applies


class Warehouses:
    """Opens a database for each cluster, so that none waits for another; one that is embedded once.

    It is made at the first time only: a database that disappears later is not begun anew unasked.
    """

    def __init__(self, shared: Warehouse | None = None) -> None:
        """Give `shared` to everyone, where there is one."""
        self._shared = shared
        self._made = False

    def take(self, settings: Settings) -> Warehouse:
        """Open the database, or give the one that all share."""
        if self._shared is not None:
            return self._shared
        warehouse = Warehouse(settings, create=not self._made)
        self._made = True
        return warehouse

    def give_back(self, warehouse: Warehouse) -> None:
        """Close it, unless all share it."""
        if warehouse is not self._shared:
            warehouse.close()


class Daemon:
    """Follows all clusters while the block runs; `tick` is to be called every second."""

    def __init__(
        self,
        settings: Settings,
        shared: Warehouse | None = None,
        reread: Callable[[], Settings] | None = None,
    ) -> None:
        """Prepare; `shared` is an embedded database, `reread` gives the settings as they are."""
        self._settings = settings
        self._reread = reread or settings.reread
        self._file = self._seen = _signature(settings)
        self._warehouses = Warehouses(shared)
        self._embedded = shared is not None
        self._followers: dict[str, Follower] = {}
        self._locks: dict[str, ExitStack] = {}
        self._folder = Path()
        self._events: Events | None = None
        self._close_metrics: Callable[[], None] = lambda: None
        self._written: dict[str, dict[str, object]] = {}
        self._writing = threading.Lock()
        self._signed = 0.0
        self._status = ""
        self._refresher = Refresher(
            settings, self._warehouses.take, self._warehouses.give_back, self.healths
        )

    def __enter__(self) -> Self:
        """Take the locks and start; raises where another daemon of this host has one."""
        self._folder = health.directory(self._settings)
        try:
            for cluster in self._settings.clusters:
                self._lock(cluster)
            self._close_metrics = metrics.serve(self._settings.metrics_port, self.healths)
        except PychartError:
            self._unlock()
            raise
        for cluster in self._settings.clusters:
            self._follow(cluster)
        self._refresher.start()
        self._listen()
        self._say(time.time())
        return self

    def __exit__(self, *_: object) -> None:
        """End after the batches under way, or without them once they take too long."""
        threads: list[Follower | Refresher] = [*self._followers.values(), self._refresher]
        for thread in threads:
            thread.stop()
        deadline = time.monotonic() + END_SECONDS
        for thread in threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        if self._events:
            self._events.close()
        self._close_metrics()
        self._say(time.time())
        self._unlock()

    @property
    def stuck(self) -> bool:
        """Whether a thread goes on although it was told to end."""
        return any(each.is_alive() for each in (*self._followers.values(), self._refresher))

    def healths(self) -> list[health.Health]:
        """Say how each cluster does."""
        return [follower.health for follower in list(self._followers.values())]

    def tick(self, now: float | None = None) -> None:
        """Look after the threads, the settings and those who want to know."""
        now = time.time() if now is None else now
        self._look_at_settings()
        for cluster, follower in list(self._followers.items()):
            if not follower.is_alive():
                log.error("cluster %s: its thread ended; starting it again", cluster)
                self._follow(cluster)
        self._say(now)

    def _look_at_settings(self) -> None:
        """Read the file again when it has changed and nobody is writing it any more."""
        now = _signature(self._settings)
        if now != self._file and now == self._seen:
            self.reload()
        self._seen = now

    def reload(self) -> None:
        """Read the settings again; a file that cannot be leaves them as they were."""
        self._file = _signature(self._settings)
        try:
            new = self._reread()
            _check_files(new, before=self._settings)
        except ConfigError as error:
            log.error("%s; the settings stay as they were", error)
            return
        later = [name for name in AT_START if getattr(new, name) != getattr(self._settings, name)]
        if later:
            log.warning("%s: takes effect at the next start", ", ".join(later))
            new = new.model_copy(update={n: getattr(self._settings, n) for n in later})
        if new != self._settings:
            log.info("the settings have changed; going on with them")
            self._use(new)

    def _use(self, settings: Settings) -> None:
        old, self._settings = self._settings, settings
        self._refresher.again()
        for cluster in set(old.clusters) - set(settings.clusters):
            self._leave(cluster)
        for follower in self._followers.values():
            follower.use(settings)
        for cluster in set(settings.clusters) - set(self._followers):
            try:
                self._lock(cluster)
            except PychartError as error:
                log.error("%s", error)
                continue
            self._follow(cluster)
        self._listen()

    def _leave(self, cluster: str) -> None:
        follower = self._followers.pop(cluster, None)
        if follower is not None:
            log.info("cluster %s: followed no longer", cluster)
            follower.stop()
            follower.join(END_SECONDS)
        held = self._locks.pop(cluster, None)
        if held is not None:
            held.close()

    def _follow(self, cluster: str) -> None:
        usual = EMBEDDED_BLOCK_BYTES if self._embedded else SERVER_BLOCK_BYTES
        share = max(LEAST_BLOCK_BYTES, usual // max(1, len(self._settings.clusters)))
        follower = Follower(cluster, self._settings, self._warehouses, share, self._write_at_once)
        follower.health.pid = os.getpid()
        self._followers[cluster] = follower
        follower.start()

    def _lock(self, cluster: str) -> None:
        with ExitStack() as stack:
            stack.enter_context(health.lock(self._folder, self._settings, cluster))
            self._locks[cluster] = stack.pop_all()

    def _unlock(self) -> None:
        for held in self._locks.values():
            held.close()
        self._locks.clear()

    def _listen(self) -> None:
        if self._events:
            self._events.close()
        patterns = {name: each.files for name, each in self._settings.clusters.items()}
        self._events = Events(patterns, self._wake)

    def _wake(self, cluster: str) -> None:
        follower = self._followers.get(cluster)
        if follower is not None:
            follower.wake()

    # --- what it says ---

    def _say(self, now: float) -> None:
        hanging = [name for name, each in self._followers.items() if each.hangs]
        due = now - self._signed >= SIGN_SECONDS or now < self._signed
        for cluster, follower in self._followers.items():
            self._write(follower.health, now, due=due and cluster not in hanging)
        if due:
            self._signed = now
        self._tell_systemd(hanging)

    def _write_at_once(self, found: health.Health) -> None:
        self._write(found, time.time(), due=True)

    def _write(self, found: health.Health, now: float, *, due: bool) -> None:
        with self._writing:
            content = asdict(found) | {"alive": 0.0}
            if not due and self._written.get(found.cluster) == content:
                return
            if due or not found.alive:
                found.alive = now
            try:
                health.write(self._folder, self._settings, found)
            except OSError as error:
                if found.cluster in self._written:
                    log.error("%s: %s", self._folder, error)
                self._written.pop(found.cluster, None)
            else:
                self._written[found.cluster] = content

    def _tell_systemd(self, hanging: list[str]) -> None:
        status = "; ".join(_in_words(found) for found in self.healths())
        if hanging:
            status = f"hangs: {', '.join(hanging)}"
        if status != self._status:
            if hanging:
                log.error("%s", status)
            self._status = status
            notify(f"STATUS={status}")
        if not hanging:
            notify("WATCHDOG=1")


def run(settings: Settings) -> None:
    """Follow the files of all clusters until SIGTERM or SIGINT, as the service does."""
    _check_files(settings)
    with ExitStack() as stack:
        signals = stack.enter_context(_signals())
        shared = None
        if settings.database.startswith("chdb://"):
            shared = stack.enter_context(Warehouse(settings, create=True))
        with Daemon(settings, shared) as daemon:
            notify("READY=1")
            log.info("following the files of %s", ", ".join(settings.clusters))
            _until_told_to_end(daemon, signals)
            notify("STOPPING=1")
        if daemon.stuck:  # in a statement that nobody answers: no thread can be ended from outside
            log.warning("ended; what was under way will be read again")
            logging.shutdown()
            os._exit(0)
    log.info("ended")


def _check_files(settings: Settings, before: Settings | None = None) -> None:
    """Refuse settings without any file to follow, unless those `before` had none either."""
    needed = before is None or any(cluster.files for cluster in before.clusters.values())
    if needed and not any(cluster.files for cluster in settings.clusters.values()):
        raise ConfigError("no files to follow: name them in [clusters.NAME] files = [...]")


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Give a socket to read the numbers of signals from.

    Nothing happens in a handler, which could run while the thread it interrupts holds a lock.
    """
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    try:
        yield receiver
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        receiver.close()
        sender.close()


def _until_told_to_end(daemon: Daemon, signals: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([signals], [], [], TICK_SECONDS)
        came = set(signals.recv(100)) if ready else set()
        if came & {signal.SIGTERM, signal.SIGINT}:
            return
        if signal.SIGHUP in came:
            daemon.reload()
        daemon.tick()


@contextmanager
def beside(warehouse: Warehouse, reread: Callable[[], Settings] | None = None) -> Iterator[None]:
    """Follow the files in threads of this process, for as long as the block runs."""
    shared = warehouse if warehouse.embedded else None
    ended = threading.Event()
    with Daemon(warehouse.settings, shared, reread) as daemon:
        thread = threading.Thread(target=_tick_until, args=(daemon, ended), name="ingest")
        thread.start()
        notify("READY=1")
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _tick_until(daemon: Daemon, ended: threading.Event) -> None:
    while not ended.wait(TICK_SECONDS):
        try:
            daemon.tick()
        except Exception:  # the clusters' threads go on, and so must what looks after them
            log.exception("a fault of the program")


def _signature(settings: Settings) -> tuple[int, int, int] | None:
    if settings.file is None:
        return None
    try:
        status = settings.file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _in_words(found: health.Health) -> str:
    problems = found.problems()
    return f"{found.cluster}: {problems[0] if problems else found.state}"
