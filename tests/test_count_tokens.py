"""How many tokens a request comes to: by the vendor where he counts, else by an estimate that learns."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from llmswitch import (
    AsyncClient,
    CapabilityMismatch,
    Client,
    Image,
    InvalidRequest,
    Message,
    Text,
    TokenCount,
    Tool,
)
from llmswitch.testing import FakeVendor, instant_waits
from tests.rows import rows

KEY = "CANARY-key-5d41402abc4b2a76"
WEATHER = Tool("get_weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
HI = [Message("system", "Brief."), Message("user", "Hi")]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ONE_KEY", KEY)
    with instant_waits():
        yield


def config(model: str, **own: Any) -> dict[str, Any]:
    return {"providers": {model.partition(":")[0]: {"api_key": {"env": "ONE_KEY"}, **own}}, "default": model}


def client(answer: Callable[[httpx.Request], httpx.Response], model: str, **own: Any) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    return Client.from_config(config(model, **own), http_client=vendor), vendor


# Who counts: model, what he answers, and what he is asked
COUNTING: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "anthropic": (
        "anthropic:claude-haiku-4-5",
        {"input_tokens": 31},
        "/v1/messages/count_tokens",
        {
            "model": "claude-haiku-4-5",
            "system": "Brief.",
            "messages": [{"role": "user", "content": "Hi"}],
            "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": dict(WEATHER.parameters)}],
        },
    ),
    "openai": (
        "openai:gpt-5",
        {"object": "response.input_tokens", "input_tokens": 31},
        "/v1/responses/input_tokens",
        {
            "model": "gpt-5",
            "instructions": "Brief.",
            "input": [{"type": "message", "role": "user", "content": "Hi"}],
            "tools": [
                {
                    "type": "function",
                    "name": "get_weather",
                    "description": "The weather.",
                    "parameters": dict(WEATHER.parameters),
                    "strict": False,
                }
            ],
        },
    ),
    "bedrock": (
        "bedrock:anthropic.claude-sonnet-4-6",
        {"inputTokens": 31},
        "/model/anthropic.claude-sonnet-4-6/count-tokens",
        {
            "input": {
                "converse": {
                    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
                    "system": [{"text": "Brief."}],
                    "toolConfig": {
                        "tools": [
                            {
                                "toolSpec": {
                                    "name": "get_weather",
                                    "description": "The weather.",
                                    "inputSchema": {"json": dict(WEATHER.parameters)},
                                }
                            }
                        ]
                    },
                }
            }
        },
    ),
}

COUNTING["gemini"] = (
    "gemini:gemini-3.5-flash",
    {"totalTokens": 31},
    "/v1beta/models/gemini-3.5-flash:countTokens",
    {
        "generateContentRequest": {
            "model": "models/gemini-3.5-flash",
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "systemInstruction": {"parts": [{"text": "Brief."}]},
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "get_weather",
                            "description": "The weather.",
                            "parametersJsonSchema": dict(WEATHER.parameters),
                        }
                    ]
                }
            ],
        }
    },
)


@rows("name", COUNTING)
def test_the_vendor_counts(name: str) -> None:
    """One request, of what bears on the input; the number is exact. Sync and async ask the same."""
    model, answer, path, body = COUNTING[name]
    asked, vendor = client(lambda request: httpx.Response(200, json=answer), model)
    provider, _, only = model.partition(":")
    exact = TokenCount(31, 31, 31, "vendor", provider, only)
    assert exact == asked.count_tokens(HI, tools=[WEATHER], max_tokens=9)
    (request,) = vendor.requests
    assert (path, body) == (request.url.path, json.loads(request.content))

    async def again() -> TokenCount:
        async with AsyncClient.from_config(config(model), http_client=vendor) as other:
            return await other.count_tokens(HI, tools=[WEATHER])

    assert exact == asyncio.run(again())
    assert request.content == vendor.requests[-1].content


@rows(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"type": "error", "error": {"type": "authentication_error"}}), "AuthInvalid"),
        (httpx.Response(404, json={"type": "error", "error": {"type": "not_found_error"}}), "ModelGone"),
        (httpx.Response(200, json={"tokens": 3}), "MalformedResponse"),
        (httpx.Response(200, json={"input_tokens": True}), "MalformedResponse"),
    ],
)
def test_a_vendor_who_does_not_count_is_estimated(answer: httpx.Response, kind: str) -> None:
    """The estimate says why, without key or prompt; the target is as healthy as it was."""
    asked, _ = client(lambda request: answer, COUNTING["anthropic"][0])
    count = asked.count_tokens("CANARY prompt")
    (warning,) = count.warnings
    assert ("estimate", "count_failed", kind) == (count.source, warning.code, warning.message.partition(":")[0])
    assert "CANARY" not in repr(count)
    assert {"ok"} == {each.state for each in asked.health()}


def test_who_counts_nothing_is_not_asked() -> None:
    """Nothing is sent, and nothing is warned of."""
    asked, vendor = client(lambda request: httpx.Response(500), "deepseek:deepseek-chat")
    count = asked.count_tokens(HI)
    assert ("estimate", (), []) == (count.source, count.warnings, vendor.requests)
    assert 1 <= count.low < count.input_tokens < count.high


def test_what_could_not_be_sent_is_not_counted() -> None:
    """A wrong call, and one that the target can't hold, are said as by chat()."""
    asked, vendor = client(lambda request: httpx.Response(500), COUNTING["anthropic"][0])
    with pytest.raises(InvalidRequest, match="max_tokens"):
        asked.count_tokens("Hi", max_tokens=-1)
    with pytest.raises(CapabilityMismatch, match="seed"):
        asked.count_tokens("Hi", seed=3)
    assert [] == vendor.requests


