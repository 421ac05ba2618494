"""The breaker by itself: every number of it, and random histories against a model that re-reads the whole log."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from llmswitch._breaker import Breaker, Permit
from tests.everyday import many
from tests.health.models import (
    NUMBERS,
    Event,
    judge_breaker,
)
from tests.rows import rows

TRIP = NUMBERS.consecutive


def breaker(chance: float = 0.5) -> Breaker:
    """A closed one; at a chance of one half it opens for just the seconds of the rule."""
    return Breaker(NUMBERS, lambda: chance)


def ask(made: Breaker, now: float, limit: float = 1.0) -> Permit:
    permit = made.permit(now, limit)
    assert permit is not None
    return permit


def fail(made: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        made.failed(ask(made, now), now)


def succeed(made: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        made.succeeded(ask(made, now), now)


def tripped(*, times: int = 1) -> tuple[Breaker, float]:
    """A breaker that opened so many times in a row, and the time at which it did so last."""
    made, now = breaker(), 0.0
    fail(made, now, TRIP)
    for _ in range(times - 1):
        now = made.until
        fail(made, now)
    assert times == made.opened
    return made, now


# When it opens


def test_five_failures_in_a_row_open_it() -> None:
    """Four failures in a row leave it closed, the fifth opens it."""
    made = breaker()
    fail(made, 0.0, 4)
    assert "closed" == made.state
    fail(made, 0.0)
    assert "open" == made.state
    assert made.permit(0.0, 1.0) is None


def test_a_success_ends_the_row() -> None:
    """Four failures, a success and four failures are no row of five."""
    made = breaker()
    fail(made, 0.0, 4)
    succeed(made, 0.0)
    fail(made, 0.0, 4)
    assert "closed" == made.state


def test_half_of_ten_open_it() -> None:
    """With ten outcomes of which half failed it opens; with nine of which more than half failed it does not."""
    made = breaker()
    for _ in range(4):
        fail(made, 0.0)
        succeed(made, 0.0)
    fail(made, 0.0)
    assert "closed" == made.state  # 5 of 9
    made = breaker()
    for _ in range(5):
        succeed(made, 0.0)
        fail(made, 0.0)
    assert "open" == made.state  # 5 of 10


def test_less_than_half_leaves_it_closed() -> None:
    """A third of the outcomes failing opens nothing, for however long."""
    made = breaker()
    for _ in range(20):
        succeed(made, 0.0, 2)
        fail(made, 0.0)
    assert "closed" == made.state


def test_only_the_last_twenty_count() -> None:
    """Failures that twenty newer outcomes have pushed out are forgotten, and those within twenty are not."""
    for good, state in ((9, "open"), (10, "closed")):
        made = breaker()
        fail(made, 0.0, 4)
        succeed(made, 0.0)
        fail(made, 0.0, 4)
        succeed(made, 0.0, good)
        fail(made, 0.0, 2)  # ten failures: of twenty outcomes, or of twenty-one
        assert state == made.state


def test_nothing_older_than_two_minutes_counts() -> None:
    """A failure counts for 120 seconds and not longer."""
    for age, state in ((120.0, "open"), (120.1, "closed")):
        made = breaker()
        fail(made, 0.0, 4)
        succeed(made, 0.0)
        succeed(made, age, 4)
        fail(made, age)  # 5 of 10 with the old ones, 1 of 5 without
        assert state == made.state


# For how long


@rows(("times", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300), (60, 300)])
def test_it_opens_twice_as_long_each_time_up_to_five_minutes(times: int, seconds: float) -> None:
    """5 s, 10 s, 20 s, … 300 s, and never longer."""
    made, now = tripped(times=times)
    assert pytest.approx(seconds) == made.until - now


@rows(("chance", "seconds"), [(0.0, 4.0), (0.25, 4.5), (1.0, 6.0)])
def test_the_time_varies_by_a_fifth(chance: float, seconds: float) -> None:
    """The time it is open lies within 20 % of its rule, by chance."""
    made = breaker(chance)
    fail(made, 0.0, TRIP)
    assert pytest.approx(seconds) == made.until


def test_it_opens_not_a_moment_early() -> None:
    """Just before its time is up nobody passes; at its time one does."""
    made, _ = tripped()
    assert made.permit(4.999, 1.0) is None
    assert "open" == made.state
    assert made.permit(5.0, 1.0) is not None
    assert "half_open" == made.state


def test_a_minute_of_health_forgets_how_often_it_opened() -> None:
    """After 60 s closed without a failure it opens for 5 s again; before that for twice as long as the last time."""
    for healthy, seconds in ((50.0, 10.0), (60.0, 5.0)):
        made, _ = tripped()
        closed = made.until
        succeed(made, closed, 2)
        now = closed + healthy
        fail(made, now, TRIP)
        assert pytest.approx(seconds) == made.until - now


def test_a_failure_ends_the_minute_of_health() -> None:
    """A single failure within the minute begins it anew."""
    made, _ = tripped()
    closed = made.until
    succeed(made, closed, 2)
    fail(made, closed + 30.0)
    succeed(made, closed + 80.0)
    fail(made, closed + 85.0, TRIP)
    assert pytest.approx(10.0) == made.until - closed - 85.0


# Half open


def test_one_probe_at_a_time() -> None:
    """Half open, one call passes; the next only when the first has said what came of it."""
    made, _ = tripped()
    probe = ask(made, 5.0)
    assert made.leased(5.0)
    assert made.permit(5.1, 1.0) is None
    made.succeeded(probe, 5.2)
    assert not made.leased(5.2)
    assert made.permit(5.2, 1.0) is not None


def test_two_successes_close_it() -> None:
    """One good probe does not close it, two do."""
    made, _ = tripped()
    succeed(made, 5.0)
    assert "half_open" == made.state
    succeed(made, 5.1)
    assert "closed" == made.state


def test_a_failed_probe_opens_it_for_longer() -> None:
    """A probe that fails opens it again, for twice the time; a good one before it counts no more."""
    made, _ = tripped()
    succeed(made, 5.0)
    fail(made, 5.1)
    assert "open" == made.state
    assert pytest.approx(15.1) == made.until
    succeed(made, 15.1)
    assert "half_open" == made.state


@rows("way", ["succeeded", "failed", "released", "lost"])
def test_a_lease_comes_back_on_every_way_out(way: str) -> None:
    """Success, failure, a neutral end and a holder that never speaks again: the next probe is let through in time."""
    made, _ = tripped()
    probe, now = ask(made, 5.0, limit=30.0), 6.0
    if way == "succeeded":
        made.succeeded(probe, now)
    elif way == "failed":
        made.failed(probe, now)
        now = made.until
    elif way == "released":
        made.release(probe)
    else:
        assert made.permit(5.0 + 30.0 + NUMBERS.lease - 0.1, 1.0) is None
        now = 5.0 + 30.0 + NUMBERS.lease
    assert made.permit(now, 1.0) is not None


def test_a_neutral_end_says_nothing() -> None:
    """A probe that is given back without a result leaves the breaker half open, with the good probes it had."""
    made, _ = tripped()
    succeed(made, 5.0)
    made.release(ask(made, 5.1))
    assert "half_open" == made.state
    succeed(made, 5.2)
    assert "closed" == made.state


def test_giving_back_an_old_lease_leaves_the_new_one_alone() -> None:
    """The holder of a lease that ran out can't end the lease of his successor."""
    made, _ = tripped()
    old = ask(made, 5.0, limit=1.0)
    ask(made, 11.0, limit=1.0)
    made.release(old)
    assert made.leased(11.1)
    assert made.permit(11.1, 1.0) is None


