"""When the centre is busy: submissions per hour, and the backlog of the queue that follows."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from pychart.demo.arrays import Floats, Ints
from pychart.demo.site import DEMO_TIMEZONE

HOUR = 3600
DAY = 24 * HOUR
# Monday 0h … 23h, local time: night batches, a morning peak, lunch, an afternoon peak
DAILY = np.array(
    [
        22,
        16,
        12,
        10,
        9,
        9,
        11,
        20,
        48,
        88,
        108,
        104,
        70,
        78,
        110,
        116,
        112,
        100,
        74,
        50,
        40,
        38,
        34,
        28,
    ]
)
WEEKLY = np.array([1.0, 1.08, 1.06, 1.04, 0.92, 0.34, 0.30])
MONTHLY = np.array([0.92, 1.05, 1.1, 1.0, 0.95, 1.12, 0.9, 0.45, 0.95, 1.08, 1.12, 0.9])
# month and day of the French public holidays that do not move
HOLIDAYS = (101, 501, 508, 714, 815, 1101, 1111, 1225)
BACKLOG_WINDOW_HOURS = 6 * 7 * 24


@dataclass(frozen=True)
class Rhythm:
    """Hour edges in s since 1970, the share of jobs submitted before each, the backlog in hours."""

    edges: Floats
    share: Floats
    backlog: Floats

    def times_at(self, share: Floats) -> Ints:
        """Submission times in s for shares of the whole in [0, 1]."""
        times: Ints = np.interp(share, self.share, self.edges).astype(np.int64)
        return times

    def backlog_at(self, times: Ints) -> Floats:
        """Backlog in hours of work at the given times in s."""
        hours = ((times - self.edges[0]) // HOUR).astype(np.int64)
        backlog: Floats = self.backlog[np.clip(hours, 0, len(self.backlog) - 1)]
        return backlog


def build_rhythm(begin: int, end: int, rng: np.random.Generator) -> Rhythm:
    """Rhythm of a period given in s since 1970."""
    hours = max(1, -(-(end - begin) // HOUR))
    starts = begin + np.arange(hours, dtype=np.int64) * HOUR
    edges = np.append(starts, end).astype(np.float64)
    rate = _calendar_rate(_local(starts)) * _trend(hours, rng)
    share = np.append(0.0, np.cumsum(rate * np.diff(edges)))
    return Rhythm(edges, share / share[-1], _backlog(rate))


def _local(starts: Ints) -> Ints:
    """Local wall-clock seconds; the offset is that of noon, an hour's error twice a year."""
    zone = ZoneInfo(DEMO_TIMEZONE)
    days = np.unique(starts // DAY)
    offsets = [_offset_seconds(int(day) * DAY, zone) for day in days]
    return starts + np.array(offsets, dtype=np.int64)[np.searchsorted(days, starts // DAY)]


def _offset_seconds(moment: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(moment + DAY // 2, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _calendar_rate(local: Ints) -> Floats:
    """Relative submissions per hour from local hour, weekday, month and holidays."""
    days = local // DAY
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month = months.astype(np.int64) % 12
    day = (dates - months).astype(np.int64) + 1
    # 1970-01-01 was a Thursday
    rate = DAILY[local % DAY // HOUR] * WEEKLY[(days + 3) % 7] * MONTHLY[month]
    monthday = (month + 1) * 100 + day
    rate = np.where(np.isin(monthday, HOLIDAYS), rate * 0.35, rate)
    closed: Floats = np.where((monthday >= 1222) | (monthday <= 103), rate * 0.3, rate)
    return closed


def _trend(hours: int, rng: np.random.Generator) -> Floats:
    """Slow growth, and good and bad weeks."""
    weeks = hours // (7 * 24) + 1
    swing = np.exp(0.28 * rng.standard_normal(weeks))
    growth = np.linspace(0.7, 1.3, hours)
    trend: Floats = growth * np.repeat(swing, 7 * 24)[:hours]
    return trend


def _backlog(rate: Floats) -> Floats:
    """Hours of work waiting in a queue that drains a little faster than it fills on average."""
    window = min(BACKLOG_WINDOW_HOURS, len(rate))
    capacity = (
        1.12 * np.convolve(rate, np.full(window, 1.0 / window), mode="same") + 0.1 * rate.mean()
    )
    waiting = np.empty(len(rate))
    level = 0.0
    for hour, (come, served) in enumerate(zip(rate.tolist(), capacity.tolist(), strict=True)):
        level = min(max(0.0, level + come - served), 40.0 * served)
        waiting[hour] = level / served
    return waiting
