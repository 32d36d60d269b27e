"""The app's pages in Streamlit's own tester, run from the entry point, and what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from streamlit.testing.v1 import AppTest

from streamlit_app import places

MAIN = Path(places.__file__).parent / "main.py"


def paths() -> list[str]:
    """List the pages by their file's name without its end: `overview`, `users`."""
    return [place.file.removesuffix(".py") for place in places.every()]


def app(page: str = "overview", locale: str = "en-GB", **query: str | list[str]) -> AppTest:
    """Run a page, with parameters in the address, in a browser of a language."""
    at = AppTest.from_file(str(MAIN), default_timeout=30)
    at.context = {"locale": locale}
    for name, value in query.items():
        at.query_params[name] = value
    if page == "loaded":
        at.run()  # the tester knows no path that is not the file's name before
    if page != "overview":
        at.switch_page(f"views/{page}.py")
    at.run()
    assert not at.exception
    return at


def charts(at: AppTest) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Specification and rows of each chart."""
    found = []
    for element in at.get("vega_lite_chart"):
        proto = element.proto
        assert proto.alt
        content = proto.data.data or proto.datasets[0].data.data
        rows = pa.ipc.open_stream(content).read_all().to_pylist()
        found.append((json.loads(proto.spec), rows))
    return found


def texts(at: AppTest) -> str:
    """All that is written on the page, beside its figures and charts."""
    written = "\n".join(element.value for element in (*at.markdown, *at.caption))
    return "\n".join([written, *(button.label for button in at.button)])
