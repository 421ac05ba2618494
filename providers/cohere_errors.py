"""What Cohere says of a failure: `{"message", "id"}`, and by which moment a limit is lifted."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from llmswitch._adapter import ErrorFacts
from llmswitch.providers import openai_errors
from llmswitch.providers.openai_errors import facts_of

__all__ = ["facts_of", "read_error"]

_MOST = 86_400.0  # what is further away is looked at again after a day


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
    """The facts of a refusal. A body that is not JSON is taken as words."""
    facts = openai_errors.read_error(status, body)
    if status == 429:
        facts.retry_after = _until_reset(headers)
    return facts


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds to the Unix time in `x-ratelimit-reset` (SDK), measured against the response's own date."""
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not reset.isascii() or not reset.isdigit() or len(reset) > 12:
        return None
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        return None
    wait = int(reset) - now
    return min(wait, _MOST) if wait > 0 else None
