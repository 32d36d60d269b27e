"""Reads a stream in blocks of whole lines; what follows the last newline waits for its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from clickhouse.errors import SourceError
from ingest.sources import MAX_LINE_BYTES, Source, file_id, is_ignored, read_line

TAIL_BYTES = 4096  # before an offset: their hash tells whether a file is still the same there


@dataclass(frozen=True)
class Block:
    """Whole lines that begin at byte `offset` of the decompressed stream."""

    offset: int
    data: bytearray

    @property
    def end(self) -> int:
        """Byte after the last one."""
        return self.offset + len(self.data)


@dataclass(frozen=True)
class Head:
    """How a stream begins: its name, and the bytes read to find it (nothing is lost of a pipe)."""

    file_id: str
    data: bytes


def read_head(source: Source) -> Head | None:
    """Read up to the first line that says something; None while there is no complete one."""
    head = bytearray()
    while line := read_line(source.stream, source.path, len(head)):
        head += line
        whole = line.endswith(b"\n") or source.complete
        if whole and not is_ignored(line.rstrip(b"\n")):
            return Head(file_id(line), bytes(head))
        if len(head) > MAX_LINE_BYTES:
            raise SourceError(f"{source.path}: nothing but comments in {len(head) >> 20} MiB")
    return None


@dataclass(frozen=True)
class Resumed:
    """A stream at an offset: the up to 4 KiB before it, and what was already read after it."""

    tail: bytes
    pending: bytes


def skip_to(source: Source, head: Head, offset: int) -> Resumed | None:
    """Go on at `offset` after the head was read; None where the stream is shorter."""
    if source.seekable:
        start = max(0, offset - TAIL_BYTES)
        source.stream.seek(start)
        tail = source.stream.read(offset - start)
        return Resumed(tail, b"") if len(tail) == offset - start else None
    return _read_to(source.stream, head.data, offset)


def _read_to(stream: BinaryIO, head: bytes, offset: int) -> Resumed | None:
    tail, pending, position = head[:offset], head[offset:], len(head)
    while position < offset:
        piece = stream.read(min(1024**2, offset - position))
        if not piece:
            return None
        position += len(piece)
        tail = (tail + piece)[-TAIL_BYTES:]
    return Resumed(tail[-TAIL_BYTES:], pending)


def tail_hash(tail: bytes) -> str:
    """Hash the last 4 KiB of `tail`: 32 hexadecimal digits."""
    return hashlib.blake2b(tail[-TAIL_BYTES:], digest_size=16).hexdigest()


def read_blocks(
    source: Source, pending: bytes, offset: int, block_bytes: int, spare: list[bytearray]
) -> Iterator[Block]:
    """Give the stream from `offset` in blocks; `pending` was already read of it.

    A block ends with a newline. Only what a complete stream ends with may lack one. `spare` has
    the memory of blocks that are done with, to be filled again: new memory takes twice as long.
    """
    while True:
        data = _memory(spare, len(pending) + block_bytes)
        data[: len(pending)] = pending  # filled in place: copies are what costs here
        filled = _fill(source.stream, data, len(pending))
        ended = filled < len(data)
        cut = filled if ended and source.complete else data.rfind(b"\n", 0, filled) + 1
        pending = bytes(data[cut:filled])
        if cut:
            del data[cut:]
            yield Block(offset, data)
            offset += cut
        if ended:
            return
        if len(pending) > MAX_LINE_BYTES:
            raise SourceError(
                f"{source.path}: no line end within {MAX_LINE_BYTES >> 20} MiB after byte"
                f" {offset}: this is no accounting file"
            )


def _memory(spare: list[bytearray], size: int) -> bytearray:
    if spare:
        data = spare.pop()
        try:
            del data[size:]
            data.extend(bytes(size - len(data)))
        except BufferError:  # whatever failed with it still holds it
            return bytearray(size)
        return data
    return bytearray(size)


def _fill(stream: BinaryIO, data: bytearray, filled: int) -> int:
    """Read until `data` is full or the stream ends; give how much of it is filled."""
    with memoryview(data) as view:
        while filled < len(data) and (got := stream.readinto(view[filled:])):  # type: ignore[attr-defined]
            filled += got
    return filled
