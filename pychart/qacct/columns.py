"""What qacct can split and limit its table by, in the order of the table's columns."""

from __future__ import annotations

from dataclasses import dataclass

# What Grid Engine writes where there is no value, and the warehouse stores as the empty string.
ABSENT_WORDS = frozenset({b"NONE", b"UNKNOWN", b"(null)"})
ABSENT = {
    "qname": b"UNKNOWN",
    "hostname": b"UNKNOWN",
    "job_name": b"UNKNOWN",
    "account": b"UNKNOWN",
}


@dataclass(frozen=True)
class Column:
    """One column: qacct's option, its title in the table, and the field of accounting(5)."""

    option: str
    title: bytes
    field: str
    is_number: bool = False

    @property
    def sql(self) -> str:
        """The stored column; `group` is a word of SQL."""
        return f"`{self.field}`"


HOST = Column("-h", b"HOST", "hostname")
QUEUE = Column("-q", b"CLUSTER QUEUE", "qname")
GROUP = Column("-g", b"GROUP", "group")
SLOTS = Column("-slots", b"SLOTS", "slots", is_number=True)
RESERVATION = Column("-ar", b"AR", "arid", is_number=True)
ACCOUNT = Column("-A", b"ACCOUNT", "account")
COLUMNS = (
    HOST,
    QUEUE,
    GROUP,
    Column("-o", b"OWNER", "owner"),
    Column("-P", b"PROJECT", "project"),
    Column("-D", b"DEPARTMENT", "department"),
    Column("-pe", b"PE", "granted_pe"),
    SLOTS,
    RESERVATION,
    ACCOUNT,
)


def shown(field: str, stored: bytes) -> bytes:
    """Give a stored text as Grid Engine wrote it."""
    return stored or ABSENT.get(field, b"NONE")


def stored(field: str, word: bytes) -> bytes | None:
    """Give the stored text of a word as Grid Engine writes it; None where no line has it."""
    if word == ABSENT.get(field, b"NONE"):
        return b""
    return None if not word or word in ABSENT_WORDS else word
