"""Fields 46 to 74, which Univa Grid Engine added version by version.

How the fields after the 55th are written is known from one reader only, and in part made up here.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pychart.demo.arrays import Bools
from pychart.demo.attempts import KILLED
from pychart.demo.columns import Moments, Rusage, decimals, indices, integers, join, texts
from pychart.demo.placement import FIRST_HOST, FIRST_PLACE, HOSTS, NODES
from pychart.demo.population import NAMES_PER_USER, Population
from pychart.demo.records import Records
from pychart.demo.site import SUBCLUSTERS
from pychart.demo.submissions import Submissions

GPU_CLUSTER = [cluster.name for cluster in SUBCLUSTERS].index("gpu")
LOGINS = texts(["login1", "login2"])
NONE = texts(["NONE"])
KIB = 1024
COLON = "\udcff"  # the byte FF
LAYOUT_2022 = 74


class LaterFields:
    """Formats the fields after the 45th."""

    def __init__(self, people: Population) -> None:
        """Prepare the texts that depend on the users alone."""
        owners = [owner for owner in people.owners for _ in range(NAMES_PER_USER)]
        folders = [
            # a Windows share, a date: people do put colons into names
            f"/scratch/{owner}/run{COLON}{number}" if number % 5 == 0 else f"/home/{owner}/{name}"
            for number, (owner, name) in enumerate(zip(owners, people.job_names, strict=True))
        ]
        self._folders = texts(folders)
        self._deleted_by = texts(
            [f"{owner}@login{1 + n % 2}" for n, owner in enumerate(people.owners)]
        )
        self._job_names = texts(people.job_names)

    def columns(
        self,
        layout: int,
        records: Records,
        used: Rusage,
        submissions: Submissions,
        category: pa.BinaryArray,
        when: Moments,
    ) -> list[pa.Array]:
        """Fields 46 up to the number of `layout`."""
        job = indices(records.submission)
        resident = records.max_rss_kib * KIB
        killed = (records.outcome == KILLED) & (records.pe_task == 0)
        known = [
            _either(submissions.h_rt == 3600, "short.default").take(job),
            _where(killed, self._deleted_by.take(indices(submissions.user)).take(job)),
            integers(resident),
            integers(resident * 9 // 10),
            LOGINS.take(indices(submissions.user % 2)).take(job),
            self._folders.take(indices(submissions.job_name)).take(job),
            self.commands(submissions, category).take(job),
            decimals(when.end // 1000 - when.start // 1000, 3),
            integers(used.blocks_in // 4 + used.blocks_out // 8),
            _either(submissions.slots == 1, "0,0").take(job),
        ]
        if layout == LAYOUT_2022:
            known += _fields_of_2022(records, submissions, category)
        return known[: layout - 45]

    def commands(self, submissions: Submissions, category: pa.BinaryArray) -> pa.BinaryArray:
        """`qsub -q … -l … -N name name.sh` of each submission."""
        names = self._job_names.take(indices(submissions.job_name))
        options = pc.replace_substring(category, pattern=b"NONE", replacement=b"-cwd")
        return join(["qsub", options, "-N", names, "-v DATE='a b',X=\"1\" run.sh"], " ")


def _fields_of_2022(
    records: Records, submissions: Submissions, category: pa.BinaryArray
) -> list[pa.Array]:
    """Fields 56 to 74."""
    job = indices(records.submission)
    none = _repeat(len(records.submission))
    on_gpu = submissions.cluster[records.submission] == GPU_CLUSTER
    held = submissions.number % 9 == 0
    asked = category.take(job)
    return [
        _where(on_gpu, _repeat(len(on_gpu), "gpu=0")),
        _where(on_gpu, _repeat(len(on_gpu), "/dev/nvidia0")),
        _where(on_gpu, _repeat(len(on_gpu), "1")),
        _where(on_gpu, _repeat(len(on_gpu), f"gpu0(util=43.1;pci=0000{COLON}3b{COLON}00)")),
        *[none] * 5,
        _where(held[records.submission], integers(submissions.number - 1).take(job)),
        *[none] * 3,
        asked,
        *[none] * 3,
        asked,
        texts(_host_lists(records, submissions)),
    ]


def _host_lists(records: Records, submissions: Submissions) -> list[str]:
    """Hosts of each line's attempt, its own first; only its own on the line of a task."""
    cluster = submissions.cluster[records.submission]
    node = (records.place - FIRST_PLACE[cluster]) % NODES[cluster]
    hosts = np.where(records.pe_task > 0, 1, submissions.hosts[records.submission])
    known: dict[tuple[int, int, int], str] = {}
    rows = zip(cluster.tolist(), node.tolist(), hosts.tolist(), strict=True)
    return [known.get(row) or known.setdefault(row, _hosts(*row)) for row in rows]


def _hosts(cluster: int, node: int, count: int) -> str:
    first, nodes = int(FIRST_HOST[cluster]), int(NODES[cluster])
    return ",".join(HOSTS[first + (node + rank) % nodes] for rank in range(count))


def _where(chosen: Bools, values: pa.Array) -> pa.BinaryArray:
    """Values where they are chosen, NONE elsewhere."""
    return pc.if_else(pa.array(chosen), values.cast(pa.binary()), NONE[0])


def _either(chosen: Bools, value: str) -> pa.BinaryArray:
    return texts(["NONE", value]).take(indices(chosen.astype(np.int64)))


def _repeat(count: int, value: str = "NONE") -> pa.BinaryArray:
    return texts([value]).take(indices(np.zeros(count, dtype=np.int64)))
