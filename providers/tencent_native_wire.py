"""The vendor's side of Tencent's native API, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["TencentWire"]

_FINISH = {"stop": "stop", "tool_calls": "tool_calls", "content_filter": "sensitive"}


class TencentWire(VendorWire):
    """Reads requests and writes answers as the vendor's SDK types and documentation say."""

    joins_text = True

    def hear_request(self, request: HTTPRequest) -> Heard:
        assert request.path == "/"
        headers = request.headers
        assert headers["x-tc-action"] == self.options.action
        assert headers["x-tc-version"] == self.options.version
        assert headers["content-type"] == "application/json"
        assert headers["authorization"].startswith("TC3-HMAC-SHA256 Credential=")
        return self.hear(loads(request.body))

    def asks_stream(self, request: HTTPRequest) -> bool:
        return bool(loads(request.body)["Stream"])

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        messages = left.pop("Messages")
        _check_turns(messages, self.options.max_messages)
        heard = Heard(left.pop("Model"), _heard_messages(messages, self.options.filler))
        heard.stream = left.pop("Stream")
        for tool in left.pop("Tools", []):
            heard.tools.append(_tool(tool))
        choice = left.pop("ToolChoice", None)
        assert choice in (None, "none", "auto", "custom")
        heard.tool_choice = _tool(left.pop("CustomTool"))[0] if choice == "custom" else choice
        heard.temperature = left.pop("Temperature", None)
        heard.top_p = left.pop("TopP", None)
        heard.stop = tuple(left.pop("Stop", ()))
        heard.seed = left.pop("Seed", None)
        assert heard.seed is None or 1 <= heard.seed <= 10_000
        if "EnableThinking" in left:
            heard.reasoning["EnableThinking"] = left.pop("EnableThinking")
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def reply(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"Role": "assistant", "Content": _joined(answer, Text)}
        if _joined(answer, Reasoning):
            message["ReasoningContent"] = _joined(answer, Reasoning)
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        if calls:
            message["ToolCalls"] = [_call(number, call, _arguments(call)) for number, call in enumerate(calls)]
        choice = {"FinishReason": _finish(answer), "Message": message, "Index": 0}
        return {"Response": {**_frame(answer, [choice]), "RequestId": "r-1", "ErrorMsg": None}}

    def stream(self, answer: Answer) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"ReasoningContent": piece} for piece in in_pieces(_joined(answer, Reasoning))]
        deltas += [{"Content": piece} for piece in in_pieces(_joined(answer, Text))]
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        for number, call in enumerate(calls):
            pieces = in_pieces(_arguments(call)) or [""]
            deltas += [{"Content": "", "ToolCalls": [_call(number, call, piece)]} for piece in pieces]
        deltas.append({"Content": ""})
        frames = [
            _frame(answer, [{"Delta": {"Role": "assistant", **delta}, "FinishReason": "", "Index": 0}])
            for delta in deltas
        ]
        frames[-1]["Choices"][0]["FinishReason"] = _finish(answer)
        return [b"data: " + dumps(frame) + b"\n\n" for frame in frames]

    def expected(self, answer: Answer) -> Answer:
        # an answer that was cut has no word of its own, and thinking is not counted apart
        reason = "stop" if answer.finish_reason == "length" else answer.finish_reason
        return replace(answer, finish_reason=reason, usage=replace(answer.usage, reasoning_tokens=None))

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        error = {"Code": code or kind or "", "Message": message}
        return dumps({"Response": {"Error": error, "RequestId": "r-1"}})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        said = int(code) if code and code.isdigit() else 4000
        return b"data: " + dumps({"Id": "c-1", "ErrorMsg": {"Msg": message, "Code": said}}) + b"\n\n"


def _frame(answer: Answer, choices: list[dict[str, Any]]) -> dict[str, Any]:
    inputs, outputs = answer.usage.input_tokens or 0, answer.usage.output_tokens or 0
    return {
        "Note": "made up by a test",
        "Id": "c-1",
        "Created": 1700000000,
        "Choices": choices,
        "Usage": {
            "PromptTokens": inputs,
            "CompletionTokens": outputs,
            "TotalTokens": inputs + outputs,
            "PromptTokensDetails": {"CachedTokens": str(answer.usage.cached_tokens or 0)},
        },
    }


def _finish(answer: Answer) -> str:
    return _FINISH.get(answer.finish_reason, "stop")


def _joined(answer: Answer, kind: type[Text | Reasoning]) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, kind))


def _arguments(call: ToolCall) -> str:
    return dumps(call.arguments).decode() if call.arguments else ""


def _call(number: int, call: ToolCall, arguments: str) -> dict[str, Any]:
    return {
        "Index": number,
        "Id": call.id,
        "Type": "function",
        "Function": {"Name": call.name, "Arguments": arguments},
    }


def _tool(tool: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    assert tool["Type"] == "function"
    function = tool["Function"]
    return function["Name"], function.get("Description", ""), loads(function["Parameters"])


def _check_turns(messages: list[dict[str, Any]], most: int) -> None:
    """[system] user assistant user (tool …) assistant … user, with nothing blank but beside calls."""
    assert 1 <= len(messages) <= most
    turns = messages[1:] if messages[0]["Role"] == "system" else messages
    assert turns[0]["Role"] == "user"
    assert turns[-1]["Role"] in ("user", "tool")
    follows = {"user": ("assistant",), "assistant": ("user", "tool"), "tool": ("tool", "assistant")}
    for before, turn in pairwise(turns):
        assert turn["Role"] in follows[before["Role"]]
    for turn in messages:
        assert "ReasoningContent" not in turn
        assert turn.get("Contents") or turn["Content"].strip() or turn.get("ToolCalls")


def _heard_messages(messages: list[dict[str, Any]], filler: str) -> list[tuple[str, list[Part]]]:
    out: list[tuple[str, list[Part]]] = []
    for message in messages:
        role, text = message["Role"], message.get("Content") or ""
        if role == "assistant" and text == filler and "ToolCalls" not in message:
            continue
        if role == "tool":
            result = ToolResult(message["ToolCallId"], text, is_error=text.startswith("Error: "))
            out.append((role, [result]))
            continue
        parts: list[Part] = [Text(text)] if text else [_part(part) for part in message.get("Contents", ())]
        for call in message.get("ToolCalls", ()):
            function = call["Function"]
            parts.append(ToolCall(call["Id"], function["Name"], loads(function["Arguments"])))
        out.append((role, [part for part in parts if part != Text(filler)]))
    return out


def _part(part: dict[str, Any]) -> Part:
    if part["Type"] == "text":
        return Text(part["Text"])
    assert part["Type"] == "image_url"
    return Image(url=part["ImageUrl"]["Url"])
