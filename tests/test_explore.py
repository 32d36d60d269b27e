"""Explore: every chart over every pair of dimensions, restored from the address."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from clickhouse.connection import Warehouse
from clickhouse.metrics import METRICS
from clickhouse.query import Question, ask
from streamlit_app import explorer
from tests.app import app


def page(**query: str | list[str]) -> AppTest:
    at = app("explore", **query)
    assert not at.error
    return at


def chart(at: AppTest) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Specification and rows of the one chart."""
    [element] = at.get("vega_lite_chart")
    content = element.proto.data.data or element.proto.datasets[0].data.data
    return json.loads(element.proto.spec), pa.ipc.open_stream(content).read_all().to_pylist()


def sums(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        found[row[name]] = found.get(row[name], 0) + row["value"]
    return found


def test_it_answers_by_one_and_by_two_dimensions(loaded: Warehouse) -> None:
    jobs = ask(loaded, Question(("jobs",))).column(0)[0].as_py()
    by_user = ask(loaded, Question(("jobs",), ("user",), limit=10)).to_pylist()
    expected = {row["user"]: row["jobs"] for row in by_user}
    _, rows = chart(page(metric="jobs"))
    assert sums(rows, "name") == expected
    _, rows = chart(page(metric="jobs", then="queue"))
    assert sums(rows, "row") == expected
    _, rows = chart(page(metric="jobs", by="time", then="user"))
    assert {name: value for name, value in sums(rows, "name").items() if value} == expected
    _, rows = chart(page(metric="jobs", by="time"))
    assert sum(row["value"] for row in rows) == jobs


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_every_chart_that_is_offered_can_be_drawn(loaded: Warehouse) -> None:
    at = page()
    for metric, by, then in (
        ("core_hours", "user", ""),
        ("core_hours", "time", ""),
        ("core_hours", "slots", "outcome"),
        ("core_hours", "time", "queue"),
        ("wait_median", "duration_from", "user"),
        ("wait_median", "weekday", ""),
        ("cpu_efficiency", "user", "year"),
        ("jobs", "flag", "time"),
    ):
        for kind in explorer.suited(metric, by, then):
            chosen = {"metric": metric, "by": by, "then": then, "chart": kind}
            for name, value in chosen.items():
                at.session_state[name] = value
            at.run()
            assert not at.exception and not at.error, chosen
            assert at.dataframe if kind == "table" else chart(at)[1], chosen


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_what_does_not_add_up_has_no_pie_and_no_stack(loaded: Warehouse) -> None:
    for metric, described in METRICS.items():
        for by, then in (("user", ""), ("time", "user"), ("user", "queue"), ("time", "")):
            found = set(explorer.suited(metric, by, then))
            assert found
            assert described.kind == "sum" or not found & explorer.ADDING_UP


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_link_restores_all_that_was_chosen(loaded: Warehouse) -> None:
    chosen = {"metric": "jobs", "by": "queue", "chart": "pie", "top": "5", "order": "least"}
    at = page(**chosen)
    assert at.selectbox(key="pick_metric").value == "jobs"
    assert at.selectbox(key="pick_by").value == "queue"
    assert chart(at)[0]["mark"]["type"] == "arc"
    at.selectbox(key="pick_metric").set_value("wait_avg").run()
    assert not at.exception
    assert at.session_state["metric"] == "wait_avg"
    assert chart(at)[1]  # bars: an average has no pie
    at = page(metric="nonsense", by="' OR 1=1", chart="<script>", top="-1")
    assert at.selectbox(key="pick_metric").value == "core_hours"
    assert chart(at)[1]


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_the_filters_apply_and_nothing_is_said_to_be_nothing(loaded: Warehouse) -> None:
    _, rows = chart(page(metric="jobs", user="alice"))
    assert [row["name"] for row in rows] == ["alice"]
    at = page(user="nobody here", then="queue")
    assert not at.get("vega_lite_chart")
    assert any("No executed job" in each.value for each in at.caption)


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_least_is_the_other_end(loaded: Warehouse) -> None:
    _, most = chart(page(metric="jobs", by="user"))
    _, least = chart(page(metric="jobs", by="user", order="least"))
    assert least[0]["value"] == min(row["value"] for row in most)
    assert most[0]["value"] == max(row["value"] for row in most)


def test_small_parts_are_summed_up() -> None:
    names = [f"q{number:02}" for number in range(explorer.PARTS + 3)]
    table = pa.table(
        {
            "user": ["ann"] * len(names),
            "queue": names,
            "jobs": [100.0 - number for number in range(len(names))],
        }
    )
    rows = explorer.pairs(table, "user", "queue", "jobs").table.to_pylist()
    assert [row["column"] for row in rows] == [*names[: explorer.PARTS], "other"]
    assert sum(row["value"] for row in rows) == sum(table.column("jobs").to_pylist())
