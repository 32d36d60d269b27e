"""The people: who they are, when they are there, and their habits."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Floats, Ints, Roulette, lognormal
from pychart.demo.rhythm import DAY
from pychart.demo.site import DISCIPLINES, FIRST_LETTERS, GROUPS, PROJECTS, SURNAMES, Discipline

SLICE = 30 * DAY
NAMES_PER_USER = 8
# how long people stay in days, and the share of each: staff, doctoral students, post-docs, interns
STAYS = ((9_000, 0.2), (1_150, 0.4), (550, 0.2), (150, 0.2))
STAFF_DAYS = 9_000
# parallel jobs take most of the machine but are few among the lines
KIND_SHARES = np.array([1.0, 0.9, 0.27, 0.34])


@dataclass(frozen=True)
class Population:
    """Users as columns (one element per user), and who submits in each slice of 30 days."""

    begin: int
    owners: list[str]
    groups: list[str]
    disciplines: list[Discipline]
    job_names: list[str]
    project: Ints
    priority: Ints
    efficiency: Floats
    wall_seconds: Floats
    gib_per_slot: Floats
    failure_rate: Floats
    io_rate: Floats
    loyalty: Floats
    h_rt_habit: Floats
    h_vmem_habit: Floats
    largest_job: Floats
    kinds: Roulette
    active: Roulette
    slices: int

    def draw(self, times: Ints, is_array: Ints, luck: Floats) -> Ints:
        """User of each submission, from its time in s and whether it is an array (0 or 1)."""
        row = np.clip((times - self.begin) // SLICE, 0, self.slices - 1) * 2 + is_array
        return self.active.spin(row, luck)


def build_population(begin: int, end: int, rng: np.random.Generator) -> Population:
    """Draw the users of a period given in s since 1970; longer periods see more of them."""
    count = 190 + int(26 * (end - begin) / (365 * DAY))
    names = list(GROUPS)
    sizes = np.array([size for _, size in GROUPS.values()])
    groups = [names[number] for number in rng.choice(len(names), count, p=sizes / sizes.sum())]
    fields = [DISCIPLINES[GROUPS[group][0]] for group in groups]
    active = _activity(begin, end, fields, rng)
    return Population(
        begin=begin,
        owners=_owners(count, rng),
        groups=groups,
        disciplines=fields,
        job_names=[name for field in fields for name in _job_names(field, rng)],
        project=np.where(rng.random(count) < 0.3, rng.integers(1, len(PROJECTS), count), 0),
        priority=np.where(rng.random(count) < 0.04, -100, 0),
        efficiency=np.clip(rng.beta(6, 1.5, count), 0.05, 0.995),
        wall_seconds=lognormal(
            rng, np.array([field.median_wall_seconds for field in fields]), 0.9, count
        ),
        gib_per_slot=lognormal(
            rng, np.array([field.median_gib_per_slot for field in fields]), 0.7, count
        ),
        failure_rate=np.clip(rng.beta(1.2, 14, count), 0.005, 0.6),
        io_rate=lognormal(rng, 2e-4, 1.4, count),
        loyalty=rng.random(count),
        h_rt_habit=rng.random(count),
        h_vmem_habit=rng.random(count),
        largest_job=rng.random(count),
        kinds=Roulette(_kind_weights(fields, rng)),
        active=Roulette(active),
        slices=len(active) // 2,
    )


def _owners(count: int, rng: np.random.Generator) -> list[str]:
    """Login names, first letter and surname, without repeats."""
    order = rng.permutation(len(FIRST_LETTERS) * len(SURNAMES))[:count].tolist()
    return [
        FIRST_LETTERS[number // len(SURNAMES)] + SURNAMES[number % len(SURNAMES)]
        for number in order
    ]


def _job_names(field: Discipline, rng: np.random.Generator) -> list[str]:
    """NAMES_PER_USER names as a person would number or suffix the field's programs."""
    endings = (
        "",
        "",
        "",
        ".sh",
        "_v2",
        "_test",
        f"_{rng.integers(1, 400):03d}",
        f"_{rng.integers(1, 30)}",
        "_prod",
    )
    programs = rng.choice(np.array(field.programs), NAMES_PER_USER).tolist()
    suffixes = rng.choice(np.array(endings), NAMES_PER_USER).tolist()
    return [program + suffix for program, suffix in zip(programs, suffixes, strict=True)]


def _kind_weights(fields: list[Discipline], rng: np.random.Generator) -> Floats:
    """Weights of shape (2 × users, 4 kinds): odd rows are for arrays, never MPI."""
    shares = np.array([field.kinds for field in fields]) * KIND_SHARES
    single = shares * lognormal(rng, 1.0, 0.9, 4 * len(fields)).reshape(-1, 4)
    arrays = single * np.array([1.0, 0.25, 0.0, 0.0])
    return np.stack([single, arrays], axis=1).reshape(-1, 4)


def _activity(begin: int, end: int, fields: list[Discipline], rng: np.random.Generator) -> Floats:
    """Weights of shape (2 × slices, users): a few users do most, and everyone has campaigns."""
    count = len(fields)
    slices = max(1, -(-(end - begin) // SLICE))
    present = _presence(begin, end, slices, count, rng)
    keenness = lognormal(rng, 1.0, 1.5, count)
    campaigns = np.exp(0.9 * rng.standard_normal((slices, count)))
    single = present * keenness * campaigns
    arrays = single * np.array([field.arrays for field in fields]) * lognormal(rng, 1.0, 0.8, count)
    return np.stack([single, arrays], axis=1).reshape(2 * slices, count)


def _presence(begin: int, end: int, slices: int, count: int, rng: np.random.Generator) -> Floats:
    """1 where a user is there at the middle of a slice, else 0, of shape (slices, users)."""
    shares = np.array([share for _, share in STAYS])
    stays = np.array([days for days, _ in STAYS])[rng.choice(len(STAYS), count, p=shares)]
    # some staff were there before and stay: no slice is ever without users
    stays[:12] = STAFF_DAYS
    length = stays * DAY
    join = begin - length + rng.random(count) * (end - begin + length)
    join[:12], length[:12] = begin, end - begin + DAY
    middle = (begin + (np.arange(slices) + 0.5) * SLICE)[:, None]
    there: Floats = ((join <= middle) & (middle < join + length)).astype(np.float64)
    return there
