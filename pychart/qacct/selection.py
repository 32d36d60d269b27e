"""Which rows of the warehouse a command line selects, and in which order qacct met them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError
from pychart.qacct.columns import HOST, QUEUE, shown, stored
from pychart.qacct.options import Options
from pychart.qacct.patterns import hex_regex, matches

# Hosts are told apart by their names up to the first dot, whatever the case of the letters.
HOST_KEY = "lower(substringIndex(hostname, '.', 1))"
FILE_BITS = 48  # a file is shorter than 256 TiB


@dataclass(frozen=True)
class File:
    """What the ledger says of one file: the bytes and records that were loaded."""

    file_id: str
    generation: int
    bytes: int
    records: int


@dataclass(frozen=True)
class Selection:
    """Rows: a table, conditions on it and the values of their parameters."""

    table: str
    files: tuple[File, ...]
    conditions: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Table and conditions, as they stand after FROM."""
        return self.table + self._where()

    @property
    def place(self) -> str:
        """The number by which rows are in the order in which their lines were loaded."""
        if len(self.files) < 2:
            return "offset"
        file = "concat(file_id, '/', toString(generation))"
        rank = f"transform({file}, {{files:Array(String)}}, {{ranks:Array(UInt64)}}, 65535)"
        return f"bitShiftLeft(toUInt64({rank}), {FILE_BITS}) + offset"

    def limited(self, condition: str, **values: str | int) -> Selection:
        """Add a condition and the values of its parameters."""
        return replace(
            self,
            conditions=(*self.conditions, condition),
            parameters=self.parameters | values,
        )

    def count_at_most(self, warehouse: Warehouse) -> int:
        """Count the rows, copies of a line included."""
        sql = f"SELECT count() FROM accounting{self._where()}"
        return int(warehouse.rows(sql, self.parameters)[0][0])

    def _where(self) -> str:
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def select(warehouse: Warehouse, cluster: str | None, options: Options, now: float) -> Selection:
    """Find the rows that a command line selects; `cluster` None means the only one there is."""
    ledger = _ledger(warehouse)
    chosen = _cluster(list(ledger), cluster)
    files = tuple(ledger.get(chosen, ()))
    everything = Selection("accounting FINAL", files, parameters=_file_ranks(files))
    selection = everything.limited("cluster = {cluster:String}", cluster=chosen)
    rows = selection.count_at_most(warehouse)
    if not chosen or rows == everything.count_at_most(warehouse):
        selection = everything  # a condition that holds of every row costs a twentieth of the time
    if len(files) == 1 and rows == files[0].records:
        # As many rows as the only file has records: no row is a copy, nothing is to be merged.
        selection = replace(selection, table="accounting")
    binder = _Binder(selection.parameters)
    conditions = tuple(_conditions(options, now, binder))
    return replace(
        selection,
        conditions=selection.conditions + conditions,
        parameters=binder.parameters,
    )


def _ledger(warehouse: Warehouse) -> dict[str, list[File]]:
    found = warehouse.rows(
        "SELECT cluster, file_id, generation, max(end_offset), sum(records) FROM batches FINAL"
        " GROUP BY cluster, file_id, generation ORDER BY min(loaded_at), file_id, generation"
    )
    clusters: dict[str, list[File]] = {}
    for cluster, file_id, generation, size, records in found:
        file = File(str(file_id), int(generation), int(size), int(records))
        clusters.setdefault(str(cluster), []).append(file)
    return clusters


def _cluster(known: list[str], named: str | None) -> str:
    if named is not None and named not in known and known:
        raise ConfigError(f"--cluster: {named!r} is not in the database, which has {_list(known)}")
    if named is None and len(known) > 1:
        raise ConfigError(f"--cluster: which one of {_list(known)}?")
    return named or next(iter(known), "")


def _list(names: list[str]) -> str:
    return ", ".join(sorted(names))


def _file_ranks(files: tuple[File, ...]) -> dict[str, Any]:
    if len(files) < 2:
        return {}
    names = [f"{file.file_id}/{file.generation}" for file in files]
    return {"files": names, "ranks": list(range(len(names)))}


class _Binder:
    """Gives each value a parameter, so that none becomes SQL text."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = dict(parameters)

    def __call__(self, value: object, kind: str) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def text(self, value: bytes) -> str:
        """Bind bytes of any kind: they travel in hexadecimal."""
        return f"unhex({self(value.hex(), 'String')})"


def _conditions(options: Options, now: float, bind: _Binder) -> Iterator[str]:
    for column, value in options.only.items():
        if isinstance(value, int):
            yield f"{column.sql} = {bind(value, 'UInt32')}"
        elif column is HOST:
            yield _host_condition(value, bind)
        else:
            yield _text_condition(column.field, value, bind)
    if options.queues:
        yield f"({' OR '.join(_queue_condition(queue, bind) for queue in options.queues)})"
    yield from _time_conditions(options, now, bind)
    yield from _job_conditions(options, bind)
    if options.requests:  # qacct leaves out with -l what never started
        yield "start_time > 0"
        yield from (request.condition(bind) for request in options.requests)


def _text_condition(name: str, value: bytes, bind: _Binder) -> str:
    word = stored(name, value)
    return "false" if word is None else f"`{name}` = {bind.text(word)}"


def _host_condition(value: bytes, bind: _Binder) -> str:
    key = value.split(b".")[0].lower()
    word = b"" if key == shown(HOST.field, b"").lower() else key
    return "false" if not value else f"{HOST_KEY} = {bind.text(word)}"


def _queue_condition(pattern: bytes, bind: _Binder) -> str:
    queue, _, host = pattern.partition(b"@")
    return (
        f"{_pattern_condition(QUEUE.field, queue, bind)}"
        f" AND {_pattern_condition(HOST.field, host or b'*', bind)}"
    )


def _pattern_condition(name: str, pattern: bytes, bind: _Binder) -> str:
    regex = hex_regex(pattern)
    found = f"match(hex({name}), {bind(regex, 'String')})"
    absent = matches(regex, shown(name, b""))
    return f"({found} OR {name} = '')" if absent else f"({found} AND {name} != '')"


def _time_conditions(options: Options, now: float, bind: _Binder) -> Iterator[str]:
    begin, end = options.period(now)
    column = f"toUInt32({'end_time' if options.by_end else 'start_time'})"
    if begin is not None:
        yield f"{column} >= {bind(begin, 'Int64')}"
    if end is not None:
        yield f"{column} <= {bind(end, 'Int64')}"


def _job_conditions(options: Options, bind: _Binder) -> Iterator[str]:
    if options.names_job and not options.all_jobs:
        number = f"job_number = {bind(options.job_number, 'UInt32')}"
        if options.job_name is None:
            yield number
        else:
            yield f"({number} OR {_pattern_condition('job_name', options.job_name, bind)})"
    if options.tasks and not options.all_jobs:
        first, last = bind(options.tasks.first, "UInt64"), bind(options.tasks.last, "UInt64")
        step = bind(options.tasks.step, "UInt64")
        yield f"task_number BETWEEN {first} AND {last} AND (task_number - {first}) % {step} = 0"
    if options.masters_only:
        yield "pe_taskid = ''"
