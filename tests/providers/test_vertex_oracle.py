"""Anthropic's SDK for Vertex as an oracle: the same path and the same body leave for Claude there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmswitch import Client
from tests.providers.foreign_sdk import Ear, Sent, listening

pytestmark = pytest.mark.slow

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def answer(sent: Sent) -> tuple[str, bytes]:
    if not sent.path.endswith(":streamRawPredict"):
        return "application/json", json.dumps(MESSAGE).encode()
    block = {"type": "text", "text": "Hi"}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return "text/event-stream", body.encode()


@pytest.fixture
def ear() -> Iterator[Ear]:
    yield from listening(answer)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-4-5@20251001"])
def test_anthropic_vertex_sends_the_same(ear: Ear, monkeypatch: pytest.MonkeyPatch, model: str, stream: bool) -> None:
    """Path, token and body are those of `AnthropicVertex` for the same request."""
    anthropic = pytest.importorskip("anthropic", minversion="2.12.0")
    monkeypatch.setenv("THE_TOKEN", "ya29.token")
    base = f"{ear.url}/projects/p/locations/eu/publishers/anthropic"
    own = {"base_url": base, "api_key": {"env": "THE_TOKEN"}}
    with Client.from_config({"providers": {"vertex-anthropic": own}, "default": f"vertex-anthropic:{model}"}) as client:
        if stream:
            with client.stream("Hello", max_tokens=9) as running:
                list(running)
        else:
            client.chat("Hello", max_tokens=9)
    mine = ear.heard[-1]
    sdk = anthropic.AnthropicVertex(region="eu", project_id="p", access_token="ya29.token", base_url=ear.url)
    told = {"stream": True} if stream else {}
    said = sdk.messages.create(model=model, max_tokens=9, messages=[{"role": "user", "content": "Hello"}], **told)
    if stream:
        list(said)
    sdk.close()
    theirs = ear.heard[-1]
    assert (mine.method, mine.path, mine.json) == (theirs.method, theirs.path, theirs.json)
    assert mine.headers["authorization"] == theirs.headers["authorization"]
