"""Who somebody is and which role follows: settings, names, headers, pseudonyms, the audit log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clickhouse.errors import ConfigError
from clickhouse.roles import AccessSettings
from clickhouse.settings import load_settings

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
