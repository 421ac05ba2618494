"""Messages from the server's side: what a client says is heard whole, and what it holds comes back as it was given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch import Document, Image, Message, Text, ToolCall, ToolResult
from llmswitch._errors import (
    AllTargetsFailed,
    AuthInvalid,
    ContextTooLong,
    InvalidRequest,
    LLMSwitchError,
    Overloaded,
    RateLimited,
)
from llmswitch._events import StreamReset, TextDelta
from llmswitch._messages import Part, Reasoning
from llmswitch._reply import Attempt
from llmswitch._tools import Tool
from llmswitch.doors import Asked
from llmswitch.doors.messages import MessagesDoor
from tests.doors.conversations import answers, plain, results
from tests.doors.loopback import OPAQUE, answered, said_by
from tests.everyday import examples
from tests.rows import rows

DOOR = MessagesDoor()
ASKED = Asked("chain", [Message("user", "Hi")], {})
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **fields}


def holding(block: dict[str, Any]) -> dict[str, Any]:
    return asking(messages=[{"role": "user", "content": [block]}])


def events_of(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(frame.split(b"data: ")[1]) for frame in stream.split(b"\n\n") if frame]


def held(stream: bytes) -> list[dict[str, Any]]:
    """The content as a client holds it, by the index of each event."""
    blocks: list[dict[str, Any]] = []
    written: dict[int, str] = {}
    for event in events_of(stream):
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, index = event["delta"], event["index"]
            kind = delta.pop("type")
            if kind == "input_json_delta":
                written[index] = written.get(index, "") + delta["partial_json"]
                blocks[index]["input"] = json.loads(written[index]) if _whole(written[index]) else {}
            else:
                for name, piece in delta.items():
                    blocks[index][name] += piece
    return blocks


def _whole(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@examples(8, 40, answers())
def test_a_conversation_that_a_client_holds_comes_back_as_it_was(parts: list[Part]) -> None:
    """Whole or streamed, an answer's parts and all that is opaque in them are the same when the client sends them."""
    done = answered(parts)
    tool_turn = [
        {"type": "tool_result", "tool_use_id": part.tool_call_id, "content": "done", "is_error": part.is_error}
        for message in results(parts)
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    asked_for = [{"role": "user", "content": "Hi"}]
    for content in (DOOR.reply(ASKED, done[0])["content"], held(said_by(DOOR, ASKED, done))):
        turns = [
            *asked_for,
            {"role": "assistant", "content": content},
            {"role": "user", "content": [*tool_turn, {"type": "text", "text": "On"}]},
        ]
        read = DOOR.read(json.loads(json.dumps(asking(messages=turns)))).messages
        assert read[0] == Message("user", "Hi")
        assert plain(read[1].parts) == plain(done[0].message.parts)
        assert read[2:] == [*results(parts), Message("user", [Text("On")])]


def test_all_that_a_request_can_say_is_heard() -> None:
    """Every field that has a neutral word is read into it."""
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = [
        {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": source},
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
    ]
    calls = [{"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}]
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "is_error": True,
        "content": [{"type": "text", "text": "no"}, {"type": "image", "source": source}],
    }
    asked = DOOR.read(
        asking(
            system=[{"type": "text", "text": "Brief"}],
            messages=[
                {"role": "user", "content": content},
                {"role": "assistant", "content": calls},
                {"role": "user", "content": [result]},
            ],
            temperature=0.5,
            top_p=1,
            stop_sequences=["END"],
            tools=[{"name": "add", "description": "Adds", "input_schema": SCHEMA}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            thinking={"type": "enabled", "budget_tokens": 2000},
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            metadata={"user_id": "u"},
            stream=True,
        )
    )
    assert asked.stream
    assert asked.messages == [
        Message("system", [Text("Brief")]),
        Message(
            "user",
            [
                Text("Look"),
                Image(data="aGk=", media_type="image/png"),
                Document(data="aGk=", media_type="text/plain", name="T"),
            ],
        ),
        Message("assistant", [ToolCall("t1", "add", {"a": 1})]),
        Message("tool", [ToolResult("t1", [Text("no"), Image(data="aGk=", media_type="image/png")], is_error=True)]),
    ]
    assert asked.options == {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 1,
        "stop": ["END"],
        "tools": [Tool("add", "Adds", SCHEMA)],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning": 2000,
        "response_format": SCHEMA,
    }


@rows(
    ("fields", "option"),
    [
        ({"thinking": {"type": "disabled"}}, "off"),
        ({"thinking": {"type": "adaptive"}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
        ({"output_config": {"effort": "max"}}, "high"),
    ],
)
def test_thinking_is_a_level(fields: dict[str, Any], option: str) -> None:
    """What is said of thinking, by effort or by kind, is the neutral level."""
    assert DOOR.read(asking(**fields)).options["reasoning"] == option


@rows(
    ("body", "field"),
    [
        ([], "body"),
        ({"model": "m", "messages": []}, "max_tokens"),
        (asking(messages=[]), "messages"),
        (asking(top_k=3), "top_k"),
        (asking(max_tokens=True), "max_tokens"),
        (asking(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools[0].type"),
        (holding({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source.type"),
        (holding({"type": "tool_use", "id": "a"}), "messages[0].content[0].type"),
        (holding({"type": "image", "source": {"type": "url", "url": "ftp://x"}}), "messages[0].content[0].source"),
        (asking(mcp_servers=[{}]), "mcp_servers"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_by_its_name(body: Any, field: str) -> None:
    """A field without a neutral word is named, with its place."""
    with pytest.raises(InvalidRequest) as refused:
        DOOR.read(body)
    assert refused.value.field == field


def test_a_count_is_asked_without_words_of_the_answer() -> None:
    """What a model would read is read as in a request; what only an answer has is no field of a count."""
    body = {"model": "m", "system": "Brief", "messages": [{"role": "user", "content": "Hi"}]}
    more = {
        "tools": [{"name": "add", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    asked = DOOR.read_count({**body, **more})
    assert ("m", [Message("system", "Brief"), Message("user", "Hi")]) == (asked.model, asked.messages)
    assert {"tools": [Tool("add", "", SCHEMA)], "tool_choice": "required", "reasoning": 2000} == asked.options
    with pytest.raises(InvalidRequest, match="max_tokens: is no field of a count"):
        DOOR.read_count({**body, "max_tokens": 9})


def test_a_foreign_signature_is_not_taken_for_ours() -> None:
    """A thought that another server signed belongs to nobody here, and is left out; so is one that was changed."""
    foreign = [{"type": "thinking", "thinking": "Hm", "signature": "EqQB"}, {"type": "text", "text": "Yes"}]
    changed = DOOR.reply(ASKED, answered([*OPAQUE[:1], Text("Yes")])[0])["content"]
    changed[0]["thinking"] = "Something else"
    for content in (foreign, changed):
        read = DOOR.read(
            asking(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}])
        )
        assert read.messages[1] == Message("assistant", [Text("Yes")])
    bare = [{"type": "thinking", "thinking": "Hm", "signature": ""}]
    read = DOOR.read(asking(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": bare}]))
    assert read.messages[1] == Message("assistant", [Reasoning("Hm")])


def test_usage_leaves_out_what_was_cached() -> None:
    """`input_tokens` holds neither what was read from the cache nor what was written to it."""
    assert DOOR.reply(ASKED, answered([Text("Yes")])[0])["usage"] == {
        "input_tokens": 50,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
    }


def failing(error: LLMSwitchError) -> AllTargetsFailed:
    whole = AllTargetsFailed("all failed")
    whole.exceptions = (error,)
    return whole


@rows(
    ("error", "status", "kind"),
    [
        (InvalidRequest("bad", field="x"), 400, "invalid_request_error"),
        (ContextTooLong("long"), 400, "invalid_request_error"),
        (failing(RateLimited("slow", retry_after=1.5)), 429, "rate_limit_error"),
        (Overloaded("busy"), 529, "overloaded_error"),
        (AuthInvalid("the key is refused"), 502, "api_error"),
    ],
)
def test_an_error_has_the_status_of_its_class(error: LLMSwitchError, status: int, kind: str) -> None:
    """The client's fault is 4xx, ours is not; the SDK is told not to try again, and the trail goes with it."""
    error.attempts = [Attempt(0, "p:m", "first", 0.0, error="Overloaded", status=503, end_ms=12.0)]
    refusal = DOOR.refusal(error)
    assert (refusal.status, refusal.body["error"]["type"]) == (status, kind)
    assert refusal.headers["x-should-retry"] == "false"
    assert refusal.headers.get("retry-after") == ("2" if status == 429 else None)
    assert refusal.body["llmswitch"]["attempts"][0]["target"] == "p:m"


def test_a_stream_that_starts_again_is_an_error() -> None:
    """What a client has read can't be taken back, so a restart ends the stream; nothing follows it."""
    writer = DOOR.writer(ASKED)
    writer.begin()
    writer.event(TextDelta("a"))
    assert b"event: error" in writer.event(StreamReset("broke", 1, "p:m"))
    assert writer.event(TextDelta("b")) + writer.end(answered([Text("b")])[0]) == b""
