"""One TOML file says where the database is and what the clusters are; it is read once and checked.

Any key can be given by an environment variable instead, its path joined by two underscores:
`PYCHART_DATABASE`, `PYCHART_CLUSTERS__E5__TIMEZONE` (lists and tables as JSON).
"""

from __future__ import annotations

import os
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from clickhouse.errors import ConfigError
from clickhouse.models import Name
from clickhouse.models import Strict as _Strict
from clickhouse.roles import AccessSettings

DEFAULT_FILE = Path("pychart.toml")
PASSWORD_SEEN = (
    "a password on the command line is seen by everybody on this machine; it belongs in"
    " database_password_file or $PYCHART_DATABASE_PASSWORD"
)
DEFAULT_DATABASE = "chdb://pychart-data"
DEFAULT_CLUSTER = "default"
FIRST_DAY, NO_END = date(1970, 1, 1), date(2149, 6, 6)  # that ClickHouse's Date has


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone") from None
    return name


def _database(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("chdb", "http", "https"):
        raise ValueError(f"{url!r} must start with chdb://, http:// or https://")
    if parts.scheme == "chdb" and not url.removeprefix("chdb://"):
        raise ValueError(f"{url!r} names no folder: chdb:///path/to/folder")
    if parts.scheme != "chdb":
        _server_address(url)
    return url


def _server_address(url: str) -> None:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r} has a port that is no number from 1 to 65535") from None
    if not parts.hostname or port == 0:
        raise ValueError(f"{url!r} names no host: http://user@host:8123/pychart")
    if not re.fullmatch(r"/?|/[A-Za-z_][A-Za-z0-9_]*/?", parts.path):
        raise ValueError(f"{url!r} has a path that is no database name")


def without_password(url: str) -> tuple[str, str]:
    """Take the password out of an address, whatever characters it has: the address, and it."""
    found = re.fullmatch(r"(\w+://[^:@/]*):(.*)(@[^@]*)", url, re.DOTALL)
    return (found[1] + found[3], unquote(found[2])) if found else (url, "")


def _pattern(pattern: str) -> str:
    if not pattern:
        raise ValueError("a pattern cannot be empty")
    return pattern


def _day(day: date) -> date:
    if not FIRST_DAY <= day <= NO_END:
        raise ValueError(f"{day} is not from {FIRST_DAY} to {NO_END}")
    return day


Pattern = Annotated[str, AfterValidator(_pattern)]
Day = Annotated[date, AfterValidator(_day)]


class SubClusterSettings(_Strict):
    """Some machines of a cluster: the lines whose host or queue matches a pattern, with * and ?."""

    hosts: tuple[Pattern, ...] = ()
    queues: tuple[Pattern, ...] = ()

    @model_validator(mode="after")
    def _any_pattern(self) -> SubClusterSettings:
        if not self.hosts and not self.queues:
            raise ValueError("needs patterns of hosts or queues")
        return self


class Member(_Strict):
    """A user or a group in a metagroup, perhaps for a time, in part, or on some clusters only."""

    user: Name | None = None
    group: Name | None = None
    since: Day = FIRST_DAY
    until: Day = NO_END  # the first day on which it is none any more
    share: float = Field(default=1, gt=0, le=1)  # of its usage that counts here
    clusters: tuple[str, ...] = ()  # none means those of the metagroup

    @model_validator(mode="after")
    def _possible(self) -> Member:
        if (self.user is None) == (self.group is None):
            raise ValueError("needs either a user or a group")
        if self.since >= self.until:
            raise ValueError(f"since {self.since} is not before until {self.until}")
        return self

    @property
    def kind(self) -> str:
        """`user` or `group`."""
        return "user" if self.group is None else "group"

    @property
    def name(self) -> str:
        """Name of the user or the group."""
        return self.user or self.group or ""

    def meets(self, other: Member) -> bool:
        """Tell whether both say something of the same lines."""
        return (
            (self.kind, self.name) == (other.kind, other.name)
            and max(self.since, other.since) < min(self.until, other.until)
            and (
                not self.clusters
                or not other.clusters
                or bool({*self.clusters} & {*other.clusters})
            )
        )


class MetagroupSettings(_Strict):
    """A laboratory, a faculty: users and groups, which can be in several metagroups."""

    groups: tuple[Name, ...] = ()
    users: tuple[Name, ...] = ()
    members: tuple[Member, ...] = ()  # those with a date, a share or clusters of their own
    clusters: tuple[str, ...] = ()  # on which all of it applies; none means all

    @model_validator(mode="after")
    def _each_once(self) -> MetagroupSettings:
        seen: dict[tuple[str, str], list[Member]] = {}
        for member in self.entries:
            before = seen.setdefault((member.kind, member.name), [])
            if any(member.meets(other) for other in before):
                raise ValueError(f"{member.kind} {member.name!r} is there twice at the same time")
            before.append(member)
        return self

    @property
    def entries(self) -> tuple[Member, ...]:
        """All members in one form."""
        return (
            *(Member(group=name, clusters=self.clusters) for name in self.groups),
            *(Member(user=name, clusters=self.clusters) for name in self.users),
            *(
                member if member.clusters else member.model_copy(update={"clusters": self.clusters})
                for member in self.members
            ),
        )


class CoreSettings(_Strict):
    """How many cores there are, for use against capacity; 0 or no entry = not known."""

    total: int = Field(default=0, ge=0)  # of the cluster
    queues: dict[Pattern, Annotated[int, Field(gt=0)]] = {}  # of a queue; the first match decides
    nodes: dict[Pattern, Annotated[int, Field(gt=0)]] = {}  # of a node; the first match decides


