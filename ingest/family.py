"""The files of one cluster as they were last seen: which are new, which were renamed, which end.

Names, devices and inodes only say where to look: what a file is, its content tells the loader.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from clickhouse.health import FileHealth
from ingest.ledger import Position
from ingest.loader import Summary
from ingest.sources import expand

log = logging.getLogger(__name__)

SETTLED_SECONDS = 60.0  # a superseded file that has been still for this long has ended
FIRST_RETRY, LAST_RETRY = 1.0, 60.0  # seconds until a file that could not be read is tried again

Group = list[tuple[Path, os.stat_result]]
Signature = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Look:
    """A file as it is now; `handle` reads it where its name is gone."""

    path: Path
    status: os.stat_result
    ended: bool  # superseded, and still: no line in it can grow any more
    handle: BinaryIO | None = None

    @property
    def inode(self) -> tuple[int, int]:
        """What tells it from other files while it exists."""
        return self.status.st_dev, self.status.st_ino

    @property
    def signature(self) -> Signature:
        """Another one whenever the file has been touched."""
        at = self.status
        return (at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)


@dataclass
class Tracked:
    """What is known of one path since it was loaded last."""

    signature: Signature | None = None
    size: int = 0
    file_id: str = ""
    at: Position = field(default_factory=Position)
    packed: bool = False
    waiting: int = 0
    partial_since: float = 0.0
    problem: str = ""
    retry_seconds: float = 0.0
    retry_at: float = 0.0


@dataclass
class _Departed:
    path: Path
    handle: BinaryIO
    size: int = -1
    still_since: float = 0.0


class Family:
    """The files that match a cluster's patterns, and those that did until they were renamed."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Follow these globs; nothing is looked at yet."""
        self.patterns = tuple(patterns)
        self.rotations: Counter[str] = Counter()
        self._tracked: dict[Path, Tracked] = {}
        self._present: dict[Path, Look] = {}
        self._still: dict[Path, tuple[tuple[int, int], float]] = {}
        self._held: dict[Path, BinaryIO] = {}
        self._departed: list[_Departed] = []

    def close(self) -> None:
        """Close what is held open."""
        for departed in self._departed:
            departed.handle.close()
        for handle in self._held.values():
            handle.close()
        self._departed.clear()
        self._held.clear()

    def look(self) -> list[Look]:
        """List the files that are there, the oldest first, those that lost their name before."""
        self._present = self._find()
        for path in list(self._held):
            self._notice_rename(path, self._held[path])
        return self._look_at_departed() + list(self._present.values())

    def is_new(self, look: Look) -> bool:
        """Whether a file has changed since it was loaded, or is due to be tried again."""
        known = self._tracked.get(look.path)
        if look.handle is not None or known is None:
            return True
        if known.problem and time.monotonic() >= known.retry_at:
            return True
        torn = look.ended and known.waiting  # the end of a line that will not come any more
        return known.signature != look.signature or bool(torn)

    def known(self, look: Look) -> Position | None:
        """Give where the last load of a path ended."""
        known = self._tracked.get(look.path)
        return known.at if known and known.at.offset and look.handle is None else None

    def hold(self, look: Look) -> None:
        """Keep a file that may be written open, for the time when its name is gone."""
        held = self._held.get(look.path)
        if look.handle or look.ended or held is not None and _inode(held) == look.inode:
            return
        try:
            handle = look.path.open("rb")
        except OSError:  # gone since: the next look finds it
            return
        if held is not None:
            held.close()
        self._held[look.path] = handle

    def loaded(self, look: Look, summary: Summary, packed: bool) -> None:
        """Remember what a load did."""
        if summary.rewritten:
            self.rotations["rewritten"] += 1
        if look.handle is not None:
            self._drained(look, summary)
            return
        before = self._tracked.get(look.path, Tracked())
        if packed and before.signature is None and self._knows(summary.file_id, look.path):
            self.rotations["compressed"] += 1
        same_file = before.signature is not None and before.signature[:2] == look.inode
        if same_file and before.size > look.status.st_size:
            self.rotations["truncated"] += 1
        same_line = summary.waiting and before.waiting and before.at == summary.at
        since = before.partial_since if same_line else time.time()
        self._tracked[look.path] = Tracked(
            signature=look.signature,
            size=look.status.st_size,
            file_id=summary.file_id,
            at=summary.at,
            packed=packed,
            waiting=summary.waiting,
            partial_since=since if summary.waiting else 0.0,
        )

    def committed(self, look: Look, summary: Summary) -> None:
        """Note how far the load under way is."""
        if look.handle is None:
            known = self._tracked.setdefault(look.path, Tracked())
            known.file_id, known.at, known.waiting = summary.file_id, summary.at, 0

    def failed(self, look: Look, problem: str, seconds: float) -> bool:
        """Remember that a file could not be loaded, after some seconds; gives whether it is news.

        Where nothing changes, it is tried less and less often, in a tenth of the time at most.
        """
        known = self._tracked.setdefault(look.path, Tracked())
        news = known.problem != problem
        known.problem = problem
        doubled = min(LAST_RETRY, max(FIRST_RETRY, 2 * known.retry_seconds))
        known.retry_seconds = FIRST_RETRY if known.signature != look.signature else doubled
        known.retry_at = time.monotonic() + max(known.retry_seconds, 10 * seconds)
        known.signature = look.signature
        known.size = look.status.st_size
        return news

    def forget_unless(self, extents: dict[tuple[str, int], int]) -> None:
        """Look anew at files of which the ledger no longer says that they were loaded so far."""
        for path, known in list(self._tracked.items()):
            at = known.at
            if path not in self._present and self._present:
                del self._tracked[path]
            elif at.offset and extents.get((known.file_id, at.generation), -1) < at.offset:
                log.warning("%s: the ledger no longer goes up to byte %d", path, at.offset)
                known.signature = None

    @property
    def partial_since(self) -> float:
        """Since when the oldest unfinished line has had no end; 0 where there is none."""
        found = [known.partial_since for known in self._tracked.values() if known.partial_since]
        return min(found, default=0.0)

    def health(self) -> list[FileHealth]:
        """Say of each file how far it is loaded."""
        if not self.patterns:
            return []
        if not self._present:
            return [FileHealth(", ".join(self.patterns), problem="no file matches")]
        return [_file_health(look, self._tracked.get(p)) for p, look in self._present.items()]

    def _find(self) -> dict[Path, Look]:
        found: dict[Path, Look] = {}
        for pattern in self.patterns:
            group = _group(expand([pattern]))
            looks = [Look(path, at, self._has_ended(path, at, group)) for path, at in group]
            found = {look.path: look for look in looks} | found
        self._still = {path: each for path, each in self._still.items() if path in found}
        by_age = sorted(found.values(), key=lambda look: look.status.st_mtime_ns)
        return {look.path: look for look in by_age}

    def _has_ended(self, path: Path, at: os.stat_result, group: Group) -> bool:
        """Whether nothing is appended any more: seen so for a while, by no clock but our own."""
        now = time.monotonic()
        state = (at.st_size, at.st_mtime_ns)
        before, since = self._still.get(path, (state, now))
        self._still[path] = (state, since if before == state else now)
        return now - self._still[path][1] > SETTLED_SECONDS and _is_superseded(path, at, group)

    def _notice_rename(self, path: Path, handle: BinaryIO) -> None:
        inode = _inode(handle)
        named = [look.path for look in self._present.values() if look.inode == inode]
        if path in named:
            return
        del self._held[path]
        self.rotations["renamed"] += 1
        if named:
            log.info("%s: is now %s", path, named[0])
            handle.close()
        else:
            log.info("%s: its name is gone; what is left of it is read", path)
            self._departed.append(_Departed(path, handle))

    def _knows(self, file_id: str, unless: Path) -> bool:
        others = (known for path, known in self._tracked.items() if path != unless)
        return any(known.file_id == file_id for known in others)

    def _reads_elsewhere(self, file_id: str) -> bool:
        """Whether a file that has a name, and was read as it is now, has this content."""
        known = [(self._tracked.get(path), look) for path, look in self._present.items()]
        return any(
            at is not None and at.file_id == file_id and at.signature == look.signature
            for at, look in known
        )

    def _look_at_departed(self) -> list[Look]:
        """Look at files without a name; those that have another one now are read by that."""
        looks = []
        for departed in list(self._departed):
            try:
                status = os.fstat(departed.handle.fileno())
            except OSError as error:
                log.warning("%s: what was left of it cannot be read: %s", departed.path, error)
                self._drop(departed)
                continue
            look = Look(departed.path, status, self._is_over(departed, status), departed.handle)
            if any(other.inode == look.inode for other in self._present.values()):
                self._drop(departed)
            else:
                looks.append(look)
        return looks

    def _is_over(self, departed: _Departed, status: os.stat_result) -> bool:
        now = time.monotonic()
        if status.st_size != departed.size:
            departed.size, departed.still_since = status.st_size, now
        replaced = status.st_nlink == 0 or departed.path in self._present
        return replaced and now - departed.still_since > SETTLED_SECONDS

    def _drained(self, look: Look, summary: Summary) -> None:
        for departed in list(self._departed):
            elsewhere = bool(summary.file_id) and self._reads_elsewhere(summary.file_id)
            if departed.handle is look.handle and (look.ended or elsewhere):
                self._drop(departed)

    def _drop(self, departed: _Departed) -> None:
        departed.handle.close()
        self._departed.remove(departed)


