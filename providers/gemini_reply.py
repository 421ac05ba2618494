"""Answers of generateContent, whole and streamed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmswitch._adapter import BrokenEvent, ErrorFacts, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import Reasoning, Text, VendorData
from llmswitch._reply import ChatWarning, FinishReason, Usage
from llmswitch.providers.gemini_errors import facts_of

__all__ = ["GeminiDecoder", "convert_usage", "map_finish_reason", "parse_reply"]

_FINISH: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "LANGUAGE",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "ESCALATION",
        ),
        "content_filter",
    ),
}
# Words under which there is no answer, though one may have begun: another try may do better.
_BROKEN = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"})
_UNSIGNED = "MISSING_THOUGHT_SIGNATURE"
_BLOCKED = "PROMPT_BLOCKED"  # of the rules in the provider's file; the vendor names no status under a 200


def map_finish_reason(word: str, *, called: bool) -> FinishReason:
    """The neutral reason; what is unknown is `other`. A stop after a tool was called is the call's."""
    reason = _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Mapping[str, Any]) -> Usage:
    """Tokens from `usageMetadata`, whose candidates leave out thoughts and whose prompt leaves out tools' use of it."""
    prompt, tools = _count(usage.get("promptTokenCount")), _count(usage.get("toolUsePromptTokenCount"))
    said, thought = _count(usage.get("candidatesTokenCount")), _count(usage.get("thoughtsTokenCount"))
    total = _count(usage.get("totalTokenCount"))
    given = None if prompt is None else prompt + (tools or 0)
    out = None if said is None and thought is None else (said or 0) + (thought or 0)
    if out is None and given is not None and total == given:
        out = 0  # a count of nothing is left out
    return Usage(
        input_tokens=given,
        output_tokens=out,
        cached_tokens=_count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thought,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_reply(body: Any, decoder: GeminiDecoder) -> ReplyAssembly:
    """A whole answer, by the same steps as a stream's; a list is a stream that was not asked for as events."""
    chunks = body if isinstance(body, list) and body else [body]
    for chunk in chunks:
        if not isinstance(chunk, Mapping):
            raise NotAnAnswer("it is not a JSON object")
        decoder.chunk(chunk)
    if decoder.assembly.finish_reason is None:
        if not decoder.heard_candidate:
            raise NotAnAnswer("it has no candidates")
        decoder.end("STOP", {})  # whole content without a word on why it ended: it is there, so it is an answer
    return decoder.assembly


class GeminiDecoder:
    """
    One stream of events, each of which holds new parts only. A stream has no last word: it ends with the body.

    `warnings`: what was changed in the request. `heard_candidate`: whether anything of an answer has come.
    """

    def __init__(self, identity: ModelIdentity, *, warnings: Sequence[ChatWarning] = ()) -> None:
        self.assembly = ReplyAssembly()
        self.assembly.warnings.extend(warnings)
        self.ended = False
        self.heard_candidate = False
        self._identity = identity
        self._calls = 0

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        try:
            data = loads(event.data)
        except JSONInvalid as problem:
            if not event.complete:
                return ()  # cut by the end of the body, which shows by what is missing
            raise BrokenEvent(f"an event is {problem}") from None
        if event.damaged:
            self.assembly.damaged()
        chunks = data if isinstance(data, list) and data else [data]
        events: list[ChatEvent] = []
        for chunk in chunks:
            if not isinstance(chunk, Mapping):
                raise BrokenEvent("an event is not a JSON object")
            events += self.chunk(chunk)
        return events

    def chunk(self, data: Mapping[str, Any]) -> list[ChatEvent]:
        """What one object of the answer adds to it."""
        if data.get("error"):
            raise VendorFault(facts_of(data))
        assembly = self.assembly
        assembly.raw = data
        if isinstance(data.get("responseId"), str):
            assembly.id = data["responseId"]
        if isinstance(data.get("modelVersion"), str):
            assembly.served_model = data["modelVersion"]
        events: list[ChatEvent] = []
        usage, candidate = data.get("usageMetadata"), _first(data.get("candidates"))
        if isinstance(usage, Mapping):
            assembly.usage = convert_usage(usage)
            ending = candidate is not None and candidate.get("finishReason")
            assembly.usage.estimated = not ending and assembly.finish_reason is None
        if candidate is None:
            self._check_blocked(_inner(data, "promptFeedback"))
        else:
            self.heard_candidate = True
            parts = _inner(candidate, "content").get("parts")
            for part in parts if isinstance(parts, list) else ():
                if isinstance(part, Mapping):
                    events += self._part(part)
            word = candidate.get("finishReason")
            if isinstance(word, str) and word:
                self.end(word, candidate)
        return events

    @staticmethod
    def _check_blocked(feedback: Mapping[str, Any]) -> None:
        """The prompt was refused, under a 200."""
        reason, said = feedback.get("blockReason"), feedback.get("blockReasonMessage")
        if isinstance(reason, str):
            words = said if isinstance(said, str) else f"the prompt was blocked ({reason[:40]})"
            raise VendorFault(ErrorFacts(code=reason[:128], type=_BLOCKED, message=words))

    def _part(self, part: Mapping[str, Any]) -> list[ChatEvent]:
        match part:
            case {"functionCall": Mapping() as call}:
                return self._call(part, call)
            case {"text": str(text)} if text:
                return self._text(part, text)
        if part and (part.get("text") != "" or "thoughtSignature" in part):
            # a signature without text, what a hosted tool did, a picture: to be sent back as it is
            self.assembly.opaque(self._vendor(dict(part)))
        return []

    def _text(self, part: Mapping[str, Any], text: str) -> list[ChatEvent]:
        """A piece of text or of a thought; one that is signed is a part of its own, and must stay one (docs)."""
        assembly, signature = self.assembly, part.get("thoughtSignature")
        thought = part.get("thought") is True
        if signature is not None:
            assembly.new_block()
        event = assembly.reasoning(text) if thought else assembly.text(text)
        if signature is not None:
            assembly.sign(Reasoning if thought else Text, self._vendor({"thoughtSignature": signature}))
            assembly.new_block()
        return [event]

    def _call(self, part: Mapping[str, Any], call: Mapping[str, Any]) -> list[ChatEvent]:
        """A call, which comes whole. Without an id of the vendor's it is given one, which goes nowhere."""
        name, args, given = call.get("name"), call.get("args"), call.get("id")
        if not isinstance(name, str) or not name:
            raise NotAnAnswer("a tool call has no name")
        if call.get("willContinue") or call.get("partialArgs"):
            raise NotAnAnswer("a tool call's arguments come in pieces, which was not asked for")
        opaque = {"thoughtSignature": part["thoughtSignature"]} if "thoughtSignature" in part else {}
        call_id = given if isinstance(given, str) and given else f"call_{secrets.token_hex(12)}"
        if given == call_id:
            opaque["id"] = call_id
        key, self._calls = self._calls, self._calls + 1
        written = dumps(dict(args) if isinstance(args, Mapping) else {}).decode()
        begun = self.assembly.tool_call(key, call_id, name, written, self._vendor(opaque) if opaque else None)
        return [begun, self.assembly.tool_done(key)]

    def _vendor(self, data: Mapping[str, Any]) -> VendorData:
        return VendorData(self._identity.provider, self._identity.account, self._identity.model, data)

    def end(self, word: str, candidate: Mapping[str, Any]) -> None:
        """The vendor says why the answer ended."""
        assembly = self.assembly
        if word in _BROKEN:
            raise NotAnAnswer(f"the vendor says that the model's answer is broken ({word})")
        if word == _UNSIGNED:
            said = candidate.get("finishMessage")
            words = said if isinstance(said, str) else "a signature is missing"
            raise VendorFault(ErrorFacts(code=word, message=words))
        reason = map_finish_reason(word, called=assembly.last_call() is not None)
        token = candidate.get("continuationToken")
        if reason == "pause" and not isinstance(token, str):
            reason = "other"
            assembly.warn("no_continuation", "the vendor paused the answer, and did not say how to go on with it")
        elif reason == "pause":
            assembly.opaque(self._vendor({"continuationToken": token}))
        elif reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is no usual end")
        assembly.finish(reason, word)

    def finish(self) -> Iterable[ChatEvent]:
        return ()


def _inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def _first(candidates: Any) -> Mapping[str, Any] | None:
    """The one candidate that is asked for; others come only where a caller asked for them in `extra`."""
    if not isinstance(candidates, list):
        return None
    return next((each for each in candidates if isinstance(each, Mapping) and each.get("index") in (None, 0)), None)
