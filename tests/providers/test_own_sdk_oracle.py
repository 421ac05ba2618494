"""
The SDKs of Mistral and Groq as oracles of our requests, which are Chat Completions with departures as data.

For the same conversation the same path, key and body leave, but for named spellings; and the SDKs' types take the
answers that we read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmswitch import Audio, ChatReply, Client, Document, Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from llmswitch._messages import VendorData
from tests.providers.foreign_sdk import Ear, Sent, listening, run_with

pytestmark = pytest.mark.slow

KEY = "sdk-key-0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HI = [{"role": "user", "content": "Hi, 你好"}]
SAID = [Message("user", "Hi, 你好")]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "weather", "description": "W.", "parameters": SCHEMA}}
CALLS = [{"id": "abcDEF123", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]
CALL = ToolCall("abcDEF123", "weather", {"city": "Oslo"}, '{"city": "Oslo"}')
TOOLS = {"tools": [Tool("weather", "W.", SCHEMA)]}
SEEN = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}

# (what the SDK is called with, what we are called with)
Cases = dict[str, tuple[dict[str, Any], list[Message], dict[str, Any]]]
COMMON: Cases = {
    "text": ({"messages": [{"role": "system", "content": "Brief."}, *HI]}, [Message("system", "Brief."), *SAID], {}),
    "image": (
        {"messages": [{"role": "user", "content": SEEN}]},
        [Message("user", [Text("What?"), Image(url=PIXEL)])],
        {},
    ),
    "tools": (
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": "I look.", "tool_calls": CALLS},
                {"role": "tool", "tool_call_id": "abcDEF123", "content": "1 C"},
            ],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
        [*SAID, Message("assistant", [Text("I look."), CALL]), Message("tool", [ToolResult("abcDEF123", "1 C")])],
        {**TOOLS, "tool_choice": "weather", "parallel_tool_calls": False},
    ),
    "form": ({"messages": HI, "response_format": FORM}, SAID, {"response_format": SCHEMA}),
    "json": (
        {"messages": [{"role": "user", "content": "JSON"}], "response_format": {"type": "json_object"}},
        [Message("user", "JSON")],
        {"response_format": "json"},
    ),
}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "c2ln"}
THINKING = [
    Message("user", "Hi, 你好"),
    Message("assistant", [Reasoning("Hm.", VendorData("mistral", "", "", {})), Text("Yes.")]),
    Message("user", "Hi, 你好"),
]
SPOKEN = [
    {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg==", "document_name": "a.pdf"},
    {"type": "document_url", "document_url": "https://example.com/b.pdf"},
    {"type": "text", "text": "Sum up"},
]
MISTRAL: Cases = {
    **COMMON,
    "settings": (
        {"messages": HI, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "random_seed": 7},
        [Message("user", "Hi, 你好", name="Ann")],  # nobody has a name there
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "seed": 7},
    ),
    "thinking": (
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": [{**THOUGHT, "signature": None}, {"type": "text", "text": "Yes."}]},
                *HI,
            ],
            "reasoning_effort": "high",
        },
        THINKING,
        {"reasoning": "high"},
    ),
    "documents": (
        {"messages": [{"role": "user", "content": SPOKEN}]},
        [
            Message(
                "user",
                [
                    Document(data="JVBERg==", media_type="application/pdf", name="a.pdf"),
                    Document(url="https://example.com/b.pdf"),
                    Text("Sum up"),
                ],
            )
        ],
        {},
    ),
    "audio": (
        {
            "model": "voxtral-small-latest",
            "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": "UklGRg=="}, SEEN[0]]}],
        },
        [Message("user", [Audio(data="UklGRg==", media_type="audio/wav"), Text("What?")])],
        {},
    ),
    "prefix": (
        {"messages": [*HI, {"role": "assistant", "content": '{"city"', "prefix": True}]},
        [*SAID, Message("assistant", '{"city"')],
        {"prefill": True},
    ),
    "after_results": (
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": "I look.", "tool_calls": CALLS},
                {"role": "tool", "tool_call_id": "abcDEF123", "content": "1 C"},
                {"role": "assistant", "content": "…"},
                *HI,
            ],
            "tools": [TOOL],
            "tool_choice": "required",
        },
        [
            *SAID,
            Message("assistant", [Text("I look."), CALL]),
            Message("tool", [ToolResult("abcDEF123", "1 C")]),
            *SAID,
        ],
        {**TOOLS, "tool_choice": "required"},
    ),
}
GROQ: Cases = {
    **COMMON,
    "settings": (
        {
            "messages": HI,
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["a", "b"],
            "seed": 7,
            "reasoning_effort": "low",
        },
        SAID,
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "seed": 7, "reasoning": "low"},
    ),
    "image": (
        {**COMMON["image"][0], "model": "meta-llama/llama-4-scout-17b-16e-instruct"},
        *COMMON["image"][1:],
    ),
    "thinking_off": (
        {"model": "qwen/qwen3-32b", "messages": HI, "reasoning_effort": "none", "reasoning_format": "parsed"},
        SAID,
        {"reasoning": "off"},
    ),
    "named": (
        {"messages": [{"role": "user", "content": "Hi, 你好", "name": "Ann"}]},
        [Message("user", "Hi, 你好", name="Ann")],
        {},
    ),
}

# Both ask the same, check each answer against the SDK's types, and say what was read.
MISTRAL_SDK = """
import json, sys
from mistralai.client import Mistral, models

