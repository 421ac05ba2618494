"""Tool calls that are cut, broken, numbered oddly or written in pieces: none is ever run that was not whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch import IncompleteToolCall, LLMSwitchError, StreamInterrupted, Tool, ToolArgumentsInvalid
from llmswitch._events import ToolCallDone
from llmswitch.testing.fault_server import Close, Pause, ReadRequest, Reset, Send, Step, response, sse
from tests.everyday import some
from tests.faults.bench import DONE, JSON, ROLE, Bench, Outcome, Script, completion, delta, text

TOOLS = {"tools": [Tool("look", "Looks."), Tool("wait", "Waits.")]}
CALLED = delta({}, "tool_calls")


def piece(
    arguments: Any = None,
    *,
    index: Any = 0,
    id: str | None = None,  # noqa: A002 - as the wire has it
    name: str | None = None,
) -> JSON:
    """A piece of one tool call; what is not given is not there."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {"index": index, "id": id, "function": function}
    return {key: value for key, value in call.items() if value is not None}


def calls(*pieces: JSON) -> JSON:
    """One chunk with pieces of tool calls."""
    return delta({"tool_calls": list(pieces)})


def ask(bench: Bench, arguments: str, finish_reason: str) -> Outcome:
    """A call of `look` with this text as its arguments, streamed in two pieces or whole."""
    if bench.way.stream:
        middle = len(arguments) // 2
        events: list[Any] = [
            ROLE,
            calls(piece("", id="call_1", name="look")),
            calls(piece(arguments[:middle])),
            calls(piece(arguments[middle:])),
            delta({}, finish_reason),
            DONE,
        ]
        return bench.ask([ReadRequest(), Send(sse(events))], options=TOOLS)
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    body = completion(None, finish_reason, tool_calls=[call])
    return bench.ask([ReadRequest(), Send(response(200, body))], options=TOOLS)


def finished(outcome: Outcome) -> list[ToolCallDone]:
    """The calls that the caller was told he may run."""
    return [event for event in outcome.events if isinstance(event, ToolCallDone)]


def test_row_41_the_token_limit_in_the_arguments(bench: Bench) -> None:
    """A call that the token limit cut is `IncompleteToolCall`; nobody else is asked, and nothing is run."""
    outcome = ask(bench, '{"city": "Par', "length")
    error = bench.raised(outcome, "IncompleteToolCall")
    assert isinstance(error, IncompleteToolCall)
    assert error.reply is not None
    assert ([], []) == (error.reply.tool_calls, finished(outcome))
    assert "max_tokens" in str(error)
    assert error.possibly_billed


@pytest.mark.parametrize("arguments", ['{"city": }', "[1, 2]", '"Paris"', "null", "7", "NaN", '{"a": 1} {"b": 2}'])
def test_row_42_arguments_that_are_no_object(bench: Bench, arguments: str) -> None:
    """Arguments that are not a JSON object are `ToolArgumentsInvalid`, with the vendor's text; nothing is run."""
    outcome = ask(bench, arguments, "tool_calls")
    error = bench.raised(outcome, "ToolArgumentsInvalid")
    assert isinstance(error, ToolArgumentsInvalid)
    assert arguments == error.raw_arguments
    assert [] == finished(outcome)


@pytest.mark.parametrize("depth", [300, 900, 1010, 5_000])
def test_rows_42_and_63_arguments_without_bottom(bench: Bench, depth: int) -> None:
    """Arguments nested however deeply, as text or as an object, raise nothing but errors of llmswitch."""
    nested = "[" * depth + "]" * depth
    whole = '{"a": ' + nested + "}"
    for arguments in (json.dumps(whole), whole):
        if bench.way.stream:
            chunk = json.dumps(calls(piece("ARGUMENTS", id="call_1", name="look"))).replace('"ARGUMENTS"', arguments)
            script: Script = [ReadRequest(), Send(sse([chunk, CALLED, DONE]))]
        else:
            call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "ARGUMENTS"}}
            body = json.dumps(completion(None, "tool_calls", tool_calls=[call])).replace('"ARGUMENTS"', arguments)
            script = [ReadRequest(), Send(response(200, body, {"content-type": "application/json"}))]
        outcome = bench.ask(script, options=TOOLS)
        assert outcome.reply is not None or isinstance(outcome.error, LLMSwitchError)


LOOK = ("look", {"at": "a"})
WAIT = ("wait", {"for": "b"})
A, B = '{"at": "a"}', '{"for": "b"}'

