"""Writes the report of the app from the command line, for a mail every month or a drawer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clickhouse.errors import ConfigError, QuestionError
from clickhouse.migrate import open_current
from clickhouse.query import Filter
from clickhouse.settings import Settings
from streamlit_app import data, i18n
from streamlit_app.access import EVERYTHING, acting_for
from streamlit_app.pseudonyms import WORDS, hiding
from streamlit_app.report import SECTIONS, Report, scope_of, write
from streamlit_app.warehouse import holder

STANDARD_OUTPUT = Path("-")


def write_report(
    settings: Settings,
    period: str,
    filters: Sequence[Filter],
    sections: Sequence[str],
    language: str,
    output: Path | None,
    hide_names: bool = False,
) -> None:
    """Write a report as HTML to a file, to standard output for `-`, and print the file's name.

    It tells of all jobs, whatever the roles in the app are: who can run this has the database.
    """
    _check(sections, language)
    with open_current(settings) as warehouse:
        holder.use(warehouse)
        with acting_for(EVERYTHING), hiding(hide_names), i18n.speaking(language):
            asked = [_in_words(kept) for kept in filters] if hide_names else filters
            report = Report(scope_of(period, asked), tuple(sections) or tuple(SECTIONS))
            content = write(report)
        if output == STANDARD_OUTPUT:
            sys.stdout.write(content)
            return
        file = output or Path(report.file_name)
        try:
            file.write_text(content, "utf-8")
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from error
    print(file)


def _in_words(kept: Filter) -> Filter:
    """Give a filter as a page that hides names has it."""
    if kept.dimension not in WORDS or kept.is_range:
        return kept
    words = data.words_of(kept.dimension)
    return replace(kept, values=tuple(words.asked(name) for name in kept.values))


def _check(sections: Sequence[str], language: str) -> None:
    for name in sections:
        if name not in SECTIONS:
            raise QuestionError(f"--section: {name!r} is none of {', '.join(SECTIONS)}")
    if language not in i18n.LANGUAGES:
        raise QuestionError(f"--lang: {language!r} is none of {', '.join(i18n.LANGUAGES)}")
