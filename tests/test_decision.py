"""The decision: what comes next in a call, with a clock that is made up."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from llmswitch import _errors as errors
from llmswitch._decision import GiveUp, History, Move, Try, Wait, decide
from llmswitch._errors import AllTargetsFailed, AllTargetsUnavailable, DeadlineExceeded, LLMSwitchError
from llmswitch._policy import RULES, Policy, rule_for
from tests.everyday import examples
from tests.rows import rows

POLICY = Policy()


def history(targets: int = 2, limit: float = 120.0, windows: tuple[int | None, ...] = ()) -> History:
    moves = [Move(f"t{number}", windows[number] if windows else None) for number in range(targets)]
    return History(moves, started=0.0, deadline=limit)


def fail(state: History, error: LLMSwitchError, now: float = 0.0, *, retry_same: bool | None = None) -> None:
    step = decide(POLICY, state, now)
    assert isinstance(step, Try)
    state.began(step)
    state.failed(step.target, error, retry_same=retry_same)


def test_every_error_class_has_a_rule():
    """No class of the taxonomy is left without a rule of its own."""
    classes = {getattr(errors, name) for name in errors.__all__} - {LLMSwitchError}
    assert classes == set(RULES)


def test_a_subclass_has_the_rule_of_its_parent():
    """A class from outside is treated as the nearest class it derives from."""

    class Special(errors.RateLimited):
        pass

    assert RULES[errors.RateLimited] == rule_for(Special("x"))


def test_the_first_target_is_asked_first():
    """A call begins with the first target of the chain."""
    step = decide(POLICY, history(), 0.0)
    assert isinstance(step, Try)
    assert (0, "first") == (step.target, step.kind)


@rows(
    "kind",
    [
        errors.ConnectFailed,
        errors.TLSInvalid,
        errors.NoResponse,
        errors.FirstTokenTimeout,
        errors.Overloaded,
        errors.RateLimited,
        errors.QuotaExhausted,
        errors.Arrears,
        errors.AuthInvalid,
        errors.PermissionDenied,
        errors.ModelGone,
        errors.RegionBlocked,
        errors.RedirectRefused,
        errors.MalformedResponse,
        errors.StreamInterrupted,
        errors.StreamStalled,
        errors.CapabilityMismatch,
        errors.BudgetExceeded,
    ],
)
def test_what_is_the_targets_fault_moves_at_once(kind):
    """A failure that another target may not have goes to the next target without a wait."""
    state = history()
    fail(state, kind("no"))
    step = decide(POLICY, state, 1.0)
    assert isinstance(step, Try)
    assert (1, "fallback") == (step.target, step.kind)


@rows(
    "kind",
    [errors.BadRequest, errors.ContentFiltered, errors.OutputInvalid, errors.LocalOverload, errors.InvalidRequest],
)
def test_what_is_the_callers_fault_is_raised_as_it_is(kind):
    """A failure that every target would have is raised after one attempt, by its own class."""
    state = history()
    error = kind("no")
    fail(state, error)
    if kind is errors.LocalOverload:
        pytest.skip("nobody is asked elsewhere for it; here there is somebody left")
    assert GiveUp(error) == decide(POLICY, state, 1.0)


def test_local_overload_blames_nobody_else():
    """Being out of connections here is no reason to ask another vendor."""
    state = history()
    error = errors.LocalOverload("no")
    fail(state, error)
    wait = decide(POLICY, state, 0.1)
    assert isinstance(wait, Wait)
    fail(state, error, 0.2)
    assert GiveUp(error) == decide(POLICY, state, 0.3)


def test_a_server_error_is_tried_once_more_within_50_ms():
    """500 and its like: one more try at the same target after at most 50 ms, then the next."""
    state = history()
    fail(state, errors.ServerError("no"))
    wait = decide(POLICY, state, 0.0)
    assert isinstance(wait, Wait)
    assert 0 <= wait.seconds <= 0.05
    again = decide(POLICY, state, wait.seconds)
    assert isinstance(again, Try)
    assert (0, "retry") == (again.target, again.kind)
    fail(state, errors.ServerError("no"))
    step = decide(POLICY, state, 0.1)
    assert isinstance(step, Try)
    assert 1 == step.target


def test_the_vendors_no_is_obeyed():
    """`x-should-retry: false` moves to the next target where a server error would have been repeated."""
    state = history()
    fail(state, errors.ServerError("no"), retry_same=False)
    step = decide(POLICY, state, 0.0)
    assert isinstance(step, Try)
    assert 1 == step.target


def test_a_stale_connection_is_repeated_once_and_does_not_count():
    """A kept connection that had died is replaced at once; a second time it is a failure."""
    state = history()
    fail(state, errors.StaleConnection("no"))
    again = decide(POLICY, state, 0.0)
    assert isinstance(again, Try)
    assert (0, "retry", False) == (again.target, again.kind, again.counted)
    fail(state, errors.StaleConnection("no"))
    step = decide(POLICY, state, 0.0)
    assert isinstance(step, Try)
    assert 1 == step.target
    assert 1 == state.attempts


def test_the_last_target_waits_out_a_rate_limit_that_fits():
    """Only where nobody is left, a call sleeps for as long as the vendor asked."""
    state = history(1)
    error = errors.RateLimited("slow", retry_after=20)
    fail(state, error)
    assert Wait(20) == decide(POLICY, state, 0.0)
    step = decide(POLICY, state, 20.0)
    assert isinstance(step, Try)
    assert 0 == step.target


@pytest.mark.parametrize("seconds", [61.0, 7200.0])
def test_a_long_wait_is_not_slept(seconds):
    """A wait over 60 s is handed to the caller instead of being slept."""
    state = history(1)
    error = errors.RateLimited("slow", retry_after=seconds)
    fail(state, error)
    assert GiveUp(error) == decide(POLICY, state, 0.0)


def test_a_wait_never_passes_the_deadline():
    """A wait that would end after the deadline is not begun."""
    state = history(1, limit=10)
    error = errors.RateLimited("slow", retry_after=20)
    fail(state, error)
    assert GiveUp(error) == decide(POLICY, state, 0.0)


def test_a_prompt_too_long_goes_only_to_a_larger_window():
    """T2 of the same size is passed over, T3 with a larger window is asked."""
    state = history(3, windows=(128_000, 128_000, 1_000_000))
    fail(state, errors.ContextTooLong("no"))
    step = decide(POLICY, state, 0.0)
    assert isinstance(step, Try)
    assert 2 == step.target


def test_a_prompt_too_long_for_all_is_raised_as_that():
    """With no larger window in the chain the error keeps its class."""
    state = history(2, windows=(128_000, 64_000))
    error = errors.ContextTooLong("no")
    fail(state, error)
    assert GiveUp(error) == decide(POLICY, state, 0.0)


def test_one_target_raises_its_own_error():
    """A chain of one raises the target's own error, not a collection."""
    state = history(1)
    error = errors.AuthInvalid("no")
    fail(state, error)
    assert GiveUp(error) == decide(POLICY, state, 0.0)


