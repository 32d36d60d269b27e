"""What the documentation names exists: commands, options, settings, files, metrics."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from clickhouse.settings import ClusterSettings, Settings, load_settings
from pychart.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^(?:\$ )?pychart (.*)$", re.MULTILINE)


def commands() -> list[str]:
    blocks = [b for page in PAGES for b in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)]
    return [found for block in blocks for found in COMMAND.findall(block)]


@pytest.mark.parametrize("text", commands())
def test_a_documented_command_can_be_called(text: str) -> None:
    words = shlex.split(text, comments=True)
    group = typer.main.get_command(app)
    while words[0].startswith("--"):
        assert words[0] in {option for each in group.params for option in each.opts}
        words = words[2:]
    command = group.commands[words[0]]  # type: ignore[attr-defined]
    command.make_context(words[0], words[1:], resilient_parsing=False)
    named = dict(zip(words, words[1:], strict=False))
    assert named.get("--metric", "jobs") in METRICS
    assert named.get("--by", "user") in DIMENSIONS


def test_the_example_has_every_setting_and_is_valid() -> None:
    example = ROOT / "pychart.example.toml"
    load_settings(example)
    text = example.read_text()
    for key in (*Settings.model_fields, *ClusterSettings.model_fields):
        if key != "database_password":  # a file is the better place for it
            assert re.search(rf"^#? ?\[?(clusters\.e5\.)?{key}\b", text, re.M) or key == "clusters"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_documented_environment_variables_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCHART_DATABASE", "chdb:///somewhere")
    monkeypatch.setenv("PYCHART_CLUSTERS__E5__TIMEZONE", "Europe/Paris")
    settings = load_settings()
    assert settings.database == "chdb:///somewhere"
    assert settings.clusters["e5"].timezone == "Europe/Paris"
