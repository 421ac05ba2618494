"""DashScope, compatible mode: two spellings of codes, thinking by switch and budget, whole answers by a stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest

from llmswitch import (
    CapabilityMismatch,
    ContentFiltered,
    Message,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmswitch._registry import provider
from tests.rows import rows

PLUS, NEW, OPEN = "dashscope:qwen-plus", "dashscope:qwen3.7-plus", "dashscope:qwen3-235b-a22b"
NOW = Tool("now", "The time.")
FORCED = "The tool_choice parameter does not support being set to required or object in thinking mode"
LENGTH = "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]"


def wrapped(code: str, message: str = "no") -> dict[str, object]:
    """The compatible shape."""
    error = {"code": code, "message": message, "type": "invalid_request_error", "param": None}
    return {"error": error, "id": "chatcmpl-1", "request_id": "r-3"}


def flat(code: str, message: str = "no") -> dict[str, object]:
    """The native shape, which is seen here too."""
    return {"code": code, "message": message, "request_id": "r-3"}


BAD = "invalid_parameter_error"
# status, code, words -> class, how far it reaches
REFUSALS = [
    (400, "InvalidParameter", "Required parameter messages missing", "BadRequest", None),
    (400, BAD, "Required parameter messages missing", "BadRequest", None),
    (400, "InvalidURL", "no", "BadRequest", None),
    (400, "BadRequest.TooLarge", "no", "BadRequest", None),
    (400, "UnsupportedOperation", "no", "CapabilityMismatch", None),
    (400, "InvalidParameter.NotSupportEnableThinking", "no", "CapabilityMismatch", None),
    (400, BAD, LENGTH, "ContextTooLong", None),
    (
        400,
        BAD,
        "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]",
        "BadRequest",
        None,
    ),
    (
        400,
        BAD,
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "CapabilityMismatch",
        None,
    ),
    (400, BAD, "Json mode response is not supported when enable_thinking is true", "CapabilityMismatch", None),
    (
        400,
        BAD,
        FORCED,
        "CapabilityMismatch",
        None,
    ),
    (400, "Arrearage", "Access denied, account not in good standing", "Arrears", "account"),
    (400, "DataInspectionFailed", "Input data may contain inappropriate content.", "ContentFiltered", None),
    (400, "data_inspection_failed", "Output data may contain inappropriate content.", "ContentFiltered", None),
    (400, "IPInfringementSuspect", "no", "ContentFiltered", None),
    (400, "CustomRoleBlocked", "no", "ContentFiltered", None),
    (400, "FaqRuleBlocked", "no", "ContentFiltered", None),
    (401, "InvalidApiKey", "Invalid API-key provided.", "AuthInvalid", "account"),
    (401, "invalid_api_key", "invalid access token or token expired", "AuthInvalid", "account"),
    (403, "AccessDenied", "no", "PermissionDenied", "target"),
    (403, "access_denied", "no", "PermissionDenied", "target"),
    (403, "AccessDenied.Unpurchased", "no", "PermissionDenied", "target"),
    (403, "Model.AccessDenied", "no", "PermissionDenied", "target"),
    (403, "Workspace.AccessDenied", "no", "PermissionDenied", "target"),
    (
        403,
        "AllocationQuota.FreeTierOnly",
        "The free tier of the model has been exhausted.",
        "QuotaExhausted",
        "account",
    ),
    (404, "ModelNotFound", "no", "ModelGone", "target"),
    (404, "model_not_found", "no", "ModelGone", "target"),
    (404, "Model.NotExist", "no", "ModelGone", "target"),
    (404, "model_not_supported", "no", "ModelGone", "target"),
    (404, "WorkSpaceNotFound", "no", "ModelGone", "target"),
    (408, "RequestTimeOut", "no", "ServerError", None),
    (413, "BadRequest.TooLarge", "no", "BadRequest", None),
    (415, "no_such_code", "no", "BadRequest", None),
    (429, "Throttling", "no", "RateLimited", "account"),
    (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.", "RateLimited", "account"),
    (429, "limit_requests", "You exceeded your current requests list.", "RateLimited", "account"),
    (429, "Throttling.BurstRate", "no", "RateLimited", "account"),
    (429, "limit_burst_rate", "no", "RateLimited", "account"),
    (
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
        "RateLimited",
        "account",
    ),
    (429, "insufficient_quota", "You exceeded your current quota, please check your plan", "RateLimited", "account"),
    (429, "insufficient_quota", "Free allocated quota exceeded.", "QuotaExhausted", "account"),
    (429, "CommodityNotPurchased", "no", "Arrears", "account"),
    (429, "PrepaidBillOverdue", "no", "Arrears", "account"),
    (429, "PostpaidBillOverdue", "no", "Arrears", "account"),
    (500, "InternalError", "no", "ServerError", None),
    (500, "internal_error", "no", "ServerError", None),
    (500, "InternalError.Algo", "no", "ServerError", None),
    (500, "InternalError.Timeout", "no", "ServerError", None),
    (500, "SystemError", "no", "ServerError", None),
    (500, "ModelServiceFailed", "no", "ServerError", None),
    (504, "GatewayTimeout", "no", "ServerError", None),
    (503, "ModelUnavailable", "no", "Overloaded", "target"),
    (503, "ModelServingError", "no", "Overloaded", "target"),
    (503, "ServiceUnavailable", "no", "Overloaded", "target"),
]


@rows("shape", [wrapped, flat])
@rows(("status", "code", "words", "becomes", "reach"), REFUSALS)
def test_refusals(one_vendor, shape, status, code, words, becomes, reach):
    """In either shape each code is the class that says what to do next, and takes out just what it concerns."""
    error, reached = one_vendor(PLUS).refusal(status, shape(code, words))
    assert (becomes, reach, code, "r-3") == (type(error).__name__, reached, error.code, error.request_id)


def test_how_long_to_wait(one_vendor):
    """The vendor's client reads milliseconds and seconds from headers: they are honoured where they come."""
    for headers in ({"retry-after-ms": "1500"}, {"retry-after": "1.5"}):
        error, _ = one_vendor(PLUS).refusal(429, wrapped("limit_requests"), headers)
        assert 1.5 == error.retry_after


