"""
What health remembers, each fact under the key of its scope: breakers, cool-downs, budgets, calls in flight, speed.

The caller holds the lock.
"""

from __future__ import annotations

from collections.abc import Callable

from ._breaker import Breaker, BreakerNumbers, BreakerState
from ._bulkhead import Bulkhead
from ._cooldown import Cooldown
from ._latency import Latencies
from ._retry_budget import RetryBudget
from ._target import Target

__all__ = ["Records"]


class Records:
    """
    `random` gives numbers from 0 to 1, for the spread. `bulkhead`: calls in flight at one target, where nothing else is
    configured.
    """

    def __init__(self, numbers: BreakerNumbers, random: Callable[[], float], bulkhead: int) -> None:
        self._numbers = numbers
        self.random = random
        self._bulkhead = bulkhead
        self.breakers: dict[str, Breaker] = {}  # of endpoints and targets
        self.cooldowns: dict[str, Cooldown] = {}  # of endpoints, accounts and targets
        self.budgets: dict[str, RetryBudget] = {}  # of accounts
        self.bulkheads: dict[str, Bulkhead] = {}  # of targets, or of accounts whose calls are bounded
        self.in_flight: dict[str, int] = {}  # at targets
        self.forced: dict[str, float] = {}  # when a target was last asked in spite of all
        self.latencies = Latencies()  # of targets

    def forked(self, random: Callable[[], float]) -> None:
        """In a forked child: what is known stays known, calls in flight are the parent's."""
        self.random = random
        self.in_flight.clear()
        self.bulkheads.clear()

    def breaker(self, key: str) -> Breaker:
        """That of an endpoint or a target, made if need be."""
        found = self.breakers.get(key)
        if found is None:
            found = self.breakers[key] = self.new_breaker()
        return found

    def new_breaker(self) -> Breaker:
        """One of which nothing is known yet, and that is nobody's."""
        return Breaker(self._numbers, self.random)

    def worst(self, target: Target) -> BreakerState:
        """The state of the target's breaker, or of its endpoint's where that one is not closed."""
        for scope in ("endpoint", "target"):
            breaker = self.breakers.get(target.scope(scope))
            if breaker is not None and breaker.state is not BreakerState.CLOSED:
                return breaker.state
        return BreakerState.CLOSED

    def bulkhead(self, target: Target, *, keep: bool = True) -> Bulkhead:
        """Of the account, where its calls are bounded by configuration; else of the target. Made if need be."""
        limit = target.endpoint.max_in_flight
        key = target.scope("target" if limit is None else "account")
        found = self.bulkheads.get(key)
        if found is None:
            found = Bulkhead(limit or self._bulkhead)
            if keep:
                self.bulkheads[key] = found
        return found

    def budget(self, target: Target) -> RetryBudget:
        """Of the target's account, made if need be."""
        key = target.scope("account")
        found = self.budgets.get(key)
        if found is None:
            found = self.budgets[key] = RetryBudget()
        return found
