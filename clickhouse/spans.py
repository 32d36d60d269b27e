"""Days of a month that a refresh made together, and the parts of the table that it has all of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from clickhouse.cubes import MONTHS_PER_REFRESH, build_of
from clickhouse.days import DAY

Known = tuple[str, int, int, int]  # partition, first and last block, version


@dataclass(frozen=True)
class Part:
    """A part of `accounting`: its blocks, its last mutation, and its first and last day in UTC."""

    partition: str
    first: int
    last: int
    version: int
    begins: date
    ends: date


class Built:
    """The parts that a build has all rows of that it needs: those that there were before it."""

    def __init__(self, parts: Iterable[Known]) -> None:
        self.parts: dict[str, list[Known]] = {}
        for part in parts:
            self.parts.setdefault(part[0], []).append(part)
        known = [part for each in self.parts.values() for part in each]
        self._firsts = {(name, first) for name, first, _, _ in known}
        self._lasts = {(name, last) for name, _, last, _ in known}

    def knows(self, part: Part) -> bool:
        """Tell whether a part is one of these, or some of these merged."""
        return (
            (part.partition, part.first) in self._firsts
            and (part.partition, part.last) in self._lasts
            and not self.changed_in(part)
        )

    def changed_in(self, part: Part) -> bool:
        """Tell whether a part has been made of one of these by a mutation that came after it.

        The mutation may have taken away the first and the last days that the part had. What was
        inserted after a mutation, with a higher number, is as it was.
        """
        return part.version > 0 and any(
            part.first <= first and last <= part.last and max(first, version) < part.version
            for _, first, last, version in self.parts.get(part.partition, ())
        )

    def lost(self, partition: str, parts: Iterable[Part]) -> bool:
        """Tell whether rows of a partition were taken away since."""
        spans = [(each.first, each.last) for each in parts if each.partition == partition]
        return any(
            not any(first <= its_first and its_last <= last for first, last in spans)
            for _, its_first, its_last, _ in self.parts.get(partition, ())
        )


@dataclass(frozen=True)
class Span:
    """Days of a month that are made together: their build, and which refresh made each scope's."""

    start: date
    end: date
    build: int
    seen: Built
    scopes: Mapping[int, int] = field(default_factory=dict, hash=False)

    def build_for(self, scope: int) -> int:
        """Give the build of the rows of a scope that it has, 0 being everybody."""
        return build_of(self.scopes[scope], self.start.replace(day=1)) if scope else self.build

    @property
    def refresh(self) -> int:
        """The refresh that made it."""
        return self.build // MONTHS_PER_REFRESH

    def refresh_for(self, scope: int) -> int:
        """Give the refresh that made the rows of a scope, 0 where none did."""
        return self.scopes.get(scope, 0) if scope else self.refresh

    @property
    def partitions(self) -> frozenset[str]:
        """The partitions that may have lines of these days, whatever the time zone is."""
        return frozenset(str(day.year) for day in (self.start - DAY, self.start, self.end + DAY))
