"""What must hold of any line, on both engines; `fuzz/` tries the same for as long as one likes."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse.connection import Warehouse
from fuzz.__main__ import RECIPES, learn
from fuzz.landing import faults, land, landed, lines_of
from fuzz.lines import ODDITIES, WORDS, Recipe, cook, damaged, sound_lines, with_colons
from ingest.loader import load_file
from pychart.explain import FIELDS, LATER_FIELDS, PARTS
from tests import server as servers
from tests.helpers import line, warehouse

JOBS = 120
# a text is inserted as a whole: few examples of many lines each
few = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module", params=["chdb", "server"])
def db(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """One database for all properties: each text is a cluster of its own."""
    if request.param == "chdb":
        with warehouse(f"chdb://{tmp_path_factory.mktemp('properties')}/db") as opened:
            yield opened
        return
    running: servers.RunningServer = request.getfixturevalue("server")
    name = f"pychart_test_{os.getpid()}_properties"
    with warehouse(running.url(name)) as opened:
        yield opened
    running.query(f"DROP DATABASE IF EXISTS {name} SYNC")


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Lines of demo jobs, each in another layout."""
    return sound_lines(3, JOBS)


@pytest.fixture(scope="module")
def sound(db: Warehouse, lines: list[bytes]) -> dict[bytes, str]:
    """How each of these lines reads by itself."""
    return learn(db, lines)


PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", *WORDS, *ODDITIES]),
    st.sampled_from([line(job_number=number) for number in range(9)]),
)


def test_any_bytes_are_records_rejects_and_ignored_lines(db: Warehouse) -> None:
    @few
    @given(st.lists(PIECES, max_size=120), st.sampled_from([1, 100, 2**19]))
    def check(pieces: list[bytes], row_bytes: int) -> None:
        text = b"".join(pieces)
        assert faults(text, land(db, text, row_bytes=row_bytes), {}) == []

    check()


def test_damage_stays_within_its_line(db: Warehouse, sound: dict[bytes, str]) -> None:
    """Flips, cuts, noise, NULs, huge lines: every sound line beside them reads as it does alone."""

    @few
    @given(st.lists(RECIPES, min_size=10, max_size=20), st.booleans())
    def check(recipes: list[Recipe], ended: bool) -> None:
        text = cook(recipes, list(sound), ended=ended)
        assert faults(text, land(db, text), sound) == []

    check()


def test_damage_to_every_other_line(db: Warehouse, sound: dict[bytes, str]) -> None:
    @few
    @given(seeds)
    def check(seed: int) -> None:
        luck = random.Random(seed)
        text = b"".join(damaged(each, luck) + b"\n" + each + b"\n" for each in sound)
        found = land(db, text)
        assert faults(text, found, sound) == []
        assert len(found.rejects) > len(sound) / 10

    check()


