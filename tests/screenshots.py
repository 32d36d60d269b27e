"""`python -m tests.screenshots`: a picture of every page in both themes, from demo data."""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser

from pychart.demo_site import write_demo_site
from streamlit_app import places
from tests import helpers
from tests.browser import chromium, serving, wait_complete

FOLDER = Path(__file__).parent.parent / "docs" / "screenshots"
JOBS, YEARS, SEED, LAYOUT = 200_000, 8, 1, "45"
FIRST = "overview.py"  # is at /
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTH, HEIGHT, TALLEST = 1400, 900, 1800  # pixels
COLOURS = 200
# what scrolls is the page's own box: a window as tall as it shows everything
CONTENT = "() => document.querySelector('[data-testid=stMain]').scrollHeight"


def take(browser: Browser, address: str, theme: Literal["light", "dark"], folder: Path) -> None:
    """Take a picture of each page in one theme."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme, locale="en-GB"
    )
    page = context.new_page()
    for place in itertools.chain(*places.SECTIONS.values()):
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.goto(f"{address}/{place.path}" if place.file != FIRST else address)
        wait_complete(page)
        height = min(TALLEST, max(HEIGHT, int(page.evaluate(CONTENT))))
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.wait_for_timeout(700)  # charts grow into the room
        picture = Image.open(io.BytesIO(page.screenshot()))
        # few colours are in it: a third of the size
        picture.quantize(COLOURS).save(folder / f"{place.path}-{theme}.png", optimize=True)
    context.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    program = shutil.which("chromium")
    if not program:
        print("chromium is not installed", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pychart-") as scratch:
        write_demo_site(Path(scratch), JOBS, YEARS, SEED, LAYOUT)
        site = ("--config", Path(scratch) / "pychart.toml")
        for step in (("load", Path(scratch) / "accounting"), ("migrate",)):
            done = helpers.pychart(*site, *step)
            assert done.returncode == 0, done.stderr
        with serving(*site, "app") as (address, _), chromium(program) as browser:
            for theme in THEMES:
                take(browser, address, theme, options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
