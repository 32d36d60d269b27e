"""Reports: one HTML file from the app and from the command line, that needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clickhouse.connection import Warehouse
from clickhouse.errors import PychartError
from clickhouse.query import Filter, Question, ask
from clickhouse.settings import Settings
from ingest.loader import load_file
from pychart.report import write_report
from streamlit_app import i18n, report, text
from tests import helpers
from tests.app import app

HOSTILE = "<script>alert(1)</script>\"'&"


class Reader(HTMLParser):
    """Collects what a page says, what it would fetch or run, and what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "iframe", "object", "embed", "img", "video", "base"):
            self.fetched.append(tag)
        for name, value in attrs:
            local = (value or "").startswith(("#", "url(#"))
            if name in ("src", "href", "xlink:href", "srcset", "data", "action") and not local:
                self.fetched.append(f"{name}={value}")
            if name.startswith("on"):
                self.fetched.append(name)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "br"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> str:
    """Give the words of a report; it must be whole, and fetch and run nothing."""
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.fetched == []
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page
    return " ".join(" ".join(reader.words).split())


def written(*filters: Filter, language: str = "en", sections: tuple[str, ...] = ()) -> str:
    scope = report.scope_of("all", filters)
    chosen = sections or tuple(report.SECTIONS)
    with i18n.speaking(language):
        return report.write(report.Report(scope, chosen))


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_a_report_says_figures_filters_formulas_and_jobs(loaded: Warehouse) -> None:
    page = written(Filter("user", ("alice",)))
    words = read(page)
    kept = (Filter("user", ("alice",)),)
    [row] = ask(loaded, Question(("jobs", "core_hours", "wait_avg"), filters=kept)).to_pylist()
    assert f"{row['jobs']:,} executed job" in words
    assert text.figure(row["core_hours"], "core-h") in words
    assert text.figure(row["wait_avg"], "s") in words
    assert "user alice" in words
    assert "sum of slots × (end − start)" in words
    assert "Users with the most core time" not in words  # there is only this one
    assert page.count("<svg") >= 6
    everything = read(written())
    assert "all jobs, no filter" in everything and "Users with the most core time" in everything
    assert all(f" {t} " in everything for t in ("Waiting", "Failures", "Job sizes"))


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_sections_languages_and_nothing(loaded: Warehouse) -> None:
    only = read(written(sections=("waiting",)))
    assert "Wait, average" in only and "CPU efficiency" not in only
    french = written(Filter("user", ("alice",), exclude=True), language="fr")
    assert '<html lang="fr">' in french
    words = read(french)
    assert "Utilisation du calculateur" in words and "sans utilisateur alice" in words
    assert "executed" not in words and "Core time" not in words
    assert "No executed job matches" in read(written(Filter("user", ("nobody",))))


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_names_can_do_no_harm(loaded: Warehouse, tmp_path: Path) -> None:
    odd = helpers.line(owner=HOSTILE, group=HOSTILE, qname=HOSTILE, hostname=HOSTILE)
    helpers.load_bytes(loaded, tmp_path / "odd", odd + b"\n")
    tables = ("people", "machines")
    assert HOSTILE in read(written(sections=tables))
    assert HOSTILE in read(written(Filter("user", (HOSTILE,)), sections=tables))


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_no_chart_has_names_within_it_that_are_those_of_another(loaded: Warehouse) -> None:
    page = written()
    assert page.count("<svg ") > 5
    assert not re.findall(r'\bid="[^"]+"', page) and "url(#" not in page


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_the_page_offers_it(loaded: Warehouse) -> None:
    at = app("report", user="alice", sections="time,failures")
    [button] = at.get("download_button")
    assert not button.proto.disabled
    assert at.session_state["pick_sections"] == ["time", "failures"]
    at.toggle(key="report_shown").set_value(True).run()
    assert not at.exception
    [frame] = at.get("iframe")
    words = read(frame.proto.srcdoc)
    assert "user alice" in words and "How jobs ended" in words and "Waiting" not in words
    assert at.session_state["report_language"] == "en"
    with i18n.speaking("fr"):
        assert app("report", locale="fr-FR").session_state["report_language"] == "fr"


def test_the_command_writes_a_file(database_url: str, sample: Path, tmp_path: Path) -> None:
    with helpers.warehouse(database_url) as opened:
        load_file(opened, helpers.CLUSTER, sample)
    file = tmp_path / "report.html"
    database = ("--database", database_url)
    asked = ("report", "--user", "alice", "--lang", "fr", "--section", "figures", "-o", file)
    done = helpers.pychart(*database, *asked)
    assert (done.returncode, done.stdout.decode().strip()) == (0, str(file)), done.stderr
    assert "utilisateur alice" in read(file.read_text("utf-8"))
    assert b"ScriptRunContext" not in done.stderr


def test_what_the_command_refuses(tmp_path: Path, sample: Path) -> None:
    settings = Settings(database=f"chdb://{tmp_path}/db")
    with helpers.warehouse(settings.database) as opened:
        load_file(opened, helpers.CLUSTER, sample)

    def refused(
        period: str = "all", section: str = "time", language: str = "en", file: str = "x"
    ) -> str:
        with pytest.raises(PychartError) as error:
            write_report(settings, period, (), [section], language, tmp_path / file)
        return str(error.value)

    assert "--section: 'nothing'" in refused(section="nothing")
    assert "--lang: 'xx'" in refused(language="xx")
    assert "yesterday" in refused(period="yesterday")
    assert "No such file" in refused(file="no/where.html")
