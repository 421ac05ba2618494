"""Reads an answer that comes in pieces: bytes to framed events, framed events to the caller's."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ._adapter import BrokenEvent, NotAnAnswer, VendorFault
from ._assembly import BadArguments, ReplyAssembly
from ._errors import LLMSwitchError, MalformedResponse, Overloaded, StreamInterrupted
from ._events import ChatEvent
from ._framing import EventStreamMessage, FramingError, Inflater, ServerSentEvent, framer
from ._json import JSONInvalid
from ._reading import Reading, bad_arguments, broke_off
from ._request import ChatRequest
from ._wire import Action, Fault, Outcome, Read

__all__ = ["Flow", "read_pieces"]

_DRAIN_SECONDS = 0.25
_HEARTBEATS = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
_SLOW_SECONDS = 5.0  # how long a target that is too slow is let alone, as one that says that it is overloaded

_Steps = Generator[Action, Outcome, ReplyAssembly]


def read_pieces(reading: Reading, inflater: Inflater) -> _Steps:
    """The whole answer; on the way, lists of events for the caller. Raises as `read_answer` does."""
    clocks, holding = reading.clocks, reading.holding
    pieces = Flow(reading, inflater)
    assembly, decoder, wait = pieces.assembly, pieces.decoder, pieces.wait
    body_ended = False
    while not decoder.ended:
        chunk = yield wait
        if type(chunk) is not bytes:
            assert isinstance(chunk, Fault)
            if assembly.finish_reason is not None:
                break  # the answer is whole; how the connection ended after that is no matter
            raise _too_slow(reading) or broke_off(reading, chunk)
        events, error = pieces.read(chunk)
        if events:
            if reading.stream:
                ready = events if reading.direct else reading.ready(events)
                if ready:
                    yield reading.deliver(ready)
            wait.by = clocks.now() + clocks.idle
        if error is not None:
            raise error
        body_ended = not chunk
        if body_ended or pieces.cut:
            break
        if assembly.finish_reason is not None:
            wait.by = clocks.now() + clocks.grace
        # what the caller has not seen can still be left for another target
        wait.by = min(wait.by, clocks.call if reading.committed else clocks.attempt)
        if holding is not None and not reading.committed:
            wait.by = min(wait.by, holding.by() or wait.by)
        if reading.direct and reading.stream and assembly.finish_reason is None:
            wait.flow = pieces
    pieces.check_end(body_ended=body_ended)
    final = _last_events(reading)
    if reading.stream:
        yield reading.deliver([*reading.rest(), *final])
    yield from _drain(reading)
    return assembly


class Flow:
    """
    The bytes of one stream, to events. `cut`: they can't be read on, but the answer was whole before that.

    What comes before the first event that means something is bounded (heart-beats aside), and means nothing.

    Where nothing of the answer is kept from the caller any more, a piece can pass by the exchange: `again()` is what to
    wait for, `take()` what came of it. Whatever is not simply more of the answer is for the exchange.
    """

    def __init__(self, reading: Reading, inflater: Inflater) -> None:
        adapter, request = reading.target.adapter, reading.request
        assert isinstance(request, ChatRequest)
        self.decoder = adapter.decoder(request)
        self.assembly = reading.assembly = self.decoder.assembly
        self.cut = False
        self.wait = Read(reading.clocks.first_token)
        self._reading, self._inflater = reading, inflater
        self._taken: tuple[list[ChatEvent], Exception | None] | None = None
        self._frames = framer(adapter.framing)
        self._most = (adapter.preamble_events, adapter.preamble_bytes)
        self._said_anything = False
        self._begun = False
        self._preamble = [0, 0]  # events, bytes

    def again(self) -> Read:
        """The caller wants more: what is to be waited for."""
        clocks, wait = self._reading.clocks, self.wait
        wait.by = min(clocks.now() + clocks.idle, clocks.call)
        return wait

    def take(self, chunk: Outcome) -> list[ChatEvent] | None:
        """The events of what came, to be handed over; `None` where the exchange is to be told what came."""
        if type(chunk) is not bytes:
            return None
        events: list[ChatEvent] = []
        try:
            error: Exception | None = self._read(chunk, events)
        except Exception as problem:  # noqa: BLE001 - raised by the exchange, which has to hear of it
            error = problem
        if error is None and events and chunk and not (self.cut or self.decoder.ended or self.assembly.finish_reason):
            return self._reading.deliver(events)
        self._taken = events, error
        return None

    def read(self, chunk: bytes) -> tuple[list[ChatEvent], Exception | None]:
        """The events of a chunk, which is empty at the end of the body, and the error that followed them."""
        taken, self._taken = self._taken, None
        if taken is not None:
            return taken
        events: list[ChatEvent] = []
        return events, self._read(chunk, events)

    def _read(self, chunk: bytes, events: list[ChatEvent]) -> LLMSwitchError | None:
        try:
            if chunk:
                for piece in self._inflater.feed(chunk):
                    self._decode(self._frames.feed(piece), events)
            else:
                self._decode(self._frames.finish(), events)
                events.extend(self.decoder.finish())
                self._inflater.finish()
        except FramingError as problem:
            if self.assembly.finish_reason is None:
                return self._unreadable(problem)
            self.cut = True
        except (NotAnAnswer, JSONInvalid) as problem:
            return self._unreadable(problem)
        except VendorFault as fault:
            return self._reading.error(fault.facts)
        except BadArguments as bad:
            return bad_arguments(self._reading, bad)
        return None

    def _decode(self, frames: Sequence[ServerSentEvent | EventStreamMessage], events: list[ChatEvent]) -> None:
        feed = self.decoder.feed
        for frame in frames:
            try:
                events.extend(feed(frame))
            except BrokenEvent:
                if not self._may_skip(events):
                    raise
            if not self._begun:
                self._count(frame, events)

    def _count(self, frame: ServerSentEvent | EventStreamMessage, events: list[ChatEvent]) -> None:
        self._said_anything = True
        self._begun = bool(events)
        if self._begun or (isinstance(frame, ServerSentEvent) and frame.event in _HEARTBEATS):
            return
        self._preamble[0] += 1
        self._preamble[1] += len(frame.data if isinstance(frame, ServerSentEvent) else frame.payload)
        if self._preamble[0] > self._most[0] or self._preamble[1] > self._most[1]:
            raise NotAnAnswer("more comes before the answer than an answer")

    def _may_skip(self, events: list[ChatEvent]) -> bool:
        """Whether to go on without an event that can't be read. What it held is lost, and the reply says so."""
        if self.assembly.finish_reason is not None:
            self.assembly.warn("broken_event", "after the answer was whole an event came that could not be read")
            return True
        handed_over = self._reading.committed or (self._reading.stream and self._reading.holding is None and events)
        if not handed_over or self._reading.lenient < 1:
            return False
        self._reading.lenient -= 1
        self.assembly.warn("broken_event", "an event of the stream could not be read; text may be missing")
        return True

    def check_end(self, *, body_ended: bool) -> None:
        """Nothing more comes. Raises where the answer is not whole."""
        if self.assembly.finish_reason is None:
            if not self._said_anything:
                raise self._reading.problem(MalformedResponse, "the body holds no event of a stream")
            raise self._reading.problem(StreamInterrupted, "the stream ended without saying that the answer is whole")
        if not self.decoder.ended and not body_ended:
            self.decoder.finish()  # for what it has to say of the missing end

    def _unreadable(self, problem: Exception) -> LLMSwitchError:
        return self._reading.problem(MalformedResponse, f"the stream can't be read: {problem}")


def _last_events(reading: Reading) -> list[ChatEvent]:
    """What is left to hand over of an answer that is whole."""
    try:
        last: list[ChatEvent] = [*reading.assembly.close_calls(), reading.assembly.finish_event()]
    except BadArguments as bad:
        raise bad_arguments(reading, bad) from None
    reading.whole()
    return last


def _too_slow(reading: Reading) -> LLMSwitchError | None:
    """The error for a stream that is alive, but too slow for the policy, and that nobody has seen yet."""
    holding = reading.holding
    if holding is None or reading.committed or (by := holding.by()) is None or reading.clocks.now() < by:
        return None
    error = reading.problem(Overloaded, f"it began with fewer than {holding.pace:g} tokens a second")
    error.retry_after = _SLOW_SECONDS
    return error


def _drain(reading: Reading) -> Generator[Action, Outcome, None]:
    """Read to the end of the body, for a moment: a connection that is left in the middle can't be used again."""
    by = reading.clocks.now() + _DRAIN_SECONDS
    while True:
        chunk = yield Read(by)
        if not isinstance(chunk, bytes) or not chunk:
            return
