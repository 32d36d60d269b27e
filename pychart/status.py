"""How loading does, for people and for monitoring checks: asked of the daemon, else of the ledger.

The daemon's own words come from its state file, since beside it nobody can open an embedded
database, and a database that is down says nothing.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickhouse import health
from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, PychartError
from clickhouse.health import FileHealth, Health
from clickhouse.settings import Settings
from ingest import ledger
from ingest.sources import expand, open_source
from ingest.tail import read_head

GRACE_SECONDS = 300.0  # what was written, or loaded, since then may still be under way
FORMATS = ("text", "json")


@dataclass(frozen=True)
class ClusterStatus:
    """One cluster; times are seconds since 1970, 0 = never or not known."""

    cluster: str
    state: str
    why: str
    well: bool
    files: list[FileHealth]
    lag_bytes: int
    lag_seconds: float
    rate: float
    eta: float
    up_to: float  # all that had been written until then is loaded
    last_commit: float
    partial_line_seconds: float
    rejects: int
    retries: dict[str, int]
    problems: list[str] = field(default_factory=list)


def print_status(settings: Settings, format_name: str) -> bool:
    """Print how each cluster does as text or JSON; False where someone should look after it."""
    if format_name not in FORMATS:
        raise ConfigError(f"--format: {format_name!r} is none of {', '.join(FORMATS)}")
    found = statuses(settings, time.time())
    well = all(each.well for each in found)
    if format_name == "json":
        print(json.dumps({"well": well, "clusters": [_plain(each) for each in found]}, indent=1))
        return well
    for each in found:
        _print_cluster(each)
    return well


def statuses(settings: Settings, now: float) -> list[ClusterStatus]:
    """Ask the daemon of each cluster, and the ledger about those that no daemon follows."""
    named = dict.fromkeys([*settings.clusters, *health.clusters(settings)])
    found = {name: health.read(settings, name) for name in named}
    running = {n: each for n, each in found.items() if each and each.state != "stopped"}
    by_daemon = {name: _of_daemon(each, now) for name, each in running.items()}
    if by_daemon and set(settings.clusters) <= set(by_daemon):
        return list(by_daemon.values())
    with Warehouse(settings) as warehouse:
        return [
            by_daemon.get(name) or _of_ledger(warehouse, name, now) for name in _names(warehouse)
        ]


def _names(warehouse: Warehouse) -> list[str]:
    """Name the clusters of the settings, then others of which something was loaded."""
    loaded = warehouse.rows("SELECT DISTINCT cluster FROM batches ORDER BY cluster")
    return list(dict.fromkeys([*warehouse.settings.clusters, *(str(row[0]) for row in loaded)]))


def _of_daemon(found: Health, now: float) -> ClusterStatus:
    found.files = [_as_now(file) for file in found.files]
    lag = found.lag_seconds(now)
    moves = now - max(found.last_commit, found.since) < GRACE_SECONDS
    late = lag > GRACE_SECONDS and not (found.state == "loading" and moves)
    problems = found.problems()
    if late:
        problems.append(f"{found.lag_bytes:,} bytes wait since {_time(found.caught_up)}")
    return ClusterStatus(
        cluster=found.cluster,
        state=found.state,
        why=found.why,
        well=not problems,
        files=found.files,
        lag_bytes=found.lag_bytes,
        lag_seconds=lag,
        rate=found.rate,
        eta=found.eta,
        up_to=found.caught_up,
        last_commit=found.last_commit,
        partial_line_seconds=now - found.partial_since if found.partial_since else 0.0,
        rejects=found.rejects_in_all,
        retries=found.retries,
        problems=problems,
    )


def _as_now(file: FileHealth) -> FileHealth:
    """Look at a file's size now: the daemon may have been away for a while."""
    if file.lag_bytes is None:
        return file
    try:
        size = Path(file.path).stat().st_size
    except OSError:  # renamed since, or of another user
        return file
    return replace(file, size=size, lag_bytes=max(0, size - file.offset))


def _of_ledger(warehouse: Warehouse, cluster: str, now: float) -> ClusterStatus:
    patterns = warehouse.settings.cluster(cluster).files
    last, rejects = warehouse.rows(
        "SELECT toUnixTimestamp(max(loaded_at)), sum(rejects) FROM ledger"
        " WHERE cluster = {cluster:String}",
        {"cluster": cluster},
    )[0]
    files = [_file(warehouse, cluster, path) for path in expand(patterns)]
    if patterns and not files:
        files = [FileHealth(", ".join(patterns), problem="no file matches")]
    busy = now - last < GRACE_SECONDS
    late = [file for file in files if not file.problem and not busy and _is_late(file, now)]
    for file in late:
        file.problem = "not loaded"
    problems = [f"{file.path}: {file.problem}" for file in files if file.problem]
    behind = sum(file.lag_bytes or 0 for file in files)
    return ClusterStatus(
        cluster=cluster,
        state="not followed",
        why="no daemon of this host follows it",
        well=not problems,
        files=files,
        lag_bytes=behind,
        lag_seconds=now - last if behind else 0.0,
        rate=0.0,
        eta=0.0,
        up_to=float(last),
        last_commit=float(last),
        partial_line_seconds=0.0,
        rejects=int(rejects),
        retries={},
        problems=problems,
    )


def _file(warehouse: Warehouse, cluster: str, path: Path) -> FileHealth:
    try:
        with open_source(path) as source:
            head = read_head(source)
            size, packed = source.size, not source.seekable
    except (PychartError, OSError) as error:
        return FileHealth(str(path), problem=str(error))
    loaded = ledger.positions(warehouse, cluster, head.file_id) if head else [ledger.Position()]
    fitting = [at.offset for at in loaded if packed or at.offset <= size]
    offset = max(fitting, default=0)
    return FileHealth(str(path), size, offset, None if packed else size - offset)


def _is_late(file: FileHealth, now: float) -> bool:
    waits = file.lag_bytes or file.lag_bytes is None and file.size and not file.offset
    return bool(waits) and now - Path(file.path).stat().st_mtime > GRACE_SECONDS


def _print_cluster(found: ClusterStatus) -> None:
    wait = f", {found.lag_bytes:,} bytes and {found.lag_seconds:.0f} s behind"
    loading = f", {found.rate / 1e6:.0f} MB/s, {found.eta:.0f} s left" if found.eta else ""
    why = f" ({found.why})" if found.why else ""
    verdict = "well" if found.well else "NOT WELL"
    print(
        f"{found.cluster}: {verdict}: {found.state}{why}, data up to {_time(found.up_to)}"
        f"{wait if found.lag_bytes else ''}{loading}"
    )
    for file in found.files:
        print(f"  {file.path}: {file.offset:,} bytes loaded{_behind(file)}")
    for problem in found.problems:
        print(f"  {problem}")
    retries = sum(found.retries.values())
    partial = found.partial_line_seconds
    print(
        f"  last batch {_time(found.last_commit)}, {found.rejects:,} rejects, {retries:,} retries"
        + (f", a line without its end for {partial:.0f} s" if partial else "")
    )


def _behind(file: FileHealth) -> str:
    if file.lag_bytes is None:
        return f", {file.size:,} compressed"
    return f", {file.lag_bytes:,} behind" if file.lag_bytes else ""


def _time(seconds: float) -> str:
    if not seconds:
        return "never"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _plain(found: ClusterStatus) -> dict[str, Any]:
    """Give a status as JSON has it: times in ISO 8601, null where there is none."""
    times = {name: _iso(getattr(found, name)) for name in ("up_to", "last_commit")}
    return asdict(found) | times


def _iso(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None
