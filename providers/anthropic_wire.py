"""The vendor's side of Messages, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import unquote

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces
from llmswitch.providers.anthropic_wire_rules import THOUGHTS, check_turns

__all__ = ["MessagesWire"]

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_CHOICES = {"auto": "auto", "none": "none", "any": "required"}


class MessagesWire(VendorWire):
    """Reads requests and writes answers as Anthropic's SDK types say."""

    says_filtered = False  # a refusal is a reason of its own, and has its own word
    keeps_thoughts = "always"
    seals_thoughts = True
    sealed_by_model = True

    def hear_request(self, request: HTTPRequest) -> Heard:
        body, options = loads(request.body), self.options
        path = options.stream_path or options.path if body.get("stream") else options.path
        if "{model}" not in path:
            return self.hear(body)
        before, after = (re.escape(piece) for piece in path.split("{model}"))
        found = re.fullmatch(f".*{before}([^/]+){after}", request.path)
        assert found is not None, "no path of this API"
        assert "model" not in body, "the model is in the path"
        return self.hear({**body, "model": unquote(found[1])})

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        for name, value in self.options.body.items():
            assert left.pop(name, value) == value
        turns = left.pop("messages")
        assert turns[-1]["role"] != "assistant" or self.capabilities.prefill
        system = left.pop("system", [])
        heard = Heard(left.pop("model"), [("system", _parts(system))] if system else [])
        check_turns(turns, left, self.options)
        for turn in turns:
            heard.messages += _messages(turn)
            heard.opaque += [(len(heard.messages) - 1, block) for block in self._thoughts(turn)]
        heard.prefill = turns[-1]["role"] == "assistant"
        heard.stream = left.pop("stream", False)
        limit = left.pop("max_tokens")
        assert 1 <= limit <= (self.capabilities.max_output or limit)
        heard.max_tokens = limit
        heard.temperature = left.pop("temperature", None)
        heard.top_p = left.pop("top_p", None)
        heard.stop = tuple(left.pop("stop_sequences", ()))
        self._tools(left, heard)
        self._output(left, heard)
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def _thoughts(self, turn: dict[str, Any]) -> list[dict[str, Any]]:
        """The model's own thoughts in a turn. Raises `AssertionError` for one that is not as this model gave it."""
        blocks = [] if isinstance(turn["content"], str) else turn["content"]
        thoughts = [block for block in blocks if block["type"] in THOUGHTS]
        for block in thoughts:
            assert block == self._block(Reasoning(block.get("thinking", ""))), "a thought that is not as it was given"
        return thoughts

    def _tools(self, left: dict[str, Any], heard: Heard) -> None:
        for tool in left.pop("tools", []):
            assert tool.keys() <= {"name", "description", "input_schema"}
            heard.tools.append((tool["name"], tool.get("description", ""), tool["input_schema"]))
        choice = left.pop("tool_choice", None)
        if choice is not None:
            assert heard.tools
            heard.tool_choice = choice["name"] if choice["type"] == "tool" else _CHOICES[choice["type"]]
            if choice.get("disable_parallel_tool_use"):
                assert choice["type"] != "none"
                heard.parallel_tool_calls = False

    def _output(self, left: dict[str, Any], heard: Heard) -> None:
        config = left.pop("output_config", {})
        form = config.pop("format", None)
        if form is not None:
            assert form.keys() == {"type", "schema"}
            assert form["schema"]["additionalProperties"] is False
            heard.schema = form["schema"]
        heard.reasoning = {**left.pop("thinking", {}), **config}
        budget = heard.reasoning.get("budget_tokens")
        if budget is not None:
            assert heard.max_tokens is not None
            assert 1024 <= budget < heard.max_tokens
            assert heard.temperature in (None, 1)

    def reply(self, answer: Answer) -> dict[str, Any]:
        blocks = [self._block(part) for part in answer.parts]
        return _message(blocks, _FINISH[answer.finish_reason], _usage(answer))

    def stream(self, answer: Answer) -> list[bytes]:
        whole = _usage(answer)
        first = {**whole, "output_tokens": 1}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": _message([], None, first)}]
        for index, part in enumerate(answer.parts):
            block = self._block(part)
            empty = {"text": "", "thinking": "", "signature": "", "input": {}}
            begin = {key: empty.get(key, value) for key, value in block.items()}
            events.append({"type": "content_block_start", "index": index, "content_block": begin})
            events.append({"type": "ping"})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block)]
            events.append({"type": "content_block_stop", "index": index})
        end = {"stop_reason": _FINISH[answer.finish_reason], "stop_sequence": None}
        events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": whole["output_tokens"]}})
        if "output_tokens_details" in whole:
            events[-1]["usage"]["output_tokens_details"] = whole["output_tokens_details"]
        events.append({"type": "message_stop"})
        return [_event(event) for event in events]

    def _block(self, part: Part) -> dict[str, Any]:
        match part:
            case Reasoning(text=""):
                return {"type": "redacted_thinking", "data": self.seal}
            case Reasoning():
                digest = hashlib.sha256(part.text.encode()).hexdigest()[:16]  # a changed text shows
                return {"type": "thinking", "thinking": part.text, "signature": f"{self.seal}{digest}"}
            case ToolCall():
                return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
            case Text():
                return {"type": "text", "text": part.text}
        raise AssertionError(part)

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:
        details = {"details": {"error_code": code}} if code else {}
        # the status alone is asked about where there is no type: the API always says one
        error = {**({"type": kind} if kind else {}), "message": message, **details}
        return dumps({"type": "error", "error": error, "request_id": f"req_{status}"})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        details = {"details": {"error_code": code}} if code else {}
        return _event({"type": "error", "error": {"type": kind or "overloaded_error", "message": message, **details}})


