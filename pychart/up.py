"""Load, follow and serve in one process, as the embedded engine wants it."""

from __future__ import annotations

from pathlib import Path

from clickhouse.connection import Warehouse
from clickhouse.migrate import migrate
from clickhouse.settings import ClusterSettings, Settings
from ingest.daemon import beside
from ingest.sources import expand
from pychart import show
from streamlit_app.serve import serve


def run(settings: Settings, cluster: str | None, files: list[Path], host: str, port: int) -> None:
    """Load the configured files, and `files` as `cluster`; then serve while following them."""
    for path in files:
        show.check_readable(path)
    if cluster is not None:
        settings = with_files(settings, cluster, files)
    with Warehouse(settings, create=True) as warehouse:
        migrate(warehouse)
        for name, each in settings.clusters.items():
            for path in expand(each.files):
                show.load_with_progress(warehouse, name, path)
    serve(settings, host, port, beside)


def with_files(settings: Settings, cluster: str, files: list[Path]) -> Settings:
    """Add files to those that a cluster's settings name."""
    before = settings.clusters.get(cluster, ClusterSettings())
    names = (*before.files, *(str(path.absolute()) for path in files))
    after = before.model_copy(update={"files": names})
    return settings.model_copy(update={"clusters": {**settings.clusters, cluster: after}})
