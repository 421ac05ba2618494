"""
Vectors by Cohere's `/v2/embed`. What the texts are for has to be said, and what is too long is refused, not cut.

Sources: Cohere's SDK 7.3.1 (requests, types), gathered 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import HTTPRequest, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._embedding import EmbedRequest, InputType, VectorAssembly, read_vectors
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import Usage
from llmswitch.providers.cohere_errors import facts_of
from llmswitch.providers.cohere_reply import convert_usage

__all__ = ["build_embedding", "parse_embedding"]

_INPUT_TYPES: Mapping[InputType, str] = {"query": "search_query", "document": "search_document"}


def build_embedding(request: EmbedRequest, identity: ModelIdentity) -> HTTPRequest:
    """The request for vectors. Raises `CapabilityMismatch` where nobody said what the texts are for."""
    extra = request.extra.get(identity.provider, {})
    body: dict[str, Any] = {"model": identity.model, "texts": list(request.texts)}
    if request.input_type is not None:
        body["input_type"] = _INPUT_TYPES[request.input_type]
    elif "input_type" not in extra:
        raise CapabilityMismatch(
            "input_type: it has to be said here what the texts are for: pass input_type='document' for texts that are "
            "to be found, 'query' for those to find them by"
        )
    body |= {"embedding_types": ["float"], "truncate": "NONE"}
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    try:
        return HTTPRequest("/v2/embed", dumps({**body, **extra}))
    except ValueError as problem:
        raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None


def parse_embedding(body: Any, request: EmbedRequest) -> VectorAssembly:
    """The vectors, in the order of the texts. Raises `VendorFault` or `NotAnAnswer`."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if isinstance(body.get("message"), str):
        raise VendorFault(facts_of(body))
    kinds = body.get("embeddings")
    found = kinds.get("float") if isinstance(kinds, Mapping) else None
    if not isinstance(found, list):
        raise NotAnAnswer("it has no embeddings of floats")
    meta = body.get("meta")
    counted = convert_usage(meta if isinstance(meta, Mapping) else {}).input_tokens
    return VectorAssembly(read_vectors(found, request), Usage(input_tokens=counted, output_tokens=0), body)
