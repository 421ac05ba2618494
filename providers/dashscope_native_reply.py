"""Answers of DashScope's native API, whole and streamed; they lie in `output`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from llmswitch._adapter import NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import dumps
from llmswitch._reply import FinishReason, Usage
from llmswitch.providers.dashscope_native_errors import facts_of, is_error
from llmswitch.providers.json_frames import read_json_frame

__all__ = ["GenerationDecoder", "convert_usage", "map_finish_reason", "parse_generation"]

_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
_UNFINISHED = (None, "", "null")  # the word "null" stands in every frame but the last


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Any) -> Usage | None:
    """Tokens from a `usage` object; `None` where it is not one."""
    if not isinstance(usage, Mapping):
        return None
    inputs = _inner(usage, "prompt_tokens_details") or _inner(usage, "input_tokens_details")
    outputs = _inner(usage, "output_tokens_details")
    counted = Usage(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cached_tokens=_count(inputs.get("cached_tokens")),
        reasoning_tokens=_count(outputs.get("reasoning_tokens")),
    )
    return counted if counted.input_tokens is not None or counted.output_tokens is not None else None


def _inner(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_generation(body: Any) -> ReplyAssembly:
    """A whole answer. It is put together by the same steps as a stream of one frame."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if is_error(body):
        raise VendorFault(facts_of(body))
    choice = _choice(body)
    if choice is None or not isinstance(choice.get("message"), Mapping):
        raise NotAnAnswer("its output has no message")
    decoder = GenerationDecoder(closes_calls=False)
    decoder.read_frame(body)
    if decoder.assembly.finish_reason is None:  # a whole answer without a word on why it ended is an answer
        list(decoder.end("stop"))
    return decoder.assembly


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first choice; older models put their text into the output itself."""
    output = _inner(body, "output")
    choices = output.get("choices")
    if isinstance(choices, list) and choices:
        return choices[0] if isinstance(choices[0], Mapping) else None
    if isinstance(output.get("text"), str):
        return {"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}
    return None


class _Grown:
    """What is new of a text of which each frame tells all that came so far."""

    def __init__(self) -> None:
        self._seen = ""

    def more(self, whole: str) -> str:
        if not whole.startswith(self._seen):
            raise NotAnAnswer("a frame does not go on with what came before it")
        new, self._seen = whole[len(self._seen) :], whole
        return new


class GenerationDecoder:
    """One stream of frames. It has no end of its own: after the frame that says why it ended, the body ends."""

    def __init__(self, *, cumulative: bool = False, closes_calls: bool = True) -> None:
        self.assembly = ReplyAssembly()
        self.ended = False
        self._grown: dict[object, _Grown] | None = {} if cumulative else None
        self._closes_calls = closes_calls

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        if event.data.startswith("[DONE]"):
            self.ended = True
            return ()
        frame = read_json_frame(event, self.assembly)
        if frame is None:
            return ()
        if event.event == "error" or is_error(frame):
            raise VendorFault(facts_of(frame))
        events = self.read_frame(frame)
        if event.event == "done":
            self.ended = True
        return events

    def read_frame(self, frame: Mapping[str, Any]) -> list[ChatEvent]:
        """The events of one frame."""
        assembly = self.assembly
        assembly.raw = frame
        if assembly.id is None and isinstance(frame.get("request_id"), str):
            assembly.id = frame["request_id"]
        counted = convert_usage(frame.get("usage"))  # running totals: the last ones count
        if counted is not None:
            assembly.usage = counted
        choice = _choice(frame)
        if choice is None:
            return []
        finished = assembly.finish_reason is not None
        events = self._message(_inner(choice, "message"))
        if events and finished:
            assembly.warn("after_finish", "the vendor went on after it had said that the answer was whole")
        word = choice.get("finish_reason")
        if word not in _UNFINISHED:
            events.extend(self.end(str(word)))
        return events

    def _message(self, message: Mapping[str, Any]) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        thoughts = self._new("thoughts", message.get("reasoning_content"))
        if thoughts:
            events.append(self.assembly.reasoning(thoughts))
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
        text = self._new("text", content)
        if text:
            events.append(self.assembly.text(text))
        calls = message.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, Mapping):
                self._call(call, position, events)
        return events

    def _new(self, key: object, value: Any) -> str:
        text = value if isinstance(value, str) else ""
        if self._grown is None or not text:
            return text
        return self._grown.setdefault(key, _Grown()).more(text)

    def _call(self, call: Mapping[str, Any], position: int, events: list[ChatEvent]) -> None:
        """One call, or a piece of one: `index` says which. What comes after its first piece may repeat id and name."""
        assembly = self.assembly
        function = _inner(call, "function")
        index = call.get("index")
        key = index if isinstance(index, int) else position
        name, given, arguments = function.get("name"), call.get("id"), function.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = dumps(dict(arguments)).decode()
        piece = self._new(("arguments", key), arguments)
        if assembly.has_call(key):
            if piece:
                events.append(assembly.tool_arguments(key, piece))
        elif isinstance(name, str) and name:
            call_id = given if isinstance(given, str) and given else f"call_{secrets.token_hex(12)}"
            events.append(assembly.tool_call(key, call_id, name, piece))
        else:
            raise NotAnAnswer("a tool call begins without a name")

    def end(self, word: str) -> Iterable[ChatEvent]:
        """The vendor says why the answer ended. Only the first word counts."""
        assembly = self.assembly
        if assembly.finish_reason is not None:
            return ()
        reason = map_finish_reason(word, called=assembly.last_call() is not None)
        assembly.finish(reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
        return assembly.close_calls() if self._closes_calls else ()

    def finish(self) -> Iterable[ChatEvent]:
        return ()
