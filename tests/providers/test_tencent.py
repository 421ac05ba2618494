"""Tencent TokenHub: its errors, thinking and replay, and what is said to a configuration that still names Hunyuan."""

from __future__ import annotations

import httpx
import pytest

from llmswitch import Client, ConfigError, KeyMissing, Message, Reasoning, Text, ToolCall, ToolResult
from llmswitch.testing import FakeVendor
from tests.rows import rows

KEY = "CANARY-key-3a55c0fe1b9d2476"


def failure(code: str, kind: str, message: str = "no", **more: object) -> dict[str, object]:
    return {"error": {"type": kind, "code": code, "message": message, "source": "gateway", "request_id": "r-2", **more}}


PERMISSION, INVALID = "permission_error", "invalid_request_error"

# status, body -> class, how far it reaches
REFUSALS = {
    "bad": (400, failure("400001", INVALID), "BadRequest", None),
    "bad_2": (400, failure("400002", INVALID, "messages: must not be empty"), "BadRequest", None),
    "long": (400, failure("400004", INVALID, "input tokens exceed the context length"), "ContextTooLong", None),
    "long_zh": (400, failure("400001", INVALID, "输入超过模型上下文长度"), "ContextTooLong", None),
    "key": (401, failure("401002", "authentication_error"), "AuthInvalid", "account"),
    "no_money": (402, failure("401007", PERMISSION), "Arrears", "account"),
    "no_money_2": (402, failure("401008", PERMISSION), "Arrears", "account"),
    "no_money_bare": (402, {"error": {"message": "payment"}}, "Arrears", "account"),
    "free_pack": (402, failure("403004", PERMISSION, "FREE_QUOTA_EXHAUSTED"), "QuotaExhausted", "account"),
    "forbidden": (403, failure("403001", PERMISSION), "PermissionDenied", "target"),
    "ip": (403, failure("403005", PERMISSION), "PermissionDenied", "target"),
    "rate": (429, failure("429001", "rate_limit_error"), "RateLimited", "account"),
    "content": (451, failure("451001", "content_filter_error"), "ContentFiltered", None),
    "content_by_type": (451, failure("0", "content_filter_error"), "ContentFiltered", None),
    "content_by_status": (451, {}, "ContentFiltered", None),
    "page": (451, b"<!DOCTYPE html><html>blocked</html>", "RegionBlocked", "account"),
    "upstream": (502, failure("502001", "upstream_error", upstream_status=503), "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor("tencent:hy3").refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)


def test_what_an_error_carries(one_vendor):
    """The vendor's code, the id of the request, and the wait that a header asks for are on the error."""
    body = failure("429001", "rate_limit_error")
    error, _ = one_vendor("tencent:hy3").refusal(429, body, {"retry-after": "7"})
    assert ("429001", "r-2", 7.0) == (error.code, error.request_id, error.retry_after)


ON, OFF = {"type": "enabled"}, {"type": "disabled"}
THINKING = {
    "hy3": {
        "off": {"thinking": OFF},
        "low": {"thinking": ON, "reasoning_effort": "low"},
        "medium": {"thinking": ON, "reasoning_effort": "medium"},
        "high": {"thinking": ON, "reasoning_effort": "high"},
    },
    "deepseek-v4-pro": {"off": {"thinking": OFF}, "high": {"thinking": ON}},
    "glm-5.1": {"off": {"thinking": OFF}, "low": {"thinking": ON}},
    "minimax-m3": {"off": {"thinking": OFF}, "medium": {"thinking": {"type": "adaptive"}}},
}


@rows(("model", "level"), [(model, level) for model in THINKING for level in THINKING[model]])
def test_the_thinking_switch(one_vendor, model, level):
    """Each level is said as the model takes it; nothing is said where nobody asked."""
    vendor = one_vendor(f"tencent:{model}")
    body = vendor.sent(reasoning=level)
    assert THINKING[model][level] == {key: body[key] for key in body if key in ("thinking", "reasoning_effort")}
    assert not {"thinking", "reasoning_effort"} & set(vendor.sent())


THOUGHT = [
    Message("user", "Weather?"),
    Message("assistant", [Reasoning("I look."), ToolCall("c1", "weather", {})]),
    Message("tool", [ToolResult("c1", "18 C")]),
    Message("assistant", [Text("18 C.")]),
    Message("user", "And tomorrow?"),
]


@rows(
    ("model", "thoughts"),
    [
        ("hy3", ["I look.", None]),
        ("glm-5.1", ["I look.", None]),
        ("deepseek-v4-pro", ["I look.", " "]),
        ("kimi-k2.6", ["I look.", ""]),
        ("kimi-k3", ["I look.", ""]),
    ],
)
def test_the_replay_of_thoughts(one_vendor, model, thoughts):
    """Thoughts go back where there are some; the models that refuse turns without get a stand-in."""
    turns = [turn for turn in one_vendor(f"tencent:{model}").sent(THOUGHT)["messages"] if turn["role"] == "assistant"]
    assert thoughts == [turn.get("reasoning_content") for turn in turns]


def test_kimis_temperature_is_not_sent(one_vendor):
    """A setting that the hosted model holds fixed is left out aloud where that is allowed."""
    body = one_vendor("tencent:kimi-k2.6").sent(temperature=0.3, degrade=True)
    assert "temperature" not in body
    assert 0.3 == one_vendor("tencent:hy3").sent(temperature=0.3)["temperature"]


def test_the_output_limit_and_usage(one_vendor):
    """The limit is `max_tokens`, and usage is asked for in streams."""
    body = one_vendor("tencent:hy3").sent(stream=True, max_tokens=5)
    assert (5, {"include_usage": True}) == (body["max_tokens"], body["stream_options"])
    assert "max_completion_tokens" not in body


# Hunyuan

OLD = [
    {"tencent": {"base_url": "https://api.hunyuan.cloud.tencent.com/v1", "api_key": {"env": "OTHER_KEY"}}},
    {"tencent": {"base_url": "https://API.hunyuan.cloud.tencent.com/v1/"}},
    {"tencent": {"base_url": "https://hunyuan.tencentcloudapi.com"}},
    {"tencent": {"base_url": "https://hunyuan.ap-guangzhou.tencentcloudapi.com/"}},
    {"tencent": {"api_key": {"env": "HUNYUAN_API_KEY"}}},
    {"tencent": {"api_key": {"env": "HUNYUAN_API_KEY"}, "optional": True}},
    {"mine": {"dialect": "openai", "base_url": "https://api.hunyuan.cloud.tencent.com/v1"}},
    {"mine": {"dialect": "openai", "base_url": "https://x.example.com/v1", "api_key": {"env": "HUNYUAN_API_KEY"}}},
]


@pytest.mark.parametrize("providers", OLD)
def test_a_configuration_that_names_hunyuan(monkeypatch, providers):
    """A closed host, or the variable of its key, is said at load: the place, since when, and what to use now."""
    monkeypatch.setenv("HUNYUAN_API_KEY", KEY)
    monkeypatch.setenv("TENCENT_TOKENHUB_API_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", KEY)
    with pytest.raises(ConfigError) as caught:
        Client.from_config({"providers": providers, "default": "tencent:hy3"})
    said = str(caught.value)
    name, own = next(iter(providers.items()))
    field = "base_url" if "hunyuan" in own.get("base_url", "") or "Hunyuan" in own.get("base_url", "") else "api_key"
    assert f"providers.{name}.{field}: " in said
    for words in ("closed Hunyuan on 2026-09-30", "TokenHub", "TENCENT_TOKENHUB_API_KEY"):
        assert words in said
    assert KEY not in said


def test_hunyuans_key_alone(monkeypatch, tmp_path):
    """Where only Hunyuan's key is set, the missing one is named and the old one explained."""
    monkeypatch.setenv("HUNYUAN_API_KEY", KEY)
    with pytest.raises(KeyMissing, match=r"TENCENT_TOKENHUB_API_KEY or .*HUNYUAN_API_KEY is set, but .*2026-09-30"):
        Client("tencent:hy3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"HUNYUAN_API_KEY is set, but Tencent closed Hunyuan"):
        Client()


def test_tokenhubs_key_beside_hunyuans(monkeypatch):
    """A forgotten variable harms nobody who has the new one: its key alone is sent, to the new host."""
    monkeypatch.setenv("HUNYUAN_API_KEY", "an-old-key-0123456789")
    monkeypatch.setenv("TENCENT_TOKENHUB_API_KEY", KEY)
    vendor = FakeVendor(lambda request: httpx.Response(200, json={"choices": [{"message": {"content": "hi"}}]}))
    Client("tencent:hy3", http_client=vendor).chat("Hi")
    (request,) = vendor.requests
    assert ("tokenhub.tencentmaas.com", f"Bearer {KEY}") == (request.url.host, request.headers["authorization"])


@rows(
    ("site", "url"),
    [
        ("cn", "https://tokenhub.tencentmaas.com/v1/chat/completions"),
        ("intl", "https://tokenhub-intl.tencentcloudmaas.com/v1/chat/completions"),
        ("cn-token-plan", "https://tokenhub.tencentmaas.com/plan/v3/chat/completions"),
        ("cn-coding", "https://api.lkeap.cloud.tencent.com/coding/v3/chat/completions"),
    ],
)
def test_the_sites(one_vendor, site, url):
    """Each plan has a path of its own."""
    vendor = one_vendor("tencent:hy3", site=site)
    vendor.sent()
    assert url == str(vendor.requests[0].url)
