"""Shell patterns over bytes, as fnmatch(3) reads them in the C locale.

A pattern becomes a regular expression over the text in hexadecimal, two digits for each byte, since
the engine's own expressions see characters, and a name may be no UTF-8.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

ANY = frozenset(range(256))
NOTHING = "[^0-9A-F]"  # no text in hexadecimal has it
CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, [*range(32), 127])),
    "digit": string.digits,
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "lower": string.ascii_lowercase,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}
# [ … ], or a single byte that an escape may precede
TOKEN = re.compile(
    rb"\[(?P<negated>[!^]?+)(?P<set>\]?+(?:\[:[a-z]+:\]|\\.|[^\]\\])*)\]|\\(?P<escaped>.?)|(?P<byte>.)",
    re.DOTALL,
)
MEMBER = re.compile(
    rb"\[:(?P<cls>[a-z]+):\]|(?P<low>\\?.)-(?P<high>\\?[^\]])|(?P<one>\\?.)", re.DOTALL
)


def hex_regex(pattern: bytes) -> str:
    """Write a pattern as a regular expression over hex(text), anchored at both ends."""
    return f"^{''.join(_pieces(pattern))}$"


def matches(regex: str, text: bytes) -> bool:
    """Whether such an expression matches a text."""
    return re.fullmatch(regex, text.hex().upper()) is not None


def _pieces(pattern: bytes) -> Iterator[str]:
    for token in TOKEN.finditer(pattern):
        if token["byte"] == b"*":
            yield "(..)*"
        elif token["byte"] == b"?":
            yield ".."
        elif token["set"] is not None:
            members = _members(token["set"])
            yield _one_of(ANY - members if token["negated"] else members)
        elif token["byte"]:
            yield token["byte"].hex().upper()
        else:
            yield token["escaped"].hex().upper() or NOTHING


def _members(text: bytes) -> frozenset[int]:
    found: set[int] = set()
    for member in MEMBER.finditer(text):
        if member["cls"]:
            found.update(CLASSES.get(member["cls"].decode(), "").encode())
        elif member["one"]:
            found.add(member["one"][-1])
        else:
            found.update(range(member["low"][-1], member["high"][-1] + 1))
    return frozenset(found)


def _one_of(members: frozenset[int]) -> str:
    return f"({'|'.join(f'{byte:02X}' for byte in sorted(members)) or NOTHING})"
