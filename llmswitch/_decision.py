"""
What comes next in a call: a pure function of the policy, the clock and what has happened so far.

It does no I/O and waits for nothing, so it is tested with a clock of its own against histories that are made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ._errors import (
    AllTargetsFailed,
    AllTargetsUnavailable,
    BudgetExceeded,
    DeadlineExceeded,
    LLMSwitchError,
    RateLimited,
)
from ._policy import Policy, rule_for
from ._reply import AttemptKind

__all__ = ["Failure", "GiveUp", "History", "Move", "Step", "Try", "Wait", "decide"]


class Move(NamedTuple):
    """What the decision has to know of a target: its name and its window in tokens."""

    name: str
    window: int | None = None


class Failure(NamedTuple):
    """
    One thing that went wrong, or a target that was passed over (`tried` is false).

    `until`: when the target may be asked again, where it is known to come back by itself. `forcible`: a statistic keeps
    it out, not a fact that it declared, so it may be asked before that where nobody else is left.
    """

    target: int
    error: LLMSwitchError
    tried: bool = True
    retry_same: bool | None = None
    until: float | None = None
    forcible: bool = False


@dataclass(slots=True, eq=False, repr=False)
class History:
    """
    A call so far. Times are seconds of a monotonic clock. `position` is the target that was asked last, -1 before the
    first. `attempts` counts requests that were sent, `here` those to the current target; a repetition on a fresh
    connection does not count. `resume` is the target that the second pass goes back to. `forced`: a target was asked in
    spite of its breaker, which happens once.
    """

    targets: Sequence[Move]
    started: float
    deadline: float
    position: int = -1
    attempts: int = 0
    here: int = 0
    refreshed: bool = False
    waited: bool = False
    resume: int | None = None
    forced: bool = False
    failures: list[Failure] = field(default_factory=list)

    def began(self, step: "Try") -> None:
        """The step is being carried out."""
        if step.target != self.position:
            self.position, self.here, self.refreshed = step.target, 0, False
        self.waited = False
        if step.counted:
            self.attempts += 1
            self.here += 1
        else:
            self.refreshed = True

    def skipped(
        self, target: int, error: LLMSwitchError, *, until: float | None = None, forcible: bool = False
    ) -> None:
        """The target was passed over before a byte was sent."""
        self.attempts -= 1
        self.failures.append(Failure(target, error, tried=False, until=until, forcible=forcible))

    def failed(
        self, target: int, error: LLMSwitchError, *, retry_same: bool | None = None, until: float | None = None
    ) -> None:
        """The attempt failed; `retry_same` is what the vendor said of asking again."""
        self.failures.append(Failure(target, error, retry_same=retry_same, until=until))


class Try(NamedTuple):
    """Ask this target, until `deadline` at the latest; `forced`, although its breaker is open."""

    target: int
    kind: AttemptKind
    deadline: float
    counted: bool = True
    forced: bool = False


class Wait(NamedTuple):
    """Do nothing for so many seconds, then decide again."""

    seconds: float


class GiveUp(NamedTuple):
    """Raise this."""

    error: LLMSwitchError


Step: TypeAlias = Try | Wait | GiveUp


def decide(policy: Policy, history: History, now: float, *, repeatable: bool = True) -> Step:
    """The next step of a call. `repeatable`: the retry budget allows to ask the same target again."""
    if now >= history.deadline:
        return GiveUp(_out_of_time(history))
    if not history.failures:
        return _try(policy, history, 0, "first", now)
    last = history.failures[-1]
    rule = rule_for(last.error)
    following = None
    # who was passed over refused nothing, whatever the reason
    moves = policy.moves(last.error) != "never" or not last.tried
    if moves and history.resume is None:
        following = _next_target(history, last)
    if last.tried and last.retry_same is not False and (history.resume is None or rule.again == "fresh"):
        again = _again(policy, history, last, following, now, repeatable=repeatable)
        if again is not None:
            return again
    # each target is asked once whatever the number; what the number bounds is asking again
    if following is not None and history.attempts < max(policy.max_attempts, len(history.targets)):
        return _try(policy, history, following, "fallback" if history.attempts else "first", now)
    second = _second_pass(policy, history, now, repeatable=repeatable) if moves else None
    return second or GiveUp(_all_failed(policy, history, last))


def _again(
    policy: Policy, history: History, last: Failure, following: int | None, now: float, *, repeatable: bool
) -> Step | None:
    """The same target once more, or `None`."""
    again = rule_for(last.error).again
    if again == "fresh":
        return None if history.refreshed else _try(policy, history, last.target, "retry", now, counted=False)
    if again == "renewed":
        renewed = last.retry_same is True and history.here <= 1
        return _try(policy, history, last.target, "retry", now) if renewed else None
    if again == "never" or (again != "once" and following is not None) or history.here > 1 or not repeatable:
        return None
    to_come = len(history.targets) - 1 - last.target
    if policy.stop(history.attempts + to_come, now - history.started, history.deadline - history.started):
        return None
    if history.waited:
        return _try(policy, history, last.target, "retry", now, forced=following is None)
    if following is not None and last.error.retry_after:
        return None  # nobody sleeps for a vendor while somebody else is left
    seconds = _how_long(policy, history, last.error)
    if seconds is None or now + seconds >= history.deadline:
        return None
    history.waited = True
    return Wait(seconds)


def _how_long(policy: Policy, history: History, error: LLMSwitchError) -> float | None:
    """Seconds to wait before the same target is asked again; `None` where that is longer than a call may sleep."""
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= policy.longest_wait else None
    return policy.wait(history.here, throttled=isinstance(error, RateLimited))


def _second_pass(policy: Policy, history: History, now: float, *, repeatable: bool) -> Step | None:
    """
    Nobody is left: once, go back to the target that is the first to come back, if that is soon enough.

    A breaker is only a statistic, so where nobody could be asked at all its target is asked in spite of it, unless
    somebody else said that he comes back sooner.
    """
    if history.resume is not None:
        # after the wait; what was found then is the last word
        return None if history.here else _try(policy, history, history.resume, "retry", now, forced=True)
    if history.attempts >= max(policy.max_attempts, 1):
        return None
    latest = {failure.target: failure for failure in history.failures}.values()
    tried = any(failure.tried for failure in history.failures)
    coming = [
        failure
        for failure in latest
        if failure.until is not None
        and ((repeatable or not failure.tried) if not failure.forcible else not tried and not history.forced)
    ]
    for failure in sorted(coming, key=lambda failure: failure.until or now):
        wait = max(0.0, (failure.until or now) - now)
        if failure.forcible:
            history.forced = True
            return _try(policy, history, failure.target, "retry", now, forced=True)
        if wait <= policy.longest_wait and now + wait < history.deadline:
            history.resume, history.here, history.position, history.refreshed = failure.target, 0, failure.target, False
            return Wait(wait) if wait else _try(policy, history, failure.target, "retry", now, forced=True)
    return None


def _next_target(history: History, last: Failure) -> int | None:
    # whoever has no larger window than one that was too small need not be asked
    small = [
        history.targets[failure.target].window or 0
        for failure in history.failures
        if rule_for(failure.error).move == "larger"
    ]
    for index in range(last.target + 1, len(history.targets)):
        candidate = history.targets[index].window
        # a window that nobody has written down may well be large enough
        if candidate is None or candidate > max(small, default=0):
            return index
    return None


def _try(
    policy: Policy,
    history: History,
    target: int,
    kind: AttemptKind,
    now: float,
    *,
    counted: bool = True,
    forced: bool = False,
) -> Try:
    remaining = history.deadline - now
    to_come = 0 if history.resume is not None else len(history.targets) - 1 - target
    # A reserve for each target still to come; where the limit is too short for that, an even share.
    share = max(remaining - policy.reserve * to_come, remaining / (to_come + 1))
    return Try(target, kind, now + share, counted, forced)


def _out_of_time(history: History) -> LLMSwitchError:
    limit = max(0.0, round(history.deadline - history.started, 2))
    asked = ", ".join(
        dict.fromkeys(history.targets[failure.target].name for failure in history.failures if failure.tried)
    )
    error = DeadlineExceeded(f"the call's limit of {limit:g} s ran out" + (f"; asked so far: {asked}" if asked else ""))
    error.possibly_billed = any(failure.error.possibly_billed for failure in history.failures)
    return error


# Which failure of several tells a person most about what to do: what needs him comes first.
_ACTIONABLE = (
    "AuthInvalid",
    "Arrears",
    "RegionBlocked",
    "ModelGone",
    "PermissionDenied",
    "QuotaExhausted",
    "TLSInvalid",
    "CapabilityMismatch",
    "ContextTooLong",
)


def _all_failed(policy: Policy, history: History, last: Failure) -> LLMSwitchError:
    if policy.moves(last.error) == "never" and last.tried:
        return last.error
    by_target = {failure.target: failure.error for failure in history.failures}
    errors = tuple(by_target[target] for target in sorted(by_target))
    if len(errors) == 1:
        return last.error
    tried = any(failure.tried for failure in history.failures)
    names = [type(error).__name__ for error in errors]
    first = next((kind for kind in _ACTIONABLE if kind in names), names[-1])
    said = [f"{error}" for error in sorted(errors, key=lambda error: type(error).__name__ != first)]
    head = f"all {len(errors)} targets failed" if tried else f"none of the {len(errors)} targets could be tried"
    kind: type[LLMSwitchError] = AllTargetsFailed if tried else AllTargetsUnavailable
    if all(isinstance(error, BudgetExceeded) for error in errors):
        kind = BudgetExceeded  # one's own no, whoever is asked
    combined = kind(f"{head}: " + "; ".join(said))
    if isinstance(combined, AllTargetsFailed):
        combined.exceptions = errors
    combined.possibly_billed = any(error.possibly_billed for error in errors)
    waits = [error.retry_after for error in errors if error.retry_after is not None]
    combined.retry_after = min(waits) if waits else None
    return combined
