"""Answers of Baidu's older API, whole and streamed: the text lies flat in `result`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmswitch._adapter import NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.json_frames import read_json_frame
from llmswitch.providers.openai_reply import convert_usage as read_usage
from llmswitch.providers.wenxin_errors import facts_of, is_error

__all__ = ["WenxinDecoder", "convert_usage", "map_finish_reason", "parse_answer"]

_FINISH: Mapping[str, FinishReason] = {
    "normal": "stop",
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
}


def map_finish_reason(frame: Mapping[str, Any], *, called: bool) -> tuple[FinishReason, str]:
    """The neutral reason and the vendor's word for it, which older endpoints leave out; flags weigh more than it."""
    word = frame.get("finish_reason")
    word = word if isinstance(word, str) and word else "normal"
    if frame.get("need_clear_history"):  # the vendor judged the conversation to be sensitive
        return "content_filter", word
    if frame.get("is_truncated"):
        return "length", word
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason, word


def convert_usage(usage: Any) -> Usage | None:
    """Tokens from a `usage` object: the names are those of Chat Completions."""
    return read_usage(usage)


def parse_answer(body: Any, decoder: WenxinDecoder) -> ReplyAssembly:
    """A whole answer. It is put together by the same steps as a stream of one frame."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    if is_error(body) or body.get("error"):
        raise VendorFault(facts_of(body))
    if not isinstance(body.get("result"), str) and not isinstance(body.get("function_call"), Mapping):
        raise NotAnAnswer("it has neither a result nor a function call")
    decoder.read_frame(body, whole=True)
    return decoder.assembly


class WenxinDecoder:
    """One stream of frames; the one with `is_end` is the last. `warnings`: what was changed in the request."""

    def __init__(self, *, warnings: Sequence[ChatWarning] = ()) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        if event.data.startswith("[DONE]"):  # a copy of the API may say so; the answer is whole by `is_end` alone
            self.ended = True
            return ()
        frame = read_json_frame(event, self.assembly)
        if frame is None:
            return ()
        if is_error(frame) or frame.get("error"):
            raise VendorFault(facts_of(frame))
        return self.read_frame(frame)

    def read_frame(self, frame: Mapping[str, Any], *, whole: bool = False) -> list[ChatEvent]:
        """The events of one frame; `whole`: it is the answer."""
        assembly = self.assembly
        assembly.raw = frame
        if assembly.id is None and isinstance(frame.get("id"), str):
            assembly.id = frame["id"]
        counted = convert_usage(frame.get("usage"))  # running totals: the last ones count
        if counted is not None:
            assembly.usage = counted
        events: list[ChatEvent] = []
        text, call = frame.get("result"), frame.get("function_call")
        if isinstance(text, str) and text:
            events.append(assembly.text(text))
        if isinstance(call, Mapping):
            self._call(call, events)
        if whole or frame.get("is_end"):
            reason, word = map_finish_reason(frame, called=assembly.last_call() is not None)
            assembly.finish(reason, word)
            if reason == "other":
                assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
            if not whole:
                events.extend(assembly.close_calls())
            self.ended = True
        return events

    def _call(self, call: Mapping[str, Any], events: list[ChatEvent]) -> None:
        """One call, whole or in pieces. It has no id here, so it is given one."""
        assembly = self.assembly
        name, arguments, thoughts = call.get("name"), call.get("arguments"), call.get("thoughts")
        if isinstance(arguments, Mapping):
            arguments = dumps(dict(arguments)).decode()
        arguments = arguments if isinstance(arguments, str) else ""
        if isinstance(thoughts, str) and thoughts and not assembly.has_call("the one"):
            events.append(assembly.reasoning(thoughts))
        if assembly.has_call("the one"):
            events.append(assembly.tool_arguments("the one", arguments))
        elif isinstance(name, str) and name:
            events.append(assembly.tool_call("the one", f"call_{secrets.token_hex(12)}", name, arguments))
        elif arguments:
            raise NotAnAnswer("a function call begins without a name")

    def finish(self) -> Iterable[ChatEvent]:
        return ()
