"""How fast the app answers: its pages in Chromium, and many visitors at once.

    python -m benchmarks.app --database chdb:///folder [--runs 5] [--visitors 20 50] [--seconds 60]
        [--config pychart.toml --arriving 5]

*Pages*: each page of the app is opened by its address, which loads the app itself first, and a year
is chosen that nobody asked for before, the first change of a browser that has compiled little yet.
Then the app stays: each page is reached from another one by a click in the navigation, another such
year is chosen, and one that was asked for. All of it until the script has ended and every chart is
drawn. Medians of `--runs`, after a first visit that counts as cold.

*Visitors*: each has a connection of its own and speaks Streamlit's protocol, as a browser does, but
draws nothing. On average every `THINK_SECONDS` he goes to another page or chooses another year. A
reply takes from the request to the end of the script. All of it shares this machine with the app.

With `--arriving` a line is loaded every so many seconds meanwhile, as on a cluster that works: use
a copy of the database, and the settings that it was loaded with.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from pychart.demo import DEMO_CLUSTER
from streamlit_app import places
from streamlit_app.places import Place
from tests.browser import chromium, click_page, serving, wait_complete
from tests.helpers import line

THINK_SECONDS = 2.0
ARRIVAL_SECONDS = 10.0  # within which all visitors have come
MAX_MESSAGE = 2**28
RESTING = ("explore", "rankings")  # from one of these, which have charts, another page is clicked
ALL = "All time"
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"

# --- pages ---


@dataclass
class Visits:
    """Seconds of each visit to one page."""

    cold: float = 0.0
    paint: float = 0.0
    opened: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    clicked: list[float] = field(default_factory=list)
    filtered: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)


def complete(page: Page, began: float) -> float:
    """Wait until all is drawn; seconds since `began`."""
    wait_complete(page)
    return time.monotonic() - began


def open_page(page: Page, url: str) -> float:
    """Open an address as a visitor who types it."""
    began = time.monotonic()
    page.goto(url, wait_until="commit")
    return complete(page, began)


def click(page: Page, section: str, place: Place) -> float:
    """Go to a page by the navigation."""
    began = time.monotonic()
    click_page(page, section, place)
    page.wait_for_url(lambda url: path_of(url) == address_of(place), timeout=60_000)
    title = page.locator("[data-testid=stMain] h1")
    expect(title).to_have_text(place.title, timeout=60_000)
    return complete(page, began)


def path_of(url: str) -> str:
    return urlsplit(url).path.strip("/")


def address_of(place: Place) -> str:
    """Give the path of a page; that of the first one is empty."""
    return "" if place is next(places.every()) else place.path


def choose(page: Page, period: str) -> float:
    """Type a year, or `ALL`, into the filter of the period."""
    box = page.locator(".st-key-pick_period input")
    box.click()
    box.fill(period)
    began = time.monotonic()
    box.press("Enter")
    said = f"period={period}" if period != ALL else ""
    page.wait_for_url(lambda url: said in url if said else "period=" not in url, timeout=60_000)
    return complete(page, began)


def visit(page: Page, url: str, section: str, place: Place, years: list[int], runs: int) -> Visits:
    """Visit one page again and again."""
    visits, here = Visits(), f"{url}/{address_of(place)}"
    new = map(str, years)
    visits.cold = open_page(page, here)
    visits.paint = float(page.evaluate(PAINTED) or 0.0) / 1000
    for _ in range(runs):
        visits.opened.append(open_page(page, here))
        visits.loaded.append(choose(page, next(new)))
    for _ in range(runs):
        choose(page, ALL)
        click(page, *place_of(RESTING[place.path == RESTING[0]]))
        visits.clicked.append(click(page, section, place))
        visits.filtered.append(choose(page, next(new)))
        visits.again.append(choose(page, str(years[0])))
    return visits


def place_of(path: str) -> tuple[str, Place]:
    """Give a page with the section of the navigation that it is in."""
    return next(
        (section, place)
        for section, places_of in places.SECTIONS.items()
        for place in places_of
        if place.path == path
    )


def time_pages(url: str, years: list[int], runs: int) -> dict[str, Visits]:
    """Visit each page in one browser."""
    program = shutil.which("chromium")
    if not program:
        raise SystemExit("chromium is not installed")
    visits: dict[str, Visits] = {}
    with chromium(program) as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        for section, of_section in places.SECTIONS.items():
            for place in of_section:
                visits[place.path] = visit(page, url, section, place, years, runs)
    return visits


def show_pages(found: dict[str, Visits]) -> None:
    print(
        "page           first paint    cold  opened  new year  clicked  new year  asked year   (s)"
    )
    for name, visits in found.items():
        each = (visits.opened, visits.loaded, visits.clicked, visits.filtered, visits.again)
        opened, loaded, clicked, new, again = (f"{statistics.median(took):.2f}" for took in each)
        print(
            f"{name:<15}{visits.paint:>11.2f}{visits.cold:>8.2f}{opened:>8}{loaded:>10}{clicked:>9}"
            f"{new:>10}{again:>12}"
        )


# --- visitors ---

SHOWN = frozenset({"", *(place.path for place in places.every())})


@dataclass
class Visitor:
    """One connection; what it has been told of the pages and of the widget for the period."""

    connection: ClientConnection
    chance: random.Random
    years: list[int]
    pages: dict[str, str] = field(default_factory=dict)  # script hash by path
    period: str = ""  # of the widget
    page: str = ""
    year: str = ""
    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def run(self, until: float) -> None:
        """Visit, think, go on."""
        self.took.append(await self.request())
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0, 2 * THINK_SECONDS))
            if self.chance.random() < 0.5:
                self.page = self.chance.choice([*self.pages.values()])
            else:
                self.year = str(self.chance.choice(self.years))
            self.took.append(await self.request())

    async def request(self) -> float:
        """Ask for the script to run, and take in what it sends."""
        message = BackMsg()
        state = message.rerun_script
        state.page_script_hash = self.page
        if self.year and self.period:
            widget = state.widget_states.widgets.add()
            widget.id, widget.string_value = self.period, self.year
        began = time.monotonic()
        await self.connection.send(message.SerializeToString())
        while True:
            received = ForwardMsg.FromString(await self.connection.recv(decode=False))
            if self._take(received):
                return time.monotonic() - began

    def _take(self, message: ForwardMsg) -> bool:
        """Note what is needed later; true once the script has ended."""
        kind = message.WhichOneof("type")
        if kind == "navigation":
            self.pages = {
                page.url_pathname: page.page_script_hash
                for page in message.navigation.app_pages
                if page.url_pathname in SHOWN
            }
            self.page = self.page or message.navigation.page_script_hash
        elif kind == "delta":
            element = message.delta.new_element
            if element.WhichOneof("type") == "selectbox" and element.selectbox.id.endswith(
                "pick_period"
            ):
                self.period = element.selectbox.id
            elif element.WhichOneof("type") in ("exception", "alert"):
                self.errors.append(str(element)[:200])
        return kind == "script_finished" and message.script_finished != 2


async def visitor(url: str, number: int, years: list[int], until: float) -> Visitor:
    """Connect and visit."""
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    async with connect(address, max_size=MAX_MESSAGE, compression=None) as connection:
        one = Visitor(connection, random.Random(number), years)
        await asyncio.sleep(one.chance.uniform(0, ARRIVAL_SECONDS))
        await one.run(until)
        return one


async def crowd(url: str, count: int, years: list[int], seconds: float) -> list[Visitor]:
    """Let several visit at once."""
    until = time.monotonic() + seconds
    return await asyncio.gather(*(visitor(url, n, years, until) for n in range(count)))


def memory(process: int) -> int:
    """Resident memory of a process, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def show_crowd(count: int, found: list[Visitor], grown: tuple[int, int]) -> None:
    took = sorted(each for one in found for each in one.took)
    errors = [error for one in found for error in one.errors]
    print(
        f"{count} visitors: {len(took)} replies, median {statistics.median(took) * 1e3:.0f} ms,"
        f" 95 % within {took[int(0.95 * len(took))] * 1e3:.0f} ms, longest {took[-1]:.2f} s,"
        f" {len(errors)} errors, memory {grown[0]} → {grown[1]} MiB"
    )
    for error in errors[:3]:
        print("   ", error)


