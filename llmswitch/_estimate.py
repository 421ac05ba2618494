"""What a request may come to at the most, in tokens, before anybody has counted them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ._capabilities import Capabilities
from ._json import dumps
from ._messages import Message, Text, ToolCall, ToolResult
from ._request import ChatRequest

__all__ = ["Spend", "largest", "of_texts"]

# English has about four bytes a token, Chinese three, code and numbers down to two; less than that has only noise.
_BYTES = 2
_EACH = 8  # what a message or a tool costs beside its words
_PART = 2_000  # an image, a page or some seconds of sound; vendors differ, and few go beyond
_OUTPUT = 16_384  # where neither the caller nor the catalog says how long an answer may be


class Spend(NamedTuple):
    """What an attempt may come to at the most, in tokens."""

    input_tokens: int
    output_tokens: int


def largest(request: ChatRequest, able: Capabilities) -> Spend:
    """An upper bound that holds for ordinary text: what is reserved is given back when the vendor has counted."""
    size = sum(_size(message) for message in request.messages)
    size += sum(_EACH * _BYTES + len(tool.name) + len(dumps(dict(tool.parameters))) for tool in request.tools)
    size += sum(len(tool.description.encode()) for tool in request.tools)
    form = request.response_format
    if form is not None and form.schema is not None:
        size += len(dumps(dict(form.schema)))
    limits = [limit for limit in (request.max_tokens, able.max_output) if limit is not None]
    return Spend(-(-size // _BYTES), min(limits, default=_OUTPUT))


def of_texts(texts: Iterable[str]) -> Spend:
    """The same for texts whose vectors are wanted: nothing is written."""
    return Spend(sum(_EACH - (-len(text.encode("utf-8", "surrogatepass")) // _BYTES) for text in texts), 0)


def _size(message: Message) -> int:
    size = _EACH * _BYTES
    for part in message.parts:
        if isinstance(part, ToolCall):
            size += len(part.name) + len(part.raw_arguments or dumps(part.arguments))
        elif isinstance(part, ToolResult):
            size += sum(len(each.text.encode()) if isinstance(each, Text) else _PART * _BYTES for each in part.parts)
        else:
            text = getattr(part, "text", None)
            size += len(text.encode()) if isinstance(text, str) else _PART * _BYTES
    return size
