"""The `[access]` section of the settings: how people are known, and whose jobs each may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from clickhouse.models import Name, Strict
from clickhouse.scope import Scope

PEERS = ("loopback", "unix")
# Printable ASCII without separators: no two of these look alike but for case, and none is split.
_IDENTITY = re.compile(r"[A-Za-z0-9._@+=/|:-]{1,200}")
_LOGIN = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HEADER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _peer(peer: str) -> str:
    if peer not in PEERS:
        raise ValueError(
            f"{peer!r} cannot be trusted with a header: a proxy is on this machine,"
            f" {' or '.join(PEERS)}"
        )
    return peer


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name!r} is no header name of letters, digits and single hyphens")
    return name


def _domain(name: str) -> str:
    if name and not _DOMAIN.fullmatch(name):
        raise ValueError(f"{name!r} is no domain: univ.fr")
    return name.lower()


def _login(name: str) -> str:
    if not _LOGIN.fullmatch(name):
        raise ValueError(f"{name!r} is no login of ASCII letters, digits and . _ -")
    return name


Header = Annotated[str, AfterValidator(_header)]
Login = Annotated[str, AfterValidator(_login)]


class AdminSettings(Strict):
    """Who sees everything."""

    users: tuple[Login, ...] = ()
    token_groups: tuple[Name, ...] = ()


class _Appointed(Strict):
    logins: tuple[Login, ...] = ()  # who has the role; without these it is the one it is called by
    token_groups: tuple[Name, ...] = ()  # groups in the token whose members have the role

    def is_held(self, name: str, login: str, groups: frozenset[str]) -> bool:
        """Tell whether somebody has the role that is called `name`."""
        is_named = bool(login) and login in self.holders(name)
        return is_named or not groups.isdisjoint(self.token_groups)

    def holders(self, name: str) -> tuple[str, ...]:
        """List who has the role that is called `name`, as far as they are named."""
        return self.logins if self.logins or self.token_groups else (name,)


class PiSettings(_Appointed):
    """Who sees the jobs of some users and groups beside the own ones."""

    users: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()


class CorrespondentSettings(_Appointed):
    """Who sees the jobs of the groups, metagroups and projects that he answers for."""

    groups: tuple[Name, ...] = ()
    metagroups: tuple[Name, ...] = ()
    projects: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Appointed:
    """The roles that somebody has been given."""

    login: str
    pis: tuple[PiSettings, ...]
    correspondents: tuple[CorrespondentSettings, ...]

    @property
    def scope(self) -> Scope:
        """Whose jobs these roles show: the own ones, and those of any of them."""
        own = [self.login] if self.login else []
        return Scope(
            users=_each_once(own, *(p.users for p in self.pis)),
            groups=_each_once(
                *(p.groups for p in self.pis), *(c.groups for c in self.correspondents)
            ),
            metagroups=_each_once(*(c.metagroups for c in self.correspondents)),
            projects=_each_once(*(c.projects for c in self.correspondents)),
        )


def _each_once(*names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in names for name in some))


class AccessSettings(Strict):
    """Who people are, and what each may see; without this section everybody sees everything."""

    method: Literal["oidc", "header"]
    # of a proxy that has asked who somebody is
    user_header: Header = "X-Remote-User"
    groups_header: Header = "X-Remote-Groups"
    groups_separator: str = Field(default=",", min_length=1, max_length=1)
    trusted_peers: tuple[Annotated[str, AfterValidator(_peer)], ...] = PEERS
    sign_out_url: str = ""  # of the proxy
    # of an OpenID Connect provider, which Streamlit's secrets.toml describes
    secrets_file: Path | None = None  # where that is not .streamlit/secrets.toml
    provider: str = ""  # its section there; '' is [auth] itself
    user_claim: Name = "preferred_username"
    groups_claim: Name = "groups"
    session_hours: float = Field(default=12, gt=0, le=720)  # then one signs in again
    # from an identity to a user of the scheduler
    domain: Annotated[str, AfterValidator(_domain)] = ""  # alice@DOMAIN is the user alice
    lower_case: bool = False  # Alice is the user alice
    logins: dict[Name, Login] = {}  # identities that have another name at the scheduler
    # roles; everybody else with an identity sees the own jobs
    admins: AdminSettings = AdminSettings()
    pis: dict[Name, PiSettings] = {}
    correspondents: dict[Name, CorrespondentSettings] = {}
    public: bool = False  # totals without names for those without an identity
    # who asked what for whom
    audit: Path | None = None
    audit_required: bool = False  # without its line in the log no question is answered

    @model_validator(mode="after")
    def _consistent(self) -> AccessSettings:
        if self.method == "header" and not self.trusted_peers:
            raise ValueError("trusted_peers: who may say in a header who somebody is?")
        if self.user_header.lower() == self.groups_header.lower():
            raise ValueError("user_header and groups_header are the same")
        if self.sign_out_url and not re.match(r"https?://|/", self.sign_out_url):
            raise ValueError(f"sign_out_url: {self.sign_out_url!r} is no address: /…, https://…")
        if self.audit_required and self.audit is None:
            raise ValueError("audit_required needs audit, the file")
        for name, login in self.logins.items():
            if not _IDENTITY.fullmatch(name):
                raise ValueError(f"logins: {name!r} is no identity of ASCII letters")
            if self.lower_case and name != name.lower():
                raise ValueError(f"logins: {name!r} is never met: lower_case is on")
            if self.lower_case and login != login.lower() and login.lower() in self.logins.values():
                raise ValueError(f"logins: {login!r} and {login.lower()!r} differ by case alone")
        for kind, appointed in (("pis", self.pis), ("correspondents", self.correspondents)):
            for name, role in appointed.items():
                if not (role.logins or role.token_groups) and not _LOGIN.fullmatch(name):
                    raise ValueError(f"{kind}: {name!r} is no login; say `logins` who has the role")
        return self

    def login(self, identity: str) -> str:
        """Give the scheduler's user of an identity, '' for one that stands for none.

        No two identities have one login by chance: what is not ASCII, has another domain or none
        where one is asked for, or comes by rule to a login that `logins` gives to someone else,
        stands for nobody. `lower_case` says that whoever names people does not tell case apart.
        """
        if not _IDENTITY.fullmatch(identity):
            return ""
        known = identity.lower() if self.lower_case else identity
        if known in self.logins:
            return self.logins[known]
        if self.domain:
            known, at, domain = known.rpartition("@")
            if not at or domain.lower() != self.domain:
                return ""
        return known if _LOGIN.fullmatch(known) and known not in self.logins.values() else ""

    def appointed(self, login: str, groups: Iterable[str] = ()) -> Appointed:
        """Give the roles of a user of the scheduler who is in these groups of the token."""
        known = frozenset(groups)
        pis = (p for name, p in self.pis.items() if p.is_held(name, login, known))
        found = (c for name, c in self.correspondents.items() if c.is_held(name, login, known))
        return Appointed(login, tuple(pis), tuple(found))

    def scopes(self) -> tuple[Scope, ...]:
        """List what those see who are named as having a role, and see more than the own jobs.

        Who has a role by a group in the token is known only once they sign in.
        """
        roles = [*self.pis.items(), *self.correspondents.items()]
        logins = (login for name, role in roles for login in role.holders(name))
        found = (self.appointed(login).scope for login in dict.fromkeys(logins))
        return tuple(dict.fromkeys(found))
