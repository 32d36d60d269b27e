"""What stands before Streamlit: names, origins, and what a page may load."""

from __future__ import annotations

import socket

import pytest

from streamlit_app.protection import INDEX, Hosts, _is_own, content_security_policy


@pytest.mark.parametrize(
    ("allowed", "host", "answered"),
    [
        ((), "127.0.0.1:8501", True),
        ((), "localhost", True),
        ((), "[::1]:8501", True),
        ((), "10.1.2.3", True),
        ((), socket.gethostname().upper(), True),
        ((), "rebound.example.org", False),
        ((), "localhost.example.org", False),
        ((), "127.0.0.1.example.org", False),
        ((), "", False),
        ((), None, False),
        ((), "localhost@example.org", False),
        ((), "localhost/..", False),
        ((), "localhost:port", False),
        (("Jobs.example.org",), "jobs.example.org.:443", True),
        (("jobs.example.org",), "127.0.0.1:8501", True),
        (("jobs.example.org",), "[::1]:8501", True),
        (("jobs.example.org",), "10.1.2.3", False),
        (("jobs.example.org",), socket.gethostname(), False),
        (("*.example.org",), "jobs.example.org", True),
        (("*.example.org",), "example.org", False),
        (("*.example.org",), "jobs.example.org.evil.net", False),
        (("*",), "evil.net", False),
    ],
)
def test_names_by_which_the_app_is_asked(
    allowed: tuple[str, ...], host: str | None, answered: bool
) -> None:
    assert Hosts(allowed).allows(host) is answered


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8501", "127.0.0.1:8501", True),
        ("https://jobs.example.org", "jobs.example.org", True),
        ("https://jobs.example.org", "jobs.example.org:443", True),
        ("https://Jobs.Example.org", "jobs.example.org", True),
        ("http://127.0.0.1:9999", "127.0.0.1:8501", False),
        ("http://localhost:8501", "127.0.0.1:8501", False),
        ("https://evil.net", "jobs.example.org", False),
        ("https://jobs.example.org.evil.net", "jobs.example.org", False),
        ("null", "jobs.example.org", False),
        ("file://jobs.example.org", "jobs.example.org", False),
        ("https://[", "jobs.example.org", False),
        ("", "", False),
    ],
)
def test_sites_whose_pages_may_connect(origin: str, host: str, own: bool) -> None:
    assert _is_own(origin, host) is own


def test_pages_load_nothing_from_elsewhere_and_make_no_code() -> None:
    policy = content_security_policy(INDEX.read_text("utf-8"))
    allowed = {name: rest for name, *rest in (part.split() for part in policy.split("; "))}
    assert allowed["default-src"] == ["'none'"]
    assert "'unsafe-inline'" not in allowed["script-src"]
    assert "'unsafe-eval'" not in allowed["script-src"]
    assert any(source.startswith("'sha256-") for source in allowed["script-src"])
    for sources in allowed.values():
        assert all(source[0] == "'" or source in ("data:", "blob:") for source in sources)
