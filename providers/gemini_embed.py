"""
Vectors by Gemini's `batchEmbedContents`: a request in the request for each text.

Sources: google-genai 3.4.0 (converters) and the vendor's documentation of embeddings, gathered 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._embedding import EmbedRequest, InputType, VectorAssembly, read_vectors
from llmswitch._reply import Usage
from llmswitch.providers.gemini_errors import facts_of
from llmswitch.providers.gemini_reply import convert_usage

__all__ = ["embedding_body", "parse_embedding"]

_TASKS: Mapping[InputType, str] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


def embedding_body(request: EmbedRequest, identity: ModelIdentity) -> dict[str, Any]:
    """The body. What `extra` says, such as another `taskType`, is said of each text."""
    alike: dict[str, Any] = {"model": f"models/{identity.model}"}
    if request.input_type is not None:
        alike["taskType"] = _TASKS[request.input_type]
    if request.dimensions is not None:
        alike["outputDimensionality"] = request.dimensions
    alike |= request.extra.get(identity.provider, {})
    return {"requests": [{**alike, "content": {"role": "user", "parts": [{"text": text}]}} for text in request.texts]}


def parse_embedding(body: Any, request: EmbedRequest) -> VectorAssembly:
    """The vectors, in the order of the texts. Raises `VendorFault` or `NotAnAnswer`."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if body.get("error"):
        raise VendorFault(facts_of(body))
    found = body.get("embeddings")
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise NotAnAnswer("it has no embeddings")
    vectors = read_vectors([each.get("values") for each in found], request)
    usage = body.get("usageMetadata")
    counted = convert_usage(usage if isinstance(usage, Mapping) else {}).input_tokens
    return VectorAssembly(vectors, Usage(input_tokens=counted, output_tokens=0), body)
