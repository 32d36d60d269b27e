"""The command `pychart`: every message is for people, an error is one line and an exit status.

0 = done, 1 = it failed, 2 = it was called or set up wrongly. A command imports what it needs when
it is called: the engine, the app and the tables take longer to import than `qacct` to answer.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from clickhouse.errors import ConfigError, PychartError, QuestionError
from clickhouse.settings import DEFAULT_CLUSTER, Settings, load_settings

if TYPE_CHECKING:
    from clickhouse.compare import Earlier
    from clickhouse.query import Filter

# Typer names only this subclass of what its parser raises
UsageFault: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Answers every question about an HPC cluster's accounting file.",
)

Clusters = Annotated[
    str | None, typer.Option("--cluster", help="Cluster that the files belong to.")
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the app.")]
Host = Annotated[str, typer.Option(help="Address that the app listens on.")]


def _show_version(wanted: bool) -> None:
    """Print what a report of a fault should say, and end."""
    if not wanted:
        return
    from importlib.metadata import version

    parts = ("pychart-accounting", "chdb", "clickhouse-connect", "streamlit")
    print("\n".join(f"{part} {version(part)}" for part in parts))
    print(f"Python {sys.version.split()[0]}")
    raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file, else $PYCHART_CONFIG or ./pychart.toml.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help="chdb:///path/to/folder or http://user@host:8123/pychart."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Say what is installed."
        ),
    ] = False,
) -> None:
    """Read the settings that every command shares."""
    context.obj = load_settings(config, database)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for accounting and pychart.toml.")],
    jobs: Annotated[int, typer.Option(min=1, help="Jobs to make up.")] = 200_000,
    years: Annotated[float, typer.Option(help="Years that they span.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another site.")] = 1,
    layout: Annotated[
        str, typer.Option(help="Fields on a line (43 … 74), json, mixed or shuffled.")
    ] = "45",
) -> None:
    """Write an accounting file of a made-up computing centre, and settings for it."""
    from pychart.demo_site import write_demo_site

    summary = write_demo_site(output, jobs, years, seed, layout)
    print(f"{output / 'accounting'}: {summary.lines:,} lines of {summary.jobs:,} jobs")


@app.command()
def load(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(help="Plain, gzip or zstd; - is standard input.")],
    cluster: Clusters = None,
) -> None:
    """Load what is new in accounting files; loading one again adds nothing."""
    from clickhouse.connection import Warehouse
    from clickhouse.migrate import migrate as migrate_warehouse
    from pychart import show

    settings: Settings = context.obj
    name = choose_cluster(settings, cluster)
    paths = [Path(file) for file in files]
    for path in paths:
        show.check_readable(path)
    with Warehouse(settings, create=True) as warehouse:
        migrate_warehouse(warehouse)
        for path in paths:
            show.load_with_progress(warehouse, name, path)


@app.command()
def watch(context: typer.Context) -> None:
    """Follow the files named in the settings, as the service does."""
    from ingest import daemon

    daemon.run(context.obj)


@app.command(name="app")
def serve_app(context: typer.Context, host: Host = "127.0.0.1", port: Port = 8501) -> None:
    """Serve the app over a database that another process fills."""
    from streamlit_app.serve import serve

    serve(context.obj, host, port)


@app.command()
def up(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Accounting files to load and follow.")
    ] = None,
    cluster: Clusters = None,
    host: Host = "127.0.0.1",
    port: Port = 8501,
) -> None:
    """Load, follow and serve, all in one process."""
    from pychart.up import run

    run(
        context.obj,
        choose_cluster(context.obj, cluster) if files else None,
        files or [],
        host,
        port,
    )


@app.command()
def migrate(
    context: typer.Context,
    cluster: Annotated[
        str | None,
        typer.Option(help="On all servers of a ClickHouse cluster, as their configuration has it."),
    ] = None,
    no_replication: Annotated[
        bool, typer.Option("--no-replication", help="With --cluster: without Keeper and replicas.")
    ] = False,
) -> None:
    """Make the database, or bring it and its rollups up to date, as the daemon does."""
    from clickhouse import policies, rollups
    from clickhouse.clustered import migrate_cluster
    from clickhouse.connection import Warehouse
    from clickhouse.migrate import migrate as migrate_warehouse

    if no_replication and cluster is None:
        raise ConfigError("--no-replication: it says how --cluster makes the tables")
    with Warehouse(context.obj, create=True) as warehouse:
        if cluster is None:
            done = migrate_warehouse(warehouse)
        else:
            done = migrate_cluster(warehouse, cluster, replicated=not no_replication)
        # first: a rollup that is new must not be there without its policy
        guarded = policies.apply(warehouse) if context.obj.access else []
        months = rollups.refresh(warehouse).months
    print(f"{len(done)} changes: {', '.join(done)}" if done else "up to date")
    if months:
        print(f"months of rollups made: {months}")
    if guarded:
        print(f"row policies: {', '.join(guarded)}")


@app.command()
def sql(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(help="A query, over records, jobs, rejects, ….")],
    format_name: Annotated[
        str, typer.Option("--format", help="TSV, CSV, JSON or another format of ClickHouse.")
    ] = "TSVWithNames",
) -> None:
    """Answer a query in SQL; what would change something is refused."""
    from clickhouse.connection import Warehouse
    from clickhouse.migrate import open_current

    with open_current(context.obj), Warehouse(context.obj, read_only=True) as reader:
        sys.stdout.buffer.write(reader.text(statement, format_name))


@app.command()
def ask(
    context: typer.Context,
    metric: Annotated[list[str], typer.Option(help="What to measure; may be repeated.")],
    by: Annotated[list[str] | None, typer.Option(help="Split by this; may be repeated.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="queue=all.q, user=ann,bob, queue!=test.q, slots=4..16, wait>=2h; may be repeated."
        ),
    ] = None,
    period: Annotated[str, typer.Option(help="2018, 2018-03, 2018-03..2019 or all.")] = "all",
    top: Annotated[int | None, typer.Option(help="Only the largest, by the first metric.")] = None,
    bottom: Annotated[int | None, typer.Option(help="Only the smallest.")] = None,
    other: Annotated[
        bool, typer.Option("--other", help="Sum up those that --top or --bottom leaves out.")
    ] = False,
    unused: Annotated[
        bool, typer.Option("--unused", help="With names that have nothing in the period.")
    ] = False,
    share: Annotated[bool, typer.Option("--share", help="With the share of the total.")] = False,
    total: Annotated[bool, typer.Option("--total", help="With a row for the total.")] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="With how many rows each figure stands on.")
    ] = False,
    compare: Annotated[
        str | None,
        typer.Option(help="With what was before: in the previous period, or a year before."),
    ] = None,
    fill: Annotated[
        bool, typer.Option("--fill", help="With steps of time that have no rows.")
    ] = False,
    spread: Annotated[
        bool,
        typer.Option("--spread", help="Wall time on the days that jobs ran, not that of the end."),
    ] = False,
    format_name: Annotated[
        str, typer.Option("--format", help="table, bar, csv, json or parquet.")
    ] = "table",
    output: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="From the lines, no rollups.")] = False,
    explained: Annotated[
        bool, typer.Option("--explain", help="Say from what, how much was read and how long.")
    ] = False,
) -> None:
    """Ask a question: metrics by dimensions, over a period."""
    from clickhouse.extras import Extras, ask_more
    from clickhouse.migrate import open_current
    from clickhouse.query import Period, Question
    from clickhouse.query import explain as explain_question
    from pychart import answers

    if top is not None and bottom is not None:
        raise QuestionError("either --top or --bottom")
    answers.check_format(format_name, output)
    question = Question(
        metrics=tuple(metric),
        dimensions=tuple(by or ()),
        period=Period.parse(period),
        filters=tuple(parse_filter(text) for text in where or ()),
        limit=bottom if top is None else top,
        ascending=bottom is not None,
        exact=exact,
        other=other,
        rows_behind=rows,
        booked="spread" if spread else "end",
    )
    extras = Extras(unused, fill, parse_comparison(compare), share, total)
    extras.check(question)
    with open_current(context.obj) as warehouse:
        answer = ask_more(warehouse, question, extras)
        answers.write(format_name, question, answer, output)
        if spread and format_name in ("csv", "json"):  # which have no place for it
            print(answers.note(question), file=sys.stderr)
        if explained:
            print(explain_question(warehouse, question), file=sys.stderr)


@app.command()
def status(
    context: typer.Context,
    format_name: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Say how loading does and what is loaded of each file; exit status 0 only when all is well."""
    from pychart.status import print_status

    raise typer.Exit(0 if print_status(context.obj, format_name) else 1)


