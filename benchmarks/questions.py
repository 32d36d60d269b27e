"""How long standard questions take, from rollups and from the lines, and whether both say the same.

    python -m benchmarks.questions --database chdb:///folder --runs 5 [--random 200] [--first]

The database must be loaded; its rollups are brought up to date first. Medians of wall
time in milliseconds, planning included; the lines are asked once. The engine remembers where a
condition is met; with `--first` it forgets that before each question, as if none had been asked.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from functools import partial

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.distributions import TIMES, Asked, Bands, Heatmap, Histogram, distribution
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
        "medians by queue": Question(("wait_median",), ("queue",)),
        "medians by user": Question(("wait_median",), ("user",)),
        "medians by month": Question(("wait_median",), ("month",)),
        "medians by parallel class": Question(("duration_median",), ("parallel_class",)),
        "medians by power of two of slots": Question(("duration_median",), ("slots_from",)),
        "a user's p90 by queue": Question(("wait_p90",), ("queue",), filters=mine),
        "jobs and three medians by queue": Question(
            ("jobs", "wait_median", "duration_median", "memory_median"), ("queue",)
        ),
    }


DISTRIBUTIONS: dict[str, Asked] = {
    "histogram of waits by queue": Histogram("wait", TIMES, ("queue",)),
    "histogram of memory": Histogram("memory", tuple(float(each) for each in range(50))),
    "quantile bands by month": Bands("duration", "month"),
    "quantile bands by week, a year": Bands("wait", "week", period=YEAR),
    "heatmap: jobs by weekday and hour, a year": Heatmap("jobs", "weekday", "hour", period=YEAR),
}
QUANTILE = re.compile(r"\w+_(median|p90|p99)|p\d+")


@dataclass(frozen=True)
class Took:
    """What an answer took in ms, of which the engine in this process is a part."""

    wall: float
    cpu: float


def measure(db: Warehouse, runs: int, *, lines: bool, first: bool) -> None:
    questions = standard(values(db, "user", limit=1)[0])
    print(f"{'question':42} {'rollups':>9} {'CPU':>9} {'lines':>9}  read")
    for name, question in questions.items():
        report(name, partial(explain, db, question), runs, partial(forget, db, first))
        exact = replace(question, exact=True)
        print(f" {timed(partial(explain, db, exact)).wall:6.0f} ms" if lines else "", end="")
        print(f"  {explain(db, question)}", flush=True)
        if lines:
            differ(db, question)
    for name, asked in DISTRIBUTIONS.items():
        report(name, partial(distribution, db, asked), runs, partial(forget, db, first))
        exact_one = partial(distribution, db, replace(asked, exact=True))
        print(f" {timed(exact_one).wall:6.0f} ms" if lines else "", flush=True)


def forget(db: Warehouse, first: bool) -> None:
    """Have a question answered as when it is the first one with its conditions."""
    if first:
        db.command("SYSTEM DROP QUERY CONDITION CACHE")


def report(name: str, ask_it: Callable[[], object], runs: int, prepare: Callable[[], None]) -> None:
    took = [timed(ask_it, prepare) for _ in range(runs)]
    wall, cpu = (statistics.median(each) for each in zip(*map(astuple, took), strict=True))
    print(f"{name:42} {wall:6.0f} ms {cpu:6.0f} ms", end="")


def timed(ask_it: Callable[[], object], prepare: Callable[[], None] = lambda: None) -> Took:
    prepare()
    began, cpu = time.monotonic(), time.process_time()
    ask_it()
    return Took((time.monotonic() - began) * 1e3, (time.process_time() - cpu) * 1e3)


def differ(db: Warehouse, question: Question) -> None:
    """Fail where both ways do not agree: quantiles to 1 %, sums of floats but for last digits."""
    if QUANTILE.fullmatch(question.metrics[0]):  # by which the lines may rank others
        question = replace(question, limit=None)
    found, true = (ask(db, each) for each in (question, replace(question, exact=True)))
    if question.dimensions:
        by = [(name, "ascending") for name in question.dimensions]
        found, true = (each.sort_by(by) for each in (found, true))
    same = found.num_rows == true.num_rows and all(
        close(name, one, other)
        for name in found.column_names
        for one, other in zip(found[name].to_pylist(), true[name].to_pylist(), strict=True)
    )
    if not same:
        raise SystemExit(f"rollups and lines differ: {question}")


def close(name: str, one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0.0101 if QUANTILE.fullmatch(name) else 1e-9)
    return one == other


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
    parser.add_argument("--first", action="store_true", help="each question as a new one")
    parser.add_argument("--rollups-only", action="store_true", help="do not ask the lines too")
    options = parser.parse_args()
    with Warehouse(load_settings(database=options.database)) as db:
        print(f"refreshed {refresh(db)}")
        measure(db, options.runs, lines=not options.rollups_only, first=options.first)
        for question in randomly(db, options.random):
            differ(db, question)
        print(f"{options.random} random questions: the same")


if __name__ == "__main__":
    main()
