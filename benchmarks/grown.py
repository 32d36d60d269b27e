"""How answers grow with the number of lines: of a warehouse, and with each line several times.

    python -m benchmarks.grown --config pychart.toml --scratch FOLDER [--times 3] [--runs 5]

The settings name an embedded database that is loaded. It is copied to `--scratch`, where it stays
for the next run, and the engine adds each line again, with another job number and so another
identity: the same people on the same machines ran more jobs. Both are asked in turns, each by a
process of its own. Medians of wall time. Fails where an answer that is made of months or days, not
of lines, takes more than `MOST` times as long.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from benchmarks.questions import DISTRIBUTIONS, standard, timed
from clickhouse.connection import Warehouse
from clickhouse.cubes import LINE_DAYS
from clickhouse.distributions import Asked, Heatmap, distribution, tables
from clickhouse.query import Question, ask, to_sql, values
from clickhouse.rollups import refresh
from clickhouse.settings import Settings, load_settings

MOST = 1.5
OF_LINES = {LINE_DAYS.name, "lines"}
JOB_NUMBERS = 10_000_000  # after which Grid Engine begins anew


def grown(settings: Settings, scratch: Path, times: int) -> Settings:
    """Copy the warehouse and add its lines again, so that there are `times` as many."""
    copy = scratch / f"warehouse_{times}"
    found = settings.model_copy(update={"database": f"chdb://{copy.resolve()}"})
    if copy.exists():
        return found
    shutil.copytree(settings.database.removeprefix("chdb://"), copy, symlinks=True)
    with Warehouse(found) as db:
        add_again(db, times)
        print(f"made {times} times as many lines: {refresh(db)}", flush=True)
    return found


def add_again(db: Warehouse, times: int) -> None:
    named = db.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase()"
        " AND table = 'accounting' AND name NOT IN ('job_number', 'record_id') ORDER BY position"
    )
    others = ", ".join(f"`{name}`" for (name,) in named)
    years = [year for (year,) in db.rows("SELECT DISTINCT toYear(time) FROM accounting")]
    for again in range(1, times):
        for year in years:
            db.command(
                f"INSERT INTO accounting (job_number, record_id, {others})"
                f" SELECT job_number + {again * JOB_NUMBERS}, sipHash128(record_id, {again}),"
                f" {others} FROM accounting"
                f" WHERE toYear(time) = {year} AND job_number < {JOB_NUMBERS}"
            )


@cache
def opened(database: str, config: Path) -> tuple[Warehouse, dict[str, Question | Asked]]:
    """Open a database for as long as its process lasts, with what it is asked."""
    db = Warehouse(load_settings(config, database))
    return db, standard(values(db, "user", limit=1)[0]) | DISTRIBUTIONS


def took(database: str, config: Path, name: str) -> float:
    """Ask a question; ms."""
    db, questions = opened(database, config)
    question = questions[name]
    if isinstance(question, Question):
        return timed(lambda: ask(db, question)).wall
    return timed(lambda: distribution(db, question)).wall


def made_of(database: str, config: Path) -> dict[str, tuple[str, ...]]:
    """Name the tables that answer each question."""
    db, questions = opened(database, config)
    found: dict[str, tuple[str, ...]] = {}
    for name, question in questions.items():
        if isinstance(question, Heatmap):
            question = Question((question.metric,), (question.x, question.y), question.period)
        if isinstance(question, Question):
            found[name] = to_sql(db, question)[2].tables
        else:
            found[name] = tables(db, question)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    settings = load_settings(options.config)
    both = (settings.database, grown(settings, options.scratch, options.times).database)
    ratios, slower = [], []
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as before,
        ProcessPoolExecutor(1, get_context("spawn")) as after,
    ):
        answering = before.submit(made_of, both[0], options.config).result()
        for name, its_tables in answering.items():
            found = [
                [
                    pool.submit(took, database, options.config, name).result()
                    for pool, database in zip((before, after), both, strict=True)
                ]
                for _ in range(options.runs + 1)
            ][1:]
            one, more = (statistics.median(each) for each in zip(*found, strict=True))
            ratios.append(more / one)
            print(f"{name:42} {one:6.0f} ms {more:6.0f} ms {more / one:5.2f}  {its_tables}")
            if more / one > MOST and OF_LINES.isdisjoint(its_tables):
                slower.append(name)
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    print(f"{options.times} times as many lines take {mean:.2f} times as long")
    if slower:
        raise SystemExit(f"more than {MOST} times as long: {', '.join(slower)}")


if __name__ == "__main__":
    main()
