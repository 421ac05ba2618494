"""Responses from the server's side: what a client says is heard whole, and what it holds comes back as it was given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch import Document, Image, Message, Text, ToolCall, ToolResult
from llmswitch._errors import AuthInvalid, ContextTooLong, InvalidRequest, LLMSwitchError, ModelGone, RateLimited
from llmswitch._events import StreamReset, ToolCallDelta, ToolCallDone
from llmswitch._messages import Audio, Part, Reasoning
from llmswitch._reply import Attempt
from llmswitch._tools import Tool
from llmswitch.doors import Asked
from llmswitch.doors.responses import ResponsesDoor
from tests.doors.conversations import answers, plain, results
from tests.doors.loopback import OPAQUE, answered, said_by
from tests.everyday import examples
from tests.rows import rows

DOOR = ResponsesDoor()
ASKED = Asked("chain", [Message("user", "Hi")], {})
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
USER: dict[str, Any] = {"role": "user", "content": "Hi"}


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "input": "Hi", **fields}


def holding(part: dict[str, Any]) -> dict[str, Any]:
    return asking(input=[{"role": "user", "content": [part]}])


def events_of(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(frame.split(b"data: ")[1]) for frame in stream.split(b"\n\n") if frame]


def held(stream: bytes) -> list[dict[str, Any]]:
    """The items as a client holds them, in the order in which they are done; they are those of the last event."""
    events = events_of(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["item"] for event in sorted(done, key=lambda event: event["output_index"])] == events[-1]["response"][
        "output"
    ]
    return [event["item"] for event in done]


@examples(8, 40, answers())
def test_a_conversation_that_a_client_holds_comes_back_as_it_was(parts: list[Part]) -> None:
    """Whole or streamed, an answer's parts and all that is opaque in them are the same when the client sends them."""
    done = answered(parts)
    after = [
        {"type": "function_call_output", "call_id": part.tool_call_id, "output": "done"}
        for message in results(parts)
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    for output in (DOOR.reply(ASKED, done[0])["output"], held(said_by(DOOR, ASKED, done))):
        read = DOOR.read(json.loads(json.dumps(asking(input=[USER, *output, *after, USER])))).messages
        assert read[0] == read[-1] == Message("user", "Hi")
        assert plain(read[1].parts) == plain(done[0].message.parts)
        assert [
            part.tool_call_id for message in read[2:-1] for part in message.parts if isinstance(part, ToolResult)
        ] == [item["call_id"] for item in after]


def test_all_that_a_request_can_say_is_heard() -> None:
    """Every field that has a neutral word is read into it, and what the answer repeats is kept."""
    content = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
    ]
    asked = DOOR.read(
        asking(
            instructions="Brief",
            input=[
                {"role": "developer", "content": "Kind"},
                {"role": "user", "content": content},
                {"type": "function_call", "id": "fc_1", "call_id": "t1", "name": "add", "arguments": '{"a": 1}'},
                {"type": "function_call_output", "call_id": "t1", "output": [{"type": "input_text", "text": "no"}]},
            ],
            temperature=0.5,
            top_p=1,
            max_output_tokens=9,
            tools=[{"type": "function", "name": "add", "description": "Adds", "parameters": SCHEMA, "strict": True}],
            tool_choice={"type": "function", "name": "add"},
            parallel_tool_calls=False,
            reasoning={"effort": "minimal", "summary": "auto"},
            text={"format": {"type": "json_schema", "name": "x", "strict": True, "schema": SCHEMA}},
            metadata={"a": "b"},
            user="u",
            store=True,
            include=["reasoning.encrypted_content"],
            stream=True,
        )
    )
    assert asked.stream
    assert asked.messages == [
        Message("system", "Brief"),
        Message("system", "Kind"),
        Message(
            "user",
            [
                Text("Look"),
                Image(data="aGk=", media_type="image/png", detail="low"),
                Document(data="aGk=", media_type="application/pdf", name="a.pdf"),
                Audio(data="aGk=", media_type="audio/mpeg"),
            ],
        ),
        Message("assistant", [ToolCall("t1", "add", {"a": 1}, '{"a": 1}')]),
        Message("tool", [ToolResult("t1", [Text("no")])]),
    ]
    assert asked.options == {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 1,
        "tools": [Tool("add", "Adds", SCHEMA)],
        "tool_choice": "add",
        "parallel_tool_calls": False,
        "reasoning": "low",
        "response_format": SCHEMA,
    }
    answer = DOOR.reply(asked, answered([Text("Yes")], "length")[0])
    assert (answer["metadata"], answer["store"], answer["temperature"]) == ({"a": "b"}, False, 0.5)
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert answer["usage"]["input_tokens_details"] == {"cached_tokens": 30, "cache_write_tokens": 20}


