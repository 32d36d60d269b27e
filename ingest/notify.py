"""Tells systemd how the service does: one datagram (sd_notify(3)), nothing where it is not asked.

The one library for it that needs no compiler has not been kept since 2017.
"""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)


def notify(*states: str) -> None:
    """Send `READY=1`, `STATUS=…`, `WATCHDOG=1`, … to the service manager."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto("\n".join(states).encode(), address)
    except OSError as error:
        log.warning("NOTIFY_SOCKET: %s", error)