url, key, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = Mistral(api_key=key, server_url=url, timeout_ms=30000)

def read(content):
    if isinstance(content, str):
        return content
    assert all(isinstance(part, (models.ThinkChunk, models.TextChunk)) for part in content), content
    thought = lambda part: "".join(piece.text for piece in part.thinking) + str(part.signature or "")
    return "".join(thought(part) if part.type == "thinking" else part.text for part in content)

for case in cases:
    if case.pop("stream"):
        with client.chat.stream(**case) as events:
            chunks = [event.data for event in events]
        assert chunks[-1].usage.completion_tokens == 7
        assert chunks[-1].choices[0].finish_reason == "stop"
        said = "".join(read(chunk.choices[0].delta.content or "") for chunk in chunks)
    else:
        answer = client.chat.complete(**case)
        assert answer.usage.completion_tokens == 7
        said = read(answer.choices[0].message.content)
    assert said == 'Hm.c2ln{"city": "Oslo, 你好"}', said
"""
GROQ_SDK = """
import json, sys
from groq import Groq
from groq.types.chat import ChatCompletion, ChatCompletionChunk

url, key, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = Groq(api_key=key, base_url=url, timeout=30)
for case in cases:
    if case.pop("stream"):
        chunks = list(client.chat.completions.create(**case, stream=True))
        for chunk in chunks:
            ChatCompletionChunk.model_validate(chunk.model_dump(by_alias=True))
        deltas = [chunk.choices[0].delta for chunk in chunks]
        assert chunks[-1].x_groq.usage.completion_tokens == 7
        said = "".join((delta.reasoning or "") + (delta.content or "") for delta in deltas)
    else:
        answer = client.chat.completions.create(**case)
        ChatCompletion.model_validate(answer.model_dump(by_alias=True))
        assert answer.usage.completion_tokens == 7
        said = answer.choices[0].message.reasoning + answer.choices[0].message.content
    assert said == 'Hm.{"city": "Oslo, 你好"}', said
