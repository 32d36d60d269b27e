"""What the address holds: filters, period, language, and what a page keeps there of its own.

Each parameter is carried by a hidden widget that is bound to it, so that links and Back restore it;
its text is the same in every language. What people see are other widgets, which begin with what is
here and `put` back what is chosen: so each choice is a step that Back undoes.
"""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

LANGUAGE, PERIOD, EXCLUDED = "lang", "period", "not"
NAMES, HIDDEN = "names", "hidden"  # names=hidden: words in the place of people's names
MAX_VALUES = 100  # of one parameter
MAX_LENGTH = 10_000  # characters; the longest line that is accepted has a million


def carry(box: str, lists: Iterable[str] = (), texts: Iterable[str] = ()) -> None:
    """Bind parameters to the address: before anything asks for them, and once in each run.

    `assets/app.css` hides the box.
    """
    lists, texts = tuple(lists), tuple(texts)
    for name in (*lists, *texts):
        # A browser that has not drawn the widgets yet drops their parameters with a change of page.
        if (held := st.session_state.get(name)) and name not in st.query_params:
            put(name, held)
    with st.container(key=f"address_{box}", gap=None):
        for name in lists:
            chosen = st.session_state.get(name) or []
            st.multiselect(name, chosen, key=name, bind="query-params", accept_new_options=True)
        for name in texts:
            st.text_input(name, key=name, bind="query-params")


def get(name: str) -> str:
    """Give the value of a parameter, '' where there is none."""
    return str(st.session_state.get(name) or "")[:MAX_LENGTH]


def get_all(name: str) -> tuple[str, ...]:
    """Give the values of a parameter that is a list, each once."""
    found = st.session_state.get(name) or []
    return tuple(dict.fromkeys(str(value)[:MAX_LENGTH] for value in found[:MAX_VALUES]))


def put(name: str, value: str | Iterable[str]) -> None:
    """Change a parameter, from a callback or before it is carried."""
    st.session_state[name] = value if isinstance(value, str) else list(value)
