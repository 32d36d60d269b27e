"""Tries the parser with made-up lines for some minutes: `python -m fuzz --minutes 10 --seed 1`.

From a checkout with the test tools installed (`make dev`): `.venv/bin/python -m fuzz`. Each text is
a mix of sound lines of every layout, damaged ones, colons within fields, carriage returns, NULs,
bytes that are not UTF-8, JSON, comments, lines of about 1 MiB and plain noise, cut into blocks of
any size. It goes through `landing` of an embedded database (or of `--database`); then must hold:

- nothing raises,
- lines = records + rejects + ignored, each at its own offset, by a count that knows no fields,
- every reject has its bytes,
- every sound line reads as it does alone, whatever stands beside it,
- the loader's own count of lines and ignored lines agrees.

hypothesis draws the texts and, once something fails, looks for a small one; what it finds is
printed with its seed. It watches no coverage: atheris would see only the Python around the engine,
where nothing is parsed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from clickhouse.connection import Warehouse
from clickhouse.migrate import migrate
from clickhouse.settings import Settings
from fuzz.landing import faults, land
from fuzz.lines import KINDS, Recipe, cook, sound_lines

TEXTS_PER_ROUND = 40
SOUND_JOBS = 400
SAID_EVERY = 30  # seconds
COMMON = [kind for kind in KINDS if kind != "huge"]
RECIPES = st.builds(
    Recipe,
    kind=st.sampled_from([*COMMON * 20, "huge"]),  # huge lines are slow: one in many
    count=st.integers(1, 80),
    seed=st.integers(0, 2**32),
)


def main() -> int:
    """Fuzz until the time is over or something fails; give the exit status."""
    options = _options()
    lines = sound_lines(options.seed, SOUND_JOBS)
    rounds = tried = 0
    began = said = time.monotonic()
    with _warehouse(options.database) as warehouse:
        sound = learn(warehouse, lines)
        while time.monotonic() - began < options.minutes * 60:
            tried += try_round(warehouse, sound, options.seed * 10**6 + rounds)
            rounds += 1
            if time.monotonic() - said > SAID_EVERY:
                said = time.monotonic()
                print(f"{said - began:.0f} s: {tried:,} lines", flush=True)
    texts = rounds * TEXTS_PER_ROUND
    print(f"seed {options.seed}: {texts:,} texts, {tried:,} lines tried, nothing failed")
    return 0


def learn(warehouse: Warehouse, lines: list[bytes]) -> dict[bytes, str]:
    """Read sound lines, each as a block of its own, to know how they read."""
    found = land(warehouse, b"\n".join(lines) + b"\n", row_bytes=1)
    assert not found.rejects, found.rejects
    offset, sound = 0, {}
    for line in lines:
        if offset in found.records:
            sound[line] = found.records[offset]
        offset += len(line) + 1
    return sound


def try_round(warehouse: Warehouse, sound: Mapping[bytes, str], number: int) -> int:
    """Try some texts and give the number of their lines; AssertionError names a small one."""
    tried = 0

    @seed(number)
    @settings(
        max_examples=TEXTS_PER_ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(RECIPES, min_size=1, max_size=40),
        st.integers(1, 3),
        st.sampled_from([1, 300, 5_000, 2**19]),
        st.booleans(),
    )
    def attempt(recipes: list[Recipe], blocks: int, row_bytes: int, ended: bool) -> None:
        nonlocal tried
        text = cook(recipes, list(sound), ended=ended)
        found = land(warehouse, text, len(text) // blocks + 1, row_bytes)
        wrong = faults(text, found, sound)
        tried += len(text.split(b"\n"))
        assert not wrong, f"round {number}: {'; '.join(wrong[:5])}"

    attempt()
    return tried


@contextmanager
def _warehouse(url: str | None) -> Iterator[Warehouse]:
    with tempfile.TemporaryDirectory(prefix="pychart-fuzz-") as folder:
        chosen = Settings(database=url or f"chdb://{folder}/warehouse")
        with Warehouse(chosen, create=True) as warehouse:
            migrate(warehouse)
            yield warehouse


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parser.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--database", help="an empty one, instead of a temporary embedded one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
