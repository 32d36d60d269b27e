"""An answer with what people ask besides: what was before, shares, a total, no gaps, the unused.

Each is a function of its own (`compare`, `parts`, `series`); this puts them together, in the
order in which they make sense. No extra takes more than a query, comparing a total two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from clickhouse.compare import Earlier, compare, compared, earlier, shifted
from clickhouse.connection import Warehouse
from clickhouse.parts import added_up, check_named, with_shares, with_unused
from clickhouse.query import ask
from clickhouse.question import Question
from clickhouse.series import check_timed, filled
from clickhouse.totals import whole, with_total


@dataclass(frozen=True)
class Extras:
    """What to add to an answer.

    `unused`: names without anything in the period. `fill`: steps of time without rows. `versus`:
    the `previous` period or the `year` before. `share`: of the whole, in %. `total`: a last row.
    """

    unused: bool = False
    fill: bool = False
    versus: Earlier | None = None
    share: bool = False
    total: bool = False

    def check(self, question: Question) -> None:
        """Refuse what cannot be added to this question."""
        question.check()
        if self.versus:
            shifted(question.period, self.versus)
        if self.fill:
            check_timed(question)
        if self.share:
            added_up(question)
        if self.unused:
            check_named(question)


def ask_more(warehouse: Warehouse, question: Question, extras: Extras) -> pa.Table:
    """Answer with extras; see `clickhouse.query.ask` and the functions that add each."""
    extras = replace(extras, total=extras.total or question.total)
    question = replace(question, total=False)
    extras.check(question)
    if extras == Extras(total=True) and question.dimensions:
        return ask(warehouse, replace(question, total=True))
    answer = with_unused(warehouse, question) if extras.unused else ask(warehouse, question)
    months = warehouse.settings.academic_year_starts
    if extras.versus:
        before = earlier(question, answer, extras.versus)
        then = ask(warehouse, before)
        answer = filled(question, answer, months) if extras.fill else answer
        then = filled(before, then, months) if extras.fill else then
        answer = compared(question, answer, then, extras.versus, months)
    elif extras.fill:
        answer = filled(question, answer, months)
    return _with_whole(warehouse, question, answer, extras)


def _with_whole(
    warehouse: Warehouse, question: Question, answer: pa.Table, extras: Extras
) -> pa.Table:
    if not (extras.share or extras.total):
        return answer
    asked = whole(question)
    if extras.versus and extras.total:
        total = compare(warehouse, asked, extras.versus)
    else:
        total = ask(warehouse, asked)
    answer = with_shares(question, answer, total) if extras.share else answer
    return with_total(question, answer, total) if extras.total else answer
