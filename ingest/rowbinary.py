"""Values as ClickHouse's RowBinary has them: any bytes are a text, which no other format allows."""

from __future__ import annotations

import struct


def text(content: bytes) -> bytes:
    """Encode a String."""
    return length(len(content)) + content


def length(number: int) -> bytes:
    """Encode an unsigned number as LEB128, as stands before a String."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def uint64(number: int) -> bytes:
    """Encode a UInt64."""
    return struct.pack("<Q", number)


def uint32(number: int) -> bytes:
    """Encode a UInt32."""
    return struct.pack("<I", number)
