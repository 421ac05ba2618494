"""
One call through a chain, written once as a generator: it yields what it wants done and is sent the outcome.

It never waits, so the sync and the async driver share all of it, and a test can play the network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from time import monotonic

from . import _errors
from ._answer import Clocks, Reading, read_answer
from ._capabilities import fit
from ._chain import Chain
from ._decision import GiveUp, History, Move, Try, Wait, decide
from ._errors import (
    AllTargetsFailed,
    CapabilityMismatch,
    DeadlineExceeded,
    FirstTokenTimeout,
    LLMSwitchError,
    OutputInvalid,
    RateLimited,
    StreamInterrupted,
    StreamStalled,
)
from ._events import StreamReset
from ._health import Health, Refusal
from ._hooks import Hooks
from ._policy import rule_for
from ._reply import Attempt, ChatReply, ChatWarning
from ._request import ChatRequest
from ._target import Target
from ._wire import Action, Close, Exchange, Fault, FaultKind, Open, Opened, Outcome, Sleep

__all__ = ["Call", "exchange"]


@dataclass(slots=True)
class Call:
    """One call: what is asked, of which chain, within how many seconds, with what is known of the targets."""

    chain: Chain
    request: ChatRequest
    stream: bool
    timeout: float | None = None
    clock: Callable[[], float] = monotonic
    health: Health = field(default_factory=Health)
    hooks: Hooks = field(default_factory=Hooks)
    drill: str | None = None

    @property
    def restarts(self) -> bool:
        """Whether the answer of this stream may begin anew after it had begun."""
        return self.stream and self.chain.policy.on_stream_failure == "restart"

    def __repr__(self) -> str:
        return f"Call({self.chain.name}, {self.request!r})"


@dataclass(slots=True)
class _Failed:
    """
    An attempt that gave no answer. `tried`: bytes were sent. `final`: the caller has seen some of an answer, or has a
    whole one that is not in the form he asked for, so nobody else is asked. `restartable`: it may begin anew elsewhere,
    if the caller chose that. `neutral`: it says nothing about the target.
    """

    error: LLMSwitchError
    tried: bool = True
    final: bool = False
    neutral: bool = False
    restartable: bool = False
    retry_same: bool | None = None


def exchange(call: Call) -> Exchange:
    """Ask the targets of the chain in turn until one answers. Raises what the decision gives up with."""
    policy, targets = call.chain.policy, call.chain.targets
    started = call.clock()
    limit = call.timeout if call.timeout is not None else policy.total_for(stream=call.stream)
    moves = [Move(target.name, target.adapter.capabilities.context) for target in targets]
    history = History(moves, started, started + limit)
    trail: list[Attempt] = []
    interrupted: _Failed | None = None
    while True:
        step = decide(policy, history, call.clock(), repeatable=_repeatable(call, history))
        if isinstance(step, Wait):
            yield Sleep(step.seconds)
            continue
        if isinstance(step, GiveUp):
            # what the caller has of a broken answer is worth more than that nobody else could begin anew
            final = interrupted.error if interrupted is not None else step.error
            break
        attempt = Attempt(len(trail), targets[step.target].name, step.kind, call.clock())
        if trail and trail[-1].target != attempt.target and history.failures:
            call.hooks.switched(trail[-1].target, attempt.target, history.failures[-1].error)
        trail.append(attempt)
        history.began(step)
        reset = _reset(interrupted.error, attempt.target) if interrupted is not None else None
        outcome = yield from _admitted(call, step, attempt, history, reset)
        if isinstance(outcome, ChatReply):
            outcome.attempts = tuple(trail)
            call.hooks.attempted(attempt, None)
            return outcome
        if outcome is None:
            call.hooks.attempted(attempt, history.failures[-1].error)
            continue
        _note(attempt, outcome, call.clock())
        call.hooks.attempted(attempt, _classified(outcome.error))
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
    raise _bare(final, trail)


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
    call: Call, step: Try, attempt: Attempt, history: History, reset: StreamReset | None
) -> Generator[Action, Outcome, ChatReply | _Failed | None]:
    """The attempt, if the target's health allows it; `None` where it was passed over."""
    target, health, now = call.chain.targets[step.target], call.health, call.clock()
    admission = health.admit(target, step.deadline - now, forced=step.forced)
    if isinstance(admission, Refusal):
        error = _refused(target, admission, now)
        attempt.skipped_because = attempt.message = error.message
        attempt.error = type(error).__name__
        attempt.end_ms = 0.0
        until = admission.until if admission.transient else None
        history.skipped(step.target, error, until=until, forcible=admission.kind == "open" and admission.transient)
        return None
    if step.kind == "retry" and step.counted and history.failures:
        admission.paid = health.repeat(target, throttled=isinstance(history.failures[-1].error, RateLimited))
    try:
        outcome = yield from _attempt(call, step, attempt, history.deadline, reset)
        if isinstance(outcome, ChatReply):
            health.succeeded(admission)
        elif outcome.tried and not outcome.neutral:
            health.failed(admission, _classified(outcome.error))
        return outcome
    finally:
        health.released(admission)  # cancelled, closed, or nothing that counts; else it does nothing


