"""Whose rows the engine itself lets through: for statements of people, and on a server for all.

A statement of the page SQL runs with a condition on every table, through whatever view it reads
(`additional_table_filters`). A server has row policies besides: each query says in its setting
`log_comment` for whom it is, and without that a policy shows nothing. That setting needs no
configuration, a profile can fix it for a person, and `system.query_log` keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from clickhouse.clustered import on_every_server
from clickhouse.connection import EMBEDDED_DATABASE, Warehouse
from clickhouse.coverage import look
from clickhouse.errors import WarehouseError, WarehouseUnreachable
from clickhouse.filtering import MENDED
from clickhouse.measures import NEAR, TABLES
from clickhouse.rowset import LITERAL, words
from clickhouse.scope import EVERYTHING, NUMBER, Scope, key_of, refuse_public
from clickhouse.shards import SUFFIX

POLICY = "pychart_scope"
NAMED = {"user": "owner", "group": "`group`", "project": "project"}
# What has no owner is of nobody: lines that could not be read, and what was loaded.
NOBODYS = ("rejected_lines", "batches", NEAR.name)
# Pages need it to find what the rollups hold; it names no one.
PUBLIC = ("rollup_months",)
# A condition that came first would be asked of rows that are not to be seen, and tell by an error.
FILTER_FIRST = {"optimize_move_to_prewhere": 0, "optimize_move_to_prewhere_if_final": 0}
_COMMENT = "getSetting('log_comment')"
_EVERYTHING = f"{_COMMENT} = '{EVERYTHING}'"
_CAN_BE_MENDED = f"multiSearchAnyCaseInsensitive({_COMMENT}, ['{MENDED}', '\\\\ufffd'])"
_UNKNOWN = "toUInt64(-1)"  # no metagroup has this number, and 0 is that of lines in none


def filters(warehouse: Warehouse, scope: Scope) -> dict[str, Any]:
    """Give the settings under which a statement sees no row beyond the scope, in whatever table."""
    refuse_public(scope, "SQL")
    hidden = (*NOBODYS, *PUBLIC, "migrations", *(cube.name for cube in TABLES))
    conditions = dict.fromkeys(hidden, "0")
    conditions["accounting"] = _condition(warehouse, scope)
    conditions["metagroups"] = _membership(scope)
    written = ", ".join(
        f"{_literal(f'{database}.{name}')}: {_literal(sql)}"
        for database in _databases(warehouse)
        for name, sql in conditions.items()
    )
    found = {"additional_table_filters": f"{{{written}}}"} | FILTER_FIRST
    _try(warehouse, found)
    return found


def _try(warehouse: Warehouse, settings: Mapping[str, Any]) -> None:
    """Refuse to go on where the conditions have no effect: the engine skips unknown tables."""
    [(seen,)] = warehouse.rows("SELECT count() FROM batches", settings=settings)
    if seen:
        raise WarehouseError("the database takes no conditions on its tables; nothing is asked")


def _databases(warehouse: Warehouse) -> tuple[str, ...]:
    if warehouse.embedded:
        return (EMBEDDED_DATABASE,)
    name = urlsplit(warehouse.settings.database).path.strip("/") or EMBEDDED_DATABASE
    return (name, name + SUFFIX)


def _condition(warehouse: Warehouse, scope: Scope) -> str:
    """Write what a line must meet, as literals: a setting takes no parameters."""
    derived = dict(look(warehouse).derived)
    found = []
    for kind, names in scope.by_dimension().items():
        if kind in NAMED:
            found.append(f"toValidUTF8({NAMED[kind]}) IN {_array(names)}")
        elif "metagroup_ids" in derived:
            numbers = [number for name, number in _numbers(warehouse).items() if name in names]
            found.append(f"hasAny({derived['metagroup_ids']}, CAST({numbers}, 'Array(UInt64)'))")
    return f"({' OR '.join(found) or '0'})"


def _numbers(warehouse: Warehouse) -> dict[str, int]:
    """Give the number of each metagroup."""
    found = warehouse.rows("SELECT metagroup, number FROM metagroup_numbers WHERE number > 0")
    return {str(name): int(number) for name, number in found}


def _membership(scope: Scope) -> str:
    """Write which members of metagroups may be named."""
    named = scope.by_dimension()
    found = [f"metagroup IN {_array(named.get('metagroup', ()))}"]
    for kind in ("user", "group"):
        found.append(f"kind = '{kind}' AND member IN {_array(named.get(kind, ()))}")
    return " OR ".join(f"({each})" for each in found)


def apply(warehouse: Warehouse) -> list[str]:
    """Make the row policies of a server, or make them anew; names the tables.

    They bind every user but the one who makes them, who loads and must see all.
    """
    if warehouse.embedded:
        return []
    found = conditions(warehouse)
    statements = [
        f"CREATE ROW POLICY OR REPLACE {POLICY} ON `{database}`.`{table}`"
        f" USING {condition} TO ALL EXCEPT CURRENT_USER"
        for table, condition in found.items()
        for database in _databases(warehouse)
    ]
    _refuse_lack(on_every_server(warehouse, statements))
    return [*found]


def _refuse_lack(down: Iterable[str]) -> None:
    """Let nobody think that all servers have the policies where one has not."""
    if lacking := ", ".join(down):
        raise WarehouseUnreachable(f"no answer from {lacking}: its row policies are as they were")


def conditions(warehouse: Warehouse) -> dict[str, str]:
    """Write for each table the condition of its policy, by what a query says it is for.

    What it says is constant: the engine leaves out the kinds that are not named, and with them the
    columns. Analysing a condition takes ms of each question, so it is short. A question within a
    scope has found its rows by an index, which `identity` does not ask once more.
    """
    derived, numbers = dict(look(warehouse).derived), _numbers(warehouse)
    found = {"accounting": [*_seen(derived, numbers, {"time"})]}
    for cube in TABLES:
        own = f"scope > 0 AND scope = JSONExtract({_COMMENT}, '{NUMBER}', 'UInt64')"
        of_people = _seen(derived, numbers, set()) if cube.names_people else ()
        found[cube.name] = [*[own] * cube.scoped, *of_people]
    return {
        table: f"{_EVERYTHING} OR identity({' OR '.join(seen) or '0'})"
        for table, seen in (found | dict.fromkeys(NOBODYS, [])).items()
    }


def _seen(derived: Mapping[str, str], numbers: Mapping[str, int], has: set[str]) -> Iterator[str]:
    for kind, column in NAMED.items():
        yield f"notEmpty({_said(kind)}) AND {column} IN {_said(kind)}"
    mended = (f"toValidUTF8({column}) IN {_said(kind)}" for kind, column in NAMED.items())
    yield f"{_CAN_BE_MENDED} AND ({' OR '.join(mended)})"
    if not numbers or "metagroup_ids" not in derived:
        return
    ids = derived["metagroup_ids"]
    if "time" in words([ids]) - has:
        ids = _replaced(ids, "time", f"({derived['time']})")
    said = _said("metagroup")
    known = f"{_array(numbers)}, CAST({[*numbers.values()]}, 'Array(UInt64)'), {_UNKNOWN}"
    yield f"notEmpty({said}) AND hasAny({ids}, arrayMap(name -> transform(name, {known}), {said}))"


def _said(kind: str) -> str:
    return f"JSONExtract({_COMMENT}, '{key_of(kind)}', 'Array(String)')"


def _replaced(sql: str, word: str, by: str) -> str:
    """Put SQL in the place of a column's name, but not in texts."""
    parts = re.split(f"({LITERAL.pattern})", sql)
    return "".join(
        part if number % 2 else re.sub(rf"\b{word}\b", lambda _: by, part)
        for number, part in enumerate(parts)
    )


def _array(names: Iterable[str]) -> str:
    return f"CAST([{', '.join(map(_literal, names))}], 'Array(String)')"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
