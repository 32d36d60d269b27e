"""The interface in French: every text has its translation, figures and dates are written so."""

from __future__ import annotations

import ast
import json
import string
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from clickhouse.codes import FLAGS
from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from streamlit_app import calendars, i18n, text

APP = Path(i18n.__file__).parent
NARROW = "\u202f"
# how many of the first arguments of a call are texts of the catalogue
CALLS = {"t": 1, "mark": 1, "tn": 2}


def called_texts(tree: ast.AST) -> Iterator[tuple[ast.Call, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            for argument in node.args[: CALLS.get(name, 0)]:
                yield node, argument


def source_texts() -> dict[str, str]:
    """Each text that the source hands to `t` or `tn`, and where."""
    found = {}
    for module in sorted(APP.rglob("*.py")):
        for call, argument in called_texts(ast.parse(module.read_text("utf-8"))):
            if isinstance(argument, ast.Constant):
                found[str(argument.value)] = f"{module.relative_to(APP)}:{call.lineno}"
    return found


def described() -> set[str]:
    """What metrics, dimensions and the values that are our own words are called."""
    texts = {each.label for each in (*METRICS.values(), *DIMENSIONS.values())}
    texts |= {metric.formula for metric in METRICS.values()}
    texts |= {metric.unit for metric in METRICS.values() if metric.unit}
    texts |= {
        text.plural(each.label)
        for each in DIMENSIONS.values()
        if each.type == "String" and not each.is_time
    }
    return texts | set(text.UNITS) | set(FLAGS) | {text.NO_NAME}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


FRENCH = i18n.catalogue("fr")


def test_every_text_of_the_source_is_in_french() -> None:
    found = source_texts()
    assert len(found) > 20
    assert [f"{found[each]}: {each}" for each in sorted(found) if each not in FRENCH] == []


def test_every_metric_and_dimension_is_in_french() -> None:
    assert sorted(described() - FRENCH.keys()) == []


def test_a_translation_has_the_same_placeholders() -> None:
    differing = {k: v for k, v in FRENCH.items() if placeholders(k) != placeholders(v)}
    assert differing == {}


def test_no_text_is_put_together_before_it_is_translated() -> None:
    for module in sorted(APP.rglob("*.py")):
        for call, argument in called_texts(ast.parse(module.read_text("utf-8"))):
            assert not isinstance(argument, ast.JoinedStr | ast.BinOp), (module, call.lineno)


def test_no_two_catalogues_say_it_differently() -> None:
    said: dict[str, tuple[str, str]] = {}
    for file in sorted((i18n.LOCALES / "fr").glob("*.json")):
        pairs = json.loads(file.read_text("utf-8"), object_pairs_hook=list)
        assert len(pairs) == len(dict(pairs)), f"{file.name}: a text twice"
        for english, french in pairs:
            assert french.strip(), f"{file.name}: {english}"
            other, where = said.setdefault(english, (french, file.name))
            assert other == french, f"{english}: {where} and {file.name}"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "h", "–"),
        (1234, "", f"1{NARROW}234"),
        (1234.5, "h", f"1{NARROW}234 h"),
        (3.14159, "GiB", "3,14 Gio"),
        (47_559_017.7, "core-h", "47,6 M h·cœur"),
        (71.687, "%", "71,7 %"),
        (0.4, "s", "0,4 s"),
        (7500, "s", "2 h 05 min"),
        (86400 * 3 + 3600 * 4, "s", "3 j 04 h"),
    ],
)
def test_figures_in_french(value: float | None, unit: str, shown: str) -> None:
    with i18n.speaking("fr"):
        assert text.figure(value, unit) == shown


def test_numbers_and_dates_in_either_language() -> None:
    for name, number, day, month in (
        ("en", "1,234.5 h", "3 Mar 2018", "Aug 2018"),
        ("fr", f"1{NARROW}234,5 h", "3 mars 2018", "août 2018"),
    ):
        with i18n.speaking(name):
            assert i18n.number("1,234.5") + " h" == number
            assert text.day(date(2018, 3, 3)) == day
            assert calendars.label("month", date(2018, 8, 1)) == month


def test_one_and_many() -> None:
    one, many = "{count} executed job", "{count} executed jobs"
    shown = {}
    for name in i18n.LANGUAGES:
        with i18n.speaking(name):
            shown[name] = [i18n.tn(one, many, count) for count in (0, 1, 2, 1234)]
    assert shown["en"] == ["0 executed jobs", "1 executed job", "2 executed jobs"] + [
        "1,234 executed jobs"
    ]
    assert shown["fr"] == ["0 job exécuté", "1 job exécuté", "2 jobs exécutés"] + [
        f"1{NARROW}234 jobs exécutés"
    ]


@pytest.mark.parametrize(
    ("asked", "locale", "chosen"),
    [
        (None, "fr-FR", "fr"),
        (None, "fr", "fr"),
        (None, "en-GB", "en"),
        (None, "de-DE", "en"),
        (None, None, "en"),
        ("en", "fr-FR", "en"),
        ("fr", "en-US", "fr"),
        ("xx", "fr-CA", "fr"),
        (["fr"], "en", "en"),
    ],
)
def test_the_language_is_what_was_asked_else_the_browsers(
    asked: object, locale: str | None, chosen: str
) -> None:
    assert i18n.choose(asked, locale) == chosen


def test_what_is_built_for_one_language_is_not_given_to_another() -> None:
    built = i18n.cached_per_language(lambda metric: [text.label(metric)])
    with i18n.speaking("fr"):
        french = built("core_hours")
    assert built("core_hours") == ["Core time"] != french == ["Temps cœur"]
    assert built("core_hours") is built("core_hours")


def test_vega_writes_numbers_and_dates_in_the_readers_language() -> None:
    with i18n.speaking("fr"):
        found = i18n.vega_locale()
    assert found["number"]["decimal"] == "," and found["number"]["thousands"] == NARROW
    assert found["time"]["months"][7] == "août" and found["time"]["days"][0] == "dimanche"
