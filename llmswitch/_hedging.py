"""
Hedging: where the first target is slow beyond what it usually is, the same request goes to another one as well.

Off unless the chain asks for it. It costs money, so it is bounded: one more request for a call, and for one call in
twenty; none where anything is wrong, since then slowness is no accident and a second request is a burden.
"""

from __future__ import annotations

from typing import NamedTuple

from ._call import Call
from ._decision import History, Try
from ._errors import LLMSwitchError

__all__ = ["Hedge", "hedge"]

SHORTEST = 1.0
"""Seconds for which a hedge is never sent, however quick a target usually is."""

# What makes a request more than a question: running it twice would do something twice.
_STATEFUL = frozenset({"previous_response_id", "conversation", "background", "store", "container"})


class Hedge(NamedTuple):
    """A request that may be sent beside another, from `after` (monotonic seconds) on."""

    call: Call
    history: History
    target: int
    after: float

    def start(self, now: float) -> Try | None:
        """The step, where it may still be taken."""
        targets, health = self.call.chain.targets, self.call.health
        if now >= self.history.deadline or not health.take_hedge(targets, targets[self.target]):
            return None
        return Try(self.target, "hedge", self.history.deadline)


def hedge(call: Call, history: History, step: Try) -> Hedge | None:
    """What may be sent beside this step, if it is slow; `None` where nothing may."""
    policy, targets = call.chain.policy, call.chain.targets
    if step.kind not in ("first", "fallback") or any(each.tried for each in history.failures):
        return None
    if any(_STATEFUL & extra.keys() for extra in call.request.extra.values()):
        return None
    first = targets[step.target]
    after = policy.hedge_after or call.health.usual(first, stream=call.stream)
    if after is None:
        return None
    here = first.scope("endpoint")
    other = next(
        (
            number
            for number in range(step.target + 1, len(targets))
            if targets[number].scope("endpoint") != here and _can(call, number)
        ),
        None,
    )
    return None if other is None else Hedge(call, history, other, call.clock() + max(SHORTEST, after))


def _can(call: Call, number: int) -> bool:
    target = call.chain.targets[number]
    try:
        call.operation.fit(call.request, target)
    except LLMSwitchError:
        return False
    return True
