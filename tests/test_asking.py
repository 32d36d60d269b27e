"""Questions on their way: asked once, stopped when nobody waits, and pictures of their charts."""

from __future__ import annotations

import time
from concurrent.futures import wait

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from clickhouse.connection import Warehouse
from clickhouse.errors import WarehouseError
from clickhouse.query import Question
from streamlit_app import asking, charts, i18n, pictures
from streamlit_app.asking import Answers
from tests.app import app

JOBS = Question(("jobs",))
SOON = 20.0  # s, on a busy machine
RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%numbers%' AND query LIKE '/*%'"


def endless(warehouse: Warehouse, _question: Question) -> pa.Table:
    return warehouse.arrow("SELECT sum(number) FROM system.numbers")


def until(condition: object, warehouse: Warehouse) -> None:
    """Wait until so many endless questions run."""
    ends = time.monotonic() + SOON
    while warehouse.rows(RUNNING)[0][0] != condition:
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_question_that_nobody_waits_for_is_stopped_in_the_database(opened: Warehouse) -> None:
    known = Answers(endless)
    first, second = known.join(JOBS, "now"), known.join(JOBS, "now")
    assert first is second
    until(1, opened)
    known.leave(first)
    assert not wait([first.future], 0.5).done  # another one still waits
    known.leave(second)
    assert wait([first.future], SOON).done
    assert isinstance(first.future.exception(), WarehouseError)
    until(0, opened)


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_question_is_asked_once_and_again_once_there_is_more(loaded: Warehouse) -> None:
    known = Answers()
    first = known.join(JOBS, "before")
    assert first.future.result().num_rows == 1
    known.leave(first)
    again, later = known.join(JOBS, "before"), known.join(JOBS, "after")
    assert again is first
    assert later is not first


def test_nobody_waits_for_the_others_where_one_cannot_be_asked(
    opened: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(asked: Question, at: str) -> str:
        if asked is JOBS:
            raise WarehouseError("the database went away")
        return at

    known = Answers(endless)
    monkeypatch.setattr(known.looks, "state", state)
    monkeypatch.setattr(asking, "_answers", lambda: known)
    with pytest.raises(WarehouseError, match="went away"):
        asking.answer_all([Question(("attempts",)), JOBS], "now")
    until(0, opened)


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_question_that_failed_is_asked_again(opened: Warehouse) -> None:
    known = Answers(lambda warehouse, _: warehouse.arrow("SELECT * FROM nowhere"))
    first = known.join(JOBS, "now")
    assert isinstance(first.future.exception(), WarehouseError)
    known.leave(first)
    assert known.join(JOBS, "now") is not first


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_who_stops_the_questions_is_told_so_and_can_ask_again(loaded: Warehouse) -> None:
    at = app()
    at.session_state[asking.STOPPED] = True
    at.run()
    assert at.info
    assert not at.metric
    at.button(key="retry").click().run()
    assert at.metric
    assert not at.info


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_question_that_takes_too_long_is_told_clearly(loaded: Warehouse) -> None:
    def page() -> None:
        from clickhouse.errors import WarehouseError
        from streamlit_app import states

        states.show_failure(WarehouseError("x: Timeout exceeded: elapsed 60 s", 159))

    at = AppTest.from_function(page).run()
    assert "shorter period" in at.warning[0].value
    assert not at.error


BARS = pa.table(
    {"name": ["a<b", "é"], "value": [1234.5, 2.0], "shown": ["x", "y"], "reach": [2000.0] * 2}
)


def test_pictures_show_data_and_title_and_refer_to_nothing_outside() -> None:
    spec = charts.ranking("Core time", True)
    drawn = pictures.svg(spec, BARS, "Top users")
    assert "a&lt;b" in drawn and "Top users" in drawn
    assert drawn.replace("http://www.w3.org/", "").count("http") == 0
    assert pictures.png(spec, BARS).startswith(b"\x89PNG")


def test_pictures_write_numbers_in_the_readers_language() -> None:
    days = pa.table(
        {
            "time": pa.array([f"2024-0{month}-01" for month in range(1, 9)]).cast(pa.date32()),
            "step": ["x"] * 8,
            "value": [1500.0 * month for month in range(1, 9)],
            "shown": ["x"] * 8,
        }
    )
    shown = {}
    for language in i18n.LANGUAGES:
        with i18n.speaking(language):
            shown[language] = pictures.svg(charts.over_time("Jobs", "month"), days)
    assert "Aug 2024" in shown["en"] or "Jul 2024" in shown["en"]
    assert "août 2024" in shown["fr"] or "juil. 2024" in shown["fr"]
