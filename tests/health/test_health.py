"""Health as a whole: who is admitted, what is handed back, whom a failure takes out, and what is never done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmswitch import _errors
from llmswitch._errors import LLMSwitchError
from llmswitch._health import Admission, Health, Refusal
from llmswitch._target import Target
from tests.health.models import COOLS, COUNTS
from tests.health.virtual import Clock, targets

FAILING, SIBLING, NEIGHBOUR, STRANGER = TARGETS = targets("a-x:one", "a-x:two", "a-y:one", "b-x:one")
NEVER_FORCED = [name for name, (*_, passes) in COOLS.items() if not passes]


@pytest.fixture
def health(clock: Clock) -> Health:
    """With a die that always falls on the middle, so that a time is a number."""
    return Health(clock=clock, chance=lambda: 0.5)


def error(name: str, retry_after: float | None = None) -> LLMSwitchError:
    made: LLMSwitchError = getattr(_errors, name)("made up")
    made.retry_after = retry_after
    return made


def admitted(health: Health, target: Target = FAILING, limit: float = 10.0, *, forced: bool = False) -> Admission:
    admission = health.admit(target, limit, forced=forced)
    assert isinstance(admission, Admission)
    return admission


def refused(health: Health, target: Target = FAILING, *, forced: bool = False) -> Refusal:
    refusal = health.admit(target, 10.0, forced=forced)
    assert isinstance(refusal, Refusal)
    return refusal


def fail(health: Health, name: str, times: int = 1, target: Target = FAILING) -> None:
    for _ in range(times):
        health.failed(admitted(health, target), error(name))


def state(health: Health, target: Target = FAILING) -> str:
    return health.show([target])[0].state


def in_flight(health: Health, target: Target = FAILING) -> int:
    return health.show([target])[0].in_flight


def opened(health: Health, clock: Clock, *, wait: bool = True) -> None:
    """The target's breaker, open; after its five seconds, so that the next call is a probe."""
    fail(health, "ServerError", 5)
    assert "open" == state(health)
    if wait:
        clock.tick(5.0)


# In flight


def test_every_admission_is_counted_once_and_handed_back_once(health: Health) -> None:
    """A call is in flight from its admission until it is handed back, and handing it back again changes nothing."""
    ways: list[Callable[[Admission], None]] = [
        health.succeeded,
        lambda admission: health.failed(admission, error("ServerError")),
        health.released,
    ]
    held = [admitted(health) for _ in ways]
    assert len(ways) == in_flight(health)
    for number, (admission, way) in enumerate(zip(held, ways, strict=True), 1):
        for again in (way, *ways):
            again(admission)
            assert len(ways) - number == in_flight(health)


def test_a_refusal_is_not_in_flight(health: Health, clock: Clock) -> None:
    """Who is refused holds nothing, and takes nothing from those who hold something."""
    held = admitted(health)
    opened(health, clock, wait=False)
    refused(health)
    assert 1 == in_flight(health)
    health.released(held)
    assert 0 == in_flight(health)


def test_too_many_calls_of_our_own_are_refused(clock: Clock) -> None:
    """At the bulkhead's number the next is refused as busy, forced or not; another target of the account is not."""
    health = Health(clock=clock, bulkhead=3)
    held = [admitted(health) for _ in range(3)]
    for forced in (False, True):
        refusal = refused(health, forced=forced)
        assert ("busy", "LocalOverload") == (refusal.kind, refusal.reason)
    admitted(health, SIBLING)
    health.released(held[0])
    admitted(health)


# Whom a failure takes out


@pytest.mark.parametrize("name", COUNTS)
def test_a_breaker_opens_at_the_scope_that_counts(health: Health, name: str) -> None:
    """Five failures to connect take out the host; five of any other kind take out the model alone."""
    held = [admitted(health) for _ in range(5)]  # at once, since an overload keeps the next one away
    for admission in held:
        health.failed(admission, error(name))
    out = {FAILING, SIBLING, NEIGHBOUR} if COUNTS[name] == "endpoint" else {FAILING}
    assert out == {target for target in TARGETS if isinstance(health.admit(target, 1.0), Refusal)}


@pytest.mark.parametrize("name", sorted({*_errors.__all__} - {"LLMSwitchError", *COUNTS, *COOLS}))
def test_what_is_nobodys_fault_counts_for_nobody(health: Health, name: str) -> None:
    """Errors that say nothing against a target leave all of them as they were, however often they come."""
    fail(health, name, 30)
    assert ["ok"] * 4 == [shown.state for shown in health.show(TARGETS)]


def test_a_failing_model_does_not_close_the_host_that_answers(health: Health, clock: Clock) -> None:
    """With the breaker of the host half open, a failure of the model is neutral to it: the next may try."""
    fail(health, "ConnectFailed", 5)
    clock.tick(5.0)
    fail(health, "ServerError")
    assert "half_open" == state(health)
    health.succeeded(admitted(health, NEIGHBOUR))
    health.succeeded(admitted(health, NEIGHBOUR))
    assert "ok" == state(health, NEIGHBOUR)


