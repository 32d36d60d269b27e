"""Wall time on the days that jobs ran."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from clickhouse.connection import Warehouse
from clickhouse.query import Filter, Period, Question, ask, to_sql
from tests.answers.shared import JOBS, ZONE, asked
from tests.helpers import NAMES

DAY = timedelta(days=1)


def ran_on(content: bytes) -> dict[tuple[str, date], float]:
    """Wall seconds by owner and day, cut at midnight in Paris, from the lines alone."""
    found: dict[tuple[str, date], float] = defaultdict(float)
    for text in content.decode().splitlines():
        fields = dict(zip(NAMES, text.split(":"), strict=True))
        start, end = int(fields["start_time"]), int(fields["end_time"])
        if fields["pe_taskid"] != "NONE" or start == 0 or end < start:
            continue
        while start < end:
            day = datetime.fromtimestamp(start, UTC).astimezone(ZONE).date()
            after = datetime.combine(day + DAY, datetime.min.time(), ZONE)
            until = min(end, int(after.timestamp()))
            found[fields["owner"], day] += until - start
            start = until
    return dict(found)


def test_spread_wall_time_is_what_ran_on_each_day(db: Warehouse) -> None:
    true = ran_on(JOBS)
    question = Question(("wall_hours",), ("user", "day"), booked="spread")
    found = {
        (row["user"], row["day"]): row["wall_hours"] * 3600 for row in ask(db, question).to_pylist()
    }
    assert {at: seconds for at, seconds in found.items() if seconds} == pytest.approx(
        true, rel=1e-12
    )
    period = Period(date(2018, 1, 10), date(2018, 2, 3))
    [(hours,)] = asked(db, "wall_hours", period=period, booked="spread")
    inside = sum(s for (_, day), s in true.items() if date(2018, 1, 10) <= day < date(2018, 2, 3))
    assert hours * 3600 == pytest.approx(inside, rel=1e-12)
    monday = sum(s for (_, day), s in true.items() if day.isoweekday() == 1)
    filters = (Filter("weekday", ("1",)),)
    assert asked(db, "wall_hours", filters=filters, booked="spread") == [
        (pytest.approx(monday / 3600, rel=1e-12),)
    ]


def test_spread_days_add_up_to_what_is_booked_at_the_end(db: Warehouse) -> None:
    metrics = ("wall_hours", "core_hours", "lost_core_hours")
    for by in ("cluster", "user", "parallel_class", "slots", "outcome", "sub_cluster"):
        booked = {row[0]: row[1:] for row in asked(db, *metrics, by=(by,))}
        spread = {row[0]: row[1:] for row in asked(db, *metrics, by=(by,), booked="spread")}
        for name, figures in spread.items():
            assert figures == pytest.approx(booked[name], rel=1e-12), (by, name)
        assert set(booked) - set(spread) <= {n for n, figures in booked.items() if not any(figures)}
    by_month = asked(db, *metrics, by=("month", "parallel_class"), booked="spread")
    for number in range(3):
        total = asked(db, metrics[number])[0][0]
        assert sum(row[2 + number] for row in by_month) == pytest.approx(total, rel=1e-12)


def test_spread_periods_add_up(db: Warehouse) -> None:
    """Of each class apart: the nodes of an attempt are told by lines of other days."""
    months = [Period(date(2017, 11, 1), date(2018, 1, 20)), Period(date(2018, 1, 20), None)]
    for name in ("parallel_class", "academic_year"):
        every = dict(asked(db, "core_hours", by=(name,), booked="spread"))
        found: dict[Any, float] = defaultdict(float)
        for period in months:
            for value, hours in asked(db, "core_hours", by=(name,), booked="spread", period=period):
                found[value] += hours
        assert found == pytest.approx(every, rel=1e-12)


def test_spread_metagroups_and_cores_in_use(db: Warehouse) -> None:
    booked = dict(asked(db, "core_hours", by=("metagroup",)))
    assert dict(asked(db, "core_hours", by=("metagroup",), booked="spread")) == pytest.approx(
        booked
    )
    period = Period.parse("2018-01")
    [(hours, cores)] = asked(db, "core_hours", "cores_in_use", period=period, booked="spread")
    assert cores == pytest.approx(hours / 24 / 31)
    assert to_sql(db, Question(("core_hours",), booked="spread"))[2].tables == ("lines",)
