"""Turns a failure of the driver into one of `errors`: one clear line, sorted into what helps."""

from __future__ import annotations

import re

from clickhouse.errors import (
    DataRefused,
    WarehouseBusy,
    WarehouseError,
    WarehouseMisconfigured,
    WarehouseUnreachable,
)
from clickhouse.settings import without_password
from clickhouse.shards import OTHER_REPLICA

UNKNOWN_DATABASE, ACCESS_DENIED = 81, 497
# Connection, timeout, overload: the same statement may succeed later.
TRANSIENT_CODES = frozenset({159, 202, 209, 210, 216, 241, 242, 243, 319, 999})
# Unknown table, database or column, no right, no access: it stays so until someone acts.
CONFIGURATION_CODES = frozenset({16, 60, 81, 497, 516})
# A value that cannot be parsed, converted or stored, or that a constraint forbids.
DATA_CODES = frozenset({6, 26, 27, 38, 41, 69, 70, 72, 117, 128, 131, 321, 349, 395, 407, 469, 691})
TOO_MANY_PARTS = 252  # or too many partitions in one insert, which no waiting mends


def translate(error: Exception, database: str, *, unanswered: bool = False) -> WarehouseError:
    """Turn a failure of the driver into one clear line; `unanswered` where nothing came back."""
    text = " ".join(str(error).split())
    place = without_password(database)[0]
    if "already initialized with path" in text:
        return WarehouseBusy(f"{place}: this process has another embedded database open")
    code = _code(error, text)
    if untrusted := _untrusted(text):
        return WarehouseMisconfigured(f"{place}: {untrusted}; see [database_tls]", code)
    if code == UNKNOWN_DATABASE:
        reason = "no such database; run `pychart migrate` first"
        return WarehouseMisconfigured(f"{place}: {reason}", code)
    reason = re.sub(r"^.*?DB::Exception: ", "", text)
    reason = re.sub(r" \(version [^)]*\).*$", "", reason)[:500]
    if OTHER_REPLICA in reason:
        return WarehouseUnreachable(f"{place}: {OTHER_REPLICA}; ask again", code)
    if lost := _lost_shard(text):
        return WarehouseUnreachable(f"{place}: {lost}", code)
    if code == ACCESS_DENIED and re.search(r"the grant [A-Z, ]*\b(CREATE|DROP)\b", reason):
        reason += "; `pychart migrate` as the owner of the tables makes what is missing"
    kind = _kind(code, reason, unanswered=unanswered)
    if kind is WarehouseUnreachable:
        reason = _connection_reason(text) or reason
    return kind(f"{place}: {reason}", code)


def _lost_shard(text: str) -> str:
    """Name the servers of a shard of which none answers, '' where it is something else."""
    if broken := re.search(r"receiving packet from ([\w.-]+:\d+)", text):
        return f"the shard at {broken[1]} broke off"
    if "All connection tries failed" not in text:
        return ""
    hosts = dict.fromkeys(re.findall(r"\((?:[^():]*: )?([\w.-]+:\d+)[,)]", text))
    return f"no answer from the shard at {' or '.join(hosts) or 'an unknown address'}"


def _untrusted(text: str) -> str:
    """Say why a server has not proved who it is, '' where it is something else."""
    if found := re.search(r"certificate verify failed: (.*?)\.? \(_ssl", text):
        return f"its certificate is refused: {found[1]}"
    if found := re.search(r"hostname '.*?' doesn't match [^\")]*", text):
        return f"its certificate is refused: {found[0]}"
    if "WRONG_VERSION_NUMBER" in text:
        return "it does not speak TLS on this port"
    if "NO_CERTIFICATE_OR_CRL_FOUND" in text:
        return "ca_file holds no certificate"
    return ""


def _code(error: Exception, text: str) -> int:
    found = re.search(r"[Cc]ode: (\d+)", text)
    return int(found.group(1)) if found else int(getattr(error, "code", 0) or 0)


def _kind(code: int, reason: str, *, unanswered: bool) -> type[WarehouseError]:
    """Sort a failure into what helps: waiting, someone who acts, or leaving a line out."""
    if code == TOO_MANY_PARTS:
        partitions = "too many partitions" in reason.lower()
        return WarehouseMisconfigured if partitions else WarehouseUnreachable
    if code in CONFIGURATION_CODES:
        return WarehouseMisconfigured
    if code in DATA_CODES:
        return DataRefused
    overloaded = re.search(r"HTTP status (429|5\d\d)", reason)
    if code in TRANSIENT_CODES or code == 0 and (unanswered or overloaded):
        return WarehouseUnreachable
    return WarehouseError


def _connection_reason(text: str) -> str:
    signs = ("Connection refused", "Name or service not known", "timed out", "No route")
    found = [sign for sign in (*signs, "Connection reset", "closed connection") if sign in text]
    return found[0].lower() if found else ""