def _refused(target: Target, refusal: Refusal, now: float) -> LLMSwitchError:
    """The error that stands for a target that was not asked: of the class that took it out."""
    if refusal.reason == "isolated":
        error: LLMSwitchError = _errors.Overloaded("it was taken out by hand")
    else:
        seconds = max(0.0, refusal.until - now)
        said = {
            "cooling": f"not asked: {refusal.reason} before, for {seconds:.0f} s more",
            "open": f"not asked: it failed too often ({refusal.reason}); tried again in {seconds:.0f} s",
            "busy": "not asked: too many calls of this process are in flight there",
        }[refusal.kind]
        error = getattr(_errors, refusal.reason, _errors.Overloaded)(said)
        error.retry_after = seconds
    error.provider, error.model = target.provider, target.model
    return error


def _classified(error: LLMSwitchError) -> LLMSwitchError:
    """What went wrong, beneath the fact that an answer was broken off by it."""
    return error.__cause__ if isinstance(error.__cause__, LLMSwitchError) else error


def _attempt(
    call: Call, step: Try, attempt: Attempt, deadline: float, reset: StreamReset | None
) -> Generator[Action, Outcome, ChatReply | _Failed]:
    """Ask one target once."""
    target, policy = call.chain.targets[step.target], call.chain.policy
    request = call.request.overridden(target.settings)
    able = target.adapter.capabilities
    try:
        request, warnings = fit(request, able, provider=target.provider, model=target.model)
        http = target.adapter.build(request, stream=call.stream)
    except LLMSwitchError as error:
        if isinstance(error, CapabilityMismatch):
            error.provider, error.model = target.provider, target.model
        # What this target can't hold another may; what is wrong with the request is wrong everywhere.
        return _Failed(error, tried=False, final=not isinstance(error, CapabilityMismatch))
    reasoning = able.thinks_unasked if request.reasoning is None else request.reasoning != "off"
    began = attempt.started
    first = target.first_token_timeout or policy.first_token_for(reasoning=reasoning)
    clocks = Clocks(
        now=call.clock,
        # A whole answer has no first token before its last: it has the attempt's time.
        first_token=min(began + first, step.deadline) if call.stream else step.deadline,
        attempt=step.deadline,
        call=deadline,
        idle=target.idle_timeout or policy.idle_for(reasoning=reasoning),
        grace=policy.grace,
    )
    reading = Reading(target, request, call.stream, clocks, attempt, reset=reset)
    try:
        opened = yield Open(target, http, clocks.first_token, policy.connect, policy.pool, policy.write)
        if isinstance(opened, Fault):
            raise _no_answer(reading, opened)
        assert isinstance(opened, Opened)
        assembly = yield from read_answer(reading, opened)
    except LLMSwitchError as error:
        yield Close()
        return _failed(call, reading, error, deadline, full=began + first)
    yield Close()
    return _reply(call, reading, assembly.reply(), warnings)


def _reply(call: Call, reading: Reading, reply: ChatReply, warnings: list[ChatWarning]) -> ChatReply:
    target, attempt = reading.target, reading.attempt
    reply.provider, reply.model = target.provider, target.model
    reply.response_format = reading.request.response_format
    reply.cost = target.cost(reply.usage)
    drill = [ChatWarning("drill", call.drill)] if call.drill is not None else []
    reply.warnings = [*drill, *warnings, *reply.warnings]
    attempt.usage, attempt.cost = reply.usage, reply.cost
    attempt.end_ms = (call.clock() - attempt.started) * 1000
    return reply


