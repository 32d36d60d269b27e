"""Every category of the mission's lists: the question it asks, its value, and the page it is on.

The values are worked out by hand from `KNOWN` and `RANKED` below, or printed by the real qacct for
the sample of a live cell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from clickhouse.connection import Warehouse
from clickhouse.metrics import METRICS
from clickhouse.query import Filter, Period, Question, ask
from clickhouse.rollups import refresh
from ingest.loader import load_file
from streamlit_app import ranking, text
from streamlit_app.warehouse import holder
from tests import helpers
from tests.app import app, charts, texts
from tests.test_qacct import printed

GIB, MIB_IN_KIB = 2**30, 1024
IN_2018, IN_2019 = 1_515_542_400, 1_547_078_400  # 10 January, midnight UTC


def job(number: int, submitted: int, wait: int, wall: int, **fields: Any) -> bytes:
    start = submitted + wait
    times = {"submission_time": submitted, "start_time": start, "end_time": start + wall}
    return helpers.line(job_number=number, **times, **fields)


# Four jobs that ran 1, 2, 3 and 4 hours, the last one in 2019, and one that never started.
KNOWN = (
    job(
        1, IN_2018, 100, 3600, owner="ann", group="chem", project="climate", qname="short.q",
        hostname="n1", slots=1, cpu=1800, ru_utime=1700, ru_stime=100, io=2, iow=36,
        maxvmem=1 * GIB, ru_maxrss=512 * MIB_IN_KIB,
    ),
    job(
        2, IN_2018, 300, 7200, owner="ann", group="chem", project="climate", qname="short.q",
        hostname="n2", granted_pe="openmp", slots=4, cpu=14400, ru_utime=14000, ru_stime=400, io=4,
        iow=72, maxvmem=4 * GIB, ru_maxrss=2048 * MIB_IN_KIB,
    ),
    job(
        3, IN_2018, 200, 10800, owner="bob", group="bio", project="genes", qname="long.q",
        hostname="n1", granted_pe="mpi", slots=16, cpu=86400, ru_utime=80000, ru_stime=6400, io=8,
        iow=0, maxvmem=16 * GIB, ru_maxrss=8192 * MIB_IN_KIB,
    ),
    job(
        4, IN_2019, 1000, 14400, owner="bob", group="bio", project="genes", qname="long.q",
        hostname="n3", granted_pe="other", slots=2, cpu=7200, ru_utime=7000, ru_stime=200, io=0,
        iow=0, maxvmem=3 * GIB, ru_maxrss=1024 * MIB_IN_KIB, exit_status=1,
    ),
    helpers.line(
        job_number=5, owner="eve", group="chem", project="climate", qname="short.q", hostname="n2",
        submission_time=IN_2018, start_time=0, end_time=0, failed=26, cpu=0, ru_utime=0, ru_stime=0,
        io=0, iow=0,
    ),
)  # fmt: skip
# u01 to u12, with groups, queues, nodes and projects of their own: as many jobs of an hour each.
RANKED = tuple(
    job(
        100 * k + i, IN_2018, 10 * k, 3600, owner=f"u{k:02}", group=f"g{k:02}", qname=f"q{k:02}",
        hostname=f"n{k:02}", project=f"p{k:02}", cpu=60 * k,
    )
    for k in range(1, 13)
    for i in range(k)
)  # fmt: skip
CLUSTERS = {
    "known": {
        "pe_classes": {"openmp": "single-node", "mpi": "multi-node"},
        "cores": {"queues": {"short.q": 4}},
    }
}
METAGROUPS = {"lab": {"users": ["ann"], "groups": ["bio"]}, "biology": {"groups": ["bio"]}} | {
    f"m{k:02}": {"users": [f"u{k:02}"]} for k in range(1, 13)
}
ONLY_KNOWN = Filter("cluster", ("known",))


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sample: Path
) -> Iterator[Warehouse]:
    """The known lines, those that are ranked, and the live cell's: a cluster each."""
    folder = tmp_path_factory.mktemp("mission")
    url, server, database = f"chdb://{folder}/db", None, f"mission_{os.getpid()}"
    if request.param == "server":
        server = request.getfixturevalue("server")
        url = server.url(database)
    with helpers.warehouse(url, clusters=CLUSTERS, metagroups=METAGROUPS) as opened:
        for cluster, lines in (("known", KNOWN), ("ranked", RANKED)):
            file = folder / cluster
            file.write_bytes(b"\n".join(lines) + b"\n")
            load_file(opened, cluster, file)
        load_file(opened, "live", sample)
        refresh(opened)
        st.cache_resource.clear()
        holder.use(opened)
        yield opened
    holder.close()
    st.cache_resource.clear()
    if server:
        server.query(f"DROP DATABASE {database} SYNC")


