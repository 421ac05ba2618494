"""What has to be said in words where a vendor can't be told in a field how an answer is to be written."""

from __future__ import annotations

from llmswitch._request import ChatRequest

__all__ = ["json_instruction"]


def json_instruction(request: ChatRequest) -> str | None:
    """
    An instruction for the system, or `None` where none is needed.

    A vendor may refuse its JSON mode where no message speaks of JSON (OpenAI's documentation).
    """
    form = request.response_format
    if form is None or form.schema is not None:
        return None
    spoken = any("json" in message.text.lower() for message in request.messages if message.role != "tool")
    return None if spoken else "Answer in JSON."
