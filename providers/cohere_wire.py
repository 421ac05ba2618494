"""The vendor's side of Cohere's chat API, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["CohereWire"]

_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


class CohereWire(VendorWire):
    """Reads requests and writes answers as the vendor's SDK types, its documentation and its refusals say."""

    says_filtered = False

    def __init__(self, options: Any, capabilities: Any) -> None:
        super().__init__(options, capabilities)
        self.shows_reasoning = bool(capabilities.reasoning)
        if capabilities.reasoning and options.reasoning_replay != "omit":
            self.keeps_thoughts = "with_calls" if options.reasoning_replay == "with_calls" else "always"

    def hear_request(self, request: HTTPRequest) -> Heard:
        assert request.path == "/v2/chat"
        return self.hear(loads(request.body))

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        for name, value in self.options.body.items():
            assert left.pop(name, value) == value
        thinking = left.pop("thinking", {})
        assert set(thinking) <= {"type", "token_budget"}
        messages = left.pop("messages")
        form = left.pop("response_format", None)
        if form is not None and messages[0] == {"role": "system", "content": "Answer in JSON."}:
            messages = messages[1:]
        thinks = thinking.get("type", "enabled" if self.capabilities.thinks_unasked else "disabled") == "enabled"
        self._check(messages, thinks=thinks)
        heard = Heard(left.pop("model"), [(message["role"], _parts(message)) for message in messages])
        heard.stream = left.pop("stream", False)
        heard.reasoning = thinking
        self._tools(left, heard)
        if form is not None:
            assert form["type"] == "json_object"
            assert not heard.tools, "a form beside tools"
            heard.schema = form.get("json_schema")
            heard.json_mode = heard.schema is None
        heard.max_tokens = left.pop("max_tokens", None)
        heard.temperature = left.pop("temperature", None)
        heard.top_p = left.pop("p", None)
        assert heard.top_p is None or 0.01 <= heard.top_p <= 0.99
        heard.stop = tuple(left.pop("stop_sequences", ()))
        heard.seed = left.pop("seed", None)
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def _check(self, messages: Sequence[dict[str, Any]], *, thinks: bool) -> None:
        """What the API refuses in the messages of a request."""
        open_calls: set[str] = set()
        for message in messages:
            content, calls = message.get("content"), message.get("tool_calls", ())
            kinds = {"text"} if isinstance(content, str) else {part["type"] for part in content or ()}
            if message["role"] == "tool":
                assert kinds <= {"text", "document"}
                assert message["tool_call_id"] in open_calls, "a result answers a call of the turn before it, and once"
                open_calls.remove(message["tool_call_id"])
                continue
            assert not open_calls, "every call is answered before anything else is said"
            assert content or calls, "an empty message"
            assert not isinstance(content, str) or content.strip(), "blank text"
            assert "thinking" not in kinds or (message["role"] == "assistant" and thinks), "thinking is refused here"
            assert "image_url" not in kinds or (message["role"] == "user" and self.capabilities.images)
            assert not calls or "text" not in kinds, "text content is not allowed when tool_calls are provided"
            assert calls or "tool_plan" not in message, "a plan without calls"
            open_calls = {call["id"] for call in calls}
            assert all(self.options.tool_ids.fits(name) for name in open_calls), "an id that is refused"
            assert len(open_calls) == len(calls), "an id that is there already"
        assert not open_calls, "every call is answered"

    def _tools(self, left: dict[str, Any], heard: Heard) -> None:
        for tool in left.pop("tools", ()):
            assert tool["type"] == "function"
            function = tool["function"]
            heard.tools.append((function["name"], function.get("description", ""), function["parameters"]))
        choice = left.pop("tool_choice", None)
        assert choice in (None, "REQUIRED", "NONE")
        assert choice is None or heard.tools, "a choice without tools"
        heard.tool_choice = choice.lower() if choice else None
        assert left.pop("strict_tools", False) == (self.options.strict_tools and bool(heard.tools))

    def expected(self, answer: Answer) -> Answer:
        """Tokens of thinking are not told apart."""
        return replace(answer, usage=replace(answer.usage, reasoning_tokens=None))

    def reply(self, answer: Answer) -> dict[str, Any]:
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        content = [_block(part) for part in _content(answer)]
        message: dict[str, Any] = {"role": "assistant", **({"content": content} if content else {})}
        if calls:
            message["tool_calls"] = [_call(call, _arguments(call)) for call in calls]
            message["tool_plan"] = _plan(answer)
        return {
            "id": "r-1",
            "finish_reason": _FINISH[answer.finish_reason],
            "message": message,
            "usage": _usage(answer),
        }

    def stream(self, answer: Answer) -> list[bytes]:
        events = [_event("message-start", id="r-1", delta={"message": {"role": "assistant", "content": []}})]
        for index, part in enumerate(_content(answer)):
            kind = "text" if isinstance(part, Text) else "thinking"
            events.append(_event("content-start", index, delta={"message": {"content": {"type": kind, kind: ""}}}))
            events += [
                _event("content-delta", index, delta={"message": {"content": {kind: piece}}})
                for piece in in_pieces(part.text)
            ]
            events.append(_event("content-end", index))
        plan = in_pieces(_plan(answer))
        events += [_event("tool-plan-delta", delta={"message": {"tool_plan": piece}}) for piece in plan]
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        for index, call in enumerate(calls):
            events.append(_event("tool-call-start", index, delta={"message": {"tool_calls": _call(call, "")}}))
            events += [
                _event("tool-call-delta", index, delta={"message": {"tool_calls": {"function": {"arguments": piece}}}})
                for piece in in_pieces(_arguments(call))
            ]
            events.append(_event("tool-call-end", index))
        end = {"finish_reason": _FINISH[answer.finish_reason], "usage": _usage(answer)}
        return [*events, _event("message-end", id="r-1", delta=end)]

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return dumps({"id": "r-1", "message": message})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return _event("message-end", id="r-1", delta={"finish_reason": "ERROR", "error": message})


