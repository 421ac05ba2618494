"""Answers of Tencent's native API: whole in `Response`, and in frames without it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmswitch._adapter import NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.json_frames import read_json_frame
from llmswitch.providers.tencent_native_errors import error_in, facts_of, unwrapped

__all__ = ["TencentDecoder", "convert_usage", "map_finish_reason", "parse_response"]

# There is no word for an answer that was cut: the vendor has no limit of tokens, and reports `stop`.
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "sensitive": "content_filter",
}


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Any) -> Usage | None:
    """Tokens from a `Usage` object; `None` where it is not one."""
    if not isinstance(usage, Mapping):
        return None
    details = usage.get("PromptTokensDetails")
    counted = Usage(
        input_tokens=_count(usage.get("PromptTokens")),
        output_tokens=_count(usage.get("CompletionTokens")),
        cached_tokens=_count(details.get("CachedTokens")) if isinstance(details, Mapping) else None,
    )
    return counted if counted.input_tokens is not None or counted.output_tokens is not None else None


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)  # the SDK has the cached ones as text
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_response(body: Any, decoder: TencentDecoder) -> ReplyAssembly:
    """A whole answer. It is put together by the same steps as a stream of one frame."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    inner = unwrapped(body)
    if error_in(inner) is not None or body.get("error"):
        raise VendorFault(facts_of(body))
    choices = inner.get("Choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise NotAnAnswer("it has no choices")
    message = choices[0].get("Message")
    if not isinstance(message, Mapping):
        raise NotAnAnswer("its first choice has no message")
    decoder.read_frame({**inner, "Choices": [{**choices[0], "Delta": message}]}, closes_calls=False)
    if decoder.assembly.finish_reason is None:  # a whole answer without a word on why it ended is an answer
        list(decoder.end("stop", closes_calls=False))
    decoder.assembly.raw = body
    return decoder.assembly


class TencentDecoder:
    """One stream of frames; the one with a reason for the end is the last. `warnings`: what to say of the request."""

    def __init__(self, *, warnings: Sequence[ChatWarning] = ()) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        if event.data.startswith("[DONE]"):
            self.ended = True
            return ()
        if not event.data.strip():
            return ()
        frame = read_json_frame(event, self.assembly)
        if frame is None:
            return ()
        if error_in(unwrapped(frame)) is not None or frame.get("error"):
            raise VendorFault(facts_of(frame))
        return self.read_frame(unwrapped(frame))

    def read_frame(self, frame: Mapping[str, Any], *, closes_calls: bool = True) -> list[ChatEvent]:
        """The events of one frame."""
        assembly = self.assembly
        assembly.raw = frame
        if assembly.id is None and isinstance(frame.get("Id"), str):
            assembly.id = frame["Id"]
        counted = convert_usage(frame.get("Usage"))  # running totals: the last ones count
        if counted is not None:
            assembly.usage = counted
        if str(frame.get("ModerationLevel") or "") == "1":
            assembly.warn("moderation", "the vendor sees a risk in this conversation, and advises to end it")
        choices = frame.get("Choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping) or choice.get("Index") not in (0, None):
            return []
        finished = assembly.finish_reason is not None
        delta = choice.get("Delta")
        events = self._delta(delta) if isinstance(delta, Mapping) else []
        if events and finished:
            assembly.warn("after_finish", "the vendor went on after it had said that the answer was whole")
        word = choice.get("FinishReason")
        if isinstance(word, str) and word:
            events.extend(self.end(word, closes_calls=closes_calls))
        return events

    def _delta(self, delta: Mapping[str, Any]) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        thoughts, text, calls = delta.get("ReasoningContent"), delta.get("Content"), delta.get("ToolCalls")
        if isinstance(thoughts, str) and thoughts:
            events.append(self.assembly.reasoning(thoughts))
        if isinstance(text, str) and text:
            events.append(self.assembly.text(text))
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, Mapping):
                self._call(call, events)
        return events

    def _call(self, call: Mapping[str, Any], events: list[ChatEvent]) -> None:
        """One call, or a piece of one. Pieces are put together by the id (SDK), which each of them carries."""
        assembly = self.assembly
        function = call.get("Function")
        function = function if isinstance(function, Mapping) else {}
        name, arguments, given = function.get("Name"), function.get("Arguments"), call.get("Id")
        piece = arguments if isinstance(arguments, str) else ""
        key: object = given if isinstance(given, str) and given else assembly.last_call()
        if key is not None and assembly.has_call(key):
            if piece:
                events.append(assembly.tool_arguments(key, piece))
        elif isinstance(name, str) and name:
            call_id = key if isinstance(key, str) else f"call_{secrets.token_hex(12)}"
            events.append(assembly.tool_call(call_id, call_id, name, piece))
        else:
            raise NotAnAnswer("a tool call begins without a name")

    def end(self, word: str, *, closes_calls: bool = True) -> Iterable[ChatEvent]:
        """The vendor says why the answer ended. Only the first word counts."""
        assembly = self.assembly
        if assembly.finish_reason is not None:
            return ()
        reason = map_finish_reason(word, called=assembly.last_call() is not None)
        assembly.finish(reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
        return assembly.close_calls() if closes_calls else ()

    def finish(self) -> Iterable[ChatEvent]:
        return ()
