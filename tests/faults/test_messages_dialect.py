"""The rows about streams and bodies once more, in the Messages dialect, whose streams are built otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch import IncompleteToolCall, StreamInterrupted, Tool, ToolArgumentsInvalid
from llmswitch._events import Finish, ToolCallDone
from llmswitch.testing.fault_server import (
    Close,
    Hang,
    Pause,
    ReadRequest,
    Reset,
    Send,
    SendForever,
    chunk,
    response,
    sse,
    sse_head,
)
from tests.everyday import some
from tests.faults.bench import IMPATIENT, JSON, PROMPT, Bench, Outcome, Script, refusing

pytest.importorskip("llmswitch.providers.anthropic")

DIALECT = {"t1": {"dialect": "anthropic"}}
TOOLS = {"tools": [Tool("look", "Looks."), Tool("wait", "Waits.")]}


def event(kind: str, /, **fields: Any) -> bytes:
    """One event, named and typed as the dialect has it."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


START = event("message_start", message={"id": "msg_1", "model": "served", "usage": {"input_tokens": 11}, "content": []})
PING = event("ping")
STOP = event("message_stop")


def text(*pieces: str, index: int = 0) -> list[bytes]:
    """A whole block of text."""
    return [
        event("content_block_start", index=index, content_block={"type": "text", "text": ""}),
        *(event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece}) for piece in pieces),
        event("content_block_stop", index=index),
    ]


def call(arguments: str, *, index: int = 0, ended: bool = True, name: str = "look") -> list[bytes]:
    """A block with a tool call, its arguments in two pieces."""
    block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    pieces = (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :])
    return [
        event("content_block_start", index=index, content_block=block),
        *(
            event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
            for piece in pieces
        ),
        *([event("content_block_stop", index=index)] if ended else []),
    ]


def reason(word: str | None = "end_turn") -> bytes:
    return event("message_delta", delta={"stop_reason": word}, usage={"output_tokens": 7})


def failed(kind: str, message: str = "no") -> bytes:
    return event("error", error={"type": kind, "message": message})


def message(*content: JSON, stop_reason: str | None = "end_turn", **more: Any) -> JSON:
    """A whole answer."""
    usage = {"input_tokens": 11, "output_tokens": 7}
    return {
        "type": "message",
        "id": "msg_1",
        "content": list(content),
        "stop_reason": stop_reason,
        "usage": usage,
    } | more


def ask(bench: Bench, *events: bytes, options: JSON | None = None, **framing: Any) -> Outcome:
    """Ask a T1 that answers with this stream."""
    script: Script = [ReadRequest(), Send(sse(events, **framing)), *([Close()] if framing else [])]
    return bench.ask(script, providers=DIALECT, options=options)


ERRORS = [
    ("overloaded_error", "Overloaded"),
    ("api_error", "ServerError"),
    ("rate_limit_error", "RateLimited"),
    ("authentication_error", "AuthInvalid"),
    ("billing_error", "Arrears"),
    ("not_found_error", "ModelGone"),
]


@pytest.mark.parametrize(("kind", "becomes"), ERRORS, ids=[kind for kind, _ in ERRORS])
@pytest.mark.parametrize("before", some([[START], [], [START, PING, PING]], 3), ids=["start", "first", "pings"])
def test_rows_25_and_34_an_error_before_any_text(
    streaming: Bench, before: list[bytes], kind: str, becomes: str
) -> None:
    """`message_start` commits nobody: an error after it moves as the same HTTP error does."""
    tries = 2 if becomes == "ServerError" else 1
    streaming.moved(ask(streaming, *before, failed(kind)), becomes, billed=None, tries=tries)


def test_row_33_an_error_in_the_middle(streaming: Bench) -> None:
    """After text it raises with what had arrived, and says what it was."""
    outcome = ask(streaming, START, *text("one ", "two ")[:-1], failed("overloaded_error"))
    error = streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert "one two " == error.partial.text == outcome.text
    assert "Overloaded" == outcome.attempts[0].error


@pytest.mark.parametrize("beat", [PING, b": hello\n\n", START], ids=["ping", "comment", "start"])
def test_row_23_pings_alone(streaming: Bench, beat: bytes) -> None:
    """Pings set no limit back."""
    script = [ReadRequest(), Send(sse_head() + chunk(START)), SendForever(chunk(beat), every=0.03)]
    outcome = streaming.ask(script, providers=DIALECT, limits=IMPATIENT)
    streaming.moved(outcome, "FirstTokenTimeout", billed=True, within=2.0)


def test_row_26_a_stall(streaming: Bench) -> None:
    """Silence in the middle, with pings or without, is `StreamStalled`."""
    begun = sse([START, *text("one ")[:-1]], ended=False)
    outcome = streaming.ask([ReadRequest(), Send(begun), Hang()], providers=DIALECT, limits=IMPATIENT)
    error = streaming.raised(outcome, "StreamStalled")
    assert "one " == error.partial.text  # type: ignore[attr-defined]


