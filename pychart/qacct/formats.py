"""How qacct prints a number, a time, a size or a status, after the label."""

from __future__ import annotations

import signal
import time

GIBIBYTE = 1024.0**3
UNDEFINED = b"undefined"
UNKNOWN_FAILURE = "invalid execution state"
# What follows the number in `failed`, from 0 on.
FAILURES = (
    "",
    "assumedly before job",
    "on executing shepherd",
    "before writing config",
    "before writing pid",
    "on reading config file",
    "setting processor set",
    "before prolog",
    "in prolog",
    "before pestart",
    "in pestart",
    "before job",
    "before pestop",
    "in pestop",
    "before epilog",
    "in epilog",
    "releasing processor set",
    "through signal",
    "shepherd returned error",
    "before writing exit_status",
    "found unexpected error file",
    "in recognizing job",
    "removed manually",
    "invalid execution state",
    "migrating",
    "rescheduling",
    "opening input/output file",
    "searching requested shell",
    "changing into working directory",
    "AFS setup",
    "application error returned",
    "accessing sgepasswd file",
    "entry is missing in sgepasswd file",
    "wrong password",
    "communicating with Grid Engine Helper Service",
    "before job in Grid Engine Helper Service",
    "checking configured daemons",
    "qmaster enforced h_rt, h_cpu, or h_vmem limit",
    "adding supplementary group",
)
MEANINGS = dict(enumerate(FAILURES)) | {100: "assumedly after job"}


def whole(value: int) -> bytes:
    """Print a number of 32 bits; qacct takes the highest bit for a sign."""
    return b"%-20d" % _signed(value)


def narrow(value: int) -> bytes:
    """Print a number of 32 bits as it stands in a table."""
    return b"%5d" % _signed(value)


def whole_or_undefined(value: int) -> bytes:
    """Print a number that is 0 where there is none."""
    return whole(value) if value else UNDEFINED


def count(value: float) -> bytes:
    """Print a count; parts of one are cut off."""
    return b"%-20d" % value


def moment(seconds: int) -> bytes:
    """Print a time, in seconds since 1970, in the zone of $TZ."""
    return time.ctime(seconds).encode()


def moment_or_dashes(seconds: int) -> bytes:
    """Print a time that is 0 where nothing started or ended."""
    return moment(seconds) if seconds else b"-/-"


def moment_or_undefined(seconds: int) -> bytes:
    """Print a time that is 0 where there is none."""
    return moment(seconds) if seconds else UNDEFINED


def whole_seconds(value: float) -> bytes:
    """Print a duration in seconds; parts of one are cut off."""
    return b"%ds" % value


def seconds(value: float) -> bytes:
    """Print a duration in seconds."""
    return b"%.3fs" % value


def memory(value: float) -> bytes:
    """Print bytes in the largest unit that leaves at least 1."""
    for unit, power in ((b"T", 4), (b"G", 3), (b"M", 2), (b"K", 1)):
        if value >= 1024.0**power:
            return b"%.3f%sB" % (value / 1024.0**power, unit)
    return b"%.3fB" % value


def whole_memory(value: float) -> bytes:
    """Print bytes, parts of one cut off."""
    return memory(int(value))


def gibibytes(value: float) -> bytes:
    """Print GiB as bytes."""
    return memory(value * GIBIBYTE)


def gibibyte_seconds(value: float) -> bytes:
    """Print GiB s as bytes times seconds."""
    return gibibytes(value) + b"s"


def failure(number: int) -> bytes:
    """Print `failed` with what it means."""
    meaning = MEANINGS.get(number, UNKNOWN_FAILURE).encode()
    return b"%-3d %s %s" % (_signed(number), b":" if number else b"", meaning)


def exit_status(value: int) -> bytes:
    """Print an exit status, with the signal that one above 127 stands for."""
    if value <= 127:
        return whole(value)
    return b"%s (%s)" % (whole(value), _signal(_signed(value) - 128).encode())


def _signal(number: int) -> str:
    try:
        known = signal.strsignal(number)
    except ValueError:
        known = None
    return known or f"Unknown signal {number}"


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
