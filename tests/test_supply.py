"""The check of packages and of passwords finds what it is there for, and says when it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.server import free_port
from tests.supply import ROOT, UNANSWERED

LOCK = f"one==1.0 --hash=sha256:{'0' * 64}\ntwo==2.0 --hash=sha256:{'1' * 64}\n"


def supply(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.supply", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


class Advisories(BaseHTTPRequestHandler):
    """Speaks OSV: of the package `two` below 3.0 a fault is known."""

    faulty = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = {
            "id": "PYSEC-2026-1",
            "summary": "a fault",
            "modified": "2026-01-01T00:00:00Z",
            "affected": [
                {
                    "package": {"name": "two", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "3.0"}]}],
                }
            ],
        }
        known = self.faulty and asked["package"]["name"] == "two"
        answer = json.dumps({"vulns": [fault]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_a_known_fault_of_a_package_is_found(
    advisories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    found = supply("audit", "--lock", lock, "--osv-url", advisories, "--where-it-answers")
    assert found.returncode == 1
    assert "two 2.0: PYSEC-2026-1, fixed by 3.0" in found.stderr
    monkeypatch.setattr(Advisories, "faulty", False)
    sound = supply("audit", "--lock", lock, "--osv-url", advisories)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "2 packages audited" in sound.stdout


def test_a_service_that_does_not_answer_is_no_success(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    nobody = f"http://127.0.0.1:{free_port()}/v1/query"
    silent = supply("audit", "--lock", lock, "--osv-url", nobody)
    assert silent.returncode == UNANSWERED
    assert "NOT AUDITED" in silent.stderr


def test_a_password_in_a_file_is_found(tmp_path: Path) -> None:
    key = "AKIA" + "QWERTYUIOPASDFGH"
    (tmp_path / "settings.py").write_text(f"AWS_KEY = '{key}'\n")
    found = supply("secrets", tmp_path)
    assert found.returncode == 1
    assert "settings.py:1: AWS Access Key" in found.stderr
