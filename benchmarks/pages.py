"""How long the questions of each page of the app take, one by one and together.

    python -m benchmarks.pages --config pychart.toml [--runs 5] [--only nodes] [--each] [--first]
        [--rules]

Each page is run once in Streamlit's own tester, over all years without a filter and again for the
largest user, and what it asks is noted. The questions are then asked anew: one by one, and all of a
page as it asks them, side by side and what follows from answers after these. Medians of wall time
in milliseconds, planning and the look at what the rollups cover included; `CPU` is that of all
together, of the engine too. With `--each` every question has a line. With `--first` the engine
forgets before each page where conditions are met. With `--rules` it fails where one question
without a filter is above 50 ms, all of a page above 100, or with the filter above 300.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path

import pyarrow as pa

from benchmarks.questions import Took, forget, timed
from clickhouse.connection import EMBEDDED_CLIENTS, Warehouse
from clickhouse.distributions import Asked as Distribution
from clickhouse.distributions import distribution
from clickhouse.migrate import open_current
from clickhouse.query import Question, ask, values
from clickhouse.settings import load_settings
from streamlit_app import data
from streamlit_app.warehouse import holder
from tests.app import app, paths

Asked = Question | Distribution
Rounds = list[list[Asked]]  # what is asked side by side, one after the other

ALONE, TOGETHER, FILTERED = 50, 100, 300  # ms: one question, a page's, a page's with a filter


@contextmanager
def noted(rounds: Rounds) -> Iterator[None]:
    """Note what pages ask."""
    answer_all = data.answer_all

    def note(questions: Sequence[Asked], at: str) -> list[pa.Table]:
        rounds.append(list(questions))
        return answer_all(questions, at)

    data.answer_all = note
    try:
        yield
    finally:
        data.answer_all = answer_all


def asked_by(page: str, **query: str) -> Rounds:
    """Run a page and give what it asked, each question once."""
    rounds: Rounds = []
    with noted(rounds):
        app(page, **query)
    known: set[str] = set()
    once: Rounds = []
    for each in rounds:
        new = {repr(asked): asked for asked in each if repr(asked) not in known}
        known |= set(new)
        once += [list(new.values())] if new else []
    return once


def _ask(db: Warehouse, asked: Asked) -> None:
    if isinstance(asked, Question):
        ask(db, asked)
    else:
        distribution(db, asked)


def _ask_all(db: Warehouse, pool: ThreadPoolExecutor, rounds: Rounds) -> None:
    for each in rounds:
        list(pool.map(partial(_ask, db), each))


def _median(found: Sequence[Took]) -> Took:
    return Took(*(statistics.median(getattr(took, of) for took in found) for of in ("wall", "cpu")))


def measure(
    db: Warehouse, page: str, rounds: Rounds, options: argparse.Namespace
) -> tuple[float, float]:
    """Time a page's questions, in turns, and print it; gives the slowest, and all together."""
    every = [asked for each in rounds for asked in each]
    prepare = partial(forget, db, options.first)
    alone: list[list[Took]] = [[] for _ in every]
    together: list[Took] = []
    with ThreadPoolExecutor(EMBEDDED_CLIENTS) as pool:
        _ask_all(db, pool, rounds)
        for _ in range(options.runs):
            together.append(timed(partial(_ask_all, db, pool, rounds), prepare))
            prepare()
            for asked, took in zip(every, alone, strict=True):
                took.append(timed(partial(_ask, db, asked)))
    medians = list(map(_median, alone))
    if options.each:
        for asked, its in zip(every, medians, strict=True):
            print(f"    {its.wall:4.0f} ms {its.cpu:4.0f} CPU  {asked}"[:400])
    all_ = _median(together)
    slowest = max(its.wall for its in medians)
    print(
        f"{page:12} {len(every):4} {slowest:6.0f} ms {sum(its.wall for its in medians):6.0f} ms"
        f" {all_.wall:6.0f} ms {all_.cpu:6.0f} CPU",
        flush=True,
    )
    return slowest, all_.wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="pages with this in their path")
    parser.add_argument("--each", action="store_true", help="every question too")
    parser.add_argument("--first", action="store_true", help="as nobody asked it before")
    parser.add_argument("--rules", action="store_true", help="fail above what is asked for")
    options = parser.parse_args()
    above = []
    with open_current(load_settings(options.config)) as db:
        holder.use(db)
        [user] = values(db, "user", limit=1)
        for query, alone, together in (({}, ALONE, TOGETHER), ({"user": user}, inf, FILTERED)):
            print(f"{query or 'no filter'}: questions, the slowest, one by one, together")
            for page in paths():
                rounds = asked_by(page, **query) if options.only in page else []
                if rounds:
                    slowest, all_ = measure(db, page, rounds, options)
                    above += [page] if slowest > alone or all_ > together else []
    print(f"above what is asked for: {', '.join(above) or 'none'}")
    if above and options.rules:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
