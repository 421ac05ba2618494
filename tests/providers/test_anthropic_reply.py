"""Messages: answers from bytes, whole and streamed. The events are those of Anthropic's SDK 2.12.0 types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import httpx
import pytest

from llmswitch import (
    Client,
    Finish,
    IncompleteToolCall,
    Message,
    Reasoning,
    ReasoningDelta,
    StreamInterrupted,
    Text,
    TextDelta,
    ToolArgumentsInvalid,
    ToolCall,
    ToolCallDelta,
    ToolCallDone,
    Usage,
    VendorData,
    VendorPart,
)
from llmswitch._adapter import ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._framing import framer
from llmswitch.providers.anthropic_reply import MessagesDecoder, parse_message
from tests.rows import rows

WHO = ModelIdentity("anthropic", "account", "claude-opus-5")


def vendor(data: dict[str, Any]) -> VendorData:
    return VendorData("anthropic", "account", "claude-opus-5", data)


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None, **usage: Any) -> dict[str, Any]:
    ending = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 9, **usage}}


BEGIN: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 100,
            "output_tokens": 1,
        },
    },
}
END = {"type": "message_stop"}
CITATION = {"type": "char_location", "cited_text": "x", "document_index": 0}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"encrypted_content": "e"}]}

# One answer with a block of every kind, as a stream and in one piece.
EVENTS = [
    BEGIN,
    {"type": "ping"},
    start(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="I th"),
    delta(0, type="thinking_delta", thinking="ink."),
    delta(0, type="signature_delta", signature="c2ln"),
    stop(0),
    start(1, type="redacted_thinking", data="b3BhcXVl"),
    stop(1),
    start(2, **SEARCH, input={}),
    delta(2, type="input_json_delta", partial_json='{"que'),
    delta(2, type="input_json_delta", partial_json='ry": "x"}'),
    stop(2),
    start(3, **FOUND),
    stop(3),
    start(4, type="text", text=""),
    delta(4, type="text_delta", text="So it "),
    delta(4, type="citations_delta", citation=CITATION),
    delta(4, type="text_delta", text="is 你好 🙂."),
    stop(4),
    start(5, type="text", text=""),
    delta(5, type="text_delta", text=" Next."),
    stop(5),
    start(6, type="tool_use", id="toolu_1", name="f", input={}, caller={"type": "direct"}),
    delta(6, type="input_json_delta", partial_json=""),
    delta(6, type="input_json_delta", partial_json='{"a": '),
    delta(6, type="input_json_delta", partial_json="[1, 2]}"),
    stop(6),
    start(7, type="tool_use", id="toolu_2", name="now", input={}),
    stop(7),
    end("tool_use", output_tokens_details={"thinking_tokens": 4}),
    END,
]
WHOLE: dict[str, Any] = {
    **BEGIN["message"],
    "content": [
        {"type": "thinking", "thinking": "I think.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {**SEARCH, "input": {"query": "x"}},
        FOUND,
        {"type": "text", "text": "So it is 你好 🙂.", "citations": [CITATION]},
        {"type": "text", "text": " Next.", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, 2]}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "usage": {**BEGIN["message"]["usage"], "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
}
PARTS: list[Any] = [
    Reasoning("I think.", vendor({"type": "thinking", "signature": "c2ln"})),
    Reasoning("", vendor({"type": "redacted_thinking", "data": "b3BhcXVl"})),
    VendorPart(vendor({**SEARCH, "input": {"query": "x"}})),
    VendorPart(vendor(FOUND)),
    Text("So it is 你好 🙂.", vendor({"citations": [CITATION]})),
    Text(" Next."),
    ToolCall("toolu_1", "f", {"a": [1, 2]}, '{"a": [1, 2]}', vendor({"caller": {"type": "direct"}})),
    ToolCall("toolu_2", "now", {}),
]
USAGE = Usage(
    input_tokens=125, output_tokens=9, cached_tokens=100, cache_write_tokens=20, reasoning_tokens=4, estimated=False
)


def decode(chunks: Iterable[bytes], decoder: MessagesDecoder | None = None) -> tuple[MessagesDecoder, list[Any]]:
    """The events of a body that came in these chunks."""
    decoder = decoder or MessagesDecoder(WHO)
    frames = framer("sse")
    events: list[Any] = []
    for chunk in chunks:
        for frame in frames.feed(chunk):
            events.extend(decoder.feed(frame))
    for frame in frames.finish():
        events.extend(decoder.feed(frame))
    events.extend(decoder.finish())
    return decoder, events


def client(body: bytes, kind: str = "text/event-stream") -> Client:
    """A client whose vendor answers with this body."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": kind}, content=body))
    config = {
        "default": "mine:claude-opus-5",
        "providers": {"mine": {"dialect": "anthropic", "base_url": "http://127.0.0.1:1/v1"}},
    }
    return Client.from_config(config, http_client=httpx.Client(transport=transport))


