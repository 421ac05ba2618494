"""What Ollama says of a failure: words, and a status beside them where it is said inside a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch.providers import openai_errors

__all__ = ["facts_of", "read_error"]


def read_error(status: int, body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    return openai_errors.read_error(status, body, facts_of)


def facts_of(value: Any) -> ErrorFacts:
    """From an error's JSON: `{"error": "words"}`; of any other shape, as what stands before a server may have it."""
    if not isinstance(value, Mapping) or not isinstance(value.get("error"), str):
        return openai_errors.facts_of(value)
    # the second spelling is that of an error which the daemon passes on (public issue threads)
    codes = (value.get("status_code"), value.get("StatusCode"))
    status = next((code for code in codes if isinstance(code, int) and 400 <= code < 600), None)
    return ErrorFacts(status=status, message=value["error"])
