"""
OpenAI's SDK as the oracle of vendors that document it as their client: the same path, key and body leave.

What the SDK is called with is what the vendor's own examples call it with, extensions by `extra_body`.
"""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import Client, Message, Text, Tool, ToolCall, ToolResult
from llmswitch._registry import provider
from tests.providers.test_openai_oracle import CALLS, KEY, TOOL, WEATHER, Ear, ear

__all__ = ["ear"]

pytestmark = pytest.mark.slow

HI = [{"role": "user", "content": "Hi"}]

# provider, model, site -> the thinking switch by its documentation, and what the SDK is called with for the same
VENDORS: dict[tuple[str, str, str], tuple[str | None, dict[str, Any]]] = {
    ("tencent", "hy3", "cn"): (
        "high",
        {"extra_body": {"thinking": {"type": "enabled"}}, "reasoning_effort": "high"},
    ),
    ("tencent", "deepseek-v4-pro", "intl"): ("off", {"extra_body": {"thinking": {"type": "disabled"}}}),
    ("stepfun", "step-3.7-flash", "cn"): ("medium", {"reasoning_effort": "medium"}),
    ("stepfun", "step-3.7-flash", "intl-plan"): ("low", {"reasoning_effort": "low"}),
    ("siliconflow", "Qwen/Qwen3-8B", "cn"): ("off", {"extra_body": {"enable_thinking": False}}),
    ("siliconflow", "zai-org/GLM-4.6", "intl"): (
        "medium",
        {"extra_body": {"enable_thinking": True, "thinking_budget": 4096}},
    ),
    ("spark", "4.0Ultra", "cn"): (None, {}),
    ("spark", "spark-x", "cn-x2"): ("off", {"extra_body": {"thinking": {"type": "disabled"}}}),
    ("sensenova", "sensenova-6.8-flash-lite", "cn"): ("off", {"reasoning_effort": "none"}),
    ("modelscope", "deepseek-ai/DeepSeek-V4-Flash", "cn"): ("off", {"extra_body": {"enable_thinking": False}}),
    ("streamlake", "kat-coder-pro-v2.5", "cn-coding"): ("high", {"extra_body": {"enable_thinking": True}}),
    ("baichuan", "Baichuan4-Turbo", "cn"): (None, {}),
    ("lingyi", "yi-lightning", "cn"): (None, {}),
    ("zhipu", "glm-4.7", "cn"): ("off", {"extra_body": {"thinking": {"type": "disabled"}}}),
}


def conversations(name: str, model: str) -> dict[str, tuple[dict[str, Any], Any, dict[str, Any]]]:
    """(what the SDK is called with, what we are called with)"""
    thinks, told = next(said for (vendor, each, _), said in VENDORS.items() if (vendor, each) == (name, model))
    made: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
        "text": (
            {"messages": [{"role": "system", "content": "Brief."}, *HI]},
            [Message("system", "Brief."), Message("user", "Hi")],
            {},
        ),
        "settings": (
            {"messages": HI, "max_tokens": 9, "temperature": 0.5},
            "Hi",
            {"max_tokens": 9, "temperature": 0.5},
        ),
        "history": (
            {"messages": [*HI, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Bye"}]},
            [Message("user", "Hi"), Message("assistant", [Text("Yes?")]), Message("user", "Bye")],
            {},
        ),
    }
    if thinks is not None:
        made["thinking"] = ({"messages": HI, **told}, "Hi", {"reasoning": thinks})
    switch = {"extra_body": {"tool_calls_switch": True}} if name == "spark" else {}
    made["tools"] = (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": None, "tool_calls": CALLS},
                {"role": "tool", "tool_call_id": "call_1", "content": "18 C"},
            ],
            "tools": [TOOL],
            "tool_choice": "auto",
            **switch,
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [ToolCall("call_1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}')]),
            Message("tool", [ToolResult("call_1", "18 C")]),
        ],
        {"tools": [Tool("get_weather", "Weather.", WEATHER)], "tool_choice": "auto"},
    )
    return made


@pytest.mark.parametrize(("name", "model", "site"), VENDORS)
def test_the_sdk_that_the_vendor_documents(monkeypatch, ear: Ear, name, model, site):
    """Path, key and body are those of OpenAI's SDK at the vendor's base URL, but for named differences."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("ORACLE_KEY", KEY)
    base = ear.url + "/" + provider(name).sites[site].base_url.split("/", 3)[3]
    own = {"site": site, "base_url": base, "api_key": {"env": "ORACLE_KEY"}}
    config = {"providers": {name: own}, "default": f"{name}:{model}"}
    usage = {"stream_options": {"include_usage": True}} if provider(name).options.get("stream_usage", True) else {}
    with openai.OpenAI(api_key=KEY, base_url=base) as sdk, Client.from_config(config) as client:
        for case, (theirs, messages, options) in conversations(name, model).items():
            for more in ({}, {"stream": True, **usage}):
                made = sdk.chat.completions.create(model=model, **theirs, **more)
                if more:
                    list(made)
                    list(client.stream(messages, **options))
                else:
                    client.chat(messages, **options)
                assert_alike(*ear.heard[-2:], f"{case}, {more}")


def assert_alike(one, other, what: str) -> None:
    """The requests of the SDK and of ours, but for what is named here."""
    path, headers, body = one
    our_path, our_headers, our_body = other
    for turn in our_body["messages"]:
        if our_body["model"].startswith("deepseek") and turn["role"] == "assistant":  # without thoughts it is a 400
            assert " " == turn.pop("reasoning_content")
    our_body.pop("tool_stream", None)  # asked for so that arguments come as they are written
    assert (what, path, body) == (what, our_path, our_body)
    for header in ("authorization", "content-type"):
        assert headers[header] == our_headers[header]
