"""Allowances, a clock that is made up, and a store in memory that several played processes count in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmswitch._allowance import Allowance, Charge, Denied, Seen, SpanTally, Tally, Want, tally
from llmswitch._counter_store import CounterStore, Give, Order, Report, Result, Shut, Take, Taken
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
        self, orders: Sequence[Order], *, process: str = "one", beat: bool = False, leave: bool = False
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
        report = Report(now, max(1, len(self.processes)), [])
        for order in orders:
            report.results.append(self._carry_out(order, now))
            for each in _allowances(order):
                report.seen[each.name] = self._tally(each).seen()
        if self.broken is not None:
            raise self.broken
        return report

    def close(self) -> None:
        pass

    def _carry_out(self, order: Order, now: int) -> Result:
        if isinstance(order, Take):
            return self._take(order, now)
        if isinstance(order, Give):
            self._give(order, now)
        elif isinstance(order, Shut):
            if self._tally(order.allowance).advance(now):
                self._tally(order.allowance).close(order.until, now)
        elif self._tally(order.allowance).advance(now):
            _merge(self._tally(order.allowance), order.known)
        return None

    def _take(self, order: Take, now: int) -> Result:
        record = self.records.get(order.token)
        if record is not None and record.charges is None:
            return None
        denials = []
        for want, given, known in zip(order.wants, order.edges, order.known, strict=True):
            if given and len(given) > 1 and not given[0] <= now < given[-1]:
                return None
            found = self._tally(want.allowance)
            if found.advance(now):
                _merge(found, known)
            denied = found.room(want, now)
            if denied is not None:
                denials.append(denied)
        if record is not None and record.charges is not None:
            return Taken(record.charges)
        if denials:
            return worst(denials)
        ends = lost_at(now, order.lease)
        charges = tuple(self._tally(want.allowance).take(want, now, ends) for want in order.wants)
        self.records[order.token] = _Record(charges, ends + GRACE)
        return Taken(charges)

    def _give(self, order: Give, now: int) -> None:
        record = self.records.get(order.token)
        counted = record.charges if record is not None else None
        if record is not None and counted is None:
            return
        if (counted is None and now >= order.kept) or (counted is not None and order.actuals is None):
            return
        for number, charge in enumerate(order.charges):
            found = self._tally(charge.allowance)
            actual = charge.amount if order.actuals is None else order.actuals[number]
            if counted is not None:
                found.settle(counted[number], actual, now)
            elif isinstance(found, SpanTally):
                self._add(found, charge, actual, now, still_open=order.actuals is None)
            else:
                found.advance(now)
                second = min(charge.start, now // 1000)
                if (second + 1 + found.window.seconds) * 1000 > now:
                    found.buckets[second] = found.buckets.get(second, 0) + actual
        if order.actuals is None:
            self.records[order.token] = _Record(order.charges, order.kept)
        else:
            self.records[order.token] = _Record(None, now + order.mark)

    def _add(self, found: SpanTally, charge: Charge, actual: int, now: int, *, still_open: bool) -> None:
        if charge.start > found.start:
            span = found.window.span(charge.start)
            assert span is not None
            found.begin(charge.start, span[1])
        if charge.start < found.start:
            return
        found.reap(now)
        if still_open and charge.ends > now:
            found.open[charge.ends] = found.open.get(charge.ends, 0) + actual
        else:
            found.correct(actual)

    def _tally(self, asked: Allowance) -> Tally:
        if asked.name not in self.tallies:
            self.tallies[asked.name] = tally(asked.window)
        return self.tallies[asked.name]


def _merge(found: Tally, known: Seen | None) -> None:
    if known is not None and isinstance(found, SpanTally) and known.start == found.start:
        found.settled = max(found.settled, known.settled)
        found.back = max(found.back, known.back)


def _allowances(order: Order) -> list[Allowance]:
    if isinstance(order, Take):
        return [want.allowance for want in order.wants]
    if isinstance(order, Give):
        return [charge.allowance for charge in order.charges]
    return [order.allowance]


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
        if not self.counters.gone:
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

    def carry_out(self, orders: Sequence[Order], *, beat: bool = False, leave: bool = False) -> Report:
        return self._store.carry_out(orders, process=self._name, beat=beat, leave=leave)

    def close(self) -> None:
        pass


class _ByHand(SharedCounters):
    def _start(self) -> bool:
        self._wait(0.0)  # what was asked is taken in by the round
        return True

    def turn(self, store: CounterStore) -> float:
        self._wait(0.0)
        return super().turn(store)
