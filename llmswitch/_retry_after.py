"""How long a vendor asks to wait, in every form in which vendors say it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["retry_after", "said_in_words"]

_MOST = 86_400.0
_WORDS = re.compile(
    r"(?:try again|retry|wait)\D{0,20}?(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?)\b",
    re.IGNORECASE,
)
_UNITS = {"ms": 0.001, "mi": 60.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Seconds from a response's headers (names in lower case), or `None`.

    `retry-after-ms` comes before `retry-after`, which is a number or an HTTP date; a date is measured against the
    response's own `date`, so a wrong local clock does no harm. What is not finite, negative or over a day is ignored.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        value = _number(headers.get(name, ""))
        if value is not None and _valid(value / 1000):
            return value / 1000
    for part in _several(headers.get("retry-after", "")):
        value = _number(part)
        if value is None:
            value = _date(part, headers.get("date"))
        if value is not None and _valid(value):
            return value
    return None


def said_in_words(text: str) -> float | None:
    """Seconds from a message such as "Please try again in 7.66s", or `None`."""
    found = _WORDS.search(text)
    if found is None:
        return None
    unit = found[2].lower()
    scale = 0.001 if unit.startswith(("ms", "milli")) else _UNITS[unit[0]]
    value = float(found[1]) * scale
    return value if _valid(value) else None


def _several(value: str) -> list[str]:
    """Two headers of one name arrive joined by a comma, which an HTTP date holds too."""
    parts = [part.strip() for part in value.split(",")]
    return [value.strip(), *parts] if len(parts) > 1 else parts


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _date(text: str, served: str | None) -> float | None:
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(served) if served else datetime.now(UTC)
        seconds = (until - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)


def _valid(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 <= seconds <= _MOST
