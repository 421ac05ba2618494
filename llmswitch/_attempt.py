"""One attempt: one target is asked once, and what came of it is a reply or a classified failure."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from . import _errors
from ._adapter import HTTPRequest
from ._answer import read_answer
from ._bare import bare
from ._call import Call
from ._decision import Try
from ._endpoint import Endpoint
from ._errors import (
    CapabilityMismatch,
    ClientClosed,
    DeadlineExceeded,
    FirstTokenTimeout,
    LLMSwitchError,
    OutputInvalid,
    StreamInterrupted,
    StreamStalled,
)
from ._events import StreamReset
from ._log import warn_once
from ._operation import Reply, Request
from ._reading import Clocks, Reading
from ._redirects import MOST_REDIRECTS, redirected
from ._reply import Attempt, ChatReply, ChatWarning, Cost, Usage
from ._request import ChatRequest
from ._target import Target
from ._wire import Action, Close, Fault, FaultKind, Open, Opened, Outcome

if TYPE_CHECKING:
    from ._continuation import Continuation
    from ._holding import Holding

__all__ = [
    "Ask",
    "Failed",
    "Prepared",
    "attempt_once",
    "bare",
    "classified",
    "prepared",
    "priced",
    "reasons",
    "unanswered",
]


class Failed(NamedTuple):
    """
    An attempt that gave no answer. `tried`: bytes were sent. `final`: the caller has seen some of an answer, or has a
    whole one that is not in the form he asked for, so nobody else is asked. `restartable`: it may begin anew elsewhere,
    if the caller chose that. `neutral`: it says nothing about the target. `until` and `forcible`, of a target that was
    passed over: when it may be asked, and whether it may be asked before that where nobody else is left.
    """

    error: LLMSwitchError
    tried: bool = True
    final: bool = False
    neutral: bool = False
    restartable: bool = False
    retry_same: bool | None = None
    until: float | None = None
    forcible: bool = False


def classified(error: LLMSwitchError) -> LLMSwitchError:
    """What went wrong, beneath the fact that an answer was broken off by it."""
    return error.__cause__ if isinstance(error.__cause__, LLMSwitchError) else error


class Prepared(NamedTuple):
    """A request as it is to be sent, with the limits in seconds to its first word and between words."""

    request: Request
    warnings: list[ChatWarning]
    http: HTTPRequest
    first: float
    idle: float


def prepared(
    call: Call, step: Try, taken_up: StreamReset | Continuation | None = None, visit: str = ""
) -> Prepared | Failed:
    """What is to be sent to a target, or why that can't be. Nothing is done yet."""
    target, policy = call.chain.targets[step.target], call.chain.policy
    onward = None if isinstance(taken_up, StreamReset) else taken_up
    request = (call.request if onward is None else onward.request).overridden(target.settings)
    try:
        request, warnings = call.operation.fit(request, target)
        http = call.operation.build(target.adapter, request, stream=call.stream)
        if target.endpoint.idempotency_header is not None:
            http.headers = {**http.headers, target.endpoint.idempotency_header: visit}
    except LLMSwitchError as error:
        if isinstance(error, CapabilityMismatch):
            error.provider, error.model = target.provider, target.model
        # What this target can't hold another may; what is wrong with the request is wrong everywhere.
        return Failed(error, tried=False, final=not isinstance(error, CapabilityMismatch))
    reasoning = reasons(request, target)
    slow = target.spec.first_token_timeout
    first = target.first_token_timeout or policy.first_token_for(reasoning=reasoning, slow=slow)
    return Prepared(request, warnings, http, first, target.idle_timeout or policy.idle_for(reasoning=reasoning))


def attempt_once(
    call: Call, step: Try, attempt: Attempt, deadline: float, taken_up: StreamReset | Continuation | None, visit: str
) -> Generator[Action, Outcome, Reply | Failed]:
    """
    Ask one target once. `taken_up`: how an answer that broke off before begins anew, or goes on. `visit` names the
    request to a vendor who knows repeated ones.
    """
    ready = prepared(call, step, taken_up, visit)
    if isinstance(ready, Failed):
        return ready
    target, policy, request, began = call.chain.targets[step.target], call.chain.policy, ready.request, attempt.started
    onward = None if isinstance(taken_up, StreamReset) else taken_up
    clocks = Clocks(
        now=call.clock,
        # A whole answer has no first token before its last: it has the attempt's time.
        first_token=min(began + ready.first, step.deadline) if call.stream else step.deadline,
        attempt=step.deadline,
        call=deadline,
        idle=ready.idle,
        grace=policy.grace,
    )
    another = step.kind != "retry" and step.target + 1 < len(call.chain.targets)
    reading = Reading(
        target,
        request,
        call.stream,
        clocks,
        attempt,
        reset=taken_up if isinstance(taken_up, StreamReset) else None,
        joint=None if onward is None else onward.joint(),
        holding=_holding(call, another=another),
        # what was lost might have been a call
        lenient=policy.lenient if isinstance(request, ChatRequest) and not request.tools else 0,
        leave_filtered=another and "content_filter" in policy.fallback_on,
        operation=call.operation,
    )
    try:
        if target.endpoint.credential is not None:
            from ._renewal import renew  # few sign, or fetch tokens

            yield from renew(call, reading, clocks.first_token)
            reading.tokens = target.endpoint.credential.tokens
        asking = Open(target, ready.http, clocks.first_token, policy.connect, policy.pool, policy.write)
        asking.idle = clocks.idle if call.stream else 0.0
        opened = yield from _open(reading, asking)
        if call.heard is not None:
            call.heard.append((target, opened.headers))
        yield from read_answer(reading, opened)
    except LLMSwitchError as error:
        yield Close()
        _charge(reading)
        return _failed(call, reading, error, deadline, full=began + ready.first)
    yield Close()
    return _reply(call, reading, call.operation.reply(reading), ready.warnings)


