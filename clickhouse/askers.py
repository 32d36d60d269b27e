"""Scopes that people ask within though no settings name them: rollups get rows for these too.

Who sees the own jobs alone, or has a role by a group in the token, is known only once they come.
The embedded engine is asked by this process alone, which remembers them. A server is told with each
query for whom it is, and its `system.query_log` keeps that.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

from clickhouse.connection import Warehouse
from clickhouse.errors import QuestionError, WarehouseMisconfigured
from clickhouse.scope import ALONE, KINDS, NUMBER, Scope, key_of
from clickhouse.shards import SUFFIX

# Of those last asked within: each takes rows in every month, few where it is of one user alone.
MOST = 30
MOST_USERS = 100

log = logging.getLogger(__name__)

# By database, and whether they are of one user alone: those last asked within at the end.
_remembered: dict[tuple[str, bool], dict[Scope, None]] = {}
_lock = threading.Lock()


def remember(warehouse: Warehouse, scope: Scope) -> None:
    """Note that somebody asks the embedded engine."""
    if not scope.by_dimension():
        return
    with _lock:
        found = _remembered.setdefault((warehouse.settings.database, scope.is_of_one), {})
        found.pop(scope, None)
        found[scope] = None
        while len(found) > _most(scope):
            del found[next(iter(found))]


def scopes(warehouse: Warehouse) -> list[Scope]:
    """List them, the last one first: since the process began, or since yesterday on a server."""
    if warehouse.embedded:
        with _lock:
            kinds = (
                _remembered.get((warehouse.settings.database, one), {}) for one in (False, True)
            )
            return [scope for found in kinds for scope in reversed(found)]
    its = (
        f"if(JSONHas(log_comment, '{ALONE}'), JSONExtractRaw(log_comment, '{ALONE}'), log_comment)"
    )
    lengths = ", ".join(f"JSONLength(named, '{key_of(kind)}')" for kind in KINDS)
    own = f"[currentDatabase(), currentDatabase() || '{SUFFIX}']"
    try:
        found = warehouse.rows(
            f"SELECT {its} AS named FROM system.query_log WHERE event_date >= yesterday()"
            f" AND type = 'QueryFinish' AND hasAny(databases, {own})"
            f" AND JSONHas(log_comment, '{NUMBER}') AND arraySum([{lengths}] AS lengths) > 0"
            " GROUP BY named, lengths ORDER BY max(event_time_microseconds) DESC"
            f" LIMIT {2 * max(MOST, MOST_USERS)} BY lengths = [1, 0, 0, 0]"
        )
    except WarehouseMisconfigured as error:  # a server that keeps no log, or shows it to others
        log.debug("who asks is not known: %s", error)
        return []
    # of rows of its own a query says it in other words, so each may be there twice
    named = dict.fromkeys(scope for (said,) in found if (scope := _scope(said)))
    return [
        *[scope for scope in named if not scope.is_of_one][:MOST],
        *[scope for scope in named if scope.is_of_one][:MOST_USERS],
    ]


def _most(scope: Scope) -> int:
    return MOST_USERS if scope.is_of_one else MOST


def _scope(said: str) -> Scope | None:
    """Give the scope that a query named; None for what anybody else may have written there."""
    try:
        named = json.loads(said)
        return Scope(**{f"{kind}s": _names(named.get(key_of(kind), [])) for kind in KINDS})
    except (ValueError, TypeError, AttributeError, RecursionError, QuestionError):
        return None


def _names(said: Any) -> Any:  # noqa: ANN401 - whatever JSON has; a Scope refuses what is no names
    return tuple(said) if isinstance(said, list) else said
