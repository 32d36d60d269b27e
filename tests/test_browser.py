"""The running app in a real browser: what only it can show."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from streamlit_app import places
from tests import helpers
from tests.browser import (
    chromium,
    click_page,
    expect_title,
    serving,
    turn_to,
    visit,
    wait_complete,
)
from tests.conftest import require
from tests.server import free_port

WITHOUT_CHARTS = ("metagroups.py", "jobs.py", "sql.py", "report.py")
DESKTOP, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
WIDER = """() => [...document.querySelectorAll('[data-testid=stMain] *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && e.checkVisibility()
        && !e.closest('[data-testid=stDataFrame], [data-testid=stButtonGroup], svg'))
    .map(e => e.className + ' ' + e.dataset.testid)"""
CHART = "svg.marks"
DOWNWARDS = """chart => [...chart.querySelectorAll('text')]
    .sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)
    .map(text => text.textContent)"""
WAIT = 20_000  # ms; a busy machine needs some


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(require("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def address(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on the sample of a live cell."""
    database = tmp_path_factory.mktemp("browser") / "db"
    done = helpers.pychart("--database", f"chdb://{database}", "load", sample)
    assert done.returncode == 0, done.stderr
    with serving("--database", f"chdb://{database}", "app") as (url, _):
        yield url


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A new page of a new browser; a test may ask for another one."""
    with watched(browser, **getattr(request, "param", {})) as (opened, found):
        yield opened
        assert found == []


@pytest.fixture(scope="module")
def running(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """A page in which the app runs, and what went wrong in it."""
    with watched(browser) as (opened, found):
        visit(opened, address)
        yield opened, found


@pytest.fixture
def overview(running: tuple[Page, list[str]], address: str) -> Iterator[Page]:
    """The same at the first page, without a filter."""
    opened, found = running
    found.clear()  # what another test has told already
    if opened.url != address + "/":
        turn_to(opened, address)
    yield opened
    assert found == []


@contextmanager
def watched(browser: Browser, **wanted: Any) -> Iterator[tuple[Page, list[str]]]:
    """Open a page that remembers what went wrong in it."""
    usual: dict[str, Any] = {
        "viewport": DESKTOP,
        "timezone_id": "America/New_York",
        "locale": "en-GB",
    }
    context = browser.new_context(**usual | wanted)
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    found: list[str] = []
    opened.on("pageerror", lambda error: found.append(f"page: {error}"))
    opened.on("console", lambda message: found.extend(_of_console(message)))
    opened.on("request", lambda request: found.extend(_of_request(request)))
    yield opened, found
    context.close()


def _of_console(message: Any) -> list[str]:
    # Streamlit looks for its server beside the page's path before it looks at the root
    probing = message.location["url"].endswith(("/_stcore/health", "/_stcore/host-config"))
    url = message.location["url"]
    return [] if message.type != "error" or probing else [f"console: {message.text} {url}"]


def _of_request(request: Any) -> list[str]:
    own = request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
    return [] if own else [f"request: {request.url}"]


def figures(page: Page) -> list[str]:
    return page.locator("[data-testid=stMetricValue]").all_inner_texts()


def bars(page: Page, card: str) -> Any:
    return page.locator(f".st-key-{card} path[aria-roledescription=bar]")


def test_every_page_is_drawn_can_be_read_aloud_and_fits_a_phone(overview: Page) -> None:
    overview.emulate_media(color_scheme="dark")
    for section, found in places.SECTIONS.items():
        for place in found:
            click_page(overview, section, place)
            expect_title(overview, place.title)
            wait_complete(overview)
            assert overview.locator("[data-testid=stException]").count() == 0
            assert overview.locator("text=No executed job matches").count() == 0
            charts = overview.locator("[data-testid=stVegaLiteChart]").all()
            assert charts or place.file in WITHOUT_CHARTS
            for chart in charts:
                assert chart.locator("[aria-label]").first.get_attribute("aria-label")
            overview.set_viewport_size(PHONE)
            expect_to_fit(overview)
            overview.set_viewport_size(DESKTOP)
    overview.emulate_media(color_scheme="light")


def expect_to_fit(page: Page) -> None:
    """Wait until nothing is wider than the window; charts take a moment."""
    for _ in range(50):
        if not (wide := page.evaluate(WIDER)):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{page.url}: {wide}")


def test_navigation_keeps_the_filter(overview: Page, address: str) -> None:
    turn_to(overview, f"{address}/?user=alice")
    overview.locator("[data-testid=stTopNavSection]", has_text="Where").click()
    overview.locator("[data-testid=stTopNavPopover]").get_by_role("menuitem", name="Queues").click()
    expect_title(overview, "Queues")
    expect(bars(overview, "queues_ranking").first).to_be_visible()
    expect(overview).to_have_url(f"{address}/queues?user=alice")


def test_a_click_on_a_bar_narrows_every_chart_and_a_link_restores_it(
    overview: Page, address: str
) -> None:
    expect(overview.locator("[data-testid=stMetricValue]")).to_have_count(8)
    everything = figures(overview)
    users = bars(overview, "overview_user")
    expect(users.nth(1)).to_be_visible()
    charts = overview.locator(CHART)
    before = [charts.nth(i).inner_html() for i in range(charts.count())]
    users.nth(0).click()
    expect(users).to_have_count(1)
    wait_complete(overview)
    narrowed = figures(overview)
    assert narrowed != everything
    expect(overview).to_have_url(re.compile(r"\?user="))
    expect(overview.locator(f".st-key-overview_outcomes {CHART}")).to_be_visible()
    for i, html in enumerate(before):
        expect(charts.nth(i)).to_be_visible()
        assert charts.nth(i).inner_html() != html

    visit(overview, overview.url)
    expect(overview.locator("[data-testid=stMetricValue]")).to_have_text(narrowed)
    overview.locator(".st-key-clear button").first.click()
    expect(overview.locator("[data-testid=stMetricValue]")).to_have_text(everything)
    expect(overview).to_have_url(re.compile(r"^[^?]*$"))


def test_a_card_can_be_downloaded(overview: Page) -> None:
    begins = {
        "csv": b'"Group","Core time (core-h)","Executed jobs"\n',
        "parquet": b"PAR1",
        "png": b"\x89PNG\r\n",
        "svg": b"<svg ",
    }
    overview.locator(".st-key-overview_group_downloads button").first.click()
    for kind, content in begins.items():
        with overview.expect_download() as download:
            overview.locator(f".st-key-overview_group_{kind} button").click()
        assert download.value.suggested_filename == f"overview_group.{kind}"
        assert download.value.path().read_bytes().startswith(content)


def test_back_undoes_a_filter(overview: Page) -> None:
    users = bars(overview, "overview_user")
    expect(users.nth(1)).to_be_visible()
    everything = figures(overview)
    users.nth(0).click()
    expect(users).to_have_count(1)
    wait_complete(overview)
    narrowed = figures(overview)
    assert narrowed != everything
    overview.go_back()
    expect(overview.locator("[data-testid=stMetricValue]")).to_have_text(everything)
    expect(overview).to_have_url(re.compile(r"^[^?]*$"))
    overview.go_forward()
    expect(overview.locator("[data-testid=stMetricValue]")).to_have_text(narrowed)
    expect(overview).to_have_url(re.compile(r"\?user="))


def test_a_chart_gets_other_rows_instead_of_being_made_anew_and_draws_them_in_order(
    overview: Page, address: str
) -> None:
    for path, card in (("", "overview_jobs"), ("failures", "failures_failed")):
        turn_to(overview, f"{address}/{path}?user=bruno")
        chart = overview.locator(f".st-key-{card} {CHART}")
        chart.evaluate("chart => chart.dataset.seen = 'before'")
        turn_to(overview, f"{address}/{path}?user=chloe")
        expect(chart).to_have_attribute("data-seen", "before")
    # of bruno it was 25, 100, 28, 37
    drawn = chart.evaluate(DOWNWARDS)
    assert [text.partition(":")[0] for text in drawn if ":" in text] == ["37", "100", "28", "30"]
    assert [text for text in drawn if text.isdecimal()] == ["6", "2", "1", "1"]


def test_a_filter_moves_no_chart_away_from_its_place(overview: Page, address: str) -> None:
    """What comes before them takes its place before it is there: else all would be made anew."""
    cards = {"": "overview_jobs", "waiting": "waiting_queue", "users": "users_ranking"}
    for path, card in cards.items():
        turn_to(overview, f"{address}/{path}")
        place = overview.locator(f".st-key-{card} [data-testid=stVegaLiteChart]")
        place.evaluate("chart => chart.dataset.seen = 'before'")
        turn_to(overview, f"{address}/{path}?period=2026")
        expect(overview.locator(".st-key-chip_period")).to_be_visible()
        expect(place).to_have_attribute("data-seen", "before")


def test_a_click_shows_one_in_detail_and_back_shows_all(overview: Page, address: str) -> None:
    turn_to(overview, f"{address}/users")
    users = bars(overview, "users_ranking")
    users.first.click()
    expect_title(overview, re.compile("^User "))
    title = overview.locator("[data-testid=stMain] h1")
    name = title.inner_text().removeprefix("User ")
    expect(overview).to_have_url(f"{address}/users?user={name}")
    wait_complete(overview)
    overview.go_back()
    expect_title(overview, "Users")
    wait_complete(overview)
    expect(users.nth(1)).to_be_visible()


def test_a_name_is_found_while_one_types(overview: Page, address: str) -> None:
    overview.locator(".st-key-find input").press_sequentially("ALI")
    overview.locator(".st-key-without_user_alice button").first.click()
    expect(overview.locator(".st-key-chip_not_user")).to_contain_text("without user alice")
    expect(overview).to_have_url(f"{address}/?not=user%3Aalice")
    overview.locator(".st-key-chip_not_user button").first.click()
    expect(overview.locator(".st-key-chip_not_user")).to_have_count(0)


@pytest.mark.parametrize("page", [{"locale": "fr-FR"}], indirect=True)
def test_the_language_is_the_browsers_and_can_be_switched(page: Page, address: str) -> None:
    visit(page, address)
    expect_title(page, "Vue d'ensemble")
    page.locator(".st-key-pick_language button", has_text="English").click()
    expect_title(page, "Overview")
    expect(page).to_have_url(f"{address}/?lang=en")
    visit(page, page.url)
    expect_title(page, "Overview")
    page.go_back()
    expect_title(page, "Vue d'ensemble")


def test_months_are_the_same_in_every_time_zone(overview: Page) -> None:
    label = bars(overview, "overview_jobs").first.get_attribute("aria-label")
    shown = overview.locator(
        "[data-testid=stMain] [data-testid=stCaptionContainer]"
    ).first.inner_text()
    assert label
    assert shown.split(" – ")[0] in label


def test_the_database_answers(address: str) -> None:
    for path in ("/api/ready", "/_stcore/health"):
        with urllib.request.urlopen(f"{address}{path}", timeout=10) as response:
            assert response.status == 200


def test_nothing_is_loaded(page: Page, tmp_path: Path) -> None:
    with serving("--database", f"chdb://{tmp_path}/db", "app") as (url, _):
        visit(page, url)
        expect_title(page, "Nothing has been loaded yet")
        expect(page.locator("text=pychart load").first).to_be_visible()
        page.goto("about:blank")  # it would miss the server


def test_new_lines_show_while_the_app_runs(page: Page, sample: Path, tmp_path: Path) -> None:
    accounting = tmp_path / "accounting"
    lines = sample.read_bytes().splitlines(keepends=True)
    accounting.write_bytes(b"".join(lines[:-1]))
    with serving("--database", f"chdb://{tmp_path}/db", "up", accounting) as (url, _):
        visit(page, f"{url}/data")
        expect(page.locator("[data-testid=stMetricValue]").first).to_have_text(f"{len(lines) - 1}")
        with accounting.open("ab") as file:
            file.write(lines[-1])
        expect_after_reload(page, f"{len(lines)}")
        page.goto("about:blank")


def expect_after_reload(page: Page, text: str) -> None:
    for _ in range(20):
        page.wait_for_timeout(500)
        visit(page, page.url)
        if figures(page)[:1] == [text]:
            return
    raise AssertionError(f"{figures(page)} has no {text}")


def test_a_server_that_does_not_answer(page: Page) -> None:
    port = free_port()
    command = [sys.executable, "-c", "from pychart.cli import main; main()"]
    command += ["--database", "http://127.0.0.1:9/pychart", "app", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any("ready" in line for line in process.stdout)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/ready", timeout=10)
        page.goto(f"http://127.0.0.1:{port}")
        expect(page.locator("text=The database does not answer")).to_be_visible()
        page.goto("about:blank")  # it would miss the server
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_a_port_in_use(address: str) -> None:
    done = helpers.pychart("--database", "http://127.0.0.1:9/x", "app", "--port", address[-5:])
    assert done.returncode == 2
    assert b"the port is in use" in done.stderr
    assert done.stderr.count(b"\n") == 1
