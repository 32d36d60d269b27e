"""What the public sees of an answer: no cell that few people make up, nor what gives it away.

A cell is shown that stands on at least `FEWEST_PEOPLE` users. Those that are not shown are the
difference between a total and the cells that are, so together they must be as many: else the
smallest one that is shown goes too. That holds for the whole and for each part of it that the
same split shows, of a year as of a queue. It does not help against the difference of two periods.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pyarrow as pa

from clickhouse.metrics import METRICS
from clickhouse.scope import FEWEST_PEOPLE, Scope

_WHO = "cityHash64(owner)"  # names do not leave the database
# One in a cell of whoever it is of: as many hashes as are needed to tell that they are enough.
PEOPLE = f"groupUniqArray({FEWEST_PEOPLE})({_WHO})"
_SUM = re.compile(r"sum\((\w+)\)|sumIf\((\w+), (.*)\)", re.DOTALL)

Who = tuple[frozenset[int], ...]  # of all lines, then of those that each metric needs


def is_public(scope: Scope | None) -> bool:
    """Tell whether only totals may be seen."""
    return scope is not None and scope.public


def people_of(metrics: Iterable[str], condition: str = "1") -> list[str]:
    """Write who is behind a cell: of all its lines, then of those that each metric needs."""
    needed = dict.fromkeys(METRICS[name].rows for name in metrics)
    return [_people_where(each) for each in (condition, *(_and(condition, n) for n in needed))]


def _and(condition: str, rows: str) -> str:
    """Write which rows a count of lines does not leave at 0 besides."""
    found = _SUM.fullmatch(rows)
    if not found:
        raise AssertionError(f"no sum: {rows}")
    has_some = f"{found[1] or found[2]} > 0" + (f" AND {found[3]}" if found[3] else "")
    return f"({condition}) AND {has_some}"


def _people_where(condition: str) -> str:
    """Write who is behind the rows that meet a condition."""
    return f"groupUniqArrayIf({FEWEST_PEOPLE})({_WHO}, ifNull({condition}, 0))"


def enough(who: Iterable[Collection[int]]) -> bool:
    """Tell whether a figure may be shown: of enough people, of whom none or enough have a value."""
    everyone, *having = who
    return len(everyone) >= FEWEST_PEOPLE and not any(0 < len(w) < FEWEST_PEOPLE for w in having)


@dataclass(frozen=True)
class Cell:
    """A row of an answer: what tells it apart, who is behind it, and how large it is."""

    key: tuple[object, ...]
    who: Who
    size: float


def without_few(
    found: pa.Table,
    keys: Sequence[str],
    people: Sequence[str],
    size: str,
    also: Collection[int] = (),
) -> pa.Table:
    """Leave out the rows that must not be shown, `also` these, and the columns `people` of all."""
    cells = [
        Cell(key, tuple(frozenset(each) for each in who), float(amount or 0))
        for key, who, amount in zip(
            _rows(found, keys), _rows(found, people), found[size].to_pylist(), strict=True
        )
    ]
    table = found.drop_columns([*people])
    hidden = to_hide(cells, also)
    if not keys and hidden:  # whoever asks for a total expects a row
        return pa.table([pa.nulls(1, field.type) for field in table.schema], schema=table.schema)
    return table.take(pa.array([i for i in range(len(cells)) if i not in hidden], pa.int64()))


def _rows(found: pa.Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    if not names:
        return [()] * found.num_rows
    return [*zip(*(found[name].to_pylist() for name in names), strict=True)]


def to_hide(cells: Sequence[Cell], also: Collection[int] = ()) -> set[int]:
    """Say which cells must not be shown where these are not, by number."""
    hidden = {number for number, cell in enumerate(cells) if not enough(cell.who)} | {*also}
    sums = [*_sums(cells)]
    while more := {each for parts in sums if (each := _one_more(cells, parts, hidden)) is not None}:
        hidden |= more
    return hidden


def _sums(cells: Sequence[Cell]) -> Iterator[list[int]]:
    """Give the cells of each sum that a question with fewer dimensions would give."""
    dimensions = range(len(cells[0].key)) if cells else range(0)
    for count in dimensions:
        for chosen in combinations(dimensions, count):
            groups: dict[tuple[object, ...], list[int]] = {}
            for number, cell in enumerate(cells):
                groups.setdefault(tuple(cell.key[i] for i in chosen), []).append(number)
            yield from groups.values()


def _one_more(cells: Sequence[Cell], parts: list[int], hidden: set[int]) -> int | None:
    """Name the smallest shown part of a sum whose hidden parts are too few people, None if none."""
    away = [cells[number].who for number in parts if number in hidden]
    shown = [number for number in parts if number not in hidden]
    if not away or not shown:
        return None
    if enough(frozenset().union(*each) for each in zip(*away, strict=True)):
        return None
    return min(shown, key=lambda number: (cells[number].size, str(cells[number].key)))
