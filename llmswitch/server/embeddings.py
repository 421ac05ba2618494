"""Vectors over HTTP, in the words of OpenAI's `/v1/embeddings`."""

from __future__ import annotations

from typing import Any

from llmswitch._config import ServerKey
from llmswitch._errors import LLMSwitchError
from llmswitch.doors import Door, Refusal
from llmswitch.doors.embeddings import embedded, read_texts

from .answering import Asking, Gateway, Out
from .watch import Entry

__all__ = ["Embeddings"]


class Embeddings(Asking):
    """Errors are said as a door of the same vendor says them."""

    name = "embeddings"

    def __init__(self, gateway: Gateway, door: Door) -> None:
        super().__init__(gateway)
        self._door = door

    def refusal(self, error: LLMSwitchError) -> Refusal:
        """As that door says it."""
        return self._door.refusal(error)

    async def ask(self, body: Any, caller: ServerKey, out: Out, entry: Entry, session: str) -> None:  # noqa: ARG002
        """The vectors, as numbers or as base64 of their floats, which the SDK asks for."""
        asked = read_texts(body)
        del body
        model = self.model(asked.model, caller, entry)
        options: Any = asked.options
        reply = await self.gateway.client.embed(asked.texts, model=model, tags=[caller.name], **options)
        entry.answered(reply)
        target = f"{reply.provider}:{reply.model}"
        await out.whole(200, embedded(asked, reply), {"x-llmswitch-target": target})
