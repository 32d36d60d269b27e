"""What tests of rollups share: jobs of all kinds, questions, and how answers are compared."""

from __future__ import annotations

import atexit
import random
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse import rollups
from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from clickhouse.query import Filter, Period, Question, ask, to_sql
from clickhouse.settings import ClusterSettings
from tests.helpers import CLUSTER, line, load_bytes, warehouse

DAY = 86400
T = 1514764800  # 2018-01-01 00:00 UTC
OWNERS = ["ann", "bob", "o'neil", "back\\slash", "é🦆", "'; DROP TABLE accounting --"]
QUEUES = ["all.q", "long.q"]
NODES = ["node1", "node2", "n3"]
SITE: dict[str, Any] = {
    "clusters": {
        CLUSTER: ClusterSettings(
            timezone="Europe/Paris",
            pe_classes={"open*": "single-node"},
            largest_node=8,
            sub_clusters={"old": {"hosts": ["node*"]}, "long": {"queues": ["long*"]}},
        )
    },
    "metagroups": {
        "lab": {"users": ["ann", "bob"], "groups": ["chem"]},
        "moved": {"members": [{"user": "bob", "since": date(2018, 2, 10), "share": 0.5}]},
    },
}


def accounting(seed: int, jobs: int, first: int = T - 40 * DAY, days: int = 120) -> bytes:
    """Jobs of all kinds; every usage is a multiple of 1/4, so that sums are exact in any order."""
    rng = random.Random(seed)
    lines = [
        made
        for number in range(jobs)
        for made in _job(rng, seed * 100_000 + number, first + rng.randrange(days * DAY))
    ]
    return b"".join(each + b"\n" for each in lines)


def _job(rng: random.Random, number: int, submitted: int) -> Iterator[bytes]:
    start = submitted + rng.choice([0, 60, rng.randrange(9000), 3 * DAY])
    end = start + rng.choice([0, 30, rng.randrange(9000), 20 * DAY])
    failed, status = rng.choice([(0, 0), (0, 0), (0, 1), (100, 137), (25, 0), (37, 0)])
    pe = rng.choice(["NONE", "NONE", "openmp", "mpi"])
    common = {
        "job_number": number,
        "owner": rng.choice(OWNERS),
        "group": rng.choice(["chem", "physics"]),
        "qname": rng.choice(QUEUES),
        "project": rng.choice(["NONE", "p1"]),
        "granted_pe": pe,
        "slots": 1 if pe == "NONE" else rng.choice([1, 4, 16]),
        "submission_time": submitted,
    }
    usage = {"cpu": rng.randrange(4000) / 4, "mem": rng.randrange(40) / 4, "io": 0.25, "iow": 0.5}
    if rng.random() < 0.1:
        yield line(**common, start_time=0, end_time=0, failed=21, cpu=0, mem=0)
        return
    for task in range(rng.choice([0, 1, 3]) if pe == "mpi" else 0):
        begun = start + rng.randrange(1, 20)
        yield line(
            **common, **usage, pe_taskid=f"{task}.x", hostname=rng.choice(NODES), start_time=begun,
            end_time=max(begun, end - 10 * DAY * rng.randrange(2)),
        )  # fmt: skip
    memory = rng.choice(
        [rng.randrange(2**34), 2**33, 2**62]
    )  # the last is more than any machine has
    yield line(
        **common, **usage, hostname=rng.choice(NODES), start_time=start, end_time=end,
        failed=failed, exit_status=status, maxvmem=memory, ru_utime=usage["cpu"],
    )  # fmt: skip


