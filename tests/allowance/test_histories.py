"""Random histories of one allowance, against a model that works everything out anew from a list of what happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from llmswitch._allowance import Allowance, Denied, Want
from llmswitch._counters import MemoryCounters, Reservation
from llmswitch._window import Calendar, Sliding
from tests.allowance.play import NOON, Clock, allowance, rate
from tests.everyday import many

LIMIT = 10
BEFORE_DST = 1_793_487_600_000  # 2026-10-31T19:00 in New York, six hours before the clocks are set back
MONTH_END = 1_801_407_600_000  # 2027-01-31T23:00 in Shanghai, an hour before the month ends

CASES = {
    "day": (allowance(limit=LIMIT), NOON),
    "day of 25 hours": (allowance(limit=LIMIT, window=Calendar("day", "America/New_York")), BEFORE_DST),
    "month": (allowance(limit=LIMIT, window=Calendar("month", "Asia/Shanghai")), MONTH_END),
    "minute": (allowance(limit=LIMIT, window=Calendar("minute")), NOON),
    "sliding": (rate(limit=LIMIT), NOON),
    "vendor's day": (rate(limit=LIMIT, window=Calendar("day")), NOON),
}


@dataclass
class Line:
    """One reservation of the log. `second` and `over` are for a window that slides."""

    at: date | int
    amount: int
    second: int
    over: bool = False


class AllowanceMachine(RuleBasedStateMachine):
    """Reservations are made, settled, given back, settled twice and forgotten, at any time, while the clock goes on."""

    made = Bundle("made")

    @initialize(case=st.sampled_from(sorted(CASES)))
    def begin(self, case: str) -> None:
        self.allowance: Allowance
        self.allowance, start = CASES[case]
        self.clock = Clock(start)
        self.latest = start
        self.counters = MemoryCounters(self.clock)
        self.log: list[Line] = []
        self.settled: set[str] = set()
        self.ahead: date | int | None = None  # the latest window that was entered
        self.excess = 0  # by how much settled calls went beyond what they had reserved
        self.largest = 0

    # The model

    def place(self) -> date | int:
        """What tells one window from another: a date, the first of a month, or a minute."""
        window = self.allowance.window
        assert isinstance(window, Calendar)
        local = datetime.fromtimestamp(self.clock.now / 1000, ZoneInfo(window.zone))
        here: date | int
        if window.period == "minute":
            here = self.clock.now // 60_000
        else:
            here = local.date() if window.period == "day" else local.date().replace(day=1)
        if self.ahead is None or here > self.ahead:  # type: ignore[operator]
            self.ahead = here
        return self.ahead

    def spent(self) -> int:
        if isinstance(self.allowance.window, Sliding):
            second = self.clock.now // 1000
            for line in self.log:
                line.over = line.over or (line.second + 61) * 1000 <= self.clock.now
                line.second = min(line.second, second)
            return sum(line.amount for line in self.log if not line.over)
        place = self.place()
        return max(0, sum(line.amount for line in self.log if line.at == place))

    def fits(self, amount: int) -> bool:
        spent = self.spent()
        return spent + amount <= LIMIT or (self.allowance.kind == "rate" and spent == 0)

    # What happens

    def tick(self, seconds: float) -> None:
        self.clock.tick(seconds)
        self.latest = max(self.latest, self.clock.now)

    @rule(seconds=st.sampled_from([0.2, 1.0, 20.0, 60.5, 900.0, 3600.0, 5 * 3600.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.tick(seconds)

    @rule(seconds=st.sampled_from([-0.5, -30.0, -3600.0, -80_000.0]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        """By less than a day in all; what comes of a clock that was wrong by more is told elsewhere."""
        self.spent()
        self.clock.now = max(self.clock.now + round(seconds * 1000), self.latest - 80_000_000)

    @rule(target=made, amount=st.integers(0, LIMIT + 2), lease=st.sampled_from([0.5, 30.0, 900.0]))
    def reserve(self, amount: int, lease: float) -> object:
        expected = self.fits(amount)
        answer = self.counters.ask([Want(self.allowance, amount)], lease).answer
        assert expected is isinstance(answer, Reservation)
        if isinstance(answer, Denied):
            assert answer.spent == self.spent()
            assert answer.seconds is None or answer.seconds > 0
            return multiple()
        at = 0 if isinstance(self.allowance.window, Sliding) else self.place()
        self.log.append(Line(at, amount, self.clock.now // 1000))
        self.largest = max(self.largest, amount)
        return answer, self.log[-1]

    @rule(made=made, actual=st.integers(0, LIMIT + 3))
    def settle(self, made: tuple[Reservation, Line], actual: int) -> None:
        """At any time, the first time counts."""
        reservation, line = made
        self.spent()
        self.counters.settle(reservation, (actual,))
        self.counters.seen(self.allowance)
        if reservation.token in self.settled:
            return
        self.settled.add(reservation.token)
        change = actual - line.amount
        if isinstance(self.allowance.window, Sliding):
            second = min(reservation.charges[0].start, self.clock.now // 1000)
            there = sum(each.amount for each in self.log if not each.over and each.second == second)
            if (second + 61) * 1000 <= self.clock.now or (line.amount and not there):
                return
            change = max(change, -there)
            self.log.append(Line(0, change, second))
        else:
            line.amount = actual
        self.excess += max(0, change)

    @rule(amount=st.integers(1, LIMIT))
    def wait_as_long_as_it_says(self, amount: int) -> None:
        """After the seconds of a refusal there is room, if nothing else happens meanwhile."""
        answer = self.counters.ask([Want(self.allowance, amount)], 1e9).answer
        if isinstance(answer, Reservation):
            self.counters.settle(answer, (0,))
            self.counters.seen(self.allowance)
            return
        if answer.seconds is None:
            return
        self.tick(answer.seconds)
        assert self.fits(amount)

    @invariant()
    def what_is_seen_is_what_was_spent(self) -> None:
        if hasattr(self, "clock"):
            spent = self.spent()
            assert spent == self.counters.seen(self.allowance).spent
            assert spent <= LIMIT + self.excess + self.largest

    def teardown(self) -> None:
        """In a window of its own everything is there again."""
        if hasattr(self, "clock"):
            self.tick(40 * 86_400)
            assert 0 == self.counters.seen(self.allowance).spent
            assert isinstance(self.counters.ask([Want(self.allowance, LIMIT)], 1.0).answer, Reservation)


AllowanceMachine.TestCase.settings = settings(max_examples=many(10), stateful_step_count=25, deadline=None)
TestHistories = AllowanceMachine.TestCase


class _Long(AllowanceMachine):
    pass


_Long.TestCase.settings = settings(max_examples=many(250), stateful_step_count=50, deadline=None)
TestManyHistories = pytest.mark.slow(_Long.TestCase)
