"""Finds the lines of a block that the database refuses, so that all the others get in."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from clickhouse.connection import Warehouse
from clickhouse.errors import DataRefused, WarehouseMisconfigured
from ingest import rowbinary
from ingest.tail import Block

MOST_REFUSED = 100  # lines of one block: more is a fault of the tables, not of the data
COLUMNS = ("cluster", "file_id", "generation", "offset", "line", "reason")


@dataclass
class Isolation:
    """One refused block being taken apart; `refused` are its lines, with what the database said."""

    insert: Callable[[Block], None]
    refused: list[tuple[Block, DataRefused]]

    def halve(self, block: Block, error: DataRefused) -> None:
        """Insert both halves of a block that was refused, and go on where one is refused again."""
        cut = _middle(block.data)
        if not cut:
            self.refused.append((block, error))
            if len(self.refused) > MOST_REFUSED:
                raise WarehouseMisconfigured(
                    f"more than {MOST_REFUSED} lines of one batch are refused: {error}", error.code
                )
            return
        for half in _split(block, cut):
            try:
                self.insert(half)
            except DataRefused as again:
                self.halve(half, again)


def _middle(data: bytearray) -> int:
    """Give where the line in the middle ends, or begins; 0 where there is but one line."""
    cut = data.find(b"\n", len(data) // 2) + 1
    if 0 < cut < len(data):
        return cut
    return data.rfind(b"\n", 0, len(data) // 2) + 1


def _split(block: Block, cut: int) -> tuple[Block, Block]:
    return (
        Block(block.offset, block.data[:cut]),
        Block(block.offset + cut, block.data[cut:]),
    )


def reject(
    warehouse: Warehouse,
    cluster: str,
    file_id: str,
    generation: int,
    refused: list[tuple[Block, DataRefused]],
) -> None:
    """Keep refused lines with the rejects, each with what the database said of it."""
    place = rowbinary.text(cluster.encode()) + rowbinary.text(file_id.encode())
    rows = b"".join(
        place
        + rowbinary.uint32(generation)
        + rowbinary.uint64(block.offset)
        + rowbinary.text(bytes(block.data).removesuffix(b"\n"))
        + rowbinary.text(_said(error).encode())
        for block, error in refused
    )
    if rows:
        warehouse.insert("rejected_lines", COLUMNS, io.BytesIO(rows))


def _said(error: DataRefused) -> str:
    """Give the server's own words, without the address before them."""
    return f"refused by the database: {str(error).partition(': ')[2]}"