@pytest.mark.parametrize("good", [True, False])
def test_a_probe_that_lost_its_lease_says_nothing(good: bool) -> None:
    """The lease is a fencing token: what its holder says after it was given to another is not heard."""
    made, _ = tripped()
    old = ask(made, 5.0, limit=1.0)
    new = ask(made, 11.0, limit=1.0)
    if good:
        made.succeeded(old, 11.1)
        made.succeeded(new, 11.2)
    else:
        made.failed(old, 11.1)
    assert "half_open" == made.state


# Generations


@pytest.mark.parametrize("good", [True, False])
def test_what_began_before_it_opened_is_not_heard(good: bool) -> None:
    """The result of a call that began before the breaker opened changes nothing, whenever it comes."""
    made = breaker()
    late = [ask(made, 0.0) for _ in range(8)]
    fail(made, 0.0, TRIP)
    report = made.succeeded if good else made.failed
    report(late.pop(), 1.0)
    assert ("open", 5.0) == (made.state, made.until)
    succeed(made, 5.0)
    report(late.pop(), 5.1)
    assert "half_open" == made.state
    succeed(made, 5.2)
    assert "closed" == made.state
    for permit in late:
        report(permit, 5.3)
    assert "closed" == made.state
    fail(made, 5.4, 4)
    assert "closed" == made.state, "the late failures were counted"
    fail(made, 5.4)
    assert "open" == made.state, "the late successes ended the row"


def test_closing_starts_from_nothing() -> None:
    """What happened before it opened does not count after it has closed."""
    made, _ = tripped()
    succeed(made, 5.0, 2)
    fail(made, 5.1, 4)
    assert "closed" == made.state


# By hand


def test_isolated_lets_nobody_pass() -> None:
    """Isolated by hand, nobody passes, however long one waits and whatever late calls say, until `reset`."""
    made = breaker()
    late = ask(made, 0.0)
    made.isolate()
    made.succeeded(late, 1.0)
    for now in (0.0, 1e9):
        assert made.permit(now, 1.0) is None
    assert "isolated" == made.state
    made.reset()
    assert made.permit(1e9, 1.0) is not None


