"""Qianfan V2: a code and a type beside it, flags that withdraw an answer, thinking by switch or object."""

from __future__ import annotations

import json

import pytest

from llmswitch import CapabilityMismatch, Message, RateLimited, Reasoning, Tool, ToolCall, ToolResult
from tests.rows import rows

TURBO, THINKER = "qianfan:ernie-4.5-turbo-128k", "qianfan:ernie-5.0"
NOW = Tool("now", "The time.")


def failure(code: str, kind: str = "", message: str = "no") -> dict[str, object]:
    return {"error": {"code": code, "message": message, "type": kind}, "id": "as-2"}


# status, code, type -> class, how far it reaches
REFUSALS = [
    (400, "malformed_json", "invalid_request_error", "BadRequest", None),
    (400, "invalid_messages", "", "BadRequest", None),
    (400, "invalid_argument", "", "BadRequest", None),
    (400, "invalid_image_url", "", "BadRequest", None),
    (400, "invalid_plugin_argument", "", "BadRequest", None),
    (400, "invalid_model", "", "ModelGone", "target"),
    (400, "tokens_too_long", "", "ContextTooLong", None),
    (400, "characters_too_long", "", "ContextTooLong", None),
    (400, "unsafe_request", "image_url_unsafe", "ContentFiltered", None),
    (401, "invalid_iam_token", "", "AuthInvalid", "account"),
    (401, "invalid_appid", "", "AuthInvalid", "account"),
    (401, "access_denied", "no_parameter_permission", "PermissionDenied", "target"),
    (401, "invalid_model", "", "PermissionDenied", "target"),
    (403, "system_unsafe", "unsafe_request", "ContentFiltered", None),
    (403, "user_setting_unsafe", "unsafe_request", "ContentFiltered", None),
    (403, "functions_unsafe", "unsafe_request", "ContentFiltered", None),
    (405, "method_not_supported", "", "BadRequest", None),
    (429, "rate_limit_exceeded", "rpm_rate_limit_exceeded", "RateLimited", "account"),
    (429, "rate_limit_exceeded", "tpm_rate_limit_exceeded", "RateLimited", "account"),
    (429, "rate_limit_exceeded", "input_tpm_rate_limit_exceeded", "RateLimited", "account"),
    (429, "rate_limit_exceeded", "output_tpm_rate_limit_exceeded", "RateLimited", "account"),
    (429, "rate_limit_exceeded", "preemptible_rate_limit", "RateLimited", "account"),
    (429, "rate_limit_exceeded", "user_rate_limit_exceeded", "RateLimited", "account"),
    (429, "rate_limit_exceeded", "cluster_rate_limit_exceeded", "Overloaded", "target"),
    (429, "rate_limit_exceeded", "cluster_rpm_rate_limit_exceeded", "Overloaded", "target"),
    (429, "rate_limit_exceeded", "cluster_tpm_rate_limit_exceeded", "Overloaded", "target"),
    (500, "internal_error", "", "ServerError", None),
    (500, "dispatch_internal_error", "", "ServerError", None),
]


@rows(("status", "code", "kind", "becomes", "reach"), REFUSALS)
def test_refusals(one_vendor, status, code, kind, becomes, reach):
    """The code, and the type where it says more, give the class and how far it reaches."""
    error, reached = one_vendor(TURBO).refusal(status, failure(code, kind))
    assert (becomes, reach, code, "as-2") == (type(error).__name__, reached, error.code, error.request_id)


@rows("words", ["Your account is overdue", "账户已欠费", "account in arrears", "账户余额不足"])
def test_no_money_is_known_by_its_words(one_vendor, words):
    """No code for it is documented: its words are known, in either language."""
    error, reached = one_vendor(TURBO).refusal(403, failure("some_code", message=words))
    assert ("Arrears", "account") == (type(error).__name__, reached)


def test_a_key_of_a_plan(one_vendor):
    """A plan's key on the ordinary path is told where it belongs, whatever code comes with it."""
    for code in ("access_denied", "invalid_iam_token", "something_else"):
        words = "Coding Plan API key is not allowed for non-Coding Plan requests"
        error, _ = one_vendor(TURBO).refusal(401, failure(code, message=words))
        assert "PermissionDenied" == type(error).__name__
        assert 'set site = "cn-coding"' in str(error)
    error, _ = one_vendor(TURBO).refusal(401, failure("invalid_iam_token"))
    assert 'set site = "cn-coding" (or cn-token-plan, cn-token-plan-team) under [providers.qianfan]' in str(error)


def test_paths_and_headers(one_vendor):
    """A plan is a path of its own; a key with slashes goes as it is, and an application's id in a header."""
    vendor = one_vendor(TURBO, site="cn-coding", headers={"appid": "app-1"})
    vendor.sent()
    request = vendor.requests[-1]
    assert ("/v2/coding/chat/completions", "app-1") == (request.url.path, request.headers["appid"])
    error, _ = one_vendor(TURBO).refusal(500, {}, {"X-Baidu-Request-Id": "b-1"})
    assert "b-1" == error.request_id


