"""
One allowance: how much of something may be spent in a window, and what was spent of it so far.

What is reserved counts as spent until it is settled, so a reservation that nobody comes back for stays charged in full.
All of it is arithmetic on integers with a clock that is passed in; the script in `_redis_counters.py` does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ._window import DAY, FOREVER, Sliding, Span, Window

__all__ = [
    "CLOSED_AT_MOST",
    "Allowance",
    "Charge",
    "Denied",
    "Seen",
    "SlidingTally",
    "SpanTally",
    "Tally",
    "Want",
    "tally",
]

CLOSED_AT_MOST = 32 * DAY  # whatever a vendor says, nothing is closed for longer than a month


@dataclass(slots=True, frozen=True)
class Allowance:
    """
    `name` is a hash, `label` is for people. `unit`: `requests`, `tokens`, or a currency whose millionths are counted.

    `rate`: somebody else's limit, which he keeps himself as well. Where one request is more than the whole of it, that
    request passes while nothing else was spent, since it could never pass otherwise. `budget`: a limit of one's own,
    which no reservation goes beyond. `fail_open`: a budget that is not kept while its store can't be reached.
    """

    name: str
    label: str
    unit: str
    limit: int
    window: Window
    kind: Literal["rate", "budget"] = "budget"
    fail_open: bool = False

    def fits(self, spent: int, amount: int) -> bool:
        """Whether there is room for an amount beside what was spent."""
        return spent + amount <= self.limit or (self.kind == "rate" and spent == 0)


@dataclass(slots=True, frozen=True)
class Want:
    """So much of an allowance is asked for."""

    allowance: Allowance
    amount: int


@dataclass(slots=True, frozen=True)
class Charge:
    """
    Where an amount that was reserved is kept: `start` is the beginning of its window (of its second, where the window
    slides), `ends` the moment from which it counts as lost.
    """

    allowance: Allowance
    amount: int
    start: int
    ends: int


@dataclass(slots=True, frozen=True)
class Denied:
    """
    There is no room. `seconds`: until there is for certain; `None` for never. `spent`: in this window, reserved
    amounts included. `soon`: there is if calls that are under way cost less than was reserved for them. `alone`: the
    store can't be reached, and this process has spent its share of what was left.
    """

    want: Want
    seconds: float | None
    spent: int
    soon: bool = False
    alone: bool = False


@dataclass(slots=True, frozen=True)
class Seen:
    """
    The state of an allowance. A window that slides has no bounds, and does not tell `settled` from `open`.

    `settled`: what was spent, lost reservations in full. `back`: what of these was not spent after all. Within a window
    both only grow, so of two states that were seen the greater numbers are the later ones.
    """

    start: int = 0
    end: int = 0
    settled: int = 0
    open: int = 0
    back: int = 0
    closed: int = 0

    @property
    def spent(self) -> int:
        """What counts against the limit."""
        return max(0, self.settled + self.open - self.back)


@dataclass(slots=True)
class SpanTally:
    """
    What was spent in a window of the calendar. `open` has the reserved amounts by the moment at which they are lost,
    which is rounded up, so that there are few. `back`, `closed`: as in `Seen`; until then nothing more is given out.
    """

    window: Span
    start: int = -1
    end: int = -1
    settled: int = 0
    open: dict[int, int] = field(default_factory=dict)
    back: int = 0
    closed: int = 0

    def seen(self) -> Seen:
        """The state as of the last look at the clock."""
        return Seen(self.start, self.end, self.settled, sum(self.open.values()), self.back, self.closed)

    def advance(self, now: int) -> bool:
        """Be in the window of `now`; false where the last one is over."""
        span = (self.start, self.end) if self.start <= now < self.end else self.window.span(now)
        if span is None:
            return False
        start, end = span
        if start > self.start:
            self.begin(start, end)
        elif start < self.start and self.start - now > max(DAY, end - start):
            # The clock was far ahead, and is right now. Had it been by less, the window would simply last longer:
            # a clock that jumps there and back must not open one window twice.
            self.start, self.end = start, end
        self.reap(now)
        return True

    def begin(self, start: int, end: int) -> None:
        """Begin a window with nothing spent."""
        self.start, self.end, self.settled, self.back = start, end, 0, 0
        self.open.clear()

    def reap(self, now: int) -> None:
        """Count what was lost by now."""
        for ends in [ends for ends in self.open if ends <= now]:
            self.settled += self.open.pop(ends)

    def room(self, want: Want, now: int) -> Denied | None:
        """Why so much can't be had now, or `None`."""
        if not self.advance(now):
            return Denied(want, None, 0)
        spent = self.seen().spent
        if now < self.closed:
            return Denied(want, (self.closed - now) / 1000, spent)
        if want.allowance.fits(spent, want.amount):
            return None
        hopeless = self.end >= FOREVER or not want.allowance.fits(0, want.amount)
        soon = want.allowance.fits(max(0, self.settled - self.back), want.amount)
        return Denied(want, None if hopeless else (self.end - now) / 1000, spent, soon)

    def take(self, want: Want, now: int, ends: int) -> Charge:
        """Reserve it, whether there is room or not."""
        self.advance(now)
        if want.amount:
            self.open[ends] = self.open.get(ends, 0) + want.amount
        return Charge(want.allowance, want.amount, self.start, ends)

    def settle(self, charge: Charge, actual: int, now: int) -> None:
        """Count `actual` in place of what was reserved, unless that was in a window before this one."""
        if charge.start < self.start:
            return
        self.reap(now)
        left = self.open.get(charge.ends, 0) - charge.amount
        if charge.amount and left >= 0:
            self.settled += actual
            if left:
                self.open[charge.ends] = left
            else:
                del self.open[charge.ends]
        else:  # it was lost, and charged in full
            self.correct(actual - charge.amount)

    def correct(self, change: int) -> None:
        """So much more, or less, was spent than is counted."""
        self.settled += max(0, change)
        self.back += max(0, -change)

    def close(self, until: int, now: int) -> None:
        """Give nothing more out until then; 0: go on."""
        self.closed = max(self.closed, min(until, now + CLOSED_AT_MOST)) if until else 0

    def forked(self) -> None:
        """In a forked child: what was reserved is the parent's."""
        self.open.clear()


