"""Questions on their way: each is asked once however many wait, and stopped when nobody does."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, cast

import pyarrow as pa
import streamlit as st

from clickhouse.connection import EMBEDDED_CLIENTS, Warehouse
from clickhouse.coverage import Coverage, look
from clickhouse.distributions import Asked as Distribution
from clickhouse.distributions import distribution
from clickhouse.errors import WarehouseError
from clickhouse.lasting import made_of
from clickhouse.query import Question, ask, has_rollups
from streamlit_app import i18n
from streamlit_app.i18n import t
from streamlit_app.warehouse import holder

LOG = logging.getLogger(__name__)
ANSWER_SECONDS = 1800  # then asked again, though nothing was loaded
MOST_ANSWERS = 2000  # that are kept
PATIENCE_SECONDS = 0.7  # after which a reader is told that it takes a while
COVERAGE_SECONDS = 2.0  # for which a page's questions go by one look at the rollups
BEHIND_SECONDS = 10.0  # that pages wait at most for rollups to know new lines
LOOK_SECONDS = 0.25  # between two looks; then Streamlit can end the run of the script
STOPPED = "question_stopped"  # of the session state, from the button to the next run

Asked = Question | Distribution
Ask = Callable[[Warehouse, Asked], pa.Table]

pool = ThreadPoolExecutor(EMBEDDED_CLIENTS, thread_name_prefix="question")


def _ask(warehouse: Warehouse, asked: Asked) -> pa.Table:
    return ask(warehouse, asked) if isinstance(asked, Question) else distribution(warehouse, asked)


class _Marked:
    """A warehouse whose questions bear a mark, by which they can be stopped."""

    def __init__(self, warehouse: Warehouse, mark: str, coverage: Callable[[], Coverage]) -> None:
        self._warehouse, self._mark, self.coverage = warehouse, mark, coverage

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a warehouse has
        return getattr(self._warehouse, name)

    def arrow(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        own = {} if self._warehouse.embedded else {"query_id": self._mark}
        marked = f"/* {self._mark} */ {sql}"
        return self._warehouse.arrow(marked, parameters, own | dict(settings or {}))


class Looks:
    """What the rollups cover, looked up once for the questions of a page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: tuple[str, float, Coverage] | None = None
        self._behind = 0.0  # since when there is more than what was found

    def shown(self, newest: str) -> str:
        """Name the state that pages show: the newest or, for a while, the last that rollups know.

        Else each line that comes would have all pages read lines, until the rollups have it.
        """
        with self._lock:
            if self._found is None or self._found[0] == newest or not self._found[2].knows_all:
                self._behind = 0.0
                return newest
            at, _, known = self._found
            seen, now = look(holder.get()), time.monotonic()
            self._behind = self._behind or now
            waits = not seen.knows_all and now - self._behind < BEHIND_SECONDS
            if waits and seen.made == known.made:
                return at
            self._found, self._behind = (newest, now, seen), 0.0
            return newest

    def coverage(self, at: str) -> Coverage:
        """Tell it for a state of the database: what is seen later than that has all of it."""
        with self._lock:
            now = time.monotonic()
            if self._found and self._found[0] == at:
                _, then, known = self._found
                if self._behind or now - then < COVERAGE_SECONDS:
                    return known
            seen = look(holder.get())
            self._found = (at, now, seen)
            return seen

    def state(self, asked: Asked, at: str) -> str:
        """Name what an answer is made of: what it is the same for, in another state too."""
        return made_of(self.coverage(at), asked) or at


