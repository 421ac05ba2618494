"""Cohere's own SDK as an oracle: the same path, key and body leave, and its types take the answers that we read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmswitch import Client, Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from llmswitch._capabilities import Capabilities
from llmswitch._reply import Usage
from llmswitch._vendor_wire import Answer
from llmswitch.providers.cohere import CohereOptions
from llmswitch.providers.cohere_wire import CohereWire
from tests.providers.foreign_sdk import Ear, Sent, listening, run_with

pytestmark = pytest.mark.slow

KEY = "cohere-key-0123456789abcdef"
MODEL = "command-a-plus-05-2026"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HI = [{"role": "user", "content": "Hi, 你好"}]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "weather", "description": "W.", "parameters": SCHEMA}}
CALLS = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]
CALL = ToolCall("c1", "weather", {"city": "Oslo"}, '{"city": "Oslo"}')

# (what the SDK is called with, what we are called with)
CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": ({"messages": [{"role": "system", "content": "Brief."}, *HI]}, [("system", "Brief."), ("user", HI)], {}),
    "settings": (
        {
            "messages": HI,
            "max_tokens": 9,
            "temperature": 0.5,
            "p": 0.25,
            "stop_sequences": ["END"],
            "seed": 7,
            "k": 3,
            "safety_mode": "STRICT",
            "thinking": {"type": "enabled", "token_budget": 500},
        },
        [("user", HI)],
        {
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.25,
            "stop": ["END"],
            "seed": 7,
            "reasoning": 500,
            "extra": {"cohere": {"k": 3, "safety_mode": "STRICT"}},
        },
    ),
    "thinking_off": (
        {"messages": HI, "thinking": {"type": "disabled"}},
        [("user", HI)],
        {"reasoning": "off"},
    ),
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
        [("user", [Text("What?"), Image(url=PIXEL, detail="low")])],
        {},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "Hm."}],
                    "tool_plan": "I look.",
                    "tool_calls": CALLS,
                },
                {"role": "tool", "tool_call_id": "c1", "content": "1 C"},
            ],
            "tools": [TOOL],
            "tool_choice": "REQUIRED",
        },
        [
            ("user", "Weather?"),
            ("assistant", [Reasoning("Hm."), Text("I look."), CALL]),
            ("tool", [ToolResult("c1", "1 C")]),
        ],
        {"tools": [Tool("weather", "W.", SCHEMA)], "tool_choice": "weather"},
    ),
    "form": (
        {
            "messages": [{"role": "user", "content": "A city, as JSON"}],
            "response_format": {"type": "json_object", "json_schema": SCHEMA},
        },
        [("user", "A city, as JSON")],
        {"response_format": SCHEMA},
    ),
}
THINKING = Answer((Reasoning("Hm."), Text('{"city": "Oslo, 你好"}')), usage=Usage(input_tokens=11, output_tokens=7))
CALLING = Answer((Reasoning("Hm."), Text("I look."), CALL), finish_reason="tool_calls")

# Asks the same, checks each answer against the SDK's types, and says what was read.
SDK = """
import json, sys
import cohere
from cohere.v2.types import V2ChatResponse

url, key, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = cohere.ClientV2(api_key=key, base_url=url, timeout=30)
for case in cases:
    stream = case.pop("stream")
    read = {"thinking": "", "text": "", "plan": "", "calls": [], "end": None, "tokens": None}
    if not stream:
        answer = client.chat(**case)
        V2ChatResponse.model_validate(answer.model_dump(by_alias=True))
        for block in answer.message.content or ():
            read[block.type] += getattr(block, block.type)
        read["plan"] = answer.message.tool_plan or ""
        read["calls"] = [call.function.name + call.function.arguments for call in answer.message.tool_calls or ()]
        read["end"], read["tokens"] = answer.finish_reason, answer.usage.tokens.output_tokens
    else:
        for event in client.chat_stream(**case):
            type(event).model_validate(event.model_dump(by_alias=True))
            match event.type:
                case "content-delta":
                    content = event.delta.message.content
                    read["thinking"] += content.thinking or ""
                    read["text"] += content.text or ""
                case "tool-plan-delta":
                    read["plan"] += event.delta.message.tool_plan
                case "tool-call-start":
                    read["calls"].append(event.delta.message.tool_calls.function.name)
                case "tool-call-delta":
                    read["calls"][-1] += event.delta.message.tool_calls.function.arguments
                case "message-end":
                    read["end"], read["tokens"] = event.delta.finish_reason, event.delta.usage.tokens.output_tokens
    called = "tools" in case
    wanted = {
        "thinking": "Hm.",
        "text": "" if called else '{"city": "Oslo, 你好"}',
        "plan": "I look." if called else "",
        "calls": ['weather{"city":"Oslo"}'] if called else [],
        "end": "TOOL_CALL" if called else "COMPLETE",
        "tokens": 7,
    }
    read["calls"] = [call.replace(" ", "") for call in read["calls"]]
    assert read == wanted, (read, wanted)
"""


def answer(sent: Sent) -> tuple[str, bytes]:
    wire = CohereWire(CohereOptions(), Capabilities(reasoning=frozenset({"off"}), tools=True))
    said = CALLING if "tools" in sent.json else THINKING
    if sent.json.get("stream"):
        return "text/event-stream", b"".join(wire.stream(said))
    return "application/json", json.dumps(wire.reply(said)).encode()


ASKED = [(name, stream) for name in CASES for stream in (False, True)]


@pytest.fixture(scope="module")
def heard(request: pytest.FixtureRequest) -> Iterator[tuple[Ear, list[Sent]]]:
    """A server, and what the vendor's SDK sent to it: each case, whole and streamed."""
    cases = [{"model": MODEL, "stream": stream, **CASES[name][0]} for name, stream in ASKED]
    for ear in listening(answer):
        run_with(request.config.cache, "cohere==7.3.1", SDK, ear.url, KEY, json.dumps(cases))
        yield ear, list(ear.heard)


@pytest.mark.parametrize(("name", "stream"), ASKED)
def test_the_sdk_sends_the_same(monkeypatch: Any, heard: tuple[Ear, list[Sent]], name: str, stream: bool) -> None:
    """Path, key and body are those of the SDK, which says `stream: false` too; its types take what our tests serve."""
    ear, sent = heard
    monkeypatch.setenv("ORACLE_KEY", KEY)
    theirs = sent[ASKED.index((name, stream))]
    _, turns, options = CASES[name]
    messages = [Message(role, HI[0]["content"] if content is HI else content) for role, content in turns]
    own = {"base_url": ear.url, "api_key": {"env": "ORACLE_KEY"}}
    with Client.from_config({"providers": {"cohere": own}, "default": f"cohere:{MODEL}"}) as client:
        if stream:
            with client.stream(messages, **options) as running:
                list(running)
            reply = running.reply
        else:
            reply = client.chat(messages, **options)
    mine = ear.heard[-1]
    body = {key: value for key, value in theirs.json.items() if value is not False}
    assert (theirs.method, theirs.path, body) == (mine.method, mine.path, mine.json)
    assert theirs.headers["authorization"] == mine.headers["authorization"]
    assert ("Hm.", 7) == (reply.reasoning, reply.usage.output_tokens)