Ask: TypeAlias = (
    "Callable[[Call, Try, Attempt, float, StreamReset | Continuation | None, str], "
    "Generator[Action, Outcome, Reply | Failed]]"
)
"""How a target is asked once it may be: by `attempt_once`, but for who only wants to know that it would be."""


def _open(reading: Reading, asking: Open) -> Generator[Action, Outcome, Opened]:
    """Ask, and ask again where the answer sends it on, if that is allowed. Raises where there is no answer."""
    endpoint, followed = reading.target.endpoint, 0
    while True:
        opened = yield asking
        if isinstance(opened, Fault):
            raise _no_answer(reading, opened)
        assert isinstance(opened, Opened)
        url = redirected(opened, endpoint, asking.url or endpoint.base_url + asking.request.path)
        if url is None or followed == MOST_REDIRECTS:
            return opened
        yield Close()
        asking, followed = replace(asking, url=url), followed + 1


def _holding(call: Call, *, another: bool) -> Holding | None:
    """What is kept from the caller for a while; nobody is too slow who is the last."""
    policy = call.chain.policy
    pace = policy.min_tokens_per_second if another else None
    if not call.stream or (pace is None and policy.commit_on == "reasoning"):
        return None
    from ._holding import Holding

    return Holding(reasoning=policy.commit_on == "text", pace=pace)


def _charge(reading: Reading) -> None:
    """What an attempt that failed has used, as far as the vendor said it."""
    usage = reading.assembly.usage
    if usage.input_tokens is not None or usage.output_tokens is not None:
        reading.attempt.usage, reading.attempt.cost = usage, priced(reading.target, usage)


def reasons(request: Request, target: Target) -> bool:
    """Whether there may be a long silence before the first word."""
    if not isinstance(request, ChatRequest):
        return False
    return target.adapter.capabilities.thinks_unasked if request.reasoning is None else request.reasoning != "off"


def _reply(call: Call, reading: Reading, reply: Reply, warnings: list[ChatWarning]) -> Reply:
    target, attempt = reading.target, reading.attempt
    reply.provider, reply.model = target.provider, target.model
    if (
        isinstance(reply, ChatReply)
        and isinstance(call.request, ChatRequest)
        and isinstance(reading.request, ChatRequest)
    ):
        reply.response_format = call.request.response_format  # what was said in words is checked all the same
        if call.ratios is not None:
            call.ratios.learn(target.name, reading.request, reply.usage)
    reply.cost = priced(target, reply.usage)
    drill = [ChatWarning("drill", call.drill)] if call.drill is not None else []
    reply.warnings = [*drill, *warnings, *reply.warnings]
    attempt.usage, attempt.cost = reply.usage, reply.cost
    attempt.end_ms = (call.clock() - attempt.started) * 1000
    return reply


def priced(target: Target, usage: Usage, at: datetime | None = None) -> Cost | None:
    """What the catalog makes of it, at that moment (now). A price that can't be reckoned with harms no answer."""
    try:
        return target.cost(usage, at)
    except Exception as problem:  # noqa: BLE001 - prices come from files that anybody may ship
        name, said = target.name, type(problem).__name__
        warn_once("price", name, "%s: its price can't be reckoned with (%s)", name, said)
        return None


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
    "closed": (_errors.ClientClosed, "the client was closed while this call was in flight"),
}
_NOTHING_SENT = frozenset({"connect", "tls", "stale", "pool", "local"})


def unanswered(fault: Fault, endpoint: Endpoint) -> tuple[type[LLMSwitchError], str]:
    """The class of a fault before an answer began, and its message."""
    kind, said = _BEFORE[fault.kind]
    if fault.kind in ("connect", "tls") and endpoint.start is None:
        by = f" by the proxy {endpoint.proxy.name}" if endpoint.proxy is not None else ""
        said = f"{said} ({endpoint.origin}{by})"
    return kind, f"{said}: {fault.message}" if fault.message else said


def _no_answer(reading: Reading, fault: Fault) -> LLMSwitchError:
    if fault.lasting:
        reading.retry_same = False
    endpoint = reading.target.endpoint
    kind, message = unanswered(fault, endpoint)
    if fault.kind == "connect" and endpoint.proxy is None and reading.target.spec.unreachable:
        message += f"; {reading.target.spec.unreachable}"
    return reading.problem(kind, message, billed=fault.kind not in _NOTHING_SENT)


def _failed(call: Call, reading: Reading, error: LLMSwitchError, deadline: float, *, full: float) -> Failed:
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
            late.partial = reading.reply()
            return Failed(late, final=True, neutral=True)
        return Failed(error, neutral=hurried)  # the decision says it, with all that was tried
    if isinstance(error, OutputInvalid):
        return Failed(error, final=True)
    if reading.tokens is not None:
        from ._renewal import distrusted

        if distrusted(call, reading, error):
            return Failed(error, retry_same=True, neutral=True)
    if not reading.committed:
        return Failed(error, retry_same=reading.retry_same, neutral=hurried)
    # a call that was handed over whole may have been run: it must not be asked for a second time
    restartable = not reading.assembly.finished_calls and not isinstance(error, ClientClosed)
    return Failed(_interrupted(reading, error), final=True, restartable=restartable)


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
        interrupted.__cause__ = bare(error, ())
    partial = reading.reply()
    partial.provider, partial.model = reading.target.provider, reading.target.model
    interrupted.partial = partial
    interrupted.incomplete_tool_calls = reading.assembly.unfinished_calls
    interrupted.usage_estimate = partial.usage if partial.usage.output_tokens is not None else None
    return interrupted
