"""The vendor's side of Converse, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["ConverseWire", "frame"]

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
_MEDIA = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html", "csv": "text/csv"}


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of an event stream."""
    block = b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


class ConverseWire(VendorWire):
    """Reads requests and writes answers as the service model of botocore says."""

    content_type = "application/vnd.amazon.eventstream"
    takes_image_urls = False
    keeps_thoughts = "always"
    seals_thoughts = True
    sealed_by_model = True

    def hear_request(self, request: HTTPRequest) -> Heard:
        _, place, model, way = request.path.split("/")
        assert place == "model"
        assert way in ("converse", "converse-stream")
        heard = self.hear(loads(request.body))
        heard.model, heard.stream = unquote(model), way == "converse-stream"
        return heard

    def asks_stream(self, request: HTTPRequest) -> bool:
        return request.path.endswith("/converse-stream")

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        for name, value in self.options.body.items():
            assert left.pop(name, value) == value
        system = _parts(left.pop("system", []))
        heard = Heard("", [("system", system)] if system else [])
        turns = left.pop("messages")
        self._check_turns(turns, left)
        for turn in turns:
            heard.messages += _messages(turn)
            for block in turn["content"]:
                if "reasoningContent" in block:
                    text = block["reasoningContent"].get("reasoningText", {}).get("text", "")
                    assert block == self._block(Reasoning(text)), "a thought that is not as it was given"
                    heard.opaque.append((len(heard.messages) - 1, block))
        settings = left.pop("inferenceConfig", {})
        heard.max_tokens = settings.pop("maxTokens", None)
        heard.temperature = settings.pop("temperature", None)
        heard.top_p = settings.pop("topP", None)
        heard.stop = tuple(settings.pop("stopSequences", ()))
        assert settings == {}
        config = left.pop("toolConfig", None)
        if config is not None:
            self._tools(config, heard)
        output = left.pop("outputConfig", {})
        form = output.pop("textFormat", None)
        if form is not None:
            assert form["type"] == "json_schema"
            heard.schema = loads(form["structure"]["jsonSchema"]["schema"])
        heard.reasoning = {**output, **left.pop("additionalModelRequestFields", {})}
        if heard.reasoning.get("thinking", {}).get("type") == "enabled":
            self._check_budget(heard, turns)
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def _check_budget(self, heard: Heard, turns: list[dict[str, Any]]) -> None:
        """What the vendor's documentation says of Claude's thinking with a budget."""
        budget = heard.reasoning["thinking"]["budget_tokens"]
        assert heard.max_tokens is None or 1024 <= budget < heard.max_tokens
        assert heard.max_tokens is not None, "the model's usual limit may be less than the budget"
        assert heard.tool_choice in (None, "auto")
        assert heard.temperature in (None, 1)
        assert heard.top_p is None or heard.top_p >= 0.95
        answers = [any("toolResult" in block for block in turn["content"]) for turn in turns]
        if answers[-1]:
            asked = max(place for place, turn in enumerate(turns) if turn["role"] == "user" and not answers[place])
            assert "reasoningContent" in turns[asked + 1]["content"][0], "calls that do not begin with a thought"

    def _check_turns(self, turns: list[dict[str, Any]], body: dict[str, Any]) -> None:
        """What the API refuses in the turns of a conversation."""
        assert [turn["role"] for turn in turns] == [("user", "assistant")[i % 2] for i in range(len(turns))]
        assert len(turns) % 2 == 1, "the last turn is the user's"
        used: list[str] = []
        called: list[str] = []
        for turn in turns:
            assert turn["content"], "a turn without content"
            results = [block["toolResult"]["toolUseId"] for block in turn["content"] if "toolResult" in block]
            assert sorted(called) == sorted(results), "each call has its result"
            called = [block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block]
            assert all(self.options.tool_ids.fits(name) for name in called), "an id that is refused"
            used += called
        assert len(set(used)) == len(used), "an id that is there already"
        assert not used or body.get("toolConfig"), "calls without tools"

    def _tools(self, config: dict[str, Any], heard: Heard) -> None:
        assert config["tools"]
        for tool in config["tools"]:
            if "cachePoint" not in tool:
                spec = tool["toolSpec"]
                heard.tools.append((spec["name"], spec.get("description", ""), spec["inputSchema"]["json"]))
        match config.get("toolChoice"):
            case {"tool": {"name": name}}:
                heard.tool_choice = name
            case {"any": {}}:
                heard.tool_choice = "required"
            case choice:
                assert choice in (None, {"auto": {}})

    def expected(self, answer: Answer) -> Answer:
        """Tokens of thinking are not told apart."""
        return replace(answer, usage=replace(answer.usage, reasoning_tokens=None))

    def reply(self, answer: Answer) -> dict[str, Any]:
        return {
            "output": {"message": {"role": "assistant", "content": [self._block(part) for part in answer.parts]}},
            "stopReason": _FINISH[answer.finish_reason],
            "usage": _usage(answer),
            "metrics": {"latencyMs": 5},
        }

    def stream(self, answer: Answer) -> list[bytes]:
        events = [_event("messageStart", {"role": "assistant"})]
        for index, part in enumerate(answer.parts):
            if isinstance(part, ToolCall):
                start = {"toolUse": {"toolUseId": part.id, "name": part.name}}
                events.append(_event("contentBlockStart", {"contentBlockIndex": index, "start": start}))
            deltas = [{"contentBlockIndex": index, "delta": delta, "p": "abc"} for delta in self._deltas(part)]
            events += [_event("contentBlockDelta", delta) for delta in deltas]
            events.append(_event("contentBlockStop", {"contentBlockIndex": index}))
        events.append(_event("messageStop", {"stopReason": _FINISH[answer.finish_reason]}))
        events.append(_event("metadata", {"usage": _usage(answer), "metrics": {"latencyMs": 5}}))
        return events

    def _block(self, part: Part) -> dict[str, Any]:
        match part:
            case Reasoning(text=""):
                return {"reasoningContent": {"redactedContent": self.seal}}
            case Reasoning():
                return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": self.seal}}}
            case ToolCall():
                return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.arguments}}
            case Text():
                return {"text": part.text}
        raise AssertionError(part)

    def _deltas(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Reasoning(text=""):
                return [{"reasoningContent": {"redactedContent": self.seal}}]
            case Reasoning():
                pieces: list[dict[str, Any]] = [{"reasoningContent": {"text": piece}} for piece in in_pieces(part.text)]
                return [*pieces, {"reasoningContent": {"signature": self.seal}}]
            case ToolCall():
                written = dumps(part.arguments).decode() if part.arguments else ""
                return [{"toolUse": {"input": piece}} for piece in ["", *in_pieces(written)]]
            case Text():
                return [{"text": piece} for piece in in_pieces(part.text)]
        raise AssertionError(part)

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        name = kind or code
        return dumps({**({"__type": f"com.amazon.coral.service#{name}"} if name else {}), "message": message})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        name = kind or code or "internalServerException"
        headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
        return frame(headers, dumps({"message": message}))


def _event(name: str, payload: dict[str, Any]) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, dumps(payload))


