"""What somebody who means harm tries, with roles on: no row beyond the scope, no stop for others.

One running app meets the whole table. The attacker is `mallory`, an ordinary user behind the proxy
(which is this machine), somebody without an identity, or another machine. After each attempt nothing
that came back may tell of anybody else's jobs, and another person is answered. `docs/security.md`
has the same table; `python -m tests.test_hostile` writes it anew.
"""
# ruff: noqa: E501 - a table, an attempt on each line

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from streamlit_app.connections import MOST_CONNECTIONS, MOST_MESSAGE_BYTES, REQUEST_SECONDS
from streamlit_app.exports import write_csv
from streamlit_app.protection import MOST_SESSIONS_PER_ADDRESS
from tests import guarded
from tests.conftest import missing
from tests.server import free_port
from tests.sessions import Session

SECURITY = Path(__file__).parent.parent / "docs" / "security.md"
USER = "X-Remote-User"
SELF, OTHERS = "malloryzz", ("annzz", "bobzz", "cidzz", "chiefzz")
# In data, but not in what the attacker writes, so that an echo is no leak.
TRACES = [
    f"{name}-{what}".encode() for name in OTHERS for what in ("job", "group", "project", "dept")
]
NO_JOBS = b"No executed job matches these filters."


class Hasty(Session):
    """A connection that does not wait for the answers that it leaves unread."""

    def __enter__(self) -> Session:
        super().__enter__()
        self.connection.close_timeout = 0.1
        return self


@dataclass
class Target:
    """The app as it can be reached: from this machine, and from another."""

    port: int
    address: str  # of this machine, as others see it
    folder: Path
    process: subprocess.Popen[str]
    heard: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, request: bytes, far: bool = False, seconds: float = 10) -> bytes:
        """Send bytes and give what comes back."""
        place = self.address if far else "127.0.0.1"
        with socket.create_connection((place, self.port), timeout=seconds) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            answer = b""
            with suppress(ConnectionResetError):
                while got := connection.recv(65536):
                    answer += got
        self.heard.append(answer)
        return answer

    def get(self, path: str, *headers: str, far: bool = False, method: str = "GET") -> int:
        """Ask for a path and give the status."""
        host = (
            ()
            if any(each.lower().startswith("host:") for each in headers)
            else ("Host: 127.0.0.1",)
        )
        ends = "Upgrade" if "Upgrade: websocket" in headers else "close"
        lines = [f"{method} {path} HTTP/1.1", *host, *headers, f"Connection: {ends}", "", ""]
        answer = self.raw("\r\n".join(lines).encode("latin-1"), far)
        return int(answer.split(b" ", 2)[1]) if answer else 0

    def session(
        self, *headers: tuple[str, str], user: str = SELF, far: bool = False, resume: str = ""
    ) -> Session:
        named = [(USER, user)] if user else []
        place = f"http://{self.address if far else '127.0.0.1'}:{self.port}"
        return Hasty(place, [*named, *headers], resume)

    def upgrade(self, *headers: str, far: bool = False) -> int:
        """Ask for a websocket and give the status."""
        return self.get(
            "/_stcore/stream", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *headers, far=far,
        )  # fmt: skip

    def page(self, page: str, query: str = "", user: str = SELF) -> bytes:
        """Open a page as somebody; what the attacker gets is remembered."""
        with self.session(user=user) as session:
            content = session.run(query, page)
        if user == SELF:
            for echo in (trace for trace in TRACES if trace in query.encode()):
                content = content.replace(echo, b"")
            self.heard.append(content)
        return content

    def sql(self, statement: str) -> bytes:
        """Run a statement on the page SQL, as people do: write it and press Run."""
        with self.session() as session:
            content = session.run("", "sql")
            ids = {name: _widget(content, name) for name in ("pick_sql", "sql_run")}
            state = [WidgetState(id=ids["pick_sql"], string_value=statement)]
            content = _rerun(
                session, "sql", [*state, WidgetState(id=ids["sql_run"], trigger_value=True)]
            )
            deadline = time.monotonic() + 20
            while b"sql_stop" in content and time.monotonic() < deadline:
                time.sleep(0.2)
                content = _rerun(session, "sql", state)
        self.heard.append(content)
        return content

    def is_well(self) -> bool:
        """Tell whether another person gets the own jobs, in good time."""
        began = time.monotonic()
        content = self.page("users", user="annzz")
        return self.process.poll() is None and b"annzz" in content and time.monotonic() - began < 10


