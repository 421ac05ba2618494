"""The vendor's side of DashScope's native API, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from typing import Any

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Audio, Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["DashScopeWire"]


class DashScopeWire(VendorWire):
    """Reads requests and writes answers as the vendor's SDK and documentation say."""

    says_filtered = False  # it is said as an error

    @property
    def joins_text(self) -> bool:  # type: ignore[override]
        return self.options.multimodal == "never" or not self.capabilities.images

    def hear_request(self, request: HTTPRequest) -> Heard:
        body = loads(request.body)
        heard = self.hear(body)
        heard.stream = self.asks_stream(request)
        assert (request.headers["accept"] == "text/event-stream") == heard.stream
        assert body["parameters"].get("incremental_output", False) == (heard.stream and self.options.incremental)
        parted = [isinstance(message["content"], list) for message in body["input"]["messages"]]
        assert all(parted) or not any(parted)
        wanted = self.options.multimodal_path if all(parted) else self.options.path
        assert request.path.endswith(wanted)
        return heard

    def asks_stream(self, request: HTTPRequest) -> bool:
        return request.headers.get("x-dashscope-sse") == "enable"

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        given = left.pop("input")
        assert given.keys() == {"messages"}
        heard = Heard(left.pop("model"), [_heard_message(message) for message in given["messages"]])
        parameters = dict(left.pop("parameters"))
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        assert parameters.pop("result_format") == "message"
        parameters.pop("incremental_output", None)
        for name, value in self.options.parameters.items():
            if parameters.get(name) == value:  # a default, where the caller said nothing else
                del parameters[name]
        self._tools(parameters, heard)
        form = parameters.pop("response_format", {"type": "text"})
        heard.json_mode = form["type"] == "json_object"
        heard.schema = form["json_schema"]["schema"] if form["type"] == "json_schema" else None
        heard.max_tokens = parameters.pop("max_tokens", None)
        heard.temperature = parameters.pop("temperature", None)
        heard.top_p = parameters.pop("top_p", None)
        assert heard.temperature is None or 0 <= heard.temperature < 2
        assert heard.top_p is None or 0 < heard.top_p <= 1
        stop = parameters.pop("stop", [])
        heard.stop = (stop,) if isinstance(stop, str) else tuple(stop)
        heard.seed = parameters.pop("seed", None)
        for name in ("enable_thinking", "thinking_budget"):
            if name in parameters:
                heard.reasoning[name] = parameters.pop(name)
        if heard.json_mode:
            texts = [part.text for _, parts in heard.messages for part in parts if isinstance(part, Text)]
            assert any("json" in text.lower() for text in texts)
            if heard.messages[0][1] == [Text("Answer in JSON.")]:
                heard.messages.pop(0)
        assert parameters == {}, f"parameters that are not of this dialect: {sorted(parameters)}"
        return heard

    @staticmethod
    def _tools(parameters: dict[str, Any], heard: Heard) -> None:
        for tool in parameters.pop("tools", []):
            assert tool["type"] == "function"
            function = tool["function"]
            heard.tools.append((function["name"], function.get("description", ""), function["parameters"]))
        choice = parameters.pop("tool_choice", None)
        assert isinstance(choice, dict) or choice in (None, "auto", "none")
        heard.tool_choice = choice["function"]["name"] if isinstance(choice, dict) else choice
        heard.parallel_tool_calls = parameters.pop("parallel_tool_calls", None)

    def reply(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._content(_text(answer))}
        thoughts = _thoughts(answer)
        if thoughts:
            message["reasoning_content"] = thoughts
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        if calls:
            message["tool_calls"] = [_whole_call(number, call) for number, call in enumerate(calls)]
        return {**_frame(message, answer.finish_reason, answer), "code": "", "message": ""}

    def _content(self, text: str) -> str | list[dict[str, Any]]:
        if self.options.multimodal != "always":
            return text
        return [{"text": text}] if text else []

    def stream(self, answer: Answer) -> list[bytes]:
        said: dict[str, str] = {"reasoning_content": "", "content": ""}
        messages: list[dict[str, Any]] = []
        for field, text in (("reasoning_content", _thoughts(answer)), ("content", _text(answer))):
            for piece in in_pieces(text):
                said[field] = piece if self.options.incremental else said[field] + piece
                other = "" if self.options.incremental else said["reasoning_content"]
                messages.append({"reasoning_content": other, "content": self._content("")})
                messages[-1][field] = said[field] if field != "content" else self._content(said[field])
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        whole = {"content": self._content("" if self.options.incremental else said["content"])}
        for number, call in enumerate(calls):
            so_far = ""
            for turn, piece in enumerate(["", *in_pieces(dumps(call.arguments).decode() if call.arguments else "")]):
                so_far += piece
                if self.options.incremental:
                    begins = ("", "") if turn else (call.id, call.name)
                    made = [_call(number, *begins, piece)]
                else:
                    made = [*(_whole_call(*each) for each in enumerate(calls[:number]))]
                    made.append(_call(number, call.id, call.name, so_far))
                messages.append({**whole, "tool_calls": made})
        messages.append(whole)
        frames = [_frame({"role": "assistant", **message}, "null", answer) for message in messages[:-1]]
        frames.append(_frame({"role": "assistant", **messages[-1]}, answer.finish_reason, answer))
        return [_event(number, "result", 200, frame) for number, frame in enumerate(frames, 1)]

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return dumps({"code": code or "", "message": message, "request_id": "r-1"})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        body = {"code": code or "InternalError", "message": message, "request_id": "r-1"}
        return _event(99, "error", 500, body)