# The class that a fault of the network has before an answer began, and what to say of it.
_BEFORE: dict[FaultKind, tuple[type[LLMSwitchError], str]] = {
    "connect": (_errors.ConnectFailed, "no connection"),
    "tls": (_errors.TLSInvalid, "the TLS connection is not to be trusted"),
    "stale": (_errors.StaleConnection, "a kept connection had been closed"),
    "broken": (_errors.NoResponse, "the connection ended before an answer began"),
    "timeout": (_errors.FirstTokenTimeout, "the answer did not begin within its time limit"),
    "garbage": (_errors.MalformedResponse, "the answer is not valid HTTP"),
    "pool": (_errors.LocalOverload, "no connection of this process became free"),
    "local": (_errors.LocalOverload, "this machine could not open a connection"),
}
_NOTHING_SENT = frozenset({"connect", "tls", "stale", "pool", "local"})


def _no_answer(reading: Reading, fault: Fault) -> LLMSwitchError:
    kind, said = _BEFORE[fault.kind]
    if fault.lasting:
        reading.retry_same = False
    if fault.kind in ("connect", "tls") and not fault.lasting:
        said = f"{said} ({reading.target.endpoint.origin})"
    message = f"{said}: {fault.message}" if fault.message else said
    return reading.problem(kind, message, billed=fault.kind not in _NOTHING_SENT)


def _failed(call: Call, reading: Reading, error: LLMSwitchError, deadline: float, *, full: float) -> _Failed:
    """
    What an error of this attempt means for the call. A silence counts against the target only where it lasted until
    `full`, the target's own limit to the first token: what a caller in a hurry cuts short says nothing.
    """
    timed_out = isinstance(error, (FirstTokenTimeout, StreamStalled))
    hurried = isinstance(error, FirstTokenTimeout) and call.clock() < full
    if timed_out and call.clock() >= deadline:
        late = DeadlineExceeded("the call's time limit ran out", possibly_billed=True)
        late.provider, late.model = error.provider, error.model
        if reading.committed:
            late.partial = reading.assembly.reply()
            return _Failed(late, final=True, neutral=True)
        return _Failed(error, neutral=hurried)  # the decision says it, with all that was tried
    if isinstance(error, OutputInvalid):
        return _Failed(error, final=True)
    if not reading.committed:
        return _Failed(error, retry_same=reading.retry_same, neutral=hurried)
    # a call that was handed over whole may have been run: it must not be asked for a second time
    restartable = not reading.assembly.finished_calls
    return _Failed(_interrupted(reading, error), final=True, restartable=restartable)


def _interrupted(reading: Reading, error: LLMSwitchError) -> StreamInterrupted:
    """The answer broke off after the caller had seen some of it: what he has, and why there is no more."""
    if isinstance(error, StreamInterrupted):
        interrupted = error
    else:
        interrupted = StreamInterrupted(
            f"the answer broke off: {error.message}",
            provider=error.provider,
            model=error.model,
            status=error.status,
            code=error.code,
            request_id=error.request_id,
            retry_after=error.retry_after,
            possibly_billed=True,
        )
        interrupted.__cause__ = _bare(error, ())
    assembly = reading.assembly
    partial = assembly.reply()
    partial.provider, partial.model = reading.target.provider, reading.target.model
    interrupted.partial = partial
    interrupted.incomplete_tool_calls = assembly.unfinished_calls
    interrupted.usage_estimate = partial.usage if partial.usage.output_tokens is not None else None
    return interrupted


def _reset(error: LLMSwitchError, target: str) -> StreamReset:
    assert isinstance(error, StreamInterrupted)
    partial = error.partial
    discarded = len(partial.text) + len(partial.reasoning) if partial is not None else 0
    return StreamReset(type(_classified(error)).__name__, discarded, target)


def _note(attempt: Attempt, failed: _Failed, now: float) -> None:
    error = failed.error
    cause = _classified(error)
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


def _bare(error: LLMSwitchError, trail: list[Attempt] | tuple[()]) -> LLMSwitchError:
    """The error with its trail and without the frames and causes that hold requests."""
    for each in (error, *(error.exceptions if isinstance(error, AllTargetsFailed) else ())):
        each.__traceback__ = None
        each.__context__ = None
        each.attempts = tuple(trail) or each.attempts
    return error
