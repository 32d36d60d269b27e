"""Which machines a job may get at which date, and the text of every place."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Floats, Ints, Roulette
from pychart.demo.population import SLICE
from pychart.demo.rhythm import DAY
from pychart.demo.site import (
    DEFAULT_LIMIT_SECONDS,
    DEMAND,
    QUEUE_LIMIT_SECONDS,
    SUBCLUSTERS,
    SubCluster,
)

KINDS = 4
SERIAL, SINGLE_NODE, TASKS, SUMMARY = range(KINDS)
YEAR_SECONDS = 365.25 * DAY


@dataclass(frozen=True)
class Places:
    """Where jobs run; a place is a queue on a host, numbered over all sub-clusters."""

    begin: int
    slices: int
    roulette: Roulette

    def draw(self, times: Ints, kinds: Ints, luck: Floats) -> Ints:
        """Sub-cluster number of each submission."""
        row = np.clip((times - self.begin) // SLICE, 0, self.slices - 1) * KINDS + kinds
        return self.roulette.spin(row, luck)


def build_places(begin: int, end: int) -> Places:
    """Sub-clusters in service during each slice of 30 days, weighted by their cores."""
    slices = max(1, -(-(end - begin) // SLICE))
    year: Floats = (
        1970 + (begin + (np.arange(slices, dtype=np.float64) + 0.5) * SLICE) / YEAR_SECONDS
    )
    weights = np.zeros((slices, KINDS, len(SUBCLUSTERS)))
    for number, cluster in enumerate(SUBCLUSTERS):
        for kind in range(KINDS):
            weights[:, kind, number] = _service(cluster, year) * _demand(cluster, kind)
    return Places(begin, slices, Roulette(weights.reshape(slices * KINDS, -1)))


def _service(cluster: SubCluster, year: Floats) -> Floats:
    """0 outside the years of service; a newcomer fills up, and a veteran empties, within months."""
    rise = np.clip((year - cluster.opened) / 0.4, 0.0, 1.0)
    return rise * np.clip((cluster.retired - year) / 0.5, 0.0, 1.0)


def _demand(cluster: SubCluster, kind: int) -> float:
    """Relative number of jobs of a kind that want this sub-cluster."""
    if kind in (TASKS, SUMMARY) and not cluster.mpi:
        return 0.0
    size = float(cluster.nodes * cluster.cores)
    return DEMAND.get(cluster.name, 1.0) * (size if kind in (TASKS, SUMMARY) else size**0.7)


HOSTS = [host for cluster in SUBCLUSTERS for host in cluster.hosts]
PLACES = [
    f"{queue}:{host}"
    for cluster in SUBCLUSTERS
    for queue in cluster.queues
    for host in cluster.hosts
]
CORES = np.array([cluster.cores for cluster in SUBCLUSTERS])
NODES = np.array([cluster.nodes for cluster in SUBCLUSTERS])
GIB_PER_CORE = np.array([cluster.gib_per_core for cluster in SUBCLUSTERS])
LIMIT_SECONDS = np.array(
    [QUEUE_LIMIT_SECONDS.get(cluster.name, DEFAULT_LIMIT_SECONDS) for cluster in SUBCLUSTERS]
)
QUEUES_OF = np.array([len(cluster.queues) for cluster in SUBCLUSTERS])
FIRST_HOST = np.cumsum(NODES) - NODES
FIRST_PLACE = np.cumsum(NODES * QUEUES_OF) - NODES * QUEUES_OF


def place_number(cluster: Ints, kind: Ints, node: Ints) -> Ints:
    """Look up the number in PLACES: MPI jobs use the second queue of a sub-cluster that has two."""
    second = (kind >= TASKS) & (QUEUES_OF[cluster] > 1)
    place: Ints = FIRST_PLACE[cluster] + np.where(second, NODES[cluster], 0) + node
    return place


def queue_name(cluster: int, kind: int) -> str:
    """Queue that a job of this kind gets on this sub-cluster."""
    return (
        SUBCLUSTERS[cluster].parallel_queue if kind >= TASKS else SUBCLUSTERS[cluster].serial_queue
    )
