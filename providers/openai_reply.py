"""Answers of a Chat Completions server, whole and streamed, read as leniently as the many servers of it need."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import BrokenEvent, ModelIdentity, NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._framing import EventStreamMessage, ServerSentEvent
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import Reasoning
from llmswitch._reply import FinishReason, Usage
from llmswitch.providers.openai_errors import facts_of
from llmswitch.providers.openai_prefill import Echo
from llmswitch.providers.openai_status import check_status, is_withdrawn, vendor_facts
from llmswitch.providers.openai_thoughts import ContentThought, Thought
from llmswitch.providers.openai_tools_as_schema import read_held

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["ChatCompletionsDecoder", "convert_usage", "map_finish_reason", "parse_completion"]

# OpenAI's own words, then those of servers that copied the rest (vLLM, Together, older copies).
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_length": "length",
}
# Not finished yet: null, absent, and (StepFun, SenseNova, DashScope) an empty string or the word "null".
_UNFINISHED = (None, "", "null")


def map_finish_reason(word: str, options: ChatCompletionsOptions, *, called: bool) -> FinishReason:
    """
    The neutral reason. Several servers say `stop` although a tool was called; what is unknown is `other`.

    Raises `VendorFault` for the words by which a vendor says that the answer failed.
    """
    if word in options.finish_errors:
        facts = facts_of({"code": options.finish_errors[word], "message": f"the answer ended with {word!r}"})
        raise VendorFault(facts)
    reason = options.finish_reasons.get(word) or _FINISH.get(word, "other")
    return "tool_calls" if called and reason == "stop" else reason


def convert_usage(usage: Any) -> Usage | None:
    """
    Tokens from a `usage` object, wherever servers put the cached ones; `None` where it is not one.

    Where the total shows that thinking was counted beside the answer (xAI, public samples of 2026), it is added.
    """
    if not isinstance(usage, Mapping):
        return None
    inputs = _inner(usage, "prompt_tokens_details")
    outputs = _inner(usage, "completion_tokens_details")
    cached = _first(inputs.get("cached_tokens"), usage.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"))
    read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    thought, total = _count(outputs.get("reasoning_tokens")), _count(usage.get("total_tokens"))
    if read is not None and written is not None and thought and total == read + written + thought:
        written += thought
    counted = Usage(
        input_tokens=read,
        output_tokens=written,
        cached_tokens=_count(cached),
        cache_write_tokens=_count(inputs.get("cache_write_tokens")),
        reasoning_tokens=thought,
    )
    return counted if counted.input_tokens is not None or counted.output_tokens is not None else None


def _thought_in(part: Mapping[str, Any]) -> str:
    """The thinking in a part of the content: Mistral's `thinking`, Databricks' `summary` (SDK and docs, 2026-11)."""
    pieces = part.get("thinking") or part.get("summary")
    if part.get("type") not in ("thinking", "reasoning") or not isinstance(pieces, list):
        return ""
    texts = [piece.get("text") for piece in pieces if isinstance(piece, Mapping)]
    return "".join(text for text in texts if isinstance(text, str))


def _inner(usage: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = usage.get(key)
    return found if isinstance(found, Mapping) else {}


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def parse_completion(
    body: Any,
    options: ChatCompletionsOptions,
    identity: ModelIdentity,
    *,
    tools_as_schema: bool = False,
    echo: str = "",
) -> ReplyAssembly:
    """A whole answer. It is put together by the same steps as a stream of one chunk."""
    if not isinstance(body, Mapping):
        raise NotAnAnswer("it is not a JSON object")
    check_status(body, options)
    if body.get("error"):
        raise VendorFault(vendor_facts(body, options))
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        if "message" in body or "code" in body or "detail" in body:
            raise VendorFault(facts_of(body))
        raise NotAnAnswer("it has no choices")
    message = choices[0].get("message")
    if not isinstance(message, Mapping):
        raise NotAnAnswer("choices[0] has no message")
    # calls are closed by the reader of the whole answer, who has the rest of it when one turns out to be cut
    decoder = ChatCompletionsDecoder(options, identity, tools_as_schema=tools_as_schema, closes_calls=False, echo=echo)
    calls = message.get("tool_calls")
    if isinstance(calls, list):  # in one piece they stand in order and need no numbers; a chunk does
        numbered = [{**call, "index": index} for index, call in enumerate(calls) if isinstance(call, Mapping)]
        message = {**message, "tool_calls": numbered}
    decoder.read_chunk({**body, "choices": [{**choices[0], "index": 0, "delta": message}]})
    assembly = decoder.assembly
    if assembly.finish_reason is None:  # whole text without a word on why it ended: it is there, so it is an answer
        list(decoder.end("stop" if choices[0].get("finish_reason") in _UNFINISHED else "other"))
    assembly.raw = body
    return assembly


def _is_bare_error(chunk: Mapping[str, Any]) -> bool:
    """Some gateways write an error into a stream without the wrapper by which it is known."""
    return bool(chunk.get("code")) and isinstance(chunk.get("message"), str)


class ChatCompletionsDecoder:
    """
    One stream of `chat.completion.chunk`s. `tools`: the names of those that may be called. `echo`: text that it begins
    with although the caller has it.
    """

    def __init__(
        self,
        options: ChatCompletionsOptions,
        identity: ModelIdentity,
        *,
        tools: Collection[str] = (),
        tools_as_schema: bool = False,
        closes_calls: bool = True,
        echo: str = "",
    ) -> None:
        self.assembly = ReplyAssembly()
        self.ended = False
        self._options = options
        self._identity = identity
        self._thought = Thought(identity, grows=options.reasoning_grows)
        self._thinks = frozenset(options.reasoning_fields)
        self._flags = options.withdrawn
        self._content_thought: ContentThought | None = None
        self._tools = tools
        self._echo = Echo(echo) if echo else None
        self._closes_calls = closes_calls
        self._began_together = False  # the calls that began last came in one chunk
        self._refused = False
        self._withdrawn = False
        self._held: list[str] | None = [] if tools_as_schema else None

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        assert isinstance(event, ServerSentEvent)
        data = event.data
        if data.startswith("[DONE]"):
            self.ended = True
            if self._options.done_ends and self.assembly.raw:
                return self.end("stop")
            return self._unsaid_end() if self._options.eof_ok else ()
        if not data or data.isspace():  # a keep-alive in the form of an empty event
            return ()
        try:
            chunk = loads(data)
        except JSONInvalid as problem:
            if not event.complete or event.event not in ("", "message", "error"):
                return ()  # cut by the end of the body, or an event of the vendor's own: what is missing will show
            raise BrokenEvent(f"an event is {problem}") from None
        if not event.complete:
            self.assembly.warn("incomplete_event", "the body ended before the blank line of its last event")
        if event.damaged:
            self.assembly.damaged()
        if not isinstance(chunk, dict):
            raise BrokenEvent("an event is not a JSON object")
        options = self._options
        if options.answer_status is not None:
            check_status(chunk, options)
        if event.event == "error" or chunk.get("error") or ("choices" not in chunk and _is_bare_error(chunk)):
            raise VendorFault(vendor_facts(chunk, options))
        if options.extras_field:
            extras = _inner(chunk, options.extras_field)
            if extras.get("error"):
                raise VendorFault(vendor_facts({"error": extras["error"]}, options))
        return self.read_chunk(chunk)

    def read_chunk(self, chunk: Mapping[str, Any]) -> list[ChatEvent]:
        """The events of one chunk."""
        assembly = self.assembly
        assembly.raw = chunk
        if assembly.id is None and isinstance(chunk.get("id"), str):
            assembly.id = chunk["id"]
        if assembly.served_model is None and isinstance(chunk.get("model"), str):
            assembly.served_model = chunk["model"]
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        usage = chunk.get("usage")
        if usage is None and isinstance(choice, dict):
            usage = choice.get("usage")
        if usage is None and self._options.extras_field:
            usage = _inner(chunk, self._options.extras_field).get("usage")
        if usage is not None:
            self._count(usage)
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            return []
        if choice.get("error"):
            raise VendorFault(facts_of(choice))
        if self._flags:
            self._withdrawn |= is_withdrawn(choice, self._flags)
        events: list[ChatEvent] = []
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._delta(delta, events)
            if events and assembly.finish_reason is not None:
                assembly.warn("after_finish", "the vendor went on after it had said that the answer was whole")
        word = choice.get("finish_reason")
        if word not in _UNFINISHED:
            events.extend(self.end(str(word)))
        return events

    def _count(self, usage: Any) -> None:
        """The last valid numbers count; they come in a last chunk, in every chunk, or inside the choice."""
        counted = convert_usage(usage)
        if counted is not None:
            self.assembly.usage = counted
        elif usage:
            self.assembly.warn("usage_unknown", "the vendor's count of tokens is not one")

    def _delta(self, delta: Mapping[str, Any], events: list[ChatEvent]) -> None:
        assembly = self.assembly
        if not self._thinks.isdisjoint(delta):
            thought = self._thought.read(delta, self._options.reasoning_fields)
            if thought is not None:
                if thought:
                    events.append(assembly.reasoning(thought))
                assembly.sign(Reasoning, self._thought.vendor)
        thoughts = len(events)
        content = delta.get("content")
        if isinstance(content, str):
            if content and self._echo is None and self._held is None:  # `_text`, for what nearly every event is
                self._content_thought = None
                events.append(assembly.text(content))
            else:
                self._text(content, events)
        elif isinstance(content, list):
            for part in content:
                self._part(part if isinstance(part, Mapping) else {}, events)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            events.append(assembly.text(refusal))
        calls = delta.get("tool_calls")
        if calls:
            self._calls(calls if isinstance(calls, list) else [calls], events)
        if len(events) > thoughts:
            self._thought.spoken = True

    def _part(self, part: Mapping[str, Any], events: list[ChatEvent]) -> None:
        """A part of the content: a text, or a piece of a thought, which ends where a text begins."""
        if part.get("type") not in ("thinking", "reasoning"):
            text = part.get("text")
            self._text(text if isinstance(text, str) else "", events)
            return
        words = _thought_in(part)
        if words:
            events.append(self.assembly.reasoning(words))
        if self._options.thoughts_in_content:
            self._content_thought = self._content_thought or ContentThought(self._identity)
            self._content_thought.add(part)
            vendor = self._content_thought.vendor
            if words or vendor.data:
                self.assembly.sign(Reasoning, vendor)

    def _text(self, content: str, events: list[ChatEvent]) -> None:
        """More text, without what the caller has of it already."""
        if self._echo is not None:
            content = self._echo.without(content)
        if not content:
            return
        self._content_thought = None
        if self._held is not None:
            self._held.append(content)
        else:
            events.append(self.assembly.text(content))

    def _calls(self, calls: list[Any], events: list[ChatEvent]) -> None:
        """Pieces of tool calls in one chunk."""
        pieces = [call for call in calls if isinstance(call, Mapping)]
        before = self.assembly.last_call()
        events.extend([self._call(piece, alone=len(pieces) == 1) for piece in pieces])
        if self.assembly.last_call() is not before:
            self._began_together = len(pieces) > 1

    def _call(self, call: Mapping[str, Any], *, alone: bool) -> ChatEvent:
        """One piece of a tool call. Its arguments never stray into another: what can't be told apart is refused."""
        assembly = self.assembly
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        given = call.get("id")
        given = given if isinstance(given, str) and given else None
        name = function.get("name")
        name = name if isinstance(name, str) else ""
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = dumps(dict(arguments)).decode()
        arguments = arguments if isinstance(arguments, str) else ""
        key = self._key(call.get("index"), given, begins=bool(name), alone=alone)
        if not assembly.has_call(key):
            if not name:
                raise NotAnAnswer("a tool call begins without a name")
            return assembly.tool_call(key, given or f"call_{secrets.token_hex(12)}", name, arguments)
        if given is not None and assembly.call_id(key) != given:
            raise NotAnAnswer("two tool calls share one index")
        if name:
            self._more_name(key, name)
        return assembly.tool_arguments(key, arguments)

    def _key(self, index: Any, given: str | None, *, begins: bool, alone: bool) -> object:
        """Which call a piece belongs to: by its number, else by its id, else to the call that began last."""
        if isinstance(index, str) and index.isascii() and index.isdigit() and len(index) < 10:
            index = int(index)
        if isinstance(index, int):
            return index
        if given is not None:
            known = self.assembly.call_with(given)
            return given if known is None else known
        if begins:
            return object()
        if not alone or self._began_together:
            raise NotAnAnswer("a piece of a tool call does not say which of several it belongs to")
        return self.assembly.last_call()

    def _more_name(self, key: object, piece: str) -> None:
        """A name may be said again with every piece, or come in pieces, if together they are the name of a tool."""
        known = self.assembly.call_name(key)
        if piece == known:
            return
        if not any(tool.startswith(known + piece) for tool in self._tools):
            raise NotAnAnswer("the name of a tool call changes while it is written")
        self.assembly.rename_call(key, known + piece)

    def end(self, word: str) -> Iterable[ChatEvent]:
        """The answer is whole. Anything after this is kept, and only the first word counts."""
        assembly = self.assembly
        events: list[ChatEvent] = []
        if assembly.finish_reason is not None:
            return events
        if self._echo is not None and (kept := self._echo.rest()):
            events.append(assembly.text(kept))
        if self._held is not None:
            events.extend(read_held("".join(self._held), assembly))
        called = assembly.last_call() is not None
        reason = map_finish_reason(word, self._options, called=called)
        reason = "content_filter" if self._withdrawn else reason
        assembly.finish("refusal" if self._refused and reason == "stop" else reason, word)
        if reason == "other":
            assembly.warn("unknown_finish_reason", f"the vendor ended with {word[:40]!r}, which is not known here")
        if self._closes_calls:
            events.extend(assembly.close_calls())
        return events

    def finish(self) -> Iterable[ChatEvent]:
        return self._unsaid_end() if self._options.eof_ok is True else ()

    def _unsaid_end(self) -> Iterable[ChatEvent]:
        """The stream ended in order without a word on why. Nothing at all is still no answer, nor is half a call."""
        assembly = self.assembly
        if assembly.finish_reason is not None or not (assembly.begun or self._held) or assembly.unfinished_arguments:
            return ()
        assembly.warn("no_finish_reason", "the vendor ended the stream without saying why; it is taken for whole")
        return self.end("stop")