# Chunks, and the calls that they must come to. None: nothing but `MalformedResponse` would do as well.
ODD: dict[str, tuple[list[JSON], list[Any]]] = {
    "numbered": (
        [
            calls(piece("", index=0, id="1", name="look"), piece("", index=1, id="2", name="wait")),
            calls(piece(A, index=0)),
            calls(piece(B, index=1)),
        ],
        [LOOK, WAIT],
    ),
    "interleaved": (
        [
            calls(piece("", index=0, id="1", name="look")),
            calls(piece("", index=1, id="2", name="wait")),
            calls(piece(A[:4], index=0)),
            calls(piece(B[:4], index=1)),
            calls(piece(A[4:], index=0), piece(B[4:], index=1)),
        ],
        [LOOK, WAIT],
    ),
    "from-one": ([calls(piece(A, index=1, id="1", name="look"))], [LOOK]),
    "whole-without-index": (
        [calls(piece(A, index=None, id="1", name="look")), calls(piece(B, index=None, id="2", name="wait"))],
        [LOOK, WAIT],
    ),
    "pieces-without-index": (
        [
            calls(piece(A[:4], index=None, id="1", name="look")),
            calls(piece(A[4:], index=None)),
            calls(piece(B[:4], index=None, id="2", name="wait")),
            calls(piece(B[4:], index=None)),
        ],
        [LOOK, WAIT],
    ),
    "interleaved-without-index": (
        [
            calls(piece(A[:4], index=None, id="1", name="look")),
            calls(piece(B[:4], index=None, id="2", name="wait")),
            calls(piece(A[4:], index=None, id="1")),
            calls(piece(B[4:], index=None, id="2")),
        ],
        [LOOK, WAIT],
    ),
    "by-place-without-index-or-id": (
        [
            calls(piece("", index=None, name="look"), piece("", index=None, name="wait")),
            calls(piece(A, index=None), piece(B, index=None)),
        ],
        [LOOK, WAIT],
    ),
    "index-as-text": (
        [
            calls(piece("", index="0", id="1", name="look"), piece("", index="1", id="2", name="wait")),
            calls(piece(A, index="0")),
            calls(piece(B, index="1")),
        ],
        [LOOK, WAIT],
    ),
    "index-as-text-and-no-arguments": (
        [
            calls(piece("", index="0", id="1", name="look"), piece("", index="1", id="2", name="wait")),
            calls(piece(A, index="0")),
        ],
        [LOOK, ("wait", {})],
    ),
    "without-ids": (
        [calls(piece(A, index=0, name="look")), calls(piece(B, index=1, name="wait"))],
        [LOOK, WAIT],
    ),
    "id-in-every-piece": (
        [calls(piece(A[:4], id="1", name="look")), calls(piece(A[4:], id="1"))],
        [LOOK],
    ),
    "name-in-every-piece": (
        [calls(piece(A[:4], id="1", name="look")), calls(piece(A[4:], name="look"))],
        [LOOK],
    ),
    "name-in-two-pieces": (
        [calls(piece("", id="1", name="lo")), calls(piece(A, name="ok"))],
        [LOOK],
    ),
    "name-after-the-id": ([calls(piece("", id="1")), calls(piece(A, name="look"))], [LOOK]),
    "id-changes": ([calls(piece(A[:4], id="1", name="look")), calls(piece(A[4:], id="2"))], [LOOK]),
    "object": ([calls(piece({"at": "a"}, id="1", name="look"))], [LOOK]),
    "object-after-nothing": ([calls(piece("", id="1", name="look")), calls(piece({"at": "a"}))], [LOOK]),
    "one-call-not-in-a-list": ([delta({"tool_calls": piece(A, id="1", name="look")})], [LOOK]),
    "two-of-one-index": (
        [calls(piece(A, index=0, id="1", name="look")), calls(piece(B, index=0, id="2", name="wait"))],
        [LOOK, WAIT],
    ),
    "no-arguments": ([calls(piece(None, id="1", name="look"))], [("look", {})]),
}


@pytest.mark.parametrize(("chunks", "expected"), some(ODD.values(), 3), ids=ODD)
def test_row_43_calls_in_odd_pieces(streaming: Bench, chunks: list[JSON], expected: list[Any]) -> None:
    """Whatever the pieces, the calls are right or the stream is refused; arguments never stray from call to call."""
    outcome = streaming.ask([ReadRequest(), Send(sse([ROLE, *chunks, CALLED, DONE]))], options=TOOLS)
    if outcome.error is not None:
        assert isinstance(outcome.error, StreamInterrupted), outcome.error
        assert "MalformedResponse" == outcome.attempts[0].error
        assert [] == finished(outcome)
        return
    if len(outcome.attempts) > 1:
        assert "MalformedResponse" == outcome.attempts[0].error
        return
    made = [(call.name, call.arguments) for call in outcome.answered.tool_calls]
    assert expected == made
    assert made == [(event.call.name, event.call.arguments) for event in finished(outcome)]
    assert len({call.id for call in outcome.answered.tool_calls}) == len(made)
    assert "tool_calls" == outcome.answered.finish_reason


PLAIN = ["numbered", "interleaved", "whole-without-index", "pieces-without-index", "id-in-every-piece", "object"]


@pytest.mark.parametrize("name", PLAIN)
def test_row_43_usual_pieces_are_put_together(streaming: Bench, name: str) -> None:
    """The forms that vendors are known to send are not refused."""
    chunks, expected = ODD[name]
    outcome = streaming.ask([ReadRequest(), Send(sse([ROLE, *chunks, CALLED, DONE]))], options=TOOLS)
    assert expected == [(call.name, call.arguments) for call in outcome.answered.tool_calls]


@pytest.mark.parametrize("end", [[Close()], [Pause(0.03), Reset()], []], ids=["EOF", "RST", "clean"])
@pytest.mark.parametrize("closed_before", [False, True], ids=["one", "second-of-two"])
def test_row_44_cut_in_a_call(streaming: Bench, end: list[Step], closed_before: bool) -> None:
    """A call that was cut is told by name, is in no reply, and is nowhere continued."""
    first = [calls(piece(A, index=0, id="1", name="look"))] if closed_before else []
    events = [text("Let me see. "), *first, calls(piece(B[:6], index=1, id="2", name="wait"))]
    script = [ReadRequest(), Send(sse(events, ended=not end)), *end]
    outcome = streaming.ask(script, options=TOOLS)
    error = streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert "wait" in error.incomplete_tool_calls
    assert "wait" not in [call.name for call in error.partial.tool_calls]
    assert "wait" not in [event.call.name for event in finished(outcome)]
    assert "Let me see. " == error.partial.text
