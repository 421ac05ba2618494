"""What a Messages server says of a failure: its own shape, and what the proxies before it and copies of it say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._json import JSONInvalid, loads
from llmswitch.providers.openai_errors import facts_of as wrapped_facts

__all__ = ["facts_of", "read_error"]


def read_error(status: int, body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    try:
        value = loads(body) if body.strip() else None
    except JSONInvalid:
        return ErrorFacts(status=status, message=body.decode("utf-8", errors="replace"))
    return replace(facts_of(value), status=status)


def facts_of(value: Any) -> ErrorFacts:
    """
    From an error's JSON: `{"type": "error", "error": {"type", "message", "details"}, "request_id"}`.

    `details.error_code` is the best key where it is there (SDK 2.12.0). The edge proxy before the API leaves the outer
    `type` out, and copies of the API answer in the shape of Chat Completions.
    """
    facts = wrapped_facts(value)
    inner = value.get("error") if isinstance(value, Mapping) else None
    details = inner.get("details") if isinstance(inner, Mapping) else None
    code = details.get("error_code") if isinstance(details, Mapping) else None
    return replace(facts, code=code[:128]) if isinstance(code, str) and code else facts
