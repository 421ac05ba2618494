"""Answers of a Responses server, whole and streamed: items, each of which becomes a part of the message."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmswitch._adapter import BrokenEvent, ErrorFacts, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._assembly import BadArguments, ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import Reasoning, Text, VendorData
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.openai_errors import facts_of

__all__ = ["ResponsesDecoder", "convert_usage", "map_finish_reason", "parse_response"]

# Why an answer is incomplete; `steered` is said over WebSockets alone (SDK 3.54.0).
_INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
    "steered": "stop",
}
_UNFINISHED = frozenset({"cancelled", "queued", "in_progress"})
_CALL = frozenset({"type", "id", "call_id", "name", "arguments", "status"})


def map_finish_reason(response: Mapping[str, Any], *, called: bool, refused: bool) -> tuple[FinishReason, str]:
    """The neutral reason, and the vendor's word for it; what is unknown is `other`."""
    status = response.get("status")
    word = status if isinstance(status, str) else "completed"
    if word == "incomplete":
        said = _inner(response, "incomplete_details").get("reason")
        word = said if isinstance(said, str) else word
        return _INCOMPLETE.get(word, "other"), word
    if word not in ("completed", "requires_action"):  # calls are waiting (Perplexity)
        return "other", word
    return ("tool_calls" if called else "refusal" if refused else "stop"), word