def _widget(content: bytes, key: str) -> str:
    found = re.search(rb"\$\$ID-[0-9a-f]+-" + key.encode(), content)
    assert found, key
    return found[0].decode()


def _rerun(session: Session, page: str, states: list[WidgetState], query: str = "") -> bytes:
    message = BackMsg()
    message.rerun_script.query_string = query
    message.rerun_script.page_name = page
    message.rerun_script.widget_states.widgets.extend(states)
    session.connection.send(message.SerializeToString())
    content = b""
    while True:
        got = session.connection.recv(timeout=30)
        assert isinstance(got, bytes)
        content += got
        answer = ForwardMsg()
        answer.ParseFromString(got)
        if answer.WhichOneof("type") == "script_finished":
            return content


# --- attempts: each tells whether it was repelled as the table says ---


def refused_sql(statement: str, words: str = "is not for this page") -> Callable[[Target], bool]:
    return lambda target: words.encode() in target.sql(statement)


def statuses(*expected: int, **how: object) -> Callable[[Target], bool]:
    def attempt(target: Target) -> bool:
        asked = dict(how)
        paths = asked.pop("paths", ("/",))
        headers = asked.pop("headers", ())
        found = {target.get(path, *headers, **asked) for path in paths}  # type: ignore
        return found <= set(expected)

    return attempt


def upgrades(expected: int, *headers: str, far: bool = False) -> Callable[[Target], bool]:
    return lambda target: target.upgrade(*headers, far=far) == expected


def shows_nothing(page: str, query: str) -> Callable[[Target], bool]:
    """The page comes, and what was asked for is not there."""
    return lambda target: NO_JOBS in target.page(page, query)


def shows_own(page: str, query: str) -> Callable[[Target], bool]:
    """The page comes as ever; nothing foreign in it is checked for all."""
    return lambda target: bool(target.page(page, query))


def nobody_sees_nothing(target: Target) -> bool:
    with target.session(user="") as session:
        content = b"".join(session.run("", page) for page in ("", "users", "sql", "data", "jobs"))
    target.heard.append(content)
    return SELF.encode() not in content


def lookalikes(target: Target) -> bool:
    names = (
        "Chiefzz",
        "chiefzz@evil.example",
        "chiefzz,malloryzz",
        "chiefzz%00",
        "*",
        "%",
        "root",
        "admin",
    )
    for name in names:
        with target.session(user=name) as session:
            content = session.run("", "users")
        target.heard.append(content.replace(name.encode(), b""))
    return True


def another_session(target: Target) -> bool:
    with target.session(user="annzz") as session:
        session.run("", "users")
        taken = session.id
    with target.session(resume=taken) as session:
        content = session.run("", "users")
        target.heard.append(content)
        return session.id != taken


def _offered(session: Session, page: str) -> dict[str, str]:
    """Downloads of a page, once its answers have come."""
    for _ in range(20):
        session.run("", page)
        if offered := getattr(session, "offered", {}):
            return dict(offered)
        time.sleep(0.5)
    return {}


def another_file(target: Target) -> bool:
    """Ann's report, asked for by mallory, by nobody and by ann."""
    with target.session(user="annzz") as session:
        path = session.make(_offered(session, "report")["Download the report"])
        named = {
            who: target.get(path, *([f"{USER}: {who}"] if who else []))
            for who in ("annzz", SELF, "")
        }
        target.heard.pop(-3)  # ann's own
    return named == {"annzz": 200, SELF: 404, "": 404}


