"""A warehouse on several servers: each shard has one of its own, in a database beside the shared.

In the shared database, whose names people use, stand Distributed tables over these. All lines of a
job are on one shard (`KEYS`), so whatever looks for other lines of a job finds them there, and
copies of a line meet: each shard makes its part of an answer by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickhouse.errors import ConfigError

SUFFIX = "_shard"  # of the database in which a server keeps what its shard holds
# What decides on which shard a row is: equal lines have equal values of these.
KEYS = {
    "accounting": "sipHash64(cluster, job_number)",
    "rejected_lines": "sipHash64(cluster, file_id, offset)",
}
# A server answers for its shard alone, and what a query was planned for is what another may lack.
SERVER = "concat(hostName(), ':', toString(tcpPort()))"
OTHER_REPLICA = "another replica answers than the one that was looked at"
_DISTRIBUTED = re.compile(r"Distributed\('([^']+)', '([^']+)'")
_CLUSTER = re.compile(r"[A-Za-z_][\w.-]*")
_TABLE = re.compile(r"'(?:[^'\\]|\\.)*'|\b(FROM|(?<!ARRAY )JOIN) ([A-Za-z_]\w*)(?![\w.(])")


@dataclass(frozen=True)
class Shards:
    """The cluster, as the servers' `remote_servers` name it, and the database of each shard."""

    cluster: str
    database: str

    def __post_init__(self) -> None:
        """Check the name, which becomes a part of statements."""
        if not _CLUSTER.fullmatch(self.cluster):
            raise ConfigError(f"--cluster: {self.cluster!r} can be no name of a cluster")

    def rows(self, sql: str) -> str:
        """Write rows that each shard selects from its own tables, to stand after FROM."""
        return f"cluster('{self.cluster}', view({self.local(sql)}))"

    def local(self, sql: str) -> str:
        """Write a query so that its tables are those of the shard that runs it."""
        return _TABLE.sub(self._local, sql)

    def _local(self, found: re.Match[str]) -> str:
        before, table = found.groups()
        return f"{before} {self.database}.{table}" if table else found[0]


def rows_of(shards: Shards | None, sql: str) -> str:
    """Write what a query selects, of one server or of all shards, to stand after FROM."""
    return f"({sql})" if shards is None else shards.rows(sql)


def of_engine(engine: str) -> Shards | None:
    """Read from the engine of `accounting` where its rows are; None where they are its own."""
    found = _DISTRIBUTED.match(engine)
    return Shards(found[1], found[2]) if found else None
