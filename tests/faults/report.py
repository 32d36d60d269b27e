"""The table as people read it, and its place in docs/reliability.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.faults.case import Verdict
from tests.faults.matrix import Fault

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reliability.md"


def heading() -> str:
    return (
        f"| {'#':>2} | {'fault':<56} | {'engine':<8} | runs | {'lines':>9} | lost | doubled |"
        f" {'s':>5} | verdict |\n|---:|{'-' * 58}|{'-' * 10}|-----:|{'-' * 10}:|-----:|--------:|"
        f"{'-' * 6}:|---------|"
    )


def row(which: Fault, engine: str, verdict: Verdict, seconds: float) -> str:
    word = "holds" if verdict.holds else "FAILS"
    note = f" ({verdict.note})" if verdict.note else ""
    return (
        f"| {which.number:>2} | {which.name + note:<56} | {engine:<8} | {verdict.runs:>4} |"
        f" {verdict.lines:>9,} | {verdict.lost:>4} | {verdict.doubled:>7} | {seconds:>5.0f} |"
        f" {word:<7} |"
    )


def merged(rows: Iterable[str]) -> str:
    """The table of the document with these rows in place of what it had of the same faults."""
    kept = [line for line in read("faults").splitlines() if re.match(r"\|\s*\d", line)]
    new = list(rows)
    replaced = {_key(line) for line in new}
    kept = [line for line in kept if _key(line) not in replaced]
    return "\n".join([heading(), *sorted([*kept, *new], key=_key)])


def _key(line: str) -> tuple[int, str, str]:
    """Number, name without the note after it, engine."""
    number, name, engine = (cell.strip() for cell in line.split("|")[1:4])
    return int(number), re.sub(r" \([^()]*\)$", "", name), engine


def read(section: str) -> str:
    """What stands between the markers of a section of docs/reliability.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return text.split(f"<!-- {section}: begin -->")[1].split(f"<!-- {section}: end -->")[0]


def write(section: str, text: str) -> None:
    """Put `text` between the markers of a section of docs/reliability.md."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    after, count = pattern.subn(lambda _: f"{begin}\n{text}\n{end}", before)
    if count != 1:
        raise ValueError(f"{DOCUMENT}: no section {section!r}")
    DOCUMENT.write_text(after, encoding="utf-8")