def foreign_widgets(target: Target) -> bool:
    """Values that no widget of the page offers, of the right kind and of wrong ones."""
    with target.session() as session:
        content = session.run("", "users")
        ids = {found.decode() for found in re.findall(rb"\$\$ID-[0-9a-f]+-[\w-]+", content)}
        for number, state in enumerate(
            (
                {"string_value": "annzz"}, {"int_value": 10**9}, {"double_value": 1e308},
                {"bool_value": True}, {"json_value": '{"selection": {"rows": [99999]}}'},
                {"bytes_value": b"\xff" * 100}, {"trigger_value": True},
            )
        ):  # fmt: skip
            states = [WidgetState(id=each, **state) for each in ids]  # type: ignore[arg-type]
            target.heard.append(_rerun(session, "users", states))
            lists = [WidgetState(id=each) for each in ids]
            for each in lists:
                each.string_array_value.data.extend(["annzz", "bobzz"])
            if not number:
                target.heard.append(_rerun(session, "users", lists))
    return True


def sends(*messages: bytes | str) -> Callable[[Target], bool]:
    """Messages that are none; the connection is closed, or they are passed over."""

    def attempt(target: Target) -> bool:
        for message in messages:
            with suppress(ConnectionClosed), target.session() as session:
                session.connection.send(message)
                while True:
                    got = session.connection.recv(timeout=1.0)
                    target.heard.append(got if isinstance(got, bytes) else got.encode())
        return True

    def quiet(target: Target) -> bool:
        try:
            return attempt(target)
        except TimeoutError:
            return True

    return quiet


def odd_runs(target: Target) -> bool:
    """Pages, fragments and files that are not there."""
    for field_name, value in (
        ("page_name", "../../etc/passwd"), ("page_name", "no\0page"), ("page_name", "x" * 100_000),
        ("page_script_hash", "0" * 32), ("fragment_id", "nobody's"), ("query_string", "%00%ff=%fe&" * 500),
    ):  # fmt: skip
        with suppress(ConnectionClosed), target.session() as session:
            message = BackMsg()
            setattr(message.rerun_script, field_name, value)
            session.connection.send(message.SerializeToString())
            with suppress(TimeoutError):
                got = session.connection.recv(timeout=0.5)
                target.heard.append(got if isinstance(got, bytes) else got.encode())
    return True


def many_connections(target: Target) -> bool:
    """A thousand connections that say nothing; others are answered meanwhile."""
    held = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(1000)]
    try:
        return target.is_well() and target.get("/_stcore/health") == 200
    finally:
        for each in held:
            each.close()


def too_many_connections(target: Target) -> bool:
    """More than there may be: the rest get 503, and when they have gone all is as before."""
    held, refused = [], b""
    try:
        for _ in range(MOST_CONNECTIONS + 20):
            held.append(socket.create_connection(("127.0.0.1", target.port)))
        held[-1].settimeout(10)
        refused = held[-1].recv(1000)
    finally:
        for each in held:
            each.close()
    return refused.startswith(b"HTTP/1.1 503")


def many_sessions(target: Target) -> bool:
    """A thousand open pages from one address: it gets its share, another address its page."""
    held, refused = [], set()
    try:
        for number in range(1000):
            connection = socket.create_connection(("127.0.0.1", target.port), timeout=20)
            held.append(connection)
            connection.sendall(
                b"GET /_stcore/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 198.51.100.7\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"X-Remote-User: malloryzz\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            status = connection.recv(12)
            if number >= MOST_SESSIONS_PER_ADDRESS:
                refused.add(status)
                connection.close()
        return refused == {b"HTTP/1.1 503"} and target.is_well()
    finally:
        for each in held:
            each.close()


def slow_headers(target: Target) -> bool:
    """200 requests that never end; each is closed after some seconds."""
    held = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(200)]
    try:
        began = time.monotonic()
        for each in held:
            each.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        if not target.is_well():
            return False
        while time.monotonic() < began + REQUEST_SECONDS - 1:
            time.sleep(1)
            held[0].sendall(b"X-More: 1\r\n")  # more bytes give no more time
        time.sleep(max(0.0, began + REQUEST_SECONDS + 2 - time.monotonic()))
        for each in held:
            each.settimeout(0.2)
        return all(each.recv(10) == b"" for each in held[1:])
    finally:
        for each in held:
            each.close()


def flood(target: Target) -> bool:
    """A thousand runs asked for at once on one connection."""
    message = BackMsg()
    message.rerun_script.page_name = "users"
    with target.session() as session:
        for _ in range(1000):
            session.connection.send(message.SerializeToString())
        return target.is_well()


