"""Turns answers into the tables of the charts that are not just bars or parts over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from clickhouse.codes import EXITS, FAILED
from clickhouse.dimensions import SPANS
from clickhouse.distributions import LEVELS, QUANTITIES
from clickhouse.metrics import METRICS
from streamlit_app import calendars, shape, text
from streamlit_app.filters import Scope
from streamlit_app.i18n import day_name, t
from streamlit_app.specs import axis_of


def spans(table: pa.Table, dimension: str, low: str, high: str) -> shape.Shaped:
    """Shape two figures by one dimension for dots that are joined; both have the same unit."""
    unit = METRICS[low].unit
    names = [shape.value_name(dimension, n) for n in table.column(dimension).to_pylist()]
    found = zip(names, shape.figures(table, low), shape.figures(table, high), strict=True)
    rows = [(n, a, b) for n, a, b in found if a is not None and b is not None]
    axis = axis_of(text.label(low), unit, [b for _, _, b in rows])
    both = [f"{text.figure(a, unit)} – {text.figure(b, unit)}" for _, a, b in rows]
    columns = _pairs(rows, axis.divisor, unit, ("value", "high"), both)
    return shape.Shaped(pa.table(columns), axis)


def _pairs(
    rows: Sequence[tuple[str, float, float]],
    divisor: float,
    unit: str,
    fields: tuple[str, str],
    both: Sequence[str],
) -> dict[str, Any]:
    """Make the columns of two figures for each name, with room for their words at the end."""
    largest = max((max(a, b) for _, a, b in rows), default=0.0) / divisor
    letters = max(map(len, both), default=0)
    columns: dict[str, Any] = {
        "name": pa.array([text.short(name, 200) for name, _, _ in rows], pa.string()),
        "both": pa.array(both, pa.string()),
        "reach": pa.array([largest * (1 + shape.LETTER_SHARE * letters)] * len(rows), pa.float64()),
        "longest": pa.array([max(a, b) / divisor for _, a, b in rows], pa.float64()),
    }
    figures_of = ([a for _, a, _ in rows], [b for _, _, b in rows])
    for field, values in zip(fields, figures_of, strict=True):
        words = "shown" if field == "value" else f"{field}_shown"
        columns[field] = pa.array([value / divisor for value in values], pa.float64())
        columns[words] = pa.array([text.figure(value, unit) for value in values], pa.string())
    return columns


def asked_and_used(rows: Sequence[tuple[str, float, float]], unit: str) -> pa.Table:
    """Shape names with what they asked for and what they used of it, both in `unit`."""
    both = [f"{text.figure(used, unit)} / {text.figure(asked, unit)}" for _, asked, used in rows]
    return pa.table(_pairs(rows, 1.0, unit, ("asked", "value"), both))


def outliers(
    table: pa.Table, dimension: str, rate: str, part: str, sigmas: float
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Shape a rate (%) by one dimension for dots, with the rows that are out of line.

    `part` counts the jobs that the rate is made of. Out of line is a rate that is so many standard
    deviations above that of all, as chance would have it for as many jobs.
    """
    rows = [row for row in table.to_pylist() if row["jobs"]]
    jobs = sum(row["jobs"] for row in rows)
    mean = sum(row[part] for row in rows) / jobs if jobs else 0.0
    far = [
        row[part] / row["jobs"] - mean > sigmas * math.sqrt(mean * (1 - mean) / row["jobs"])
        for row in rows
    ]
    kinds = [t("out of line") if odd else t("in line") for odd in far]
    # the usual kind comes first, and has the first colour
    order = sorted(range(len(rows)), key=lambda i: far[i])
    shaped = pa.table(
        {
            "name": [text.short(str(rows[i][dimension]), 200) for i in order],
            "value": pa.array([rows[i][rate] for i in order], pa.float64()),
            "shown": [text.figure(rows[i][rate], "%") for i in order],
            "jobs": pa.array([rows[i]["jobs"] for i in order], pa.float64()),
            "jobs_shown": [text.figure(rows[i]["jobs"], "") for i in order],
            "kind": [kinds[i] for i in order],
            "mean": pa.array([100 * mean] * len(rows), pa.float64()),
        }
    )
    return shaped, [row for row, odd in zip(rows, far, strict=True) if odd]


def calendar(table: pa.Table, metric: str, year: int) -> pa.Table:
    """Shape an answer by day for a calendar of one year, days without a job too."""
    days = zip(table.column("day").to_pylist(), shape.figures(table, metric), strict=True)
    found = {day: value or 0.0 for day, value in days if day.year == year}
    days_of_year = calendars.steps("day", date(year, 1, 1), date(year, 12, 31))
    # weeks, row by row from Monday: the rows come in the order of the data
    ordered = sorted(days_of_year, key=lambda day: (day.weekday(), day))
    unit = METRICS[metric].unit
    # a chart's week begins on Sunday: a day earlier, Monday does
    before = [day - timedelta(days=day.weekday() + 1) for day in ordered]
    return pa.table(
        {
            "week": pa.array(before, pa.date32()),
            "weekday": [day_name(day.isoweekday())[:3] for day in ordered],
            "step": [calendars.label("day", day) for day in ordered],
            "value": pa.array([found.get(day, 0.0) for day in ordered], pa.float64()),
            "shown": [text.figure(found.get(day, 0.0), unit) for day in ordered],
        }
    )


