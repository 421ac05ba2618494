"""
What health says of one target: leave to ask it, or why not; how it is; and how it compares with others.

All of it is read from what is known, and changes nothing. The caller holds the lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from ._breaker import BreakerState, Permit
from ._cooldown import SCOPES
from ._latency import Pace
from ._target import Target

if TYPE_CHECKING:
    from ._fleet import Fleet
    from ._records import Records

__all__ = ["Admission", "Refusal", "Standing", "TargetHealth", "refusal", "shown", "standing"]


class Refusal(NamedTuple):
    """
    Why a target is not asked now. `until`: monotonic seconds at which that may end. `kind`: `cooling` by a declared
    fact, `open` by a statistic, `busy` with too many calls of our own. `reason`: the class of the error that led to
    it, or `isolated`. `transient`: it passes by itself.
    """

    kind: Literal["cooling", "open", "busy"]
    reason: str
    until: float
    transient: bool


@dataclass(slots=True, eq=False, repr=False)
class Admission:
    """
    Leave to ask a target once. It is handed back with what came of it, on every way out.

    `before`: the state of the target's breaker, and of its endpoint's where that is worse. `cooled`: for how many
    seconds what came of it keeps calls away.
    """

    target: Target
    permits: dict[str, Permit] = field(default_factory=dict)
    paid: float = 0.0
    open: bool = True
    before: str = "closed"
    cooled: float | None = None

    @property
    def probe(self) -> bool:
        """Whether the call tries a breaker whose time is over."""
        return any(permit.probe for permit in self.permits.values())


@dataclass(slots=True, frozen=True)
class TargetHealth:
    """
    One target as `client.health()` shows it.

    `state`: `ok`, `cooling` (a declared fact keeps calls away), `open` (its breaker does), `half_open` (one call at a
    time tries it), `isolated` or `disabled` (by hand), `excluded` (by the policy: it is never asked). `seconds`: until
    that may change. `reason`: the class of the error, or the place that the policy does not allow.
    """

    target: str
    state: Literal["ok", "cooling", "open", "half_open", "isolated", "disabled", "excluded"]
    seconds: float | None = None
    reason: str | None = None
    in_flight: int = 0


class Standing(NamedTuple):
    """
    A target among others. `out`: it would not be admitted now. `busy`: calls of this process in flight there, or at
    its account where those are bounded. `pace`: how quick it was of late, where that is known.
    """

    out: bool
    busy: int
    pace: Pace | None = None


def refusal(known: Records, fleet: Fleet | None, target: Target, now: float) -> Refusal | None:
    """What is known against asking the target now, be it by a call that is not forced, or `None`."""
    endpoint, own = target.scope("endpoint"), target.scope("target")
    breaker = known.breakers.get(own)
    if breaker is not None and breaker.state is BreakerState.ISOLATED:
        return Refusal("open", "isolated", float("inf"), transient=False)
    cooling = [each for scope in SCOPES if (each := known.cooldowns.get(target.scope(scope))) and not each.over(now)]
    if cooling:
        # a fact that does not pass by itself is the one to name, whichever ends last
        worst = max(cooling, key=lambda each: (not each.transient, each.until))
        until = max(each.until for each in cooling)
        return Refusal("cooling", worst.reason, until, all(each.transient for each in cooling))
    for key in (endpoint, own):
        breaker = known.breakers.get(key)
        if breaker is None:
            continue
        if breaker.state is BreakerState.OPEN and now < breaker.until:
            return Refusal("open", breaker.reason, breaker.until, transient=True)
        if breaker.leased(now) or not (fleet is None or fleet.may_try(key, breaker, now)):
            return Refusal("open", breaker.reason, now, transient=True)
    return None


def standing(known: Records, fleet: Fleet | None, target: Target, now: float, *, stream: bool) -> Standing:
    """How the target compares with others."""
    bulkhead = known.bulkhead(target, keep=False)
    out = bulkhead.full or refusal(known, fleet, target, now) is not None
    return Standing(out, bulkhead.flying, known.latencies.pace(target.scope("target"), now, stream=stream))


def shown(known: Records, fleet: Fleet | None, target: Target, now: float) -> TargetHealth:
    """The target as it is shown: why it is refused, the states of its breakers, and its calls in flight."""
    refused = refusal(known, fleet, target, now)
    flying = known.in_flight.get(target.scope("target"), 0)
    breakers = (known.breakers.get(target.scope("endpoint")), known.breakers.get(target.scope("target")))
    states = [breaker.state for breaker in breakers if breaker is not None]
    seconds = None if refused is None else max(0.0, refused.until - now)
    if refused is not None and refused.kind == "cooling":
        return TargetHealth(target.name, "cooling", seconds, refused.reason, flying)
    for state in (BreakerState.ISOLATED, BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.DISABLED):
        if state in states:
            left = seconds if state is BreakerState.OPEN else None
            why = refused.reason if refused is not None and refused.kind == "open" and left is not None else None
            return TargetHealth(target.name, state.value, left, why, flying)  # type: ignore[arg-type]
    return TargetHealth(target.name, "ok", None, None, flying)