def untold(target: Target) -> bool:
    """An error would tell that a row is there, if it were looked at before the scope is."""
    thrown = "throwIf(owner = 'annzz', concat('se', 'en'))"
    asked = [f"SELECT count() FROM records {how} {thrown} = 0" for how in ("WHERE", "PREWHERE")]
    asked += [f"SELECT {thrown} FROM jobs", "SELECT intDiv(1, owner != 'annzz') FROM records"]
    told = [target.sql(statement) for statement in asked]
    own = target.sql("SELECT throwIf(owner = 'malloryzz', concat('se', 'en')) FROM jobs")
    return b"seen" in own and not any(b"seen" in each or b"ivision" in each for each in told)


def audit_lines(target: Target) -> bool:
    """Names that would begin a line of their own in the log."""
    forged = '%0A{"identity": "chiefzz", "kind": "view"}%0D%0A'
    target.page("users", f"user=x{forged}&job={forged}&search={forged}")
    target.sql('SELECT \'\n{"identity": "chiefzz"}\n\' FROM jobs')
    lines = (target.folder / "audit.jsonl").read_text().splitlines()
    return bool(lines) and "chiefzz" not in {json.loads(line)["identity"] for line in lines}


def formulas(_target: Target) -> bool:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "plain", "a=b"]
    text = write_csv(pa.table({"user": names, "jobs": [-1] * len(names)})).decode()
    cells = [row.split(",")[0].strip('"') for row in text.split("\n")[1:-1]]
    return [cell[0] for cell in cells] == ["'"] * 6 + ["p", "a"] and ",-1" in text


def markup(target: Target) -> bool:
    """A job's name with a script in it: in the report, which is a file that one opens, it is text."""
    with target.session() as session:
        path = session.make(_offered(session, "report")["Download the report"])
        headers = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{USER}: {SELF}\r\nConnection: close\r\n\r\n"
        )
        page = target.raw(headers.encode())
    return page.startswith(b"HTTP/1.1 200") and b"<script>alert" not in page


def hidden_names(target: Target) -> bool:
    """Words in the place of names cannot be made by who has no key, and lead back to nobody else."""
    content = target.page("users", "names=hidden")
    if b"malloryzz" in content.replace(b"annzz", b"") and b"user-" not in content:
        return False
    found = {word.decode() for word in re.findall(rb"user-[a-z2-7]{7}", content)}
    guessed = target.page("users", "names=hidden&user=user-aaaaaaa")
    return len(found) == 1 and not any(word.encode() in guessed for word in (SELF, *found))


def heavy(target: Target) -> bool:
    """A statement that would never end, while another person asks."""
    began = time.monotonic()
    content = target.sql(
        "SELECT count() FROM numbers(1000000000000000) WHERE sipHash64(number) = 1"
    )
    return b"longer than 3 s" in content and time.monotonic() - began < 15


@dataclass(frozen=True)
class Attempt:
    """What is tried, what becomes of it, and how."""

    kind: str
    what: str
    outcome: str
    how: Callable[[Target], bool]


