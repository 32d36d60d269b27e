"""Writes what the settings and `codes` say into SQL: the pieces that the views are filled with.

So that what the settings say of a site applies at query time, and editing it needs no reload.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import reduce

from clickhouse import codes
from clickhouse.attempts import multi_node_lines
from clickhouse.days import Days, told_by, united
from clickhouse.dimensions import span_sql
from clickhouse.requests import LAMBDAS, amount_sql
from clickhouse.settings import FIRST_DAY, NO_END, Member, Settings, SubClusterSettings

CLASSES = ("sequential", "single-node", "multi-node", "parallel-unknown")
WILD = frozenset("*?")  # in a pattern: any characters, any one
WORD_BITS = 64
Guard = tuple[tuple[str, ...], date, date]  # clusters, since, until


def pieces(settings: Settings) -> dict[str, str]:
    """Give the SQL for each {name} in a view."""
    made = derived(settings)
    columns = made | {"midnight": midnight_sql(settings)}
    pairs = (f"({literal(name)}, {literal(sql)})" for name, sql in columns.items())
    return made | {
        "derived_columns": _array(pairs),
        "day": day_sql(settings),
        "hour": _local("toHour(time, {zone})", settings),
        "start_day": _local("toDate(start_time, {zone})", settings),
        "submission_hour": _submitted("toHour(submission_time, {zone})", settings),
        "requested_time": amount_sql("h_rt"),
        "requested_memory": f"{amount_sql('h_vmem')} * slots",
        "requested_time_from": span_sql("requested_time"),
        "submission_weekday": _submitted("toDayOfWeek(submission_time, 0, {zone})", settings),
        "multi_node_lines": multi_node_lines(),
        "node_spread": node_spread_sql(),
        "metagroup_entries": metagroup_entries_sql(settings),
        "metagroup_names": _texts(settings.metagroups),
        "failed_numbers": _array(codes.FAILED),
        "failed_meanings": _texts(codes.FAILED.values()),
        "exit_numbers": _array(codes.EXITS),
        "exit_meanings": _texts(codes.EXITS.values()),
        "line_flags": made["flag_names"],
        "flag_names": _texts(codes.FLAGS),
        "request_lambdas": LAMBDAS.strip(),
    }


def derived(settings: Settings) -> dict[str, str]:
    """Give the SQL of each column that is made of others; one may need those before it."""
    ids, bits = "arrayFilter(id -> id > 0, metagroup_ids)", "bitPositionsToArray(flags)"
    return {
        "largest_node": f"toUInt32({largest_node_sql(settings)})",
        "parallel_class": parallel_class_sql(settings),
        "sub_cluster": sub_cluster_sql(settings),
        "metagroup_ids": metagroup_ids_sql(settings),
        "metagroup_shares": metagroup_shares_sql(settings),
        "metagroups": f"arrayMap(id -> {_texts(settings.metagroups)}[id], {ids})",
        "flag_names": f"arrayMap(bit -> {_texts(codes.FLAGS)}[bit + 1], {bits})",
        "academic_year_start": academic_year_sql(settings),
    }


def node_spread_sql(near: str = "SELECT record_id FROM multi_node_lines") -> str:
    """Write how many nodes the lines of a parallel attempt tell of.

    3 = several, in the lines of its tasks, which `near` selects; 2 = several, 1 = one, in its list
    of hosts; 0 = nothing.
    """
    return (
        "toUInt8(multiIf(granted_pe = '' OR slots = 1, 0,"
        f" record_id IN ({near}), 3, least(listed_hosts, 2)))"
    )


def parallel_class_sql(settings: Settings) -> str:
    """Write the class of a line: the accounting holds no allocation rule, and none is guessed.

    Numbers are chosen from, and the name looked up at the end: texts would be copied each time.
    """
    stated = pe_class_sql(settings)
    return (
        f"{_texts(CLASSES)}[multiIf(granted_pe = '' OR slots = 1, 1, node_spread = 3, 3,"
        f" {stated} > 0, {stated}, node_spread = 2, 3, node_spread = 1, 2,"
        " largest_node > 0 AND slots > largest_node, 3, 4)]"
    )


def literal(text: str) -> str:
    """Write a text in SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _array(values: Iterable[object]) -> str:
    return f"[{', '.join(str(value) for value in values)}]"


def _texts(values: Iterable[str]) -> str:
    return f"CAST({_array(literal(value) for value in values)}, 'Array(String)')"


def _by_cluster(cases: Mapping[str, str], otherwise: str) -> str:
    """Choose by the line's cluster."""
    parts = [f"cluster = {literal(name)}, {sql}" for name, sql in sorted(cases.items())]
    return f"multiIf({', '.join(parts)}, {otherwise})" if parts else otherwise


