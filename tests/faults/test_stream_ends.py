"""Streams that begin well: how they end, how they should have, and what stands in them beside text."""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import RateLimited, StreamInterrupted
from llmswitch._events import Finish, TextDelta
from llmswitch.testing.fault_server import (
    Close,
    Hang,
    Pause,
    ReadRequest,
    Reset,
    Send,
    Step,
    chunk,
    event_bytes,
    response,
    sse,
    sse_head,
)
from tests.everyday import some
from tests.faults.bench import (
    DONE,
    HEALTHY,
    IMPATIENT,
    JSON,
    PATIENT,
    ROLE,
    STOP,
    USAGE,
    Bench,
    Outcome,
    Script,
    adjust,
    completion,
    delta,
    spelled,
    text,
    words,
)


def stream(*events: Any, **framing: Any) -> Script:
    """The script of a server that answers with this stream, and closes the connection where that is its end."""
    last: list[Step] = [Close()] if framing else []
    return [ReadRequest(), Send(sse(events, **framing)), *last]


def partial(outcome: Outcome, expected: str) -> StreamInterrupted:
    """The call broke off, and what the caller has been handed is exactly what the error holds."""
    error = outcome.error
    assert isinstance(error, StreamInterrupted), error
    assert error.partial is not None
    assert (expected, expected) == (outcome.text, error.partial.text)
    assert ("t1", "m") == (error.partial.provider, error.partial.model)
    assert error.possibly_billed
    assert not any(isinstance(event, Finish) for event in outcome.events)
    return error


# Errors in place of an answer, and in the middle of one

OVERLOADED: JSON = {"error": {"message": "The engine is currently overloaded", "type": "server_error", "code": None}}
NO_QUOTA: JSON = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
SLOW_DOWN: JSON = {
    "error": {"message": "Rate limit reached. Please try again in 7.5s.", "code": "rate_limit_exceeded"},
}


@pytest.mark.parametrize("before", some([[], [ROLE], [ROLE, b": beat\n\n", ROLE]], 3), ids=["first", "role", "more"])
@pytest.mark.parametrize(
    ("event", "error"),
    [
        (OVERLOADED, "Overloaded"),
        (NO_QUOTA, "Arrears"),
        (SLOW_DOWN, "RateLimited"),
        (b'event: error\ndata: {"message": "The engine is currently overloaded"}\n\n', "Overloaded"),
        ({"error": "overloaded"}, "Overloaded"),
    ],
    ids=["overloaded", "quota", "rate", "named", "words"],
)
def test_rows_25_and_34_an_error_before_any_text(streaming: Bench, before: list[Any], event: Any, error: str) -> None:
    """An error event before anything that means something is as the same HTTP error: moves, seen by nobody."""
    streaming.moved(streaming.ask(stream(*before, event)), error, billed=None)


def test_row_33_an_error_in_the_middle(streaming: Bench) -> None:
    """After text the error raises with what had arrived, and says by code what it was."""
    outcome = streaming.ask(stream(ROLE, *words(5), SLOW_DOWN, *words(3), STOP, DONE))
    error = partial(outcome, spelled(5))
    streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error.__cause__, RateLimited)
    assert ("rate_limit_exceeded", 7.5) == (error.code, error.retry_after)
    assert ("RateLimited", 7.5) == (error.attempts[0].error, error.attempts[0].retry_after)


def test_row_33_an_error_in_the_middle_for_a_call_without_a_stream(whole: Bench) -> None:
    """Where the caller has seen nothing, it moves."""
    whole.moved(whole.ask(stream(*words(5), SLOW_DOWN)), "RateLimited", billed=None)


# Broken off


def test_row_26_a_stall(streaming: Bench) -> None:
    """Silence after 20 tokens is `StreamStalled` with the 20, and the connection is closed."""
    begun = sse(words(20), ended=False)
    outcome = streaming.ask([ReadRequest(), Send(begun), Hang()], limits={**IMPATIENT, "timeout": 10.0})
    partial(outcome, spelled(20))
    streaming.raised(outcome, "StreamStalled")
    assert 0.15 <= outcome.seconds < 1.5
    streaming.settle()
    assert streaming.t1.wait_closed()


