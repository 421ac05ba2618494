"""What Baidu's older API says of a failure, most often with the status 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._json import JSONInvalid, loads
from llmswitch.providers.openai_errors import facts_of as other_facts

__all__ = ["facts_of", "is_error", "read_error"]


def read_error(status: int, body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    try:
        value = loads(body) if body.strip() else None
    except JSONInvalid:
        return ErrorFacts(status=status, message=body.decode("utf-8", errors="replace"))
    facts = facts_of(value)
    facts.status = status
    return facts


def is_error(body: Mapping[str, Any]) -> bool:
    """Whether what came is an error: `{"error_code": 18, "error_msg": "…"}`."""
    return bool(body.get("error_code"))


def facts_of(value: Any) -> ErrorFacts:
    """From an error's JSON; in the shape of Chat Completions where it is of another than the API's own."""
    if not isinstance(value, Mapping) or ("error_code" not in value and "error_msg" not in value):
        return other_facts(value)
    code, message, request_id = value.get("error_code"), value.get("error_msg"), value.get("id")
    return ErrorFacts(
        code=str(code)[:128] if isinstance(code, (int, str)) and not isinstance(code, bool) and code else None,
        message=message if isinstance(message, str) else "",
        request_id=request_id if isinstance(request_id, str) else None,
    )