def dots(table: pa.Table, dimension: str, x: str, y: str, totals: pa.Table) -> pa.Table:
    """Shape two figures by one dimension for dots; apart are those with less than half of all's.

    The first figure is drawn on a logarithmic axis: rows without one are left out.
    """
    mean = totals.column(y)[0].as_py()
    names = table.column(dimension).to_pylist()
    found = zip(names, shape.figures(table, x), shape.figures(table, y), strict=True)
    rows = [(str(n), a, b) for n, a, b in found if a and b is not None]
    low = [mean is not None and b < mean / 2 for _, _, b in rows]
    kinds = {False: t("others"), True: t("less than half of what all reach")}
    order = sorted(range(len(rows)), key=lambda i: low[i])
    return pa.table(
        {
            "name": pa.array([text.short(rows[i][0], 200) for i in order], pa.string()),
            "value": pa.array([rows[i][2] for i in order], pa.float64()),
            "shown": pa.array([text.figure(rows[i][2], METRICS[y].unit) for i in order]),
            "jobs": pa.array([rows[i][1] for i in order], pa.float64()),
            "jobs_shown": pa.array([text.figure(rows[i][1], METRICS[x].unit) for i in order]),
            "kind": pa.array([kinds[low[i]] for i in order], pa.string()),
            "mean": pa.array([mean] * len(rows), pa.float64()),
        }
    )


def busy_cores(table: pa.Table, dimension: str, scope: Scope) -> list[tuple[str, float, float]]:
    """Give for each name how many cores were busy in its busiest step, and on average.

    They come from core hours by step and name; the largest average comes first.
    """
    steps = calendars.steps(scope.grain, scope.first, scope.last)
    ends = [*steps[1:], scope.last + timedelta(days=1)]
    begins = [max(step, scope.first) for step in steps]
    hours = [24 * (end - start).days for start, end in zip(begins, ends, strict=True)]
    rows = []
    for name, by_step in shape.by_name(table, dimension, "core_hours", scope).items():
        used = [value or 0.0 for value in calendars.fill(by_step, steps, 0.0)]
        busiest = max(u / h for u, h in zip(used, hours, strict=True))
        rows.append((name, busiest, sum(used) / sum(hours)))
    return sorted((row for row in rows if row[1] > 0), key=lambda row: -row[2])


def joined(table: pa.Table, more: pa.Table, dimension: str, metrics: Sequence[str]) -> pa.Table:
    """Add columns of another answer by the same dimension, empty where it has no row."""
    rows = {row[dimension]: row for row in more.to_pylist()}
    for metric in metrics:
        found = [rows.get(n, {}).get(metric) for n in table.column(dimension).to_pylist()]
        table = table.append_column(metric, pa.array(found, pa.float64()))
    return table


def figures_over_time(table: pa.Table, metrics: Sequence[str], scope: Scope) -> shape.Shaped:
    """Shape several figures of one unit over time, each named by its label."""
    steps = calendars.steps(scope.grain, scope.first, scope.last)
    kept = [
        (rank, metric, step, value)
        for rank, metric in enumerate(metrics)
        for step, value in zip(steps, shape.series(table, metric, scope), strict=True)
        if value is not None
    ]
    parts = {
        "name": [text.label(metric) for _, metric, _, _ in kept],
        "rank": pa.array([rank for rank, *_ in kept], pa.int32()),
    }
    times, values = [row[2] for row in kept], [row[3] for row in kept]
    return shape.over_steps(metrics[0], scope, times, values, parts)


def bands(table: pa.Table, quantity: str, scope: Scope) -> shape.Shaped:
    """Shape quantile bands over time; a step without a job leaves a gap."""
    unit, label = QUANTITIES[quantity].unit, t(QUANTITIES[quantity].label)
    times = calendars.steps(scope.grain, scope.first, scope.last)
    rows = {calendars.as_day(row[scope.grain]): row for row in table.to_pylist()}
    found = {
        i: calendars.fill({day: row[f"p{level}"] for day, row in rows.items()}, times, None)
        for i, level in enumerate(LEVELS)
    }
    axis = axis_of(label, unit, [value or 0.0 for value in found[len(LEVELS) - 1]])
    columns: dict[str, Any] = {
        "time": pa.array(times, pa.date32()),
        "step": [calendars.label(scope.grain, step) for step in times],
    }
    for i, values in found.items():
        drawn = [v if v is None else v / axis.divisor for v in values]
        columns[f"q{i}"] = pa.array(drawn, pa.float64())
        columns[f"q{i}_shown"] = [text.figure(v, unit) for v in values]
    return shape.Shaped(pa.table(columns), axis)


