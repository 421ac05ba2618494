"""Every vendor at once, in this process: whoever is asked by a page's programs answers in his own words."""

from __future__ import annotations

import importlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

import llmswitch
from llmswitch._adapter import HTTPRequest, ModelIdentity
from llmswitch._client import AsyncClient, Client
from llmswitch._config import ProviderConfig
from llmswitch._registry import provider, provider_names
from llmswitch._reply import FinishReason, Usage
from llmswitch._setup import make_adapter
from llmswitch._vendor_wire import Answer, Heard, VendorWire
from llmswitch.testing import FakeVendor
from llmswitch.testing._vendor import respond

__all__ = ["CONFIGURATION", "KEY", "answer_everybody", "everybody", "give_keys", "on_loopback"]

KEY = "sk-0123456789abcdef"
CONFIGURATION = """
default = "assistant"
[chains.assistant]
targets = ["openai:gpt-5.4-mini", "zhipu:glm-4.6", "anthropic:claude-haiku-4-5"]
[aliases]
"*" = "assistant"
"""
_WORDS: Mapping[str, Any] = {"customer": "Meier", "number": "1042", "city": "Paris", "total": 12.5}
_BY_TYPE: Mapping[str, Any] = {"string": "7", "number": 1.5, "integer": 3, "boolean": True, "array": [], "object": {}}


@cache
def _addresses() -> list[tuple[re.Pattern[str], str]]:
    """The addresses of all vendors, the longest first, each with whose it is."""
    found = {site.base_url: name for name in provider_names() for site in provider(name).sites.values()}
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(address))), found[address])
        for address in sorted(found, key=len, reverse=True)
    ]


@cache
def _wire(name: str, model: str, path: str) -> VendorWire:
    """The vendor's side of the dialect in which this path is asked."""
    spec = provider(name)
    own = ProviderConfig()
    if path.endswith("/chat/completions") and spec.dialect_of(model) != spec.dialect:
        own = ProviderConfig(dialect=spec.dialect)
    adapter = make_adapter(spec, own, ModelIdentity(name, "", model), "the page")
    module, _, kind = adapter.wire.partition(":")
    made: VendorWire = getattr(importlib.import_module(module), kind)(adapter.options, adapter.capabilities)
    return made


def everybody(request: httpx.Request) -> httpx.Response:
    """The answer of the vendor whose host it is; of a server of one's own where it is nobody's."""
    path = request.url.path
    if "token" in path.rpartition("/")[2] and not request.content.startswith(b"{"):
        return httpx.Response(200, json={"access_token": KEY, "expires_in": 3600})
    body = json.loads(request.content)
    if path.endswith("/embeddings"):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"index": index, "embedding": [0.25, 0.5, 0.75]} for index in range(len(texts))]
        return httpx.Response(200, json={"data": data, "usage": {"prompt_tokens": 6, "total_tokens": 6}})
    if path.endswith("/v2/embed"):
        return httpx.Response(200, json={"embeddings": {"float": [[0.25, 0.5, 0.75] for _ in body["texts"]]}})
    if path.endswith(("/count_tokens", "/input_tokens")):
        return httpx.Response(200, json={"input_tokens": 31})
    name = next((name for address, name in _addresses() if address.match(str(request.url))), "vllm")
    wire = _wire(name, body.get("model") or provider(name).default_model or "some-model", path)
    plain = HTTPRequest(request.url.raw_path.decode(), request.content, dict(request.headers), request.method)
    answer = _answer(wire.hear_request(plain))
    if wire.asks_stream(plain):
        return respond(200, wire.content_type, wire.stream(answer))
    return respond(200, "application/json", [json.dumps(wire.reply(answer)).encode()])


def _answer(heard: Heard) -> Answer:
    """A call of the first tool, until there is a result; else the form that was asked for, or a few words."""
    parts: tuple[Any, ...] = (llmswitch.Text("The capital of France is Paris."),)
    reason: FinishReason = "stop"
    last = heard.messages[-1][1][-1]
    if heard.tools and not isinstance(last, llmswitch.ToolResult):
        name, _, schema = heard.tools[0]
        parts, reason = (llmswitch.ToolCall("call_1", name, _example(schema)),), "tool_calls"
    elif heard.schema is not None:
        parts = (llmswitch.Text(json.dumps(_example(heard.schema))),)
    elif isinstance(last, llmswitch.ToolResult):
        parts = (llmswitch.Text(f"I was told: {last.content}"),)
    return Answer(parts, reason, Usage(input_tokens=1000, output_tokens=100), schema=heard.schema)


def _example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object of that form."""
    found = {}
    for name, part in schema.get("properties", {}).items():
        kind = part.get("type", "string")
        found[name] = _WORDS.get(name, part["enum"][0] if "enum" in part else _BY_TYPE.get(kind, "7"))
    return found


def answer_everybody(monkeypatch: pytest.MonkeyPatch) -> FakeVendor:
    """From now on every client of this process that brings no HTTP client of its own talks to `everybody`."""
    vendors = FakeVendor(everybody)
    for kind in (Client, AsyncClient):

        def connect(self: Any, http_client: Any, http: Any, real: Any = kind._connect) -> None:
            real(self, vendors if http_client is None else http_client, http)

        monkeypatch.setattr(kind, "_connect", connect)
    return vendors


def give_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of every vendor, in the variable that his own tools use, and what else stands in his address."""
    for name in provider_names():
        for site in provider(name).sites.values():
            for variable in site.key_env[:1]:
                monkeypatch.setenv(variable, KEY)
            for variable in site.resource_env[:1]:
                monkeypatch.setenv(variable, "my-resource")


@contextmanager
def on_loopback(answer: Callable[[httpx.Request], httpx.Response] = everybody) -> Iterator[str]:
    """The address of a vendor on this machine's loopback, which answers so until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            url = f"http://127.0.0.1{self.path}"
            said = answer(httpx.Request("POST", url, headers=dict(self.headers), content=content))
            self.send_response(said.status_code)
            self.send_header("content-type", said.headers.get("content-type", "application/json"))
            self.end_headers()
            assert isinstance(said.stream, httpx.SyncByteStream)
            for piece in said.stream:
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
