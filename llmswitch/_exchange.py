"""
One call through a chain, written once as a generator: it yields what it wants done and is sent the outcome.

It never waits, so the sync and the async driver share all of it, and a test can play the network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import monotonic

from . import _errors
from ._answer import Clocks, Reading, read_answer
from ._capabilities import fit
from ._decision import GiveUp, History, Move, Try, Wait, decide
from ._errors import (
    AllTargetsFailed,
    CapabilityMismatch,
    DeadlineExceeded,
    FirstTokenTimeout,
    LLMSwitchError,
    OutputInvalid,
    StreamInterrupted,
    StreamStalled,
)
from ._reply import Attempt, ChatReply, ChatWarning
from ._request import ChatRequest
from ._setup import Chain
from ._wire import Action, Close, Exchange, Fault, FaultKind, Open, Opened, Outcome, Sleep

__all__ = ["Call", "exchange"]


@dataclass(slots=True)
class Call:
    """One call: what is asked, of which chain, within how many seconds."""

    chain: Chain
    request: ChatRequest
    stream: bool
    timeout: float | None = None
    clock: Callable[[], float] = monotonic

    def __repr__(self) -> str:
        return f"Call({self.chain.name}, {self.request!r})"


@dataclass(slots=True)
class _Failed:
    """
    An attempt that gave no answer. `tried`: bytes were sent. `final`: the caller has seen some of an answer, or has a
    whole one that is not in the form he asked for, so nobody else is asked.
    """

    error: LLMSwitchError
    tried: bool = True
    final: bool = False
    retry_same: bool | None = None


def exchange(call: Call) -> Exchange:
    """Ask the targets of the chain in turn until one answers. Raises what the decision gives up with."""
    policy, targets = call.chain.policy, call.chain.targets
    started = call.clock()
    limit = call.timeout if call.timeout is not None else policy.total_for(stream=call.stream)
    moves = [Move(target.name, target.adapter.capabilities.context) for target in targets]
    history = History(moves, started, started + limit)
    trail: list[Attempt] = []
    while True:
        step = decide(policy, history, call.clock())
        if isinstance(step, Wait):
            yield Sleep(step.seconds)
            continue
        if isinstance(step, GiveUp):
            final = step.error
            break
        attempt = Attempt(len(trail), targets[step.target].name, step.kind, call.clock())
        trail.append(attempt)
        history.began(step)
        outcome = yield from _attempt(call, step, attempt, history.deadline)
        if isinstance(outcome, ChatReply):
            outcome.attempts = tuple(trail)
            return outcome
        _note(attempt, outcome, call.clock())
        if outcome.final:
            final = outcome.error
            break
        if outcome.tried:
            history.failed(step.target, outcome.error, retry_same=outcome.retry_same)
        else:
            history.skipped(step.target, outcome.error)
    raise _bare(final, trail)


def _attempt(
    call: Call, step: Try, attempt: Attempt, deadline: float
) -> Generator[Action, Outcome, ChatReply | _Failed]:
    """Ask one target once."""
    target, policy = call.chain.targets[step.target], call.chain.policy
    request = call.request.overridden(target.settings)
    able = target.adapter.capabilities
    try:
        request, warnings = fit(request, able, provider=target.provider, model=target.model)
        http = target.adapter.build(request, stream=call.stream)
    except LLMSwitchError as error:
        # What this target can't hold another may; what is wrong with the request is wrong everywhere.
        return _Failed(error, tried=False, final=not isinstance(error, CapabilityMismatch))
    reasoning = request.reasoning not in (None, "off")
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
    reading = Reading(target, request, call.stream, clocks, attempt)
    try:
        opened = yield Open(target, http, clocks.first_token, policy.connect, policy.pool, policy.write)
        if isinstance(opened, Fault):
            raise _no_answer(reading, opened)
        assert isinstance(opened, Opened)
        assembly = yield from read_answer(reading, opened)
    except LLMSwitchError as error:
        yield Close()
        return _failed(call, reading, error, deadline)
    yield Close()
    return _reply(call, reading, assembly.reply(), warnings)


def _reply(call: Call, reading: Reading, reply: ChatReply, warnings: list[ChatWarning]) -> ChatReply:
    target, attempt = reading.target, reading.attempt
    reply.provider, reply.model = target.provider, target.model
    reply.response_format = reading.request.response_format
    reply.cost = target.cost(reply.usage)
    reply.warnings = [*warnings, *reply.warnings]
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


def _failed(call: Call, reading: Reading, error: LLMSwitchError, deadline: float) -> _Failed:
    """What an error of this attempt means for the call."""
    timed_out = isinstance(error, (FirstTokenTimeout, StreamStalled))
    if timed_out and call.clock() >= deadline:
        late = DeadlineExceeded("the call's time limit ran out", possibly_billed=True)
        late.provider, late.model = error.provider, error.model
        if reading.committed:
            late.partial = reading.assembly.reply()
            return _Failed(late, final=True)
        return _Failed(error)  # the decision says it, with all that was tried
    if isinstance(error, OutputInvalid):
        return _Failed(error, final=True)
    if not reading.committed:
        return _Failed(error, retry_same=reading.retry_same)
    return _Failed(_interrupted(reading, error), final=True)


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


def _note(attempt: Attempt, failed: _Failed, now: float) -> None:
    error = failed.error
    cause = error.__cause__ if isinstance(error.__cause__, LLMSwitchError) else error
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
