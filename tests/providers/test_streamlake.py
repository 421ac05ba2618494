"""StreamLake: endpoints of one's own as models, a content block under 403, and a rate limit under 400."""

from __future__ import annotations

import pytest

from llmswitch import CapabilityMismatch, Client, ConfigError
from tests.rows import rows

EP = "streamlake:ep-lpvcnv-1761467347624133479"


def failure(message: str, code: str | None = None, kind: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "code": code, "type": kind, "param": None}}


REFUSALS = {
    "content": (403, failure("unsafe", "system_unsafe", "Forbidden"), "ContentFiltered", None),
    "forbidden": (403, failure("no right", None, "Forbidden"), "PermissionDenied", "target"),
    "fast": (400, failure("Request rate increased too quickly, please slow down"), "RateLimited", "account"),
    "bad": (400, failure("messages is empty", "invalid_request"), "BadRequest", None),
    "rate": (429, failure("slow down"), "RateLimited", "account"),
    "key": (401, failure("no such key"), "AuthInvalid", "account"),
    "no_money": (402, failure("pay"), "Arrears", "account"),
    "model": (404, failure("no endpoint"), "ModelGone", "target"),
    "busy": (503, failure("busy"), "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor(EP).refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)


def test_a_model_has_to_be_named(monkeypatch):
    """There is no default model: an endpoint is one's own."""
    monkeypatch.setenv("STREAMLAKE_API_KEY", "x" * 20)
    with pytest.raises(ConfigError, match="write streamlake:MODEL"):
        Client("streamlake")


@rows("model", [EP, "streamlake:kat-coder-pro-v2.5", "streamlake:KAT-Coder-Pro-V2.5"])
def test_the_thinking_switch(one_vendor, model):
    """KAT-Coder, and endpoints whose model is not known here, switch by a flag."""
    vendor = one_vendor(model)
    assert [False, True] == [vendor.sent(reasoning=level)["enable_thinking"] for level in ("off", "low")]
    assert "enable_thinking" not in vendor.sent()


def test_hosted_models_switch_as_at_home(one_vendor):
    """DeepSeek and GLM take their makers' object; GLM-5.3 always thinks."""
    assert {"type": "disabled"} == one_vendor("streamlake:deepseek-v4-pro").sent(reasoning="off")["thinking"]
    with pytest.raises(CapabilityMismatch, match="no such level"):
        one_vendor("streamlake:GLM-5.3").sent(reasoning="high")


@rows(
    ("site", "url"),
    [
        ("cn", "https://wanqing.streamlakeapi.com/api/gateway/v1/endpoints/chat/completions"),
        ("intl", "https://vanchin.streamlake.ai/api/gateway/v1/endpoints/chat/completions"),
        ("cn-coding", "https://wanqing.streamlakeapi.com/api/gateway/coding/v1/chat/completions"),
    ],
)
def test_the_sites(one_vendor, site, url):
    """The coding plan has a path of its own."""
    vendor = one_vendor(EP, site=site)
    vendor.sent()
    assert url == str(vendor.requests[0].url)


def test_an_answer_as_it_was_seen(one_vendor):
    """Null thoughts and calls, and the count of thinking beside the usual ones, disturb nothing."""
    message = {"role": "assistant", "content": "Hi", "reasoning_content": None, "tool_calls": None}
    usage = {
        "prompt_tokens": 21,
        "total_tokens": 61,
        "completion_tokens": 40,
        "prompt_tokens_details": {"cached_tokens": 6},
        "reasoning_tokens": 0,
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "matched_stop": 151645}
    body = {"id": "req-1|ep-4fn387", "choices": [choice], "usage": usage, "metadata": {"weight_version": "default"}}
    reply = one_vendor(EP).reply(body)
    assert ("Hi", "", [], "stop") == (reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason)
    assert (21, 40, 6) == (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens)
