"""Jobs: the search, one job's whole record, its attempts, tasks and the place of its line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from clickhouse import records
from clickhouse.connection import Warehouse
from clickhouse.errors import QuestionError
from clickhouse.query import Filter
from clickhouse.records import JobKey, Search
from streamlit_app import i18n
from streamlit_app.jobs import facts
from streamlit_app.warehouse import holder
from tests import helpers
from tests.app import app

T0 = 1_500_000_000  # 14 July 2017, 02:40 UTC
FIRST, LAST = date(2017, 7, 14), date(2017, 8, 14)
HOSTILE = "<b>**x**</b>'%_\\ 🐧"


def job(number: int, after: int = 0, ran: int = 100, **changes: object) -> bytes:
    """A line of a job that waited 10 s and ran some seconds."""
    times = {
        "submission_time": T0 + after,
        "start_time": T0 + after + 10,
        "end_time": T0 + after + 10 + ran,
    }
    return helpers.line(job_number=number, **(times | changes))


LINES = (
    job(1, job_name="blast_v1"),
    job(2, 60, 5000, job_name="blast_v2", owner="bob", slots=4, maxvmem=8 * 2**30),
    job(3, 120, job_name=HOSTILE, owner=HOSTILE),
    job(4, 180, exit_status=137, failed=100, category="-l h_rt=3600,h_vmem=2G -pe smp 4"),
    job(5, 240, start_time=0, end_time=0, failed=28),
    # an array, whose second task was tried twice and whose fourth is a straggler
    *(job(6, 300, 100 + n, task_number=n, job_name="array") for n in (1, 2, 3)),
    job(6, 300, 1000, task_number=4, job_name="array"),
    job(6, 300, task_number=2, job_name="array", start_time=T0 + 900, end_time=T0 + 1000),
    # a parallel job with two tasks elsewhere
    job(7, 400, 50, granted_pe="mpi", slots=8, cpu=5),
    job(7, 400, 40, granted_pe="mpi", slots=8, pe_taskid="1.node2", hostname="node2", cpu=30),
    job(7, 400, 40, granted_pe="mpi", slots=8, pe_taskid="2.node3", hostname="node3", cpu=40),
    # the number of the first one, come round again a month later
    job(1, 30 * 86400, job_name="later", owner="carol"),
)


@pytest.fixture
def loaded(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    with helpers.warehouse(database_url) as opened:
        content = b"# a comment\n" + b"\n".join(LINES) + b"\n"
        helpers.load_bytes(opened, tmp_path / "accounting", content)
        st.cache_resource.clear()
        holder.use(opened)
        yield opened
    holder.close()
    st.cache_resource.clear()


def found(opened: Warehouse, text: str = "", limit: int = 100, **options: object) -> list[str]:
    wanted = Search(FIRST, LAST, text, **options)  # type: ignore[arg-type]
    rows = records.search(opened, wanted, limit).table.to_pylist()
    return [facts.number(JobKey("", r["job_number"], r["task_number"])) for r in rows]


def test_search_by_number_name_filter_and_order(loaded: Warehouse) -> None:
    assert found(loaded)[0] == "1"  # a month later than all others
    assert len(found(loaded)) == len(LINES) - 2  # tasks of the parallel job are no attempts
    assert found(loaded, "1") == ["1", "1"]
    assert found(loaded, "6.2") == ["6.2", "6.2"]
    assert found(loaded, "99999999999") == []
    assert sorted(found(loaded, "BLAST")) == ["1", "2"]
    assert found(loaded, "blast*2") == ["2"]
    assert found(loaded, "blast_v?") == found(loaded, "blast")
    assert found(loaded, "%") == ["3"]  # no pattern of SQL
    assert found(loaded, "'%_\\") == ["3"]
    assert found(loaded, order="longest")[:2] == ["2", "6.4"]
    assert found(loaded, order="memory")[0] == "2"
    assert found(loaded, order="oldest")[0] != "1" or found(loaded, order="oldest")[-1] == "1"
    for order in records.ORDERS:
        assert sorted(found(loaded, order=order)) == sorted(found(loaded))
    bob = (Filter("user", ("bob",)),)
    assert found(loaded, filters=bob) == ["2"]
    assert found(loaded, filters=(Filter("outcome", ("killed",)),)) == ["4"]
    assert found(loaded, filters=(Filter("parallel_class", ("multi-node",)),)) == ["7"]
    assert "2" not in found(loaded, filters=(Filter("user", ("bob",), exclude=True),))


def test_a_list_is_cut_and_says_so(loaded: Warehouse) -> None:
    cut = records.search(loaded, Search(FIRST, LAST), 3)
    assert cut.more and cut.table.num_rows == 3
    assert not records.search(loaded, Search(FIRST, LAST), 100).more
    whole = records.search(loaded, Search(FIRST, date(2017, 7, 31)), 100)
    assert "later" not in whole.table.column("job_name").to_pylist()


def test_a_job_is_its_attempts_its_tasks_and_its_lines(loaded: Warehouse) -> None:
    again = records.submissions(loaded, JobKey(helpers.CLUSTER, 1)).to_pylist()
    assert [row["owner"] for row in again] == ["carol", "ann"]
    array = JobKey(helpers.CLUSTER, 6)
    tasks = records.tasks(loaded, array, T0 + 300, 100).to_pylist()
    assert [(row["task_number"], row["attempts"]) for row in tasks] == [
        (4, 1),
        (3, 1),
        (1, 1),
        (2, 2),
    ]
    campaign = records.campaign(loaded, array, T0 + 300)
    assert (campaign["tasks"], campaign["attempts"], campaign["stragglers"]) == (4, 5, 1)
    second = records.lines_of(loaded, JobKey(helpers.CLUSTER, 6, 2), T0 + 300, 10)
    assert [line["start_time"] for line in second] == [T0 + 310, T0 + 900]
    parallel = records.lines_of(loaded, JobKey(helpers.CLUSTER, 7), T0 + 400, 10)
    assert [line["pe_taskid"] for line in parallel] == ["", "1.node2", "2.node3"]
    killed = records.requests_of(loaded, "-l h_rt=3600,h_vmem=2G -pe smp 4")
    assert (killed["h_rt"], killed["h_vmem"], killed["mem_free"]) == (3600, 2 * 2**30, None)


def test_the_place_of_a_line(loaded: Warehouse, tmp_path: Path) -> None:
    [line] = records.lines_of(loaded, JobKey(helpers.CLUSTER, 4), T0 + 180, 10)
    path = records.file_of(loaded, helpers.CLUSTER, line["file_id"])
    assert path == str(tmp_path / "accounting")
    assert facts.raw_line(path, line["offset"], line).encode() == LINES[3]
    (tmp_path / "accounting").write_bytes(b"x" * 10_000)
    assert facts.raw_line(path, line["offset"], line) == ""
    (tmp_path / "accounting").unlink()
    assert facts.raw_line(path, line["offset"], line) == ""


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("c1/12", JobKey("c1", 12)),
        ("c1/12.3", JobKey("c1", 12, 3)),
        ("a/b/12", JobKey("a/b", 12)),
    ],
)
def test_a_key_is_read_as_it_is_written(text: str, key: JobKey) -> None:
    assert JobKey.parse(text) == key
    assert str(key) == text


@pytest.mark.parametrize(
    "text", ["", "12", "c1/", "c1/x", "c1/12.", "c1/99999999999", "c1/4294967296"]
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(QuestionError, match="is no job"):
        JobKey.parse(text)


def page(**query: str) -> AppTest:
    return app("jobs", **query)


def said(at: AppTest) -> str:
    parts = [*at.title, *at.markdown, *at.caption, *at.code, *at.info, *at.error]
    return "\n".join(str(part.value) for part in parts)


def figures(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def test_the_page_lists_jobs_and_shows_one(loaded: Warehouse) -> None:
    [frame] = [table.value for table in page(user="bob").dataframe]
    assert list(frame["job"]) == ["2"]
    at = page(job=f"{helpers.CLUSTER}/2")
    assert at.title[0].value == "Job 2"
    assert figures(at)["Memory, largest"] == "8.0 GiB"
    assert figures(at)["Run time"] == "1 h 23 min"
    assert "It had waited 10 s" in said(at)
    at.button(key="jobs_back").click().run()
    assert at.title[0].value == "Jobs"


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_the_page_says_how_a_job_ended(loaded: Warehouse) -> None:
    at = page(job=f"{helpers.CLUSTER}/4")
    assert "KILL" in said(at) and "137" in said(at) and "assumedly after job" in said(at)
    assert "1 h 00 min" in said(at) and "2\\.0 GiB" in said(at)
    assert "pychart explain" in said(at) and LINES[3].decode() in said(at)
    assert "It never started." in said(page(job=f"{helpers.CLUSTER}/5"))
    fields = next(t.value for t in at.dataframe if "field" in t.value)
    assert {"exit_status", "maxvmem", "category"} <= set(fields["field"])


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_the_page_shows_arrays_attempts_and_parallel_tasks(loaded: Warehouse) -> None:
    at = page(job=f"{helpers.CLUSTER}/6")
    assert (figures(at)["Tasks"], figures(at)["Stragglers"]) == ("4", "1")
    assert len(at.get("vega_lite_chart")) == 1
    at = page(job=f"{helpers.CLUSTER}/6.2")
    assert at.selectbox(key=f"jobs_attempt_{helpers.CLUSTER}/6.2").value == 1
    at.button(key="jobs_array").click().run()
    assert figures(at)["Tasks"] == "4"
    at = page(job=f"{helpers.CLUSTER}/7")
    assert figures(at)["CPU time"] == "1 min 15 s"
    assert "It had 8 slots: multi-node" in said(at)
    assert [list(t.value["task"]) for t in at.dataframe if "task" in t.value] == [
        ["1.node2", "2.node3"]
    ]
    at = page(job=f"{helpers.CLUSTER}/1")
    assert "later" in said(at)
    at.selectbox(key=f"jobs_submission_{helpers.CLUSTER}/1").set_value(1).run()
    assert "blast" in said(at)


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_odd_keys_and_odd_names(loaded: Warehouse) -> None:
    assert "is no job" in said(page(job="<script>")).replace("\\", "")
    assert "has no job of this number" in said(page(job=f"{helpers.CLUSTER}/77"))
    assert "No job matches" in said(page(search="nothing like it"))
    at = page(job=f"{helpers.CLUSTER}/3")
    assert "**x**" not in said(at).replace(LINES[2].decode(), "")
    with i18n.speaking("fr"):
        at = app("jobs", locale="fr-FR", job=f"{helpers.CLUSTER}/2")
    assert "a soumis" in said(at) and figures(at)["Mémoire, maximum"] == "8,0 Gio"


def test_times_are_those_of_the_clusters_clock(loaded: Warehouse) -> None:
    assert facts.moment(T0, helpers.CLUSTER) == "14 Jul 2017 02:40:00"
    assert facts.moment(0, helpers.CLUSTER) == "–"
    times = facts.local_times([T0, 0], [helpers.CLUSTER] * 2)
    assert times.type == pa.timestamp("s") and times.to_pylist()[1] is None
    with i18n.speaking("fr"):
        assert facts.moment(T0, helpers.CLUSTER).startswith("14 juil. 2017")
