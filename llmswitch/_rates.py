"""When the next call may go to a target so that nobody throttles: what is left of a limit is spread over the time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ._rate_headers import Counted, Left

__all__ = ["Rates"]

_LONGEST = 60.0  # seconds after which a call looks whether there is more, whatever was said
_TOGETHER = 1.0  # seconds between the beginnings of calls that may reach a vendor in another order
_ROUNDED = 1.0  # seconds by which a time that was said in whole ones may be too short
_LEARNT = 20  # answers of which a call's tokens are the mean


@dataclass(slots=True)
class _Limit:
    """
    One limit, as the answer to the call of that number left it. `ends`: when it is whole again. `gap`: seconds between
    two calls at its rate.
    """

    counts: Counted
    left: float
    most: float | None
    ends: float
    gap: float
    number: int
    began: float

    def due(self, begun: int, last: float, cost: float) -> float:
        """When one more call may begin, after so many, the last of them then."""
        taken = (begun - self.number) * cost
        if self.counts != "requests":
            taken += cost  # the next one may take more than most do
        if last >= self.ends:  # it is whole again, and nobody has said yet what is left
            plenty = self.most is not None and taken <= self.most / 2
            return min(last + self.gap, self.ends + _ROUNDED) if plenty else last + self.gap
        left = self.left - taken
        if self.most is not None and left >= self.most / 2:
            return -math.inf
        calls = left / cost if cost else math.inf
        wait = (self.ends - last) / calls if calls >= 1 else math.inf
        return min(last + min(wait, _LONGEST), self.ends)


@dataclass(slots=True)
class _Account:
    """What is known of one target. `costs`: what a call takes of each kind of limit."""

    begun: int = 0
    last: float = -math.inf
    limits: dict[str, _Limit] = field(default_factory=dict)
    costs: dict[Counted, float] = field(default_factory=lambda: {"requests": 1.0})
    answers: int = 0

    def cost(self, counts: Counted) -> float:
        return self.costs.get(counts, 0.0)


class Rates:
    """
    Pure bookkeeping, by the names of targets; times are the caller's clock's.

    Half of a limit may be used at once. What is left below that is spread evenly over the time until the limit is whole
    again. That is right for vendors whose limits fill up all the time (it comes to rest at half, at the very rate at
    which they fill) and for those whose limits begin anew at once, and nobody has to know which is which. A cost that
    is not exact shifts the point of rest and no more.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def known(self, target: str) -> bool:
        """Whether it has said anything of its limits."""
        account = self._accounts.get(target)
        return account is not None and bool(account.limits)

    def due(self, target: str) -> float:
        """When the next call may begin; minus infinity where nothing is known against now."""
        account = self._accounts.get(target)
        if account is None or not account.limits:
            return -math.inf
        return max(
            limit.due(account.begun, account.last, account.cost(limit.counts)) for limit in account.limits.values()
        )

    def began(self, target: str, now: float) -> int:
        """A call begins, and this is its number."""
        account = self._accounts.setdefault(target, _Account())
        account.begun += 1
        account.last = now
        return account.begun

    def heard(self, target: str, number: int, began: float, said: Iterable[Left]) -> None:
        """
        What the answer to the call of that number said, which began then. It is taken as what was left right after the
        vendor took the call in; an answer to an earlier call is old news, but calls that began together may have
        overtaken each other, so of their answers the one that leaves least counts.
        """
        account = self._accounts[target]
        for each in said:
            cost, known = account.cost(each.counts), account.limits.get(each.name)
            if known is None or number > known.number:
                share = cost / max(each.limit or each.remaining, 1.0)
                gap = min((each.per if each.limit is not None else each.seconds) * share, _LONGEST)
                ends = began + each.seconds
                account.limits[each.name] = _Limit(each.counts, each.remaining, each.limit, ends, gap, number, began)
            elif began >= known.began - _TOGETHER:
                known.left = min(known.left, each.remaining + (account.begun - known.number) * cost)

    def used(self, target: str, tokens: Mapping[Counted, int]) -> None:
        """So many tokens an answer has used."""
        account = self._accounts.setdefault(target, _Account())
        account.answers += 1
        for counts, number in tokens.items():
            before = account.costs.get(counts, float(number))
            account.costs[counts] = before + (number - before) / min(account.answers, _LEARNT)
