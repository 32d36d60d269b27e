"""How long an answer stays right: until days that it is made of get lines, or lose some.

Each month of the rollups has a build, which is another one once the month is made anew. While all
days of a period are as its builds have them, so are its lines, whatever is loaded elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from clickhouse.coverage import Coverage
from clickhouse.distributions import Asked as Distribution
from clickhouse.distributions import Heatmap
from clickhouse.question import Question

# What lines of other months tell of a line: those of its attempt's tasks.
REACHING = frozenset({"parallel_class"})


def made_of(coverage: Coverage, asked: Question | Distribution) -> str:
    """Name what an answer is made of, '' where this is more than some builds.

    That is so of an open period, of days that have lines which no build knows yet, and of wall time
    on the days that jobs ran, which is of lines that ended later.
    """
    start, end = asked.period.start, asked.period.end
    if not start or not end or isinstance(asked, Question) and asked.booked == "spread":
        return ""
    reaches = not REACHING.isdisjoint(_dimensions(asked))
    if not coverage.origin or reaches and not coverage.is_fresh:
        return ""
    builds = coverage.builds_between(start, end)
    return "" if builds is None else f"{coverage.made} {builds}"


def _dimensions(asked: Question | Distribution) -> Iterable[str]:
    yield from (kept.dimension for kept in asked.filters)
    if isinstance(asked, Question):
        yield from asked.dimensions
    elif isinstance(asked, Heatmap):
        yield from (asked.x, asked.y)
    else:
        yield from asked.by
