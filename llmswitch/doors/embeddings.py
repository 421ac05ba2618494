"""Vectors of texts as OpenAI's embeddings say them. (OpenAI's Python SDK 3.54.0, checked 2026-11-27.)"""

from __future__ import annotations

import base64
import struct
from typing import Any

from llmswitch._base_client import BaseClient
from llmswitch._embedding import EmbedReply
from llmswitch._errors import InvalidRequest
from llmswitch._json import JSONInvalid, loads

from ._fields import Fields, refuse

__all__ = ["PATH", "embedded", "read_texts"]

PATH = "/embeddings"


def read_texts(body: bytes, client: BaseClient) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """The texts, the options of the call, and what the answer repeats. Raises `InvalidRequest` that names the field."""
    try:
        fields = Fields(loads(body))
    except JSONInvalid as problem:
        raise InvalidRequest(f"the body is no JSON: {problem}") from None
    name, given = fields.need("model", str), fields.need("input", str, list)
    texts = [given] if isinstance(given, str) else given
    if not all(isinstance(text, str) for text in texts):
        refuse("input", "must be a text or a list of texts: tokens are another vendor's")
    size, form = fields.take("dimensions", int), fields.take("encoding_format", str)
    if form not in (None, "float", "base64"):
        refuse("encoding_format", "must be float or base64")
    fields.ignore("user")
    fields.done()
    options: dict[str, Any] = {"model": client.named(name)}
    return texts, options if size is None else {**options, "dimensions": size}, {"model": name, "form": form}


def embedded(reply: EmbedReply, said: dict[str, Any]) -> dict[str, Any]:
    """The vectors as JSON, in the form that was asked for."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if said["form"] == "base64" else vector}
        for index, vector in enumerate(reply.vectors)
    ]
    tokens = reply.usage.input_tokens or 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": said["model"], "data": data, "usage": usage}


def _packed(vector: list[float]) -> str:
    """32-bit floats, little-endian, as base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
