"""The example for nginx, as it stands, before the running app: only places and ports are ours."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from clickhouse.errors import ConfigError
from streamlit_app.serve import _listen
from tests import guarded
from tests.browser import FLAGS, wait_complete
from tests.conftest import require
from tests.server import free_port, wait_for_port
from tests.test_secrets import certificate

CONFIGURATION = Path(__file__).parent.parent / "deploy" / "nginx" / "pychart.conf"
NAME = "jobs.example.org"
FRAME = """{user} daemon off; pid {folder}/pid; error_log {folder}/error.log warn; events {{}}
http {{
  include /etc/nginx/mime.types; access_log {folder}/access.log;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  include {folder}/pychart.conf;
}}"""


@dataclass(frozen=True)
class Front:
    """nginx with TLS on a port of the loopback, and the app behind it on a socket file."""

    port: int
    folder: Path
    tls: ssl.SSLContext

    def get(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        user: str = "annzz",
        host: str = NAME,
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection(NAME, self.port, context=self.tls, timeout=20)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sock = self.tls.wrap_socket(raw, server_hostname=NAME)
        sent = {"Host": host} | (headers or {}) | ({"Authorization": _basic(user)} if user else {})
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def page(self, user: str, headers: dict[str, str] | None = None, origin: str = "") -> bytes:
        """Open the page of users over the websocket; gives all that came."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        with connect(
            f"wss://{NAME}/_stcore/stream",
            sock=raw,
            ssl=self.tls,
            server_hostname=NAME,
            additional_headers={"Authorization": _basic(user)} | (headers or {}),
            origin=origin or f"https://{NAME}",  # type: ignore[arg-type]
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=2**26,
            proxy=None,
        ) as opened:
            message = BackMsg()
            message.rerun_script.page_name = "users"
            opened.send(message.SerializeToString())
            content = b""
            while True:
                got = opened.recv(timeout=30)
                assert isinstance(got, bytes)
                content += got
                answer = ForwardMsg()
                answer.ParseFromString(got)
                if answer.WhichOneof("type") == "script_finished":
                    return content


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:open".encode()).decode()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    certificate(folder, "server", NAME)
    port, plain = free_port(), free_port()
    hashed = subprocess.run(
        [require("openssl"), "passwd", "-apr1", "open"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / "htpasswd").write_text("".join(f"{own}:{hashed}\n" for own in guarded.MARKS.values()))
    text = CONFIGURATION.read_text()
    for ours, theirs in (
        ("/run/pychart/app.sock", f"{folder}/app.sock"),
        ("/var/cache/nginx/pychart", f"{folder}/cache"),
        ("/etc/ssl/certs/jobs.example.org.pem", f"{folder}/server.crt"),
        ("/etc/ssl/private/jobs.example.org.key", f"{folder}/server.key"),
        ("/etc/nginx/pychart.htpasswd", f"{folder}/htpasswd"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    (folder / "pychart.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        FRAME.format(folder=folder, user="user root;" * (os.geteuid() == 0))
    )
    settings = guarded.make_site(folder, (NAME,), 'trusted_peers = ["unix"]')
    command = [require("nginx"), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with guarded.running(settings, "--host", f"unix:{folder}/app.sock"):
        with subprocess.Popen(command) as nginx:
            wait_for_port(port)
            tls = ssl.create_default_context(cafile=str(folder / "server.crt"))
            yield Front(port, folder, tls)
            nginx.terminate()
        assert "[emerg]" not in (folder / "error.log").read_text()


def test_a_page_comes_with_its_headers_and_each_user_sees_the_own_jobs(front: Front) -> None:
    status, headers, body = front.get("/")
    assert (status, b"<title>" in body) == (200, True)
    assert headers["strict-transport-security"].startswith("max-age=")
    assert "script-src 'self'" in headers["content-security-policy"]
    assert front.get("/", user="")[0] == 401
    for user, others in (("cidzz", "annzz bobzz chiefzz"), ("malloryzz", "annzz cidzz chiefzz")):
        content = front.page(user)
        assert user.encode() in content
        assert [one for one in others.split() if one.encode() in content] == []
    assert b"bobzz" in front.page("annzz")
    assert b"cidzz" in front.page("chiefzz")
    # before nginx's own port there is none: the app has no other way in than its file
    assert stat.S_IMODE((front.folder / "app.sock").stat().st_mode) == 0o660


@pytest.mark.parametrize("name", ["X-Remote-User", "x-remote-user", "X_Remote_User"])
def test_a_header_that_names_somebody_is_nginx_s_own(front: Front, name: str) -> None:
    content = front.page("cidzz", {name: "chiefzz", "X-Remote-Groups": "admins"})
    assert b"cidzz" in content
    assert b"annzz" not in content
    assert b"malloryzz" not in content


def test_only_a_page_of_its_own_site_and_name_connects(front: Front) -> None:
    for origin in ("https://evil.example.net", f"http://{NAME}:8501", "null"):
        with pytest.raises(InvalidStatus) as error:
            front.page("annzz", origin=origin)
        assert error.value.response.status_code == 403
    for host in ("evil.example.net", "127.0.0.1", ""):
        assert front.get("/", host=host)[0] in (400, 421)


def test_static_files_are_compressed_and_kept(front: Front) -> None:
    _, _, body = front.get("/")
    script = body.decode().split('src="./static/js/index.')[1].split('"')[0]
    path = f"/static/js/index.{script}"
    first = front.get(path, {"Accept-Encoding": "gzip"}, user="")
    again = front.get(path, {"Accept-Encoding": "gzip"}, user="")
    for status, headers, content in (first, again):
        assert status == 200
        assert headers["content-encoding"] == "gzip"
        assert "max-age=31536000" in headers["cache-control"]
        assert headers["vary"].lower() == "accept-encoding"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert len(content) < 0.6 * len(gzip.decompress(content))
        assert "set-cookie" not in headers
    assert (first[1]["x-cache"], again[1]["x-cache"]) == ("MISS", "HIT")


def test_what_is_not_public_is_closed_and_cookies_need_tls(front: Front) -> None:
    for path in (
        "/api/ready", "/_stcore/metrics", "/_stcore/metrics/", "/%5Fstcore/metrics",
        "/_stcore/upload_file/a/b",
        "/_stcore/agent/openapi.json", "/component/x", "/_stcore/script-health-check",
    ):  # fmt: skip
        assert front.get(path)[0] == 404, path
    _, headers, body = front.get("/_stcore/health")
    assert body == b"ok"
    assert "secure" in headers["set-cookie"].lower()


def test_a_browser_works_through_it_and_runs_nothing_else(front: Front) -> None:
    """Dark pages with charts, tables and an editor: no violation of the policy, and one is felt."""
    found: list[str] = []
    rule = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require("chromium"), args=[*FLAGS, rule]
        )
        page = browser.new_page(
            ignore_https_errors=True,
            color_scheme="dark",
            extra_http_headers={"Authorization": _basic("annzz")},
        )
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', event =>"
            " console.error('policy', event.violatedDirective, event.blockedURI))"
        )
        page.on("console", lambda message: found.extend(_worth_telling(message)))
        page.on("pageerror", lambda error: found.append(str(error)))
        for path in ("", "users", "explore", "sql", "report"):
            page.goto(f"https://{NAME}:{front.port}/{path}")
            wait_complete(page)
        assert found == []
        page.evaluate(
            "() => { const made = document.createElement('script'); made.text = 'window.ran = 1';"
            " document.body.append(made) }"
        )
        page.evaluate("() => fetch('https://evil.example.net/').catch(() => 0)")
        assert page.evaluate("() => window.ran") is None
        violated = {line.split()[1] for line in found if line.startswith("policy")}
        assert violated == {"script-src-elem", "connect-src"}
        browser.close()


def _worth_telling(message: ConsoleMessage) -> list[str]:
    # Streamlit looks for its server beside the page's path before it looks at the root
    probing = message.location["url"].endswith(("/_stcore/health", "/_stcore/host-config"))
    return [] if message.type != "error" or probing else [message.text]


def test_too_much_is_refused_and_others_go_on(front: Front) -> None:
    assert front.get("/?" + "a" * 40_000)[0] == 414
    assert front.get("/", {"X-Long": "a" * 70_000})[0] in (400, 431)
    statuses = [front.get("/_stcore/health")[0] for _ in range(3)]
    assert statuses == [200, 200, 200]


def test_nobody_is_asked_twice_who_somebody_is(front: Front) -> None:
    """The audit log has the names that nginx gave, and nobody whom a header named."""
    lines = (front.folder / "audit.jsonl").read_text().splitlines()
    assert {json.loads(line)["identity"] for line in lines} == set(guarded.MARKS.values()) - {
        "bobzz"
    }


def test_a_socket_file_left_behind_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    place = f"unix:{tmp_path}/app.sock"
    left = _listen(place, 0)
    left.close()
    again = _listen(place, 0)
    assert stat.S_IMODE((tmp_path / "app.sock").stat().st_mode) == 0o660
    with pytest.raises(ConfigError, match="in use"):
        _listen(place, 0)
    again.close()
