"""Beneath the SDKs: their calls are answered by the chain, with their own types, streams and errors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

import llmswitch
from llmswitch import Client, ConfigError, InvalidRequest
from tests.providers.foreign_sdk import Ear, Sent, listening, run_with

HI: Any = [{"role": "user", "content": "Hi"}]


def vendor(sent: Sent) -> tuple[str, bytes]:
    """A copy of OpenAI's that answers, calls tools and makes vectors."""
    if sent.path.endswith("/embeddings"):
        return "application/json", json.dumps({"data": [{"index": 0, "embedding": [0.5, -2.0]}]}).encode()
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    said: dict[str, Any] = {"tool_calls": [call]} if sent.json.get("tools") else {"content": '{"name": "Bern"}'}
    reason = "tool_calls" if sent.json.get("tools") else "stop"
    if not sent.json.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": reason}
        return "application/json", json.dumps({"choices": [choice], "usage": usage}).encode()
    chunks = [
        {"choices": [{"index": 0, "delta": said}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
    ]
    chunks.append({"choices": [], "usage": usage})
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return "text/event-stream", body + b"data: [DONE]\n\n"


@pytest.fixture
def ear() -> Iterator[Ear]:
    yield from listening(vendor)


def config(ear: Ear, **more: Any) -> dict[str, Any]:
    """A chain whose first target is down."""
    return {
        "providers": {
            "down": {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"},
            "up": {"dialect": "openai", "base_url": f"{ear.url}/v1", "capabilities": {"embeddings": True}},
        },
        "chains": {"assistant": {"targets": ["down:m", "up:m"]}, "nobody": {"targets": ["down:m"]}},
        "aliases": {"gpt-4o": "assistant", "claude-sonnet-4-6": "assistant", **more},
    }


def test_plain_http_goes_through_a_door(ear: Ear) -> None:
    """Whole, streamed, vectors, models, what is not served, and names that lead nowhere."""
    with llmswitch.openai_http_client(config=config(ear), engine="httpx") as http:
        url = "https://api.openai.com/v1"
        whole = http.post(f"{url}/chat/completions", json={"model": "gpt-4o", "messages": HI}).json()
        assert ("gpt-4o", "up:m") == (whole["model"], whole["llmswitch"]["target"])
        assert ["ConnectFailed", None] == [attempt["error"] for attempt in whole["llmswitch"]["attempts"]]
        asked = {"model": "assistant", "messages": HI, "stream": True}
        with http.stream("POST", f"{url}/chat/completions", json=asked) as stream:
            lines = list(stream.iter_lines())
        assert "data: [DONE]" in lines
        vectors = http.post(
            f"{url}/embeddings", json={"model": "up:m", "input": "x", "encoding_format": "base64"}
        ).json()
        assert "AAAAPwAAAMA=" == vectors["data"][0]["embedding"]
        names = [model["id"] for model in http.get(f"{url}/models").json()["data"]]
        assert ["assistant", "nobody", "gpt-4o", "claude-sonnet-4-6", "down:m", "up:m"] == names
        lost = http.post(f"{url}/files", content=b"x")
        assert (501, True) == (lost.status_code, "/v1/files is none" in lost.json()["error"]["message"])
        unknown = http.post(f"{url}/chat/completions", json={"model": "gpt-9", "messages": HI})
        assert (400, "model") == (unknown.status_code, unknown.json()["error"]["param"])
        assert 400 == http.post(f"{url}/chat/completions", content=b"{").status_code
        dead = http.post(f"{url}/messages", json={"model": "nobody", "max_tokens": 9, "messages": HI})
        assert (502, "error") == (dead.status_code, dead.json()["type"])
        assert "false" == dead.headers["x-should-retry"]
        counted = http.post(f"{url}/messages/count_tokens", json={"model": "up:m", "messages": HI})
        assert (["input_tokens"], "estimate") == (list(counted.json()), counted.headers["x-llmswitch-count"])
        refused = http.post(f"{url}/messages/count_tokens", json={"model": "up:m"})
        assert (400, "error") == (refused.status_code, refused.json()["type"])


def test_async_goes_through_a_door(ear: Ear) -> None:
    """As the other does."""

    async def run() -> tuple[Any, str, int]:
        async with llmswitch.openai_async_http_client(config=config(ear), engine="httpx") as http:
            url = "https://api.openai.com/v1"
            whole = (await http.post(f"{url}/responses", json={"model": "gpt-4o", "input": "Hi"})).json()
            asked = {"model": "gpt-4o", "messages": HI, "stream": True}
            async with http.stream("POST", f"{url}/chat/completions", json=asked) as stream:
                text = "".join([piece async for piece in stream.aiter_text()])
            lost = await http.delete(f"{url}/files/1")
            return whole, text, lost.status_code

    whole, text, lost = asyncio.run(run())
    assert "completed" == whole["status"]
    assert "Bern" in text
    assert 501 == lost


def test_aliases_lead_somewhere(ear: Ear) -> None:
    """In every call; one that leads nowhere, or hides a chain, is said when the configuration is read."""
    with Client.from_config(config(ear)) as client:
        assert "up" == client.chat("Hi", model="gpt-4o").provider
        with pytest.raises(InvalidRequest, match="gpt-9"):
            client.named("gpt-9")
    assert "assistant" == Client.from_config(config(ear, **{"*": "assistant"})).named("anything")
    with pytest.raises(ConfigError, match=r"aliases\.old"):
        Client.from_config(config(ear, old="nowhere:m"))
    with pytest.raises(ConfigError, match="a chain has that name too"):
        Client.from_config(config(ear, assistant="up:m"))


# The real SDKs


@pytest.mark.slow
def test_openai_switches_without_an_edit(ear: Ear) -> None:
    """Chat, streams, tools, parsed answers, Responses and vectors, in the SDK's own types; its errors stay its own."""
    openai = pytest.importorskip("openai")
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
    with openai.OpenAI(api_key="any", http_client=llmswitch.openai_http_client(config=config(ear))) as sdk:
        answer = sdk.chat.completions.create(model="gpt-4o", messages=HI)
        assert (answer.choices[0].message.content, answer.usage.total_tokens) == ('{"name": "Bern"}', 5)
        assert answer.llmswitch["target"] == "up:m"
        with sdk.chat.completions.stream(model="gpt-4o", messages=HI, tools=tools) as stream:
            calls = stream.get_final_completion().choices[0].message.tool_calls
        assert [("c1", "add", '{"a": 1}')] == [(each.id, each.function.name, each.function.arguments) for each in calls]
        parsed = sdk.chat.completions.parse(model="gpt-4o", messages=HI, response_format=City)
        assert City(name="Bern") == parsed.choices[0].message.parsed
        assert '{"name": "Bern"}' == sdk.responses.create(model="gpt-4o", input="Hi").output_text
        assert [0.5, -2.0] == sdk.embeddings.create(model="up:m", input="x").data[0].embedding
        assert "gpt-4o" in [model.id for model in sdk.models.list()]
        with pytest.raises(openai.BadRequestError, match="gpt-9"):
            sdk.chat.completions.create(model="gpt-9", messages=HI)
        began = time.monotonic()
        with pytest.raises(openai.InternalServerError) as caught:
            sdk.chat.completions.create(model="nobody", messages=HI)
        assert time.monotonic() - began < 5  # the chain has tried it: the SDK does not try again
        assert "ConnectFailed" in json.dumps(caught.value.response.json())
        with pytest.raises(openai.APIStatusError, match="none: ask the vendor"):
            sdk.files.list()


@pytest.mark.slow
def test_async_openai_switches_without_an_edit(ear: Ear) -> None:
    """Whole and streamed, and a stream that is left closes the vendor's."""
    openai = pytest.importorskip("openai")

    async def run() -> tuple[str, str]:
        under = llmswitch.openai_async_http_client(config=config(ear))
        async with openai.AsyncOpenAI(api_key="any", http_client=under) as sdk:
            whole = await sdk.chat.completions.create(model="gpt-4o", messages=HI)
            stream = await sdk.chat.completions.create(model="gpt-4o", messages=HI, stream=True)
            said = [chunk.choices[0].delta.content or "" async for chunk in stream]
            left = await sdk.chat.completions.create(model="gpt-4o", messages=HI, stream=True)
            await anext(aiter(left))
            await left.close()
            return whole.choices[0].message.content, "".join(said)

    assert ('{"name": "Bern"}', '{"name": "Bern"}') == asyncio.run(run())


@pytest.mark.slow
def test_anthropic_switches_without_an_edit(ear: Ear) -> None:
    """Its Messages are answered by a vendor who speaks Chat Completions."""
    anthropic = pytest.importorskip("anthropic")
    tools = [{"name": "add", "input_schema": {"type": "object", "properties": {}}}]
    with anthropic.Anthropic(api_key="any", http_client=llmswitch.anthropic_http_client(config=config(ear))) as sdk:
        whole = sdk.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=HI)
        assert ("end_turn", '{"name": "Bern"}') == (whole.stop_reason, whole.content[0].text)
        with sdk.messages.stream(model="claude-sonnet-4-6", max_tokens=9, messages=HI, tools=tools) as stream:
            made = stream.get_final_message()
        assert [("tool_use", {"a": 1})] == [(block.type, block.input) for block in made.content]
        with pytest.raises(anthropic.APIStatusError) as caught:
            sdk.messages.create(model="nobody", max_tokens=9, messages=HI)
        assert 502 == caught.value.status_code
        assert 0 < sdk.messages.count_tokens(model="claude-sonnet-4-6", messages=HI, tools=tools).input_tokens

    async def count() -> int:
        http = llmswitch.anthropic_async_http_client(config=config(ear))
        async with anthropic.AsyncAnthropic(api_key="any", http_client=http) as sdk:
            counted = await sdk.messages.count_tokens(
                model="claude-sonnet-4-6", messages=HI, thinking={"type": "adaptive"}
            )
            return counted.input_tokens

    assert 0 < asyncio.run(count())


def test_nothing_of_the_network_is_touched_by_making_one(monkeypatch: pytest.MonkeyPatch, ear: Ear) -> None:
    """A transport opens no connection before it is asked."""
    monkeypatch.setattr("socket.create_connection", lambda *_: pytest.fail("a connection was opened"))
    made = llmswitch.openai_http_client(config=config(ear), engine="httpx")
    assert isinstance(made, httpx.Client)
    made.close()


def test_the_library_is_the_one_that_the_sdk_needs(monkeypatch: pytest.MonkeyPatch, ear: Ear) -> None:
    """An SDK that could be built on another one, by an extra, is built on the one that it always has."""
    for needs, made in (
        (["httpx<1,>=0.23", "httpx2<3; extra == 'httpx2'"], httpx.Client),
        (["httpx2<3,>=2.7"], httpx2.Client),
    ):
        monkeypatch.setattr("llmswitch.doors.sdk_clients.requires", lambda _, needs=needs: needs)
        with llmswitch.openai_http_client(config=config(ear)) as http:
            assert type(http) is made


FRAMEWORKS = """
import sys
root, config = sys.argv[1], __import__("json").loads(sys.argv[2])
sys.path.insert(0, root)
import instructor
import llmswitch
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

class City(BaseModel):
    name: str

said = '{"name": "Bern"}'
chain = ChatOpenAI(model="gpt-4o", api_key="unused", http_client=llmswitch.openai_http_client(config=config))
assert said == chain.invoke("Hi").content
assert said == "".join(piece.content for piece in chain.stream("Hi"))
under = AsyncOpenAI(api_key="unused", http_client=llmswitch.openai_async_http_client(config=config))
model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=under))
assert said == Agent(model).run_sync("Hi").output
sdk = instructor.from_openai(
    OpenAI(api_key="unused", http_client=llmswitch.openai_http_client(config=config)), mode=instructor.Mode.JSON
)
asked = [{"role": "user", "content": "Hi"}]
assert "Bern" == sdk.chat.completions.create(model="gpt-4o", response_model=City, messages=asked).name
"""


@pytest.mark.slow
def test_what_is_built_on_the_sdk_switches_too(ear: Ear, request: pytest.FixtureRequest) -> None:
    """LangChain, Pydantic AI and instructor, over a chain whose first target is down."""
    packages = "langchain-openai==1.7.4 pydantic-ai-slim[openai]==2.38.0 instructor==1.17.0"
    root = str(request.config.rootpath)
    run_with(request.config.cache, packages, FRAMEWORKS, root, json.dumps(config(ear)))


# It is built on an older SDK than the others.
LLAMA_INDEX = """
import asyncio, sys
root, config = sys.argv[1], __import__("json").loads(sys.argv[2])
sys.path.insert(0, root)
import llmswitch
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

said, asked = '{"name": "Bern"}', [ChatMessage(role="user", content="Hi")]
model = OpenAI(
    model="gpt-4o",
    api_key="unused",
    http_client=llmswitch.openai_http_client(config=config),
    async_http_client=llmswitch.openai_async_http_client(config=config),
)
assert said == model.chat(asked).message.content
assert said == "".join(piece.delta for piece in model.stream_chat(asked))

async def run():
    assert said == (await model.achat(asked)).message.content
    assert said == "".join([piece.delta async for piece in await model.astream_chat(asked)])

asyncio.run(run())
"""


@pytest.mark.slow
def test_llama_index_switches_too(ear: Ear, request: pytest.FixtureRequest) -> None:
    """Its chat and its streams, sync and async, over a chain whose first target is down."""
    packages = "llama-index-llms-openai==0.8.3 llama-index-core==0.14.25 openai==2.54.0"
    root = str(request.config.rootpath)
    run_with(request.config.cache, packages, LLAMA_INDEX, root, json.dumps(config(ear)))
