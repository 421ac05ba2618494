"""
What is known of every target's health, and who may be asked now: breakers, cool-downs, retry budgets, calls in flight.

Each fact is kept at the scope that it proves: an endpoint (a host and the way to it), an account there, or a target
(a model of that account). The lock is never held while anything waits.
"""

from __future__ import annotations

import os
import random
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from ._breaker import Breaker, BreakerNumbers, BreakerState, Permit
from ._bulkhead import Bulkhead, Turn
from ._cooldown import Cooldown, Scope, begin
from ._errors import LLMSwitchError
from ._hedge_budget import HedgeBudget
from ._latency import Latencies
from ._policy import rule_for
from ._retry_budget import RetryBudget
from ._standing import Admission, Refusal, Standing, TargetHealth, shown
from ._target import Target

if TYPE_CHECKING:
    from ._fleet import Step
    from ._ledger import News
    from ._sharing import Sharing
    from ._store import Subject

__all__ = ["Admission", "Health", "Refusal", "TargetHealth"]

_SCOPES: tuple[Scope, ...] = ("endpoint", "account", "target")
BULKHEAD = 1000
"""Calls in flight at one target, where nothing else is configured: a little less than a pool has connections."""
_FAILURE = 30.0  # seconds that a failure counts as, where it is asked who was the quickest of late


def _busy(now: float) -> Refusal:
    return Refusal("busy", "LocalOverload", now, transient=True)