@pytest.mark.parametrize("length", range(2, 5), ids=["in-the-block", "after-text", "after-the-block"])
@pytest.mark.parametrize(
    "framing", some([{}, {"ended": False}, {"framing": "close"}], 3), ids=["clean", "EOF", "close"]
)
def test_row_28_an_end_without_a_finish(streaming: Bench, length: int, framing: dict[str, Any]) -> None:
    """A stream that ends without a stop reason is never an answer."""
    outcome = ask(streaming, *[START, *text("one ")][:length], **framing)
    if length == 2:
        streaming.moved(outcome, "StreamInterrupted", "MalformedResponse", billed=True, closed=False)
        return
    streaming.raised(outcome, "StreamInterrupted")
    assert not any(isinstance(each, Finish) for each in outcome.events)


def test_row_29_a_stop_reason_without_message_stop(streaming: Bench) -> None:
    """A stop reason without the last event is an answer, with a warning."""
    outcome = ask(streaming, START, *text("hi"), reason())
    assert ([("t1:m", None)], "hi", "stop") == (outcome.trail, outcome.text, outcome.answered.finish_reason)
    assert ["no_message_stop"] == [warning.code for warning in outcome.answered.warnings]


def test_row_30_message_stop_without_a_reason(streaming: Bench) -> None:
    """The last event without a stop reason is none."""
    outcome = ask(streaming, START, *text("hi"), STOP)
    streaming.raised(outcome, "StreamInterrupted")


def test_row_31_the_last_event_lacks_its_blank_line(streaming: Bench) -> None:
    """A stop reason in an event without its blank line counts, and is flagged."""
    outcome = ask(streaming, START, *text("hi"), reason().rstrip(b"\n"))
    assert ([("t1:m", None)], "hi") == (outcome.trail, outcome.text)
    assert outcome.answered.warnings


def test_row_35_two_reasons(streaming: Bench) -> None:
    """One finish, with the first reason."""
    outcome = ask(streaming, START, *text("hi"), reason(), reason("max_tokens"), STOP)
    assert ["stop"] == [each.reason for each in outcome.events if isinstance(each, Finish)]


@pytest.mark.parametrize(
    "usage",
    [None, [], "x", {"output_tokens": -1}, {"output_tokens": "²"}, {"output_tokens": 1e99}, {"output_tokens": None}],
    ids=repr,
)
def test_row_37_no_valid_usage(streaming: Bench, usage: Any) -> None:
    """Numbers that can't be are no numbers; the answer stands."""
    delta = event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
    outcome = ask(streaming, START, *text("hi"), delta, STOP)
    assert ([("t1:m", None)], "hi") == (outcome.trail, outcome.text)


ODD = {
    "unknown-event": event("vibe_check", level=9),
    "unknown-block": event("content_block_start", index=7, content_block={"type": "hologram", "data": "x"}),
    "unknown-delta": event("content_block_delta", index=0, delta={"type": "smell_delta", "smell": "x"}),
    "null-delta": event("content_block_delta", index=0, delta=None),
    "null-block": event("content_block_start", index=8, content_block=None),
    "null-text": event("content_block_delta", index=0, delta={"type": "text_delta", "text": None}),
    "no-index": event("content_block_delta", delta={"type": "text_delta", "text": ""}),
    "list-index": event("content_block_start", index=[1], content_block={"type": "text"}),
    "object-index": event("content_block_delta", index={"a": 1}, delta={"type": "text_delta", "text": ""}),
    "null-usage": event("message_delta", delta={"stop_reason": None}, usage=None),
    "numeric-citations": event("content_block_start", index=9, content_block={"type": "text", "citations": 7}),
    "null-message": event("message_start", message=None),
    "no-type": b"data: {}\n\n",
    "words": b"event: ping\ndata: pong\n\n",
    "empty-data": b"event: ping\ndata:\n\n",
}


UNREADABLE = ("list-index", "object-index", "numeric-citations")


@pytest.mark.parametrize("odd", some([name for name in ODD if name not in UNREADABLE], 3))
def test_rows_39_and_40_what_is_odd_or_unknown(streaming: Bench, odd: str) -> None:
    """What says nothing, and what nobody knows, is passed over."""
    outcome = ask(streaming, START, ODD[odd], *text("hi"), ODD[odd], reason(), STOP)
    assert ([("t1:m", None)], "hi") == (outcome.trail, outcome.text)


@pytest.mark.parametrize("odd", UNREADABLE)
def test_rows_39_and_40_whatever_it_is(streaming: Bench, odd: str) -> None:
    """What can't be read may be refused; it raises nothing but errors of llmswitch."""
    outcome = ask(streaming, START, ODD[odd], *text("hi"), reason(), STOP)
    assert outcome.attempts[0].error in (None, "MalformedResponse")


@pytest.mark.parametrize("word", ["max_tokens", "model_context_window_exceeded"])
def test_row_41_the_token_limit_in_the_arguments(streaming: Bench, word: str) -> None:
    """A call that the limit cut is `IncompleteToolCall`, and is not run."""
    outcome = ask(streaming, START, *call('{"at": "a', ended=False), reason(word), STOP, options=TOOLS)
    error = streaming.raised(outcome, "IncompleteToolCall")
    assert isinstance(error, IncompleteToolCall)
    assert not any(isinstance(each, ToolCallDone) for each in outcome.events)


