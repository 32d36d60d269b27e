"""One row per `qsub`: who, what, how big, with which requests."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Bools, Floats, Ints, lognormal
from pychart.demo.placement import (
    CORES,
    GIB_PER_CORE,
    LIMIT_SECONDS,
    NODES,
    SERIAL,
    SINGLE_NODE,
    TASKS,
    Places,
)
from pychart.demo.population import NAMES_PER_USER, Population
from pychart.demo.rhythm import Rhythm
from pychart.demo.site import CORE_HOURS_PER_YEAR, PES

H_RT_SECONDS = np.array([600, 3600, 7200, 14400, 43200, 86400, 172800, 345600, 604800, 864000])
H_VMEM_GIB = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
# measured over generated files, at a scale of 1
CORE_HOURS_PER_JOB = 150.0
ARRAY_SHARE = 0.034
MEDIAN_ARRAY = 13.0
SMALL_SIZES = np.array([2, 4, 4, 6, 8, 8, 8, 12, 16, 16, 16, 24, 32, 32, 48, 64])
WHOLE_NODES = np.array([1, 1, 2, 2, 2, 2, 3, 4, 4, 4, 6, 8, 12])
UNEVEN_SIZES = np.array([4, 8, 8, 12, 16, 20, 24, 32, 36, 48])


@dataclass(frozen=True)
class Submissions:
    """Columns of one chunk's submissions by time; codes index the site's tables."""

    number: Ints
    time: Ints
    user: Ints
    job_name: Ints
    kind: Ints
    cluster: Ints
    pe: Ints
    slots: Ints
    hosts: Ints
    is_array: Ints
    h_rt: Ints
    h_vmem: Ints
    project: Ints
    priority: Ints
    asks_queue: Ints
    wall_seconds: Floats
    gib_per_slot: Floats
    backlog: Floats
    urgency: Floats


def draw_array_sizes(count: int, largest: int, rng: np.random.Generator) -> Ints:
    """Draw the tasks of each submission, 0 where it is not an array; a long tail to `largest`."""
    drawn = lognormal(rng, MEDIAN_ARRAY, 1.25, count)
    # people write round numbers: 1-100, 1-500
    rounded = np.where((drawn > 15) & (rng.random(count) < 0.5), np.ceil(drawn / 10) * 10, drawn)
    sizes = np.clip(rounded.astype(np.int64), 1, largest)
    return np.where(rng.random(count) < ARRAY_SHARE, sizes, 0)


@dataclass(frozen=True)
class World:
    """What stays the same over all chunks."""

    people: Population
    places: Places
    rhythm: Rhythm
    wall_scale: float


def choose_wall_scale(jobs: int, years: float) -> float:
    """Scale all wall times so that the machines are busy, not overbooked, by these jobs."""
    return float(np.clip(0.7 * CORE_HOURS_PER_YEAR * years / (jobs * CORE_HOURS_PER_JOB), 0.1, 2.5))


def draw_submissions(
    world: World,
    is_array: Ints,
    share: tuple[float, float],
    first_number: int,
    rng: np.random.Generator,
) -> Submissions:
    """Draw a chunk's submissions in the part `share` of the whole period's activity."""
    count = len(is_array)
    time = world.rhythm.times_at(share[0] + (share[1] - share[0]) * np.sort(rng.random(count)))
    user = world.people.draw(time, is_array, rng.random(count))
    kind = world.people.kinds.spin(user * 2 + is_array, rng.random(count))
    cluster = world.places.draw(time, kind, _cluster_luck(world.people, user, rng))
    slots, hosts, pe = _sizes(world.people, user, kind, cluster, rng)
    typical = (
        world.people.wall_seconds[user]
        * np.where(is_array > 0, 0.35, 1.0)
        * np.where(kind >= TASKS, 1.6, 1.0)
    )
    wall = np.minimum(
        lognormal(rng, typical * world.wall_scale, 1.1, count), LIMIT_SECONDS[cluster]
    )
    memory = np.minimum(
        lognormal(rng, world.people.gib_per_slot[user], 0.5, count),
        GIB_PER_CORE[cluster] * CORES[cluster] * hosts / slots,
    )
    return Submissions(
        number=_job_numbers(first_number, count, rng),
        time=time,
        user=user,
        job_name=user * NAMES_PER_USER + (NAMES_PER_USER * rng.random(count) ** 2).astype(np.int64),
        kind=kind,
        cluster=cluster,
        pe=pe,
        slots=slots,
        hosts=hosts,
        is_array=is_array,
        h_rt=_request_h_rt(world.people.h_rt_habit[user], wall, rng),
        h_vmem=_request_h_vmem(world.people.h_vmem_habit[user], memory, rng),
        project=np.where(rng.random(count) < 0.7, world.people.project[user], 0),
        priority=world.people.priority[user],
        asks_queue=(rng.random(count) < 0.6).astype(np.int64),
        wall_seconds=wall,
        gib_per_slot=memory,
        backlog=world.rhythm.backlog_at(time),
        urgency=lognormal(rng, 1.0, 0.9, count),
    )


def _job_numbers(first: int, count: int, rng: np.random.Generator) -> Ints:
    """Ever-growing counter with gaps: jobs that were deleted while waiting leave no line."""
    return first + np.cumsum(1 + (rng.random(count) < 0.04) * rng.integers(1, 4, count))


def _cluster_luck(people: Population, user: Ints, rng: np.random.Generator) -> Floats:
    """People keep to the machines they know: mostly the same luck for the same user."""
    count = len(user)
    return np.where(rng.random(count) < 0.65, people.loyalty[user], rng.random(count))


def _sizes(
    people: Population, user: Ints, kind: Ints, cluster: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Slots, hosts and parallel environment."""
    cores = CORES[cluster]
    # the mean of habit and chance: a user's jobs are of similar size
    luck = 0.6 * people.largest_job[user] + 0.4 * rng.random(len(user))
    small = np.minimum(SMALL_SIZES[(luck * len(SMALL_SIZES)).astype(np.int64)], cores)
    nodes = np.minimum(WHOLE_NODES[(luck * len(WHOLE_NODES)).astype(np.int64)], NODES[cluster])
    uneven = UNEVEN_SIZES[rng.integers(0, len(UNEVEN_SIZES), len(user))]
    whole = rng.random(len(user)) < 0.8
    mpi = np.where(whole, nodes * cores, uneven)
    round_robin = (kind == TASKS) & ~whole
    hosts = np.where(round_robin, np.clip(mpi // 4, 2, 8), -(-mpi // cores))
    slots = np.select([kind == SERIAL, kind == SINGLE_NODE], [np.ones_like(small), small], mpi)
    return (
        slots,
        np.where(kind >= TASKS, hosts, 1),
        _environment(kind, round_robin, people.loyalty[user]),
    )


def _environment(kind: Ints, round_robin: Bools, habit: Floats) -> Ints:
    """Choose the number in PES."""
    single = np.where(habit < 0.8, PES.index("openmp"), PES.index("smp"))
    tasks = np.where(round_robin, PES.index("mpi_rr"), PES.index("mpi_fill"))
    choices = [np.zeros_like(kind), single, tasks]
    return np.select(
        [kind == SERIAL, kind == SINGLE_NODE, kind == TASKS], choices, PES.index("impi_sum")
    )


def _request_h_rt(habit: Floats, wall: Floats, rng: np.random.Generator) -> Ints:
    """Draw h_rt in s, 0 where none: those who ask leave some room, sometimes not enough."""
    room = lognormal(rng, 4.0, 0.8, len(wall))
    chosen = np.minimum(np.searchsorted(H_RT_SECONDS, wall * room), len(H_RT_SECONDS) - 1)
    return np.where(habit < 0.45, H_RT_SECONDS[chosen], 0)


def _request_h_vmem(habit: Floats, gib: Floats, rng: np.random.Generator) -> Ints:
    """Draw h_vmem in GiB per slot, 0 where none."""
    room = lognormal(rng, 2.2, 0.4, len(gib))
    chosen = np.minimum(np.searchsorted(H_VMEM_GIB, gib * room), len(H_VMEM_GIB) - 1)
    return np.where(habit < 0.33, H_VMEM_GIB[chosen], 0)