# The whole answer


def test_a_stream_becomes_a_message_with_its_parts_in_order() -> None:
    """Every block is a part of its own; what only the vendor understands is tagged with whose it is."""
    decoder, _ = decode([sse(*EVENTS)])
    assert Message("assistant", PARTS) == decoder.assembly.message()
    assert "tool_calls" == decoder.assembly.finish_reason
    assert "tool_use" == decoder.assembly.raw_finish_reason
    assert ("msg_1", "claude-opus-5") == (decoder.assembly.id, decoder.assembly.served_model)
    assert USAGE == decoder.assembly.usage
    assert [] == decoder.assembly.warnings
    assert decoder.ended


def test_the_events_of_a_stream() -> None:
    """Text, reasoning and calls are said as they come; signatures, hosted tools and citations say nothing."""
    _, events = decode([sse(*EVENTS)])
    assert [
        ReasoningDelta("I th"),
        ReasoningDelta("ink."),
        TextDelta("So it "),
        TextDelta("is 你好 🙂."),
        TextDelta(" Next."),
        ToolCallDelta(0, "toolu_1", "f", ""),
        ToolCallDelta(0, "toolu_1", "f", '{"a": '),
        ToolCallDelta(0, "toolu_1", "f", "[1, 2]}"),
        ToolCallDone(0, PARTS[6]),
        ToolCallDelta(1, "toolu_2", "now", ""),
        ToolCallDone(1, PARTS[7]),
    ] == events


def test_a_whole_answer_is_the_same_message() -> None:
    """What comes in one piece gives the same parts, reason and usage as the stream."""
    assembly = parse_message(WHOLE, MessagesDecoder(WHO))
    assembly.close_calls()
    message = assembly.message()
    for call, same in zip(message.tool_calls, PARTS[6:], strict=True):
        call.raw_arguments = same.raw_arguments  # it is written anew, without the vendor's spaces
    assert Message("assistant", PARTS) == message
    assert ("tool_calls", "tool_use") == (assembly.finish_reason, assembly.raw_finish_reason)
    assert USAGE == assembly.usage
    assert WHOLE == assembly.raw


def test_message_start_and_ping_are_no_semantic_events() -> None:
    """Nothing is said before the first text, thought or call."""
    _, events = decode([sse(BEGIN, {"type": "ping"}, start(0, type="text", text=""))])
    assert [] == events


def test_thinking_without_text_is_kept_for_its_signature() -> None:
    """Newer models leave the text out: the signature alone comes, says nothing, and is kept."""
    blocks = [start(0, type="thinking", thinking="", signature=""), delta(0, type="signature_delta", signature="c2ln")]
    decoder, events = decode([sse(BEGIN, *blocks, stop(0), end("end_turn"), END)])
    signed = Reasoning("", vendor({"type": "thinking", "signature": "c2ln"}))
    assert Message("assistant", [signed]) == decoder.assembly.message()
    assert [] == events


def test_blocks_of_one_kind_are_never_merged() -> None:
    """Two thinking blocks keep their own texts and signatures."""
    blocks = [
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="a"),
        delta(0, type="signature_delta", signature="s0"),
        stop(0),
        start(1, type="thinking", thinking="", signature=""),
        delta(1, type="thinking_delta", thinking="b"),
        delta(1, type="signature_delta", signature="s1"),
        stop(1),
    ]
    decoder, _ = decode([sse(BEGIN, *blocks, end("end_turn"), END)])
    assert [
        Reasoning("a", vendor({"type": "thinking", "signature": "s0"})),
        Reasoning("b", vendor({"type": "thinking", "signature": "s1"})),
    ] == decoder.assembly.message().content