@dataclass(slots=True)
class SlidingTally:
    """What was spent in the last seconds, by the second in which it was reserved."""

    window: Sliding
    buckets: dict[int, int] = field(default_factory=dict)
    closed: int = 0

    def seen(self) -> Seen:
        """The state as of the last look at the clock."""
        return Seen(settled=sum(self.buckets.values()), closed=self.closed)

    def advance(self, now: int) -> bool:
        """Forget what is too old. What is in the future, since the clock was set back, is as if spent now."""
        second, late = now // 1000, 0
        for each in list(self.buckets):
            if self._over(each) <= now:
                del self.buckets[each]
            elif each > second:
                late += self.buckets.pop(each)
        if late:
            self.buckets[second] = self.buckets.get(second, 0) + late
        return True

    def _over(self, second: int) -> int:
        return (second + 1 + self.window.seconds) * 1000

    def room(self, want: Want, now: int) -> Denied | None:
        """Why so much can't be had now, or `None`."""
        self.advance(now)
        spent = sum(self.buckets.values())
        if now < self.closed:
            return Denied(want, (self.closed - now) / 1000, spent)
        if want.allowance.fits(spent, want.amount):
            return None
        if not want.allowance.fits(0, want.amount):
            return Denied(want, None, spent)
        left = spent
        for second in sorted(self.buckets):
            left -= self.buckets[second]
            if want.allowance.fits(left, want.amount):
                return Denied(want, (self._over(second) - now) / 1000, spent)
        raise AssertionError("an empty window has room")

    def take(self, want: Want, now: int, ends: int) -> Charge:
        """Reserve it, whether there is room or not."""
        self.advance(now)
        second = now // 1000
        self._add(second, want.amount)
        return Charge(want.allowance, want.amount, second, ends)

    def settle(self, charge: Charge, actual: int, now: int) -> None:
        """Count `actual` in place of what was reserved, if that is not over."""
        self.advance(now)
        second = min(charge.start, now // 1000)
        if self._over(second) > now and (not charge.amount or second in self.buckets):
            self._add(second, max(actual - charge.amount, -self.buckets.get(second, 0)))

    def _add(self, second: int, amount: int) -> None:
        left = self.buckets.pop(second, 0) + amount
        if left:
            self.buckets[second] = left

    def close(self, until: int, now: int) -> None:
        """Give nothing more out until then; 0: go on."""
        self.closed = max(self.closed, min(until, now + CLOSED_AT_MOST)) if until else 0

    def forked(self) -> None:
        """In a forked child: calls that were under way did spend of the account's minute, whoever made them."""


Tally: TypeAlias = SpanTally | SlidingTally


def tally(window: Window) -> Tally:
    """An empty tally for a window."""
    return SlidingTally(window) if isinstance(window, Sliding) else SpanTally(window)
