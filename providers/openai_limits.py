"""
What a Chat Completions vendor says of its limits beside the error itself: allowances in headers, resets in words.

Facts: public gateways and issue threads, gathered 2026-11-23 (ModelScope's `modelscope-ratelimit-…-remaining`;
Zhipu's "…reset at 2026-09-07 17:00:30", which is the vendor's wall clock).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from llmswitch._adapter import ErrorFacts

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["add_limits"]

_MOMENT = r"(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2})(?::(\d{2}))?"
_MOST = timedelta(days=1)  # what is further away is looked at again after a day


def add_limits(facts: ErrorFacts, headers: Mapping[str, str], options: ChatCompletionsOptions) -> None:
    """Adds what the headers and the words of a refusal say of a limit, where the vendor is known to say it so."""
    spent = next((name for name in options.spent_headers if headers.get(name, "").strip() == "0"), None)
    if spent is not None and facts.status == 429:
        facts.message = f"{facts.code}: {facts.message}" if facts.code else facts.message
        facts.code = spent
    if options.reset_clock is not None and facts.retry_after is None:
        facts.retry_after = _until_reset(facts.message, headers.get("date", ""), options.reset_clock)


def _until_reset(message: str, served: str, hours_east: float) -> float | None:
    """Seconds from the response's own date to the moment that the message names; at most a day."""
    found = re.search(_MOMENT, message)
    if found is None:
        return None
    try:
        now = parsedate_to_datetime(served)
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        named = datetime(year, month, day, hour, minute, second, tzinfo=timezone(timedelta(hours=hours_east)))
    except (ValueError, TypeError):
        return None
    wait = named - (now if now.tzinfo is not None else now.replace(tzinfo=UTC))
    return min(wait, _MOST).total_seconds() if wait > timedelta(0) else None
