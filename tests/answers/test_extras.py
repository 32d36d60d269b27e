"""What is asked besides an answer: the rest, totals, shares, gaps, what was before, days run on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.columns import describe
from clickhouse.compare import compare, compared, earlier, shifted
from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.extras import Extras, ask_more
from clickhouse.metrics import METRICS
from clickhouse.parts import with_unused
from clickhouse.query import Filter, Period, Question, ask, to_sql
from clickhouse.series import filled
from clickhouse.totals import whole
from tests.answers.shared import asked, close, some
from tests.helpers import CLUSTER
from tests.rolled import questions

DAY = timedelta(days=1)


# --- the other ones, and the whole ---------------------------------------------------------------


def parts(question: Question) -> Question:
    """The same with the rest summed up, split by what adds up."""
    single = tuple(name for name in question.dimensions if not DIMENSIONS[name].is_many)
    if not any(not DIMENSIONS[name].is_time for name in single):
        single = ("user", *single)[:2]
    return replace(question, dimensions=single, limit=question.limit or 2, other=True)


def test_parts_and_other_are_the_whole(db: Warehouse) -> None:
    @some
    @given(questions())
    def check(question: Question) -> None:
        some_parts = parts(question)
        rows = ask(db, some_parts).to_pylist()
        [total] = ask(db, whole(some_parts)).to_pylist()
        for name in question.metrics:
            if METRICS[name].kind == "sum":
                assert close(float(sum(row[name] for row in rows)), float(total[name])), some_parts

    check()


def test_the_other_row_is_what_is_asked_without_the_top(db: Warehouse) -> None:
    @some
    @given(questions())
    def check(question: Question) -> None:
        question = parts(question)
        ranked = str(question.ranked)
        rows = ask(db, question).to_pylist()
        top = {row[ranked] for row in rows if row["row"] == "part"}
        names = tuple("" if name is None else str(name) for name in top)
        rest = replace(
            question,
            dimensions=tuple(name for name in question.dimensions if name != ranked),
            filters=(*question.filters, Filter(ranked, names, exclude=True)),
            limit=None,
            other=False,
        )
        found = [row for row in rows if row["row"] == "other"]
        true = ask(db, rest).to_pylist()
        if not rest.dimensions and not found:
            assert not ask(db, replace(rest, metrics=("attempts",)))["attempts"][0].as_py()
            return
        key = rest.dimensions
        found_by = {tuple(row[name] for name in key): row for row in found}
        true_by = {tuple(row[name] for name in key): row for row in true}
        assert found_by.keys() == true_by.keys(), question
        for at, row in true_by.items():
            for name in question.metrics:
                assert close(found_by[at][name], row[name]), (question, name)

    check()


def test_rollups_and_lines_have_the_same_parts_and_rows_behind(db: Warehouse) -> None:
    exact_only = ("median", "p90", "p99")  # of which rollups have approximations

    @some
    @given(questions())
    def check(question: Question) -> None:
        metrics = [name for name in question.metrics if not name.endswith(exact_only)] or ["jobs"]
        question = replace(parts(question), metrics=tuple(metrics), rows_behind=True)
        found, true = (ask(db, replace(question, exact=exact)) for exact in (False, True))
        assert found.to_pylist() == true.to_pylist(), question

    check()
    assert to_sql(db, parts(Question(("jobs",), ("user", "month"))))[2].tables == ("user_months",)


def test_names_keep_themselves_in_any_period(db: Warehouse) -> None:
    top = Question(("core_hours",), ("user", "year"), limit=2, other=True)
    kept = [*dict.fromkeys(n for n in ask(db, top)["user"].to_pylist() if n is not None)]
    named = replace(top, limit=None, names=tuple(kept))
    assert ask(db, named).to_pylist() == ask(db, top).to_pylist()


def test_other_of_what_lines_have_several_of_is_what_is_not_shown(db: Warehouse) -> None:
    for name in ("metagroup", "flag"):
        every = asked(db, "jobs", "core_hours", by=(name,))
        top = asked(db, "jobs", "core_hours", by=(name,), limit=1, other=True)
        assert top[0][:3] == every[0]
        for column in (1, 2):
            assert top[1][column] == pytest.approx(sum(row[column] for row in every[1:]))


def test_an_extra_takes_no_more_queries(db: Warehouse, asked_sql: list[str]) -> None:
    question = Question(
        ("jobs",), ("month", "user"), Period.parse("2018"), limit=2, other=True, rows_behind=True
    )
    ask(db, question)
    assert len(asked_sql) == 1
    ask_more(db, question, Extras(fill=True, versus="year", share=True))
    assert len(asked_sql) == 1 + 3


def test_bottom_lists_know_what_was_never_used(db: Warehouse) -> None:
    def bottom(by: str, **more: Any) -> list[tuple]:
        question = Question(("jobs", "wait_avg"), (by,), ascending=True, limit=3, **more)
        return [tuple(row.values()) for row in with_unused(db, question).to_pylist()]

    assert bottom("queue")[0] == ("spare.q", 0, None)  # in the settings, and in no line
    assert [name for name, *_ in bottom("node")][0] == "node9"
    year = Period.parse("2030")
    assert [row[:2] for row in bottom("queue", period=year)] == [
        ("all.q", 0), ("long.q", 0), ("spare.q", 0),
    ]  # fmt: skip
    assert {name for name, *_ in bottom("sub_cluster", period=year)} == {"long", "old"}
    elsewhere = (Filter("cluster", (CLUSTER,), exclude=True),)
    assert bottom("queue", filters=elsewhere) == []
    assert bottom("queue", filters=(Filter("queue", ("spare.q", "x")),)) == [("spare.q", 0, None)]
    rows = with_unused(db, Question(("jobs",), ("queue",), rows_behind=True)).to_pylist()
    assert rows[-1] == {"queue": "spare.q", "jobs": 0, "jobs_rows": 0, "jobs_rows_share": None}


# --- nobody's SQL --------------------------------------------------------------------------------

SQL = st.sampled_from(
    [
        "'", '"', "`", "\\", "\\'", "--", "/*", ";", "{p0:String}", "%s", "%(a)s", "\0", "\n", "))",
        "' OR ''='", "; DROP TABLE accounting", "UNION ALL SELECT 1", "{", "}", "é🦆", "\udcff",
        "owner", "9999-12-31", "-1",
    ]
)  # fmt: skip
TEXTS = st.lists(st.one_of(SQL, st.text(max_size=5)), min_size=1, max_size=4).map("".join)
ORDERED = ["slots", "wait", "duration_from", "requested_time", "day", "month", "year", "hour"]


def test_no_text_of_the_asker_becomes_sql(db: Warehouse) -> None:
    [(everything,)] = asked(db, "attempts")
    owners = dict(asked(db, "attempts", by=("user",)))

    def refused_or(question: Question) -> list[dict[str, Any]]:
        try:
            sql, _, _ = to_sql(db, question)
        except QuestionError:
            return []
        for text in (*question.names, *(each for kept in question.filters for each in kept.values)):
            assert len(text) <= 5 or text not in sql
        return ask(db, question).to_pylist()

    @some
    @given(TEXTS, st.sampled_from(ORDERED), st.booleans())
    def check(text: str, ordered: str, exclude: bool) -> None:
        one = owners.get(text, 0)
        kept = Filter("user", (text,), exclude)
        for row in refused_or(Question(("attempts",), filters=(kept,))):
            assert row["attempts"] == (everything - one if exclude else one)
        named = Question(("attempts",), ("user",), names=(text,), other=True)
        assert sum(row["attempts"] for row in refused_or(named)) in (0, everything)
        for dimension in (ordered, "metagroup", "flag", "array"):
            refused_or(Question(("attempts",), filters=(Filter(dimension, (text,), exclude),)))
        for more in ({"low": text}, {"high": text}):
            refused_or(Question(("attempts",), filters=(Filter(ordered, exclude=exclude, **more),)))
        for question in (Question((text,)), Question(("jobs",), (text,))):
            if text not in METRICS and text not in DIMENSIONS:
                with pytest.raises(QuestionError, match="unknown"):
                    ask(db, question)

    check()
    assert asked(db, "attempts") == [(everything,)]


# --- no gaps -------------------------------------------------------------------------------------


def test_every_step_of_the_period_is_there(db: Warehouse) -> None:
    steps = {
        ("year",): 3, ("quarter",): 12, ("month",): 36, ("week",): 158, ("day",): 1095,
        ("academic_year",): 4, ("weekday",): 7, ("hour",): 24, ("year", "month"): 36,
        ("month", "weekday"): 252, ("weekday", "hour"): 168, ("month", "day"): 1095,
    }  # fmt: skip
    period = Period.parse("2017..2019")
    for by, count in steps.items():
        question = Question(("jobs", "wait_avg", "users"), by, period, rows_behind=True)
        answer = ask(db, question)
        found = filled(question, answer).to_pylist()
        assert len(found) == len({tuple(row[name] for name in by) for row in found}) == count, by
        there = answer.to_pylist()
        assert [row for row in found if row in there] == there, by
        for row in found:
            if row not in there:
                assert (row["jobs"], row["wait_avg"], row["users"]) == (0, None, 0), by
                assert (row["wait_avg_rows"], row["wait_avg_rows_share"]) == (0, None)
    by_user = Question(("jobs",), ("user", "month"), period, limit=2, other=True)
    assert filled(by_user, ask(db, by_user)).num_rows == 3 * 36


def test_what_would_fill_too_many_rows_is_refused(db: Warehouse) -> None:
    by_day = Question(("jobs",), ("day",), Period.parse("0001..9000"))
    by_job = Question(("jobs",), ("submission_hour", "duration", "day"), Period.parse("1970..2100"))
    for question in (by_day, by_job):
        answer = ask(db, replace(question, period=Period()))
        with pytest.raises(QuestionError, match="more than 1000000 rows"):
            filled(question, answer)


def test_open_periods_are_filled_as_far_as_the_answer_goes(db: Warehouse) -> None:
    question = Question(("jobs",), ("month",), filters=(Filter("user", ("ann",)),))
    months = filled(question, ask(db, question))["month"].to_pylist()
    assert months[0] == ask(db, question)["month"][0].as_py()
    assert all((b - a).days in range(28, 32) for a, b in zip(months, months[1:], strict=False))
    nothing = replace(question, filters=(Filter("user", ("nobody",)),))
    assert filled(nothing, ask(db, nothing)).num_rows == 0
    years = Question(("jobs",), ("academic_year",))
    assert filled(years, ask(db, years), 9).to_pylist() == ask(db, years).to_pylist()


# --- what was before -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "to", "before"),
    [
        ("2018", "previous", "2017"),
        ("2018-03", "previous", "2018-02"),
        ("2018-01..2018-03", "previous", "2017-10..2017-12"),
        ("2018-03-10..2018-03-12", "previous", "2018-03-07..2018-03-09"),
        ("2018-03", "year", "2017-03"),
        ("2020-02-29", "year", "2019-02-28..2019-02-28"),
        ("2018-03-10..2018-03-12", "year", "2017-03-10..2017-03-12"),
    ],
)
def test_the_period_before_is_as_long(period: str, to: Any, before: str) -> None:
    assert shifted(Period.parse(period), to) == Period.parse(before)


@pytest.mark.parametrize("period", ["all", "2018..", "..2018", "0001"])
def test_a_period_without_one_before_is_refused(period: str) -> None:
    with pytest.raises(QuestionError, match="a beginning and an end|no period before"):
        shifted(Period.parse(period))


@pytest.mark.parametrize("to", ["previous", "year"])
def test_what_was_before_is_what_was_asked_then(db: Warehouse, to: Any) -> None:
    period = Period.parse("2018-02..2018-03")
    metrics = ("jobs", "wait_avg", "core_hours")
    then = {
        row[0]: row[1:] for row in asked(db, *metrics, by=("user",), period=shifted(period, to))
    }
    now = {row[0]: row[1:] for row in asked(db, *metrics, by=("user",), period=period)}
    rows = compare(db, Question(metrics, ("user",), period), to).to_pylist()
    assert {row["user"] for row in rows} == now.keys() | then.keys()
    for row in rows:
        was, figures = then.get(row["user"], (0, None, 0)), now.get(row["user"], (0, None, 0))
        assert tuple(row[name] for name in metrics) == figures
        assert tuple(row[f"{name}_previous"] for name in metrics) == was
        assert row["jobs_change"] == figures[0] - was[0]
        expected = pytest.approx(100 * (figures[0] - was[0]) / was[0]) if was[0] else None
        assert row["jobs_change_percent"] == expected


def test_the_top_is_compared_with_itself(db: Warehouse) -> None:
    period = Period.parse("2018-02")
    question = Question(("jobs", "users"), ("user",), period, limit=2, other=True)
    rows = compare(db, question).to_pylist()
    before = shifted(period)
    for row in rows:
        kept = Filter("user", tuple(each["user"] for each in rows[:2]), exclude=True)
        if row["row"] == "part":
            kept = Filter("user", (row["user"],))
        [(jobs, users)] = asked(db, "jobs", "users", period=before, filters=(kept,))
        assert (row["jobs_previous"], row["users_previous"]) == (jobs, users)
    assert [row["row"] for row in rows] == ["part", "part", "other"]


def test_times_are_compared_with_those_before() -> None:
    """Days by their date, other steps by their place; what has no counterpart says so."""
    import pyarrow as pa

    def beside(name: str, period: str, to: Any, now: Any, before: Any) -> list[tuple]:
        question = Question(("jobs",), (name,), Period.parse(period))
        tables = [
            pa.table({name: pa.array(at), "jobs": pa.array([*jobs], pa.uint64())})
            for at, jobs in (zip(*now, strict=True), zip(*before, strict=True))
        ]
        found = compared(question, *tables, to).to_pylist()
        return [(row[name], row["jobs"], row["jobs_previous"]) for row in found]

    leap = [(date(2020, 2, 28), 1), (date(2020, 2, 29), 2), (date(2020, 3, 1), 3)]
    year = [(date(2019, 2, 28), 5), (date(2019, 3, 1), 6), (date(2019, 3, 2), 7)]
    assert beside("day", "2020", "year", leap, year) == [
        (date(2020, 2, 28), 1, 5),
        (date(2020, 2, 29), 2, None),
        (date(2020, 3, 1), 3, 6),
        (date(2020, 3, 2), 0, 7),
    ]
    months = beside(
        "month", "2018-04..2018-06", "previous",
        [(date(2018, 4, 1), 1)], [(date(2018, 1, 1), 4), (date(2018, 3, 1), 6)],
    )  # fmt: skip
    assert months == [(date(2018, 4, 1), 1, 4), (date(2018, 6, 1), 0, 6)]
    assert beside("year", "2018", "year", [(2018, 1)], [(2017, 2)]) == [(2018, 1, 2)]


def test_everything_at_once(db: Warehouse) -> None:
    question = Question(
        ("core_hours", "wait_avg"), ("month", "queue"), Period.parse("2018-01..2018-03"), limit=1,
        other=True, rows_behind=True,
    )  # fmt: skip
    extras = Extras(fill=True, versus="previous", share=True, total=True)
    answer = ask_more(db, question, extras)
    rows = answer.to_pylist()
    assert len(rows) == 3 * 2 + 1
    sums = [sum(row[name] or 0 for row in rows[:-1]) for name in ("core_hours", "core_hours_share")]
    assert sums == pytest.approx([rows[-1]["core_hours"], 100])
    for name in answer.column_names:
        assert name == "row" or describe(name).label != name
    before = ask(db, whole(earlier(question, answer.slice(0, 6)))).to_pylist()[0]
    assert rows[-1]["core_hours_previous"] == before["core_hours"]
