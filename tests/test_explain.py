"""How a line is explained: what is shown is what the parser did, on every layout and reject."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clickhouse import codes
from clickhouse.errors import SourceError
from clickhouse.settings import ClusterSettings, Settings
from pychart import demo
from pychart.demo.layouts import NAMED
from pychart.explain import (
    FIELDS,
    FLAGS,
    LATER_FIELDS,
    LAYOUTS,
    Explainer,
    Line,
    Reading,
    described,
    find_line,
    parse_place,
    print_explained,
)
from tests.helpers import NAMES, line, pychart
from tests.test_parse import FLAGGED, GOOD, REJECTED

ROOT = Path(__file__).parent.parent
Read = Callable[..., Reading]


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """One throw-away database for all lines; each has an offset, and so a row, of its own."""
    settings = Settings(
        database="chdb:///nowhere/never",
        clusters={"c1": ClusterSettings(pe_classes={"smp*": "single-node"}, largest_node=16)},
    )
    offsets = itertools.count(0, 10**7)
    with Explainer(settings, "c1") as explainer:
        yield lambda data, **how: explainer.read(Line("f", next(offsets), data, **how))
    assert not Path("/nowhere").exists()


def text(data: bytes, reading: Reading) -> str:
    return "\n".join(described(Line("f", 0, data), reading))


def test_the_names_are_those_of_the_view() -> None:
    assert list(FIELDS)[: len(NAMES)] == NAMES
    view = (ROOT / "clickhouse" / "views" / "0001_records.sql").read_text()
    columns = set(re.findall(r"\w+", view))
    assert set(FIELDS) | set(LATER_FIELDS.values()) <= columns
    assert set(filter(None, codes.FLAGS)) == set(filter(None, FLAGS))
    examine = "".join(path.read_text() for path in (ROOT / "clickhouse" / "parser").glob("*.sql"))
    known = re.search(r"NOT has\(\[([\d, ]+)\], lines\.layout", examine)
    assert known
    assert set(LAYOUTS) - {44} == {int(number) for number in known[1].split(",")}


@pytest.mark.parametrize("layout", NAMED)
def test_every_layout_is_explained(read: Read, tmp_path: Path, layout: str) -> None:
    """Beside each raw value its column: equal where it is a text, in words where it is a time."""
    demo.write_demo(tmp_path / "f", 20, 1, 5, layout=layout)
    data = find_line(tmp_path / "f", 2000).data
    reading = read(data)
    assert (reading.reason, bool(reading.meaning)) == ("", True)
    fields = data.split(b":")
    assert reading.layout == (0 if data.startswith(b"{") else len(fields))
    shown = text(data, reading)
    assert LAYOUTS[reading.layout] in shown
    if reading.layout:
        assert [field.raw for field in reading.fields] == fields
    for field in reading.fields:
        if field.name in ("qname", "owner", "job_name", "job_number", "slots"):
            assert field.raw.decode() == field.stored
        if field.name == "category":
            stored = field.raw.replace(b"\xff", b":").replace(b"NONE", b"").decode()
            assert field.stored == stored
    assert re.search(r"end_time +\d+ +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})? +UTC", shown)
    assert re.search(r"wall_seconds +\d+", shown)


@pytest.mark.parametrize("case", REJECTED)
def test_a_reject_is_explained_with_its_reason(read: Read, case: str) -> None:
    data, reason = REJECTED[case]
    reading = read(data)
    assert reading.reason
    assert reason is None or reading.reason == reason
    shown = text(data, reading)
    assert f"Rejected: {reading.reason}" in shown
    assert "As a job" not in shown
    assert "stored" not in shown.split("\n")[4]
    assert max(map(len, shown.split("\n"))) < 500


def test_a_torn_line_is_told_from_one_that_waits(read: Read) -> None:
    torn = read(GOOD[:-1], torn=True)
    assert torn.reason == "the file ends within this line"
    waiting = Line("f", 0, GOOD, waits=True)
    assert "No newline yet" in "\n".join(described(waiting, read(GOOD)))


@pytest.mark.parametrize("case", FLAGGED)
def test_flags_are_explained(read: Read, case: str) -> None:
    reading = read(FLAGGED[case].replace(b":7:", b":%d:" % (10**6 + len(case))))
    flag = case.split(",")[0]
    assert flag in reading.flags
    assert f"Flag {flag}: {FLAGS[flag]}" in text(b"", reading)


def test_colons_within_a_field_are_put_back_and_what_was_tried_is_said(read: Read) -> None:
    found = read(line(job_name="a:b", category="-l cpu=24:00:00", job_number=77))
    stored = {field.name: field.stored for field in found.fields}
    assert found.flags == ["colons"]
    assert (stored["job_name"], stored["category"]) == ("a:b", "-l cpu=24:00:00")
    lost = read(line(job_name="a:b", slots="many", job_number=78))
    assert "Tried: as it stands, then colons within" in text(b"", lost)
    assert "1 of them (45 fields); 2 of them (44 fields); 3 of them" in text(b"", lost)


def test_meaning_follows_the_settings_of_the_cluster(read: Read) -> None:
    single = read(line(granted_pe="smp8", slots=8, job_number=79))
    several = read(line(granted_pe="mpi", slots=32, job_number=80))
    unknown = read(line(granted_pe="mpi", slots=8, job_number=81))
    found = [reading.meaning["parallel_class"] for reading in (single, several, unknown)]
    assert found == ["single-node", "multi-node", "parallel-unknown"]
    task = read(line(pe_taskid="1.node2", granted_pe="mpi", slots=8, job_number=82))
    assert "The line of a task" in text(b"", task)


def test_bytes_that_no_terminal_should_see_are_escaped(read: Read) -> None:
    shown = text(b"", read(line(job_name="\x1b[2J\t").replace(b"ann", b"a\xff\xe9")))
    assert "\\x1b[2J\\t" in shown
    assert "a\\xff\\xe9" in shown
    assert "\x1b" not in shown


@pytest.fixture(params=["plain", "gzip"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two comments, three lines, an empty one, a fourth without its end."""
    lines = [line(job_number=number) for number in (1, 2, 3)]
    content = b"# one\n#\n" + b"\n".join(lines) + b"\n\n" + GOOD[:50]
    path = tmp_path / "accounting"
    path.write_bytes(content if request.param == "plain" else gzip.compress(content))
    return path


