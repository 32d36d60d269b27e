"""The demo generator: equal arguments give equal bytes, and every line is one that SGE writes."""

from __future__ import annotations

import fnmatch
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pychart import demo
from pychart.demo import columns, writer
from pychart.demo.layouts import ERAS, JSON_90, NAMED
from pychart.demo.site import GROUPS, PES, SUBCLUSTERS

JOBS = 20_000
CHUNK_JOBS = 3_000
NUMBER = r"\d+"
MICROS = r"\d+\.\d{6}"
WHOLE = r"\d+\.000000"
LIMITS = r"-l (h_rt=\d+|h_vmem=\d+G|h_rt=\d+,h_vmem=\d+G)"
CATEGORY = (
    r"(NONE|(?=-)(-U [a-z]+_users ?)?(-q [a-z_]+\.q ?)?"
    rf"({LIMITS} ?)?(-pe [a-z_]+ \d+)?)(?<! )"
)
# accounting(5)'s 45 fields as SGE 8.1.9 writes them
FIELDS = [
    r"[a-z_]+\.q", r"[a-z]+\d\d", "[a-z]+", "[a-z]+", r"[\w.]+",
    NUMBER, "sge", r"-?\d+", NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER,
    MICROS, MICROS, WHOLE, "0", "0", "0", "0", NUMBER, NUMBER, "0", WHOLE, NUMBER,
    "0", "0", "0", NUMBER, NUMBER, r"\w+", "defaultdepartment", r"\w+", NUMBER, NUMBER,
    MICROS, MICROS, MICROS, CATEGORY, MICROS, r"NONE|\d+\.[a-z]+\d\d", WHOLE, "0", "0",
]  # fmt: skip
LINE = re.compile(":".join(f"(?:{field})" for field in FIELDS))


@dataclass(frozen=True)
class Line:
    qname: str
    hostname: str
    group: str
    owner: str
    job_number: int
    submission_time: int
    start_time: int
    end_time: int
    failed: int
    exit_status: int
    wallclock: int
    granted_pe: str
    slots: int
    task_number: int
    cpu: float
    maxvmem: int
    category: str
    pe_taskid: str
    raw: str

    @property
    def attempt(self) -> tuple[object, ...]:
        """What a task line shares with its master."""
        return (
            *(self.qname, self.group, self.owner, self.job_number, self.task_number),
            *(self.granted_pe, self.slots, self.category),
        )


def parse(raw: str) -> Line:
    field = raw.split(":")
    numbers = [int(field[position]) for position in (5, 8, 9, 10, 11, 12, 13)]
    return Line(
        *field[:4],
        *numbers,
        granted_pe=field[33],
        slots=int(field[34]),
        task_number=int(field[35]),
        cpu=float(field[36]),
        maxvmem=int(float(field[42])),
        category=field[39],
        pe_taskid=field[41],
        raw=raw,
    )


