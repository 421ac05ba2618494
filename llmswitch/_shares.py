"""What a process may spend by itself while its store does not answer: its share of what was left when it last did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ._allowance import Allowance, Charge, Denied, Seen, SlidingTally, Want
from ._counter_store import Report
from ._window import DAY, FOREVER, Sliding

__all__ = ["Shares"]

NEWS = 5_000  # milliseconds for which it is shown what the store told of a window that slides


class Shares:
    """
    `known` is the last state of every allowance that the store told, `processes` how many used it. Windows that slide
    are counted here as well, whether the store answers or not. Guarded by the lock of the counters.
    """

    def __init__(self, unwritten: Callable[[str, int], int]) -> None:
        self.known: dict[str, Seen] = {}
        self.processes = 1
        self._unwritten = unwritten
        self._sliding: dict[str, SlidingTally] = {}
        self._slid: dict[str, tuple[int, Seen]] = {}
        self._shut: dict[str, int] = {}

    def learn(self, report: Report) -> None:
        """Take in what the store told. It was told what is known here, so it can't know less of the same window."""
        self.processes = report.processes
        for name, seen in report.seen.items():
            before = self.known.get(name)
            if seen.start == seen.end == 0:
                self._slid[name] = report.now, seen
            if seen.end <= 0:
                continue  # it slides, or has not begun
            if before is None or seen.start >= before.start or before.start - report.now > DAY:
                self.known[name] = seen

    def seen(self, allowance: Allowance, now: int) -> Seen | None:
        """What the store last told of an allowance; of one that slides, while that still says something."""
        if not isinstance(allowance.window, Sliding):
            return self.known.get(allowance.name)
        at, seen = self._slid.get(allowance.name, (0, None))
        return seen if now - at <= NEWS else None

    def shut(self, allowance: Allowance, until: int) -> None:
        """Whoever keeps the limit said that it is used up until then; 0: that it is not."""
        self._shut[allowance.name] = max(until, self._shut.get(allowance.name, 0)) if until else 0

    def room(self, want: Want, now: int) -> Denied | None:
        """Why so much can't be had without the store, or `None`."""
        allowance = want.allowance
        if allowance.kind == "budget" and allowance.fail_open:
            return None
        shut = self._shut.get(allowance.name, 0)
        if now < shut:
            return Denied(want, (shut - now) / 1000, allowance.limit, alone=True)
        if isinstance(allowance.window, Sliding):
            return self._room_in_sliding(want, now)
        span = allowance.window.span(now)
        if span is None:
            return Denied(want, None, 0, alone=True)
        known = self.known.get(allowance.name)
        start, left = span[0], allowance.limit
        if known is not None and known.start >= start:
            start, left = known.start, max(0, allowance.limit - known.spent)
        elif known is None and allowance.kind == "budget":
            left = 0  # whatever is left of it: others may have spent it
        mine = self._unwritten(allowance.name, start)
        if left and replace(allowance, limit=left // self.processes).fits(mine, want.amount):
            return None
        seconds = (span[1] - now) / 1000 if span[1] < FOREVER else None
        return Denied(want, seconds, allowance.limit - left + mine, alone=True)

    def _room_in_sliding(self, want: Want, now: int) -> Denied | None:
        allowance = want.allowance
        lesser = replace(allowance, limit=allowance.limit // self.processes)
        denied = self._tally(allowance).room(Want(lesser, want.amount), now)
        return denied and replace(denied, want=want, alone=True)

    def start(self, allowance: Allowance, now: int) -> int:
        """Where something that is reserved now is kept."""
        if isinstance(allowance.window, Sliding):
            return now // 1000
        known, span = self.known.get(allowance.name), allowance.window.span(now)
        start = span[0] if span is not None else 0
        return max(start, known.start) if known is not None else start

    def took(self, charge: Charge, now: int) -> None:
        """So much was reserved, by the store or here."""
        if isinstance(charge.allowance.window, Sliding):
            buckets = self._tally(charge.allowance).buckets
            second = min(charge.start, now // 1000)
            buckets[second] = buckets.get(second, 0) + charge.amount

    def settled(self, charge: Charge, actual: int, now: int) -> None:
        """So much was spent in truth."""
        if isinstance(charge.allowance.window, Sliding):
            self._tally(charge.allowance).settle(charge, actual, now)

    def _tally(self, allowance: Allowance) -> SlidingTally:
        assert isinstance(allowance.window, Sliding)
        found = self._sliding.get(allowance.name)
        if found is None:
            found = self._sliding[allowance.name] = SlidingTally(allowance.window)
        return found

    def forked(self, unwritten: Callable[[str, int], int]) -> Shares:
        """For a forked child: what is known stays known; what was reserved is the parent's."""
        child = Shares(unwritten)
        child.known, child.processes, child._shut = dict(self.known), self.processes, dict(self._shut)
        return child