def _event(number: int, name: str, status: int, frame: dict[str, Any]) -> bytes:
    """As the documentation has it: no space after the colon, and the status in a comment."""
    return b"id:%d\nevent:%b\n:HTTP_STATUS/%d\ndata:%b\n\n" % (number, name.encode(), status, dumps(frame))


def _frame(message: dict[str, Any], reason: str, answer: Answer) -> dict[str, Any]:
    inputs, outputs = answer.usage.input_tokens or 0, answer.usage.output_tokens or 0
    return {
        "request_id": "r-1",
        "output": {"choices": [{"finish_reason": reason, "message": message}]},
        "usage": {
            "input_tokens": inputs,
            "output_tokens": outputs,
            "total_tokens": inputs + outputs,
            "prompt_tokens_details": {"cached_tokens": answer.usage.cached_tokens or 0},
            "output_tokens_details": {"reasoning_tokens": answer.usage.reasoning_tokens or 0},
        },
    }


def _call(number: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"index": number, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _whole_call(number: int, call: ToolCall) -> dict[str, Any]:
    return _call(number, call.id, call.name, dumps(call.arguments).decode() if call.arguments else "")


def _text(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text))


def _thoughts(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Reasoning))


def _heard_message(message: dict[str, Any]) -> tuple[str, list[Part]]:
    role, content = message["role"], message["content"]
    assert "type" not in message
    parts: list[Part] = []
    if isinstance(content, str):
        parts += [Text(content)] if content else []
    else:
        parts += [_heard_part(part) for part in content]
    if role == "tool":
        text = "".join(part.text for part in parts if isinstance(part, Text))
        return role, [ToolResult(message["tool_call_id"], text, is_error=text.startswith("Error: "))]
    for call in message.get("tool_calls", []):
        assert call["type"] == "function"
        function = call["function"]
        parts.append(ToolCall(call["id"], function["name"], loads(function["arguments"])))
    assert parts, "an empty message is refused"
    return role, parts


def _heard_part(part: dict[str, Any]) -> Part:
    ((kind, value),) = part.items()
    match kind:
        case "text":
            return Text(value)
        case "image":
            return Image(url=value)
        case "audio":
            return Audio(url=value)
    raise AssertionError(f"a part that was not expected: {kind}")
