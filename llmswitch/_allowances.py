"""
What a call may spend: the limits of the account that it goes to, and the budgets that it falls under.

An attempt reserves before it is sent, as much as it may come to, and settles what it came to afterwards.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from math import inf
from typing import NamedTuple

from ._allowance import Allowance, Denied, Want
from ._allowance_state import RATES, AllowanceState, shown, state_of
from ._budget_words import explained, label_of_budget, label_of_rate, unpriced
from ._config_file import Loaded
from ._counters import Answer, Asked, Counters, MemoryCounters, Reservation
from ._errors import BudgetExceeded, ConfigError, LLMSwitchError, RateLimited
from ._estimate import Spend
from ._limits import LARGEST, BudgetConfig, RateConfig
from ._nearest import nearest
from ._registry import provider_names
from ._reply import Usage
from ._store import counters_opener, digest
from ._target import Target
from ._window import Calendar, Ever, Sliding, Window

__all__ = ["Allowances", "Held", "Refused", "Reserve", "Spend"]

LEASE = 900.0  # seconds after which a reservation that nobody settled counts as spent
MARGIN = 60.0  # seconds by which a lease outlasts the longest that its attempt may take


class Refused(NamedTuple):
    """
    The attempt is not to be made now. `seconds`: until it may be, for certain; `None` for never. `soon`: it may be
    sooner, when calls that are under way turn out to cost less than was reserved for them.
    """

    allowance: Allowance
    message: str
    seconds: float | None = None
    soon: bool = False

    def error(self, target: Target) -> LLMSwitchError:
        """The error that stands for the target: `BudgetExceeded`, or `RateLimited` for a limit of the vendor's."""
        kind = BudgetExceeded if self.allowance.kind == "budget" else RateLimited
        return kind(
            f"not asked: {self.message}", provider=target.provider, model=target.model, retry_after=self.seconds
        )


class Held:
    """
    What was reserved for an attempt. Exactly one of its ends counts, the first; none of them waits.

    An end that is never said is as if the attempt had cost all that was reserved.
    """

    __slots__ = ("_counters", "_reservation", "_target")

    def __init__(self, counters: Counters, reservation: Reservation, target: Target) -> None:
        self._counters = counters
        self._reservation = reservation
        self._target = target

    def settle(self, usage: Usage | None = None) -> None:
        """
        The attempt was made. `usage` as the vendor counted it; what he did not say, or only before he was done, is
        charged as it was reserved. An attempt that he refused used nothing, `Usage(0, 0)`, but was a request.
        """
        self._end(usage, requests=1)

    def release(self) -> None:
        """Nothing was sent."""
        self._end(Usage(0, 0), requests=0)

    def _end(self, usage: Usage | None, *, requests: int) -> None:
        if self._reservation.ended:
            return
        used = Usage() if usage is None or usage.estimated else usage
        cost = self._target.cost(used)
        actuals = []
        for charge in self._reservation.charges:
            actual: int | None
            if charge.allowance.unit == "requests":
                actual = requests
            elif charge.allowance.unit == "tokens":
                actual = used.total_tokens
            else:
                actual = _millionths(cost.amount) if cost is not None else None
            actuals.append(charge.amount if actual is None else min(max(0, actual), LARGEST))
        self._counters.settle(self._reservation, actuals)


class Reserve:
    """
    What a driver is to do before an attempt of at most so many seconds. It takes a moment where the allowances are
    counted in a store, and none where they are in memory.
    """

    __slots__ = ("_counters", "_look", "_refused", "_seconds", "_target", "_wants")

    def __init__(
        self,
        counters: Counters,
        target: Target,
        wants: Sequence[Want],
        seconds: float | None = None,
        refused: Refused | None = None,
        *,
        look: bool = False,
    ) -> None:
        self._counters = counters
        self._target = target
        self._wants = wants
        self._seconds = seconds
        self._refused = refused
        self._look = look

    def looking(self) -> Reserve:
        """The same question, of which nothing comes but the answer: nothing is reserved."""
        return Reserve(self._counters, self._target, self._wants, self._seconds, self._refused, look=True)

    def spends(self) -> list[tuple[Decimal, AllowanceState]]:
        """How much it takes of each allowance, and how that stands, as far as it is known here."""
        return [(shown(want.allowance, want.amount), state_of(want.allowance, self._counters)) for want in self._wants]

    def perform(self) -> Held | Refused:
        """Do it. Blocks for as long as the store may take, and no longer than the attempt may."""
        return self._refused or self._outcome(self._ask().wait(self._most))

    async def aperform(self) -> Held | Refused:
        """The same without blocking the loop."""
        return self._refused or self._outcome(await self._ask().awaited(self._most))

    def _ask(self) -> Asked:
        return self._counters.ask(self._wants, max(LEASE, (self._seconds or 0.0) + MARGIN), look=self._look)

    @property
    def _most(self) -> float:
        return inf if self._seconds is None else self._seconds

    def _outcome(self, answer: Answer) -> Held | Refused:
        if isinstance(answer, Denied):
            return Refused(answer.want.allowance, explained(answer), answer.seconds, answer.soon)
        return Held(self._counters, answer, self._target)