class Health:
    """
    In the memory of this process. Safe to share between threads; times are those of `clock`.

    With `sharing`, other processes are told of cool-downs and of breakers that open and close, and what they tell is
    taken in. No method waits for that.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = monotonic,
        chance: Callable[[], float] | None = None,
        numbers: BreakerNumbers | None = None,
        bulkhead: int = BULKHEAD,
        sharing: Sharing | None = None,
    ) -> None:
        self._clock = clock
        self._random = chance or random.Random().random  # noqa: S311 - spread, no secret
        self._numbers = numbers or BreakerNumbers()
        self._bulkhead = bulkhead
        # the garbage collector may end an abandoned call, which hands its leave back, while the lock is held here
        self._lock = threading.RLock()
        self._breakers: dict[str, Breaker] = {}
        self._cooldowns: dict[str, Cooldown] = {}
        self._budgets: dict[str, RetryBudget] = {}
        self._hedging = HedgeBudget()
        self._latencies = Latencies()
        self._bulkheads: dict[str, Bulkhead] = {}
        self._in_flight: dict[str, int] = {}
        self._forced: dict[str, float] = {}
        self._sharing = sharing
        self._fleet = sharing.fleet if sharing is not None else None
        if sharing is not None:
            sharing.bind(self, self._lock, clock)
        _every.add(self)

    def after_fork(self) -> None:
        """In a forked child: what is known stays known, calls in flight are the parent's."""
        self._lock = threading.RLock()
        self._random = random.Random().random  # noqa: S311 - else every child would spread alike
        self._in_flight, self._bulkheads = {}, {}
        if self._sharing is not None:
            self._sharing.after_fork(self._lock)
            self._fleet = self._sharing.fleet

    def consult(self, targets: Iterable[Target], wait: float) -> bool:
        """Have the store asked about these targets, as a call would, for so many seconds; whether there is one."""
        if self._sharing is None or self._fleet is None:
            return False
        with self._lock:
            for target in targets:
                self._fleet.watch(target)
        self._sharing.start()
        self._sharing.await_news(wait)
        return True

    def close(self, wait: float = 0.0) -> None:
        """Share no more until the next call; what is still to be told may take `wait` seconds."""
        if self._sharing is not None:
            self._sharing.stop(wait)

    # Before a call

    def refusal(self, target: Target, *, forced: bool = False) -> Refusal | None:
        """Why the target would not be admitted now, or `None`. Changes nothing."""
        now = self._clock()
        with self._lock:
            return self._denied(target, self._refusal(target, now), now, forced=forced)

    def admit(
        self, target: Target, limit: float, *, forced: bool = False, turn: Turn | None = None
    ) -> Admission | Refusal:
        """
        Leave to ask the target for at most `limit` seconds, or why not.

        `forced`: nobody else is left; what is out for a while is asked all the same, at most once a second. `turn`: a
        place that was waited for.
        """
        now = self._clock()
        if self._sharing is not None:
            self._sharing.start()
        with self._lock:
            if self._fleet is not None:
                self._fleet.watch(target)
            refused = self._refusal(target, now)
            denied = self._denied(target, refused, now, forced=forced, turn=turn)
            if denied is not None:
                if denied is refused:
                    self._wanted(target, now)
                return denied
            self._bulkhead_of(target).enter(turn)
            if refused is not None:
                self._forced[target.scope("target")] = now
            admission = Admission(target, before=self._worst(target))
            flying = target.scope("target")
            self._in_flight[flying] = self._in_flight.get(flying, 0) + 1
            for key in (target.scope("endpoint"), target.scope("target")):
                # made by the first call, not by the first failure: answers before that count, and have a generation
                breaker = self._breakers.get(key)
                if breaker is None:
                    breaker = self._breakers[key] = Breaker(self._numbers, self._random)
                permit = breaker.permit(now, limit) if self._may_try(key, breaker, now) else None
                permit = permit or (breaker.force() if forced else None)
                if permit is None:
                    self._hand_back(admission, now)
                    return Refusal("open", breaker.reason, breaker.until, transient=True)
                admission.permits[key] = permit
                if permit.probe and self._fleet is not None:
                    self._fleet.wake()  # the lease is to last as long as the call may
            return admission

    def _denied(
        self, target: Target, refused: Refusal | None, now: float, *, forced: bool, turn: Turn | None = None
    ) -> Refusal | None:
        """Why it is not admitted, given what is known against it: that, or that there is no room."""
        if refused is not None and not forced:
            return refused
        if not self._bulkhead_of(target).admits(turn):
            return _busy(now)
        return refused if refused is not None and not self._may_force(target, refused, now) else None

    def _refusal(self, target: Target, now: float) -> Refusal | None:
        own = self._breakers.get(target.scope("target"))
        if own is not None and own.state is BreakerState.ISOLATED:
            return Refusal("open", "isolated", float("inf"), transient=False)
        cooling = [
            each for scope in _SCOPES if (each := self._cooldowns.get(target.scope(scope))) and not each.over(now)
        ]
        if cooling:
            # a fact that does not pass by itself is the one to name, whichever ends last
            worst = max(cooling, key=lambda each: (not each.transient, each.until))
            until = max(each.until for each in cooling)
            return Refusal("cooling", worst.reason, until, all(each.transient for each in cooling))
        for key in (target.scope("endpoint"), target.scope("target")):
            breaker = self._breakers.get(key)
            if breaker is None:
                continue
            if breaker.state is BreakerState.OPEN and now < breaker.until:
                return Refusal("open", breaker.reason, breaker.until, transient=True)
            if breaker.leased(now) or not self._may_try(key, breaker, now):
                return Refusal("open", breaker.reason, now, transient=True)
        return None

    def _bulkhead_of(self, target: Target) -> Bulkhead:
        """Of the account, where its calls are bounded by configuration; else of the target."""
        limit = target.endpoint.max_in_flight
        key = target.scope("target" if limit is None else "account")
        found = self._bulkheads.get(key)
        if found is None:
            found = self._bulkheads[key] = Bulkhead(limit or self._bulkhead)
        return found

    def wait(self, target: Target) -> Turn:
        """A place in the queue of calls for which this process has no room at the target."""
        with self._lock:
            return self._bulkhead_of(target).wait()

    def give_up(self, target: Target, turn: Turn) -> None:
        """Wait no more."""
        with self._lock:
            self._bulkhead_of(target).give_up(turn)

    def breaker_state(self, target: Target) -> str:
        """The state of the target's breaker, or of its endpoint's where that one is not closed."""
        with self._lock:
            return self._worst(target)

    def _worst(self, target: Target) -> str:
        states = [
            breaker.state
            for scope in ("endpoint", "target")
            if (breaker := self._breakers.get(target.scope(scope))) is not None
        ]
        return next((state for state in states if state is not BreakerState.CLOSED), BreakerState.CLOSED).value

    def _may_try(self, key: str, breaker: Breaker, now: float) -> bool:
        """Of the processes that share a store, one at a time probes."""
        return self._fleet is None or not breaker.due(now) or self._fleet.may_try(key, now)

    def _wanted(self, target: Target, now: float) -> None:
        if self._fleet is not None:
            for key in (target.scope("endpoint"), target.scope("target")):
                breaker = self._breakers.get(key)
                if breaker is not None and breaker.state in (BreakerState.OPEN, BreakerState.HALF_OPEN):
                    self._fleet.want(key, now, due=breaker.due(now))

    def _may_force(self, target: Target, refused: Refusal, now: float) -> bool:
        """At most once a second."""
        return refused.transient and now - self._forced.get(target.scope("target"), float("-inf")) >= 1.0

    # After a call

    def succeeded(self, admission: Admission, *, stream: bool = False, seconds: float | None = None) -> None:
        """The target answered; its first word came after so many seconds."""
        now = self._clock()
        with self._lock:
            if not admission.open:
                return
            for key, permit in admission.permits.items():
                self._breakers[key].succeeded(permit, now)
            for scope in ("endpoint", "account", "target"):
                key = admission.target.scope(scope)
                cooling = self._cooldowns.get(key)
                if cooling is not None and cooling.over(now):
                    del self._cooldowns[key]
            self._budget(admission.target).succeeded(admission.paid)
            if seconds is not None:
                self._hedging.answered()
                self._latencies.answered(admission.target.scope("target"), seconds, now, stream=stream)
            if self._fleet is not None:
                self._fleet.answered[admission.target.scope("endpoint")] = now
                self._fleet.answered[admission.target.scope("target")] = now
            self._hand_back(admission, now)

    def failed(self, admission: Admission, error: LLMSwitchError, *, stream: bool = False) -> None:
        """The target failed by its own fault, or its account's; what is not its fault is `released`."""
        now = self._clock()
        rule = rule_for(error)
        with self._lock:
            if not admission.open:
                return
            if rule.counts is not None or rule.cool is not None:
                self._latencies.waited(admission.target.scope("target"), _FAILURE, now, stream=stream)
            if rule.counts is not None:
                key = admission.target.scope(rule.counts)
                breaker = self._breakers.get(key)
                if breaker is None:
                    breaker = self._breakers[key] = Breaker(self._numbers, self._random)
                breaker.failed(admission.permits.pop(key, Permit(breaker.generation)), now, type(error).__name__)
            if rule.cool is not None:
                for scope in rule.cool.scopes:
                    key = admission.target.scope(scope)
                    cooldown = self._cooldowns[key] = begin(
                        rule.cool, type(error).__name__, self._cooldowns.get(key), error.retry_after, now, self._random
                    )
                    admission.cooled = max(admission.cooled or 0.0, cooldown.until - now)
            self._hand_back(admission, now)

    def outrun(self, admission: Admission, seconds: float, *, stream: bool) -> None:
        """It had not answered after so many seconds, when one that was asked later did."""
        now = self._clock()
        with self._lock:
            key = admission.target.scope("target")
            pace = self._latencies.pace(key, now, stream=stream)
            least = seconds if pace is None else max(seconds, pace.seconds)
            self._latencies.waited(key, least, now, stream=stream)
            self._hand_back(admission, now)

    def released(self, admission: Admission) -> None:
        """The call said nothing about the target: cancelled, or our own fault."""
        now = self._clock()
        with self._lock:
            self._hand_back(admission, now)

    def _hand_back(self, admission: Admission, now: float) -> None:
        if not admission.open:
            return
        admission.open = False
        for key, permit in admission.permits.items():
            self._breakers[key].release(permit)
        self._bulkhead_of(admission.target).leave()
        key = admission.target.scope("target")
        left = self._in_flight.get(key, 0) - 1
        if left > 0:
            self._in_flight[key] = left
        else:
            self._in_flight.pop(key, None)
        if self._fleet is not None:
            for scope in _SCOPES:
                key = admission.target.scope(scope)
                self._fleet.look(key, self._breakers.get(key), self._cooldowns.get(key), now)

    # Repetitions

    def can_repeat(self, target: Target, *, throttled: bool) -> bool:
        """Whether the account's retry budget allows one more repetition."""
        with self._lock:
            return self._budget(target).can(throttled=throttled)

    def repeat(self, target: Target, *, throttled: bool) -> float:
        """Pay for a repetition; what was paid."""
        with self._lock:
            return self._budget(target).take(throttled=throttled)

    def _budget(self, target: Target) -> RetryBudget:
        key = target.scope("account")
        found = self._budgets.get(key)
        if found is None:
            found = self._budgets[key] = RetryBudget()
        return found

    # Hedges

    def usual(self, target: Target, *, stream: bool) -> float | None:
        """Seconds within which 95 of 100 answers of the target begin; `None` where too few are known."""
        with self._lock:
            return self._latencies.usual(target.scope("target"), stream=stream)

    def take_hedge(self, chain: Iterable[Target], other: Target) -> bool:
        """Whether a call may go to `other` as well now: all are well, and there is something left for it."""
        now = self._clock()
        with self._lock:
            well = all(self._worst(target) == BreakerState.CLOSED and self._budget(target).calm for target in chain)
            free = self._refusal(other, now) is None and not self._bulkhead_of(other).full
            return well and free and self._hedging.take()

    # By hand, and to look at

    def standings(self, targets: Sequence[Target], *, stream: bool) -> list[Standing]:
        """What is known of each, for whoever chooses among them. Changes nothing."""
        now = self._clock()
        with self._lock:
            return [self._standing(target, now, stream=stream) for target in targets]

    def _standing(self, target: Target, now: float, *, stream: bool) -> Standing:
        bulkhead = self._bulkhead_of(target)
        out = bulkhead.full or self._refusal(target, now) is not None
        return Standing(out, bulkhead.flying, self._latencies.pace(target.scope("target"), now, stream=stream))

    def show(self, targets: Iterable[Target]) -> list[TargetHealth]:
        """Every target's state, and until when."""
        now = self._clock()
        with self._lock:
            return [self._show(target, now) for target in targets]

    def _show(self, target: Target, now: float) -> TargetHealth:
        states = [
            breaker.state
            for key in (target.scope("endpoint"), target.scope("target"))
            if (breaker := self._breakers.get(key)) is not None
        ]
        flying = self._in_flight.get(target.scope("target"), 0)
        return shown(target, self._refusal(target, now), states, now, flying)

    def isolate(self, target: Target) -> None:
        """Ask this target no more, until `reset`."""
        self._by_hand(target).isolate()

    def disable(self, target: Target) -> None:
        """Take no notice of this target's failures, until `reset`."""
        self._by_hand(target).disable()

    def reset(self, target: Target) -> None:
        """Forget what is known against this target, its account and its endpoint."""
        now = self._clock()
        with self._lock:
            for scope in _SCOPES:
                key = target.scope(scope)
                self._cooldowns.pop(key, None)
                breaker = self._breakers.get(key)
                if breaker is not None:
                    breaker.reset()
                if self._fleet is not None:
                    self._fleet.look(key, breaker, None, now)
            if self._fleet is not None:
                self._fleet.forget(target, now)

    def _by_hand(self, target: Target) -> Breaker:
        key = target.scope("target")
        with self._lock:
            return self._breakers.setdefault(key, Breaker(self._numbers, self._random))

    # What other processes tell; called by the thread that shares

    def learn(self, news: Iterable[News], clock: int, now: float) -> None:
        """Take in what the store has had at `clock`, its milliseconds, which is `now` here."""
        assert self._fleet is not None
        with self._lock:
            for item in news:
                kind, key = item.subject
                if kind == "cooldown":
                    self._fleet.learn_cooldown(item, self._cooldowns, clock, now)
                    continue
                breaker = self._breakers.get(key) or Breaker(self._numbers, self._random)
                if self._fleet.learn_breaker(item, breaker, clock, now):
                    self._breakers[key] = breaker

    def lease_steps(self, unwritten: Mapping[Subject, None]) -> list[Step]:
        """What is to be done now, so that one process at a time probes."""
        assert self._fleet is not None
        with self._lock:
            return self._fleet.steps(self._breakers, self._clock(), unwritten)

    def lease_due(self, longest: float) -> float:
        """Seconds until that is to be asked again."""
        assert self._fleet is not None
        with self._lock:
            return self._fleet.due_in(self._breakers, self._clock(), longest)


_every: weakref.WeakSet[Health] = weakref.WeakSet()


def _after_fork() -> None:
    for health in list(_every):
        health.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
