"""What access rules cost: the same questions without a scope and within those of six roles.

    python -m benchmarks.access --config pychart.toml --runs 7 [--random 20] [--first] [--rules]
        [--server]

The database must be loaded, and its settings have metagroups; the roles are put into the settings
in memory, and the rollups brought up to date with them, and with one user who has asked. Each run
asks a question once for each role, in turns that begin with another one each time, so that whatever
else the machine does meets all alike; with `--first` as if it were the first with its conditions,
of which the engine remembers where they are met. Medians in milliseconds; the ratios are to the
same question without a scope, in the same turn. With `--rules` it fails where one is above 1.2, by
more than the 1 ms that a median may be off, and so it is when measured once more, in five times as
many turns. With `--server` the server that tests run on serves the embedded database, and all roles
are bound by its row policies, an admin too; CPU time is this process's, without it.
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.questions import DISTRIBUTIONS, forget, randomly, standard, timed
from clickhouse import policies
from clickhouse.connection import EMBEDDED_DATABASE, Warehouse
from clickhouse.cubes import TABLES
from clickhouse.distributions import Bands, Heatmap, Histogram, distribution
from clickhouse.migrate import open_current
from clickhouse.query import Filter, Period, Question, ask, to_sql, values
from clickhouse.roles import AccessSettings, CorrespondentSettings, PiSettings
from clickhouse.rollups import refresh
from clickhouse.scope import Scope
from clickhouse.settings import Settings, load_settings
from tests.policed import policed_server
from tests.server import RunningServer

MOST = 1.2  # of the time without a scope
JITTER = 1.0  # ms that a median may be off
LONGER = 5  # times as many turns, where one was above
TOKEN_GROUP = "labs"
SLOW = 1500.0  # ms, above which three runs must do

Asked = Callable[[Warehouse, Scope | None], object]
Asker = tuple[Warehouse, Scope | None]


def roles(db: Warehouse) -> AccessSettings:
    """Name a PI, and correspondents: for most of the lines, and for a project of the largest user.

    Of him the former sees all, and the latter a part.
    """
    users, groups = values(db, "user", limit=6), values(db, "group", limit=7)
    metagroups = values(db, "metagroup", limit=2)
    if len(metagroups) < 2:
        raise SystemExit("the settings have fewer than two metagroups")
    pi, correspondent, of_project = values(db, "user", limit=30)[-3:]
    in_projects = (Filter("user", (users[0],)), Filter("project", ("",), exclude=True))
    projects = ask(db, Question(("jobs",), ("project",), filters=in_projects))["project"]
    if not projects:
        raise SystemExit(f"{users[0]} has no job in a project")
    seen = CorrespondentSettings(groups=tuple(groups[:5]), metagroups=tuple(metagroups))
    return AccessSettings(
        method="header",
        pis={pi: PiSettings(users=tuple(users[1:6]), groups=tuple(groups[5:7]))},
        correspondents={
            correspondent: seen,
            of_project: CorrespondentSettings(projects=(projects[0].as_py(),)),
            "by token": seen.model_copy(update={"token_groups": (TOKEN_GROUP,)}),
        },
    )


def scopes_of(db: Warehouse, access: AccessSettings) -> dict[str, Scope | None]:
    """Give what the largest user sees, those who have a role, and an admin, who has no scope."""
    of_pi, of_correspondent, of_project = access.scopes()
    [*_, another] = values(db, "user", limit=40)
    return {
        "user": Scope(users=(values(db, "user", limit=1)[0],)),
        "PI": of_pi,
        "correspondent": of_correspondent,
        "of a project": of_project,
        "by token": access.appointed(another, [TOKEN_GROUP]).scope,
        "admin": None,
    }


def more() -> dict[str, Question]:
    """What pages ask besides the standard questions."""
    return {
        "distinct users, groups, nodes": Question(("users", "groups", "nodes")),
        "failures by outcome and month": Question(
            ("failed_jobs", "failure_rate"), ("outcome", "month"), Period.parse("2020")
        ),
        "metagroups": Question(("core_hours", "jobs"), ("metagroup",)),
        "metagroups by year": Question(("core_hours",), ("metagroup", "year")),
        "queues by sub-cluster": Question(("core_hours",), ("queue", "sub_cluster")),
        "slots from powers of two": Question(("jobs", "core_hours"), ("slots_from",)),
    }


def asked(db: Warehouse, count: int) -> Iterator[tuple[str, Asked, str]]:
    """Give questions with a name and the tables that answer without a scope."""
    for name, each in (standard(values(db, "user", limit=1)[0]) | more()).items():
        yield name, partial(_ask, each), " + ".join(to_sql(db, each)[2].tables)
    for name, one in DISTRIBUTIONS.items():
        yield name, partial(_distribution, one), ""
    for number, each in enumerate(randomly(db, count), 1):
        words = f"{', '.join(each.metrics)} by {', '.join(each.dimensions) or 'nothing'}"
        tables = " + ".join(to_sql(db, each)[2].tables)
        yield f"random {number}: {words}"[:70], partial(_ask, each), tables


def _ask(question: Question, db: Warehouse, scope: Scope | None) -> object:
    return ask(db, replace(question, scope=scope))


def _distribution(asked: Histogram | Bands | Heatmap, db: Warehouse, scope: Scope | None) -> object:
    return distribution(db, replace(asked, scope=scope))


@dataclass(frozen=True)
class Measured:
    """Medians over the turns: of ms, and of the ratios to what the turn took without a scope."""

    wall: float
    cpu: float
    wall_ratio: float
    cpu_ratio: float


def measured(
    one: Asked, everyone: dict[str, Asker], runs: int, prepare: Callable[[], None]
) -> dict[str, Measured]:
    """Time a question for each role, "" being none, asked in turns."""
    first = {role: timed(partial(one, *asker), prepare) for role, asker in everyone.items()}
    turns, order = [], deque(everyone)
    for _ in range(3 if first[""].wall > SLOW else runs):
        turns.append({role: timed(partial(one, *everyone[role]), prepare) for role in order})
        order.rotate()
    return {
        role: Measured(
            statistics.median(turn[role].wall for turn in turns),
            statistics.median(turn[role].cpu for turn in turns),
            statistics.median(turn[role].wall / turn[""].wall for turn in turns),
            statistics.median(turn[role].cpu / turn[""].cpu for turn in turns),
        )
        for role in everyone
    }


def settings_with(settings: Settings, access: AccessSettings) -> Settings:
    """Put roles into settings that no file has."""
    content = settings.model_dump(exclude_unset=True) | {"access": access}
    return Settings(**content)


def _line(took: dict[str, Measured]) -> str:
    line = f"{took[''].wall:6.0f} ms {took[''].cpu:5.0f} CPU"
    for its in (its for role, its in took.items() if role):
        line += f" {its.wall:6.0f} ms {its.wall_ratio:4.2f} {its.cpu_ratio:4.2f} "
    return line


def _slow(took: dict[str, Measured]) -> list[str]:
    """List the roles for whom it takes too long."""
    plain = took[""].wall
    return [role for role, its in took.items() if (its.wall_ratio - MOST) * plain > JITTER]


@contextmanager
def bound(settings: Settings) -> Iterator[tuple[Warehouse, Warehouse]]:
    """Open the embedded database by a server: as who sees all, and as who is bound by policies."""
    data = Path(settings.database.removeprefix("chdb://"))

    def conditions(server: RunningServer) -> dict[str, str]:
        with open_current(at(server.url(EMBEDDED_DATABASE))) as db:
            return policies.conditions(db)

    def at(url: str) -> Settings:
        return settings.model_copy(update={"database": url})

    with (
        TemporaryDirectory() as folder,
        policed_server(Path(folder), data, conditions) as server,
        Warehouse(at(server.url(EMBEDDED_DATABASE))) as free,
        Warehouse(at(server.url(EMBEDDED_DATABASE, "pychart_app"))) as of_app,
    ):
        yield free, of_app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--random", type=int, default=20, help="so many random questions too")
    parser.add_argument("--first", action="store_true", help="each question as a new one")
    parser.add_argument("--rules", action="store_true", help=f"fail above {MOST}")
    parser.add_argument("--only", default="", help="questions with this in their name")
    parser.add_argument("--server", action="store_true", help="bound by row policies of a server")
    options = parser.parse_args()
    settings = load_settings(options.config)
    with open_current(settings) as db:
        access = roles(db)
    with Warehouse(settings_with(settings, access)) as db:
        scopes = scopes_of(db, access)
        for role in ("user", "by token"):
            _ask(Question(("jobs",)), db, scopes[role])  # then the next refresh knows them
        print(f"refreshed {refresh(db)}")
        for rollup in TABLES:  # as the engine does in the background, within minutes
            sql = f"OPTIMIZE TABLE {rollup.name} FINAL SETTINGS optimize_skip_merged_partitions = 1"
            db.command(sql)
        if not options.server:
            slow = measure((db, db), scopes, options)
    if options.server:
        with bound(settings_with(settings, access)) as both:
            slow = measure(both, scopes, options)
    print("\n".join(slow) or f"none takes more than {MOST} times as long")
    if slow and options.rules:
        raise SystemExit(1)


def measure(
    both: tuple[Warehouse, Warehouse], scopes: dict[str, Scope | None], options: argparse.Namespace
) -> list[str]:
    """Print what each question takes; gives which take too long, and for whom."""
    free, of_app = both
    everyone: dict[str, Asker] = {"": (free, None)}
    everyone |= {role: (of_app, scope) for role, scope in scopes.items()}
    prepare, slow = partial(forget, free, options.first), []
    print(f"{'question':70} {'no scope':>17} " + " ".join(f"{role:>20}" for role in scopes))
    for name, one, tables in asked(free, options.random):
        if options.only not in name:
            continue
        took = measured(one, everyone, options.runs, prepare)
        print(f"{name:70} {_line(took)} {tables}", flush=True)
        if _slow(took):
            again = measured(one, everyone, LONGER * options.runs, prepare)
            print(f"{'once more':70} {_line(again)}", flush=True)
            both_times = {*_slow(took)} & {*_slow(again)}
            slow += [f"{name}: {role} {again[role].wall_ratio:.2f}" for role in sorted(both_times)]
    return slow


if __name__ == "__main__":
    main()