def bins(table: pa.Table, unit: str) -> pa.Table:
    """Shape a histogram, without the empty bins before the first job and after the last."""
    rows = table.to_pylist()
    filled = [i for i, row in enumerate(rows) if row["jobs"]]
    kept = rows[filled[0] : filled[-1] + 1] if filled else []
    return pa.table(
        {
            "name": pa.array([_bin(row["low"], row["high"], unit) for row in kept], pa.string()),
            "value": pa.array([row["jobs"] for row in kept], pa.float64()),
            "shown": pa.array([text.figure(row["jobs"], "") for row in kept], pa.string()),
        }
    )


def _bin(low: float, high: float | None, unit: str) -> str:
    """Write what is in a bin: durations in the words of their dimension."""
    if unit == "s":
        return t(SPANS[int(low)])
    if high is None:
        return f"≥ {text.figure(low, unit)}"
    return f"{low:g}–{high:g} {text.unit_name(unit)}" if low else f"< {text.figure(high, unit)}"


def heatmap(table: pa.Table, rows: str, columns: str, metric: str) -> shape.Shaped:
    """Shape an answer by two ordered dimensions for a chart of cells, in their order."""
    unit = METRICS[metric].unit
    values = shape.figures(table, metric)
    axis = axis_of(text.label(metric), unit, [v or 0.0 for v in values])
    found = zip(
        table.column(rows).to_pylist(), table.column(columns).to_pylist(), values, strict=True
    )
    kept = sorted((r, c, v) for r, c, v in found if v is not None and None not in (r, c))
    shaped = pa.table(
        {
            "row": pa.array([shape.value_name(rows, r) for r, _, _ in kept], pa.string()),
            "rank": pa.array([int(r) for r, _, _ in kept], pa.int32()),
            "column": pa.array([shape.value_name(columns, c) for _, c, _ in kept], pa.string()),
            "value": pa.array([v / axis.divisor for _, _, v in kept], pa.float64()),
            "shown": pa.array([text.figure(v, unit) for _, _, v in kept], pa.string()),
        }
    )
    return shape.Shaped(shaped, axis)


def over_parts(table: pa.Table, scope: Scope) -> shape.Shaped:
    """Shape where core time went: to programs, to the system for them, and to nothing."""
    steps = calendars.steps(scope.grain, scope.first, scope.last)
    names = ("core_hours", "user_cpu_hours", "system_cpu_hours")
    core, user, system = (shape.series(table, name, scope) for name in names)
    rest: list[float | None] = [
        max((c or 0.0) - (u or 0.0) - (s or 0.0), 0.0)
        for c, u, s in zip(core, user, system, strict=True)
    ]
    parts = ((t("user"), user), (t("system"), system), (t("not used"), rest))
    kept = [
        (rank, name, step, value)
        for rank, (name, values) in enumerate(parts)
        for step, value in zip(steps, values, strict=True)
    ]
    named = {
        "name": [name for _, name, _, _ in kept],
        "rank": pa.array([rank for rank, *_ in kept], pa.int32()),
    }
    return shape.over_steps("core_hours", scope, [r[2] for r in kept], [r[3] for r in kept], named)


def unused(table: pa.Table, dimension: str) -> list[tuple[str, float, str]]:
    """Give name, core hours that were had and not used, and these in words; the largest first."""
    rows = []
    for row in table.to_pylist():
        rest = (row["core_hours"] or 0.0) - (row["cpu_hours"] or 0.0)
        if rest > 0:
            efficiency = text.figure(row["cpu_efficiency"], "%")
            shown = f"{text.figure(rest, 'core-h')} ({efficiency})"
            rows.append((text.value(dimension, str(row[dimension])), rest, shown))
    return sorted(rows, key=lambda row: -row[1])


def requests(
    table: pa.Table, dimension: str, asked: str, unused_share: str
) -> list[tuple[str, float, float]]:
    """Give name, what a job asked for and what it used of it, on average.

    Those whose jobs together left most unused come first.
    """
    rows = []
    for row in table.to_pylist():
        mean, share = row[asked], row[unused_share]
        if mean is not None and share is not None and share > 0:
            name = text.short(text.value(dimension, str(row[dimension])))
            left = mean * share / 100 * row["jobs"]
            rows.append((left, (name, mean, mean * (1 - share / 100))))
    return [row for _, row in sorted(rows, key=lambda row: -row[0])]


def asked_in_unit(rows: Sequence[tuple[str, float, float]], metric: str) -> pa.Table:
    """Shape what was asked and used in the unit of a metric."""
    return asked_and_used(rows, METRICS[metric].unit)


def codes(table: pa.Table, dimension: str) -> list[tuple[str, float, str]]:
    """Give each code in words with its attempts, most first; 0 tells of no failure."""
    known = FAILED if dimension == "failed" else EXITS
    rows = []
    for row in table.to_pylist():
        number, attempts = row[dimension], row["attempts"]
        if number and attempts:
            words = f"{number}: {t(known[number])}" if number in known else str(number)
            rows.append((words, float(attempts), text.figure(attempts, "")))
    return sorted(rows, key=lambda row: -row[1])
