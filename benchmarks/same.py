"""The questions of `benchmarks.against`, and how each of the others is asked the same.

Figures stand in the order of the question's metrics, in its units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clickhouse.query import Filter, Period, Question

if TYPE_CHECKING:
    import pandas as pd

YEAR = Period.parse("2020")
IN_2020 = "ended >= '2020-01-01' AND ended < '2021-01-01'"
CORE = "sum(wall * slots) / 3600"
JOBS = "count(*) FILTER (WHERE executed)"


@dataclass(frozen=True)
class Same:
    """One question, and how the others are asked the same."""

    question: Question
    sql: str
    frame: Callable[[pd.DataFrame], pd.DataFrame | pd.Series[float]]
    qacct: Sequence[str] | None = None
    near: float = 1e-6  # how far figures may be apart: quantiles from rollups are to 1 %


def literal(text: str) -> str:
    """Write a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _by(*keys: str) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: frame.groupby([*keys], observed=True)


def _jobs_and_hours(split: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: split(frame.assign(core=frame.wall * frame.slots / 3600))[
        ["executed", "core"]
    ].sum()


def _totals(frame: pd.DataFrame) -> pd.Series[float]:
    of_cores = frame.assign(core=frame.wall * frame.slots)
    found = of_cores[["executed", "wall", "core", "cpu"]].sum()
    return found / [1, 3600, 3600, 3600]


def _five(key: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def asked(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.assign(core=frame.wall * frame.slots / 3600)
        found = frame.groupby(key, observed=True).agg(
            {"executed": "sum", "core": "sum", "cpu": "sum", "wait": "mean", "wall": "mean"}
        )
        return found.assign(cpu=found.cpu / 3600)

    return asked


def _steps(step: str) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: frame.groupby(frame.ended.dt.to_period(step))


def _of_2020(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame.ended >= "2020-01-01") & (frame.ended < "2021-01-01")]


def standard(user: str) -> dict[str, Same]:
    """List what pages ask: over all years unless it says 2020."""
    mine = (Filter("user", (user,)),)
    five = f"{JOBS}, {CORE}, sum(cpu) / 3600, avg(wait), avg(wall)"
    of_user = f"owner = {literal(user)}"
    names = ("jobs", "core_hours", "cpu_hours", "wait_avg", "duration_avg")
    median = "percentile_cont(0.5) WITHIN GROUP (ORDER BY wait)"
    return {
        "totals": Same(
            Question(("jobs", "wall_hours", "core_hours", "cpu_hours")),
            f"SELECT {JOBS}, sum(wall) / 3600, {CORE}, sum(cpu) / 3600 FROM accounting",
            _totals,
            (),
        ),
        "totals, 2020": Same(
            Question(("jobs", "wall_hours", "core_hours", "cpu_hours"), (), YEAR),
            f"SELECT {JOBS}, sum(wall) / 3600, {CORE}, sum(cpu) / 3600 FROM accounting"
            f" WHERE {IN_2020}",
            lambda frame: _totals(_of_2020(frame)),
            ("-b", "202001010000", "-e", "202101010000"),
        ),
        "by year": Same(
            Question(("jobs", "core_hours"), ("year",)),
            f"SELECT date_trunc('year', ended) AS y, {JOBS}, {CORE} FROM accounting GROUP BY y",
            _jobs_and_hours(_steps("Y")),
        ),
        "by month": Same(
            Question(("jobs", "core_hours"), ("month",)),
            f"SELECT date_trunc('month', ended) AS m, {JOBS}, {CORE} FROM accounting GROUP BY m",
            _jobs_and_hours(_steps("M")),
        ),
        "by day": Same(
            Question(("jobs",), ("day",)),
            f"SELECT date_trunc('day', ended) AS d, {JOBS} FROM accounting GROUP BY d",
            lambda frame: _steps("D")(frame).executed.sum(),
        ),
        "five figures by user, top 10": Same(
            Question(names, ("user",), limit=10),
            f"SELECT owner, {five} FROM accounting GROUP BY owner ORDER BY {JOBS} DESC LIMIT 10",
            lambda frame: _five("owner")(frame).nlargest(10, "executed"),
            ("-o",),
        ),
        "five figures by queue": Same(
            Question(names, ("queue",)),
            f"SELECT qname, {five} FROM accounting GROUP BY qname",
            _five("qname"),
            ("-q",),
        ),
        "core hours by node": Same(
            Question(("core_hours", "jobs"), ("node",)),
            f"SELECT hostname, {CORE}, {JOBS} FROM accounting GROUP BY hostname",
            lambda frame: _jobs_and_hours(_by("hostname"))(frame)[["core", "executed"]],
            ("-h",),
        ),
        "memory by year": Same(
            Question(("memory_max", "memory_avg"), ("year",)),
            "SELECT date_trunc('year', ended) AS y, max(maxvmem) FILTER (WHERE executed)"
            " / 1073741824, avg(maxvmem) FILTER (WHERE executed) / 1073741824"
            " FROM accounting GROUP BY y",
            lambda frame: _steps("Y")(frame[frame.executed]).maxvmem.agg(["max", "mean"]) / 2**30,
        ),
        "users by year": Same(
            Question(("users",), ("year",)),
            "SELECT date_trunc('year', ended) AS y, count(DISTINCT owner) FILTER (WHERE executed)"
            " FROM accounting GROUP BY y",
            lambda frame: _steps("Y")(frame[frame.executed]).owner.nunique(),
        ),
        "top 10 users by month": Same(
            Question(("core_hours",), ("user", "month"), limit=10),
            f"SELECT owner, date_trunc('month', ended) AS m, {CORE} FROM accounting"
            " WHERE owner IN (SELECT owner FROM accounting GROUP BY owner"
            f" ORDER BY {CORE} DESC NULLS LAST LIMIT 10) GROUP BY owner, m",
            _top_by_month,
        ),
        "by month, 2020": Same(
            Question(("jobs", "core_hours"), ("month",), YEAR),
            f"SELECT date_trunc('month', ended) AS m, {JOBS}, {CORE} FROM accounting"
            f" WHERE {IN_2020} GROUP BY m",
            lambda frame: _jobs_and_hours(_steps("M"))(_of_2020(frame)),
        ),
        "a user by month and queue": Same(
            Question(("jobs",), ("month", "queue"), filters=mine),
            f"SELECT date_trunc('month', ended) AS m, qname, {JOBS} FROM accounting"
            f" WHERE {of_user} GROUP BY m, qname",
            lambda frame: _user_by_month(frame[frame.owner == user]),
        ),
        "a user's nodes": Same(
            Question(("jobs",), ("node",), filters=mine),
            f"SELECT hostname, {JOBS} FROM accounting WHERE {of_user} GROUP BY hostname",
            lambda frame: _by("hostname")(frame[frame.owner == user]).executed.sum(),
        ),
        "median wait by queue, 2020": Same(
            Question(("wait_median",), ("queue",), YEAR),
            f"SELECT qname, {median} FROM accounting WHERE {IN_2020} GROUP BY qname",
            lambda frame: _by("qname")(_of_2020(frame)).wait.median(),
            near=0.0101,
        ),
        "median wait by queue": Same(
            Question(("wait_median",), ("queue",)),
            f"SELECT qname, {median} FROM accounting GROUP BY qname",
            lambda frame: _by("qname")(frame).wait.median(),
            near=0.0101,
        ),
        "median wait by month": Same(
            Question(("wait_median",), ("month",)),
            f"SELECT date_trunc('month', ended) AS m, {median} FROM accounting GROUP BY m",
            lambda frame: _steps("M")(frame).wait.median(),
            near=0.0101,
        ),
    }


def mixtures() -> dict[str, Same]:
    """List what no page asks, of which half has a rollup of its own."""
    run = "percentile_cont(0.5) WITHIN GROUP (ORDER BY wall)"
    return {
        "jobs by job name and queue": Same(
            Question(("jobs", "core_hours"), ("job_name", "queue")),
            f"SELECT job_name, qname, {JOBS}, {CORE} FROM accounting GROUP BY job_name, qname",
            _jobs_and_hours(_by("job_name", "qname")),
        ),
        "jobs by job name and queue, 2020": Same(
            Question(("jobs", "core_hours"), ("job_name", "queue"), YEAR),
            f"SELECT job_name, qname, {JOBS}, {CORE} FROM accounting WHERE {IN_2020}"
            " GROUP BY job_name, qname",
            lambda frame: _jobs_and_hours(_by("job_name", "qname"))(_of_2020(frame)),
        ),
        "largest memory by job name": Same(
            Question(("memory_max",), ("job_name",)),
            "SELECT job_name, max(maxvmem) FILTER (WHERE executed) / 1073741824"
            " FROM accounting GROUP BY job_name",
            lambda frame: _by("job_name")(frame[frame.executed]).maxvmem.max() / 2**30,
        ),
        "jobs by failed code and node": Same(
            Question(("jobs",), ("failed", "node")),
            f"SELECT failed, hostname, {JOBS} FROM accounting GROUP BY failed, hostname",
            lambda frame: _by("failed", "hostname")(frame).executed.sum(),
        ),
        "jobs by exit status and slots, 2020": Same(
            Question(("jobs",), ("exit_status", "slots"), YEAR),
            f"SELECT exit_status, slots, {JOBS} FROM accounting WHERE {IN_2020}"
            " GROUP BY exit_status, slots",
            lambda frame: _by("exit_status", "slots")(_of_2020(frame)).executed.sum(),
        ),
        "core hours by node and day, 2020": Same(
            Question(("core_hours",), ("node", "day"), YEAR),
            f"SELECT hostname, date_trunc('day', ended) AS d, {CORE} FROM accounting"
            f" WHERE {IN_2020} GROUP BY hostname, d",
            lambda frame: _by_node_and_day(_of_2020(frame)),
        ),
        "jobs by job name and node": Same(
            Question(("jobs",), ("job_name", "node")),
            f"SELECT job_name, hostname, {JOBS} FROM accounting GROUP BY job_name, hostname",
            lambda frame: _by("job_name", "hostname")(frame).executed.sum(),
        ),
        "longest run by exit status and code": Same(
            Question(("duration_max", "jobs"), ("exit_status", "failed")),
            f"SELECT exit_status, failed, max(wall), {JOBS} FROM accounting"
            " GROUP BY exit_status, failed",
            lambda frame: _by("exit_status", "failed")(frame).agg(
                {"wall": "max", "executed": "sum"}
            ),
        ),
        "median run by failed code": Same(
            Question(("duration_median",), ("failed",)),
            f"SELECT failed, {run} FROM accounting GROUP BY failed",
            lambda frame: _by("failed")(frame).wall.median(),
            near=0.0101,
        ),
    }


def _top_by_month(frame: pd.DataFrame) -> pd.Series[float]:
    frame = frame.assign(core=frame.wall * frame.slots / 3600)
    best = frame.groupby("owner", observed=True).core.sum().nlargest(10).index
    kept = frame[frame.owner.isin(best)]
    return kept.groupby(["owner", kept.ended.dt.to_period("M")], observed=True).core.sum()


def _by_node_and_day(frame: pd.DataFrame) -> pd.Series[float]:
    frame = frame.assign(core=frame.wall * frame.slots / 3600)
    return frame.groupby(["hostname", frame.ended.dt.to_period("D")], observed=True).core.sum()


def _user_by_month(frame: pd.DataFrame) -> pd.Series[float]:
    return frame.groupby([frame.ended.dt.to_period("M"), "qname"], observed=True).executed.sum()