@app.command()
def explain(
    context: typer.Context,
    place: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:OFFSET]",
            help="A byte of the line, decompressed, else the first record; - is standard input.",
        ),
    ],
    cluster: Clusters = None,
) -> None:
    """Show how one line of an accounting file is read, or why it is not."""
    from pychart.explain import print_explained

    settings: Settings = context.obj
    one_only = cluster is not None or len(settings.clusters) < 2
    name = choose_cluster(settings, cluster) if one_only else DEFAULT_CLUSTER
    print_explained(settings, name, place)


@app.command()
def verify(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Accounting files that have been loaded.")],
    cluster: Clusters = None,
) -> None:
    """Count the lines of files again and compare with the ledger and the rows."""
    from clickhouse.connection import Warehouse
    from pychart import show
    from pychart.verify import print_verified

    name = choose_cluster(context.obj, cluster)
    for path in files:
        show.check_readable(path)
    with Warehouse(context.obj) as warehouse:
        well = [print_verified(warehouse, name, path) for path in files]
    raise typer.Exit(0 if all(well) else 1)


@app.command()
def report(
    context: typer.Context,
    user: Annotated[list[str] | None, typer.Option(help="Only this user; repeatable.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group.")] = None,
    metagroup: Annotated[list[str] | None, typer.Option(help="Only this metagroup.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="queue=all.q, node=n1,n2 or project!=test; may be repeated."),
    ] = None,
    period: Annotated[
        str, typer.Option(help="2018, 2018-03..2019, last-year, last-12-months, … or all.")
    ] = "all",
    section: Annotated[
        list[str] | None, typer.Option(help="Only this section: figures, time, people, ….")
    ] = None,
    language: Annotated[str, typer.Option("--lang", help="en or fr.")] = "en",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; - is standard output.")
    ] = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Words in the place of people's names.")
    ] = False,
) -> None:
    """Write a report to print, as one HTML file that needs nothing else."""
    from clickhouse.query import Filter
    from pychart.report import write_report

    named = {"user": user, "group": group, "metagroup": metagroup}
    filters = [Filter(name, tuple(values)) for name, values in named.items() if values]
    filters += [parse_filter(text) for text in where or ()]
    sections = section or ()
    write_report(context.obj, period, filters, sections, language, output, pseudonyms)