def test_mixed_blocks_never_get_each_others_text_or_signature() -> None:
    """Deltas that jump between blocks, which the API does not send, are kept apart; a doubtful signature is dropped."""
    decoder, _ = decode(
        [
            sse(
                BEGIN,
                start(0, type="thinking", thinking="", signature=""),
                start(1, type="thinking", thinking="", signature=""),
                delta(0, type="thinking_delta", thinking="a"),
                delta(1, type="thinking_delta", thinking="b"),
                delta(1, type="signature_delta", signature="s1"),
                delta(0, type="signature_delta", signature="s0"),
                stop(0),
                stop(1),
                start(2, type="text", text=""),
                start(3, type="text", text=""),
                delta(2, type="text_delta", text="c"),
                delta(2, type="citations_delta", citation=CITATION),
                delta(3, type="text_delta", text="d"),
                stop(2),
                stop(3),
                end("end_turn"),
                END,
            )
        ]
    )
    signed = vendor({"type": "thinking", "signature": "s1"})
    parts = [Reasoning("a"), Reasoning("b", signed), Text("c"), Text("d")]
    assert parts == decoder.assembly.message().content


def test_a_block_whose_end_is_missing_ends_where_the_next_begins() -> None:
    """A copy of the API may leave the stops out."""
    blocks = [start(0, type="text", text="a"), start(1, type="text", text="b")]
    decoder, _ = decode([sse(BEGIN, *blocks, end("end_turn"), END)])
    assert [Text("a"), Text("b")] == decoder.assembly.message().content


def test_unknown_events_blocks_and_deltas_are_no_error() -> None:
    """The documentation reserves the right to add some: a new block is kept, a new event or delta passed over."""
    decoder, events = decode(
        [
            sse(
                BEGIN,
                {"type": "weather_report", "sunny": True},
                start(0, type="hologram", light=1),
                delta(0, type="hologram_delta", light=2),
                stop(0),
                start(1, type="text", text="Hi"),
                delta(1, type="emphasis_delta", strength=3),
                stop(1),
                end("end_turn"),
                END,
            )
        ]
    )
    assert [TextDelta("Hi")] == events
    assert [VendorPart(vendor({"type": "hologram", "light": 1})), Text("Hi")] == decoder.assembly.message().content


# Usage


def test_usage_is_a_running_total() -> None:
    """What `message_delta` repeats stands in place of what `message_start` said; what it leaves out stays."""
    decoder, _ = decode(
        [sse(BEGIN, end(None, input_tokens=7), end("end_turn", output_tokens=30, input_tokens=None), END)]
    )
    assert 7 + 20 + 100 == decoder.assembly.usage.input_tokens
    assert 30 == decoder.assembly.usage.output_tokens


def test_the_first_usage_of_a_stream_is_an_estimate() -> None:
    """The output count of `message_start` is not the vendor's last word."""
    decoder, _ = decode([sse(BEGIN)])
    usage = decoder.assembly.usage
    assert (125, 1, True) == (usage.input_tokens, usage.output_tokens, usage.estimated)


@rows("usage", [None, {}, {"input_tokens": "many", "output_tokens": -1}, [], {"input_tokens": None}])
def test_usage_that_says_nothing_is_unknown(usage: Any) -> None:
    """What is missing or no number is `None`, never 0."""
    assembly = parse_message({**WHOLE, "usage": usage}, MessagesDecoder(WHO))
    assert (None, None) == (assembly.usage.input_tokens, assembly.usage.output_tokens)


# Why it ended


@rows(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
    ],
)
def test_stop_reasons(word: str, reason: str) -> None:
    """Each word of the vendor has its neutral reason, in a stream and in one piece."""
    decoder, _ = decode([sse(BEGIN, end(word), END)])
    whole = parse_message({**WHOLE, "content": [], "stop_reason": word}, MessagesDecoder(WHO))
    for assembly in (decoder.assembly, whole):
        assert (reason, word, []) == (assembly.finish_reason, assembly.raw_finish_reason, assembly.warnings)


def test_an_unknown_stop_reason_is_said_aloud() -> None:
    """A new word is `other`, kept, and warned of."""
    decoder, _ = decode([sse(BEGIN, end("tired"), END)])
    assert ("other", "tired") == (decoder.assembly.finish_reason, decoder.assembly.raw_finish_reason)
    assert ["unknown_finish_reason"] == [warning.code for warning in decoder.assembly.warnings]


def test_a_refusal_keeps_its_details() -> None:
    """`stop_details` says what the refusal is about; it is in `raw`."""
    details = {"type": "refusal", "category": "cyber", "explanation": "because"}
    ending = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}, "usage": {}}
    reply = client(sse(BEGIN, start(0, type="text", text="No"), stop(0), ending, END)).chat("Hi")
    assert "refusal" == reply.finish_reason
    assert details == reply.raw["delta"]["stop_details"]


