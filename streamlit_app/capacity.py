"""How many cores there are, where the settings say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from clickhouse.settings import ClusterSettings, Settings

Busy = tuple[str, float, float]  # a name, the most of its cores that were busy, the average


def of_all(
    settings: Settings, dimension: str, busy: Iterable[Busy], clusters: Sequence[str] = ()
) -> list[Busy]:
    """Give names with the cores that there are in place of the most that were busy.

    Only those whose cores are known, the most loaded first.
    """
    known = [
        (name, float(cores), average)
        for name, _, average in busy
        if (cores := cores_of(settings, dimension, name, clusters))
    ]
    return sorted(known, key=lambda row: -row[2] / row[1])


def cores_of(settings: Settings, dimension: str, name: str, clusters: Sequence[str] = ()) -> int:
    """Say how many cores a cluster, a queue or a node has; 0 where it is not known.

    A queue of several clusters has those of all; a node that several could have is not known.
    """
    chosen = {c: s for c, s in settings.clusters.items() if not clusters or c in clusters}
    if dimension == "cluster":
        return chosen[name].cores.total if name in chosen else 0
    if dimension not in ("queue", "node"):
        return 0
    found = [cores for each in chosen.values() if (cores := _matching(each, dimension, name))]
    return 0 if dimension == "node" and len(found) > 1 else sum(found)


def _matching(cluster: ClusterSettings, dimension: str, name: str) -> int:
    known: Mapping[str, int] = cluster.cores.queues if dimension == "queue" else cluster.cores.nodes
    return next((cores for pattern, cores in known.items() if _matches(pattern, name)), 0)


def _matches(pattern: str, name: str) -> bool:
    wanted = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(wanted, name, re.DOTALL) is not None
