"""Puts one answer together from its pieces, in the order in which they came, and says what is new as events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._chat_shape import read_arguments
from ._events import ChatEvent, Finish, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallDone
from ._messages import Message, Part, Reasoning, Text, ToolCall, VendorData, VendorPart
from ._reply import ChatReply, ChatWarning, FinishReason, Usage

__all__ = ["BadArguments", "ReplyAssembly"]


class BadArguments(Exception):
    """A tool call ended with arguments that are not a JSON object; `raw` is the vendor's text."""

    def __init__(self, name: str, raw: str) -> None:
        super().__init__(name)
        self.name = name
        self.raw = raw


class _OpenText:
    """Text or reasoning that is still growing. Pieces are joined once, at the end."""

    __slots__ = ("kind", "pieces", "vendor")

    def __init__(self, kind: type[Text | Reasoning]) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.vendor: VendorData | None = None

    def close(self, author: VendorData | None) -> Part:
        """What it is; a thought that nobody signed is its author's, so that it goes to nobody else."""
        vendor = author if self.vendor is None and self.kind is Reasoning else self.vendor
        return self.kind("".join(self.pieces), vendor)


class _OpenCall:
    """A tool call that is still being written."""

    __slots__ = ("done", "id", "index", "name", "pieces", "vendor")

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.pieces: list[str] = []
        self.vendor: VendorData | None = None
        self.done: ToolCall | None = None


