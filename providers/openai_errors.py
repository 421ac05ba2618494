"""What a Chat Completions server says of a failure, in any of the shapes in which it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._json import JSONInvalid, loads

__all__ = ["facts_of", "read_error"]


def read_error(status: int, body: bytes, read: Callable[[Any], ErrorFacts] | None = None) -> ErrorFacts:
    """The facts of a refusal, by `read` (`facts_of`) where it is JSON. A body that is not is taken as words."""
    try:
        value = loads(body) if body.strip() else None
    except JSONInvalid:
        return ErrorFacts(status=status, message=body.decode("utf-8", errors="replace"))
    facts = (read or facts_of)(value)
    facts.status = status
    return facts


def facts_of(value: Any) -> ErrorFacts:
    """
    From an error's JSON: `{"error": {…}}`, `{"error": "words"}`, the same without the wrapper, `{"detail": …}`, a
    list with one error, or a bare string.
    """
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return ErrorFacts(message=value)
    if not isinstance(value, Mapping):
        return ErrorFacts()
    inner = value.get("error") or value.get("errors")  # the plural: ModelScope
    if isinstance(inner, str):
        word = inner if len(inner) <= 64 else None  # a sentence is no code, and a part of one might be part of a key
        return ErrorFacts(message=_words(value.get("message")) or inner, code=_word(value.get("code")) or word)
    said: Mapping[str, Any] = inner if isinstance(inner, Mapping) else value
    message = next((_words(said[key]) for key in ("message", "msg", "detail", "title") if said.get(key)), "")
    return ErrorFacts(
        code=_word(said.get("code")),
        type=_word(said.get("type")),
        message=message,
        param=_word(said.get("param")),
        request_id=_word(value.get("request_id") or value.get("id") or said.get("request_id") or value.get("sid")),
    )


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)[:128] or None


def _words(value: Any) -> str:
    if isinstance(value, list):  # FastAPI: a list of {"loc", "msg", "type"}
        return "; ".join(_phrase(item) for item in value[:5])
    return _phrase(value)


def _phrase(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("msg") or value.get("message")
    return value if isinstance(value, str) else ""