def test_row_27_a_reset_after_40_tokens(streaming: Bench) -> None:
    """A reset in the middle is `StreamInterrupted`; what arrived is there to the byte, and once."""
    script = [ReadRequest(), Send(sse(words(40), ended=False)), Pause(0.05), Reset()]
    outcome = streaming.ask(script)
    partial(outcome, spelled(40))
    error = streaming.raised(outcome, "StreamInterrupted")
    assert len(spelled(40)) == error.attempts[0].characters


@pytest.mark.parametrize(
    "script",
    [
        stream(*words(5)),
        stream(*words(5), framing="close"),
        stream(*words(5), ended=False),
        stream(*words(5), USAGE),
        stream(*words(5), STOP, cut=sum(len(event_bytes(word)) for word in words(5)) + 9),
    ],
    ids=["chunked", "close", "no-last-chunk", "after-usage", "in-an-event"],
)
def test_row_28_an_end_without_a_finish(streaming: Bench, script: Script) -> None:
    """A stream that ends, however orderly, without saying that it is whole is never an answer."""
    outcome = streaming.ask(script)
    partial(outcome, spelled(5))
    error = streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert "other" == error.partial.finish_reason


def test_row_28_for_a_call_without_a_stream(whole: Bench) -> None:
    """Nor for a caller who did not ask for a stream and has seen nothing: it moves."""
    whole.moved(whole.ask(stream(*words(5), ended=False)), "StreamInterrupted", billed=True)


@pytest.mark.parametrize("end", [[], [Reset()], [Close()], [Hang()]], ids=["clean", "RST", "EOF", "silence"])
def test_row_29_a_finish_without_done(streaming: Bench, end: list[Step]) -> None:
    """After a finish reason the answer is whole, however the connection ends."""
    streaming.open([ReadRequest(), Send(sse([*words(5), STOP], ended=not end)), Pause(0.03), *end])
    adjust(streaming.client, grace=0.2)
    outcome = streaming.ask()
    assert ("stop", spelled(5)) == (outcome.answered.finish_reason, outcome.text)
    assert [("t1:m", None)] == outcome.trail
    assert outcome.seconds < 1.5


def test_row_30_done_without_a_finish(streaming: Bench) -> None:
    """`[DONE]` alone does not say that the answer is whole."""
    outcome = streaming.ask(stream(*words(5), DONE))
    partial(outcome, spelled(5))
    streaming.raised(outcome, "StreamInterrupted")


@pytest.mark.parametrize("before", [[], [ROLE]], ids=["nothing", "role"])
def test_row_30_done_alone(streaming: Bench, before: list[Any]) -> None:
    """With nothing before it the caller has seen nothing: it moves."""
    streaming.moved(streaming.ask(stream(*before, DONE)), "StreamInterrupted", "MalformedResponse", billed=True)


