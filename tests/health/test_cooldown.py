"""Cool-downs: how long each error keeps calls away, from whom, and how that grows, never shrinks and is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmswitch import _errors
from llmswitch._cooldown import Cooldown, CooldownRule, begin
from llmswitch._errors import LLMSwitchError
from llmswitch._health import Admission, Health, Refusal
from llmswitch._policy import RULES, rule_for
from llmswitch._target import Target
from tests.everyday import many
from tests.health.models import COOLS, HOUR, MINUTE, Said, judge_cooldown
from tests.health.virtual import Clock, targets

NEUTRAL = sorted({name for name in _errors.__all__ if name != "LLMSwitchError"} - set(COOLS))

# The one that fails, and those that have with it in common: all but the model, the host alone, nothing.
FAILING, SIBLING, NEIGHBOUR, STRANGER = targets("a-x:one", "a-x:two", "a-y:one", "b-x:one")
OUT = {"endpoint": {FAILING, SIBLING, NEIGHBOUR}, "account": {FAILING, SIBLING}, "target": {FAILING}}


def error(name: str, retry_after: float | None = None) -> LLMSwitchError:
    made: LLMSwitchError = getattr(_errors, name)("made up")
    made.retry_after = retry_after
    return made


def admitted(health: Health, target: Target) -> Admission:
    admission = health.admit(target, 10.0)
    assert isinstance(admission, Admission)
    return admission


def fail(health: Health, name: str, retry_after: float | None = None, target: Target = FAILING) -> None:
    health.failed(admitted(health, target), error(name, retry_after))


def seconds_out(health: Health, clock: Clock, target: Target = FAILING) -> float:
    refusal = health.refusal(target)
    assert refusal is None or refusal.kind == "cooling"
    return 0.0 if refusal is None else refusal.until - clock.now


def calm(clock: Clock, chance: float = 0.0) -> Health:
    """Without the tenth that is added by chance, so that a number is a number."""
    return Health(clock=clock, chance=lambda: chance)


# From whom


@pytest.mark.parametrize("name", COOLS)
def test_an_error_takes_out_what_it_proves(clock: Clock, name: str) -> None:
    """Each error keeps calls from the scopes that it speaks of, and from nobody else."""
    health = calm(clock)
    fail(health, name)
    out = set().union(*(OUT[scope] for scope in COOLS[name][0].split()))
    for target in (FAILING, SIBLING, NEIGHBOUR, STRANGER):
        refused = health.admit(target, 10.0)
        assert (target in out) == isinstance(refused, Refusal), target
        if isinstance(refused, Refusal):
            assert ("cooling", name, COOLS[name][3]) == (refused.kind, refused.reason, refused.transient)


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_declares_nothing_cools_nobody(clock: Clock, name: str) -> None:
    """After an error that is no fact about the account, the target may be asked at once, whatever wait it names."""
    health = calm(clock)
    fail(health, name, retry_after=1000.0)
    assert health.refusal(FAILING) is None


def test_every_error_class_stands_in_one_of_the_two_lists() -> None:
    """The table above and the rules speak of the same classes."""
    assert set(COOLS) == {kind.__name__ for kind, found in RULES.items() if found.cool is not None}


# For how long


@pytest.mark.parametrize("name", COOLS)
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_the_first_time_lasts_as_the_table_says(clock: Clock, name: str, chance: float) -> None:
    """Without a word from the vendor it is the first number of the table, and up to a tenth more by chance."""
    health = calm(clock, chance)
    fail(health, name)
    assert pytest.approx(COOLS[name][1] * (1 + chance / 10)) == seconds_out(health, clock)


@pytest.mark.parametrize("name", COOLS)
def test_each_further_time_lasts_twice_as_long_up_to_the_most(clock: Clock, name: str) -> None:
    """The times double where the table has two numbers; else each is as long as the first."""
    health = calm(clock)
    _, first, most, _ = COOLS[name]
    for times in range(4 if name == "Overloaded" else 40):  # a fifth one in a row is the breaker's matter
        fail(health, name)
        assert pytest.approx(min(first * 2**times, most)) == seconds_out(health, clock), times
        clock.tick(seconds_out(health, clock))
        assert health.refusal(FAILING) is None


@pytest.mark.parametrize("name", ["RateLimited", "QuotaExhausted", "Arrears", "RegionBlocked"])
def test_calls_that_were_under_way_are_one_time(clock: Clock, name: str) -> None:
    """Fifty calls that fail one after another from one outage double nothing."""
    health = calm(clock)
    under_way = [admitted(health, FAILING) for _ in range(50)]
    for admission in under_way:
        health.failed(admission, error(name))
        clock.tick(0.001)
    clock.tick(seconds_out(health, clock))
    fail(health, name)
    assert pytest.approx(2 * COOLS[name][1]) == seconds_out(health, clock)


@pytest.mark.parametrize("name", ["RateLimited", "QuotaExhausted", "Overloaded"])
@pytest.mark.parametrize("seconds", [0.02, 20.0, 7200.0, 86_400.0])
def test_the_vendors_own_wait_counts_in_full(clock: Clock, name: str, seconds: float) -> None:
    """What the vendor asks for is what is kept, to the millisecond and without an addition, however long."""
    health = calm(clock, chance=1.0)
    fail(health, name, retry_after=seconds)
    assert pytest.approx(seconds) == seconds_out(health, clock)


def test_a_wait_of_nothing_keeps_nobody_away(clock: Clock) -> None:
    """Where the vendor says 0, the target may be asked at once."""
    health = calm(clock)
    fail(health, "RateLimited", retry_after=0.0)
    assert health.refusal(FAILING) is None


def test_a_shorter_wait_never_ends_a_longer_one(clock: Clock) -> None:
    """Of two waits the one that ends later holds, in either order."""
    for first, second in ((60.0, 1.0), (1.0, 60.0)):
        health = calm(clock)
        under_way = [admitted(health, FAILING) for _ in range(2)]
        health.failed(under_way[0], error("RateLimited", first))
        health.failed(under_way[1], error("RateLimited", second))
        assert pytest.approx(60.0) == seconds_out(health, clock)


def test_a_refusal_shows_the_latest_of_the_scopes(clock: Clock) -> None:
    """Out by its account for 10 minutes and by itself for an hour: it is out for an hour."""
    health = calm(clock)
    under_way = [admitted(health, FAILING) for _ in range(2)]
    health.failed(under_way[0], error("ModelGone"))
    health.failed(under_way[1], error("Arrears"))
    assert pytest.approx(HOUR) == seconds_out(health, clock)
    assert pytest.approx(10 * MINUTE) == seconds_out(health, clock, SIBLING)


def test_it_ends_at_its_time_and_not_before(clock: Clock) -> None:
    """A moment before its end the target is out, at its end it is not."""
    health = calm(clock)
    fail(health, "RateLimited", retry_after=20.0)
    clock.tick(19.999)
    assert isinstance(health.admit(FAILING, 10.0), Refusal)
    clock.tick(0.001)
    assert isinstance(health.admit(FAILING, 10.0), Admission)


# How it is forgotten


def test_a_success_after_it_forgets_how_often(clock: Clock) -> None:
    """A call that is answered after the end of a cool-down sets the next one back to the first number."""
    health = calm(clock)
    for _ in range(3):
        fail(health, "RateLimited")
        clock.tick(seconds_out(health, clock))
    health.succeeded(admitted(health, FAILING))
    fail(health, "RateLimited")
    assert pytest.approx(1.0) == seconds_out(health, clock)


def test_a_success_of_the_same_account_forgets_it_for_the_account(clock: Clock) -> None:
    """An account in arrears whose other model answers again has paid."""
    health = calm(clock)
    for _ in range(2):
        fail(health, "Arrears")
        clock.tick(seconds_out(health, clock))
    health.succeeded(admitted(health, SIBLING))
    fail(health, "Arrears")
    assert pytest.approx(10 * MINUTE) == seconds_out(health, clock)


def test_a_late_success_does_not_end_it(clock: Clock) -> None:
    """A call that began before and is answered during a cool-down says nothing against it."""
    health = calm(clock)
    late = admitted(health, FAILING)
    fail(health, "Arrears")
    clock.tick(1.0)
    health.succeeded(late)
    assert pytest.approx(10 * MINUTE - 1) == seconds_out(health, clock)


def test_neither_a_failure_of_another_kind_nor_a_neutral_end_ends_it(clock: Clock) -> None:
    """What is not a success leaves a cool-down and its count alone."""
    health = calm(clock)
    fail(health, "Arrears")
    clock.tick(seconds_out(health, clock))
    health.released(admitted(health, FAILING))
    fail(health, "ServerError")
    fail(health, "Arrears")
    assert pytest.approx(20 * MINUTE) == seconds_out(health, clock)


def test_reset_by_hand_ends_it_for_all_its_scopes(clock: Clock) -> None:
    """After `reset` the target, its account and its endpoint may be asked, and the count begins anew."""
    for name in COOLS:
        health = calm(clock)
        fail(health, name)
        health.reset(FAILING)
        for target in (FAILING, SIBLING, NEIGHBOUR):
            assert health.refusal(target) is None, (name, target)
        fail(health, name)
        assert pytest.approx(COOLS[name][1]) == seconds_out(health, clock)


# Random histories of one scope


class CooldownMachine(RuleBasedStateMachine):
    """Errors of several kinds and successes at one scope, as `Health` tells them to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log: list[Said] = []
        self.found: Cooldown | None = None
        self.longest = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 30.0, 61.0, 601.0, 3600.0, 30_000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.found is not None)
    @rule()
    def wait_until_it_is_over(self) -> None:
        assert self.found is not None
        self.now = max(self.now, self.found.until)
        assert self.found.over(self.now)

    @rule(
        name=st.sampled_from(["RateLimited", "RateLimited", "Arrears", "AuthInvalid", "QuotaExhausted"]),
        retry_after=st.sampled_from([None, None, None, 0.0, 0.5, 20.0, 7200.0]),
        chance=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def error(self, name: str, retry_after: float | None, chance: float) -> None:
        cool = rule_for(error(name)).cool
        assert isinstance(cool, CooldownRule)
        before = self.found
        self.found = begin(cool, name, before, retry_after, self.now, lambda: chance)
        self.log.append(Said(self.now, name, retry_after, chance))
        assert before is None or self.found.until >= before.until, "an error ended a cool-down early"

    @rule()
    def success(self) -> None:
        if self.found is not None and self.found.over(self.now):
            self.found = None
        self.log.append(Said(self.now, ""))

    @invariant()
    def as_the_log_says(self) -> None:
        expected = judge_cooldown(self.log)
        assert (expected is None) == (self.found is None)
        if expected is not None and self.found is not None:
            # which of several facts is named is told by examples above: one that does not pass by itself goes first
            assert pytest.approx(expected.until) == self.found.until


CooldownMachine.TestCase.settings = settings(max_examples=many(7), stateful_step_count=30, deadline=None)
TestCooldownHistories = CooldownMachine.TestCase


class _Long(CooldownMachine):
    pass


_Long.TestCase.settings = settings(max_examples=many(250), stateful_step_count=40, deadline=None)
TestManyCooldownHistories = pytest.mark.slow(_Long.TestCase)
