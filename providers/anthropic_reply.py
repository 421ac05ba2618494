"""Answers of a Messages server, whole and streamed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from llmswitch._adapter import BrokenEvent, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._assembly import BadArguments, ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import Reasoning, Text, VendorData
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.anthropic_errors import facts_of

__all__ = ["MessagesDecoder", "convert_usage", "map_finish_reason", "parse_message"]

_Kind: TypeAlias = Literal["text", "thinking", "tool", "opaque"]

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}
_KINDS: Mapping[str, _Kind] = {"text": "text", "thinking": "thinking", "tool_use": "tool"}
_CALL = frozenset({"type", "id", "name", "input"})
# The events, and the lack of a name, under which something stands that the answer would miss.
_SAYS_SOMETHING = frozenset(
    {
        "",
        "message",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Mapping[str, Any], *, estimated: bool = False) -> Usage:
    """Tokens from a `usage` object, whose `input_tokens` leave out what the cache read and wrote; ours do not."""
    plain = _count(usage.get("input_tokens"))
    written = _count(usage.get("cache_creation_input_tokens"))
    read = _count(usage.get("cache_read_input_tokens"))
    details = usage.get("output_tokens_details")
    return Usage(
        input_tokens=None if plain is None else plain + (written or 0) + (read or 0),
        output_tokens=_count(usage.get("output_tokens")),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_count(details.get("thinking_tokens")) if isinstance(details, Mapping) else None,
        estimated=estimated,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_message(body: Any, decoder: MessagesDecoder) -> ReplyAssembly:
    """A whole answer, by the same steps as a stream's."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if body.get("type") == "error" or body.get("error"):
        raise VendorFault(facts_of(body))
    content = body.get("content")
    if not isinstance(content, list) or not all(isinstance(block, Mapping) for block in content):
        raise NotAnAnswer("it has no content")
    decoder.begin(body, estimated=False)
    word = body.get("stop_reason")
    cut = _FINISH.get(str(word)) == "length"
    for index, block in enumerate(content):
        decoder.open_block(index, block)
        decoder.close_block(index, whole=not (cut and index == len(content) - 1))
    # whole content without a word on why it ended: it is there, so it is an answer
    decoder.end(word if isinstance(word, str) else "end_turn")
    decoder.assembly.raw = body
    return decoder.assembly


class _Block:
    """One content block that has begun. As a key it names its tool call."""

    __slots__ = ("citations", "kind", "pieces", "raw")

    def __init__(self, kind: _Kind, raw: Mapping[str, Any]) -> None:
        self.kind: _Kind = kind
        self.raw = raw
        self.pieces: list[str] = []
        self.citations: list[Any] = []


