"""What tests of answers share: lines, settings, how to ask and to compare."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings

from clickhouse.connection import Warehouse
from clickhouse.query import Question, ask
from tests.helpers import CLUSTER
from tests.rolled import SITE, accounting

ZONE = ZoneInfo("Europe/Paris")
JOBS = accounting(7, 400)
CONFIGURED = {
    **SITE,
    "clusters": {
        CLUSTER: SITE["clusters"][CLUSTER].model_copy(
            update={"queues": ("all.q", "spare.q"), "nodes": ("node9",)}
        )
    },
}
some = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def asked(db: Warehouse, *metrics: str, by: tuple[str, ...] = (), **more: Any) -> list[tuple]:
    return [tuple(row.values()) for row in ask(db, Question(metrics, by, **more)).to_pylist()]


def close(found: object, true: object) -> bool:
    return found == (pytest.approx(true, rel=1e-9) if isinstance(true, float) else true)


def same_rows(found: list[dict[str, Any]], true: list[dict[str, Any]]) -> bool:
    return len(found) == len(true) and all(
        one.keys() == other.keys() and all(close(one[name], other[name]) for name in one)
        for one, other in zip(found, true, strict=True)
    )
