"""What Tencent Cloud's API says of a failure: `Response.Error` with the status 200, or `ErrorMsg` inside a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._json import JSONInvalid, loads
from llmswitch.providers.openai_errors import facts_of as other_facts

__all__ = ["error_in", "facts_of", "read_error", "unwrapped"]


def read_error(status: int, body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    try:
        value = loads(body) if body.strip() else None
    except JSONInvalid:
        return ErrorFacts(status=status, message=body.decode("utf-8", errors="replace"))
    facts = facts_of(value)
    facts.status = status
    return facts


def unwrapped(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What lies in `Response`; a stream has no such wrapper."""
    inner = body.get("Response")
    return inner if isinstance(inner, Mapping) else body


def error_in(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The error that a body, or a frame of a stream, holds; `None` where it holds none."""
    for name in ("Error", "ErrorMsg"):
        found = body.get(name)
        if isinstance(found, Mapping) and (found.get("Code") or found.get("Message") or found.get("Msg")):
            return found
    return None


def facts_of(value: Any) -> ErrorFacts:
    """
    From an error's JSON. The type is what stands before the first dot of the code, since the vendor adds to the rest.

    In the shape of Chat Completions where it is of another than the API's own.
    """
    if not isinstance(value, Mapping):
        return other_facts(value)
    body = unwrapped(value)
    error = error_in(body)
    if error is None:
        return other_facts(value)
    code = str(error.get("Code") or "")[:128]
    message = error.get("Message") or error.get("Msg")
    request_id = body.get("RequestId") or body.get("Id")
    return ErrorFacts(
        code=code or None,
        type=code.partition(".")[0] or None,
        message=message if isinstance(message, str) else "",
        request_id=request_id if isinstance(request_id, str) else None,
    )
