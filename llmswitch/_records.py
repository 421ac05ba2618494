"""
What health remembers, each fact under the key of its scope: breakers, cool-downs, budgets, calls in flight, speed.

All that the configuration names is remembered for good. The caller holds the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from . import _made_up
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
        self._made_up: dict[str, None] = {}  # targets that no configuration names, those last that were asked last
        self._most = _made_up.MADE_UP

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

    # Targets that no configuration names

    def met(self, key: str, now: float, held: Collection[str]) -> list[str]:
        """
        Such a target is asked for. Where there are too many of them, a quarter is forgotten, whose keys are returned.

        Those go first against whom nothing is known, then those that are cooling or have failed, and last of all those
        whose breaker is not closed; among these, who was asked longest ago. None goes that is `held`, has calls in
        flight or waiting, or was set by hand.
        """
        forgotten: list[str] = []
        self._made_up.pop(key, None)
        if len(self._made_up) >= self._most:
            idle = [each for each in self._made_up if each not in held and self._idle(each)]
            idle.sort(key=lambda each: self._against(each, now))
            quarter = _made_up.MADE_UP // 4
            forgotten = idle[: max(0, len(self._made_up) - 3 * quarter)]
            for each in forgotten:
                self._forget(each)
            # not with each call anew, where all of them are busy
            self._most = max(_made_up.MADE_UP, len(self._made_up) + quarter)
        self._made_up[key] = None
        return forgotten

    def _idle(self, key: str) -> bool:
        if key in self.in_flight:
            return False
        bulkhead, breaker = self.bulkheads.get(key), self.breakers.get(key)
        if bulkhead is not None and (bulkhead.flying or bulkhead.queue):
            return False
        return breaker is None or not breaker.by_hand

    def _against(self, key: str, now: float) -> int:
        """How much is known against it."""
        breaker, cooling = self.breakers.get(key), self.cooldowns.get(key)
        if breaker is not None and breaker.state is not BreakerState.CLOSED:
            return 2
        out = cooling is not None and not cooling.over(now)
        return 1 if out or (breaker is not None and breaker.failing) else 0

    def _forget(self, key: str) -> None:
        del self._made_up[key]
        for each in (self.breakers, self.cooldowns, self.bulkheads, self.forced):
            each.pop(key, None)
        self.latencies.forget(key)
