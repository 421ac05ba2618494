"""What Google's APIs say of a failure: a status by name, and details that are told apart by `@type`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts
from llmswitch._json import JSONInvalid, loads

__all__ = ["facts_of", "read_error"]

_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_LONGEST = 86_400.0


def read_error(status: int, body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    try:
        facts = facts_of(loads(body) if body.strip() else None)
    except JSONInvalid:
        facts = ErrorFacts(message=body.decode("utf-8", errors="replace"))
    facts.status = status
    return facts


def facts_of(value: Any) -> ErrorFacts:
    """
    From an error's JSON: `{"error": {"code", "message", "status", "details"}}`, or a list that holds it alone.

    `type` is the name of the status, `code` the reason among the details, or the quota that was exceeded: one of a day
    before any other.
    """
    if isinstance(value, list) and value:
        value = value[0]
    said = value.get("error") if isinstance(value, Mapping) else None
    if isinstance(said, str):
        return ErrorFacts(message=said)
    if not isinstance(said, Mapping):
        return ErrorFacts()
    number, kind, message = said.get("code"), said.get("status"), said.get("message")
    details = [each for each in _list(said.get("details")) if isinstance(each, Mapping)]
    quotas = [quota for quota in _quotas(details) if quota]
    reasons = [each["reason"] for each in details if isinstance(each.get("reason"), str)]
    daily = [quota for quota in quotas if "perday" in quota.lower()]
    code = next(iter([*daily, *reasons, *quotas]), None)
    return ErrorFacts(
        status=number if isinstance(number, int) and 400 <= number < 600 else None,
        code=code[:128] if code else None,
        type=kind[:128] or None if isinstance(kind, str) else None,
        message=message if isinstance(message, str) else "",
        retry_after=next((wait for each in details if (wait := _delay(each)) is not None), None),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _quotas(details: list[Mapping[str, Any]]) -> Iterator[str]:
    for each in details:
        for violation in _list(each.get("violations")):
            quota = violation.get("quotaId") if isinstance(violation, Mapping) else None
            if isinstance(quota, str):
                yield quota


def _delay(detail: Mapping[str, Any]) -> float | None:
    """A duration such as `45.837906927s`; there is no header that says it."""
    said = detail.get("retryDelay")
    found = _SECONDS.fullmatch(said) if isinstance(said, str) else None
    seconds = float(found[1]) if found is not None else _LONGEST + 1
    return seconds if seconds <= _LONGEST else None
