"""
Vectors of texts as OpenAI's embeddings say them. (OpenAI's Python SDK 3.54.0, checked 2026-11-27.)

One field is not OpenAI's: `input_type`, without which some vendors make no vectors. Its SDK sends it by `extra_body`.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import Any

from llmswitch._embedding import EmbedReply

from ._fields import Fields, refuse

__all__ = ["PATH", "Texts", "embedded", "read_texts"]

PATH = "/embeddings"


@dataclass(slots=True, frozen=True)
class Texts:
    """What vectors are wanted of: the name of the model, the texts, options of `embed()`, and the form of a vector."""

    model: str
    texts: list[str]
    options: dict[str, Any]
    packed: bool


def read_texts(body: Any) -> Texts:
    """The request, from its JSON. Raises `InvalidRequest` that names the field."""
    fields = Fields(body)
    name, given = fields.need("model", str), fields.need("input", str, list)
    texts = [given] if isinstance(given, str) else given
    if not all(isinstance(text, str) for text in texts):
        refuse("input", "must be a text or a list of texts: tokens are another vendor's")
    options = {"dimensions": fields.take("dimensions", int), "input_type": fields.take("input_type", str)}
    form = fields.take("encoding_format", str)
    if form not in (None, "float", "base64"):
        refuse("encoding_format", "must be float or base64")
    fields.ignore("user")
    fields.done()
    given = {option: value for option, value in options.items() if value is not None}
    return Texts(name, texts, given, form == "base64")


def embedded(asked: Texts, reply: EmbedReply) -> dict[str, Any]:
    """The vectors as JSON, in the form that was asked for."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if asked.packed else vector}
        for index, vector in enumerate(reply.vectors)
    ]
    tokens = reply.usage.input_tokens or 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": asked.model, "data": data, "usage": usage}


def _packed(vector: list[float]) -> str:
    """32-bit floats, little-endian, as base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
