"""What answers say in their headers of how much of a limit is left. Read only where somebody asks: a batch does."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import Field

from ._strict import HeaderName, Strict

__all__ = ["USUAL", "Counted", "Left", "RateHeaders", "read_left"]

Counted: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_MOST = 86_400.0
_EPOCH = 1_000_000_000.0  # a number from here on is a moment, in seconds since 1970
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PAIR = r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)"
_DURATION = rf"(?:{_PAIR})+"


class RateHeaders(Strict):
    """
    The headers of one limit, in lower case. `counts`: what it limits.

    `remaining`: how much is left. `limit`: of how much. `reset`: when it is whole again, as a duration (`6m0s`), in
    seconds, or as a moment (RFC 3339, or seconds since 1970). `per`: seconds for which the limit is, usually a minute;
    without `reset` it has to be said, or the limit is not heeded.
    """

    counts: Counted = "requests"
    remaining: HeaderName
    limit: HeaderName | None = None
    reset: HeaderName | None = None
    per: Annotated[float, Field(gt=0, le=_MOST)] | None = None


# The names that most vendors took over from one another.
USUAL = tuple(
    RateHeaders.model_construct(
        counts=counts,
        remaining=f"x-ratelimit-remaining-{counts}",
        limit=f"x-ratelimit-limit-{counts}",
        reset=f"x-ratelimit-reset-{counts}",
    )
    for counts in ("requests", "tokens")
)


class Left(NamedTuple):
    """
    How much of a limit is left, of how much (`None`: that is not said), in how many seconds it is whole again, and for
    how many it is.
    """

    name: str
    counts: Counted
    remaining: float
    limit: float | None
    seconds: float
    per: float = 60.0


def read_left(headers: Mapping[str, str], known: Iterable[RateHeaders]) -> Iterator[Left]:
    """What the headers of an answer (names in lower case) say; what can't be meant is passed over."""
    for one in known:
        remaining = _number(headers.get(one.remaining))
        if remaining is None:
            continue
        seconds = _until(headers.get(one.reset or "", "").strip(), headers.get("date"))
        seconds = one.per if seconds is None else seconds
        if seconds is not None:
            limit = _number(headers.get(one.limit or ""))
            yield Left(one.remaining, one.counts, remaining, limit or None, seconds, one.per or 60.0)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: str, served: str | None) -> float | None:
    """Seconds until then. A moment is measured against the answer's own date, so a wrong local clock does no harm."""
    if re.fullmatch(_DURATION, text):
        value: float | None = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PAIR, text))
    else:
        value = _number(text)
        if value is None or value >= _EPOCH:
            value = _moment(text, value, served)
    return value if value is not None and value <= _MOST else None


def _moment(text: str, epoch: float | None, served: str | None) -> float | None:
    try:
        until = datetime.fromtimestamp(epoch, UTC) if epoch is not None else datetime.fromisoformat(text)
        now = parsedate_to_datetime(served) if served else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError, OSError):
        return None
