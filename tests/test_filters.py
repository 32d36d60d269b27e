"""The filters that all pages share: in the address, in words, as chips, on the server."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from clickhouse.connection import Warehouse
from clickhouse.errors import QuestionError
from clickhouse.query import Filter, Period, Question, ask
from streamlit_app import cards, narrowing, periods, selectors, text
from tests import helpers
from tests.app import app, charts, texts

# what narrows these narrows all: they hold every kind of card
PAGES = ("overview", "users", "queues", "sizes")
EMBEDDED = pytest.mark.parametrize("database_url", ["chdb"], indirect=True)


def jobs(at: AppTest) -> str:
    """Executed jobs, as the overview shows them."""
    return str(at.metric[0].value)


def counted(opened: Warehouse, *kept: Filter) -> str:
    table = ask(opened, Question(("jobs",), filters=kept))
    return text.figure(table.column("jobs")[0].as_py(), "")


@EMBEDDED
def test_a_filter_narrows_every_chart(loaded: Warehouse) -> None:
    for page in PAGES:
        everything = charts(app(page))
        at = app(page)
        at.multiselect(key="pick_user").set_value(["alice"]).run()
        assert not at.exception
        assert at.query_params["user"] == "alice"
        assert charts(at) != everything
        assert "user alice" in texts(at)


@EMBEDDED
def test_a_link_restores_the_filters(loaded: Warehouse) -> None:
    at = app(user=["alice", "bruno"], queue="all.q")
    kept = (Filter("user", ("alice", "bruno")), Filter("queue", ("all.q",)))
    assert jobs(at) == counted(loaded, *kept) != counted(loaded)
    assert at.multiselect(key="pick_user").value == ["alice", "bruno"]
    at.button(key="clear").click().run()
    assert jobs(at) == counted(loaded)
    assert at.button(key="clear").disabled
    assert not {"user", "queue"} & set(at.query_params)


@EMBEDDED
def test_a_change_of_page_that_lost_the_filters_brings_them_back(loaded: Warehouse) -> None:
    """As a browser does that has not drawn their widgets when one clicks."""
    at = app(user="alice", period="2026", lang="fr")
    at.query_params.clear()
    at.switch_page("views/queues.py").run()
    assert dict(at.query_params) == {"user": "alice", "period": "2026", "lang": "fr"}


def test_what_is_left_out_is_in_the_address_too(loaded: Warehouse) -> None:
    at = app(**{"not": ["user:alice", "queue:none.q", "nonsense", "color:red"]})
    without = Filter("user", ("alice",), exclude=True)
    assert jobs(at) == counted(loaded, without) != counted(loaded)
    assert "without user alice" in texts(at)
    at.button(key="chip_not_user").click().run()
    assert jobs(at) == counted(loaded)
    assert "without queue none\\.q" in texts(at)


@EMBEDDED
def test_each_chip_takes_its_filter_away(loaded: Warehouse) -> None:
    at = app(user=["alice", "bruno", "carla", "dora"], outcome="done", period="last-year")
    labels = {button.key: button.label for button in at.button if "chip" in button.key}
    assert labels == {
        "chip_period": "Last year",
        "chip_user": "user alice, bruno, carla and 1 more",
        "chip_outcome": "outcome done",
    }
    for key in labels:
        at.button(key=key).click().run()
    assert not [button for button in at.button if "chip" in button.key]
    assert not at.query_params


@EMBEDDED
def test_every_dimension_has_a_filter(loaded: Warehouse) -> None:
    for dimension in narrowing.NAMED:
        at = app(**{dimension: "xyz"})
        assert not at.exception
        assert jobs(at) == text.MISSING
        assert text.plain(f"{text.lower(text.label(dimension))} xyz") in texts(at)


@EMBEDDED
def test_further_filters_are_drawn_once_they_are_opened(loaded: Warehouse) -> None:
    at = app()
    assert {box.key for box in at.multiselect if "pick" in box.key} == {
        f"pick_{name}" for name in narrowing.COMMON
    }
    at.session_state["further"] = True
    at.run()
    assert not at.exception
    keys = {box.key for box in at.multiselect if "pick" in box.key}
    # what the settings give no values to is not offered
    assert keys >= {"pick_node", "pick_parallel_class", "pick_outcome", "pick_project"}
    assert not keys & {"pick_metagroup", "pick_sub_cluster"}
    at.multiselect(key="pick_outcome").set_value(["done"]).run()
    assert jobs(at) == counted(loaded, Filter("outcome", ("done",)))
    at.selectbox(key="pick_excluded_of").set_value("user").run()
    at.multiselect(key="pick_not_user").set_value(["alice"]).run()
    kept = (Filter("outcome", ("done",)), Filter("user", ("alice",), exclude=True))
    assert jobs(at) == counted(loaded, *kept)
    assert app(metagroup="gone").multiselect(key="metagroup").value == ["gone"]


@EMBEDDED
def test_names_are_searched_in_the_database(opened: Warehouse, tmp_path: Path) -> None:
    lines = [helpers.line(owner=f"user{n:05}", group="Grp", job_number=n) for n in range(2000)]
    helpers.load_bytes(opened, tmp_path / "accounting", b"\n".join(lines) + b"\n")
    at = app()
    assert len(at.multiselect(key="pick_user").options) == selectors.OFFERED
    at.text_input(key="find").set_value("R0199").run()
    found = [button.key for button in at.button if button.key.startswith("only_")]
    assert found == [f"only_user_user0199{n}" for n in range(selectors.FOUND)]
    at.button(key="only_user_user01990").click().run()
    assert at.query_params["user"] == "user01990"
    assert jobs(at) == "1"
    at.text_input(key="find").set_value("gRP").run()
    at.button(key="without_group_Grp").click().run()
    assert at.query_params["not"] == "group:Grp"
    assert jobs(at) == text.MISSING


@EMBEDDED
def test_a_name_that_is_none_is_told_with_those_that_are_like_it(loaded: Warehouse) -> None:
    at = app(user="lic")
    assert "No user is named lic" in texts(at)
    at.button(key="similar_user_alice").click().run()
    assert at.query_params["user"] == "alice"
    assert jobs(at) == counted(loaded, Filter("user", ("alice",)))


@EMBEDDED
def test_lines_without_a_project_can_be_chosen(loaded: Warehouse) -> None:
    at = app(project=text.NO_NAME)
    assert jobs(at) == counted(loaded, Filter("project", ("",)))
    assert "No project is named" not in texts(at)


@EMBEDDED
def test_no_job_matches(loaded: Warehouse) -> None:
    for page in PAGES:
        at = app(page, user="nobody here")
        assert cards.NO_JOBS in texts(at)
        assert "No user is named nobody here" in texts(at)
        assert not at.get("vega_lite_chart")
        assert {metric.value for metric in at.metric} <= {text.MISSING}


@EMBEDDED
def test_periods(loaded: Warehouse) -> None:
    year = str(ask(loaded, Question(("jobs",), ("year",))).column("year")[0].as_py())
    assert jobs(app(period=year)) == counted(loaded)
    at = app(period="1999-02")
    assert "1 Feb 1999 – 28 Feb 1999" in texts(at)
    assert jobs(at) == text.MISSING
    at = app(period="yesterday")
    assert "yesterday" in at.error[0].value
    assert at.multiselect(key="pick_user")  # still there, like the period, to be changed
    for preset in periods.PRESETS:
        assert not app(period=preset).error


@EMBEDDED
def test_custom_dates_may_be_incomplete(loaded: Warehouse) -> None:
    at = app()
    at.selectbox(key="pick_period").set_value(periods.CUSTOM).run()
    assert jobs(at) == counted(loaded)
    at.date_input(key="pick_from").set_value(date(2000, 1, 1)).run()
    assert at.query_params["period"] == "2000-01-01.."
    assert jobs(at) == counted(loaded)
    at.date_input(key="pick_to").set_value(date(2001, 5, 3)).run()
    assert at.query_params["period"] == "2000-01-01..2001-05-03"
    assert jobs(at) == text.MISSING
    at.date_input(key="pick_to").set_value(date(1999, 1, 1)).run()
    assert "ends before it begins" in at.error[0].value
    at = app(period="2000-02..2000-03")
    assert at.date_input(key="pick_to").value == date(2000, 3, 31)


@pytest.mark.parametrize(
    ("chosen", "start", "end"),
    [
        ("", None, None),
        ("this-year", date(2024, 1, 1), date(2025, 1, 1)),
        ("last-year", date(2023, 1, 1), date(2024, 1, 1)),
        ("last-12-months", date(2023, 4, 1), date(2024, 4, 1)),
        ("last-30-days", date(2024, 3, 2), date(2024, 4, 1)),
        ("this-academic-year", date(2023, 9, 1), date(2024, 9, 1)),
        ("last-academic-year", date(2022, 9, 1), date(2023, 9, 1)),
        ("academic-2018", date(2018, 9, 1), date(2019, 9, 1)),
        ("2018-03", date(2018, 3, 1), date(2018, 4, 1)),
    ],
)
def test_preset(chosen: str, start: date | None, end: date | None) -> None:
    assert periods.preset(chosen, date(2024, 3, 31)) == Period(start, end)


@pytest.mark.parametrize("chosen", ["tomorrow", "academic-", "academic-99999", "2018-13"])
def test_a_period_that_is_none(chosen: str) -> None:
    with pytest.raises(QuestionError, match=chosen):
        periods.preset(chosen, date(2024, 3, 31))


def test_an_academic_year_begins_as_the_settings_say() -> None:
    assert periods.academic_year(date(2024, 9, 1), 9) == 2024
    assert periods.academic_year(date(2024, 8, 31), 9) == 2023
    assert periods.preset("academic-2018", date(2024, 1, 1), 8).start == date(2018, 8, 1)
