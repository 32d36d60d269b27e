"""The rule of the layers: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"clickhouse", "ingest", "streamlit_app", "pychart"}
MAY_IMPORT = {
    "clickhouse": {"clickhouse"},
    "ingest": {"clickhouse", "ingest"},
    "streamlit_app": {"clickhouse", "streamlit_app"},
    "pychart": OURS,
}
DRIVERS = {"clickhouse_connect", "chdb", "clickhouse_driver"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(OURS))
def test_a_package_imports_only_what_it_may(package: str) -> None:
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    for module in modules:
        assert imported(module) & OURS <= MAY_IMPORT[package], module


def test_one_module_imports_the_driver() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        if imported(path) & DRIVERS
    }
    assert importing == {"clickhouse/connection.py"}