def test_a_picture_makes_it_less_certain() -> None:
    """What is no words is guessed at, and the bar says so."""
    asked, _ = client(lambda request: httpx.Response(500), "openai:gpt-4.1")
    plain = asked.count_tokens("What is in it?")
    seen = asked.count_tokens([Message("user", [Text("What is in it?"), Image(url="https://example.com/a.png")])])
    assert seen.high - seen.low >= plain.high - plain.low + 1_000


ENGLISH = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "nobody", "in", "village"]
CHINESE = list("今天天气很好我们去公园散步然后回家吃饭看书睡觉")


def test_it_learns_from_what_was_counted() -> None:
    """With the answers of a vendor whose tokenizer is like no other, nine of ten counts lie within a narrow bar."""
    seeded = random.Random(7)

    def counted(text: str) -> int:
        return round(len(text.encode()) / 2.1 * seeded.uniform(0.9, 1.1)) + 7

    def answer(request: httpx.Request) -> httpx.Response:
        (message,) = json.loads(request.content)["messages"]
        choice = {"index": 0, "message": {"role": "assistant", "content": "Ok."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": counted(message["content"]), "completion_tokens": 2}
        return httpx.Response(200, json={"choices": [choice], "usage": usage})

    def text(words: list[str]) -> str:
        return " ".join(seeded.choice(words) for _ in range(seeded.randint(40, 400)))

    asked, _ = client(answer, "deepseek:deepseek-chat")
    before = asked.count_tokens(text(ENGLISH))
    for _ in range(30):
        asked.chat(text(ENGLISH))
    inside, widths = 0, []
    for _ in range(100):
        said = text(ENGLISH)
        count = asked.count_tokens(said)
        inside += count.low <= counted(said) <= count.high
        widths.append((count.high - count.low) / count.input_tokens)
    assert inside >= 90
    assert max(widths) < 0.6 * (before.high - before.low) / before.input_tokens


def test_a_script_counts_by_its_characters() -> None:
    """Chinese comes to about as many tokens as characters, and not to a quarter of them."""
    asked, _ = client(lambda request: httpx.Response(500), "deepseek:deepseek-chat")
    count = asked.count_tokens("".join(CHINESE) * 20)
    assert count.low <= len(CHINESE) * 20 * 0.75 <= count.high
