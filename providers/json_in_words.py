"""What has to be said in words where a vendor can't be told in a field how an answer is to be written."""

from __future__ import annotations

from llmswitch._json import dumps
from llmswitch._request import ChatRequest

__all__ = ["json_instruction"]


def json_instruction(request: ChatRequest, *, insists: bool = False) -> str | None:
    """
    An instruction for the system, or `None` where none is needed.

    A schema that the vendor does not hold to is written out. `insists`: a vendor refuses its JSON mode where no message
    speaks of JSON.
    """
    form = request.response_format
    if form is None or (form.schema is not None and form.enforced):
        return None
    if form.schema is not None:
        schema = dumps(dict(form.schema)).decode()
        return f"Answer with one JSON value, and nothing else, that fits this JSON schema:\n{schema}"
    spoken = any("json" in message.text.lower() for message in request.messages if message.role != "tool")
    return "Answer in JSON." if insists and not spoken else None
