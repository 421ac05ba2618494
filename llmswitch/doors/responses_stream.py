"""A stream as Responses says it: items that are added, grow and are done, each event with its number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from llmswitch._errors import LLMSwitchError
from llmswitch._events import ChatEvent, ReasoningDelta, StreamReset, TextDelta, ToolCallDelta, ToolCallDone
from llmswitch._json import dumps
from llmswitch._reply import ChatReply

from ._failures import began_again
from .responses_items import call_item, message_item, output_text, reasoning_item

__all__ = ["ResponsesWriter"]

Ended = Callable[[Mapping[str, Any], ChatReply, Sequence[Mapping[str, Any]]], dict[str, Any]]


class _Item:
    """An item that is being written."""

    __slots__ = ("call_id", "done", "index", "item_id", "kind", "name", "pieces")

    def __init__(self, kind: Literal["message", "reasoning", "call"], index: int, call_id: str, name: str) -> None:
        self.kind = kind
        self.index = index
        self.call_id = call_id
        self.name = name
        self.item_id = ""
        self.pieces: list[str] = []
        self.done: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def as_json(self, response: str, envelope: str | None = None) -> dict[str, Any]:
        match self.kind:
            case "message":
                return message_item(response, self.index, self.text)
            case "reasoning":
                return reasoning_item(response, self.index, self.text, envelope)
        return call_item(response, self.index, self.call_id, self.name, self.text)


class ResponsesWriter:
    """
    One stream. `begun`: the response before anything of it came; `ended`: the same when it is whole.
    `envelope`: that of a reply, where it has one.

    Reasoning items are done last: the first holds what is opaque, which is known only then, and the others keep their
    place behind it, as some clients keep items in the order in which they are done.
    """

    def __init__(
        self,
        begun: Mapping[str, Any],
        ended: Ended,
        envelope: Callable[[ChatReply], str | None],
        failure: Callable[[LLMSwitchError], Mapping[str, Any]],
    ) -> None:
        self._begun = begun
        self._name: str = begun["id"]
        self._ended = ended
        self._envelope = envelope
        self._failure = failure
        self._items: list[_Item] = []
        self._open: _Item | None = None
        self._thoughts: list[_Item] = []
        self._calls: dict[int, _Item] = {}
        self._number = 0
        self._over = False

    def begin(self) -> bytes:
        return self._say("response.created", response=self._begun) + self._say(
            "response.in_progress", response=self._begun
        )

    def event(self, event: ChatEvent) -> bytes:
        if self._over:
            return b""
        match event:
            case TextDelta() if event.text:
                return self._grow("message", event.text)
            case ReasoningDelta() if event.text:
                return self._grow("reasoning", event.text)
            case ToolCallDelta():
                return self._call(event.index, event.id, event.name, event.arguments)
            case ToolCallDone():
                call, said = event.call, b""
                if event.index not in self._calls:
                    written = call.raw_arguments.strip() or dumps(call.arguments).decode()
                    said = self._call(event.index, call.id, call.name, written)
                return said + self._close_call(self._calls[event.index])
            case StreamReset():
                return self.failed(began_again())
        return b""

    def end(self, reply: ChatReply) -> bytes:
        if self._over:
            return b""
        self._over = True
        said = self._close_open()
        for item in self._calls.values():
            said += self._close_call(item)
        envelope = self._envelope(reply)
        if not self._thoughts and envelope is not None:
            item, added = self._add("reasoning")
            self._thoughts.append(item)
            said += added
        for item in self._thoughts:
            said += self._done(item, envelope)
            envelope = None
        response = self._ended(self._begun, reply, [item.done for item in self._items if item.done is not None])
        return said + self._say(f"response.{response['status']}", response=response)

    def failed(self, error: LLMSwitchError) -> bytes:
        """Both words that the protocol has for it. The SDK raises for the second, where it has a field `error`."""
        self._over = True
        failure = self._failure(error)
        code = "rate_limit_exceeded" if failure["code"] == "rate_limit_exceeded" else "server_error"
        output = [item.done for item in self._items if item.done is not None]
        response = {
            **self._begun,
            "status": "failed",
            "error": {"code": code, "message": failure["message"]},
            "output": output,
        }
        words = {name: failure[name] for name in ("code", "message", "param")}
        return self._say("response.failed", response=response) + self._say("error", **words, error=failure)

    def _grow(self, kind: Literal["message", "reasoning"], text: str) -> bytes:
        said = b""
        item = self._open
        if item is None or item.kind != kind:
            said = self._close_open()
            item, added = self._add(kind)
            said += added
            place: dict[str, Any] = {"item_id": item.item_id, "output_index": item.index}
            if kind == "message":
                said += self._say("response.content_part.added", **place, content_index=0, part=output_text(""))
            else:
                part = {"type": "summary_text", "text": ""}
                said += self._say("response.reasoning_summary_part.added", **place, summary_index=0, part=part)
                self._thoughts.append(item)
            self._open = item
        item.pieces.append(text)
        place = {"item_id": item.item_id, "output_index": item.index}
        if kind == "message":
            return said + self._say("response.output_text.delta", **place, content_index=0, delta=text, logprobs=[])
        return said + self._say("response.reasoning_summary_text.delta", **place, summary_index=0, delta=text)

    def _call(self, index: int, call_id: str, name: str, arguments: str) -> bytes:
        said = b""
        item = self._calls.get(index)
        if item is None:
            said = self._close_open()
            item, added = self._add("call", call_id, name)
            said += added
            self._calls[index] = item
        item.name = name
        if arguments:
            item.pieces.append(arguments)
            place = {"item_id": item.item_id, "output_index": item.index}
            said += self._say("response.function_call_arguments.delta", **place, delta=arguments)
        return said

    def _add(
        self, kind: Literal["message", "reasoning", "call"], call_id: str = "", name: str = ""
    ) -> tuple[_Item, bytes]:
        item = _Item(kind, len(self._items), call_id, name)
        self._items.append(item)
        empty = item.as_json(self._name)
        item.item_id = empty["id"]
        if kind != "reasoning":
            empty["status"] = "in_progress"
        if kind == "message":
            empty["content"] = []
        return item, self._say("response.output_item.added", output_index=item.index, item=empty)

    def _close_open(self) -> bytes:
        item, self._open = self._open, None
        if item is None:
            return b""
        place = {"item_id": item.item_id, "output_index": item.index}
        if item.kind == "message":
            text = self._say("response.output_text.done", **place, content_index=0, text=item.text, logprobs=[])
            part: dict[str, Any] = output_text(item.text)
            return (
                text + self._say("response.content_part.done", **place, content_index=0, part=part) + self._done(item)
            )
        said = self._say("response.reasoning_summary_text.done", **place, summary_index=0, text=item.text)
        part = {"type": "summary_text", "text": item.text}
        said += self._say("response.reasoning_summary_part.done", **place, summary_index=0, part=part)
        return said

    def _close_call(self, item: _Item) -> bytes:
        if item.done is not None:
            return b""
        place = {"item_id": item.item_id, "output_index": item.index}
        if not item.text.strip():  # clients parse it
            item.pieces = ["{}"]
        written = self._say("response.function_call_arguments.done", **place, name=item.name, arguments=item.text)
        return written + self._done(item)

    def _done(self, item: _Item, envelope: str | None = None) -> bytes:
        item.done = item.as_json(self._name, envelope)
        return self._say("response.output_item.done", output_index=item.index, item=item.done)

    def _say(self, kind: str, **fields: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps(event))
