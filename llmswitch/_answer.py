"""Reads one answer: from the headers to a whole reply, or to the error that it turned out to be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from ._adapter import ErrorFacts, NotAnAnswer, StreamDecoder, VendorFault
from ._assembly import BadArguments, ReplyAssembly
from ._classify import make_error
from ._errors import (
    ClientClosed,
    FirstTokenTimeout,
    IncompleteToolCall,
    LLMSwitchError,
    MalformedResponse,
    NoResponse,
    StreamInterrupted,
    StreamStalled,
    ToolArgumentsInvalid,
)
from ._events import ChatEvent, StreamReset
from ._framing import FramingError, Inflater, framer
from ._json import JSONInvalid, loads
from ._reply import Attempt
from ._request import ChatRequest
from ._retry_after import retry_after, said_in_words
from ._target import Target
from ._wire import Action, Fault, Opened, Outcome, Read

__all__ = ["Clocks", "Reading", "read_answer"]

_HEADER_BYTES = 64 * 1024
_HEADERS = 1000
_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 5.0
_BODY_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 0.25

_Steps = Generator[Action, Outcome, ReplyAssembly]


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
    off begins anew. `committed`: the caller has been handed some of it. `date`: when it was by the vendor's clock.
    """

    target: Target
    request: ChatRequest
    stream: bool
    clocks: Clocks
    attempt: Attempt
    reset: StreamReset | None = None
    committed: bool = False
    assembly: ReplyAssembly = field(default_factory=ReplyAssembly)
    retry_same: bool | None = None
    date: str | None = None

    def error(self, facts: ErrorFacts) -> LLMSwitchError:
        """The classified error for what the vendor said."""
        if facts.retry_after is None:
            facts.retry_after = said_in_words(facts.message)
        return make_error(facts, self.target.rules, provider=self.target.provider, model=self.target.model)

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
            self.attempt.ttft_ms = elapsed
            if self.reset is not None:
                events.insert(0, self.reset)
        self.attempt.last_event_ms = elapsed
        self.attempt.characters = self.assembly.characters
        return events


def read_answer(reading: Reading, opened: Opened) -> _Steps:
    """
    The whole answer. On the way, lists of events for the caller where this is a stream.

    Raises the error that came in its place, classified; `StreamInterrupted` where it broke off.
    """
    attempt = reading.attempt
    attempt.status, attempt.connect_ms = opened.status, opened.connect_ms
    reading.date = opened.headers.get("date")
    attempt.request_id = opened.headers.get("x-request-id") or opened.headers.get("request-id")
    if opened.header_bytes > _HEADER_BYTES or opened.header_count > _HEADERS:
        raise reading.problem(MalformedResponse, "the answer's headers are too many or too long")
    inflater = _inflater(reading, opened)
    if opened.status >= 300:
        return (yield from _refusal(reading, opened, inflater))
    kind = opened.headers.get("content-type", "").partition(";")[0].strip().lower()
    streamed = _is_stream(kind, asked=reading.stream)
    if streamed:
        assembly = yield from _streamed(reading, inflater)
    else:
        assembly = yield from _whole(reading, opened, inflater)
    if streamed != reading.stream:
        asked, came = ("a stream", "one piece") if reading.stream else ("one piece", "a stream")
        assembly.warn("other_form", f"{asked} was asked for, and {came} came; it was read as what it is")
    return assembly


def _is_stream(kind: str, *, asked: bool) -> bool:
    """An answer is read as what it is; only where the type says nothing, as what was asked for."""
    if kind in ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"):
        return True
    if kind.endswith("json") or kind.startswith("text/html"):
        return False
    return asked


def _inflater(reading: Reading, opened: Opened) -> Inflater:
    try:
        return Inflater(opened.headers.get("content-encoding", ""), max_decoded_bytes=_BODY_BYTES)
    except FramingError as problem:
        raise reading.problem(MalformedResponse, f"the answer can't be read: {problem}") from None


# An answer that is a refusal


def _refusal(reading: Reading, opened: Opened, inflater: Inflater) -> _Steps:
    by = min(reading.clocks.attempt, reading.clocks.now() + _ERROR_SECONDS)
    body = bytearray()
    while len(body) < _ERROR_BYTES:
        chunk = yield Read(by)
        if not isinstance(chunk, bytes) or not chunk:
            break  # the status is known; what the body would have added is not worth another failure
        try:
            for piece in inflater.feed(chunk):
                body += piece
        except FramingError:
            break
    headers = opened.headers
    facts = reading.target.adapter.read_error(opened.status, headers, bytes(body[:_ERROR_BYTES]))
    facts.status = opened.status
    start = bytes(body[:256]).lstrip().lower()
    facts.html = start.startswith((b"<!doctype", b"<html"))
    facts.request_id = facts.request_id or reading.attempt.request_id
    wait = retry_after(headers)
    facts.retry_after = wait if wait is not None else facts.retry_after
    again = headers.get("x-should-retry")
    reading.retry_same = {"true": True, "false": False}.get(again or "")
    raise reading.error(facts)


# An answer in one piece


