"""Follows the files of one cluster in a thread of its own, whatever happens to the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random_exponential,
)

from clickhouse.connection import Warehouse
from clickhouse.errors import (
    ConfigError,
    DataRefused,
    PychartError,
    SourceError,
    WarehouseMisconfigured,
)
from clickhouse.health import Health, State
from clickhouse.migrate import migrate
from clickhouse.settings import Settings
from ingest import ledger
from ingest.family import Family, Look
from ingest.loader import Control, LoadStopped, Progress, Summary, load_file
from ingest.sources import is_packed

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.3  # after an event, for what else is being written: fewer and larger batches
HALTED_SECONDS = 60.0  # between two looks whether a fault of the configuration has been mended
AUDIT_SECONDS = 60.0  # between two looks whether the ledger still says what was loaded
HANG_SECONDS = 300.0  # without any step, on top of what a statement may take: something hangs

_full_jitter = wait_random_exponential(multiplier=1, max=60)


class Warehouses(Protocol):
    """Where a follower gets its database from."""

    def take(self, settings: Settings) -> Warehouse:
        """Open the database, or give the one that all share."""

    def give_back(self, warehouse: Warehouse) -> None:
        """Close it, unless all share it."""


class Follower(threading.Thread):
    """One cluster; `health` says how it does, `use` gives it other settings."""

    def __init__(
        self,
        cluster: str,
        settings: Settings,
        warehouses: Warehouses,
        block_bytes: int = 0,
        say: Callable[[Health], None] = lambda _: None,
    ) -> None:
        """Prepare to follow what `settings` names for a cluster, in inserts of `block_bytes`.

        `say` is told how it does as soon as that has changed.
        """
        super().__init__(name=f"ingest-{cluster}", daemon=True)
        self.cluster = cluster
        now = time.time()
        self.health = Health(cluster, since=now, started=now)
        self.health.retries = dict.fromkeys(("transient", "configuration", "data", "crash"), 0)
        self.family = Family(settings.cluster(cluster).files)
        self._settings = settings
        self._applied: Settings | None = None
        self._warehouses = warehouses
        self._warehouse: Warehouse | None = None
        self._block_bytes = block_bytes
        self._say = say
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._interrupt = threading.Event()  # of a pause after a failure
        self._deadline = 0.0
        self._audit_at = 0.0
        self._problem = ""
        self._progressed = False
        self._loading = _Loading()
        self.alive()

    def wake(self) -> None:
        """Look at the files now, unless it rests after a failure."""
        self._changed.set()

    def use(self, settings: Settings) -> None:
        """Go on with other settings, at once."""
        self._settings = settings
        self._interrupt.set()
        self._changed.set()

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopped.set()
        self._interrupt.set()
        self._changed.set()

    def alive(self) -> None:
        """Note that it moves."""
        longest = 2 * self._settings.query_seconds + HANG_SECONDS
        self._deadline = time.monotonic() + longest

    @property
    def hangs(self) -> bool:
        """Whether it has not moved for longer than anything may take."""
        return self.is_alive() and time.monotonic() > self._deadline

    def run(self) -> None:
        """Load and wait, until stopped."""
        try:
            while not self._stopped.is_set():
                self._poll_until_well()
                self._rest()
        finally:
            self.family.close()
            self._release()
            if self._stopped.is_set():
                self._enter("stopped")

    def _rest(self) -> None:
        self._deadline = time.monotonic() + self._settings.poll_seconds + HANG_SECONDS
        if self._changed.wait(self._settings.poll_seconds):
            self._stopped.wait(GATHER_SECONDS)
        self._changed.clear()
        self.alive()

    def _poll_until_well(self) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(Exception),
            wait=self._pause,
            sleep=self._sleep,
            stop=stop_when_event_set(self._stopped),
            before_sleep=self._failed,
        )
        try:
            retrying(self._poll)
        except RetryError:  # stopped
            return
        if self._problem:
            log.info("cluster %s: well again", self.cluster)
            self._problem = ""
        self._enter("following")

    def _poll(self) -> None:
        """Look at every file once and load what is new."""
        if self._stopped.is_set():
            raise LoadStopped("told to end")
        warehouse = self._prepared()
        self._audit(warehouse)
        looks = self.family.look()
        new = [look for look in looks if self.family.is_new(look)]
        self.health.files = self.family.health()
        self._loading = _Loading(sum(look.status.st_size for look in new))
        for look in new:
            if not self._stopped.is_set():
                self._load(warehouse, look)
        self._note(caught_up=not self._stopped.is_set())

    def _prepared(self) -> Warehouse:
        settings = self._settings
        if self._warehouse is None:
            self._warehouse = self._warehouses.take(settings)
            self._applied = None
        if self._applied is not settings:
            self._warehouse.settings = settings
            migrate(self._warehouse)
            self.health.rejects_in_all = ledger.rejects(self._warehouse, self.cluster)
            self.family.patterns = settings.cluster(self.cluster).files
            self._applied = settings
        return self._warehouse

    def _audit(self, warehouse: Warehouse) -> None:
        """Now and then, see whether the ledger still says what was loaded."""
        now = time.monotonic()
        if now >= self._audit_at:
            self.family.forget_unless(ledger.extents(warehouse, self.cluster))
            self._audit_at = now + AUDIT_SECONDS

    def _load(self, warehouse: Warehouse, look: Look) -> None:
        """Load one file; one that cannot be read leaves the others alone."""
        began = time.monotonic()
        self._loading.begin(look)
        committed = partial(self._committed, look)
        control = Control(self._stopped.is_set, self.alive, committed, self._block_bytes)
        try:
            packed = look.handle is None and is_packed(look.path)
            if not packed:
                self.family.hold(look)
            summary = load_file(
                warehouse,
                self.cluster,
                look.path,
                self._progress,
                superseded=look.ended,
                handle=look.handle,
                known=self.family.known(look),
                control=control,
            )
        except LoadStopped:
            return
        except (SourceError, ConfigError) as error:
            if self.family.failed(look, str(error), time.monotonic() - began):
                self.health.files = self.family.health()
                self._say(self.health)
                log.error("cluster %s: %s; trying again", self.cluster, error)
            return
        if not self._stopped.is_set():
            self.family.loaded(look, summary, packed)
        for offset, reason in summary.first_rejects:
            log.warning("%s: byte %d rejected: %s", summary.path, offset, reason)

    def _progress(self, progress: Progress) -> None:
        self._loading.at(progress)
        if self._loading.long:
            self._enter("loading")
        self.health.rate, self.health.eta = self._loading.rate, self._loading.eta

    def _committed(self, look: Look, summary: Summary) -> None:
        new = self._loading.new_in(summary)
        health = self.health
        health.read_bytes += new.offset - new.start
        health.records += new.records
        health.rejects += new.rejects
        health.rejects_in_all += new.rejects
        health.ignored += new.ignored
        health.inserts += new.inserts
        health.insert_seconds += new.insert_seconds
        health.last_commit = time.time()
        health.rate, health.eta = self._loading.rate, self._loading.eta
        self.family.committed(look, summary)
        health.files = self.family.health()
        self._progressed = True
        self.alive()
        log.info(
            "cluster %s: %s: %d lines, %d records, %d rejects, %d ignored, up to byte %d%s",
            self.cluster,
            summary.path,
            new.records + new.rejects + new.ignored,
            new.records,
            new.rejects,
            new.ignored,
            summary.offset,
            self._loading.outlook,
        )

    def _note(self, *, caught_up: bool) -> None:
        health = self.health
        health.files = self.family.health()
        health.partial_since = self.family.partial_since
        health.rotations = dict(self.family.rotations)
        health.eta = 0.0
        if caught_up:
            health.caught_up = time.time()

    # --- after a failure ---

    def _pause(self, retry: RetryCallState) -> float:
        """Choose how long to wait; after progress the failures are counted anew."""
        if self._progressed:
            retry.attempt_number, self._progressed = 1, False
        error = retry.outcome.exception() if retry.outcome else None
        if isinstance(error, (WarehouseMisconfigured, ConfigError)):
            return HALTED_SECONDS
        return _full_jitter(retry)

    def _sleep(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds + HANG_SECONDS
        self._interrupt.wait(seconds)
        self._interrupt.clear()
        self.alive()

    def _failed(self, retry: RetryCallState) -> None:
        error = retry.outcome.exception() if retry.outcome else None
        if error is None or self._stopped.is_set():
            return
        kind, state = _classify(error)
        self.health.retries[kind] += 1
        text = " ".join(str(error).split()) or type(error).__name__
        self.family.look()  # what is written meanwhile, and renamed
        self._note(caught_up=False)
        self._enter(state, text if state != "crashed" else f"{type(error).__name__}: {text}")
        problem = f"{type(error).__name__} {getattr(error, 'code', '')}"
        if problem != self._problem:  # one line for each problem, not for each try
            self._problem = problem
            if state == "crashed":
                log.error("cluster %s: a fault of the program", self.cluster, exc_info=error)
            log.error("cluster %s: %s: %s; trying again", self.cluster, state, text)
        self._release()

    def _release(self) -> None:
        """Let the connections go: the next ones may find another password, or another server."""
        if self._warehouse is not None:
            self._warehouses.give_back(self._warehouse)
        self._warehouse = None

    def _enter(self, state: State, why: str = "") -> None:
        before, self.health.state, self.health.why = self.health.state, state, why
        if state != before:
            self.health.since = time.time()
            self._say(self.health)


def _classify(error: BaseException) -> tuple[str, State]:
    if isinstance(error, (WarehouseMisconfigured, ConfigError)):
        return "configuration", "halted"
    if isinstance(error, DataRefused):
        return "data", "retrying"
    if isinstance(error, PychartError):
        return "transient", "retrying"
    return "crash", "crashed"


class _Loading:
    """How far one look at the files is, in bytes on disk."""

    LONG_SECONDS = 3.0  # a load that takes longer says how long it will still take

    def __init__(self, total: int = 0) -> None:
        self._began = time.monotonic()
        self._total = total  # of the files that have changed
        self._before = 0  # of the files that are done
        self._size = 0
        self._skipped = 0  # of the file under way, loaded at another time
        self._skipped_before = 0
        self._done = 0
        self._counted = Summary(Path())

    def begin(self, look: Look) -> None:
        self._before += self._size
        self._skipped_before += self._skipped
        self._size, self._skipped, self._done = look.status.st_size, 0, 0
        self._counted = Summary(look.path)

    def at(self, progress: Progress) -> None:
        if not self._done:
            self._skipped = max(0, progress.done - progress.loaded)
        self._done = progress.done

    def new_in(self, summary: Summary) -> Summary:
        """Give what a summary has more than at the last call; only its counts."""
        last = self._counted
        new = Summary(
            summary.path,
            start=last.offset or summary.start,
            offset=summary.offset,
            records=summary.records - last.records,
            rejects=summary.rejects - last.rejects,
            ignored=summary.ignored - last.ignored,
            inserts=summary.inserts - last.inserts,
            insert_seconds=summary.insert_seconds - last.insert_seconds,
        )
        self._counted = replace(summary)
        return new

    @property
    def long(self) -> bool:
        return time.monotonic() - self._began > self.LONG_SECONDS

    @property
    def rate(self) -> float:
        """Bytes on disk per second."""
        done = self._before + self._done - self._skipped_before - self._skipped
        return max(0.0, done / max(0.001, time.monotonic() - self._began))

    @property
    def eta(self) -> float:
        """Seconds that the rest will take; 0 where that cannot be said."""
        left = max(0, self._total - self._before - self._done)
        return left / self.rate if self.rate > 0 else 0.0

    @property
    def outlook(self) -> str:
        if not self.long:
            return ""
        return f", {self.rate / 1e6:.0f} MB/s, {_duration(self.eta)} left"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
