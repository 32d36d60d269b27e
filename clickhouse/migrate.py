"""Brings a database up to date: stored tables, the parser, then the views.

A file of `schema/` holds one statement that can be repeated (IF NOT EXISTS) and is never edited
once released; the table `migrations` remembers which have run. What stores nothing may be edited:
the tables and views of `parser/`, through which a line gets into the stored ones, are replaced
together when the text of one has changed; each of `views/` when its text, or a setting it was made
from, has.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from clickhouse.connection import Warehouse, shown
from clickhouse.cubes import definition
from clickhouse.errors import WarehouseError
from clickhouse.settings import Settings
from clickhouse.shards import SUFFIX
from clickhouse.site import literal, pieces

log = logging.getLogger(__name__)

NOT_IMPLEMENTED = 48
FIRST_OF_PARSER = 500  # its statements are numbered from here in `migrations`
LINES = "0004_lines"  # the view of which rollups are made
FIRST_VIEW = 1000  # and views from here
LAST_VIEW = 499  # after which: the texts of all views, before the settings are written into them
ATTEMPTS = 5  # to replace the parser, while another process may be at it
# What is no more, of the parser when it stood in `schema/` under other numbers.
FORMER_PIECES = ("pass_sound", "pass_examined", "readable_lines")

# The SQL interface; the embedded engine shows it in its `default` too, where a plain client looks.
INTERFACE = (
    "records", "jobs", "rejects", "ledger", "sources", "submitted_jobs", "attempts", "campaigns",
    "requests", "failed_codes", "exit_codes", "metagroups",
)  # fmt: skip

# The embedded engine does not replace a view in one step: two threads would meet in between.
ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Statement:
    """One file: its number among its kind, its name and its SQL."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the SQL in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


GONE = Statement(0, "", "").checksum  # of a piece that is not there, or no longer


def schema() -> list[Statement]:
    """List the statements of `schema/` in order."""
    return _statements("schema")


@cache
def parser() -> list[Statement]:
    """List the statements of `parser/` in order."""
    filled = {"record": files("clickhouse").joinpath("parser/record.sql").read_text().rstrip()}
    return [Statement(s.number, s.name, _fill(s.sql, filled)) for s in _statements("parser")]


def views(settings: Settings, everywhere: str = "") -> list[Statement]:
    """List the views in order, with what the settings say of the clusters written into them.

    `everywhere` is the shared database where they are made for one shard of a cluster.
    """
    texts = _statements("views")
    # a view keeps the columns of what is below it: a longer schema or another view makes it anew
    below = hashlib.sha256("".join(view.sql for view in texts).encode()).hexdigest()
    ending = f"-- over schema {schema()[-1].number} and views {below}\n"
    filled = pieces(settings) | {"everywhere": f"{everywhere}." if everywhere else ""}
    [lines] = (view.sql for view in texts if view.name == LINES)
    made_of = [lines]
    made_of += [filled[name] for name in ("day", "node_spread", "multi_node_lines")]
    made_of += [definition()]
    filled["lines_view"] = literal(_fill(lines, filled))
    filled["rollups"] = hashlib.sha256("\n".join(made_of).encode()).hexdigest()
    return [Statement(each.number, each.name, _fill(each.sql, filled) + ending) for each in texts]


def migrate(warehouse: Warehouse) -> list[str]:
    """Apply what is missing and name it; a second run, or a second process, changes nothing.

    On a cluster, on every server that answers; the others are left to the next run.
    """
    if warehouse.shards:
        from clickhouse.clustered import migrate_again

        return migrate_again(warehouse)
    _refuse_half_made(warehouse)
    with ONE_AT_A_TIME:
        done = apply(warehouse)
        with ThreadPoolExecutor(1) as beside:  # neither knows of the other, and each takes 0.1 s
            viewed = beside.submit(_replace_for, warehouse, warehouse.settings)
            try:
                done += replace_parser(warehouse)
            except WarehouseError:
                if other := viewed.exception():
                    log.warning("the views could not be made either: %s", other)
                raise
        return done + viewed.result()


def _refuse_half_made(warehouse: Warehouse) -> None:
    """Make no single server's tables where those of a cluster were begun."""
    begun = "SELECT name FROM system.databases WHERE name = concat(currentDatabase(), {end:String})"
    if not warehouse.embedded and warehouse.rows(begun, {"end": SUFFIX}):
        place = shown(warehouse.settings.database)
        raise WarehouseError(f"{place}: on a cluster; finish `pychart migrate --cluster` first")


def open_current(settings: Settings) -> Warehouse:
    """Open a database whose views say what the settings say now.

    An embedded one is brought up to date where the settings come from a file: nobody else has it
    open who could do so, while a server's is the daemon's to change. Without a file there is
    nothing to go by, and the views stay.
    """
    warehouse = Warehouse(settings)
    if warehouse.embedded and settings.file:
        try:
            migrate(warehouse)
        except WarehouseError:
            warehouse.close()
            raise
    return warehouse


def refresh_views(warehouse: Warehouse, settings: Settings) -> list[str]:
    """Replace the views that these settings make another; names them."""
    with ONE_AT_A_TIME:
        return _replace_for(warehouse, settings)


def _replace_for(warehouse: Warehouse, settings: Settings) -> list[str]:
    return replace_views(warehouse, settings, views(settings))


