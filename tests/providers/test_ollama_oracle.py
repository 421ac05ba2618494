"""The vendor's SDK as an oracle: the same requests leave, and its types read the answers that our tests serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from llmswitch import Client, Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from llmswitch._addresses import server_address
from llmswitch._capabilities import Capabilities
from llmswitch._errors import OutputInvalid
from llmswitch._json import dumps
from llmswitch.providers.ollama import OllamaOptions
from llmswitch.providers.ollama_wire import OllamaWire
from llmswitch.testing._answers import ANSWERS
from tests.providers.foreign_sdk import Ear, Sent, listening

pytestmark = pytest.mark.slow

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WIRE = OllamaWire(OllamaOptions(), Capabilities())
NAMES = [name for name in ANSWERS if name != "filtered"]
# What the SDK has no field for, though the server does.
UNKNOWN_THERE = ("truncate", "shift", "id", "tool_call_id")


def answer(sent: Sent) -> tuple[str, bytes]:
    given = ANSWERS[sent.json["model"]]
    if sent.json["stream"]:
        # in ASCII: the SDK takes U+0085 and U+2028 inside of a text for the end of a line
        return WIRE.content_type, b"".join(json.dumps(json.loads(line)).encode() + b"\n" for line in WIRE.stream(given))
    return "application/json", dumps(WIRE.reply(given))


@pytest.fixture
def ear() -> Iterator[Ear]:
    yield from listening(answer)


def ours(ear: Ear, messages: Any, *, model: str = "text", stream: bool = False, **options: Any) -> Any:
    config = {"providers": {"ollama": {"base_url": ear.url}}, "default": f"ollama:{model}"}
    with Client.from_config(config) as client:
        if not stream:
            return client.chat(messages, **options)
        with client.stream(messages, **options) as running:
            list(running)
        return running.reply


def theirs(ear: Ear, *, model: str = "text", stream: bool = False, **body: Any) -> Any:
    ollama = pytest.importorskip("ollama")
    client = ollama.Client(host=ear.url)
    said = client.chat(model=model, stream=stream, **body)
    parts = list(said) if stream else [said]
    client._client.close()
    return parts


def known_there(value: Any) -> Any:
    """A body without what the SDK can't say, and without what it says of nothing."""
    if isinstance(value, dict):
        kept = {name: known_there(each) for name, each in value.items() if name not in UNKNOWN_THERE}
        return {name: each for name, each in kept.items() if each not in ([], {}, "")}
    return [known_there(each) for each in value] if isinstance(value, list) else value


CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": ({"messages": [{"role": "user", "content": "Hi, 你好"}]}, "Hi, 你好", {}),
    "settings": (
        {
            "messages": [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Hi"}],
            "options": {"num_predict": 9, "temperature": 0.5, "top_p": 0.25, "stop": ["END"], "seed": 7},
            "think": "low",
            "format": SCHEMA,
        },
        [Message("system", "Brief."), Message("user", "Hi")],
        {
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.25,
            "stop": ["END"],
            "seed": 7,
            "reasoning": "low",
            "response_format": SCHEMA,
        },
    ),
    "json": (
        {"messages": [{"role": "user", "content": "JSON?"}], "think": False, "format": "json"},
        "JSON?",
        {"reasoning": "off", "response_format": "json"},
    ),
    "image": (
        {"messages": [{"role": "user", "content": "?", "images": [b"png"]}]},
        [Message("user", [Image(data="cG5n", media_type="image/png"), Text("?")])],
        {},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "Hm.",
                    "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
                },
                {"role": "tool", "content": "18 C", "tool_name": "weather"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "description": "W.", "parameters": SCHEMA}}],
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [Reasoning("Hm."), ToolCall("c1", "weather", {"city": "Oslo"})]),
            Message("tool", [ToolResult("c1", "18 C")]),
        ],
        {"tools": [Tool("weather", "W.", SCHEMA)]},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_the_sdk_sends_the_same(ear: Ear, name: str, stream: bool) -> None:
    """Path and body are the SDK's for the same request, but for what it has no field for."""
    body, messages, options = CASES[name]
    with suppress(OutputInvalid):  # where a form is asked for, the answer is of none
        ours(ear, messages, stream=stream, **options)
    mine = ear.heard[-1]
    theirs(ear, stream=stream, **body)
    other = ear.heard[-1]
    assert (mine.method, mine.path) == (other.method, other.path)
    assert known_there(mine.json) == known_there(other.json)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_sdks_types_read_what_our_tests_serve(ear: Ear, stream: bool) -> None:
    """Each answer of the suite, on this wire, is the same to the SDK and to us."""
    for name in NAMES:
        reply = ours(ear, "Hi", model=name, stream=stream)
        parts = theirs(ear, model=name, stream=stream, messages=[{"role": "user", "content": "Hi"}])
        assert reply.text == "".join(part.message.content or "" for part in parts), name
        assert reply.reasoning == "".join(part.message.thinking or "" for part in parts), name
        calls = [call.function for part in parts for call in part.message.tool_calls or ()]
        assert [(call.name, call.arguments) for call in reply.tool_calls] == [
            (call.name, dict(call.arguments)) for call in calls
        ], name
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (
            parts[-1].prompt_eval_count,
            parts[-1].eval_count or 0,
        ), name
        assert parts[-1].done


def test_the_sdk_asks_for_vectors_in_the_same_way() -> None:
    """Path and body are the SDK's, and both read the same vectors."""
    ollama = pytest.importorskip("ollama")
    said = dumps({"model": "m", "embeddings": [[0.5, 1.0], [2.0, 3.0]], "prompt_eval_count": 4})
    for ear in listening(lambda sent: ("application/json", said)):
        config = {"providers": {"ollama": {"base_url": ear.url}}, "default": "ollama:m"}
        with Client.from_config(config) as client:
            reply = client.embed(["a", "b"], dimensions=2)
        there = ollama.Client(host=ear.url)
        vectors = there.embed(model="m", input=["a", "b"], truncate=False, dimensions=2)
        there._client.close()
        assert reply.vectors == [list(vector) for vector in vectors.embeddings]
        assert reply.usage.input_tokens == vectors.prompt_eval_count
        mine, other = ear.heard
        assert (mine.path, mine.json) == (other.path, other.json)


def test_the_sdk_looks_in_the_same_place() -> None:
    """For each form of OLLAMA_HOST the address is the SDK's, save that nobody can be asked at 0.0.0.0."""
    client = pytest.importorskip("ollama._client")
    hosts = ("1.2.3.4", "example.com", "[0001:002:003:0004::1]")
    forms = ("{}", "{}:56789", "http://{}", "https://{}", "https://{}:56789", "{}/", "{}:56789/path/", "{}/path")
    told = [form.format(host) for host in hosts for form in forms] + [":56789", " example.com "]
    for each in told:
        assert client._parse_host(each.strip()) == server_address(each, "http://127.0.0.1:11434"), each
    assert "http://127.0.0.1:11434" == server_address("0.0.0.0", "http://127.0.0.1:11434")


def test_the_key_of_the_cloud(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK sends OLLAMA_API_KEY as we send that of `ollama-cloud`."""
    monkeypatch.setenv("OLLAMA_API_KEY", "key-1")
    theirs(ear, messages=[{"role": "user", "content": "Hi"}])
    own = {"base_url": ear.url, "api_key": {"env": "OLLAMA_API_KEY"}}
    with Client.from_config({"providers": {"ollama-cloud": own}, "default": "ollama-cloud:text"}) as client:
        client.chat("Hi")
    assert ["Bearer key-1"] * 2 == [sent.headers["authorization"] for sent in ear.heard]
    assert [json.loads(sent.body)["model"] for sent in ear.heard] == ["text", "text"]
