"""Wall time on the days that jobs ran, where days are longer, shorter or begin at another hour."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from clickhouse.query import Question, ask
from clickhouse.settings import ClusterSettings
from ingest.loader import load_file
from tests.helpers import line, warehouse

# cluster: its zone, start and end of a job there, and the hours that it ran on each day
JOBS = {
    "spring": ("Europe/Paris", (2018, 3, 24, 12), (2018, 3, 26, 12), [12, 23, 12]),
    "autumn": ("Europe/Paris", (2018, 10, 27, 12), (2018, 10, 29, 12), [12, 25, 12]),
    "no midnight": ("America/Sao_Paulo", (2018, 11, 3, 12), (2018, 11, 5, 12), [12, 23, 12]),
    "a last hour twice": ("America/Sao_Paulo", (2018, 2, 17, 12), (2018, 2, 18, 12), [13, 12]),
    "quarters": ("Asia/Kathmandu", (2018, 1, 1, 23), (2018, 1, 2, 1), [1, 1]),
    # clocks go back at 00:01, so that it ends on the day before the one on which it began
    "the day before": ("America/Goose_Bay", (2010, 11, 7, 0), 1800, [0.5]),
    "midnights": ("Europe/Paris", (2018, 5, 1, 0), (2018, 5, 3, 0), [24, 24]),
}


def seconds(at: tuple[int, ...], zone: str) -> int:
    return int(datetime(*at, tzinfo=ZoneInfo(zone)).timestamp())  # type: ignore[arg-type]


def test_days_of_any_length(database_url: str, tmp_path: Path) -> None:
    clusters = {name: ClusterSettings(timezone=zone) for name, (zone, *_) in JOBS.items()}
    with warehouse(database_url, clusters=clusters) as opened:
        for name, (zone, start, end, _) in JOBS.items():
            began = seconds(start, zone)
            ended = began + end if isinstance(end, int) else seconds(end, zone)
            job = line(submission_time=began, start_time=began, end_time=ended, slots=2)
            (tmp_path / name).write_bytes(job + b"\n")
            load_file(opened, name, tmp_path / name)
        question = Question(("wall_hours", "core_hours"), ("cluster", "day"), booked="spread")
        rows = [tuple(row.values()) for row in ask(opened, question).to_pylist()]
    for name, (_, start, _, hours) in JOBS.items():
        first = date(*start[:3]) - timedelta(days=name == "the day before")
        days = [first + timedelta(days=number) for number in range(len(hours))]
        expected = [(day, each, 2 * each) for day, each in zip(days, hours, strict=True)]
        found = [tuple(row[1:]) for row in rows if row[0] == name and row[2]]
        assert found == expected, name


def test_parts_of_a_second_are_spread_too(database_url: str, tmp_path: Path) -> None:
    midnight = 1514851200  # 2018-01-02 00:00 UTC
    times = {"start_time": (midnight - 2) * 1000 + 750, "end_time": midnight * 1000 + 500}
    with warehouse(database_url) as opened:
        job = line(74, submission_time=(midnight - 9) * 1000, **times)
        (tmp_path / "accounting").write_bytes(job + b"\n")
        load_file(opened, "default", tmp_path / "accounting")
        rows = ask(opened, Question(("wall_hours",), ("day",), booked="spread")).to_pylist()
    assert [row["wall_hours"] * 3600 for row in rows] == pytest.approx([1.25, 0.5], abs=1e-6)
