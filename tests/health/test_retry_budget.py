"""The retry budget: what a repetition costs, who pays, what gives it back, and that an outage uses it up."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmswitch._health import Admission, Health
from llmswitch._retry_budget import RetryBudget
from llmswitch._target import Target
from tests.everyday import many
from tests.health.simulator import World
from tests.health.vendors import Weather
from tests.health.virtual import Clock, chain, targets

ALWAYS = float("-inf")


def dying(condition: str, *names: str) -> World:
    """A chain whose every target is like that for ever."""
    return World(chain(*names), {name: Weather([(ALWAYS, condition)]) for name in names})


def affordable(health: Health, target: Target) -> int:
    """How many repetitions the account can pay for; then it can pay for none."""
    made = 0
    while health.can_repeat(target, throttled=False):
        health.repeat(target, throttled=False)
        made += 1
    return made


# The bucket


def test_the_numbers() -> None:
    """500 tokens; a repetition costs 14, after a rate limit 5."""
    bucket = RetryBudget()
    assert 500.0 == bucket.tokens
    assert 14.0 == bucket.take(throttled=False)
    assert 5.0 == bucket.take(throttled=True)
    assert 481.0 == bucket.tokens


@pytest.mark.parametrize(("throttled", "repetitions"), [(False, 35), (True, 100)])
def test_it_lasts_for_so_many_repetitions(throttled: bool, repetitions: int) -> None:
    """Without a success it pays for 35 repetitions, or 100 after rate limits, and for no more."""
    bucket = RetryBudget()
    made = 0
    while bucket.can(throttled=throttled):
        bucket.take(throttled=throttled)
        made += 1
    assert repetitions == made


def test_a_cheap_repetition_may_be_made_where_a_dear_one_may_not() -> None:
    """With 5 to 13 tokens left a rate limit may be repeated, a failure not."""
    for tokens, dear, cheap in ((4.9, False, False), (5.0, False, True), (13.9, False, True), (14.0, True, True)):
        bucket = RetryBudget(tokens=tokens)
        assert (dear, cheap) == (bucket.can(throttled=False), bucket.can(throttled=True))


def test_success_gives_back_what_it_cost() -> None:
    """A call that was answered after a repetition leaves the bucket as it found it."""
    bucket = RetryBudget(tokens=100.0)
    bucket.succeeded(bucket.take(throttled=False))
    assert 100.0 == bucket.tokens


def test_a_clean_success_gives_one_token() -> None:
    """A call that was answered at once fills the bucket by one, to 500 at most."""
    bucket = RetryBudget(tokens=498.5)
    for expected in (499.5, 500.0, 500.0):
        bucket.succeeded(0.0)
        assert expected == bucket.tokens


def test_nothing_is_given_back_that_was_not_paid() -> None:
    """A repetition that found only 3 tokens gives 3 back when it succeeds, not 14."""
    bucket = RetryBudget(tokens=3.0)
    bucket.succeeded(bucket.take(throttled=False))
    assert bucket.tokens <= 4.0


class BudgetMachine(RuleBasedStateMachine):
    """Calls that repeat, fail and succeed, against the sum of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.bucket = RetryBudget()
        self.log: list[float] = []
        self.paid: list[float] = []

    @rule(throttled=st.booleans())
    def repeat(self, throttled: bool) -> None:
        price = 5.0 if throttled else 14.0
        assert (self.expected() >= price) == self.bucket.can(throttled=throttled)
        if self.bucket.can(throttled=throttled):
            assert price == self.bucket.take(throttled=throttled)
            self.log.append(-price)
            self.paid.append(price)

    @rule(throttled=st.booleans(), times=st.integers(5, 40))
    def outage(self, throttled: bool, times: int) -> None:
        """Repetitions that all fail."""
        for _ in range(times):
            self.repeat(throttled)
        self.paid.clear()

    @precondition(lambda self: self.paid)
    @rule()
    def a_repetition_succeeds(self) -> None:
        paid = self.paid.pop()
        self.bucket.succeeded(paid)
        self.log.append(paid)

    @rule(times=st.integers(1, 30))
    def clean_successes(self, times: int) -> None:
        for _ in range(times):
            self.bucket.succeeded(0.0)
            self.log.append(1.0)

    def expected(self) -> float:
        tokens = 500.0
        for change in self.log:
            tokens = min(500.0, tokens + change)
        return tokens

    @invariant()
    def as_the_log_says(self) -> None:
        assert self.expected() == self.bucket.tokens
        assert 0.0 <= self.bucket.tokens <= 500.0


BudgetMachine.TestCase.settings = settings(max_examples=many(6), stateful_step_count=30, deadline=None)
TestBudgetHistories = BudgetMachine.TestCase


class _Long(BudgetMachine):
    pass


_Long.TestCase.settings = settings(max_examples=many(250), stateful_step_count=40, deadline=None)
TestManyBudgetHistories = pytest.mark.slow(_Long.TestCase)


# Whose it is


def test_the_bucket_belongs_to_the_account(clock: Clock) -> None:
    """Models of one account share a bucket; another account at the same host, and another host, have their own."""
    failing, sibling, neighbour, stranger = targets("a-x:one", "a-x:two", "a-y:one", "b-x:one")
    health = Health(clock=clock)
    assert 35 == affordable(health, failing)
    assert [0, 35, 35] == [affordable(health, target) for target in (sibling, neighbour, stranger)]


def test_an_answer_after_a_repetition_pays_it_back(clock: Clock) -> None:
    """What an admission paid is given back when it succeeds, and kept when it fails or is cancelled."""
    (target,) = targets("a-x:one")
    for how, left in (("succeeded", 35), ("released", 34)):
        health = Health(clock=clock)
        admission = health.admit(target, 1.0)
        assert isinstance(admission, Admission)
        admission.paid = health.repeat(target, throttled=False)
        getattr(health, how)(admission)
        assert left == affordable(health, target)


# What that means for calls


def test_a_failure_is_repeated_at_the_expense_of_the_account() -> None:
    """A call that fails and is answered at the second try has paid nothing in the end."""
    world = World(
        chain("a-x:one"), {"a-x:one": Weather([(ALWAYS, "well"), (1000.0, "server_error"), (1000.02, "well")])}
    )
    played = world.call()
    assert played.reply is not None
    assert ["first", "retry"] == [attempt.kind for attempt in played.reply.attempts]
    assert 35 == affordable(world.health, world.chain.targets[0])


def test_an_outage_is_not_answered_by_a_storm() -> None:
    """Where all calls fail at once, repetitions are made until the bucket is empty: 35 for 500 calls of an account."""
    world = dying("server_error", "a-x:one")
    played = world.calls([(1000.0, False, None)] * 500)  # all are under way before the breaker can open
    repetitions = sum(len(one.served) - 1 for one in played)
    assert all(one.error is not None for one in played)
    assert 0 < repetitions <= 35


@pytest.mark.parametrize("names", [("a-x:one",), ("a-x:one", "b-x:one")])
def test_waiting_for_a_rate_limit_is_paid_for_too(names: tuple[str, ...]) -> None:
    """With an empty bucket a call that was refused does not wait to be refused again."""
    world = dying("rate_limited", *names)
    for target in world.chain.targets:
        while world.health.can_repeat(target, throttled=True):
            world.health.repeat(target, throttled=True)
    played = world.call()
    assert len(names) == len(played.served)
