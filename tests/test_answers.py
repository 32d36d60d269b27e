"""How answers are written: every format, whatever the names are."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickhouse.errors import QuestionError, SourceError
from clickhouse.query import Question
from pychart.answers import check_format, write

NAMES = ["ann", "o'neil", "[red]x[/red]", "a,b", "\x1b[2Jcleared", "é🦆", "", None]
QUESTION = Question(("jobs", "core_hours"), ("month", "user"), limit=9, other=True)
ANSWER = pa.table(
    {
        "month": pa.array([date(2018, 3, 1)] * len(NAMES), pa.date32()),
        "user": NAMES,
        "jobs": pa.array([8000, 400, 0, 3, 2, 1, 1, 77], pa.uint64()),
        "core_hours": [1.5, None, 0.0, 1.0, 1.0, 1.0, 1.0, 2.25],
        "row": ["part"] * 7 + ["other"],
    }
)


def written(format_name: str, capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    write(format_name, Question(**{**vars(QUESTION), **more}), ANSWER, None)
    return capsys.readouterr().out


def test_a_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = written("table", capsys)
    for name in ("o'neil", "[red]x[/red]", "�[2Jcleared", "é🦆", "(none)", "(other)", "–", "8,000"):
        assert f" {name} " in text
    assert "\x1b" not in text
    assert "2018-03 " in text and "Core time (core-h)" in text
    assert "wall time on the day of the end" in text
    spread = written("table", capsys, metrics=("core_hours",), booked="spread")
    assert "wall time spread over the days that jobs ran" in spread


def test_bars_are_as_long_as_their_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = written("bar", capsys).splitlines()
    assert lines[0] == "Executed jobs"
    bars = [line.count("█") for line in lines[1:9]]
    assert bars[0] == max(map(len, lines[1:9])) - lines[1].index("█") > 10
    assert bars[1] == bars[0] // 20 and bars[2] == 0
    assert lines[9] == "Core time (core-h), wall time on the day of the end"
    assert lines[8].startswith("2018-03, (other)")
    assert all(len(line) <= 60 for line in lines if not line.startswith("Core"))
    write("bar", QUESTION, ANSWER.slice(0, 0), None)
    assert "Executed jobs" in capsys.readouterr().out


def test_csv_and_json_hold_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(written("json", capsys))
    assert [row["user"] for row in rows] == NAMES
    assert rows[0]["month"] == "2018-03"
    found = list(csv.reader(io.StringIO(written("csv", capsys), newline="")))
    assert found[0] == ["month", "user", "jobs", "core_hours", "row"]
    assert [row[1] for row in found[1:]] == [name or "" for name in NAMES]


def test_parquet_keeps_types_labels_and_units(tmp_path: Path) -> None:
    write("parquet", QUESTION, ANSWER, tmp_path / "answer")
    found = pq.read_table(tmp_path / "answer")
    assert found.to_pylist() == ANSWER.to_pylist()
    assert found.schema.field("month").type == pa.date32()
    described = found.schema.field("core_hours").metadata
    assert (described[b"label"], described[b"unit"]) == (b"Core time", b"core-h")
    assert found.schema.metadata[b"booked"] == b"wall time on the day of the end"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="'xls' is none of table, csv, json, bar, parquet"):
        check_format("xls", None)
    with pytest.raises(SourceError, match="answer: No such file or directory"):
        write("csv", QUESTION, ANSWER, tmp_path / "none" / "answer")
