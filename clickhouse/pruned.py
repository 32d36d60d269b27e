"""The view `lines` with what a question needs of it alone.

The engine works out what each column of a view is made of before it leaves out those that nobody
asked for: of `lines` that takes longer than to read the lines of some days.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from clickhouse.words import words

WHOLE = "lines"  # to stand after FROM

_COMMENT = re.compile(r"('(?:[^'\\]|\\.)*')|--[^\n]*")
_PARTS = re.compile(r"\bAS\s+WITH\b(.*?)\nSELECT\s+\*,(.*)\nFROM\n(\(.*\))", re.DOTALL)
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`[^`]*`|[(\[{]|[)\]}]|,|[^'`(\[{)\]},]+", re.DOTALL)
_NAMED = re.compile(r"(.*)\bAS\s+(\w+)", re.DOTALL)


def of_lines(view: str, needed: Collection[str], without: Collection[str] = ()) -> str:
    """Write the rows of the view whose statement this is, to stand after FROM.

    They have all that is stored and, of what the view makes, what is `needed` and not `without`.
    """
    columns, source = _parts(view)
    wanted, new = {*needed}, {*needed}
    while new:
        new = words(columns[name] for name in new & {*columns}) - wanted
        wanted |= new
    kept = [
        f"{sql} AS {name}"
        for name, sql in columns.items()
        if name in wanted and name not in without
    ]
    return f"(SELECT {', '.join(['*', *kept])} FROM {source}) AS {WHOLE}"


@lru_cache(8)  # of the settings that there are
def _parts(view: str) -> tuple[dict[str, str], str]:
    """Give the SQL of each column that the view makes, in order, and what it makes them of."""
    found = _PARTS.search(_COMMENT.sub(r"\1", view))
    assert found is not None, view
    return {name: sql for text in found.groups()[:2] for name, sql in _columns(text)}, found[3]


def _columns(text: str) -> list[tuple[str, str]]:
    texts, depth = [""], 0
    for token in _TOKEN.findall(text):
        depth += (token in "([{") - (token in ")]}")
        if token == "," and not depth:
            texts.append("")
        else:
            texts[-1] += token
    found = [_NAMED.fullmatch(each.strip()) for each in texts]
    return [(each[2], each[1].strip()) for each in found if each]