def test_all_failed_says_the_most_actionable_first():
    """The message begins with what a person can do something about, and `.exceptions` has every target's in order."""
    state = history(3)
    fail(state, errors.NoResponse("silence", provider="a", model="m"))
    fail(state, errors.Arrears("pay", provider="b", model="m"))
    last = errors.Overloaded("busy", provider="c", model="m", retry_after=90.0)
    fail(state, last)
    step = decide(POLICY, state, 0.0)
    assert isinstance(step, GiveUp)
    assert type(step.error) is AllTargetsFailed
    assert [errors.NoResponse, errors.Arrears, errors.Overloaded] == [type(each) for each in step.error.exceptions]
    assert str(step.error).startswith("all 3 targets failed: b:m: pay")
    assert 90.0 == step.error.retry_after


def test_nobody_could_be_tried():
    """A chain whose every target is passed over before a byte is sent says so by its class."""
    state = history(2)
    for number in range(2):
        step = decide(POLICY, state, 0.0)
        assert isinstance(step, Try)
        state.began(step)
        state.skipped(step.target, errors.CapabilityMismatch(f"no images {number}"))
    step = decide(POLICY, state, 0.0)
    assert isinstance(step, GiveUp)
    assert type(step.error) is AllTargetsUnavailable


def test_the_deadline_ends_everything():
    """After the deadline nothing is tried, and the error says who had been asked."""
    state = history()
    fail(state, errors.FirstTokenTimeout("slow", possibly_billed=True))
    step = decide(POLICY, state, 120.0)
    assert isinstance(step, GiveUp)
    assert type(step.error) is DeadlineExceeded
    assert "t0" in str(step.error)
    assert step.error.possibly_billed


@rows(("limit", "targets"), [(120.0, 3), (1.0, 2), (4.0, 5)])
def test_the_first_target_does_not_starve_the_rest(limit, targets):
    """Each target gets a slice of the time that is left, and each one behind it keeps one too."""
    state = history(targets, limit=limit)
    now = 0.0
    for number in range(targets):
        step = decide(POLICY, state, now)
        assert isinstance(step, Try)
        assert number == step.target
        assert now < step.deadline <= limit
        state.began(step)
        now = step.deadline
        state.failed(number, errors.FirstTokenTimeout("hangs"))
    assert limit == now


def test_a_long_chain_asks_every_target():
    """The bound on attempts is a bound on repetitions: no living target is left unasked for it."""
    state = history(7)
    asked = set()
    for _ in range(30):
        step = decide(POLICY, state, 0.0)
        if isinstance(step, GiveUp):
            break
        if isinstance(step, Wait):
            continue
        asked.add(step.target)
        state.began(step)
        state.failed(step.target, errors.ServerError("no"))
    assert set(range(7)) == asked
    assert 7 == state.attempts


ALL = [getattr(errors, name) for name in errors.__all__ if name not in ("LLMSwitchError", "InvalidRequest")]


@examples(
    20,
    100,
    targets=st.integers(1, 6),
    kinds=st.lists(st.sampled_from(ALL), min_size=40, max_size=40),
    waits=st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=40, max_size=40),
    spent=st.lists(st.floats(0, 30), min_size=40, max_size=40),
)
def test_every_history_ends(targets, kinds, waits, spent):
    """Whatever fails in whatever order: the call ends, in time, with few attempts, and never goes back in the chain."""
    state = history(targets)
    now, position = 0.0, -1
    for kind, wait, seconds in zip(kinds, waits, spent, strict=True):
        step = decide(POLICY, state, now)
        if isinstance(step, GiveUp):
            assert isinstance(step.error, LLMSwitchError)
            break
        if isinstance(step, Wait):
            assert 0 <= step.seconds
            assert now + step.seconds < state.deadline
            now += step.seconds
            continue
        assert step.target >= position
        assert now < step.deadline <= state.deadline
        position = step.target
        state.began(step)
        error = kind("no")
        error.retry_after = wait
        state.failed(step.target, error)
        now = min(now + seconds, step.deadline)
    else:
        pytest.fail("the call did not end")
    assert state.attempts <= max(POLICY.max_attempts, targets)
