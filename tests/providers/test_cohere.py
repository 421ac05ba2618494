"""Cohere's chat API: plans beside calls, thoughts, documents, forms, and what its events and refusals say."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from llmswitch import (
    CapabilityMismatch,
    IncompleteToolCall,
    LLMSwitchError,
    Message,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmswitch.testing import instant_waits
from tests.providers.one_vendor import KEY, OneVendor
from tests.rows import rows

CALLING = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
CALL = ToolCall("c1", "weather", {"city": "Oslo"}, '{"city": "Oslo"}')
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("weather", "W.", SCHEMA), Tool("now", "The time.", {"type": "object", "properties": {}})]
USAGE = {"tokens": {"input_tokens": 3.0, "output_tokens": 1.0}}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("PLAYED_VENDOR_KEY", KEY)
    with instant_waits():
        yield


def vendor(model: str = "command-a-plus-05-2026", **own: Any) -> OneVendor:
    return OneVendor(f"cohere:{model}", **own)


def sent(messages: Any = "Hi", *, by: OneVendor | None = None, **options: Any) -> dict[str, Any]:
    """The body of the request."""
    by = by or vendor()
    answer = {"message": {"content": [{"type": "text", "text": '{"n": 1}'}]}, "finish_reason": "COMPLETE"}
    by.client(httpx.Response(200, json=answer)).chat(messages, **options)
    return json.loads(by.requests[-1].content)


def events(*frames: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames)


def delta(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    return {"type": kind, **({} if index is None else {"index": index}), "delta": {"message": message}}


def end(word: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    return {"type": "message-end", "id": "r", "delta": {"finish_reason": word, "usage": USAGE, **more}}


STREAM = (
    {"type": "message-start", "id": "r", "delta": {"message": {"role": "assistant"}}},
    delta("tool-plan-delta", tool_plan="I "),
    delta("tool-plan-delta", tool_plan="look."),
    delta("tool-call-start", 0, tool_calls={**CALLING, "function": {"name": "weather", "arguments": ""}}),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"city": "Oslo"}'}}),
    {"type": "tool-call-end", "index": 0},
    {"type": "debug", "prompt": "<all of it>"},
    end("TOOL_CALL"),
)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_plan_is_text_and_goes_back_as_a_plan(stream):
    """What is said beside calls is text to the caller, and the vendor takes text beside calls as a plan alone."""
    body = {"message": {"tool_plan": "I look.", "tool_calls": [CALLING]}, "finish_reason": "TOOL_CALL", "usage": USAGE}
    reply = vendor().streamed(events(*STREAM))[1] if stream else vendor().reply(body)
    assert [Text("I look."), CALL] == reply.message.parts
    assert "tool_calls" == reply.finish_reason
    asked = sent([Message("user", "?"), reply.message, Message("tool", [ToolResult("c1", "1 C")])], tools=TOOLS)
    assert {"role": "assistant", "tool_plan": "I look.", "tool_calls": [CALLING]} == asked["messages"][1]


def test_thoughts_go_back_while_the_model_thinks():
    """A model's own thoughts stand in its turn as they came; they are left out where thinking is off."""
    thought = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]
    reply = vendor().reply({"message": {"content": thought}, "finish_reason": "COMPLETE"})
    said = [Message("user", "Really?"), reply.message, Message("user", "Sure?")]
    assert thought == sent(said)["messages"][1]["content"]
    assert "Yes." == sent(said, reasoning="off")["messages"][1]["content"]
    assert "Yes." == sent(said, by=vendor("command-a-03-2025"))["messages"][1]["content"]
    only = [Message("user", "?"), Message("assistant", [Reasoning("Hm.")]), Message("user", "Well?")]
    assert ["user", "user"] == [message["role"] for message in sent(only)["messages"]]


def test_a_budget_and_the_ends_of_a_probability():
    """A number of tokens is a budget; a probability of 1 is the most that is taken."""
    body = sent(reasoning=500, top_p=1.0, stop="END", seed=7)
    assert {"type": "enabled", "token_budget": 500} == body["thinking"]
    assert (0.99, ["END"], 7) == (body["p"], body["stop_sequences"], body["seed"])


def test_a_tool_chosen_by_name_is_the_only_one():
    """A choice by name offers that tool alone and demands a call; calls can be held to their schemas."""
    body = sent(tools=TOOLS, tool_choice="now", by=vendor(options={"strict_tools": True}))
    assert ["now"] == [tool["function"]["name"] for tool in body["tools"]]
    assert ("REQUIRED", True) == (body["tool_choice"], body["strict_tools"])
    optional = Tool("look", "L.", {"type": "object", "properties": {"at": {"type": "string"}}})
    with pytest.raises(CapabilityMismatch, match="look has optional parameters alone"):
        sent(tools=[optional], by=vendor(options={"strict_tools": True}))


