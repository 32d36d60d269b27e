"""How many lines each `qsub` of a chunk leads to: array tasks, and attempts of a task."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Bools, Ints, running_total_before
from pychart.demo.submissions import draw_array_sizes

REQUEUED_SHARE = 0.009
REFUSED_SHARE = 0.0012
LARGEST_ARRAY = 2000


@dataclass(frozen=True)
class Plan:
    """One row per attempt; a chain is one job (or array task) from its first attempt to its last.

    `submission` numbers the chunk's submissions; `firsts` and `lengths` have one element per chain.
    """

    is_array: Ints
    submission: Ints
    task_number: Ints
    firsts: Ints
    lengths: Ints
    requeued: Bools
    refused: Bools

    @property
    def attempts(self) -> int:
        """Number of rows."""
        return len(self.submission)

    @property
    def is_last(self) -> Bools:
        """Whether an attempt is the last of its chain."""
        last = np.zeros(self.attempts, dtype=np.bool_)
        last[self.firsts + self.lengths - 1] = True
        return last

    def spread(self, per_chain: Ints) -> Ints:
        """Repeat a chain's value over its attempts."""
        return np.repeat(per_chain, self.lengths)

    def total_before(self, values: Ints) -> Ints:
        """Sum of the values of a chain's earlier attempts."""
        return running_total_before(values, self.firsts, self.lengths)


def plan_chunk(attempts: int, all_jobs: int, rng: np.random.Generator) -> Plan:
    """Plan exactly `attempts` attempts; the last submission's array or chain is cut to fit."""
    sizes = draw_array_sizes(attempts, max(5, min(LARGEST_ARRAY, all_jobs // 50)), rng)
    submission, task_number = _expand_tasks(sizes, attempts)
    luck = rng.random(attempts)
    requeued, refused = luck < REQUEUED_SHARE, luck > 1 - REFUSED_SHARE
    lengths = _chain_lengths(requeued, refused, rng)
    firsts = np.cumsum(lengths) - lengths
    kept = int(np.searchsorted(firsts, attempts))
    firsts, lengths = firsts[:kept], np.minimum(lengths[:kept], attempts - firsts[:kept])
    return Plan(
        is_array=(sizes[: submission[kept - 1] + 1] > 0).astype(np.int64),
        submission=np.repeat(submission[:kept], lengths),
        task_number=np.repeat(task_number[:kept], lengths),
        firsts=firsts,
        lengths=lengths,
        requeued=np.repeat(requeued[:kept], lengths),
        refused=np.repeat(refused[:kept], lengths),
    )


def _expand_tasks(sizes: Ints, wanted: int) -> tuple[Ints, Ints]:
    """Submission and task number (0 = not an array) of the first `wanted` jobs."""
    jobs = np.maximum(sizes, 1)
    firsts = np.cumsum(jobs) - jobs
    kept = int(np.searchsorted(firsts, wanted))
    submission = np.repeat(np.arange(kept), jobs[:kept])[:wanted]
    task_number = np.arange(wanted) - firsts[submission] + 1
    return submission, np.where(sizes[submission] > 0, task_number, 0)


def _chain_lengths(requeued: Bools, refused: Bools, rng: np.random.Generator) -> Ints:
    """Draw the attempts per job: a few after a requeue, many where a broken job is retried."""
    few = np.minimum(rng.geometric(0.6, len(requeued)) + 1, 8)
    many = np.minimum(rng.geometric(0.2, len(requeued)) + 1, 40)
    return np.select([requeued, refused], [few, many], 1)
