"""OpenAI's SDK as an oracle of Responses: the same request leaves, and its types accept what our vendor says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from llmswitch import Client, Document, Image, Message, Text, Tool, ToolCall, ToolResult
from llmswitch._capabilities import Capabilities
from llmswitch._messages import Reasoning
from llmswitch.providers.openai_responses import ResponsesOptions
from llmswitch.providers.openai_responses_wire import ResponsesWire
from llmswitch.testing._answers import ANSWERS
from llmswitch.testing._vendor import FakeVendor, respond
from tests.providers.foreign_sdk import Ear, Sent, listening

pytestmark = pytest.mark.slow

KEY = "sk-test-0123456789"
WIRE = ResponsesWire(ResponsesOptions(), Capabilities())
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT = {**SCHEMA, "additionalProperties": False}
PIXEL = "data:image/png;base64,aGk="
PDF = "data:application/pdf;base64,JVBERi0="


class Invoice(BaseModel):
    total: float
    note: str | None = None


def answer(sent: Sent) -> tuple[str, bytes]:
    formed = "format" in sent.json.get("text", {})
    given = ANSWERS["text"] if not formed else type(ANSWERS["text"])((Text('{"total": 1, "note": null}'),))
    if sent.json.get("stream"):
        return "text/event-stream", b"".join(WIRE.stream(given))
    return "application/json", json.dumps(WIRE.reply(given)).encode()


@pytest.fixture
def ear() -> Iterator[Ear]:
    yield from listening(answer)


def user(content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": content}


THINKS: dict[str, Any] = {"include": ["reasoning.encrypted_content"]}

# (what the SDK is called with, what we are called with)
CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": (
        {"input": [user("Hi, 你好")], "instructions": "Brief.", **THINKS},
        [Message("system", "Brief."), Message("user", "Hi, 你好")],
        {},
    ),
    "settings": (
        {
            "input": [user("Hi")],
            "max_output_tokens": 99,
            "reasoning": {"effort": "high", "summary": "auto"},
            "service_tier": "flex",
            "prompt_cache_key": "k",
            "safety_identifier": "u",
            "metadata": {"a": "b"},
            "text": {"verbosity": "low"},
            **THINKS,
        },
        "Hi",
        {
            "max_tokens": 99,
            "reasoning": "high",
            "extra": {
                "openai": {
                    "service_tier": "flex",
                    "prompt_cache_key": "k",
                    "safety_identifier": "u",
                    "metadata": {"a": "b"},
                    "verbosity": "low",
                }
            },
        },
    ),
    "pictures": (
        {
            "input": [
                user(
                    [
                        {"type": "input_text", "text": "What?"},
                        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                        {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
                        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
                    ]
                )
            ],
            **THINKS,
        },
        [
            Message(
                "user",
                [
                    Text("What?"),
                    Image(url=PIXEL, detail="low"),
                    Document(url=PDF, name="a.pdf"),
                    Document(url="https://example.com/b.pdf"),
                ],
            )
        ],
        {},
    ),
    "tools": (
        {
            "input": [
                user("Weather?"),
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Oslo"}'},
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [{"type": "input_image", "image_url": PIXEL, "detail": "auto"}],
                },
            ],
            "tools": [
                {"type": "function", "name": "weather", "description": "W.", "parameters": STRICT, "strict": True}
            ],
            "tool_choice": {"type": "function", "name": "weather"},
            "parallel_tool_calls": False,
            **THINKS,
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [ToolCall("c1", "weather", {"city": "Oslo"}, '{"city": "Oslo"}')]),
            Message("tool", [ToolResult("c1", [Image(url=PIXEL)])]),
        ],
        {"tools": [Tool("weather", "W.", SCHEMA)], "tool_choice": "weather", "parallel_tool_calls": False},
    ),
}


def ours(ear: Ear, messages: Any, *, stream: bool, **options: Any) -> tuple[Sent, str]:
    own = {"base_url": ear.url, "dialect": "openai-responses", "api_key": {"env": "ORACLE_KEY"}}
    config = {"providers": {"openai": own}}
    with Client.from_config({**config, "default": "openai:gpt-5.4-mini"}) as client:
        if not stream:
            text = client.chat(messages, **options).text
        else:
            with client.stream(messages, **options) as running:
                text = "".join(running.text)
    return ear.heard[-1], text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_the_sdk_sends_the_same(monkeypatch: pytest.MonkeyPatch, ear: Ear, name: str, stream: bool) -> None:
    """Path, key and body are those of OpenAI's SDK, its types accept the items, and both read the same text."""
    openai = pytest.importorskip("openai")
    from openai.types.responses import ResponseInputParam

    monkeypatch.setenv("ORACLE_KEY", KEY)
    body, messages, options = CASES[name]
    with openai.OpenAI(api_key=KEY, base_url=ear.url) as sdk:
        given = {"model": "gpt-5.4-mini", "store": False, **body}
        if stream:
            with sdk.responses.stream(**given) as running:
                read = running.get_final_response().output_text
        else:
            read = sdk.responses.create(**given).output_text
    theirs = ear.heard[-1]
    mine, text = ours(ear, messages, stream=stream, **options)
    assert theirs.json == mine.json
    assert (theirs.method, theirs.path) == (mine.method, mine.path)
    assert theirs.headers["authorization"] == mine.headers["authorization"]
    assert (read, text) == ("Hello, world.", "Hello, world.")
    TypeAdapter(ResponseInputParam).validate_python(mine.json["input"])


