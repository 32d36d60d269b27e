"""Looks at what comes from elsewhere: known faults of locked packages, passwords in the sources.

    python -m tests.supply audit                     fails also where no advisory service answers
    python -m tests.supply audit --where-it-answers  then only says so, loudly
    python -m tests.supply secrets [--renew]         what looks like a password and is not known

Exit status: 0 well, 1 something was found, 3 nobody could be asked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "constraints-dev.txt"
BASELINE = ROOT / ".secrets.baseline"
# Files full of hashes, and what is not ours.
NO_SECRETS = (
    r"constraints.*\.txt|\.secrets\.baseline|^(\./)?(\.venv|\.git|\.\w+_cache|var|dist|build)/"
)
# Known faults that do not concern this program, by their identifier, and why.
IGNORED: dict[str, str] = {}
SECONDS = 300
UNANSWERED = 3


def audit(lock: Path, services: Sequence[Sequence[str]]) -> int:
    """Ask the first advisory service that answers for every package of a lock file."""
    for service in services:
        report = _ask(lock, service)
        if report and any("vulns" in each for each in report):
            return _judge(report, service)
    print(
        f"NOT AUDITED: no advisory service answers for {lock.name}"
        f" ({', '.join(words[0] for words in services)}); run `make audit` where one does",
        file=sys.stderr,
    )
    return UNANSWERED


def _ask(lock: Path, service: Sequence[str]) -> list[dict[str, Any]]:
    ignored = [word for name in IGNORED for word in ("--ignore-vuln", name)]
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--disable-pip"]
    command += ["--require-hashes", "-f", "json", "--progress-spinner", "off", *ignored]
    done = subprocess.run(
        [*command, "--vulnerability-service", *service],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        return []


def _judge(report: list[dict[str, Any]], service: Sequence[str]) -> int:
    unknown = [each["name"] for each in report if "vulns" not in each]
    found = [(each, vuln) for each in report for vuln in each.get("vulns", ())]
    for name in unknown:
        print(f"{name}: {service[0]} does not know it", file=sys.stderr)
    for each, vuln in found:
        fixed = ", ".join(vuln.get("fix_versions", ())) or "no version yet"
        print(f"{each['name']} {each['version']}: {vuln['id']}, fixed by {fixed}", file=sys.stderr)
    print(f"{len(report) - len(unknown)} packages audited by {service[0]}, {len(found)} faults")
    return 1 if unknown or found else 0


def secrets(folder: Path, renew: bool) -> int:
    """Compare what looks like a password with what is known to be none."""
    found = _scan(folder)
    if renew:
        BASELINE.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
        return 0
    known = {key for key, _ in _each(json.loads(BASELINE.read_text()))}
    new = [(key, line) for key, line in _each(found) if key not in known]
    for (file, kind, _), line in new:
        print(f"{file}:{line}: {kind}", file=sys.stderr)
    if new:
        print("if they are none: python -m tests.supply secrets --renew", file=sys.stderr)
    return 1 if new else 0


def _scan(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "detect_secrets", "scan", "--exclude-files", NO_SECRETS]
    everything = [] if (folder / ".git").exists() else ["--all-files"]
    scanned = subprocess.run(
        [*command, *everything, "."], cwd=folder, capture_output=True, text=True, check=True
    )
    return dict(json.loads(scanned.stdout)["results"])


def _each(results: dict[str, Any]) -> list[tuple[tuple[str, str, str], int]]:
    return [
        ((file, each["type"], each["hashed_secret"]), each["line_number"])
        for file, found in results.items()
        for each in found
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="look at what comes from elsewhere")
    commands = parser.add_subparsers(dest="command", required=True)
    asking = commands.add_parser("audit")
    asking.add_argument("--where-it-answers", action="store_true")
    asking.add_argument("--lock", type=Path, default=LOCK)
    asking.add_argument("--osv-url", help="of the only service to ask, one that speaks OSV")
    looking = commands.add_parser("secrets")
    looking.add_argument("--renew", action="store_true")
    looking.add_argument("folder", type=Path, nargs="?", default=ROOT)
    options = parser.parse_args()
    if options.command == "secrets":
        return secrets(options.folder, options.renew)
    services = [["osv", "--osv-url", options.osv_url]] if options.osv_url else [["pypi"], ["osv"]]
    status = audit(options.lock, services)
    return 0 if status == UNANSWERED and options.where_it_answers else status


if __name__ == "__main__":
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    sys.exit(main())
