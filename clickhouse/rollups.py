"""Small tables that answer most questions, made from the deduplicated lines and never added to.

A refresh makes the months that are not as the lines are, each under a new build number; the row in
`rollup_months` that names the build is written last. Whatever ends half way, or runs twice at a
time, leaves rows behind that nothing names, and a later refresh drops them. Of a month that still
gets lines the recent days have a build of their own: they are made again within a second.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from clickhouse import builds, due
from clickhouse.attempts import doubting_attempts
from clickhouse.builds import OF_BUILDS
from clickhouse.connection import Warehouse
from clickhouse.coverage import Coverage, look
from clickhouse.cubes import NEAR, STORED, build_of
from clickhouse.days import Days, next_month
from clickhouse.errors import WarehouseError
from clickhouse.hosts import on_each, opened
from clickhouse.scopes import Scopes, wanted
from clickhouse.shards import Shards
from clickhouse.spans import Known, Span
from clickhouse.unnamed import KEPT_SECONDS, drop_unnamed

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0  # between two refreshes of the daemon while lines keep coming, at least
MOST_SECONDS = 60.0  # and at most, though the last one made all months
AGAIN_SECONDS = 600.0  # between two while none come: somebody may have asked

_COLUMNS = "month, recent, split, build, made_by, parts, made_scopes"  # of `rollup_months`
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Refresh:
    """What a refresh did: months made anew, and the seconds it took."""

    months: int
    seconds: float


def refresh(warehouse: Warehouse, stopped: Callable[[], bool] = lambda: False) -> Refresh:
    """Bring the rollups up to date, cheap where they are; `stopped` ends it between two steps.

    On a cluster each server makes those of what it holds, and one that is down is left out.
    """
    scopes = wanted(warehouse)
    if warehouse.shards:
        return _refresh_each(warehouse, warehouse.shards, scopes, stopped)
    return _refresh(warehouse, scopes, stopped)


def pause(seconds: float) -> float:
    """Give the seconds to wait while lines keep coming, after a refresh that took so many."""
    return min(REFRESH_SECONDS * max(1.0, 2 * seconds), MOST_SECONDS)


def _refresh(warehouse: Warehouse, scopes: Scopes, stopped: Callable[[], bool]) -> Refresh:
    began = time.monotonic()
    with _one_at_a_time:
        _create_tables(warehouse)
        seen = look(warehouse)
        coverage = doubting_attempts(warehouse, seen)
        stale = due.stale(coverage)
        if stale:
            drop_unnamed(warehouse)
        built = 0
        units = [*due.by_year(warehouse, stale), *due.scattered(coverage)]
        _forget_doubted(warehouse, seen, coverage, units[1:])
        for unit in units:
            if stopped():
                break
            _build(warehouse, unit)
            built += len({first.replace(day=1) for first, _ in unit})
        if built:
            _know_parts(warehouse)
        _refresh_scopes(warehouse, scopes, stopped)
    done = Refresh(built, time.monotonic() - began)
    if built:
        log.info("%d months of rollups in %.1f s", done.months, done.seconds)
    return done


def _refresh_each(
    warehouse: Warehouse, shards: Shards, scopes: Scopes, stopped: Callable[[], bool]
) -> Refresh:
    done: list[Refresh] = []

    def one(address: str) -> None:
        with opened(warehouse, address, shards.database) as own:
            done.append(_refresh(own, scopes, stopped))

    on_each(warehouse, shards, one, "the refresh of its rollups")
    return Refresh(sum(each.months for each in done), sum(each.seconds for each in done))


def _create_tables(warehouse: Warehouse) -> None:
    """Make the tables, anew where they were made for another definition."""
    found = warehouse.rows(
        "SELECT name, comment FROM system.tables"
        " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        {"names": [table.name for table in STORED]},
    )
    comments = {str(name): str(comment) for name, comment in found}
    for table in STORED:
        made_by = hashlib.sha256(table.create_sql.encode()).hexdigest()
        if comments.get(table.name) == made_by:
            continue
        # else what another version has named would count as made, once that version is back
        warehouse.command("TRUNCATE TABLE rollup_months")
        warehouse.command(f"DROP TABLE IF EXISTS {table.name} SYNC")
        warehouse.command(f"{table.create_sql} COMMENT '{made_by}'")


def _build(warehouse: Warehouse, unit: list[Days]) -> None:
    """Make some months or days of some, and then name them."""
    began = time.monotonic()
    seen = look(warehouse)
    made = [(builds.make(warehouse, spans), spans) for spans in due.apart(unit)]
    if time.monotonic() - began > KEPT_SECONDS / 2:
        raise WarehouseError(f"rollups of {unit[0][0].year}: too slow, they could be dropped")
    _name(warehouse, made, seen)
    for number, _ in made:
        warehouse.command(f"ALTER TABLE {NEAR.name} DROP PARTITION {number}")


def _name(warehouse: Warehouse, made: Sequence[tuple[int, list[Days]]], seen: Coverage) -> None:
    """Remember the builds of some months or days, all at once: from here on they are read."""
    parts = _parts_around(seen, (first for _, spans in made for first, _ in spans))
    warehouse.insert_rows(
        "rollup_months",
        ["month", "recent", "split", "build", "made_by", "parts"],
        [
            [month.isoformat(), recent, split.isoformat(), build, seen.origin, parts]
            for number, spans in made
            for span in spans
            for month, recent, split, build in _named(number, *span)
        ],
    )


def _parts_around(seen: Coverage, days: Iterable[date]) -> list[Known]:
    """List the parts with lines of the years of these days, and of the years beside these."""
    years = {str(day.year + more) for day in days for more in (-1, 0, 1)}
    return [
        (part.partition, part.first, part.last, part.version)
        for part in seen.parts
        if part.partition in years
    ]


def _know_parts(warehouse: Warehouse) -> None:
    """Let all builds know the parts that have no news for them, with which theirs may merge.

    A part made of what a build knows and what it does not would make all of its year stale.
    """
    coverage = doubting_attempts(warehouse, look(warehouse))
    known = [
        span
        for month, spans in coverage.spans.items()
        if not coverage.stale(month)
        for span in spans
        if any(coverage.unknown_to(span))
    ]
    _let_know(warehouse, known, _parts_around(coverage, (span.start for span in known)))


def _forget_doubted(
    warehouse: Warehouse, seen: Coverage, doubted: Coverage, later: Iterable[list[Days]]
) -> None:
    """Let builds know no part that are made again `later`, and that lines of others' days doubt.

    These are known once their own days are made: nothing would tell then, if a refresh ended there.
    """
    months = {first.replace(day=1) for unit in later for first, _ in unit}
    others = [month for month in months if doubted.stale(month) != seen.stale(month)]
    _let_know(warehouse, [span for month in others for span in seen.spans.get(month, ())], [])


def _let_know(warehouse: Warehouse, spans: Sequence[Span], parts: Sequence[Known]) -> None:
    """Remember other parts as those that some builds have the rows of."""
    if spans:
        warehouse.command(
            f"INSERT INTO rollup_months ({_COLUMNS}) SELECT month, recent, split, build, made_by,"
            f" {[*parts]}, made_scopes FROM rollup_months FINAL WHERE {OF_BUILDS}",
            parameters={"builds": [span.build for span in spans]},
        )


def _named(number: int, start: date, end: date) -> Iterator[tuple[date, int, date, int]]:
    """Write the month of some days, whether they are the recent ones, the split, and the build."""
    month = start.replace(day=1)
    build = build_of(number, month)
    if start == month:
        yield month, 0, end, build
    if end == next_month(month):  # none, where all are one
        yield month, 1, end if start == month else start, build


def _refresh_scopes(warehouse: Warehouse, scopes: Scopes, stopped: Callable[[], bool]) -> None:
    """Make the rows of scopes for the days that lack some: of those alone that are missing."""
    lacking = _lacking(look(warehouse), scopes.numbers) if scopes.numbers else {}
    for missing, spans in lacking.items():
        its = scopes.only(missing)
        users = () if its.conditions else (*its.users.values(),)
        found = {(span.start, span.end): span.build for span in spans}
        for days in due.apart(sorted(found)):
            number = builds.refresh_number()
            for unit in due.by_year(warehouse, days, users):
                if stopped():
                    return
                made = {each: found[each] for each in unit}
                builds.make_scoped(warehouse, number, made, its)
                _name_scopes(warehouse, number, [*made.values()], missing, scopes.numbers)


def _lacking(coverage: Coverage, numbers: frozenset[int]) -> dict[frozenset[int], list[Span]]:
    """List the days that are made, by the scopes that they lack."""
    found: dict[frozenset[int], list[Span]] = {}
    for span in (each for month in coverage.months() for each in coverage.spans.get(month, ())):
        if missing := numbers.difference(span.scopes):
            found.setdefault(missing, []).append(span)
    return found


def _name_scopes(
    warehouse: Warehouse,
    number: int,
    its_builds: list[int],
    made: Collection[int],
    wanted: Collection[int],
) -> None:
    """Remember which refresh made the rows of some scopes, and of others what is still wanted."""
    kept = "arrayFilter(each -> has({kept:Array(UInt64)}, each.1), made_scopes)"
    more = f"arrayMap(scope -> (scope, toUInt64({number})), {{made:Array(UInt64)}})"
    warehouse.command(
        f"INSERT INTO rollup_months ({_COLUMNS}) SELECT month, recent, split, build, made_by,"
        f" parts, arrayConcat({kept}, {more}) FROM rollup_months FINAL WHERE {OF_BUILDS}",
        parameters={
            "kept": sorted({*wanted} - {*made}),
            "made": sorted(made),
            "builds": its_builds,
        },
    )
