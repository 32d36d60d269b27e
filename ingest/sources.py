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
from collections.abc import Iterable, Iterator
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
def open_source(path: Path, *, complete: bool = False) -> Iterator[Source]:
    """Open a file, or standard input for `-`, and decompress it if its first bytes say so.

    `complete` says that nothing will be appended; it is so of compressed files and pipes anyway.
    """
    try:
        with _open_raw(path) as raw:
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
