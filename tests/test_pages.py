"""The pages of users to nodes, rankings, waiting, efficiency and failures, on odd data too."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import streamlit as st

from clickhouse.codes import EXITS, FAILED
from clickhouse.connection import Warehouse
from clickhouse.query import Filter, Period, Question, ask
from clickhouse.settings import Settings
from ingest.loader import load_file
from streamlit_app import (
    capacity,
    cards,
    compare,
    data,
    figures,
    filters,
    forms,
    i18n,
    ranking,
    shape,
    text,
)
from streamlit_app.entity import SPLITS, listed
from streamlit_app.warehouse import holder
from tests import helpers
from tests.app import app, charts, texts

ENTITIES = {
    "users": "user",
    "groups": "group",
    "metagroups": "metagroup",
    "projects": "project",
    "clusters": "cluster",
    "queues": "queue",
    "nodes": "node",
}
OTHERS = ("overview", "rankings", "waiting", "efficiency", "failures")
PAGES = (*OTHERS, *ENTITIES)
HOSTILE = (
    "<script>alert(1)</script>",
    "a'b\"c`d",
    "🐧$x$ *bold* [l](http;//x)",
    "n" * 300,
    "{name}",
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Warehouse]:
    """The sample, names that may not break anything, and attempts that ended in all ways."""
    folder = tmp_path_factory.mktemp("pages")
    lines = [
        helpers.line(
            owner=name, group=name, qname=name, hostname=name, project=name, job_number=number,
            failed=(0, 1, 100, 37, 25)[number], exit_status=(0, 127, 137, 1, 3)[number],
            slots=number, granted_pe="mpi" if number > 1 else "NONE",
            start_time=1500000100 if number != 1 else 0, category="-l h_vmem=8G,h_rt=3600",
        )
        for number, name in enumerate(HOSTILE)
    ]  # fmt: skip
    metagroups = {"lab": {"users": ["alice", HOSTILE[0]]}}
    with helpers.warehouse(f"chdb://{folder}/db", metagroups=metagroups) as opened:
        load_file(opened, "live", sample)
        for cluster, content in (("odd", b"\n".join(lines)), ("single", helpers.line())):
            file = folder / cluster
            file.write_bytes(content + b"\n")
            load_file(opened, cluster, file)
        st.cache_resource.clear()
        holder.use(opened)
        yield opened
    holder.close()
    st.cache_resource.clear()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_odd_data(odd: Warehouse, page: str) -> None:
    at = app(page, cluster=["odd", "live"])
    assert not at.error
    assert cards.NO_JOBS not in texts(at)
    assert charts(at) and all(rows for _, rows in charts(at))


@pytest.mark.parametrize(
    ("page", "locale"),
    [*((page, "en-GB") for page in PAGES), *((page, "fr-FR") for page in (*OTHERS, "queues"))],
)
def test_a_page_of_what_never_started(odd: Warehouse, page: str, locale: str) -> None:
    with i18n.speaking(locale[:2]):  # the tester formats what is chosen outside of the session
        at = app(page, locale, cluster="odd", outcome="never started")
        assert not at.error
        assert i18n.t(cards.NO_JOBS) in texts(at)
    assert {metric.value for metric in at.metric} <= {text.MISSING, "0", "1"}


@pytest.mark.parametrize(
    ("page", "name"),
    [
        *(("users", name) for name in HOSTILE),
        *((page, HOSTILE[0]) for page in ("groups", "projects", "queues", "nodes")),
        ("metagroups", "lab"),
        ("clusters", "odd"),
    ],
)
def test_one_with_a_hostile_name_in_detail(odd: Warehouse, page: str, name: str) -> None:
    dimension = ENTITIES[page]
    at = app(page, **{dimension: name})
    assert not at.error
    shown = text.plain(text.short(name))
    assert at.title[0].value.endswith(shown)
    answer = ask(odd, Question(("jobs",), filters=(Filter(dimension, (name,)),)))
    jobs = answer.column("jobs")[0].as_py()
    assert at.metric[0].value == (text.figure(jobs, "") if jobs else text.MISSING)


@pytest.mark.parametrize("dimension", ["user", "queue", "node", "project", "parallel_class"])
def test_a_filter_narrows_each_page(odd: Warehouse, dimension: str) -> None:
    values = ask(odd, Question(("jobs",), (dimension,), limit=2)).column(dimension).to_pylist()
    kept = Filter(dimension, tuple(str(value) for value in values if value))
    [jobs] = ask(odd, Question(("jobs",), filters=(kept,))).column("jobs").to_pylist()
    for page in ("overview", "users"):
        at = app(page, **{dimension: list(kept.values)})
        drawn = charts(at)[0][1] if page == "overview" else at.dataframe[0].value["jobs"]
        found = sum(row["value"] for row in drawn) if page == "overview" else sum(drawn)
        assert found == jobs


@pytest.mark.parametrize("page", PAGES)
def test_one_job_is_enough(odd: Warehouse, page: str) -> None:
    at = app(page, cluster="single", user="ann")
    assert not at.error
    assert charts(at)
    for metric in at.metric:
        assert "nan" not in metric.value


def test_each_bar_is_one_mark(odd: Warehouse) -> None:
    """A bar that is stacked, if only by itself, gets a group and a clip path for its corners."""
    for page in ("overview", "sizes", "efficiency", "users"):
        for spec, _ in charts(app(page, cluster="live")):
            for layer in spec.get("layer", [spec]):
                mark = layer["mark"] if isinstance(layer["mark"], dict) else {}
                if mark.get("type") == "bar" and any("cornerRadius" in name for name in mark):
                    values = [layer["encoding"][axis] for axis in "xy"]
                    assert [each.get("stack", "zero") for each in values].count(None) == 1, page


def test_the_form_of_parts_over_time(odd: Warehouse) -> None:
    for form, mark in (("bars", "bar"), ("areas", "area"), ("lines", "line"), ("share", "bar")):
        at = app("queues", cluster=["live", "odd"], form=form)
        spec = charts(at)[1][0]
        assert spec["mark"]["type"] == mark
        stack = spec["encoding"]["y"].get("stack")
        assert stack == ("normalize" if form == "share" else None if form == "lines" else "zero")


@pytest.mark.parametrize("page", ENTITIES)
def test_a_page_can_be_ranked_by_jobs(odd: Warehouse, page: str) -> None:
    assert charts(app(page, cluster="live", metric="jobs"))


def test_a_page_can_be_ranked_by_every_figure_that_adds_up(odd: Warehouse) -> None:
    for metric in filter(shape.ADDITIVE.__contains__, listed("user")):
        assert charts(app("users", cluster="live", metric=metric)), metric


def test_every_figure_ranks_from_either_end(odd: Warehouse) -> None:
    for metric in ("jobs", "memory_avg", "wait_median", "cpu_efficiency"):
        at = app("nodes", metric=metric, order="least")
        question = Question((metric,), ("node",), limit=10, ascending=True)
        known = [v for v in ask(odd, question).column(metric).to_pylist() if v is not None]
        assert len(charts(at)[0][1]) == len(known)


@pytest.mark.parametrize("rows", [3, ranking.TABLE_ROWS])
@pytest.mark.parametrize("dimension", ["user", "node"])
def test_the_last_are_found_however_many_the_table_has(
    odd: Warehouse, monkeypatch: pytest.MonkeyPatch, dimension: str, rows: int
) -> None:
    monkeypatch.setattr(ranking, "TABLE_ROWS", rows)
    monkeypatch.setattr(ranking, "BARS", 2)
    at = app("rankings", of=dimension, metric="core_hours")
    for ascending, drawn in zip((False, True), charts(at), strict=False):
        question = Question(("core_hours",), (dimension,), ascending=ascending)
        found = ask(odd, question)
        assert found.num_rows > 3
        names = [text.value(dimension, name) for name in found.column(dimension).to_pylist()]
        assert [row["name"] for row in drawn[1]] == names[:2]


def test_medians_are_added_on_demand(odd: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "wait_median" in app("nodes", cluster="live").dataframe[0].value  # of few lines
    monkeypatch.setattr(figures, "JOBS_AT_ONCE", 0)
    assert "wait_median" in app("users", cluster="live").dataframe[0].value  # of a rollup
    at = app("nodes", cluster="live")
    assert "wait_median" not in at.dataframe[0].value
    at.toggle(key="nodes_medians").set_value(True).run()
    frame = at.dataframe[0].value
    live = Filter("cluster", ("live",))
    answer = ask(odd, Question(("wait_median",), ("node",), filters=(live,)))
    expected = dict(zip(*answer.to_pydict().values(), strict=True))
    shown = dict(zip(frame["node"], frame["wait_median"], strict=True))
    for name, seconds in expected.items():
        assert shown[name].total_seconds() == pytest.approx(seconds, abs=60)


def test_codes_are_shown_in_words(odd: Warehouse) -> None:
    at = app("failures", cluster="odd")
    names = {row["name"] for _, rows in charts(at) for row in rows if "name" in row}
    assert {"1: assumedly before job", "37: qmaster enforced h_rt, h_cpu or h_vmem"} <= names
    assert {"127: command not found", "137: KILL (killed)"} <= names


def test_every_code_has_its_french() -> None:
    french = i18n.catalogue("fr")
    assert [words for words in (*FAILED.values(), *EXITS.values()) if words not in french] == []


def test_who_could_ask_for_less(odd: Warehouse) -> None:
    at = app("efficiency", cluster="odd")
    asked = [rows for spec, rows in charts(at) if rows and "asked" in rows[0]]
    [of_memory, of_time] = asked
    # a job has slots × 8 GiB and uses 1 MiB of it; an hour, of which it uses 100 s
    memory = {row["name"]: row["asked"] for row in of_memory}
    assert memory[HOSTILE[2]] == 2 * 8
    assert {row["asked_shown"] for row in of_time} == {"1 h 00 min"}


def test_many_lines_are_read_only_when_wanted(
    odd: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "LINES_AT_ONCE", 0)
    in_rollups = app("failures", cluster="live")
    assert not [each.key for each in in_rollups.button if str(each.key).endswith("_show")]
    [name] = ask(odd, Question(("jobs",), ("node",), limit=1))["node"].to_pylist()
    at = app("failures", node=name)
    before = len(charts(at))
    at.button(key="failures_exits_show").click().run()
    assert not at.exception
    assert len(charts(at)) == before + 1


def test_each_key_figure_has_its_trend_in_words(odd: Warehouse) -> None:
    at = app("overview")
    drawn = [each.proto.body for each in at.get("html")]
    trends = [each for each in drawn if 'class="sparkline"' in each]
    assert len(trends) == len(at.metric) == 8
    words = [html.unescape(re.findall('title="([^"]*)"', each)[0]) for each in trends]
    assert all(each.startswith("Jul 2017 to Nov 2026: smallest ") for each in words)
    shown = dict(zip((each.label for each in at.metric), words, strict=True))
    assert shown["Wait, average"].endswith("smallest 2 s (Nov 2026), largest 1 min 40 s (Jul 2017)")


SCOPE = filters.Scope(Period(), (), date(2024, 1, 1), date(2024, 12, 31))


@pytest.mark.parametrize(
    ("first", "last", "which", "start", "end"),
    [
        (date(2018, 1, 1), date(2018, 12, 31), "previous", date(2017, 1, 1), date(2018, 1, 1)),
        (date(2018, 1, 1), date(2018, 12, 31), "year", date(2017, 1, 1), date(2018, 1, 1)),
        (date(2018, 3, 1), date(2018, 3, 31), "previous", date(2018, 2, 1), date(2018, 3, 1)),
        (date(2018, 3, 1), date(2018, 3, 31), "year", date(2017, 3, 1), date(2017, 4, 1)),
        (date(2018, 3, 5), date(2018, 3, 9), "previous", date(2018, 2, 28), date(2018, 3, 5)),
        (date(2020, 2, 29), date(2020, 2, 29), "year", date(2019, 2, 28), date(2019, 3, 1)),
    ],
)
def test_the_period_to_compare_with(
    first: date, last: date, which: str, start: date, end: date
) -> None:
    scope = filters.Scope(Period(first), (), first, last)
    assert compare.earlier(scope, which) == Period(start, end)


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        (date(2018, 1, 1), date(2019, 1, 1), "2018"),
        (date(2016, 1, 1), date(2019, 1, 1), "2016 – 2018"),
        (date(2018, 3, 3), date(2018, 4, 10), "3 Mar – 9 Apr 2018"),
        (date(2018, 12, 31), date(2019, 1, 2), "31 Dec 2018 – 1 Jan 2019"),
        (date(2018, 3, 3), date(2018, 3, 4), "3 Mar 2018"),
    ],
)
def test_a_period_in_words(start: date, end: date, shown: str) -> None:
    assert compare.span(Period(start, end)) == shown


def test_nothing_is_before_all_time() -> None:
    assert compare.earlier(SCOPE, compare.PREVIOUS) is None


@pytest.mark.parametrize(
    ("now", "before", "unit", "shown"),
    [
        (110.0, 100.0, "h", "+10.0 %"),
        (50.0, 100.0, "", "-50.0 %"),
        (72.5, 70.0, "%", "+2.5 pt"),
        (1.0, 1.0, "s", 0),
        (1.0, 0.0, "s", None),
        (None, 3.0, "s", None),
    ],
)
def test_change(now: float | None, before: float | None, unit: str, shown: object) -> None:
    assert compare.change(now, before, unit) == shown


def test_a_node_out_of_line_is_told_from_chance() -> None:
    rows = {
        "node": ["a", "b", "c"],
        "jobs": [1000, 1000, 4],
        "failed_jobs": [50, 150, 2],
        "failure_rate": [5.0, 15.0, 50.0],
    }
    dotted, odd_ones = forms.outliers(pa.table(rows), "node", "failure_rate", "failed_jobs", 3.0)
    assert [row["node"] for row in odd_ones] == ["b"]  # two of four jobs say nothing
    assert dotted.column("kind").to_pylist() == ["in line", "in line", "out of line"]


def test_a_calendar_has_every_day_of_the_year() -> None:
    days = pa.table({"day": pa.array([date(2024, 2, 29)]), "jobs": [7]})
    rows = forms.calendar(days, "jobs", 2024).to_pylist()
    assert len(rows) == 366
    [found] = [row for row in rows if row["value"]]
    assert (found["step"], found["weekday"], found["shown"]) == ("29 Feb 2024", "Thu", "7")
    assert found["week"] == date(2024, 2, 25)  # the day before its Monday


def test_busy_cores_are_core_hours_over_hours() -> None:
    steps = [date(2024, 1, 1), date(2024, 2, 1)]
    table = pa.table({"month": pa.array(steps), "queue": ["q", "q"], "core_hours": [744.0, 1392.0]})
    [(name, busiest, average)] = forms.busy_cores(table, "queue", SCOPE)
    assert (name, busiest) == ("q", 2.0)  # 29 days of 24 hours
    assert average == pytest.approx((744 + 1392) / (366 * 24))


CORES = {
    "a": {"cores": {"total": 100, "queues": {"all.q": 10}, "nodes": {"big*": 64, "*": 8}}},
    "b": {"cores": {"queues": {"*.q": 5}, "nodes": {"b-?": 4}}},
}


@pytest.mark.parametrize(
    ("dimension", "name", "clusters", "cores"),
    [
        ("cluster", "a", (), 100),
        ("cluster", "b", (), 0),
        ("queue", "all.q", (), 15),
        ("queue", "all.q", ("a",), 10),
        ("queue", "all", (), 0),
        ("node", "big1", (), 64),
        ("node", "b-1", (), 0),  # of either cluster
        ("node", "b-1", ("b",), 4),
        ("user", "all.q", (), 0),
    ],
)
def test_cores_that_there_are(
    dimension: str, name: str, clusters: tuple[str, ...], cores: int
) -> None:
    settings = Settings.model_validate({"clusters": CORES})
    assert capacity.cores_of(settings, dimension, name, clusters) == cores


def test_the_most_loaded_come_first() -> None:
    settings = Settings.model_validate({"clusters": CORES})
    busy = [("big1", 60.0, 32.0), ("n1", 8.0, 6.0)]
    assert capacity.of_all(settings, "node", busy) == [("n1", 8.0, 6.0), ("big1", 64.0, 32.0)]


def test_shares_have_a_rest() -> None:
    table = pa.table({"user": ["a", "b"], "jobs": [50, 30]})
    rows = shape.shares(table, "user", "jobs", (), 100.0).table.to_pylist()
    assert [row["name"] for row in rows] == ["a  50.0 %", "b  30.0 %", "other  20.0 %"]
    assert sum(row["value"] for row in rows) == pytest.approx(1)


def test_what_each_has_in_detail_exists() -> None:
    assert set(ENTITIES.values()) <= set(SPLITS)
