"""What a question takes of the rows it is asked of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from clickhouse.cubes import Cube
from clickhouse.measures import (
    AMOUNTS,
    COUNTED,
    KEYS,
    LINE_COLUMNS,
    MEASURES,
    NAMES,
    QUANTITIES,
    START_COLUMNS,
)
from clickhouse.rowset import DERIVED, Derived, needed
from clickhouse.seen import EVERYTHING, Seen
from clickhouse.words import words

COLUMNS = frozenset({"day", *KEYS, *AMOUNTS, *LINE_COLUMNS, *START_COLUMNS, *DERIVED})
_OF_NODES = frozenset({"hostname", "counted_hostname"})
MANY_MEASURES = 9  # from which on adding up rows with names takes longer than reading two rollups
FIRST_DAY, LAST_DAY, NO_DAY = date(1970, 1, 1), date(2106, 2, 6), date(2149, 6, 6)


@dataclass(frozen=True)
class Need:
    """What a question takes: SQL over the rows (`texts`), and what rows must meet.

    `conditions` are those of filters, and `seen` has those of a scope. Rows of one user are `few`:
    an index finds them, and those of months take less than a second table.
    """

    texts: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    start: date = FIRST_DAY
    end: date = NO_DAY
    seen: Seen = EVERYTHING
    few: bool = False

    @property
    def of_everybody(self) -> Need:
        """The same of rows of everybody, of which those that may be seen are to be chosen."""
        conditions = (*self.conditions, *self.seen.conditions)
        return replace(self, conditions=conditions, seen=EVERYTHING)

    def with_texts(self, texts: Iterable[str]) -> Need:
        """Add what is taken besides."""
        return replace(self, texts=tuple(dict.fromkeys((*self.texts, *texts))))

    def columns(self) -> list[str]:
        """List the columns that the rows must show."""
        return sorted(words(self.texts) & COLUMNS)

    def behind(self, derived: Derived) -> set[str]:
        """List the columns that the rows must be made of."""
        return (needed(derived, (*self.texts, *self.conditions)) & COLUMNS) - set(DERIVED)

    def can_take(self, cube: Cube, derived: Derived) -> bool:
        """Tell whether a rollup has all columns, and tells all days apart that have to be."""
        if not self.behind(derived) <= cube.columns:
            return False
        if cube.grain == "day":
            return True
        found = map(cube.without_coarse, (*self.texts, *self.conditions))
        made = {name: cube.without_coarse(sql) for name, sql in derived.items()}
        return "day" not in needed(made, found)

    def parts(self, derived: Derived) -> list[Need]:
        """Split what is needed by what kind of rollup holds it; parts share what none holds.

        Names that are counted are parts of their own where nodes are told, or many measures: rows
        that tell both are many then, while others are read sooner than planned.
        """
        kinds = {text: _kind(text) for text in self.texts}
        measured = {*self.columns()} & {*MEASURES}
        if len(measured) < MANY_MEASURES and not self.behind(derived) & _OF_NODES:
            kinds = {text: "measures" if kind in COUNTED else kind for text, kind in kinds.items()}
        found = sorted({*kinds.values()} - {""})
        if len(found) < 2:
            return [self]
        # a split by time stands in the texts of every part: by itself, the day would ask for days
        shared = [name for name in self.columns() if name not in {*KEYS, *AMOUNTS, "day"}]
        return [
            replace(self, texts=(*shared, *(t for t in self.texts if kinds[t] in ("", kind))))
            for kind in found
        ]

    @property
    def counts(self) -> bool:
        """Tell whether names are counted."""
        return bool({*self.columns()} & {*NAMES})

    @property
    def counts_alone(self) -> bool:
        """Tell whether all that it takes of the rows is which names they have."""
        return {*self.columns()} & {*AMOUNTS} <= {*NAMES}

    @property
    def kind(self) -> str:
        """Name the quantity or the names that this is about, '' where any rows will do."""
        return next(filter(None, map(_kind, self.texts)), "")


def _kind(text: str) -> str:
    """Tell what some SQL is about: `measures`, a quantity, names, or '' where any rows will do."""
    found = words([text])
    for name in QUANTITIES:
        if found & {f"{name}_value", f"{name}_weight"}:
            return name
    for name in COUNTED:
        if f"counted_{name}" in found:
            return name
    return "measures" if found & {*MEASURES} else ""
