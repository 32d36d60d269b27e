"""What a scope shows, as SQL, and the number under which rollups keep it added up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any

from clickhouse import askers
from clickhouse.connection import Warehouse
from clickhouse.days import told_by
from clickhouse.dimensions import DIMENSIONS
from clickhouse.filtering import bind, bind_values, has_sql
from clickhouse.members import Members, Span, members_of
from clickhouse.question import Filter
from clickhouse.scope import Scope, settings_of


@dataclass(frozen=True)
class Chosen:
    """Names of a kind that a filter chooses within a scope."""

    kind: str
    names: tuple[str, ...]
    within: Scope

    @property
    def scope(self) -> Scope:
        """What shows all that these names have, and nothing else."""
        named: dict[str, Any] = {f"{self.kind}s": self.names}
        return Scope(**named)


@dataclass(frozen=True)
class Seen:
    """What rows must meet to be seen.

    `number` tells what is seen from what others see, by the names and days in it: two scopes with
    one number see the same rows. It is 0 for everything, and for what no month can tell.
    """

    conditions: tuple[str, ...] = ()
    number: int = 0
    chosen: Chosen | None = None


EVERYTHING = Seen()
CHOSEN = ("user", "group", "project")  # kinds of names that may all be seen, in this order


def of_scope(
    warehouse: Warehouse,
    scope: Scope | None,
    parameters: dict[str, Any],
    *,
    filters: Iterable[Filter] = (),
    spread: bool = False,
) -> Seen:
    """Write what rows must meet to be seen: any name of the scope, as a filter would have it.

    With `spread` the rows are days of lines. Where one of the filters names users, an index finds
    their rows, and is not asked for the scope's too: that would take longer than reading them.
    """
    if scope is None or scope.public:
        return EVERYTHING
    named, apart = _with_members(warehouse, scope)
    seen = [
        f"{DIMENSIONS[kind].sql} IN {bind_values(names, kind, parameters)}"
        for kind, names in named.by_dimension().items()
        if kind != "metagroup"
    ]
    if spread and any(span.is_dated for span in apart):
        # a day is here one on which it ran, and the day of the end decides
        values = bind_values(named.metagroups, "metagroup", parameters)
        seen.append(has_sql(Filter("metagroup", named.metagroups), values))
    else:
        seen += [_of_members(span, names, parameters) for span, names in apart.items()]
    chosen = _chosen(scope, filters)
    is_found = chosen is not None and chosen.kind == "user"
    condition = f"{'identity' * is_found}({' OR '.join(seen)})" if seen else "0"
    return Seen((condition,), _number(named, apart), chosen)


def _chosen(scope: Scope, filters: Iterable[Filter]) -> Chosen | None:
    """Give the names that a filter chooses: users, which an index finds, rather than others."""
    kept = {each.dimension: each.values for each in filters if not each.exclude}
    kind = next((kind for kind in CHOSEN if kept.get(kind)), "")
    return Chosen(kind, kept[kind], scope) if kind else None


def _number(named: Scope, apart: Members) -> int:
    """Tell a scope from others, by what its conditions are made of."""
    if any(day.day != 1 for span in apart for _, day in span.limits):
        return 0
    names = {
        kind: sorted({*each}) for kind, each in named.by_dimension().items() if kind != "metagroup"
    }
    said = [names, [[*map(str, astuple(span)), *members] for span, members in apart.items()]]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:7]) or 1  # JSON and SQL agree on numbers as long as this


def _with_members(warehouse: Warehouse, scope: Scope) -> tuple[Scope, Members]:
    """Put the members of metagroups in their place, whatever rows there are then tell them.

    Gives those apart who are so for a time, or on some clusters.
    """
    names = scope.by_dimension().get("metagroup", ())
    members = members_of(warehouse, names) if names else {}
    users, groups = (members.get(Span(kind, ""), []) for kind in ("user", "group"))
    apart = {span: its for span, its in members.items() if span.is_apart}
    return replace(
        scope,
        users=(*scope.users, *users),
        groups=(*scope.groups, *groups),
        metagroups=names if apart else (),
    ), apart


def for_whom(
    warehouse: Warehouse, scope: Scope | None, alone: int = 0, chosen: Scope | None = None
) -> dict[str, str]:
    """Say to a server's row policies for whom a query is, of metagroups by their members.

    Only those who are so for a time, or on some clusters, are left to the policy to tell. `alone`
    is the number of the rows that rollups have for the scope, where it reads nothing else, and
    `chosen` a part of the scope, where all its rows are of that. The embedded engine has no
    policies: there it is noted that somebody asks.
    """
    if scope is None:
        return {}
    if warehouse.embedded:
        askers.remember(warehouse, scope)
        return {}
    if chosen is not None:
        return settings_of(chosen)
    named, apart = _with_members(warehouse, scope)
    number = _number(named, apart)
    return settings_of(named, number, alone=number == alone > 0)


def _of_members(span: Span, names: list[str], parameters: dict[str, Any]) -> str:
    """Write the condition of members that are so on the same clusters and days."""
    conditions = [f"{span.column} IN {bind(names, 'Array(String)', parameters)}"]
    if span.cluster:
        conditions.append(f"cluster = {bind(span.cluster, 'String', parameters)}")
    for sign, day in span.limits:
        conditions.append(f"{told_by(day)} {sign} {bind(day, 'Date', parameters)}")
    return f"({' AND '.join(conditions)})"
