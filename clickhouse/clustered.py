"""Makes and brings up to date a warehouse on a cluster: on each server, by that server's address.

A server has two databases. In that of its shard stand the stored tables, the views over them and
their rollups, as on a single server. In the shared one, whose names people use, stand the parser,
views that need no rows, and for the others Distributed tables over those of all shards.

With Keeper the lines, the rejects and the ledger are replicated, the ledger to every server, so
that there is one. Without it each shard has one server, and the first shard has the ledger. What
has been applied is remembered by each server, since it is done on each; rollups are made by each
from what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from clickhouse.connection import Warehouse, shown
from clickhouse.errors import ConfigError, WarehouseError, WarehouseUnreachable
from clickhouse.hosts import addresses, on_each, opened
from clickhouse.migrate import (
    ONE_AT_A_TIME,
    Statement,
    apply,
    current_of,
    remember,
    replace_parser,
    replace_views,
    schema,
    views,
)
from clickhouse.settings import Settings
from clickhouse.shards import KEYS, SUFFIX, Shards

NO_KEEPER = 225
FIRST_SHARED = 1500  # Distributed tables are numbered from here in `migrations`
MIGRATIONS, LEDGER = "0001_migrations", "0004_batches"
STORED = ("accounting", "rejected_lines")  # and replicated
PLAIN = ("migrations", "rollup_months", "batches")  # each server's own; its ledger stays empty
FIRST_SHARD = "0"  # as a sharding key
# Views that each shard makes of its own rows: those of a job are all there.
OF_SHARDS = frozenset(
    {"records", "attempt_lines", "multi_node_lines", "lines", "jobs", "rejects", "attempts",
     "submitted_jobs", "campaigns"}
)  # fmt: skip
_PLAIN = re.compile(r"ENGINE = ReplacingMergeTree(?:\((\w*)\))?")


def migrate_cluster(warehouse: Warehouse, cluster: str, *, replicated: bool) -> list[str]:
    """Make the warehouse on every server of a cluster, or bring it up to date; names the changes.

    Raises `WarehouseUnreachable` for servers that are down, once the others are done; a later run
    goes on with these.
    """
    database = _one(warehouse, "SELECT currentDatabase()")
    shards = Shards(cluster, f"{database}{SUFFIX}")
    _refuse_another(warehouse, shards)
    if warehouse.shards and replicated != _is_replicated(warehouse, shards):
        made = "without" if replicated else "with"
        raise ConfigError(f"--no-replication: {cluster!r} was made {made} replication")
    known = addresses(warehouse, shards)
    done, down = _migrate(warehouse, shards, replicated=replicated)
    if down:
        raise WarehouseUnreachable(
            f"{len(down)} of {len(known)} servers of {cluster!r} are not done:"
            f" {', '.join(down)}; run it again once they answer"
        )
    return done


def migrate_again(warehouse: Warehouse) -> list[str]:
    """Bring every server up to date that answers, and name the changes; the others are logged."""
    shards = warehouse.shards
    assert shards is not None
    return _migrate(warehouse, shards, replicated=_is_replicated(warehouse, shards))[0]


def _is_replicated(warehouse: Warehouse, shards: Shards) -> bool:
    with opened(warehouse, _own_address(warehouse), shards.database) as own:
        return _engine(own, "accounting").startswith("Replicated")


def on_every_server(warehouse: Warehouse, statements: Sequence[str]) -> list[str]:
    """Run statements where the rows are: here, or in the database of each server's shard.

    Names the servers that do not answer, on which they are missing until they are run again.
    """
    shards = warehouse.shards
    if shards is None:
        _run(warehouse, statements)
        return []

    def run(address: str) -> None:
        with opened(warehouse, address, shards.database) as own:
            _run(own, statements)

    return on_each(warehouse, shards, run, "what had to be done there")


def _run(warehouse: Warehouse, statements: Iterable[str]) -> None:
    for statement in statements:
        warehouse.command(statement)


def _own_address(warehouse: Warehouse) -> str:
    return warehouse.settings.database.rpartition("/")[0] or warehouse.settings.database


def _refuse_another(warehouse: Warehouse, shards: Shards) -> None:
    """Leave alone what is no warehouse on this cluster."""
    place = shown(warehouse.settings.database)
    if warehouse.shards not in (None, shards):
        raise WarehouseError(f"{place}: it is on the cluster {warehouse.shards!r} already")
    if warehouse.shards is None and _engine(warehouse, "accounting"):
        raise WarehouseError(
            f"{place}: it holds the lines of a single server; docs/scaling.md says how they move"
        )


def _migrate(
    warehouse: Warehouse, shards: Shards, *, replicated: bool
) -> tuple[list[str], list[str]]:
    done: dict[str, None] = {}

    def one(address: str) -> None:
        done.update(dict.fromkeys(_migrate_server(warehouse, shards, address, replicated)))

    with ONE_AT_A_TIME:
        down = on_each(warehouse, shards, one, "its migration")
    warehouse.look_again()
    return [*done], down


def _migrate_server(
    warehouse: Warehouse, shards: Shards, address: str, replicated: bool
) -> list[str]:
    name = shards.database.removesuffix(SUFFIX)
    with (
        opened(warehouse, address, shards.database, create=True) as own,
        opened(warehouse, address, name, create=True) as shared,
    ):
        done = apply(own, partial(_create_replicated, own, address) if replicated else None)
        done += _share_tables(shared, own, shards, replicated)
        settings = warehouse.settings
        done += replace_views(own, settings, views(settings, everywhere=name))
        done += replace_views(shared, settings, _shared_views(own, shards, settings))
        return done + replace_parser(shared)


def _create_replicated(own: Warehouse, address: str) -> None:
    """Make the tables as all statements together would: a replica must be like the others.

    Statement by statement, the second server of a shard would meet what the first one is by then.
    """
    database = _one(own, "SELECT currentDatabase()")
    scratch = f"{database}_new"
    with opened(own, address, scratch, create=True) as plain:
        _run(plain, [statement.sql for statement in schema()])
        made = {name: _create_text(plain, name) for name in (*PLAIN, *STORED)}
        own.command(f"DROP DATABASE {scratch} SYNC")
    for name, text in made.items():
        sql = text.replace(f"CREATE TABLE {scratch}.", "CREATE TABLE IF NOT EXISTS ", 1)
        if name in STORED:
            path = f"/clickhouse/tables/{{shard}}/{database}/{name}"
            sql = replicated_sql(sql, path, "{replica}")
        _run_with_keeper(own, sql)


def _run_with_keeper(warehouse: Warehouse, sql: str) -> None:
    try:
        warehouse.command(sql)
    except WarehouseError as error:
        if error.code != NO_KEEPER:
            raise
        place = shown(warehouse.settings.database)
        why = "this server has no Keeper; without one, --no-replication"
        raise ConfigError(f"{place}: {why}") from error


def _create_text(warehouse: Warehouse, table: str) -> str:
    return _one(
        warehouse,
        "SELECT create_table_query FROM system.tables"
        f" WHERE database = currentDatabase() AND name = '{table}'",
    )


def replicated_sql(sql: str, path: str, replica: str) -> str:
    """Write the statement that makes a table so that it makes a replicated one.

    Blocks are not compared with earlier ones: rows are told apart by their key.
    """

    def engine(found: re.Match[str]) -> str:
        version = f", {found[1]}" if found[1] else ""
        return f"ENGINE = ReplicatedReplacingMergeTree('{path}', '{replica}'{version})"

    made = _PLAIN.sub(engine, sql)
    return re.sub(r"\bSETTINGS ", "SETTINGS replicated_deduplication_window = 0, ", made)


def _share_tables(shared: Warehouse, own: Warehouse, shards: Shards, replicated: bool) -> list[str]:
    """Make the tables through which the shards' rows are read and written, and the ledger."""
    known = {statement.name: statement for statement in schema()}
    if not _engine(shared, "migrations"):
        shared.command(known[MIGRATIONS].sql)
    tables = [_distributed(own, shards, name, KEYS[name]) for name in STORED]
    if replicated:
        path = f"/clickhouse/tables/all/{shards.database.removesuffix(SUFFIX)}/batches"
        tables.append(replicated_sql(known[LEDGER].sql, path, "{shard}-{replica}"))
    else:
        tables.append(_distributed(own, shards, "batches", FIRST_SHARD))
    wanted = [
        Statement(FIRST_SHARED + number, f"shared {name}", sql)
        for number, (name, sql) in enumerate(zip([*STORED, "batches"], tables, strict=True), 1)
    ]
    current = current_of(shared, FIRST_SHARED)
    missing = [each for each in wanted if current.get(each.name) != each.checksum]
    _run(shared, [statement.sql for statement in missing])
    return remember(shared, missing)


def _shared_views(own: Warehouse, shards: Shards, settings: Settings) -> list[Statement]:
    return [
        replace(view, sql=_distributed(own, shards, view.name[5:]))
        if view.name[5:] in OF_SHARDS
        else view
        for view in views(settings)
    ]


def _distributed(own: Warehouse, shards: Shards, table: str, key: str = "") -> str:
    """Write the statement for a table over that of all shards; `key` tells where a row goes."""
    columns = own.rows(
        "SELECT name, type, default_kind, default_expression FROM system.columns"
        " WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
        {"table": table},
    )
    described = [
        f"`{name}` {kind}" + (f" {default} {expression}" if default else "")
        for name, kind, default, expression in columns
    ]
    sharding = f", {key}" if key else ""
    return (
        f"CREATE OR REPLACE TABLE {table} ({', '.join(described)})"
        f" ENGINE = Distributed('{shards.cluster}', '{shards.database}', '{table}'{sharding})"
    )


def _engine(warehouse: Warehouse, table: str) -> str:
    found = warehouse.rows(
        "SELECT engine FROM system.tables"
        " WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    return str(found[0][0]) if found else ""


def _one(warehouse: Warehouse, sql: str) -> str:
    return str(warehouse.rows(sql)[0][0])
