"""Anthropic's SDK as an oracle of Claude at the clouds: the same path, proof of who asks, and body leave."""

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
    if not (sent.path.endswith(":streamRawPredict") or sent.json.get("stream")):
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


TOKEN = "ya29.token"
KEY_ID, SECRET_KEY = "AKIDEXAMPLE0000000", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
VERTEX = "/projects/p/locations/eu/publishers/anthropic"
AWS = {"access_key_id": {"env": "THE_KEY_ID"}, "secret_access_key": {"env": "THE_KEY"}}

# provider, model -> what stands in our configuration, the SDK's class, and what it is made with
CLOUDS: dict[str, tuple[str, str, str, dict[str, Any], str, dict[str, Any]]] = {
    "vertex": (
        "vertex-anthropic",
        "claude-sonnet-5-5",
        VERTEX,
        {"api_key": {"env": "THE_KEY"}},
        "AnthropicVertex",
        {"region": "eu", "project_id": "p", "access_token": TOKEN, "base_url": "{url}"},
    ),
    "vertex-dated": (
        "vertex-anthropic",
        "claude-haiku-4-5@20251001",
        VERTEX,
        {"api_key": {"env": "THE_KEY"}},
        "AnthropicVertex",
        {"region": "eu", "project_id": "p", "access_token": TOKEN, "base_url": "{url}"},
    ),
    "foundry": (
        "azure-anthropic",
        "my-claude",
        "/anthropic/v1",
        {"api_key": {"env": "THE_KEY"}},
        "AnthropicFoundry",
        {"api_key": TOKEN, "base_url": "{url}/anthropic/"},
    ),
    "foundry-entra": (
        "azure-anthropic",
        "my-claude",
        "/anthropic/v1",
        {"api_key": {"env": "THE_KEY"}, "scheme": "entra"},
        "AnthropicFoundry",
        {"azure_ad_token_provider": lambda: TOKEN, "base_url": "{url}/anthropic/"},
    ),
    "aws": (
        "bedrock-anthropic",
        "anthropic.claude-sonnet-4-6",
        "/anthropic/v1",
        {"api_key": {"env": "THE_KEY"}},
        "AnthropicBedrockMantle",
        {"api_key": TOKEN, "aws_region": "eu-west-1", "base_url": "{url}/anthropic"},
    ),
    "aws-signed": (
        "bedrock-anthropic",
        "anthropic.claude-sonnet-4-6",
        "/anthropic/v1",
        {"credentials": AWS, "scheme": "sigv4", "region": "us-east-1"},
        "AnthropicBedrockMantle",
        {
            "aws_access_key": KEY_ID,
            "aws_secret_key": SECRET_KEY,
            "aws_region": "us-east-1",
            "base_url": "{url}/anthropic",
        },
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_sdk_sends_the_same(ear: Ear, monkeypatch: pytest.MonkeyPatch, cloud: str, stream: bool) -> None:
    """What leaves is what the SDK's client for that cloud sends for the same request."""
    anthropic = pytest.importorskip("anthropic", minversion="2.12.0")
    provider, model, base, own, kind, given = CLOUDS[cloud]
    monkeypatch.setenv("THE_KEY", SECRET_KEY if "credentials" in own else TOKEN)
    monkeypatch.setenv("THE_KEY_ID", KEY_ID)
    config = {"providers": {provider: {"base_url": ear.url + base, **own}}, "default": f"{provider}:{model}"}
    with Client.from_config(config) as client:
        if stream:
            with client.stream("Hello", max_tokens=9) as running:
                list(running)
        else:
            client.chat("Hello", max_tokens=9)
    mine = ear.heard[-1]
    made = {name: value.format(url=ear.url) if isinstance(value, str) else value for name, value in given.items()}
    with getattr(anthropic, kind)(**made) as sdk:
        told = {"stream": True} if stream else {}
        said = sdk.messages.create(model=model, max_tokens=9, messages=[{"role": "user", "content": "Hello"}], **told)
        if stream:
            list(said)
    theirs = ear.heard[-1]
    assert (mine.method, mine.path) == (theirs.method, theirs.path)
    assert {"stream": False, **mine.json} == {"stream": False, **theirs.json}
    if "credentials" in own:  # a signature is of its second and of its headers: the scope names account and service
        scopes = [sent.headers["authorization"].partition(",")[0].partition("/")[2] for sent in (mine, theirs)]
        assert scopes[0] == scopes[1]
        return
    for name in ("authorization", "x-api-key"):
        assert mine.headers.get(name) == theirs.headers.get(name)
