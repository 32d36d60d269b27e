"""Lines for the parser: sound ones of every layout, damaged ones, and what is no accounting."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pychart.demo import write_demo

MIB = 1024**2
WORDS = (
    *(b"", b"0", b"-1", b"1", b"1e3", b"7.5", b"2,5", b"nan", b"-nan", b"inf", b"-inf", b"1e400"),
    *(b"0x10", b" 1", b"1 ", b"+1", b"--1", b"4294967295", b"4294967296", b"18446744073709551616"),
    *(b"1500000000123456", b"99999999999999999999", b"NONE", b"(null)", b"UNKNOWN", b"none", b"#"),
    *(
        b"\xff",
        b"\xc3\xa9",
        b"\xe9",
        b"\0",
        b"\r",
        b"\t",
        b'"',
        b"{",
        b"}",
        b"\\",
        b"'",
        b":",
        b"::",
    ),
)
ODDITIES = (
    *(
        b"",
        b"x",
        b"#",
        b"# a comment",
        b"#" * 50,
        b"\r",
        b"\0",
        b"\0\0\0",
        b"\0#",
        b"\0\r",
        b"\r\r",
    ),
    *(
        b" ",
        b"  ",
        b":" * 42,
        b":" * 44,
        b":" * 500,
        b"hello",
        b"{}",
        b"{",
        b"{}x",
        b"[]",
        b'{"a":1}',
    ),
    *(b'{"type":"acct"}', b'{"job_number":}', b"1500000000:acct:", b"1500000000:host:h:1:2"),
)


@dataclass(frozen=True)
class Recipe:
    """Lines of one kind, each of them followed by a sound one as often as not."""

    kind: str
    count: int
    seed: int


def cook(recipes: Sequence[Recipe], sound: Sequence[bytes], *, ended: bool) -> bytes:
    """Make a text of these lines; its last one has a newline where it is `ended`."""
    lines = []
    for recipe in recipes:
        luck = random.Random(recipe.seed)
        for _ in range(1 if recipe.kind == "huge" else recipe.count):
            lines.append(KINDS[recipe.kind](luck.choice(sound), luck))
            lines += luck.choices(sound, k=luck.choice((0, 1)))
    return b"\n".join(lines) + (b"\n" if ended else b"")


def sound_lines(seed: int, jobs: int) -> list[bytes]:
    """Lines of demo jobs, each in a layout of its own, without their newlines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounting"
        write_demo(path, jobs, 3, seed, layout="shuffled")
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    return [line for line in lines if not line.startswith(b"#")]


def damaged(line: bytes, luck: random.Random) -> bytes:
    """Flip, delete, insert, duplicate or cut bytes, or change whole fields; newlines never."""
    for _ in range(luck.choice((1, 1, 1, 2, 5))):
        line = luck.choice(DAMAGES)(line, luck)
    return line.replace(b"\n", b" ")


def with_colons(line: bytes, luck: random.Random, colon: bytes = b":") -> bytes:
    """Put a colon or two within job_name, account or category, or more than one of them."""
    words = line.split(b":")
    if line.startswith(b"{"):
        return line
    for number in luck.sample((5, 7, 40), luck.choice((1, 1, 1, 2, 3))):
        word = words[number - 1]
        for _ in range(luck.choice((1, 1, 2))):
            at = luck.randint(0, len(word))
            word = word[:at] + colon + word[at:]
        words[number - 1] = word
    return b":".join(words)


def odd_line(line: bytes, luck: random.Random) -> bytes:
    """Make up something that is no line of accounting, or one of an unusual kind."""
    kind = luck.randrange(9)
    if kind == 0:
        return luck.randbytes(luck.choice((1, 3, 50, 400))).replace(b"\n", b":")
    if kind == 1:
        return b"\0" * luck.choice((1, 40, 4096)) + line
    if kind == 2:
        return line + b"\r" * luck.choice((1, 1, 2))
    if kind == 3:
        return b":".join(luck.choices(WORDS, k=luck.choice((42, 43, 44, 45, 46, 47, 52, 74, 200))))
    if kind == 4:
        return b"1500000000:acct:" + line
    if kind == 5:
        return _damaged_json(line, luck)
    if kind == 6:
        return line[: luck.randint(0, len(line))] + line
    return luck.choice(ODDITIES)


def huge_line(line: bytes, luck: random.Random) -> bytes:
    """Make a line of about 1 MiB: just short enough, just too long, or all colons."""
    filler = luck.choice((b"x", b":", b"\xff", b"a:", b"\0"))
    room = luck.choice((MIB - 1, MIB, MIB + 1, 3 * MIB)) - len(line)
    return line.replace(b":", b":" + filler * (room // len(filler)), 1)


def _damaged_json(line: bytes, luck: random.Random) -> bytes:
    try:
        record = json.loads(line)
    except ValueError:
        return b"{" + line
    for _ in range(luck.randint(1, 4)):
        place = luck.choice([record, record.get("usage", record)])
        if isinstance(place, dict) and place:
            key = luck.choice(sorted(place))
            place[key] = luck.choice(
                (None, True, -1, 1e300, 2**70, "", "a:b", "\0", [], {}, "\ud83d\ude00", [1, "{"])
            )
    return json.dumps(record, ensure_ascii=luck.random() < 0.5).encode("utf-8", "surrogatepass")


def _at(line: bytes, luck: random.Random) -> int:
    return luck.randint(0, max(len(line) - 1, 0))


def _flip(line: bytes, luck: random.Random) -> bytes:
    at = _at(line, luck)
    return line[:at] + bytes([luck.randrange(256)]) + line[at + 1 :]


def _flip_bit(line: bytes, luck: random.Random) -> bytes:
    at = _at(line, luck)
    return (
        line[:at]
        + bytes(byte ^ 1 << luck.randrange(8) for byte in line[at : at + 1])
        + line[at + 1 :]
    )


def _delete(line: bytes, luck: random.Random) -> bytes:
    at = _at(line, luck)
    return line[:at] + line[at + luck.choice((1, 1, 7, 100)) :]


def _insert(line: bytes, luck: random.Random) -> bytes:
    at = _at(line, luck)
    return line[:at] + luck.choice(WORDS) + line[at:]


def _duplicate(line: bytes, luck: random.Random) -> bytes:
    at, length = _at(line, luck), luck.choice((1, 10, 200))
    return line[: at + length] + line[at:]


def _cut(line: bytes, luck: random.Random) -> bytes:
    return line[: _at(line, luck)]


def _change_field(line: bytes, luck: random.Random) -> bytes:
    words = line.split(b":")
    words[luck.randrange(len(words))] = luck.choice(WORDS)
    return b":".join(words)


def _swap_fields(line: bytes, luck: random.Random) -> bytes:
    words = line.split(b":")
    one, other = luck.randrange(len(words)), luck.randrange(len(words))
    words[one], words[other] = words[other], words[one]
    return b":".join(words)


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _flip_bit, _delete, _insert, _duplicate, _cut, _change_field, _swap_fields),
)
KINDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "sound": lambda line, luck: line,
    "damaged": damaged,
    "colons": with_colons,
    "odd": odd_line,
    "huge": huge_line,
}
