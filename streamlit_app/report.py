"""A report of any period and any filters, as one HTML file to be printed, mailed or kept.

The file needs nothing from anywhere: the charts are SVG within it, drawn here, and its own policy
forbids the browser to fetch anything.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from clickhouse.metrics import METRICS
from clickhouse.query import Filter
from streamlit_app import access, charts, data, i18n, pictures, pseudonyms, shape, specs, text, who
from streamlit_app.figures import FULL
from streamlit_app.filters import Scope, in_words
from streamlit_app.i18n import mark, t
from streamlit_app.periods import newest_day, preset, span
from streamlit_app.ranking import CLASSES

TOP = 10
CHART_PIXELS = 600  # a page's width, beside the legend
KEY_FIGURES = (
    "jobs", "core_hours", "cpu_hours", "cpu_efficiency",
    "memory_avg", "duration_avg", "wait_avg", "failure_rate",
)  # fmt: skip
# What a report can be made of, in its order; a page of the app has the section of its name.
SECTIONS = {
    "figures": mark("Key figures"),
    "time": mark("Over time"),
    "people": mark("Who"),
    "machines": mark("Where"),
    "sizes": mark("Job sizes"),
    "waiting": mark("Waiting"),
    "efficiency": mark("Efficiency"),
    "failures": mark("Failures"),
}
PEOPLE = ("user", "group", "metagroup", "project")
MACHINES = ("cluster", "sub_cluster", "queue", "node")
STYLE = """
:root { color-scheme: light; }
body { font: 10.5pt/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b2430;
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem; background: #fff; }
header { border-bottom: 2px solid #1f5fa8; margin-bottom: 1.2rem; padding-bottom: .6rem; }
h1 { font-size: 20pt; margin: 0 0 .2rem; } h2 { font-size: 14pt; margin: 1.8rem 0 .4rem;
  color: #1f5fa8; break-after: avoid; } h3 { font-size: 11pt; margin: 1.1rem 0 .3rem; }
p.scope { font-size: 11.5pt; margin: .1rem 0; }
.quiet, figcaption { color: #55647a; font-size: 9pt; }
figure { margin: 0 0 1rem; break-inside: avoid; }
svg { max-width: 100%; height: auto; overflow: visible; }
dl.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; margin: .6rem 0; }
dl.figures div { border: 1px solid #dce2ea; border-radius: 6px; padding: .45rem .6rem; }
dl.figures dt { color: #55647a; font-size: 9pt; } dl.figures dd { margin: 0; font-size: 14pt;
  font-weight: 600; white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-size: 9.5pt; break-inside: avoid; }
th { text-align: left; font-weight: 600; border-bottom: 1.5px solid #9fb0c3; }
td, th { padding: .22rem .5rem .22rem 0; vertical-align: top; }
td { border-bottom: 1px solid #e6ebf1; overflow-wrap: anywhere; } .number { text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
footer { border-top: 1px solid #dce2ea; margin-top: 2rem; padding-top: .5rem; }
@page { size: A4; margin: 16mm 14mm; }
@media print { body { margin: 0; max-width: none; padding: 0; } }
@media (max-width: 40rem) { dl.figures { grid-template-columns: repeat(2, 1fr); } }
"""


Answers = Callable[..., list[pa.Table]]


@dataclass(frozen=True)
class Report:
    """What a report is asked to tell, and how its questions are answered."""

    scope: Scope
    sections: tuple[str, ...] = tuple(SECTIONS)
    answers: Answers = data.asked_plainly

    @property
    def file_name(self) -> str:
        """Give a name for the file, from the filters and the days."""
        names = [value for kept in self.scope.filters for value in kept.values[:2]]
        words = ["pychart", *names, f"{self.scope.first:%Y%m%d}-{self.scope.last:%Y%m%d}"]
        return re.sub(r"[^\w.-]+", "_", "-".join(words))[:120] + ".html"


def scope_of(period: str, filters: Sequence[Filter]) -> Scope:
    """Make the scope of a report outside of the app; a period is as the address has it, or all."""
    activity = data.activity()
    chosen = preset("" if period == "all" else period, newest_day(activity))
    first, last = span(chosen, activity)
    return Scope(chosen, tuple(filters), first, last)


def write(report: Report) -> str:
    """Write the report in the language of this moment; a whole HTML page."""
    scope = report.scope
    [totals] = report.answers(scope.question(_with_jobs((*FULL, "failure_rate"))))
    jobs = shape.total(totals)
    parts = {
        "figures": lambda: _figures(totals),
        "time": lambda: _over_time(report),
        "people": lambda: _tops(report, PEOPLE),
        "machines": lambda: _tops(report, MACHINES),
        "sizes": lambda: _sizes(report),
        "waiting": lambda: _waiting(report),
        "efficiency": lambda: _efficiency(report),
        "failures": lambda: _failures(report),
    }
    chosen = [name for name in SECTIONS if name in report.sections]
    body = [_heading(scope, jobs)]
    for name in chosen if jobs else []:
        body += [f"<section><h2>{_escaped(t(SECTIONS[name]))}</h2>", *parts[name](), "</section>"]
    if not jobs:
        body.append(f"<p>{_escaped(t('No executed job matches these filters.'))}</p>")
    return _page(t("Report"), "\n".join([*body, _footer()]))


def _with_jobs(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("jobs", *names)))


def _page(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="{i18n.language()}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_escaped(title)} · PyChartAccounting</title><style>{STYLE}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )


def _escaped(shown: str) -> str:
    return html.escape(shown)


def _heading(scope: Scope, jobs: int) -> str:
    filters = [in_words(kept) for kept in scope.filters] or [t("all jobs, no filter")]
    count = i18n.tn("{count} executed job", "{count} executed jobs", jobs)
    return (
        f"<header><h1>{_escaped(t('Use of the computing cluster'))}</h1>"
        f'<p class="scope"><b>{_escaped(scope.days)}</b></p>'
        f'<p class="scope">{_escaped("  ·  ".join(filters))}</p>{_whose()}'
        f'<p class="quiet">{_escaped(count)}</p></header>'
    )


def _whose() -> str:
    """Say of whom it tells, where that is not everybody, and that names are replaced."""
    said = [] if access.viewer().is_admin else [who.whose(access.viewer())]
    if pseudonyms.are_on():
        said.append(t("names are replaced by words"))
    return f'<p class="scope">{_escaped("  ·  ".join(said))}</p>' if said else ""


def _footer() -> str:
    now = datetime.now(UTC)
    words = t(
        "Made on {day} at {time} UTC by PyChartAccounting from the scheduler's accounting."
        " A job counts on the day on which it ended, in the cluster's time zone.",
        day=text.day(now.date()),
        time=f"{now:%H:%M}",
    )
    return f'<footer class="quiet">{_escaped(words)}</footer>'


def _figures(totals: pa.Table) -> Iterator[str]:
    found = {name: totals.column(name)[0].as_py() for name in totals.column_names}
    tiles = [
        f"<div><dt>{_escaped(text.label(name))}</dt><dd>{_figure(name, found[name])}</dd></div>"
        for name in KEY_FIGURES
        if name in found
    ]
    yield f'<dl class="figures">{"".join(tiles)}</dl>'
    rows = [
        [_escaped(text.label(name)), _figure(name, value), _escaped(text.formula(name))]
        for name, value in found.items()
    ]
    yield _table((t("Figure"), t("Value"), t("How it is computed")), rows, numbers={1})


def _figure(name: str, value: float | None) -> str:
    return _escaped(text.figure(value, METRICS[name].unit))


def _table(
    heading: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int] | None = None
) -> str:
    """Write a table; `rows` are HTML already, the heading is not."""
    kinds = [' class="number"' if i in (numbers or ()) else "" for i in range(len(heading))]
    above = "".join(f"<th{k}>{_escaped(h)}</th>" for k, h in zip(kinds, heading, strict=True))
    below = "".join(
        f"<tr>{''.join(f'<td{k}>{cell}</td>' for k, cell in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{above}</tr></thead><tbody>{below}</tbody></table>"


def _chart(title: str, spec: specs.Spec, table: pa.Table, metric: str, jobs: int) -> str:
    """Write a chart with its title, how its figure is computed and on how many jobs it stands."""
    return (
        f"<figure><h3>{_escaped(title)}</h3>{_svg(spec, table, title)}"
        f"<figcaption>{_note(metric, jobs)}</figcaption></figure>"
    )


def _note(metric: str, jobs: int) -> str:
    count = i18n.tn("{count} executed job", "{count} executed jobs", jobs)
    formula = f"{text.label(metric)} = {text.formula(metric)}"
    return _escaped(f"{formula}  ·  {t('from {jobs}', jobs=count)}")


def _over_time(report: Report) -> Iterator[str]:
    scope = report.scope
    metrics = ("jobs", "core_hours")
    [table] = report.answers(scope.question(metrics, scope.grain))
    for metric in metrics:
        shaped = shape.over_time(table, metric, scope)
        spec = charts.over_time(shaped.axis.label, scope.grain)
        yield _chart(_with_unit(metric, shaped), spec, shaped.table, metric, shape.total(table))


def _with_unit(metric: str, shaped: shape.Shaped) -> str:
    unit = text.unit_name(shaped.axis.unit)
    return f"{text.label(metric)} ({unit})" if unit else text.label(metric)


def _tops(report: Report, dimensions: Sequence[str]) -> Iterator[str]:
    """Rank the names of each dimension that has several."""
    scope = report.scope
    asked = [each for each in dimensions if not _is_one(scope, each)]
    columns = ("core_hours", "jobs", "cpu_efficiency", "wait_avg")
    [whole, *answers] = report.answers(
        scope.question(("core_hours",)),
        *(scope.question(columns, each, limit=TOP) for each in asked),
    )
    total = whole.column("core_hours")[0].as_py() or 0.0
    for dimension, table in zip(asked, answers, strict=True):
        if set(table.column(dimension).to_pylist()) - {"", "NONE"} and table.num_rows > 1:
            yield from _top(dimension, table, columns, total)


def _is_one(scope: Scope, dimension: str) -> bool:
    return any(
        kept.dimension == dimension and not kept.exclude and len(kept.values) == 1
        for kept in scope.filters
    )


def _top(dimension: str, table: pa.Table, columns: Sequence[str], total: float) -> Iterator[str]:
    title = t("{things} with the most core time", things=text.labels(dimension))
    rows = []
    for row in table.to_pylist():
        share = text.percent(row["core_hours"] / total) if total else text.MISSING
        figures = [_figure(name, row[name]) for name in columns]
        name = _escaped(text.value(dimension, str(row[dimension])))
        rows.append([name, figures[0], _escaped(share), *figures[1:]])
    labels = [text.label(name) for name in columns]
    heading = (text.label(dimension), labels[0], t("Share"), *labels[1:])
    yield f"<h3>{_escaped(title)}</h3>"
    yield _table(heading, rows, numbers=set(range(1, len(heading))))


def _sizes(report: Report) -> Iterator[str]:
    scope = report.scope
    classes, slots = report.answers(
        scope.question(("core_hours", "jobs"), "parallel_class"),
        scope.question(("core_hours", "jobs"), "slots"),
    )
    for metric, title in (
        ("jobs", t("Jobs by parallel class")),
        ("core_hours", t("Core time by parallel class")),
    ):
        shaped = shape.shares(classes, "parallel_class", metric, CLASSES)
        if shaped.table.num_rows:
            jobs = shape.total(classes)
            yield _chart(title, charts.donut(shaped.axis.label), shaped.table, metric, jobs)
    shaped = shape.slot_classes(slots.select(["slots", "core_hours", "jobs"]), "core_hours")
    spec = charts.columns(shaped.axis.label, t("Slots"))
    title = t("Core time by slots")
    yield _chart(title, spec, shaped.table, "core_hours", shape.total(slots))


def _waiting(report: Report) -> Iterator[str]:
    scope = report.scope
    columns = ("wait_median", "wait_p90", "wait_max", "jobs")
    over_time, queues = report.answers(
        scope.question(("wait_avg", "jobs"), scope.grain),
        scope.question(_first("jobs", columns), "queue", limit=TOP),
    )
    shaped = shape.over_time(over_time, "wait_avg", scope)
    spec = charts.over_time(shaped.axis.label, scope.grain)
    title = _with_unit("wait_avg", shaped)
    yield _chart(title, spec, shaped.table, "wait_avg", shape.total(over_time))
    yield from _list("queue", queues, columns)


def _first(name: str, names: Sequence[str]) -> tuple[str, ...]:
    return (name, *(each for each in names if each != name))


def _list(dimension: str, table: pa.Table, columns: Sequence[str]) -> Iterator[str]:
    rows = [
        [
            _escaped(text.value(dimension, str(row[dimension]))),
            *(_figure(name, row[name]) for name in columns),
        ]
        for row in table.to_pylist()
    ]
    heading = (text.label(dimension), *map(text.label, columns))
    yield _table(heading, rows, numbers=set(range(1, len(heading))))


def _efficiency(report: Report) -> Iterator[str]:
    scope = report.scope
    [table] = report.answers(scope.question(("cpu_efficiency", "jobs"), scope.grain))
    shaped = shape.over_time(table, "cpu_efficiency", scope)
    spec = charts.over_time(shaped.axis.label, scope.grain)
    title = _with_unit("cpu_efficiency", shaped)
    yield _chart(title, spec, shaped.table, "cpu_efficiency", shape.total(table))


def _failures(report: Report) -> Iterator[str]:
    scope = report.scope
    [table] = report.answers(scope.question(("jobs", "core_hours"), "outcome"))
    shaped = shape.ranked(table, "outcome", "jobs", float(shape.total(table)) or None)
    spec = charts.ranking(shaped.axis.label, False)
    title = t("How jobs ended")
    yield _chart(title, spec, shaped.table, "jobs", shape.total(table))
    yield from _list("outcome", table, ("jobs", "core_hours"))


def _svg(spec: specs.Spec, table: pa.Table, title: str) -> str:
    """Draw a chart as SVG, named for screen readers."""
    drawn = pictures.svg(spec | {"width": CHART_PIXELS}, table)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{_escaped(title)}" ', 1)
