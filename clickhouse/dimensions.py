"""What a question can be split and filtered by: for each name its SQL over the view `lines`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    """One way to split: `type` is the ClickHouse type its values are bound as.

    `is_time` dimensions are calendar dates in the cluster's time zone and sort by themselves.
    A line can have several values where there is an `array_join`, which gives each its own row;
    `has` is then the condition that a line has one of the values in {values}, and `shown` writes a
    value that is a number in `sql`. No value is ''.
    """

    label: str
    sql: str
    type: str = "String"
    is_time: bool = False
    array_join: str = ""
    has: str = ""
    shown: str = ""

    @property
    def is_many(self) -> bool:
        """Tell whether a line can have several values: parts then add up to more than the whole."""
        return bool(self.array_join)


DIMENSIONS: dict[str, Dimension] = {
    "cluster": Dimension("Cluster", "cluster"),
    "sub_cluster": Dimension("Sub-cluster", "sub_cluster"),
    "year": Dimension("Year", "toYear(day)", "UInt16", is_time=True),
    "quarter": Dimension("Quarter", "toStartOfQuarter(day)", "Date", is_time=True),
    "month": Dimension("Month", "toStartOfMonth(day)", "Date", is_time=True),
    "week": Dimension("Week", "toMonday(day)", "Date", is_time=True),
    "day": Dimension("Day", "day", "Date", is_time=True),
    "weekday": Dimension("Day of the week, from Monday", "toUInt16(toDayOfWeek(day))", "UInt16"),
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
    "pe": Dimension("Parallel environment", "granted_pe"),
    "parallel_class": Dimension("Parallel class", "parallel_class"),
    "slots": Dimension("Slots", "slots", "UInt32"),
    "slots_from": Dimension("Slots, from a power of two", "toUInt32(roundToExp2(slots))", "UInt32"),
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
