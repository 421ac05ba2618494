"""
A circuit breaker: a statistic of one endpoint's or target's failures, pure but for what it remembers.

Every method is told the time; nothing waits, and the caller holds the lock. A permit says in which generation a call
began: what a call of an older generation reports is dropped, since it says nothing about now.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Breaker", "BreakerNumbers", "BreakerState", "Permit"]


class BreakerState(StrEnum):
    """`isolated` and `disabled` are set by hand: nobody passes, and everybody does."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"
    DISABLED = "disabled"


class BreakerNumbers(NamedTuple):
    """
    When it opens and for how long; times in seconds.

    It looks at the last `window` outcomes that are not older than `age`, and opens at `consecutive` failures in a
    row, or where at least `share` of at least `enough` outcomes failed. The first time it opens for `first`, then
    twice as long each time, at most `longest`, varied by `spread`; after `healthy` without a failure it begins anew.
    `successes` probes close it.
    """

    window: int = 20
    age: float = 120.0
    consecutive: int = 5
    enough: int = 10
    share: float = 0.5
    first: float = 5.0
    longest: float = 300.0
    spread: float = 0.2
    healthy: float = 60.0
    successes: int = 2
    lease: float = 5.0


class Permit(NamedTuple):
    """Leave for one call. `probe` is the lease of a half-open breaker, 0 for an ordinary call."""

    generation: int
    probe: int = 0


@dataclass(slots=True, eq=False, repr=False)
class Breaker:
    """`random` gives numbers from 0 to 1, for the spread. `reason` is the class of the last failure."""

    numbers: BreakerNumbers
    random: Callable[[], float]
    state: BreakerState = BreakerState.CLOSED
    until: float = 0.0
    generation: int = 0
    opened: int = 0
    reason: str = ""
    _outcomes: deque[tuple[float, bool]] = field(default_factory=deque)
    _healthy_since: float = float("-inf")
    _row: int = 0
    _good_probes: int = 0
    _lease: int = 0
    _lease_ends: float = 0.0
    _leases: int = 0

    def permit(self, now: float, limit: float) -> Permit | None:
        """
        Leave for a call that takes at most `limit` seconds, or `None`. A probe's lease ends by itself a little after
        that, whatever becomes of the call.
        """
        if self.state is BreakerState.ISOLATED:
            return None
        if self.state is BreakerState.OPEN and now >= self.until:
            self.state = BreakerState.HALF_OPEN
            self._good_probes = 0
            self._lease = 0
        if self.state is BreakerState.OPEN:
            return None
        if self.state is BreakerState.HALF_OPEN:
            if self._lease and now < self._lease_ends:
                return None
            self._leases += 1
            self._lease, self._lease_ends = self._leases, now + limit + self.numbers.lease
            return Permit(self.generation, self._lease)
        return Permit(self.generation)

    def leased(self, now: float) -> bool:
        """Whether a probe is under way, so that nobody else may pass."""
        return self.state is BreakerState.HALF_OPEN and self._lease != 0 and now < self._lease_ends

    @property
    def lease_ends(self) -> float:
        """Until when a probe may take, where one is under way."""
        return self._lease_ends

    def due(self, now: float) -> bool:
        """Whether the next call would be a probe."""
        return self.state is BreakerState.HALF_OPEN or (self.state is BreakerState.OPEN and now >= self.until)

    @property
    def by_hand(self) -> bool:
        """Whether somebody has isolated or disabled it."""
        return self.state in (BreakerState.ISOLATED, BreakerState.DISABLED)

    @property
    def failing(self) -> bool:
        """Whether the last call failed, or it is remembered that it was open."""
        return bool(self._row or self.opened)

    def force(self) -> Permit:
        """Leave for a call in spite of all, where nobody else could be asked."""
        return Permit(self.generation)

    def release(self, permit: Permit) -> None:
        """The call said nothing about the other side: it was cancelled, or the fault was ours."""
        if permit.probe and permit.probe == self._lease:
            self._lease = 0

    def succeeded(self, permit: Permit, now: float) -> None:
        """The call was answered."""
        lapsed = self._lapsed(permit)
        self.release(permit)
        if lapsed or permit.generation != self.generation or self.by_hand:
            return
        if self.state is BreakerState.CLOSED:
            self._row = 0
            self._note(now, ok=True)
            self._recover(now)
        elif permit.probe or self.state is BreakerState.OPEN:
            self._good_probes += 1
            if self._good_probes >= self.numbers.successes:
                self._close()
                self._healthy_since = now

    def failed(self, permit: Permit, now: float, reason: str = "") -> None:
        """The call failed, by the other side's fault."""
        lapsed = self._lapsed(permit)
        self.release(permit)
        if lapsed or permit.generation != self.generation or self.by_hand:
            return
        self.reason = reason or self.reason
        if self.state is BreakerState.CLOSED:
            self._recover(now)
            self._healthy_since = now
            self._note(now, ok=False)
            # not bounded by the window's age: a target that hangs takes minutes for five failures
            self._row += 1
            if self._row >= self.numbers.consecutive or self._too_many():
                self._open(now)
        elif self.state is BreakerState.HALF_OPEN:
            self._open(now)

    def isolate(self) -> None:
        """Nobody passes until `reset`."""
        self.state = BreakerState.ISOLATED
        self.generation += 1

    def disable(self) -> None:
        """Everybody passes until `reset`."""
        self.state = BreakerState.DISABLED
        self.generation += 1

    def reset(self) -> None:
        """Closed, with nothing remembered."""
        self.opened = 0
        self._close()

    def learn_open(self, until: float, opened: int, reason: str, *, anew: bool = False) -> None:
        """It was opened elsewhere, until then at least; `anew`: just until then, whatever was known here."""
        if self.by_hand:
            return
        if self.state is BreakerState.OPEN:
            self.until = until if anew else max(self.until, until)
        else:
            self.until, self.state = until, BreakerState.OPEN
            self.generation += 1
            self._forget()
        self.opened, self.reason = max(self.opened, opened), reason

    def learn_closed(self, opened: int, now: float) -> None:
        """It was closed elsewhere; `opened` is what is remembered of before."""
        if not self.by_hand:
            self.opened, self._healthy_since = opened, now
            self._close()

    def _note(self, now: float, *, ok: bool) -> None:
        outcomes = self._outcomes
        outcomes.append((now, ok))
        while len(outcomes) > self.numbers.window or now - outcomes[0][0] > self.numbers.age:
            outcomes.popleft()

    def _lapsed(self, permit: Permit) -> bool:
        """Whether a probe outlived its lease and another took it: the other's word is the one that counts."""
        return permit.probe not in (0, self._lease)

    def _recover(self, now: float) -> None:
        if self.opened and now - self._healthy_since >= self.numbers.healthy:
            self.opened = 0

    def _too_many(self) -> bool:
        failures = sum(not ok for _, ok in self._outcomes)
        return len(self._outcomes) >= self.numbers.enough and failures >= self.numbers.share * len(self._outcomes)

    def _open(self, now: float) -> None:
        self.opened += 1
        seconds = min(self.numbers.first * 2 ** min(self.opened - 1, 30), self.numbers.longest)
        self.until = now + seconds * (1 + self.numbers.spread * (2 * self.random() - 1))
        self.state = BreakerState.OPEN
        self.generation += 1
        self._forget()

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self.generation += 1
        self._forget()

    def _forget(self) -> None:
        self._outcomes.clear()
        self._row = 0
        self._good_probes = 0
        self._lease = 0
