"""Every protective check taken away in a copy of the program: its fault must then do harm.

A text that is replaced must stand in its file exactly once, so that a check that moved is noticed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COPIED = ("clickhouse", "ingest", "pychart", "streamlit_app", "tests")


class Moved(Exception):
    """The text of a check is not where it was, or not the only one."""


@dataclass(frozen=True)
class Mutation:
    """A check without which a fault does harm on `engine`; `changes`: file, old, new text."""

    check: str
    fault: int
    engine: str
    changes: tuple[tuple[str, str, str], ...]
    scale: float = 0.1


LOADER, LANDING = "ingest/loader.py", "ingest/landing.py"
FAMILY = "ingest/family.py"
FOLLOWER = "ingest/follower.py"
CONNECTION, FAILURES = "clickhouse/connection.py", "clickhouse/failures.py"

MUTATIONS = (
    Mutation(
        "the ledger is written after the rows",
        3,
        "embedded",
        (
            (LOADER, "pool.submit(self.landing.insert, block)", "pool.submit(lambda: None)"),
            (
                LANDING,
                "arrived = self._arrived(landed)\n",
                "arrived = {s.block.offset: (s.counts.lines - s.counts.ignored, 0) for s in landed}"
                "\n",
            ),
            (
                LOADER,
                "        last = batches[-1]\n",
                "        [self.landing.insert(s.block) for s in landed]\n"
                "        last = batches[-1]\n",
            ),
        ),
        1.0,
    ),
    Mutation(
        "rows are looked for before the ledger is written",
        11,
        "server",
        (
            (
                LANDING,
                "if records + rejects != sent.counts.lines - sent.counts.ignored:",
                "if False:",
            ),
        ),
    ),
    Mutation(
        "a merged row is looked for by what its line says",
        29,
        "embedded",
        ((LANDING, "missing = identity.absent(", "missing = (lambda *found: found[-1])("),),
    ),
    Mutation(
        "the 4 KiB before the offset must be what they were",
        22,
        "embedded",
        (
            (
                LOADER,
                "if resumed is None or at.offset and tail_hash(resumed.tail) != at.tail_hash:",
                "if resumed is None:",
            ),
        ),
    ),
    Mutation(
        "the ledger is walked from 0 to its first gap",
        34,
        "embedded",
        (
            (
                "ingest/ledger.py",
                "min(if(start_offset > reached, reached, 18446744073709551615))",
                "min(18446744073709551615 + 0 * reached)",
            ),
        ),
    ),
    Mutation(
        "a line waits for its newline",
        26,
        "embedded",
        (
            (
                "ingest/tail.py",
                'cut = filled if ended and source.complete else data.rfind(b"\\n", 0, filled) + 1',
                "cut = filled",
            ),
        ),
    ),
    Mutation(
        "a compressed file is read to its checksum first",
        25,
        "embedded",
        ((LOADER, "        check_whole(path, loader.control.go_on)\n", "        pass\n"),),
    ),
    Mutation(
        "inserts ask for no deduplication by the server",
        16,
        "server",
        (
            (CONNECTION, '    "deduplicate_insert": "disable",\n', ""),
            (CONNECTION, '    "insert_deduplicate": 0,\n', ""),
        ),
    ),
    Mutation(
        "an insert may touch any number of partitions",
        15,
        "server",
        ((LANDING, '    "max_partitions_per_insert_block": 0,\n', ""),),
    ),
    Mutation(
        "a refused batch is halved to the line",
        14,
        "embedded",
        ((FAILURES, "    if code in DATA_CODES:\n        return DataRefused\n", ""),),
    ),
    Mutation(
        "a started line is known by what it says",
        24,
        "embedded",
        (
            (
                "clickhouse/parser/record.sql",
                "if(start_seconds > 0, line_hash, sipHash128(file_id, offset))",
                "sipHash128(file_id, offset)",
            ),
        ),
        1.0,
    ),
    Mutation(
        "a never-started line is known by its place",
        29,
        "embedded",
        (
            (
                "clickhouse/parser/record.sql",
                "if(start_seconds > 0, line_hash, sipHash128(file_id, offset))",
                "line_hash",
            ),
        ),
    ),
    Mutation(
        "a transient failure is tried again, and a thread that ended started again",
        12,
        "server",
        (
            (
                FOLLOWER,
                "retry_if_exception_type(Exception)",
                "retry_if_exception_type(ConfigError)",
            ),
            ("ingest/daemon.py", "if not follower.is_alive():", "if False:"),
        ),
    ),
    Mutation(
        "pauses end after a minute",
        6,
        "server",
        ((FOLLOWER, "multiplier=1, max=60)", "multiplier=60, max=1200)"),),
    ),
    Mutation(
        "a reply is waited for no longer than a query may take",
        9,
        "server",
        (
            (
                CONNECTION,
                '"send_receive_timeout": self.settings.query_seconds + 30,',
                '"send_receive_timeout": 3600,',
            ),
        ),
    ),
    Mutation(
        "a file is looked at without any event",
        30,
        "embedded",
        (
            (
                FOLLOWER,
                "if self._changed.wait(self._settings.poll_seconds):",
                "if self._changed.wait(HANG_SECONDS):",
            ),
        ),
        1.0,
    ),
    Mutation(
        "a renamed file stays open until it is read",
        19,
        "embedded",
        ((FOLLOWER, "                self.family.hold(look)\n", "                pass\n"),),
    ),
    Mutation(
        "a file has ended by no clock but our own",
        32,
        "embedded",
        (
            (
                FAMILY,
                "return now - self._still[path][1] > SETTLED_SECONDS and",
                "return time.time() - at.st_mtime > SETTLED_SECONDS and",
            ),
        ),
    ),
    Mutation(
        "a file that cannot be read leaves the others going",
        36,
        "embedded",
        (
            (
                FOLLOWER,
                "except (SourceError, ConfigError) as error:",
                "except LookupError as error:",
            ),
        ),
    ),
    Mutation(
        "one daemon for a cluster on a host",
        33,
        "server",
        (
            (
                "ingest/daemon.py",
                "stack.enter_context(health.lock(self._folder, self._settings, cluster))",
                "pass",
            ),
        ),
    ),
    Mutation(
        "SIGTERM ends it after the batch",
        4,
        "embedded",
        (
            (
                "ingest/daemon.py",
                "if came & {signal.SIGTERM, signal.SIGINT}:",
                "if not came & came:",
            ),
        ),
    ),
    Mutation(
        "verify looks for each row",
        34,
        "embedded",
        (
            (
                "pychart/verify.py",
                '    faults.add("lines have no row", [line.offset for line in absent])\n',
                "",
            ),
        ),
    ),
)


def mutated(mutation: Mutation) -> dict[Path, str]:
    """The changed files, by their path in the tree; raises `Moved`."""
    found: dict[Path, str] = {}
    for name, old, new in mutation.changes:
        text = found.get(Path(name)) or (ROOT / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise Moved(f"{name}: {text.count(old)} times {old!r} ({mutation.check})")
        found[Path(name)] = text.replace(old, new)
    return found


def harm(mutation: Mutation, folder: Path) -> str:
    """What the fault does to a copy of the program without this check; empty where it holds."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in mutated(mutation).items():
        (tree / path).write_text(text, encoding="utf-8")
    what = [
        "--only",
        str(mutation.fault),
        "--engine",
        mutation.engine,
        "--scale",
        str(mutation.scale),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *what, "--folder", str(folder / "faults")],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(folder / "faults", ignore_errors=True)
    said = [line.strip() for line in done.stderr.splitlines() if line.startswith("    ")]
    if done.returncode != 1 or not said:
        return "" if done.returncode == 0 else f"UNCLEAR: {done.stderr.strip()[-200:]}"
    return said[0].replace(str(folder), "").replace("|", "/")


def heading() -> str:
    return "| without this check | fault | engine | what happens |\n|---|---:|---|---|"


def row(mutation: Mutation, found: str) -> str:
    what = found[:140] or "**nothing**"
    return f"| {mutation.check} | {mutation.fault} | {mutation.engine} | {what} |"
