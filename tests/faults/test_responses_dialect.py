"""The rows about streams and bodies once more, in the Responses dialect, whose streams are built otherwise."""

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
from tests.faults.bench import IMPATIENT, JSON, PROMPT, Bench, Outcome, Script, refusing

pytest.importorskip("llmswitch.providers.openai_responses")

DIALECT = {"t1": {"dialect": "openai-responses"}}
TOOLS = {"tools": [Tool("look", "Looks."), Tool("wait", "Waits.")]}
USAGE = {"input_tokens": 11, "output_tokens": 7}


def event(kind: str, /, **fields: Any) -> bytes:
    """One event, named and typed as the dialect has it."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


def answer(*output: JSON, status: str = "completed", **more: Any) -> JSON:
    """A whole answer."""
    return {"id": "resp_1", "model": "served", "status": status, "output": list(output), "usage": USAGE} | more


def message(text: str) -> JSON:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


START = event("response.created", response=answer(status="in_progress", usage=None))
CUT = {"incomplete_details": {"reason": "max_output_tokens"}}


def text(*pieces: str) -> list[bytes]:
    """A message, begun, said and closed."""
    whole = message("".join(pieces))
    return [
        event("response.output_item.added", output_index=0, item={**whole, "content": []}),
        *(event("response.output_text.delta", output_index=0, delta=piece) for piece in pieces),
        event("response.output_item.done", output_index=0, item=whole),
    ]


def call(arguments: str, *, index: int = 0, name: str = "look", ended: str | None = "completed") -> list[bytes]:
    """A tool call, its arguments in two pieces."""
    item = {"type": "function_call", "id": f"fc_{index}", "call_id": f"call_{index}", "name": name}
    pieces = (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :])
    done = {**item, "arguments": arguments, "status": ended}
    return [
        event("response.output_item.added", output_index=index, item={**item, "arguments": ""}),
        *(event("response.function_call_arguments.delta", output_index=index, delta=piece) for piece in pieces),
        *([event("response.output_item.done", output_index=index, item=done)] if ended else []),
    ]


def end(**more: Any) -> bytes:
    """The last event; the items stand in their own."""
    kind = f"response.{more.get('status', 'completed')}"
    return event(kind, response={name: value for name, value in answer(**more).items() if name != "output"})


def ask(bench: Bench, *events: bytes, options: JSON | None = None, **framing: Any) -> Outcome:
    """Ask a T1 that answers with this stream."""
    script: Script = [ReadRequest(), Send(sse(events, **framing)), *([Close()] if framing else [])]
    return bench.ask(script, providers=DIALECT, options=options)


def test_the_healthy_answer_itself(bench: Bench) -> None:
    """The other half of all these rows."""
    if bench.way.stream:
        outcome = ask(bench, START, *text("h", "i"), end())
    else:
        outcome = bench.ask([ReadRequest(), Send(response(200, answer(message("hi"))))], providers=DIALECT)
    assert ([("t1:m", None)], "hi", []) == (outcome.trail, outcome.text, outcome.answered.warnings)
    assert PROMPT in bench.t1.requests[0].body.decode()
    assert (11, 7) == (outcome.answered.usage.input_tokens, outcome.answered.usage.output_tokens)


ERRORS = [("server_error", "ServerError"), ("rate_limit_exceeded", "RateLimited"), ("invalid_api_key", "AuthInvalid")]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "becomes"), ERRORS, ids=[code for code, _ in ERRORS])
@pytest.mark.parametrize("before", [[], [START, text("")[0]]], ids=["first", "begun"])
@pytest.mark.parametrize("failed", [False, True], ids=["error", "failed"])
def test_rows_25_and_34_an_error_before_any_text(
    streaming: Bench, before: list[bytes], code: str, becomes: str, *, failed: bool
) -> None:
    """What begins an answer commits nobody: an error after it moves, in either of the protocol's words."""
    error = {"code": code, "message": "no"}
    said = event("response.failed", response=answer(status="failed", error=error))
    outcome = ask(streaming, *before, said if failed else event("error", **error))
    streaming.moved(outcome, becomes, billed=None, tries=2 if becomes == "ServerError" else 1)


@pytest.mark.slow
def test_row_33_an_error_in_the_middle(streaming: Bench) -> None:
    """After text it raises with what had arrived, and says what it was."""
    error = {"code": "rate_limit_exceeded", "message": "no"}
    failed = event("response.failed", response=answer(status="failed", error=error))
    raised = streaming.raised(ask(streaming, START, *text("one ", "two ")[:-1], failed), "StreamInterrupted")
    assert isinstance(raised, StreamInterrupted)
    assert raised.partial is not None
    assert "one two " == raised.partial.text


@pytest.mark.slow
def test_rows_23_and_26_silence(streaming: Bench) -> None:
    """Events that say nothing set no limit back, before the first word or after it."""
    idle = chunk(event("response.in_progress", response=answer(status="in_progress")))
    for begun, error in (([START], "FirstTokenTimeout"), ([START, *text("one ")[:-1]], "StreamStalled")):
        head = sse_head() + b"".join(map(chunk, begun))
        for last in (SendForever(idle, every=0.03), Hang()):
            outcome = streaming.ask([ReadRequest(), Send(head), last], providers=DIALECT, limits=IMPATIENT)
            assert error == outcome.attempts[0].error


@pytest.mark.slow
@pytest.mark.parametrize("length", range(2, 5), ids=["in-the-item", "after-text", "after-the-item"])
@pytest.mark.parametrize("framing", [{}, {"ended": False}, {"framing": "close"}], ids=["clean", "EOF", "close"])
def test_row_28_an_end_without_a_finish(streaming: Bench, length: int, framing: dict[str, Any]) -> None:
    """A stream that ends without its last event is never an answer."""
    outcome = ask(streaming, *[START, *text("one ")][:length], **framing)
    if length == 2:
        streaming.moved(outcome, "StreamInterrupted", "MalformedResponse", billed=True, closed=False)
        return
    streaming.raised(outcome, "StreamInterrupted")
    assert not any(isinstance(each, Finish) for each in outcome.events)


