"""Who belongs to which metagroups and when: what decides whose lines are seen, whatever the share.

From the view `metagroups`, which a migration makes of the settings. A membership that goes on where
another one ends, with another share say, is one here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse.connection import Warehouse
from clickhouse.days import Days, united
from clickhouse.settings import FIRST_DAY, NO_END

SECONDS = 1.0  # for which members are kept: a page asks ten questions
MOST_KNOWN = 1000


@dataclass(frozen=True, order=True)
class Span:
    """Where and when some users or groups are members: '' = on all clusters, up to `until`."""

    kind: str
    cluster: str
    since: date = FIRST_DAY
    until: date = NO_END

    @property
    def column(self) -> str:
        """What of a row names them."""
        return "owner" if self.kind == "user" else "`group`"

    @property
    def is_dated(self) -> bool:
        """Tell whether they are so for a time only."""
        return (self.since, self.until) != (FIRST_DAY, NO_END)

    @property
    def is_apart(self) -> bool:
        """Tell whether they are so for a time only, or on some clusters."""
        return self.is_dated or bool(self.cluster)

    @property
    def limits(self) -> list[tuple[str, date]]:
        """What their days are compared with, and how."""
        ends = ((">=", self.since, FIRST_DAY), ("<", self.until, NO_END))
        return [(sign, day) for sign, day, limit in ends if day != limit]


Members = dict[Span, list[str]]

_known: dict[tuple[str, tuple[str, ...]], tuple[float, Members]] = {}


def members_of(warehouse: Warehouse, metagroups: tuple[str, ...]) -> Members:
    """Name the members of any of these, as they were less than a second ago."""
    key, now = (warehouse.settings.database, metagroups), time.monotonic()
    if (found := _known.get(key)) and now - found[0] < SECONDS:
        return found[1]
    sql = (
        "SELECT kind, cluster, since, until, member FROM metagroups"
        " WHERE metagroup IN {names:Array(String)}"
    )
    rows = _joined(warehouse.rows(sql, {"names": [*metagroups]}))
    members = {span: [name for (name,) in each] for span, each in rows.items()}
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[key] = now, members
    return members


def all_members(warehouse: Warehouse) -> dict[Span, list[tuple[str, str]]]:
    """Name all members, each with a metagroup."""
    sql = "SELECT kind, cluster, since, until, member, metagroup FROM metagroups"
    return {
        span: [(name, metagroup) for name, metagroup in each]
        for span, each in _joined(warehouse.rows(sql)).items()
    }


def _joined(rows: Iterable[Sequence[Any]]) -> dict[Span, list[tuple[str, ...]]]:
    """Put those together who are members at the same time, in order."""
    days: dict[tuple[str, ...], list[Days]] = {}
    for kind, cluster, since, until, *who in rows:
        days.setdefault((kind, cluster, *who), []).append((since, until))
    found: dict[Span, list[tuple[str, ...]]] = {}
    for (kind, cluster, *who), its in sorted(days.items()):
        for since, until in united(its):
            found.setdefault(Span(kind, cluster, since, until), []).append((*who,))
    return dict(sorted(found.items()))
