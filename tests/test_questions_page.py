"""The page on questions: its examples run and print what it says, its tables list all there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clickhouse.columns import CHANGE, CHANGE_PERCENT, PREVIOUS, ROW, ROWS, ROWS_SHARE, SHARE
from clickhouse.dimensions import DIMENSIONS, Dimension
from clickhouse.metrics import METRICS
from tests.helpers import load_bytes, warehouse

PAGE = (Path(__file__).parent.parent / "docs" / "questions.md").read_text()
EXAMPLE = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
PATH = "chdb:///var/lib/pychart/warehouse"


def metric_rows() -> list[str]:
    return [
        f"| `{name}` | {metric.label} | {metric.unit} | {metric.formula} |"
        for name, metric in METRICS.items()
    ]


def dimension_rows() -> list[str]:
    return [f"| `{name}` | {each.label} | {_kind(each)} |" for name, each in DIMENSIONS.items()]


def _kind(dimension: Dimension) -> str:
    kind = {"String": "a name", "Date": "a day, the first of it"}.get(dimension.type, "a number")
    kind = "seconds" if dimension.unit == "s" else kind
    kind += ", a line can have several" if dimension.is_many else ""
    return kind + (", or none" if dimension.can_lack else "")


@pytest.mark.parametrize("rows", [metric_rows(), dimension_rows()], ids=["metrics", "dimensions"])
def test_the_page_lists_all_there_is(rows: list[str]) -> None:
    listed = re.findall(r"^\| `[a-z].*$", PAGE, re.MULTILINE)
    assert [line for line in listed if line.count("|") == rows[0].count("|")] == rows


def test_columns_are_named_as_the_page_says() -> None:
    for ending in (ROWS, ROWS_SHARE, SHARE, PREVIOUS, CHANGE, CHANGE_PERCENT):
        assert f"`…{ending}`" in PAGE
    assert f"`{ROW}`" in PAGE


def test_the_examples_print_what_the_page_says(
    database_url: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warehouse(database_url) as opened:
        load_bytes(opened, tmp_path / "accounting", sample.read_bytes())
    scope: dict[str, object] = {}
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) > 2 and PATH in examples[0][0]
    for code, printed in examples:
        exec(compile(code.replace(PATH, database_url), "questions.md", "exec"), scope)
        assert capsys.readouterr().out == printed
