"""
Where allowances are counted: what any counters do, and those in the memory of one process.

Several allowances are reserved together or not at all. To reserve may take a moment; to settle never does.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeAlias

from ._allowance import Allowance, Charge, Denied, Seen, Tally, Want, tally
from ._window import Sliding, steady

__all__ = [
    "NOTHING",
    "Answer",
    "Answered",
    "Asked",
    "Counters",
    "MemoryCounters",
    "Reservation",
    "lease_length",
    "lost_at",
    "shut_until",
    "worst",
]

GRAINS = 15  # a lease is rounded up to the next of so many parts, so that there are few moments at which one ends


@dataclass(slots=True, eq=False)
class Reservation:
    """
    What was reserved for one attempt. It is settled once, whoever does it and how often.

    `kept`: until when the store can tell whether it was settled. `local`: the store has not been told of it yet.
    `era`: how often the process that made it had been forked; a child has nothing to do with its parent's.
    """

    token: str
    charges: tuple[Charge, ...]
    kept: int = 0
    local: bool = False
    era: int = 0
    ended: bool = False


Answer: TypeAlias = Reservation | Denied

NOTHING = Reservation("", (), ended=True)  # for who only looked


class Asked(Protocol):
    """A reservation that was asked for."""

    def wait(self, most: float = inf) -> Answer:
        """
        What came of it. Blocks for the time that the store may take, which is a fraction of a second, and for `most`
        seconds at the most.
        """

    async def awaited(self, most: float = inf) -> Answer:
        """The same without blocking the loop."""


@dataclass(slots=True)
class Answered:
    """A reservation that was answered at once."""

    answer: Answer

    def wait(self, most: float = inf) -> Answer:  # noqa: ARG002
        """What came of it."""
        return self.answer

    async def awaited(self, most: float = inf) -> Answer:  # noqa: ARG002
        """What came of it."""
        return self.answer


class Counters(Protocol):
    """
    Safe to share between threads. `settle` may be called from anywhere, a garbage collector's run included: it takes
    no lock and waits for nothing.
    """

    def ask(self, wants: Sequence[Want], lease: float, *, look: bool = False) -> Asked:
        """
        Reserve all of it, or nothing. What is not settled after `lease` seconds counts as spent. `look`: say what would
        come of it, and change nothing; what would be reserved is then a reservation of nothing.
        """

    def settle(self, reservation: Reservation, actuals: Sequence[int]) -> None:
        """So much was spent in truth, of each allowance in the order of the reservation."""

    def shut(self, allowance: Allowance, seconds: float | None) -> None:
        """
        Give nothing more out for so many seconds: whoever keeps the limit said that it is used up. `None` is until the
        window ends; 0 gives out again.
        """

    def seen(self, allowance: Allowance) -> Seen | None:
        """What was spent, as far as it is known here; `None` where nothing is."""

    def close(self, wait: float = 0.0) -> None:
        """Let go of the store, after so many seconds at the latest. The next reservation opens it again."""

    def after_fork(self) -> None:
        """In a forked child: nothing is in flight here."""


def lease_length(lease: float) -> tuple[int, int]:
    """So many seconds in milliseconds, and to the next of which its end is rounded up."""
    length = max(GRAINS, round(lease * 1000))
    return length, length // GRAINS


def lost_at(now: int, lease: float) -> int:
    """When a reservation counts as lost: at the end of its lease, rounded up. Milliseconds."""
    length, grain = lease_length(lease)
    return -(-(now + length) // grain) * grain


def worst(denials: Sequence[Denied]) -> Denied:
    """Of several, the one that lasts longest."""
    return max(denials, key=lambda denied: float("inf") if denied.seconds is None else denied.seconds)


def shut_until(allowance: Allowance, seconds: float | None, now: int) -> int:
    """Until which moment `shut` lasts."""
    if seconds is not None:
        return now + max(1, round(seconds * 1000)) if seconds > 0 else 0
    window = allowance.window
    if isinstance(window, Sliding):
        return now + window.seconds * 1000
    span = window.span(now)
    return 0 if span is None else span[1]


class MemoryCounters:
    """In the memory of this process. `clock` gives milliseconds since 1970."""

    def __init__(self, clock: Callable[[], int] = steady) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._era = 0
        self._settled: deque[tuple[Reservation, tuple[int, ...]]] = deque()  # appended to by settle, without the lock

    def ask(self, wants: Sequence[Want], lease: float, *, look: bool = False) -> Answered:
        """`Counters.ask`; answered at once."""
        with self._lock:
            now = self._clock()
            self._settle_all(now)
            tallies = [self._tally(want.allowance) for want in wants]
            denials = [
                denied
                for each, want in zip(tallies, wants, strict=True)
                if (denied := each.room(want, now)) is not None
            ]
            if denials:
                return Answered(worst(denials))
            if look:
                return Answered(NOTHING)
            ends = lost_at(now, lease)
            charges = tuple(each.take(want, now, ends) for each, want in zip(tallies, wants, strict=True))
            return Answered(Reservation(secrets.token_hex(16), charges, era=self._era))

    def settle(self, reservation: Reservation, actuals: Sequence[int]) -> None:
        """`Counters.settle`; counted by whoever asks next."""
        self._settled.append((reservation, tuple(actuals)))

    def _settle_all(self, now: int) -> None:
        while self._settled:
            reservation, actuals = self._settled.popleft()
            if reservation.ended or reservation.era != self._era:
                continue
            reservation.ended = True
            for charge, actual in zip(reservation.charges, actuals, strict=True):
                self._tally(charge.allowance).settle(charge, actual, now)

    def shut(self, allowance: Allowance, seconds: float | None) -> None:
        """`Counters.shut`."""
        with self._lock:
            now = self._clock()
            self._tally(allowance).close(shut_until(allowance, seconds, now), now)

    def seen(self, allowance: Allowance) -> Seen:
        """`Counters.seen`."""
        with self._lock:
            now = self._clock()
            self._settle_all(now)
            found = self._tally(allowance)
            found.advance(now)
            return found.seen()

    def close(self, wait: float = 0.0) -> None:
        """`Counters.close`; there is nothing to let go of."""

    def after_fork(self) -> None:
        """`Counters.after_fork`. What the parent has spent counts for the child, which has an allowance of its own."""
        self._lock = threading.Lock()
        self._settled = deque()
        self._era += 1
        for each in self._tallies.values():
            each.forked()

    def _tally(self, allowance: Allowance) -> Tally:
        found = self._tallies.get(allowance.name)
        if found is None:
            found = self._tallies[allowance.name] = tally(allowance.window)
        return found
