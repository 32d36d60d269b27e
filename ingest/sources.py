"""Accounting files as byte streams: plain, gzip or zstd, a family of rotated ones, standard input.

A file is known by its first line that is neither empty nor a comment, decompressed: renamed,
copied or compressed it stays the same file.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from clickhouse.errors import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STANDARD_INPUT = Path("-")
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DECOMPRESSED_BYTES = 1024**2  # read ahead of a compressed file
MAX_LINE_BYTES = 64 * 1024**2  # a longer one is no accounting; reading on would fill the memory


@dataclass(frozen=True)
class Source:
    """One stream of lines: `complete` where its end is final, so that no line can still grow."""

    path: Path
    stream: BinaryIO
    complete: bool
    size: int  # bytes on disk, compressed where it is; 0 where unknown
    raw: BinaryIO  # what is read from disk: its position shows progress

    @property
    def seekable(self) -> bool:
        """Whether the stream can go to an offset without reading up to it."""
        return self.stream is self.raw and self.raw.seekable()

    def bytes_read(self) -> int:
        """Bytes read from disk so far, of `size`; 0 for a pipe."""
        return self.raw.tell() if self.size else 0


@contextmanager
def open_source(
    path: Path, *, complete: bool = False, handle: BinaryIO | None = None
) -> Iterator[Source]:
    """Open a file, or standard input for `-`, and decompress it if its first bytes say so.

    `complete` says that nothing will be appended; it is so of compressed files and pipes anyway.
    `handle` is the file itself, kept open since it was renamed, and is read instead.
    """
    try:
        with _open_raw(path) if handle is None else _again(handle) as raw:
            source = _source(path, raw)
            yield replace(source, complete=source.complete or complete)
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path}: {reason}") from error


def _open_raw(path: Path) -> io.BufferedReader:
    if path == STANDARD_INPUT:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    if path.is_dir():
        raise SourceError(f"{path}: is a directory; name the accounting file in it")
    return path.open("rb")


def _again(handle: BinaryIO) -> io.BufferedReader:
    raw = os.fdopen(os.dup(handle.fileno()), "rb")
    raw.seek(0)
    return raw


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by its first bytes; raises `SourceError`."""
    with open_source(path) as source:
        return source.stream is not source.raw


def check_whole(path: Path, alive: Callable[[], None] = lambda: None) -> None:
    """Raise `SourceError` where a compressed file is not complete: it is still being written.

    Reads all of it, for only its end holds the checksum; `alive` is called now and then.
    """
    with open_source(path) as source:
        if source.stream is source.raw or not source.raw.seekable():
            return
        try:
            while source.stream.read(DECOMPRESSED_BYTES):
                alive()
        except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise SourceError(
                f"{path}: still being written, or damaged, so nothing of it is loaded: {error}"
            ) from error


def _source(path: Path, raw: io.BufferedReader) -> Source:
    magic = raw.peek(len(ZSTD_MAGIC))
    size = os.fstat(raw.fileno()).st_size if raw.seekable() else 0
    ended = path == STANDARD_INPUT or not raw.seekable()
    stream: BinaryIO = raw
    if magic.startswith(GZIP_MAGIC):
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw), DECOMPRESSED_BYTES)
    elif magic.startswith(ZSTD_MAGIC):
        stream = io.BufferedReader(zstd.ZstdFile(raw), DECOMPRESSED_BYTES)
    return Source(path, stream, complete=ended or stream is not raw, size=size, raw=raw)


def is_ignored(line: bytes) -> bool:
    """Whether a line, without its end, holds nothing: empty, one character, or a comment."""
    content = line.lstrip(b"\0").removesuffix(b"\r")
    return len(content) <= 1 or content.startswith(b"#")


def file_id(first_line: bytes) -> str:
    """Name a file by its first line that says something: 16 hexadecimal digits."""
    content = first_line.rstrip(b"\n").lstrip(b"\0").removesuffix(b"\r")
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def read_line(stream: BinaryIO, path: Path, offset: int) -> bytes:
    """Read one line with its newline; without one where the stream ends within it."""
    line = stream.readline(MAX_LINE_BYTES)
    if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
        raise SourceError(
            f"{path}: no line end within {MAX_LINE_BYTES >> 20} MiB after byte {offset}:"
            " this is no accounting file"
        )
    return line


def expand(patterns: Iterable[str]) -> list[Path]:
    """List the files that match the patterns, those last written to at the end."""
    found = {Path(name) for pattern in patterns for name in glob.glob(pattern, recursive=True)}
    written = []
    for path in found:
        try:
            if path.is_file():
                written.append((path.stat().st_mtime_ns, path))
        except OSError:  # rotated away since it was listed: the next look finds its new name
            continue
    return [path for _, path in sorted(written)]
