"""A time limit around several calls: whatever runs inside inherits what is left of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

from ._errors import InvalidRequest

__all__ = ["deadline", "inherited", "is_span"]

_by: ContextVar[float | None] = ContextVar("llmswitch_deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """
    Every call that begins inside ends within so many seconds, however long its own `timeout`; nested ones only shorten.

        with llmswitch.deadline(20):
            draft = client.chat(question)
            final = client.chat([...])      # has what the first has left

    It holds for the task or thread that enters it, and for tasks that are made inside. Raises `InvalidRequest` for what
    is not a number greater than 0.
    """
    if not is_span(seconds):
        raise InvalidRequest("deadline() takes a number of seconds greater than 0", field="seconds")
    by, outer = monotonic() + seconds, _by.get()
    token = _by.set(by if outer is None else min(by, outer))
    try:
        yield
    finally:
        _by.reset(token)


def is_span(seconds: object) -> bool:
    """Whether it is a number of seconds that a limit can be."""
    return isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds < math.inf


def inherited() -> float | None:
    """Monotonic seconds by which a call that begins now has to end; `None` where nobody said."""
    return _by.get()
