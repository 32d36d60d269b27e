"""Names that a filter chooses within a scope, and whether all that they have may be seen.

Then the filter is all that a question has to ask, and all that a row policy has to compare.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clickhouse.connection import Warehouse
from clickhouse.coverage import Coverage, coverage_of
from clickhouse.dimensions import DIMENSIONS
from clickhouse.filtering import bind_values
from clickhouse.need import Need
from clickhouse.paths import LINES, Path, smallest
from clickhouse.rowset import EAGER
from clickhouse.seen import EVERYTHING, Chosen, of_scope

MOST = 100  # names that are told a row policy instead of a scope's


def choose(warehouse: Warehouse, need: Need) -> Path:
    """Take the smallest rollups that have what is needed, and lines where they are behind.

    Lines may be new ones, of which nothing is known yet; so may rows of the scope alone be few.
    """
    coverage = coverage_of(warehouse)
    path, chosen = smallest(warehouse, coverage, need), need.seen.chosen
    if chosen is None or path.alone or LINES in path.tables:
        return path
    if not _shows_all(warehouse, coverage, need, chosen):
        return path
    found = smallest(warehouse, coverage, replace(need, seen=EVERYTHING))
    return path if LINES in found.tables else replace(found, chosen=chosen.scope)


def _shows_all(warehouse: Warehouse, coverage: Coverage, need: Need, chosen: Chosen) -> bool:
    """Tell whether a scope shows all rows of the chosen names that rollups have of the period.

    The rows of a build never change, so it holds for as long as what they cover.
    """
    if not need.seen.number or "" in chosen.names or len(chosen.names) > MOST:
        return False

    def find() -> bool:
        parameters: dict[str, Any] = {}
        seen = of_scope(warehouse, chosen.within, parameters)
        if seen.number != need.seen.number:  # members of its metagroups have changed meanwhile
            return False
        [may_be_seen] = seen.conditions
        names = bind_values(chosen.names, chosen.kind, parameters)
        hidden = (f"{DIMENSIONS[chosen.kind].sql} IN {names}", f"NOT ({may_be_seen})")
        path = smallest(warehouse, coverage, Need(("line_count",), hidden, need.start, need.end))
        if LINES in path.tables:
            return False
        sql = f"SELECT sum(line_count) FROM {path.rows}{EAGER}"
        [(lines,)] = warehouse.rows(sql, parameters | path.parameters)
        return not lines

    asked = (need.seen.number, chosen.kind, chosen.names, need.start, need.end)
    return coverage.remembered(asked, find)
