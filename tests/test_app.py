"""The app's pages, run by Streamlit's own tester from the entry point."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from clickhouse import rollups
from clickhouse.connection import Warehouse
from clickhouse.flagged import flagged
from clickhouse.migrate import migrate
from clickhouse.query import Filter, Period, Question, ask
from clickhouse.settings import Settings, load_settings
from ingest.loader import load_file
from streamlit_app import asking, calendars, cards, data, filters, places, shape, text
from streamlit_app.serve import _listen
from streamlit_app.warehouse import holder
from tests import helpers
from tests.app import MAIN, app, charts, paths, texts

TITLES = {place.file.removesuffix(".py"): place.title for place in places.every()}
# pages without a chart of the sample, which has no metagroup
NO_CHARTS = ("metagroups", "jobs", "sql", "report")
KEY_FIGURES = (
    ("jobs", ""),
    ("core_hours", "core-h"),
    ("cpu_hours", "h"),
    ("cpu_efficiency", "%"),
    ("memory_avg", "GiB"),
    ("duration_avg", "s"),
    ("wait_avg", "s"),
    ("users", ""),
)
HOSTILE = (
    "<script>alert(1)</script>",
    "a'b\"c`d",
    "🐧$x$ :material/bug_report: **bold** [l](http://x)",
    "n" * 300,
)


def started(sample: Path) -> int:
    """Count the attempts that started: no task of one, and with a start time."""
    lines = [line.split(":") for line in sample.read_text().splitlines() if line[0] != "#"]
    return sum(fields[41] == "NONE" and int(fields[9]) > 0 for fields in lines)


def expected(opened: Warehouse, *kept: Filter) -> list[str]:
    [row] = ask(opened, Question(tuple(n for n, _ in KEY_FIGURES), filters=kept)).to_pylist()
    return [text.figure(row[name], unit) for name, unit in KEY_FIGURES]


def test_each_page_shows_data_on_each_engine(loaded: Warehouse) -> None:
    for page in paths():
        at = app(page)
        assert [title.value for title in at.title] == [TITLES[page]]
        assert not at.error, page
        assert cards.NO_JOBS not in texts(at)
        assert page in NO_CHARTS or charts(at), page
        assert all(rows for _, rows in charts(at))


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_key_figures_are_the_answers_of_the_query(loaded: Warehouse, sample: Path) -> None:
    at = app()
    assert [metric.value for metric in at.metric] == expected(loaded)
    assert at.metric[0].value == f"{started(sample)}"


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_charts_hold_the_answers_of_the_query(loaded: Warehouse) -> None:
    per_day, core_hours, users, *_ = charts(app())
    jobs = sum(ask(loaded, Question(("jobs",))).column(0).to_pylist())
    assert sum(row["value"] for row in per_day[1]) == jobs
    table = ask(loaded, Question(("core_hours",), ("user",), limit=10))
    assert [row["name"] for row in users[1]] == table.column("user").to_pylist()
    assert [row["value"] for row in users[1]] == table.column("core_hours").to_pylist()


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_tables_list_all_figures(loaded: Warehouse) -> None:
    at = app("users")
    [frame] = [table.value for table in at.dataframe]
    answer = ask(loaded, Question(("core_hours", "jobs"), ("user",)))
    assert list(frame["user"]) == answer.column("user").to_pylist()
    assert list(frame["jobs"]) == answer.column("jobs").to_pylist()
    assert str(frame["wait_avg"].dtype).startswith("timedelta64")


def test_nothing_is_loaded(opened: Warehouse) -> None:
    for page in paths():
        at = app(page)
        assert at.title[0].value == "Nothing has been loaded yet"
        assert "pychart load" in at.code[0].value


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_new_data_shows_at_once(opened: Warehouse, sample: Path, tmp_path: Path) -> None:
    at = app()
    load_file(opened, helpers.CLUSTER, sample)
    time.sleep(data.VERSION_SECONDS)
    at.run()
    assert at.metric[0].value == f"{started(sample)}"
    helpers.load_bytes(opened, tmp_path / "more", helpers.line(owner="zoe") + b"\n")
    time.sleep(data.VERSION_SECONDS)
    at.run()
    assert at.metric[0].value == f"{started(sample) + 1}"


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_new_data_shows_once_rollups_have_it_or_after_a_while(
    loaded: Warehouse, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        time.sleep(data.VERSION_SECONDS)
        return str(at.run().metric[0].value)

    jobs = started(sample)
    rollups.refresh(loaded)
    at = app()
    helpers.load_bytes(loaded, tmp_path / "one", helpers.line(owner="zoe") + b"\n")
    assert shown() == f"{jobs}"  # of rollups alone
    rollups.refresh(loaded)
    assert shown() == f"{jobs + 1}"
    monkeypatch.setattr(asking, "BEHIND_SECONDS", 2.0)
    helpers.load_bytes(loaded, tmp_path / "two", helpers.line(owner="zoe", slots=2) + b"\n")
    assert shown() == f"{jobs + 1}"
    time.sleep(2)
    assert shown() == f"{jobs + 2}"


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_names_may_hold_anything(opened: Warehouse, tmp_path: Path) -> None:
    names = [name.replace(":", ";") for name in HOSTILE]
    lines = [
        helpers.line(owner=name, group=name, qname=name, hostname=name, job_number=i)
        for i, name in enumerate(names)
    ]
    helpers.load_bytes(opened, tmp_path / "accounting", b"\n".join(lines) + b"\n")
    for name in names:
        narrowed = app(user=name)
        assert not narrowed.error
        assert cards.NO_JOBS not in texts(narrowed)
        assert "**bold**" not in texts(narrowed)
    assert [row["name"] for row in charts(app("users"))[0][1]] == sorted(names)


@pytest.fixture
def configured(database_url: str, sample: Path, tmp_path: Path) -> Iterator[Path]:
    """A settings file with a metagroup and sub-clusters, over the sample; the app is open."""
    file = tmp_path / "pychart.toml"
    file.write_text(
        f'database = "{database_url}"\n[clusters.{helpers.CLUSTER}.sub_clusters]\n'
        'small = { queues = ["all.q"] }\nall = { hosts = ["*"] }\n'
        '[metagroups.lab]\nusers = ["alice", "bruno"]\n'
    )
    st.cache_resource.clear()
    with Warehouse(load_settings(file), create=True) as warehouse:
        migrate(warehouse)
        load_file(warehouse, helpers.CLUSTER, sample)
        holder.use(warehouse)
        yield file
    holder.close()
    st.cache_resource.clear()


def test_metagroups_and_sub_clusters_filter_and_split(configured: Path) -> None:
    opened = holder.get()
    at = app(metagroup="lab", sub_cluster="small")
    kept = (Filter("metagroup", ("lab",)), Filter("sub_cluster", ("small",)))
    assert [metric.value for metric in at.metric] == expected(opened, *kept)
    assert "metagroup lab" in texts(at)
    for page, dimension in (("metagroups", "metagroup"), ("clusters", "sub_cluster")):
        at = app(page, of=dimension)
        assert not at.exception
        table = ask(opened, Question(("core_hours",), (dimension,), limit=10))
        names = [name or text.NO_NAME for name in table.column(dimension).to_pylist()]
        assert [row["name"] for row in charts(at)[0][1]] == names
        assert {row["name"] for row in charts(at)[1][1]} <= {text.short(name) for name in names}


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_the_app_takes_in_an_edit_of_the_settings(configured: Path) -> None:
    at = app(metagroup="lab")
    before = at.metric[0].value
    assert before == expected(holder.get(), Filter("user", ("alice", "bruno")))[0]
    content = configured.read_text()
    configured.write_text(content.replace('"alice", "bruno"', '"alice"'))
    time.sleep(data.VERSION_SECONDS)
    at.run()
    assert at.metric[0].value == expected(holder.get(), Filter("user", ("alice",)))[0] != before
    configured.write_text("nonsense")
    time.sleep(data.VERSION_SECONDS)
    assert not at.run().exception
    configured.write_text(content)
    time.sleep(data.VERSION_SECONDS)
    at.run()
    assert at.metric[0].value == before


@pytest.mark.parametrize("database_url", ["server"], indirect=True)
def test_the_app_shows_what_the_daemon_took_in(configured: Path) -> None:
    at = app(metagroup="lab")
    before = at.metric[0].value
    configured.write_text(configured.read_text().replace('"alice", "bruno"', '"alice"'))
    time.sleep(data.VERSION_SECONDS)
    assert at.run().metric[0].value == before  # the app may only read a server
    with Warehouse(load_settings(configured)) as daemon:
        migrate(daemon)
    time.sleep(data.VERSION_SECONDS)
    at.run()
    assert at.metric[0].value == expected(holder.get(), Filter("user", ("alice",)))[0] != before


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_flags_are_counted(opened: Warehouse, tmp_path: Path) -> None:
    lines = [helpers.line(job_number=n, cpu=100, slots=n % 2) for n in range(5)]
    helpers.load_bytes(opened, tmp_path / "accounting", b"\n".join(lines) + b"\n")
    rows = [row for _, found in charts(app("loaded")) for row in found if "time" not in row]
    counts = {row["name"]: row["value"] for row in rows}
    assert counts == {"slots missing": 3, "reserved usage": 2}
    helpers.load_bytes(opened, tmp_path / "copy", b"# a copy\n" + lines[0] + b"\n")
    for clusters in ((), (helpers.CLUSTER,), ("other",)):
        found = flagged(opened, clusters).to_pydict()
        expected = {"name": ["slots missing", "reserved usage"], "lines": [3, 2]}
        assert found == (expected if clusters != ("other",) else {"name": [], "lines": []})


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_what_was_read_is_reconciled_with_what_is_stored(opened: Warehouse, tmp_path: Path) -> None:
    first, later = 1_500_000_200, 1_500_000_200 + 5 * 86400
    lines = [helpers.line(end_time=end, job_number=end) + b"\n" for end in (first, later)]
    helpers.load_bytes(opened, tmp_path / "accounting", b"".join(lines) + b"broken\n")
    helpers.load_bytes(opened, tmp_path / "copy", b"# a copy\n" + lines[1])
    frames = [frame.value for frame in app("loaded").dataframe]
    [reconciled] = next(f for f in frames if "stored" in f).to_dict("records")
    assert reconciled == {
        "cluster": helpers.CLUSTER,
        "lines": 5,
        "records": 3,
        "rejects": 1,
        "ignored": 1,
        "stored": 2,
        "copies": 1,
        "missing": 0,
    }
    [gaps] = next(f for f in frames if "longest_gap" in f).to_dict("records")
    assert (gaps["days"], gaps["days_without"], gaps["longest_gap"]) == (6, 4, 4)


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_chart_over_time_tells_its_highest_step_where_there_is_one(
    opened: Warehouse, tmp_path: Path
) -> None:
    times = {"start_time": 1577923200, "end_time": 1577923200}  # it took no time: no efficiency
    started = helpers.line(**times, submission_time=1577923200, ru_wallclock=0, cpu=0)
    helpers.load_bytes(opened, tmp_path / "accounting", started + b"\n")
    captions = [each.value for each in app("efficiency").caption]
    [efficiency] = [each for each in captions if each.startswith("CPU efficiency = CPU time")]
    assert "highest" not in efficiency
    [amount] = [each for each in captions if each.startswith("I/O = ")]
    assert "2 Jan 2020, 0\\.12 GiB" in amount


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_file_without_a_record_shows_why(opened: Warehouse, tmp_path: Path) -> None:
    helpers.load_bytes(opened, tmp_path / "accounting", b"broken\n")
    at = app("loaded")
    assert not at.error
    assert [metric.value for metric in at.metric] == ["1", "0", "1", "0"]


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_rejected_lines_are_told_with_reason_and_place(opened: Warehouse, tmp_path: Path) -> None:
    content = b"# comment\n" + helpers.line() + b"\nbroken:line\n" + helpers.line(cpu="x") + b"\n"
    helpers.load_bytes(opened, tmp_path / "accounting", content)
    at = app("loaded")
    values = {metric.label: metric.value for metric in at.metric}
    assert values == {"Lines": "4", "Records": "1", "Rejected": "2", "Ignored": "1"}
    assert r"lines = records \+ rejected \+ ignored" in texts(at)
    rejects = next(f.value for f in at.dataframe if "reason" in f.value)
    assert set(rejects["line"]) == {"broken:line", helpers.line(cpu="x").decode()}
    assert set(rejects["file"]) == {str(tmp_path / "accounting")}
    assert "cpu is not a number" in [row["name"] for _, rows in charts(at) for row in rows]


def test_small_pieces_are_sent_at_once() -> None:
    """Else each page waits 40 ms for the browser to say that it has the piece before."""
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            accepted.setblocking(False)
            assert accepted.proto == socket.IPPROTO_TCP  # where asyncio sets TCP_NODELAY


def test_a_server_that_does_not_answer() -> None:
    st.cache_resource.clear()
    holder.configure(Settings(database="http://127.0.0.1:9/pychart"))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    assert not at.exception
    assert "connection refused" in at.error[0].value
    holder.close()


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "h", "–"),
        (float("nan"), "GiB", "–"),
        (0, "", "0"),
        (1234, "", "1,234"),
        (47_559_017.7, "core-h", "47.6 M core-h"),
        (3.14159, "GiB", "3.14 GiB"),
        (0.05, "", "0.1"),
        (0.049, "", "0.049"),
        (-0.00012, "", "-0.00012"),
        (0.000999, "core-h", "0.00100 core-h"),
        (0.0042, "%", "0.0042 %"),
        (1e-7, "GiB", "0.00 GiB"),
        (71.687, "%", "71.7 %"),
        (0, "s", "0 s"),
        (0.4, "s", "0.4 s"),
        (59.6, "s", "1 min 00 s"),
        (7500, "s", "2 h 05 min"),
        (3599.9, "s", "1 h 00 min"),
        (86400 * 3 + 3600 * 4, "s", "3 d 04 h"),
    ],
)
def test_figures_in_words(value: float | None, unit: str, shown: str) -> None:
    assert text.figure(value, unit) == shown


def test_markdown_in_names_is_shown_as_it_is() -> None:
    assert text.plain("**a** :x: <b> $y$") == r"\*\*a\*\* \:x\: \<b\> \$y\$"
    assert len(text.short("n" * 300)) == text.NAME_LENGTH


@pytest.mark.parametrize(
    ("first", "last", "grain", "count"),
    [
        (date(2024, 1, 1), date(2024, 1, 1), "day", 1),
        (date(2024, 2, 1), date(2024, 3, 31), "day", 60),
        (date(2023, 12, 15), date(2024, 12, 1), "month", 13),
        (date(1999, 5, 1), date(2024, 1, 1), "year", 26),
    ],
)
def test_steps_have_no_gap(first: date, last: date, grain: str, count: int) -> None:
    assert calendars.grain_of(first, last) == grain
    assert len(calendars.steps(grain, first, last)) == count


def test_missing_steps_are_zero_and_the_rest_is_summed_up() -> None:
    scope = filters.Scope(Period(), (), date(2024, 1, 1), date(2024, 4, 30))
    assert scope.grain == "month"
    days = [date(2024, 1, 1), date(2024, 4, 1)]
    whole = pa.table({"month": pa.array(days), "jobs": [5, 7]})
    parts = pa.table({"month": pa.array(days), "user": ["a", "b"], "jobs": [5, 3]})
    shaped = shape.parts_over_time(parts, "user", "jobs", scope, ["a", "b"], whole)
    assert _by_name(shaped.table.to_pylist()) == {
        "a": [5, 0, 0, 0],
        "b": [0, 0, 0, 3],
        "other": [0, 0, 0, 4],
    }


def _by_name(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append(row["value"])
    return found


def test_slots_in_classes_that_double() -> None:
    table = pa.table({"slots": [1, 3, 4, 5, 16, 0], "jobs": [10, 2, 3, 1, 1, 4]})
    rows = shape.slot_classes(table, "jobs").table.to_pylist()
    assert [(row["name"], row["value"]) for row in rows] == [
        ("unknown", 4),
        ("1", 10),
        ("2", 0),
        ("3–4", 5),
        ("5–8", 1),
        ("9–16", 1),
    ]


def test_csv_has_labels_with_units() -> None:
    table = pa.table({"user": ['a"b,c'], "core_hours": [1.5]})
    assert cards.csv_bytes(table).decode() == '"User","Core time (core-h)"\n"a""b,c",1.5\n'