class Allowances:
    """
    The limits and budgets of a configuration, and the counters that they are counted by. Safe to share between
    threads and tasks, and after a fork.
    """

    def __init__(
        self,
        budgets: Sequence[tuple[BudgetConfig, Allowance]],
        rates: dict[str, RateConfig],
        counters: Counters,
        machine: str = "",
    ) -> None:
        self._budgets = budgets
        self._rates = rates
        self._counters = counters
        self._machine = machine
        self._found: dict[tuple[str, str, str, tuple[str, ...]], tuple[Allowance, ...]] = {}
        self._ends = weakref.finalize(self, counters.close)
        self._ends.atexit = False  # counters see to that themselves
        _every.add(self)

    @classmethod
    def from_config(cls, loaded: Loaded, *, counters: Counters | None = None, machine: str | None = None) -> Allowances:
        """
        Counted in the store that the configuration names, or else in memory. Raises `ConfigError` for a budget of
        something that there is not, or that says the same as another one.
        """
        config = loaded.config
        rates = {name: own.limits for name, own in config.providers.items() if own.limits.given}
        budgets: list[tuple[BudgetConfig, Allowance]] = []
        for number, given in enumerate(config.budgets):
            where = f"{loaded.source}: budgets[{number}]"
            _check_scope(loaded, given, where)
            allowance = _budget(given)
            if any(allowance.name == other.name for _, other in budgets):
                raise ConfigError(f"{where}: another budget has the same scope, unit, period and zone; one is enough")
            budgets.append((given, allowance))
        if counters is None:
            granted = any(own.grants for own in config.providers.values())
            counters = _counters(loaded) if budgets or rates or granted else MemoryCounters()
        return cls(budgets, rates, counters, machine or socket.gethostname())

    def plan(
        self,
        target: Target,
        spend: Spend,
        *,
        chain: str = "",
        tags: Sequence[str] = (),
        seconds: float | None = None,
        free: bool = False,
    ) -> Reserve | None:
        """
        What is to be reserved for an attempt at the target that may take so many seconds; `None` where nothing limits
        it. `chain` and `tags` are those of the call; `free`: it costs no money.
        """
        if not self._budgets and target.provider not in self._rates:
            return None
        allowances = self._for(target, chain, tuple(tags))
        if free:
            allowances = tuple(each for each in allowances if each.unit in RATES)
        wants, refused = _wants(allowances, target, spend)
        if not wants and refused is None:
            return None
        return Reserve(self._counters, target, wants, seconds, refused)

    @property
    def counters(self) -> Counters:
        """What counts, for grants to be counted by as well."""
        return self._counters

    @property
    def shared(self) -> bool:
        """Whether other processes count with this one."""
        return not isinstance(self._counters, MemoryCounters)

    def exhausted(self, target: Target, seconds: float | None = None) -> None:
        """The vendor says that the account's allowance is used up, for so many seconds if he said that."""
        for allowance in self._daily(target):
            self._counters.shut(allowance, seconds or None)

    def reset(self, target: Target) -> None:
        """Believe that no longer."""
        for allowance in self._daily(target):
            self._counters.shut(allowance, 0)

    def show(self, target: Target, *, chain: str = "", tags: Sequence[str] = ()) -> list[AllowanceState]:
        """What holds for a call to the target, and how much of it is used."""
        return [state_of(allowance, self._counters) for allowance in self._for(target, chain, tuple(tags))]

    def show_all(self, targets: Sequence[Target]) -> list[AllowanceState]:
        """What holds for any call to any of the targets."""
        return [state_of(each, self._counters) for each in self._all(targets)]

    def look(self, targets: Sequence[Target], grants: Sequence[Allowance]) -> Asked:
        """Ask the store how all that `show_all` shows stands, and grants; it is known here when the answer has come."""
        return self._counters.ask([Want(each, 0) for each in (*self._all(targets), *grants)], LEASE, look=True)

    def close(self, wait: float = 0.0) -> None:
        """Tell what is to be told, and let go of the store, after `wait` seconds at the latest."""
        self._counters.close(wait)

    def after_fork(self) -> None:
        """In a forked child: reservations are the parent's."""
        self._counters.after_fork()

    def _all(self, targets: Sequence[Target]) -> list[Allowance]:
        limits = [each for target in targets for each in self._of_account(target)]
        return list(dict.fromkeys([*limits, *(allowance for _, allowance in self._budgets)]))

    def _daily(self, target: Target) -> list[Allowance]:
        return [each for each in self._of_account(target) if isinstance(each.window, Calendar)]

    def _for(self, target: Target, chain: str, tags: tuple[str, ...]) -> tuple[Allowance, ...]:
        key = target.provider, target.scope("account"), chain, tags
        found = self._found.get(key)
        if found is None:
            mine = [
                allowance
                for given, allowance in self._budgets
                if given.provider in (None, target.provider)
                and given.chain in (None, chain)
                and (given.tag is None or given.tag in tags)
            ]
            found = (*self._of_account(target), *mine)
            if len(self._found) < 10_000:  # callers may make tags up
                self._found[key] = found
        return found

    def _of_account(self, target: Target) -> Iterator[Allowance]:
        given = self._rates.get(target.provider)
        if given is None:
            return
        account = digest("account", target.scope("account"), self._machine, self._machine)
        windows: tuple[tuple[str, Window], ...] = ("minute", Sliding()), ("day", Calendar("day", given.zone))
        for period, window in windows:
            for unit in RATES:
                limit = getattr(given, f"{unit}_per_{period}")
                if limit is not None:
                    label = label_of_rate(target.provider, limit, unit, period)
                    yield Allowance(_name(account, unit, window), label, unit, limit, window, "rate")


