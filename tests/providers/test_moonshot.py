"""Moonshot (Kimi): refusals by type, fixed sampling, thoughts back with calls, typed schemas, usage in a choice."""

from __future__ import annotations

import json

import httpx
import pytest

from llmswitch import CapabilityMismatch, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from llmswitch._registry import provider
from tests.rows import rows

K26, K3 = "moonshot:kimi-k2.6", "moonshot:kimi-k3.1-pro"
NOW = Tool("now", "The time.")


def failure(kind: str, message: str = "no") -> dict[str, object]:
    return {"error": {"type": kind, "message": message}}


BAD = "invalid_request_error"
LIMIT = "Your account org-1 / proj-1 <ak-1> request reached "
# status, body, class, how far it reaches, seconds
REFUSALS = {
    "content": (400, failure("content_filter", "high risk"), "ContentFiltered", None, None),
    "content_in_words": (
        400,
        failure(BAD, "The request was rejected because it was considered high risk"),
        "ContentFiltered",
        None,
        None,
    ),
    "length": (400, failure(BAD, "Input token length too long"), "ContextTooLong", None, None),
    "model_length": (
        400,
        failure(BAD, "Your request exceeded model token limit: 262144"),
        "ContextTooLong",
        None,
        None,
    ),
    "bad": (400, failure(BAD, "text content is empty"), "BadRequest", None, None),
    "sampling": (
        400,
        failure(BAD, "invalid temperature: only 1 is allowed for this model"),
        "CapabilityMismatch",
        None,
        None,
    ),
    "thoughts": (
        400,
        failure(BAD, "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"),
        "CapabilityMismatch",
        None,
        None,
    ),
    "key": (401, failure("invalid_authentication_error", "Invalid Authentication"), "AuthInvalid", "account", None),
    "wrong_key": (401, failure("incorrect_api_key_error", "Incorrect API key"), "AuthInvalid", "account", None),
    "right": (403, failure("permission_denied_error"), "PermissionDenied", "target", None),
    "plan_concurrency": (403, failure("permission_error", "concurrency limit reached"), "RateLimited", "account", None),
    "model": (404, failure("resource_not_found_error", "Not found the model"), "ModelGone", "target", None),
    "money": (
        429,
        failure("exceeded_current_quota_error", "Your account is suspended due to insufficient balance"),
        "Arrears",
        "account",
        None,
    ),
    "rate": (
        429,
        failure("rate_limit_reached_error", LIMIT + "max request: 3, please try again after 1 seconds"),
        "RateLimited",
        "account",
        1.0,
    ),
    "tokens": (
        429,
        failure("rate_limit_reached_error", LIMIT + "project TPM rate limit, current: 1410, limit: 100"),
        "RateLimited",
        "account",
        None,
    ),
    "day": (
        429,
        failure("rate_limit_reached_error", LIMIT + "organization TPD rate limit, current: 1505241, limit: 1500000"),
        "QuotaExhausted",
        "account",
        None,
    ),
    "busy": (
        429,
        failure("engine_overloaded_error", "The engine is currently overloaded"),
        "Overloaded",
        "target",
        None,
    ),
    "closed": (499, failure("client_closed_request"), "ServerError", None, None),
    "server": (500, failure("unexpected_output"), "ServerError", None, None),
    "unavailable": (503, failure("server_unavailable"), "Overloaded", "target", None),
    "page_after_900_s": (504, b"<html><body>504 Gateway Time-out</body></html>", "ServerError", None, None),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out what it concerns, for as long as it says."""
    status, body, becomes, reach, wait = REFUSALS[name]
    error, reached = one_vendor(K26).refusal(status, body)
    assert (becomes, reach, wait) == (type(error).__name__, reached, error.retry_after)


def test_a_key_of_the_other_site(one_vendor):
    """A refused key is told of the other sites and of the setting, whichever site it was sent to."""
    body = failure("invalid_authentication_error", "Invalid Authentication")
    error, _ = one_vendor(K26).refusal(401, body)
    assert 'a key of another site does not work at site "cn"' in str(error)
    assert 'set site = "intl" (or coding) under [providers.moonshot]' in str(error)
    error, _ = one_vendor(K26, site="intl").refusal(401, body)
    assert 'set site = "cn"' in str(error)


def test_a_request_is_named_by_its_header(one_vendor):
    """The vendor's own header names the request, for its support."""
    error, _ = one_vendor(K26).refusal(500, failure("server_error"), {"Msh-Request-Id": "2b1ff8fa"})
    assert "2b1ff8fa" == error.request_id


def test_the_thinking_switch(one_vendor):
    """K2.6 has a switch, K3 a depth, K2.7 neither; what always thinks can't be told to stop."""
    assert {"type": "disabled"} == one_vendor(K26).sent(reasoning="off")["thinking"]
    assert {"type": "enabled"} == one_vendor(K26).sent(reasoning="low")["thinking"]
    assert "low" == one_vendor(K3).sent(reasoning="low")["reasoning_effort"]
    assert "high" == one_vendor(K3).sent(reasoning="medium")["reasoning_effort"]
    for target in (K3, "moonshot:kimi-k2.7-code"):
        with pytest.raises(CapabilityMismatch, match="reasoning"):
            one_vendor(target).sent(reasoning="off")


def test_sampling_is_fixed(one_vendor):
    """From K2.5 on any temperature or top_p but the model's own is 400: refused, or left out where that is allowed."""
    for setting in ({"temperature": 0.5}, {"top_p": 0.5}):
        with pytest.raises(CapabilityMismatch):
            one_vendor(K26).sent(**setting)
        assert setting.keys().isdisjoint(one_vendor(K26).sent(degrade=True, **setting))
    assert 0.5 == one_vendor("moonshot:moonshot-v1-8k").sent(temperature=0.5)["temperature"]


def test_a_forced_call(one_vendor):
    """`required` is known from K3 on, a named tool nowhere."""
    assert "required" == one_vendor(K3).sent(tools=[NOW], tool_choice="required")["tool_choice"]
    for target, choice in ((K26, "required"), (K3, "now")):
        with pytest.raises(CapabilityMismatch, match="tool_choice"):
            one_vendor(target).sent(tools=[NOW], tool_choice=choice)


CALLED = [
    Message("user", "When?"),
    Message("assistant", [Reasoning("I must look."), ToolCall("c1", "now", {}, "{}")]),
    Message("tool", [ToolResult("c1", "noon")]),
    Message("assistant", [Reasoning("So it is."), Text("Noon.")]),
    Message("user", [Text("And "), Text("now?")]),
]


def test_thoughts_and_no_empty_content_beside_calls(one_vendor):
    """A call carries its thoughts, be they empty, and no content where it said nothing; K3 wants thoughts always."""
    messages = one_vendor(K26).sent(CALLED, tools=[NOW])["messages"]
    assert {"role", "reasoning_content", "tool_calls"} == set(messages[1])
    assert "I must look." == messages[1]["reasoning_content"]
    assert {"role": "assistant", "content": "Noon."} == messages[3]
    assert "And now?" == messages[4]["content"]
    foreign = [CALLED[0], Message("assistant", [Text("Wait."), ToolCall("c1", "now", {}, "{}")]), CALLED[2]]
    message = one_vendor(K26).sent(foreign, tools=[NOW])["messages"][1]
    assert ("Wait.", "") == (message["content"], message["reasoning_content"])
    plain = [CALLED[0], Message("assistant", "Noon."), CALLED[4]]
    for target, thought in ((K26, None), (K3, ""), ("moonshot:kimi-k2.7-code", "")):
        assert thought == one_vendor(target).sent(plain)["messages"][1].get("reasoning_content")


def test_every_property_has_a_type(one_vendor):
    """A property without a type is 400: it is given that of its enum, or of what else is said of it."""
    properties = {
        "unit": {"enum": ["c", "f"]},
        "days": {"enum": [1, 2]},
        "either": {"enum": ["auto", None]},
        "place": {"properties": {"city": {"const": "Rome"}}},
        "tags": {"items": {"description": "a tag"}},
        "free": {"description": "anything"},
        "union": {"anyOf": [{"type": "string"}, {"enum": [True]}]},
        "named": {"$ref": "#/$defs/Kind"},
        "typed": {"type": "number"},
    }
    schema = {"type": "object", "properties": properties, "$defs": {"Kind": {"enum": ["x"]}}}
    sent = one_vendor(K26).sent(tools=[Tool("look", "Look.", schema)])["tools"][0]["function"]["parameters"]
    typed = sent["properties"]
    assert "strict" not in sent
    assert ("string", "integer", ["null", "string"]) == tuple(
        typed[name]["type"] for name in ("unit", "days", "either")
    )
    assert ("object", "string") == (typed["place"]["type"], typed["place"]["properties"]["city"]["type"])
    assert ("array", "string") == (typed["tags"]["type"], typed["tags"]["items"]["type"])
    assert ("string", "number") == (typed["free"]["type"], typed["typed"]["type"])
    assert ("boolean", "string") == (typed["union"]["anyOf"][1]["type"], sent["$defs"]["Kind"]["type"])
    assert "type" not in typed["union"]
    assert {"$ref": "#/$defs/Kind"} == typed["named"]
    assert "type" not in properties["unit"]  # the caller's own schema is left alone


def test_limits_of_the_request(one_vendor):
    """The limit on output has its newer name; at most five stop strings, of 32 bytes each."""
    assert 9 == one_vendor(K26).sent(max_tokens=9)["max_completion_tokens"]
    assert ["x" * 32] * 5 == one_vendor(K26).sent(stop=["x" * 32] * 5)["stop"]
    for stop in (["x"] * 6, ["停" * 11]):
        with pytest.raises(CapabilityMismatch, match="stop"):
            one_vendor(K26).sent(stop=stop)


def test_usage_inside_the_choice(one_vendor):
    """The older shape has the count in the last choice, with cached tokens at its top."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cached_tokens": 4}
    begin = {"id": "c-2", "object": "chat.completion.chunk", "created": 1700000000, "model": "kimi-k3"}
    chunks = [
        {**begin, "choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Hm."}}]},
        {**begin, "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
        {**begin, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    _, reply = one_vendor(K3).streamed(body)
    assert ("Hm.", "Hi", 5, 2, 4) == (
        reply.reasoning,
        reply.text,
        reply.usage.input_tokens,
        reply.usage.output_tokens,
        reply.usage.cached_tokens,
    )


def test_each_site_has_its_own_money(one_vendor):
    """The intl site bills dollars and its cached tokens apart; what K2.6 costs in yuan is not known, so it is None."""
    answer = {
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "cached_tokens": 500_000},
    }
    cost = one_vendor(K26, site="intl").client(httpx.Response(200, json=answer)).chat("Hi").cost
    assert "0.955 USD" == str(cost)
    assert one_vendor(K26).client(httpx.Response(200, json=answer)).chat("Hi").cost is None
    assert "CNY" == provider("moonshot").price("kimi-k3", "cn").currency