@app.command(context_settings={"ignore_unknown_options": True})
def qacct(
    context: typer.Context,
    options: Annotated[
        list[str] | None, typer.Argument(help="As qacct takes them; -help lists them.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Needed where the database has several.")
    ] = None,
) -> None:
    """Print what Grid Engine's qacct prints, from the database: -o, -g, -q, -j, -b, …."""
    from pychart.qacct.command import run

    raise typer.Exit(run(context.obj, cluster, options or []))


def choose_cluster(settings: Settings, named: str | None) -> str:
    """Give the cluster named, else the only one there is; several need a name."""
    if named is not None:
        if settings.clusters and named not in settings.clusters:
            known = ", ".join(settings.clusters)
            raise ConfigError(f"--cluster: {named!r} is not in the settings, which have {known}")
        return named
    if len(settings.clusters) > 1:
        raise ConfigError(f"--cluster: which one of {', '.join(settings.clusters)}?")
    return next(iter(settings.clusters), DEFAULT_CLUSTER)


def parse_filter(text: str) -> Filter:
    """Read `queue=all.q`, `user=ann,bob`, `queue!=test.q`, `slots=4..16` or `wait>=2h`."""
    from clickhouse.dimensions import DIMENSIONS
    from clickhouse.query import Filter

    found = re.fullmatch(r"(.*?)(!=|>=|<=|=)(.*)", text, re.DOTALL)
    if not found:
        raise QuestionError(f"--where {text!r} is not of the form dimension=value")
    dimension, sign, values = found.groups()
    if sign in (">=", "<="):
        low, high = (values, None) if sign == ">=" else (None, values)
        return Filter(dimension, low=low, high=high)
    low, dots, high = values.partition("..")
    if dots and dimension in DIMENSIONS and DIMENSIONS[dimension].is_ranged:
        return Filter(dimension, exclude=sign == "!=", low=low or None, high=high or None)
    return Filter(dimension, tuple(values.split(",")), sign == "!=")


def parse_comparison(text: str | None) -> Earlier | None:
    """Read `previous` or `year`."""
    match text:
        case None | "previous" | "year":
            return text
    raise QuestionError(f"--compare: {text!r} is none of previous, year")


def fail(error: Exception, code: int) -> NoReturn:
    """Print an error as one line and end."""
    print(f"pychart: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(code)


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        code = app(standalone_mode=False)
    except (ConfigError, QuestionError) as error:
        fail(error, 2)
    except PychartError as error:
        fail(error, 1)
    except UsageFault as error:
        if message := error.format_message():  # type: ignore[attr-defined]
            fail(Exception(message), 2)
        sys.exit(2)  # no command: the help has been shown
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:  # `pychart sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