VALUES = {
    "user": [*OWNERS, "nobody"],
    "group": ["chem"],
    "queue": QUEUES,
    "node": NODES,
    "project": ["", "p1"],
    "parallel_class": ["sequential", "multi-node", "single-node", "parallel-unknown"],
    "metagroup": ["lab", "moved", ""],
    "sub_cluster": ["old", "long"],
    "slots": ["1", "16"],
    "outcome": ["done", "killed"],
    "flag": ["maxvmem missing", ""],
    "year": ["2017", "2018"],
    "month": ["2018-01-01", "2018-03-01"],
    "day": ["2018-01-31", "2018-02-14"],
}
QUANTILES = re.compile(r"\w+_(median|p90|p99)")
PERIODS = ["all", "2018", "2018-02", "2018-01-10..2018-03-20", "2018-02-14", "..2017-12", "2030"]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    named = st.sampled_from(sorted(VALUES))
    kept = [
        Filter(name, tuple(draw(st.lists(st.sampled_from(VALUES[name]), max_size=2))), exclude)
        for name, exclude in draw(st.lists(st.tuples(named, st.booleans()), max_size=2))
    ]
    return Question(
        tuple(
            draw(st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=4, unique=True))
        ),
        tuple(draw(st.lists(st.sampled_from(sorted(DIMENSIONS)), max_size=2, unique=True))),
        Period.parse(draw(st.sampled_from(PERIODS))),
        tuple(kept),
        draw(st.none() | st.integers(1, 4)),
        draw(st.booleans()),
    )


def check(db: Warehouse, question: Question) -> None:
    """Compare with the lines: figures are the same, quantiles within the bound."""
    quantiles = [name for name in question.metrics if QUANTILES.fullmatch(name)]
    if question.metrics[0] in quantiles:  # by which the lines may rank others, or order them so
        question = replace(question, limit=None)
    found, true = (ask(db, each) for each in (question, replace(question, exact=True)))
    if question.metrics[0] in quantiles:
        by = [(name, "ascending") for name in question.dimensions]
        found, true = (each.sort_by(by) if by else each for each in (found, true))
    for name in quantiles:
        assert_near(found[name].to_pylist(), true[name].to_pylist(), question)
    found, true = (each.drop_columns(quantiles) for each in (found, true))
    assert found.to_pylist() == true.to_pylist(), question


def assert_near(found: list[float | None], true: list[float | None], question: object) -> None:
    """Hold quantiles to 1 % of the true ones."""
    assert len(found) == len(true), question
    for value, exact in zip(found, true, strict=True):
        assert (value is None) == (exact is None), question
        assert value is None or value == pytest.approx(exact, rel=0.01), question


def check_all(db: Warehouse, examples: int = 3) -> None:
    """Compare random questions, and those that have once gone wrong."""

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(question=questions())
    def compare(question: Question) -> None:
        check(db, question)

    compare()
    for dimension in ("month", "parallel_class", "day"):
        check(db, Question(("attempts", "core_hours", "cpu_hours", "users"), (dimension,)))
    check(db, Question(("attempts", "duration_p90", "users", "wait_median"), ("parallel_class",)))


def tables(db: Warehouse, question: Question) -> tuple[str, ...]:
    return to_sql(db, question)[2].tables


BY_MONTH = Question(("jobs", "cpu_hours"), ("month",))


@contextmanager
def refreshed(
    url: str,
    folder: Path,
    jobs: int = 400,
    site: Mapping[str, Any] = SITE,
    first: int = T - 40 * DAY,
    days: int = 120,
) -> Iterator[Warehouse]:
    """Give a database of some jobs with its rollups; to copy an embedded one saves two seconds."""
    content = accounting(1, jobs, first, days)
    is_copied = url.startswith("chdb://")
    if is_copied:
        shutil.copytree(_filled(content, site), url.removeprefix("chdb://"), symlinks=True)
    with warehouse(url, **site) as opened:
        if not is_copied:
            _fill(opened, folder, content)
        yield opened


def _fill(opened: Warehouse, folder: Path, content: bytes) -> None:
    load_bytes(opened, folder / "accounting", content)
    rollups.refresh(opened)


def _filled(content: bytes, site: Mapping[str, Any]) -> Path:
    """Make an embedded database once in a process."""
    key = f"{hash(content)} {site}"
    if key not in _databases:
        folder = Path(tempfile.mkdtemp(prefix="pychart-filled-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with warehouse(f"chdb://{folder}/db", **site) as opened:
            _fill(opened, folder, content)
        _databases[key] = folder / "db"
    return _databases[key]


_databases: dict[str, Path] = {}
