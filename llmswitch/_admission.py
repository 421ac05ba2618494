"""An attempt at a target from the leave to ask it to what came of it, with every leave handed back on every way out."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from . import _errors
from ._attempt import Ask, Failed, attempt_once, classified
from ._call import Call
from ._decision import Try
from ._errors import LLMSwitchError, RateLimited
from ._events import StreamReset
from ._operation import Reply
from ._reply import Attempt
from ._standing import Admission, Refusal
from ._target import Target
from ._wire import Action, Await, Outcome

# What bounds calls, and who keeps to whom, is loaded where there is any of it.
if TYPE_CHECKING:
    from ._continuation import Continuation
    from ._spending import Spending

__all__ = ["admitted"]


def admitted(
    call: Call,
    step: Try,
    attempt: Attempt,
    deadline: float,
    *,
    after: LLMSwitchError | None,
    taken_up: StreamReset | Continuation | None,
    visit: str,
    ask: Ask = attempt_once,
) -> Generator[Action, Outcome, Reply | Failed]:
    """
    Ask one target once, if its health allows it. `after`: what a repetition repeats; `taken_up`: how an answer that
    broke off begins anew, or goes on; `deadline` is the call's.
    """
    target, health = call.chain.targets[step.target], call.health
    admission = yield from _leave(call, step, attempt)
    if isinstance(admission, Refusal):
        return _passed_over(target, attempt, admission, call.clock())
    if step.kind == "retry" and step.counted and after is not None:
        admission.paid = health.repeat(target, throttled=isinstance(after, RateLimited))
    attempt.probe, attempt.breaker_before = admission.probe, admission.before
    outcome: Reply | Failed | None = None
    spending: Spending | None = None
    try:
        if call.allowances is not None:
            from ._spending import reserve

            reserved = yield from reserve(call, step, attempt, call.allowances)
            if isinstance(reserved, Failed):
                outcome = reserved
                return outcome
            spending = reserved
        outcome = yield from ask(call, step, attempt, deadline, taken_up, visit)
        if isinstance(outcome, Failed) and outcome.tried and not outcome.neutral:
            error = classified(outcome.error)
            health.failed(admission, error, stream=call.stream)
            if call.allowances is not None and isinstance(error, _errors.QuotaExhausted):
                call.allowances.exhausted(target, error.retry_after)
                if call.grants is not None:
                    call.grants.exhausted(target)
        return outcome
    finally:
        if spending is not None:
            spending.settle(attempt, outcome)
        if attempt.whole:  # also where the caller leaves with the last event
            began = None if attempt.ttft_ms is None else attempt.ttft_ms / 1000
            health.succeeded(admission, stream=call.stream, seconds=began)
        elif attempt.cancelled_by == "hedge" and step.kind != "hedge":
            health.outrun(admission, call.clock() - attempt.started, stream=call.stream)
        health.released(admission)  # cancelled, closed, or nothing that counts; else it does nothing
        attempt.breaker_after, attempt.cooldown = health.breaker_state(target), admission.cooled
        heard = outcome is None and attempt.ttft_ms is not None and attempt.cancelled_by is None
        if heard and call.chain.groups:
            from ._balancing import answered

            answered(call, target)  # as far as the caller would hear it
        if outcome is None and not attempt.whole:
            attempt.cancelled_by = attempt.cancelled_by or "caller"
            attempt.end_ms = (call.clock() - attempt.started) * 1000


def _leave(call: Call, step: Try, attempt: Attempt) -> Generator[Action, Outcome, Admission | Refusal]:
    """Leave to ask the target; where this process has no room for one more call there, after a while in the queue."""
    target, health, began = call.chain.targets[step.target], call.health, call.clock()
    admission = health.admit(target, step.deadline - began, forced=step.forced)
    if isinstance(admission, Admission) or admission.kind != "busy":
        return admission
    turn = health.wait(target)
    try:
        yield Await(turn, min(began + call.chain.policy.pool, step.deadline))
        now = call.clock()
        attempt.queued_ms, attempt.started = (now - began) * 1000, now
        return health.admit(target, step.deadline - now, forced=step.forced, turn=turn)
    finally:
        health.give_up(target, turn)


def _passed_over(target: Target, attempt: Attempt, refusal: Refusal, now: float) -> Failed:
    error = _refused(target, refusal, now)
    attempt.end_ms = 0.0
    return Failed(
        error,
        tried=False,
        until=refusal.until if refusal.transient and refusal.kind != "busy" else None,
        forcible=refusal.kind == "open" and refusal.transient,
    )


def _refused(target: Target, refusal: Refusal, now: float) -> LLMSwitchError:
    """The error that stands for a target that was not asked: of the class that took it out."""
    if refusal.reason == "isolated":
        error: LLMSwitchError = _errors.Overloaded("it was taken out by hand")
    else:
        seconds = max(0.0, refusal.until - now)
        said = {
            "cooling": f"not asked: {refusal.reason} before, for {seconds:.0f} s more",
            "open": f"not asked: it failed too often ({refusal.reason}); tried again in {seconds:.0f} s",
            "busy": "not asked: this process has as many calls in flight there as it may; see max_in_flight",
        }[refusal.kind]
        error = getattr(_errors, refusal.reason, _errors.Overloaded)(said)
        error.retry_after = seconds if refusal.kind != "busy" else None
    error.provider, error.model = target.provider, target.model
    return error