def test_an_answer_without_message_stop_is_accepted_and_flagged() -> None:
    """The stop reason says that the answer is whole; that the end did not come is said."""
    decoder, _ = decode([sse(BEGIN, start(0, type="text", text="Hi"), stop(0), end("end_turn"))])
    assert "stop" == decoder.assembly.finish_reason
    assert ["no_message_stop"] == [warning.code for warning in decoder.assembly.warnings]


def test_text_after_the_end_is_kept_and_flagged() -> None:
    """What comes after the stop reason is not lost."""
    decoder, events = decode([sse(BEGIN, end("end_turn"), start(0, type="text", text="PS"), stop(0), END)])
    assert [TextDelta("PS")] == events
    assert ["after_finish"] == [warning.code for warning in decoder.assembly.warnings]


@pytest.mark.parametrize("max_tokens", [None, 5])
def test_an_answer_cut_by_our_own_default_limit_says_so(max_tokens: int | None) -> None:
    """The limit that nobody asked for is named where it cuts; the caller's own is his business."""
    reply = client(sse(BEGIN, end("max_tokens"), END)).chat("Hi", max_tokens=max_tokens)
    expected = ["default_max_tokens", "other_form"] if max_tokens is None else ["other_form"]
    assert expected == [warning.code for warning in reply.warnings]


# Tool calls


def _call(*pieces: str) -> list[dict[str, Any]]:
    begin = start(0, type="tool_use", id="toolu_1", name="f", input={})
    return [BEGIN, begin, *(delta(0, type="input_json_delta", partial_json=piece) for piece in pieces), stop(0)]


def test_input_that_comes_with_the_start_is_taken() -> None:
    """A copy of the API may send a call's input whole, without pieces."""
    begin = start(0, type="tool_use", id="toolu_1", name="f", input={"a": 1})
    decoder, events = decode([sse(BEGIN, begin, stop(0), end("tool_use"), END)])
    assert {"a": 1} == decoder.assembly.message().tool_calls[0].arguments
    assert '{"a":1}' == "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))


