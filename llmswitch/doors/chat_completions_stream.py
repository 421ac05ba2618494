"""A stream as Chat Completions says it: chunks that each add to one choice, and a last line that says it is all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmswitch._errors import LLMSwitchError
from llmswitch._events import ChatEvent, ReasoningDelta, StreamReset, TextDelta, ToolCallDelta, ToolCallDone
from llmswitch._json import dumps
from llmswitch._reply import ChatReply

from ._failures import began_again

__all__ = ["ChatCompletionsWriter"]


class ChatCompletionsWriter:
    """
    One stream. `chunk`: what is the same in each; `last`: the delta and the reason at the end of a reply; `usage`: the
    tokens of a reply, where they are wanted.
    """

    def __init__(
        self,
        chunk: Mapping[str, Any],
        last: Callable[[ChatReply], tuple[dict[str, Any], str]],
        usage: Callable[[ChatReply], dict[str, Any]] | None,
        failure: Callable[[LLMSwitchError], Mapping[str, Any]],
    ) -> None:
        self._chunk = chunk
        self._last = last
        self._usage = usage
        self._failure = failure
        self._begun: set[int] = set()
        self._over = False

    def begin(self) -> bytes:
        return self._delta({"role": "assistant", "content": ""})

    def event(self, event: ChatEvent) -> bytes:
        if self._over:
            return b""
        match event:
            case TextDelta() if event.text:
                return self._delta({"content": event.text})
            case ReasoningDelta() if event.text:
                return self._delta({"reasoning_content": event.text})
            case ToolCallDelta():
                return self._call(event.index, event.id, event.name, event.arguments)
            case ToolCallDone() if event.index not in self._begun:
                call = event.call
                written = call.raw_arguments.strip() or dumps(call.arguments).decode()
                return self._call(event.index, call.id, call.name, written)
            case StreamReset():
                return self.failed(began_again())
        return b""

    def _call(self, index: int, name: str, function: str, arguments: str) -> bytes:
        """A piece of a call; the first one says whose it is."""
        if index in self._begun:
            return self._delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
        self._begun.add(index)
        called = {"name": function, "arguments": arguments}
        return self._delta({"tool_calls": [{"index": index, "id": name, "type": "function", "function": called}]})

    def end(self, reply: ChatReply) -> bytes:
        if self._over:
            return b""
        self._over = True
        delta, reason = self._last(reply)
        said = self._delta(delta, reason)
        if self._usage is not None:
            said += _frame({**self._chunk, "choices": [], "usage": self._usage(reply)})
        return said + b"data: [DONE]\n\n"

    def failed(self, error: LLMSwitchError) -> bytes:
        if self._over:
            return b""
        self._over = True
        return _frame({"error": self._failure(error)})

    def _delta(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        return _frame({**self._chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def _frame(data: Mapping[str, Any]) -> bytes:
    return b"data: " + dumps(data) + b"\n\n"
