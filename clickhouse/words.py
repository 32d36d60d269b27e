"""The words of some SQL, among which are the columns that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

WORD = re.compile(r"[A-Za-z_]\w*")
LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'")


def words(texts: Iterable[str]) -> set[str]:
    """List the words of some SQL, but for those within literals."""
    return {word for text in texts for word in _words_of(text)}


@lru_cache(4096)  # a question looks at the same texts again for each rollup
def _words_of(text: str) -> frozenset[str]:
    return frozenset(WORD.findall(LITERAL.sub("''", text)))
