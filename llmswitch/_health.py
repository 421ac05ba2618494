"""
Who may be asked now, and what came of it: breakers, cool-downs, retry budgets, calls in flight.

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

from ._breaker import BreakerNumbers, BreakerState, Permit
from ._bulkhead import Turn
from ._cooldown import SCOPES, begin
from ._errors import LLMSwitchError
from ._hedge_budget import HedgeBudget
from ._policy import rule_for
from ._records import Records
from ._standing import Admission, Refusal, Standing, TargetHealth, refusal, shown, standing
from ._target import Target

if TYPE_CHECKING:
    from ._fleet import Step
    from ._ledger import News
    from ._sharing import Sharing
    from ._store import Subject

__all__ = ["Admission", "Health", "Refusal", "TargetHealth"]

BULKHEAD = 1000
"""Calls in flight at one target, where nothing else is configured: a little less than a pool has connections."""
_FAILURE = 30.0  # seconds that a failure counts as, where it is asked who was the quickest of late


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
        # the garbage collector may end an abandoned call, which hands its leave back, while the lock is held here
        self._lock = threading.RLock()
        chance = chance or random.Random().random  # noqa: S311 - spread, no secret
        self._known = Records(numbers or BreakerNumbers(), chance, bulkhead)
        self._hedging = HedgeBudget()
        self._sharing = sharing
        self._fleet = sharing.fleet if sharing is not None else None
        if sharing is not None:
            sharing.bind(self, self._lock, clock)
        _every.add(self)

    def after_fork(self) -> None:
        """In a forked child: what is known stays known, calls in flight are the parent's."""
        self._lock = threading.RLock()
        self._known.forked(random.Random().random)  # noqa: S311 - else every child would spread alike
        if self._sharing is not None:
            self._sharing.after_fork(self._lock)
            self._fleet = self._sharing.fleet

    def consult(self, targets: Iterable[Target], wait: float) -> bool:
        """Have the store asked about these targets, as a call would, for so many seconds; whether there is one."""
        if self._sharing is None or self._fleet is None:
            return False
        with self._lock:
            for target in targets:
                if not target.named:
                    self._met(target, self._clock())
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
            return self._denied(target, refusal(self._known, self._fleet, target, now), now, forced=forced)

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
            known, fleet = self._known, self._fleet
            if not target.named:
                self._met(target, now)
            if fleet is not None:
                fleet.watch(target)
            refused = refusal(known, fleet, target, now)
            denied = self._denied(target, refused, now, forced=forced, turn=turn)
            if denied is not None:
                if denied is refused and fleet is not None:
                    fleet.wanted(target, known.breakers, now)
                return denied
            known.bulkhead(target).enter(turn)
            flying = target.scope("target")
            if refused is not None:
                known.forced[flying] = now
            admission = Admission(target, before=known.worst(target).value)
            known.in_flight[flying] = known.in_flight.get(flying, 0) + 1
            for key in (target.scope("endpoint"), flying):
                # made by the first call, not by the first failure: answers before that count, and have a generation
                breaker = known.breakers.get(key) or known.breaker(key)
                permit = breaker.permit(now, limit) if fleet is None or fleet.may_try(key, breaker, now) else None
                permit = permit or (breaker.force() if forced else None)
                if permit is None:
                    self._hand_back(admission, now)
                    return Refusal("open", breaker.reason, breaker.until, transient=True)
                admission.permits[key] = permit
                if permit.probe and fleet is not None:
                    fleet.wake()  # the lease is to last as long as the call may
            return admission

    def _met(self, target: Target, now: float) -> None:
        """Somebody asks for a target that no configuration names: others are forgotten where there are too many."""
        fleet = self._fleet
        for key in self._known.met(target.scope("target"), now, () if fleet is None else fleet.leased):
            if fleet is not None:
                fleet.unwatch(key)

    def _denied(
        self, target: Target, refused: Refusal | None, now: float, *, forced: bool, turn: Turn | None = None
    ) -> Refusal | None:
        """Why it is not admitted, given what is known against it: that, or that there is no room."""
        if refused is not None and not forced:
            return refused
        if not self._known.bulkhead(target, keep=False).admits(turn):
            return Refusal("busy", "LocalOverload", now, transient=True)
        return refused if refused is not None and not self._may_force(target, refused, now) else None

    def _may_force(self, target: Target, refused: Refusal, now: float) -> bool:
        """At most once a second."""
        return refused.transient and now - self._known.forced.get(target.scope("target"), float("-inf")) >= 1.0

    def wait(self, target: Target) -> Turn:
        """A place in the queue of calls for which this process has no room at the target."""
        with self._lock:
            return self._known.bulkhead(target).wait()

    def give_up(self, target: Target, turn: Turn) -> None:
        """Wait no more."""
        with self._lock:
            self._known.bulkhead(target).give_up(turn)

    def breaker_state(self, target: Target) -> str:
        """The state of the target's breaker, or of its endpoint's where that one is not closed."""
        with self._lock:
            return self._known.worst(target).value

    # After a call

    def succeeded(self, admission: Admission, *, stream: bool = False, seconds: float | None = None) -> None:
        """The target answered; its first word came after so many seconds."""
        now = self._clock()
        with self._lock:
            if not admission.open:
                return
            known, target = self._known, admission.target
            for key, permit in admission.permits.items():
                if (breaker := known.breakers.get(key)) is not None:
                    breaker.succeeded(permit, now)
            for scope in SCOPES:
                key = target.scope(scope)
                cooling = known.cooldowns.get(key)
                if cooling is not None and cooling.over(now):
                    del known.cooldowns[key]
            known.budget(target).succeeded(admission.paid)
            if seconds is not None:
                self._hedging.answered()
                known.latencies.answered(target.scope("target"), seconds, now, stream=stream)
            if self._fleet is not None:
                self._fleet.answered[target.scope("endpoint")] = now
                self._fleet.answered[target.scope("target")] = now
            self._hand_back(admission, now)

    def failed(self, admission: Admission, error: LLMSwitchError, *, stream: bool = False) -> None:
        """The target failed by its own fault, or its account's; what is not its fault is `released`."""
        now = self._clock()
        rule = rule_for(error)
        with self._lock:
            if not admission.open:
                return
            known, target = self._known, admission.target
            if rule.counts is not None or rule.cool is not None:
                known.latencies.waited(target.scope("target"), _FAILURE, now, stream=stream)
            if rule.counts is not None:
                key = target.scope(rule.counts)
                breaker = known.breaker(key)
                breaker.failed(admission.permits.pop(key, Permit(breaker.generation)), now, type(error).__name__)
            if rule.cool is not None:
                for scope in rule.cool.scopes:
                    key = target.scope(scope)
                    cooldown = known.cooldowns[key] = begin(
                        rule.cool, type(error).__name__, known.cooldowns.get(key), error.retry_after, now, known.random
                    )
                    admission.cooled = max(admission.cooled or 0.0, cooldown.until - now)
            self._hand_back(admission, now)

    def outrun(self, admission: Admission, seconds: float, *, stream: bool) -> None:
        """It had not answered after so many seconds, when one that was asked later did."""
        now = self._clock()
        with self._lock:
            key, latencies = admission.target.scope("target"), self._known.latencies
            pace = latencies.pace(key, now, stream=stream)
            least = seconds if pace is None else max(seconds, pace.seconds)
            latencies.waited(key, least, now, stream=stream)
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
        known, target = self._known, admission.target
        for key, permit in admission.permits.items():
            if (breaker := known.breakers.get(key)) is not None:  # in a forked child it may have been forgotten
                breaker.release(permit)
        known.bulkhead(target).leave()
        key = target.scope("target")
        left = known.in_flight.get(key, 0) - 1
        if left > 0:
            known.in_flight[key] = left
        else:
            known.in_flight.pop(key, None)
        if self._fleet is not None:
            for scope in SCOPES:
                key = target.scope(scope)
                self._fleet.look(key, known.breakers.get(key), known.cooldowns.get(key), now)

    # Repetitions

    def can_repeat(self, target: Target, *, throttled: bool) -> bool:
        """Whether the account's retry budget allows one more repetition."""
        with self._lock:
            return self._known.budget(target).can(throttled=throttled)

    def repeat(self, target: Target, *, throttled: bool) -> float:
        """Pay for a repetition; what was paid."""
        with self._lock:
            return self._known.budget(target).take(throttled=throttled)

    # Hedges

    def usual(self, target: Target, *, stream: bool) -> float | None:
        """Seconds within which 95 of 100 answers of the target begin; `None` where too few are known."""
        with self._lock:
            return self._known.latencies.usual(target.scope("target"), stream=stream)

    def take_hedge(self, chain: Iterable[Target], other: Target) -> bool:
        """Whether a call may go to `other` as well now: all are well, and there is something left for it."""
        now = self._clock()
        with self._lock:
            known = self._known
            well = all(known.worst(target) is BreakerState.CLOSED and known.budget(target).calm for target in chain)
            free = not standing(known, self._fleet, other, now, stream=False).out
            return well and free and self._hedging.take()

    # By hand, and to look at

    def standings(self, targets: Sequence[Target], *, stream: bool) -> list[Standing]:
        """What is known of each, for whoever chooses among them. Changes nothing."""
        now = self._clock()
        with self._lock:
            return [standing(self._known, self._fleet, target, now, stream=stream) for target in targets]

    def show(self, targets: Iterable[Target]) -> list[TargetHealth]:
        """Every target's state, and until when."""
        now = self._clock()
        with self._lock:
            return [shown(self._known, self._fleet, target, now) for target in targets]

    def isolate(self, target: Target) -> None:
        """Ask this target no more, until `reset`."""
        with self._lock:
            self._known.breaker(target.scope("target")).isolate()

    def disable(self, target: Target) -> None:
        """Take no notice of this target's failures, until `reset`."""
        with self._lock:
            self._known.breaker(target.scope("target")).disable()

    def reset(self, target: Target) -> None:
        """Forget what is known against this target, its account and its endpoint."""
        now = self._clock()
        with self._lock:
            for scope in SCOPES:
                key = target.scope(scope)
                self._known.cooldowns.pop(key, None)
                breaker = self._known.breakers.get(key)
                if breaker is not None:
                    breaker.reset()
                if self._fleet is not None:
                    self._fleet.look(key, breaker, None, now)
            if self._fleet is not None:
                self._fleet.forget(target, now)

    # What other processes tell; called by the thread that shares

    def learn(self, news: Iterable[News], clock: int, now: float) -> None:
        """Take in what the store has had at `clock`, its milliseconds, which is `now` here."""
        assert self._fleet is not None
        with self._lock:
            for item in news:
                self._fleet.learn(item, self._known, clock, now)

    def lease_steps(self, unwritten: Mapping[Subject, None]) -> list[Step]:
        """What is to be done now, so that one process at a time probes."""
        assert self._fleet is not None
        with self._lock:
            return self._fleet.steps(self._known.breakers, self._clock(), unwritten)

    def lease_due(self, longest: float) -> float:
        """Seconds until that is to be asked again."""
        assert self._fleet is not None
        with self._lock:
            return self._fleet.due_in(self._known.breakers, self._clock(), longest)


_every: weakref.WeakSet[Health] = weakref.WeakSet()


def _after_fork() -> None:
    for health in list(_every):
        health.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
