"""Keeps the rollups fresh, in a thread beside those that load: answers are right without it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from clickhouse import health, rollups
from clickhouse.connection import Warehouse
from clickhouse.errors import PychartError
from clickhouse.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between two looks at how the clusters do


class Refresher(threading.Thread):
    """Refreshes once all that was found is loaded, and then pauses: see `rollups.pause`."""

    def __init__(
        self,
        settings: Settings,
        take: Callable[[Settings], Warehouse],
        give_back: Callable[[Warehouse], None],
        healths: Callable[[], Sequence[health.Health]],
    ) -> None:
        """Prepare; `take` opens the database and `give_back` closes it."""
        super().__init__(name="rollups")
        self._settings = settings
        self._take = take
        self._give_back = give_back
        self._healths = healths
        self._stopped = threading.Event()
        self._done = 0.0  # the newest commit that has been seen to
        self._problem = ""

    def stop(self) -> None:
        """End after the year that is being made."""
        self._stopped.set()

    def again(self) -> None:
        """Refresh once more though nothing is loaded: whom rollups are for may have changed."""
        self._done = 0.0

    def run(self) -> None:
        """Look and refresh, until stopped."""
        last = 0.0
        while not self._stopped.wait(LOOK_SECONDS):
            newest = self._newest_commit()
            is_due = newest > 0 and time.monotonic() - last > rollups.AGAIN_SECONDS
            if newest > self._done or is_due:
                self._done = newest
                began = time.monotonic()
                self._refresh()
                last = time.monotonic()
                self._stopped.wait(rollups.pause(last - began))

    def _newest_commit(self) -> float:
        """When something was last loaded or found to be; 0 while years of files are loaded."""
        found = self._healths()
        if not found or any(each.state == "loading" or not each.caught_up for each in found):
            return 0.0
        return max(each.last_commit or each.started for each in found)

    def _refresh(self) -> None:
        try:
            warehouse = self._take(self._settings)
            try:
                rollups.refresh(warehouse, stopped=self._stopped.is_set)
            finally:
                self._give_back(warehouse)
        except PychartError as error:
            if str(error) != self._problem:
                log.warning("rollups are left as they are, questions are slower: %s", error)
            self._problem = str(error)
            self._done = 0.0
        except Exception:  # no reason to end: the next look may find it well
            log.exception("a fault of the program")
        else:
            self._problem = ""