def day_sql(settings: Settings) -> str:
    """Write the calendar day of `time` in the cluster's time zone, UTC where none is set."""
    return _local("toDate(time, {zone})", settings)


def midnight_sql(settings: Settings) -> str:
    """Write when a day begins in the cluster's time zone."""
    return _local("toUInt32(toDateTime(day, {zone}))", settings)


def _local(sql: str, settings: Settings) -> str:
    """Write what an expression gives in the {zone} of the line's cluster."""
    cases = {
        name: sql.replace("{zone}", literal(cluster.timezone))
        for name, cluster in settings.clusters.items()
        if cluster.timezone != "UTC"
    }
    return _by_cluster(cases, sql.replace("{zone}", "'UTC'"))


def _submitted(sql: str, settings: Settings) -> str:
    return f"if(submission_time > 0, {_local(sql, settings)}, NULL)"


def academic_year_sql(settings: Settings) -> str:
    """Write the first day of the academic year in which the line's day is."""
    later = settings.academic_year_starts - 1
    return f"addMonths(toStartOfYear(addMonths(toStartOfMonth(day), -{later})), {later})"


def pe_class_sql(settings: Settings) -> str:
    """Write which class the clusters' settings state for a parallel environment, 0 if none."""
    cases = {
        name: _lookup(
            [CLASSES.index(each) + 1 for each in cluster.pe_classes.values()],
            0,
            _first_match("granted_pe", [(pattern,) for pattern in cluster.pe_classes]),
        )
        for name, cluster in settings.clusters.items()
        if cluster.pe_classes
    }
    return _by_cluster(cases, "0")


def largest_node_sql(settings: Settings) -> str:
    """Write the cores of the cluster's largest node, 0 where its settings do not say."""
    cases = {
        name: str(cluster.largest_node)
        for name, cluster in settings.clusters.items()
        if cluster.largest_node
    }
    return _by_cluster(cases, "0")


def sub_cluster_sql(settings: Settings) -> str:
    """Write the name of the line's sub-cluster, '' where no pattern matches.

    Numbers are chosen from, and the name looked up at the end, as for the parallel class.
    """
    clusters = {name: each.sub_clusters for name, each in settings.clusters.items()}
    names = [*dict.fromkeys(name for each in clusters.values() for name in each)]
    cases = {
        name: _lookup([names.index(each) for each in its], len(names), _matched(its))
        for name, its in clusters.items()
        if its
    }
    return f"{_texts([*names, ''])}[1 + {_by_cluster(cases, str(len(names)))}]" if cases else "''"


def _matched(sub_clusters: Mapping[str, SubClusterSettings]) -> str:
    hosts = _first_match("hostname", [each.hosts for each in sub_clusters.values()])
    queues = _first_match("qname", [each.queues for each in sub_clusters.values()])
    return f"least({hosts}, {queues})"


def _lookup(numbers: Sequence[int], none: int, place: str) -> str:
    """Write the number at a place, counted from 0; after the last one there is none."""
    found = [*numbers, none]
    if found == [*range(len(found))]:
        return place
    return f"CAST({_array(found)}, 'Array(UInt16)')[1 + {place}]"


def _first_match(column: str, patterns: Sequence[tuple[str, ...]]) -> str:
    """Write the number of the first patterns that match, as many as there are if none does.

    Each part is made of functions of one column, which the engine computes once for each name in a
    dictionary, not for each line. Names, and what names begin with, are looked up; of the rest each
    is a regular expression, which takes ten times as long.
    """
    exact: dict[int, dict[str, int]] = {}  # by the bytes of a name that are compared, 0 being all
    chain, chosen = f"concat('-', {column})", []  # a name with - before it is no number yet
    for number, its in enumerate(patterns):
        others = []
        for pattern in its:
            name = pattern.rstrip("*")
            if WILD & {*name} or name == "":
                others.append(pattern)
            else:
                compared = len(name.encode()) if name != pattern else 0
                exact.setdefault(compared, {}).setdefault(name, number)
        if others:
            chain = f"replaceRegexpOne({chain}, {literal(_regex(others))}, '{number}')"
            chosen.append(number)
    none = f"toUInt16({len(patterns)})"
    found = [
        f"transform({f'substring({column}, 1, {compared})' if compared else column},"
        f" {_texts(names)}, {_array(names.values())}, {none})"
        for compared, names in exact.items()
    ]
    if chosen:
        found.append(f"transform({chain}, {_texts(map(str, chosen))}, {_array(chosen)}, {none})")
    return f"least({', '.join([*found, none])})"


