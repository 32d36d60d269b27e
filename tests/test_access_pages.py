"""Roles in the pages: whoever looks, nothing of anybody else is in what the server sends."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from websockets.exceptions import InvalidStatus

from clickhouse.connection import Warehouse
from clickhouse.errors import QuestionError
from clickhouse.query import Filter, Question
from clickhouse.roles import AccessSettings
from ingest.loader import load_file
from streamlit_app import access, audit, data, places, pseudonyms, report, text, who
from streamlit_app.identity import Identity
from streamlit_app.warehouse import holder
from tests import helpers, oidc
from tests.app import MAIN, charts
from tests.browser import chromium, serving
from tests.conftest import require
from tests.server import free_port
from tests.sessions import Session, get

# Each with a group, project, account, department and job names that nobody else has.
PEOPLE = ("ann", "bob", "cid", "dora", "eve", "finn", "stranger")
LETTERS = {name: f"{name}zz" for name in PEOPLE}  # in all that is of one person
ACCESS: dict[str, Any] = {
    "method": "header",
    "public": True,
    "admins": {"token_groups": ["admins"]},
    "pis": {"ann": {"users": ["bobzz"], "groups": ["cidzz-group"]}},
    "correspondents": {
        "lab": {"logins": ["nobody"], "projects": ["dorazz-project"], "metagroups": ["lab"]}
    },
}
METAGROUPS = {"lab": {"users": ["evezz"]}, "strangerzz-lab": {"users": ["strangerzz"]}}
# Who signs in, with which token groups, and of whom they see anything.
VIEWERS: dict[str, tuple[str, list[str], set[str]]] = {
    "user": ("finnzz", [], {"finn"}),
    "pi": ("ann", [], {"bob", "cid"}),
    "correspondent": ("nobody", [], {"dora", "eve"}),
    "public": ("", [], set()),
    "admin": ("chief", ["admins"], set(PEOPLE)),
}
NAMED = [place.file.removesuffix(".py") for place in places.every()]


def lines() -> bytes:
    """Ten jobs of each, on one queue and node each, over some months."""
    found = []
    for i, name in enumerate(PEOPLE):
        own = LETTERS[name]
        for number in range(10):
            start = 1500000000 + 86400 * (7 * number + i)
            found.append(
                helpers.line(
                    owner=own, group=f"{own}-group", project=f"{own}-project",
                    account=f"{own}-account", department=f"{own}-dept",
                    job_name=f"{own}-job{number}", job_number=100 * (i + 1) + number,
                    submission_time=start, start_time=start + 60, end_time=start + 3660 + i,
                    category=f"-u {own}", hostname=f"node{i % 2}", qname="all.q",
                )
            )  # fmt: skip
    return b"\n".join(found) + b"\nbroken strangerzz line\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """The jobs of seven people, and roles."""
    folder = tmp_path_factory.mktemp("access")
    settings = {
        "access": ACCESS | {"audit": folder / "audit.jsonl"},
        "metagroups": METAGROUPS,
        "state_directory": folder,
    }
    with helpers.warehouse(f"chdb://{folder}/db", **settings) as opened:
        file = folder / "accounting"
        file.write_bytes(lines())
        load_file(opened, helpers.CLUSTER, file)
        st.cache_resource.clear()
        holder.use(opened)
        access.rules.current()
        (folder / "audit.jsonl").touch()
        yield opened
    holder.close()
    st.cache_resource.clear()


def seen_by(viewer: str, page: str, **query: str | list[str]) -> AppTest:
    """Run a page for somebody."""
    name, groups, _ = VIEWERS[viewer]
    at = AppTest.from_file(str(MAIN), default_timeout=30)
    at.user = {"pychart_identity": json.dumps([name, groups])} if name else {}
    for parameter, value in query.items():
        at.query_params[parameter] = value
    if page == "loaded":
        at.run()
    if page != "overview":
        at.switch_page(f"views/{page}.py")
    at.run()
    assert not at.exception, at.exception
    return at


def everything(at: AppTest) -> str:
    """All that was sent to the browser: each element as the protocol has it, data included."""
    found = [str(rows) for _, rows in charts(at)]
    stack: list[Any] = [at._tree]
    while stack:
        node = stack.pop()
        stack += list(getattr(node, "children", {}).values())
        proto = getattr(node, "proto", None)
        if proto is not None:
            found.append(proto.SerializeToString().decode("latin-1"))
    return "\n".join(found)


def named_in(content: str) -> set[str]:
    return {name for name, letters in LETTERS.items() if letters in content}


@pytest.mark.parametrize("page", NAMED)
def test_a_page_of_a_pi_tells_of_nobody_else(site: Warehouse, page: str) -> None:
    content = everything(seen_by("pi", page))
    assert named_in(content) <= VIEWERS["pi"][2]
    if page not in ("sql", "report", "loaded", "metagroups", "sizes", "efficiency", "nodes"):
        assert named_in(content), page


@pytest.mark.parametrize("viewer", ["user", "correspondent", "public", "admin"])
def test_each_role_sees_its_own(site: Warehouse, viewer: str) -> None:
    expected = VIEWERS[viewer][2]
    for page in ("users", "jobs"):
        content = everything(seen_by(viewer, page))
        assert named_in(content) == expected, page
        if viewer == "public":
            assert "your role sees totals only" in content
    allowed = {page.title for page in _navigation(viewer)}
    assert ("SQL" in allowed) is (viewer != "public")
    assert "Totals" in allowed and ("Users" in allowed) is (viewer != "public")


def _navigation(viewer: str) -> list[places.Place]:
    name, groups, _ = VIEWERS[viewer]
    return [place for place in places.known() if who.may_open(_viewer(viewer), place)]


def _viewer(viewer: str) -> access.Viewer:
    name, groups, _ = VIEWERS[viewer]
    rules = access.rules.current()
    assert rules is not None
    known = Identity(name, tuple(groups), f"header {name}") if name else None
    return access.granted(rules, known)


def test_totals_are_of_all_and_name_nobody(site: Warehouse) -> None:
    for viewer in ("public", "pi"):
        at = seen_by(viewer, "totals")
        assert at.metric[0].value == "70"
        assert named_in(everything(at)) <= VIEWERS[viewer][2]  # in the sidebar's own selectors
    refused = seen_by("public", "totals", user="annzz")
    assert [error.value for error in refused.error] and not charts(refused)


@pytest.mark.parametrize(
    ("page", "stranger", "unknown"),
    [
        ("users", {"user": "strangerzz"}, {"user": "neverwashz"}),
        ("groups", {"group": "strangerzz-group"}, {"group": "neverwashz-group"}),
        ("metagroups", {"metagroup": "strangerzz-lab"}, {"metagroup": "neverwashz-lab"}),
        ("overview", {"not": "user:strangerzz"}, {"not": "user:neverwashz"}),
        ("jobs", {"job": "c1/701"}, {"job": "c1/999"}),
        ("jobs", {"search": "701"}, {"search": "999"}),
        ("jobs", {"search": "strangerzz"}, {"search": "neverwashz"}),
    ],
)
def test_a_link_to_a_stranger_is_one_to_nobody(
    site: Warehouse, page: str, stranger: dict[str, str], unknown: dict[str, str]
) -> None:
    told, empty = (_told(seen_by("pi", page, **query)) for query in (stranger, unknown))
    for real, made_up in zip(stranger.values(), unknown.values(), strict=True):
        for name in (real, re.split("[/:]", real)[-1]):
            told = told.replace(text.plain(name), "NAME").replace(name, "NAME")
        for name in (made_up, re.split("[/:]", made_up)[-1]):
            empty = empty.replace(text.plain(name), "NAME").replace(name, "NAME")
    assert told == empty


def _told(at: AppTest) -> str:
    drawn = [(json.dumps(spec.get("title")), rows) for spec, rows in charts(at)]
    written = [e.value for e in (*at.title, *at.markdown, *at.caption, *at.info, *at.error)]
    tables = [str(table.value) for table in at.dataframe]
    offered = [str(widget.options) for widget in at.multiselect]
    return "\n".join([str(drawn), *written, *tables, *offered, *(m.value for m in at.metric)])


def test_statements_reports_names_and_files_have_the_scope(site: Warehouse) -> None:
    for viewer in ("user", "pi", "correspondent", "admin"):
        expected = VIEWERS[viewer][2]
        with access.acting_for(_viewer(viewer)):
            for sql in (
                "SELECT DISTINCT owner FROM jobs",
                "SELECT owner, category, job_name, `group` FROM records",
                "SELECT member, metagroup FROM metagroups",
            ):
                running = data.start_statement(sql, 1000)
                assert running.wait(20) and running.answer, running.error
                assert named_in(str(running.answer.table.to_pylist())) <= expected, sql
            html = report.write(report.Report(report.scope_of("all", ()), ("people",)))
            assert named_in(html) == expected
            assert ("Jobs of" in html) is (viewer != "admin")
            for dimension in ("user", "group", "project", "account", "department"):
                found = data.names(dimension) + data.search(dimension, "zz", 500)
                assert named_in(str(found)) == expected, dimension
            assert data.exists("user", "strangerzz") is (viewer == "admin")
            if viewer == "admin":
                assert "strangerzz" in str(data.loaded("rejects")[0].to_pylist())
            else:
                with pytest.raises(QuestionError, match="administrators"):
                    data.loaded("totals")
                assert data.file_of(helpers.CLUSTER, "x") == ""
    with access.acting_for(_viewer("public")):
        assert data.names("user") == [] and data.search("user", "zz", 5) == []
        for ask in (lambda: data.start_statement("SELECT 1", 1), lambda: data.loaded("totals")):
            with pytest.raises(QuestionError):
                ask()
        with pytest.raises(QuestionError):
            data.answer(Question(("jobs",), ("user",)))


@pytest.mark.parametrize("page", ["overview", "users", "jobs", "loaded"])
def test_hidden_names_are_nowhere(site: Warehouse, page: str) -> None:
    at = seen_by("admin", page, names="hidden", user=["annzz", "dorazz"])
    content = everything(at)
    assert named_in(content) == set()
    assert ("user-" in content) is True
    shown = at.session_state["user"]
    assert len(set(shown)) == 2 and all(re.fullmatch("user-[a-z2-7]{7}", name) for name in shown)
    one = seen_by("admin", "jobs", names="hidden", job="c1/101")
    assert named_in(everything(one)) == set()


def test_who_hides_names_cannot_ask_for_the_word_of_somebody_else(site: Warehouse) -> None:
    with access.acting_for(_viewer("admin")), pseudonyms.hiding(True):
        word = data.words_of("user").word("strangerzz")
        [all_of] = data.answers(Question(("jobs",), filters=(Filter("user", (word,)),)))
        assert all_of.column("jobs")[0].as_py() == 10
        # longer than any word: a piece of a name would be in some words by chance
        assert data.search("user", "strangerzz", 500) == []
        assert data.search("user", word, 5) == [word]
    with access.acting_for(_viewer("pi")), pseudonyms.hiding(True):
        words = data.words_of("user")
        assert words.asked("strangerzz") == words.asked("neverwashz") == "user-unknown"
        assert words.asked("bobzz") != "user-unknown"
        for asked in (word, "strangerzz", "bobzz", "user-unknown"):
            [none] = data.answers(Question(("jobs",), filters=(Filter("user", (asked,)),)))
            assert none.column("jobs")[0].as_py() == 0, asked


def test_the_log_has_each_question_once_more_from_memory(site: Warehouse) -> None:
    assert site.settings.access and site.settings.access.audit
    log = site.settings.access.audit
    before = log.stat().st_size
    hostile = 'x"}\n{"identity": "chief"\x1b[2J\u2028'
    for _ in range(2):
        with access.acting_for(_viewer("pi")):
            kept = (Filter("user", (hostile,)),)
            data.answers(Question(("jobs",), ("user",), filters=kept), Question(("core_hours",)))
            data.exported("Users", "CSV", 3, lambda: b"a,b")
    with log.open("rb") as file:
        file.seek(before)
        added = file.read()
    assert added.isascii() and added.count(b"\n") == 4
    written = [json.loads(line) for line in added.splitlines()]
    assert [line["metrics"] for line in written] == [["jobs"], ["core_hours"]] * 2
    first = written[0]
    assert first["identity"] == "ann" and first["roles"] == ["user", "pi"]
    assert first["sees"] == {"user": ["ann", "bobzz"], "group": ["cidzz-group"]}
    assert first["filters"] == [{"dimension": "user", "values": [hostile]}]
    assert (first["kind"], first["by"], first["rows"]) == ("view", ["user"], 0)


def test_a_log_that_cannot_be_written_is_said(
    site: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for required in (False, True):
        changed = {"audit": tmp_path / "none" / "log", "audit_required": required}
        rules = AccessSettings(**ACCESS | changed)
        monkeypatch.setattr(access.rules, "_access", rules)
        with access.acting_for(_viewer("admin")):
            if required:
                with pytest.raises(audit.AuditFailed):
                    data.answers(Question(("jobs",)))
            else:
                data.answers(Question(("jobs",)))
        assert "No such file" in audit.problem()
    said = [error.value for error in seen_by("admin", "overview").error]
    assert any("audit log cannot be written" in each for each in said)


# --- the running app ---


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The app behind what plays the proxy; its address and its folder."""
    folder = tmp_path_factory.mktemp("proxied")
    (folder / "accounting").write_bytes(lines())
    write_roles(folder, ["bobzz"])
    words = ("--config", folder / "pychart.toml")
    done = helpers.pychart(*words, "load", folder / "accounting")
    assert done.returncode == 0, done.stderr
    asked = ("--pseudonyms", "--user", "annzz", "--section", "people", "-o", folder / "words.html")
    done = helpers.pychart(*words, "report", *asked)
    assert done.returncode == 0, done.stderr
    with serving(*words, "app") as (url, _):
        yield url, folder


