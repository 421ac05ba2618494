"""Allowances, a clock that is made up, and a store in memory that several played processes count in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmswitch._allowance import Allowance, Charge, Denied, Seen, SpanTally, Tally, Want, tally
from llmswitch._counter_store import CounterStore, Give, Order, Report, Result, Take, Taken, View
from llmswitch._counters import Reservation, lost_at, worst
from llmswitch._redis_counters import ALIVE, GRACE
from llmswitch._shared_counters import SharedCounters
from llmswitch._window import Calendar, Sliding, Window

NOON = 1_800_014_400_000  # 2027-01-15T12:00:00Z


def allowance(name: str = "a", limit: int = 10, window: Window | None = None, **given: object) -> Allowance:
    """A budget of ten tokens a day, or what is given."""
    return Allowance(name, f"the budget {name}", "tokens", limit, window or Calendar("day"), **given)  # type: ignore[arg-type]


def rate(name: str = "r", limit: int = 10, window: Window | None = None) -> Allowance:
    """Ten requests in a sliding minute."""
    return Allowance(name, f"the rate {name}", "requests", limit, window or Sliding(), "rate")


class Clock:
    """Milliseconds since 1970 that pass when a test says so."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1000)


@dataclass
class _Record:
    charges: tuple[Charge, ...] | None  # none: it is done
    kept: int


class MemoryCounterStore:
    """What the script in Redis does, in memory. `broken`: what it raises, before it has done it or (`late`) after."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.broken: Exception | None = None
        self.late = False
        self.calls = 0
        self.tallies: dict[str, Tally] = {}
        self.records: dict[str, _Record] = {}
        self.processes: dict[str, int] = {}

    def seen(self, asked: Allowance) -> Seen:
        """What was spent, by now."""
        found = self._tally(asked)
        found.advance(self.clock.now)
        return found.seen()

    def carry_out(
        self,
        views: Sequence[View],
        orders: Sequence[Order],
        *,
        process: str = "one",
        beat: bool = False,
        leave: bool = False,
    ) -> Report:
        self.calls += 1
        if self.broken is not None and not self.late:
            raise self.broken
        now = self.clock.now
        self.records = {token: record for token, record in self.records.items() if record.kept > now}
        self.processes = {name: at for name, at in self.processes.items() if now - at <= ALIVE}
        if beat:
            self.processes[process] = now
        if leave:
            self.processes.pop(process, None)
        there = {view.allowance.name: self._advance(view, now) for view in views}
        results = [self._carry_out(order, there, now) for order in orders]
        seen = {view.allowance.name: self._tally(view.allowance).seen() for view in views}
        if self.broken is not None:
            raise self.broken
        return Report(now, max(1, len(self.processes)), results, seen)

    def close(self) -> None:
        pass

    def _advance(self, view: View, now: int) -> bool:
        """Whether the edges hold the store's own time, or the last window is over."""
        found, edges = self._tally(view.allowance), view.edges
        if not isinstance(found, SpanTally):
            return found.advance(now)
        if found.window.span(now) is None:
            return edges[0] <= now
        if not edges[0] <= now < edges[-1]:
            return False
        found.advance(now)
        if view.known is not None and view.known.start == found.start:
            found.settled = max(found.settled, view.known.settled)
            found.back = max(found.back, view.known.back)
        return True

    def _carry_out(self, order: Order, there: Mapping[str, bool], now: int) -> Result:
        if isinstance(order, Take):
            return self._take(order, there, now)
        if isinstance(order, Give):
            return self._give(order, there, now)
        if not there[order.allowance.name]:
            return None
        self._tally(order.allowance).close(order.until, now)
        return "done"

    def _take(self, order: Take, there: Mapping[str, bool], now: int) -> Result:
        record = self.records.get(order.token)
        if record is not None:
            return Taken(record.charges) if record.charges is not None else None
        if not all(there[want.allowance.name] for want in order.wants):
            return None
        found = [self._tally(want.allowance).room(want, now) for want in order.wants]
        denials = [denied for denied in found if denied is not None]
        if denials:
            return worst(denials)
        if order.look:
            return Taken(())
        ends = lost_at(now, order.lease)
        charges = tuple(self._tally(want.allowance).take(want, now, ends) for want in order.wants)
        self.records[order.token] = _Record(charges, ends + GRACE)
        return Taken(charges)

    def _give(self, order: Give, there: Mapping[str, bool], now: int) -> Result:
        record = self.records.get(order.token)
        counted = record.charges if record is not None else None
        if record is not None and (counted is None or order.actuals is None):
            return "done"
        if record is None and now >= order.kept:
            return "done"
        if not all(there[charge.allowance.name] for charge in order.charges):
            return None
        for number, charge in enumerate(order.charges):
            found = self._tally(charge.allowance)
            nothing = Charge(charge.allowance, 0, charge.start, charge.ends)
            if order.actuals is not None:
                found.settle(counted[number] if counted is not None else nothing, order.actuals[number], now)
            elif isinstance(found, SpanTally) and charge.ends > now and charge.start >= found.start >= 0:
                found.open[charge.ends] = found.open.get(charge.ends, 0) + charge.amount
            else:
                found.settle(nothing, charge.amount, now)
        open_charges = order.charges if order.actuals is None else None
        self.records[order.token] = _Record(open_charges, order.kept if open_charges is not None else now + order.mark)
        return "done"

    def _tally(self, asked: Allowance) -> Tally:
        if asked.name not in self.tallies:
            self.tallies[asked.name] = tally(asked.window)
        return self.tallies[asked.name]


class Process:
    """One of several processes that count in a store; its rounds are made when a test says so."""

    def __init__(self, store: MemoryCounterStore, clock: Clock, name: str, skew: int = 0) -> None:
        self.store = _Named(store, name)
        self.counters = _ByHand(lambda name: self.store, lambda: clock.now + skew)

    def turn(self) -> float:
        """A round, or an attempt at one; seconds until the next."""
        return self.counters.turn(self.store)

    def turns(self, number: int = 3) -> None:
        """As many as it takes to notice that a store is gone."""
        for _ in range(number):
            self.turn()

    def ask(self, *wants: Want, lease: float = 900.0) -> Reservation | Denied:
        """What comes of asking, with a round in between."""
        asked = self.counters.ask(wants, lease)
        if not self.counters.outage.gone:
            self.turn()
            self.turn()
        return asked.wait()

    def spends(self, limit: Allowance, amount: int, actual: int | None = None) -> Reservation | Denied:
        """A whole call: it reserves so much, and it comes to that, or to what is given. The store hears of it later."""
        answer = self.ask(Want(limit, amount))
        if isinstance(answer, Reservation):
            self.counters.settle(answer, (amount if actual is None else actual,))
        return answer

    def times(self, limit: Allowance, amount: int = 1, most: int = 100) -> int:
        """How often such a call is admitted until one is denied."""
        return next((n for n in range(most) if isinstance(self.spends(limit, amount), Denied)), most)


class _Named:
    """The store as one process sees it."""

    def __init__(self, store: MemoryCounterStore, name: str) -> None:
        self._store, self._name = store, name

    def carry_out(
        self, views: Sequence[View], orders: Sequence[Order], *, beat: bool = False, leave: bool = False
    ) -> Report:
        return self._store.carry_out(views, orders, process=self._name, beat=beat, leave=leave)

    def close(self) -> None:
        pass


class _ByHand(SharedCounters):
    def _start(self) -> bool:
        self._wait(0.0)  # what was asked is taken in by the round
        return True

    def turn(self, store: CounterStore) -> float:
        self._wait(0.0)
        return super().turn(store)
