"""Load, follow and serve in one process, as the embedded engine wants it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from clickhouse.connection import Warehouse
from clickhouse.errors import SourceError
from clickhouse.migrate import migrate
from clickhouse.settings import ClusterSettings, Settings
from ingest.daemon import beside
from ingest.sources import expand
from pychart import show
from streamlit_app.serve import serve

log = logging.getLogger(__name__)


def run(settings: Settings, cluster: str | None, files: list[Path], host: str, port: int) -> None:
    """Load the configured files, and `files` as `cluster`; then serve while following them."""
    for path in files:
        show.check_readable(path)

    def reread() -> Settings:
        return _with_named(read_before.reread(), cluster, files)

    read_before = settings
    settings = _with_named(settings, cluster, files)
    with Warehouse(settings, create=True) as warehouse:
        migrate(warehouse)
        for name, each in settings.clusters.items():
            for path in expand(each.files):
                _load(warehouse, name, path)
    serve(settings, host, port, partial(beside, reread=reread))


def _load(warehouse: Warehouse, cluster: str, path: Path) -> None:
    """Load a file; one that cannot be read yet is left to the daemon, which says so."""
    try:
        show.load_with_progress(warehouse, cluster, path)
    except SourceError as error:
        log.error("%s; trying again", error)


def _with_named(settings: Settings, cluster: str | None, files: list[Path]) -> Settings:
    return settings if cluster is None else with_files(settings, cluster, files)


def with_files(settings: Settings, cluster: str, files: list[Path]) -> Settings:
    """Add files to those that a cluster's settings name."""
    before = settings.clusters.get(cluster, ClusterSettings())
    names = (*before.files, *(str(path.absolute()) for path in files))
    after = before.model_copy(update={"files": names})
    return settings.model_copy(update={"clusters": {**settings.clusters, cluster: after}})
