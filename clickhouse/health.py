"""What the ingest daemon says of itself: a small file per cluster, for any process of the host.

It is no part of the warehouse, for an embedded database cannot be opened beside the daemon, and a
database that is down cannot say so.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal

from clickhouse.connection import shown
from clickhouse.errors import ConfigError, PychartError
from clickhouse.settings import Settings

State = Literal["starting", "loading", "following", "retrying", "halted", "crashed", "stopped"]
WORKING: frozenset[State] = frozenset({"starting", "loading", "following"})
SILENT_SECONDS = 90.0  # without a sign of life, a daemon that holds its lock hangs


@dataclass
class FileHealth:
    """One followed file: bytes on disk and loaded; `lag_bytes` None where it is compressed."""

    path: str
    size: int = 0
    offset: int = 0
    lag_bytes: int | None = 0
    problem: str = ""


@dataclass
class Health:
    """How the daemon does with one cluster; times are seconds since 1970, 0 = never."""

    cluster: str
    state: State = "starting"
    why: str = ""
    since: float = 0.0  # when it came into this state
    pid: int = 0
    started: float = 0.0
    alive: float = 0.0  # last sign of life
    caught_up: float = 0.0  # when all that was in the files had been loaded
    last_commit: float = 0.0
    rate: float = 0.0  # bytes per second, of the load under way or of the last one
    eta: float = 0.0  # seconds that the load under way will still take
    partial_since: float = 0.0  # since when the last line has had no end
    read_bytes: int = 0  # since the daemon started, as all that follows
    records: int = 0
    rejects: int = 0
    ignored: int = 0
    rejects_in_all: int = 0  # of all that was ever loaded
    inserts: int = 0
    insert_seconds: float = 0.0
    retries: dict[str, int] = field(default_factory=dict)  # by class of error
    rotations: dict[str, int] = field(default_factory=dict)  # by kind
    files: list[FileHealth] = field(default_factory=list)

    @property
    def lag_bytes(self) -> int:
        """Bytes that stand in the files and are not loaded, as far as that is known."""
        return sum(file.lag_bytes or 0 for file in self.files)

    def lag_seconds(self, now: float) -> float:
        """How long ago all had been loaded; 0 where it is."""
        return max(0.0, now - (self.caught_up or self.started)) if self.lag_bytes else 0.0

    def problems(self) -> list[str]:
        """Say what is not well, in one line each."""
        found = [] if self.state in WORKING else [f"{self.state}: {self.why}"]
        return found + [f"{file.path}: {file.problem}" for file in self.files if file.problem]


def directories(settings: Settings) -> list[Path]:
    """List where the state may be, the preferred place first."""
    if settings.state_directory:
        return [settings.state_directory]
    if settings.database.startswith("chdb://"):
        return [Path(settings.database.removeprefix("chdb://") + ".state")]
    systemd = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    own = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    named = [Path(systemd)] if systemd else []
    return [*named, Path("/var/lib/pychart"), Path(own) / "pychart", _temporary()]


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"pychart-{os.getuid()}"


def directory(settings: Settings) -> Path:
    """Give the first place that can be written to; makes it."""
    last: OSError | None = None
    for place in directories(settings):
        try:
            place.mkdir(mode=0o750, parents=place != Path("/var/lib/pychart"), exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return place
        except OSError as error:
            last = error
    raise ConfigError(f"state_directory: {last}")


def file_name(settings: Settings, cluster: str) -> str:
    """Name a cluster's files: several databases and any cluster name share a directory."""
    whole = f"{shown(settings.database)}\n{cluster}"
    plain = "".join(char if char.isalnum() else "_" for char in cluster)[:40]
    return f"{plain}-{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"


def write(folder: Path, settings: Settings, health: Health) -> None:
    """Replace a cluster's file in one step."""
    path = folder / f"{file_name(settings, health.cluster)}.json"
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(asdict(health)))
    partial.replace(path)


def read(settings: Settings, cluster: str) -> Health | None:
    """Read what the daemon of this host said last of a cluster; None where it never did."""
    for place in directories(settings):
        path = place / f"{file_name(settings, cluster)}.json"
        try:
            found = _parse(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
        return _judged(found, is_locked(path.with_suffix(".lock")), time.time())
    return None


def clusters(settings: Settings) -> list[str]:
    """Name the clusters of this database that a daemon of this host ever spoke of."""
    found = set()
    for place in directories(settings):
        for path in place.glob("*.json"):
            try:
                cluster = str(json.loads(path.read_text())["cluster"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if path.stem == file_name(settings, cluster):
                found.add(cluster)
    return sorted(found)


def _parse(content: dict[str, Any]) -> Health:
    known = {each.name for each in fields(Health)}
    files = [FileHealth(**file) for file in content.get("files", [])]
    return Health(**{k: v for k, v in content.items() if k in known} | {"files": files})


def _judged(found: Health, running: bool, now: float) -> Health:
    """Do not believe a file whose daemon is gone, or hangs."""
    if not running and found.state != "stopped":
        found.state, found.why = "crashed", f"the daemon (process {found.pid}) is gone"
    elif running and now - found.alive > SILENT_SECONDS:
        found.state, found.why = "crashed", f"the daemon (process {found.pid}) does not move"
    return found


def is_locked(path: Path) -> bool:
    """Whether a daemon of this host holds a cluster's lock."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _flock(file: BinaryIO) -> bool:
    for _ in range(5):  # `is_locked` holds it for an instant
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.1)
    return False


@contextmanager
def lock(folder: Path, settings: Settings, cluster: str) -> Iterator[None]:
    """Be the only daemon of this host that follows a cluster into this database."""
    path = folder / f"{file_name(settings, cluster)}.lock"
    with path.open("a+b") as file:
        if not _flock(file):
            file.seek(0)
            other = file.read(20).decode(errors="replace").strip() or "unknown"
            raise PychartError(
                f"cluster {cluster}: another daemon (process {other}) of this host follows it"
                f" already: {path}"
            )
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        file.flush()
        yield
