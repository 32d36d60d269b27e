"""What a question can be split and filtered by: for each name its SQL over the view `lines`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86400
# s, from which the parts of a duration, a wait or a requested time begin, and what they are called
SPANS = {
    0: "< 1 min",
    MINUTE: "1–5 min",
    5 * MINUTE: "5–15 min",
    15 * MINUTE: "15–60 min",
    HOUR: "1–4 h",
    4 * HOUR: "4–12 h",
    12 * HOUR: "12–24 h",
    DAY: "1–3 d",
    3 * DAY: "3–7 d",
    7 * DAY: "7–30 d",
    30 * DAY: "≥ 30 d",
}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Dimension:
    """One way to split: `type` is the ClickHouse type its values are bound as.

    `is_time` dimensions are calendar dates in the cluster's time zone; `step` writes the first day
    of a value's rows and the day after the last. These, and others that are `is_ordered`, sort by
    themselves; `text` writes a value for people. A line can have several values where there is an
    `array_join`, which gives each its own row; `has` is then the condition that a line has one of
    the values in {values}, and `shown` writes a value that is a number in `sql`. No value is '', or
    null where a number `can_lack`. `unit` is that of a number: s, or nothing.
    """

    label: str
    sql: str
    type: str = "String"
    is_time: bool = False
    array_join: str = ""
    has: str = ""
    shown: str = ""
    is_ordered: bool = False
    can_lack: bool = False
    unit: str = ""
    step: tuple[str, str] = ("", "")
    text: Callable[[Any], str] = str

    @property
    def is_many(self) -> bool:
        """Tell whether a line can have several values: parts then add up to more than the whole."""
        return bool(self.array_join)

    @property
    def is_ranged(self) -> bool:
        """Tell whether a filter can keep a range of its values."""
        return self.type != "String"


def _time(
    label: str, sql: str, begins: str, ends: str, text: Callable[[Any], str] = str
) -> Dimension:
    kind = "Date" if sql == begins else "UInt16"
    return Dimension(label, sql, kind, is_time=True, step=(begins, ends), text=text)


def _number(label: str, sql: str, unit: str = "") -> Dimension:
    return Dimension(label, sql, "UInt32", is_ordered=True, can_lack=True, unit=unit)


def span_sql(sql: str) -> str:
    """Write the shortest duration of the part in which one is, in seconds."""
    return f"toUInt32(roundDown({sql}, {[*SPANS]}))"


def _span(label: str, sql: str) -> Dimension:
    """Make parts of a duration in seconds; a value is the shortest of its part."""
    return Dimension(
        label,
        sql,
        "UInt32",
        is_ordered=True,
        can_lack=True,
        unit="s",
        text=lambda value: SPANS.get(value, str(value)),
    )


def _of_day(label: str, sql: str, text: Callable[[Any], str], *, can_lack: bool) -> Dimension:
    return Dimension(
        label, f"toUInt16({sql})", "UInt16", is_ordered=True, can_lack=can_lack, text=text
    )


def _weekday(value: int) -> str:
    return WEEKDAYS[value - 1]


def _hour(value: int) -> str:
    return f"{value:02}:00"


def _slots(value: int) -> str:
    return str(value) if value < 2 else f"{value}–{2 * value - 1}"


_CALENDAR: Mapping[str, Dimension] = {
    "year": _time(
        "Year", "toYear(day)", "makeDate(toYear(day), 1, 1)", "makeDate(toYear(day) + 1, 1, 1)"
    ),
    "academic_year": _time(
        "Academic year",
        "toYear(academic_year_start)",
        "any(academic_year_start)",
        "addYears(any(academic_year_start), 1)",
        lambda value: f"{value}–{value + 1}",
    ),
    "quarter": _time(
        "Quarter",
        "toStartOfQuarter(day)",
        "toStartOfQuarter(day)",
        "addQuarters(toStartOfQuarter(day), 1)",
    ),
    "month": _time(
        "Month", "toStartOfMonth(day)", "toStartOfMonth(day)", "addMonths(toStartOfMonth(day), 1)"
    ),
    "week": _time("Week", "toMonday(day)", "toMonday(day)", "addWeeks(toMonday(day), 1)"),
    "day": _time("Day", "day", "day", "addDays(day, 1)"),
    "weekday": _of_day("Day of the week", "toDayOfWeek(day)", _weekday, can_lack=False),
    "hour": _of_day("Hour of the end", "hour", _hour, can_lack=False),
    "submission_weekday": _of_day(
        "Day of the week of the submission", "submission_weekday", _weekday, can_lack=True
    ),
    "submission_hour": _of_day("Hour of the submission", "submission_hour", _hour, can_lack=True),
}

DIMENSIONS: dict[str, Dimension] = {
    "cluster": Dimension("Cluster", "cluster"),
    "sub_cluster": Dimension("Sub-cluster", "sub_cluster"),
    **_CALENDAR,
    "user": Dimension("User", "owner"),
    "group": Dimension("Group", "`group`"),
    "metagroup": Dimension(
        "Metagroup",
        "metagroup_id",
        array_join="metagroup_ids AS metagroup_id, metagroup_shares AS share",
        has="hasAny(metagroup_ids,"
        " (SELECT groupArray(number) FROM metagroup_numbers WHERE metagroup IN {values}))",
        shown="(SELECT groupArray(metagroup) FROM metagroup_numbers)[metagroup_id + 1]",
    ),
    "queue": Dimension("Queue", "qname"),
    "node": Dimension("Node", "hostname"),
    "project": Dimension("Project", "project"),
    "department": Dimension("Department", "department"),
    "account": Dimension("Account", "account"),
    "job_name": Dimension("Job name", "job_name"),
    "array": Dimension("Array or not", "if(task_number > 0, 'array', 'single')"),
    "pe": Dimension("Parallel environment", "granted_pe"),
    "parallel_class": Dimension("Parallel class", "parallel_class"),
    "slots": Dimension("Slots", "slots", "UInt32"),
    "slots_from": Dimension(
        "Slots, from a power of two",
        "toUInt32(roundToExp2(slots))",
        "UInt32",
        is_ordered=True,
        text=_slots,
    ),
    "duration": _number("Execution time (s)", "toUInt32(wall_seconds)", "s"),
    "duration_from": _span("Execution time, from", span_sql("wall_seconds")),
    "wait": _number("Wait (s)", "toUInt32(wait_seconds)", "s"),
    "wait_from": _span("Wait, from", span_sql("wait_seconds")),
    "requested_time": _number("Requested time, h_rt (s)", "toUInt32(requested_time)", "s"),
    "requested_time_from": _span("Requested time, h_rt, from", "requested_time_from"),
    "outcome": Dimension("Outcome", "outcome"),
    "failed": Dimension("Code in failed", "failed", "UInt32"),
    "exit_status": Dimension("Exit status", "exit_status", "UInt32"),
    "flag": Dimension(
        "Flag",
        "flag",
        array_join="emptyArrayToSingle(flag_names) AS flag",
        has="(bitAnd(flags, (SELECT groupBitOr(bit) FROM flag_numbers WHERE flag IN {values})) > 0"
        " OR flags = 0 AND has({values}, ''))",
    ),
}
