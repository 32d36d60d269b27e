"""A browser's connection to the running app, in Streamlit's own protocol and with any headers."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from types import TracebackType

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

SECONDS = 30.0
MOST_BYTES = 2**26
Headers = Mapping[str, str] | list[tuple[str, str]]


class Session:
    """One connection; `id` is the session that the server gave it."""

    def __init__(self, url: str, headers: Headers, resume: str = "") -> None:
        """Connect to the app at `url`, and ask for an earlier session where one is named."""
        subprotocols = ["streamlit", "none", *([resume] if resume else [])]
        self._opened = connect(
            url.replace("http://", "ws://") + "/_stcore/stream",
            additional_headers=headers,
            subprotocols=subprotocols,  # type: ignore[arg-type]
            max_size=MOST_BYTES,
        )
        self.connection: ClientConnection
        self.id = ""
        self.content = b""

    def __enter__(self) -> Session:
        self.connection = self._opened.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def run(self, query: str = "", page: str = "") -> bytes:
        """Open a page by its address; gives all that the server sent until the script ended."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        self.connection.send(message.SerializeToString())
        self.content = b""
        while True:
            found = self._next()
            self.content += found.SerializeToString()
            if found.WhichOneof("type") == "new_session":
                self.id = found.new_session.initialize.session_id
            if found.WhichOneof("type") == "delta":
                self.see(found)
            if found.WhichOneof("type") == "script_finished":
                return self.content

    def see(self, message: ForwardMsg) -> None:
        """Keep what offers a file."""
        button = message.delta.new_element.download_button
        if button.deferred_file_id:
            self.offered = getattr(self, "offered", {}) | {button.label: button.deferred_file_id}

    def make(self, file: str) -> str:
        """Click on a download; gives the path of the file that was made, '' where none was."""
        message = BackMsg()
        message.backend_operation_request.request_id = "r"
        message.backend_operation_request.session_id = self.id
        message.backend_operation_request.deferred_file.file_id = file
        self.connection.send(message.SerializeToString())
        while True:
            found = self._next()
            if found.WhichOneof("type") == "backend_operation_response":
                return found.backend_operation_response.deferred_file.url

    def _next(self) -> ForwardMsg:
        message = ForwardMsg()
        message.ParseFromString(self.connection.recv(timeout=SECONDS))  # type: ignore[arg-type]
        return message


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Ask for a path; gives status and content."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=dict(headers or {})), timeout=SECONDS
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