class ClusterSettings(_Strict):
    """One cluster: where its accounting is and what its names mean."""

    timezone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    files: tuple[str, ...] = ()  # globs; rotated and compressed ones belong to the family
    # PE name, with * and ?, to class; the first that matches decides
    pe_classes: dict[Pattern, Literal["single-node", "multi-node"]] = {}
    sub_clusters: dict[Name, SubClusterSettings] = {}  # the first that matches decides
    # what there is, so that lists of what was never used name it; lines may have others
    queues: tuple[Name, ...] = ()
    nodes: tuple[Name, ...] = ()
    largest_node: int = Field(default=0, ge=0)  # cores of the largest node; 0 = not known
    cores: CoreSettings = CoreSettings()
    maxvmem_cap: float = Field(default=2.0**50, gt=0)  # bytes; a larger maxvmem is a broken counter


class TlsSettings(_Strict):
    """How a server of `https://` is known; it always has to show a certificate that is right."""

    ca_file: Path | None = None  # who signed it, PEM; None = those that this machine trusts
    server_name: str = ""  # in the certificate, where it is not that of the URL
    certificate: Path | None = None  # of this client, PEM, where the server wants one
    key: Path | None = None  # of that certificate


class Settings(BaseSettings):
    """What one installation is set to; `load_settings` reads it."""

    model_config = SettingsConfigDict(
        env_prefix="PYCHART_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    database: Annotated[str, AfterValidator(_database)] = DEFAULT_DATABASE
    database_password: SecretStr | None = None
    database_password_file: Path | None = None
    database_tls: TlsSettings = TlsSettings()
    # of a ClickHouse cluster: http://host:8123 of each server; none = at the port of `database`
    database_hosts: tuple[Annotated[str, AfterValidator(_database)], ...] = ()
    allowed_hosts: tuple[Name, ...] = ()  # by which the app may be asked; none = this machine's
    clusters: dict[str, ClusterSettings] = {}
    metagroups: dict[Name, MetagroupSettings] = {}
    academic_year_starts: int = Field(default=9, ge=2, le=12)  # the month
    poll_seconds: float = Field(default=5.0, gt=0, le=3600)  # between two looks at followed files
    query_seconds: int = Field(default=60, gt=0)  # after which a question is given up
    metrics_port: int = Field(default=0, ge=0, le=65535)  # of the daemon, on the loopback; 0 = none
    state_directory: Path | None = None  # of the daemon: locks, and what it says of itself
    pseudonym_key_file: Path | None = None  # else one is made, and kept in the state directory
    access: AccessSettings | None = None  # who may see what; None = everybody everything
    _file: Path | None = PrivateAttr(default=None)
    _database: str | None = PrivateAttr(default=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, which arrives as arguments."""
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _password_apart(cls, given: object) -> object:
        """Keep the password of an address where no one prints it; all servers have the same one."""
        if not isinstance(given, dict):
            return given
        found, apart = [], dict(given)
        if isinstance(given.get("database"), str):
            apart["database"], password = without_password(given["database"])
            found.append(password)
        if isinstance(given.get("database_hosts"), list | tuple):
            hosts = [without_password(str(host)) for host in given["database_hosts"]]
            apart["database_hosts"] = tuple(host for host, _ in hosts)
            found += [password for _, password in hosts]
        known = next(filter(None, found), None)
        return ({"database_password": known} if known else {}) | apart

    @model_validator(mode="after")
    def _known_clusters(self) -> Settings:
        known = {*self.clusters, DEFAULT_CLUSTER}
        for name, metagroup in self.metagroups.items():
            for cluster in (c for member in metagroup.entries for c in member.clusters):
                if cluster not in known:
                    raise ValueError(f"metagroups.{name}.clusters: there is no cluster {cluster!r}")
        return self

    def cluster(self, name: str) -> ClusterSettings:
        """Give the settings of one cluster, the defaults where it is not configured."""
        return self.clusters.get(name, ClusterSettings())

    @property
    def describes_site(self) -> bool:
        """Whether these settings say anything that is in the views, or come from a file."""
        says_year = "academic_year_starts" in self.model_fields_set
        return bool(self.clusters or self.metagroups or says_year or self._file)

    @property
    def file(self) -> Path | None:
        """Where these settings were read from; None where there was no file."""
        return self._file

    def reread(self) -> Settings:
        """Read the same file again, as it is now."""
        return load_settings(self._file, self._database)

    def password(self) -> str:
        """Read the database password, from its file if one is named; empty where there is none."""
        if self.database_password_file:
            try:
                return self.database_password_file.read_text().rstrip("\n")
            except OSError as error:
                raise ConfigError(
                    f"database_password_file: {self.database_password_file}: {error.strerror}"
                ) from error
        return self.database_password.get_secret_value() if self.database_password else ""


def load_settings(file: Path | None = None, database: str | None = None) -> Settings:
    """Read `file`, else $PYCHART_CONFIG, else ./pychart.toml if it is there; `database` wins."""
    named = file or (Path(os.environ["PYCHART_CONFIG"]) if "PYCHART_CONFIG" in os.environ else None)
    path = named or DEFAULT_FILE
    content = _read(path) if named or path.exists() else {}
    try:
        settings = Settings(**content)
        if database is not None:
            if without_password(database)[1]:
                raise ValueError(PASSWORD_SEEN)
            settings = settings.model_copy(update={"database": _database(database)})
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error)}") from None
    except ValueError as error:
        raise ConfigError(f"--database: {error}") from None
    settings._file = path.absolute() if named or path.exists() else None
    settings._database = database
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"{place}: no such setting"
    text = str(fault["msg"]).removeprefix("Value error, ")
    given = fault["input"]
    secret = isinstance(given, dict) or place.startswith("database_password")
    shown = "" if secret or repr(given) in text else f", not {given!r}"
    return f"{place}: {text}{shown}" if place else text
