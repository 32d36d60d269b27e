"""The matrix: which fault is which function, on which engines, and how it is run."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.case import Case, Verdict
from tests.server import RunningServer

BOTH = ("embedded", "server")
EMBEDDED = ("embedded",)
SERVER = ("server",)


@dataclass(frozen=True)
class Fault:
    """A row of the matrix; `quick` is the share of its runs that the test suite makes, 0 = none."""

    number: int
    name: str
    engines: tuple[str, ...]
    quick: float
    happen: Callable[[Case], None]


FAULTS: list[Fault] = []


def fault(
    number: int, name: str, engines: tuple[str, ...] = BOTH, *, quick: float = 0.0
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Make a function a row of the matrix."""

    def add(happen: Callable[[Case], None]) -> Callable[[Case], None]:
        FAULTS.append(Fault(number, name, engines, quick, happen))
        return happen

    return add


def all_faults() -> list[Fault]:
    """Every row, in the matrix's order."""
    from tests.faults import crashes, database, files, lines, network  # noqa: F401 they add theirs

    return sorted(FAULTS, key=lambda each: (each.number, each.name))


def run(
    which: Fault, engine: str, folder: Path, server: RunningServer | None, scale: float = 1.0
) -> tuple[Verdict, float]:
    """Let a fault happen; what became of the lines, and the seconds it took."""
    place = folder / f"f{which.number}_{engine}_{os.getpid()}_{len(os.listdir(folder))}"
    place.mkdir(parents=True)
    place.chmod(0o777)
    case = Case(engine, place, scale, server if engine == "server" else None)
    began = time.monotonic()
    try:
        which.happen(case)
    except Exception as error:  # a fault that cannot be made proves nothing
        last = traceback.extract_tb(error.__traceback__)[-1]
        case.complain(f"{type(error).__name__}: {error} ({last.name}:{last.lineno})")
    if case.verdict.holds:
        case.forget()
        shutil.rmtree(place, ignore_errors=True)
    return case.verdict, time.monotonic() - began