def test_disabled_lets_everybody_pass() -> None:
    """Disabled by hand, everybody passes and nothing is counted, until `reset`."""
    made = breaker()
    made.disable()
    fail(made, 0.0, 50)
    assert "disabled" == made.state
    made.reset()
    assert "closed" == made.state
    fail(made, 0.0, 4)
    assert "closed" == made.state


def test_reset_forgets_everything() -> None:
    """After `reset` an open breaker is closed, and opens for 5 s as if for the first time."""
    made, now = tripped(times=4)
    made.reset()
    fail(made, now, TRIP)
    assert pytest.approx(5.0) == made.until - now


def test_forced_successes_close_it() -> None:
    """Calls that were let through in spite of it tell something too: two that succeed close it."""
    made, _ = tripped()
    for _ in range(2):
        made.succeeded(made.force(), 1.0)
    assert "closed" == made.state


def test_a_row_has_no_age() -> None:
    """Five failures in a row open it however slowly they come: a target that hangs takes minutes for them."""
    made = breaker()
    for number in range(TRIP):
        fail(made, number * 115.0)
    assert "open" == made.state


def test_to_be_out_is_not_to_be_healthy() -> None:
    """A breaker that closes after 300 s and trips again at once has not been healthy for a minute."""
    made, now = tripped(times=7)
    now = made.until
    succeed(made, now, 2)
    fail(made, now + 0.1, TRIP)
    assert pytest.approx(300.0) == made.until - now - 0.1


# Random histories


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin and end in any order, at any time."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.chance = 0.5
        self.log: list[Event] = []
        self.numbers = 0
        self.breaker = Breaker(NUMBERS, lambda: self.chance)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 4.0, 5.0, 6.0, 10.0, 30.0, 59.0, 61.0, 121.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.state == "open")
    @rule()
    def wait_until_it_may_be_tried(self) -> None:
        self.now = max(self.now, self.breaker.until)

    @rule(target=calls, limit=st.sampled_from([0.5, 5.0, 100.0]))
    def ask(self, limit: float) -> tuple[int, Permit] | MultipleResults[tuple[int, Permit]]:
        expected = judge_breaker(self.log, self.now).may_pass
        permit = self.breaker.permit(self.now, limit)
        assert expected == (permit is not None)
        if permit is None:
            return multiple()
        self.numbers += 1
        self.log.append(Event(self.now, "ask", self.numbers, limit))
        return self.numbers, permit

    @precondition(lambda self: not judge_breaker(self.log, self.now).may_pass)
    @rule(target=calls)
    def force(self) -> tuple[int, Permit]:
        """Nobody else is left, so it is asked in spite of all."""
        self.numbers += 1
        self.log.append(Event(self.now, "force", self.numbers))
        return self.numbers, self.breaker.force()

    @rule(call=consumes(calls))
    def succeed(self, call: tuple[int, Permit]) -> None:
        self.breaker.succeeded(call[1], self.now)
        self.log.append(Event(self.now, "succeed", call[0]))

    @rule(call=consumes(calls), chance=st.sampled_from([0.0, 0.5, 1.0]))
    def fail(self, call: tuple[int, Permit], chance: float) -> None:
        self.chance = chance
        self.breaker.failed(call[1], self.now)
        self.log.append(Event(self.now, "fail", call[0], chance=chance))

    @rule(call=consumes(calls))
    def release(self, call: tuple[int, Permit]) -> None:
        self.breaker.release(call[1])
        self.log.append(Event(self.now, "release", call[0]))

    @rule(times=st.integers(1, 6), well=st.sampled_from([False, False, True]))
    def several_at_once(self, times: int, well: bool) -> None:
        """Long rows are rare by chance."""
        for _ in range(times):
            permit = self.breaker.permit(self.now, 1.0)
            assert judge_breaker(self.log, self.now).may_pass == (permit is not None)
            if permit is None:
                return
            self.numbers += 1
            self.log.append(Event(self.now, "ask", self.numbers, 1.0))
            if well:
                self.succeed((self.numbers, permit))
            else:
                self.fail((self.numbers, permit), 0.5)

    @rule(how=st.sampled_from(["isolate", "disable", "reset", "reset"]), really=st.integers(0, 5))
    def by_hand(self, how: str, really: int) -> None:
        if really == 0:
            getattr(self.breaker, how)()
            self.log.append(Event(self.now, how))

    @invariant()
    def as_the_log_says(self) -> None:
        verdict = judge_breaker(self.log, self.now)
        assert verdict.state == self.breaker.state
        if verdict.state == "open":
            assert pytest.approx(verdict.until) == self.breaker.until
        assert (self.now < verdict.leased_until) == self.breaker.leased(self.now)


BreakerMachine.TestCase.settings = settings(max_examples=many(7), stateful_step_count=40, deadline=None)
TestBreakerHistories = BreakerMachine.TestCase


class _Long(BreakerMachine):
    pass


_Long.TestCase.settings = settings(max_examples=many(250), stateful_step_count=60, deadline=None)
TestManyBreakerHistories = pytest.mark.slow(_Long.TestCase)
