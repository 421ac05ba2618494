"""
One call through a chain, written once as a generator: it yields what it wants done and is sent the outcome.

It never waits, so the sync and the async driver share all of it, and a test can play the network.
"""

from __future__ import annotations

from collections.abc import Generator
from uuid import uuid4

from . import _errors
from ._attempt import Failed, attempt_once, bare, classified
from ._call import Call
from ._decision import GiveUp, History, Move, Try, Wait, decide
from ._errors import LLMSwitchError, RateLimited, StreamInterrupted
from ._events import StreamReset
from ._health import Admission, Refusal
from ._policy import rule_for
from ._reply import Attempt, ChatReply
from ._target import Target
from ._wire import Action, Await, Exchange, Outcome, Sleep

__all__ = ["Call", "exchange"]


def exchange(call: Call) -> Exchange:
    """Ask the targets of the chain in turn until one answers. Raises what the decision gives up with."""
    policy, targets = call.chain.policy, call.chain.targets
    started = call.clock()
    limit = call.timeout if call.timeout is not None else policy.total_for(stream=call.stream)
    moves = [Move(target.name, target.adapter.capabilities.context) for target in targets]
    history = History(moves, started, started + limit if call.by is None else min(started + limit, call.by))
    trail: list[Attempt] = []
    interrupted: Failed | None = None
    visit = ""  # the same for a request and its repetition, so that a vendor who heeds it runs it once
    while True:
        step = decide(policy, history, call.clock(), repeatable=_repeatable(call, history))
        if isinstance(step, Wait):
            yield Sleep(step.seconds)
            continue
        if isinstance(step, GiveUp):
            # what the caller has of a broken answer is worth more than that nobody else could begin anew
            final = interrupted.error if interrupted is not None else step.error
            break
        target = targets[step.target]
        attempt = Attempt(len(trail), target.name, step.kind, call.clock(), target.scope_hashes)
        if trail and trail[-1].target != attempt.target and history.failures:
            call.hooks.switched(trail[-1].target, attempt.target, history.failures[-1].error)
        trail.append(attempt)
        history.began(step)
        reset = _reset(interrupted.error, attempt.target) if interrupted is not None else None
        if step.kind != "retry" or history.resume is not None:
            visit = uuid4().hex
        outcome = yield from _admitted(call, step, attempt, history, reset, visit)
        if isinstance(outcome, ChatReply):
            outcome.attempts = tuple(trail)
            call.hooks.attempted(attempt, None)
            return outcome
        if outcome is None:
            call.hooks.attempted(attempt, history.failures[-1].error)
            continue
        _note(attempt, outcome, call.clock())
        call.hooks.attempted(attempt, classified(outcome.error))
        if outcome.final and not (outcome.restartable and policy.on_stream_failure == "restart"):
            final = outcome.error
            break
        if outcome.final:
            interrupted = outcome
        if outcome.tried:
            history.failed(
                step.target, outcome.error, retry_same=outcome.retry_same, until=_until(outcome.error, call.clock())
            )
        else:
            history.skipped(step.target, outcome.error)
    raise bare(final, trail)


def _repeatable(call: Call, history: History) -> bool:
    """Whether the account that failed last may be asked again."""
    if not history.failures or not history.failures[-1].tried:
        return True
    last = history.failures[-1]
    return call.health.can_repeat(call.chain.targets[last.target], throttled=isinstance(last.error, RateLimited))


def _until(error: LLMSwitchError, now: float) -> float | None:
    """When a target that failed may be asked again, where it said so itself and will come back without a person."""
    rule = rule_for(error).cool
    return now + error.retry_after if error.retry_after is not None and rule is not None and rule.transient else None


def _admitted(
    call: Call, step: Try, attempt: Attempt, history: History, reset: StreamReset | None, visit: str
) -> Generator[Action, Outcome, ChatReply | Failed | None]:
    """The attempt, if the target's health allows it; `None` where it was passed over."""
    target, health = call.chain.targets[step.target], call.health
    admission = yield from _leave(call, step, attempt)
    if isinstance(admission, Refusal):
        error = _refused(target, admission, call.clock())
        attempt.skipped_because = attempt.message = error.message
        attempt.error = type(error).__name__
        attempt.end_ms = 0.0
        until = admission.until if admission.transient else None
        history.skipped(step.target, error, until=until, forcible=admission.kind == "open" and admission.transient)
        return None
    if step.kind == "retry" and step.counted and history.failures:
        admission.paid = health.repeat(target, throttled=isinstance(history.failures[-1].error, RateLimited))
    attempt.probe, attempt.breaker_before = admission.probe, admission.before
    outcome: ChatReply | Failed | None = None
    try:
        outcome = yield from attempt_once(call, step, attempt, history.deadline, reset, visit)
        if isinstance(outcome, Failed) and outcome.tried and not outcome.neutral:
            health.failed(admission, classified(outcome.error))
        return outcome
    finally:
        if attempt.whole:  # also where the caller leaves with the last event
            health.succeeded(admission)
        health.released(admission)  # cancelled, closed, or nothing that counts; else it does nothing
        attempt.breaker_after, attempt.cooldown = health.breaker_state(target), admission.cooled
        if outcome is None and not attempt.whole:
            attempt.cancelled_by = "caller"
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


def _reset(error: LLMSwitchError, target: str) -> StreamReset:
    assert isinstance(error, StreamInterrupted)
    partial = error.partial
    discarded = len(partial.text) + len(partial.reasoning) if partial is not None else 0
    return StreamReset(type(classified(error)).__name__, discarded, target)


def _note(attempt: Attempt, failed: Failed, now: float) -> None:
    error = failed.error
    cause = classified(error)
    attempt.error = type(cause).__name__
    attempt.message = cause.message
    attempt.status = attempt.status or error.status
    attempt.code = error.code
    attempt.retry_after = error.retry_after
    attempt.possibly_billed = error.possibly_billed
    attempt.request_id = attempt.request_id or error.request_id
    attempt.end_ms = (now - attempt.started) * 1000
    if not failed.tried:
        attempt.skipped_because = error.message
