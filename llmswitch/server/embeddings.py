"""Vectors over HTTP, in the words of OpenAI's `/v1/embeddings`."""

from __future__ import annotations

import base64
import struct
from typing import Any

from llmswitch._config import ServerKey
from llmswitch._embedding import EmbedReply
from llmswitch._errors import InvalidRequest, LLMSwitchError
from llmswitch.doors import Door, Refusal

from .answering import Asking, Gateway, Out
from .watch import Entry

__all__ = ["Embeddings"]

_FIELDS = frozenset({"input", "model", "dimensions", "encoding_format", "user"})


class Embeddings(Asking):
    """Errors are said as a door of the same vendor says them."""

    name = "embeddings"

    def __init__(self, gateway: Gateway, door: Door) -> None:
        super().__init__(gateway)
        self._door = door

    def refusal(self, error: LLMSwitchError) -> Refusal:
        """As that door says it."""
        return self._door.refusal(error)

    async def ask(self, body: Any, caller: ServerKey, out: Out, entry: Entry) -> None:
        """The vectors, as numbers or as base64 of their floats, which the SDK asks for."""
        if not isinstance(body, dict):
            raise InvalidRequest("the body must be a JSON object")
        unknown = body.keys() - _FIELDS
        if unknown:
            name = min(unknown)[:100]
            raise InvalidRequest(f"{name!r} is not known here", field=name)
        form = body.get("encoding_format") or "float"
        if form not in ("float", "base64"):
            raise InvalidRequest("encoding_format must be float or base64", field="encoding_format")
        model = self.model(body.get("model"), caller, entry)
        given = body.get("input")
        texts: Any = given if isinstance(given, (str, list)) else []
        options: Any = {} if body.get("dimensions") is None else {"dimensions": body["dimensions"]}
        reply = await self.gateway.client.embed(texts, model=model, tags=[caller.name], **options)
        entry.answered(reply)
        target = f"{reply.provider}:{reply.model}"
        await out.whole(200, _said(reply, target, packed=form == "base64"), {"x-llmswitch-target": target})


def _said(reply: EmbedReply, target: str, *, packed: bool) -> dict[str, Any]:
    tokens = reply.usage.input_tokens or 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(reply.vectors)
        ],
        "model": target,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
