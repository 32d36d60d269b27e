"""The filters that are chosen, in the address: read there, and changed from callbacks.

What the address gives is checked here again: a browser can send anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clickhouse.query import Filter
from streamlit_app import address, data, periods, text

# the dimensions that have a filter: those shown at once, those behind "More filters"
COMMON = ("cluster", "user", "group", "queue")
FURTHER = ("sub_cluster", "metagroup", "project", "node", "parallel_class", "outcome")
NAMED = COMMON + FURTHER
CONFIGURED = ("sub_cluster", "metagroup")  # only where the settings give them values
CARRIED = (*NAMED, address.EXCLUDED)  # the lists in the address


def offered(*dimensions: str) -> tuple[str, ...]:
    """Leave out those that the settings would have to give values, or that one may not see."""
    seen = (name for name in dimensions if data.sees_names(name))
    return tuple(name for name in seen if name not in CONFIGURED or data.names(name))


def filters() -> Iterator[Filter]:
    """Read the filters from the address."""
    for dimension in NAMED:
        if names := address.get_all(dimension):
            yield Filter(dimension, _raw(names))
    for dimension in NAMED:
        if names := excluded(dimension):
            yield Filter(dimension, _raw(names), exclude=True)


def _raw(names: Iterable[str]) -> tuple[str, ...]:
    return tuple("" if name == text.NO_NAME else name for name in names)


def excluded(dimension: str) -> tuple[str, ...]:
    """Give the names that are left out."""
    pairs = (value.partition(":") for value in address.get_all(address.EXCLUDED))
    return tuple(name for of, _, name in pairs if of == dimension)


def add_to_filter(dimension: str, name: str, exclude: bool = False) -> None:
    """Narrow all pages to one more value, or leave it out, from a callback; '' is no value."""
    name = name or text.NO_NAME
    parameter = address.EXCLUDED if exclude else dimension
    value = f"{dimension}:{name}" if exclude else name
    address.put(parameter, dict.fromkeys((*address.get_all(parameter), value)))


def drop_filter(dimension: str, exclude: bool = False) -> None:
    """Take one filter away, from a callback."""
    if not exclude:
        address.put(dimension, [])
        return
    kept = [v for v in address.get_all(address.EXCLUDED) if not v.startswith(f"{dimension}:")]
    address.put(address.EXCLUDED, kept)


def set_period(period: str) -> None:
    """Choose another period, from a callback."""
    address.put(address.PERIOD, period)


def clear_filters() -> None:
    """Take all filters away, from a callback."""
    set_period(periods.ALL)
    for name in CARRIED:
        address.put(name, [])


def is_filtered() -> bool:
    """Tell whether there is anything to clear."""
    return bool(address.get(address.PERIOD) or any(map(address.get_all, CARRIED)))
