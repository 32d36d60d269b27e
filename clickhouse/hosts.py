"""The servers of a cluster, each by its own address: for what is made or done on every one.

Nothing here needs Keeper, as ON CLUSTER would; a server that is down is left for the next run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from clickhouse.connection import Warehouse, shown
from clickhouse.errors import ConfigError, WarehouseUnreachable
from clickhouse.shards import Shards

log = logging.getLogger(__name__)


def addresses(warehouse: Warehouse, shards: Shards) -> list[str]:
    """Give the URL of each server, without a database: as set, else at the port of `database`.

    Raises `ConfigError` where the cluster is unknown, or has another number of servers.
    """
    found = warehouse.rows(
        "SELECT host_name FROM system.clusters WHERE cluster = {cluster:String}"
        " ORDER BY shard_num, replica_num",
        {"cluster": shards.cluster},
    )
    if not found:
        raise ConfigError(f"--cluster: the server knows no cluster {shards.cluster!r}")
    given = warehouse.settings.database_hosts
    if given and len(given) != len(found):
        raise ConfigError(
            f"database_hosts: names {len(given)} servers, and the cluster {shards.cluster!r}"
            f" has {len(found)}"
        )
    return [_with_user(warehouse, url) for url in given] or [
        _at_host(warehouse, str(host)) for (host,) in found
    ]


def _with_user(warehouse: Warehouse, url: str) -> str:
    own, shared = urlsplit(url), urlsplit(warehouse.settings.database)
    user, _, _ = shared.netloc.rpartition("@")
    place = own.netloc if "@" in own.netloc or not user else f"{user}@{own.netloc}"
    return f"{own.scheme}://{place}"


def _at_host(warehouse: Warehouse, host: str) -> str:
    shared = urlsplit(warehouse.settings.database)
    user, at, place = shared.netloc.rpartition("@")
    port = f":{shared.port}" if shared.port else ""
    name = f"[{host}]" if ":" in host else host
    return f"{shared.scheme}://{user}{at}{name}{port}"


@contextmanager
def opened(
    warehouse: Warehouse, address: str, database: str, *, create: bool = False
) -> Iterator[Warehouse]:
    """Open a database of one server, with the settings of `warehouse`."""
    settings = warehouse.settings.model_copy(update={"database": f"{address}/{database}"})
    with Warehouse(settings, create=create) as found:
        yield found


def on_each(
    warehouse: Warehouse, shards: Shards, work: Callable[[str], None], what: str
) -> list[str]:
    """Do a work with the address of each server; name those that do not answer, and go on."""
    down = []
    for address in addresses(warehouse, shards):
        try:
            work(address)
        except WarehouseUnreachable as error:
            log.warning("%s; %s is left to the next time", error, what)
            down.append(shown(address))
    return down


def on_each_shard(
    warehouse: Warehouse, shards: Shards, work: Callable[[Warehouse], None], what: str
) -> list[str]:
    """Do a work in the database of each shard, on one of its servers that answers."""
    done: set[int] = set()

    def once(address: str) -> None:
        with opened(warehouse, address, shards.database) as own:
            number = _shard_number(own, shards)
            if number not in done:
                work(own)
                done.add(number)

    return on_each(warehouse, shards, once, what)


def _shard_number(own: Warehouse, shards: Shards) -> int:
    found = own.rows(
        "SELECT shard_num FROM system.clusters WHERE cluster = {cluster:String} AND is_local",
        {"cluster": shards.cluster},
    )
    if not found:
        place = shown(own.settings.database)
        raise ConfigError(f"{place}: this server does not find itself in {shards.cluster!r}")
    return int(found[0][0])