# Probes


@pytest.mark.parametrize("way", ["cancelled", "bad_request", "rate_limited", "failed", "succeeded", "lost"])
def test_a_probe_never_sticks(health: Health, clock: Clock, way: str) -> None:
    """Whatever becomes of a probe, at the latest after its limit and 5 s more another one is let through."""
    opened(health, clock)
    probe = admitted(health, limit=30.0)
    assert "open" == refused(health).kind
    if way == "cancelled":
        health.released(probe)
    elif way == "bad_request":
        health.failed(probe, error("BadRequest"))
    elif way == "rate_limited":
        health.failed(probe, error("RateLimited", 2.0))
        clock.tick(2.0)
    elif way == "failed":
        health.failed(probe, error("ServerError"))
        refused(health)
        clock.tick(10.0)
    elif way == "succeeded":
        health.succeeded(probe)
    else:
        clock.tick(34.9)
        refused(health)
        clock.tick(0.1)
    admitted(health)


def test_a_probe_passes_once_for_both_its_breakers(health: Health, clock: Clock) -> None:
    """Host and model half open: one call is the probe of both, and gives both back."""
    fail(health, "ServerError", 4)
    fail(health, "ConnectFailed", 4)
    held = [admitted(health) for _ in range(2)]
    health.failed(held[0], error("ServerError"))
    health.failed(held[1], error("ConnectFailed"))
    clock.tick(5.0)
    probe = admitted(health)
    assert {FAILING, SIBLING, NEIGHBOUR} == {target for target in TARGETS if health.refusal(target) is not None}
    health.released(probe)
    for _ in range(2):
        health.succeeded(admitted(health))
    assert "ok" == state(health)


def test_in_a_half_open_host_one_call_at_a_time(health: Health, clock: Clock) -> None:
    """The probe of a host keeps back the calls to its other models and accounts too."""
    fail(health, "ConnectFailed", 5)
    clock.tick(5.0)
    probe = admitted(health, SIBLING)
    assert [True, True, True, False] == [health.refusal(target) is not None for target in TARGETS]
    health.succeeded(probe)
    admitted(health, NEIGHBOUR)


# Generations


@pytest.mark.parametrize("well", [True, False])
def test_calls_from_before_it_opened_are_not_heard(health: Health, clock: Clock, well: bool) -> None:
    """What a call says that began before the breaker opened neither closes nor opens it."""
    fail(health, "ServerError")
    late = [admitted(health) for _ in range(3)]
    fail(health, "ServerError", 4)
    clock.tick(5.0)
    health.succeeded(admitted(health))
    for admission in late:
        health.succeeded(admission) if well else health.failed(admission, error("ServerError"))
        assert "half_open" == state(health)
    assert 0 == in_flight(health)


def test_the_very_first_calls_have_a_generation_too(health: Health, clock: Clock) -> None:
    """A call that began before anything had failed is not heard either, once the breaker has opened."""
    late = admitted(health)
    opened(health, clock)
    health.succeeded(admitted(health))
    health.failed(late, error("ServerError"))
    assert "half_open" == state(health)


def test_answers_before_the_first_failure_count(health: Health) -> None:
    """With eleven answers and nine failures in the last twenty, less than half failed."""
    for _ in range(20):
        health.succeeded(admitted(health))
    for name in ("", *["ServerError"] * 4, "", *["ServerError"] * 4, "", "ServerError"):
        admission = admitted(health)
        health.failed(admission, error(name)) if name else health.succeeded(admission)
    assert "ok" == state(health)


# Forcing


def test_a_breaker_may_be_overruled_once_a_second(health: Health, clock: Clock) -> None:
    """Where nobody else is left an open target is asked all the same, once a second and not more."""
    opened(health, clock, wait=False)
    refused(health)
    admitted(health, forced=True)
    clock.tick(0.99)
    refused(health, forced=True)
    clock.tick(0.01)
    admitted(health, forced=True)


def test_a_probe_under_way_may_be_overruled_too(health: Health, clock: Clock) -> None:
    """While a probe takes its time another call may be forced, and does not take the probe's lease."""
    opened(health, clock)
    probe = admitted(health, limit=30.0)
    forced = admitted(health, forced=True)
    health.released(forced)
    refused(health)
    health.succeeded(probe)
    admitted(health)


@pytest.mark.parametrize("name", NEVER_FORCED)
def test_a_fact_is_never_overruled(health: Health, clock: Clock, name: str) -> None:
    """A key, a bill, a region, a quota, a certificate or a missing model is not forced, however long it lasts."""
    fail(health, name)
    for _ in range(10):
        assert not refused(health, forced=True).transient
        clock.tick(20.0)


