"""How long standard questions take, from rollups and from the lines, and whether both say the same.

    python -m benchmarks.questions --database chdb:///path/to/folder --runs 5 [--random 200]

The database must be loaded, and its rollups fresh (`pychart load` leaves them so). Medians of wall
time in milliseconds, planning included; the lines are asked once.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Iterator

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from clickhouse.query import Filter, Period, Question, ask, explain, values
from clickhouse.rollups import refresh
from clickhouse.settings import load_settings

FIVE = ("jobs", "core_hours", "cpu_hours", "wait_avg", "duration_avg")
YEAR = Period.parse("2020")


def standard(user: str) -> dict[str, Question]:
    mine = (Filter("user", (user,)),)
    return {
        "totals": Question(("jobs", "wall_hours", "core_hours", "cpu_hours")),
        "by month": Question(("jobs", "core_hours"), ("month",)),
        "by day": Question(("jobs",), ("day",)),
        "five figures by user, top 10": Question(FIVE, ("user",), limit=10),
        "five figures by queue": Question(FIVE, ("queue",)),
        "core hours by node": Question(("core_hours",), ("node",)),
        "memory by year": Question(("memory_avg", "memory_max"), ("year",)),
        "jobs by parallel class": Question(("jobs", "core_hours"), ("parallel_class",)),
        "users by year": Question(("users",), ("year",)),
        "top 10 users by month": Question(("core_hours",), ("user", "month"), limit=10),
        "users and outcomes": Question(("jobs", "core_hours"), ("user", "outcome")),
        "a year by month": Question(("jobs", "core_hours"), ("month",), YEAR),
        "a year by week": Question(("jobs", "core_hours"), ("week",), YEAR),
        "a user by month and queue": Question(("jobs",), ("month", "queue"), filters=mine),
        "a user's nodes": Question(("jobs",), ("node",), filters=mine),
        "medians by queue, a year": Question(("wait_median",), ("queue",), YEAR),
    }


def measure(db: Warehouse, runs: int) -> None:
    questions = standard(values(db, "user", limit=1)[0])
    print(f"{'question':32} {'rollups':>9} {'lines':>9}  read")
    for name, question in questions.items():
        took = [explain(db, question) for _ in range(runs)]
        exact = Question(**{**vars(question), "exact": True})
        lines = explain(db, exact)
        differ(db, question)
        median = statistics.median(each.seconds for each in took) * 1e3
        print(f"{name:32} {median:6.0f} ms {lines.seconds * 1e3:6.0f} ms  {took[0]}", flush=True)


def differ(db: Warehouse, question: Question) -> None:
    """Fail where both ways do not agree; sums of floats may differ in their last digits."""
    found = ask(db, question).to_pylist()
    true = ask(db, Question(**{**vars(question), "exact": True})).to_pylist()
    close = len(found) == len(true) and all(
        math.isclose(a, b, rel_tol=1e-9)
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for one, other in zip(found, true, strict=True)
        for a, b in zip(one.values(), other.values(), strict=True)
    )
    if not close:
        raise SystemExit(f"rollups and lines differ: {question}")


def randomly(db: Warehouse, count: int) -> Iterator[Question]:
    rng = random.Random(1)
    known = {name: values(db, name, limit=20) for name in ("user", "group", "queue", "project")}
    for _ in range(count):
        named = rng.sample(sorted(name for name in known if known[name]), rng.randrange(3))
        kept = [Filter(n, (rng.choice(known[n]),), rng.random() < 0.3) for n in named]
        months = sorted(rng.sample(range(120), 2))
        span = "..".join(f"{2016 + month // 12}-{month % 12 + 1:02}" for month in months)
        yield Question(
            tuple(rng.sample(sorted(METRICS), rng.randint(1, 4))),
            tuple(rng.sample(sorted(DIMENSIONS), rng.randrange(3))),
            Period.parse(span),
            tuple(kept),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--random", type=int, default=0, help="compare so many random questions")
    options = parser.parse_args()
    with Warehouse(load_settings(database=options.database)) as db:
        print(f"refreshed {refresh(db)}")
        measure(db, options.runs)
        for question in randomly(db, options.random):
            differ(db, question)
        print(f"{options.random} random questions: the same")


if __name__ == "__main__":
    main()
