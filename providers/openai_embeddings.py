"""
Vectors by `/embeddings`, as OpenAI has it and others have copied it.

Sources: OpenAI's SDK 3.54.0 (requests, types), gathered 2026-11-27; who has the endpoint is in the providers' files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmswitch._adapter import HTTPRequest, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._embedding import EmbedRequest, VectorAssembly, read_vectors
from llmswitch._errors import InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import Usage
from llmswitch.providers.openai_status import check_status, vendor_facts

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["build_embedding", "parse_embedding"]


def build_embedding(request: EmbedRequest, options: ChatCompletionsOptions, identity: ModelIdentity) -> HTTPRequest:
    """The request for vectors. Raises `InvalidRequest` where it can't be written."""
    body: dict[str, Any] = {"model": identity.model, "input": list(request.texts)}
    if request.dimensions is not None:
        body[options.dimensions_field] = request.dimensions
    if request.input_type is not None:
        body |= options.input_types.get(request.input_type, {"input_type": request.input_type})
    body |= request.extra.get(identity.provider, {})
    try:
        return HTTPRequest(options.embeddings_path.replace("{model}", quote(identity.model, safe="")), dumps(body))
    except ValueError as problem:
        raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None


def parse_embedding(body: Any, request: EmbedRequest, options: ChatCompletionsOptions) -> VectorAssembly:
    """The vectors by their numbers, which say whose they are. Raises `VendorFault` or `NotAnAnswer`."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    check_status(body, options)
    if body.get("error"):
        raise VendorFault(vendor_facts(body, options))
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        raise NotAnAnswer("it has no data")
    by_number = {each.get("index", place): each.get("embedding") for place, each in enumerate(data)}
    if by_number.keys() != set(range(len(data))):
        raise NotAnAnswer("the vectors are not numbered one after another")
    vectors = read_vectors([by_number[number] for number in range(len(data))], request)
    return VectorAssembly(vectors, _usage(body.get("usage")), body)


def _usage(usage: Any) -> Usage:
    """What went in; nothing comes out."""
    counted = usage.get("prompt_tokens", usage.get("total_tokens")) if isinstance(usage, Mapping) else None
    known = isinstance(counted, int) and not isinstance(counted, bool) and counted >= 0
    return Usage(input_tokens=counted if known else None, output_tokens=0)
