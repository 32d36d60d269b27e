"""What a question can be split and filtered by: for each name its SQL over the view `lines`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    """One way to split: `type` is the ClickHouse type its values are bound as.

    `is_time` dimensions are calendar dates in the cluster's time zone and sort by themselves.
    """

    label: str
    sql: str
    type: str = "String"
    is_time: bool = False


DIMENSIONS: dict[str, Dimension] = {
    "cluster": Dimension("Cluster", "cluster"),
    "year": Dimension("Year", "toYear(day)", "UInt16", is_time=True),
    "month": Dimension("Month", "toStartOfMonth(day)", "Date", is_time=True),
    "week": Dimension("Week", "toMonday(day)", "Date", is_time=True),
    "day": Dimension("Day", "day", "Date", is_time=True),
    "user": Dimension("User", "owner"),
    "group": Dimension("Group", "`group`"),
    "queue": Dimension("Queue", "qname"),
    "node": Dimension("Node", "hostname"),
    "project": Dimension("Project", "project"),
    "department": Dimension("Department", "department"),
    "pe": Dimension("Parallel environment", "granted_pe"),
    "parallel_class": Dimension("Parallel class", "parallel_class"),
    "slots": Dimension("Slots", "slots", "UInt32"),
    "outcome": Dimension("Outcome", "outcome"),
}
