"""A question with its total: the whole of its parts, in the same query where one can say both."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.connection import Warehouse
from clickhouse.errors import QuestionError
from clickhouse.extras import Extras, ask_more
from clickhouse.query import Filter, Period, Question, ask
from clickhouse.totals import whole, without_total
from tests.answers.shared import asked, same_rows, some
from tests.rolled import questions


def test_a_question_with_its_total_is_both_of_them(db: Warehouse) -> None:
    @some
    @given(questions(), st.booleans(), st.booleans())
    def check(question: Question, exact: bool, rows_behind: bool) -> None:
        question = replace(
            question,
            dimensions=question.dimensions or ("month",),
            exact=exact,
            rows_behind=rows_behind,
        )
        found = ask(db, replace(question, total=True))
        split, total = without_total(found)
        assert same_rows(split.to_pylist(), ask(db, question).to_pylist()), question
        [one] = total.select(ask(db, whole(question)).column_names).to_pylist()
        assert same_rows([one], ask(db, whole(question)).to_pylist()), question
        assert found["row"].to_pylist() == ["part"] * split.num_rows + ["total"]
        assert not any(total[name][0].as_py() for name in question.dimensions)

    check()
    spread = Question(("wall_hours", "core_hours"), ("month",), booked="spread", total=True)
    parts_of, total = without_total(ask(db, spread))
    assert same_rows(parts_of.to_pylist(), ask(db, replace(spread, total=False)).to_pylist())
    assert same_rows(total.drop_columns(["month"]).to_pylist(), ask(db, whole(spread)).to_pylist())


def test_a_total_is_there_without_any_line(db: Warehouse) -> None:
    nobody = (Filter("user", ("nobody",)),)
    question = Question(("jobs", "wait_avg"), ("month",), filters=nobody, total=True)
    assert ask(db, question).to_pylist() == [
        {"month": None, "jobs": 0, "wait_avg": None, "row": "total"}
    ]


@pytest.mark.parametrize(
    ("question", "queries"),
    [
        (Question(("users", "wait_median"), ("month",)), 1),
        (Question(("jobs",), ("month", "parallel_class")), 1),
        (Question(("jobs",), ("metagroup",)), 2),  # a line counts for each of its metagroups
        (Question(("jobs",), ("user",), limit=2), 2),
        (Question(("cores_in_use",), ("month",)), 2),  # over the days of the month, or of all
    ],
)
def test_a_total_is_read_with_its_parts(
    db: Warehouse, question: Question, queries: int, asked_sql: list[str]
) -> None:
    assert ask(db, replace(question, total=True)).num_rows > 1
    assert len(asked_sql) == queries
    assert ask_more(db, question, Extras(total=True)).num_rows > 1
    assert len(asked_sql) == 2 * queries


def test_a_total_comes_after_what_is_added(db: Warehouse) -> None:
    question = Question(("jobs",), ("day",), Period.parse("2018-03"))
    true = ask_more(db, question, Extras(fill=True, versus="year", total=True))
    found = ask_more(db, replace(question, total=True), Extras(fill=True, versus="year"))
    assert found.to_pylist() == true.to_pylist()
    assert found["row"].to_pylist() == ["part"] * 31 + ["total"]


def test_a_total_of_nothing_split_is_refused(db: Warehouse) -> None:
    with pytest.raises(QuestionError, match="name a dimension"):
        ask(db, Question(("jobs",), total=True))


def test_a_total_and_shares_of_it(db: Warehouse) -> None:
    question = Question(("jobs", "wait_avg", "users"), ("user",), limit=2, other=True)
    rows = ask_more(db, question, Extras(share=True, total=True)).to_pylist()
    assert [row["row"] for row in rows] == ["part", "part", "other", "total"]
    total = asked(db, "jobs", "wait_avg", "users")[0]
    assert tuple(rows[-1].values())[1:4] == total
    assert sum(row["jobs"] for row in rows[:-1]) == total[0]
    assert [row["jobs_share"] for row in rows] == [100 * row["jobs"] / total[0] for row in rows]
    nothing = replace(question, filters=(Filter("user", ("nobody",)),))
    [none] = ask_more(db, nothing, Extras(share=True, total=True)).to_pylist()
    assert (none["jobs"], none["wait_avg"], none["row"]) == (0, None, "total")
