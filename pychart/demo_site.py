"""Writes a demo site: its accounting file with progress shown, then the settings that fit it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clickhouse.errors import ConfigError
from pychart.demo import (
    DEMO_CLUSTER,
    DEMO_LARGEST_NODE_CORES,
    DEMO_METAGROUPS,
    DEMO_PE_CLASSES,
    DEMO_SUBCLUSTERS,
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
    machines = "\n".join(
        f"{_text(name)} = {{ hosts = {_texts(each['hosts'])}, queues = {_texts(each['queues'])} }}"
        for name, each in DEMO_SUBCLUSTERS.items()
    )
    metagroups = "\n".join(
        f"[metagroups.{_text(name)}]\ngroups = {_texts(each['groups'])}\n"
        for name, each in DEMO_METAGROUPS.items()
    )
    return f"""database = {_text(f"chdb://{folder}/warehouse")}

[clusters.{DEMO_CLUSTER}]
timezone = {_text(DEMO_TIMEZONE)}
files = [{_text(f"{folder}/accounting")}]
largest_node = {DEMO_LARGEST_NODE_CORES}

[clusters.{DEMO_CLUSTER}.pe_classes]
{classes}

[clusters.{DEMO_CLUSTER}.sub_clusters]
{machines}

{metagroups}
# the materials people came from physics in 2021, and still use half of their hours for it
[[metagroups."physics".members]]
group = "materiaux"
until = 2021-01-01

[[metagroups."physics".members]]
group = "materiaux"
since = 2021-01-01
share = 0.5
"""


def _text(value: str) -> str:
    return json.dumps(value)  # a TOML basic string is written as a JSON one


def _texts(values: Sequence[str]) -> str:
    return json.dumps(list(values))
