"""Whose jobs a person may see: part of every question, applied where its rows are made.

No scope (None) sees everything, and one that names nothing sees nothing: whoever forgets to fill it
in shows too little. The `public` one sees totals only; `public.py` hides what few people make up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clickhouse.errors import QuestionError

FEWEST_PEOPLE = 5  # that a figure for the public must stand on
# What a query says that is for nobody in particular.
EVERYTHING = '{"pychart_scope":"all"}'
NUMBER = "pychart_number"  # of the rollups that are made for a scope, beside its names
ALONE = "pychart_named"  # has the names where rows of that number are all that is asked for
KINDS = ("user", "group", "metagroup", "project")  # of names in a scope, in its order
# Dimensions whose values name people, or tell whose jobs they are.
PERSONAL = frozenset(
    {"user", "group", "metagroup", "project", "department", "account", "job_name"}
)  # fmt: skip


@dataclass(frozen=True)
class Scope:
    """Whose jobs may be seen: those of any of these. A Scope that names nothing sees nothing.

    An empty name is nobody's, though a line without a name has it. Raises `QuestionError` for what
    can be no names, and for a public scope with names.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    metagroups: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    public: bool = False  # totals only: no name, no cell of fewer than five people

    def __post_init__(self) -> None:
        """Check the names."""
        for kind, names in self._kinds():
            _check_names(kind, names)
        if self.public and self.by_dimension():
            raise QuestionError("a public scope has no names")

    def by_dimension(self) -> dict[str, tuple[str, ...]]:
        """Give the names under the dimension that each is of, none where there are none."""
        found = {kind: tuple(filter(None, names)) for kind, names in self._kinds()}
        return {kind: names for kind, names in found.items() if names}

    @property
    def is_of_one(self) -> bool:
        """Tell whether it names one user and nothing else."""
        return [len(names) for _, names in self._kinds()] == [1, 0, 0, 0] and self.users != ("",)

    def _kinds(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        names = (self.users, self.groups, self.metagroups, self.projects)
        return zip(KINDS, names, strict=True)


def _check_names(kind: str, names: object) -> None:
    """Refuse a text in the place of a tuple of them, which would be taken for its letters."""
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise QuestionError(f"the {kind}s of a scope are a tuple of texts, not {names!r}")
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise QuestionError(f"{kind}: {name!r} is no text in UTF-8") from None
        if "\0" in name:
            raise QuestionError(f"{kind}: {name!r} has a NUL character")


def refuse_public(scope: Scope | None, what: str) -> None:
    """Refuse the public what would tell of single people."""
    if scope is not None and scope.public:
        raise QuestionError(f"{what}: not for the public, who see totals only")


def refuse_personal(scope: Scope | None, dimensions: Iterable[str]) -> None:
    """Refuse the public dimensions whose values name people."""
    for name in dimensions:
        if name in PERSONAL:
            refuse_public(scope, name)


def settings_of(scope: Scope | None, number: int = 0, *, alone: bool = False) -> dict[str, str]:
    """Say to a server's row policies for whom a query is: without a scope as its connection says.

    `number` is that of the rollups that are made for the scope. Of nothing but their rows, `alone`,
    no policy has to compare names, which are then said for the log only. Totals for the public are
    made of everybody's rows.
    """
    if scope is None or scope.public:
        return {}
    named: dict[str, Any] = {key_of(kind): names for kind, names in scope.by_dimension().items()}
    said: dict[str, Any] = {"pychart_scope": "names"} | ({ALONE: named} if alone else named)
    if number:
        said[NUMBER] = number
    return {"log_comment": json.dumps(said, ensure_ascii=False)}


def key_of(kind: str) -> str:
    """Name what holds the users, groups, … of a scope in the setting `log_comment`."""
    return f"pychart_{kind}s"