@pytest.mark.parametrize("rest", [b"", b"\n"], ids=["no-newline", "one-newline"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_row_31_the_last_event_lacks_its_blank_line(streaming: Bench, rest: bytes, framing: str) -> None:
    """A finish in an event that the end of the body cut before its blank line counts, and the reply says so."""
    last = event_bytes(STOP).rstrip(b"\n") + rest
    outcome = streaming.ask(stream(*words(5), last, framing=framing))
    assert ("stop", spelled(5)) == (outcome.answered.finish_reason, outcome.text)
    assert outcome.answered.warnings


def test_row_31_text_without_a_finish_in_it(streaming: Bench) -> None:
    """Text in such an event does not make a cut answer a whole one."""
    outcome = streaming.ask(stream(*words(5), event_bytes(text("half")).rstrip(b"\n")))
    streaming.raised(outcome, "StreamInterrupted")


BROKEN = b'data: {"choices": [{"index": 0, "delta": {"content": \n\n'


def test_row_32_broken_json_before_any_text(streaming: Bench) -> None:
    """An event that is not JSON, before any text, moves."""
    outcome = streaming.ask(stream(ROLE, BROKEN, *words(5), STOP, DONE))
    streaming.moved(outcome, "MalformedResponse", billed=True)


def test_row_32_broken_json_in_the_middle(streaming: Bench) -> None:
    """After text it raises: what it held is unknown, so the answer is not whole."""
    outcome = streaming.ask(stream(*words(5), BROKEN, *words(3), STOP, DONE))
    partial(outcome, spelled(5))
    streaming.raised(outcome, "StreamInterrupted")


# More than expected


def test_row_35_a_finish_twice(streaming: Bench) -> None:
    """One finish event, with the first reason."""
    outcome = streaming.ask(stream(*words(2), STOP, delta({}, "length"), USAGE, DONE))
    finishes = [event for event in outcome.events if isinstance(event, Finish)]
    assert ["stop"] == [event.reason for event in finishes]
    assert "stop" == outcome.answered.finish_reason


def test_row_36_text_after_the_finish(streaming: Bench) -> None:
    """Text after the finish reason is kept, and the reply says that it came."""
    outcome = streaming.ask(stream(*words(2), STOP, text("more"), DONE))
    assert (spelled(2) + "more",) * 2 == (outcome.text, outcome.answered.text)
    assert ["after_finish"] == [warning.code for warning in outcome.answered.warnings]
    assert isinstance(outcome.events[-1], Finish)


def used(inputs: Any, outputs: Any) -> JSON:
    return {"prompt_tokens": inputs, "completion_tokens": outputs}


USAGES: dict[str, list[JSON]] = {
    "after-the-finish": [STOP, USAGE],
    "with-the-finish": [delta({}, "stop", usage=used(11, 7))],
    "twice": [delta({}, "stop", usage=used(11, 6)), USAGE],
    "null": [delta({"content": "x"}, usage=None), STOP, USAGE, {"choices": [], "usage": None}],
    "cumulative": [delta({"content": "x"}, usage=used(11, number)) for number in (1, 2, 3)] + [STOP, USAGE],
    "strings": [STOP, {"choices": [], "usage": used("11", "7")}],
    "floats": [STOP, {"choices": [], "usage": used(11.0, 7.0)}],
    "negative-after": [STOP, USAGE, {"choices": [], "usage": used(-1, -1)}],
    "words-after": [STOP, USAGE, {"choices": [], "usage": "none"}],
    "list-after": [STOP, USAGE, {"choices": [], "usage": [1]}],
    "in-the-choice": [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": used(11, 7)}]}],
}


@pytest.mark.parametrize("chunks", some(USAGES.values(), 3), ids=USAGES)
def test_row_37_usage(streaming: Bench, chunks: list[JSON]) -> None:
    """The last valid numbers count, wherever they stand; nothing is added up."""
    usage = streaming.ask(stream(text("hi"), *chunks, DONE)).answered.usage
    assert (11, 7) == (usage.input_tokens, usage.output_tokens)


NO_USAGE: dict[str, Any] = {
    "negative": used(-5, -1),
    "words": used("many", "few"),
    "exponent": used("²", "²"),
    "long": used("9" * 5000, "9" * 5000),
    "booleans": used(True, True),
    "infinite": used("INFINITE", "INFINITE"),
    "list": [11, 7],
}


def with_usage(bench: Bench, usage: Any) -> Script:
    if bench.way.stream:
        sent = sse([text("hi"), STOP, {"choices": [], "usage": usage}, DONE])
        return [ReadRequest(), Send(sent.replace(b'"INFINITE"', b"1e99999999"))]
    sent = response(200, {**completion("hi"), "usage": usage})
    return [ReadRequest(), Send(sent.replace(b'"INFINITE"', b"1e99999999"))]


@pytest.mark.parametrize("usage", NO_USAGE.values(), ids=NO_USAGE)
def test_row_37_no_valid_usage(bench: Bench, usage: Any) -> None:
    """Numbers that can't be are no numbers; the answer stands."""
    outcome = bench.ask(with_usage(bench, usage))
    assert ([("t1:m", None)], "hi") == (outcome.trail, outcome.text)
    assert outcome.answered.usage.input_tokens is None or outcome.answered.usage.estimated


@pytest.mark.parametrize("usage", [used(-5, -1), used("many", "few"), [11, 7]], ids=["negative", "words", "list"])
def test_row_37_no_valid_usage_is_said(bench: Bench, usage: Any) -> None:
    """A reply whose usage could not be read says so: its usage is an estimate, or a warning speaks of it."""
    reply = bench.ask(with_usage(bench, usage)).answered
    assert reply.usage.estimated or any("usage" in warning.code for warning in reply.warnings)


def test_row_38_chunks_without_choices(streaming: Bench) -> None:
    """A chunk without choices, with a filter's findings or with usage, is read for what it holds."""
    filtered = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    outcome = streaming.ask(stream(filtered, *words(2), filtered, STOP, USAGE, filtered, DONE))
    assert (spelled(2), 11) == (outcome.text, outcome.answered.usage.input_tokens)
    assert [("t1:m", None)] == outcome.trail


ODD: dict[str, JSON] = {
    "null-content": delta({"content": None}),
    "no-delta": {"choices": [{"index": 0, "finish_reason": None}]},
    "null-delta": {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
    "empty-delta": delta({}),
    "null-choice": {"choices": [None]},
    "null-choices": {"choices": None},
    "no-choices": {"id": "x"},
    "another-choice": {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]},
    "numbers": delta({"content": 7, "role": 7, "tool_calls": 7, "refusal": 7}),
    "empty-calls": delta({"tool_calls": []}),
    "null-calls": delta({"tool_calls": [None]}),
}


@pytest.mark.parametrize("odd", some(ODD.values(), 3), ids=ODD)
def test_row_39_chunks_that_say_nothing(streaming: Bench, odd: JSON) -> None:
    """A chunk without text is passed over, wherever it stands."""
    outcome = streaming.ask(stream(odd, text("one "), odd, text("two"), odd, STOP, odd, DONE))
    assert "one two" == outcome.text == outcome.answered.text
    assert [("t1:m", None)] == outcome.trail
    assert ["one ", "two"] == [event.text for event in outcome.events if isinstance(event, TextDelta)]


def test_row_40_an_unknown_finish_reason(bench: Bench) -> None:
    """A reason that nobody knows is `other`; the vendor's word is kept."""
    script = stream(text("hi"), delta({}, "cosmic_rays"), DONE)
    if not bench.way.stream:
        script = [ReadRequest(), Send(response(200, completion("hi", "cosmic_rays")))]
    reply = bench.ask(script).answered
    assert ("hi", "other", "cosmic_rays") == (reply.text, reply.finish_reason, reply.raw_finish_reason)
    assert [warning.code for warning in reply.warnings] == ["unknown_finish_reason"]


@pytest.mark.parametrize(
    "unknown",
    [
        b'event: thinking_status\ndata: {"percent": 40}\n\n',
        b"event: status\ndata: warming up\n\n",
        delta({"novelty": {"a": [1]}}, surprise=True),
    ],
    ids=["event", "event-with-words", "field"],
)
def test_row_40_what_is_unknown(streaming: Bench, unknown: Any) -> None:
    """Events and fields that nobody knows are passed over."""
    outcome = streaming.ask(stream(unknown, *words(2), unknown, STOP, unknown, DONE))
    assert ([("t1:m", None)], spelled(2)) == (outcome.trail, outcome.text)


def test_the_healthy_stream_itself(streaming: Bench) -> None:
    """The other half of all these rows: nothing is wrong with a stream in which nothing is wrong."""
    outcome = streaming.ask(stream(ROLE, *words(3), STOP, USAGE, DONE), limits=PATIENT)
    assert ([("t1:m", None)], spelled(3), []) == (outcome.trail, outcome.text, outcome.answered.warnings)
    assert HEALTHY != outcome.text
    assert 1 == streaming.t1.open, "a connection that ended well is kept"


def test_a_stream_that_is_read_later(streaming: Bench) -> None:
    """Events that arrive together are handed over one by one, none before the other is asked for and none lost."""
    script = [ReadRequest(), Send(sse_head()), Send(b"".join(chunk(event_bytes(word)) for word in words(500)))]
    outcome = streaming.ask([*script, Send(chunk(event_bytes(STOP)) + b"0\r\n\r\n")])
    assert spelled(500) == outcome.text
    assert 501 == len(outcome.events)