def test_results_can_be_documents():
    """Where it is wanted, results that are JSON objects go as documents; errors and plain words stay text."""
    calls = [ToolCall(f"c{number}", "weather", {}) for number in range(4)]
    said = ['{"t": 1}', '[{"t": 1}, {"t": 2}]', "1 C", '{"t": 1}']
    results: list[Any] = [ToolResult(call.id, words) for call, words in zip(calls, said, strict=True)]
    results[3] = ToolResult("c3", said[3], is_error=True)
    conversation = [Message("user", "?"), Message("assistant", list(calls)), Message("tool", results)]
    body = sent(conversation, tools=TOOLS, by=vendor(options={"tool_results": "documents"}))
    one, two = ({"type": "document", "document": {"data": {"t": number}}} for number in (1, 2))
    assert [[one], [one, two], "1 C", 'Error: {"t": 1}'] == [message["content"] for message in body["messages"][2:]]


def test_a_form_in_the_subset_that_is_held():
    """What the vendor holds to stays, what it does not is said in words, and the model is told to write JSON."""
    n = {"type": "integer", "minimum": 1, "description": "A number."}
    form = {"type": "object", "properties": {"n": n, "format": {"type": "string"}}, "additionalProperties": False}
    body = sent(response_format=form)
    assert {"role": "system", "content": "Answer in JSON."} == body["messages"][0]
    lowered = {"type": "integer", "description": "A number.\n\n{minimum: 1}"}
    properties = {"n": lowered, "format": {"type": "string"}}
    held = {"type": "object", "properties": properties, "required": ["n"]}
    assert {"type": "json_object", "json_schema": held} == body["response_format"]
    by = vendor()
    with pytest.raises(CapabilityMismatch, match="without named properties"):
        sent(response_format={"type": "object", "properties": {"a": {"type": "object"}}}, by=by)
    with pytest.raises(CapabilityMismatch, match="tools"):
        sent(response_format=form, tools=TOOLS, by=by)
    assert [] == by.requests


def test_tokens_that_are_only_billed():
    """What was processed counts; where that is not said, what is paid."""
    said = {"message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "COMPLETE"}
    for usage, counted in (
        ({"billed_units": {"input_tokens": 2}, "tokens": {"input_tokens": 9.0}, "cached_tokens": 4.0}, (9, 4)),
        ({"billed_units": {"input_tokens": 2}}, (2, None)),
    ):
        usage_of = vendor().reply({**said, "usage": usage}).usage
        assert counted == (usage_of.input_tokens, usage_of.cached_tokens)


def test_citations_of_a_stream_are_kept():
    """They are no part of the conversation, and stand in what the vendor sent."""
    cited = {"start": 0, "end": 2, "text": "Hi"}
    frames = [
        delta("content-start", 0, content={"type": "text", "text": "Hi"}),
        delta("citation-start", 0, citations=cited),
    ]
    _, reply = vendor().streamed(events(*frames, {"type": "citation-end", "index": 0}, end()))
    assert ("Hi", [cited]) == (reply.text, reply.raw["citations"])


def test_a_failure_inside_an_answer():
    """An answer that ended with a fault is none, whole or streamed; a timeout says so where no words are given."""
    begun = delta("content-delta", 0, content={"text": "Hel"})
    with pytest.raises(StreamInterrupted) as caught:
        vendor().streamed(events(begun, end("ERROR", error="too many tokens")))
    assert ("Hel", "ContextTooLong") == (caught.value.partial.text, type(caught.value.__cause__).__name__)
    with pytest.raises(StreamInterrupted):
        vendor().streamed(events(begun, {"message": "went wrong"}, end()))
    with pytest.raises(LLMSwitchError, match="TIMEOUT"):
        vendor().reply({"message": {"content": []}, "finish_reason": "TIMEOUT"})


@rows("pieces", [[], ['{"city'], ['{"city": "Os']])
def test_a_call_that_the_limit_cut(pieces):
    """A call whose arguments did not come to their end is no call."""
    frames = [delta("tool-call-delta", 0, tool_calls={"function": {"arguments": piece}}) for piece in pieces]
    with pytest.raises(IncompleteToolCall):
        vendor().streamed(events(STREAM[3], *frames, end("MAX_TOKENS")), tools=TOOLS)


def test_the_moment_when_a_limit_is_lifted():
    """`x-ratelimit-reset` is a Unix time, measured by the vendor's own clock; a header of seconds comes before it."""
    date = {"date": "Fri, 27 Nov 2026 16:00:00 GMT", "x-ratelimit-reset": "1795795230"}
    error, scope = vendor().refusal(429, {"message": "slow down"}, date)
    assert (30.0, "account") == (error.retry_after, scope)
    assert 5.0 == vendor().refusal(429, {"message": "slow down"}, {**date, "retry-after": "5"})[0].retry_after
