"""Answers /metrics for Prometheus and /health for everything else, on the loopback if asked to."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from clickhouse.errors import ConfigError
from clickhouse.health import Health

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
Healths = Callable[[], list[Health]]

GAUGES: dict[str, tuple[str, Callable[[Health, float], float]]] = {
    "pychart_committed_offset_bytes": (
        "Bytes of the files that are loaded and remembered, of each as far as it is loaded.",
        lambda found, _: sum(file.offset for file in found.files),
    ),
    "pychart_file_size_bytes": (
        "Bytes of the files on disk.",
        lambda found, _: sum(file.size for file in found.files),
    ),
    "pychart_lag_bytes": (
        "Bytes in plain files that are not loaded.",
        lambda found, _: found.lag_bytes,
    ),
    "pychart_lag_seconds": (
        "Seconds since all was loaded; 0 where it is.",
        lambda found, now: found.lag_seconds(now),
    ),
    "pychart_last_commit_timestamp_seconds": (
        "When a batch was remembered last, in seconds since 1970.",
        lambda found, _: found.last_commit,
    ),
    "pychart_partial_line_age_seconds": (
        "Seconds for which the last line of a file has had no end.",
        lambda found, now: now - found.partial_since if found.partial_since else 0.0,
    ),
    "pychart_halted": (
        "1 where someone must act: a table, a right or a password is missing.",
        lambda found, _: found.state == "halted",
    ),
    "pychart_healthy": (
        "1 where nothing is wrong with the cluster or one of its files.",
        lambda found, _: not found.problems(),
    ),
}


class _Collector(Collector):
    def __init__(self, healths: Healths) -> None:
        self._healths = healths

    def collect(self) -> Iterator[Metric]:
        found, now = self._healths(), time.time()
        for name, (meaning, value) in GAUGES.items():
            gauge = GaugeMetricFamily(name, meaning, labels=["cluster"])
            for each in found:
                gauge.add_metric([each.cluster], value(each, now))
            yield gauge
        yield from _counters(found)
        seconds = SummaryMetricFamily(
            "pychart_insert_seconds", "Time that inserts took.", labels=["cluster"]
        )
        for each in found:
            seconds.add_metric([each.cluster], each.inserts, each.insert_seconds)
        yield seconds


def _counters(found: list[Health]) -> Iterator[Metric]:
    read = CounterMetricFamily(
        "pychart_read_bytes", "Bytes read and remembered, decompressed.", labels=["cluster"]
    )
    for each in found:
        read.add_metric([each.cluster], each.read_bytes)
    yield read
    kinds: dict[str, tuple[str, str, Callable[[Health], dict[str, int]]]] = {
        "pychart_lines": (
            "Lines loaded, by what became of them.",
            "result",
            lambda h: {"record": h.records, "reject": h.rejects, "ignored": h.ignored},
        ),
        "pychart_retries": ("Failures, by class.", "class", lambda h: h.retries),
        "pychart_rotations": ("Files renamed, cut, packed.", "kind", lambda h: h.rotations),
    }
    for name, (meaning, label, counts) in kinds.items():
        counter = CounterMetricFamily(name, meaning, labels=["cluster", label])
        for each in found:
            for kind, count in counts(each).items():
                counter.add_metric([each.cluster, kind], count)
        yield counter


def serve(port: int, healths: Healths) -> Callable[[], None]:
    """Answer on a port of the loopback until what this gives is called; 0 = nowhere."""
    if not port:
        return lambda: None
    registry = CollectorRegistry()
    registry.register(_Collector(healths))
    exposition = make_wsgi_app(registry)

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environment.get("PATH_INFO") == "/health":
            return _health(healths(), start)
        answered: Iterable[bytes] = exposition(environment, start)
        return answered

    try:
        server = make_server(LOOPBACK, port, answer, _Server, _Quiet)
    except OSError as error:
        raise ConfigError(f"metrics_port: {LOOPBACK}:{port}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("metrics: http://%s:%d/metrics", LOOPBACK, port)

    def close() -> None:
        server.shutdown()
        server.server_close()

    return close


def _health(found: list[Health], start: StartResponse) -> list[bytes]:
    content = {each.cluster: each.problems() or [each.state] for each in found}
    well = not any(each.problems() for each in found)
    status = "200 OK" if well else "503 Service Unavailable"
    start(status, [("Content-Type", "application/json")])
    return [json.dumps({"well": well, "clusters": content}).encode() + b"\n"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds that a client has to ask

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing of each request."""
