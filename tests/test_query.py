"""Questions: figures worked out by hand, on both engines; and what a question may not be."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError, WarehouseError
from clickhouse.metrics import METRICS
from clickhouse.query import Filter, Period, Question, ask, values
from clickhouse.settings import ClusterSettings
from tests.helpers import CLUSTER, line, load_bytes, warehouse

HOUR = 3600
DAY = 86400
T = 1514764800  # 2018-01-01 00:00 UTC

# One job on a line: name, wait and wall time in hours, slots
JOBS = [
    line(owner="ann", submission_time=T, start_time=T + HOUR, end_time=T + 3 * HOUR, cpu=3600),
    line(
        owner="ann",
        submission_time=T + 40 * DAY,
        start_time=T + 40 * DAY,
        end_time=T + 40 * DAY + 4 * HOUR,
        slots=4,
        granted_pe="openmp",
        cpu=7200,
        maxvmem=3 * 2**30,
        ru_maxrss=2**20,
    ),
    line(
        owner="bob",
        qname="long.q",
        submission_time=T + 400 * DAY,
        start_time=T + 400 * DAY + 2 * HOUR,
        end_time=T + 400 * DAY + 3 * HOUR,
        cpu=1800,
    ),
    line(owner="cat", start_time=0, end_time=0, cpu=0, submission_time=T),  # never started
    # an MPI job over two nodes: its task's line comes first, on another host
    *(
        line(
            owner="bob",
            granted_pe="mpi",
            slots=2,
            job_number=50,
            submission_time=T,
            start_time=T + HOUR + later,
            end_time=T + 2 * HOUR,
            cpu=900,
            pe_taskid=task,
            hostname=host,
        )
        for task, host, later in [("1.node2", "node2", 60), ("NONE", "node1", 0)]
    ),
]


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Warehouse:
    cluster = ClusterSettings(timezone="Europe/Paris", pe_classes={"open*": "single-node"})
    with warehouse(database_url, clusters={CLUSTER: cluster}) as opened:
        load_bytes(opened, tmp_path / "accounting", b"".join(job + b"\n" for job in JOBS))
        yield opened


def answer(db: Warehouse, *metrics: str, by: tuple[str, ...] = (), **rest: object) -> list[tuple]:
    table = ask(db, Question(metrics, by, **rest))  # type: ignore[arg-type]
    assert table.column_names == [*by, *metrics]
    return [tuple(row.values()) for row in table.to_pylist()]


def test_every_metric_on_known_jobs(db: Warehouse) -> None:
    figures = dict(zip(METRICS, answer(db, *METRICS)[0], strict=True))
    assert figures == {
        "jobs": 4,
        "attempts": 5,
        "distinct_jobs": 4,
        "array_jobs": 0,
        "jobs_per_day": pytest.approx(4 / 401),  # from the first submission to the last end
        "jobs_per_hour": pytest.approx(4 / 401 / 24),
        "wall_hours": 2 + 4 + 1 + 1,
        "core_hours": 2 + 16 + 1 + 2,
        "cores_in_use": pytest.approx(21 / 401 / 24),
        "lost_core_hours": 0,
        "cpu_hours": 1 + 2 + 0.5 + 0.5,
        "cpu_efficiency": pytest.approx(100 * 4 / 21),
        "memory_avg": pytest.approx((3 + 3 / 1024) / 4),
        "memory_max": 3,
        "ram_avg": pytest.approx((1 + 3 * 2 / 1024) / 4),
        "ram_max": 1,
        "memory_median": pytest.approx(1 / 1024),
        "memory_p90": pytest.approx(2.1, rel=0.01),
        "memory_p99": pytest.approx(2.91, rel=0.01),
        "ram_median": pytest.approx(2 / 1024),
        "ram_p90": pytest.approx(0.7, rel=0.01),
        "ram_p99": pytest.approx(0.97, rel=0.01),
        "requested_memory_avg": None,
        "requested_memory_unused": None,
        "requested_time_avg": None,
        "requested_time_unused": None,
        "duration_min": HOUR,
        "duration_avg": 2 * HOUR,
        "duration_median": 1.5 * HOUR,
        "duration_p90": pytest.approx(3.4 * HOUR),
        "duration_p99": pytest.approx(3.94 * HOUR),
        "duration_max": 4 * HOUR,
        "wait_min": 0,
        "wait_avg": HOUR,
        "wait_median": HOUR,
        "wait_p90": pytest.approx(1.7 * HOUR),
        "wait_p99": pytest.approx(1.97 * HOUR),
        "wait_max": 2 * HOUR,
        "slots_avg": 2,
        "slots_max": 4,
        "slots_median": 1.5,
        "slots_p90": pytest.approx(3.4),
        "slots_p99": pytest.approx(3.94),
        "failed_jobs": 0,
        "failure_rate": 0,
        "groups": 1,
        "nodes": 1,
        "user_cpu_hours": pytest.approx(6 * 1.5 / HOUR),
        "system_cpu_hours": pytest.approx(6 * 0.5 / HOUR),
        "system_share": 25,
        "io": 6 * 0.125,
        "io_wait_share": 0,
        "memory_integral": 6 * 0.25,
        "users": 2,
    }


def test_per_task_lines_are_no_jobs_but_their_usage_counts(db: Warehouse) -> None:
    rows = answer(db, "jobs", "core_hours", "cpu_hours", by=("user",))
    assert rows == [("ann", 2, 18, 3), ("bob", 2, 3, 1), ("cat", 0, 0, 0)]
    found = db.rows("SELECT cpu, tasks, parallel_class FROM jobs WHERE job_number = 50")
    assert found == [(1800, 1, "multi-node")]


def test_calendar_is_cut_in_the_clusters_time_zone(db: Warehouse, tmp_path: Path) -> None:
    late = line(owner="eve", start_time=T + 365 * DAY - 2 * HOUR, end_time=T + 365 * DAY - 60)
    load_bytes(db, tmp_path / "other", late + b"\n")  # 2018-12-31 23:59 UTC is 2019 in Paris
    eve = (Filter("user", ("eve",)),)
    assert answer(db, "jobs", by=("year",), filters=eve) == [(2019, 1)]
    assert answer(db, "jobs", by=("day",), filters=eve) == [(date(2019, 1, 1), 1)]
    assert answer(db, "jobs", filters=eve, period=Period.parse("2019-01-01")) == [(1,)]
    assert answer(db, "jobs", filters=eve, period=Period.parse("2018")) == [(0,)]


def test_time_comes_in_order_and_names_by_the_first_metric(db: Warehouse) -> None:
    months = [(date(2018, 1, 1), 2), (date(2018, 2, 1), 1), (date(2019, 2, 1), 1)]
    assert answer(db, "jobs", by=("month",)) == months
    assert [row[0] for row in answer(db, "core_hours", by=("user",))] == ["ann", "bob", "cat"]


def test_parallel_class_is_what_the_lines_and_the_settings_tell(db: Warehouse) -> None:
    assert answer(db, "core_hours", "cpu_hours", by=("parallel_class",)) == [
        ("single-node", 16, 2),
        ("sequential", 3, 1.5),
        ("multi-node", 2, 0.5),
    ]


def test_the_largest_node_tells_multi_node_and_nothing_tells_unknown(
    database_url: str, tmp_path: Path
) -> None:
    content = b"".join(
        line(job_number=n, granted_pe="mpi", slots=n) + b"\n" for n in (0, 1, 16, 17)
    )
    cluster = ClusterSettings(largest_node=16)
    with warehouse(database_url, clusters={CLUSTER: cluster}) as opened:
        load_bytes(opened, tmp_path / "accounting", content)
        found = opened.rows("SELECT job_number, parallel_class FROM jobs ORDER BY job_number")
    unknown = "parallel-unknown"
    assert found == [(0, unknown), (1, "sequential"), (16, unknown), (17, "multi-node")]


def test_each_attempt_of_a_retried_job_has_its_own_tasks(db: Warehouse, tmp_path: Path) -> None:
    attempts = b"".join(
        line(job_number=60, granted_pe="mpi", slots=2, start_time=a + b, end_time=a + c, cpu=cpu,
             pe_taskid=task, hostname=host) + b"\n"
        for a, b, c, cpu, task, host in [
            (T, 1, 50, 10, "1.n2", "n2"),
            (T, 0, 100, 1, "NONE", "n1"),
            (T + 1000, 1, 50, 20, "1.n1", "n1"),
            (T + 1000, 0, 100, 2, "NONE", "n1"),
            (T + 5000, 0, 50, 40, "1.n9", "n9"),  # its attempt is still running
        ]
    )  # fmt: skip
    load_bytes(db, tmp_path / "other", attempts)
    found = db.rows("SELECT cpu, parallel_class FROM jobs WHERE job_number = 60 ORDER BY end_time")
    assert found == [(11, "multi-node"), (22, "parallel-unknown")]
    total = answer(db, "cpu_hours", filters=(Filter("pe", ("mpi",)),))[0][0]
    assert total * 3600 == pytest.approx(1800 + 10 + 1 + 20 + 2 + 40)


def test_filters_include_and_exclude(db: Warehouse) -> None:
    assert answer(db, "jobs", filters=(Filter("user", ("ann", "bob")),)) == [(4,)]
    assert answer(db, "jobs", filters=(Filter("user", ("ann",), exclude=True),)) == [(2,)]
    both = (Filter("queue", ("all.q",)), Filter("slots", ("1", "2")))
    assert answer(db, "jobs", by=("user",), filters=both) == [("ann", 1), ("bob", 1), ("cat", 0)]


def kept(db: Warehouse, dimension: str, *values: str, **more: object) -> int:
    found = answer(db, "attempts", filters=(Filter(dimension, values, **more),))  # type: ignore
    return int(found[0][0])


def test_ranges_keep_both_ends_and_leave_out_what_has_no_value(db: Warehouse) -> None:
    assert kept(db, "slots", low="2") == 2
    assert kept(db, "slots", low="2", exclude=True) == 3
    assert kept(db, "slots", low="2", high="3") == 1
    assert kept(db, "duration", high="4h") == 4
    assert kept(db, "duration", low="60m", high="7200s") == 3
    assert kept(db, "duration", low="60m", high="7200s", exclude=True) == 2
    assert kept(db, "duration", "2h", "", exclude=True) == 3
    assert kept(db, "duration", "") == 1  # never started
    assert kept(db, "wait_from", "0", "1h") == 4
    assert kept(db, "day", low="2018-01-02", high="2018-02-10") == 1
    assert kept(db, "day", low="2018-01-01") == 5


def test_other_is_asked_of_all_rows_but_the_top(db: Warehouse) -> None:
    asked = Question(("core_hours", "wait_avg", "users"), ("user",), limit=1, other=True)
    assert [tuple(row.values()) for row in ask(db, asked).to_pylist()] == [
        ("ann", 18, 0.5 * HOUR, 1, "part"),
        (None, 3, 1.5 * HOUR, 1, "other"),
    ]
    by_year = Question(("jobs",), ("year", "user"), names=("bob",), other=True)
    assert [tuple(row.values()) for row in ask(db, by_year).to_pylist()] == [
        (2018, "bob", 1, "part"),
        (2018, None, 2, "other"),
        (2019, "bob", 1, "part"),
    ]


def test_rows_behind_count_what_a_metric_needs(db: Warehouse) -> None:
    """Over all metrics: the count from measures is that of the lines that meet `needs`."""
    figures = ask(db, Question(tuple(METRICS), rows_behind=True)).to_pylist()[0]
    for name, metric in METRICS.items():
        [(rows,)] = db.rows(f"SELECT countIf({metric.needs}) FROM lines")
        assert figures[f"{name}_rows"] == rows, name
    assert (figures["jobs_rows_share"], figures["requested_time_avg_rows_share"]) == (100, 0)


def test_throughput_is_per_day_of_the_part_of_the_period(db: Warehouse) -> None:
    def per_day(text: str, *by: str) -> list[tuple]:
        return answer(db, "jobs_per_day", by=by, period=Period.parse(text))

    assert per_day("2018-01") == [(pytest.approx(2 / 31),)]
    assert per_day("2018-01-01..2018-01-02", "year") == [(2018, 1)]
    assert per_day("2018-01..2018-02-20", "month") == [
        (date(2018, 1, 1), pytest.approx(2 / 31)),
        (date(2018, 2, 1), pytest.approx(1 / 20)),
    ]
    assert per_day("2018-01..2018-08", "academic_year") == [(2017, pytest.approx(3 / 243))]


def test_what_was_asked_for_and_not_used(database_url: str, tmp_path: Path) -> None:
    asked = "-U x -l h_rt=2:00:00,h_vmem=4G -pe mpi 2"
    content = line(
        job_number=1, category=asked, slots=2, start_time=T, end_time=T + HOUR, maxvmem=2 * 2**30
    )
    content += b"\n" + line(job_number=2, category="NONE", start_time=T, end_time=T + HOUR) + b"\n"
    with warehouse(database_url) as opened:
        load_bytes(opened, tmp_path / "accounting", content)
        metrics = [f"requested_{what}" for what in
                   ("memory_avg", "memory_unused", "time_avg", "time_unused")]  # fmt: skip
        assert answer(opened, *metrics) == [(8, 75, 2 * HOUR, 50)]
        assert answer(opened, "jobs", by=("requested_time_from",)) == [(HOUR, 1), (None, 1)]
        assert kept(opened, "requested_time", low="1h") == 1


def test_times_of_the_day_are_in_the_clusters_zone(db: Warehouse) -> None:
    assert answer(db, "jobs", by=("hour",)) == [(1, 0), (3, 1), (4, 2), (5, 1)]
    assert answer(db, "jobs", by=("submission_hour",)) == [(1, 4)]
    assert answer(db, "jobs", by=("submission_weekday",)) == [(1, 2), (2, 1), (6, 1)]
    assert answer(db, "jobs", by=("academic_year",)) == [(2017, 3), (2018, 1)]


def test_academic_years_begin_when_the_settings_say(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url, academic_year_starts=2) as opened:
        load_bytes(opened, tmp_path / "accounting", b"".join(job + b"\n" for job in JOBS))
        assert answer(opened, "jobs", by=("academic_year",)) == [(2017, 2), (2018, 1), (2019, 1)]


def test_ordered_dimensions_come_in_order_and_have_words(db: Warehouse) -> None:
    for name in (name for name, dimension in DIMENSIONS.items() if dimension.is_ordered):
        rows = answer(db, "jobs", by=(name,))
        known = [value for value, _ in rows if value is not None]
        assert known == sorted(known) == [value for value, _ in rows][: len(known)], name
        assert all(DIMENSIONS[name].text(value) for value in known), name
        [(_, most)] = answer(db, "jobs", by=(name,), limit=1)
        assert most == max(jobs for _, jobs in rows), name


def test_top_and_bottom(db: Warehouse) -> None:
    assert answer(db, "core_hours", by=("user",), limit=1) == [("ann", 18)]
    assert answer(db, "core_hours", by=("user",), limit=1, ascending=True) == [("cat", 0)]
    by_year = answer(db, "jobs", "core_hours", by=("user", "year"), limit=1)
    assert by_year == [("ann", 2018, 2, 18)]


def test_figures_without_a_row_behind_them_are_null(db: Warehouse) -> None:
    nobody = (Filter("user", ("nobody",)),)
    figures = dict(zip(METRICS, answer(db, *METRICS, filters=nobody)[0], strict=True))
    assert figures == {
        name: None if metric.kind == "figure" else 0 for name, metric in METRICS.items()
    }
    assert answer(db, "jobs", by=("user",), filters=nobody) == []


def test_parts_add_up_to_the_total(db: Warehouse) -> None:
    sums = ("jobs", "core_hours", "cpu_hours", "wall_hours")
    total = answer(db, *sums)[0]
    for dimension in DIMENSIONS:
        parts = answer(db, *sums, by=(dimension,))
        found = tuple(sum(row[i + 1] for row in parts) for i in range(4))
        assert found == pytest.approx(total), dimension


HOSTILE = ["'; DROP TABLE accounting --", "{x:String}", "\\'", "a' OR '1'='1", "\0", "é🦆", "%", ""]


def test_a_value_is_only_ever_a_value(db: Warehouse) -> None:
    for text in HOSTILE:
        check_value(db, text)


def check_value(db: Warehouse, text: str) -> None:
    assert answer(db, "jobs", filters=(Filter("user", (text,)),)) == [(0,)]
    assert answer(db, "attempts", filters=(Filter("project", (text,), exclude=True),)) in (
        [(5,)],
        [(0,)],
    )
    only = ask(db, Question(("attempts",), ("user",), names=(text,), other=True)).to_pylist()
    assert only == [{"user": None, "attempts": 5, "row": "other"}]
    for dimension in ("slots", "wait_from", "day", "year"):
        with pytest.raises(QuestionError, match="is no (number|date)"):
            answer(db, "jobs", filters=(Filter(dimension, low=text),))


def test_hostile_names_are_found_as_they_are(database_url: str, tmp_path: Path) -> None:
    names = ["o'neil", "<script>alert(1)</script>", 'say "x"', "back\\slash", "é🦆", "x" * 300]
    content = b"".join(line(owner=name, job_number=i) + b"\n" for i, name in enumerate(names))
    with warehouse(database_url) as opened:
        load_bytes(opened, tmp_path / "accounting", content)
        assert {row[0] for row in answer(opened, "jobs", by=("user",))} == set(names)
        for name in names:
            assert answer(opened, "jobs", filters=(Filter("user", (name,)),)) == [(1,)]
            assert name in values(opened, "user", name[:5])


def test_names_that_are_no_text_are_found_as_they_are_shown(
    database_url: str, tmp_path: Path
) -> None:
    content = line(owner="a~", qname="~.q") + b"\n" + line(owner="a", job_number=2) + b"\n"
    with warehouse(database_url) as opened:
        load_bytes(opened, tmp_path / "accounting", content.replace(b"~", b"\xff"))
        for exact in (False, True):
            asked = Question(("jobs",), ("user", "queue"), exact=exact)
            rows = {(row["user"], row["queue"]) for row in ask(opened, asked).to_pylist()}
            assert rows == {("a\ufffd", "\ufffd.q"), ("a", "all.q")}
            for kept in (
                Filter("user", ("a\ufffd",)),
                Filter("queue", ("\ufffd.q", "no.q")),
                Filter("user", ("a",), exclude=True),
                Filter("queue", ("all.q",), exclude=True),
            ):
                found = ask(opened, replace(asked, filters=(kept,))).to_pylist()
                assert [row["user"] for row in found] == ["a\ufffd"], kept


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        (Question(("cost",)), "unknown metric 'cost'; there are jobs, "),
        (Question(("jobs",), ("owner; DROP",)), "unknown dimension 'owner; DROP'"),
        (Question(("jobs",), filters=(Filter("1=1", ()),)), "unknown dimension '1=1'"),
        (Question(()), "at least one metric"),
        (Question(("jobs", "jobs")), "named twice"),
        (Question(("jobs",), limit=0), "a limit is from 1"),
        (Question(("jobs",), filters=(Filter("slots", ("many",)),)), "'many' is no number"),
        (Question(("jobs",), filters=(Filter("day", ("x",)),)), "'x' is no date"),
        (Question(("jobs",), filters=(Filter("year", ("70000",)),)), "'70000' is no number"),
        (Question(("jobs",), filters=(Filter("wait", ("2 weeks",)),)), "'2 weeks' is no number"),
        (Question(("jobs",), filters=(Filter("user", low="a"),)), "no range"),
        (Question(("jobs",), filters=(Filter("slots", ("1",), low="1"),)), "values or a range"),
        (Question(("jobs",), ("user",), limit=1, names=("ann",)), "either names or a limit"),
        (Question(("jobs",), ("user",), other=True), "other needs a limit"),
        (Question(("jobs",), ("year",), limit=1, other=True), "a dimension that is no time"),
        (Question(("jobs",), names=("x",)), "names need a dimension"),
        (Question(("jobs",), booked="spread"), "jobs cannot be spread over days; there are wall_"),
        (Question(("wall_hours",), booked="start"), "booked is end or spread"),  # type: ignore
    ],
)
def test_what_cannot_be_asked_is_refused(question: Question, complaint: str) -> None:
    with pytest.raises(QuestionError, match=complaint):
        question.check()


PERIODS = {
    "2018": (date(2018, 1, 1), date(2019, 1, 1)),
    "2018-02": (date(2018, 2, 1), date(2018, 3, 1)),
    "2020-02-29": (date(2020, 2, 29), date(2020, 3, 1)),
    "2018-12..2019-01": (date(2018, 12, 1), date(2019, 2, 1)),
    "2018..": (date(2018, 1, 1), None),
    "..2018": (None, date(2019, 1, 1)),
    "all": (None, None),
}


@pytest.mark.parametrize("text", PERIODS)
def test_periods_are_read(text: str) -> None:
    assert Period.parse(text) == Period(*PERIODS[text])


@pytest.mark.parametrize("text", ["", "18", "2018-13", "2018-02-30", "2019..2018", "soon", "9999"])
def test_other_periods_are_refused(text: str) -> None:
    with pytest.raises(QuestionError, match="period"):
        Period.parse(text)


def test_a_question_that_fails_half_way_spoils_no_other(database_url: str) -> None:
    with warehouse(database_url) as opened:
        for ask_it in (opened.arrow, opened.rows, lambda sql: opened.text(sql, "JSONCompact")):
            with pytest.raises(WarehouseError):
                ask_it("SELECT number, throwIf(number = 150000) FROM numbers(200000)")
            assert opened.rows("SELECT 1") == [(1,)]
            assert opened.arrow("SELECT 1 AS one").to_pylist() == [{"one": 1}]
