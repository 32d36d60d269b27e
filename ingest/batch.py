"""Frames a block for the landing table and counts its lines, never looking into one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest import rowbinary
from ingest.identity import Line
from ingest.sources import is_ignored
from ingest.tail import Block

# The engine takes a row apart while it is in the processor's cache, twice as fast as a whole block.
ROW_BYTES = 512 * 1024
CACHED_BYTES = 256 * 1024  # are counted at a time, six times as fast as a whole block
COLUMNS = ("cluster", "file_id", "generation", "offset", "block", "maxvmem_cap")


@dataclass(frozen=True)
class Counts:
    """Lines of a block, and how many of them are ignored (empty, one character, comments)."""

    lines: int
    ignored: int


class Frame:
    """A block as RowBinary rows of whole lines, as the landing table takes them.

    Read once, in pieces of any size, as from a file; nothing of the block is copied.
    """

    def __init__(
        self, cluster: str, file_id: str, generation: int, block: Block, maxvmem_cap: float
    ) -> None:
        """Frame `block` of a file; `maxvmem_cap` in bytes."""
        self._head = rowbinary.text(cluster.encode()) + rowbinary.text(file_id.encode())
        self._generation = generation
        self._cap = struct.pack("<d", maxvmem_cap)
        self._pieces = self._frame(block)

    def read(self, _size: int = -1) -> bytes | memoryview:
        """Give the next piece, whatever its size; nothing at the end."""
        return next(self._pieces, b"")

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Give all pieces."""
        return self._pieces

    def _frame(self, block: Block) -> Iterator[bytes | memoryview]:
        start, data, view = 0, block.data, memoryview(block.data)
        while start < len(data):
            end = data.rfind(b"\n", start, start + ROW_BYTES) + 1
            if end <= start:  # a line longer than that: up to its own end
                end = data.find(b"\n", start) + 1 or len(data)
            place = struct.pack("<IQ", self._generation, block.offset + start)
            yield self._head + place + rowbinary.length(end - start)
            yield view[start:end]
            yield self._cap
            start = end


def count(block: Block) -> Counts:
    """Count the lines of a block independently of the database."""
    data = block.data
    if b"\r" in data or b"\0" in data:
        lines = bytes(data).removesuffix(b"\n").split(b"\n")
        return Counts(len(lines), sum(map(is_ignored, lines)))
    content = np.frombuffer(data, dtype=np.uint8)
    found, ignored, line = 0, 0, 0  # which begins there
    for start in range(0, len(content), CACHED_BYTES):
        ends = start + np.flatnonzero(content[start : start + CACHED_BYTES] == ord("\n"))
        if len(ends):
            starts = np.concatenate(([line], ends[:-1] + 1))
            short, comment = ends - starts <= 1, content[starts] == ord("#")
            ignored += int(np.count_nonzero(short | comment))
            found, line = found + len(ends), int(ends[-1]) + 1
    if line < len(content):  # what a complete stream may end with
        found, ignored = found + 1, ignored + is_ignored(bytes(data[line:]))
    return Counts(found, ignored)


def lines(block: Block) -> list[Line]:
    """Take a block apart into the lines that are not ignored: slow, for where something is odd."""
    found, offset = [], block.offset
    for content in bytes(block.data).removesuffix(b"\n").split(b"\n"):
        if not is_ignored(content):
            found.append(Line(offset, content))
        offset += len(content) + 1
    return found
