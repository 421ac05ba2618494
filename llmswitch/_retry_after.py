"""How long a vendor asks to wait, in every form in which vendors say it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ._log import warn_once
from ._scrub import scrub

__all__ = ["retry_after", "said_in_words"]

_NAMES = ("retry-after-ms", "x-ms-retry-after-ms", "retry-after")
_MOST = 86_400.0
_NUMBER, _UNIT = r"\d+(?:\.\d+)?", r"ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?"
# compiled for the first failure, and kept by `re`
_WORDS = rf"(?i)(?:try again|retry|wait)\D{{0,20}}?((?:{_NUMBER}\s*(?:{_UNIT})(?![a-z])(?:,? and |,? )?)+)"
_PAIRS = rf"(?i)({_NUMBER})\s*({_UNIT})(?![a-z])"


def retry_after(headers: Mapping[str, str], who: str = "a vendor") -> float | None:
    """
    Seconds from a response's headers (names in lower case), or `None`.

    `retry-after-ms` comes before `retry-after`, which is a number or an HTTP date; a date is measured against the
    response's own `date`, so a wrong local clock does no harm. What is not finite, negative or over a day is ignored,
    and logged once for each `who`.
    """
    for name in _NAMES[:2]:
        for part in _several(headers.get(name, "")):
            value = _number(part)
            if value is not None and _valid(value / 1000):
                return value / 1000
    for part in _several(headers.get("retry-after", "")):
        value = _number(part)
        if value is None:
            value = _date(part, headers.get("date"))
        if value is not None and _valid(value):
            return value
    ignored = next((name for name in _NAMES if name in headers), None)
    if ignored is not None:
        said = scrub(headers[ignored])[:40]
        warn_once("wait", who, "%s: %s %r can't be meant; it is ignored", who, ignored, said)
    return None


def said_in_words(text: str) -> float | None:
    """Seconds from a message such as "Please try again in 7.66s" or "in 1m30s", or `None`."""
    found = re.search(_WORDS, text)
    if found is None:
        return None
    value = sum(float(number) * _seconds_in(unit.lower()) for number, unit in re.findall(_PAIRS, found[1]))
    return value if _valid(value) else None


def _seconds_in(unit: str) -> float:
    return 0.001 if unit.startswith(("ms", "milli")) else {"s": 1.0, "m": 60.0, "h": 3600.0}[unit[0]]


def _several(value: str) -> list[str]:
    """Two headers of one name arrive joined by a comma, which an HTTP date holds too."""
    parts = [part.strip() for part in value.split(",")]
    return [value.strip(), *parts] if len(parts) > 1 else parts


def _number(text: str) -> float | None:
    try:
        return float(text) if text.isascii() and "_" not in text else None
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
