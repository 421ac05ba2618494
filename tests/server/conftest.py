"""A gateway in this process, with a vendor behind it and the tests' own small door in front."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from llmswitch._config_file import Loaded
from llmswitch.server.admin import admin_app
from llmswitch.server.app import make_gateway, public_app
from llmswitch.server.keys import hashed
from llmswitch.testing import FakeVendor
from tests.server.small_door import SmallDoor

KEY, OTHER, ADMIN = "CANARY-key-of-alice", "CANARY-key-of-bob", "CANARY-key-of-admin"
PROMPT = "CANARY-prompt"

CONFIG: dict[str, Any] = {
    "default": "main",
    "chains": {"main": {"targets": ["a:m", "b:m"]}, "small": {"targets": ["b:m"]}},
    "providers": {name: {"dialect": "openai", "base_url": f"http://{name}.local/v1"} for name in "ab"},
    "server": {
        "keys": [
            {"name": "alice", "sha256": hashed(KEY)},
            {"name": "bob", "sha256": hashed(OTHER), "models": ["b:m"], "requests_per_minute": 3},
            {"name": "admin", "sha256": hashed(ADMIN), "admin": True},
        ]
    },
}


def answer(request: httpx.Request) -> httpx.Response:
    """`a` refuses, quoting what it was asked; `b` answers."""
    if request.url.host == "a.local":
        return httpx.Response(503, json={"error": {"message": f"overloaded by {request.content.decode()}"}})
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    if b'"stream":true' in request.content:
        events = [
            {"choices": [{"index": 0, "delta": {"content": "Hello"}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": usage},
        ]
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=lines.encode())
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
    return httpx.Response(200, json={"choices": [choice], "usage": usage})


class Served:
    """Both listeners of a gateway, each as an httpx client of this process asks it."""

    def __init__(self, more: dict[str, Any] | None = None) -> None:
        self.vendor = FakeVendor(answer)
        self.gateway = make_gateway(Loaded.from_mapping({**CONFIG, **(more or {})}), http_client=self.vendor)
        self.public = public_app(self.gateway, [SmallDoor()])
        self.admin = admin_app(self.gateway)

    def ask(
        self, method: str, path: str, *, admin: bool = False, key: str | None = None, **given: Any
    ) -> httpx.Response:
        """One request."""
        headers = {**({} if key is None else {"authorization": f"Bearer {key}"}), **given.pop("headers", {})}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.admin if admin else self.public)
            async with httpx.AsyncClient(
                transport=transport, base_url=given.pop("base_url", "http://localhost")
            ) as client:
                return await client.request(method, path, headers=headers, **given)

        return asyncio.run(ask())

    def say(self, body: dict[str, Any] | None = None, *, key: str | None = KEY, **given: Any) -> httpx.Response:
        """Ask the small door."""
        asked = {"model": "main", "say": PROMPT, **(body or {})}
        return self.ask("POST", "/v1/chat/completions", key=key, json=asked, **given)


@pytest.fixture
def serve() -> Callable[..., Served]:
    """Makes a gateway; what is given stands in place of parts of its configuration."""
    return Served
