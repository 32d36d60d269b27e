"""A small OpenID Connect provider: signs in whoever `provider.person` is, without asking."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "pychart", "a secret of the test"


class Provider:
    """The provider: its address, its key, and the claims of the one who signs in next."""

    def __init__(self, url: str) -> None:
        """Begin without anybody."""
        self.url = url
        self.key = RSAKey.generate_key(2048, parameters={"kid": "k1"}, auto_kid=False)
        self.person: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}

    def answer(self, path: str, asked: dict[str, str]) -> tuple[int, dict[str, Any] | str]:
        """Answer a request: JSON, or where to go."""
        match path:
            case "/.well-known/openid-configuration":
                return 200, self._metadata()
            case "/keys":
                return 200, {"keys": [self.key.as_dict(private=False)]}
            case "/authorize":
                return 302, self._authorize(asked)
            case "/token":
                return 200, self._token(asked)
        return 404, {}

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, asked: dict[str, str]) -> str:
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        found = {"code": code, "state": asked["state"]}
        return f"{asked['redirect_uri']}?{urlencode(found)}"

    def _token(self, asked: dict[str, str]) -> dict[str, Any]:
        begun = self.codes.pop(asked["code"])
        digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == begun["code_challenge"]
        assert asked["client"] == f"{CLIENT}:{SECRET}"
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300,
            "nonce": begun["nonce"], **self.person,
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)
        return {"access_token": "none", "token_type": "Bearer", "id_token": token}


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = parse_qs(body)
            basic = self.headers.get("Authorization", "").removeprefix("Basic ")
            asked["client"] = [base64.b64decode(basic).decode()]
            self._answer(asked)

        def _answer(self, asked: dict[str, list[str]]) -> None:
            one = {name: values[0] for name, values in asked.items()}
            status, content = running.answer(urlsplit(self.path).path, one)
            self.send_response(status)
            if isinstance(content, str):
                self.send_header("Location", content)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Provider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