GIANT = "SELECT " + "(" * 3000 + "1" + ")" * 3000
ATTEMPTS = [
    Attempt("identity", "identity header from another machine", "403", statuses(403, headers=(f"{USER}: chiefzz",), far=True)),
    Attempt("identity", "the same on the websocket", "403", upgrades(403, f"{USER}: chiefzz", far=True)),
    Attempt("identity", "the same with `X-Forwarded-For: 127.0.0.1`", "403", statuses(403, headers=(f"{USER}: chiefzz", "X-Forwarded-For: 127.0.0.1"), far=True)),
    Attempt("identity", "identity header twice", "403", statuses(403, headers=(f"{USER}: malloryzz", f"{USER}: chiefzz"))),
    Attempt("identity", "identity header with underscores", "403", statuses(403, headers=("X_Remote_User: chiefzz",))),
    Attempt("identity", "groups header from another machine", "403", statuses(403, headers=("X-Remote-Groups: admins",), far=True)),
    Attempt("identity", "the app's own inner header", "403", statuses(403, headers=('X-Pychart-Identity: ["chiefzz", []]',))),
    Attempt("identity", "identity header that is not ASCII", "403", statuses(403, headers=(f"{USER}: chiefzz\xad",))),
    Attempt("identity", "no identity at all, every kind of page", "nothing is shown", nobody_sees_nothing),
    Attempt("identity", "names that look like an administrator's", "nothing foreign", lookalikes),
    Attempt("session", "somebody else's session by its number", "a session of one's own", another_session),
    Attempt("session", "somebody else's download by its address", "404", another_file),
    Attempt("session", "paths under `/media/`", "400 or 404", statuses(400, 404, paths=("/media/" + "0" * 56 + ".csv", "/media/../main.py", "/media/%2e%2e/x", "/media/"), headers=(f"{USER}: malloryzz",))),
    Attempt("address", "`user=` of somebody else", "no job", shows_nothing("users", "user=annzz")),
    Attempt("address", "`group=` and `project=` of somebody else", "no job", shows_nothing("queues", "group=annzz-group&project=annzz-project")),
    Attempt("address", "all but oneself: `not=user:malloryzz`", "no job", shows_nothing("users", "not=user:malloryzz")),
    Attempt("address", "`job=` of somebody else", "nothing foreign", shows_own("jobs", "job=c1%3A105&search=105")),
    Attempt("address", "`search=` for another's name", "nothing foreign", shows_own("jobs", "search=annzz")),
    Attempt("address", "page Explore by user, account and job name", "nothing foreign", shows_own("explore", "metric=jobs&by=user&then=job_name&top=1000")),
    Attempt("address", "rankings of all dimensions", "nothing foreign", shows_own("rankings", "of=account&metric=jobs")),
    Attempt("address", "page Data: files, rejected lines, gaps", "nothing foreign", shows_own("data", "")),
    Attempt("address", "report of somebody else", "nothing foreign", shows_own("report", "user=annzz&sections=users")),
    Attempt("address", "SQL in a name: `' OR 1=1 --`", "no job", shows_nothing("users", "user='%20OR%201%3D1%20--")),
    Attempt("address", "SQL in the names of metric, dimension, order, period", "nothing foreign", shows_own("explore", "metric=jobs)%20FROM%20accounting--&by=owner;DROP&order=1;--&period=';--")),
    Attempt("address", "a period that cannot be, a language that is none", "nothing foreign", shows_own("users", "period=9999-99..0000-00&lang=../../etc")),
    Attempt("address", "10,000 names in the address", "nothing foreign", shows_own("users", "&".join(f"user=u{n}" for n in range(2000)))),
    Attempt("address", "a regular expression that explodes, in the search", "nothing foreign", shows_own("jobs", "search=" + "(a%2B)%2B" * 50 + "%24")),
    Attempt("widgets", "values that no widget offers, and of wrong kinds", "nothing foreign", foreign_widgets),
    Attempt("widgets", "pages, fragments and queries that are none", "passed over", odd_runs),
    Attempt("SQL", "`SELECT … FROM jobs` of everybody", "the own rows", lambda t: SELF.encode() in t.sql("SELECT owner, `group`, job_name FROM jobs")),
    Attempt("SQL", "others' rows through `records`, with UNION and a subquery", "the own rows", lambda t: bool(t.sql("SELECT owner, job_name FROM (SELECT * FROM records UNION ALL SELECT * FROM records) WHERE owner != 'malloryzz'"))),
    Attempt("SQL", "others told by an error: `throwIf`, a division", "no error", untold),
    Attempt("SQL", "rejected lines and the ledger", "no row", lambda t: b"of chiefzz" not in t.sql("SELECT line FROM rejects UNION ALL SELECT path FROM ledger")),
    Attempt("SQL", "the tables below the views", "refused", refused_sql("SELECT * FROM accounting", "is none of the views")),
    Attempt("SQL", "`system.tables`", "refused", refused_sql("SELECT * FROM system.tables", "is none of the views")),
    Attempt("SQL", "`information_schema`", "refused", refused_sql("SELECT * FROM information_schema.tables", "is none of the views")),
    Attempt("SQL", "a table right of `IN`", "refused", refused_sql("SELECT 1 IN (system.users)", "is none of the views")),
    Attempt("SQL", "`url()`", "refused", refused_sql("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'n Int32')")),
    Attempt("SQL", "`file()` as a table and as a function", "refused", lambda t: refused_sql("SELECT * FROM file('/etc/passwd', 'LineAsString')")(t) and refused_sql("SELECT file('/etc/passwd')")(t)),
    Attempt("SQL", "`s3()`", "refused", refused_sql("SELECT * FROM s3('http://127.0.0.1:1/b/k.csv')")),
    Attempt("SQL", "`remote()`", "refused", refused_sql("SELECT * FROM remote('127.0.0.1', system.one)")),
    Attempt("SQL", "`merge()` over all tables", "refused", refused_sql("SELECT * FROM merge('pychart', '.*')")),
    Attempt("SQL", "`executable()`", "refused", refused_sql("SELECT * FROM executable('id', 'TSV', 'x String')")),
    Attempt("SQL", "dictionaries: `dictGet`", "refused", refused_sql("SELECT dictGet('x', 'y', 1)")),
    Attempt("SQL", "settings and users: `getSetting`, `currentUser`", "refused", lambda t: refused_sql("SELECT getSetting('log_comment')")(t) and refused_sql("SELECT currentUser()")(t)),
    Attempt("SQL", "`SETTINGS` that take the scope away", "refused", refused_sql("SELECT owner FROM jobs SETTINGS additional_table_filters = {}", "SETTINGS")),
    Attempt("SQL", "`INTO OUTFILE`", "refused", refused_sql("SELECT 1 INTO OUTFILE '/tmp/x'", "no place here")),
    Attempt("SQL", "`FORMAT`", "refused", refused_sql("SELECT owner FROM jobs FORMAT Native", "no place here")),
    Attempt("SQL", "a second statement", "refused", refused_sql("SELECT 1; DROP TABLE accounting", "only one SELECT")),
    Attempt("SQL", "statements that write", "refused", lambda t: all(refused_sql(s, "only one SELECT")(t) for s in ("DROP TABLE accounting", "INSERT INTO batches VALUES (1)", "SYSTEM SHUTDOWN"))),
    Attempt("SQL", "a statement that would never end", "stopped at the limit", heavy),
    Attempt("SQL", "3,000 parentheses", "refused", lambda t: bool(t.sql(GIANT))),
    Attempt("SQL", "a statement of 200,000 characters", "refused", refused_sql("SELECT " + "1, " * 66_000 + "1", "at most")),
    Attempt("SQL", "an error that tells where the database is", "it does not", lambda t: b"be constant" in (found := t.sql("SELECT throwIf(1, owner) FROM jobs")) and b"/db" not in found),
    Attempt("SQL", "a comment that would end the statement's mark", "the own rows", lambda t: bool(t.sql("/* */ SELECT owner FROM jobs -- */ \n/* x"))),
    Attempt("web", "a page of another site connects", "403", upgrades(403, f"{USER}: malloryzz", "Origin: https://evil.example.net")),
    Attempt("web", "a page of another port of this machine connects", "403", upgrades(403, f"{USER}: malloryzz", "Origin: http://127.0.0.1:9")),
    Attempt("web", "a sandboxed page connects (`Origin: null`)", "403", upgrades(403, f"{USER}: malloryzz", "Origin: null")),
    Attempt("web", "another name that leads here (DNS rebinding)", "421", lambda t: t.get("/", "Host: rebound.example.net") == 421 and t.upgrade("Host: rebound.example.net", "Origin: http://rebound.example.net") == 421),
    Attempt("web", "two Host headers, or one with a password or a path", "400 or 421", lambda t: {t.get("/", "Host: 127.0.0.1", "Host: x.example.net"), t.get("/", "Host: 127.0.0.1@x.example.net"), t.get("/", "Host: 127.0.0.1/x")} <= {400, 421}),
    Attempt("web", "paths: `..%2f`, `%00`, `%5c`, `//host`, long ones", "no file", lambda t: all(b"root:" not in t.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()) for path in ("/..%2f..%2f..%2fetc/passwd", "/static/..%2f..%2f..%2f..%2fetc%2fpasswd", "/%00", "/static/%00", "/%5c%5cevil/x", "//evil.example.net/x", "/static/%252e%252e/x", "/app/static/x", "/static/" + "a/" * 500))),
    Attempt("web", "uploads", "404 or 405", lambda t: {t.get("/_stcore/upload_file/a/b", method=m) for m in ("PUT", "POST", "DELETE", "GET")} <= {404, 405}),
    Attempt("web", "components, agent, metrics, script check, sign-in paths", "404", statuses(404, paths=("/component/x/y", "/_stcore/bidi-components/x", "/_stcore/agent/interact", "/_stcore/agent/openapi.json", "/_stcore/metrics", "/%5fstcore/metrics", "/_stcore/metrics/", "/_stcore/script-health-check", "/auth/login", "/oauth2callback"))),
    Attempt("web", "readiness from another machine, and through a proxy", "404", lambda t: (t.get("/api/ready", far=True), t.get("/api/ready", "X-Forwarded-For: 192.0.2.9"), t.get("/api/ready")) == (404, 404, 200)),
    Attempt("web", "methods that change something", "405", lambda t: {t.get("/", method=m) for m in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS")} == {405}),
    Attempt("size", "an address of 100 kB", "431", statuses(0, 400, 431, paths=("/?" + "a" * 100_000,))),
    Attempt("size", "headers of 1 MB", "431, or closed", statuses(0, 400, 431, headers=("X-Long: " + "a" * 1_000_000,))),
    Attempt("size", "a body of 10 GB with a GET", "413", statuses(413, headers=("Content-Length: 10000000000",))),
    Attempt("size", "a compressed body (decompression bomb)", "405", lambda t: t.get("/", "Content-Encoding: gzip", "Content-Length: 0", method="POST") == 405),
    Attempt("size", "a websocket message of 2 MB", "closed", sends(b"x" * (2 * MOST_MESSAGE_BYTES))),
    Attempt("size", "messages that are none: garbage, text, deep nesting", "closed", sends(b"\xff" * 1000, "text", b"", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 100_000)),
    Attempt("load", "1,000 connections that say nothing", "others are answered", many_connections),
    Attempt("load", "more connections than there may be", "503", too_many_connections),
    Attempt("load", "1,000 open pages from one address", "503 beyond its share", many_sessions),
    Attempt("load", "200 requests that never end (slowloris)", f"closed after {REQUEST_SECONDS:.0f} s", slow_headers),
    Attempt("load", "1,000 runs asked for at once", "others are answered", flood),
    Attempt("output", "names with line ends for the audit log", "no line of their own", audit_lines),
    Attempt("output", "names that a spreadsheet would run", "inert texts", formulas),
    Attempt("output", "names with a script, in the report", "text", markup),
    Attempt("output", "pseudonyms turned back", "no name", hidden_names),
]  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("hostile")
    port = free_port()
    with guarded.running(
        guarded.make_site(folder), "--host", "0.0.0.0", "--port", str(port)
    ) as process:
        yield Target(port, _own_address(), folder, process)


def _own_address() -> str:
    """An address of this machine that is not the loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            missing("this machine has no address but the loopback")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.what)
def test_an_attempt_shows_nothing_and_stops_nothing(target: Target, attempt: Attempt) -> None:
    target.heard.clear()
    with suppress(InvalidHandshake):
        assert attempt.how(target)
    leaks = {trace for trace in TRACES for content in target.heard if trace in content}
    assert leaks == set()
    assert target.get("/_stcore/health") == 200
    assert attempt.kind in ("identity", "SQL", "address", "web", "output") or target.is_well()


def test_all_is_well_after_all(target: Target) -> None:
    assert target.is_well()
    assert target.process.poll() is None


def table() -> str:
    """The table of docs/security.md."""
    rows = [f"| {n} | {a.kind} | {a.what} | {a.outcome} |" for n, a in enumerate(ATTEMPTS, 1)]
    return "\n".join(["| | | attempt | outcome |", "| --- | --- | --- | --- |", *rows])


def test_the_document_has_the_same_table() -> None:
    assert len(ATTEMPTS) >= 40
    assert table() in SECURITY.read_text()


if __name__ == "__main__":
    print(table())