def test_a_flat_error_under_200(one_vendor):
    """The native shape may come under 200, whole or as an event of a stream, and is an error all the same."""
    error, reached = one_vendor(PLUS).refusal(200, flat("Arrearage"))
    assert ("Arrears", "account") == (type(error).__name__, reached)
    frame = b"data: " + json.dumps(flat("DataInspectionFailed", "Output data may contain …")).encode() + b"\n\n"
    with pytest.raises(ContentFiltered):
        one_vendor(PLUS).streamed(frame)
    begun = b'data: {"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}\n\n'
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor(PLUS).streamed(begun + frame)
    assert isinstance(caught.value.__cause__, ContentFiltered)


def test_a_key_of_another_region_or_plan(one_vendor):
    """A refused key is told of the other regions and plans; a coding plan says that it serves agents alone."""
    error, _ = one_vendor(PLUS, site="us").refusal(401, wrapped("invalid_api_key"))
    said = str(error)
    assert 'does not work at site "us"; if yours is of that site, set site = "cn" (or intl, hk, cn-coding' in said
    assert "[providers.dashscope]" in said
    agents = {"error": "Coding Plan is currently only available for Coding Agents"}
    error, _ = one_vendor(PLUS, site="cn-coding").refusal(405, agents)
    assert "PermissionDenied" == type(error).__name__
    assert "set site to another" in str(error)


@rows(
    ("target", "level", "fields"),
    [
        (PLUS, "off", {"enable_thinking": False}),
        (PLUS, "low", {"enable_thinking": True, "thinking_budget": 2048}),
        (PLUS, "high", {"enable_thinking": True}),
        (PLUS, 500, {"enable_thinking": True, "thinking_budget": 500}),
        (NEW, "medium", {"enable_thinking": True, "thinking_budget": 8192}),
        ("dashscope:qwen3.8-max", "off", {"reasoning_effort": "none"}),
        ("dashscope:qwen3.8-max", "medium", {"reasoning_effort": "medium"}),
        ("dashscope:qwen-max", "off", {}),
    ],
)
def test_the_thinking_switch(one_vendor, target, level, fields):
    """A switch with a budget, from Qwen3.8 on a depth; a model without a switch is sent none."""
    body = one_vendor(target).sent(reasoning=level)
    switches = ("enable_thinking", "thinking_budget", "reasoning_effort")
    assert fields == {name: body[name] for name in switches if name in body}


def test_thinking_and_what_it_excludes(one_vendor):
    """No form and no forced call while it thinks: thinking that nobody asked for gives way, another is refused."""
    for options in ({"response_format": "json"}, {"tools": [NOW], "tool_choice": "now"}):
        assert one_vendor(NEW).sent(**options)["enable_thinking"] is False
        assert "enable_thinking" not in one_vendor(PLUS).sent(**options)
        with pytest.raises(CapabilityMismatch, match="while it thinks"):
            one_vendor(PLUS).sent(reasoning="high", **options)
    with pytest.raises(CapabilityMismatch, match="tool_choice"):
        one_vendor(PLUS).sent(tools=[NOW], tool_choice="required")


