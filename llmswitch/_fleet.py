"""
What this process has to tell the others that share its store, and who of them may try an open breaker next.

It does no I/O and never waits. All of it is guarded by the lock of the `Health` that it belongs to.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ._breaker import Breaker, BreakerState
from ._cooldown import SCOPES, Cooldown
from ._ledger import News, Told
from ._store import Kind, Subject, digest
from ._target import Target

if TYPE_CHECKING:
    from ._records import Records

__all__ = ["Fleet", "Step"]

FRESH = 3.0  # seconds for which a store counts as there after it was last heard of
IDLE = 5.0  # seconds for which a lease waits for a call to use it
MARGIN = 0.5  # seconds that a lease must have left where a call begins
RETRY = 0.25  # seconds between attempts to get a lease that another process has
DEMAND = 300.0  # seconds for which one call is a reason to want a lease
OUTBOX = 10_000


class _Heard(NamedTuple):
    """
    What was said of a scope, in local seconds: since when it is out until `until`, or no longer out (`None`). `anew`:
    this stands in place of what was known before; else the later end counts.
    """

    since: float
    until: float | None
    anew: bool


class Step(NamedTuple):
    """What is to be done about the lease of a breaker: hold it for so many seconds more, or give it back (0)."""

    key: str
    name: str
    token: str
    seconds: float


@dataclass(slots=True)
class _Lease:
    token: str
    ends: float = float("-inf")
    retry: float = float("-inf")


@dataclass(slots=True)
class Fleet:
    """
    `machine` and `egress` name where this process runs, and the way by which it reaches the vendors. `wake` is called
    where there is something to tell, or to ask for soon. Times are seconds of the local monotonic clock.
    """

    machine: str
    egress: str
    wake: Callable[[], None]
    fresh_until: float = float("-inf")
    dropped: int = 0
    watched: dict[Subject, str] = field(default_factory=dict)  # and its name in the store
    answered: dict[str, float] = field(default_factory=dict)  # when a scope last answered this process
    _told: dict[Subject, Told] = field(default_factory=dict)
    _generations: dict[str, int] = field(default_factory=dict)  # of breakers, as last told or heard
    _cooling: dict[str, float] = field(default_factory=dict)  # the ends of cool-downs, likewise
    _demand: dict[str, float] = field(default_factory=dict)  # when a call last wanted to try an open breaker
    _leases: dict[str, _Lease] = field(default_factory=dict)

    def forked(self, wake: Callable[[], None]) -> Fleet:
        """For a forked child: leases, and what is to be told, are the parent's."""
        return Fleet(
            self.machine,
            self.egress,
            wake,
            watched=dict(self.watched),
            _generations=dict(self._generations),
            _cooling=dict(self._cooling),
        )

    def watch(self, target: Target) -> None:
        """Ask the store about this target from now on."""
        if ("cooldown", target.scope("target")) in self.watched:
            return
        for scope in SCOPES:
            key = target.scope(scope)
            kinds: tuple[Kind, ...] = ("cooldown",) if scope == "account" else ("cooldown", "breaker")
            for kind in kinds:
                self.watched[kind, key] = digest(kind, key, self.machine, self.egress)
        self.wake()

    def unwatch(self, key: str) -> None:
        """Ask no more about a target that health has forgotten, and tell nothing of it any longer."""
        for kind in ("cooldown", "breaker"):
            self.watched.pop((kind, key), None)
            self._told.pop((kind, key), None)
        for each in (self.answered, self._generations, self._cooling, self._demand):
            each.pop(key, None)

    @property
    def leased(self) -> Collection[str]:
        """The scopes of whose breakers this process has, or wants, the lease."""
        return self._leases.keys()

    # From here to the others

    def look(self, key: str, breaker: Breaker | None, cooldown: Cooldown | None, now: float) -> None:
        """Notice what has changed at a scope, to tell it."""
        if breaker is not None and breaker.generation != self._generations.get(key, 0):
            self._generations[key] = breaker.generation
            if breaker.state is BreakerState.OPEN:
                self._tell(("breaker", key), Told(now, breaker.until, breaker.reason, times=breaker.opened))
            elif breaker.state is BreakerState.CLOSED:
                self._tell(("breaker", key), Told(now, times=breaker.opened, anew=True))
        if cooldown is None:
            self._cooling.pop(key, None)
        elif cooldown.until != self._cooling.get(key):
            self._cooling[key] = cooldown.until
            told = Told(now, cooldown.until, cooldown.reason, cooldown.transient, cooldown.times)
            self._tell(("cooldown", key), told)
        if key in self._leases:
            self.wake()

    def forget(self, target: Target, now: float) -> None:
        """Tell that nothing is to be held against the target any longer, whatever anybody knows."""
        self.watch(target)
        for scope in SCOPES:
            key = target.scope(scope)
            self._cooling.pop(key, None)
            self._demand.pop(key, None)
            for kind in ("cooldown", "breaker"):
                if (kind, key) in self.watched:
                    self._tell((kind, key), Told(now, anew=True))

    def _tell(self, subject: Subject, told: Told) -> None:
        before = self._told.pop(subject, None)
        self._told[subject] = replace(told, anew=True) if before is not None and before.anew else told
        if len(self._told) > OUTBOX:
            del self._told[next(iter(self._told))]
            self.dropped += 1
        self.wake()

    @property
    def untold(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._told)

    def outgoing(self, most: int) -> dict[Subject, Told]:
        """What is to be told next; it is told once."""
        taken = dict(islice(self._told.items(), most))
        for subject in taken:
            del self._told[subject]
        return taken

    # From the others to here

    def _heard(self, news: News, clock: int, now: float) -> _Heard | None:
        """What news of `clock`, the store's milliseconds, ask for; `None` where they yield to what happened here."""
        record, told = news.record, self._told.get(news.subject)
        since = now - (clock - record.since) / 1000
        until = now + max(record.left(clock), 0.0) if record.until else None
        if told is None:
            return _Heard(since, until, news.anew)
        if until is None or until <= now:
            return None
        if not told.anew:
            return _Heard(since, until, anew=False)
        if since <= told.at:
            return None
        del self._told[news.subject]  # it went out again after it was closed here
        return _Heard(since, until, anew=True)

    def learn(self, news: News, known: Records, clock: int, now: float) -> None:
        """Take in news of `clock`, the store's milliseconds, which is `now` here; none of whom is watched no more."""
        kind, key = news.subject
        if news.subject not in self.watched:
            return
        if kind == "cooldown":
            self._learn_cooldown(news, known.cooldowns, clock, now)
            return
        breaker = known.breakers.get(key) or known.new_breaker()
        if self._learn_breaker(news, breaker, clock, now):
            known.breakers[key] = breaker

    def _learn_cooldown(self, news: News, cooldowns: dict[str, Cooldown], clock: int, now: float) -> None:
        key, record, heard = news.subject[1], news.record, self._heard(news, clock, now)
        cooling = cooldowns.get(key)
        if heard is None:
            return
        if heard.until is None:
            cooldowns.pop(key, None)
            self._cooling.pop(key, None)
        elif (cooling is not None and heard.anew) or heard.until > max(now, cooling.until if cooling else now):
            times = max(record.times, cooling.times if cooling is not None else 1)
            cooldowns[key] = Cooldown(heard.until, record.reason, record.transient, times)
            self._cooling[key] = heard.until

    def _learn_breaker(self, news: News, breaker: Breaker, clock: int, now: float) -> bool:
        """Whether there was anything to it."""
        key, record, heard = news.subject[1], news.record, self._heard(news, clock, now)
        if heard is None:
            return False
        if heard.until is None:
            breaker.learn_closed(record.times, now)
        elif breaker.state is not BreakerState.CLOSED:
            breaker.learn_open(heard.until, record.times, record.reason, anew=heard.anew)
        elif heard.until > now and self.answered.get(key, float("-inf")) <= heard.since:
            breaker.learn_open(heard.until, record.times, record.reason)
        else:
            # over, or answered here since: what failed there may have been that machine's own network
            return False
        self._generations[key] = breaker.generation
        return True

    # Who tries an open breaker

    def may_try(self, key: str, breaker: Breaker, now: float) -> bool:
        """Whether this process may pass: where the breaker is due, it has the lease, or the store is gone."""
        if not breaker.due(now) or now >= self.fresh_until:
            return True
        lease = self._leases.get(key)
        return lease is not None and now < lease.ends - MARGIN

    def wanted(self, target: Target, breakers: Mapping[str, Breaker], now: float) -> None:
        """A call would have tried the target's breaker, and its endpoint's, if they were not open."""
        for key in (target.scope("endpoint"), target.scope("target")):
            breaker, lease = breakers.get(key), self._leases.get(key)
            if breaker is None or breaker.state not in (BreakerState.OPEN, BreakerState.HALF_OPEN):
                continue
            if key not in self._demand or (breaker.due(now) and (lease is None or now >= lease.retry)):
                self.wake()
            self._demand[key] = now

    def steps(self, breakers: Mapping[str, Breaker], now: float, unwritten: Mapping[Subject, None]) -> list[Step]:
        """What is to be done about leases now. `unwritten`: what the store is still to be given."""
        steps = []
        for key in dict.fromkeys((*self._demand, *self._leases)):
            breaker = breakers.get(key)
            if breaker is not None and breaker.due(now):
                step = self._hold(key, breaker, now)
            else:
                if breaker is None or breaker.state is not BreakerState.OPEN:
                    self._demand.pop(key, None)
                # not before the others can know why, or the next one would try at once
                untold = ("breaker", key) in self._told or ("breaker", key) in unwritten
                step = None if untold else self._free(key)
            if step is not None:
                steps.append(step)
        return steps

    def _hold(self, key: str, breaker: Breaker, now: float) -> Step | None:
        trying = breaker.leased(now)
        ends = breaker.lease_ends if trying else now + IDLE
        lease = self._leases.get(key)
        if lease is not None and lease.ends > now:
            # one that no call uses is not prolonged, since it may be another's turn; one that was used is shortened
            enough = lease.ends >= ends - 1.0 if trying else lease.ends <= ends + 1.0
            return None if enough else self._step(key, lease, ends - now)
        if not trying and now - self._demand.get(key, float("-inf")) > DEMAND:
            self._demand.pop(key, None)
            return self._free(key)
        if lease is None:
            lease = self._leases[key] = _Lease(secrets.token_hex(16))
        return self._step(key, lease, ends - now) if now >= lease.retry else None

    def _free(self, key: str) -> Step | None:
        lease = self._leases.get(key)
        return None if lease is None else self._step(key, lease, 0.0)

    def _step(self, key: str, lease: _Lease, seconds: float) -> Step:
        return Step(key, self.watched["breaker", key], lease.token, seconds)

    def stepped(self, step: Step, now: float, *, granted: bool) -> None:
        """What came of a step that was begun at `now`."""
        lease = self._leases[step.key]
        if not step.seconds:
            del self._leases[step.key]  # the next one has another token, so that a late answer can't free it
        elif granted:
            lease.ends = now + step.seconds
        else:
            lease.ends, lease.retry = float("-inf"), now + RETRY

    def leaving(self) -> list[Step]:
        """The leases to give back where this process leaves."""
        return [self._step(key, lease, 0.0) for key, lease in self._leases.items()]

    def due_in(self, breakers: Mapping[str, Breaker], now: float, longest: float) -> float:
        """Seconds until there is something to do about leases, at most `longest`."""
        for key in self._demand:
            breaker, lease = breakers.get(key), self._leases.get(key)
            if breaker is not None and breaker.state is BreakerState.OPEN and breaker.until > now:
                longest = min(longest, breaker.until - now)
            elif lease is not None and lease.retry > now:
                longest = min(longest, lease.retry - now)
        return longest
