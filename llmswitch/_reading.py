"""One answer that is being read: what is known of it, and the errors that it can turn out to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._adapter import ErrorFacts
from ._assembly import BadArguments, ReplyAssembly
from ._errors import (
    ClientClosed,
    ContentFiltered,
    FirstTokenTimeout,
    IncompleteToolCall,
    LLMSwitchError,
    MalformedResponse,
    StreamInterrupted,
    StreamStalled,
    ToolArgumentsInvalid,
)
from ._events import ChatEvent, StreamReset
from ._operation import CHAT, Operation, Request
from ._reply import Attempt, ChatReply
from ._target import Target
from ._wire import Fault

if TYPE_CHECKING:
    from ._continuation import Joint
    from ._holding import Holding

__all__ = ["Clocks", "Reading", "bad_arguments", "broke_off"]


@dataclass(slots=True)
class Clocks:
    """Absolute limits of one attempt, in monotonic seconds; `idle` and `grace` are spans."""

    now: Callable[[], float]
    first_token: float
    attempt: float
    call: float
    idle: float
    grace: float


@dataclass(slots=True)
class Reading:
    """
    One answer that is being read. `reset`: what the caller is told before its first event, where an answer that broke
    off begins anew; `joint`: where it meets the answer that it goes on with. `holding`: what is kept from the caller
    at the beginning of a stream, where the policy says so. `lenient`: how many broken events may be skipped once he has
    some of it. `leave_filtered`: an answer that a content filter cut is left for another target.

    `committed`: the caller has been handed some of it; `direct`: nothing of what comes is kept from him. `date`: when
    it was by the vendor's clock. `tokens`: how many its credential had fetched when the request was sent.
    """

    target: Target
    request: Request
    stream: bool
    clocks: Clocks
    attempt: Attempt
    reset: StreamReset | None = None
    joint: Joint | None = None
    holding: Holding | None = None
    lenient: int = 0
    leave_filtered: bool = False
    committed: bool = False
    direct: bool = False
    assembly: ReplyAssembly = field(default_factory=ReplyAssembly)
    retry_same: bool | None = None
    date: str | None = None
    tokens: int | None = None
    operation: Operation = CHAT

    def error(self, facts: ErrorFacts) -> LLMSwitchError:
        """The classified error for what the vendor said."""
        from ._classify import make_error
        from ._retry_after import said_in_words

        if facts.retry_after is None:
            facts.retry_after = said_in_words(facts.message)
        target = self.target
        return make_error(
            facts, target.rules, provider=target.provider, model=target.model, other_sites=target.other_sites
        )

    def problem(self, kind: type[LLMSwitchError], message: str, *, billed: bool = True) -> LLMSwitchError:
        """An error of ours about this target."""
        return kind(
            message,
            provider=self.target.provider,
            model=self.target.model,
            status=self.attempt.status,
            request_id=self.attempt.request_id,
            possibly_billed=billed,
        )

    def deliver(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """Notes that these events are about to be handed over."""
        now = self.clocks.now()
        elapsed = (now - self.attempt.started) * 1000
        if not self.committed:
            self.committed = True
            self.attempt.ttft_ms = elapsed if self.attempt.ttft_ms is None else self.attempt.ttft_ms
            if self.reset is not None:
                events.insert(0, self.reset)
        self.attempt.last_event_ms = elapsed
        self.attempt.characters = self.assembly.characters
        return events

    def ready(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """What of these events is to be handed over now, and from now on."""
        now = self.clocks.now()
        if self.attempt.ttft_ms is None:
            self.attempt.ttft_ms = (now - self.attempt.started) * 1000
        if self.joint is not None:
            events = self.joint.join(events)
        if self.holding is not None and not self.committed:
            events = self.holding.take(events, now)
        self.direct = bool(events) and (self.joint is None or self.joint.closed)
        return events

    def rest(self) -> list[ChatEvent]:
        """What was kept, now that the answer is whole."""
        joined = self.joint.rest() if self.joint is not None else []
        return [*(self.holding.rest() if self.holding is not None else ()), *joined]

    def reply(self) -> ChatReply:
        """The answer so far, as the caller has it."""
        reply = self.assembly.reply(self.target.adapter.identity.signature())
        return reply if self.joint is None else self.joint.stitch(reply)

    def whole(self) -> None:
        """The answer is whole. Raises `ContentFiltered` where a filter cut it and another target may be asked."""
        if self.leave_filtered and not self.committed and self.assembly.finish_reason == "content_filter":
            raise self.problem(ContentFiltered, "the vendor's content policy cut the answer")
        self.attempt.whole = True


def broke_off(reading: Reading, fault: Fault, broken: type[LLMSwitchError] = StreamInterrupted) -> LLMSwitchError:
    """The error for a fault of the network in the middle of an answer."""
    clocks = reading.clocks
    if fault.kind == "timeout":
        if reading.assembly.begun:
            return reading.problem(StreamStalled, f"nothing came for {clocks.idle:g} s in the middle of the answer")
        return reading.problem(FirstTokenTimeout, "the answer did not begin within its time limit")
    if fault.kind == "garbage":
        return reading.problem(MalformedResponse, f"the answer is not valid HTTP: {fault.message}")
    if fault.kind == "closed":
        return reading.problem(ClientClosed, "the client was closed in the middle of the answer")
    return reading.problem(broken, f"the connection broke in the middle of the answer: {fault.message}")


def bad_arguments(reading: Reading, bad: BadArguments) -> LLMSwitchError:
    """The error for a tool call that can't be run."""
    if reading.assembly.finish_reason == "length":
        error: IncompleteToolCall | ToolArgumentsInvalid = IncompleteToolCall(
            f"the token limit cut the call of {bad.name} in its arguments; raise max_tokens"
        )
    else:
        error = ToolArgumentsInvalid(f"the call of {bad.name} came with arguments that are not a JSON object")
        error.raw_arguments = bad.raw
    error.provider, error.model = reading.target.provider, reading.target.model
    error.possibly_billed = True
    error.reply = reading.reply()
    return error
