"""Answers of Converse, whole and streamed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmswitch._adapter import BrokenEvent, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._assembly import BadArguments, ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import Reasoning, VendorData
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.bedrock_errors import facts_of, stream_facts

__all__ = ["ConverseDecoder", "convert_usage", "map_finish_reason", "parse_reply"]

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_BROKEN = frozenset({"malformed_model_output", "malformed_tool_use"})


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Mapping[str, Any]) -> Usage:
    """Tokens from `usage`, whose `inputTokens` leave out what the cache read and wrote (third party); ours do not."""
    plain = _count(usage.get("inputTokens"))
    read = _count(usage.get("cacheReadInputTokens"))
    written = _count(usage.get("cacheWriteInputTokens"))
    return Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (written or 0),
        output_tokens=_count(usage.get("outputTokens")),
        cached_tokens=read,
        cache_write_tokens=written,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_reply(body: Any, decoder: ConverseDecoder) -> ReplyAssembly:
    """A whole answer, by the same steps as a stream's."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if body.get("__type"):
        raise VendorFault(facts_of(body))
    content = _inner(_inner(body, "output"), "message").get("content")
    if not isinstance(content, list) or not all(isinstance(block, Mapping) for block in content):
        raise NotAnAnswer("it has no content")
    word = body.get("stopReason")
    cut = _FINISH.get(str(word)) == "length"
    for index, block in enumerate(content):
        decoder.whole_block(index, block, cut=cut and index == len(content) - 1)
    decoder.end(word if isinstance(word, str) else "end_turn")
    decoder.count(body.get("usage"))
    decoder.assembly.raw = body
    return decoder.assembly