@rows(
    ("body", "field"),
    [
        ("x", "body"),
        ({"model": "m"}, "input"),
        (asking(input=[]), "input"),
        (asking(previous_response_id="resp_1"), "previous_response_id"),
        (asking(conversation="c"), "conversation"),
        (asking(background=True), "background"),
        (asking(include=["message.output_text.logprobs"]), "include[0]"),
        (asking(tools=[{"type": "web_search"}]), "tools[0].type"),
        (asking(input=[{"type": "item_reference", "id": "i"}]), "input[0].type"),
        (asking(input=[{"type": "computer_call"}]), "input[0].type"),
        (asking(input=[{**USER, "colour": 1}]), "input[0].colour"),
        (
            asking(input=[{"type": "function_call", "call_id": "a", "name": "b", "arguments": "{"}]),
            "input[0].arguments",
        ),
        (holding({"type": "input_image", "file_id": "f"}), "input[0].content[0].file_id"),
        (holding({"type": "input_file", "file_url": "ftp://x"}), "input[0].content[0]"),
        (asking(text={"verbosity": "low"}), "text.verbosity"),
        (asking(reasoning={"effort": "vast"}), "reasoning.effort"),
        (asking(stop=["x"]), "stop"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_name(body: Any, field: str) -> None:
    """A field without a neutral word is named, with its place."""
    with pytest.raises(InvalidRequest) as refused:
        DOOR.read(body)
    assert refused.value.field == field


def test_a_foreign_thought_is_not_taken_for_ours() -> None:
    """A thought that another server closed belongs to nobody here, and is left out; one in plain words is read."""
    foreign = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm"}]}
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Yes", "annotations": []}],
    }
    read = DOOR.read(asking(input=[USER, {**foreign, "encrypted_content": "gAAA"}, said]))
    assert read.messages[1] == Message("assistant", [Text("Yes")])
    read = DOOR.read(asking(input=[USER, foreign, said]))
    assert read.messages[1] == Message("assistant", [Reasoning("Hm"), Text("Yes")])


def test_a_call_without_arguments_is_an_empty_object() -> None:
    """Clients parse the arguments, so that none are written as `{}`."""
    writer = DOOR.writer(ASKED)
    said = writer.event(ToolCallDelta(0, "c", "add", "")) + writer.event(ToolCallDone(0, ToolCall("c", "add", {})))
    assert events_of(said)[-1]["item"]["arguments"] == "{}"


@rows(
    ("error", "status", "code"),
    [
        (InvalidRequest("bad", field="x"), 400, "invalid_request"),
        (ContextTooLong("long"), 400, "context_length_exceeded"),
        (ModelGone("gone"), 404, "model_not_found"),
        (RateLimited("slow"), 429, "rate_limit_exceeded"),
        (AuthInvalid("the key is refused"), 502, "server_error"),
    ],
)
def test_an_error_has_the_status_and_the_code_of_its_class(error: LLMSwitchError, status: int, code: str) -> None:
    """The client's fault is 4xx, ours is not; the SDK is told not to try again, and the trail goes with it."""
    error.attempts = [Attempt(0, "p:m", "first", 0.0, error="Overloaded", status=503, end_ms=12.0)]
    refusal = DOOR.refusal(error)
    assert (refusal.status, refusal.body["error"]["code"]) == (status, code)
    assert refusal.body["error"]["param"] == ("x" if code == "invalid_request" else None)
    assert refusal.headers == {"x-should-retry": "false"}
    assert refusal.body["llmswitch"]["attempts"][0]["target"] == "p:m"


def test_a_stream_that_starts_again_is_an_error() -> None:
    """What a client has read can't be taken back, so a restart ends the stream; nothing follows it."""
    writer = DOOR.writer(ASKED)
    writer.begin()
    assert events_of(writer.event(StreamReset("broke", 1, "p:m")))[0]["type"] == "response.failed"
    assert writer.end(answered(OPAQUE)[0]) == b""
