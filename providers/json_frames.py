"""Events of a stream that hold one JSON object each, for dialects whose answers end by a word of the vendor's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import NotAnAnswer
from llmswitch._assembly import ReplyAssembly
from llmswitch._framing import ServerSentEvent
from llmswitch._json import JSONInvalid, loads

__all__ = ["read_json_frame"]


def read_json_frame(event: ServerSentEvent, assembly: ReplyAssembly) -> Mapping[str, Any] | None:
    """
    The object of an event; `None` where the end of the body cut it: what is missing shows by what is missing.

    Raises `NotAnAnswer` for anything else. Damaged text is warned of.
    """
    try:
        frame = loads(event.data)
    except JSONInvalid as problem:
        if not event.complete:
            return None
        raise NotAnAnswer(f"an event is {problem}") from None
    if event.damaged:
        assembly.damaged()
    if not isinstance(frame, Mapping):
        raise NotAnAnswer("an event is not a JSON object")
    return frame
