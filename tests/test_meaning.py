"""What lines mean, on both engines: codes, times, attempts, arrays, requests, placement, flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse import codes
from clickhouse.connection import Warehouse
from clickhouse.migrate import views
from clickhouse.query import Filter, Question, ask
from clickhouse.settings import ClusterSettings
from tests.helpers import CLUSTER, column, line, load_bytes, one, warehouse

T = 1514764800  # 2018-01-01 00:00 UTC
HOUR = 3600
FORMAT_OF_FAILED = {  # as shared/docs/FORMAT.md has them
    0: "none", 1: "assumedly before job", 3: "before writing config", 4: "before writing pid",
    6: "setting processor set", 7: "before prolog", 8: "in prolog", 9: "before pestart",
    10: "in pestart", 11: "before job", 12: "before pestop", 13: "in pestop", 14: "before epilog",
    15: "in epilog", 16: "releasing processor set", 17: "through signal",
    18: "shepherd returned error", 19: "before writing exit_status", 20: "unexpected error file",
    21: "in recognizing job", 24: "migrating", 25: "rescheduling",
    26: "opening input/output file", 27: "searching requested shell",
    28: "changing into working directory", 29: "AFS setup", 30: "application error (exit 100)",
    36: "checking daemons", 37: "qmaster enforced h_rt, h_cpu or h_vmem",
    38: "adding supplementary group", 44: "execd enforced h_rt", 100: "assumedly after job",
}  # fmt: skip


@pytest.fixture
def db(database_url: str) -> Iterator[Warehouse]:
    cluster = ClusterSettings(largest_node=16, pe_classes={"smp*": "single-node"})
    with warehouse(database_url, clusters={CLUSTER: cluster}) as opened:
        yield opened


def load(db: Warehouse, folder: Path, lines: Iterable[bytes], name: str = "accounting") -> None:
    load_bytes(db, folder / name, b"".join(each + b"\n" for each in lines))


def wide(later: dict[int, str], **changes: Any) -> bytes:
    """Write a line of 74 fields; `later` are some of the fields from 46 on, by number."""
    fields = [later.get(number, "NONE") for number in range(46, 75)]
    return line(**changes) + b":" + ":".join(fields).encode()


def test_every_code_has_its_words_and_others_keep_their_number(
    db: Warehouse, tmp_path: Path
) -> None:
    assert dict(db.rows("SELECT failed, meaning FROM failed_codes")) == FORMAT_OF_FAILED
    cases = {
        (0, 0): ("none", "0", "done"),
        (0, 3): ("none", "3", "error"),
        (0, 99): ("none", "asked to be run again", "error"),
        (25, 99): ("rescheduling", "asked to be run again", "rescheduled"),
        (37, 137): ("qmaster enforced h_rt, h_cpu or h_vmem", "KILL (killed)", "over its limit"),
        (100, 143): ("assumedly after job", "TERM (terminated)", "killed"),
        (100, 139): ("assumedly after job", "SEGV (segmentation fault)", "killed"),
        (100, 152): ("assumedly after job", "XCPU (CPU time limit exceeded)", "killed"),
        (28, 0): ("changing into working directory", "0", "failed"),
        (77, 200): ("77", "200", "killed"),
        (0, 2**32 - 1): ("none", "still running", "running"),
    }
    load(db, tmp_path, (line(failed=f, exit_status=e, job_number=n)
                        for n, (f, e) in enumerate(cases)))  # fmt: skip
    words = "SELECT failure, exit_meaning, outcome FROM jobs ORDER BY job_number"
    assert db.rows(words) == list(cases.values())
    joined = (
        "SELECT jobs.failed, failed_codes.meaning, exit_codes.signal FROM jobs"
        " JOIN failed_codes ON jobs.failed = failed_codes.failed"
        " JOIN exit_codes ON jobs.exit_status = exit_codes.exit_status"
        " WHERE jobs.exit_status = 143"
    )
    assert db.rows(joined) == [(100, "assumedly after job", "TERM")]


def test_all_signals_of_linux_are_known(db: Warehouse) -> None:
    import signal

    known = dict(db.rows("SELECT exit_status - 128, signal FROM exit_codes WHERE signal != ''"))
    here = {each.value: each.name.removeprefix("SIG") for each in signal.Signals}
    assert {n: known[n] for n in here if n < 32} == {n: s for n, s in here.items() if n < 32}
    assert set(known) == {*range(1, 32), *range(34, 65)}


def test_flags_have_the_names_that_the_view_records_gives(db: Warehouse, tmp_path: Path) -> None:
    load(db, tmp_path, [line(end_time=0), line(slots=0, maxvmem="nan", job_number=8)])
    assert column(db, "SELECT flags FROM jobs ORDER BY job_number") == column(
        db, "SELECT flags FROM records ORDER BY job_number"
    )
    assert set(column(db, "SELECT flag FROM flag_numbers")) == set(codes.FLAGS)
    missing = "SELECT slots, maxvmem, core_seconds FROM jobs WHERE job_number = 8"
    assert db.rows(missing) == [(None, None, 0)]


def test_times_have_the_part_of_a_second_that_the_line_gives(db: Warehouse, tmp_path: Path) -> None:
    times = [
        (T, T + 10, T + 20),
        (T * 1000 + 250, T * 1000 + 10_000, T * 1000 + 20_500),
        (T * 10**6 + 750_000, T * 10**6 + 10**7 + 250_001, T * 10**6 + 2 * 10**7),
        (T * 1000, T * 1000 + 900, T * 1000 + 100),  # ends before it starts, within a second
        (T, 0, 0),
        (0, T, T),
    ]
    load(db, tmp_path, (line(job_number=n, slots=2, submission_time=a, start_time=b, end_time=c)
                        for n, (a, b, c) in enumerate(times)))  # fmt: skip
    found = db.rows("SELECT wait_seconds, wall_seconds, core_seconds FROM jobs ORDER BY job_number")
    assert found == [
        (10, 10, 20),
        (9.75, 10.5, 21),
        (9.500001, 9.749999, 19.499998),
        (0.9, None, None),
        (None, None, None),
        (None, 0, 0),
    ]


def test_a_job_that_still_runs_has_no_wall_time(db: Warehouse, tmp_path: Path) -> None:
    load(db, tmp_path, [line(exit_status=2**32 - 1)])
    assert one(db, "SELECT wall_seconds FROM jobs") is None


RETRIED = [
    line(owner="ann", start_time=0, end_time=0, failed=26),
    line(owner="ann", start_time=T + 100, end_time=T + 200, failed=25, exit_status=99, slots=2),
    line(owner="ann", start_time=T + 300, end_time=T + 700, slots=2),
    line(owner="ann", start_time=0, end_time=0, failed=28),
    line(owner="bob", submission_time=T + 5, start_time=T + 9, end_time=T + 10),  # number reused
    line(owner="cat", job_number=9, task_number=3),
]


def test_attempts_of_a_job_are_linked(db: Warehouse, tmp_path: Path) -> None:
    load(db, tmp_path, RETRIED[:3])
    load(db, tmp_path, RETRIED, name="a copy that goes on")
    jobs = db.rows(
        "SELECT owner, task_number, attempts, started_attempts, toUInt32(first_start),"
        " toUInt32(last_end), outcome, wall_seconds, core_seconds, lost_wall_seconds,"
        " lost_core_seconds FROM submitted_jobs ORDER BY owner"
    )
    assert jobs == [
        ("ann", 0, 4, 2, T + 100, T + 700, "never started", 500, 1000, 100, 200),
        ("bob", 0, 1, 1, T + 9, T + 10, "done", 1, 1, 0, 0),
        ("cat", 3, 1, 1, 1500000100, 1500000200, "done", 100, 100, 0, 0),
    ]
    numbered = db.rows(
        "SELECT attempt, attempts, failed FROM attempts JOIN jobs ON attempts.record_id"
        " = jobs.record_id WHERE owner = 'ann' ORDER BY attempt"
    )
    assert numbered == [(1, 4, 26), (2, 4, 25), (3, 4, 0), (4, 4, 28)]


def test_metrics_count_jobs_once_and_what_was_lost(db: Warehouse, tmp_path: Path) -> None:
    load(db, tmp_path, RETRIED)
    asked = Question(("jobs", "distinct_jobs", "array_jobs", "lost_core_hours"), ("user",))
    rows = {row.pop("user"): tuple(row.values()) for row in ask(db, asked).to_pylist()}
    assert rows == {"ann": (2, 1, 0, 200 / 3600), "bob": (1, 1, 0, 0), "cat": (1, 1, 1, 0)}


def test_array_jobs_are_campaigns(db: Warehouse, tmp_path: Path) -> None:
    def task(number: int, start: int, wall: int, **changes: Any) -> bytes:
        begins = {"start_time": T + start, "end_time": T + start + wall} if wall else {
            "start_time": 0, "end_time": 0}  # fmt: skip
        return line(job_number=70, task_number=number, submission_time=T, **begins, **changes)

    load(db, tmp_path, [
        *(task(n, 10 * n, 100) for n in range(1, 8)),
        task(8, 20, 500),                              # holds all up
        task(9, 30, 90, failed=25, exit_status=99),
        task(9, 200, 110),                             # again
        task(10, 0, 0, failed=26),
        line(job_number=71),                           # no array
    ])  # fmt: skip
    found = db.rows(
        "SELECT job_number, tasks, attempts, executed, failed, toUInt32(first_start),"
        " toUInt32(last_end), span_seconds, median_wall_seconds, longest_wall_seconds, stragglers,"
        " lost_core_seconds FROM campaigns"
    )
    assert found == [(70, 10, 11, 9, 1, T + 10, T + 520, 510, 100, 500, 1, 90)]


REQUESTS = {
    "-l h_rt=600,h_vmem=2G": {"h_rt": 600, "h_vmem": 2 * 2**30},
    "-l h_rt=24:00:00,mem_free=1.5g": {"h_rt": 86400, "mem_free": 1_500_000_000},
    "-l h_rt=1::30,s_rt=10:00,h_vmem=3k": {"h_rt": 3630, "s_rt": 600, "h_vmem": 3000},
    "-l h_vmem=3K,s_vmem=4m,mem_free=5M": {
        "h_vmem": 3072, "s_vmem": 4_000_000, "mem_free": 5 * 2**20},
    "-l h_vmem=1t -l mem_free=1T,h_cpu=0": {
        "h_vmem": 10**12, "mem_free": 2**40, "h_cpu": 0},
    "-l h_rt=INFINITY,h_vmem=infinity": {},
    "-l h_rt=soon,h_vmem=2GB,s_rt=1:2:3:4,mem_free=-1,s_vmem=1e3,h_cpu=": {},
    "-l h_vmem=99999999999999999999T,h_rt=99999999999999999999999": {},
    "-l h_rt=1 -q a.q -l h_rt=2": {"h_rt": 2},
    "-l h_rt=5 -soft -l h_rt=7 -pe mpi 4": {"h_rt": 5},
    "-soft -q a.q -l h_rt=7 -hard -l s_rt=9": {"s_rt": 9},
    "-scope global -hard -l h_rt=3 -scope master -hard -l h_rt=4": {"h_rt": 3},
    "-l my_h_rt=3 -q h_rt=4": {},
}  # fmt: skip
AMOUNTS = ("h_rt", "s_rt", "h_cpu", "h_vmem", "s_vmem", "mem_free")


def test_requested_amounts_are_columns(db: Warehouse, tmp_path: Path) -> None:
    lines = []
    for number, category in enumerate(REQUESTS):
        written = category.replace(":", "\xff")  # as UGE writes a colon
        fields = line(job_number=number, category="CATEGORY", layout=46)
        lines.append(fields.replace(b"CATEGORY", written.encode("latin-1")))
    load(db, tmp_path, lines)
    for view in ("jobs", "requests"):
        rows = db.rows(f"SELECT category, {', '.join(AMOUNTS)} FROM {view}")
        found = {
            category: {n: v for n, v in zip(AMOUNTS, values, strict=True) if v is not None}
            for category, *values in rows
        }
        assert found == REQUESTS


def test_a_category_with_colons_is_read_where_the_line_can_be(
    db: Warehouse, tmp_path: Path
) -> None:
    load(db, tmp_path, [line(category="-l cpu=24:00:00,h_rt=600")])
    assert db.rows("SELECT h_rt, flags FROM jobs") == [(600, ["colons"])]
    assert one(db, "SELECT resources['cpu'] FROM requests") == "24:00:00"


def test_all_requests_of_a_category(db: Warehouse, tmp_path: Path) -> None:
    category = (
        "-U chem_users,all -q a.q,b.q@node1 -l h_rt=600,gpu=1,exclusive -l arch=lx-amd64,gpu=2"
        " -soft -l fast=true -q fast.q -pe openmp 4-8 -P climate -R y"
    )
    load(db, tmp_path, [line(category=category)])
    [row] = db.rows(
        "SELECT resources, soft_resources, queues, pe, slots_min, slots_max, project, reservation,"
        " userset FROM requests"
    )
    resources = {"h_rt": "600", "gpu": "2", "exclusive": "true", "arch": "lx-amd64"}
    queues = ["a.q", "b.q@node1"]
    assert row == (
        resources, {"fast": "true"}, queues, "openmp", 4, 8, "climate", True, "chem_users,all",
    )  # fmt: skip


def test_ranges_of_slots(db: Warehouse, tmp_path: Path) -> None:
    ranges = {
        "mpi 4": ("mpi", 4, 4),
        "mpi* 4-": ("mpi*", 4, None),
        "mpi 4-9999999": ("mpi", 4, None),
        "mpi -8": ("mpi", 1, 8),
        "mpi 2,4,16-32": ("mpi", 2, 32),
        "mpi 99999999999": ("mpi", None, None),
        "mpi x": ("mpi", None, None),
        "mpi": ("mpi", None, None),
    }
    load(db, tmp_path, (line(job_number=n, category=f"-pe {r} -l a=1")
                        for n, r in enumerate(ranges)))  # fmt: skip
    rows = db.rows("SELECT category, pe, slots_min, slots_max, reservation FROM requests")
    found = {c.removeprefix("-pe ").removesuffix(" -l a=1"): tuple(v) for c, *v in rows}
    assert found == {text: (*expected, False) for text, expected in ranges.items()}


OPTION = st.sampled_from(["-l", "-q", "-pe", "-soft", "-hard", "-scope", "-U", "-P", "-R", "mpi"])
WORD = st.text(alphabet="h_rt=,:kKmMGgT0123456789.-* \\'éx@", max_size=12)


def test_no_category_makes_a_view_fail(db: Warehouse) -> None:
    [view] = [each for each in views(db.settings) if each.name.endswith("_requests")]
    select = view.sql.partition("VIEW requests AS")[2].rpartition("FROM (SELECT DISTINCT")[0]
    sql = f"{select} FROM (SELECT arrayJoin({{categories:Array(String)}}) AS category)"

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.lists(st.one_of(OPTION, WORD), max_size=8).map(" ".join), max_size=50))
    def check(categories: list[str]) -> None:
        assert len(db.rows(sql, {"categories": categories})) == len(categories)

    check()


CLASSES = [
    # what the lines say, class, nodes at least
    ({"granted_pe": "NONE", "slots": 4}, "sequential", 1),
    ({"granted_pe": "mpi", "slots": 1}, "sequential", 1),
    ({"granted_pe": "smp1", "slots": 64}, "single-node", 1),
    ({"granted_pe": "mpi", "slots": 16}, "parallel-unknown", 1),
    ({"granted_pe": "mpi", "slots": 17}, "multi-node", 2),
    ({"granted_pe": "mpi", "slots": 100}, "multi-node", 7),
]
LISTS = [
    ("node1,node2", "multi-node", 2),
    ("node1=4 node2=4;node3=1,node1", "multi-node", 3),
    ("node1", "single-node", 1),
    ("NONE", "parallel-unknown", 1),
]


def test_parallel_class_and_nodes(db: Warehouse, tmp_path: Path) -> None:
    lines = [line(job_number=n, **changes) for n, (changes, *_) in enumerate(CLASSES)]
    lines += [
        wide({74: hosts}, job_number=20 + n, granted_pe="mpi", slots=8)
        for n, (hosts, *_) in enumerate(LISTS)
    ]
    lines += [
        line(job_number=30, granted_pe="smp1", slots=4, pe_taskid=task, hostname=host)
        for task, host in [("NONE", "n1"), ("1.n2", "n2"), ("1.n3", "n3"), ("2.n3", "n3")]
    ]
    load(db, tmp_path, lines)
    found = db.rows("SELECT parallel_class, nodes FROM jobs ORDER BY job_number")
    expected = [tuple(rest) for _, *rest in (*CLASSES, *LISTS)]
    assert found == [*expected, ("multi-node", 3)]  # lines that name hosts outweigh the pattern


def test_lines_with_a_flag_can_be_left_out(db: Warehouse, tmp_path: Path) -> None:
    load(db, tmp_path, [
        line(job_number=1, cpu=50),
        line(job_number=2, cpu=100),                    # 100 s of wall time: reserved usage
        line(job_number=3, submission_time=1500000150, cpu=0),
        line(job_number=4, slots=0, maxvmem="inf", cpu=0),
    ])  # fmt: skip
    rows = {row["flag"]: row["jobs"] for row in ask(db, Question(("jobs",), ("flag",))).to_pylist()}
    assert rows == {
        "": 1, "reserved usage": 1, "clock skew": 1, "no wait time": 1, "slots missing": 1,
        "maxvmem missing": 1,
    }  # fmt: skip

    def jobs(*values: str, exclude: bool = False) -> int:
        asked = Question(("jobs",), filters=(Filter("flag", values, exclude),))
        return int(ask(db, asked).to_pylist()[0]["jobs"])

    assert jobs("clock skew", "slots missing") == 2
    assert jobs("clock skew", exclude=True) == 3
    assert jobs("") == 1
    assert jobs("", "clock skew") == 2
    assert jobs("", exclude=True) == 3
    assert jobs("no such flag") == 0


def test_efficiency_leaves_out_what_was_only_reserved(db: Warehouse, tmp_path: Path) -> None:
    load(db, tmp_path, [line(job_number=1, cpu=50), line(job_number=2, cpu=100)])
    assert ask(db, Question(("cpu_efficiency",))).to_pylist() == [{"cpu_efficiency": 50}]
    only = Question(("cpu_efficiency",), filters=(Filter("flag", ("reserved usage",)),))
    assert ask(db, only).to_pylist() == [{"cpu_efficiency": None}]
