"""The pages, in the order and the sections of the navigation; a new page is a line here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamlit_app.i18n import mark

VIEWS = Path(__file__).parent / "views"


@dataclass(frozen=True)
class Place:
    """A page: its file in `views/`, title, icon, and path in the address.

    `parameters` are those of its own that the address holds, beside the filters that all share:
    see `address.get` and `address.put`. Where there are roles, `is_named` pages are for those who
    have signed in, `is_public` ones for everybody, if the settings have totals for all.
    """

    file: str
    title: str
    icon: str
    path: str
    parameters: tuple[str, ...] = ()
    is_named: bool = True
    is_public: bool = False


ENTITY = ("metric", "order", "form")  # what is ranked, from which end, and how it is drawn
RANKINGS = ("of", "metric", "form")

# The first page of all is at /, and TOTALS where one may open no other.
SECTIONS: dict[str, tuple[Place, ...]] = {
    "": (Place("overview.py", mark("Overview"), "dashboard", "overview"),),
    mark("Who"): (
        Place("users.py", mark("Users"), "person", "users", ENTITY),
        Place("groups.py", mark("Groups"), "group", "groups", ENTITY),
        Place("metagroups.py", mark("Metagroups"), "groups", "metagroups", ENTITY),
        Place("projects.py", mark("Projects"), "folder", "projects", ("of", *ENTITY)),
    ),
    mark("Where"): (
        Place("clusters.py", mark("Clusters"), "hub", "clusters", ("of", *ENTITY)),
        Place("queues.py", mark("Queues"), "view_list", "queues", ENTITY),
        Place("nodes.py", mark("Nodes"), "dns", "nodes", ENTITY),
    ),
    mark("How"): (
        Place("rankings.py", mark("Rankings"), "leaderboard", "rankings", RANKINGS),
        Place("sizes.py", mark("Job sizes"), "stacked_bar_chart", "sizes"),
        Place("waiting.py", mark("Waiting"), "hourglass_empty", "waiting"),
        Place("efficiency.py", mark("Efficiency"), "speed", "efficiency"),
        Place("failures.py", mark("Failures"), "error_outline", "failures"),
    ),
    mark("Look closer"): (
        Place("jobs.py", mark("Jobs"), "manage_search", "jobs", ("job", "search", "sort")),
        Place(
            "explore.py",
            mark("Explore"),
            "query_stats",
            "explore",
            ("metric", "by", "then", "chart", "top", "order"),
        ),  # fmt: skip
        Place("sql.py", mark("SQL"), "terminal", "sql", ("sql", "rows")),
        Place("report.py", mark("Report"), "print", "report", ("sections",)),
        Place("loaded.py", mark("Data"), "database", "data"),
    ),
}


# Where the settings have totals for everybody.
TOTALS = Place("totals.py", mark("Totals"), "public", "totals", is_named=False, is_public=True)


def every() -> Iterator[Place]:
    """Give all pages, in order."""
    for places in SECTIONS.values():
        yield from places


def sections() -> Iterator[tuple[str, tuple[Place, ...]]]:
    """Give the sections with their pages, those too that only some roles have."""
    for section, places in SECTIONS.items():
        yield section, (*places, TOTALS) if not section else places


def known() -> Iterator[Place]:
    """Give all pages, those too that only some roles have."""
    for _, places in sections():
        yield from places
