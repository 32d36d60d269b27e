"""The quick rows of the fault matrix; `make faults` runs all of them, and more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import mutations, oracle
from tests.faults.matrix import BOTH, Fault, all_faults, run
from tests.helpers import line
from tests.server import RunningServer

QUICK = [(each, engine) for each in all_faults() if each.quick for engine in each.engines]


@pytest.mark.parametrize(
    ("which", "engine"),
    QUICK,
    ids=[f"{each.number} {each.name} ({engine})" for each, engine in QUICK],
)
def test_no_line_is_lost_or_doubled(
    which: Fault, engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: RunningServer | None = None
    if engine == "server":
        server = request.getfixturevalue("server")
    verdict, _ = run(which, engine, tmp_path, server, which.quick)
    assert verdict.holds, "\n".join(verdict.complaints)


def test_the_matrix_is_whole() -> None:
    assert {each.number for each in all_faults()} == set(range(1, 38))
    assert all(set(each.engines) <= set(BOTH) and each.engines for each in all_faults())


@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda each: each.check)
def test_a_mutation_still_finds_its_check(mutation: mutations.Mutation) -> None:
    """Whoever moves a protective check has to move its mutation with it."""
    assert mutations.mutated(mutation)


def test_the_oracle_counts_by_the_rules_of_the_format() -> None:
    started, never = line(job_number=1), line(job_number=2, start_time=0, end_time=0)
    content = b"\n".join(
        [b"# x", started, never, never, started, b"1:2", b"", started + b"\r", b""]
    )
    expected = oracle.expect([content, content])
    assert expected.rows.total() == 1 + 2  # equal started lines are one, never-started ones are not
    assert expected.rejects.total() == 1
    assert (expected.lines, expected.files) == (8, [(len(content), 8)])


def test_a_comparison_tells_what_is_lost_and_what_is_doubled() -> None:
    """The oracle itself can fail: a missing line and an extra one are both seen."""
    lines = [line(job_number=number) + b"\n" for number in range(3)]
    all_three, two = oracle.expect([b"".join(lines)]), oracle.expect([b"".join(lines[:2])])
    assert (all_three.rows - two.rows).total() == 1
    assert not (two.rows - all_three.rows)
