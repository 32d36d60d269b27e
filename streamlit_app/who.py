"""What the app says of who looks: signing in and out, roles, whose jobs are seen, hidden names."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from clickhouse.roles import AccessSettings
from streamlit_app import access, address, audit, data, places, pseudonyms, text
from streamlit_app.access import ROLES, Viewer
from streamlit_app.i18n import t
from streamlit_app.places import Place

SHOWN_NAMES = 3  # of each kind in the sidebar
PENDING = "filters_pending"  # of the session state, from one run of the script to the next


def may_open(viewer: Viewer, place: Place) -> bool:
    """Tell whether a page has anything to show to somebody."""
    named = place.is_named and viewer.is_named
    return named or (place.is_public and bool(viewer.roles) and access.has_public())


# --- those who may not ---


def show_door(viewer: Viewer) -> None:
    """Say that one must sign in, or that the one who has sees nothing."""
    rules = access.rules.current()
    assert rules is not None
    if viewer.key:
        _show_stranger(viewer)
        _show_sign_out(rules)
        return
    st.title(t("You are not signed in"), anchor=False)
    if rules.method == "oidc":
        st.markdown(t("Who sees which jobs follows from who one is."))
        _show_sign_in(rules)
    else:
        st.markdown(
            t(
                "The web server in front of this app did not say who you are;"
                " sign in there, then come back."
            )
        )


def _show_stranger(viewer: Viewer) -> None:
    st.title(t("There is nothing to see for you"), anchor=False)
    st.markdown(
        t(
            "You are signed in as {name}, which is no user of the scheduler and has no role here."
            " An administrator can name you in the settings.",
            name=text.plain(text.short(viewer.name, 100)),
        )
    )


def show_refused(place: Place) -> None:
    """Say in a line that a page is not for the role of the one who opened it by its address."""
    st.title(t(place.title), anchor=False)
    said = t("This page shows single people's jobs; your role sees totals only.")
    if place.is_public:
        said = t("There are no totals for the public here.")
    st.info(said, icon=":material/lock:")
    if not place.is_public:
        st.page_link(places.VIEWS / places.TOTALS.file, label=t(places.TOTALS.title))


# --- the sidebar ---


def show_viewer(viewer: Viewer) -> None:
    """Say in the sidebar who one is, whose jobs one sees, and offer to sign out."""
    rules = access.rules.current()
    if rules is None:
        return
    with st.container(key="viewer", gap="xsmall"):
        if viewer.key:
            shown = _hidden("user", [viewer.login or viewer.name])[0]
            roles = ", ".join(t(ROLES[role]) for role in viewer.roles)
            st.markdown(
                f":material/account_circle: **{text.plain(text.short(shown))}**  ·  {roles}"
            )
        st.caption(text.plain(whose(viewer)))
        _show_sign_in(rules) if not viewer.key else _show_sign_out(rules)
        if viewer.is_admin and (wrong := audit.problem()):
            title = t("The audit log cannot be written")
            st.error(text.plain(wrong), title=title, icon=":material/report:")


def whose(viewer: Viewer) -> str:
    """Say whose jobs somebody sees."""
    if viewer.scope is None:
        return t("All jobs")
    if viewer.scope.public:
        return t("Totals of all jobs; no figure of fewer than five people")
    named = viewer.scope.by_dimension()
    parts = [f"{_called(kind, len(names))} {_listed(kind, names)}" for kind, names in named.items()]
    return t("Jobs of {whose}", whose="; ".join(parts))


def _called(kind: str, count: int) -> str:
    return text.lower(text.label(kind) if count == 1 else text.labels(kind))


def _listed(kind: str, names: tuple[str, ...]) -> str:
    shown = ", ".join(text.short(name) for name in _hidden(kind, names[:SHOWN_NAMES]))
    more = len(names) - SHOWN_NAMES
    return t("{names} and {count} more", names=shown, count=more) if more > 0 else shown


def _hidden(kind: str, names: Iterable[str]) -> list[str]:
    if not pseudonyms.are_on():
        return list(names)
    words = data.words_of(kind)
    return [words.asked(name) for name in names]


def _show_sign_in(rules: AccessSettings) -> None:
    if rules.method == "oidc":
        st.button(
            t("Sign in"),
            key="sign_in",
            type="primary",
            icon=":material/login:",
            on_click=st.login,
            args=[rules.provider] if rules.provider else [],
        )


def _show_sign_out(rules: AccessSettings) -> None:
    if rules.method == "oidc":
        st.button(t("Sign out"), key="sign_out", icon=":material/logout:", on_click=st.logout)
    elif rules.sign_out_url:
        st.link_button(t("Sign out"), rules.sign_out_url, icon=":material/logout:")


# --- hidden names ---


def show_names_switch() -> None:
    """Draw the switch that puts words in the place of names, for screenshots and exports."""
    if not data.sees_names():
        return
    key, wanted = "pick_names", pseudonyms.are_on()
    if st.session_state.get(key) != wanted:
        st.session_state[key] = wanted
    st.toggle(
        t("Hide names"),
        key=key,
        on_change=_names_switched,
        help=t("Words stand in the place of names, the same ones each time, in downloads too."),
    )


def _names_switched() -> None:
    hide = bool(st.session_state["pick_names"])
    for name, values in _translated(_carried(), hide).items():
        address.put(name, values)
    address.put(address.NAMES, address.HIDDEN if hide else "")


def take_pending() -> None:
    """Put into the address what the run before wanted there; before `address.carry`."""
    for name, values in st.session_state.pop(PENDING, {}).items():
        address.put(name, values)


def hide_in_address() -> None:
    """Turn names of a link into words where it hides names; after `address.carry`."""
    if not pseudonyms.are_on():
        return
    before = _carried()
    if (wanted := _translated(before, True)) != before:
        st.session_state[PENDING] = wanted
        st.rerun()


def _carried() -> dict[str, list[str]]:
    names = (*pseudonyms.WORDS, address.EXCLUDED)
    return {name: list(found) for name in names if (found := address.get_all(name))}


def _translated(carried: dict[str, list[str]], hide: bool) -> dict[str, list[str]]:
    return {
        name: [_translated_one(name, value, hide) for value in values]
        for name, values in carried.items()
    }


def _translated_one(parameter: str, value: str, hide: bool) -> str:
    if parameter == address.EXCLUDED:
        dimension, colon, name = value.partition(":")
        if dimension not in pseudonyms.WORDS:
            return value
        return f"{dimension}{colon}{_translated_one(dimension, name, hide)}"
    words = data.words_of(parameter)
    return words.asked(value) if hide else words.known(value)
