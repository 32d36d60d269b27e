"""The rows that a question is asked of, as SQL: of lines, of a rollup, or of both.

Whichever it is, they have the same columns: the keys and measures of `measures`, and what the
settings make of the keys (parallel class, sub-cluster, metagroups), whose SQL is in `definitions`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from clickhouse import pruned
from clickhouse.cubes import ARRAY_TYPES, Cube
from clickhouse.measures import AMOUNTS, COUNTED, KEYS, NAMES, VALUES
from clickhouse.settings import Settings
from clickhouse.site import derived as derived_columns
from clickhouse.site import node_spread_sql
from clickhouse.words import words

# Evaluating an argument only where it is needed copies the columns first: sums take a third longer.
EAGER = " SETTINGS short_circuit_function_evaluation = 'disable'"

# PREWHERE reads a table in steps: where nearly all rows are wanted, longer than it saves.
AT_ONCE = f"{EAGER}, optimize_move_to_prewhere = 0"

DERIVED = tuple(derived_columns(Settings.model_construct()))

OF_LINE = {name: each.sql for name, each in AMOUNTS.items()}
Derived = Mapping[str, str]  # SQL of columns that are made of others, in order
Absent = Mapping[str, str]  # columns that other rows of the same question have, with their types
ALL: Absent = {}  # nothing is absent

# What takes values and their weights, a pair of each row, and the same of two arrays of each row.
PAIRS = re.compile(r"(quantilesExactWeightedInterpolated)If(\([^()]+\))\((\w+), (\w+), \4 > 0\)")
ARRAYS = r"\1Array\2(\3, \4)"


# What counts names, of rows that have one each, and the same of sets of them.
COUNTS = re.compile(r"uniqExactIf\(cityHash64\((counted_\w+)\), \w+_jobs > 0\)")
OF_SETS = r"uniqExactArray(\1)"


def needed(derived: Derived, texts: Iterable[str]) -> set[str]:
    """List the words of some SQL, and those of what its derived columns are made of."""
    found = words(texts)
    return found | words(chosen(derived, found).values())


def chosen(derived: Derived, wanted: Collection[str]) -> dict[str, str]:
    """Give the SQL of the wanted derived columns and of those that they are made of, in order."""
    found: dict[str, str] = {}
    for name, sql in reversed([*derived.items()]):
        if name in DERIVED and (name in wanted or name in words(found.values())):
            found[name] = sql
    return dict(reversed([*found.items()]))


def of_lines(
    view: str, columns: Sequence[str], conditions: Sequence[str], absent: Absent = ALL
) -> str:
    """Select columns of lines, nothing for the `absent` ones; `view` made the view of these."""
    table = _lines(view, columns, conditions)
    return _rows({}, columns, OF_LINE, table, conditions, absent)


def of_near_lines(
    view: str,
    derived: Derived,
    columns: Sequence[str],
    conditions: Sequence[str],
    near: str,
    absent: Absent = ALL,
) -> str:
    """Select columns of lines, among them ones that are made of `node_spread`.

    `near` selects the multi-node lines, of no more of the table than is needed.
    """
    made = {"node_spread": node_spread_sql(near)}
    made |= chosen(derived, words([*columns, *conditions]))
    table = _lines(view, columns, [*conditions, *made.values()], made)
    return _rows(made, columns, OF_LINE, table, conditions, absent)


def _lines(
    view: str, columns: Sequence[str], texts: Iterable[str], without: Collection[str] = ()
) -> str:
    """Write lines with what is made of these columns and texts; all, where that is not known."""
    if view:
        needed = words([*(OF_LINE.get(name, name) for name in columns), *texts])
        return pruned.of_lines(view, needed, without)
    if not without:
        return pruned.WHOLE
    return f"(SELECT * EXCEPT ({', '.join(without)}) FROM {pruned.WHOLE}) AS {pruned.WHOLE}"


def of_cube(
    derived: Derived,
    cube: Cube,
    columns: Sequence[str],
    conditions: Sequence[str],
    absent: Absent = ALL,
    *,
    in_arrays: bool = False,
) -> str:
    """Select columns of a rollup, nothing for the `absent` ones.

    A row has one value of each quantity and its weight or, `in_arrays`, all that the rollup's has.
    """
    made = chosen(derived, words([*columns, *conditions]))
    joined = "" if in_arrays else cube.joined_sql({*columns} - {*absent})
    if not joined:
        amounts = {**cube.names, **{name: f"{name}s" for name in cube.values_of_rows}}
        return _rows(made, columns, amounts, cube.name, conditions, absent)
    kept = _select(made, ["*"], cube.name, conditions)  # so that arrays of others are not read
    return _rows({}, columns, cube.names, f"({kept}){joined}", [], absent)


def _rows(
    made: dict[str, str],
    columns: Sequence[str],
    amounts: Mapping[str, str],
    table: str,
    conditions: Sequence[str],
    absent: Absent,
) -> str:
    """Select columns and amounts of a table, which cannot do with nothing for what is absent."""
    its = [name for name in columns if name not in absent]
    of_others = [*(amounts[name] for name in its if name in amounts), *conditions]
    if absent and words(of_others) & {*absent}:
        kept = _select(made, _shown(its, ALL, amounts), table, conditions)
        return _select({}, _shown(columns, absent, {}), f"({kept})", [])
    return _select(made, _shown(columns, absent, amounts), table, conditions)


def _shown(columns: Iterable[str], absent: Absent, made: Mapping[str, str]) -> list[str]:
    return [
        f"defaultValueOfTypeName('{absent[name]}') AS {_quoted(name)}"
        if name in absent
        else f"{made[name]} AS {name}"
        if name in made
        else _quoted(name)
        for name in columns
    ]


def of_sets(rows: str, columns: Sequence[str], absent: Absent) -> str:
    """Put the names that rows have together, for each of their keys, in sets of hashes.

    There are few rows then, for which nothing of the `absent` columns has to be added up.
    """
    its = [name for name in columns if name not in absent]
    keys = [_quoted(name) for name in its if name not in NAMES]
    sets = [
        f"groupUniqArrayIf(cityHash64(counted_{name}), {name}_jobs > 0) AS counted_{name}"
        for name in COUNTED
        if f"counted_{name}" in its
    ]
    grouped = f"SELECT {', '.join([*keys, *sets])} FROM ({rows})"
    grouped += f" GROUP BY {', '.join(keys)}" if keys else ""
    return _select({}, _shown(columns, absent, {}), f"({grouped})", []) if absent else grouped


def type_of(name: str, *, in_arrays: bool, in_sets: bool = False) -> str:
    """Give the type of a column, whose default adds nothing to what is made of it."""
    if in_arrays and name in VALUES:
        return ARRAY_TYPES[name.rpartition("_")[2]]
    if in_sets and name in NAMES:
        return "Array(UInt64)"
    return KEYS[name] if name in KEYS else AMOUNTS[name].type


def of_arrays(sql: str) -> str:
    """Let figures be made of arrays of values, where they were of a value each."""
    return PAIRS.sub(ARRAYS, sql)


def of_counted_sets(sql: str) -> str:
    """Let names be counted in sets of them, where there was one in each row."""
    return COUNTS.sub(OF_SETS, sql)


def can_be_of_arrays(texts: Iterable[str]) -> bool:
    """Tell whether all that is made of values can be made of arrays of them."""
    return not words(PAIRS.sub("", text) for text in texts) & {*VALUES}


def _quoted(column: str) -> str:
    return f"`{column}`" if column == "group" else column


def _select(
    made: dict[str, str], columns: Iterable[str], table: str, conditions: Iterable[str]
) -> str:
    """Select columns of a table and of what is made of it.

    Not with WITH, which would hold for all of a UNION, where other rows lack what it needs.
    """
    if made:
        others = ", ".join(f"{sql} AS {name}" for name, sql in made.items())
        table = f"(SELECT *, {others} FROM {table})"
    where = " AND ".join(f"({each})" for each in conditions)
    return f"SELECT {', '.join(columns)} FROM {table}{f' WHERE {where}' if where else ''}"