def read(path: Path) -> list[Line]:
    return [parse(raw) for raw in path.read_text().splitlines() if not raw.startswith("#")]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty thousand jobs in several chunks."""
    path = tmp_path_factory.mktemp("demo") / "accounting"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "CHUNK_JOBS", CHUNK_JOBS)
        demo.write_demo(path, JOBS, 3, 7)
    return path


@pytest.fixture(scope="module")
def lines(file: Path) -> list[Line]:
    return read(file)


@pytest.fixture(scope="module")
def masters(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.pe_taskid == "NONE"]


def local_years(lines: list[Line]) -> Counter[int]:
    zone = ZoneInfo(demo.DEMO_TIMEZONE)
    return Counter(datetime.fromtimestamp(line.submission_time, zone).year for line in lines)


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        demo.write_demo(tmp_path / name, 2000, 2, seed)
    one = (tmp_path / "one").read_bytes()
    assert one == (tmp_path / "again").read_bytes()
    assert one != (tmp_path / "other").read_bytes()


def test_header_is_that_of_the_live_cell(file: Path, sample: Path) -> None:
    assert file.read_bytes().split(b"\n")[:4] == sample.read_bytes().split(b"\n")[:4]


def test_every_line_has_the_notation_of_sge(lines: list[Line]) -> None:
    assert [line.raw for line in lines if not LINE.fullmatch(line.raw)] == []


def test_the_notation_is_that_of_the_live_cell(sample: Path) -> None:
    """The pattern of the test above, but for the names, accepts what the real qmaster wrote."""
    names = {0: r"[\w.]+", 1: r"\w+", 4: r"\w+", 41: r"NONE|\d+\.\w+"}
    pattern = ":".join(f"(?:{names.get(place, field)})" for place, field in enumerate(FIELDS))
    real = [raw for raw in sample.read_text().splitlines() if not raw.startswith("#")]
    assert [raw for raw in real if not re.fullmatch(pattern, raw)] == []


def test_times_are_in_order_and_before_the_end(lines: list[Line]) -> None:
    limit = demo.DEMO_END.timestamp()
    begin = demo.DEMO_END.replace(year=2023).timestamp()
    for line in lines:
        assert begin <= line.submission_time < limit
        if line.start_time:
            assert line.submission_time <= line.start_time <= line.end_time < limit
            assert line.wallclock == line.end_time - line.start_time
        else:
            assert (line.end_time, line.wallclock, line.cpu, line.maxvmem) == (0, 0, 0, 0)
            assert line.failed in (26, 28)


def test_lines_are_in_the_order_of_their_ends(lines: list[Line]) -> None:
    ends = [line.end_time for line in lines if line.end_time]
    assert ends == sorted(ends)


def test_failures_have_the_codes_of_sge(masters: list[Line]) -> None:
    codes = Counter((line.failed, line.exit_status) for line in masters)
    assert {(0, 0), (37, 137), (25, 99), (26, 0), (28, 0), (0, 1), (0, 139), (100, 137)} <= set(
        codes
    )
    assert 0.8 < codes[0, 0] / len(masters) < 0.97
    for line in masters:
        if line.failed == 37:
            h_rt = re.search(r"h_rt=(\d+)", line.category)
            assert h_rt
            assert 0 <= line.wallclock - int(h_rt[1]) <= 2


def test_task_lines_come_before_and_lie_within_their_master(lines: list[Line]) -> None:
    waiting: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        if line.pe_taskid != "NONE":
            waiting.setdefault(line.attempt, []).append(line)
            continue
        tasks = waiting.pop(line.attempt, [])
        hosts = [line.hostname, *(task.hostname for task in tasks)]
        assert len(hosts) == len(set(hosts))
        for task in tasks:
            assert line.start_time <= task.submission_time <= task.start_time
            assert task.end_time <= line.end_time
            assert task.pe_taskid.endswith(f".{task.hostname}")
    assert waiting == {}


def test_only_the_pes_without_summary_have_task_lines(lines: list[Line]) -> None:
    tasks = [line for line in lines if line.pe_taskid != "NONE"]
    assert {line.granted_pe for line in tasks} == {"mpi_rr", "mpi_fill"}
    assert 0.03 < len(tasks) / len(lines) < 0.3


def test_all_kinds_of_jobs_are_there(masters: list[Line]) -> None:
    pes = Counter(line.granted_pe for line in masters)
    assert set(pes) == set(PES)
    assert all((line.slots == 1) == (line.granted_pe == "NONE") for line in masters)
    assert all(
        line.category.endswith(f"-pe {line.granted_pe} {line.slots}") or line.granted_pe == "NONE"
        for line in masters
    )
    arrays = sum(line.task_number > 0 for line in masters)
    assert 0.3 < arrays / JOBS < 0.7
    assert 0.005 < sum(line.start_time == 0 for line in masters) / JOBS < 0.1


def test_array_tasks_count_from_one_within_one_submission(masters: list[Line]) -> None:
    arrays: dict[int, set[int]] = {}
    for line in masters:
        if line.task_number:
            arrays.setdefault(line.job_number, set()).add(line.task_number)
    assert all(tasks == set(range(1, len(tasks) + 1)) for tasks in arrays.values())
    assert max(map(len, arrays.values())) > 20


def test_a_requeued_job_has_another_attempt(masters: list[Line]) -> None:
    last = {(line.job_number, line.task_number): line for line in masters}
    requeued = [line for line in masters if (line.failed, line.exit_status) == (25, 99)]
    followed = [last[line.job_number, line.task_number] is not line for line in requeued]
    # a chain is cut where a chunk is full
    assert followed.count(False) <= JOBS / CHUNK_JOBS + 1
    assert followed.count(True) > 50


def test_lines_of_a_job_that_never_starts_repeat(masters: list[Line]) -> None:
    repeats = Counter(line.raw for line in masters if not line.start_time)
    assert max(repeats.values()) > 2
    started = [line.raw for line in masters if line.start_time]
    assert len(started) == len(set(started))


def test_job_numbers_grow_with_submission(masters: list[Line]) -> None:
    first = {line.job_number: line.submission_time for line in reversed(masters)}
    for line in masters:
        first[line.job_number] = min(first[line.job_number], line.submission_time)
    start = min(first.items(), key=lambda item: (item[1], item[0]))[0]
    order = sorted(first, key=lambda number: (number - start) % columns.LARGEST_JOB_NUMBER)
    times = [first[number] for number in order]
    assert times == sorted(times)


def test_job_numbers_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "LARGEST_JOB_NUMBER", 100)
    demo.write_demo(tmp_path / "a", 500, 1, 1)
    numbers = {line.job_number for line in read(tmp_path / "a")}
    assert min(numbers) >= 1
    assert max(numbers) == 100


def test_cpu_is_about_slots_times_wall(lines: list[Line]) -> None:
    ran = [line for line in lines if line.start_time]
    cpu = sum(line.cpu for line in ran)
    core_seconds = sum(line.wallclock * line.slots for line in ran if line.pe_taskid == "NONE")
    assert 0.5 < cpu / core_seconds < 1.0


def test_busy_hours_are_those_of_people(masters: list[Line]) -> None:
    zone = ZoneInfo(demo.DEMO_TIMEZONE)
    times = [datetime.fromtimestamp(line.submission_time, zone) for line in masters]
    hours = Counter(time.hour for time in times)
    days = Counter(time.weekday() for time in times)
    assert hours[15] > 4 * hours[4]
    assert days[1] > 2 * days[6]
    assert Counter(time.month for time in times)[10] > Counter(time.month for time in times)[8]


def test_bigger_jobs_wait_longer(masters: list[Line]) -> None:
    def median_wait(chosen: list[Line]) -> int:
        return sorted(line.start_time - line.submission_time for line in chosen)[len(chosen) // 2]

    single = [line for line in masters if line.start_time and not line.task_number]
    small = median_wait([line for line in single if line.slots == 1])
    assert median_wait([line for line in single if line.slots >= 64]) > 1.5 * small


def test_every_year_is_populated_and_people_come_and_go(masters: list[Line]) -> None:
    assert set(local_years(masters)) == {2023, 2024, 2025}
    middle = demo.DEMO_END.timestamp() - 1.5 * 365 * 86_400
    early = {line.owner for line in masters if line.submission_time < middle}
    late = {line.owner for line in masters if line.submission_time >= middle}
    assert early - late
    assert late - early
    assert len(early | late) > 150


def test_machines_are_retired_and_bought(masters: list[Line]) -> None:
    years = {
        queue: local_years([line for line in masters if line.qname == queue])
        for queue in ("haswell.q", "genoa.q")
    }
    assert years["haswell.q"][2025] == 0 < years["haswell.q"][2023]
    assert years["genoa.q"][2025] > years["genoa.q"][2023]


def test_the_site_describes_every_line(lines: list[Line]) -> None:
    for line in lines:
        names = [
            name
            for name, site in demo.DEMO_SUBCLUSTERS.items()
            if line.qname in site["queues"]
            and any(fnmatch.fnmatch(line.hostname, host) for host in site["hosts"])
        ]
        assert len(names) == 1
        single = demo.DEMO_PE_CLASSES.get(line.granted_pe) == "single-node"
        assert not single or line.slots <= demo.DEMO_LARGEST_NODE_CORES
    assert max(cluster.cores for cluster in SUBCLUSTERS) == demo.DEMO_LARGEST_NODE_CORES
    assert {line.group for line in lines} <= set(GROUPS)
    assert {g for meta in demo.DEMO_METAGROUPS.values() for g in meta["groups"]} <= set(GROUPS)


def test_summary_counts_the_file(tmp_path: Path) -> None:
    seen: list[int] = []
    summary = demo.write_demo(tmp_path / "a", 3000, 1, 3, progress=seen.append)
    lines = read(tmp_path / "a")
    ends = [line.end_time for line in lines if line.end_time]
    assert summary == demo.DemoSummary(
        jobs=sum(line.pe_taskid == "NONE" for line in lines),
        lines=len(lines),
        bytes=(tmp_path / "a").stat().st_size,
        first_end_time=datetime.fromtimestamp(min(ends), UTC),
        last_end_time=datetime.fromtimestamp(max(ends), UTC),
    )
    assert summary.jobs == 3000
    assert seen == [3000]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "accounting"
    path.write_text("old")

    def stop(jobs: int) -> None:
        assert path.read_text() == "old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.write_demo(path, 100, 1, 1, progress=stop)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["accounting"]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300), st.floats(0.0005, 12), st.integers(0, 2**40))
def test_small_requests_work(
    tmp_path_factory: pytest.TempPathFactory, jobs: int, years: float, seed: int
) -> None:
    path = tmp_path_factory.mktemp("small") / "a"
    end = datetime(2024, 2, 29, 12, tzinfo=UTC)
    demo.write_demo(path, jobs, years, seed, end)
    lines = read(path)
    begin = end - timedelta(days=366 * years + 2)
    assert sum(line.pe_taskid == "NONE" for line in lines) == jobs
    assert all(LINE.fullmatch(line.raw) for line in lines)
    assert all(begin.timestamp() <= line.submission_time for line in lines)
    assert all(line.end_time < end.timestamp() for line in lines)


@pytest.mark.parametrize(
    ("jobs", "years", "seed", "message"),
    [(0, 1, 1, "jobs: 0"), (1, 0, 1, "years: 0"), (1, 99, 1, "years: 99"), (1, 1, -1, "seed: -1")],
)
def test_bad_arguments_are_named(
    tmp_path: Path, jobs: int, years: float, seed: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        demo.write_demo(tmp_path / "a", jobs, years, seed)
    with pytest.raises(ValueError, match="no time zone"):
        demo.write_demo(tmp_path / "a", 1, 1, 1, datetime(2025, 1, 1))
    with pytest.raises(ValueError, match="layout: 47 is none of 43, 44, 45"):
        demo.write_demo(tmp_path / "a", 1, 1, 1, layout=47)


# accounting(5)'s fields after the 45th, as UGE writes them; any text but a colon where made up
LATER = [
    r"NONE|short\.default", r"NONE|[a-z]+@login[12]", NUMBER, NUMBER, "login[12]", r"/[^:]+",
    "qsub [^:]+", r"\d+\.\d{3}", NUMBER, "NONE|0,0", *[r"[^:]+"] * 18, r"[a-z]+\d\d(,[a-z]+\d\d)*",
]  # fmt: skip


def pattern_of(layout: int) -> re.Pattern[bytes]:
    """What a line of so many fields looks like."""
    fields = [*FIELDS, *LATER][:layout]
    if layout >= 52:
        fields[8:11] = [r"\d{13}", r"0|\d{13}", r"0|\d{13}"]
        fields[13] = r"\d+\.\d{3}"
        fields[39] = CATEGORY.replace(r"h_rt=\d+", r"h_rt=\d+\xff\d\d\xff\d\d")
    return re.compile(":".join(f"(?:{field})" for field in fields).encode("latin-1"))


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The same jobs in every layout, lines without comments."""
    folder = tmp_path_factory.mktemp("layouts")
    found = {}
    for name in NAMED:
        demo.write_demo(folder / name, 3000, 3, 7, layout=name)
        lines = (folder / name).read_bytes().removesuffix(b"\n").split(b"\n")
        found[name] = [line for line in lines if not line.startswith(b"#")]
    return found


