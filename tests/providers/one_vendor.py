"""One target whose vendor is played from bytes, for tests of what a provider's file says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from llmswitch import ChatReply, Client, LLMSwitchError, Message
from llmswitch.testing import FakeVendor

# An answer in each of the dialects that are tested through this.
_ANY = {
    "choices": [{"message": {"content": "{}"}}],
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "{}"}]}],
    "candidates": [{"content": {"parts": [{"text": "{}"}]}, "finishReason": "STOP"}],
}
KEY = "CANARY-key-0f4c2a9b7d31e865"


class OneVendor:
    """
    One target whose vendor is played: what it is sent, and what becomes of what it answers.

    `own` is what stands under `[providers.NAME]`.
    """

    def __init__(self, target: str, **own: Any) -> None:
        self.target = target
        self.name = target.partition(":")[0]
        self.requests: list[httpx.Request] = []
        self._own = {"api_key": {"env": "PLAYED_VENDOR_KEY"}, **own}

    def client(self, answer: httpx.Response) -> Client:
        """A client whose vendor gives this answer to everything."""
        content, headers = answer.content, dict(answer.headers)
        vendor = FakeVendor(lambda request: httpx.Response(answer.status_code, headers=headers, content=content))
        self.requests = vendor.requests
        once = {"targets": [self.target], "max_attempts": 1}
        config = {"providers": {self.name: self._own}, "chains": {"once": once}, "default": "once"}
        return Client.from_config(config, http_client=vendor)

    def sent(self, messages: str | Sequence[Message] = "Hi", *, stream: bool = False, **options: Any) -> dict[str, Any]:
        """The body of the request for this call."""
        client = self.client(httpx.Response(200, json=_ANY))
        given = messages if isinstance(messages, str) else list(messages)
        list(client.stream(given, **options)) if stream else client.chat(given, **options)
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body

    def refusal(
        self, status: int, body: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[LLMSwitchError, str | None]:
        """
        The error that this refusal becomes, and how far it reaches: `account` where another model of it is out too,
        `target` where this one alone is, `None` where nobody is.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {"content-type": "application/json", **(headers or {})}
        client = self.client(httpx.Response(status, headers=said, content=content))
        client._setup.target(f"{self.name}:another-model")
        with pytest.raises(LLMSwitchError) as caught:
            client.chat("Hi")
        assert KEY not in f"{caught.value} {caught.value!r}"
        cooling = [each.target for each in client.health() if each.state == "cooling"]
        return caught.value, ("target", "account")[len(cooling) - 1] if cooling else None

    def reply(self, body: Any) -> ChatReply:
        """What becomes of an answer in one piece."""
        return self.client(httpx.Response(200, json=body)).chat("Hi", timeout=3)

    def streamed(self, body: bytes, **options: Any) -> tuple[list[Any], ChatReply]:
        """The events and the reply of a stream of these bytes."""
        client = self.client(httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body))
        with client.stream("Hi", **options) as stream:
            events = list(stream)
        return events, stream.reply