@pytest.mark.slow
def test_rows_31_and_35_to_37_odd_ends(streaming: Bench) -> None:
    """A last event without its blank line counts; a second one does not; numbers that can't be are none."""
    lacking = ask(streaming, START, *text("hi"), end().rstrip(b"\n"))
    assert ([("t1:m", None)], "hi") == (lacking.trail, lacking.text)
    twice = ask(streaming, START, *text("hi"), end(), end(status="incomplete", **CUT))
    assert ["stop"] == [each.reason for each in twice.events if isinstance(each, Finish)]
    assert "hi" == twice.answered.text
    for usage in (None, [], "x", {"output_tokens": -1}, {"output_tokens": "²"}, {"output_tokens": 1e99}):
        outcome = ask(streaming, START, *text("hi"), end(usage=usage))
        assert ([("t1:m", None)], "hi", None) == (outcome.trail, outcome.text, outcome.answered.usage.output_tokens)


ODD = [
    event("response.vibe_check", level=9),
    event("response.output_item.added", output_index=7, item={"type": "hologram", "data": "x"}),
    event("response.output_text.delta", output_index=0, delta=None),
    event("response.output_text.delta", output_index=0, delta=7),
    event("response.output_text.delta", delta=""),
    event("response.created", response=None),
    event("response.output_text.annotation.added", annotation={"type": "url_citation"}),
    b"data: {}\n\n",
    b"event: keepalive\ndata: pong\n\n",
    b"event: ping\ndata:\n\n",
]


@pytest.mark.slow
def test_rows_39_and_40_what_is_odd_or_unknown(streaming: Bench) -> None:
    """What says nothing, and what nobody knows, is passed over."""
    begun, *rest = text("hi")
    outcome = ask(streaming, START, begun, *ODD, *rest, end())
    assert ([("t1:m", None)], "hi") == (outcome.trail, outcome.text)


@pytest.mark.slow
def test_row_41_the_token_limit_in_the_arguments(streaming: Bench) -> None:
    """A call that the limit cut is `IncompleteToolCall`, and is not run, whatever its arguments look like."""
    for arguments in ('{"at": "a', '{"at": 1}'):
        events = [START, *call(arguments, ended="incomplete"), end(status="incomplete", **CUT)]
        outcome = ask(streaming, *events, options=TOOLS)
        assert isinstance(streaming.raised(outcome, "IncompleteToolCall"), IncompleteToolCall)
        assert not any(isinstance(each, ToolCallDone) for each in outcome.events)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ['{"at": }', "[1, 2]", "7", "[" * 5000])
def test_row_42_arguments_that_are_no_object(streaming: Bench, arguments: str) -> None:
    """Arguments that are no object are `ToolArgumentsInvalid`."""
    outcome = ask(streaming, START, *call(arguments), end(), options=TOOLS)
    error = streaming.raised(outcome, "ToolArgumentsInvalid")
    assert isinstance(error, ToolArgumentsInvalid)
    assert arguments == error.raw_arguments
    assert not any(isinstance(each, ToolCallDone) for each in outcome.events)


@pytest.mark.slow
@pytest.mark.parametrize("reset", [False, True], ids=["EOF", "RST"])
def test_row_44_cut_in_a_call(streaming: Bench, reset: bool) -> None:
    """Of two calls the one that was closed is in the partial reply, the one that was cut is told by name."""
    events = [START, *call('{"at": "a"}'), *call('{"for', index=1, name="wait", ended=None)]
    script = [ReadRequest(), Send(sse(events, ended=False)), Pause(0.03), Reset() if reset else Close()]
    error = streaming.raised(streaming.ask(script, providers=DIALECT, options=TOOLS), "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert (["look"], ("wait",)) == ([each.name for each in error.partial.tool_calls], error.incomplete_tool_calls)


@pytest.mark.slow
def test_row_45_a_chunk_a_byte(streaming: Bench) -> None:
    """Chunks of one byte change nothing."""
    body = b"".join([START, *text("naïve ", "你好 🙂"), end()])
    outcome = ask(streaming, *(body[at : at + 1] for at in range(len(body))))
    assert ([("t1:m", None)], "naïve 你好 🙂") == (outcome.trail, outcome.text)


NO_ANSWERS: dict[str, Any] = {
    "page": "<!DOCTYPE html><html></html>",
    "nothing": "",
    "no-output": {"object": "response", "status": "completed"},
    "null-output": answer(output=None),
    "text-output": answer(output="hi"),
    "queued": answer(status="queued"),
    "deep": "[" * 100_000,
    "cut": json.dumps(answer(message("hi")))[:40],
    "list": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_rows_57_and_60_to_61_and_63_to_64_no_answer(whole: Bench, body: Any) -> None:
    """A body that holds no answer is `MalformedResponse`."""
    script = refusing(200, body, {"content-type": "application/json"})
    whole.moved(whole.ask(script, providers=DIALECT), "MalformedResponse", billed=True, closed=False)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "becomes"), ERRORS, ids=[code for code, _ in ERRORS])
def test_row_59_an_error_with_200(whole: Bench, code: str, becomes: str) -> None:
    """An answer that failed, under a 200, is classified by its code."""
    body = answer(status="failed", error={"code": code, "message": "no"})
    outcome = whole.ask(refusing(200, body), providers=DIALECT)
    whole.moved(outcome, becomes, billed=None, closed=False, tries=2 if becomes == "ServerError" else 1)