def test_calls_at_once(one_vendor):
    """Several calls at once are off where nothing is said: they are switched on, unless the caller says otherwise."""
    assert one_vendor(PLUS).sent(tools=[NOW])["parallel_tool_calls"] is True
    assert one_vendor(PLUS).sent(tools=[NOW], parallel_tool_calls=False)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in one_vendor(PLUS).sent()


def test_json_is_spoken_of(one_vendor):
    """JSON mode is 400 where no message says "json": one is added."""
    body = one_vendor(PLUS).sent(response_format="json")
    assert ({"type": "json_object"}, "Answer in JSON.") == (body["response_format"], body["messages"][0]["content"])


def test_temperature_2_is_refused(one_vendor):
    """The interval is open at 2, and top_p at 0, for which the least stands."""
    assert 1.99 == one_vendor(PLUS).sent(temperature=1.99)["temperature"]
    with pytest.raises(CapabilityMismatch, match="temperature"):
        one_vendor(PLUS).sent(temperature=2.0)
    assert 0.01 == one_vendor(PLUS).sent(top_p=0.0)["top_p"]


CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None, "reasoning_content": "Hm."}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hel", "reasoning_content": None}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]},
    {
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 2}},
    },
]
STREAM = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS) + b"data: [DONE]\n\n"


def test_a_whole_answer_by_a_stream(one_vendor):
    """Open Qwen3 refuses a plain call while it thinks: a stream is asked for, put together, and not remarked upon."""
    vendor = one_vendor(OPEN)
    client = vendor.client(httpx.Response(200, headers={"content-type": "text/event-stream"}, content=STREAM))
    reply = client.chat("Hi")
    body = json.loads(vendor.requests[-1].content)
    assert (True, {"include_usage": True}) == (body["stream"], body["stream_options"])
    assert ("Hello", "Hm.", "stop", 4, []) == (
        reply.text,
        reply.reasoning,
        reply.finish_reason,
        reply.usage.output_tokens,
        reply.warnings,
    )
    for target in ("dashscope:qwq-plus", "dashscope:qwen3.8-omni-flash"):
        assert one_vendor(target).sent()["stream"] is True
    assert "stream" not in one_vendor(PLUS).sent()


def test_a_whole_answer_by_a_stream_that_breaks_off(one_vendor):
    """The caller saw nothing of it, so it is a failure of the attempt as any other."""
    client = one_vendor(OPEN).client(
        httpx.Response(200, headers={"content-type": "text/event-stream"}, content=STREAM[: len(STREAM) // 3])
    )
    with pytest.raises(StreamInterrupted) as caught:
        client.chat("Hi")
    assert caught.value.partial is None


CALLED = [
    Message("user", "When?"),
    Message("assistant", [Reasoning("I must look."), ToolCall("c1", "now", {}, "{}")]),
    Message("tool", [ToolResult("c1", "noon")]),
    Message("assistant", [Reasoning("So it is."), Text("Noon.")]),
    Message("user", "Thanks"),
]


def test_thoughts_go_back_by_model(one_vendor):
    """Qwen has them back where there are some, hosted models as their makers want them."""
    sent = one_vendor(NEW).sent(CALLED, tools=[NOW])["messages"]
    assert ["I must look.", "So it is."] == [sent[place]["reasoning_content"] for place in (1, 3)]
    sent = one_vendor("dashscope:deepseek-v4-pro").sent(CALLED, tools=[NOW])["messages"]
    assert ["I must look.", "So it is."] == [sent[place]["reasoning_content"] for place in (1, 3)]
    plain = [CALLED[0], Message("assistant", "Noon."), CALLED[4]]
    assert " " == one_vendor("dashscope:deepseek-v4-pro").sent(plain)["messages"][1]["reasoning_content"]
    sent = one_vendor("dashscope:deepseek-r1").sent(CALLED, tools=[NOW])["messages"]
    assert all("reasoning_content" not in message for message in sent)


def test_prices():
    """By length and by thinking, in the region's money; what is not known has none."""
    dashscope, at = provider("dashscope"), datetime(2026, 11, 27, tzinfo=UTC)
    china, world = dashscope.price("qwen-flash", "cn"), dashscope.price("qwen-plus", "intl")
    assert dashscope.price("qwen-plus", "cn") is None
    assert ("CNY", 1.5) == (china.currency, china.output)
    assert china.rates(128_001, at) is None
    assert ("USD", 12) == (world.currency, world.rates(256_001, at).output_thinking)
    plus = dashscope.price("qwen3.5-plus", "cn")
    assert [0.8, 2, 4] == [float(plus.rates(tokens, at).input) for tokens in (128_000, 128_001, 256_001)]
