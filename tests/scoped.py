"""What tests of scopes share: lines, settings that name people, questions, how to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from clickhouse import records
from clickhouse.connection import Warehouse
from clickhouse.distributions import TIMES, Bands, Heatmap, Histogram, distribution
from clickhouse.extras import Extras, ask_more
from clickhouse.migrate import migrate
from clickhouse.query import Filter, Period, Question, ask
from clickhouse.records import Search
from clickhouse.rollups import refresh
from clickhouse.scope import Scope
from clickhouse.settings import Settings
from ingest.loader import load_file
from pychart import demo
from tests import helpers

ALL = Period()
# alice, bruno, … of the live cell; the others are of the demo
METAGROUPS: dict[str, Any] = {
    "labs": {"groups": ["chimie", "rmn"], "users": ["emile"]},
    "until": {"members": [{"group": "biologie", "until": "2025-01-01"}]},
    "within": {"members": [{"group": "physique", "since": "2024-10-15"}]},
    "left": {"members": [{"group": "physique", "until": "2024-10-15"}]},
    "theirs": {"members": [{"group": "info", "clusters": [helpers.CLUSTER]}]},
    "elsewhere": {"members": [{"group": "maths", "clusters": ["other"]}]},
}
CLUSTERS: dict[str, Any] = {
    helpers.CLUSTER: {"timezone": "Europe/Paris", "queues": ["unused.q"]},
    "other": {},
}
MIXED = {
    "user": Scope(users=("alice", "emile")),
    "correspondent": Scope(groups=("info",), metagroups=("labs", "until"), projects=("climate",)),
}
SEEN = {  # by hand: over `lines`
    "user": "owner IN ('alice', 'emile')",
    "correspondent": "`group` IN ('info', 'chimie', 'rmn') OR owner = 'emile'"
    " OR project = 'climate' OR `group` = 'biologie' AND day < '2025-01-01'",
}
YEAR = Period.parse("2024")
QUESTIONS = {
    "totals": Question(("jobs", "core_hours", "users", "groups")),
    "by month": Question(("jobs", "attempts"), ("month",)),
    "by day": Question(("cpu_hours",), ("day",), YEAR),
    "users": Question(("jobs", "wait_avg"), ("user",), limit=3),
    "the rest": Question(("core_hours",), ("queue", "year"), limit=2, other=True),
    "some users' nodes": Question(
        ("jobs",), ("node",), filters=(Filter("user", ("alice", "emile", "bruno")),)
    ),
    "medians": Question(("wait_median", "jobs"), ("queue",)),
    "metagroups": Question(("core_hours",), ("metagroup",)),
    "nodes": Question(("jobs",), ("node",), filters=(Filter("outcome", ("done",)),)),
    "distinct": Question(("distinct_jobs",), ("outcome",), rows_behind=True),
    "lines": Question(("jobs", "ram_max"), ("parallel_class",), exact=True),
    "over days": Question(("wall_hours",), ("month",), YEAR, booked="spread"),
}
OTHERS: dict[str, Callable[[Warehouse, Question], pa.Table]] = {
    "histogram": lambda db, q: distribution(
        db, Histogram("wait", TIMES, ("queue",), ALL, q.filters, exact=True, scope=q.scope)
    ),
    "bands": lambda db, q: distribution(
        db, Bands("duration", "month", filters=q.filters, exact=True, scope=q.scope)
    ),
    "heatmap": lambda db, q: distribution(
        db, Heatmap("jobs", "queue", "user", 5, filters=q.filters, scope=q.scope)
    ),
    "extras": lambda db, q: ask_more(
        db,
        replace(q, metrics=("jobs",), dimensions=("month",), period=YEAR),
        Extras(fill=True, versus="previous", share=True, total=True),
    ),
    "search": lambda db, q: (
        records.search(
            db, Search(date(2000, 1, 1), date(2030, 1, 1), filters=q.filters, scope=q.scope), 50
        ).table
    ),
    "values": lambda db, q: ask(db, replace(q, metrics=("attempts",), dimensions=("job_name",))),
}


def write_lines(file: Path, sample: Path) -> None:
    """Write the live cell's lines and 2,000 of the demo, one of them unreadable."""
    demo.write_demo(file, 1200, 2, 5)
    file.write_bytes(sample.read_bytes() + b"secret:of:somebody\n" + file.read_bytes())


def filled(url: str, lines: Path) -> Warehouse:
    """Open a database that holds them, its rollups fresh."""
    opened = Warehouse(
        Settings(database=url, clusters=CLUSTERS, metagroups=METAGROUPS), create=True
    )
    migrate(opened)
    load_file(opened, helpers.CLUSTER, lines)
    refresh(opened)
    return opened


def same(one: pa.Table, other: pa.Table) -> None:
    """Compare answers, floats but for their last digits, rows in any order."""
    assert one.column_names == other.column_names
    left, right = (sorted(map(rounded, each.to_pylist()), key=repr) for each in (one, other))
    assert left == right


def rounded(row: dict[str, Any]) -> list[Any]:
    return [f"{each:.6g}" if isinstance(each, float) else each for each in row.values()]
