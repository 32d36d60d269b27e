"""Parts of a whole: their shares of it, and names that have no part in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from clickhouse import columns
from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.metrics import METRICS
from clickhouse.public import is_public
from clickhouse.query import ask
from clickhouse.question import Filter, Period, Question
from clickhouse.scope import PERSONAL, Scope
from clickhouse.settings import Settings
from clickhouse.totals import whole


def with_shares(question: Question, answer: pa.Table, total: pa.Table) -> pa.Table:
    """Add `<metric>_share`, in % of the total, for each metric whose parts add up to it.

    `total` answers `whole(question)`. Refuses a question without such a metric.
    """
    for name in added_up(question):
        of = total.column(name)[0].as_py()
        parts = pc.multiply(pc.cast(answer.column(name), pa.float64()), 100.0)
        share = pc.divide(parts, float(of)) if of else pa.nulls(answer.num_rows, pa.float64())
        answer = answer.append_column(name + columns.SHARE, share)
    return answer


def added_up(question: Question) -> list[str]:
    """List the metrics whose parts add up to the whole; refuse a question without one."""
    found = [name for name in question.metrics if METRICS[name].kind == "sum"]
    if not found:
        raise QuestionError(f"no share can be had of {', '.join(question.metrics)}")
    return found


def with_unused(warehouse: Warehouse, question: Question) -> pa.Table:
    """Answer with the names too that have nothing in the period: two queries.

    These are the names of lines of any time, and those that the settings have (`queues` and `nodes`
    of clusters, sub-clusters, metagroups and their members). Their counts are 0, other figures are
    null. Refuses a split by anything but one dimension that has names.
    """
    ever = ask(warehouse, whenever(question))
    found = ask(warehouse, replace(question, limit=None))
    return add_unused(warehouse.settings, question, found, ever)


def whenever(question: Question) -> Question:
    """Ask for the names that a split has at any time; refuses what `with_unused` does."""
    names = (check_named(question),)
    ever = replace(whole(question), metrics=("attempts",), dimensions=names, period=Period())
    return replace(ever, booked="end", rows_behind=False)


def add_unused(settings: Settings, question: Question, found: pa.Table, ever: pa.Table) -> pa.Table:
    """Add the names that have nothing in the period to the answer of a split without a limit.

    `ever` answers `whenever(question)`.
    """
    name = check_named(question)
    known = dict.fromkeys(ever.column(name).to_pylist())
    known |= dict.fromkeys(configured(settings, name, question.filters, question.scope))
    used = {*found.column(name).to_pylist()}
    unused = sorted(each for each in known if each and each not in used)
    # of the public's, some may be names that are not shown
    least = None if is_public(question.scope) else 0
    return in_order(
        question, pa.concat_tables([found, _nothing(found.schema, name, unused, least)])
    )


def in_order(question: Question, found: pa.Table) -> pa.Table:
    """Put all rows of a split by one dimension with names in order, and keep the first ones."""
    order = "ascending" if question.ascending else "descending"
    table = found.sort_by([(question.metrics[0], order), (question.dimensions[0], "ascending")])
    return table.slice(0, question.limit)


def check_named(question: Question) -> str:
    """Give the one dimension that it is split by; refuse a question where that has no names."""
    names = [name for name in question.dimensions if DIMENSIONS[name].type == "String"]
    if len(question.dimensions) != 1 or not names:
        raise QuestionError("what was never used can only be told of one dimension with names")
    if question.other or question.names:
        raise QuestionError("what was never used cannot be told with other or names")
    return names[0]


def _nothing(
    schema: pa.Schema, dimension: str, names: Iterable[str], least: int | None
) -> pa.Table:
    """Make a row for each of these names, with nothing in it."""
    names = [*names]
    found = {}
    for field in schema:
        value = least if columns.counts(field.name) else None
        found[field.name] = names if field.name == dimension else [value] * len(names)
    return pa.table(
        {field.name: pa.array(found[field.name], field.type) for field in schema}, schema=schema
    )


def configured(
    settings: Settings,
    dimension: str,
    filters: Iterable[Filter] = (),
    scope: Scope | None = None,
) -> list[str]:
    """List the names of a dimension that the settings have, of the clusters that are asked for.

    Of people and their groups there are those that the scope names, and the members of its
    metagroups.
    """
    kept = [each for each in filters if each.dimension in ("cluster", dimension)]
    return [
        name
        for cluster, name in _settings_names(settings, dimension)
        if all(
            ((cluster if each.dimension == "cluster" else name) in each.values) != each.exclude
            for each in kept
            if cluster or each.dimension == dimension
        )
        and _may_be_named(settings, scope, dimension, name)
    ]


def _may_be_named(settings: Settings, scope: Scope | None, dimension: str, name: str) -> bool:
    if scope is None or dimension not in PERSONAL:
        return True
    named = scope.by_dimension()
    if name in named.get(dimension, ()):
        return True
    return any(
        (member.kind, member.name) == (dimension, name)
        for metagroup in named.get("metagroup", ())
        if metagroup in settings.metagroups
        for member in settings.metagroups[metagroup].entries
    )


def _settings_names(settings: Settings, dimension: str) -> Iterator[tuple[str, str]]:
    """List names with the cluster that each is of, '' for all."""
    for cluster, chosen in settings.clusters.items():
        of_cluster = {
            "cluster": [cluster],
            "sub_cluster": chosen.sub_clusters,
            "queue": chosen.queues,
            "node": chosen.nodes,
        }
        yield from ((cluster, name) for name in of_cluster.get(dimension, ()))
    for name, metagroup in settings.metagroups.items():
        if dimension == "metagroup":
            yield "", name
        for member in metagroup.entries:
            if member.kind == dimension:
                yield from ((cluster, member.name) for cluster in member.clusters or ("",))
