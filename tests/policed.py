"""A server that shows its users rows as row policies would, by filters of its `users.xml`.

The build that tests run on has no place to store policies; it applies both in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from clickhouse.scope import Scope, settings_of
from tests import server

ALICE = Scope(users=("alice",))  # for whom the user `alice` of the server is
DATABASE = "pychart"
CONFIG = """<clickhouse>
  <users_config>{folder}/users.xml</users_config>
  <access_control_improvements>
    <users_without_row_policies_can_read_rows>true</users_without_row_policies_can_read_rows>
  </access_control_improvements>
</clickhouse>"""
USERS = """<clickhouse>
  <profiles>
    <default/>
    <app><readonly>2</readonly></app>
    <of_alice>
      <profile>app</profile>
      <log_comment>{alice}</log_comment>
      <constraints><log_comment><const/></log_comment></constraints>
    </of_alice>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>{user}<profile>default</profile><access_management>1</access_management></default>
    <pychart_app>{user}<profile>app</profile>{rows}</pychart_app>
    <alice>{user}<profile>of_alice</profile>{rows}</alice>
  </users>
</clickhouse>"""
USER = "<password/><networks><ip>127.0.0.1</ip></networks><quota>default</quota>"


def row_filters(conditions: Mapping[str, str]) -> str:
    """Write what `clickhouse.policies.conditions` gives as a user's filters of rows."""
    tables = "".join(
        f"<{table}><filter>{escape(condition)}</filter></{table}>"
        for table, condition in conditions.items()
    )
    return f"<databases><{DATABASE}>{tables}</{DATABASE}></databases>"


@contextmanager
def policed_server(
    folder: Path, data: Path, conditions_of: Callable[[server.RunningServer], Mapping[str, str]]
) -> Iterator[server.RunningServer]:
    """Serve `data` to `default`, who sees all, and to `pychart_app` and `alice` by policies.

    `conditions_of` fills the server where it has to, and gives the conditions. Configuration is
    put into `folder`. Raises `server.ServerUnavailable` and `server.ServerFailed`.
    """
    config = folder / "config.xml"
    config.write_text(CONFIG.format(folder=folder))
    _write_users(folder, {})
    with server.start(data, config_file=config) as running:
        _write_users(folder, conditions_of(running))
        running.restart()
        yield running


def _write_users(folder: Path, conditions: Mapping[str, str]) -> None:
    alice = settings_of(ALICE)["log_comment"]
    text = USERS.format(user=USER, rows=row_filters(conditions), alice=alice)
    (folder / "users.xml").write_text(text)