class Run:
    """One question, as it is asked; `waiting` is how many sessions want the answer."""

    def __init__(
        self, key: tuple[str, str], asked: Asked, ask: Ask, coverage: Callable[[], Coverage]
    ) -> None:
        self.key = key
        self.waiting = 0
        self.began = time.monotonic()
        self._mark = uuid.uuid4().hex
        self.future: Future[pa.Table] = pool.submit(self._answer, asked, ask, coverage)

    @property
    def is_stale(self) -> bool:
        """Tell whether it has to be asked again: it failed, or is too old."""
        if self.future.done() and (self.future.cancelled() or self.future.exception()):
            return True
        return time.monotonic() - self.began > ANSWER_SECONDS

    def stop(self) -> None:
        """Let the database stop."""
        if not self.future.cancel():
            threading.Thread(target=self._kill, name="stop-question", daemon=True).start()

    def _answer(self, asked: Asked, ask: Ask, coverage: Callable[[], Coverage]) -> pa.Table:
        return ask(cast(Warehouse, _Marked(holder.get(), self._mark, coverage)), asked)

    def _kill(self) -> None:
        try:
            holder.reader().stop(self._mark)
        except WarehouseError as error:
            LOG.warning("a question that nobody waits for runs on: %s", error)


class Answers:
    """The questions that run, and the answers of those that did, the latest ones."""

    def __init__(self, ask: Ask = _ask) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self.looks = Looks()
        self._runs: OrderedDict[tuple[str, str], Run] = OrderedDict()

    def join(self, asked: Asked, at: str) -> Run:
        """Ask, or wait with those who asked already; each `join` is followed by a `leave`."""
        key = (repr(asked), self.looks.state(asked, at))
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.is_stale:
                coverage = partial(self.looks.coverage, at)
                run = self._runs[key] = Run(key, asked, self._ask, coverage)
            self._runs.move_to_end(key)
            run.waiting += 1
            self._forget()
        return run

    def leave(self, run: Run) -> None:
        """Wait no longer; the last one who does so before there is an answer stops it."""
        with self._lock:
            run.waiting -= 1
            abandoned = not run.waiting and not run.future.done()
            if abandoned and self._runs.get(run.key) is run:
                del self._runs[run.key]
        if abandoned:
            run.stop()

    def _forget(self) -> None:
        while len(self._runs) > MOST_ANSWERS:
            oldest = next((key for key, run in self._runs.items() if not run.waiting), None)
            if oldest is None:
                return
            del self._runs[oldest]


@st.cache_resource(show_spinner=False)
def _answers() -> Answers:
    return Answers()


def shown(newest: str) -> str:
    """Name the state of the database that pages show, which may be a few seconds old."""
    return _answers().looks.shown(newest)


def is_quick(question: Question, at: str) -> bool:
    """Tell whether rollups can answer a question, so that not every line of its period is read."""
    warehouse = _Marked(holder.get(), "", partial(_answers().looks.coverage, at))
    return has_rollups(cast(Warehouse, warehouse), question)


def answer_all(questions: Sequence[Asked], at: str) -> list[pa.Table]:
    """Answer questions side by side; a reader who goes elsewhere meanwhile stops them.

    `at` is the state of the database that the answers are for.
    """
    known = _answers()
    runs: list[Run] = []
    try:
        for question in questions:
            runs.append(known.join(question, at))
        _wait([run.future for run in runs])
        return [run.future.result() for run in runs]
    finally:
        for run in runs:
            known.leave(run)


def _wait(pending: Sequence[Future[pa.Table]]) -> None:
    """Wait for all; after a moment say so, with a button that stops."""
    began = time.monotonic()
    if not wait(pending, PATIENCE_SECONDS).not_done:
        return
    place = st.empty()  # not before: it would move what follows, which the browser then makes anew
    with place.container(border=True, key=f"waiting_{uuid.uuid4().hex}"):
        words = st.empty()
        st.skeleton(height=120)
        st.button(
            t("Stop"),
            key=f"stop_{uuid.uuid4().hex}",
            icon=":material/stop_circle:",
            on_click=_stopped,
        )
    while unanswered := wait(pending, LOOK_SECONDS).not_done:
        seconds = i18n.number(f"{time.monotonic() - began:,.0f}")
        done = len(pending) - len(unanswered)
        words.caption(
            t(
                "Asking the database: {done} of {all} answered, {seconds} s",
                done=done, all=len(pending), seconds=seconds,
            )
        )  # fmt: skip
    place.empty()


def _stopped() -> None:
    st.session_state[STOPPED] = True