def _counters(loaded: Loaded) -> Counters:
    if loaded.config.store.url is None:
        return MemoryCounters()
    from ._shared_counters import SharedCounters

    return SharedCounters(counters_opener(loaded.config.store, loaded.source, strict=loaded.config.strict))


def _check_scope(loaded: Loaded, given: BudgetConfig, where: str) -> None:
    chains, providers = loaded.config.chains, {*loaded.config.providers, *provider_names()}
    if given.chain is not None and given.chain not in chains:
        raise ConfigError(f"{where}.chain: no chain is named {given.chain!r}{nearest(given.chain, chains)}")
    if given.provider is not None and given.provider not in providers:
        raise ConfigError(
            f"{where}.provider: no provider is named {given.provider!r}{nearest(given.provider, providers)}"
        )


def _budget(given: BudgetConfig) -> Allowance:
    limit, unit = given.amount
    window: Window = Ever() if given.per == "ever" else Calendar(given.per, given.zone)
    scope = f"{given.provider!r} {given.chain!r} {given.tag!r}"
    return Allowance(_name(scope, unit, window), label_of_budget(given), unit, limit, window, "budget", given.fail_open)


def _name(scope: str, unit: str, window: Window) -> str:
    """A hash, since a scope may name a host or a customer. The limit is no part of it: that may be changed."""
    return sha256(f"{scope}|{unit}|{window!r}".encode()).hexdigest()


def _wants(allowances: Sequence[Allowance], target: Target, spend: Spend) -> tuple[list[Want], Refused | None]:
    """
    What is wanted of each. A budget counts what is priced in its own currency; where there are budgets of money, but
    none that could count this target, it is refused rather than let through uncounted. A server of one's own is free.
    """
    wants, money = [], []
    for allowance in allowances:
        if allowance.unit == "requests":
            wants.append(Want(allowance, 1))
        elif allowance.unit == "tokens":
            wants.append(Want(allowance, spend.input_tokens + spend.output_tokens))
        else:
            money.append(allowance)
    price = target.price
    if price is None:
        money = [] if target.endpoint.own else money
    else:
        counted = [allowance for allowance in money if allowance.unit == price.currency]
        amount = _millionths(price.most(spend.input_tokens, spend.output_tokens))
        wants += [Want(allowance, amount) for allowance in counted]
        money = [] if counted else money
    hard = [allowance for allowance in money if not allowance.fail_open]
    refused = Refused(hard[0], unpriced(hard[0], price.currency if price is not None else None)) if hard else None
    return [want for want in wants if want.amount], refused


def _millionths(amount: Decimal) -> int:
    return min(LARGEST, int((amount * 1_000_000).to_integral_value(ROUND_CEILING)))


_every: weakref.WeakSet[Allowances] = weakref.WeakSet()


def _after_fork() -> None:
    for allowances in list(_every):
        allowances.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