def write_roles(folder: Path, students: list[str]) -> None:
    (folder / "pychart.toml").write_text(
        f'database = "chdb://{folder}/db"\n[access]\nmethod = "header"\n'
        f'audit = "{folder}/audit.jsonl"\n[access.pis.annzz]\nusers = {students}\n'
    )


ANN = {"X-Remote-User": "annzz"}
FORGED: list[Any] = [
    {"X_Remote_User": "annzz"},
    {"X-Remote_User": "annzz"},
    {"X-Pychart-Identity": '["annzz", []]'},
    {"X_Pychart_Identity": '["annzz", []]'},
    {"X-Remote-Groups": "caf\u00e9", **ANN},
    {"X-Remote-User": "\u00e1nnzz"},
    {"X-Remote-User": "a" * 5000},
    [("X-Remote-User", "annzz"), ("X-Remote-User", "bobzz")],
    [("x-remote-user", ""), ("X-REMOTE-USER", "annzz")],
]


def test_a_header_says_who_it_is_and_a_forged_one_nothing(running: tuple[str, Path]) -> None:
    url, _ = running
    for forged in FORGED:
        with pytest.raises(InvalidStatus) as refused, Session(url, forged):
            pass
        assert refused.value.response.status_code == 403, forged
        if isinstance(forged, dict):
            for path in ("/", "/users", "/media/x", "/_stcore/health", "/api/ready"):
                assert get(url + path, forged)[0] == 403, (path, forged)
    for nobody in ({}, {"X-Remote-User": ""}, {"X-Remote-User": "  "}, {"X-Remote-Groups": "x"}):
        with Session(url, nobody) as session:
            content = session.run("user=annzz", "users")
            assert b"You are not signed in" in content and b"annzz-group" not in content
    for other in ("annzz,bobzz", "ANNZZ", "annzz@univ.fr", "user"):
        with Session(url, {"X-Remote-User": other}) as session:
            assert b"zz-group" not in session.run(page="users"), other