@pytest.mark.parametrize("arguments", ['{"at": }', "[1, 2]", "null", "7"])
def test_row_42_arguments_that_are_no_object(streaming: Bench, arguments: str) -> None:
    """Arguments that are no object are `ToolArgumentsInvalid`."""
    outcome = ask(streaming, START, *call(arguments), reason("tool_use"), STOP, options=TOOLS)
    error = streaming.raised(outcome, "ToolArgumentsInvalid")
    assert isinstance(error, ToolArgumentsInvalid)
    assert arguments == error.raw_arguments
    assert not any(isinstance(each, ToolCallDone) for each in outcome.events)


@pytest.mark.parametrize("depth", [300, 1010, 5000])
def test_rows_42_and_63_arguments_without_bottom(bench: Bench, depth: int) -> None:
    """Arguments nested however deeply raise nothing but errors of llmswitch."""
    nested = '{"a": %s}' % ("[" * depth + "]" * depth)
    block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": "INPUT"}
    if bench.way.stream:
        begin = event("content_block_start", index=0, content_block=block).replace(b'"INPUT"', nested.encode())
        sent = sse([START, begin, event("content_block_stop", index=0), reason("tool_use"), STOP])
    else:
        body = json.dumps(message(block, stop_reason="tool_use")).replace('"INPUT"', nested)
        sent = response(200, body, {"content-type": "application/json"})
    outcome = bench.ask([ReadRequest(), Send(sent)], providers=DIALECT, options=TOOLS)
    assert outcome.reply is not None or outcome.error is not None


@pytest.mark.parametrize("reset", [False, True], ids=["EOF", "RST"])
def test_row_44_cut_in_a_call(streaming: Bench, reset: bool) -> None:
    """Of two calls the one that was closed is in the partial reply, the one that was cut is told by name."""
    events = [START, *call('{"at": "a"}', index=0), *call('{"for', index=1, name="wait", ended=False)]
    script = [ReadRequest(), Send(sse(events, ended=False)), Pause(0.03), Reset() if reset else Close()]
    outcome = streaming.ask(script, providers=DIALECT, options=TOOLS)
    error = streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert (["look"], ("wait",)) == ([each.name for each in error.partial.tool_calls], error.incomplete_tool_calls)


def test_row_45_a_chunk_a_byte(streaming: Bench) -> None:
    """Chunks of one byte change nothing."""
    body = b"".join([START, PING, *text("naïve ", "你好 🙂"), reason(), STOP])
    outcome = ask(streaming, *(body[at : at + 1] for at in range(len(body))))
    assert ([("t1:m", None)], "naïve 你好 🙂") == (outcome.trail, outcome.text)


NO_ANSWERS: dict[str, Any] = {
    "page": "<!DOCTYPE html><html></html>",
    "nothing": "",
    "no-content": {"type": "message"},
    "null-content": message(content=None),
    "null-block": message(content=[None]),
    "text-content": message(content="hi"),
    "deep": "[" * 100_000,
    "NaN": '{"content": NaN}',
    "cut": json.dumps(message({"type": "text", "text": "hi"}))[:40],
    "list": [],
}


@pytest.mark.parametrize("body", some(NO_ANSWERS.values(), 3), ids=NO_ANSWERS)
def test_rows_57_and_60_to_61_and_63_to_64_no_answer(bench: Bench, body: Any) -> None:
    """A body that holds no answer is `MalformedResponse`."""
    script = refusing(200, body, {"content-type": "application/json"})
    bench.moved(bench.ask(script, providers=DIALECT), "MalformedResponse", billed=True, closed=False)


@pytest.mark.parametrize(("kind", "becomes"), ERRORS, ids=[kind for kind, _ in ERRORS])
def test_row_59_an_error_with_200(whole: Bench, kind: str, becomes: str) -> None:
    """An error under a 200 is classified by its type."""
    body = {"type": "error", "error": {"type": kind, "message": "no"}}
    outcome = whole.ask(refusing(200, body), providers=DIALECT)
    whole.moved(outcome, becomes, billed=None, closed=False, tries=2 if becomes == "ServerError" else 1)


def test_the_healthy_answer_itself(bench: Bench) -> None:
    """The other half of all these rows."""
    if bench.way.stream:
        outcome = ask(bench, START, PING, *text("h", "i"), reason(), STOP)
    else:
        body = message({"type": "text", "text": "hi"})
        outcome = bench.ask([ReadRequest(), Send(response(200, body))], providers=DIALECT)
    assert ([("t1:m", None)], "hi", []) == (outcome.trail, outcome.text, outcome.answered.warnings[1:])
    assert PROMPT in bench.t1.requests[0].body.decode()
    assert (11, 7) == (outcome.answered.usage.input_tokens, outcome.answered.usage.output_tokens)
