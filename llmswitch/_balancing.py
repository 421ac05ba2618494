"""
In which order the targets of a call are asked: where several stand side by side in a group, who of them comes first.

An order is only looked at, never made to come true: nothing here changes anything, so it may be asked for at any time.
Who is well comes before who is out; of these a session's own target is the first, then whom the group's rule prefers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from math import inf, log
from typing import TYPE_CHECKING

from ._attempt import priced, reasons
from ._call import Call
from ._chain import Group
from ._latency import UNSURE
from ._reference_rates import reference_rates
from ._reply import Usage
from ._request import ChatRequest
from ._sessions import Binding, Sessions, binding
from ._standing import Standing
from ._target import Target

if TYPE_CHECKING:
    from ._shared_sessions import Keep, Recall

__all__ = ["TRIAL", "answered", "chosen_by", "ordered", "recall"]

TRIAL = 0.05
"""The part of calls in which `fastest` tries a target of which little is known."""
_ANSWER = 500  # tokens, where the caller sets no limit: what an answer usually is


def ordered(call: Call, chance: Callable[[], float] | None = None) -> tuple[Target, ...]:
    """
    The targets of the call's chain in the order in which it would ask them now.

    `chance` gives numbers from 0 up to 1, in place of the call's own; where it is always one half, the order is the
    likeliest one.
    """
    targets = call.chain.targets
    if call.chain.groups:
        places = {target: number for number, target in enumerate(targets)}
        found = list(targets)
        for group in call.chain.groups:
            order = _in_group(_Choice(call, group, chance or call.chance))
            for place, target in zip(sorted(places[member] for member in group.members), order, strict=True):
                found[place] = target
        targets = tuple(found)
    # what is free is spent first, whatever step it stands in
    return call.grants.order(targets, call) if call.grants else targets


def chosen_by(call: Call, target: Target) -> str | None:
    """What put a target into its place: the rule of its group, or the `session`; `None` for one that stands alone."""
    group = next((group for group in call.chain.groups if target in group.members), None)
    if group is None:
        return None
    return "session" if _bound(call, group) is target else group.by


def recall(call: Call) -> Recall | None:
    """What a driver has to do before the order is known: to ask other processes whom the session keeps to."""
    sessions = _sessions(call)
    return None if sessions is None else sessions.recall([_binding(call, group) for group in call.chain.groups])


def answered(call: Call, target: Target) -> Keep | None:
    """The session keeps to who answered it, within his group. What is left to do: to tell other processes."""
    sessions = _sessions(call)
    group = next((group for group in call.chain.groups if target in group.members), None)
    return None if sessions is None or group is None else sessions.keep(_binding(call, group), target.name)


def _sessions(call: Call) -> Sessions | None:
    """What is remembered of sessions, where this call is of one and its chain heeds it."""
    heeded = call.session is not None and call.chain.sticky is not None and call.chain.groups
    return call.sessions if heeded else None


def _binding(call: Call, group: Group) -> Binding:
    assert call.session is not None
    assert call.chain.sticky is not None
    return binding(group.name, call.session, call.chain.sticky)


def _bound(call: Call, group: Group) -> Target | None:
    sessions = _sessions(call)
    return None if sessions is None else sessions.bound(_binding(call, group), group.members)


@dataclass(slots=True, frozen=True)
class _Choice:
    """One group for one call."""

    call: Call
    group: Group
    chance: Callable[[], float]

    def standings(self) -> list[Standing]:
        return self.call.health.standings(self.group.members, stream=self.call.stream)


def _in_group(choice: _Choice) -> list[Target]:
    group, standings = choice.group, choice.standings()
    members, bound = group.members, _bound(choice.call, group)
    ranks = _RULES[group.by](choice, standings)
    order = sorted(range(len(members)), key=lambda n: (standings[n].out, members[n] is not bound, ranks[n], n))
    if group.by == "fastest" and members[order[0]] is not bound and choice.chance() < TRIAL:
        _try_another(order, standings, choice.chance)
    return [members[number] for number in order]


def _try_another(order: list[int], standings: Sequence[Standing], chance: Callable[[], float]) -> None:
    """Put one first of whom little is known, or was known too long ago."""
    unsure = [
        number
        for number in order[1:]
        if not standings[number].out and ((pace := standings[number].pace) is None or pace.answers < UNSURE)
    ]
    if unsure:
        number = unsure[int(chance() * len(unsure))]
        order.remove(number)
        order.insert(0, number)


# What each rule goes by: a number for each member, the least first.


def _as_written(choice: _Choice, _: Sequence[Standing]) -> list[float]:
    return [0.0] * len(choice.group.members)


def _by_weight(choice: _Choice, _: Sequence[Standing]) -> list[float]:
    """
    By lots, each of which wins as often as its weight says, among whichever members are left. A session draws the same
    lots in every process, and the others' do not change when a member comes or goes.
    """
    call, group = choice.call, choice.group
    if _sessions(call) is not None:
        draws = [_lot(f"{group.name}|{call.session}|{target.name}") for target in group.members]
    else:
        draws = [1.0 - choice.chance() for _ in group.members]
    return [-log(draw) / weight for draw, weight in zip(draws, group.weights, strict=True)]


def _by_calls(choice: _Choice, standings: Sequence[Standing]) -> list[float]:
    """Calls in flight with this one, for each that the member can take; among equals it is drawn."""
    group = choice.group
    limits = [target.endpoint.max_in_flight or 0 for target in group.members]
    plain = all(weight == 1.0 for weight in group.weights)
    shares = limits if plain and all(limits) else group.weights
    loads = [(standing.busy + 1) / share for standing, share in zip(standings, shares, strict=True)]
    drawn = sorted((load, choice.chance(), number) for number, load in enumerate(loads))
    places = {number: place for place, (_, _, number) in enumerate(drawn)}
    return [float(places[number]) for number in range(len(loads))]


def _by_pace(_: _Choice, standings: Sequence[Standing]) -> list[float]:
    """Seconds to the first word of late; who was never measured is the last."""
    return [inf if standing.pace is None else standing.pace.seconds for standing in standings]


def _by_price(choice: _Choice, _: Sequence[Standing]) -> list[float]:
    """What this request would cost, in the currency that all are compared in; who has no price is the last."""
    at = datetime.fromtimestamp(choice.call.wall(), UTC)
    return [_price(choice.call, target, at) for target in choice.group.members]


def _price(call: Call, target: Target, at: datetime) -> float:
    cost = priced(target, _expected(call, target), at)
    rate = reference_rates().per_euro.get(cost.currency) if cost is not None else None
    return inf if cost is None or rate is None else float(cost.amount / rate)


def _expected(call: Call, target: Target) -> Usage:
    """What the request may come to at that target."""
    request = call.request.overridden(target.settings)
    if not isinstance(request, ChatRequest):
        return Usage(call.operation.most(request, target.adapter.capabilities).input_tokens, 0)
    if call.ratios is not None:
        tokens = call.ratios.estimate(target.provider, target.model, request).input_tokens
    else:
        tokens = call.operation.most(request, target.adapter.capabilities).input_tokens
    usage = Usage(tokens, request.max_tokens or _ANSWER)
    return replace(usage, reasoning_tokens=1) if reasons(request, target) else usage


_RULES: Mapping[str, Callable[[_Choice, Sequence[Standing]], list[float]]] = {
    "order": _as_written,
    "weighted": _by_weight,
    "cheapest": _by_price,
    "fastest": _by_pace,
    "least_busy": _by_calls,
}


def _lot(text: str) -> float:
    """A number above 0 and up to 1, always the same for the same text."""
    return (int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:6]) + 1) / 2**48
