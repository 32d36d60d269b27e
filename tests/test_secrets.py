"""Passwords: by every way in, on no way out; and servers that cannot prove who they are."""

from __future__ import annotations

import os
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, PychartError, WarehouseMisconfigured
from clickhouse.failures import translate
from clickhouse.settings import PASSWORD_SEEN, Settings, load_settings, without_password
from tests import helpers
from tests import server as servers
from tests.conftest import require

SECRET = "p@ss:w/rd#?"
TLS_FRONT = """daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
    location / {{ proxy_pass http://127.0.0.1:{behind}; }}
  }}
}}"""


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        ("http://ann:secret@host/db", "http://ann@host/db", "secret"),
        ("https://ann:p@ss:w/rd@host:8443/db", "https://ann@host:8443/db", "p@ss:w/rd"),
        ("http://ann:%70%40@host", "http://ann@host", "p@"),
        ("http://ann:@host", "http://ann@host", ""),
        ("http://ann@host", "http://ann@host", ""),
        ("http://host:8123/db", "http://host:8123/db", ""),
        ("chdb:///a:b@c", "chdb:///a:b@c", ""),
    ],
)
def test_a_password_is_taken_out_of_an_address(url: str, address: str, password: str) -> None:
    assert without_password(url) == (address, password)


WAYS_IN = {
    "address in the file": (f'database = "http://ann:{SECRET}@127.0.0.1:{{port}}/x"', {}),
    "address in the environment": ("", {"PYCHART_DATABASE": f"http://ann:{SECRET}@127.0.0.1:{{port}}/x"}),
    "setting": (
        f'database = "http://ann@127.0.0.1:{{port}}/x"\ndatabase_password = "{SECRET}"', {},
    ),
    "environment": (
        'database = "http://ann@127.0.0.1:{port}/x"', {"PYCHART_DATABASE_PASSWORD": SECRET},
    ),
    "file of its own": (
        'database = "http://ann@127.0.0.1:{port}/x"\ndatabase_password_file = "{folder}/secret"',
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_password_gets_in_and_never_out(
    way: str, tmp_path: Path, server: servers.RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    text, environment = WAYS_IN[way]
    places = {"port": str(server.http_port), "folder": str(tmp_path)}
    file = tmp_path / "pychart.toml"
    file.write_text(_filled(text, places))
    for name, value in environment.items():
        monkeypatch.setenv(name, _filled(value, places))
    settings = load_settings(file)
    assert settings.password() == SECRET
    said = [repr(settings), str(settings), repr(settings.model_dump())]
    with pytest.raises(PychartError) as error:  # the server knows no such user
        Warehouse(settings)
    said += [str(error.value), "".join(traceback.format_exception(error.value))]
    done = helpers.pychart(
        "--config", file, *("status --json" if "file" in way else "sql 1").split()
    )
    assert done.returncode in (1, 2), done
    said += [done.stdout.decode(), done.stderr.decode()]
    assert "127.0.0.1" in "".join(said)
    assert [text for text in said if SECRET in text or "w/rd" in text] == []


def _filled(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def test_the_servers_of_a_cluster_have_the_password_too() -> None:
    hosts = ("http://ann:4711471147@one:8123", "http://two:8123")
    settings = Settings(database="http://ann@one:8123/x", database_hosts=hosts)
    assert settings.database_hosts == ("http://ann@one:8123", "http://two:8123")
    assert settings.password() == "4711471147"
    assert "4711471147" not in repr(settings)


def test_a_password_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="everybody on this machine") as error:
        load_settings(database=f"http://ann:{SECRET}@127.0.0.1/x")
    assert str(error.value) == f"--database: {PASSWORD_SEEN}"


@pytest.mark.parametrize(
    "line",
    [
        "database_password = 4711471147",
        'database = "ftp://ann:4711471147@host/x"',
        'database = "http://ann:4711471147@host:70000/x"',
        'database = "http://ann:4711471147@host/x/y/z"',
        'database = "http://ann:4711471147@"',
        'database_password_file = "/nowhere"\ndatabase = "http://ann:4711471147@host/x"',
    ],
)
def test_an_error_in_the_settings_shows_no_password(line: str, tmp_path: Path) -> None:
    file = tmp_path / "pychart.toml"
    file.write_text(line + "\n")
    with pytest.raises(ConfigError) as error:
        load_settings(file).password()
    assert "4711471147" not in "".join(traceback.format_exception(error.value))


def test_what_the_driver_says_is_told_without_the_password() -> None:
    told = translate(RuntimeError("refused"), f"http://ann:{SECRET}@host/x")
    assert "w/rd" not in str(told)
    assert "http://ann@host/x" in str(told)


@pytest.fixture(scope="module")
def tls_server(
    server: servers.RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Path]]:
    """Port and folder of a listener with TLS before the real server, whose library has none."""
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "server", "localhost")
    certificate(folder, "other", "localhost")
    port = servers.free_port()
    text = TLS_FRONT.format(folder=folder, port=port, behind=server.http_port)
    (folder / "nginx.conf").write_text(text)
    command = [require("nginx"), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with subprocess.Popen(command) as running:
        servers.wait_for_port(port)
        yield port, folder
        running.terminate()


def certificate(folder: Path, name: str, host: str) -> None:
    """Make a certificate that has signed itself, for a host and 127.0.0.2."""
    subprocess.run(
        [require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        + ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
        + ["-addext", f"subjectAltName=DNS:{host},IP:127.0.0.2"]
        + ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"],
        check=True,
        capture_output=True,
    )
    os.chmod(folder / f"{name}.key", 0o600)


@pytest.mark.parametrize(
    ("host", "tls", "refused"),
    [
        ("localhost", {"ca_file": "server.crt"}, ""),
        ("127.0.0.1", {"ca_file": "server.crt", "server_name": "localhost"}, ""),
        ("localhost", {}, "self-signed certificate"),
        ("localhost", {"ca_file": "other.crt"}, "self-signed certificate"),
        ("127.0.0.1", {"ca_file": "server.crt"}, "IP address mismatch"),
        ("localhost", {"ca_file": "server.crt", "server_name": "other"}, "hostname 'other'"),
        ("localhost", {"ca_file": "server.key"}, "holds no certificate"),
    ],
)
def test_a_server_proves_who_it_is(
    tls_server: tuple[int, Path], host: str, tls: dict[str, str], refused: str
) -> None:
    port, folder = tls_server
    stated = {k: str(folder / v) if k == "ca_file" else v for k, v in tls.items()}
    settings = Settings(database=f"https://default@{host}:{port}/default", database_tls=stated)  # type: ignore[arg-type]
    if not refused:
        with Warehouse(settings) as warehouse:
            assert warehouse.rows("SELECT 1") == [(1,)]
        return
    with pytest.raises(WarehouseMisconfigured) as error:
        Warehouse(settings)
    assert refused in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_a_server_without_tls_is_told(server: servers.RunningServer, tmp_path: Path) -> None:
    url = f"https://default@127.0.0.1:{server.http_port}/default"
    with pytest.raises(WarehouseMisconfigured, match="does not speak TLS"):
        Warehouse(Settings(database=url))
    missing = tmp_path / "ca.pem"
    with pytest.raises(ConfigError, match="database_tls.ca_file: .*ca.pem: cannot be read"):
        Warehouse(Settings(database=url, database_tls={"ca_file": missing}))  # type: ignore[arg-type]
