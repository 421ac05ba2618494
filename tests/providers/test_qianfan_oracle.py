"""
Qianfan's own SDK as the oracle: what it sent to a loopback server, recorded.

Recorded on 2026-11-27 from qianfan 0.4.12.3 (`ChatCompletion(version="2")`, a bearer token as the credential), which
can't be installed beside this library: it needs tenacity before 9. What it adds of itself (`extra_parameters`, which
names the SDK, and `stream: false`) is left out.
"""

from __future__ import annotations

from typing import Any

from llmswitch import Message, Tool, ToolCall, ToolResult
from tests.rows import rows

MODEL = "ernie-4.5-turbo-128k"
PATH = "/v2/chat/completions"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

# (the body that the SDK sent, what we are called with)
RECORDED: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": (
        {
            "messages": [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Hi"}],
            "model": MODEL,
        },
        [Message("system", "Brief."), Message("user", "Hi")],
        {},
    ),
    "settings": (
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 9,
            "stop": ["a", "b"],
            "seed": 7,
            "model": MODEL,
        },
        "Hi",
        {"temperature": 0.5, "top_p": 0.9, "max_tokens": 9, "stop": ["a", "b"], "seed": 7},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "18 C"},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER},
                }
            ],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
            "model": MODEL,
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [ToolCall("call_1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}')]),
            Message("tool", [ToolResult("call_1", "18 C")]),
        ],
        {"tools": [Tool("get_weather", "Weather.", WEATHER)], "tool_choice": "auto", "parallel_tool_calls": False},
    ),
    "stream": (
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "stream_options": {"include_usage": True},
            "stream": True,
            "model": MODEL,
        },
        "Hi",
        {"stream": True},
    ),
}


@rows("name", RECORDED)
def test_qianfan(one_vendor, name):
    """Path and body are those of the vendor's own SDK, and the key goes where it sends it."""
    theirs, messages, options = RECORDED[name]
    vendor = one_vendor(f"qianfan:{MODEL}")
    assert theirs == vendor.sent(messages, **options)
    request = vendor.requests[-1]
    assert (PATH, "qianfan.baidubce.com") == (request.url.path, request.url.host)
    assert request.headers["authorization"].startswith("Bearer ")
