"""Faults within a file's lines: broken, torn, repeated, of more years than one insert likes."""

from __future__ import annotations

from tests.faults import content
from tests.faults.case import Case
from tests.faults.matrix import fault
from tests.helpers import line

MIB = 1024**2


@fault(14, "one poison line in 10,000", quick=1)
def poison(case: Case) -> None:
    plain = [content.record(each, content.BEGINNING + each) for each in range(1, 10_001)]
    plain[6_000] = content.record(6_001, content.BEGINNING, slots="many")
    case.fresh(b"".join(plain)).must_load()
    counts = case.one("SELECT (count(), (SELECT count() FROM rejects)) FROM records")
    case.expect(tuple(counts) == (9_999, 1), f"{counts} records and rejects")
    case.equal()


@fault(14, "one line in 10,000 that the database refuses")
def refused_value(case: Case) -> None:
    """The parser lets it pass and the table does not take it: found by halving the batch."""
    plain = [content.record(each, content.BEGINNING + each) for each in range(1, 10_001)]
    poison = content.record(6_001, content.BEGINNING + 6_001, owner="poison")
    plain[6_000] = poison
    case.fresh(plain[0]).must_load()
    case.query("ALTER TABLE accounting ADD CONSTRAINT poisoned CHECK owner != 'poison'")
    case.file.write_bytes(b"".join(plain))
    case.must_load()
    counts = case.one("SELECT (count(), (SELECT count() FROM rejects)) FROM records")
    case.expect(tuple(counts) == (9_999, 1), f"{counts} records and rejects")
    reason = case.query("SELECT reason, hex(line) FROM rejects")[0]
    case.expect(reason and bytes.fromhex(reason[0][1]) == poison[:-1], f"rejected {reason}")
    case.expect(reason and "poisoned" in reason[0][0], f"the reason is {reason}")
    ledger = case.one("SELECT (max(end_offset), sum(lines), sum(records + rejects)) FROM ledger")
    size = case.file.stat().st_size
    case.expect(tuple(ledger) == (size, 10_000, 10_000), f"ledger {ledger}")
    case.verdict.lines += 10_000


@fault(15, "130 months, and 130 years, in one batch")
def many_partitions(case: Case) -> None:
    for step in (2_678_400, content.YEAR):
        case.fresh(b"".join(content.years_apart(130, step=step))).must_load()
        case.equal()


@fault(26, "the last line split at each byte")
def split_line(case: Case) -> None:
    """Followed while it is written byte by byte: absent until its newline, then there once."""
    first, last = content.record(1, content.BEGINNING), content.record(2, content.BEGINNING + 9)
    case.fresh(first)
    step = max(1, round(1 / case.scale))
    with case.watch() as watch, case.file.open("ab", buffering=0) as writer:
        watch.wait_loaded()
        for at in range(0, len(last) - 1, step):
            writer.write(last[at : min(at + step, len(last) - 1)])
            rows = watch.query("SELECT count() FROM records")[0][0][0]
            case.expect(int(rows) == 1, f"{rows} rows at byte {at} of the second line")
        watch.wait(lambda: True, "alive")
        case.expect(watch.ends() == [len(first)], f"{watch.ends()} consumed of a torn line")
        writer.write(last[-1:])
        watch.wait_loaded()
    case.equal()
    for at in range(1, len(last), step):
        case.fresh(first + last[:at]).must_load()
        case.expect(case.one("SELECT count() FROM records") == 1, f"a line of {at} bytes is there")
        case.file.write_bytes(first + last)
        case.must_load()
        case.equal()
        if case.verdict.runs > case.times(30)[-1] + 2:
            break


@fault(27, "a fragment glued to the next line", quick=1)
def glued(case: Case) -> None:
    one, two, three = (content.record(each, content.BEGINNING + each) for each in (1, 2, 3))
    case.fresh(one + two[:70] + two + three).must_load()
    counts = case.one("SELECT (count(), (SELECT count() FROM rejects)) FROM records")
    case.expect(tuple(counts) == (2, 1), f"{counts} records and rejects")
    case.equal()


@fault(28, "NUL, bad UTF-8, CRLF, extra colon, 10 MiB line, empty, #", quick=1)
def odd_bytes(case: Case) -> None:
    good = content.record
    at = content.BEGINNING
    odd = [
        content.HEADER,
        good(1, at),
        b"\0" * 500 + good(2, at),
        good(3, at).replace(b"chem", b"ch\0em"),
        good(4, at).replace(b"job4", b"j\xff\xfeb4"),
        good(5, at).replace(b"\n", b"\r\n"),
        good(6, at, job_name="a:b:c"),
        good(7, at, category="-l cpu=24:00:00"),
        b"y" * (10 * MIB) + b"\n",
        line(job_number=8, category="z" * (10 * MIB)) + b"\n",
        b"\n",
        b"#\n",
        b"# a comment: with: colons\n",
        b"\0\0\n",
        b"\r\n",
        b"x\n",
        good(9, at, cpu="nan", maxvmem="-1"),
        good(10, at, end_time=0),
        b"1500000000:acct:" + good(11, at),
        good(12, at, start_time="1300000060000", end_time="1300003660000"),
        good(13, at),
    ]
    case.fresh(b"".join(odd)).must_load()
    case.equal()


@fault(29, "equal never-started lines, started lines twice, merged", quick=1)
def repeats(case: Case) -> None:
    never = content.record(2, content.BEGINNING, start_time=0, end_time=0)
    started = content.record(1, content.BEGINNING)
    case.fresh(started + 3 * never + started + never).must_load()
    case.must_load()
    kept = case.one("SELECT (countIf(start_time = 0), countIf(start_time != 0)) FROM records")
    case.expect(tuple(kept) == (4, 1), f"{kept} rows never started, and started")
    case.equal()
    case.fresh(b"".join(content.lines(600))).must_load(merge=True, block_bytes=20_000)
    case.equal()
    case.expect("did not arrive" not in case.output.read_text(), "a merged row is taken for lost")