def _event(name: str, index: int | None = None, **fields: Any) -> bytes:
    frame = {"type": name, **({"index": index} if index is not None else {}), **fields}
    return b"event: " + name.encode() + b"\ndata: " + dumps(frame) + b"\n\n"


def _content(answer: Answer) -> list[Text | Reasoning]:
    """What is written as content: beside calls, text is a plan and stands elsewhere."""
    calls = any(isinstance(part, ToolCall) for part in answer.parts)
    kinds = (Reasoning,) if calls else (Reasoning, Text)
    return [part for part in answer.parts if isinstance(part, kinds) and part.text]


def _plan(answer: Answer) -> str:
    if not any(isinstance(part, ToolCall) for part in answer.parts):
        return ""
    return "".join(part.text for part in answer.parts if isinstance(part, Text))


def _block(part: Text | Reasoning) -> dict[str, str]:
    kind = "text" if isinstance(part, Text) else "thinking"
    return {"type": kind, kind: part.text}


def _arguments(call: ToolCall) -> str:
    return dumps(call.arguments).decode() if call.arguments else ""


def _call(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _usage(answer: Answer) -> dict[str, Any]:
    given, out = answer.usage.input_tokens or 0, answer.usage.output_tokens or 0
    return {
        "billed_units": {"input_tokens": max(given - 2, 0), "output_tokens": out},
        "tokens": {"input_tokens": float(given), "output_tokens": float(out)},
        "cached_tokens": answer.usage.cached_tokens or 0,
    }


def _parts(message: dict[str, Any]) -> list[Part]:
    content = message.get("content") or []
    if message["role"] == "tool":
        text = content if isinstance(content, str) else dumps([part["document"]["data"] for part in content]).decode()
        return [ToolResult(message["tool_call_id"], text, is_error=text.startswith("Error: "))]
    parts: list[Part] = [Text(content)] if isinstance(content, str) else [_part(part) for part in content]
    if message.get("tool_plan"):
        parts.append(Text(message["tool_plan"]))
    for call in message.get("tool_calls", ()):
        function = call["function"]
        parts.append(ToolCall(call["id"], function["name"], loads(function["arguments"])))
    return parts


def _part(part: dict[str, Any]) -> Part:
    match part:
        case {"type": "text", "text": text}:
            assert text.strip()
            return Text(text)
        case {"type": "thinking", "thinking": text}:
            return Reasoning(text)
        case {"type": "image_url", "image_url": {"url": url}}:
            return Image(url=url)
    raise AssertionError(f"a part that was not expected: {sorted(part)}")
