"""Answers of Ollama, whole and in lines: a whole one is a line that holds everything."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmswitch._adapter import ErrorFacts, NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.json_frames import read_json_frame
from llmswitch.providers.ollama_errors import facts_of

__all__ = ["ChatDecoder", "convert_usage", "map_finish_reason", "parse_reply"]

_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}
_NO_ANSWER = ("load", "unload")  # the model was loaded, or put away, and not asked


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(line: Mapping[str, Any]) -> Usage:
    """
    Tokens of the last line. What is 0 is left out there, so no count of the output beside one of the input is none.

    A prompt can't be of no tokens: without its count it is not known how many they are (old servers leave out what
    they kept of an earlier request).
    """
    given, out = _count(line.get("prompt_eval_count")), _count(line.get("eval_count"))
    return Usage(input_tokens=given or None, output_tokens=0 if out is None and given is not None else out)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_reply(body: Any, decoder: ChatDecoder) -> ReplyAssembly:
    """A whole answer. It is put together by the same steps as a stream of one line."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    list(decoder.read_line(body))
    if not decoder.ended:
        raise NotAnAnswer("it does not say that it is done")
    return decoder.assembly


class ChatDecoder:
    """One stream of lines; the one that says it is done is the last. `warnings`: what to say of the request."""

    def __init__(self, *, warnings: Sequence[ChatWarning] = ()) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False
        self._ids: set[str] = set()

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        line = read_json_frame(event, self.assembly)
        return self.read_line(line) if line is not None else ()

    def read_line(self, line: Mapping[str, Any]) -> list[ChatEvent]:
        """The events of one line, which holds what is new."""
        if line.get("error"):
            raise VendorFault(facts_of(line))
        message, assembly = line.get("message"), self.assembly
        if not isinstance(message, Mapping):
            raise NotAnAnswer("it has no message")
        assembly.raw = line
        if assembly.served_model is None and isinstance(line.get("model"), str):
            assembly.served_model = line["model"]
        self._say_where(line)
        events: list[ChatEvent] = []
        thoughts, text, calls = message.get("thinking"), message.get("content"), message.get("tool_calls")
        if isinstance(thoughts, str) and thoughts:
            events.append(assembly.reasoning(thoughts))
        if isinstance(text, str) and text:
            events.append(assembly.text(text))
        for call in calls if isinstance(calls, list) else ():
            events += self._call(call)
        if line.get("done") is True:
            self._end(line)
        return events

    def _say_where(self, line: Mapping[str, Any]) -> None:
        """A daemon passes a model of the cloud on to it: that is said, for the address looked near."""
        host = line.get("remote_host")
        if isinstance(host, str) and host:
            self.assembly.warn("passed_on", f"the server passed the request on to {host[:80]}, where the model ran")

    def _call(self, call: Any) -> list[ChatEvent]:
        """A call comes whole. Old servers give it no id."""
        function = call.get("function") if isinstance(call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name, str) or not name:
            raise NotAnAnswer("a tool call has no name")
        given, arguments = call.get("id"), function.get("arguments")
        call_id = given if isinstance(given, str) and given else f"call_{secrets.token_hex(12)}"
        if call_id in self._ids:
            call_id = f"call_{secrets.token_hex(12)}"
        self._ids.add(call_id)
        written = arguments if isinstance(arguments, str) else dumps({} if arguments is None else arguments).decode()
        return [self.assembly.tool_call(call_id, call_id, name, written), self.assembly.tool_done(call_id)]

    def _end(self, line: Mapping[str, Any]) -> None:
        assembly, word = self.assembly, line.get("done_reason")
        assembly.usage = convert_usage(line)
        if not isinstance(word, str) or not word:
            raise VendorFault(ErrorFacts(message="the process that runs the model ended before the answer did"))
        if word in _NO_ANSWER:
            raise NotAnAnswer(f"the server says that nobody was asked ({word})")
        self.ended = True
        reason = map_finish_reason(word, called=assembly.last_call() is not None)
        assembly.finish(reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")

    def finish(self) -> Iterable[ChatEvent]:
        return ()
