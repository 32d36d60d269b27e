"""What the page Jobs shows of one job: its figures and fields in words, its line in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from clickhouse.codes import EXITS, FAILED, STILL_RUNNING
from clickhouse.fields import FIELDS
from clickhouse.records import JobKey
from streamlit_app import data, i18n, text
from streamlit_app.i18n import t

LONGEST_LINE = 1 << 20  # bytes; the longest line that is accepted
# Fields that are shown of every job, in the order of accounting(5); others where they say anything.
ALWAYS = (
    "qname", "hostname", "group", "owner", "job_name", "job_number", "task_number", "account",
    "priority", "submission_time", "start_time", "end_time", "failed", "exit_status",
    "ru_wallclock", "ru_utime", "ru_stime", "ru_maxrss", "project", "department", "granted_pe",
    "slots", "cpu", "mem", "io", "iow", "maxvmem", "category",
)  # fmt: skip
APART = frozenset(
    {"cluster", "file_id", "offset", "record_id", "later_fields", "flags", "submission_us"}
    | {"start_us", "end_us", "layout"}
)


def zone(cluster: str) -> ZoneInfo:
    """Give the time zone of a cluster."""
    return ZoneInfo(data.settings().cluster(cluster).timezone)


def moment(seconds: int, cluster: str) -> str:
    """Write a time in the cluster's time zone: `3 Mar 2018 14:05:07`."""
    if not seconds:
        return text.MISSING
    found = datetime.fromtimestamp(seconds, UTC).astimezone(zone(cluster))
    return f"{text.day(found.date())} {found:%H:%M:%S}"


def local_times(seconds: Sequence[int], clusters: Sequence[str]) -> pa.Array:
    """Turn seconds into times of the clusters' clocks, for a table; 0 is no time."""
    found = [
        datetime.fromtimestamp(second, UTC).astimezone(zone(cluster)).replace(tzinfo=None)
        if second
        else None
        for second, cluster in zip(seconds, clusters, strict=True)
    ]
    return pa.array(found, pa.timestamp("s"))


def number(key: JobKey) -> str:
    """Write the number of a job as people do: `123`, `123.4`."""
    return f"{key.number}.{key.task}" if key.task else str(key.number)


def failed_words(code: int) -> str:
    """Say what a number in `failed` means."""
    return t(FAILED[code]) if code in FAILED else t("code {code}", code=code)


def exit_words(code: int) -> str:
    """Say what an exit status means; '' where it is the program's own number."""
    if code == STILL_RUNNING:
        return t("still running")
    return EXITS.get(code, "")


def fields(line: Mapping[str, Any]) -> pa.Table:
    """List the fields of a line: name, value in words, value as stored, and meaning."""
    cluster = str(line["cluster"])
    shown = [
        (name, _in_words(name, value, cluster), value)
        for name, value in line.items()
        if name not in APART and (name in ALWAYS or value not in (None, "", 0, 0.0))
    ]
    return pa.table(
        {
            "field": [name for name, _, _ in shown],
            "value": [words for _, words, _ in shown],
            "stored": ["" if value is None else str(value) for _, _, value in shown],
            "meaning": [t(FIELDS[name].meaning) if name in FIELDS else "" for name, _, _ in shown],
        }
    )


def _in_words(name: str, value: Any, cluster: str) -> str:  # noqa: ANN401 - of any type
    if value is None:
        return t("not known")
    if name == "failed":
        return f"{value}: {failed_words(value)}"
    if name == "exit_status":
        words = exit_words(value)
        return f"{value}: {words}" if words else str(value)
    unit = FIELDS[name].unit if name in FIELDS else ""
    if unit == "UTC":
        return moment(int(value), cluster)
    if unit == "bytes":
        return text.size(value)
    if unit == "KiB":
        return text.size(value * 1024)
    if unit in ("s", "GiB", "GiB s"):
        return text.figure(value, unit)
    return str(value) if value != "" else t(text.NO_NAME)


def raw_line(path: str, offset: int, line: Mapping[str, Any]) -> str:
    """Read a line at its place; '' where the file is not here, is another one, or is compressed."""
    try:
        with Path(path).open("rb") as file:
            file.seek(offset)
            found = file.readline(LONGEST_LINE).rstrip(b"\n").decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    # it may have been rotated since: whatever stands there now, it is this job's or nothing
    known = (str(line["job_number"]), str(line["owner"]))
    return found if all(word in found for word in known) else ""


def efficiency(line: Mapping[str, Any]) -> float | None:
    """Give CPU time ÷ (slots × run time) in per cent, None where one of them is not known."""
    ran = ran_seconds(line)
    if not ran or line["cpu"] is None or not line["slots"]:
        return None
    return float(100 * line["cpu"] / (ran * line["slots"]))


def ran_seconds(line: Mapping[str, Any]) -> float | None:
    """Give end − start of a line in seconds, None where it did not start or end."""
    if not line["start_time"] or line["end_time"] < line["start_time"]:
        return None
    micro = float(line["end_us"] - line["start_us"])
    return float(line["end_time"] - line["start_time"]) + micro / 1e6


def waited_seconds(line: Mapping[str, Any]) -> float | None:
    """Give start − submission of a line in seconds, None where it did not start."""
    if not line["start_time"] or line["start_time"] < line["submission_time"]:
        return None
    micro = float(line["start_us"] - line["submission_us"])
    return float(line["start_time"] - line["submission_time"]) + micro / 1e6


def thousands(value: float) -> str:
    """Write a whole number for people."""
    return i18n.number(f"{value:,.0f}")


def bold(name: str) -> str:
    """Write a name of the file in a sentence."""
    return f"**{text.plain(text.short(name, 60))}**"


def duration(seconds: float | None) -> str:
    """Write a duration that may not be known."""
    return text.MISSING if seconds is None else text.duration(seconds)
