"""Who is looking, and whose jobs they may see: asked anew at each question, never remembered.

What a browser can send has no part in it: the identity comes from the connection (`identity.py`),
the roles from the settings, whose edits count within a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from clickhouse.errors import ConfigError, QuestionError
from clickhouse.roles import AccessSettings
from clickhouse.scope import Scope
from clickhouse.settings import Settings
from streamlit_app import identity
from streamlit_app.i18n import mark
from streamlit_app.identity import Identity
from streamlit_app.warehouse import file_state, holder

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1.0  # between two looks at the settings file
MOST_KNOWN = 10_000  # people whose roles are remembered
ADMIN, PI, CORRESPONDENT, USER, PUBLIC = "admin", "pi", "correspondent", "user", "public"
# What the roles are called.
ROLES = {
    ADMIN: mark("administrator"),
    PI: mark("principal investigator"),
    CORRESPONDENT: mark("correspondent"),
    USER: mark("user"),
    PUBLIC: mark("public"),
}


@dataclass(frozen=True)
class Viewer:
    """Somebody who looks: whose jobs they see follows from the roles, and is in the scope.

    Without `roles` there is nothing to see; None as scope is everything.
    """

    name: str = ""  # of the identity, '' where there is none
    key: str = ""  # tells two identities apart
    login: str = ""  # at the scheduler
    groups: tuple[str, ...] = ()  # in the token
    roles: tuple[str, ...] = ()
    scope: Scope | None = Scope()

    @property
    def is_admin(self) -> bool:
        """Tell whether everything may be seen."""
        return self.scope is None

    @property
    def is_named(self) -> bool:
        """Tell whether names may be seen, be it only the own one."""
        return bool(self.roles) and (self.scope is None or not self.scope.public)


EVERYTHING = Viewer(roles=(ADMIN,), scope=None)  # where no roles are set, and on the command line


class Rules:
    """The `[access]` section as it is now; an edit that cannot be taken in changes nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Settings | None = None
        self._access: AccessSettings | None = None
        self._state = (0, 0)
        self._looked = 0.0
        self._granted: dict[Identity | None, Viewer] = {}

    def granted(self, access: AccessSettings, known: Identity | None) -> Viewer:
        """Give the roles of somebody; worked out once for each version of the settings."""
        with self._lock:
            found = self._granted.get(known) if access is self._access else None
        if found is None:
            found = granted(access, known)
            with self._lock:
                if access is self._access and len(self._granted) < MOST_KNOWN:
                    self._granted[known] = found
        return found

    def current(self) -> AccessSettings | None:
        """Give the section, None where there are no roles."""
        settings = holder.configured
        with self._lock:
            if settings is not self._of:
                self._of, self._access, self._granted = settings, settings.access, {}
                self._state, self._looked = file_state(settings.file), time.monotonic()
            elif time.monotonic() - self._looked > LOOK_SECONDS:
                self._looked = time.monotonic()
                self._take_in(settings)
            return self._access

    def _take_in(self, settings: Settings) -> None:
        state = file_state(settings.file)
        if state == self._state:
            return
        try:
            found = settings.reread().access
        except ConfigError as error:
            LOG.error("%s; the roles stay as they were", error)
            self._state = state
            return
        if _way(found) != _way(self._access):
            LOG.error("[access]: how people are known changes at the next start, not before")
            self._state = state
            return
        self._access, self._state, self._granted = found, state, {}


def _way(access: AccessSettings | None) -> tuple[object, ...]:
    """Say what the running middleware was built with."""
    if access is None:
        return ()
    names = (access.user_header, access.groups_header, access.groups_separator)
    return (access.method, names, access.trusted_peers, access.session_hours, access.provider)


rules = Rules()
_acting: ContextVar[Viewer | None] = ContextVar("viewer", default=None)


def viewer() -> Viewer:
    """Say who looks at the page that is being made.

    Outside of a page it must have been said with `acting_for`; raises `QuestionError` where not.
    """
    if acting := _acting.get():
        return acting
    access = rules.current()
    if access is None:
        return EVERYTHING
    if get_script_run_ctx(suppress_warning=True) is None:
        raise QuestionError("nobody is known who asks")
    return rules.granted(access, identity.of_session(access))


def has_public() -> bool:
    """Tell whether there are totals for everybody."""
    access = rules.current()
    return access is not None and access.public


@contextmanager
def acting_for(someone: Viewer) -> Iterator[None]:
    """Ask for somebody where there is no session: on the command line, in a download."""
    token = _acting.set(someone)
    try:
        yield
    finally:
        _acting.reset(token)


def as_public() -> Viewer:
    """Give the viewer as one of the public; raises `QuestionError` where that sees nothing."""
    if not has_public():
        raise QuestionError("there are no totals for the public here")
    return replace(viewer(), roles=(PUBLIC,), scope=Scope(public=True))


def still(someone: Viewer) -> bool:
    """Tell whether somebody may see what they may have seen a while ago: a file is made later."""
    access = rules.current()
    if access is None or _acting.get():
        return True
    if someone.scope is not None and someone.scope.public:
        return access.public
    known = Identity(someone.name, someone.groups, someone.key) if someone.key else None
    return granted(access, known).scope == someone.scope


def granted(access: AccessSettings, known: Identity | None) -> Viewer:
    """Give the roles of somebody, and all that any of them shows."""
    who = Viewer()
    if known is not None:
        who = Viewer(known.name, known.key, access.login(known.name), known.groups)
        if _is_admin(access, who):
            return replace(who, roles=(ADMIN,), scope=None)
        if (found := _appointed(access, who)).roles:
            return found
    return replace(who, roles=(PUBLIC,), scope=Scope(public=True)) if access.public else who


def _is_admin(access: AccessSettings, who: Viewer) -> bool:
    named = bool(who.login) and who.login in access.admins.users
    return named or not set(who.groups).isdisjoint(access.admins.token_groups)


def _appointed(access: AccessSettings, who: Viewer) -> Viewer:
    found = access.appointed(who.login, who.groups)
    held = {USER: who.login, PI: found.pis, CORRESPONDENT: found.correspondents}
    return replace(who, roles=tuple(role for role, has in held.items() if has), scope=found.scope)