def test_the_sdk_asks_for_the_same_form(monkeypatch: pytest.MonkeyPatch, ear: Ear) -> None:
    """A pydantic model becomes the schema of OpenAI's own converter, but for titles, which say nothing."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("ORACLE_KEY", KEY)
    with openai.OpenAI(api_key=KEY, base_url=ear.url) as sdk:
        sdk.responses.parse(model="gpt-5.4-mini", input="Hi", text_format=Invoice)
    theirs = ear.heard[-1].json["text"]
    mine, _ = ours(ear, "Hi", stream=False, response_format=Invoice)
    assert untitled(theirs) == untitled(mine.json["text"])


def untitled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: untitled(item) for key, item in value.items() if key != "title"}
    return [untitled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ANSWERS)
def test_the_sdks_types_accept_what_our_vendor_says(name: str) -> None:
    """Every answer of the suite, in one piece and as events, is what the types of OpenAI's SDK say."""
    pytest.importorskip("openai")
    from openai.types.responses import Response, ResponseStreamEvent

    Response.model_validate(WIRE.reply(ANSWERS[name]))
    events: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for frame in WIRE.stream(ANSWERS[name])[1:]:
        data = json.loads(frame.decode().partition("data: ")[2])
        read = events.validate_python(data)
        assert read.type == data["type"]


def test_thoughts_go_back_as_the_sdk_hands_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thoughts and calls of an answer, given back by our client, are the SDK's items without what it adds."""
    pytest.importorskip("openai")
    from openai.types.responses import Response

    monkeypatch.setenv("ORACLE_KEY", KEY)
    given = ANSWERS["text_then_two_calls"]
    given = type(given)((Reasoning("First I think."), *given.parts), finish_reason="tool_calls")
    vendor = FakeVendor(lambda _request: respond(200, "application/json", [json.dumps(WIRE.reply(given)).encode()]))
    config = {"providers": {"openai": {"api_key": {"env": "ORACLE_KEY"}}}, "default": "openai:gpt-5.4-mini"}
    tools = [Tool("get_weather", "W.", {"type": "object"})]
    with Client.from_config(config, http_client=vendor) as client:
        reply = client.chat("Hi", tools=tools)
        results = Message("tool", [ToolResult(call.id, "18 C") for call in reply.tool_calls])
        client.chat([Message("user", "Hi"), reply.message, results], tools=tools)
    mine = json.loads(vendor.requests[-1].content)["input"][1:5]
    theirs = [item.model_dump(exclude_none=True) for item in Response.model_validate(WIRE.reply(given)).output]
    added = {"message": ("id", "status"), "function_call": ("id", "status"), "reasoning": ("id",)}
    for item in theirs:
        for name in added[item["type"]]:
            del item[name]
        for part in item.get("content", ()):
            part.pop("logprobs")
    assert theirs == mine
