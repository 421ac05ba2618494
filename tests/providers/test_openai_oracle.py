"""The vendors' own SDKs as oracles: for the same conversation the same request leaves, but for named differences."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel

from llmswitch import Client, Image, MalformedResponse, Message, Text, Tool, ToolCall, ToolResult

pytestmark = pytest.mark.slow

KEY = "sk-test-0123456789"
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": '{"total": 1}'},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Ear:
    """A loopback server that keeps what it is sent and answers everything in the same way."""

    def __init__(self) -> None:
        heard: list[tuple[str, dict[str, str], dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if body.get("stream"):
                    chunk = {**ANSWER, "object": "chat.completion.chunk"}
                    chunk["choices"] = [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]
                    answer = b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"
                    kind = "text/event-stream"
                else:
                    answer, kind = json.dumps(ANSWER).encode(), "application/json"
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self.heard = heard
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Invoice(BaseModel):
    total: float
    note: str | None = None


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER}}
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]
PIXEL = "data:image/png;base64,aGk="

# (what the SDK is called with, what we are called with)
CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": (
        {"messages": [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Hi"}]},
        [Message("system", "Brief."), Message("user", "Hi")],
        {},
    ),
    "settings": (
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["a", "b"],
            "seed": 7,
        },
        "Hi",
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "seed": 7},
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
        [Message("user", [Text("What?"), Image(url=PIXEL, detail="low")])],
        {},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": None, "tool_calls": CALLS},
                {"role": "tool", "tool_call_id": "call_1", "content": "18 C"},
            ],
            "tools": [TOOL],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [ToolCall("call_1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}')]),
            Message("tool", [ToolResult("call_1", "18 C")]),
        ],
        {
            "tools": [Tool("get_weather", "Weather.", WEATHER)],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
        },
    ),
    "named_tool": (
        {
            "messages": [{"role": "user", "content": "Weather?"}],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        },
        "Weather?",
        {"tools": [Tool("get_weather", "Weather.", WEATHER)], "tool_choice": "get_weather"},
    ),
}


def ours(ear: Ear, provider: str, model: str, messages: Any, *, stream: bool, **options: Any) -> dict[str, Any]:
    config = {
        "providers": {provider: {"base_url": ear.url, "api_key": {"env": "ORACLE_KEY"}}},
        "default": f"{provider}:{model}",
    }
    with Client.from_config(config) as client:
        if stream:
            list(client.stream(messages, **options))
        else:
            client.chat(messages, **options)
    return ear.heard[-1][2]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_openai(monkeypatch, ear, name, stream):
    """Path, key and body are those of OpenAI's SDK."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("ORACLE_KEY", KEY)
    theirs, messages, options = CASES[name]
    with openai.OpenAI(api_key=KEY, base_url=ear.url) as sdk:
        if stream:
            usage = {"stream": True, "stream_options": {"include_usage": True}}
            list(sdk.chat.completions.create(model="gpt-4.1", **theirs, **usage))
        else:
            sdk.chat.completions.create(model="gpt-4.1", **theirs)
    path, headers, body = ear.heard[-1]
    assert body == ours(ear, "openai", "gpt-4.1", messages, stream=stream, **options)
    our_path, our_headers, _ = ear.heard[-1]
    assert path == our_path
    for header in ("authorization", "content-type"):
        assert headers[header] == our_headers[header]


def test_openai_structured(monkeypatch, ear):
    """A pydantic model becomes the schema that OpenAI's own converter makes, but for titles, which say nothing."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("ORACLE_KEY", KEY)
    with openai.OpenAI(api_key=KEY, base_url=ear.url) as sdk:
        sdk.chat.completions.parse(
            model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}], response_format=Invoice
        )
    theirs = ear.heard[-1][2]
    assert theirs.pop("stream") is False  # said or not, it is what the vendor does
    mine = ours(ear, "openai", "gpt-4.1", "Hi", stream=False, response_format=Invoice)
    assert untitled(theirs) == untitled(mine)


def untitled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: untitled(item) for key, item in value.items() if key != "title"}
    return [untitled(item) for item in value] if isinstance(value, list) else value


ZHIPU: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": ({"messages": [{"role": "user", "content": "Hi"}]}, "Hi", {}),
    "greedy": ({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0}, "Hi", {"temperature": 0.0}),
    "highest": (
        {"messages": [{"role": "user", "content": "Hi"}], "temperature": 1, "top_p": 1},
        "Hi",
        {"temperature": 1.0, "top_p": 1.0},
    ),
    "settings": (
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "stop": ["a"], "temperature": 0.3},
        "Hi",
        {"max_tokens": 9, "stop": "a", "temperature": 0.3},
    ),
    "image": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What?"},
                        {"type": "image_url", "image_url": {"url": PIXEL}},
                    ],
                }
            ]
        },
        [Message("user", [Text("What?"), Image(url=PIXEL)])],
        {},
    ),
    "tools": (
        CASES["tools"][0] | {"parallel_tool_calls": None},
        CASES["tools"][1],
        {"tools": CASES["tools"][2]["tools"], "tool_choice": "auto"},
    ),
    "thinking": (
        {"messages": [{"role": "user", "content": "Hi"}], "thinking": {"type": "disabled"}},
        "Hi",
        {"reasoning": "off"},
    ),
}


@pytest.mark.parametrize("name", ZHIPU)
def test_zhipu(monkeypatch, ear, name):
    """Path, key and body are those of Zhipu's own SDK."""
    zai = pytest.importorskip("zai")
    monkeypatch.setenv("ORACLE_KEY", KEY)
    theirs, messages, options = ZHIPU[name]
    theirs = {key: value for key, value in theirs.items() if value is not None}
    sdk = zai.ZhipuAiClient(api_key=KEY, base_url=ear.url)
    sdk.chat.completions.create(model="glm-4.6v", **theirs)
    path, headers, body = ear.heard[-1]
    mine = ours(ear, "zhipu", "glm-4.6v", messages, stream=False, **options)
    # The SDK says null and `stream: false` for what it does not say, and leaves `content: null` out beside calls.
    body = {name: value for name, value in body.items() if value is not None}
    for sent in (body, mine):
        sent.pop("stream", None)
        for message in sent["messages"]:
            if message.get("content", "") is None:
                del message["content"]
    assert body == mine
    assert path == ear.heard[-1][0]
    assert headers["authorization"] == ear.heard[-1][1]["authorization"]


def test_openai_vectors(monkeypatch, ear):
    """For the same texts the same body leaves, but for the encoding, which the SDK chooses for itself."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("ORACLE_KEY", KEY)
    with openai.OpenAI(api_key=KEY, base_url=ear.url, max_retries=0) as sdk:
        sdk.embeddings.create(model="m", input=["a", "b"], dimensions=2, encoding_format="float")
    own = {"base_url": ear.url, "api_key": {"env": "ORACLE_KEY"}}
    with Client.from_config({"providers": {"openai": own}}) as client, pytest.raises(MalformedResponse):
        client.embed(["a", "b"], dimensions=2, model="openai:m")  # nobody answers with vectors here
    (path, _, theirs), (ours_path, _, ours_body) = ear.heard[:2]
    assert path == ours_path
    assert {**ours_body, "encoding_format": "float"} == theirs