@pytest.mark.parametrize("layout", [fields for fields in ERAS if fields < JSON_90])
def test_a_line_of_each_layout_has_its_fields(layouts: dict[str, list[bytes]], layout: int) -> None:
    pattern = pattern_of(layout)
    assert [line for line in layouts[str(layout)] if not pattern.fullmatch(line)] == []


def test_every_layout_has_the_same_jobs(layouts: dict[str, list[bytes]]) -> None:
    """In seconds they are the same lines up to the 43rd field, but for what UGE does not know."""
    same = {name: [line.split(b":")[:13] for line in layouts[name]] for name in layouts}
    assert same["43"] == same["44"] == same["45"] == same["46"]
    cut = [[*f[:8], *(time[:10] for time in f[8:11]), *f[11:]] for f in same["74"]]
    assert cut == same["45"]
    first = [line.split(b":")[:43] for line in layouts["45"]]
    assert [line.split(b":") for line in layouts["43"]] == first
    limited = [line.split(b":")[:43] for line in layouts["46"]]
    unlike = [old for old, new in zip(first, limited, strict=True) if old != new]
    assert {line[11] for line in unlike} == {b"37"}
    assert {line[13] for line in limited if line[11] == b"37"} == {b"0"}


def test_json_lines_have_the_same_jobs_and_leave_out_what_is_empty(
    layouts: dict[str, list[bytes]],
) -> None:
    usages = set()
    for line, old in zip(layouts["json"], layouts["45"], strict=True):
        record, field = json.loads(line), parse(old.decode())
        usage = record["usage"]
        used = usage.get("eusage") or usage["usage"]
        usages |= set(usage)
        assert record["job_number"] == field.job_number
        assert record["end_time"] // 10**6 == field.end_time
        assert record["submission_time"] // 10**6 == field.submission_time
        assert record.get("pe_taskid", "NONE") == field.pe_taskid
        assert record.get("granted_pe", "NONE") == field.granted_pe
        assert (record["owner"], record["slots"]) == (field.owner, field.slots)
        assert (used["cpu"], used["maxvmem"]) == (field.cpu, field.maxvmem)
        assert usage["rusage"]["ru_wallclock"] == field.wallclock
        assert "" not in [value for key, value in record.items() if key != "category"]
    assert usages == {"rusage", "usage", "eusage", "energy"}


def test_mixed_files_hold_every_layout(layouts: dict[str, list[bytes]]) -> None:
    def kinds(name: str) -> list[int]:
        return [
            JSON_90 if line.startswith(b"{") else line.count(b":") + 1 for line in layouts[name]
        ]

    assert list(dict.fromkeys(kinds("mixed"))) == list(ERAS[:-1])
    assert set(kinds("shuffled")) == set(ERAS[:-1])
    upgrades = sum(a != b for a, b in itertools.pairwise(kinds("mixed")))
    assert upgrades == len(ERAS) - 2


def test_qacct_reads_it_with_the_same_totals(
    file: Path, lines: list[Line], qacct: Callable[..., str]
) -> None:
    table = {row.split()[0]: row.split()[1:] for row in qacct(file, "-o").splitlines()[2:]}
    assert set(table) == {line.owner for line in lines}
    for owner, (wall, _, _, cpu, *_) in table.items():
        own = [line for line in lines if line.owner == owner]
        assert int(wall) == sum(line.wallclock for line in own)
        assert float(cpu) == pytest.approx(sum(line.cpu for line in own), abs=0.01)
