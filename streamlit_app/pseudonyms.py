"""Words in the place of names, for exports and screenshots: one name has one word, everywhere.

A word is made of the name and the installation's key, so who has no key cannot tell the name. Pages
that hide names never get to see one: `data.py` turns answers into words, and filters back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from clickhouse import health
from clickhouse.errors import ConfigError
from clickhouse.settings import Settings
from streamlit_app import address

KEY_FILE = "pseudonyms.key"
KEY_BYTES = 32
LEAST_KEY_BYTES = 16
# What the words begin with; names of clusters, queues and nodes stay as they are.
WORDS = {
    "user": "user",
    "group": "group",
    "metagroup": "metagroup",
    "project": "project",
    "department": "department",
    "account": "account",
    "job_name": "job",
}
# Columns of other tables that hold such names.
COLUMNS = {name: name for name in WORDS} | {"owner": "user"}
KEPT = frozenset({"", "NONE", "(none)"})  # no names
LISTED = frozenset(WORDS) - {"job_name"}  # there can be millions of these: they are not looked up
LETTERS, MOST_LETTERS = 7, 24  # of a word, at least and at most
FREE_LETTERS = 13  # of one for a name that is in no list: ten million have a pair once in a million
UNKNOWN = "unknown"  # what follows the dash for a name that one may not ask for


_hiding: ContextVar[bool | None] = ContextVar("hiding", default=None)


def are_on() -> bool:
    """Tell whether names are hidden: as `hiding` says, else as the address does."""
    forced = _hiding.get()
    return address.get(address.NAMES) == address.HIDDEN if forced is None else forced


@contextmanager
def hiding(hidden: bool) -> Iterator[None]:
    """Hide names, or do not, whatever the address says."""
    token = _hiding.set(hidden)
    try:
        yield
    finally:
        _hiding.reset(token)


def key_of(settings: Settings) -> bytes:
    """Read the key; where none is given, it is made once and kept in the state directory.

    Raises `ConfigError`.
    """
    given = settings.pseudonym_key_file
    file = given or health.directory(settings) / KEY_FILE
    if given is None and not file.exists():
        _make(file)
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"pseudonym_key_file: {file}: {error.strerror}") from error
    if len(found) < LEAST_KEY_BYTES:
        raise ConfigError(f"pseudonym_key_file: {file} has fewer than {LEAST_KEY_BYTES} bytes")
    return found


def _make(file: Path) -> None:
    """Make a key; of several processes that do so at once, the first one's stays."""
    begun = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            output.write(secrets.token_hex(KEY_BYTES).encode())
        with suppress(FileExistsError):
            os.link(begun, file)
        begun.unlink()
    except OSError as error:
        raise ConfigError(f"pseudonym_key_file: {file}: {error.strerror}") from error


@lru_cache(maxsize=200_000)
def letters(key: bytes, dimension: str, name: str) -> str:
    """Give the letters that stand for a name, the first of which make its word."""
    told = f"{WORDS[dimension]}\0{name}".encode("utf-8", "surrogateescape")
    digest = hmac.digest(key, told, hashlib.sha256)
    return base64.b32encode(digest).decode("ascii").lower()[:MOST_LETTERS]


def words_of(key: bytes, dimension: str, names: Iterable[str]) -> dict[str, str]:
    """Give each of all names of a dimension its word: no two have the same.

    Where two would begin alike, both get more letters.
    """
    found = {name: letters(key, dimension, name) for name in names if name not in KEPT}
    ordered = sorted(found, key=found.__getitem__)
    beside = zip([None, *ordered], ordered, [*ordered[1:], None], strict=False)
    return {
        name: _word(dimension, found[name], [found[n] for n in (before, after) if n is not None])
        for before, name, after in beside
    }


def _word(dimension: str, own: str, neighbours: Sequence[str]) -> str:
    alike = max((len(os.path.commonprefix([own, other])) for other in neighbours), default=0)
    return f"{WORDS[dimension]}-{own[: max(LETTERS, alike + 1)]}"


class Words:
    """The words of some names of one dimension, and back."""

    def __init__(self, key: bytes, dimension: str, words: Mapping[str, str]) -> None:
        """Take the words of the names that somebody may see."""
        self._key, self._dimension, self._words = key, dimension, words
        self._names = {word: name for name, word in words.items()}

    def word(self, name: str) -> str:
        """Give the word of a name that the database gave."""
        if name in KEPT:
            return name
        if own := self._words.get(name):
            return own
        made = letters(self._key, self._dimension, name)[:FREE_LETTERS]
        return f"{WORDS[self._dimension]}-{made}"

    def name(self, word: str) -> str:
        """Give the name behind a word; one that is no word here stays, as a name of nobody."""
        return self._names.get(word, word if word in KEPT else f"{word}\x1f")

    def known(self, word: str) -> str:
        """Give the name behind a word, and anything else as it is."""
        return self._names.get(word, word)

    def asked(self, typed: str) -> str:
        """Give the word of what somebody typed or sent.

        What they may not see gets no word of its own, which would tell whose word that is.
        """
        if typed in KEPT or typed in self._names:
            return typed
        return self._words.get(typed, f"{WORDS[self._dimension]}-{UNKNOWN}")

    def like(self, text: str, most: int) -> list[str]:
        """List words that contain a text, in any case."""
        found = sorted(word for word in self._names if text.lower() in word)
        return found[:most]

    def column(self, names: pa.ChunkedArray) -> pa.ChunkedArray:
        """Turn a column of names into words."""
        made = [None if name is None else self.word(str(name)) for name in names.to_pylist()]
        return pa.chunked_array([pa.array(made, pa.string())])
