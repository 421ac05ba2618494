"""What DashScope's native API says of a failure: `{"code", "message", "request_id"}`, flat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._json import JSONInvalid, loads
from llmswitch.providers.openai_errors import facts_of

__all__ = ["facts_of", "is_error", "read_error"]


def read_error(status: int, body: bytes) -> ErrorFacts:
    """
    The facts of a refusal: a JSON object, or one in an event of a stream (the SDK reads both). What is neither is taken
    as words.
    """
    text = body.strip()
    for line in text.split(b"\n"):
        if line.startswith(b"data:"):
            text = line.removeprefix(b"data:")
    try:
        value = loads(text) if text else None
    except JSONInvalid:
        return ErrorFacts(status=status, message=body.decode("utf-8", errors="replace"))
    facts = facts_of(value)
    facts.status = status
    return facts


def is_error(body: Mapping[str, Any]) -> bool:
    """Whether what came is an error, which may have the status 200; a `code` that is empty is none."""
    return bool(body.get("code")) or bool(body.get("error"))
