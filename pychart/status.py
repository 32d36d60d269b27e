"""What is loaded of each file, for people and for monitoring checks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickhouse.connection import Warehouse
from clickhouse.errors import PychartError
from ingest import ledger
from ingest.sources import expand, open_source
from ingest.tail import read_head

GRACE = timedelta(minutes=5)  # what was written, or loaded, since then may still be under way


@dataclass(frozen=True)
class FileStatus:
    """One file of a cluster: `behind` are bytes not loaded yet, None for a compressed file."""

    cluster: str
    path: Path
    size: int
    loaded: int
    behind: int | None
    problem: str = ""


def print_status(warehouse: Warehouse, now: datetime) -> bool:
    """Print a line per configured file; False where one is not loaded and nobody is at it."""
    found = file_statuses(warehouse, now)
    for file in found:
        behind = "" if not file.behind else f", {file.behind:,} bytes behind"
        state = f"  {file.problem}" if file.problem else "  well"
        print(f"{file.cluster}: {file.path}: {file.loaded:,} bytes loaded{behind}{state}")
    if not found:
        print("no files are configured")
    last = warehouse.rows("SELECT max(loaded_at), max(end_offset) FROM ledger")[0]
    print(f"last batch: {last[0]:%Y-%m-%d %H:%M:%S} UTC" if last[1] else "nothing is loaded yet")
    return not any(file.problem for file in found)


def file_statuses(warehouse: Warehouse, now: datetime) -> list[FileStatus]:
    """Look at each file that the settings name."""
    busy = _loaded_since(warehouse, now - GRACE)
    found = []
    for name, cluster in warehouse.settings.clusters.items():
        family = expand(cluster.files)
        found += [_file_status(warehouse, name, path, now, busy) for path in family]
        if cluster.files and not family:
            pattern = Path(", ".join(cluster.files))
            found.append(FileStatus(name, pattern, 0, 0, None, "no file matches"))
    return found


def _file_status(
    warehouse: Warehouse, cluster: str, path: Path, now: datetime, busy: bool
) -> FileStatus:
    try:
        with open_source(path) as source:
            head = read_head(source)
            size, packed = source.size, not source.seekable
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (PychartError, OSError) as error:
        return FileStatus(cluster, path, 0, 0, None, str(error))
    at = ledger.position(warehouse, cluster, head.file_id) if head else ledger.Position()
    behind = None if packed else max(0, size - at.offset)
    late = now - written > GRACE and not busy and (behind or packed and not at.offset)
    return FileStatus(cluster, path, size, at.offset, behind, "not loaded" if late else "")


def _loaded_since(warehouse: Warehouse, moment: datetime) -> bool:
    found = warehouse.rows(
        "SELECT count() FROM batches WHERE loaded_at >= fromUnixTimestamp({moment:Int64})",
        {"moment": int(moment.timestamp())},
    )
    return bool(found[0][0])
