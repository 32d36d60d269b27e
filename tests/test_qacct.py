"""Totals equal qacct's, each row to its last printed digit: of the live sample and of demo data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clickhouse.connection import Warehouse
from clickhouse.query import Question, ask
from ingest.loader import load_file
from pychart.demo import write_demo
from tests.helpers import CLUSTER, warehouse

# qacct's option, accounting(5)'s field, and the dimension of a question
SPLITS = {
    "-o": ("owner", "user"),
    "-g": ("`group`", "group"),
    "-q": ("qname", "queue"),
    "-h": ("hostname", "node"),
    "-P": ("if(project = '', 'NONE', project)", "project"),
    "-D": ("department", "department"),
    "-pe": ("if(granted_pe = '', 'NONE', granted_pe)", "pe"),
    "-slots": ("toString(slots)", "slots"),
}
FIELDS = ("ru_wallclock", "ru_utime", "ru_stime", "cpu", "mem", "io", "iow")


def printed(text: str) -> dict[str, list[str]]:
    """Read a table of qacct: the figures of each row by its name, '' for the grand total."""
    rows = text.splitlines()
    rule = next(i for i, row in enumerate(rows) if row.startswith("==="))
    cells = [row.split() for row in rows[rule + 1 :] if row.strip()]
    return {" ".join(row[:-7]): row[-7:] for row in cells}


def stored(db: Warehouse, column: str = "''") -> dict[str, list[str]]:
    """Add up the warehouse's rows in the file's order, as qacct does.

    qacct's own rounding errors are in the last digits that it prints of large sums.
    """
    table = db.arrow(f"SELECT {column} AS name, {', '.join(FIELDS)} FROM records ORDER BY offset")
    names, *fields = (column.to_pylist() for column in table.columns)
    sums: dict[str, list[float]] = {}
    for name, *figures in zip(names, *fields, strict=True):
        before = sums.get(name, [0.0] * len(FIELDS))
        sums[name] = [total + figure for total, figure in zip(before, figures, strict=True)]
    return {
        name: [f"{wall:.0f}", *(f"{x:.3f}" for x in rest)] for name, (wall, *rest) in sums.items()
    }


@pytest.mark.parametrize("option", SPLITS)
def test_the_sample_has_the_totals_of_its_own_qacct(
    database_url: str, sample: Path, option: str
) -> None:
    column, _ = SPLITS[option]
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, sample)
        expected = printed((sample.parent / f"qacct_{option}.txt").read_text())
        assert stored(db, column) == expected
        assert stored(db) == printed((sample.parent / "qacct.txt").read_text())


def test_demo_data_has_the_totals_of_qacct(
    database_url: str, tmp_path: Path, qacct: Callable[..., str]
) -> None:
    path = tmp_path / "accounting"
    summary = write_demo(path, jobs=95_000, years=2, seed=3)
    assert summary.lines > 100_000
    with warehouse(database_url) as db:
        assert load_file(db, CLUSTER, path).records == summary.lines
        for option, (column, _) in SPLITS.items():
            assert stored(db, column) == printed(qacct(path, option)), option


@pytest.mark.parametrize("option", SPLITS)
def test_questions_sum_usage_as_qacct_does(database_url: str, sample: Path, option: str) -> None:
    _, dimension = SPLITS[option]
    expected = printed((sample.parent / f"qacct_{option}.txt").read_text())
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, sample)
        answer = ask(db, Question(("cpu_hours",), (dimension,))).to_pylist()
    cpu = {str(row[dimension]) or "NONE": f"{row['cpu_hours'] * 3600:.3f}" for row in answer}
    assert cpu == {name: figures[3] for name, figures in expected.items()}