class ReplyAssembly:
    """
    The answer so far. A whole answer is put in by the same methods as a stream, so the two can't differ.

    `finish_reason` is `None` until the vendor said that the answer is whole.
    """

    __slots__ = (
        "_calls",
        "_open",
        "_parts",
        "characters",
        "finish_reason",
        "id",
        "raw",
        "raw_finish_reason",
        "served_model",
        "usage",
        "warnings",
    )

    def __init__(self) -> None:
        self._parts: list[_OpenText | _OpenCall | VendorPart] = []
        self._open: _OpenText | None = None
        self._calls: dict[object, _OpenCall] = {}
        self.characters = 0
        self.finish_reason: FinishReason | None = None
        self.raw_finish_reason: str | None = None
        self.id: str | None = None
        self.served_model: str | None = None
        self.usage = Usage()
        self.raw: Mapping[str, Any] = {}
        self.warnings: list[ChatWarning] = []

    def text(self, piece: str) -> TextDelta:
        """More text."""
        current = self._open
        if current is not None and current.kind is Text:  # what nearly every event of a stream is
            current.pieces.append(piece)
            self.characters += len(piece)
        else:
            self._grow(Text, piece)
        return TextDelta(piece)

    def reasoning(self, piece: str) -> ReasoningDelta:
        """More of the model's thinking."""
        self._grow(Reasoning, piece)
        return ReasoningDelta(piece)

    def _grow(self, kind: type[Text | Reasoning], piece: str) -> None:
        current = self._open
        if current is None or current.kind is not kind:
            current = self._open = _OpenText(kind)
            self._parts.append(current)
        current.pieces.append(piece)
        self.characters += len(piece)

    def new_block(self) -> None:
        """What follows is a part of its own, even if it is of the same kind."""
        self._open = None

    def sign(self, kind: type[Text | Reasoning], vendor: VendorData) -> None:
        """Vendor data for the part of that kind that is open, or for an empty one of its own."""
        if self._open is None or self._open.kind is not kind:
            self._open = _OpenText(kind)
            self._parts.append(self._open)
        self._open.vendor = vendor

    def opaque(self, vendor: VendorData) -> None:
        """A block that only the vendor understands."""
        self._open = None
        self._parts.append(VendorPart(vendor))

    def tool_call(
        self, key: object, call_id: str, name: str, arguments: str = "", vendor: VendorData | None = None
    ) -> ToolCallDelta:
        """A tool call begins. `key` is what the wire calls it by in later pieces."""
        self._open = None
        call = _OpenCall(len(self._calls), call_id, name)
        call.vendor = vendor
        self._calls[key] = call
        self._parts.append(call)
        return self._write(call, arguments)

    def has_call(self, key: object) -> bool:
        """Whether a call of that key has begun."""
        return key in self._calls

    def last_call(self) -> object:
        """The key of the call that began last; `None` before the first."""
        return next(reversed(self._calls), None)

    def call_id(self, key: object) -> str:
        """The id of the call of that key."""
        return self._calls[key].id

    def call_name(self, key: object) -> str:
        """The name of the call of that key, as far as it has come."""
        return self._calls[key].name

    def call_with(self, call_id: str) -> object:
        """The key of the call with that id; `None` where there is none."""
        return next((key for key, call in self._calls.items() if call.id == call_id), None)

    def rename_call(self, key: object, name: str) -> None:
        """The name turned out to be longer."""
        self._calls[key].name = name

    def tool_arguments(self, key: object, piece: str) -> ToolCallDelta:
        """More of a call's arguments, as JSON text."""
        return self._write(self._calls[key], piece)

    def _write(self, call: _OpenCall, piece: str) -> ToolCallDelta:
        if piece:
            call.pieces.append(piece)
            self.characters += len(piece)
        return ToolCallDelta(call.index, call.id, call.name, piece)

    def tool_done(self, key: object) -> ToolCallDone:
        """The call is whole. Raises `BadArguments` where its arguments are not a JSON object."""
        call = self._calls[key]
        if call.done is None:
            raw = "".join(call.pieces)
            arguments = read_arguments(raw)
            if arguments is None:
                raise BadArguments(call.name, raw)
            call.done = ToolCall(call.id, call.name, arguments, raw, call.vendor)
        return ToolCallDone(call.index, call.done)

    def warn(self, code: str, message: str) -> None:
        """A doubt about this answer, said once."""
        if all(warning.code != code for warning in self.warnings):
            self.warnings.append(ChatWarning(code, message))

    def damaged(self) -> None:
        """Some of it came as bytes that are no UTF-8."""
        self.warn("damaged_text", "the vendor sent invalid UTF-8; U+FFFD stands for it")

    def finish(self, reason: FinishReason, raw: str | None = None) -> None:
        """The vendor says that the answer is whole. The first word counts, a repetition changes nothing."""
        if self.finish_reason is None:
            self.finish_reason = reason
            self.raw_finish_reason = raw

    def close_calls(self) -> Iterable[ChatEvent]:
        """The calls that are whole now that the answer is. Raises `BadArguments`."""
        return [self.tool_done(key) for key, call in self._calls.items() if call.done is None]

    def finish_event(self) -> Finish:
        """The last event of a stream."""
        return Finish(self.finish_reason or "other", self.usage)

    def events(self) -> list[ChatEvent]:
        """What a stream would have said, for an answer that came in one piece."""
        said: list[ChatEvent] = []
        for part in self._parts:
            if isinstance(part, _OpenText):
                text = "".join(part.pieces)
                if text:
                    said.append(TextDelta(text) if part.kind is Text else ReasoningDelta(text))
            elif isinstance(part, _OpenCall):
                said.append(ToolCallDelta(part.index, part.id, part.name, "".join(part.pieces)))
                if part.done is not None:
                    said.append(ToolCallDone(part.index, part.done))
        return said

    @property
    def begun(self) -> bool:
        """Whether anything that means something has come."""
        return bool(self._parts)

    @property
    def finished_calls(self) -> tuple[str, ...]:
        """Names of the calls that were closed, and may have been run."""
        return tuple(call.name for call in self._calls.values() if call.done is not None)

    @property
    def unfinished_calls(self) -> tuple[str, ...]:
        """Names of the calls that were begun and never closed."""
        return tuple(call.name for call in self._calls.values() if call.done is None)

    @property
    def unfinished_arguments(self) -> bool:
        """Whether a call has not been closed and its arguments so far are no JSON object, or not there."""
        pieces = ["".join(call.pieces) for call in self._calls.values() if call.done is None]
        return any(not text.strip() or read_arguments(text) is None for text in pieces)

    def message(self, author: VendorData | None = None) -> Message:
        """The answer as a message; calls that were not closed are left out. `author` is named in plain thoughts."""
        parts: list[Part] = []
        for part in self._parts:
            if isinstance(part, _OpenText):
                parts.append(part.close(author))
            elif isinstance(part, VendorPart):
                parts.append(part)
            elif part.done is not None:
                parts.append(part.done)
        return Message("assistant", parts)

    def reply(self, author: VendorData | None = None) -> ChatReply:
        """The answer so far, whole or not."""
        return ChatReply(
            message=self.message(author),
            finish_reason=self.finish_reason or "other",
            usage=self.usage,
            served_model=self.served_model,
            id=self.id,
            raw_finish_reason=self.raw_finish_reason,
            raw=self.raw,
            warnings=list(self.warnings),
        )