def apply(warehouse: Warehouse, create: Callable[[], None] | None = None) -> list[str]:
    """Run the statements of `schema/` that have not run; where none has, `create` does it all."""
    applied = _applied(warehouse)
    known = schema()
    if create is not None and not applied:
        create()
        return remember(warehouse, known)
    newest = max(applied, default=0)
    if newest > known[-1].number:
        raise WarehouseError(
            f"the database is at schema {newest}, newer than this pychart ({known[-1].number}):"
            " upgrade"
        )
    for statement in known:
        if statement.number in applied:
            _same(statement, applied[statement.number])
    missing = [statement for statement in known if statement.number not in applied]
    for statement in missing:
        warehouse.command(statement.sql)
    return remember(warehouse, missing)


def _same(statement: Statement, checksum: str) -> None:
    if statement.checksum != checksum:
        raise WarehouseError(f"schema/{statement.name}.sql was edited after it had been applied")


def _applied(warehouse: Warehouse) -> dict[int, str]:
    if not warehouse.rows("EXISTS TABLE migrations")[0][0]:
        return {}
    found = warehouse.rows(
        f"SELECT version, checksum FROM migrations FINAL WHERE version < {FIRST_OF_PARSER}"
    )
    return {int(version): _text(checksum) for version, checksum in found}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def current_of(warehouse: Warehouse, first: int) -> dict[str, str]:
    """Give the checksums of what is in place, of the statements numbered from `first`."""
    found = warehouse.rows(
        "SELECT name, checksum FROM migrations FINAL"
        " WHERE version > {first:UInt16} AND version < {first:UInt16} + 500",
        {"first": first},
    )
    return {_text(name): _text(checksum) for name, checksum in found}


def replace_parser(warehouse: Warehouse) -> list[str]:
    """Replace the way from `landing` to the stored tables as a whole: its pieces fit each other."""
    for attempt in range(ATTEMPTS):
        found = current_of(warehouse, FIRST_OF_PARSER)
        current = {name: checksum for name, checksum in found.items() if checksum != GONE}
        if current == {each.name: each.checksum for each in parser()}:
            return []
        try:
            return _build_parser(warehouse, found)
        except WarehouseError:  # of another process that is at it, for instance
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.1, 0.4) * 2**attempt)  # noqa: S311 - not a secret
    raise AssertionError("not reached")


def _build_parser(warehouse: Warehouse, found: Iterable[str]) -> list[str]:
    """Make it of nothing; `found` are the pieces that there may be, of an earlier version too."""
    names = [each.name for each in parser()]
    # Whoever is killed from here on makes it again, in the version before this one too.
    remember(warehouse, [Statement(FIRST_OF_PARSER + int(name[:4]), name, "") for name in found])
    numbered = sorted({*found, *names}, reverse=True)
    for piece in dict.fromkeys([*(name[5:] for name in numbered), *FORMER_PIECES]):
        warehouse.command(f"DROP TABLE IF EXISTS {piece} SYNC")
    for statement in parser():
        warehouse.command(statement.sql)
    remember(warehouse, [Statement(FIRST_OF_PARSER + s.number, s.name, s.sql) for s in parser()])
    return names


def replace_views(
    warehouse: Warehouse, settings: Settings, statements: Sequence[Statement]
) -> list[str]:
    """Replace the views whose text, made of these settings, is another; names them."""
    current = current_of(warehouse, FIRST_VIEW)
    texts = Statement(LAST_VIEW, "views", "".join(view.sql for view in _statements("views")))
    if current.get(texts.name) == texts.checksum and not settings.describes_site:
        return []  # whoever has the settings has made the views: they are not for this one to empty
    changed = [v for v in [*statements, texts] if current.get(v.name) != v.checksum]
    done = [view for view in changed if view is not texts]
    for view in done:
        warehouse.command(view.sql)
    remember(warehouse, [Statement(FIRST_VIEW + v.number, v.name, v.sql) for v in changed])
    if done and warehouse.embedded:
        _show_in_default(warehouse)
    return [view.name for view in done]


def _show_in_default(warehouse: Warehouse) -> None:
    for name in INTERFACE:
        try:
            warehouse.command(f"CREATE OR REPLACE VIEW default.{name} AS SELECT * FROM {name}")
        except WarehouseError as error:
            # A file of that name in the current folder hides it: `pychart` is not concerned.
            if error.code != NOT_IMPLEMENTED:
                raise


def remember(warehouse: Warehouse, done: list[Statement]) -> list[str]:
    """Note what was applied, all at once: after a crash before this, it is only repeated."""
    if done:
        rows = [[statement.number, statement.name, statement.checksum] for statement in done]
        warehouse.insert_rows("migrations", ["version", "name", "checksum"], rows)
    return [statement.name for statement in done]


@cache
def _statements(folder: str) -> list[Statement]:
    """Read once: new files beneath a running process must not meet its old code."""
    entries = files("clickhouse").joinpath(folder).iterdir()
    numbered = (entry for entry in entries if re.fullmatch(r"\d{4}_\w+\.sql", entry.name))
    found = sorted(numbered, key=lambda entry: entry.name)
    return [
        Statement(int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text())
        for entry in found
    ]


def _fill(sql: str, filled: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: filled[match.group(1)], sql)
