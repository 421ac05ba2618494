"""
Grants: tokens that a vendor gives away until a date. Those that end the soonest are spent first, then targets are paid
for in the order of the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from time import time

from ._allowance import Allowance, Want
from ._allowance_state import AllowanceState, state_of
from ._allowances import Reserve
from ._call import Call
from ._config_file import Loaded
from ._counters import Counters
from ._errors import QuotaExhausted
from ._estimate import Spend
from ._limits import GrantConfig
from ._target import Target
from ._window import Until, steady, zone_of

__all__ = ["Grants", "label_of"]


@dataclass(slots=True, frozen=True)
class _Grant:
    given: GrantConfig
    allowance: Allowance
    ends: float  # Unix seconds

    def holds(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.given.models)


class Grants:
    """The grants of a configuration, by provider, each with those first that end first."""

    def __init__(self, loaded: Loaded, counters: Counters, wall: Callable[[], float] = time) -> None:
        self._counters = counters
        self._wall = wall
        self._given = {
            name: sorted((_grant(name, number, each) for number, each in enumerate(own.grants)), key=lambda g: g.ends)
            for name, own in loaded.config.providers.items()
            if own.grants
        }

    def __bool__(self) -> bool:
        return bool(self._given)

    def order(self, targets: Sequence[Target], call: Call) -> tuple[Target, ...]:
        """The targets with those first that have the tokens left, and of these those first whose tokens end first."""

        def ends(target: Target) -> float:
            request = call.request.overridden(target.settings)
            need = _tokens(call.operation.most(request, target.adapter.capabilities))
            return next((grant.ends for grant in self._left(target, need)), float("inf"))

        return tuple(sorted(targets, key=ends))

    def reserves(self, target: Target, spend: Spend, seconds: float) -> Iterator[tuple[str, Reserve]]:
        """The grants that an attempt may be made from, one after another, each with what is to be reserved of it."""
        for grant in self._left(target):
            want = Want(grant.allowance, _tokens(spend))
            yield grant.allowance.label, Reserve(self._counters, target, [want], seconds)

    def stopped(self, target: Target) -> QuotaExhausted | None:
        """Why the target is not asked without a grant: it would cost money, and its owner said that it must not."""
        mine = self._mine(target)
        if not any(grant.given.on_exhausted == "stop" for grant in mine):
            return None
        ended = all(grant.ends <= self._wall() for grant in mine)
        said = "have ended" if ended else "are used up, or this call may need more than is left"
        return QuotaExhausted(
            f'not asked: its free tokens {said}, and on_exhausted = "stop" keeps it from costing money',
            provider=target.provider,
            model=target.model,
        )

    def allowances(self) -> list[Allowance]:
        """Every grant, as it is counted."""
        return [grant.allowance for each in self._given.values() for grant in each]

    def show(self) -> list[AllowanceState]:
        """Every grant, and how much of it is spent."""
        return [state_of(each, self._counters) for each in self.allowances()]

    def exhausted(self, target: Target) -> None:
        """The vendor says that what he gave is used up."""
        for grant in self._left(target):
            self._counters.shut(grant.allowance, None)

    def _mine(self, target: Target) -> list[_Grant]:
        return [grant for grant in self._given.get(target.provider, ()) if grant.holds(target.model)]

    def _left(self, target: Target, need: int = 1) -> Iterator[_Grant]:
        now = self._wall()
        for grant in self._mine(target):
            if grant.ends > now:
                seen = self._counters.seen(grant.allowance)
                room = seen is None or seen.spent + need <= grant.allowance.limit
                if room and (seen is None or seen.closed <= steady()):
                    yield grant


def _tokens(spend: Spend) -> int:
    return max(1, spend.input_tokens + spend.output_tokens)


def label_of(provider: str, given: GrantConfig) -> str:
    """What a grant is called where it is shown."""
    return f"{provider}'s grant of {given.tokens} tokens until {given.expires}"


def _grant(provider: str, number: int, given: GrantConfig) -> _Grant:
    """A grant lasts until its last day is over, where it is kept."""
    zone = zone_of(given.zone)
    day = given.expires + timedelta(days=1)
    ends = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    label = label_of(provider, given)
    name = sha256(f"grant|{provider}|{number}|{given.tokens}|{given.expires}|{given.models}".encode()).hexdigest()
    return _Grant(given, Allowance(name, label, "tokens", given.tokens, Until(round(ends * 1000))), ends)
