"""Lets people ask in SQL: one SELECT over the views, of functions that are known to do no harm.

A database user who may only read is not enough: `SELECT file('/etc/passwd')` reads a file for
anyone, and the embedded engine has no users. So a statement is looked at before it runs, with the
engine's own parser: the text travels as a bound value to `formatQuery`, which takes exactly one
statement and writes it anew, without comments; what that is made of is read from `EXPLAIN AST`.
Whatever is not in `allowed.txt` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from clickhouse.connection import EMBEDDED_DATABASE, Warehouse
from clickhouse.errors import QuestionError, WarehouseError
from clickhouse.migrate import INTERFACE
from clickhouse.scope import Scope, refuse_public

MOST_CHARACTERS = 20_000
SYNTAX_ERROR, UNSET_PARAMETER = 62, 456
TABLE_FUNCTIONS = frozenset({"numbers"})
REFUSALS = {
    "Set": "SETTINGS are not for this page",
    "QueryParameter": "a {parameter} has no value here; write the value itself",
    "ColumnsApplyTransformer": "APPLY is not for this page; name the columns",
}
# Aggregate functions in these variants do no more than the plain ones.
COMBINATORS = (
    "If", "Array", "Distinct", "OrDefault", "OrNull", "ForEach", "Map", "ArgMin", "ArgMax",
)  # fmt: skip
_MEMBERSHIP = re.compile(r"(?i)(global)?(null|not|notnull)?in(ignoreset)?")
_NODE = re.compile(r"( *)(\S+)(?: (.*?))??(?: \(alias (.*?)\))?(?: \(children (\d+)\))?")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|`((?:[^`\\]|\\.)*)`|\"((?:[^\"\\]|\\.)*)\"", re.S)
_EXPLAIN = re.compile(
    r"EXPLAIN(?: (?:PLAN|PIPELINE|SYNTAX|AST|QUERY TREE|ESTIMATE))?(?: \w+ = \d+,?)*\s+"
)
_DESCRIBE = re.compile(r"(?:DESCRIBE|DESC)(?: TABLE)? (\S+)")
ONE_STATEMENT = "only one SELECT, WITH … SELECT, EXPLAIN SELECT or DESCRIBE is answered here"


@dataclass
class Node:
    """One piece of a parsed statement, as EXPLAIN AST lists it."""

    kind: str
    name: str
    children: list[Node] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """Give the node and all that is below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def check(warehouse: Warehouse, statement: str, scope: Scope | None = None) -> str:
    """Give the statement as the engine reads it; raises `QuestionError` where it may not be run.

    A syntax error is a `QuestionError` too, with the engine's words. Within a scope there is no
    EXPLAIN, which counts rows that are not to be seen.
    """
    refuse_public(scope, "SQL")
    sql = _written_anew(warehouse, statement)
    if described := _DESCRIBE.fullmatch(sql):
        _refuse_table(described[1], _database(warehouse), set())
        return sql
    explained = _EXPLAIN.match(sql)
    if explained and scope is not None:
        raise QuestionError("EXPLAIN counts the rows of all, and is for those who may see them")
    query = sql[explained.end() :] if explained else sql
    _refuse_odd_names(query)
    database = _database(warehouse)
    _refuse_unknown(_parse(_ast(warehouse, query)), query, database)
    return sql


def _written_anew(warehouse: Warehouse, statement: str) -> str:
    """Let the engine read exactly one statement; it comes back on one line, without comments."""
    if not statement.strip():
        raise QuestionError("there is no statement")
    if len(statement) > MOST_CHARACTERS:
        raise QuestionError(f"a statement has at most {MOST_CHARACTERS:,} characters")
    if "\0" in statement:
        raise QuestionError("the statement has a NUL character")
    try:
        # the text is a value here, whatever is in it
        written = warehouse.text(
            "SELECT formatQuerySingleLine({statement:String})", "TSVRaw", {"statement": statement}
        )
    except WarehouseError as error:
        raise _syntax_error(error) from error
    return written.decode("utf-8", "replace").removesuffix("\n")


def _syntax_error(error: WarehouseError) -> QuestionError | WarehouseError:
    if error.code != SYNTAX_ERROR:
        return error
    words = str(error)
    if "Multi-statements" in words:
        return QuestionError(ONE_STATEMENT)
    found = re.search(r"failed at position (\d+) \((.*?)\): ", words, re.DOTALL)
    if not found:
        return QuestionError(words[words.find("Syntax error") :])
    expected = re.search(r"Expected (?:one of: )?(.{1,120}?)(?:: In scope|, \S*$|$)", words)
    hint = f"; expected {expected[1].removesuffix(':')}" if expected else ""
    return QuestionError(f"syntax error at character {found[1]}, near {found[2]!r}{hint}")


def _ast(warehouse: Warehouse, query: str) -> list[str]:
    """Let the engine take the query apart, within parentheses: only a SELECT fits there."""
    try:
        found = warehouse.text(f"EXPLAIN AST SELECT * FROM ({query})", "TSVRaw")
    except WarehouseError as error:
        if error.code == SYNTAX_ERROR:
            raise QuestionError(_why_not(query)) from error
        if error.code == UNSET_PARAMETER:
            raise QuestionError(REFUSALS["QueryParameter"]) from error
        raise
    return found.decode("utf-8", "replace").rstrip("\n").split("\n")