def convert_usage(usage: Mapping[str, Any]) -> Usage:
    """Tokens from `usage`, whose `input_tokens` hold what the cache read and wrote; other names are Perplexity's."""
    inputs, outputs = _inner(usage, "input_tokens_details"), _inner(usage, "output_tokens_details")
    read, written = inputs.get("cached_tokens"), inputs.get("cache_write_tokens")
    return Usage(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cached_tokens=_count(inputs.get("cache_read_input_tokens") if read is None else read),
        cache_write_tokens=_count(inputs.get("cache_creation_input_tokens") if written is None else written),
        reasoning_tokens=_count(outputs.get("reasoning_tokens")),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_response(body: Any, identity: ModelIdentity, warnings: Sequence[ChatWarning] = ()) -> ReplyAssembly:
    """A whole answer, by the same steps as a stream's."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if body.get("error") or body.get("status") == "failed":
        raise VendorFault(_failure(body))
    if body.get("status") in _UNFINISHED:
        raise NotAnAnswer(f"it is not finished ({body['status']}); answers in the background are not waited for")
    if not isinstance(body.get("output"), list):
        raise NotAnAnswer("it has no output")
    # calls are closed by the reader of the whole answer, who has the rest of it when one turns out to be cut
    decoder = ResponsesDecoder(identity, warnings=warnings, closes_calls=False)
    decoder.end(body)
    return decoder.assembly


def _failure(response: Mapping[str, Any]) -> ErrorFacts:
    error = response.get("error")
    return facts_of({"error": error}) if error else ErrorFacts(message="the vendor says that the answer failed")


class _Item:
    """
    One item of the answer that has begun. As a key it names its tool call.

    `text`: what has come of its text or its thoughts; `place`: the part of them that came last. `data`: what it goes
    back as.
    """

    __slots__ = ("arguments", "cut", "data", "done", "kind", "name", "place", "text")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.data: dict[str, Any] = {}
        self.name = ""
        self.text = ""
        self.arguments = ""
        self.place: tuple[str, Any] | None = None
        self.done = False
        self.cut = False


class ResponsesDecoder:
    """
    One stream of Responses events, told apart by `type`. Unknown events and items are no error: hosted tools have
    many. What the deltas of an item left out is taken from its last event, or from that of the whole answer.

    `warnings`: what was changed in the request.
    """

    def __init__(
        self, identity: ModelIdentity, *, warnings: Sequence[ChatWarning] = (), closes_calls: bool = True
    ) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False
        self._identity = identity
        self._closes_calls = closes_calls
        self._items: dict[object, _Item] = {}  # by their numbers, and by their ids
        self._unnumbered = False
        self._current: _Item | None = None
        self._refused = False

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        if not event.data.strip() or event.data.startswith("[DONE]"):  # keep-alives, and the end as copies say it
            return ()
        try:
            data = loads(event.data)
        except JSONInvalid as problem:
            ours = event.event in ("", "message", "error") or event.event.startswith("response.")
            if not event.complete or not ours:
                return ()  # cut by the end of the body, which shows by what is missing; or nobody's event
            raise BrokenEvent(f"an event is {problem}") from None
        if event.damaged:
            self.assembly.damaged()
        if not isinstance(data, Mapping):
            raise BrokenEvent("an event is not a JSON object")
        kind = data.get("type")
        kind = kind if isinstance(kind, str) else event.event
        if kind == "error" or (not kind.startswith("response.") and data.get("error")):
            raise VendorFault(facts_of(data))
        events = self._dispatch(kind, data)
        if events and self.ended and kind not in _LAST:
            self.assembly.warn("after_finish", "the vendor went on after it had said that the answer was whole")
        return events

    def _dispatch(self, kind: str, data: Mapping[str, Any]) -> list[ChatEvent]:
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                item = self._item(data, "message")
                self._refused |= kind == "response.refusal.delta"
                return self._write(item, ("text", 0), data.get("delta"))
            case "response.reasoning_summary_text.delta":
                return self._write(
                    self._item(data, "reasoning"), ("summary", data.get("summary_index")), data.get("delta")
                )
            case "response.reasoning_text.delta":
                return self._write(
                    self._item(data, "reasoning"), ("content", data.get("content_index")), data.get("delta")
                )
            case "response.function_call_arguments.delta":
                return self._arguments(self._item(data, "function_call"), data.get("delta"))
            case "response.output_item.added":
                return self._open(_place(data), _inner(data, "item"))
            case "response.output_item.done":
                return self._close(_place(data), _inner(data, "item"))
            case "response.created":
                self.begin(_inner(data, "response"))
            case "response.completed" | "response.incomplete":
                self.ended = True
                return self.end(_inner(data, "response") or {"status": kind.partition(".")[2]})
            case "response.failed":
                raise VendorFault(_failure(data if data.get("error") else _inner(data, "response")))
        return []

    def begin(self, response: Mapping[str, Any]) -> None:
        """The envelope of the answer."""
        assembly = self.assembly
        assembly.raw = response
        if isinstance(response.get("id"), str):
            assembly.id = response["id"]
        if isinstance(response.get("model"), str):
            assembly.served_model = response["model"]

    def _item(self, data: Mapping[str, Any], kind: str) -> _Item:
        """The item that a delta belongs to; a copy may leave its beginning out, where it needs no name."""
        place = _place(data)
        if place not in self._items:
            if kind == "function_call":
                raise NotAnAnswer("arguments came for a tool call that has not begun")
            self._open(place, {"type": kind})
        return self._items[place]

    def _open(self, place: object, raw: Mapping[str, Any]) -> list[ChatEvent]:
        """An item begins."""
        if place in self._items:
            return []
        item = self._current = self._items[place] = _Item(str(raw.get("type") or "message"))
        self._unnumbered |= not isinstance(place, int)
        if isinstance(raw.get("id"), str):
            self._items[raw["id"]] = item
        self.assembly.new_block()
        if item.kind != "function_call":
            return []
        name, given = raw.get("name"), raw.get("call_id")
        if not isinstance(name, str) or not name:
            raise NotAnAnswer("a tool call begins without a name")
        item.name = name
        call_id = given if isinstance(given, str) and given else f"call_{secrets.token_hex(12)}"
        extra = {key: value for key, value in raw.items() if key not in _CALL and value is not None}
        return [self.assembly.tool_call(item, call_id, name, vendor=self._vendor(extra) if extra else None)]

    def _write(self, item: _Item, place: tuple[str, Any], piece: Any) -> list[ChatEvent]:
        """More text of an item, in a part of its own; paragraphs of a thought stand apart."""
        if not isinstance(piece, str) or not piece:
            return []
        if item is not self._current:
            self.assembly.new_block()
            self._current = item
        if item.text and item.place != place:
            piece = f"\n\n{piece}"
        item.place = place
        item.text += piece
        return [self.assembly.reasoning(piece) if item.kind == "reasoning" else self.assembly.text(piece)]

    def _arguments(self, item: _Item, piece: Any) -> list[ChatEvent]:
        if not isinstance(piece, str) or not piece or item.done:
            return []
        item.arguments += piece
        return [self.assembly.tool_arguments(item, piece)]

    def _close(self, place: object, raw: Mapping[str, Any]) -> list[ChatEvent]:
        """An item is whole."""
        events = self._open(place, raw)
        item = self._items[place]
        if item.done:
            sealed = raw.get("encrypted_content")
            if item.kind == "reasoning" and item.data and sealed:
                item.data.setdefault("encrypted_content", sealed)  # Azure gives it only at the very end (pi#4256)
            return events
        item.cut = raw.get("status") == "incomplete"
        if item.kind == "message":
            events += self._close_message(item, raw)
        elif item.kind == "reasoning":
            events += self._write_rest(item, "\n\n".join([*_texts(raw, "summary"), *_texts(raw, "content")]))
            if item is self._current:
                item.data = _said(raw)
                self.assembly.sign(Reasoning, self._vendor(item.data))
        elif item.kind == "function_call":
            return [*events, *self._close_call(item, raw)]
        else:
            self.assembly.opaque(self._vendor(_said(raw)))
        item.done = True
        return events

    def _close_message(self, item: _Item, raw: Mapping[str, Any]) -> list[ChatEvent]:
        parts = [part for part in raw.get("content") or () if isinstance(part, Mapping)]
        self._refused |= any(part.get("type") == "refusal" for part in parts)
        whole = "".join(_texts(raw, "content"))
        events = self._write_rest(item, whole)
        if item.text != whole:
            self.assembly.warn("text_differs", "the whole text is not the one that was streamed; the latter is given")
        phase = raw.get("phase")
        if phase is not None and item.text and item is self._current:
            self.assembly.sign(Text, self._vendor({"phase": phase}))
        return events

    def _write_rest(self, item: _Item, whole: str) -> list[ChatEvent]:
        """What no delta brought of an item's text."""
        if not whole.startswith(item.text):
            return []
        rest, item.place = whole[len(item.text) :], item.place or ("whole", None)
        return self._write(item, item.place, rest)

    def _close_call(self, item: _Item, raw: Mapping[str, Any]) -> list[ChatEvent]:
        """One that was cut, or whose arguments are broken, stays open: why, the end of the answer says."""
        given = raw.get("arguments")
        given = dumps(dict(given)).decode() if isinstance(given, Mapping) else given
        if item.cut and not self._closes_calls:  # whatever is in it, it is not whole
            given = given[:-1] if isinstance(given, str) and given.endswith("}") else given or "{"
        events = self._arguments(item, given) if not item.arguments else []
        if item.cut:
            return events
        if isinstance(given, str) and given and given != item.arguments and _differ(given, item.arguments):
            raise NotAnAnswer("the arguments of a tool call are not those that were streamed")
        try:
            events.append(self.assembly.tool_done(item))
        except BadArguments:
            return events
        item.done = True
        return events

    def end(self, response: Mapping[str, Any]) -> list[ChatEvent]:
        """The answer is whole. Raises `BadArguments` for a call that is not."""
        assembly = self.assembly
        events: list[ChatEvent] = []
        if assembly.finish_reason is not None:
            return events
        output = response.get("output")
        for index, raw in enumerate(output if isinstance(output, list) else ()):
            if not isinstance(raw, Mapping):
                continue
            place = raw.get("id") if self._unnumbered else index
            if place in self._items or not self._unnumbered:
                events += self._close(place, raw)
        self.begin(response)
        assembly.usage = convert_usage(_inner(response, "usage"))
        reason, word = map_finish_reason(response, called=assembly.last_call() is not None, refused=self._refused)
        assembly.finish(reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
        if not self._closes_calls:
            return events
        for item in self._items.values():
            if item.kind == "function_call" and not item.done and (item.cut or reason != "tool_calls"):
                raise BadArguments(item.name, item.arguments)  # cut, whatever its arguments look like
        events += assembly.close_calls()
        return events

    def finish(self) -> Iterable[ChatEvent]:
        return ()

    def _vendor(self, data: Mapping[str, Any]) -> VendorData:
        return VendorData(self._identity.provider, self._identity.account, self._identity.model, data)


_LAST = frozenset({"response.completed", "response.incomplete"})


def _differ(one: str, other: str) -> bool:
    try:
        return bool(loads(one) != loads(other))
    except JSONInvalid:
        return True


def _said(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it goes back: a null in it says nothing, and is refused in some places."""
    return {name: value for name, value in raw.items() if value is not None}


def _texts(raw: Mapping[str, Any], field: str) -> list[str]:
    found = raw.get(field)
    parts = [part for part in found if isinstance(part, Mapping)] if isinstance(found, list) else []
    texts = [part.get("refusal") if part.get("type") == "refusal" else part.get("text") for part in parts]
    return [text for text in texts if isinstance(text, str)]


def _place(data: Mapping[str, Any]) -> object:
    """Which item an event is about: by its number, else by its id."""
    index = data.get("output_index")
    if isinstance(index, int):
        return index
    found = data.get("item_id") or _inner(data, "item").get("id")
    return found if isinstance(found, str) else 0


def _inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}
