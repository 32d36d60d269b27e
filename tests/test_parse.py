"""How lines are read: each treatment of the format's bad-line table, on bytes, on both engines."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import FIELDS, NAMES, column, line, load_bytes, warehouse

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
    "a row of the reporting file in JSON": (
        b'{"time":1500000000000000,"type":"acct","job_number":7}',
        "a row of the reporting file, not of accounting",
    ),
    "half a JSON object": (b'{"job_number":7,', "begins like a JSON object but is none"),
    "a JSON object of something else": (b'{"name":"x"}', "job_number is not a number: "),
    "extra colons that fit in two ways": (
        line(account="5:x"),
        "priority is not a number: x (2 ways to put 1 of the colons within job_name, account or"
        " category fit)",
    ),
    "extra colons that fit in none": (
        line(project="a:b"),
        "slots is not a number: NONE (no way to put colons within job_name, account or"
        " category fits)",
    ),
    "a larger layout, or colons": (
        line(category="-l x=1:2:NONE:4:5:6"),
        "has 50 fields, or 45 and 5 of the colons within job_name, account or category",
    ),
    "a bad end that would fit fewer fields": (line(iow="2,5"), "iow is not a number: 2,5"),
    "a bad arid": (line(arid="-7"), "arid is negative: -7"),
    "a bad end of the line": (line(ar_submission_time=-7), "ar_submission_time is negative: -7"),
    "CRLF and a hole": (b"\0\0hello\r", "has 1 fields, needs at least 43"),
    "torn and glued": (GOOD[:100] + GOOD, None),
    "torn in its category and glued": (line(category="-l h_rt=6")[:-30] + GOOD, None),
}


def test_bad_lines_are_rejected_with_their_bytes_and_the_others_are_not(
    database_url: str, tmp_path: Path
) -> None:
    good = [line(job_number=number) for number in range(len(REJECTED))]
    bad = [content for content, _ in REJECTED.values()]
    lines = [each for pair in zip(good, bad, strict=True) for each in pair]
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting", b"\n".join(lines) + b"\n")
        assert (summary.lines, summary.records, summary.rejects) == (
            *(2 * len(bad), len(bad), len(bad)),
        )
        assert column(db, "SELECT job_number FROM records ORDER BY offset") == [*range(len(bad))]
        found = db.rows("SELECT offset, hex(line), reason FROM rejects ORDER BY offset")
    ends = list(itertools.accumulate(len(each) + 1 for each in lines))
    assert [row[0] for row in found] == ends[::2]
    for (case, (content, reason)), row in zip(REJECTED.items(), found, strict=True):
        assert row[1] == content.hex().upper(), case
        assert reason in (None, row[2]), case


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


COLONS: list[dict[str, str]] = [
    {"job_name": "a:b"},
    {"job_name": ":a::b:"},
    {"account": "a:b"},
    {"category": "-l cpu=24:00:00"},
    {"category": "-l cpu=24:00:00,h_rt=0:10:0"},
    {"category": "-l x=1:2:3:4:5:6"},
    {"job_name": "a:b", "account": "c:d:e", "category": "-l cpu=24:00:00"},
]


def test_colons_within_a_field_are_told_from_those_between(
    database_url: str, tmp_path: Path
) -> None:
    written = [
        (layout, {"job_name": "job", "account": "sge", "category": ""} | texts)
        for layout in (43, 45, 46)
        for texts in COLONS
    ]
    content = b"".join(line(layout, **texts) + b"\n" for layout, texts in written)
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", content)
        found = db.rows(
            "SELECT job_name, account, category, layout, cpu, flags FROM records ORDER BY offset"
        )
    assert found == [(*texts.values(), layout, 2.0, ["colons"]) for layout, texts in written]


def test_later_layouts_are_read_whole(database_url: str, tmp_path: Path) -> None:
    times = {
        "submission_time": 1500000000001,
        "start_time": 1500000100250,
        "end_time": 1500000200500,
    }
    later = (
        *("short.job", "NONE", 1048576, 524288, "login1", "/home/~ann", "qsub ~x 1"),
        *(100.25, 17, "0,1", "gpu=n1(0 1)", "NONE", 2, "NONE", *"_____", 41, *"_______"),
        *("h_rt=60", "n1=2,n2=2"),
    )
    core = line(**times, category="-l cpu=24~00").decode()
    content = "".join(
        ":".join([core, *map(str, later[: size - 45])]) + "\n" for size in (46, 52, 53, 54, 55, 74)
    )
    columns = (
        "layout, flags, category, submission_us, start_us, end_us, job_class, maxrss, maxpss,"
        " submit_host, cwd, submit_cmd, wallclock, ioops, bound_cores, gpus, hold_jid, granted_req,"
        " exec_host_list"
    )
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", content.encode().replace(b"~", b"\xff"))
        found = {row[0]: row[1:] for row in db.rows(f"SELECT {columns} FROM records")}
    read = ([], "-l cpu=24:00", 1000, 250000, 500000, "short.job")
    assert found[46] == (*read, *(None, None, "", "", "", None, None, "", "", "", "", ""))
    read += (1048576.0, 524288.0, "login1", "/home/:ann", "qsub :x 1")
    assert found[52] == (*read, None, None, "", "", "", "", "")
    assert found[53] == (*read, 100.25, None, "", "", "", "", "")
    assert found[54] == (*read, 100.25, 17.0, "", "", "", "", "")
    assert found[55] == (*read, 100.25, 17.0, "0,1", "", "", "", "")
    assert found[74] == (*read, 100.25, 17.0, "0,1", "2", "41", "h_rt=60", "n1=2,n2=2")


def json_line(usage: str = "usage", **changes: Any) -> bytes:
    """One line as Gridware's qmaster writes it: empty texts are left out."""
    fields = dict(zip(NAMES, FIELDS, strict=True))
    numbers = {name: fields.pop(name) for name in [n for n in NAMES if n.startswith("ru_")]}
    usages = {name: float(fields.pop(name)) for name in ("cpu", "mem", "io", "iow", "maxvmem")}
    content = {n: int(v) if v.lstrip("-").isdigit() else v for n, v in fields.items()} | changes
    content = {name: value for name, value in content.items() if value not in ("", "NONE")}
    content["usage"] = {
        "rusage": {name: float(value) for name, value in numbers.items()},
        usage: {"wallclock": 99.5, "maxrss": 4096.0, **usages},
        "extra": {"power": 3},
    }
    return json.dumps(content | {"qos": "high"}).encode()