def test_a_session_its_roles_and_its_files_are_one_persons(running: tuple[str, Path]) -> None:
    url, folder = running
    with Session(url, ANN) as session:
        assert named_in(session.run(page="users").decode("latin-1")) == {"ann", "bob"}
        session.run("sections=people", "report")
        offered = session.offered["Download the report"]
        path = session.make(offered)
        assert path.startswith("/media/"), path
        for thief in ({"X-Remote-User": "bobzz"}, {}):
            with Session(url, thief, resume=session.id) as other:
                assert "ann" not in named_in(other.run(page="users").decode("latin-1"))
                assert other.id != session.id
                # the number of another's download makes the other's file, and does not give it
                made = other.make(offered)  # under another name once the minute written in it is
                assert made.startswith("/media/"), made
                assert [get(url + each, thief)[0] for each in (path, made)] == [404, 404]
        path = session.make(offered)
        status, file = get(url + path, ANN)
        assert status == 200 and named_in(file.decode()) == {"ann", "bob"}
        assert get(url + path, ANN | {"Range": "bytes=0-9"}) == (200, file)
        write_roles(folder, ["cidzz"])
        time.sleep(1.2)
        assert session.make(offered) == ""  # the roles have changed since
        content = session.run(page="users")
        assert named_in(content.decode("latin-1")) == {"ann", "cid"}
        (folder / "pychart.toml").write_text("[access]\nmethod = 5\n")
        time.sleep(1.2)
        assert named_in(session.run(page="users").decode("latin-1")) == {"ann", "cid"}
        kept = session.id
    with Session(url, ANN, resume=kept) as session:
        session.run(page="users")
        assert session.id == kept
    log = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    [exported, *_] = [line for line in log if line["kind"] == "export"]
    assert (exported["identity"], exported["as"], exported["page"]) == ("annzz", "html", "report")
    assert {line["page"] for line in log if line["identity"] == "annzz"} == {"users", "report"}