"""
TEXT = '{"city": "Oslo, 你好"}'
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def chunked(*deltas: dict[str, Any], **last: Any) -> bytes:
    """A stream of these deltas, the last with a reason to end and what else there is."""
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **last})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def whole(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", "logprobs": None}
    head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**head, "choices": [choice], "usage": USAGE}).encode()


def mistral_answer(sent: Sent) -> tuple[str, bytes]:
    if not sent.json.get("stream"):
        return "application/json", whole({"content": [THOUGHT, {"type": "text", "text": TEXT}]})
    pieces = [{**THOUGHT, "thinking": [{"type": "text", "text": "Hm"}], "signature": None}]
    pieces.append({**THOUGHT, "thinking": [{"type": "text", "text": "."}]})
    return "text/event-stream", chunked(*({"content": [piece]} for piece in pieces), {"content": TEXT}, usage=USAGE)


def groq_answer(sent: Sent) -> tuple[str, bytes]:
    if not sent.json.get("stream"):
        return "application/json", whole({"reasoning": "Hm.", "content": TEXT})
    usage = {"x_groq": {"id": "r-1", "usage": USAGE}}
    return "text/event-stream", chunked({"role": "assistant", "reasoning": "Hm."}, {"content": TEXT}, **usage)


Oracle = tuple[str, str, str, str, Cases, Callable[[Sent], tuple[str, bytes]]]
# provider -> the requirement, its script, the path of our base URL, a model, the cases, the answers
ORACLES: dict[str, Oracle] = {
    "mistral": ("mistralai==3.7.0", MISTRAL_SDK, "/v1", "mistral-medium-2604", MISTRAL, mistral_answer),
    "groq": ("groq==1.7.0", GROQ_SDK, "/openai/v1", "openai/gpt-oss-120b", GROQ, groq_answer),
}
WAYS = (False, True)  # whole, streamed


@pytest.fixture(scope="module", params=ORACLES)
def oracle(request: pytest.FixtureRequest) -> Iterator[tuple[str, Ear, dict[tuple[str, bool], Sent]]]:
    """Whose, a server, and what the vendor's SDK sent to it: each case, whole and streamed."""
    requirement, script, _, model, cases, answer = ORACLES[request.param]
    asked = [(name, stream) for name in cases for stream in WAYS]
    for ear in listening(answer):
        bodies = [{"model": model, "stream": stream, **cases[name][0]} for name, stream in asked]
        run_with(request.config.cache, requirement, script, ear.url, KEY, json.dumps(bodies))
        yield request.param, ear, dict(zip(asked, list(ear.heard), strict=True))


@pytest.mark.parametrize("stream", WAYS, ids=["whole", "stream"])
def test_the_sdk_sends_the_same(monkeypatch: Any, oracle: tuple[str, Ear, Any], stream: bool) -> None:
    """Path, key and body are the SDK's in every case, and what is read of the answer is what its types hold."""
    provider, ear, sent = oracle
    _, _, path, _, cases, _ = ORACLES[provider]
    monkeypatch.setenv("ORACLE_KEY", KEY)
    own = {"base_url": ear.url + path, "api_key": {"env": "ORACLE_KEY"}}
    for name, (_, messages, options) in cases.items():
        theirs = sent[name, stream]
        target = f"{provider}:{theirs.json['model']}"
        reply = ask({"providers": {provider: own}, "default": target}, messages, options, stream=stream)
        mine = ear.heard[-1]
        assert (name, plain(theirs.json)) == (name, mine.json)
        assert (theirs.method, theirs.path) == (mine.method, mine.path)
        assert theirs.headers["authorization"] == mine.headers["authorization"]
        said = TEXT.removeprefix('{"city"') if "prefill" in options else TEXT
        assert (said, "Hm.", 7) == (reply.text, reply.reasoning, reply.usage.output_tokens)


def ask(config: dict[str, Any], messages: list[Message], options: dict[str, Any], *, stream: bool) -> ChatReply:
    with Client.from_config(config) as client:
        if not stream:
            return client.chat(messages, **options)
        with client.stream(messages, **options) as running:
            list(running)
        return running.reply


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """
    A request without what an SDK spells out: Mistral's says `stream: false`, `prefix: false`, the `index` of each call
    and that there is no signature.
    """
    out = {key: value for key, value in body.items() if key != "stream" or value}
    out["messages"] = [{key: value for key, value in turn.items() if value is not False} for turn in out["messages"]]
    for turn in out["messages"]:
        turn.update(
            {"tool_calls": [without(call, "index") for call in turn["tool_calls"]]} if "tool_calls" in turn else {}
        )
        if isinstance(turn.get("content"), list):
            unsigned = [part.get("signature", "") is None for part in turn["content"]]
            parts = zip(turn["content"], unsigned, strict=True)
            turn["content"] = [without(part, "signature") if bare else part for part, bare in parts]
    return out


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name != key}
