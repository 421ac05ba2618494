"""Vectors by Ollama's `/api/embed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import HTTPRequest, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._embedding import EmbedRequest, VectorAssembly, read_vectors
from llmswitch._errors import InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import Usage
from llmswitch.providers.ollama_errors import facts_of
from llmswitch.providers.ollama_reply import convert_usage

if TYPE_CHECKING:
    from llmswitch.providers.ollama import OllamaOptions

__all__ = ["build_embedding", "parse_embedding"]


def build_embedding(request: EmbedRequest, options: OllamaOptions, identity: ModelIdentity) -> HTTPRequest:
    """The request for vectors; of what is sent with every request, that which concerns them (SDK 0.6.3)."""
    body: dict[str, Any] = {"model": identity.model, "input": list(request.texts)}
    if not options.cuts:
        body["truncate"] = False
    body |= {name: value for name, value in options.body.items() if name in ("keep_alive", "options")}
    if options.num_ctx is not None:
        body["options"] = {**body.get("options", {}), "num_ctx": options.num_ctx}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    body |= request.extra.get(identity.provider, {})
    try:
        return HTTPRequest("/api/embed", dumps(body))
    except ValueError as problem:
        raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None


def parse_embedding(body: Any, request: EmbedRequest) -> VectorAssembly:
    """The vectors, in the order of the texts. Raises `VendorFault` or `NotAnAnswer`."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if body.get("error"):
        raise VendorFault(facts_of(body))
    found = body.get("embeddings")
    if not isinstance(found, list):
        raise NotAnAnswer("it has no embeddings")
    counted = convert_usage(body).input_tokens
    return VectorAssembly(read_vectors(found, request), Usage(input_tokens=counted, output_tokens=0), body)