def _whole(reading: Reading, opened: Opened, inflater: Inflater) -> _Steps:
    body = bytearray()
    while True:
        chunk = yield Read(reading.clocks.attempt)
        if isinstance(chunk, Fault):
            raise _broke_off(reading, chunk, NoResponse if body else StreamInterrupted)
        assert isinstance(chunk, bytes)
        try:
            if not chunk:
                inflater.finish()
                break
            for piece in inflater.feed(chunk):
                body += piece
        except FramingError as problem:
            raise reading.problem(MalformedResponse, f"the answer can't be read: {problem}") from None
    adapter = reading.target.adapter
    try:
        if not body.strip():
            raise NotAnAnswer("the body is empty")
        reading.assembly = assembly = adapter.parse(loads(bytes(body)), reading.request)
        assembly.close_calls()
    except JSONInvalid as problem:
        html = bytes(body[:256]).lstrip().lower().startswith((b"<!doctype", b"<html"))
        said = "a web page came instead of an API answer" if html else f"the answer is {problem}"
        raise reading.problem(MalformedResponse, said) from None
    except NotAnAnswer as problem:
        raise reading.problem(MalformedResponse, f"the answer has not the form of one: {problem}") from None
    except VendorFault as fault:
        raise reading.error(_at(fault.facts, opened.status)) from None
    except BadArguments as bad:
        raise _bad_arguments(reading, bad) from None
    now = reading.clocks.now()
    reading.attempt.ttft_ms = (now - reading.attempt.started) * 1000
    reading.attempt.characters = assembly.characters
    reading.attempt.whole = True
    if reading.stream:
        yield reading.deliver([*assembly.events(), assembly.finish_event()])
    return assembly


def _at(facts: ErrorFacts, status: int) -> ErrorFacts:
    """An error inside a 200 is judged by its code and words; the status says nothing."""
    if facts.status is None and status >= 300:
        facts.status = status
    return facts


# An answer in pieces


def _streamed(reading: Reading, inflater: Inflater) -> _Steps:
    clocks = reading.clocks
    frames = framer(reading.target.adapter.framing)
    decoder = reading.target.adapter.decoder(reading.request)
    reading.assembly = assembly = decoder.assembly
    by = clocks.first_token
    # an answer that the caller does not see before it is whole can still be left for another target
    end = clocks.call if reading.stream else clocks.attempt
    body_ended = False
    said_anything = False
    while not decoder.ended:
        chunk = yield Read(by)
        if type(chunk) is not bytes:
            assert isinstance(chunk, Fault)
            if assembly.finish_reason is not None:
                break  # the answer is whole; how the connection ended after that is no matter
            raise _broke_off(reading, chunk)
        events: list[ChatEvent] = []
        error: LLMSwitchError | None = None
        try:
            if chunk:
                for piece in inflater.feed(chunk):
                    said_anything |= _decode(decoder, frames.feed(piece), events)
            else:
                said_anything |= _decode(decoder, frames.finish(), events)
                events.extend(decoder.finish())
                inflater.finish()
        except (VendorFault, NotAnAnswer, FramingError, BadArguments, JSONInvalid) as problem:
            error = _stream_error(reading, problem)
        if events:
            if reading.stream:
                yield reading.deliver(events)
            by = min(clocks.now() + clocks.idle, end)
        if error is not None:
            raise error
        if not chunk:
            body_ended = True
            break
        if assembly.finish_reason is not None:
            by = min(clocks.now() + clocks.grace, end)
    if assembly.finish_reason is not None and not decoder.ended and not body_ended:
        decoder.finish()  # for what it has to say of the missing end
    if assembly.finish_reason is None and not said_anything:
        raise reading.problem(MalformedResponse, "the body holds no event of a stream")
    if assembly.finish_reason is None:
        raise reading.problem(StreamInterrupted, "the stream ended without saying that the answer is whole")
    last = _last_events(reading)
    if reading.stream:
        yield reading.deliver(last)
    yield from _drain(reading)
    return assembly


def _last_events(reading: Reading) -> list[ChatEvent]:
    """What is left to hand over of an answer that is whole."""
    try:
        last: list[ChatEvent] = [*reading.assembly.close_calls(), reading.assembly.finish_event()]
    except BadArguments as bad:
        raise _bad_arguments(reading, bad) from None
    reading.attempt.whole = True
    return last


def _decode(decoder: StreamDecoder, frames: Sequence[object], events: list[ChatEvent]) -> bool:
    """Whether there was anything to decode."""
    for frame in frames:
        events.extend(decoder.feed(frame))  # type: ignore[arg-type]
    return bool(frames)


def _drain(reading: Reading) -> Generator[Action, Outcome, None]:
    """Read to the end of the body, for a moment: a connection that is left in the middle can't be used again."""
    by = reading.clocks.now() + _DRAIN_SECONDS
    while True:
        chunk = yield Read(by)
        if not isinstance(chunk, bytes) or not chunk:
            return


def _stream_error(reading: Reading, problem: Exception) -> LLMSwitchError:
    if isinstance(problem, VendorFault):
        return reading.error(problem.facts)
    if isinstance(problem, BadArguments):
        return _bad_arguments(reading, problem)
    return reading.problem(MalformedResponse, f"the stream can't be read: {problem}")


def _broke_off(reading: Reading, fault: Fault, broken: type[LLMSwitchError] = StreamInterrupted) -> LLMSwitchError:
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


def _bad_arguments(reading: Reading, bad: BadArguments) -> LLMSwitchError:
    if reading.assembly.finish_reason == "length":
        error: IncompleteToolCall | ToolArgumentsInvalid = IncompleteToolCall(
            f"the token limit cut the call of {bad.name} in its arguments; raise max_tokens"
        )
    else:
        error = ToolArgumentsInvalid(f"the call of {bad.name} came with arguments that are not a JSON object")
        error.raw_arguments = bad.raw
    error.provider, error.model = reading.target.provider, reading.target.model
    error.possibly_billed = True
    error.reply = reading.assembly.reply()
    return error
