"""Volcengine Ark and BytePlus: codes in words with dots, thinking by switch and depth, limits by family, endpoints."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from llmswitch import (
    CapabilityMismatch,
    ContentFiltered,
    Message,
    Reasoning,
    StreamInterrupted,
    Tool,
    ToolCall,
    ToolResult,
)
from llmswitch._registry import provider
from tests.rows import rows

SEED, ENDPOINT = "volcengine:doubao-seed-2-1-pro-260915", "volcengine:ep-20261127000000-abcde"
NOW = Tool("now", "The time.")


def failure(code: str, message: str = "no") -> dict[str, object]:
    return {"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}


# status, code, words -> class, how far it reaches
REFUSALS = [
    (400, "MissingParameter", "no", "BadRequest", None),
    (400, "InvalidParameter", "no", "BadRequest", None),
    (400, "InvalidParameter.UnsupportedInput", "no", "BadRequest", None),
    (400, "InvalidParameter", "Unsupported thinking type auto for model doubao", "CapabilityMismatch", None),
    (
        400,
        "InvalidParameter",
        "Total tokens of image and text exceed max message tokens. Request id: 021",
        "ContextTooLong",
        None,
    ),
    (400, "InvalidEndpoint.ClosedEndpoint", "no", "ModelGone", "target"),
    (400, "InvalidSubscription", "no", "PermissionDenied", "target"),
    (400, "OutofContextError", "no", "ContextTooLong", None),
    (400, "SensitiveContentDetected", "no", "ContentFiltered", None),
    (400, "SensitiveContentDetected.SevereViolation", "no", "ContentFiltered", None),
    (400, "InputTextSensitiveContentDetected", "no", "ContentFiltered", None),
    (400, "InputImageSensitiveContentDetected.PolicyViolation", "no", "ContentFiltered", None),
    (400, "OutputTextSensitiveContentDetected", "no", "ContentFiltered", None),
    (400, "InputTextRiskDetection", "no", "ContentFiltered", None),
    (400, "InputImageRiskDetection", "no", "ContentFiltered", None),
    (400, "OutputTextRiskDetection", "no", "ContentFiltered", None),
    (401, "AuthenticationError", "the API key in the request is missing or invalid", "AuthInvalid", "account"),
    (403, "AccountOverdueError", "no", "Arrears", "account"),
    (403, "ServiceOverdue", "no", "Arrears", "account"),
    (403, "AccessDenied", "no", "PermissionDenied", "target"),
    (403, "ServiceNotOpen", "no", "PermissionDenied", "target"),
    (403, "OperationDenied.PermissionDenied", "no", "PermissionDenied", "target"),
    (404, "InvalidEndpointOrModel.NotFound", "no", "ModelGone", "target"),
    (404, "ModelNotOpen", "no", "PermissionDenied", "target"),
    (409, "Conflict", "no", "ServerError", None),
    (429, "RateLimitExceeded.EndpointRPMExceeded", "no", "RateLimited", "account"),
    (429, "RateLimitExceeded.EndpointTPMExceeded", "no", "RateLimited", "account"),
    (429, "ModelAccountRpmRateLimitExceeded", "no", "RateLimited", "account"),
    (429, "ModelAccountTpmRateLimitExceeded", "no", "RateLimited", "account"),
    (429, "ModelAccountIpmRateLimitExceeded", "no", "RateLimited", "account"),
    (429, "AccountRateLimitExceeded", "no", "RateLimited", "account"),
    (429, "QuotaExceeded", "Your account has exhausted its free trial quota", "QuotaExhausted", "account"),
    (429, "SetLimitExceeded", "no", "QuotaExhausted", "account"),
    (429, "ServerOverloaded", "no", "Overloaded", "target"),
    (429, "RequestBurstTooFast", "no", "Overloaded", "target"),
    (429, "ModelLoadingError", "no", "Overloaded", "target"),
    (500, "InternalServiceError", "no", "ServerError", None),
]


@rows(("status", "code", "words", "becomes", "reach"), REFUSALS)
def test_refusals(one_vendor, status, code, words, becomes, reach):
    """Each code is the class that says what to do next, and takes out just what it concerns."""
    error, reached = one_vendor(SEED).refusal(status, failure(code, words))
    assert (becomes, reach, code) == (type(error).__name__, reached, error.code)


def test_what_to_do_is_said(one_vendor):
    """Where only the console helps, the error says so; a refused key is told of BytePlus, which has its own."""
    assert "Ark console" in str(one_vendor(SEED).refusal(404, failure("ModelNotOpen"))[0])
    assert "free tokens" in str(one_vendor(SEED).refusal(429, failure("QuotaExceeded"))[0])
    refused = str(one_vendor(SEED).refusal(401, failure("AuthenticationError"))[0])
    assert 'set site = "intl" (or intl-coding) under [providers.volcengine]' in refused
    assert "cn-coding" not in refused  # the same account: its keys are taken there


def test_each_plan_has_its_path(one_vendor):
    """A plan is spent on its own path."""
    for site, path in (("cn", "/api/v3"), ("cn-coding", "/api/coding/v3"), ("cn-agent", "/api/plan/v3")):
        vendor = one_vendor(SEED, site=site)
        vendor.sent()
        assert f"{path}/chat/completions" == vendor.requests[-1].url.path


ENABLED, DISABLED = {"type": "enabled"}, {"type": "disabled"}


@rows(
    ("target", "level", "fields"),
    [
        (SEED, "off", {"thinking": DISABLED}),
        (SEED, "low", {"thinking": ENABLED, "reasoning_effort": "low"}),
        (SEED, "high", {"thinking": ENABLED, "reasoning_effort": "high"}),
        ("volcengine:doubao-seed-1-6-251015", "high", {"thinking": ENABLED}),
        ("volcengine:seed-2-0-pro-260328", "medium", {"thinking": ENABLED, "reasoning_effort": "medium"}),
        ("volcengine:deepseek-v4-pro-ga-260813", "off", {"thinking": DISABLED}),
    ],
)
def test_the_thinking_switch(one_vendor, target, level, fields):
    """A switch, and from Seed 1.8 on a depth beside it."""
    body = one_vendor(target).sent(reasoning=level)
    assert fields == {name: body[name] for name in ("thinking", "reasoning_effort") if name in body}


def test_the_limit_on_output(one_vendor):
    """Seed models bound thoughts and answer together, others the answer; never are both fields sent."""
    for target, field in ((SEED, "max_completion_tokens"), (ENDPOINT, "max_tokens")):
        body = one_vendor(target).sent(max_tokens=9)
        assert {field: 9} == {name: body[name] for name in ("max_tokens", "max_completion_tokens") if name in body}


CALLED = [
    Message("user", "When?"),
    Message("assistant", [Reasoning("I must look."), ToolCall("c1", "now", {}, "{}")]),
    Message("tool", [ToolResult("c1", "noon")]),
]


def test_thoughts_go_back_by_model(one_vendor):
    """Where there are some at seed models, always at hosted ones that demand it, never at R1."""
    plain = [CALLED[0], Message("assistant", [ToolCall("c1", "now", {}, "{}")]), CALLED[2]]
    hosted, old = "volcengine:deepseek-v4-pro-ga-260813", "volcengine:deepseek-r1-250528"
    sent = {
        (target, thought): one_vendor(target).sent(messages, tools=[NOW])["messages"][1]
        for target in (SEED, hosted, old)
        for thought, messages in ((True, CALLED), (False, plain))
    }
    assert "I must look." == sent[SEED, True]["reasoning_content"] == sent[hosted, True]["reasoning_content"]
    assert " " == sent[hosted, False]["reasoning_content"]
    for key in ((SEED, False), (old, True), (old, False)):
        assert "reasoning_content" not in sent[key]
    assert "content" not in sent[SEED, True]  # null and an empty text were refused


def test_a_forced_call(one_vendor):
    """Seed models take it; older ones never did; hosted ones only without thinking, which gives way."""
    assert "required" == one_vendor(SEED).sent(tools=[NOW], tool_choice="required")["tool_choice"]
    body = one_vendor("volcengine:deepseek-v4-pro-ga-260813").sent(tools=[NOW], tool_choice="now")
    assert DISABLED == body["thinking"]
    with pytest.raises(CapabilityMismatch, match="tool_choice"):
        one_vendor("volcengine:doubao-1-5-pro-32k-250115").sent(tools=[NOW], tool_choice="required")


def test_an_endpoint_can_what_its_owner_says(one_vendor):
    """The name of an endpoint says nothing: it can the least, and more where the configuration says so."""
    with pytest.raises(CapabilityMismatch, match="reasoning"):
        one_vendor(ENDPOINT).sent(reasoning="low")
    more = {"capabilities": {"reasoning": ["low"]}, "options": {"reasoning": {"low": {"reasoning_effort": "low"}}}}
    assert "low" == one_vendor(ENDPOINT, **more).sent(reasoning="low")["reasoning_effort"]


def frame(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


BEGUN = frame({"id": "021", "choices": [{"index": 0, "delta": {"content": "Hel", "reasoning_content": ""}}]})


@pytest.mark.parametrize(
    "broken",
    [
        failure("OutputTextSensitiveContentDetected", "The response may contain sensitive information."),
        {"type": "session.error", **failure("OutputTextSensitiveContentDetected")},
    ],
    ids=["error", "session-error"],
)
def test_a_failure_inside_a_stream(one_vendor, broken):
    """An error may come as an event under 200: first it is the error itself, later the answer has broken off."""
    with pytest.raises(ContentFiltered):
        one_vendor(SEED).streamed(frame(broken))
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor(SEED).streamed(BEGUN + frame(broken))
    assert isinstance(caught.value.__cause__, ContentFiltered)


def test_a_stream(one_vendor):
    """The count comes last, in an event without choices; a moderation field beside the finish is passed over."""
    last = {
        "index": 0,
        "delta": {"content": "lo"},
        "finish_reason": "content_filter",
        "moderation_hit_type": "violence",
    }
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
    body = BEGUN + frame({"choices": [last]}) + frame({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    _, reply = one_vendor(SEED).streamed(body)
    assert ("Hello", "content_filter", 9, 3) == (
        reply.text,
        reply.finish_reason,
        reply.usage.input_tokens,
        reply.usage.cached_tokens,
    )


def test_prices_by_length():
    """Seed 2.0 costs more the longer the input, in yuan; beyond its window nothing is known."""
    price, at = provider("volcengine").price("doubao-seed-2-0-lite-260215", "cn"), datetime(2026, 11, 27, tzinfo=UTC)
    assert [0.6, 0.9, 1.8] == [float(price.rates(tokens, at).input) for tokens in (32_000, 32_001, 128_001)]
    assert price.rates(256_001, at) is None
    assert provider("volcengine").price("doubao-seed-2-0-lite-260215", "intl") is None
