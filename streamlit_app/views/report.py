"""Report: what the filters let through, as one HTML file to print, to mail or to keep."""

from __future__ import annotations

from functools import partial

import streamlit as st

from streamlit_app import address, data, i18n, report
from streamlit_app.cards import page_header
from streamlit_app.filters import Scope, current
from streamlit_app.i18n import t


def show(scope: Scope) -> None:
    """Draw the page."""
    page_header(t("Report"), scope)
    st.markdown(
        t(
            "One file with figures, charts and tables of the period and the filters chosen on the"
            " left: one user's, one group's or the whole site's. It opens in any browser, needs no"
            " network, and prints on A4."
        )
    )
    chosen = _sections()
    language = _language()
    asked = report.Report(scope, chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            t("Download the report"),
            data=data.exported("report", "html", 1, partial(_written, asked, language)),
            file_name=asked.file_name,
            mime="text/html",
            key="report_download",
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            disabled=not chosen,
        )
        seen = st.toggle(t("Show it here"), key="report_shown", persist_state="session")
    if seen and chosen:
        with st.container(border=True, key="report_preview"):
            st.iframe(_written(asked, language), height=900)


def _sections() -> tuple[str, ...]:
    """Let the reader choose what is in it; the address holds what is."""
    asked = [name for name in address.get("sections").split(",") if name in report.SECTIONS]
    key, wanted = "pick_sections", asked or list(report.SECTIONS)
    if st.session_state.get(key) != wanted:
        st.session_state[key] = wanted
    st.pills(
        t("Sections"),
        list(report.SECTIONS),
        format_func=lambda name: t(report.SECTIONS[name]),
        selection_mode="multi",
        key=key,
        on_change=_keep_sections,
    )
    return tuple(name for name in report.SECTIONS if name in st.session_state[key])


def _keep_sections() -> None:
    picked = [name for name in report.SECTIONS if name in st.session_state["pick_sections"]]
    everything = len(picked) in (0, len(report.SECTIONS))
    address.put("sections", "" if everything else ",".join(picked))


def _language() -> str:
    chosen = st.segmented_control(
        t("Language of the report"),
        list(i18n.LANGUAGES),
        format_func=i18n.LANGUAGES.__getitem__,
        default=i18n.language(),
        required=True,
        key="report_language",
        persist_state="session",
    )
    return chosen if chosen in i18n.LANGUAGES else i18n.language()


def _written(asked: report.Report, language: str) -> str:
    with i18n.speaking(language):
        return report.write(asked)


show(current())
