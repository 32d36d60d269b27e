"""Scopes that people ask within though no settings name them: rollups get rows for these too.

Who has a role by a group in the token is known only once they come. The embedded engine is asked by
this process alone, which remembers them. A server is told with each query for whom it is, and its
`system.query_log` keeps that.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

from clickhouse.connection import Warehouse
from clickhouse.errors import QuestionError, WarehouseMisconfigured
from clickhouse.scope import KINDS, NUMBER, Scope, key_of
from clickhouse.shards import SUFFIX

MOST = 30  # of those last asked within: each takes rows in every month

log = logging.getLogger(__name__)

_remembered: dict[str, dict[Scope, None]] = {}  # by database, those last asked within at the end
_lock = threading.Lock()


def remember(warehouse: Warehouse, scope: Scope) -> None:
    """Note that somebody asks the embedded engine; what one user did is found fast as it is."""
    if scope.public or scope.is_of_one:
        return
    with _lock:
        found = _remembered.setdefault(warehouse.settings.database, {})
        found.pop(scope, None)
        found[scope] = None
        while len(found) > MOST:
            del found[next(iter(found))]


def scopes(warehouse: Warehouse) -> list[Scope]:
    """List them, the last one first: since the process began, or since yesterday on a server."""
    if warehouse.embedded:
        with _lock:
            return [*reversed(_remembered.get(warehouse.settings.database, {}))]
    users = f"JSONLength(log_comment, '{key_of('user')}')"
    own = f"[currentDatabase(), currentDatabase() || '{SUFFIX}']"
    try:
        found = warehouse.rows(
            "SELECT log_comment FROM system.query_log WHERE event_date >= yesterday()"
            f" AND type = 'QueryFinish' AND hasAny(databases, {own})"
            f" AND JSONHas(log_comment, '{NUMBER}')"
            f" GROUP BY log_comment HAVING {users} != 1 OR JSONLength(log_comment) > 3"
            f" ORDER BY max(event_time_microseconds) DESC LIMIT {MOST}"
        )
    except WarehouseMisconfigured as error:  # a server that keeps no log, or shows it to others
        log.debug("who asks is not known: %s", error)
        return []
    named = (_scope(said) for (said,) in found)
    return [each for each in named if each is not None and not each.is_of_one]


def _scope(said: str) -> Scope | None:
    """Give the scope that a query named; None for what anybody else may have written there."""
    try:
        named = json.loads(said)
        return Scope(**{f"{kind}s": _names(named.get(key_of(kind), [])) for kind in KINDS})
    except (ValueError, TypeError, AttributeError, RecursionError, QuestionError):
        return None


def _names(said: Any) -> Any:  # noqa: ANN401 - whatever JSON has; a Scope refuses what is no names
    return tuple(said) if isinstance(said, list) else said
