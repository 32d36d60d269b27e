"""Writes a demo site: its accounting file with progress shown, then the settings that fit it."""

from __future__ import annotations

import json
from pathlib import Path

from clickhouse.errors import ConfigError
from pychart.demo import (
    DEMO_CLUSTER,
    DEMO_LARGEST_NODE_CORES,
    DEMO_PE_CLASSES,
    DEMO_TIMEZONE,
    DemoSummary,
    write_demo,
)
from pychart.show import counting


def write_demo_site(output: Path, jobs: int, years: float, seed: int, layout: str) -> DemoSummary:
    """Write `output`/accounting and then `output`/pychart.toml, the sign that all is there."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with counting("Making up jobs", jobs) as progress:
            summary = write_demo(
                output / "accounting", jobs, years, seed, progress=progress, layout=layout
            )
        (output / "pychart.toml").write_text(settings_text(output.absolute()), encoding="utf-8")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{output}: {error.strerror}") from error
    return summary


def settings_text(folder: Path) -> str:
    """Write the settings of the demo site whose files are in `folder`."""
    classes = "\n".join(f"{_text(pe)} = {_text(kind)}" for pe, kind in DEMO_PE_CLASSES.items())
    return f"""database = {_text(f"chdb://{folder}/warehouse")}

[clusters.{DEMO_CLUSTER}]
timezone = {_text(DEMO_TIMEZONE)}
files = [{_text(f"{folder}/accounting")}]
largest_node = {DEMO_LARGEST_NODE_CORES}

[clusters.{DEMO_CLUSTER}.pe_classes]
{classes}
"""


def _text(value: str) -> str:
    return json.dumps(value)  # a TOML basic string is written as a JSON one