def test_a_report_and_the_app_have_one_word_for_one_name(running: tuple[str, Path]) -> None:
    url, folder = running
    html = (folder / "words.html").read_text()
    found = set(re.findall(r"\b(?:user|group|project)-[a-z2-7]{7}\b", html))
    assert named_in(html) == set() and found and "names are replaced by words" in html
    with Session(url, ANN) as session:
        content = session.run("names=hidden", "users").decode("latin-1")
        assert named_in(content) == set() and all(word in content for word in found)


def test_an_answer_of_more_roles_goes_with_them(
    site: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = seen_by("pi", "sql", sql="SELECT DISTINCT owner FROM jobs")
    at.button(key="sql_run").click().run()
    while len(at.dataframe) < 2:
        at.run()
    assert "bobzz" in everything(at)
    fewer = AccessSettings(**ACCESS | {"pis": {}})
    monkeypatch.setattr(access.rules, "_access", fewer)
    monkeypatch.setattr(access.rules, "_granted", {})
    assert "bobzz" not in everything(at.run())


def test_signing_in_and_out_with_a_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with oidc.provider() as provider, chromium(require("chromium")) as browser:
        (tmp_path / "secrets.toml").write_text(
            f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "only for this one test"\nclient_id = "{oidc.CLIENT}"\n'
            f'client_secret = "{oidc.SECRET}"\n'
            f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
        )
        (tmp_path / "accounting").write_bytes(lines())
        (tmp_path / "pychart.toml").write_text(
            f'database = "chdb://{tmp_path}/db"\n[access]\nmethod = "oidc"\ndomain = "univ.fr"\n'
            f'user_claim = "email"\nsecrets_file = "{tmp_path}/secrets.toml"\n'
            '[access.correspondents.lab]\ntoken_groups = ["bio"]\ngroups = ["cidzz-group"]\n'
        )
        words = ("--config", tmp_path / "pychart.toml")
        assert helpers.pychart(*words, "load", tmp_path / "accounting").returncode == 0
        monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(tmp_path / "secrets.toml"))
        monkeypatch.setattr("tests.browser.free_port", lambda: port)
        with serving(*words, "app") as (url, _):
            page = browser.new_page(locale="en-GB")
            provider.person = {"sub": "1", "email": "annzz@univ.fr", "email_verified": True}
            provider.person["groups"] = ["bio"]
            _sign_in_and_out(page, url)


def _sign_in_and_out(page: Page, url: str) -> None:
    page.goto(f"{url}/users?user=strangerzz")
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("annzz · user, correspondent")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Jobs of user annzz; group cidzz-group")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible(timeout=20_000)