def test_any_byte_of_a_line_leads_to_it(file: Path) -> None:
    size = len(GOOD) + 1
    first, second, last = 8, 8 + size, 8 + 3 * size
    places = {None: first, 8: first, 7 + size: first, second: second, second + 99: second}
    for offset, start in places.items():
        found = find_line(file, offset)
        assert (found.offset, len(found.data)) == (start, size - 1)
        assert not (found.waits or found.torn)
    assert find_line(file, 0).data == b"# one"
    assert find_line(file, last).data == b""
    ending = find_line(file, last + 50)
    assert (ending.offset, ending.data) == (last + 1, GOOD[:50])
    compressed = file.read_bytes().startswith(b"\x1f\x8b")
    assert (ending.waits, ending.torn) == (not compressed, compressed)
    with pytest.raises(SourceError, match=f"no byte {last + 51}: it ends after {last + 51} bytes"):
        find_line(file, last + 51)


def test_a_line_longer_than_what_is_searched_at_once(tmp_path: Path) -> None:
    path = tmp_path / "accounting"
    path.write_bytes(b"x\n" + b"y" * 300_000 + b"\nz\n")
    assert (find_line(path, 250_000).offset, find_line(path, 300_003).offset) == (2, 300_003)


def test_a_colon_in_a_file_name_is_no_offset(tmp_path: Path) -> None:
    whole = tmp_path / "accounting:12"
    whole.write_bytes(GOOD + b"\n")
    assert parse_place(f"{whole}") == (whole, None)
    assert parse_place(f"{whole}:34") == (whole, 34)
    assert parse_place("f:x") == (Path("f:x"), None)
    assert parse_place("f:²") == (Path("f:²"), None)


def test_what_is_ignored_needs_no_database(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end = 7 + 3 * (len(GOOD) + 1) + 1
    for offset, what in ((0, "a comment"), (end, "empty, or one character")):
        print_explained(Settings(), "c1", f"{file}:{offset}")
        expected = f"{file}: byte {offset}: {what}: ignored, counted, no record\n"
        assert capsys.readouterr().out == expected


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "a:b"
    path.write_bytes(b"# c\n" + GOOD + b"\n" + line(slots="x") + b"\n")
    never = f"chdb://{tmp_path}/never"
    done = pychart("--database", never, "explain", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith(f"{path}: byte 4: {len(GOOD)} bytes\nLayout: 45 fields")
    done = pychart("--database", never, "explain", f"{path}:{len(GOOD) + 50}")
    assert (done.returncode, b"slots is not a number: x" in done.stdout) == (0, True)
    done = pychart("--database", never, "explain", "-", stdin=GOOD)
    assert b"standard input: byte 0" in done.stdout
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("missing", "missing: No such file or directory"),
        (".", "is a directory; name the accounting file in it"),
        ("a:abc", "a:abc: 'abc' is no byte of a file"),
        ("a:9999", "a: no byte 9999: it ends after 4 bytes, decompressed"),
        ("a", "a: nothing but comments and empty lines"),
    ],
)
def test_what_cannot_be_explained_is_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "a").write_bytes(b"# c\n")
    done = pychart("explain", tmp_path / name)
    error = done.stderr.decode()
    assert (done.returncode, done.stdout, error.count("\n")) == (1, b"", 1)
    assert error.startswith("pychart: ")
    assert complaint in error