def _group(paths: list[Path]) -> Group:
    """Look at the files of one pattern."""
    found: Group = []
    for path in paths:
        try:
            found.append((path, path.stat()))
        except OSError:  # rotated away: its new name is found at the next look
            continue
    return found


def _is_superseded(path: Path, at: os.stat_result, group: Group) -> bool:
    """Whether a newer file took its place: `accounting`, whatever its age, is not `accounting.0`.

    A line without its end is rejected in such a file, so that in doubt it is taken for live.
    """
    beside = [(other, status) for other, status in group if other.parent == path.parent]
    shortest = min(len(other.name) for other, _ in beside)
    only_short = [other for other, _ in beside if len(other.name) == shortest] == [path]
    newest = max(status.st_mtime_ns for _, status in beside)
    return at.st_mtime_ns < newest and not only_short


def _inode(handle: BinaryIO) -> tuple[int, int]:
    try:
        status = os.fstat(handle.fileno())
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


def _file_health(look: Look, known: Tracked | None) -> FileHealth:
    """Say how far a file is loaded; the size is that of this look, not of the load before it."""
    size, known = look.status.st_size, known or Tracked()
    lag = None if known.packed else max(0, size - known.at.offset)
    return FileHealth(str(look.path), size, known.at.offset, lag, known.problem)
