"""SQL, Explore, Jobs and Report in a real browser: what only it can show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import helpers
from tests.browser import chromium, expect_title, serving, visit, wait_complete
from tests.conftest import require

WAIT = 20_000  # ms; a busy machine needs some
expect.set_options(timeout=WAIT)
ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(require("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def address(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on the sample of a live cell."""
    database = ("--database", f"chdb://{tmp_path_factory.mktemp('browser')}/db")
    done = helpers.pychart(*database, "load", "--cluster", "c1", sample)
    assert done.returncode == 0, done.stderr
    with serving(*database, "app") as (url, _):
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, locale="en-GB")
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    found: list[str] = []
    opened.on("pageerror", lambda error: found.append(str(error)))
    opened.on("request", lambda request: found.extend(_outside(request.url)))
    yield opened
    context.close()
    assert found == []


def _outside(url: str) -> list[str]:
    own = url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:", "file:"))
    return [] if own else [url]


def write_statement(page: Page, statement: str) -> None:
    box = page.locator(".st-key-pick_sql textarea")
    box.fill(statement)
    box.press("Control+Enter")
    wait_complete(page)
    page.locator(".st-key-sql_run button").first.click()


def test_a_statement_is_answered_downloaded_and_stopped(page: Page, address: str) -> None:
    visit(page, f"{address}/sql")
    write_statement(page, "SELECT 'seen' AS word, 42 AS answer")
    expect(page.locator("text=1 row in")).to_be_visible()
    with page.expect_download() as download:
        page.locator(".st-key-sql_csv button").first.click()
    assert download.value.path().read_text() == '"word","answer"\n"seen",42\n'
    expect(page).to_have_url(re.compile(r"[?&]sql="))
    write_statement(page, ENDLESS)
    expect(page.locator(".st-key-sql_progress")).to_contain_text("rows read")
    page.locator(".st-key-sql_stop button").first.click()
    expect(page.locator("[data-testid=stAlert]")).to_contain_text("stopped after")
    write_statement(page, "SELECT file('/etc/passwd')")
    expect(page.locator("[data-testid=stAlert]")).to_contain_text("the function file")


def test_explore_drills_down_and_goes_back(page: Page, address: str) -> None:
    visit(page, f"{address}/explore?metric=jobs&top=5")
    bars = page.locator(".st-key-explore_card path[aria-roledescription=bar]")
    expect(bars).to_have_count(5)
    bars.nth(0).click()
    expect(bars).to_have_count(1)
    expect(page).to_have_url(re.compile(r"metric=jobs.*user=|user=.*metric=jobs"))
    page.go_back()
    expect(bars).to_have_count(5)
    page.locator(".st-key-pick_chart button", has_text="Pie").first.click()
    page.wait_for_url("**chart=pie**", timeout=WAIT)
    expect(bars).to_have_count(0)
    expect(page.locator(".st-key-explore_card svg.marks")).to_be_visible()


def test_a_job_is_found_opened_and_left(page: Page, address: str) -> None:
    visit(page, f"{address}/jobs")
    table = page.locator(".st-key-jobs_table .dvn-scroller").first
    expect(table).to_be_visible()
    table.click(position={"x": 18, "y": 52})
    expect_title(page, re.compile(r"Job \d+"))
    expect(page).to_have_url(re.compile(r"[?&]job=c1(/|%2F)\d+"))
    expect(page.locator(".st-key-jobs_place")).to_contain_text("pychart explain")
    link = page.url
    page.go_back()
    expect_title(page, "Jobs")
    visit(page, link)
    expect_title(page, re.compile(r"Job \d+"))


def test_a_report_is_downloaded_and_needs_nothing_else(
    page: Page, address: str, tmp_path: Path
) -> None:
    visit(page, f"{address}/report?user=alice&sections=figures,time")
    with page.expect_download() as download:
        page.locator(".st-key-report_download button").first.click()
    file = tmp_path / download.value.suggested_filename
    assert file.name.startswith("pychart-alice-") and file.suffix == ".html"
    download.value.save_as(file)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator("h1")).to_have_text("Use of the computing cluster")
    assert page.locator("svg").count() == 2
    assert asked == [file.as_uri()]
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