def _why_not(query: str) -> str:
    if re.match(r"(SELECT|WITH|\()", query) and re.search(r"\b(FORMAT|OUTFILE)\b", query):
        return "FORMAT and INTO OUTFILE have no place here; results are downloaded with the buttons"
    return ONE_STATEMENT


def _refuse_odd_names(query: str) -> None:
    """Refuse what could look like another line of the tree: line ends within names."""
    for quoted in _QUOTED.finditer(query):
        name = quoted[1] or quoted[2] or ""
        if "\\" in name or not name.isprintable():
            raise QuestionError("a name within quotes has a backslash or a control character")
    if not _QUOTED.sub("''", query).replace("\n", " ").isprintable():
        raise QuestionError("the statement has a control character")


def _parse(lines: Sequence[str]) -> Node:
    """Make a tree of the lines; their indents and their counts of children must agree."""
    root, expected = Node("", ""), [(-1, Node("", ""), 1)]
    expected[0] = (-1, root, 1)
    for line in lines:
        found = _NODE.fullmatch(line)
        if not found:
            raise QuestionError(f"this page cannot tell what {line.strip()[:60]!r} is")
        depth = len(found[1])
        while expected[-1][0] >= depth:
            _complete(*expected.pop()[1:])
        node = Node(found[2], found[3] or "")
        expected[-1][1].children.append(node)
        expected.append((depth, node, int(found[5] or 0)))
    while expected:
        _complete(*expected.pop()[1:])
    # the first one is what stands within the parentheses
    return next(node for node in root.walk() if node.kind == "Subquery")


def _complete(node: Node, count: int) -> None:
    if len(node.children) != count:
        raise QuestionError("this page cannot take the statement apart")


def _refuse_unknown(tree: Node, query: str, database: str) -> None:
    common = set(re.findall(r"\b(\w+) AS (?:MATERIALIZED )?\(", query)) | set(
        re.findall(r"`(\w+)` AS \(", query)
    )
    for node in tree.walk():
        if node.kind not in allowed()["nodes"]:
            raise QuestionError(REFUSALS.get(node.kind, f"{node.kind} is not for this page"))
        if node.kind == "TableIdentifier":
            _refuse_table(node.name, database, common)
        if node.kind == "TableExpression":
            _refuse_table_function(node)
        elif node.kind == "Function":
            _refuse_function(node, database, common)
        _refuse_union(node)


def _refuse_union(node: Node) -> None:
    """Refuse whatever a whole query has besides its SELECTs."""
    if node.kind == "SelectWithUnionQuery" and [c.kind for c in node.children] != [
        "ExpressionList"
    ]:
        raise QuestionError(ONE_STATEMENT)


def _refuse_table_function(expression: Node) -> None:
    for child in expression.children:
        if child.kind == "Function" and child.name not in TABLE_FUNCTIONS:
            raise QuestionError(f"the table function {child.name} is not for this page")


def _refuse_function(node: Node, database: str, common: set[str]) -> None:
    if not is_harmless(node.name):
        raise QuestionError(f"the function {node.name} is not for this page")
    # what stands right of IN can be a table's name, or a function that gives a table
    if _MEMBERSHIP.fullmatch(node.name) and node.children:
        right = node.children[0].children[1:2]
        if right and right[0].kind == "Identifier":
            _refuse_table(right[0].name, database, common)


def _refuse_table(name: str, database: str, common: set[str]) -> None:
    """Let views through, of this database, and what a WITH names."""
    views = {*INTERFACE, *(f"{database}.{view}" for view in INTERFACE), *common}
    if name.replace("`", "") not in views:
        raise QuestionError(f"{name} is none of the views {', '.join(INTERFACE)}")


def _database(warehouse: Warehouse) -> str:
    if warehouse.embedded:
        return EMBEDDED_DATABASE
    return warehouse.settings.database.rstrip("/").rsplit("/", 1)[-1]


def is_harmless(function: str) -> bool:
    """Tell whether a function, or the one that it is a variant of, is on the list."""
    if function in TABLE_FUNCTIONS or function.lower() in allowed()["plain"]:
        return True
    return _is_aggregate(function)


def _is_aggregate(function: str) -> bool:
    if function.lower() in allowed()["aggregate"]:
        return True
    return any(
        function.endswith(ending) and _is_aggregate(function.removesuffix(ending))
        for ending in COMBINATORS
    )


@cache
def allowed() -> dict[str, frozenset[str]]:
    """Read what a statement may be made of: `nodes`, and functions in small letters."""
    found: dict[str, list[str]] = {}
    for line in files("clickhouse").joinpath("allowed.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif line and not line.startswith("#"):
            found.setdefault(kind, []).extend((line if kind == "nodes" else line.lower()).split())
    return {name: frozenset(names) for name, names in found.items()}
