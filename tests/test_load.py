"""Loading: identity, resuming, compression, what is counted, and what is refused."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, SourceError, WarehouseError
from ingest import batch, landing, loader
from ingest.loader import load_file
from tests.helpers import CLUSTER, column, line, load_bytes, one, warehouse

TOTALS = "SELECT count(), sum(cpu), sum(ru_wallclock), sum(mem) FROM records"


def test_the_sample_loads_whole(database_url: str, sample: Path) -> None:
    with warehouse(database_url) as db:
        summary = load_file(db, CLUSTER, sample)
        counts = (summary.lines, summary.records, summary.rejects, summary.ignored)
        assert counts == (227, 223, 0, 4)
        masters = [row for row in sample.read_text().splitlines() if row.count(":") == 44]
        expected = sum(row.split(":")[41] == "NONE" for row in masters)
        assert one(db, "SELECT count() FROM jobs") == expected == 188
        ledger = db.rows("SELECT start_offset, end_offset, lines, records FROM ledger")
        assert ledger == [(0, sample.stat().st_size, 227, 223)]


def test_loading_again_a_copy_a_rename_or_its_gzip_adds_nothing(
    database_url: str, sample: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(sample, tmp_path / "accounting"))
    packed = tmp_path / "accounting.gz"
    packed.write_bytes(gzip.compress(sample.read_bytes()))
    smaller = tmp_path / "accounting.zst"
    smaller.write_bytes(zstd.compress(sample.read_bytes()))
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, sample)
        before = db.rows(TOTALS)
        for path in (sample, copy, packed, smaller):
            assert load_file(db, CLUSTER, path).lines == 0
        renamed = copy.rename(tmp_path / "accounting.0")
        assert load_file(db, CLUSTER, renamed).lines == 0
        assert db.rows(TOTALS) == before
        assert one(db, "SELECT count() FROM sources") == 1


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_compressed_file_loads_like_the_plain_one(
    database_url: str, sample: Path, tmp_path: Path, pack: object
) -> None:
    packed = tmp_path / "accounting.packed"
    packed.write_bytes(pack(sample.read_bytes()))  # type: ignore[operator]
    with warehouse(database_url) as db:
        assert load_file(db, CLUSTER, packed).records == 223
        assert load_file(db, CLUSTER, sample).lines == 0


def test_a_file_merged_of_others_adds_only_what_is_new(
    database_url: str, sample: Path, tmp_path: Path
) -> None:
    started = [
        row for row in sample.read_bytes().splitlines(True) if row.split(b":")[9:10] != [b"0"]
    ]
    merged = line(job_number=99) + b"\n" + b"".join(reversed(started))
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", b"".join(started))
        load_bytes(db, tmp_path / "merged", merged)
        assert one(db, "SELECT count() FROM records") == 212 + 1
        stored = one(db, "SELECT count() FROM accounting")
        assert stored == 212 + 1  # the copies were merged away, not only hidden


def test_what_is_appended_is_loaded_and_a_half_written_line_waits(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "accounting"
    first, second = line(job_number=1) + b"\n", line(job_number=2) + b"\n"
    with warehouse(database_url) as db:
        summary = load_bytes(db, path, first + second[:100])
        assert (summary.records, summary.waiting) == (1, 100)
        summary = load_bytes(db, path, first + second)
        assert (summary.start, summary.records, summary.waiting) == (len(first), 1, 0)
        assert column(db, "SELECT job_number FROM records ORDER BY 1") == [1, 2]


def test_a_line_that_a_finished_file_ends_within_is_rejected(
    database_url: str, tmp_path: Path
) -> None:
    content = line(job_number=1) + b"\n" + line(job_number=2)
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting.gz", gzip.compress(content))
        assert (summary.lines, summary.records, summary.rejects) == (2, 1, 1)
        assert column(db, "SELECT reason FROM rejects") == ["the file ends within this line"]


def test_a_file_that_was_rewritten_is_loaded_again_from_0(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "accounting"
    head = line(job_number=1) + b"\n"
    with warehouse(database_url) as db:
        load_bytes(db, path, head + line(job_number=2) + b"\n")
        load_bytes(db, path, head + line(job_number=30) + b"\n" + line(job_number=4) + b"\n")
        assert column(db, "SELECT job_number FROM records ORDER BY 1") == [1, 2, 4, 30]
        assert one(db, "SELECT max(generation) FROM ledger") == 1
        assert one(db, "SELECT lines FROM sources") == 3


def test_the_rejects_shown_are_those_of_what_was_just_loaded(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "accounting"
    head = line(job_number=1) + b"\n"
    with warehouse(database_url) as db:
        load_bytes(db, path, head + line(cpu="old") + b"\n")
        again = load_bytes(db, path, head + line() + b"\n" + line(cpu="new") + b"\n")
        assert [reason for _, reason in again.first_rejects] == ["cpu is not a number: new"]


def test_lines_that_never_started_stay_apart_and_started_ones_collapse(
    database_url: str, tmp_path: Path
) -> None:
    never = line(start_time=0, end_time=0) + b"\n"
    content = line(job_number=1) + b"\n" + 3 * never + 2 * (line(job_number=2) + b"\n")
    with warehouse(database_url) as db:
        summary = load_bytes(db, tmp_path / "accounting", content)
        assert summary.records == 6
        load_bytes(db, tmp_path / "again", content)
        assert db.rows("SELECT count(), countIf(start_time = 0) FROM records") == [(5, 3)]


def test_record_id_is_the_hash_that_the_contract_names(database_url: str, tmp_path: Path) -> None:
    never = line(start_time=0, end_time=0)
    with warehouse(database_url) as db:
        load_bytes(db, tmp_path / "accounting", line() + b"\n" + never + b"\n")
        by_content = db.rows(
            "SELECT record_id = sipHash128({line:String}) FROM records WHERE start_time > 0",
            {"line": line().decode()},
        )
        by_place = db.rows(
            "SELECT record_id = sipHash128(file_id, offset) FROM records WHERE start_time = 0"
        )
    assert (by_content, by_place) == ([(1,)], [(1,)])


def test_one_file_does_not_become_two_clusters(
    database_url: str, sample: Path, tmp_path: Path
) -> None:
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, sample)
        with pytest.raises(ConfigError, match="was loaded as cluster 'c1'"):
            load_file(db, "c2", sample)


def test_rows_that_do_not_arrive_are_sent_again_and_never_counted(
    database_url: str, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Warehouse.insert
    swallowed: list[int] = []

    def swallow(self: Warehouse, table: str, *words: object, **options: object) -> None:
        swallowed.extend([1] * (table == "landing"))
        if table != "landing" or len(swallowed) > lost:
            real(self, table, *words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Warehouse, "insert", swallow)
    with warehouse(database_url) as db:
        lost = landing.SENDS
        with pytest.raises(WarehouseError, match="223 of 223 lines did not arrive"):
            load_file(db, CLUSTER, sample)
        assert one(db, "SELECT count() FROM ledger") == 0
        swallowed.clear()
        lost = 1
        assert load_file(db, CLUSTER, sample).records == 223


def test_rows_that_stand_there_already_are_not_taken_for_new_ones(
    database_url: str, sample: Path
) -> None:
    with warehouse(database_url) as db:
        load_file(db, CLUSTER, sample)
        db.command("TRUNCATE TABLE batches")  # as after a crash before the ledger was written
        again = load_file(db, CLUSTER, sample)
        assert (again.lines, again.records, again.rejects) == (227, 223, 0)
        assert one(db, "SELECT count() FROM records") == 223


def test_lines_whose_rows_merged_with_those_of_copies_are_not_lost(
    database_url: str, tmp_path: Path
) -> None:
    repeated = [line(job_number=n) for n in (1, 2, 1, 3, 2)]
    never = line(start_time=0, end_time=0)
    content = b"".join(each + b"\n" for each in [*repeated, never, b"\0" + line(job_number=4)])
    with warehouse(database_url) as db:
        for name in ("accounting", "copy"):
            load_bytes(db, tmp_path / name, content)
        load_bytes(db, tmp_path / "merged", line(job_number=9) + b"\n" + content)
        for again in (tmp_path / "copy", tmp_path / "merged"):
            db.command("OPTIMIZE TABLE accounting FINAL")
            db.command("TRUNCATE TABLE batches")
            assert load_file(db, CLUSTER, again).rejects == 0
            assert one(db, "SELECT sum(lines) = sum(records) FROM ledger") == 1
        assert one(db, "SELECT count() FROM records WHERE start_time > 0") == 5
        assert column(db, "SHOW TABLES LIKE 'looked_for_%'") == []


def test_a_hundred_and_thirty_months_in_one_batch(database_url: str, tmp_path: Path) -> None:
    month = 2678400
    content = b"".join(
        line(job_number=i, submission_time=t - 9, start_time=t - 5, end_time=t) + b"\n"
        for i, t in enumerate(range(1200000000, 1200000000 + 130 * month, month))
    )
    with warehouse(database_url) as db:
        assert load_bytes(db, tmp_path / "accounting", content).records == 130


def test_small_blocks_make_the_same_rows(
    database_url: str, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "EMBEDDED_BLOCK_BYTES", 3000)
    monkeypatch.setattr(loader, "SERVER_BLOCK_BYTES", 3000)
    monkeypatch.setattr(batch, "ROW_BYTES", 1000)
    with warehouse(database_url) as db:
        summary = load_file(db, CLUSTER, sample)
        assert (summary.lines, summary.records, summary.ignored) == (227, 223, 4)
        assert one(db, "SELECT count() FROM ledger") > 10
        assert one(db, "SELECT sum(ru_wallclock) FROM records") == 434
        assert load_file(db, CLUSTER, sample).lines == 0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(b"x" * 100000)[:-9], "Compressed file ended"),
        (gzip.compress(b"x" * 1000)[:-8] + b"8 bytes!", "CRC check failed"),
    ],
    ids=["cut off", "damaged"],  # not the bytes: they hold the time
)
def test_a_broken_archive_is_one_clear_error(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "accounting.gz"
    path.write_bytes(content)
    with warehouse(f"chdb://{tmp_path}/db") as db, pytest.raises(SourceError, match=complaint):
        load_file(db, CLUSTER, path)


def test_a_gzip_that_is_still_being_written_counts_nothing_twice(
    database_url: str, sample: Path, tmp_path: Path
) -> None:
    path = tmp_path / "accounting.gz"
    packed = gzip.compress(sample.read_bytes())
    with warehouse(database_url) as db:
        path.write_bytes(packed[: len(packed) // 2])
        with pytest.raises(SourceError):
            load_file(db, CLUSTER, path)
        path.write_bytes(packed)
        load_file(db, CLUSTER, path)
        assert one(db, "SELECT count() FROM records") == 223
        assert one(db, "SELECT sum(records) FROM ledger") == 223


pieces = st.one_of(
    st.binary(max_size=80).map(lambda raw: raw.replace(b"\n", b" ")),
    st.integers(0, 2**33).map(lambda number: line(job_number=number)),
    st.sampled_from([b"", b"#", b"# comment", b"x", b"\r", b"\0\0#", b"\0" * 5, line() + b"\r"]),
    st.tuples(st.integers(0, 180), st.binary(min_size=1, max_size=3)).map(
        lambda change: line()[: change[0]] + change[1].replace(b"\n", b"") + line()[change[0] + 2 :]
    ),
)


def test_any_lines_become_records_rejects_or_ignored(tmp_path: Path) -> None:
    """Whatever bytes a file holds, every line is counted once, and nothing raises."""
    with warehouse(f"chdb://{tmp_path}/db") as db:
        path = tmp_path / "accounting"

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(pieces, min_size=1, max_size=60))
        def check(lines: list[bytes]) -> None:
            for table in ("accounting", "rejected_lines", "batches"):
                db.command(f"TRUNCATE TABLE {table}")
            content = [b"# accounting", *lines]  # else two of any bytes may say: I am gzip
            summary = load_bytes(db, path, b"".join(each + b"\n" for each in content))
            counted = summary.records + summary.rejects + summary.ignored
            assert counted == summary.lines
            if summary.file_id:
                assert summary.lines == len(content)
            rejected = column(db, "SELECT hex(line) FROM rejects")
            known = {each.lstrip(b"\0").removesuffix(b"\r").hex().upper() for each in lines}
            assert set(rejected) <= known

        check()