# --- what is served ---


@contextmanager
def served(database: str, config: Path | None, seconds: float) -> Iterator[tuple[str, int]]:
    """Serve the database, into which a line is loaded every so many seconds, if any."""
    words = ["--config", str(config)] if config else []
    words += ["--database", database]
    if not seconds:
        with serving(*words, "app") as found:
            yield found
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "accounting"
        path.write_bytes(ended_job())
        with (
            serving(*words, "up", "--cluster", DEMO_CLUSTER, path) as found,
            arriving(path, seconds),
        ):
            yield found


@contextmanager
def arriving(path: Path, seconds: float) -> Iterator[None]:
    """Write a line of a job that has just ended every so many seconds."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(seconds):
            with path.open("ab") as file:
                file.write(ended_job())

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ended_job() -> bytes:
    now = int(time.time())
    times = {"submission_time": now - 600, "start_time": now - 500, "end_time": now}
    return line(job_number=now % 10_000_000, owner="arriving", **times) + b"\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--years", type=int, nargs="*", default=list(range(2016, 2026)))
    parser.add_argument("--visitors", type=int, nargs="*", default=[20, 50])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--arriving", type=float, default=0.0)
    options = parser.parse_args()
    if 2 * options.runs > len(options.years):
        parser.error("each run takes two years that nobody asked for before")
    with served(options.database, options.config, options.arriving) as (url, process):
        if options.runs:
            show_pages(time_pages(url, options.years, options.runs))
        for count in options.visitors:
            before = memory(process)
            found = asyncio.run(crowd(url, count, options.years, options.seconds))
            show_crowd(count, found, (before, memory(process)))


if __name__ == "__main__":
    main()