both = pytest.mark.parametrize("site", ["chdb", "server"], indirect=True)
embedded = pytest.mark.parametrize("site", ["chdb"], indirect=True)

# "The total number of jobs and hours; the average memory, execution time and queued time; the
# minimum, maximum, median and average duration; CPU against system and I/O; RAM."
FIGURES: dict[str, float] = {
    "jobs": 4,
    "attempts": 5,
    "wall_hours": 1 + 2 + 3 + 4,
    "core_hours": 1 + 2 * 4 + 3 * 16 + 4 * 2,
    "memory_avg": (1 + 4 + 16 + 3) / 4,
    "memory_max": 16,
    "ram_avg": (0.5 + 2 + 8 + 1) / 4,
    "ram_max": 8,
    "duration_min": 3600,
    "duration_max": 4 * 3600,
    "duration_median": 2.5 * 3600,
    "duration_avg": 2.5 * 3600,
    "wait_min": 100,
    "wait_max": 1000,
    "wait_median": 250,
    "wait_avg": 400,
    "cpu_hours": 0.5 + 4 + 24 + 2,
    "cpu_efficiency": 100 * 30.5 / 65,
    "user_cpu_hours": 102_700 / 3600,
    "system_cpu_hours": 7_100 / 3600,
    "system_share": 100 * 7_100 / 109_800,
    "io": 14,
    "io_wait_share": 100 * 108 / 36_000,
    "slots_avg": 23 / 4,
    "slots_max": 16,
    "users": 2,
}


@both
def test_figures_are_those_worked_out_by_hand(site: Warehouse) -> None:
    for exact in (False, True):
        question = Question(tuple(FIGURES), filters=(ONLY_KNOWN,), exact=exact)
        [row] = ask(site, question).to_pylist()
        for name, value in FIGURES.items():
            assert row[name] == pytest.approx(value, rel=0.01 if "median" in name else 1e-9), name


@both
def test_medians_by_month_are_those_of_the_lines(site: Warehouse) -> None:
    asked = Question(("duration_median", "wait_median", "wait_avg"), ("month",))
    rollups, lines = (ask(site, replace(asked, exact=exact)).to_pylist() for exact in (False, True))
    assert len(rollups) == len(lines) == 3
    for row, of_lines in zip(rollups, lines, strict=True):
        assert row.pop("month") == of_lines.pop("month")
        assert row == pytest.approx(of_lines, rel=0.01)


@embedded
def test_every_figure_is_on_the_overview(site: Warehouse) -> None:
    at = app("overview", cluster="known")
    for name, value in FIGURES.items():
        shown = text.figure(value, METRICS[name].unit)
        if "median" in name:  # of a rollup, which is as exact as a hundredth
            [row] = ask(site, Question((name,), filters=(ONLY_KNOWN,))).to_pylist()
            shown = text.figure(row[name], METRICS[name].unit)
        unbroken = text.plain(shown).replace(" ", "\u00a0")
        assert f"| {text.plain(text.label(name))} | {unbroken} |" in texts(at), name


# "By user, group, metagroup, cluster, queue, node, project": jobs, core hours, average wait.
BY: dict[str, tuple[str, dict[str, tuple[int, float, float | None]]]] = {
    "user": ("users", {"ann": (2, 9, 200), "bob": (2, 56, 600), "eve": (0, 0, None)}),
    "group": ("groups", {"chem": (2, 9, 200), "bio": (2, 56, 600)}),
    "metagroup": (
        "metagroups",
        {"lab": (4, 65, 400), "biology": (2, 56, 600), "": (0, 0, None)},
    ),
    "cluster": ("clusters", {"known": (4, 65, 400)}),
    "queue": ("queues", {"short.q": (2, 9, 200), "long.q": (2, 56, 600)}),
    "node": ("nodes", {"n1": (2, 49, 150), "n2": (1, 8, 300), "n3": (1, 8, 1000)}),
    "project": ("projects", {"climate": (2, 9, 200), "genes": (2, 56, 600)}),
}


@both
@pytest.mark.parametrize("dimension", BY)
def test_by_each_dimension(site: Warehouse, dimension: str) -> None:
    question = Question(("jobs", "core_hours", "wait_avg"), (dimension,), filters=(ONLY_KNOWN,))
    columns = ask(site, question).to_pydict().values()
    found = {name: tuple(row) for name, *row in zip(*columns, strict=True)}
    assert found == BY[dimension][1]