@pytest.mark.parametrize("usage", ["usage", "eusage"])
def test_a_json_line_reads_like_the_others(database_url: str, tmp_path: Path, usage: str) -> None:
    times = {"start_time": 1500000100000001, "end_time": 1500000200500000}
    written = json_line(usage, job_name='a"b:c', submit_cmd_line="qsub -N x", **times)
    with warehouse(database_url) as db:
        load_bytes(
            db, tmp_path / "mixed", written + b"\n" + line(job_name="x", job_number=8) + b"\n"
        )
        row, other = db.rows(ALL + " ORDER BY job_number")
        extra = db.rows(
            "SELECT job_name, submit_cmd, wallclock, maxrss, start_us, end_us, layout, flags"
            " FROM records ORDER BY job_number LIMIT 1"
        )
    assert row[5:6] != other[5:6]
    assert row[:4] + row[6:9] + row[11:] == other[:4] + other[6:9] + other[11:]
    assert extra == [('a"b:c', "qsub -N x", 99.5, 4096.0, 1, 500000, 0, [])]


def test_layouts_are_mixed_in_one_file(database_url: str, tmp_path: Path) -> None:
    sizes = [43, 45, 46, 52, 53, 54, 55, 74]
    lines = [line(size, job_number=number) for number, size in enumerate(sizes, 1)]
    content = b"\n".join([*lines, json_line(job_number=9), *lines]) + b"\n"
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting", content)
        assert (summary.records, summary.rejects) == (17, 0)
        assert column(db, "SELECT layout FROM records ORDER BY job_number") == [*sizes, 0]


def test_an_unknown_layout_loads_its_core_fields_and_is_flagged(
    database_url: str, tmp_path: Path
) -> None:
    sizes = [44, 47, 48, 51, 56, 60, 73, 75, 149]
    content = b"".join(line(size, job_number=size) + b"\n" for size in sizes)
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", content)
        found = db.rows("SELECT job_number, layout, flags, cpu FROM records ORDER BY job_number")
    assert found == [(size, size, ["unknown layout"], 2.0) for size in sizes]


ALL = f"SELECT {', '.join(NAMES).replace('group', '`group`')} FROM records"
FLAGGED = {
    "no wall time": line(start_time=0),
    "no wall time, clock skew": line(start_time=1500000300),
    "no wall time, no end": line(end_time=0),
    "no wait time": line(submission_time=0),
    "no wait time, clock skew": line(submission_time=1500000150),
    "clock skew": line(submission_time=1000, start_time=1100, end_time=1200),
    "reserved usage": line(slots=4, cpu="400.000000"),
    "clock skew,": line(submission_time=4000000000, start_time=4000000001, end_time=4000000002),
    "still running": line(exit_status=4294967295),
    "slots missing": line(slots=0),
    "maxvmem missing": line(maxvmem=1.8e19),
    "maxvmem missing,": line(maxvmem=-1),
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


def test_what_is_unusual_is_flagged_and_the_line_counts(database_url: str, tmp_path: Path) -> None:
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", b"\n".join(FLAGGED.values()) + b"\n")
        found = [dict(zip(NAMES, row, strict=True)) for row in db.rows(ALL + " ORDER BY offset")]
        flags = column(db, "SELECT flags FROM records ORDER BY offset")
    for case, row, flagged in zip(FLAGGED, found, flags, strict=True):
        assert flagged == case.removesuffix(",").split(", ")
        measure, missing, _ = flagged[0].partition(" missing")
        assert not missing or row[measure] is None, case


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
