"""Metagroups and sub-clusters: what belongs where, by the settings, at once after an edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError
from clickhouse.members import Span, all_members, members_of
from clickhouse.migrate import migrate, open_current
from clickhouse.query import Filter, Question, ask, values
from clickhouse.rollups import refresh
from clickhouse.scope import Scope
from clickhouse.settings import ClusterSettings, Settings, SubClusterSettings, load_settings
from clickhouse.site import sub_cluster_sql
from tests.helpers import CLUSTER, column, line, load_bytes, pychart, warehouse

DAY = 86400
NEW_YEAR = 1514764800  # 2018-01-01 00:00 UTC, an hour into the year in Paris
HOUR = 3600
STRANGE = 'L\'été \\ "labo" 🦆: a, b'


def job(number: int, end: int = NEW_YEAR - 10 * DAY, **changes: Any) -> bytes:
    """Write an hour of one core, on the day of `end`."""
    times = {"submission_time": end - HOUR, "start_time": end - HOUR, "end_time": end}
    return line(job_number=number, cpu=1800, **times, **changes) + b"\n"


LINES = b"".join([
    job(1, owner="ann", group="bio"),                       # of biology twice: counts once
    job(2, owner="bob", group="bio"),
    job(3, owner="bob", group="bio", end=NEW_YEAR + 10 * DAY),
    job(4, owner="cat", group="chem"),
    job(5, owner="dan", group="evo", end=NEW_YEAR - HOUR - 1),  # the last second of 2017 in Paris
    job(6, owner="dan", group="evo", end=NEW_YEAR - HOUR),      # the first of 2018
    job(7, owner="eve", group="none of these"),
])  # fmt: skip
METAGROUPS: dict[str, Any] = {
    "biology": {
        "groups": ["bio"],
        "users": ["ann"],
        "members": [{"group": "evo", "until": "2018-01-01"}],
    },
    "chemistry": {
        "groups": ["chem"],
        "members": [
            {"group": "evo", "since": "2018-01-01", "share": 0.5},
            {"user": "bob", "share": 0.25},
            {"group": "bio", "share": 0.5, "until": "2018-01-01"},
        ],
    },
    STRANGE: {"users": ["cat", "o'neil"]},
    "empty": {},
}


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Warehouse]:
    clusters = {CLUSTER: {"timezone": "Europe/Paris"}, "other": {}}
    with warehouse(database_url, clusters=clusters, metagroups=METAGROUPS) as opened:
        load_bytes(opened, tmp_path / "accounting", LINES)
        yield opened


def answer(db: Warehouse, *metrics: str, by: tuple[str, ...] = (), **rest: Any) -> list[tuple]:
    return [tuple(row.values()) for row in ask(db, Question(metrics, by, **rest)).to_pylist()]


def test_a_job_counts_once_in_each_of_its_metagroups(db: Warehouse) -> None:
    found = dict(db.rows("SELECT job_number, metagroups FROM jobs"))
    assert found == {
        1: ["biology", "chemistry"],
        2: ["biology", "chemistry"],
        3: ["biology", "chemistry"],
        4: ["chemistry", STRANGE],
        5: ["biology"],
        6: ["chemistry"],
        7: [],
    }
    assert sorted(answer(db, "jobs", by=("metagroup",))) == [
        ("", 1), (STRANGE, 1), ("biology", 4), ("chemistry", 5),
    ]  # fmt: skip
    joined = "SELECT arrayJoin(metagroups) AS name, count() FROM jobs GROUP BY name ORDER BY name"
    assert db.rows(joined) == [(STRANGE, 1), ("biology", 4), ("chemistry", 5)]


def test_hours_count_by_share_and_a_users_own_outweighs(db: Warehouse) -> None:
    metrics = ("wall_hours", "core_hours", "cpu_hours", "jobs", "duration_avg", "cpu_efficiency")
    rows = {row[0]: row[1:] for row in answer(db, *metrics, by=("metagroup",))}
    #                 ann    bob        cat  dan
    hours = 0.5 + 2 * 0.25 + 1 + 0.5
    assert rows["chemistry"] == (hours, hours, hours / 2, 5, HOUR, 50)
    assert rows["biology"] == (4, 4, 2, 4, HOUR, 50)
    assert rows[""] == (1, 1, 0.5, 1, HOUR, 50)
    assert answer(db, "core_hours") == [(7,)]


def test_filters_by_metagroup_keep_lines_that_are_in_any(db: Warehouse) -> None:
    def jobs(*names: str, exclude: bool = False) -> int:
        [(found,)] = answer(db, "jobs", filters=(Filter("metagroup", names, exclude),))
        return int(found)

    assert jobs("biology") == 4
    assert jobs("biology", "chemistry") == 6
    assert jobs("biology", exclude=True) == 3
    assert jobs(STRANGE) == 1
    assert jobs("") == 1
    assert jobs("", STRANGE) == 2
    assert jobs("", exclude=True) == 6
    assert jobs("empty") == jobs("no such") == jobs("') OR 1 --") == 0


def test_a_split_shows_the_metagroups_that_were_asked_for(db: Warehouse) -> None:
    chosen = (Filter("metagroup", ("chemistry", STRANGE)),)
    assert answer(db, "jobs", by=("metagroup",), filters=chosen) == [("chemistry", 5), (STRANGE, 1)]
    rest = (Filter("metagroup", ("chemistry",), exclude=True),)
    assert answer(db, "jobs", by=("metagroup",), filters=rest) == [("", 1), ("biology", 1)]
    top = answer(db, "jobs", by=("metagroup", "year"), limit=1)
    assert top == [("chemistry", 2017, 3), ("chemistry", 2018, 2)]
    assert answer(db, "core_hours", by=("metagroup",), limit=1) == [("biology", 4)]
    both = answer(db, "jobs", by=("metagroup", "flag"), filters=chosen)
    assert both == [("chemistry", "", 5), (STRANGE, "", 1)]


def test_selectors_list_metagroups(db: Warehouse) -> None:
    assert values(db, "metagroup") == ["chemistry", "biology", STRANGE]
    assert values(db, "metagroup", "LOG") == ["biology"]


def test_the_view_metagroups_has_each_member(db: Warehouse) -> None:
    rows = db.rows(
        "SELECT metagroup, kind, member, toString(since), toString(until), share FROM metagroups"
        " WHERE cluster = '' AND metagroup != 'biology' ORDER BY ALL"
    )
    begin, end = "1970-01-01", "2149-06-06"
    assert rows == [
        (STRANGE, "user", "cat", begin, end, 1),
        (STRANGE, "user", "o'neil", begin, end, 1),
        ("chemistry", "group", "bio", begin, "2018-01-01", 0.5),
        ("chemistry", "group", "chem", begin, end, 1),
        ("chemistry", "group", "evo", "2018-01-01", end, 0.5),
        ("chemistry", "user", "bob", begin, end, 0.25),
    ]


def test_whose_lines_are_seen_does_not_depend_on_the_share(
    database_url: str, tmp_path: Path
) -> None:
    """A membership that goes on, with another share or in another metagroup, ends on no day."""
    labs: dict[str, Any] = {
        "physics": {
            "members": [
                {"group": "evo", "until": "2018-01-01"},
                {"group": "evo", "since": "2018-01-01", "share": 0.5},
                {"group": "bio", "until": "2018-01-01"},
                {"user": "cat", "until": "2018-01-01", "clusters": [CLUSTER]},
            ]
        },
        "biology": {"members": [{"group": "bio", "since": "2017-06-01"}]},
    }
    with warehouse(database_url, clusters={CLUSTER: {}}, metagroups=labs) as db:
        first = date(2018, 1, 1)
        always = Span("group", "")
        while_at_work = Span("user", CLUSTER, until=first)
        assert members_of(db, ("physics", "biology")) == {
            always: ["bio", "evo"],
            while_at_work: ["cat"],
        }
        assert all_members(db) == {
            Span("group", "", until=first): [("bio", "physics")],
            always: [("evo", "physics")],
            Span("group", "", since=date(2017, 6, 1)): [("bio", "biology")],
            while_at_work: [("cat", "physics")],
        }
        load_bytes(db, tmp_path / "accounting", LINES)
        scope = Scope(metagroups=("physics", "biology"))
        found = answer(db, "jobs", by=("user",), scope=scope)
        assert sorted(found) == [("ann", 1), ("bob", 2), ("cat", 1), ("dan", 2)]


def test_a_metagroup_may_be_of_some_clusters_only(database_url: str, tmp_path: Path) -> None:
    members = [{"user": "ann", "clusters": ["other"]}, {"user": "bob", "since": "2017-01-01"}]
    groups = {"lab": {"groups": ["chem"], "members": members, "clusters": [CLUSTER]}}
    with warehouse(database_url, clusters={CLUSTER: {}, "other": {}}, metagroups=groups) as db:
        load_bytes(db, tmp_path / "accounting", LINES)
        found = "SELECT job_number FROM jobs WHERE has(metagroups, 'lab') ORDER BY job_number"
        assert column(db, found) == [2, 3, 4]
        listed = "SELECT member FROM metagroups WHERE cluster = 'other'"
        assert column(db, listed) == ["ann"]


def test_there_may_be_many_metagroups(database_url: str, tmp_path: Path) -> None:
    groups = {f"m{n:03d}": {"users": ["ann", f"u{n}"]} for n in range(150)}
    groups["m100"] = {"members": [{"user": "ann", "share": 0.125}]}
    with warehouse(database_url, metagroups=groups) as db:
        load_bytes(db, tmp_path / "accounting", LINES + job(9, owner="u140"))
        assert column(db, "SELECT metagroups FROM jobs WHERE owner = 'ann'") == [sorted(groups)]
        rows = dict(answer(db, "core_hours", by=("metagroup",)))
        assert len(rows) == 151
        assert (rows["m000"], rows["m063"], rows["m100"], rows["m140"]) == (1, 1, 0.125, 2)
        assert rows[""] == 6
        assert answer(db, "jobs", filters=(Filter("metagroup", ("m064",)),)) == [(1,)]


SUB_CLUSTERS: dict[str, Any] = {
    CLUSTER: {
        "sub_clusters": {
            "it's big": {"hosts": ["bm*", "exact"], "queues": ["big.q"]},
            "gpu": {"queues": ["gpu?.q", "*.gpu"]},
            "rest of b": {"hosts": ["b*"]},
        }
    },
    "other": {"sub_clusters": {"old": {"hosts": ["*"]}}},
}
PLACES = {
    ("bm1", "all.q"): "it's big",
    ("exact", "all.q"): "it's big",
    ("exactly", "all.q"): "",
    ("node1", "big.q"): "it's big",
    ("bm1", "gpu1.q"): "it's big",  # first in the file
    ("b1", "gpu1.q"): "gpu",
    ("b1", "gpu10.q"): "rest of b",
    ("b1", "fast.gpu"): "gpu",
    ("0", "2"): "",  # names that look like what the patterns become
    ("-0", "-b"): "",
    ("NONE", "NONE"): "",
}


def test_sub_clusters_are_told_by_host_or_queue(database_url: str, tmp_path: Path) -> None:
    content = b"".join(
        job(number, hostname=host, qname=queue) for number, (host, queue) in enumerate(PLACES)
    )
    with warehouse(database_url, clusters=SUB_CLUSTERS) as db:
        load_bytes(db, tmp_path / "accounting", content)
        found = column(db, "SELECT sub_cluster FROM jobs ORDER BY job_number")
        assert found == list(PLACES.values())
        rows = dict(answer(db, "jobs", by=("sub_cluster",)))
        assert rows == {"it's big": 4, "gpu": 2, "rest of b": 1, "": 4}
        assert answer(db, "jobs", filters=(Filter("sub_cluster", ("gpu", "it's big")),)) == [(6,)]
        assert values(db, "sub_cluster") == ["it's big", "gpu", "rest of b"]


NAMES = st.text("ab.é-0", max_size=4)


@pytest.mark.parametrize("kind", ["String", "LowCardinality(String)"])
def test_the_first_pattern_that_matches_tells(database_url: str, kind: str) -> None:
    """Whatever they are, looked up or matched, in whatever order: as `fnmatch` would have it."""
    with warehouse(database_url) as db:

        @settings(max_examples=30, deadline=None, database=None, derandomize=True)
        @given(
            patterns=st.lists(st.text("ab.é0*?*", min_size=1, max_size=4), min_size=1, max_size=6),
            names=st.lists(NAMES, min_size=1, max_size=20),
        )
        def compare(patterns: list[str], names: list[str]) -> None:
            its = {f"{n}": SubClusterSettings(hosts=(each,)) for n, each in enumerate(patterns)}
            site_settings = Settings(clusters={"c": ClusterSettings(sub_clusters=its)})
            sql = sub_cluster_sql(site_settings)
            host = f"CAST(arrayJoin({{names:Array(String)}}) AS {kind}) AS hostname"
            rows = f"SELECT 'c' AS cluster, {host}, '' AS qname"
            found = db.rows(f"SELECT {sql} FROM ({rows})", {"names": names})
            expected = [
                next((name for name, sub in its.items() if fnmatchcase(host, sub.hosts[0])), "")
                for host in names
            ]
            assert [row[0] for row in found] == expected

        compare()


REFUSED = {
    "[metagroups.a]\nfriends = []": "metagroups.a.friends: no such setting",
    "[metagroups.a]\ngroups = ['']": "metagroups.a.groups.0: a name cannot be empty",
    "[metagroups.'']\n": "metagroups.: a name cannot be empty",
    "[metagroups.a]\nmembers = [{ share = 1 }]": "members.0: needs either a user or a group",
    "[metagroups.a]\nmembers = [{ user = 'u', group = 'g' }]": "needs either a user or a group",
    "[metagroups.a]\nmembers = [{ user = 'u', share = 0 }]": "members.0.share: Input should be",
    "[metagroups.a]\nmembers = [{ user = 'u', share = 1.5 }]": "to 1, not 1.5",
    "[metagroups.a]\nmembers = [{ user = 'u', share = nan }]": "members.0.share",
    "[metagroups.a]\nmembers = [{ user = 'u', since = 2020-01-01, until = 2020-01-01 }]": (
        "metagroups.a.members.0: since 2020-01-01 is not before until 2020-01-01"
    ),
    "[metagroups.a]\nmembers = [{ user = 'u', since = 1900-01-01 }]": "1900-01-01 is not from",
    "[metagroups.a]\nusers = ['u', 'u']": "metagroups.a: user 'u' is there twice",
    "[metagroups.a]\ngroups = ['g']\nmembers = [{ group = 'g', since = 2020-01-01 }]": (
        "metagroups.a: group 'g' is there twice at the same time"
    ),
    "[metagroups.a]\nclusters = ['e6']\nusers = ['u']": (
        "metagroups.a.clusters: there is no cluster 'e6'"
    ),
    "[clusters.e5.sub_clusters]\nbig = {}": "sub_clusters.big: needs patterns of hosts or queues",
    "[clusters.e5.sub_clusters]\nbig = { hosts = [''] }": "a pattern cannot be empty",
    "[clusters.e5.sub_clusters]\n'' = { hosts = ['a'] }": "a name cannot be empty",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pychart.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_settings(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert REFUSED[text] in message
    assert "\n" not in message


def test_the_same_member_may_come_again_later_or_elsewhere() -> None:
    moved = [
        {"group": "g", "until": "2020-01-01"},
        {"group": "g", "since": "2020-01-01", "share": 0.5, "clusters": ["a"]},
        {"group": "g", "since": "2020-01-01", "clusters": ["b"]},
    ]
    settings = Settings(clusters={"a": {}, "b": {}}, metagroups={"m": {"members": moved}})
    assert len(settings.metagroups["m"].entries) == 3


def edit(file: Path, database_url: str, metagroup: str) -> None:
    file.write_text(
        f'database = "{database_url}"\n[clusters.{CLUSTER}]\n'
        f'[clusters.{CLUSTER}.sub_clusters]\n{metagroup}-machines = {{ hosts = ["*"] }}\n'
        f'[metagroups.{metagroup}]\ngroups = ["bio"]\n'
    )


@pytest.mark.parametrize("database_url", ["chdb"], indirect=True)
def test_an_edit_shows_at_once_in_every_command(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "pychart.toml"
    accounting = tmp_path / "accounting"
    accounting.write_bytes(LINES)
    edit(file, database_url, "one")
    assert pychart("--config", file, "load", accounting).returncode == 0
    edit(file, database_url, "two")
    asked = ("ask", "--metric", "jobs", "--by", "metagroup", "--format", "csv")
    done = pychart("--config", file, *asked)
    assert done.stdout.decode() == "metagroup,jobs\n,4\ntwo,3\n", done.stderr
    edit(file, database_url, "three")
    done = pychart("--config", file, "sql", "SELECT DISTINCT sub_cluster FROM jobs")
    assert done.stdout == b"sub_cluster\nthree-machines\n"
    # no file, nothing to go by: the views stay
    done = pychart("--database", database_url, *asked)
    assert done.stdout.decode() == "metagroup,jobs\n,4\nthree,3\n", done.stderr
    file.write_text("[metagroups.x]\nshare = 1\n")
    done = pychart("--config", file, *asked)
    assert (done.returncode, done.stdout) == (2, b"")


def test_only_what_changed_is_replaced_and_a_servers_views_are_left_alone(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "pychart.toml"
    edit(file, database_url, "one")
    with Warehouse(load_settings(file), create=True) as db:
        migrate(db)
    edit(file, database_url, "two")
    with open_current(load_settings(file)) as db:
        found = column(db, "SELECT metagroup FROM metagroups")
        assert found == (["two"] if db.embedded else ["one"])
        done = migrate(db)
        changed = ["0004_lines", "0015_metagroups", "0016_metagroup_numbers", "0018_definitions"]
        assert done == ([] if db.embedded else changed)
        assert column(db, "SELECT metagroup FROM metagroups") == ["two"]


def test_a_member_can_be_named_as_bytes_that_are_no_text_are_shown(
    database_url: str, tmp_path: Path
) -> None:
    metagroups = {"its": {"users": ["ann\ufffd"]}}
    with warehouse(database_url, metagroups=metagroups) as opened:
        load_bytes(opened, tmp_path / "accounting", LINES.replace(b":ann:", b":ann\xe9:"))
        asked = Question(("jobs",), ("user",), filters=(Filter("metagroup", ("its",)),))
        refresh(opened)
        for exact in (False, True):
            found = ask(opened, replace(asked, exact=exact)).to_pylist()
            assert found == [{"user": "ann\ufffd", "jobs": 1}]
        assert column(opened, "SELECT owner FROM jobs WHERE metagroups = ['its']") == ["ann\ufffd"]
        assert column(opened, "SELECT hex(owner) FROM records WHERE job_number = 1") == ["616E6EE9"]
