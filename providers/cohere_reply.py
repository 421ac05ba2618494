"""
Answers of Cohere's chat API, version 2, whole and streamed.

What the model says beside its calls comes as `tool_plan`. It is text here, as it is with every other vendor: the same
field is the only place where text beside calls is taken back, and what a reasoning model thinks comes as `thinking`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from llmswitch._adapter import ErrorFacts, NotAnAnswer, VendorFault
from llmswitch._assembly import BadArguments, ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import dumps
from llmswitch._reply import FinishReason, Usage
from llmswitch.providers.cohere_errors import facts_of
from llmswitch.providers.json_frames import read_json_frame

__all__ = ["CohereDecoder", "convert_usage", "map_finish_reason", "parse_reply"]

_FINISH: Mapping[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
_FAILED = frozenset({"ERROR", "TIMEOUT"})


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Mapping[str, Any]) -> Usage:
    """What was processed (`tokens`, the cached ones among them), or what is paid where that alone is said."""
    tokens, billed = _inner(usage, "tokens"), _inner(usage, "billed_units")
    counted = [
        next((count for place in (tokens, billed) if (count := _count(place.get(name))) is not None), None)
        for name in ("input_tokens", "output_tokens")
    ]
    return Usage(input_tokens=counted[0], output_tokens=counted[1], cached_tokens=_count(usage.get("cached_tokens")))


def _count(value: Any) -> int | None:
    """A number, which may be written as a float (SDK)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def parse_reply(body: Any) -> ReplyAssembly:
    """A whole answer, by the same steps as a stream's. Calls are left to be closed by who has the whole."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    message = body.get("message")
    if isinstance(message, str):
        raise VendorFault(facts_of(body))
    if not isinstance(message, Mapping):
        raise NotAnAnswer("it has no message")
    decoder = CohereDecoder()
    decoder.assembly.id = _word(body.get("id"))
    content = message.get("content")
    for index, block in enumerate(content if isinstance(content, list) else ()):
        decoder.grow(index, block if isinstance(block, Mapping) else {})
    decoder.plan(message.get("tool_plan"))
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        decoder.begin_call(index, call)
    decoder.end(body)
    decoder.assembly.raw = body
    return decoder.assembly


class CohereDecoder:
    """One stream of events, told apart by the `type` in each. Unknown events and contents are no error."""

    def __init__(self) -> None:
        self.assembly = ReplyAssembly()
        self.ended = False
        self._last: object = None  # the block that grew last
        self._written: dict[object, bool] = {}  # calls: whether any of their arguments came
        self._citations: list[Any] = []

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        if not event.data.strip() or event.data.startswith("[DONE]"):
            return ()
        frame = read_json_frame(event, self.assembly)
        if frame is None:
            return ()
        delta = _inner(frame, "delta")
        message = _inner(delta, "message")
        index = frame.get("index")
        match frame.get("type"):
            case "message-start":
                self.assembly.id = _word(frame.get("id"))
            case "content-start" | "content-delta":
                return self.grow(index, _inner(message, "content"))
            case "content-end":
                self._last = None
            case "tool-plan-delta":
                return self.plan(message.get("tool_plan"))
            case "tool-call-start":
                return self.begin_call(index, message.get("tool_calls"))
            case "tool-call-delta":
                return self._more_arguments(index, _inner(message, "tool_calls"))
            case "tool-call-end":
                return self._end_call(index)
            case "citation-start":
                self._citations.append(message.get("citations"))
            case "message-end":
                self.assembly.raw = {**frame, "citations": self._citations} if self._citations else frame
                self.ended = True
                self.end(delta)
            case None if isinstance(frame.get("message"), str):
                raise VendorFault(facts_of(frame))
        return ()

    def grow(self, index: Any, content: Mapping[str, Any]) -> list[ChatEvent]:
        """A piece of a block of the content: of its text, or of a thought."""
        self._turn_to(("content", index))
        match content:
            case {"text": str(piece)} if piece:
                return [self.assembly.text(piece)]
            case {"thinking": str(piece)} if piece:
                return [self.assembly.reasoning(piece)]
        return []

    def plan(self, piece: Any) -> list[ChatEvent]:
        """A piece of what is said beside calls."""
        if not isinstance(piece, str) or not piece:
            return []
        self._turn_to("plan")
        return [self.assembly.text(piece)]

    def _turn_to(self, block: object) -> None:
        """What follows belongs to that block, which is a part of its own."""
        if block != self._last:
            self.assembly.new_block()
            self._last = block

    def begin_call(self, index: Any, call: Any) -> list[ChatEvent]:
        """A call begins, and may be there as a whole."""
        call = call if isinstance(call, Mapping) else {}
        function = _inner(call, "function")
        name, given = function.get("name"), call.get("id")
        if not isinstance(name, str) or not name:
            raise NotAnAnswer("a tool call begins without a name")
        key = index if isinstance(index, int) else f"call {len(self._written)}"
        if self.assembly.has_call(key):
            raise NotAnAnswer("two tool calls share one index")
        call_id = given if isinstance(given, str) and given else f"call_{secrets.token_hex(12)}"
        arguments = _arguments(function)
        self._written[key] = bool(arguments)
        return [self.assembly.tool_call(key, call_id, name, arguments)]

    def _more_arguments(self, index: Any, call: Mapping[str, Any]) -> list[ChatEvent]:
        key = index if isinstance(index, int) else self.assembly.last_call()
        piece = _arguments(_inner(call, "function"))
        if not piece:
            return []
        if not self.assembly.has_call(key):
            raise NotAnAnswer("arguments came for a tool call that has not begun")
        self._written[key] = True
        return [self.assembly.tool_arguments(key, piece)]

    def _end_call(self, index: Any) -> list[ChatEvent]:
        """A call with broken arguments stays open: the reason of the end says whether it was cut."""
        key = index if isinstance(index, int) else self.assembly.last_call()
        if not self.assembly.has_call(key):
            return []
        self._written[key] = True  # that there is nothing is meant
        try:
            return [self.assembly.tool_done(key)]
        except BadArguments:
            return []

    def end(self, said: Mapping[str, Any]) -> None:
        """Why the answer ended, and what it took. Raises `VendorFault` where it failed."""
        word, problem = said.get("finish_reason"), said.get("error")
        if word in _FAILED or problem:
            words = problem if isinstance(problem, str) else f"the answer ended with {str(word)[:40]}"
            raise VendorFault(ErrorFacts(code=_word(word), message=words))
        usage = said.get("usage")
        if isinstance(usage, Mapping):
            self.assembly.usage = convert_usage(usage)
        last = self.assembly.last_call()
        reason = map_finish_reason(word if isinstance(word, str) else "COMPLETE", called=last is not None)
        self.assembly.finish(reason, _word(word))
        if reason == "other":
            said_word = f"the vendor ended with {str(word)[:40]!r}, which is not known here"
            self.assembly.warn("unknown_finish_reason", said_word)
        if reason == "length" and last is not None and not self._written[last]:
            raise BadArguments(self.assembly.call_name(last), "")  # which is not "no arguments"

    def finish(self) -> Iterable[ChatEvent]:
        return ()


def _inner(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _arguments(function: Mapping[str, Any]) -> str:
    """The arguments as text; where there are none it may be null (third party)."""
    found = function.get("arguments")
    if isinstance(found, Mapping):
        return dumps(dict(found)).decode()
    return found if isinstance(found, str) else ""