@pytest.mark.parametrize("name", ["AuthInvalid", "Arrears", "QuotaExhausted", "RegionBlocked"])
@pytest.mark.parametrize("longer", ["RateLimited", "Overloaded"])
@pytest.mark.parametrize("last", [True, False])
def test_a_rate_limit_does_not_hide_a_fact(health: Health, name: str, longer: str, last: bool) -> None:
    """A key that is refused stays unasked, though the vendor also asked for a wait that is longer than that."""
    held = [admitted(health) for _ in range(2)]
    both = [error(name), error(longer, 10 * 3600.0)]
    for admission, each in zip(held, both if last else reversed(both), strict=True):
        health.failed(admission, each)
    refused(health, forced=True)


@pytest.mark.parametrize("name", ["RateLimited", "Overloaded", "ConnectFailed"])
def test_what_was_taken_out_by_hand_is_never_asked(health: Health, name: str) -> None:
    """`isolate` holds until `reset`, forced or not, whatever else is known of the target."""
    held = [admitted(health) for _ in range(5)]
    health.isolate(FAILING)
    for admission in held:
        health.failed(admission, error(name, 60.0))
    refused(health)
    refused(health, forced=True)


# By hand, and to look at


def test_isolate_disable_and_reset(health: Health, clock: Clock) -> None:
    """Isolated it is not asked, disabled its failures don't count, and after `reset` all is as at first."""
    health.isolate(FAILING)
    clock.tick(1e6)
    assert ("open", "isolated", False) == (refused(health).kind, refused(health).reason, refused(health).transient)
    refused(health, forced=True)
    admitted(health, SIBLING)
    health.reset(FAILING)
    health.released(admitted(health))
    health.disable(FAILING)
    fail(health, "ServerError", 50)
    assert "disabled" == state(health)
    health.reset(FAILING)
    fail(health, "ServerError", 4)
    assert "ok" == state(health)


def test_reset_hears_nothing_from_before(health: Health) -> None:
    """Calls that were under way when a person set it back do not put it out again."""
    fail(health, "ServerError")
    late = [admitted(health) for _ in range(8)]
    fail(health, "ServerError", 4)
    health.reset(FAILING)
    for admission in late:
        health.failed(admission, error("ServerError"))
    assert "ok" == state(health)


def test_what_is_shown(health: Health, clock: Clock) -> None:
    """State, seconds, and calls in flight of a target, in each of its states."""
    held = admitted(health)
    (shown,) = health.show([FAILING])
    assert ("a-x:one", "ok", None, None, 1) == (
        shown.target,
        shown.state,
        shown.seconds,
        shown.reason,
        shown.in_flight,
    )
    health.failed(held, error("RateLimited", 20.0))
    clock.tick(5.0)
    (shown,) = health.show([FAILING])
    assert ("cooling", 15.0, "RateLimited", 0) == (shown.state, shown.seconds, shown.reason, shown.in_flight)
    health.reset(FAILING)
    opened(health, clock, wait=False)
    clock.tick(2.0)
    (shown,) = health.show([FAILING])
    assert ("open", 3.0) == (shown.state, shown.seconds)
    clock.tick(3.0)
    admitted(health)
    assert "half_open" == state(health)


def test_an_open_breaker_is_shown_with_its_reason(health: Health, clock: Clock) -> None:
    """`reason` is the class of the error that took the target out, for a breaker too."""
    opened(health, clock, wait=False)
    assert "ServerError" == health.show([FAILING])[0].reason


def test_a_forked_child_has_no_calls_in_flight(health: Health, clock: Clock) -> None:
    """What is known stays known in a child; the calls that are under way are its parent's."""
    held = admitted(health, SIBLING)
    opened(health, clock, wait=False)
    health.after_fork()
    assert (0, "open") == (in_flight(health, SIBLING), state(health))
    health.released(held)
    assert 0 == in_flight(health, SIBLING)


# The lock


_COLLECTED = """
import faulthandler, gc
from llmswitch._errors import ServerError
from llmswitch._exchange import Call, exchange
from llmswitch._health import Health
from tests.health.simulator import REQUEST
from tests.health.virtual import chain

faulthandler.dump_traceback_later(2, exit=True)  # a deadlock ends here
made, health = chain("a-x:one", "b-x:one"), Health()
first, second = made.targets
for _ in range(3):
    health.failed(health.admit(second, 1.0), ServerError("made up"))
for _ in range(2000):
    steps = exchange(Call(made, REQUEST, False, health=health))
    next(steps)
    cycle = [steps]
    cycle.append(cycle)
    del steps, cycle
    health.succeeded(health.admit(second, 1.0))
    health.show(made.targets)
gc.collect()
assert health.show(made.targets)[0].in_flight == 0
"""


@pytest.mark.slow
def test_the_collector_may_run_at_any_time() -> None:
    """Calls that were dropped within a reference cycle are handed back by the collector, wherever it strikes."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _COLLECTED], cwd=root, capture_output=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr.decode()