@embedded
@pytest.mark.parametrize("dimension", BY)
def test_each_dimension_has_its_page(site: Warehouse, dimension: str) -> None:
    page, expected = BY[dimension]
    # the one cluster as a filter would be shown in detail
    kept = {"user": ["ann", "bob", "eve"]} if dimension == "cluster" else {"cluster": "known"}
    at = app(page, **kept)
    [frame] = [each.value for each in at.dataframe]
    assert dict(zip(frame[dimension], frame["jobs"], strict=True)) == {
        name: jobs for name, (jobs, _, _) in expected.items()
    }
    hours = dict(zip(frame[dimension], frame["core_hours"], strict=True))
    assert hours == {name: core_hours for name, (_, core_hours, _) in expected.items()}
    drawn = {row["name"]: row["value"] for row in charts(at)[0][1]}
    assert drawn == {name or text.NO_NAME: hours[name] for name in expected}


@embedded
def test_one_in_detail(site: Warehouse) -> None:
    at = app("users", cluster="known", user="bob")
    assert at.title[0].value == "User bob"
    shown = {metric.label: metric.value for metric in at.metric}
    assert shown["Executed jobs"] == "2"
    assert shown["Core time"] == "56.0 core-h"
    assert text.plain("86.2 % of all core time and 50.0 % of all executed jobs") in texts(at)
    at.button(key="users_back").click().run()
    assert at.title[0].value == "Users"


# "By calendar year, or any period": jobs, core hours.
PERIODS = {
    "2018": (3, "57.0 core-h"),
    "2019": (1, "8.00 core-h"),
    "2018-01": (3, "57.0 core-h"),
    "2018-01-10..2019-01-09": (3, "57.0 core-h"),
    "2018..2019": (4, "65.0 core-h"),
}


@embedded
@pytest.mark.parametrize("period", PERIODS)
def test_by_calendar_year_or_any_period(site: Warehouse, period: str) -> None:
    at = app("overview", cluster="known", period=period)
    shown = {metric.label: metric.value for metric in at.metric}
    jobs, core_hours = PERIODS[period]
    assert (shown["Executed jobs"], shown["Core time"]) == (str(jobs), core_hours)
    assert sum(row["value"] for row in charts(at)[0][1]) == jobs


@both
def test_years_side_by_side(site: Warehouse) -> None:
    answer = ask(site, Question(("jobs", "wall_hours"), ("year",), filters=(ONLY_KNOWN,)))
    rows = [tuple(row.values()) for row in answer.to_pylist() if row["jobs"]]
    assert rows == [(2018, 3, 6), (2019, 1, 4)]


@embedded
def test_a_year_is_compared_with_the_one_before(site: Warehouse) -> None:
    at = app("overview", cluster="known", period="2019")
    deltas = {metric.label: metric.delta for metric in at.metric}
    assert deltas["Executed jobs"] == "-66.7 %"  # 1 after 3
    assert deltas["Core time"] == "-86.0 %"  # 8 after 57


RANKINGS = {"user": "u", "group": "g", "metagroup": "m", "project": "p", "queue": "q", "node": "n"}


@embedded
@pytest.mark.parametrize("dimension", RANKINGS)
def test_top_ten_and_inverted_top_ten(site: Warehouse, dimension: str) -> None:
    at = app("rankings", cluster="ranked", of=dimension)
    most, least = (rows for _, rows in charts(at)[:2])
    names = [f"{RANKINGS[dimension]}{k:02}" for k in range(1, 13)]
    hours = dict(zip(names, range(1, 13), strict=True))
    assert [(r["name"], r["value"]) for r in most] == [*reversed(hours.items())][:10]
    assert [(r["name"], r["value"]) for r in least] == [*hours.items()][:10]
    if dimension != "metagroup":  # which overlap, so that they are no parts of a whole
        assert most[0]["shown"] == "12.0 core-h · 15.4 %"  # of 78
        assert text.plain("All others: 3.00 core-h, 3.8 %") in texts(at)


@embedded
def test_the_least_used_are_those_too_that_nobody_used(site: Warehouse) -> None:
    at = app("nodes", cluster="known", period="2019", order="least")
    drawn = [(row["name"], row["value"]) for row in charts(at)[0][1]]
    assert drawn == [("n1", 0), ("n2", 0), ("n3", 8)]


@embedded
def test_the_least_used_are_shown_where_nobody_used_any(
    site: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "BARS", 2)
    at = app("nodes", cluster="known", period="2019", order="least")
    rows = charts(at)[0][1]
    assert [(row["name"], row["value"]) for row in rows] == [("n1", 0), ("n2", 0)]
    assert all(row["reach"] > 0 for row in rows)
    assert not charts(app("nodes", cluster="known", period="1999", order="least"))


