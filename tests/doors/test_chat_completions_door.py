"""Chat Completions from the server's side: what is read, what is refused, and that nothing is lost on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch import Image, InvalidRequest, Message, RateLimited, StreamReset, Text, Tool, ToolCall, ToolResult
from llmswitch._messages import Part, Reasoning, VendorPart
from llmswitch.doors.chat_completions import ChatCompletionsDoor
from tests.doors.conversations import answers, plain
from tests.doors.loopback import answered, said_by
from tests.everyday import examples
from tests.rows import rows

DOOR = ChatCompletionsDoor()
HI = [{"role": "user", "content": "Hi"}]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n\n") if line]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def gathered(stream: bytes) -> dict[str, Any]:
    """The message as a client puts it together: texts grow, and so does every other text of a delta."""
    message: dict[str, Any] = {}
    for chunk in chunks(stream):
        for choice in chunk["choices"]:
            for name, value in choice["delta"].items():
                if name != "tool_calls":
                    message[name] = message.get(name, "") + value if name != "role" else value
                    continue
                for piece in value:
                    calls = message.setdefault("tool_calls", [])
                    if piece["index"] == len(calls):
                        calls.append({"id": piece["id"], "type": "function", "function": dict(piece["function"])})
                    else:
                        calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return message


def in_order(parts: list[Part]) -> list[Part]:
    """As the protocol can say it where nothing is opaque: thoughts, text, calls."""
    rank = {Reasoning: 0, Text: 1, ToolCall: 2, VendorPart: 3}
    return sorted(plain(parts), key=lambda part: rank[type(part)])


@examples(8, 40, answers())
def test_what_a_client_holds_comes_back_as_it_was(parts: list[Part]) -> None:
    """Whole or streamed, the message that a client sends again is the answer, with all that is opaque in it."""
    asked = DOOR.read({"model": "m", "messages": HI})
    given_ = answered(parts)
    for held in (DOOR.reply(asked, given_[0])["choices"][0]["message"], gathered(said_by(DOOR, asked, given_))):
        if not any(held.get(name) for name in ("content", "tool_calls", "reasoning_content")):
            continue  # nothing but what is hidden: a client has nothing to send
        again = DOOR.read({"model": "m", "messages": [*HI, held]}).messages[1]
        wanted = given_[0].message.parts
        if any(part.vendor is not None for part in wanted):
            assert plain(again.parts) == plain(wanted)
        else:
            assert in_order(again.parts) == in_order(wanted)


def test_a_request_is_read_whole() -> None:
    """Messages, tools, settings and the form, in neutral words."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    asked = DOOR.read(
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "developer", "content": "Brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                ]},
                {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "now", "arguments": ""}},
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "12:00"},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "13:00"}]},
            ],
            "tools": [{"type": "function", "function": {"name": "now", "parameters": schema, "strict": True}}],
            "tool_choice": {"type": "function", "function": {"name": "now"}},
            "parallel_tool_calls": False,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "stop": "END",
            "seed": 7,
            "reasoning_effort": "minimal",
            "user": "u",
            "n": 1,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )  # fmt: skip
    assert ("gpt-4o", True, {"include_usage": True}) == (asked.model, asked.stream, asked.said)
    assert asked.messages == [
        Message("system", "Brief."),
        Message("user", [Text("What?"), Image(url="https://example.com/a.png", detail="low")]),
        Message("assistant", [ToolCall("a", "now", {}, "{}"), ToolCall("b", "now", {}, "")]),
        Message("tool", [ToolResult("a", "12:00"), ToolResult("b", [Text("13:00")])]),
    ]
    assert asked.options == {
        "tools": [Tool("now", "", schema)],
        "tool_choice": "now",
        "parallel_tool_calls": False,
        "response_format": schema,
        "max_tokens": 9,
        "temperature": 0.5,
        "stop": "END",
        "seed": 7,
        "reasoning": "low",
    }


@rows(
    ("more", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"functions": []}, "functions"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [HI[0], {"role": "wizard", "content": "x"}]}, "messages[1].role"),
        ({"model": None}, "model"),
        ({"made_up": 1}, "made_up"),
    ],
)
def test_what_can_not_be_asked_is_named(more: dict[str, Any], field: str) -> None:
    """Before anybody is asked, by the place of the field and without its value."""
    with pytest.raises(InvalidRequest) as caught:
        DOOR.read({"model": "m", "messages": HI, **more})
    assert field == caught.value.field


def test_what_the_sdk_made_of_an_answer_is_no_part_of_it() -> None:
    """Parsed answers and arguments, which it sends again with the message, are left out."""
    function = {"name": "now", "arguments": "{}", "parsed_arguments": {"a": 1}}
    held = {"role": "assistant", "content": "{}", "parsed": {"n": 1}, "annotations": [{"type": "x"}]}
    call = {"id": "a", "type": "function", "index": 0, "function": function}
    asked = DOOR.read({"model": "m", "messages": [*HI, held, {"role": "assistant", "tool_calls": [call]}]})
    assert [Message("assistant", "{}"), Message("assistant", [ToolCall("a", "now", {}, "{}")])] == asked.messages[1:]


def test_a_stream_says_its_usage_where_it_is_wanted() -> None:
    """In a chunk without choices, before the end; nowhere else."""
    answer = answered([Text("Hello")])
    for wanted in (False, True):
        asked = DOOR.read({"model": "m", "messages": HI, "stream_options": {"include_usage": wanted}})
        stream = said_by(DOOR, asked, answer)
        usages = [chunk["usage"] for chunk in chunks(stream) if "usage" in chunk]
        assert ([107] if wanted else []) == [usage["total_tokens"] for usage in usages]
        assert stream.endswith(b"data: [DONE]\n\n")


def test_a_stream_that_fails_or_begins_again_ends_with_an_error() -> None:
    """One error, after which nothing is said, and no end."""
    asked = DOOR.read({"model": "m", "messages": HI})
    for last in (
        lambda writer: writer.failed(RateLimited("slow")),
        lambda writer: writer.event(StreamReset("x", 1, "t")),
    ):
        writer = DOOR.writer(asked)
        said = writer.begin() + last(writer) + writer.event(answered([Text("x")])[1][0]) + writer.end(answered([])[0])
        assert ["choices", "error"] == [("error" if "error" in chunk else "choices") for chunk in chunks(said)]
        assert b"[DONE]" not in said
