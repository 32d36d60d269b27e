"""How fast questions are answered beside PostgreSQL, DuckDB, pandas and qacct, on the same rows.

    python -m benchmarks.against --config pychart.toml --scratch FOLDER
        [--ways duckdb,postgres,pandas,qacct] [--runs 5]

The settings name a cluster with one file, which is loaded, its rollups fresh. DuckDB and
PostgreSQL get tables of their own in `--scratch`, which stay there for the next run: all fields
with their types, and what a site would work out once (when a job ended on the cluster's clock,
whether it ran, how long, how long it waited). PostgreSQL has indexes on the time and on each name,
is analysed, and has a quarter of this machine's memory. pandas holds the columns that are asked for
in memory, names as categories. qacct reads the file each time.

Each question is asked by all, in turn: `--runs` times after a first one that does not count, only
that one where it takes longer than `LONG` seconds. Medians of wall time, and how many times as long
as pychart each takes. Where the values of a figure differ the script fails; what qacct prints is
compared by `benchmarks.qacct`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.others import WAYS, Answer, Figures, figures
from benchmarks.same import Same, mixtures, standard
from clickhouse.connection import Warehouse
from clickhouse.query import ask, explain, values
from clickhouse.rollups import refresh
from clickhouse.settings import load_settings

LONG = 10.0
T = TypeVar("T")


def differ(name: str, way: str, same: Same, mine: Figures, found: Figures) -> None:
    """Fail where the answers are not the same."""
    for metric, one, other in zip(same.question.metrics, mine, found, strict=True):
        if len(one) != len(other) or not all(
            math.isclose(left, right, rel_tol=same.near)
            for left, right in zip(one, other, strict=True)
        ):
            told = f"{other[-3:]} of {len(other)}, not {one[-3:]} of {len(one)}"
            raise SystemExit(f"{name}: {way} answers for {metric} {told}")


def timed(ask_it: Callable[[], T], runs: int) -> tuple[T, float]:
    """Ask again and again; the first answer, and the median of seconds."""
    began = time.monotonic()
    found = ask_it()
    took = [time.monotonic() - began]
    if took[0] > LONG:
        return found, took[0]
    for _ in range(runs):
        began = time.monotonic()
        ask_it()
        took.append(time.monotonic() - began)
    return found, statistics.median(took[1:])


def compare(
    db: Warehouse, asked: dict[str, Same], ways: dict[str, Answer], runs: int
) -> dict[str, list[float]]:
    """Ask each question of all; gives the ratios of each way."""
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for name, same in asked.items():
        answered, took = timed(partial(ask, db, same.question), runs)
        mine = figures(answered[metric].to_pylist() for metric in same.question.metrics)
        print(f"{name:34}{took * 1e3:8.0f} ms", end="")
        for way, answer in ways.items():
            if way == "qacct" and same.qacct is None:
                print(f"{'':>19}", end="")
                continue
            found, their = timed(partial(answer, same), runs)
            if found is not None:
                differ(name, way, same, mine, found)
            ratios[way].append(their / took)
            print(f"{their:10.3f} s{their / took:6.1f}x", end="", flush=True)
        print(f"  {', '.join(explain(db, same.question).tables)}", flush=True)
    return ratios


def show(title: str, ratios: dict[str, list[float]]) -> None:
    for way, found in ratios.items():
        if found:
            mean = statistics.geometric_mean(found)
            print(f"{title}: {way} takes {mean:.1f} times as long, at least {min(found):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--ways", type=lambda text: text.split(","), default=[*WAYS])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    settings = load_settings(options.config)
    [cluster] = settings.clusters.values()
    [file] = map(Path, cluster.files)
    with Warehouse(settings) as db, ExitStack() as opened:
        refresh(db)
        user = values(db, "user", limit=1)[0]
        ways = {
            way: opened.enter_context(WAYS[way](file, options.scratch, cluster.timezone))
            for way in options.ways
        }
        print(f"{'':45}" + "".join(f"{way:>19}" for way in ways))
        for title, asked in (("standard", standard(user)), ("mixtures", mixtures())):
            show(title, compare(db, asked, ways, options.runs))


if __name__ == "__main__":
    main()
