"""What Bedrock says of a failure: its type in a header or in the body, and in exceptions inside a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._framing import EventStreamMessage
from llmswitch._json import JSONInvalid, loads

__all__ = ["facts_of", "read_error", "stream_facts"]


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    kind = headers.get("x-amzn-errortype")
    try:
        value = loads(body) if body.strip() else None
    except JSONInvalid:
        facts = ErrorFacts(message=body.decode("utf-8", errors="replace"))
    else:
        facts = facts_of(value)
    return replace(facts, status=status, type=_name(kind) if kind else facts.type)


def facts_of(value: Any) -> ErrorFacts:
    """From an error's JSON: `{"message"}` or `{"Message"}`, and `__type` where a gateway put the type into it."""
    if not isinstance(value, Mapping):
        return ErrorFacts()
    message = value.get("message") or value.get("Message") or value.get("originalMessage")
    kind = value.get("__type")
    return ErrorFacts(
        type=_name(kind) if isinstance(kind, str) else None, message=message if isinstance(message, str) else ""
    )


def stream_facts(message: EventStreamMessage) -> ErrorFacts:
    """From a frame that says that something went wrong: an exception with a payload, or an error in its headers."""
    try:
        facts = facts_of(loads(message.payload)) if message.payload else ErrorFacts()
    except JSONInvalid:
        facts = ErrorFacts()
    headers = message.headers
    kind = headers.get(":exception-type") or headers.get(":error-code")
    said = facts.message or headers.get(":error-message", "")
    return replace(facts, type=_name(kind) if kind else facts.type, message=said)


def _name(kind: str) -> str | None:
    """`com.amazon#ThrottlingException:http://…` is a `ThrottlingException`."""
    return kind.partition(":")[0].rpartition("#")[2].strip()[:128] or None