def _regex(patterns: Iterable[str]) -> str:
    parts = [
        "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
        for pattern in patterns
    ]
    return f"(?s)^-(?:{'|'.join(parts)})$"


def _entries(settings: Settings) -> Iterator[tuple[int, str, Member]]:
    """List the members of all metagroups, with the number and the name of theirs."""
    for number, (name, metagroup) in enumerate(settings.metagroups.items(), 1):
        for member in metagroup.entries:
            yield number, name, member


def metagroup_entries_sql(settings: Settings) -> str:
    """Write the rows of the view `metagroups`."""
    return _array(
        f"({literal(cluster)}, {literal(name)}, {literal(member.kind)}, {literal(member.name)},"
        f" '{member.since}', '{member.until}', {member.share})"
        for _, name, member in _entries(settings)
        for cluster in member.clusters or ("",)
    )


def metagroup_ids_sql(settings: Settings) -> str:
    """Write the numbers of the line's metagroups, in order; [0] where it is in none.

    Each user and each group has its metagroups as the bits of words, looked up once for each name
    in a dictionary: what is left to do for each line are a few operations on numbers.
    """
    return _concat([f"bitPositionsToArray({word})" for word in _words(settings)])


def metagroup_shares_sql(settings: Settings) -> str:
    """Write the share of the line's usage in each of its metagroups: a user's own outweighs."""
    return _concat(
        [
            f"arrayMap(bit -> {_share(settings, number)}, bitPositionsToArray({word}))"
            for number, word in enumerate(_words(settings))
        ],
        plus=0,
    )


def _concat(words: Sequence[str], plus: int = WORD_BITS) -> str:
    """Join what each word gives, with the numbers going on from one word to the next."""
    parts = [
        f"arrayMap(bit -> bit + {plus * number}, {sql})" if plus * number else sql
        for number, sql in enumerate(words)
    ]
    return f"arrayConcat({', '.join(parts)})" if parts[1:] else parts[0]


def _words(settings: Settings) -> list[str]:
    """Write the words of a line: 64 metagroups each, and bit 0 of the first one for none."""
    count = 1 + len(settings.metagroups) // WORD_BITS
    words = [
        _bit_or(_bits(settings, number, "user") + _bits(settings, number, "group"))
        for number in range(count)
    ]
    if count == 1:
        return [f"greatest({words[0]}, toUInt64(1))"]
    none = " AND ".join(f"{word} = 0" for word in words)
    return [f"({words[0]} + ({none}))", *words[1:]]


def _bit_or(parts: Sequence[str]) -> str:
    return reduce(lambda some, part: f"bitOr({some}, {part})", parts or ["toUInt64(0)"])


def _bits(settings: Settings, word: int, kind: str, share: float | None = None) -> list[str]:
    """Write the bits that a line has by its user or its group, of any share or of one."""
    days: dict[tuple[int, str, tuple[str, ...]], list[Days]] = {}
    for number, _, member in _entries(settings):
        if (number // WORD_BITS, member.kind) == (word, kind) and share in (None, member.share):
            its = days.setdefault((number, member.name, member.clusters), [])
            its.append((member.since, member.until))
    bits: dict[Guard, dict[str, int]] = {}
    for (number, name, clusters), its in days.items():
        for since, until in united(its):  # the share may change in between
            names = bits.setdefault((clusters, since, until), {})
            names[name] = names.get(name, 0) | 1 << number % WORD_BITS
    column = "owner" if kind == "user" else "`group`"
    return [
        _guarded(
            guard,
            f"transform({column}, {_texts(names)},"
            f" CAST({_array(names.values())}, 'Array(UInt64)'), toUInt64(0))",
        )
        for guard, names in bits.items()
    ]


def _share(settings: Settings, word: int) -> str:
    cases = [
        f"bitTest({_bit_or(_bits(settings, word, kind, share))}, bit), toFloat64({share})"
        for kind in ("user", "group")
        for share in sorted(
            {
                member.share
                for number, _, member in _entries(settings)
                if (number // WORD_BITS, member.kind) == (word, kind)
            }
        )
    ]
    return f"multiIf({', '.join(cases)}, toFloat64(1))" if cases else "toFloat64(1)"


def _guarded(guard: Guard, sql: str) -> str:
    """Make a number 0 on lines of other clusters and days, or months and years."""
    clusters, since, until = guard
    conditions = []
    if clusters:
        conditions.append(f"(cluster IN ({', '.join(map(literal, clusters))}))")
    for sign, day, limit in ((">=", since, FIRST_DAY), ("<", until, NO_END)):
        if day != limit:
            conditions.append(f"({told_by(day)} {sign} toDate('{day}'))")
    return " * ".join([*conditions, sql])
