"""Scopes that rollups have rows of their own for: those of roles, and those last asked within."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clickhouse import askers
from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError
from clickhouse.roles import AccessSettings
from clickhouse.seen import of_scope

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scopes:
    """Scopes that rows are made for, by number: conditions, whose values are bound, and users.

    Those of one user alone have no condition each: they are many, and each one would be analysed,
    and asked of each row.
    """

    conditions: Mapping[int, str]
    parameters: Mapping[str, Any]
    users: Mapping[int, str]

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of all of them."""
        return frozenset({*self.conditions, *self.users})

    def only(self, numbers: Collection[int]) -> Scopes:
        """Leave the others out."""
        conditions = {each: sql for each, sql in self.conditions.items() if each in numbers}
        users = {each: name for each, name in self.users.items() if each in numbers}
        return replace(self, conditions=conditions, users=users)

    @property
    def numbers_sql(self) -> str:
        """Write an array with the number of each that sees a row, and zeros."""
        found = [f"if({sql}, {number}, 0)" for number, sql in self.conditions.items()]
        if self.users:
            names, numbers = "{scope_users:Array(String)}", "{scope_numbers:Array(UInt64)}"
            found.append(f"transform(toString(owner), {names}, {numbers}, toUInt64(0))")
        return f"[{', '.join(found)}]"

    @property
    def found_sql(self) -> str:
        """Write what the rows of single users are found by; others are looked for in all rows."""
        return "1" if self.conditions else "owner IN {scope_users:Array(String)}"

    @property
    def bound(self) -> dict[str, Any]:
        """Give the values of what these write."""
        its = {"scope_users": [*self.users.values()], "scope_numbers": [*self.users]}
        return {**self.parameters, **its}


def wanted(warehouse: Warehouse) -> Scopes:
    """Give what people see who have a role by the settings, as these are now, or who have asked."""
    access = _access(warehouse)
    conditions: dict[int, str] = {}
    parameters: dict[str, Any] = {}
    users: dict[int, str] = {}
    for scope in (*access.scopes(), *askers.scopes(warehouse)) if access else ():
        seen = of_scope(warehouse, scope, {} if scope.is_of_one else parameters)
        if scope.is_of_one:
            users[seen.number] = scope.users[0]
        elif seen.number:
            [conditions[seen.number]] = seen.conditions
    return Scopes(conditions, parameters, users)


def _access(warehouse: Warehouse) -> AccessSettings | None:
    settings = warehouse.settings
    try:
        return settings.reread().access if settings.file else settings.access
    except ConfigError as error:
        log.error("%s; the roles stay as they were", error)
        return settings.access
