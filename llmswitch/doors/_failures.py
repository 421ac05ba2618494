"""An error as a status, and its trail as JSON, for protocols whose SDKs choose their class by the status."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmswitch._errors import (
    AllTargetsFailed,
    BadRequest,
    BudgetExceeded,
    CapabilityMismatch,
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    FirstTokenTimeout,
    InvalidRequest,
    LLMSwitchError,
    LocalOverload,
    ModelGone,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    StreamStalled,
)
from llmswitch._reply import Attempt

__all__ = ["attempts_of", "began_again", "cause_of", "failure", "headers_of", "status_of", "trail_of"]

_STATUSES: tuple[tuple[type[LLMSwitchError], int], ...] = (
    (BadRequest, 400),
    (CapabilityMismatch, 400),
    (ContextTooLong, 400),
    (ContentFiltered, 400),
    (ModelGone, 404),
    (RateLimited, 429),
    (QuotaExhausted, 429),
    (BudgetExceeded, 429),
    (Overloaded, 503),
    (LocalOverload, 503),
    (FirstTokenTimeout, 504),
    (DeadlineExceeded, 504),
    (StreamStalled, 504),
)


_CODES: tuple[tuple[type[LLMSwitchError], str], ...] = (
    (ContextTooLong, "context_length_exceeded"),
    (ContentFiltered, "content_filter"),
    (ModelGone, "model_not_found"),
    (QuotaExhausted, "insufficient_quota"),
)
_CODES_OF_STATUS = {400: "invalid_request", 429: "rate_limit_exceeded", 503: "server_overloaded", 504: "timeout"}
_TYPES = {400: "invalid_request_error", 404: "invalid_request_error", 429: "rate_limit_error"}


def cause_of(error: LLMSwitchError) -> LLMSwitchError:
    """What the targets of a chain agree on, where they do; otherwise the error itself."""
    if isinstance(error, AllTargetsFailed) and error.exceptions:
        causes = [cause_of(inner) for inner in error.exceptions]
        if len({status_of(cause) for cause in causes}) == 1:
            return causes[-1]
    return error


def status_of(error: LLMSwitchError) -> int:
    """
    The status of an error: 4xx where the client's request is at fault or has to wait.

    A key that our vendor refuses is none of the client's, so it is 502 and never 401.
    """
    cause = cause_of(error)
    if isinstance(cause, AllTargetsFailed):
        return 503
    return next((status for kind, status in _STATUSES if isinstance(cause, kind)), 502)


def headers_of(error: LLMSwitchError) -> Mapping[str, str]:
    """The chain has tried what there is to try, so the SDK is told not to try again."""
    wait = cause_of(error).retry_after if error.retry_after is None else error.retry_after
    return {"x-should-retry": "false", **({"retry-after": str(math.ceil(wait))} if wait is not None else {})}


def trail_of(error: LLMSwitchError) -> dict[str, Any]:
    """What was tried before it failed."""
    return {"error": type(error).__name__, "attempts": attempts_of(error.attempts)}


def began_again() -> LLMSwitchError:
    """What ends a stream whose answer begins anew: no protocol here can take back what was said."""
    return LLMSwitchError("the answer began again at another target; this protocol can't say so")


def attempts_of(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """The attempts: targets, classes, statuses and milliseconds."""
    return [
        {
            "target": attempt.target,
            "kind": attempt.kind,
            "error": attempt.error,
            "skipped_because": attempt.skipped_because,
            "status": attempt.status,
            "ms": attempt.end_ms,
        }
        for attempt in attempts
    ]


def failure(error: LLMSwitchError) -> dict[str, Any]:
    """The error as OpenAI's protocols say it, whole or in a stream."""
    cause, status = cause_of(error), status_of(error)
    code = next((code for kind, code in _CODES if isinstance(cause, kind)), None)
    return {
        "message": str(cause),
        "type": _TYPES.get(status, "server_error"),
        "param": cause.field if isinstance(cause, InvalidRequest) else None,
        "code": code or _CODES_OF_STATUS.get(status, "server_error"),
    }
