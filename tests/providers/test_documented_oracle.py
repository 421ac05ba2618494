"""
OpenAI's SDK as the oracle of vendors in China that document it as their client: the same path, key and body leave.

What the SDK is called with is what the vendor's own examples call it with, extensions by `extra_body`.
"""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import Message, Reasoning, Text, Tool, ToolCall, ToolResult
from tests.providers.test_openai_oracle import CALLS, KEY, TOOL, WEATHER, ear, ours

__all__ = ["ear"]

pytestmark = pytest.mark.slow

HI = [{"role": "user", "content": "Hi"}]
PART = {"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0}
SPLIT = {"reasoning_split": True}
CALLED = [
    Message("user", "Weather?"),
    Message(
        "assistant",
        [Reasoning("I must look."), ToolCall("call_1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}')],
    ),
    Message("tool", [ToolResult("call_1", "18 C")]),
]


def history(**assistant: Any) -> list[dict[str, Any]]:
    """The same as a vendor's example writes it: the assistant's message appended as it came."""
    return [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", **assistant, "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 C"},
    ]


TOOLS = {"tools": [Tool("get_weather", "Weather.", WEATHER)]}

# name -> provider, model, what the SDK is called with, what we are called with
CASES: dict[str, tuple[str, str, dict[str, Any], Any, dict[str, Any]]] = {
    "deepseek": (
        "deepseek",
        "deepseek-v4-pro",
        {
            "messages": HI,
            "max_tokens": 9,
            "stop": ["a", "b"],
            "reasoning_effort": "high",
            "extra_body": {"thinking": {"type": "enabled"}},
        },
        "Hi",
        {"max_tokens": 9, "stop": ["a", "b"], "reasoning": "high"},
    ),
    "deepseek_off": (
        "deepseek",
        "deepseek-flash",
        {"messages": HI, "temperature": 0.5, "extra_body": {"thinking": {"type": "disabled"}}},
        "Hi",
        {"temperature": 0.5, "reasoning": "off"},
    ),
    "deepseek_calls": (
        "deepseek",
        "deepseek-v4-pro",
        {"messages": history(content=None, reasoning_content="I must look."), "tools": [TOOL]},
        CALLED,
        TOOLS,
    ),
    "moonshot": (
        "moonshot",
        "kimi-k2.6",
        {"messages": HI, "max_completion_tokens": 9, "extra_body": {"thinking": {"type": "disabled"}}},
        "Hi",
        {"max_tokens": 9, "reasoning": "off"},
    ),
    "moonshot_effort": (
        "moonshot",
        "kimi-k3.1-pro",
        {"messages": HI, "reasoning_effort": "low"},
        "Hi",
        {"reasoning": "low"},
    ),
    "moonshot_calls": (
        "moonshot",
        "kimi-k3.1-pro",
        {"messages": history(reasoning_content="I must look."), "tools": [TOOL], "tool_choice": "required"},
        CALLED,
        {**TOOLS, "tool_choice": "required"},
    ),
    "minimax": (
        "minimax",
        "MiniMax-M3",
        {
            "messages": HI,
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "extra_body": {**SPLIT, "thinking": {"type": "disabled"}},
        },
        "Hi",
        {"max_tokens": 9, "temperature": 0.5, "reasoning": "off"},
    ),
    "minimax_calls": (
        "minimax",
        "MiniMax-M2.7",
        {
            "messages": history(content=None, reasoning_details=[{**PART, "text": "I must look."}]),
            "tools": [TOOL],
            "extra_body": SPLIT,
        },
        CALLED,
        TOOLS,
    ),
    "dashscope": (
        "dashscope",
        "qwen-plus",
        {
            "messages": HI,
            "max_tokens": 9,
            "seed": 7,
            "top_p": 0.8,
            "extra_body": {"enable_thinking": True, "thinking_budget": 50},
        },
        "Hi",
        {"max_tokens": 9, "seed": 7, "top_p": 0.8, "reasoning": 50},
    ),
    "dashscope_calls": (
        "dashscope",
        "qwen3.7-plus",
        {
            "messages": history(content=None, reasoning_content="I must look."),
            "tools": [TOOL],
            "parallel_tool_calls": True,
        },
        CALLED,
        TOOLS,
    ),
    "dashscope_json": (
        "dashscope",
        "qwen-plus",
        {"messages": [{"role": "user", "content": "Hi, in JSON"}], "response_format": {"type": "json_object"}},
        [Message("user", [Text("Hi, in JSON")])],
        {"response_format": "json"},
    ),
    "qianfan": (
        "qianfan",
        "ernie-5.0",
        {"messages": HI, "max_tokens": 9, "extra_body": {"enable_thinking": False}},
        "Hi",
        {"max_tokens": 9, "reasoning": "off"},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_documented(monkeypatch, ear, name, stream):
    """Path, key and body are those of OpenAI's SDK, called as the vendor's documentation calls it."""
    from openai import OpenAI

    monkeypatch.setenv("ORACLE_KEY", KEY)
    vendor, model, theirs, messages, options = CASES[name]
    with OpenAI(api_key=KEY, base_url=ear.url) as sdk:
        if stream:
            usage = {"stream": True, "stream_options": {"include_usage": True}}
            list(sdk.chat.completions.create(model=model, **theirs, **usage))
        else:
            sdk.chat.completions.create(model=model, **theirs)
    path, headers, body = ear.heard[-1]
    assert body == ours(ear, vendor, model, messages, stream=stream, **options)
    our_path, our_headers, _ = ear.heard[-1]
    assert path == our_path
    for header in ("authorization", "content-type"):
        assert headers[header] == our_headers[header]


def test_a_whole_answer_by_a_stream(monkeypatch, ear):
    """Where a model answers only as a stream, what leaves is what the SDK sends for a stream."""
    from openai import OpenAI

    monkeypatch.setenv("ORACLE_KEY", KEY)
    with OpenAI(api_key=KEY, base_url=ear.url) as sdk:
        asked = {"stream": True, "stream_options": {"include_usage": True}}
        list(sdk.chat.completions.create(model="qwq-plus", messages=HI, **asked))
    body = ear.heard[-1][2]
    assert body == ours(ear, "dashscope", "qwq-plus", "Hi", stream=False)