def _usage(answer: Answer) -> dict[str, Any]:
    cached, given, out = (
        answer.usage.cached_tokens or 0,
        answer.usage.input_tokens or 0,
        answer.usage.output_tokens or 0,
    )
    return {
        "inputTokens": given - cached,
        "outputTokens": out,
        "totalTokens": given + out,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": 0,
    }


def _messages(turn: dict[str, Any]) -> list[tuple[str, list[Part]]]:
    """One turn as the neutral messages that it may come from: tool results are messages of their own."""
    parts = _parts(turn["content"])
    results: list[Part] = [part for part in parts if isinstance(part, ToolResult)]
    others = parts[len(results) :]
    return [*([("tool", results)] if results else []), *([(turn["role"], others)] if others else [])]


def _parts(content: Sequence[dict[str, Any]]) -> list[Part]:
    return [_part(block) for block in content if "cachePoint" not in block]


def _part(block: dict[str, Any]) -> Part:
    match block:
        case {"text": text}:
            assert text.strip()
            return Text(text)
        case {"image": {"format": kind, "source": {"bytes": data}}}:
            return Image(data=data, media_type=f"image/{kind}")
        case {"document": {"format": kind, "name": _, "source": {"bytes": data}}}:
            return Document(data=data, media_type=_MEDIA[kind])
        case {"reasoningContent": thought}:
            return Reasoning(thought.get("reasoningText", {}).get("text", ""))
        case {"toolUse": call}:
            assert isinstance(call["input"], dict)
            return ToolCall(call["toolUseId"], call["name"], call["input"])
        case {"toolResult": result}:
            content: Any = _parts(result["content"]) or ""
            return ToolResult(result["toolUseId"], content, is_error=result.get("status") == "error")
    raise AssertionError(f"a block that was not expected: {sorted(block)}")
