"""When every attempt was submitted, started and ended, where, and how it came out."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Bools, Floats, Ints
from pychart.demo.placement import LIMIT_SECONDS, NODES
from pychart.demo.plan import Plan
from pychart.demo.population import Population
from pychart.demo.submissions import Submissions

# `failed:exit_status` as on the line
OUTCOMES = (
    "0:0", "37:137", "25:99", "26:0", "28:0",
    "0:1", "0:2", "0:127", "0:134", "0:139", "0:255", "0:137", "100:137", "100:143",
    "100:139", "100:152", "30:100",
)  # fmt: skip
SUCCESS, TIMED_OUT, REQUEUED, NO_OUTPUT_FILE, NO_WORKING_DIRECTORY, FIRST_FAILURE = range(6)
KILLED = OUTCOMES.index("100:137")
# relative frequency of OUTCOMES[FIRST_FAILURE:]
FAILURE_WEIGHTS = np.array([40, 8, 6, 4, 6, 4, 5, 18, 5, 3, 1, 0.5])
LONGEST_WAIT_SECONDS = 1_500_000


@dataclass(frozen=True)
class Attempts:
    """One row per attempt; times in s since 1970, `start` and `end` 0 where it never started.

    `logged` is when the qmaster wrote the line: the end, or the moment of a failed start.
    """

    submission: Ints
    task_number: Ints
    node: Ints
    submitted: Ints
    start: Ints
    end: Ints
    logged: Ints
    outcome: Ints


def draw_attempts(
    plan: Plan, submissions: Submissions, people: Population, end: int, rng: np.random.Generator
) -> Attempts:
    """Draw a chunk's attempts; none ends after `end`."""
    wall = _wall_seconds(plan, submissions, rng)
    outcome = _outcomes(plan, people.failure_rate[submissions.user[plan.submission]], rng)
    never = (outcome == NO_OUTPUT_FILE) | (outcome == NO_WORKING_DIRECTORY)
    outcome, wall = _enforce_h_rt(outcome, wall, submissions.h_rt[plan.submission], rng)
    wall = np.where(never, 0, _shorten_failures(outcome, wall, rng))
    wait = _wait_seconds(plan, submissions, rng)
    before = plan.total_before(wait + wall + 1)
    first_submitted = submissions.time[plan.submission]
    fit = _squeeze(plan, before + wait + wall, end - first_submitted, rng)
    start = first_submitted + ((before + wait) * fit).astype(np.int64)
    finish = first_submitted + ((before + wait + wall) * fit).astype(np.int64)
    return Attempts(
        submission=plan.submission,
        task_number=plan.task_number,
        node=_nodes(plan, submissions, rng),
        # a requeued job is submitted anew, while a job that cannot start stays in the queue
        submitted=np.where(
            never, first_submitted, first_submitted + (before * fit).astype(np.int64)
        ),
        start=np.where(never, 0, start),
        end=np.where(never, 0, finish),
        logged=finish,
        outcome=np.where((fit < 1) & (outcome == TIMED_OUT), KILLED, outcome),
    )


def _wall_seconds(plan: Plan, submissions: Submissions, rng: np.random.Generator) -> Ints:
    """Wall time in s that the program would take; an array's tasks resemble each other."""
    noise = np.exp(0.3 * rng.standard_normal(plan.attempts, dtype=np.float32))
    limit = LIMIT_SECONDS[submissions.cluster[plan.submission]]
    wall = np.minimum(submissions.wall_seconds[plan.submission] * noise, limit)
    whole: Ints = wall.astype(np.int64)
    return whole


def _outcomes(plan: Plan, failure_rate: Floats, rng: np.random.Generator) -> Ints:
    """Index into OUTCOMES before any time limit."""
    luck = rng.random(plan.attempts) / failure_rate
    edges = np.cumsum(FAILURE_WEIGHTS) / FAILURE_WEIGHTS.sum()
    failed = FIRST_FAILURE + np.searchsorted(edges[:-1], luck)
    outcome = np.where(luck < 1, failed, SUCCESS)
    outcome = np.where((luck >= 1) & (luck < 1.12), NO_OUTPUT_FILE, outcome)
    outcome = np.where(plan.requeued & ~plan.is_last, REQUEUED, outcome)
    broken = plan.refused | (outcome == NO_OUTPUT_FILE)
    # the same fault for a whole chain
    return np.where(broken, NO_OUTPUT_FILE + plan.submission % 2, outcome)


def _enforce_h_rt(
    outcome: Ints, wall: Ints, h_rt: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Jobs beyond their h_rt are killed within two seconds of it."""
    over = (h_rt > 0) & (wall > h_rt)
    limited = np.where(over, h_rt + rng.integers(0, 3, len(wall)), wall)
    return np.where(over & (outcome == SUCCESS), TIMED_OUT, outcome), limited


def _shorten_failures(outcome: Ints, wall: Ints, rng: np.random.Generator) -> Ints:
    """Most failures come early: a crash at the start, a requeue before the work is done."""
    early = (outcome >= FIRST_FAILURE) | (outcome == REQUEUED)
    part = rng.random(len(wall)) ** 4
    return np.where(early, (wall * part).astype(np.int64), wall)


def _wait_seconds(plan: Plan, submissions: Submissions, rng: np.random.Generator) -> Ints:
    """Wait in s: the next scheduling run on a free machine, else longer with backlog and size."""
    job = plan.submission
    backlog, urgency = submissions.backlog[job], submissions.urgency[job]
    typical = urgency * (40 + 350 * backlog) * submissions.slots[job] ** 0.3
    at_once = rng.random(plan.attempts) < 0.7 * np.exp(-backlog / 5)
    first = np.where(
        at_once,
        rng.integers(1, 21, plan.attempts),
        typical * (0.6 + 0.8 * rng.random(plan.attempts)),
    )
    # an array's tasks start in waves
    later = 2.0 * urgency * (1 + backlog) * np.maximum(plan.task_number - 1, 0)
    return np.minimum(first + later, LONGEST_WAIT_SECONDS).astype(np.int64)


def _squeeze(plan: Plan, offsets: Ints, available: Ints, rng: np.random.Generator) -> Floats:
    """Factor up to 1 that makes each chain end in the time available: longer jobs still run."""
    total = plan.spread(offsets[plan.firsts + plan.lengths - 1])
    fit = np.maximum(available, 0) / np.maximum(total, 1)
    # somewhere before the end, not all in its last second
    luck = np.repeat(rng.random(len(plan.firsts)), plan.lengths)
    return np.where(fit < 1, fit * luck, 1.0)


def _nodes(plan: Plan, submissions: Submissions, rng: np.random.Generator) -> Ints:
    """First node of each attempt, numbered within its sub-cluster."""
    luck = rng.random(plan.attempts)
    # lines of a job that never starts repeat byte for byte, host included
    steady: Bools = plan.refused
    luck = np.where(steady, np.repeat(luck[plan.firsts], plan.lengths), luck)
    node: Ints = (luck * NODES[submissions.cluster[plan.submission]]).astype(np.int64)
    return node