def _event(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), dumps(event))


def _message(content: list[dict[str, Any]], reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served-model",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    cached = answer.usage.cached_tokens or 0
    usage: dict[str, Any] = {
        "input_tokens": (answer.usage.input_tokens or 0) - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": answer.usage.output_tokens,
    }
    if answer.usage.reasoning_tokens is not None:
        usage["output_tokens_details"] = {"thinking_tokens": answer.usage.reasoning_tokens}
    return usage


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            pieces = [{"type": "thinking_delta", "thinking": piece} for piece in in_pieces(block["thinking"])]
            return [*pieces, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            written = dumps(block["input"]).decode() if block["input"] else ""
            pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in in_pieces(written)]
            return [{"type": "input_json_delta", "partial_json": ""}, *pieces]
        case "text":
            return [{"type": "text_delta", "text": piece} for piece in in_pieces(block["text"])]
    return []  # what is hidden comes whole


def _messages(turn: dict[str, Any]) -> list[tuple[str, list[Part]]]:
    """One turn as the neutral messages that it may come from: tool results are messages of their own."""
    parts = _parts(turn["content"])
    results: list[Part] = [part for part in parts if isinstance(part, ToolResult)]
    others = parts[len(results) :]
    return [*([("tool", results)] if results else []), *([(turn["role"], others)] if others else [])]


def _parts(content: str | list[dict[str, Any]]) -> list[Part]:
    if isinstance(content, str):
        assert content.strip()
        return [Text(content)]
    assert content
    return [_part(block) for block in content]


def _part(block: dict[str, Any]) -> Part:
    match block["type"]:
        case "text":
            assert block["text"].strip()
            return Text(block["text"])
        case "image":
            return _blob(Image, block["source"])
        case "document":
            return _blob(Document, block["source"])
        case "thinking" | "redacted_thinking":
            return Reasoning(block.get("thinking", ""))
        case "tool_use":
            assert isinstance(block["input"], dict)
            return ToolCall(block["id"], block["name"], block["input"])
        case "tool_result":
            content: Any = _parts(block["content"]) if block.get("content") else ""
            return ToolResult(block["tool_use_id"], content, is_error=block.get("is_error", False))
    raise AssertionError(f"a block that was not expected: {block['type']}")


def _blob(kind: type[Image | Document], source: dict[str, Any]) -> Part:
    match source["type"]:
        case "url":
            return kind(url=source["url"])
        case "text":
            return kind(data=base64.b64encode(source["data"].encode()).decode(), media_type=source["media_type"])
    assert source["type"] == "base64"
    return kind(data=source["data"], media_type=source["media_type"])
