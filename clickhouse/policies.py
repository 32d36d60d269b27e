"""Whose rows the engine itself lets through: for statements of people, and on a server for all.

A statement of the page SQL runs with a condition on every table, through whatever view it reads
(`additional_table_filters`). A server has row policies besides: each query says in its setting
`log_comment` for whom it is, and without that a policy shows nothing. That setting needs no
configuration, a profile can fix it for a person, and `system.query_log` keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from clickhouse.clustered import on_every_server
from clickhouse.connection import EMBEDDED_DATABASE, Warehouse
from clickhouse.coverage import look
from clickhouse.cubes import NEAR, TABLES
from clickhouse.errors import WarehouseError, WarehouseUnreachable
from clickhouse.members import Span, all_members, members_of
from clickhouse.scope import EVERYTHING, KINDS, NUMBER, Scope, key_of, refuse_public
from clickhouse.shards import SUFFIX
from clickhouse.words import LITERAL

POLICY = "pychart_scope"
NAMED = {"user": "owner", "group": "`group`", "project": "project"}
# What has no owner is of nobody: lines that could not be read, and what was loaded.
NOBODYS = ("rejected_lines", "batches", NEAR.name)
# Pages need it to find what the rollups hold; it names no one.
PUBLIC = ("rollup_months",)
# A condition that came first would be asked of rows that are not to be seen, and tell by an error.
FILTER_FIRST = {"optimize_move_to_prewhere": 0, "optimize_move_to_prewhere_if_final": 0}
_COMMENT = "pychart_said"
_EVERYTHING = f"(getSetting('log_comment') AS {_COMMENT}) = '{EVERYTHING}'"
_MENDED = "\ufffd"  # what stands in `lines`, and what is made of it, for bytes that are no UTF-8
_CAN_BE_MENDED = f"multiSearchAnyCaseInsensitive({_COMMENT}, ['{_MENDED}', '\\\\ufffd'])"
_NONE = "'\\0'"  # no metagroup has this name
Members = Mapping[Span, Iterable[tuple[str, str]]]
Compared = Callable[[str, date], str]  # SQL: whether a row is of days before, or from one on


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
    named = scope.by_dimension()
    found = [
        f"toValidUTF8({NAMED[kind]}) IN {_array(names)}"
        for kind, names in named.items()
        if kind in NAMED
    ]
    if metagroups := named.get("metagroup"):
        time_is = _time_is(look(warehouse).midnight())
        for span, names in members_of(warehouse, metagroups).items():
            are = f"toValidUTF8({span.column}) IN {_array(names)}"
            found.append(_while_so(span, are, time_is))
    return f"({' OR '.join(found) or '0'})"


def _while_so(span: Span, are: str, is_on: Compared) -> str:
    """Write that a row is of one of these members on their clusters and days."""
    found = [are]
    if span.cluster:
        found.append(f"cluster = {_literal(span.cluster)}")
    found += [is_on(sign, day) for sign, day in span.limits]
    return f"({' AND '.join(found)})"


def _time_is(midnight: str) -> Compared:
    """Compare a line's time with when a day begins in its cluster's time zone."""
    return lambda sign, day: f"toUInt32(time) {sign} {_replaced(midnight, 'day', _date(day))}"


def _day_is(sign: str, day: date) -> str:
    return f"day {sign} {_date(day)}"


def _month_is(sign: str, day: date) -> str:
    """Compare all days of a month, which a row stands for: none may be beyond the limit."""
    return f"toStartOfMonth(day) {sign} {_date(day.replace(day=1) if sign == '<' else day)}"


def _year_is(sign: str, day: date) -> str:
    """Compare all days of a year."""
    return f"toStartOfYear(day) {sign} {_date(day.replace(month=1, day=1) if sign == '<' else day)}"


def _date(day: date) -> str:
    return f"toDate('{day}')"


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
    columns. Analysing a condition takes each question 0.1 ms per function and more per lambda, so
    there are few, and none twice: they have aliases. A question within a scope has found its rows
    by an index, which `identity` does not ask once more.
    """
    members = all_members(warehouse)
    found = {"accounting": [*_seen(members, _time_is(look(warehouse).midnight())), _mended()]}
    for cube in TABLES:
        number = f"JSONExtract({_COMMENT}, '{NUMBER}', 'UInt64') AS {NUMBER}"
        own = f"({number}) > 0 AND scope = {NUMBER}"
        is_on = {"day": _day_is, "year": _year_is}.get(cube.grain, _month_is)
        of_people = _seen(members, is_on) if cube.names_people else ()
        found[cube.name] = [*[own] * cube.scoped, *of_people]
    return {
        table: f"{_EVERYTHING} OR identity({' OR '.join(seen) or '0'})"
        for table, seen in (found | dict.fromkeys(NOBODYS, [])).items()
    }


def _seen(members: Members, is_on: Compared) -> Iterator[str]:
    said = {kind: key_of(kind) for kind in KINDS}
    for kind, column in NAMED.items():
        yield f"notEmpty({_said(kind)}) AND {column} IN {said[kind]}"
    are = [
        _while_so(span, f"{each} IN {said['metagroup']}", is_on)
        for span, pairs in members.items()
        for each in _metagroups_of(span.column, pairs)
    ]
    if are:
        yield f"notEmpty({_said('metagroup')}) AND ({' OR '.join(are)})"


def _mended() -> str:
    """Write that a line's names, which are bytes here, are among those that are said."""
    found = (f"toValidUTF8({column}) IN {key_of(kind)}" for kind, column in NAMED.items())
    return f"{_CAN_BE_MENDED} AND ({' OR '.join(found)})"


def _said(kind: str) -> str:
    key = key_of(kind)
    return f"(JSONExtract({_COMMENT}, '{key}', 'Array(String)') AS {key})"


def _metagroups_of(column: str, members: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Write the metagroup that a name has in each of as many columns as one name has of them."""
    found: dict[str, list[str]] = {}
    for name, metagroup in members:
        found.setdefault(name, []).append(metagroup)
    for number in range(max(map(len, found.values()))):
        its = {name: each[number] for name, each in found.items() if each[number:]}
        text = f"toValidUTF8({column})" if any(_MENDED in name for name in its) else column
        yield f"transform({text}, [{_literals(its)}], [{_literals(its.values())}], {_NONE})"


def _replaced(sql: str, word: str, by: str) -> str:
    """Put SQL in the place of a column's name, but not in texts."""
    parts = re.split(f"({LITERAL.pattern})", sql)
    return "".join(
        part if number % 2 else re.sub(rf"\b{word}\b", lambda _: by, part)
        for number, part in enumerate(parts)
    )


def _array(names: Iterable[str]) -> str:
    return f"CAST([{_literals(names)}], 'Array(String)')"


def _literals(texts: Iterable[str]) -> str:
    return ", ".join(map(_literal, texts))


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
