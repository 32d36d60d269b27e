"""How lines are read: each treatment of the format's bad-line table, on bytes, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import NAMES, column, line, load_bytes, one, warehouse

GOOD = line(job_number=1)

REJECTED = {
    "too few fields": (b":".join(GOOD.split(b":")[:42]), "has 42 fields, needs at least 43"),
    "one word": (b"hello", "has 1 fields, needs at least 43"),
    "NUL inside": (GOOD.replace(b"ann", b"a\0n"), "a NUL byte in the line, at byte 19"),
    "comma decimal": (line(cpu="2,5"), "cpu is not a number: 2,5"),
    "text for a number": (line(slots="four"), "slots is not a number: four"),
    "empty number": (line(job_number=""), "job_number is not a number: "),
    "negative time": (line(end_time=-1), "end_time is negative: -1"),
    "negative cpu": (line(cpu=-2.5), "cpu is negative: -2.5"),
    "a job number with a fraction": (line(job_number=7.5), "job_number is not a whole number: 7.5"),
    "a number that no column holds": (line(slots=2**40), "slots is out of range: 1099511627776"),
    "nan where a whole number belongs": (line(slots="nan"), "slots is not a number: nan"),
    "a row of the reporting file": (
        b"1500000000:acct:" + GOOD,
        "a row of the reporting file, not of accounting",
    ),
    "longer than 1 MiB": (
        line(job_name="x" * 2**20),
        f"longer than 1 MiB: {len(line(job_name='')) + 2**20} bytes",
    ),
    "an extra colon": (line(job_name="a:b"), "job_number is not a number: b"),
    "torn and glued": (GOOD[:100] + GOOD, None),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_bad_line_is_rejected_with_its_bytes_and_the_others_are_not(
    database_url: str, tmp_path: Path, case: str
) -> None:
    bad, reason = REJECTED[case]
    content = GOOD + b"\n" + bad + b"\n" + line(job_number=2) + b"\n"
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting", content)
        assert (summary.lines, summary.records, summary.rejects, summary.ignored) == (3, 2, 1, 0)
        assert column(db, "SELECT job_number FROM records ORDER BY job_number") == [1, 2]
        found = db.rows("SELECT offset, hex(line), reason FROM rejects")
    assert found[0][:2] == (len(GOOD) + 1, bad.hex().upper())
    if reason is not None:
        assert found[0][2] == reason


def test_comments_and_empty_lines_are_ignored_and_counted(
    database_url: str, tmp_path: Path
) -> None:
    content = b"# Version: 8.1.9\n#\n\nx\n" + GOOD + b"\n\r\n"
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting", content)
        assert (summary.lines, summary.records, summary.rejects, summary.ignored) == (6, 1, 0, 5)


@pytest.mark.parametrize("layout", [43, 44, 45])
def test_layouts_without_the_last_fields(database_url: str, tmp_path: Path, layout: int) -> None:
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting", line(layout, arid=5) + b"\n")
        assert summary.records == 1
        found = db.rows("SELECT layout, maxvmem, arid, owner FROM records")
    assert found == [(layout, 1048576.0, 5 if layout > 43 else 0, "ann")]


@pytest.mark.parametrize("layout", [44, 48, 60, 80])
def test_an_unknown_layout_loads_its_core_fields_and_is_flagged(
    database_url: str, tmp_path: Path, layout: int
) -> None:
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", line(layout) + b"\n")
        assert column(db, "SELECT flags FROM records") == [["unknown layout"]]


FLAGGED = {
    "no wall time": line(start_time=0),
    "no wall time, start after end": line(start_time=1500000300),
    "no wait time": line(submission_time=1500000150),
    "clock": line(submission_time=1000, start_time=1100, end_time=1200),
    "clock, in the future": line(
        submission_time=4000000000, start_time=4000000001, end_time=4000000002
    ),
    "still running": line(exit_status=4294967295),
    "slots missing": line(slots=0),
    "maxvmem missing": line(maxvmem=1.8e19),
    "maxvmem missing, negative": line(maxvmem=-1),
    "cpu missing": line(cpu="nan"),
    "mem missing": line(mem="-nan"),
    "io missing": line(io="inf"),
    "iow missing": line(iow="nan"),
    "ru_wallclock missing": line(ru_wallclock="nan"),
    "ru_utime missing": line(ru_utime="nan"),
    "ru_stime missing": line(ru_stime="nan"),
    "ru_maxrss missing": line(ru_maxrss="nan"),
    "hole": b"\0" * 40 + line(),
}


@pytest.mark.parametrize("case", FLAGGED)
def test_what_is_unusual_is_flagged_and_the_line_counts(
    database_url: str, tmp_path: Path, case: str
) -> None:
    flag = case.split(",")[0]
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", FLAGGED[case] + b"\n")
        assert column(db, "SELECT flags FROM records") == [[flag]]
        if flag.endswith(" missing"):
            assert one(db, f"SELECT {flag.split()[0]} FROM records") is None


def test_every_field_is_read_back(database_url: str, tmp_path: Path) -> None:
    numbers = {name: index + 1 for index, name in enumerate(NAMES[17:31])}
    with warehouse(database_url) as db:
        load_bytes(
            db,
            tmp_path / "accounting",
            line(
                **numbers,
                priority=-5,
                account="acc",
                failed=100,
                exit_status=137,
                task_number=3,
                pe_taskid="1.node2",
                category="-l h_rt=600",
                project="p",
                granted_pe="mpi",
                arid=9,
                ar_submission_time=1400000000,
            )
            + b"\n",
        )
        names = ", ".join(f"`{name}`" for name in NAMES)
        row = dict(zip(NAMES, db.rows(f"SELECT {names} FROM records")[0], strict=True))
    assert {name: row[name] for name in numbers} == numbers
    texts = ["qname", "hostname", "group", "owner", "job_name", "account", "project", "department"]
    assert [row[name] for name in texts] == [
        *("all.q", "node1", "chem", "ann", "job", "acc", "p", "defaultdepartment")
    ]
    others = ["priority", "failed", "exit_status", "task_number", "pe_taskid", "category", "arid"]
    assert [row[name] for name in others] == [-5, 100, 137, 3, "1.node2", "-l h_rt=600", 9]
    measures = ["ru_wallclock", "ru_utime", "ru_stime", "ru_maxrss", "cpu", "mem", "io", "iow"]
    assert [row[name] for name in measures] == [100, 1.5, 0.5, 2048, 2.0, 0.25, 0.125, 0]
    times = ["submission_time", "start_time", "end_time", "ar_submission_time"]
    assert [int(row[name].timestamp()) for name in times] == [
        *(1500000000, 1500000100, 1500000200, 1400000000)
    ]


@pytest.mark.parametrize("scale", [1, 1000, 1000000])
def test_times_are_seconds_whatever_they_were_written_in(
    database_url: str, tmp_path: Path, scale: int
) -> None:
    times = {"submission_time": 1500000000, "start_time": 1500000100, "end_time": 1500000200}
    with warehouse(database_url) as db:
        content = line(**{name: value * scale for name, value in times.items()}) + b"\n"
        load_bytes(db, tmp_path / "accounting", content)
        found = db.rows("SELECT toUnixTimestamp(end_time), wall_seconds, wait_seconds FROM jobs")
    assert found == [(1500000200, 100, 100)]


def test_no_value_is_the_empty_string_and_an_empty_field_stays(
    database_url: str, tmp_path: Path
) -> None:
    with warehouse(database_url) as db:
        content = line(project="UNKNOWN", account="", granted_pe="(null)") + b"\n"
        load_bytes(db, tmp_path / "accounting", content)
        found = db.rows("SELECT project, account, granted_pe, category, pe_taskid FROM records")
    assert found == [("", "", "", "", "")]


def test_crlf_reads_as_lf_and_is_the_same_record(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "unix", b"# first\n" + GOOD + b"\n")
        load_bytes(
            db, tmp_path / "dos", b"# first\r\n" + GOOD + b"\r\n" + line(owner="bob") + b"\r\n"
        )
        assert column(db, "SELECT owner FROM records ORDER BY owner") == ["ann", "bob"]


def test_bytes_that_are_not_utf8_are_kept_and_shown(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", GOOD.replace(b"ann", b"a\xff\xe9") + b"\n")
        assert column(db, "SELECT hex(owner) FROM records") == ["61FFE9"]


def test_a_float_in_a_whole_column_is_taken_when_whole(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", line(slots="4.000000", ru_minflt="7.5") + b"\n")
        assert db.rows("SELECT slots, ru_minflt FROM records") == [(4, 7.5)]
