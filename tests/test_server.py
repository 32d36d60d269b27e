"""The tests' own server: what they rely on where it ends between two of them."""

from pathlib import Path

import pytest

from tests import server as servers
from tests.conftest import missing


def test_a_server_that_ended_by_itself_is_started_again_with_its_data(tmp_path: Path) -> None:
    try:
        server = servers.start(tmp_path / "data")
    except servers.ServerUnavailable as error:
        missing(str(error))
    with server:
        server.query("CREATE TABLE default.kept ENGINE = MergeTree ORDER BY () AS SELECT 7 AS it")
        server.revive()  # it answers: nothing to say
        assert server.process is not None
        server.process.kill()
        server.process.wait()

        with pytest.warns(UserWarning, match="started again: it has ended by itself"):
            server.revive()

        assert server.query("SELECT it FROM default.kept") == "7\n"
