"""SQL that reads `category`, the options with which a job was submitted, at query time.

It is made of functions of one text, which the engine computes once for each value in a dictionary,
not for each line.
"""

from __future__ import annotations

# -q and -l behind -soft or, in OCS 9, -scope master: not asked for, or not for all of the job
_NOT_HARD = (
    r"(?:^|\\s)(?:-scope\\s+(?:master|slave)(?:\\s+-(?:hard|soft))?|-soft)(?:\\s+-[ql]\\s+\\S+)*"
)
_UNITS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_UNITS |= {"K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40}
_NUMBER = r"(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)"
_AMOUNT = rf"^(?:{_NUMBER}[kKmMgGtT]?|(?:{_NUMBER}?:){{1,2}}{_NUMBER}?)$"
# of h:m:s and m:s, and of a number with its unit: seconds in one, and where one is in the word
_PARTS = {
    1: r"(?:^|:)([0-9.]*)[kKmMgGtT]?$",
    60: r"(?:^|:)([0-9.]*):[0-9.]*$",
    3600: r"^([0-9.]*):[0-9.]*:[0-9.]*$",
}


def _hard(text: str) -> str:
    """Write the hard requests for all of the job."""
    return f"replaceRegexpAll({text}, '{_NOT_HARD}', ' ')"


def _requested(text: str, resource: str) -> str:
    """Write what -l asks of a resource, the last of several values; '' where it asks nothing."""
    before, after = r"'(?s)^.*(?:^|\\s)-l\\s+(?:\\S*,)?'", r"'=([^,\\s]*)'"
    return f"extract({_hard(text)}, concat({before}, {resource}, {after}))"


def _amount(word: str) -> str:
    """Write the seconds or bytes of 600, 2G, 1.5g, 24:00:00 or 10:00; NULL of other words."""
    # a zero may be left out: 1::30
    parts = " + ".join(
        f"{seconds} * toFloat64OrZero(concat('0', extract({word}, '{pattern}')))"
        for seconds, pattern in _PARTS.items()
    )
    unit = f"transform(right({word}, 1), {[*_UNITS]}, {[*_UNITS.values()]}, 1.)"
    known = f"match({word}, '{_AMOUNT}') AND match({word}, '[0-9]')"
    return f"accurateCastOrNull(if({known}, floor(({parts}) * {unit}), NULL), 'UInt64')"


def amount_sql(resource: str) -> str:
    """Write how much a line asks of a resource, in seconds or bytes; NULL where it does not."""
    return _amount(_requested("toLowCardinality(category)", f"'{resource}'"))


# For the WITH of the views that need them.
LAMBDAS = f"""
    text -> {_hard("text")} AS hard,
    (text, resource) -> {_requested("text", "resource")} AS requested,
    word -> {_amount("word")} AS amount"""