class ConverseDecoder:
    """
    One stream of frames, told apart by their headers. Unknown events and deltas are no error.

    `warnings`: what was changed in the request. `default_limit`: the `maxTokens` that was sent unasked, if any was.
    """

    def __init__(
        self, identity: ModelIdentity, *, warnings: Sequence[ChatWarning] = (), default_limit: int | None = None
    ) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False
        self._identity = identity
        self._default_limit = default_limit
        self._last: int | None = None  # the block that grew last
        self._written: dict[int, bool] = {}  # calls by their blocks: whether any of their arguments came

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, EventStreamMessage)
        if event.headers.get(":message-type") in ("exception", "error"):
            raise VendorFault(stream_facts(event))
        try:
            data = loads(event.payload)
        except JSONInvalid as problem:
            raise BrokenEvent(f"an event is {problem}") from None
        if not isinstance(data, Mapping):
            raise BrokenEvent("an event is not a JSON object")
        match event.headers.get(":event-type"):
            case "contentBlockStart":
                return self._start(_index(data), _inner(data, "start"))
            case "contentBlockDelta":
                return self._grow(_index(data), _inner(data, "delta"))
            case "contentBlockStop":
                return self._stop(_index(data))
            case "messageStop":
                return self._message_stop(data)
            case "metadata":
                self.count(data.get("usage"))
                self.ended = True
        return ()

    def _start(self, index: int, start: Mapping[str, Any]) -> list[ChatEvent]:
        self._turn_to(index)
        call = start.get("toolUse")
        if not isinstance(call, Mapping):
            return []
        name, given = call.get("name"), call.get("toolUseId")
        if not isinstance(name, str) or not name:
            raise NotAnAnswer("a tool call begins without a name")
        call_id = given if isinstance(given, str) and given else f"tooluse_{secrets.token_hex(12)}"
        self._written[index] = False
        return [self.assembly.tool_call(index, call_id, name)]

    def _turn_to(self, index: int) -> None:
        """What follows belongs to that block, which is a part of its own."""
        if index != self._last:
            self.assembly.new_block()
            self._last = index

    def _grow(self, index: int, delta: Mapping[str, Any]) -> list[ChatEvent]:
        self._turn_to(index)
        match delta:
            case {"text": str(piece)} if piece:
                return [self.assembly.text(piece)]
            case {"reasoningContent": Mapping() as thought}:
                return self._think(thought)
            case {"toolUse": {"input": str(piece)}} if piece:
                if index not in self._written:
                    raise NotAnAnswer("arguments came for a tool call that has not begun")
                self._written[index] = True
                return [self.assembly.tool_arguments(index, piece)]
        return []

    def _think(self, thought: Mapping[str, Any]) -> list[ChatEvent]:
        """A piece of a thought, its signature, or a thought that is hidden, to be sent back as they are."""
        events: list[ChatEvent] = []
        match thought:
            case {"text": str(piece)} if piece:
                events.append(self.assembly.reasoning(piece))
        match thought:
            case {"signature": str(signature)} if signature:
                self.assembly.sign(Reasoning, self._vendor({"signature": signature}))
            case {"redactedContent": str(hidden)} if hidden:
                self.assembly.new_block()
                self.assembly.sign(Reasoning, self._vendor({"redactedContent": hidden}))
        return events

    def _vendor(self, data: Mapping[str, Any]) -> VendorData:
        return VendorData(self._identity.provider, self._identity.account, self._identity.model, data)

    def _stop(self, index: int) -> list[ChatEvent]:
        """A call with broken arguments, or none yet, stays open: the reason of the end says whether it was cut."""
        self.assembly.new_block()
        if not self._written.get(index):
            return []
        try:
            return [self.assembly.tool_done(index)]
        except BadArguments:
            return []

    def _message_stop(self, data: Mapping[str, Any]) -> list[ChatEvent]:
        word = data.get("stopReason")
        self.assembly.raw = data
        self.end(word if isinstance(word, str) else "end_turn")
        last = self.assembly.last_call()
        unwritten = last is not None and self._last is not None and last == self._last and not self._written[self._last]
        if unwritten and self.assembly.finish_reason == "length":
            raise BadArguments(self.assembly.call_name(last), "")  # which is not "no arguments"
        return list(self.assembly.close_calls())

    def whole_block(self, index: int, block: Mapping[str, Any], *, cut: bool) -> None:
        """A block that comes whole, or as far as the token limit let it."""
        match block:
            case {"toolUse": Mapping() as call}:
                self._start(index, block)
                given = call.get("input")
                if isinstance(given, Mapping) and (given or cut):
                    written = dumps(dict(given)).decode()
                    # a call at the end of an answer that the limit cut is incomplete, whatever is in it
                    self._grow(index, {"toolUse": {"input": written[:-1] if cut else written}})
            case {"reasoningContent": {"reasoningText": Mapping() as thought}}:
                self._grow(index, {"reasoningContent": thought})
            case {"text": _} | {"reasoningContent": _}:
                self._grow(index, block)
        self._stop(index)

    def count(self, usage: Any) -> None:
        """The tokens, where they are said."""
        if isinstance(usage, Mapping):
            self.assembly.usage = convert_usage(usage)

    def end(self, word: str) -> None:
        """The vendor says why the answer ended."""
        assembly = self.assembly
        if word in _BROKEN:
            raise NotAnAnswer(f"the vendor says that the model's answer is broken ({word})")
        reason = map_finish_reason(word, called=assembly.last_call() is not None)
        assembly.finish(reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
        if reason == "length" and self._default_limit is not None:
            assembly.warn(
                "default_max_tokens",
                f"the answer was cut after {self._default_limit} tokens: no max_tokens was given, and thinking with a "
                "budget needs one; pass max_tokens, or set options.default_max_tokens",
            )

    def finish(self) -> Iterable[ChatEvent]:
        if self.assembly.finish_reason is not None and not self.ended:
            self.assembly.warn("no_metadata", "the stream said why the answer ended, but not how many tokens it took")
        return ()


def _inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def _index(data: Mapping[str, Any]) -> int:
    index = data.get("contentBlockIndex")
    if not isinstance(index, int):
        raise NotAnAnswer("the number of a content block is none")
    return index
