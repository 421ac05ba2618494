"""SenseNova: thoughts in `reasoning` that must not go back, an empty finish reason before the end, a strict gateway."""

from __future__ import annotations

import json

import pytest

from llmswitch import CapabilityMismatch, Message, Reasoning, StreamInterrupted, Text, Tool, ToolCall, ToolResult
from tests.rows import rows

LITE = "sensenova:sensenova-6.8-flash-lite"


def failure(kind: str | None, code: str, message: str = "no") -> dict[str, object]:
    return {"error": {"message": message, **({"type": kind} if kind else {}), "code": code}}


REFUSALS = {
    "bad": (400, failure("invalid_request_error", "3", "Errors in message queue response"), "BadRequest", None),
    "key": (401, failure("authentication_error", "16"), "AuthInvalid", "account"),
    "forbidden": (403, failure(None, "7"), "PermissionDenied", "target"),
    "model": (404, failure("not_found_error", "5", "model is not found"), "ModelGone", "target"),
    "rate": (429, failure(None, "8"), "RateLimited", "account"),
    "server": (500, failure(None, "13"), "ServerError", None),
    "busy": (503, {}, "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor(LITE).refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)


def event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps({"id": "n-1", "model": "sensenova-6.8-flash-lite", **body}).encode() + b"\n\n"


def chunk(delta: dict[str, object], finish: str = "") -> bytes:
    return event({"choices": [{"delta": delta, "finish_reason": finish}]})


STREAM = chunk({"reasoning": "Thinking"}) + chunk({"content": "Spring"}) + chunk({"content": " wind"})
USAGE = {"prompt_tokens": 38, "completion_tokens": 441, "total_tokens": 479}


def test_a_stream(one_vendor):
    """As the vendor's guide shows it: thoughts, words, an end, an event with usage alone."""
    body = STREAM + chunk({}, "stop") + event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"
    _, reply = one_vendor(LITE).streamed(body)
    assert ("Thinking", "Spring wind", "stop") == (reply.reasoning, reply.text, reply.finish_reason)
    assert (38, 441) == (reply.usage.input_tokens, reply.usage.output_tokens)
    assert [] == reply.warnings


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
def test_a_stream_that_is_cut(one_vendor, end):
    """With empty finish reasons alone it never was whole."""
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor(LITE).streamed(STREAM + end)
    assert "Spring wind" == caught.value.partial.text


def test_a_call_is_handed_over_once(one_vendor):
    """Pieces of a call with empty finish reasons are one call, done at the end alone."""
    begin = {"index": 0, "id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}}
    pieces = [chunk({"tool_calls": [begin]})]
    pieces += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in ('{"a"', ": ", "1}")]
    body = b"".join(pieces) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"
    events, reply = one_vendor(LITE).streamed(body, tools=[Tool("now", "The time.")])
    assert 1 == sum(type(each).__name__ == "ToolCallDone" for each in events)
    assert [{"a": 1}] == [call.arguments for call in reply.tool_calls]


def test_the_thinking_switch(one_vendor):
    """A word of effort; `none` switches it off. The older models have no switch."""
    vendor = one_vendor(LITE)
    said = [vendor.sent(reasoning=level)["reasoning_effort"] for level in ("off", "low", "medium", "high")]
    assert ["none", "low", "medium", "high"] == said
    assert "reasoning_effort" not in vendor.sent()
    with pytest.raises(CapabilityMismatch, match="no such level"):
        one_vendor("sensenova:SenseNova-V6-Turbo", site="cn-compatible").sent(reasoning="high")


THOUGHT = [
    Message("user", "Weather?"),
    Message("assistant", [Reasoning("I look."), ToolCall("c1", "weather", {})]),
    Message("tool", [ToolResult("c1", "18 C")]),
    Message("assistant", [Reasoning("Hm."), Text("18 C.")]),
    Message("user", "And tomorrow?"),
]


def test_the_replay_of_thoughts(one_vendor):
    """The vendor's own models must not get theirs back; the hosted DeepSeek wants its own."""
    for model, thoughts in ((LITE, []), ("sensenova:deepseek-v4-flash", ["I look.", "Hm."])):
        turns = [turn for turn in one_vendor(model).sent(THOUGHT)["messages"] if turn["role"] == "assistant"]
        assert thoughts == [turn["reasoning_content"] for turn in turns if "reasoning_content" in turn]
        assert not any("reasoning" in turn for turn in turns)


def test_a_form_is_refused(one_vendor):
    """The gateway refuses `response_format`, so it is refused here, where the reason can be said."""
    with pytest.raises(CapabilityMismatch, match="response_format"):
        one_vendor(LITE).sent(response_format="json")


@pytest.mark.parametrize(
    ("site", "url"),
    [
        ("cn", "https://token.sensenova.cn/v1/chat/completions"),
        ("cn-compatible", "https://api.sensenova.cn/compatible-mode/v2/chat/completions"),
    ],
)
def test_the_sites(one_vendor, site, url):
    """The token plan and the older paths."""
    vendor = one_vendor(LITE, site=site)
    vendor.sent()
    assert url == str(vendor.requests[0].url)
