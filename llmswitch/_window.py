"""
The windows that an allowance holds for: a sliding minute, a stretch of the calendar in a time zone, or for good.

Times are milliseconds since 1970 (UTC); a window is from its first millisecond to the first one after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

__all__ = [
    "DAY",
    "FOREVER",
    "Calendar",
    "Ever",
    "Period",
    "Sliding",
    "Span",
    "Steady",
    "Until",
    "Window",
    "steady",
    "zone_of",
]

Period: TypeAlias = Literal["minute", "hour", "day", "month"]

DAY = 86_400_000
FOREVER = 2**53 - 1  # the greatest integer that a script in the store can hold
_LENGTH = {"minute": 60_000, "hour": 3_600_000}


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The time zone of that name. Raises `ValueError` where there is none, or no data about it on this machine."""
    if name == "UTC":
        return UTC  # needs no data
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("no time zone of that name is known here") from None


@dataclass(slots=True, frozen=True)
class Sliding:
    """
    The last so many seconds, whenever one looks. What was spent counts in whole seconds, and until the last of them is
    over: at most a second too long, never too short.
    """

    seconds: int = 60


@dataclass(slots=True, frozen=True)
class Calendar:
    """
    A minute, hour, day or month of the calendar in a time zone. A day lasts from the first moment that has its date to
    the first one of a later date, be that 23, 24 or 25 hours.
    """

    period: Period
    zone: str = "UTC"

    def span(self, now: int) -> tuple[int, int]:
        """The window of `now`. Windows follow on one another without a gap."""
        zone = zone_of(self.zone)
        local = datetime.fromtimestamp(now / 1000, zone)
        length = _LENGTH.get(self.period)
        if length is not None:
            offset = local.utcoffset() or timedelta()
            start = now - (now + offset // timedelta(milliseconds=1)) % length
            return start, start + length
        day = local.date() if self.period == "day" else local.date().replace(day=1)
        start, end = _midnight(day, zone), _midnight(self._after(day), zone)
        while now >= end:  # the clocks were set back across midnight: the old date came a second time
            day = self._after(day)
            start, end = end, _midnight(self._after(day), zone)
        return start, end

    def _after(self, day: date) -> date:
        if self.period == "day":
            return day + timedelta(days=1)
        return (day + timedelta(days=31)).replace(day=1)


@dataclass(slots=True, frozen=True)
class Until:
    """Once, until a moment; then it is over for good."""

    end: int

    def span(self, now: int) -> tuple[int, int] | None:
        """The window of `now`, or `None` where it is over."""
        return (0, self.end) if now < self.end else None


@dataclass(slots=True, frozen=True)
class Ever:
    """Once and for all."""

    def span(self, now: int) -> tuple[int, int]:  # noqa: ARG002 - as the others
        """The one window that there is."""
        return 0, FOREVER


Span: TypeAlias = Calendar | Until | Ever
Window: TypeAlias = Sliding | Span


def _midnight(day: date, zone: tzinfo) -> int:
    """The first moment of a date. Where there is no midnight, that is when the clocks are set forward over it."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def _boot() -> float:
    """Seconds that also pass while the machine is suspended, and that nobody can set."""
    return time.clock_gettime(_BOOT) if _BOOT is not None else time.monotonic()


_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Steady:
    """
    The time of the day as the machine's clock had it at first, carried on by one that does not jump. Where the
    machine's clock says otherwise for an hour, it is believed: then it was set, or this machine stood still.
    """

    BELIEVED = 3600.0  # seconds
    SLACK = 2.0

    def __init__(self, wall: Callable[[], float] = time.time, boot: Callable[[], float] = _boot) -> None:
        self._wall, self._boot = wall, boot
        self._offset = wall() - boot()
        self._apart: float | None = None  # since when the two have differed

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        boot = self._boot()
        offset = self._wall() - boot
        if abs(offset - self._offset) <= self.SLACK:
            self._apart = None
        elif self._apart is None:
            self._apart = boot
        elif boot - self._apart >= self.BELIEVED:
            self._offset, self._apart = offset, None
        return round((boot + self._offset) * 1000)


steady = Steady()
