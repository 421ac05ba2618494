"""The vendor's side of Baidu's older API, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Part, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["WenxinWire"]

_FINISH = {"stop": "normal", "length": "length", "tool_calls": "function_call", "content_filter": "content_filter"}
# The vendor's table of models, where the last part of the address is not the model's name (qianfan 0.4.12.3).
_MODELS = {
    "completions": "ernie-3.5-8k",
    "completions_pro": "ernie-4.0-8k",
    "ernie_speed": "ernie-speed-8k",
    "eb-instant": "ernie-lite-8k-0922",
}


class WenxinWire(VendorWire):
    """Reads requests and writes answers as the vendor's documentation and SDKs say."""

    shows_reasoning = False
    several_calls = False
    parts_calls = True
    joins_text = True

    def hear_request(self, request: HTTPRequest) -> Heard:
        path = request.path.partition("?")[0]
        assert path.startswith(self.options.path)
        name = path.removeprefix(self.options.path)
        heard = self.hear(loads(request.body))
        heard.model = _MODELS.get(name, name)
        return heard

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        messages = left.pop("messages")
        _check_turns(messages)
        heard = Heard("", [])
        system = left.pop("system", "")
        assert isinstance(system, str)
        if system:
            heard.messages.append(("system", [Text(system)]))
        heard.messages += _heard_turns(messages, self.options.filler)
        heard.stream = left.pop("stream", False)
        for function in left.pop("functions", []):
            assert function.keys() == {"name", "description", "parameters"}
            heard.tools.append((function["name"], function["description"], function["parameters"]))
        choice = left.pop("tool_choice", None)
        if choice is not None:
            assert heard.tools
            assert choice["type"] == "function"
            heard.tool_choice = choice["function"]["name"]
        form = left.pop("response_format", "text")
        assert form in ("text", "json_object")
        heard.json_mode = form == "json_object"
        heard.max_tokens = left.pop("max_output_tokens", None)
        heard.temperature = left.pop("temperature", None)
        heard.top_p = left.pop("top_p", None)
        assert all(value is None or 0 < value <= 1 for value in (heard.temperature, heard.top_p))
        heard.stop = tuple(left.pop("stop", ()))
        assert len(heard.stop) <= 4
        assert all(len(stop) <= 20 for stop in heard.stop)
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def reply(self, answer: Answer) -> dict[str, Any]:
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        return {
            **_frame(answer, _text(answer)),
            "finish_reason": _FINISH[answer.finish_reason],
            **({"function_call": _call(calls[0])} if calls else {}),
        }

    def stream(self, answer: Answer) -> list[bytes]:
        text = _text(answer)
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        frames = [_frame(answer, piece) for piece in in_pieces(text)]
        frames += [{**_frame(answer, ""), "function_call": _call(call)} for call in calls]
        frames.append({**_frame(answer, ""), "finish_reason": _FINISH[answer.finish_reason]})
        for number, frame in enumerate(frames):
            frame.update(sentence_id=number, is_end=number == len(frames) - 1)
        return [b"data: " + dumps(frame) + b"\n\n" for frame in frames]

    def expected(self, answer: Answer) -> Answer:
        return replace(answer, usage=replace(answer.usage, cached_tokens=None, reasoning_tokens=None))

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return dumps({**({"error_code": int(code)} if code else {}), "error_msg": message, "id": "as-1"})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        return self.error(200, code or "336000", kind, message) + b"\n"  # a bare line, not an event


def _frame(answer: Answer, text: str) -> dict[str, Any]:
    inputs, outputs = answer.usage.input_tokens or 0, answer.usage.output_tokens or 0
    return {
        "id": "as-1",
        "object": "chat.completion",
        "created": 1700000000,
        "result": text,
        "is_truncated": False,
        "need_clear_history": False,
        "usage": {"prompt_tokens": inputs, "completion_tokens": outputs, "total_tokens": inputs + outputs},
    }


def _text(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text))


def _call(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": dumps(call.arguments).decode()}


def _check_turns(messages: list[dict[str, Any]]) -> None:
    """What the API refuses: an even number, roles that do not alternate, and blank text but beside a call."""
    assert len(messages) % 2 == 1
    assert messages[0]["role"] == "user"
    for number, message in enumerate(messages):
        assert message["role"] in (("user", "function") if number % 2 == 0 else ("assistant",))
        assert message["content"].strip() or message.get("function_call")
        assert (message["role"] == "function") == ("name" in message)


def _heard_turns(messages: list[dict[str, Any]], filler: str) -> list[tuple[str, list[Part]]]:
    """The turns as they were said: without fillers."""
    out: list[tuple[str, list[Part]]] = []
    for message in messages:
        role, text, call = message["role"], message["content"], message.get("function_call")
        if role == "function":
            out.append(("tool", [ToolResult("", text, is_error=text.startswith("Error: "))]))
        elif call is not None:
            made: list[Part] = [ToolCall("", call["name"], loads(call["arguments"]))]
            out.append((role, [Text(text), *made] if text else made))
        elif role == "user" or text != filler:
            out.append((role, [Text(text)]))
    return out