class MessagesDecoder:
    """
    One stream of Messages events, told apart by `type`. Unknown events, blocks and deltas are no error: the
    documentation reserves the right to add some.

    `warnings`: what was changed in the request. `default_limit`: the `max_tokens` that was sent unasked, if it was.
    """

    def __init__(
        self, identity: ModelIdentity, *, warnings: Sequence[ChatWarning] = (), default_limit: int | None = None
    ) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False
        self._identity = identity
        self._default_limit = default_limit
        self._blocks: dict[int | None, _Block] = {}
        self._current: _Block | None = None
        self._usage: dict[str, Any] = {}

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        try:
            data = loads(event.data)
        except JSONInvalid as problem:
            if not event.complete or event.event not in _SAYS_SOMETHING:
                return ()  # cut by the end of the body, which shows by what is missing; or a ping, or nobody's event
            raise BrokenEvent(f"an event is {problem}") from None
        if event.damaged:
            self.assembly.damaged()
        if not isinstance(data, Mapping):
            raise BrokenEvent("an event is not a JSON object")
        events = self._dispatch(data)
        if events and self.assembly.finish_reason is not None and data.get("type") != "message_delta":
            self.assembly.warn("after_finish", "the vendor went on after it had said that the answer was whole")
        return events

    def _dispatch(self, data: Mapping[str, Any]) -> list[ChatEvent]:
        match data.get("type"):
            case "content_block_delta":
                return self._grow(_index(data), _inner(data, "delta"))
            case "content_block_start":
                return self.open_block(_index(data), _inner(data, "content_block"))
            case "content_block_stop":
                return self.close_block(_index(data))
            case "message_start":
                self.begin(_inner(data, "message"), estimated=True)
            case "message_delta":
                return self._message_delta(data)
            case "message_stop":
                self.ended = True
            case "error":
                raise VendorFault(facts_of(data))
            case None if data.get("error"):
                raise VendorFault(facts_of(data))
        return []

    def begin(self, message: Mapping[str, Any], *, estimated: bool) -> None:
        """The envelope of the answer. In a stream its output count is the first word, not the last."""
        assembly = self.assembly
        assembly.raw = message
        if isinstance(message.get("id"), str):
            assembly.id = message["id"]
        if isinstance(message.get("model"), str):
            assembly.served_model = message["model"]
        self._count_usage(message.get("usage"), estimated=estimated)

    def _count_usage(self, usage: Any, *, estimated: bool) -> None:
        """The numbers are running totals: what comes later stands in place of what came before."""
        if isinstance(usage, Mapping):
            self._usage.update({key: value for key, value in usage.items() if value is not None})
            self.assembly.usage = convert_usage(self._usage, estimated=estimated)

    def _message_delta(self, data: Mapping[str, Any]) -> list[ChatEvent]:
        self.assembly.raw = data
        self._count_usage(data.get("usage"), estimated=False)
        word = _inner(data, "delta").get("stop_reason")
        if not isinstance(word, str):
            return []
        self.end(word)
        last = self._current
        if last is not None and last.kind == "tool" and not last.pieces and self.assembly.finish_reason == "length":
            raise BadArguments(str(last.raw.get("name")), "")  # nothing was written yet, which is not "no arguments"
        return list(self.assembly.close_calls())

    def open_block(self, index: int | None, raw: Mapping[str, Any]) -> list[ChatEvent]:
        """A block begins, or comes whole."""
        assembly = self.assembly
        kind = _KINDS.get(str(raw.get("type")), "opaque")
        block = self._current = self._blocks[index] = _Block(kind, raw)
        assembly.new_block()
        if kind == "tool":
            name = raw.get("name")
            if not isinstance(name, str) or not name:
                raise NotAnAnswer("a tool call begins without a name")
            given = raw.get("id")
            call_id = given if isinstance(given, str) and given else f"toolu_{secrets.token_hex(12)}"
            extra = {key: value for key, value in raw.items() if key not in _CALL and value is not None}
            return [assembly.tool_call(block, call_id, name, vendor=self._vendor(extra) if extra else None)]
        if kind == "text":
            citations = raw.get("citations")
            block.citations.extend(citations if isinstance(citations, list) else ())
        if kind == "thinking" and raw.get("signature"):
            events = self._write(block, raw.get("thinking"))
            self._sign(block, raw["signature"])
            return events
        return self._write(block, raw.get("text") if kind == "text" else raw.get("thinking"))

    def _write(self, block: _Block, piece: Any) -> list[ChatEvent]:
        """More text of a block, in a part of its own."""
        if not isinstance(piece, str) or not piece or block.kind not in ("text", "thinking"):
            return []
        if block is not self._current:
            self.assembly.new_block()
            self._current = block
        return [self.assembly.text(piece) if block.kind == "text" else self.assembly.reasoning(piece)]

    def _sign(self, block: _Block, signature: Any) -> None:
        """The thinking's signature, with everything else that the block held, to be sent back with its text."""
        extra = {key: value for key, value in block.raw.items() if key != "thinking"}
        self.assembly.sign(Reasoning, self._vendor({**extra, "type": "thinking", "signature": signature}))

    def _grow(self, index: int | None, delta: Mapping[str, Any]) -> list[ChatEvent]:
        block = self._blocks.get(index)
        match delta.get("type"):
            case "text_delta":
                return self._write(block or self._implied("text", index), delta.get("text"))
            case "thinking_delta":
                return self._write(block or self._implied("thinking", index), delta.get("thinking"))
            case "input_json_delta":
                piece = delta.get("partial_json")
                if block is None:
                    raise NotAnAnswer("arguments came for a tool call that has not begun")
                if isinstance(piece, str) and piece:
                    block.pieces.append(piece)
                    if block.kind == "tool":
                        return [self.assembly.tool_arguments(block, piece)]
            case "signature_delta" if block is not None and block.kind == "thinking" and block is self._current:
                self._sign(block, delta.get("signature"))
            case "citations_delta" if block is not None:
                block.citations.append(delta.get("citation"))
        return []

    def _implied(self, kind: _Kind, index: int | None) -> _Block:
        """A copy of the API may leave the start of a block out."""
        self.open_block(index, {"type": kind})
        return self._blocks[index]

    def close_block(self, index: int | None, *, whole: bool = True) -> list[ChatEvent]:
        """The block has ended; `whole` is false where the token limit ended it."""
        block = self._blocks.get(index)
        if block is None:
            return []
        assembly = self.assembly
        if block.kind == "tool":
            return self._close_call(block, whole=whole)
        if block.kind == "text" and block.citations and block is self._current:
            assembly.sign(Text, self._vendor({"citations": block.citations}))
        elif block.kind == "opaque":
            self._close_opaque(block)
        assembly.new_block()
        return []

    def _close_call(self, block: _Block, *, whole: bool) -> list[ChatEvent]:
        """
        A call that is whole. One with broken arguments, or with none yet, stays open: only the reason for which the
        answer ended says whether it was cut.
        """
        events: list[ChatEvent] = []
        given = block.raw.get("input")
        if not block.pieces and isinstance(given, Mapping) and (given or not whole):
            written = dumps(dict(given)).decode()
            # the documentation: a call at the end of an answer that the limit cut is incomplete, whatever is in it
            block.pieces.append(written if whole else written[:-1])
            events.append(self.assembly.tool_arguments(block, block.pieces[0]))
        if block.pieces:
            try:
                events.append(self.assembly.tool_done(block))
            except BadArguments:
                return events
        return events

    def _close_opaque(self, block: _Block) -> None:
        """A block that goes back as it came: hidden thinking, a hosted tool's call or its result."""
        raw = dict(block.raw)
        if block.pieces:
            try:
                raw["input"] = loads("".join(block.pieces))
            except JSONInvalid:
                self.assembly.warn("block_left_out", "a hosted tool's call was cut in its input; it is left out")
                return
        if raw.get("type") == "redacted_thinking":
            self.assembly.sign(Reasoning, self._vendor(raw))
        else:
            self.assembly.opaque(self._vendor(raw))

    def _vendor(self, data: Mapping[str, Any]) -> VendorData:
        return VendorData(self._identity.provider, self._identity.account, self._identity.model, data)

    def end(self, word: str) -> None:
        """The vendor says why the answer ended. Only the first word counts."""
        assembly = self.assembly
        reason = map_finish_reason(word, called=assembly.last_call() is not None)
        assembly.finish(reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
        if word == "max_tokens" and self._default_limit is not None:
            assembly.warn(
                "default_max_tokens",
                f"the answer was cut after {self._default_limit} tokens: no max_tokens was given, and this dialect "
                "needs one; pass max_tokens, or set options.default_max_tokens",
            )

    def finish(self) -> Iterable[ChatEvent]:
        if self.assembly.finish_reason is not None and not self.ended:
            self.assembly.warn("no_message_stop", "the stream said why the answer ended, but not that it had ended")
        return ()


def _inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def _index(data: Mapping[str, Any]) -> int | None:
    """The number of a block; a copy of the API that has only one block may leave it out."""
    index = data.get("index")
    if index is not None and not isinstance(index, int):
        raise NotAnAnswer("the number of a content block is none")
    return index
