"""Controls of a page whose choice is in the address: a link restores it, and Back undoes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from streamlit_app import address


def select(
    label: str,
    parameter: str,
    options: Sequence[str],
    shown: Callable[[str], str] = str,
    usual: str | None = None,
    widget: Callable[..., Any] = st.selectbox,
    **looks: Any,  # noqa: ANN401 - what the widget takes
) -> str:
    """Draw a choice among options; without a parameter it is the `usual` one, else the first."""
    usual = options[0] if usual is None else usual
    asked = address.get(parameter)
    key = _begin(parameter, asked if asked in options else usual)
    widget(
        label,
        options,
        key=key,
        format_func=shown,
        on_change=partial(_keep, parameter, key, usual),
        **looks,
    )
    chosen = st.session_state[key]
    return str(chosen) if chosen in options else usual


def text_input(label: str, parameter: str, **looks: Any) -> str:  # noqa: ANN401
    """Draw a field for a word or a number."""
    key = _begin(parameter, address.get(parameter))
    st.text_input(label, key=key, on_change=partial(_keep, parameter, key, ""), **looks)
    return str(st.session_state[key] or "").strip()


def _begin(parameter: str, value: str) -> str:
    key = f"pick_{parameter}"
    if st.session_state.get(key) != value:
        st.session_state[key] = value
    return key


def _keep(parameter: str, key: str, default: str) -> None:
    chosen = str(st.session_state[key] or "")
    address.put(parameter, "" if chosen == default else chosen)
