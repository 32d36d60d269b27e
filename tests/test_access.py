"""Who somebody is and which role follows: settings, names, claims, headers, pseudonyms."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from clickhouse.errors import ConfigError
from clickhouse.roles import AccessSettings
from clickhouse.scope import Scope
from clickhouse.settings import Settings, load_settings
from streamlit_app import access, identity, pseudonyms
from streamlit_app.identity import Identity, IdentityMiddleware

HEADER = {"method": "header"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method = 'ldap'", "access.method: Input should be 'oidc' or 'header'"),
        ("public = true", "access.method: Field required"),
        ("method = 'header'\ntrusted_peers = ['10.0.0.7']", "'10.0.0.7' cannot be trusted"),
        ("method = 'header'\ntrusted_peers = ['*']", "'*' cannot be trusted"),
        ("method = 'header'\ntrusted_peers = []", "who may say in a header"),
        ("method = 'header'\nuser_header = 'X_Remote_User'", "access.user_header: 'X_Remote_User'"),
        ("method = 'header'\nuser_header = 'x-remote-groups'", "are the same"),
        ("method = 'header'\naudit_required = true", "audit_required needs audit"),
        ("method = 'header'\nsign_out_url = 'javascript:alert(1)'", "is no address"),
        ("method = 'header'\ndomain = '@univ.fr'", "access.domain: '@univ.fr' is no domain"),
        ("method = 'header'\n[access.logins]\n'аnn' = 'ann'", "is no identity of ASCII"),
        ("method = 'header'\n[access.logins]\nann = 'ann:x'", "access.logins.ann: 'ann:x'"),
        ("method = 'header'\nlower_case = true\n[access.logins]\nAnn = 'a'", "is never met"),
        ("method = 'header'\n[access.admins]\nusers = ['álice']", "access.admins.users.0: 'álice'"),
        ("method = 'header'\n[access.pis.'a b']\nusers = ['x']", "pis: 'a b' is no login"),
        ("method = 'header'\n[access.pis.durand]\nusers = ['']", "access.pis.durand.users.0"),
        ("method = 'header'\nadmin = ['me']", "access.admin: no such setting"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_line(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "pychart.toml"
    file.write_text(f"[access]\n{text}\n", "utf-8")
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load_settings(file)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{file}: ")


def test_the_example_of_the_section_is_valid(tmp_path: Path) -> None:
    example = (Path(__file__).parent.parent / "pychart.example.toml").read_text("utf-8")
    section = example[example.index("# [access]") :]
    setting = re.compile(r"^# (\[access|[a-z_]+ = )", re.M)
    file = tmp_path / "pychart.toml"
    file.write_text(setting.sub(r"\1", section), "utf-8")
    access = load_settings(file).access
    assert access and access.correspondents["biology"].logins == ("marie",)
    named = set(re.findall(r"^# (?:\[access\.)?(\w+)", section, re.M))
    assert set(AccessSettings.model_fields) - named == set()
    assert load_settings(Path(__file__).parent.parent / "pychart.example.toml").access is None


@pytest.mark.parametrize(
    ("settings", "identity", "login"),
    [
        ({}, "alice", "alice"),
        ({}, "Alice", "Alice"),
        ({"lower_case": True}, "ALICE", "alice"),
        ({}, "alice@univ.fr", ""),
        ({"domain": "univ.fr"}, "alice@univ.fr", "alice"),
        ({"domain": "Univ.FR"}, "alice@UNIV.fr", "alice"),
        ({"domain": "univ.fr"}, "alice", ""),
        ({"domain": "univ.fr"}, "alice@evil.org", ""),
        ({"domain": "univ.fr"}, "alice@univ.fr.evil.org", ""),
        ({"domain": "univ.fr"}, "alice@univ.fr@evil.org", ""),
        ({"domain": "univ.fr"}, "bob@evil.org@univ.fr", ""),
        ({"domain": "univ.fr"}, "alice@univ.fr.", ""),
        ({"domain": "univ.fr"}, "@univ.fr", ""),
        ({"lower_case": True}, "аlice", ""),  # a Cyrillic а
        ({"lower_case": True}, "\u212aim", ""),  # the sign of kelvin is k in lower case
        ({"lower_case": True}, "al\u0131ce", ""),
        ({}, "alice\u200b", ""),
        ({}, "alice ", ""),
        ({}, "alice\n", ""),
        ({}, "alice\0", ""),
        ({}, "alice,bob", ""),
        ({}, "", ""),
        ({}, "a" * 201, ""),
        ({"logins": {"anne.martin@univ.fr": "amartin"}}, "anne.martin@univ.fr", "amartin"),
        ({"domain": "univ.fr", "logins": {"am@x.org": "am"}}, "am@univ.fr", ""),  # am is am@x.org's
        ({"logins": {"Anne": "anne"}}, "anne", ""),
    ],
)
def test_an_identity_is_one_login_or_none(
    settings: dict[str, Any], identity: str, login: str
) -> None:
    assert AccessSettings(**HEADER, **settings).login(identity) == login


# --- roles ---

RULES = AccessSettings(
    **HEADER,
    public=True,
    admins={"users": ["root"], "token_groups": ["hpc"]},
    pis={"durand": {"users": ["phd"], "groups": ["team"]}, "lab": {"logins": ["eve"]}},
    correspondents={"bio": {"token_groups": ["bio"], "metagroups": ["biology"]}},
)
ANYONE = access.Viewer(roles=("public",), scope=Scope(public=True))


@pytest.mark.parametrize(
    ("name", "groups", "roles", "scope"),
    [
        ("ann", (), ("user",), Scope(users=("ann",))),
        ("durand", (), ("user", "pi"), Scope(users=("durand", "phd"), groups=("team",))),
        ("Durand", (), ("user",), Scope(users=("Durand",))),
        ("lab", (), ("user",), Scope(users=("lab",))),  # `logins` says who it is
        ("bio", (), ("user",), Scope(users=("bio",))),
        ("eve", (), ("user", "pi"), Scope(users=("eve",))),
        ("no one", ("bio",), ("correspondent",), Scope(metagroups=("biology",))),
        ("ann", ("bio",), ("user", "correspondent"), Scope(("ann",), (), ("biology",))),
        ("root", (), ("admin",), None),
        ("no one", ("hpc",), ("admin",), None),
        ("no one", ("HPC", "hpc "), ("public",), Scope(public=True)),
    ],
)
def test_roles_unite(
    name: str, groups: tuple[str, ...], roles: tuple[str, ...], scope: Scope | None
) -> None:
    found = access.granted(RULES, Identity(name, groups, name))
    assert (found.roles, found.scope) == (roles, scope)


def test_nobody_sees_nothing_or_totals() -> None:
    assert access.granted(RULES, None) == ANYONE
    closed = RULES.model_copy(update={"public": False})
    for known in (None, Identity("no one", (), "x")):
        found = access.granted(closed, known)
        assert found.roles == () and found.scope == Scope() and not found.is_named


NOW = time.time()
CLAIMS = {
    "is_logged_in": True, "provider": "default", "iss": "i", "sub": "1", "iat": NOW,
    "preferred_username": "ann", "groups": ["a", 5, " b ", ""],
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "changed", "known"),
    [
        ({}, {}, True),
        ({}, {"is_logged_in": False}, False),
        ({}, {"is_logged_in": "true"}, False),
        ({}, {"provider": "other"}, False),
        ({"provider": "other"}, {"provider": "other"}, True),
        ({}, {"iat": NOW - 13 * 3600}, False),
        ({}, {"iat": None}, False),
        ({}, {"preferred_username": ["ann"]}, False),
        ({}, {"preferred_username": ""}, False),
        ({"user_claim": "email"}, {"email": "ann"}, False),
        ({"user_claim": "email"}, {"email": "ann", "email_verified": False}, False),
        ({"user_claim": "email"}, {"email": "ann", "email_verified": True}, True),
    ],
)
def test_who_has_signed_in(settings: dict[str, Any], changed: dict[str, Any], known: bool) -> None:
    found = identity.of_user(AccessSettings(method="oidc", **settings), CLAIMS | changed)
    assert (found is not None) is known
    if found:
        assert (found.name, found.groups) == ("ann", ("a", "b"))
        other = identity.of_user(
            AccessSettings(method="oidc", **settings), CLAIMS | changed | {"sub": "2"}
        )
        assert other and other.key != found.key


# --- the middleware ---


def passed(scope: dict[str, Any], **settings: Any) -> list[tuple[bytes, bytes]] | None:
    """Send a request through the middleware; gives the headers that come out, None if refused."""
    seen: list[list[tuple[bytes, bytes]]] = []
    answers: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["headers"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        answers.append(message)

    before = IdentityMiddleware(app, AccessSettings(**HEADER, **settings))
    anyio.run(before, {"type": "http", "path": "/", "method": "GET"} | scope, receive, send)
    assert seen or answers[0]["status"] == 403
    return seen[0] if seen else None


SENT = [(b"X-Remote-User", b"ann"), (b"x-remote-groups", b"a, b,,"), (b"Accept", b"*/*")]


@pytest.mark.parametrize(
    ("client", "server", "trusted", "through"),
    [
        (("127.0.0.1", 5), ("127.0.0.1", 80), ["loopback"], True),
        (("127.8.9.1", 5), ("127.0.0.1", 80), ["loopback"], True),
        (("::1", 5), ("::1", 80), ["loopback"], True),
        (("::ffff:127.0.0.1", 5), ("::", 80), ["loopback"], True),
        (("127.0.0.1", 5), ("127.0.0.1", 80), ["unix"], False),
        (None, ("/run/pychart.sock", None), ["unix"], True),
        (None, ("/run/pychart.sock", None), ["loopback"], False),
        (None, ("0.0.0.0", 80), ["unix", "loopback"], False),  # it has hung up already
        (None, None, ["unix", "loopback"], False),
        (("10.0.0.7", 5), ("10.0.0.1", 80), ["unix", "loopback"], False),
        (("::ffff:10.0.0.7", 5), ("::", 80), ["unix", "loopback"], False),
        (("localhost", 5), ("::", 80), ["unix", "loopback"], False),
        (("", 5), ("::", 80), ["unix", "loopback"], False),
    ],
)
def test_a_header_counts_from_this_machine_alone(
    client: tuple[str, int] | None, server: Any, trusted: list[str], through: bool
) -> None:
    peer = {"client": client, "server": server}
    found = passed(peer | {"headers": SENT}, trusted_peers=trusted)
    assert (found is not None) is through
    if found:
        told = (b"x-pychart-identity", b'["ann", ["a", "b"]]')
        assert found == [(b"Accept", b"*/*"), told]
    # without the header anybody may ask, as nobody
    assert passed(peer | {"headers": SENT[2:]}, trusted_peers=trusted) == SENT[2:]


@pytest.mark.parametrize("value", [b"ann\x07", b"ann\tx", b"\xc3\xa9", b"ann\x7f"])
def test_a_header_is_plain_ascii(value: bytes) -> None:
    peer = {"client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80)}
    assert passed(peer | {"headers": [(b"x-remote-user", value)]}) is None


def test_a_connection_ends_when_one_must_sign_in_again() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep(60)
        finally:
            ended.append(scope["type"])

    before = IdentityMiddleware(app, AccessSettings(**HEADER, session_hours=0.1 / 3600))
    began = time.monotonic()
    anyio.run(before, {"type": "websocket", "headers": [], "path": "/"}, None, None)
    assert ended == ["websocket"] and time.monotonic() - began < 10


# --- pseudonyms ---


def test_one_name_has_one_word_and_one_word_one_name(tmp_path: Path) -> None:
    settings = Settings(database=f"chdb://{tmp_path}/db", state_directory=tmp_path)
    key = pseudonyms.key_of(settings)
    assert pseudonyms.key_of(settings) == key
    assert (tmp_path / pseudonyms.KEY_FILE).stat().st_mode & 0o777 == 0o600
    names = [f"user{number}" for number in range(30_000)]
    words = pseudonyms.words_of(key, "user", [*names, "", "NONE"])
    assert len(set(words.values())) == len(names) == len(words)
    assert all(re.fullmatch("user-[a-z2-7]{7,}", word) for word in words.values())
    assert words != pseudonyms.words_of(b"another key of 16 bytes", "user", names)
    few = pseudonyms.Words(key, "user", {name: words[name] for name in names[:10]})
    assert [few.name(few.word(name)) for name in names[:10]] == names[:10]
    assert few.asked(names[11]) == few.asked("nobody") == "user-unknown"
    assert few.name(words[names[11]]) not in names
    assert pseudonyms.words_of(key, "group", ["user1"])["user1"] != words["user1"]


def test_words_that_begin_alike_are_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "LETTERS", 1)
    names = [f"user{number}" for number in range(500)]
    words = pseudonyms.words_of(b"k" * 16, "user", names)
    assert len(set(words.values())) == 500 and max(map(len, words.values())) < len("user-") + 8
    for word in words.values():
        assert not any(other != word and other.startswith(word) for other in words.values())


def test_a_key_that_cannot_be_read_or_is_short_is_refused(tmp_path: Path) -> None:
    for file, said in ((tmp_path / "none", "No such file"), (tmp_path / "short", "fewer than 16")):
        (tmp_path / "short").write_text("short\n")
        with pytest.raises(ConfigError, match=said):
            pseudonyms.key_of(Settings(pseudonym_key_file=file))
