"""The running app and Chromium, for tests, screenshots and benchmarks."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright

from streamlit_app.places import Place
from tests.server import free_port

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The script has ended, and no chart and no placeholder of one is still empty.
COMPLETE = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    if (app?.dataset.testScriptState !== 'notRunning') return false;
    if (document.querySelector('[data-testid=stSkeleton]')) return false;
    const charts = [...document.querySelectorAll('[data-testid=stVegaLiteChart]')];
    return document.querySelector('h1') && charts.every(one => one.querySelector('svg, canvas'));
}"""

TURNED = 5_000  # ms
TURN = """url => {
    const app = document.querySelector('[data-testid=stApp]');
    window.hasRun = false;
    new MutationObserver((_, seen) => { window.hasRun = true; seen.disconnect() })
        .observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
    history.pushState({}, '', url);
    dispatchEvent(new PopStateEvent('popstate'));
}"""


@contextmanager
def serving(*words: str | Path) -> Iterator[tuple[str, int]]:
    """Run `pychart WORDS`, which serves the app, in a process of its own; its address and number.

    It is ended as a service manager would, and must end well.
    """
    command = [sys.executable, "-c", "from pychart.cli import main; main()"]
    command += [*map(str, words), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = next((line for line in process.stdout if "ready" in line), "")
            assert "http://127.0.0.1:" in line, f"the app did not start: {line!r}"
            yield line.split()[-1], process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """Run the browser whose path is `program`."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


def wait_complete(page: Page) -> None:
    """Wait until the script has ended and all is drawn."""
    page.wait_for_function(COMPLETE, timeout=60_000, polling=10)


def expect_title(page: Page, title: str | re.Pattern[str]) -> None:
    """Wait until the page has this title alone: there are two while one page follows another."""
    expect(page.locator("[data-testid=stMain] h1")).to_have_text([title])


def visit(page: Page, url: str) -> None:
    """Open an address and wait until all of the page is there, and no error is."""
    page.goto(url)
    wait_complete(page)
    assert page.locator("[data-testid=stException]").count() == 0


def turn_to(page: Page, url: str) -> None:
    """Go to an address of the app that runs there, as Back does: to load it anew takes seconds.

    A busy browser may draw a run at once, so that its begin cannot be seen: it loads it then.
    """
    page.evaluate(TURN, url)
    try:
        page.wait_for_function("() => window.hasRun", polling=10, timeout=TURNED)
    except TimeoutError:
        page.goto(url)
    wait_complete(page)
    assert page.locator("[data-testid=stException]").count() == 0


def click_page(page: Page, section: str, place: Place) -> None:
    """Go to a page by the navigation, in English."""
    if not section:
        page.locator("[data-testid=stTopNavLinkContainer] a", has_text=place.title).click()
        return
    page.locator("[data-testid=stTopNavSection]", has_text=section).click()
    menu = page.locator("[data-testid=stTopNavPopover]")
    menu.get_by_role("menuitem", name=place.title, exact=True).click()
