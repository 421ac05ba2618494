"""A stream as Messages says it: blocks that begin, grow and end, in an envelope of events about the message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from llmswitch._errors import LLMSwitchError
from llmswitch._events import ChatEvent, ReasoningDelta, StreamReset, TextDelta, ToolCallDelta, ToolCallDone
from llmswitch._json import dumps
from llmswitch._reply import ChatReply

from ._failures import began_again

__all__ = ["MessagesWriter"]


class MessagesWriter:
    """
    One stream. `message`: the message before anything of it came; `close`: the last `message_delta` of a reply.
    `envelope`: its envelope, where it has one.

    The first thinking block stays open to the end: its signature holds what is opaque, which is known only then.
    """

    def __init__(
        self,
        message: Mapping[str, Any],
        close: Callable[[ChatReply], dict[str, Any]],
        envelope: Callable[[ChatReply], str | None],
        failure: Callable[[LLMSwitchError], Mapping[str, Any]],
    ) -> None:
        self._message = message
        self._close = close
        self._envelope = envelope
        self._failure = failure
        self._next = 0
        self._open: tuple[Literal["text", "thinking"], int] | None = None
        self._signed: int | None = None
        self._calls: dict[int, int] = {}
        self._done: set[int] = set()
        self._over = False

    def begin(self) -> bytes:
        return _frame({"type": "message_start", "message": self._message}) + _frame({"type": "ping"})

    def event(self, event: ChatEvent) -> bytes:
        if self._over:
            return b""
        match event:
            case TextDelta() if event.text:
                return self._grow("text", {"type": "text_delta", "text": event.text})
            case ReasoningDelta() if event.text:
                return self._grow("thinking", {"type": "thinking_delta", "thinking": event.text})
            case ToolCallDelta():
                return self._call(event)
            case ToolCallDone():
                said = b"" if event.index in self._calls else self._call(_whole(event))
                return said + self._stop_call(event.index)
            case StreamReset():
                return self.failed(began_again())
        return b""

    def end(self, reply: ChatReply) -> bytes:
        if self._over:
            return b""
        self._over = True
        said = self._stop_open()
        for index in self._calls:
            said += self._stop_call(index)
        envelope = self._envelope(reply)
        if self._signed is not None:
            if envelope is not None:
                said += self._delta(self._signed, {"type": "signature_delta", "signature": envelope})
            said += self._stop(self._signed)
        elif envelope is not None:
            index, start = self._start({"type": "redacted_thinking", "data": envelope})
            said += start + self._stop(index)
        return said + _frame(self._close(reply)) + _frame({"type": "message_stop"})

    def failed(self, error: LLMSwitchError) -> bytes:
        self._over = True
        return _frame(self._failure(error))

    def _grow(self, kind: Literal["text", "thinking"], delta: Mapping[str, Any]) -> bytes:
        said = b""
        if self._open is None or self._open[0] != kind:
            said = self._stop_open()
            empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}[kind]
            index, start = self._start({"type": kind, **empty})
            said += start
            self._open = kind, index
            if kind == "thinking" and self._signed is None:
                self._signed = index
        return said + self._delta(self._open[1], delta)

    def _call(self, event: ToolCallDelta) -> bytes:
        said = b""
        if event.index not in self._calls:
            said = self._stop_open()
            self._calls[event.index], start = self._start(
                {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            )
            said += start
        if event.arguments:
            delta = {"type": "input_json_delta", "partial_json": event.arguments}
            said += self._delta(self._calls[event.index], delta)
        return said

    def _stop_call(self, index: int) -> bytes:
        if index in self._done:
            return b""
        self._done.add(index)
        return self._stop(self._calls[index])

    def _stop_open(self) -> bytes:
        if self._open is None:
            return b""
        (_, index), self._open = self._open, None
        return b"" if index == self._signed else self._stop(index)

    def _start(self, block: Mapping[str, Any]) -> tuple[int, bytes]:
        index, self._next = self._next, self._next + 1
        return index, _frame({"type": "content_block_start", "index": index, "content_block": block})

    def _delta(self, index: int, delta: Mapping[str, Any]) -> bytes:
        return _frame({"type": "content_block_delta", "index": index, "delta": delta})

    def _stop(self, index: int) -> bytes:
        return _frame({"type": "content_block_stop", "index": index})


def _whole(event: ToolCallDone) -> ToolCallDelta:
    call = event.call
    return ToolCallDelta(event.index, call.id, call.name, dumps(call.arguments).decode())


def _frame(event: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), dumps(event))
