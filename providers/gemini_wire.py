"""The vendor's side of generateContent, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Audio, Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._reply import FinishReason
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces
from llmswitch.providers.gemini_schema import lowered_schema

__all__ = ["GeminiWire"]

_PATH = re.compile(r".*/models/([^/:]+):(generateContent|streamGenerateContent\?alt=sse)")
_FINISH: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_SETTINGS = {"maxOutputTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "seed": "seed"}


class GeminiWire(VendorWire):
    """
    Reads requests and writes answers as the types of google-genai say.

    What is opaque is a signature: on the first call of an answer, else on its last text; in a stream on an empty text
    behind that.
    """

    sealed_by_model = True
    keeps_thoughts = "never"

    def __init__(self, options: Any, capabilities: Any) -> None:
        super().__init__(options, capabilities)
        self.takes_image_urls = options.web_urls

    def hear_request(self, request: HTTPRequest) -> Heard:
        found = _PATH.fullmatch(request.path)
        assert found is not None, "no path of this API"
        heard = self.hear(loads(request.body))
        heard.model, heard.stream = unquote(found[1]), self.asks_stream(request)
        return heard

    def asks_stream(self, request: HTTPRequest) -> bool:
        return request.path.endswith(":streamGenerateContent?alt=sse")

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        for name, value in self.options.body.items():
            assert left.pop(name, value) == value
        system = left.pop("systemInstruction", None)
        heard = Heard("", [("system", [_part(part) for part in system["parts"]])] if system else [])
        turns = left.pop("contents")
        self._check_turns(turns)
        for turn in turns:
            heard.messages += _messages(turn)
            for part in turn["parts"]:
                if part.get("thoughtSignature", self.options.signature_stand_in) != self.options.signature_stand_in:
                    assert part["thoughtSignature"] == self.seal, "Corrupted thought signature."
                    heard.opaque.append((len(heard.messages) - 1, part))
        for tools in left.pop("tools", []):
            for tool in tools["functionDeclarations"]:
                schema = tool["parametersJsonSchema"]
                assert schema == lowered_schema(schema, "tools"), "a keyword that is not known"
                heard.tools.append((tool["name"], tool.get("description", ""), schema))
        match left.pop("toolConfig", {}).get("functionCallingConfig"):
            case {"mode": "ANY", "allowedFunctionNames": [name]}:
                heard.tool_choice = name
            case {"mode": mode}:
                heard.tool_choice = {"AUTO": "auto", "NONE": "none", "ANY": "required"}[mode]
        self._settings(left.pop("generationConfig", {}), heard)
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def _settings(self, config: dict[str, Any], heard: Heard) -> None:
        for name, ours in _SETTINGS.items():
            setattr(heard, ours, config.pop(name, None))
        heard.stop = tuple(config.pop("stopSequences", ()))
        heard.schema = config.pop("responseJsonSchema", None)
        kind = config.pop("responseMimeType", None)
        assert kind in (None, "application/json")
        heard.json_mode = kind is not None and heard.schema is None
        heard.reasoning = config.pop("thinkingConfig", {})
        assert config == {}, f"settings that are not of this dialect: {sorted(config)}"

    def _check_turns(self, turns: list[dict[str, Any]]) -> None:
        """What the API refuses in the turns of a conversation."""
        roles = [turn["role"] for turn in turns]
        assert roles == [("user", "model")[i % 2] for i in range(len(turns))], "user and model by turns"
        assert len(turns) % 2 == 1, "the last turn is the user's"
        called: list[tuple[str, str | None]] = []
        for turn in turns:
            assert turn["parts"], "a turn without parts"
            results = [part["functionResponse"] for part in turn["parts"] if "functionResponse" in part]
            assert called == [(each["name"], each.get("id")) for each in results], "each call has its result, in order"
            called = [
                (part["functionCall"]["name"], part["functionCall"].get("id"))
                for part in turn["parts"]
                if "functionCall" in part
            ]
        spoke = max(
            index
            for index, turn in enumerate(turns)
            if turn["role"] == "user" and any("functionResponse" not in part for part in turn["parts"])
        )
        for turn in turns[spoke + 1 :]:
            first: dict[str, Any] = next((part for part in turn["parts"] if "functionCall" in part), {})
            signed = not first or "thoughtSignature" in first
            assert signed or not self.options.signature_stand_in, "Function call is missing a thought_signature"

    def reply(self, answer: Answer) -> dict[str, Any]:
        parts = self._parts(answer)
        unsigned = parts and "functionCall" not in parts[-1] and not any("thoughtSignature" in part for part in parts)
        if unsigned and _thinks(answer):
            parts[-1]["thoughtSignature"] = self.seal
        return _chunk(answer, parts, end=True)

    def stream(self, answer: Answer) -> list[bytes]:
        parts = self._parts(answer)
        pieces = [
            {**part, "text": piece} for part in parts for piece in in_pieces(part.get("text", "")) if "text" in part
        ]
        calls = [part for part in parts if "functionCall" in part]
        signed = [] if calls or not _thinks(answer) else [{"text": "", "thoughtSignature": self.seal}]
        chunks = [_chunk(answer, [piece], end=False) for piece in pieces]
        return [
            b"data: " + dumps(chunk) + b"\r\n\r\n" for chunk in [*chunks, _chunk(answer, [*calls, *signed], end=True)]
        ]

    def _parts(self, answer: Answer) -> list[dict[str, Any]]:
        parts = [_written(part) for part in answer.parts if part != Reasoning("")]
        first = next((part for part in parts if "functionCall" in part), None)
        if first is not None and _thinks(answer):
            first["thoughtSignature"] = self.seal
        return parts

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:
        error: dict[str, Any] = {"code": status, "message": message}
        if kind is not None:
            error["status"] = kind
        if code is not None:
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code}]
        return dumps({"error": error})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        """As text of JSON over several lines, without `data:`."""
        return self.error(500, code, kind or "INTERNAL", message).replace(b",", b",\r\n  ").replace(b"{", b"{\r\n  ")


def _thinks(answer: Answer) -> bool:
    return any(isinstance(part, Reasoning) for part in answer.parts)


def _written(part: Part) -> dict[str, Any]:
    match part:
        case Reasoning():
            return {"text": part.text, "thought": True}
        case ToolCall():
            return {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
        case Text():
            return {"text": part.text}
    raise AssertionError("answers hold text, reasoning and calls")


def _chunk(answer: Answer, parts: Sequence[dict[str, Any]], *, end: bool) -> dict[str, Any]:
    usage = answer.usage
    thought = usage.reasoning_tokens or 0
    counts = {
        "promptTokenCount": usage.input_tokens or 0,
        "cachedContentTokenCount": usage.cached_tokens or 0,
        "candidatesTokenCount": (usage.output_tokens or 0) - thought if end else 0,
        "thoughtsTokenCount": thought,
    }
    counts["totalTokenCount"] = (usage.input_tokens or 0) + counts["candidatesTokenCount"] + thought
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if end:
        candidate["finishReason"] = _FINISH[answer.finish_reason]
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "the-model", "responseId": "the-answer"}


def _messages(turn: dict[str, Any]) -> list[tuple[str, list[Part]]]:
    """One turn as the neutral messages that it may come from: tool results are messages of their own."""
    parts = [_part(part) for part in turn["parts"]]
    results: list[Part] = [part for part in parts if isinstance(part, ToolResult)]
    others = parts[len(results) :]
    role = {"user": "user", "model": "assistant"}[turn["role"]]
    return [*([("tool", results)] if results else []), *([(role, others)] if others else [])]


def _part(part: dict[str, Any]) -> Part:
    match part:
        case {"text": text, "thought": True}:
            return Reasoning(text)
        case {"text": text}:
            # an empty text bears a signature, and says nothing
            assert text or "thoughtSignature" in part
            return Text(text) if text else Reasoning("")
        case {"inlineData": {"mimeType": kind, "data": data}}:
            return _blob(kind)(data=data, media_type=kind)
        case {"fileData": {"fileUri": url, "mimeType": kind}}:
            return _blob(kind)(url=url, media_type=kind)
        case {"functionCall": call}:
            assert isinstance(call["args"], dict)
            return ToolCall(call.get("id", ""), call["name"], call["args"])
        case {"functionResponse": result}:
            ((kind, said),) = result["response"].items()
            shown: Any = [Text(said), *(_part(each) for each in result.get("parts", ()))]
            return ToolResult(result.get("id", ""), shown, is_error=kind == "error")
    raise AssertionError(f"a part that was not expected: {sorted(part)}")


def _blob(kind: str) -> type[Image | Document | Audio]:
    return {"image": Image, "audio": Audio}.get(kind.partition("/")[0], Document)
