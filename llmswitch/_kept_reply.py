"""Replies as a cache keeps them: which are kept, as what, and how one is given again."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

from ._cache_key import SCHEMA
from ._errors import InvalidRequest
from ._events import ChatEvent, Finish, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallDone
from ._json import JSONInvalid, dumps, loads
from ._messages import Message, Reasoning, Text, ToolCall
from ._reply import ChatReply, Cost, Usage
from ._structured import ResponseFormat

__all__ = ["played", "read_reply", "write_reply"]

_WHOLE = ("stop", "tool_calls")
_NAMES = ("provider", "model", "served_model", "id", "raw_finish_reason")
_COUNTS = tuple(field.name for field in fields(Usage) if field.name != "estimated")


def write_reply(key: str, reply: ChatReply) -> bytes | None:
    """
    What is kept of the reply under that key. `None` where it is not to be given again: it is cut or refused, stitched
    from two, empty, came with a warning, or is not of the form that was asked for.
    """
    if reply.finish_reason not in _WHOLE or reply.stitched or reply.warnings or reply.empty or not _formed(reply):
        return None
    kept: dict[str, Any] = {
        "v": SCHEMA,
        "key": key,
        "message": reply.message.to_dict(),
        "finish_reason": reply.finish_reason,
        "usage": {field.name: getattr(reply.usage, field.name) for field in fields(Usage)},
        "currency": reply.cost.currency if reply.cost is not None else None,
        **{name: getattr(reply, name) for name in _NAMES},
    }
    try:
        return dumps(kept)
    except ValueError:  # a vendor's data that JSON can't hold
        return None


def read_reply(key: str, raw: bytes, response_format: ResponseFormat | None) -> ChatReply | None:
    """The reply again; `None` for what is not one of this version, kept under that key, in the form asked for."""
    try:
        kept = loads(raw)
    except JSONInvalid:
        return None
    if not isinstance(kept, dict) or kept.get("v") != SCHEMA or kept.get("key") != key:
        return None
    message, usage = _message(kept.get("message")), _usage(kept.get("usage"))
    names: dict[str, Any] = {name: kept.get(name) for name in _NAMES}
    texts = [*names.values(), kept.get("currency")]
    if message is None or usage is None or kept.get("finish_reason") not in _WHOLE:
        return None
    if not all(text is None or isinstance(text, str) for text in texts) or not (names["provider"] and names["model"]):
        return None
    currency = kept.get("currency")
    reply = ChatReply(
        message=message,
        finish_reason=kept["finish_reason"],
        usage=usage,
        cost=Cost(Decimal(0), currency) if currency else None,
        response_format=response_format,
        from_cache=True,
        **names,
    )
    return None if reply.empty or not _formed(reply) else reply


def played(reply: ChatReply) -> list[ChatEvent]:
    """What a stream of this reply would have said."""
    said: list[ChatEvent] = []
    calls = 0
    for part in reply.message.parts:
        if isinstance(part, Text) and part.text:
            said.append(TextDelta(part.text))
        elif isinstance(part, Reasoning) and part.text:
            said.append(ReasoningDelta(part.text))
        elif isinstance(part, ToolCall):
            arguments = part.raw_arguments or dumps(part.arguments).decode()
            said += [ToolCallDelta(calls, part.id, part.name, arguments), ToolCallDone(calls, part)]
            calls += 1
    return [*said, Finish(reply.finish_reason, reply.usage)]


def _formed(reply: ChatReply) -> bool:
    """Whether the answer is of the form that was asked for, if any was."""
    try:
        reply.parsed  # noqa: B018 - it is what raises
    except Exception:  # noqa: BLE001 - the caller's own validators may raise anything; he is told when he looks himself
        return False
    return True


def _message(value: object) -> Message | None:
    try:
        message = Message.from_dict(value) if isinstance(value, dict) else None
    except InvalidRequest:
        return None
    return message if message is not None and message.role == "assistant" else None


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict) or not isinstance(value.get("estimated"), bool):
        return None
    counts: dict[str, Any] = {name: value.get(name) for name in _COUNTS}
    if not all(count is None or (type(count) is int and count >= 0) for count in counts.values()):
        return None
    return Usage(**counts, estimated=value["estimated"])
