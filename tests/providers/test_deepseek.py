"""DeepSeek: thinking by default, thoughts back with tool calls, two kinds of keep-alive, an overload at the end."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest

from llmswitch import (
    CapabilityMismatch,
    Message,
    Overloaded,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    VendorData,
)
from llmswitch._registry import provider
from tests.rows import rows

FLASH = "deepseek:deepseek-flash"
NOW = Tool("now", "The time.")


def failure(message: str, kind: str = "invalid_request_error") -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": "invalid_request_error"}}


# status, body, class, how far it reaches
REFUSALS = {
    "bad": (400, failure("Failed to deserialize the JSON body"), "BadRequest", None),
    "length": (
        400,
        failure("This model's maximum context length is 1000000 tokens. However, you"),
        "ContextTooLong",
        None,
    ),
    "content": (400, failure("Content Exists Risk"), "ContentFiltered", None),
    "model": (400, failure("Model Not Exist"), "ModelGone", "target"),
    "thoughts": (
        400,
        failure("The `reasoning_content` in the thinking mode must be passed back to the API."),
        "CapabilityMismatch",
        None,
    ),
    "forced": (400, failure("Thinking mode does not support this tool_choice"), "CapabilityMismatch", None),
    "key": (401, failure("Authentication Fails (no such user)", "authentication_error"), "AuthInvalid", "account"),
    "money": (402, failure("Insufficient Balance", "unknown_error"), "Arrears", "account"),
    "parameter": (422, failure("Invalid parameter"), "BadRequest", None),
    "rate": (429, failure("Rate limit reached"), "RateLimited", "account"),
    "server": (500, failure("Internal"), "ServerError", None),
    "busy": (503, failure("Service is too busy"), "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor(FLASH).refusal(status, body)
    assert (becomes, reach, None) == (type(error).__name__, reached, error.retry_after)


def test_a_refused_key_has_no_other_site(one_vendor):
    """Both sites are one account, so a key that is refused at one is told of no other."""
    error, _ = one_vendor(FLASH, site="cn").refusal(401, failure("Authentication Fails"))
    assert "another site" not in str(error)


@rows(
    ("level", "fields"),
    [
        ("off", {"thinking": {"type": "disabled"}}),
        ("low", {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
        ("medium", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
    ],
)
def test_the_thinking_switch(one_vendor, level, fields):
    """A level is an object and an effort; nothing is said where nothing was asked."""
    body = one_vendor(FLASH).sent(reasoning=level)
    assert fields == {name: body[name] for name in ("thinking", "reasoning_effort") if name in body}
    assert {"thinking", "reasoning_effort"}.isdisjoint(one_vendor(FLASH).sent())


CALLED = [
    Message("user", "When?"),
    Message("assistant", [Reasoning("I must look."), ToolCall("c1", "now", {}, "{}")]),
    Message("tool", [ToolResult("c1", "noon")]),
    Message("assistant", [Reasoning("So it is noon."), Text("Noon.")]),
    Message("user", "Thanks"),
]


def test_thoughts_go_back_with_every_turn(one_vendor):
    """V4 demands its thoughts with every turn; where there are none, or another vendor's, a space stands for them."""
    messages = one_vendor(FLASH).sent(CALLED, tools=[NOW])["messages"]
    assert ("I must look.", None) == (messages[1]["reasoning_content"], messages[1]["content"])
    assert "So it is noon." == messages[3]["reasoning_content"]
    theirs = Reasoning("I think so.", VendorData("elsewhere", "0123456789abcdef", "their-model", {"signature": "c2ln"}))
    for thought in ([], [theirs]):
        foreign = [CALLED[0], Message("assistant", [*thought, ToolCall("c1", "now", {}, "{}")]), CALLED[2]]
        assert " " == one_vendor(FLASH).sent(foreign, tools=[NOW])["messages"][1]["reasoning_content"]


def test_the_old_reasoner_refuses_its_thoughts(one_vendor):
    """R1 answers 400 where its thoughts come back: they are left out for it."""
    messages = one_vendor("deepseek:deepseek-reasoner").sent([CALLED[0], *CALLED[3:]])["messages"]
    assert all("reasoning_content" not in message for message in messages)