@rows(
    ("target", "level", "fields"),
    [
        (THINKER, "off", {"enable_thinking": False}),
        (THINKER, "low", {"enable_thinking": True, "thinking_budget": 2048}),
        (THINKER, "high", {"enable_thinking": True}),
        (THINKER, 500, {"enable_thinking": True, "thinking_budget": 500}),
        ("qianfan:deepseek-v3.2", "low", {"thinking": {"type": "enabled"}}),
        ("qianfan:glm-5", "off", {"thinking": {"type": "disabled"}}),
        (TURBO, "off", {}),
    ],
)
def test_the_thinking_switch(one_vendor, target, level, fields):
    """ERNIE has a switch and a budget, hosted models an object, others neither, and they are sent none."""
    body = one_vendor(target).sent(reasoning=level)
    assert fields == {name: body[name] for name in ("enable_thinking", "thinking_budget", "thinking") if name in body}


def test_what_always_thinks(one_vendor):
    """X1 and R1 can't be told to stop; X1 Turbo holds to no schema."""
    for model in ("ernie-x1-turbo-32k", "deepseek-r1", "ernie-5.0-thinking-latest"):
        with pytest.raises(CapabilityMismatch, match="reasoning"):
            one_vendor(f"qianfan:{model}").sent(reasoning="off")
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    with pytest.raises(CapabilityMismatch, match="response_format"):
        one_vendor("qianfan:ernie-x1-turbo-32k").sent(response_format=schema)
    assert "json_schema" == one_vendor(TURBO).sent(response_format=schema)["response_format"]["type"]


def test_limits_on_stop(one_vendor):
    """At most four strings, of twenty characters each."""
    assert ["停" * 20] * 4 == one_vendor(TURBO).sent(stop=["停" * 20] * 4)["stop"]
    for stop in (["x"] * 5, ["x" * 21]):
        with pytest.raises(CapabilityMismatch, match="stop"):
            one_vendor(TURBO).sent(stop=stop)


CALLED = [
    Message("user", "When?"),
    Message("assistant", [Reasoning("I must look."), ToolCall("c1", "now", {}, "{}")]),
    Message("tool", [ToolResult("c1", "noon")]),
]


def test_thoughts_go_back_by_model(one_vendor):
    """ERNIE has them back where there are some; a hosted V4 always, a hosted R1 never."""
    for model, thought in (("ernie-5.0", "I must look."), ("deepseek-v4-pro", "I must look."), ("deepseek-r1", None)):
        message = one_vendor(f"qianfan:{model}").sent(CALLED, tools=[NOW])["messages"][1]
        assert thought == message.get("reasoning_content")


def test_a_forced_call_at_a_hosted_model(one_vendor):
    """A hosted model that thinks unasked can't be forced while it does: its thinking gives way."""
    body = one_vendor("qianfan:deepseek-v4-pro").sent(tools=[NOW], tool_choice="required")
    assert ({"type": "disabled"}, "required") == (body["thinking"], body["tool_choice"])
    assert "enable_thinking" not in one_vendor(THINKER).sent(tools=[NOW], tool_choice="required")


@rows(("flag", "reason"), [(0, "stop"), (1, "stop"), (2, "stop"), (3, "content_filter"), (4, "content_filter")])
def test_flags(one_vendor, flag, reason):
    """A flag of 3 or 4 takes the answer back, though it "stopped"; whole or in a stream, whenever it came."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop", "flag": flag}
    assert reason == one_vendor(TURBO).reply({"id": "as-1", "choices": [{**choice, "ban_round": 0}]}).finish_reason
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "H"}, "flag": flag}]},
        {"choices": [{"index": 0, "delta": {"content": "i"}, "finish_reason": "stop", "flag": 0}]},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    _, reply = one_vendor(TURBO).streamed(body)
    assert ("Hi", reason) == (reply.text, reply.finish_reason)


def test_a_stream(one_vendor):
    """Web search speaks in events of its own, usage comes last and without choices, an error is an event."""
    chunks = [
        {"id": "as-1", "choices": [{"index": 0, "delta": {"content": ""}, "delta_tag": "search_status"}]},
        {"id": "as-1", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop", "flag": 0}]},
        {"id": "as-1", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    _, reply = one_vendor(TURBO).streamed(body)
    assert ("Hi", "as-1", 2, 1) == (reply.text, reply.id, reply.usage.input_tokens, reply.usage.output_tokens)
    failed = failure("rate_limit_exceeded", "rpm_rate_limit_exceeded", "too many requests")
    with pytest.raises(RateLimited):
        one_vendor(TURBO).streamed(b"data: " + json.dumps(failed).encode() + b"\n\n")
