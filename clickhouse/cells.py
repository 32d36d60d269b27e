"""Which days of a period each rollup covers, and which are left to the lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from clickhouse.coverage import Coverage
from clickhouse.cubes import Cube
from clickhouse.days import Days, clipped, next_month, without
from clickhouse.need import Need


@dataclass
class Cells:
    """Which days of a period a rollup covers: those of whole years and months, and others."""

    years: list[int] = field(default_factory=list)  # builds
    months: list[int] = field(default_factory=list)  # builds
    built: list[int] = field(default_factory=list)  # builds of the months that `days` are of
    days: list[Days] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """The rollups that have whole months of what is needed and its days, of which one may lack.

    Where there is one of `years` besides, it is the smallest that has them.
    """

    need: Need
    whole: Cube | None
    days: Cube | None
    years: Cube | None = None

    @property
    def tables(self) -> tuple[Cube | None, ...]:
        """What it reads."""
        return self.years, self.whole, self.days

    def take(self, cells: Cells, builds: list[int], days: list[Days], *, whole: bool) -> bool:
        """Add days of a month to the cells, all of it or some; tells whether it has them."""
        if not builds or not (whole and self.whole or self.days):
            return False
        if whole and self.whole:
            cells.months += builds
        else:
            cells.built += builds
            cells.days += days
        return True


def cells_of(coverage: Coverage, sources: Sequence[Source]) -> tuple[list[Cells], list[Days]]:
    """Say what the first rollup covers that has them, and which days are left to the lines.

    To go through ten years of months takes as long as to plan a small query, so it is remembered.
    """
    need = sources[-1].need
    having = (
        (each.need.seen.number, *(table is not None for table in each.tables)) for each in sources
    )
    asked = (need.start, need.end, *having)
    return coverage.remembered(asked, lambda: _find_cells(coverage, sources))


def _find_cells(coverage: Coverage, sources: Sequence[Source]) -> tuple[list[Cells], list[Days]]:
    cells: list[Cells] = [Cells() for _ in sources]
    lines: list[Days] = []
    need = sources[-1].need
    years = _take_years(coverage, sources, cells)
    for month in coverage.months():
        if month.year in years:
            continue
        whole = (month, next_month(month))
        wanted = list(clipped([(need.start, need.end)], whole))
        stale = coverage.stale(month)
        if not wanted:
            continue
        days = [] if stale == [whole] else list(without(wanted[0], stale))
        covered = days and any(
            source.take(
                cells[i],
                coverage.builds_of(month, source.need.seen.number),
                days,
                whole=days == [whole],
            )
            for i, source in enumerate(sources)
        )
        lines += clipped(stale, wanted[0]) if covered else wanted
    return cells, lines


def _take_years(coverage: Coverage, sources: Sequence[Source], cells: Sequence[Cells]) -> set[int]:
    """Add whole years to the cells of the first rollup that has them or their months; list them."""
    need, taken = sources[-1].need, set()
    for year, found in groupby(coverage.months(), key=lambda month: month.year):
        months = [month for month in found if coverage.is_built(month)]
        if need.start > date(year, 1, 1) or need.end < date(year + 1, 1, 1):
            continue
        for source, its in zip(sources, cells, strict=True):
            number = source.need.seen.number
            if source.years and (builds := coverage.builds_of_year(year, number)):
                its.years += builds
                taken.add(year)
                break
            if source.whole and any(coverage.builds_of(month, number) for month in months):
                break
    return taken
