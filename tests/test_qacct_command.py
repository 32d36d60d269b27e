"""`pychart qacct` prints what qacct prints: recorded, live on demo data, on odd lines."""

from __future__ import annotations

import ctypes
import io
import math
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, QuestionError
from ingest.loader import load_file
from pychart.cli import app
from pychart.demo import write_demo
from pychart.qacct import command, jobs, totals
from pychart.qacct.options import Options, Tasks, parse, parse_time
from pychart.qacct.patterns import hex_regex, matches
from pychart.qacct.selection import select
from tests.helpers import CLUSTER, line, load_bytes, pychart, warehouse

# Output, complaints and exit status of the real qacct
Ask = Callable[..., tuple[str, str, int]]

# What the cell's own qacct answered, with the end of the name of the file that holds it
RECORDED = {options: options and f"_{options}".replace(" ", "_") for options in (
    "", "-D", "-P", "-P climate", "-g", "-g chimie", "-h", "-j 4", "-j 5 -t 2", "-j 9", "-o",
    "-o -g -q -h -slots -P", "-o alice", "-o bruno -q all.q", "-pe", "-pe mpi_rr", "-q", "-slots",
    "-slots 3",
)}  # fmt: skip

# Of the demo: each way to split, to limit, to choose jobs and times, alone and together.
DEMO = [
    "",
    "-o",
    "-g",
    "-q",
    "-h",
    "-P",
    "-D",
    "-pe",
    "-slots",
    "-A",
    "-o -g -q",
    "-o -h -slots 1 -P",
    "-pe NONE -D -o",
    "-q [a-g]*@*1 -A sge",
    "-b 202407010000 -e 202409302359.59 -o",
    "-E -b 2407010000 -d 30 -q",
    "-j gauss* -t 3-9:2",
    "-j -b 202401010000 -d 1",
    "-m -pe",
]