@rows("pieces", [('{"a": [1,',), ()], ids=["broken", "nothing_yet"])
@rows("reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_call_that_the_limit_cut_is_incomplete(pieces: Sequence[str], reason: str) -> None:
    """A cut call is never handed out to be run, not even as one without arguments."""
    with pytest.raises(IncompleteToolCall), client(sse(*_call(*pieces), end(reason), END)).stream("Hi") as stream:
        assert not [event for event in stream if isinstance(event, ToolCallDone)]


@pytest.mark.parametrize("given", [{}, {"a": 1}])
def test_a_whole_answer_that_the_limit_cut_in_a_call_is_incomplete(given: dict[str, Any]) -> None:
    """The documentation: a call at the end of a cut answer is incomplete, whatever is in it."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": given}
    body = json.dumps({**WHOLE, "content": [call], "stop_reason": "max_tokens"}).encode()
    with pytest.raises(IncompleteToolCall):
        client(body, "application/json").chat("Hi")


def test_a_call_whose_arguments_are_closed_is_whole() -> None:
    """The limit came after the last brace: the call is handed out."""
    reply = client(sse(*_call('{"a": 1}'), end("max_tokens"), END)).chat("Hi", max_tokens=3)
    assert ([{"a": 1}], "length") == ([call.arguments for call in reply.tool_calls], reply.finish_reason)


def test_a_stop_after_a_call_is_the_calls() -> None:
    """A copy of the API may say `end_turn` although it called a tool."""
    decoder, _ = decode([sse(*_call("{}"), end("end_turn"), END)])
    assert ("tool_calls", "end_turn") == (decoder.assembly.finish_reason, decoder.assembly.raw_finish_reason)


def test_a_call_before_the_cut_is_whole() -> None:
    """Only the last block can be cut: a call before it is handed out, one without arguments too."""
    text = [start(1, type="text", text="And"), stop(1)]
    reply = client(sse(*_call(), *text, end("max_tokens"), END)).chat("Hi")
    assert [ToolCall("toolu_1", "f", {})] == reply.tool_calls
    assert "length" == reply.finish_reason


def test_broken_arguments_are_said_to_be_broken() -> None:
    """Arguments that are no JSON object are an error with the vendor's text, and nothing is run."""
    with pytest.raises(ToolArgumentsInvalid) as caught:
        client(sse(*_call('{"a": oops}'), end("tool_use"), END)).chat("Hi")
    assert '{"a": oops}' == caught.value.raw_arguments


def test_a_hosted_tools_call_that_was_cut_is_left_out_aloud() -> None:
    """A block that could not go back as it came is not kept, and the text before it is not lost."""
    cut = [start(1, **SEARCH, input={}), delta(1, type="input_json_delta", partial_json='{"q'), stop(1)]
    reply = client(sse(BEGIN, start(0, type="text", text="Hi"), stop(0), *cut, end("max_tokens"), END)).chat(
        "Hi", max_tokens=3
    )
    assert [Text("Hi")] == reply.message.content
    assert ["block_left_out", "other_form"] == [warning.code for warning in reply.warnings]


# Cuts


STEPS = [17, pytest.param(1, marks=pytest.mark.slow)]


@pytest.mark.parametrize("step", STEPS)
def test_a_stream_cut_at_any_byte_says_the_same(step: int) -> None:
    """How the network cuts the body makes no difference."""
    body = sse(*EVENTS)
    decoder, events = decode([body])
    whole = decoder.assembly.reply()
    for at in range(1, len(body), step):
        again, said = decode([body[:at], body[at:]])
        assert events == said
        assert whole == again.assembly.reply()


@pytest.mark.parametrize("step", STEPS)
def test_a_stream_that_ends_at_any_byte_is_never_taken_for_whole(step: int) -> None:
    """Without the stop reason there is no end; what came is a beginning of the answer, and cut calls are left out."""
    body = sse(*EVENTS)
    reason_known = body.index(b"message_stop") - len(b"event: ") - 2
    text = "So it is 你好 🙂. Next."
    for at in range(0, len(body), step):
        decoder, _ = decode([body[:at]])
        message = decoder.assembly.message()
        assert text.startswith(message.text)
        assert message.tool_calls == PARTS[6 : 6 + len(message.tool_calls)]
        assert (decoder.assembly.finish_reason is not None) == (at >= reason_known)


def test_a_stream_that_breaks_off_raises_with_what_came() -> None:
    """The caller gets the text so far, the call that was cut by name, and the vendor's estimate of the usage."""
    body = sse(*EVENTS)
    cut = body[: body.index(b"[1, 2]}")]
    with pytest.raises(StreamInterrupted) as caught, client(cut).stream("Hi") as stream:
        list(stream)
    partial = caught.value.partial
    assert partial is not None
    assert ("I think.", "So it is 你好 🙂. Next.") == (partial.reasoning, partial.text)
    assert ("f",) == caught.value.incomplete_tool_calls
    assert caught.value.usage_estimate is not None
    assert caught.value.usage_estimate.estimated


def test_the_finish_event_comes_once_and_last() -> None:
    """A caller's stream ends with one `Finish`, which holds the reason and the usage."""
    with client(sse(*EVENTS)).stream("Hi") as stream:
        events = list(stream)
    assert [Finish("tool_calls", USAGE)] == [event for event in events if isinstance(event, Finish)]
    assert isinstance(events[-1], Finish)


# What is no answer


def test_an_error_event_is_a_fault_with_its_type() -> None:
    """An error after a good beginning is raised by its type, with the request's id."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
    with pytest.raises(VendorFault) as caught:
        decode([sse(BEGIN, error)])
    facts = caught.value.facts
    assert ("overloaded_error", "Overloaded", "req_1") == (facts.type, facts.message, facts.request_id)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "error", "error": {"type": "api_error", "message": "no"}},
        {"error": {"type": "forbidden", "message": "no"}},
    ],
)
def test_an_error_in_place_of_an_answer_is_a_fault(body: dict[str, Any]) -> None:
    """A 200 that holds an error is one."""
    with pytest.raises(VendorFault):
        parse_message(body, MessagesDecoder(WHO))


@rows("body", [[], "text", {}, {"content": None}, {"content": "Hi"}, {"content": ["Hi"]}])
def test_what_has_no_content_is_no_answer(body: Any) -> None:
    """Anything but an object with a list of blocks is no answer."""
    with pytest.raises(NotAnAnswer):
        parse_message(body, MessagesDecoder(WHO))


@rows(
    "data",
    [
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        sse(delta(0, type="input_json_delta", partial_json="{}")),
        sse(start(0, type="tool_use", id="toolu_1", input={})),
    ],
    ids=["no_json", "no_object", "arguments_of_nothing", "call_without_a_name"],
)
def test_a_broken_event_is_no_answer(data: bytes) -> None:
    """An event that is whole and can't be read stops the stream."""
    with pytest.raises(NotAnAnswer):
        decode([sse(BEGIN), data])
