"""Volcengine's own SDK as the oracle: for the same conversation the same path, key and body leave."""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from tests.providers.test_openai_oracle import CALLS, KEY, PIXEL, TOOL, WEATHER, ear, ours

__all__ = ["ear"]

pytestmark = pytest.mark.slow

MODEL = "doubao-seed-2-1-pro-260915"
HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}

# (what the SDK is called with, what we are called with)
CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": (
        {"messages": [{"role": "system", "content": "Brief."}, *HI]},
        [Message("system", "Brief."), Message("user", "Hi")],
        {},
    ),
    "settings": (
        {"messages": HI, "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"]},
        "Hi",
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"]},
    ),
    "thinking": (
        {"messages": HI, "thinking": {"type": "enabled"}, "reasoning_effort": "medium"},
        "Hi",
        {"reasoning": "medium"},
    ),
    "not_thinking": ({"messages": HI, "thinking": {"type": "disabled"}}, "Hi", {"reasoning": "off"}),
    "image": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    ],
                }
            ]
        },
        [Message("user", [Text("What?"), Image(url=PIXEL, detail="low")])],
        {},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "reasoning_content": "I must look.", "tool_calls": CALLS},
                {"role": "tool", "tool_call_id": "call_1", "content": "18 C"},
            ],
            "tools": [TOOL],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
        [
            Message("user", "Weather?"),
            Message(
                "assistant",
                [
                    Reasoning("I must look."),
                    ToolCall("call_1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}'),
                ],
            ),
            Message("tool", [ToolResult("call_1", "18 C")]),
        ],
        {
            "tools": [Tool("get_weather", "Weather.", WEATHER)],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
    ),
    "form": (
        {
            "messages": HI,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        },
        "Hi",
        {"response_format": SCHEMA},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_ark(monkeypatch, ear, name, stream):
    """Path, key and body are those of the SDK; what it says as null it does not say."""
    from volcenginesdkarkruntime import Ark

    monkeypatch.setenv("ORACLE_KEY", KEY)
    theirs, messages, options = CASES[name]
    with Ark(api_key=KEY, base_url=ear.url) as sdk:
        if stream:
            usage = {"stream": True, "stream_options": {"include_usage": True}}
            list(sdk.chat.completions.create(model=MODEL, **theirs, **usage))
        else:
            sdk.chat.completions.create(model=MODEL, **theirs)
    path, headers, body = ear.heard[-1]
    assert {key: value for key, value in body.items() if value is not None} == ours(
        ear, "volcengine", MODEL, messages, stream=stream, **options
    )
    our_path, our_headers, _ = ear.heard[-1]
    assert path == our_path
    for header in ("authorization", "content-type"):
        assert headers[header] == our_headers[header]