# Of lines that a cell can write but rarely does.
ODD = [
    "",
    "-h",
    "-h -q",
    "-h node1",
    "-h Node2.else.where",
    "-h UNKNOWN",
    "-h -A",
    "-q *@n*",
    "-q UNK*",
    "-q ???.q",
    "-q [!a]*",
    r"-q a\*b",
    "-q all.q -q q*@",
    "-q all.q@NODE1 -o",
    "-o",
    "-o éva",
    "-o nobody",
    "-u -g 0",
    "-o Zoe -o",
    "-A -slots",
    "-A -o",
    "-A sge -ar",
    "-ar 123456 -P",
    "-ar -slots -D",
    "-slots 0",
    "-slots x",
    "-slots 100000",
    "-slots 4 -o -pe",
    "-P NONE -pe none",
    "-D NONE -q",
    "-b 201707140241.40 -e 201707200000",
    "-e 201707140241.40",
    "-E -e 201707140241.40 -m",
    "-e 201708010000 -d 10 -g",
    "-b 201707200000 -d 3",
    "-d 5000 -P",
    "-d 0 -o",
    "-j",
    "-j -o",
    "-j 0",
    "-j 2",
    "-j 2x",
    "-j 7 -t 2-9:3",
    "-j 7 -t 9-2",
    "-j 7 -t 0",
    "-j job -o ann",
    "-j ?",
    "-j [[:upper:]]*",
    "-j *b",
    "-j 999",
    "-j nosuch",
    "-j 7 -t 100-200:3",
    "-j job -t 77",
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone in which the samples were printed."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def answer(db: Warehouse, *words: str, cluster: str | None = None) -> tuple[str, str, int]:
    """What is printed on standard output and standard error, and the exit status."""
    printed, complaints = io.BytesIO(), io.StringIO()
    with redirect_stderr(complaints):
        status = command.answer(db, cluster, parse(words), printed)
    return printed.getvalue().decode(), complaints.getvalue(), status


@pytest.fixture(scope="module")
def real(qacct: Callable[..., str]) -> Ask:
    """The same of the real qacct, which is asked once for both engines."""

    @cache
    def ask(path: Path, *words: str) -> tuple[str, str, int]:
        try:
            return qacct(path, *words), "", 0
        except subprocess.CalledProcessError as failed:
            return failed.stdout, failed.stderr, failed.returncode

    return ask


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than 100,000 lines of demo data."""
    path = tmp_path_factory.mktemp("demo") / "accounting"
    assert write_demo(path, jobs=95_000, years=2, seed=3).lines > 100_000
    return path


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd") / "accounting"
    path.write_bytes(odd_lines(2000, seed=1))
    return path


def odd_lines(count: int, seed: int, *, never_started: bool = True) -> bytes:
    draw = random.Random(seed)

    def size(digits: int) -> str:
        return f"{draw.random() * 10 ** draw.randrange(digits):.6f}"

    def one() -> bytes:
        start = draw.choice([1500000100, 1500000000 + draw.randrange(10**6)])
        start *= not never_started or draw.random() < 0.7
        return line(
            draw.choice([43, 44, 45, 45]),
            qname=draw.choice(["all.q", "UNKNOWN", "q" * 25, "a*b", "é.q"]),
            hostname=draw.choice(["node1", "NODE1", "node1.a.org", "Node2.b", "UNKNOWN", "a-b.c"]),
            group=draw.choice(["chem", "a b", "long_group_name"]),
            owner=draw.choice(["ann", "Zoe", "éva", "z|y", "o" * 20]),
            job_name=draw.choice(["job", "j*b", "Job-1", "a b", "é", "UNKNOWN", "[abc]"]),
            job_number=draw.choice([1, 2, 7, 3_000_000_000]),
            account=draw.choice(["sge", "acc1", "zzz", "A"]),
            priority=draw.choice([0, -5, 1024]),
            submission_time=draw.choice([0, 1499999000]),
            start_time=start,
            end_time=start and draw.choice([0, start + 100]),
            failed=draw.choice([*range(40), 44, 100]),
            exit_status=draw.choice([0, 1, 127, 128, 137, 160, 166, 265, 4294967295]),
            ru_wallclock=draw.choice(["0", "1", "100.7", "123456789"]),
            ru_utime=size(12),
            ru_stime=size(4),
            ru_maxrss=draw.choice(["0", "1023.99", "4560.000000", "5000000000"]),
            ru_ixrss=draw.choice([0, 5000]),
            ru_minflt=draw.choice([0, 7, 3_000_000_000]),
            ru_inblock=draw.choice(["64.000000", "0.9"]),
            project=draw.choice(["NONE", "climate", "p" * 22]),
            department=draw.choice(["defaultdepartment", "d", "NONE"]),
            granted_pe=draw.choice(["NONE", "mpi", "none", "very_long_pe_name"]),
            slots=draw.choice([0, 1, 4, 100_000, 4_000_000_000]),
            task_number=draw.choice([0, 1, 2, 5, 9]),
            cpu=size(13),
            mem=size(13),
            io=size(9),
            iow=size(2),
            category=draw.choice(["NONE", "-l h_rt=600 -pe mpi 4", "-q x"]),
            pe_taskid=draw.choice(["NONE", "NONE", "1.node1"]),
            maxvmem=draw.choice(["0.000000", "7675904.000000", "1e12"]),
            arid=draw.choice([0, 5, 123456]),
            ar_submission_time=draw.choice([0, 1500000000]),
        )

    return b"".join(one() + b"\n" for _ in range(count))


def test_the_sample_is_answered_as_its_own_cell_did(database_url: str, sample: Path) -> None:
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, sample)
        for options, name in RECORDED.items():
            expected = (sample.parent / f"qacct{name}.txt").read_text()
            assert answer(db, *options.split()) == (expected, "", 0), options


def test_demo_data_is_answered_as_by_qacct(database_url: str, demo: Path, real: Ask) -> None:
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, demo)
        for options in DEMO:
            assert answer(db, *options.split()) == real(demo, *options.split()), options


def test_odd_lines_are_answered_as_by_qacct(database_url: str, odd: Path, real: Ask) -> None:
    with warehouse(database_url) as db:
        assert load_file(db, CLUSTER, odd).rejects == 0
        for options in [*map(str.split, ODD), ["-g", "a b"], ["-j", "a b"], ["-o", ""]]:
            assert answer(db, *options) == real(odd, *options), options


def test_pieces_copies_and_overlaps_change_nothing(
    database_url: str, tmp_path: Path, real: Ask
) -> None:
    rows = odd_lines(1500, seed=2, never_started=False).splitlines(keepends=True)
    whole = tmp_path / "whole"
    whole.write_bytes(b"".join(rows))
    loads = {"old": rows[:700], "new": rows[700:], "copy": rows[700:], "overlap": rows[900:]}
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "old", b"".join(loads.pop("old")))
        for name, piece in loads.items():
            load_bytes(db, tmp_path / name, b"".join(piece))
            for options in ("-o -q", "-h -A", "-j 7"):
                expected = real(whole, *options.split())
                assert answer(db, *options.split()) == expected, (name, options)


def test_a_file_that_is_loaded_again_is_read_without_merging(
    database_url: str, tmp_path: Path, odd: Path, real: Ask
) -> None:
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, odd)
        load_file(db, CLUSTER, odd)
        assert select(db, None, Options(), 0.0).table == "accounting"
        assert answer(db, "-o") == real(odd, "-o")
        load_bytes(db, tmp_path / "more", line(owner="eve") + b"\n")
        assert select(db, None, Options(), 0.0).table == "accounting FINAL"
        assert "eve " in answer(db, "-o")[0]


def test_rows_that_no_ledger_knows_are_answered_too(database_url: str) -> None:
    with warehouse(database_url) as db:
        assert answer(db, "-o")[0].splitlines()[2:] == []
        assert answer(db, "-j", "7") == ("", "error: job id 7 not found\n", 1)
        sent = "INSERT INTO landing (cluster, file_id, offset, block) VALUES"
        db.command(f"{sent} ('x5', 'by hand', 0, '{line(owner='eve').decode()}\n')")
        assert answer(db, "-o")[0].splitlines()[2].startswith("eve ")
        assert answer(db, "-o", cluster="x5")[0].splitlines()[2].startswith("eve ")
        assert answer(db, "-j", "7")[2] == 0


def test_many_rows_are_added_without_errors(
    database_url: str, odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [row.split(b":") for row in odd.read_bytes().splitlines()]
    exact = math.fsum(float(row[36]) for row in fields)
    monkeypatch.setattr(totals, "ORDERED_ROWS", 0)
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, odd)
        cpu = float(answer(db)[0].split()[-4])
        assert cpu == pytest.approx(exact, rel=1e-15)  # in any order of the rows
        assert len(answer(db, "-h", "-A")[0].splitlines()) == 2 + 4 * 4


def test_many_jobs_are_printed_page_by_page(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = odd_lines(300, seed=3, never_started=False).splitlines(keepends=True)
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", b"".join(rows[:200]))
        load_bytes(db, tmp_path / "overlap", b"".join(rows[100:]))
        at_once = answer(db, "-j", "-q", "*")
        monkeypatch.setattr(jobs, "PAGE_ROWS", 20)
        assert answer(db, "-j", "-q", "*") == at_once
        assert at_once[0].count("jobnumber ") == 300


REQUESTS = {
    "h_rt=600": [1, 2],
    "h_rt=10:0": [1, 2],
    "h_rt=0:10:0": [1, 2],
    "h_vmem=2G": [1, 3],
    "h_vmem=2048M,h_rt=0:10:00": [1],
    "h_vmem=2000000000": [4],
    "arch=lx*": [2],
    "gpu": [3],
    "gpu=TRUE": [3],
    "rt=600": [],
}


def test_requests_are_those_of_the_category(database_url: str, tmp_path: Path) -> None:
    asked = (
        "-U a -l h_rt=600,h_vmem=2G -pe mpi 4",
        "-l arch=lx-amd64,h_rt=0:10:00",
        "-q a.q -l gpu=1,h_vmem=2048M",
        "-l h_vmem=2g",
        "NONE",
    )
    rows = [line(job_number=n, category=text) + b"\n" for n, text in enumerate(asked, 1)]
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", b"".join(rows))
        for request, numbers in REQUESTS.items():
            printed = answer(db, "-j", "-l", request)[0]
            found = [row.split()[1] for row in printed.splitlines() if row.startswith("jobnumber")]
            assert found == [str(number) for number in numbers], request


def test_several_clusters_need_a_name(database_url: str, tmp_path: Path) -> None:
    for name, owner in (("e5", "ann"), ("x5", "eve")):
        path = tmp_path / name
        path.write_bytes(line(owner=owner) + b"\n")
        with warehouse(database_url) as db:
            load_file(db, name, path)
    with warehouse(database_url) as db:
        with pytest.raises(ConfigError, match="which one of e5, x5"):
            answer(db, "-o")
        with pytest.raises(ConfigError, match="'y' is not in the database, which has e5, x5"):
            answer(db, "-o", cluster="y")
        assert answer(db, "-o", cluster="x5")[0].splitlines()[2].startswith("eve ")


def test_the_command_in_another_zone(
    database_url: str, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pychart("--database", database_url, "load", sample).returncode == 0
    monkeypatch.setenv("TZ", "America/New_York")
    done = pychart("--database", database_url, "qacct", "-j", "4")
    assert b"\nqsub_time    Sun Nov 22 03:01:17 2026\n" in done.stdout
    # -b in that zone: 3:01:17 there is 8:01:17 in UTC
    done = pychart("--database", database_url, "qacct", *"-j mpi -b 202611220301.17 -e".split(),
                   "202611220301.17")  # fmt: skip
    assert done.stdout.count(b"Sun Nov 22 03:01:17 2026\nend_time") == 2
    done = pychart("--database", database_url, "qacct", "-j", "999", "--cluster", "default")
    assert (done.returncode, done.stderr) == (1, b"error: job id 999 not found\n")


def test_the_command_loads_nothing_that_it_does_not_need(tmp_path: Path, sample: Path) -> None:
    url = f"chdb://{tmp_path}/db"
    pychart("--database", url, "load", sample)
    script = (
        "import sys; from pychart.cli import main; sys.argv[1:] = sys.argv[1:]\n"
        "try: main()\n"
        "finally: print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--database", url, "qacct", "-o"],
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"OWNER")
    loaded = set(done.stderr.decode().split())
    assert "chdb" in loaded
    assert not loaded & {"pandas", "streamlit", "altair", "rich", "ingest", "streamlit_app"}


USAGE = {
    "-x": "unknown option '-x'",
    "accounting": "unknown option 'accounting'",
    "-f accounting": "-f: the warehouse answers, not a file",
    "-d": "-d needs a value",
    "-d soon": "-d takes a number of days, not 'soon'",
    "-b 2018": "-b takes [[CC]YY]MMDDhhmm[.SS], not '2018'",
    "-e 201813010000": "-e 201813010000: no such date",
    "-b 190001010000": "before 1970",
    "-t 2": "-t requires -j with a job",
    "-j -t 2": "-t requires -j with a job",
    "-j 5 -t 2-": "-t takes one range of tasks, n[-m[:step]], not '2-'",
    "-j 5 -t 1-9:0": "-t takes one range of tasks",
    "-ar soon": "-ar takes a number, not 'soon'",
    "-q all.q@@gpu": "-q all.q@@gpu: no accounting says what is in a host group",
    "-l =3": "-l takes attr=value,…, not '=3'",
}


@pytest.mark.parametrize("options", USAGE)
def test_a_wrong_option_is_named(options: str) -> None:
    with pytest.raises(QuestionError) as error:
        parse(options.split())
    assert USAGE[options] in str(error.value)


def test_options_of_one_dash_arrive_as_they_are() -> None:
    words = "-h -pe mpi -d -3 -slots -o bruno -E -m -q *@a -j -t 1-9:2 -ar -b 1".split()
    group = typer.main.get_command(app)
    context = group.commands["qacct"].make_context("qacct", [*words, "--cluster", "e5"])  # type: ignore[attr-defined]
    assert context.params == {"options": words, "cluster": "e5"}


def test_a_wrong_call_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = pychart("--database", f"chdb://{tmp_path}/db", "qacct", "-o", "-x")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"pychart: qacct: unknown option '-x'")
    assert done.stderr.count(b"\n") == 1


def test_help_needs_no_database(tmp_path: Path) -> None:
    done = pychart("--database", f"chdb://{tmp_path}/db", "qacct", "-o", "-help", "-x")
    assert (done.returncode, done.stderr) == (0, b"")
    for option in "-ar -A -b -d -D -e -E -g -h -j -l -m -o -u -pe -P -q -slots -t".split():
        assert re.search(rf"[ ,\n]{option} ", done.stdout.decode()), option


def test_times_and_tasks_are_read_as_qacct_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_time("-b", "201707140240") == 1500000000
    assert parse_time("-b", "1707140240.05") == 1500000005
    assert parse_time("-b", "7007140240") == 16_771_200
    assert parse_time("-b", "6907140240.") == parse_time("-b", "206907140240")
    monkeypatch.setattr(time, "localtime", lambda: time.gmtime(1500000000))
    assert parse_time("-b", "07140240") == 1500000000
    assert parse(["-j", "7", "-t", "9-2:3"]).tasks == Tasks(2, 9, 3)
    assert parse(["-j", "7", "-t", "0-5"]).tasks is None


@given(
    st.text("ab-]^!*?[\\c:", max_size=8).map(str.encode),
    st.text("abc-]^!*?[\\", max_size=6).map(str.encode),
)
def test_patterns_match_as_in_c(pattern: bytes, text: bytes) -> None:
    if re.search(rb"\[[!^]?\]?[^]]*-$", pattern):
        return  # C gives up at a range that the end of the pattern cuts off
    expected = ctypes.CDLL(None).fnmatch(pattern, text, 0) == 0
    assert matches(hex_regex(pattern), text) == expected