def test_a_forced_call_switches_thinking_off(one_vendor):
    """The two exclude each other: thinking that nobody asked for gives way, one that was asked for is not dropped."""
    vendor = one_vendor(FLASH)
    body = vendor.sent(tools=[NOW], tool_choice="required")
    assert ({"type": "disabled"}, "required") == (body["thinking"], body["tool_choice"])
    with pytest.raises(CapabilityMismatch, match="while it thinks"):
        vendor.sent(tools=[NOW], tool_choice="required", reasoning="high")
    with pytest.raises(CapabilityMismatch, match="tool_choice"):
        one_vendor("deepseek:deepseek-reasoner").sent(tools=[NOW], tool_choice="now")


def test_temperature_has_no_effect_while_it_thinks(one_vendor):
    """It is sent, since the vendor takes it, and the reply says that it did nothing."""
    answer = httpx.Response(200, json={"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
    reply = one_vendor(FLASH).client(answer).chat("Hi", temperature=0.2)
    assert ["ignored"] == [warning.code for warning in reply.warnings]
    assert [] == one_vendor(FLASH).client(answer).chat("Hi", temperature=0.2, reasoning="off").warnings


def test_limits_of_the_request(one_vendor):
    """Sixteen stop strings, no seed, no schema; texts of one message travel as one string, for it refuses a list."""
    vendor = one_vendor(FLASH)
    assert 16 == len(vendor.sent(stop=[f"s{number}" for number in range(16)])["stop"])
    for options in (
        {"stop": [f"s{number}" for number in range(17)]},
        {"seed": 1},
        {"response_format": {"type": "object"}},
    ):
        with pytest.raises(CapabilityMismatch):
            vendor.sent(**options)
    body = vendor.sent([Message("user", [Text("One. "), Text("Two.")])], response_format="json", max_tokens=5)
    assert "One. Two." == body["messages"][-1]["content"]
    assert ("Answer in JSON.", 5) == (body["messages"][0]["content"], body["max_tokens"])


WAITING = b": keep-alive\n\n: keep-alive\n\n"


def chunk(delta: dict[str, object], finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "d-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "deepseek-flash"}
    return b"data: " + json.dumps({**body, "choices": [choice], "usage": usage}).encode() + b"\n\n"


USAGE = {
    "prompt_tokens": 4,
    "completion_tokens": 1,
    "total_tokens": 5,
    "prompt_cache_hit_tokens": 3,
    "prompt_cache_miss_tokens": 1,
}
BEGUN = WAITING + chunk({"role": "assistant", "content": None, "reasoning_content": "Let"})


def test_usage_rides_on_the_last_piece(one_vendor):
    """Comments are passed over; the count comes with the finish, and its cache hits are the cached tokens."""
    body = BEGUN + chunk({"content": "Hi"}) + chunk({"content": ""}, "stop", USAGE) + b"data: [DONE]\n\n"
    _, reply = one_vendor(FLASH).streamed(body)
    assert ("Let", "Hi", "stop") == (reply.reasoning, reply.text, reply.finish_reason)
    assert (4, 1, 3) == (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens)


def test_an_overload_is_a_finish_reason(one_vendor):
    """`insufficient_system_resource` is a failure and no answer: `Overloaded`, and with what had come if some had."""
    ended = chunk({"content": ""}, "insufficient_system_resource", USAGE) + b"data: [DONE]\n\n"
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor(FLASH).streamed(BEGUN + ended)
    assert isinstance(caught.value.__cause__, Overloaded)
    assert "Let" == caught.value.partial.reasoning
    with pytest.raises(Overloaded):
        one_vendor(FLASH).streamed(WAITING + ended)
    with pytest.raises(Overloaded):
        one_vendor(FLASH).reply(
            {"choices": [{"message": {"content": ""}, "finish_reason": "insufficient_system_resource"}]}
        )


def test_blank_lines_before_a_whole_answer(one_vendor):
    """While a plain request waits, empty lines come before the JSON; they are none of it."""
    answer = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": USAGE}
    body = b"\n\n\n\n" + json.dumps(answer).encode()
    client = one_vendor(FLASH).client(httpx.Response(200, headers={"content-type": "application/json"}, content=body))
    assert "Hi" == client.chat("Hi").text


def test_the_price_has_hours():
    """Peak hours cost twice, in the money of the site: nine o'clock in Beijing on a Tuesday is one."""
    price = provider("deepseek").price("deepseek-v4-pro", "cn")
    busy, idle = datetime(2026, 11, 24, 1, 30, tzinfo=UTC), datetime(2026, 11, 24, 5, tzinfo=UTC)
    assert price.currency == "CNY"
    assert (27, 13.5) == (price.rates(1, busy).output, price.rates(1, idle).output)
