"""What can go wrong, told once for people: each message is one line with the place and the value.

PychartError
├── ConfigError          a setting, an option or an address that cannot be: file, key and value
├── QuestionError        an unknown metric, dimension, filter or period
├── SourceError          an accounting file that cannot be read
└── WarehouseError       the database refused or failed
    ├── WarehouseBusy          an embedded database that another process has open
    ├── WarehouseUnreachable   a server that does not answer, or not in time; trying again may help
    ├── WarehouseMisconfigured a table, a column, a right or a password is missing: someone must act
    └── DataRefused            a value among the rows of an insert that the database does not take
"""

from __future__ import annotations


class PychartError(Exception):
    """Any failure with a message for people."""


class ConfigError(PychartError):
    """A setting, an option or an address that cannot be."""


class QuestionError(PychartError):
    """A question that names what does not exist."""


class SourceError(PychartError):
    """An accounting file that cannot be read."""


class WarehouseError(PychartError):
    """The database refused or failed; `code` is ClickHouse's error number, 0 where unknown."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class WarehouseBusy(WarehouseError):
    """An embedded database that another process has open."""


class WarehouseUnreachable(WarehouseError):
    """A server that does not answer, or not in time."""


class WarehouseMisconfigured(WarehouseError):
    """A table, a column, a right or a password is missing: trying again alone does not help."""


class DataRefused(WarehouseError):
    """A value among the rows of an insert that the database does not take."""