def test_a_file_that_grows_gives_the_rows_that_it_gives_at_once(
    db: Warehouse, lines: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("grown")

    @settings(few, max_examples=3)
    @given(st.lists(RECIPES, min_size=1, max_size=4), st.lists(seeds, min_size=1, max_size=3))
    def check(recipes: list[Recipe], cuts: list[int]) -> None:
        name = f"grown{len(list(folder.iterdir()))}"
        first = line(owner=name, job_name=db.settings.database) + b"\n"
        text = first + cook(recipes, lines, ended=True)
        edges = sorted({0, *(cut % len(text) for cut in cuts), len(text)})
        with (folder / name).open("ab", buffering=0) as file:
            for start, end in zip(edges, edges[1:], strict=False):
                file.write(text[start:end])
                load_file(db, name, folder / name)
        grown = landed(db, name)
        whole = land(db, text)
        assert (grown.records, grown.rejects) == (whole.records, whole.rejects)
        assert faults(text, grown, {}) == []

    check()


TIMES = ("submission_time", "start_time", "end_time", "ar_submission_time")
COLUMNS = [*FIELDS, *LATER_FIELDS.values(), *PARTS.values(), "layout"]
MAYBE = ("maxrss", "maxpss", "wallclock", "ioops")
WHOLE = ("job_number", "priority", "failed", "exit_status", "slots", "task_number", "arid")
MEASURES = ("cpu", "mem", "io", "iow", "maxvmem")


def test_what_the_demo_writes_reads_back_equal(db: Warehouse) -> None:
    """Every field of every layout, microseconds included, against a reader of its own."""
    written = sound_lines(1, 500)
    text = b"".join(each + b"\n" for each in written)
    found = land(db, text)
    names = (f"toUnixTimestamp({name})" if name in TIMES else f"`{name}`" for name in COLUMNS)
    rows = db.rows(
        f"SELECT offset, {', '.join(names)} FROM records WHERE cluster = {{cluster:String}}",
        {"cluster": found.cluster},
    )
    lines = lines_of(text)
    layouts = set()
    for offset, *values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        assert row == reading_of(lines[offset]), lines[offset]
        layouts.add(row["layout"])
    assert layouts == {0, 43, 44, 45, 46, 52, 53, 54, 55, 74}
    assert (len(rows), found.rejects) == (len(set(written)), {})


def reading_of(text: bytes) -> dict[str, Any]:
    """What a line says, taken from it with nothing of the parser's."""
    given = json_fields(text) if text.startswith(b"{") else plain_fields(text)
    expected: dict[str, Any] = {}
    for name in COLUMNS:
        word = given.get(name, "")
        if name in TIMES:
            expected[name] = exact(word) // 10**6
        elif name in MAYBE:
            expected[name] = float(word) if word else None
        elif name in WHOLE or name in MEASURES or name.startswith("ru_"):
            expected[name] = float(word or 0)
        else:
            expected[name] = "" if word in ("NONE", "UNKNOWN", "(null)") else word
    for name, part in PARTS.items():
        expected[part] = exact(given[name]) % 10**6
    expected["layout"] = 0 if text.startswith(b"{") else text.count(b":") + 1
    return expected


def plain_fields(text: bytes) -> dict[str, str]:
    names = dict(enumerate(FIELDS, start=1)) | LATER_FIELDS
    words = [word.replace(b"\xff", b":").decode() for word in text.split(b":")]
    return {names.get(at, f"field {at}"): word for at, word in enumerate(words, start=1)}


def json_fields(text: bytes) -> dict[str, str]:
    record = json.loads(text, parse_float=str, parse_int=str)
    usage = record.pop("usage")
    merged = record | usage["rusage"] | usage.get("usage", {}) | usage.get("eusage", {})
    return merged | {"submit_cmd": merged["submit_cmd_line"]}


def exact(time: str) -> int:
    """Microseconds since 1970 of a time in s, ms or µs."""
    return int(time or 0) * {10: 10**6, 13: 10**3}.get(len(time), 1)


def test_a_colon_within_a_field_is_put_back_or_the_line_is_rejected(
    db: Warehouse, lines: list[bytes]
) -> None:
    """Never read as another job, another account, other usage."""
    plain = [each for each in lines if not each.startswith(b"{")]
    accepted = rejected = 0

    @few
    @given(seeds)
    def check(seed: int) -> None:
        nonlocal accepted, rejected
        # at the same places, a character that takes no field apart
        marked, written = (
            [with_colons(each, random.Random(seed + at), colon) for at, each in enumerate(plain)]
            for colon in (b"\x01", b":")
        )
        expected, found = fields_of(db, marked), fields_of(db, written)
        for place, text in enumerate(written):
            assert found[place] in (None, expected[place]), text
        rejected += found.count(None)
        accepted += len(found) - found.count(None)

    check()
    assert accepted > 20 * rejected


def fields_of(db: Warehouse, written: list[bytes]) -> list[list[str] | None]:
    """Read each line's fields as text, None where it is rejected; what marks a colon is one."""
    text = b"".join(each + b"\n" for each in written)
    found = land(db, text)
    names = ", ".join(f"replaceAll(toString(`{name}`), '\\x01', ':')" for name in COLUMNS)
    rows = db.rows(
        f"SELECT offset, [{names}] FROM records WHERE cluster = {{cluster:String}}",
        {"cluster": found.cluster},
    )
    read = {int(offset): list(fields) for offset, fields in rows}
    return [read.get(offset) for offset in lines_of(text)]
