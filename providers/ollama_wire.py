"""The vendor's side of Ollama's native API, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["OllamaWire"]

_FINISH = {"length": "length"}
_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content", "images"},
    "assistant": {"role", "content", "thinking", "tool_calls"},
    "tool": {"role", "content", "tool_name", "tool_call_id", "images"},
}


class OllamaWire(VendorWire):
    """Reads requests and writes answers as the server's source and the SDK's types say."""

    content_type = "application/x-ndjson"
    says_filtered = False
    joins_text = True
    takes_image_urls = False
    keeps_thoughts = "always"

    def hear_request(self, request: HTTPRequest) -> Heard:
        assert request.path == "/api/chat"
        return self.hear(loads(request.body))

    def asks_stream(self, request: HTTPRequest) -> bool:
        return loads(request.body).get("stream", True) is not False

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        assert left["stream"] in (True, False)
        if not self.options.cuts:
            assert (left.pop("truncate"), left.pop("shift")) == (False, False)
        heard = Heard(left.pop("model"), self._messages(left.pop("messages")), left.pop("stream"))
        heard.prefill = heard.messages[-1][0] == "assistant"
        settings = left.pop("options", {})
        settings.pop("num_ctx", None)
        heard.max_tokens = settings.pop("num_predict", None)
        heard.temperature = settings.pop("temperature", None)
        heard.top_p = settings.pop("top_p", None)
        heard.stop = tuple(settings.pop("stop", ()))
        heard.seed = settings.pop("seed", None)
        assert settings == {}
        for tool in left.pop("tools", []):
            assert tool["type"] == "function"
            function = tool["function"]
            heard.tools.append((function["name"], function.get("description", ""), function["parameters"]))
        form = left.pop("format", None)
        assert form is None or not heard.tools, "the grammar of a form leaves no room for calls"
        heard.json_mode = form == "json"
        heard.schema = form if isinstance(form, dict) else None
        if "think" in left:
            heard.reasoning["think"] = left.pop("think")
            assert heard.reasoning["think"] in (True, False, "low", "medium", "high", "max")
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def _messages(self, messages: list[dict[str, Any]]) -> list[tuple[str, list[Part]]]:
        assert messages, "a request without messages loads the model, and that is all"
        waiting: dict[str, str] = {}
        out: list[tuple[str, list[Part]]] = []
        for message in messages:
            role = message["role"]
            assert set(message) <= _FIELDS[role], f"fields that are not of a message: {sorted(message)}"
            assert isinstance(message["content"], str)
            if role == "tool":
                assert waiting.pop(message["tool_call_id"], "") == message["tool_name"], "another call's result"
                text = message["content"]
                out.append((role, [ToolResult(message["tool_call_id"], text, is_error=text.startswith("Error: "))]))
                continue
            assert not waiting, "a call without its result"
            parts = _parts(message)
            calls = [part for part in parts if isinstance(part, ToolCall)]
            waiting = {call.id: call.name for call in calls}
            assert len(waiting) == len(calls), "an id that is there already"
            out.append((role, parts))
        return out

    def expected(self, answer: Answer) -> Answer:
        """Neither cached tokens nor those of thinking are told apart."""
        return replace(answer, usage=replace(answer.usage, cached_tokens=None, reasoning_tokens=None))

    def reply(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": _joined(answer, Text)}
        if _joined(answer, Reasoning):
            message["thinking"] = _joined(answer, Reasoning)
        calls = [_call(number, call) for number, call in enumerate(_calls(answer))]
        if calls:
            message["tool_calls"] = calls
        return {**_line(message), **_end(answer)}

    def stream(self, answer: Answer) -> list[bytes]:
        messages: list[dict[str, Any]] = [
            {"content": "", "thinking": piece} for piece in in_pieces(_joined(answer, Reasoning))
        ]
        messages += [{"content": piece} for piece in in_pieces(_joined(answer, Text))]
        messages += [{"content": "", "tool_calls": [_call(number, call)]} for number, call in enumerate(_calls(answer))]
        lines = [_line({"role": "assistant", **message}) for message in messages]
        lines.append({**_line({"role": "assistant", "content": ""}), **_end(answer)})
        return [dumps(line) + b"\n" for line in lines]

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return dumps({"error": message})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return dumps({"error": message}) + b"\n"


def _parts(message: dict[str, Any]) -> list[Part]:
    parts: list[Part] = [Reasoning(message["thinking"])] if message.get("thinking") else []
    parts += [Text(message["content"])] if message["content"] else []
    for image in message.get("images", ()):
        assert not image.startswith("data:")
        parts.append(Image(data=image, media_type="image/png"))
    for call in message.get("tool_calls", ()):
        function = call["function"]
        assert isinstance(function["arguments"], dict)
        parts.append(ToolCall(call["id"], function["name"], function["arguments"]))
    return parts


def _line(message: dict[str, Any]) -> dict[str, Any]:
    return {"model": "some-model", "created_at": "2026-11-23T12:00:00.000000Z", "message": message, "done": False}


def _end(answer: Answer) -> dict[str, Any]:
    """What only the last line has. A count of 0 is left out."""
    counts = {"prompt_eval_count": answer.usage.input_tokens, "eval_count": answer.usage.output_tokens}
    return {
        "done": True,
        "done_reason": _FINISH.get(answer.finish_reason, "stop"),
        "total_duration": 5_000_000,
        "load_duration": 1_000_000,
        **{name: count for name, count in counts.items() if count},
    }


def _joined(answer: Answer, kind: type[Text | Reasoning]) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, kind))


def _calls(answer: Answer) -> list[ToolCall]:
    return [part for part in answer.parts if isinstance(part, ToolCall)]


def _call(number: int, call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"index": number, "name": call.name, "arguments": call.arguments}}