@embedded
def test_use_against_capacity_where_it_is_known(site: Warehouse) -> None:
    for page, dimension in (("queues", "queue"), ("nodes", "node")):
        at = app(page, cluster="known", period="2018")
        [rows] = [rows for _, rows in charts(at) if rows and "asked" in rows[0]]
        hours = 24 * (date(2018, 12, 31) - date(2018, 1, 9)).days
        used = {row["name"]: row["value"] * hours for row in rows}
        asked = {row["name"]: row["asked"] for row in rows}
        if dimension == "queue":
            assert used == pytest.approx({"short.q": 9})
            assert asked == {"short.q": 4}
        else:  # against the busiest month: January, from the 10th on
            assert used == pytest.approx({"n1": 49, "n2": 8})
            assert asked == pytest.approx({"n1": 49 / (22 * 24), "n2": 8 / (22 * 24)})


@embedded
@pytest.mark.parametrize("metric", ["jobs", "wait_avg", "cpu_efficiency", "duration_max"])
def test_top_ten_by_any_metric(site: Warehouse, metric: str) -> None:
    at = app("rankings", cluster="ranked", metric=metric)
    first, last = (rows[0]["name"] for _, rows in charts(at)[:2])
    expected = ("u01", "u01") if metric == "duration_max" else ("u12", "u01")
    assert (first, last) == expected


# "How many slots jobs use: sequential, parallel on one node, parallel over nodes."
CLASSES = {"sequential": 1, "single-node": 1, "multi-node": 1, "parallel-unknown": 1}
SLOTS = {1: 1, 2: 1, 4: 1, 16: 1}


@both
def test_sizes(site: Warehouse) -> None:
    for dimension, expected in (("parallel_class", CLASSES), ("slots", SLOTS)):
        answer = ask(site, Question(("jobs",), (dimension,), filters=(ONLY_KNOWN,))).to_pydict()
        found = {n: jobs for n, jobs in zip(*answer.values(), strict=True) if jobs}
        assert found == expected


@embedded
def test_sizes_are_on_their_page(site: Warehouse) -> None:
    at = app("sizes", cluster="known")
    frames = [each.value for each in at.dataframe]
    for dimension, expected in (("parallel_class", CLASSES), ("slots", SLOTS)):
        frame = next(each for each in frames if dimension in each)
        rows = zip(frame[dimension], frame["jobs"], strict=True)
        assert {name: jobs for name, jobs in rows if jobs} == expected


@both
def test_mixtures(site: Warehouse) -> None:
    question = Question(("jobs", "core_hours"), ("user", "queue", "year"), filters=(ONLY_KNOWN,))
    rows = {tuple(row.values()) for row in ask(site, question).to_pylist() if row["jobs"]}
    assert rows == {
        ("ann", "short.q", 2018, 2, 9),
        ("bob", "long.q", 2018, 1, 48),
        ("bob", "long.q", 2019, 1, 8),
    }
    only_2019 = Period(date(2019, 1, 1), date(2020, 1, 1))
    kept = (ONLY_KNOWN, Filter("group", ("bio",)), Filter("node", ("n1",), exclude=True))
    assert ask(site, Question(("jobs",), (), only_2019, kept)).to_pylist() == [{"jobs": 1}]


@embedded
def test_mixtures_of_filters_are_on_every_page(site: Warehouse) -> None:
    mixed: dict[str, str | list[str]] = {"metagroup": "lab", "queue": "long.q", "period": "2019"}
    at = app("overview", cluster="known", **mixed)
    assert at.metric[0].value == "1"
    assert at.metric[1].value == "8.00 core-h"
    at = app("nodes", cluster="known", **mixed)
    assert [row["name"] for row in charts(at)[0][1]] == ["n3"]


QACCT = {"-o": "user", "-g": "group", "-q": "queue", "-h": "node", "-P": "project"}


@embedded
@pytest.mark.parametrize("option", QACCT)
def test_pages_have_the_cpu_time_that_qacct_prints(
    site: Warehouse, sample: Path, option: str
) -> None:
    dimension = QACCT[option]
    expected = printed((sample.parent / f"qacct_{option}.txt").read_text())
    at: AppTest = app(BY[dimension][0], cluster="live")
    [frame] = [each.value for each in at.dataframe]
    shown = zip(frame[dimension], frame["cpu_hours"], strict=True)
    cpu = {name or "NONE": f"{hours * 3600:.3f}" for name, hours in shown}
    assert cpu == {name: figures[3] for name, figures in expected.items()}
