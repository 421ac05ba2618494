"""The vendor's side of Responses, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps, loads
from llmswitch._messages import Audio, Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces

__all__ = ["ResponsesWire"]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesWire(VendorWire):
    """Reads requests and writes answers as the types of OpenAI's SDK say, with the departures of the options."""

    seals_thoughts = True
    sealed_by_model = True

    @property
    def keeps_thoughts(self) -> Literal["never", "always"]:  # type: ignore[override]
        return "always" if self.options.replay else "never"

    @property
    def shows_reasoning(self) -> bool:  # type: ignore[override]
        return bool(self.options.replay)

    @property
    def joins_text(self) -> bool:  # type: ignore[override]
        return bool(self.options.joined_text)

    def hear_request(self, request: HTTPRequest) -> Heard:
        assert request.path.endswith(self.options.path)
        return self.hear(loads(request.body))

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        assert left.pop("store") is self.options.store, "what is said is kept"
        for name, value in self.options.body.items():
            assert left.pop(name, value) == value
        instructions = left.pop("instructions", None)
        assert instructions is None or (instructions.strip() and self.options.instructions)
        heard = Heard(left.pop("model"), [("system", [Text(instructions)])] if instructions else [])
        items = left.pop("input")
        assert items, "there is no input"
        self._check_items(items)
        heard.stream = left.pop("stream", False)
        self._tools(left, heard)
        self._form(left, heard)
        if heard.json_mode:
            assert any("json" in dumps(item).decode().lower() for item in items), "no word of JSON in the input"
        if items[0] == {"type": "message", "role": "system", "content": "Answer in JSON."}:
            items = items[1:]
        for item in items:
            self._hear_item(item, heard)
        heard.max_tokens = left.pop("max_output_tokens", None)
        heard.temperature = left.pop("temperature", None)
        heard.top_p = left.pop("top_p", None)
        heard.reasoning = left.pop("reasoning", {})
        assert "summary" not in heard.reasoning or self.options.summary
        assert tuple(left.pop("include", self.options.include)) == self.options.include
        left.pop("suite_field", None)
        assert left == {}, f"fields that are not of this dialect: {sorted(left)}"
        return heard

    def _check_items(self, items: list[dict[str, Any]]) -> None:
        """What the API refuses in the items of a conversation."""
        called: set[str] = set()
        unanswered: set[str] = set()
        for item, following in zip(items, [*items[1:], {}], strict=True):
            match item["type"]:
                case "function_call":
                    assert self.capabilities.tools, "this model calls no tools"
                    assert "id" not in item, "the item of a call is looked for"
                    assert self.options.tool_ids.fits(item["call_id"]), "an id that is refused"
                    assert item["call_id"] not in called, "an id that is there already"
                    assert isinstance(loads(item["arguments"]), dict), "arguments are the text of an object"
                    called.add(item["call_id"])
                    unanswered.add(item["call_id"])
                case "function_call_output":
                    assert item["call_id"] in unanswered, "a result answers a call before it, and once"
                    unanswered.remove(item["call_id"])
                case "reasoning":
                    given = self._thought("".join(part["text"] for part in item["summary"]))
                    if not self.options.thought_ids:
                        del given["id"]
                    assert item == given, "not as given"
                    led_to = following.get("type") in ("function_call", "reasoning")
                    assert led_to or following.get("role") == "assistant", "a thought that nothing follows"
                case "message":
                    assert not unanswered or item["role"] == "assistant", "every call is answered first"
                case kind:
                    raise AssertionError(f"an item that was not expected: {kind}")
        assert not unanswered, "every call is answered"

    def _hear_item(self, item: dict[str, Any], heard: Heard) -> None:
        """One item; those of the assistant that stand together are one turn of its."""
        match item["type"]:
            case "message":
                role = item["role"]
                parts = self._content(item["content"], role)
            case "function_call":
                role = "assistant"
                parts = [ToolCall(item["call_id"], item["name"], loads(item["arguments"]))]
            case "function_call_output":
                role, output = "tool", item["output"]
                assert isinstance(output, str) or self.capabilities.tool_result_images, "a result is text"
                words = output if isinstance(output, str) else "".join(part.get("text", "") for part in output)
                content: Any = words if isinstance(output, str) else self._content(output, "tool")
                parts = [ToolResult(item["call_id"], content, is_error=words.startswith("Error: "))]
            case _:
                role, parts = "assistant", [Reasoning("".join(part["text"] for part in item["summary"]))]
        before = heard.messages[-1] if heard.messages else ("", [])
        if role == "assistant" == before[0]:
            before[1].extend(parts)
        else:
            heard.messages.append((role, list(parts)))
        if item["type"] == "reasoning":
            heard.opaque.append((len(heard.messages) - 1, item))

    def _content(self, content: Any, role: str) -> list[Part]:
        if isinstance(content, str):
            assert content.strip(), "an empty message is refused"
            assert role != "assistant" or self.options.joined_text
            return [Text(content)]
        assert content, "an empty message is refused"
        return [self._part(part, role) for part in content]

    def _part(self, part: dict[str, Any], role: str) -> Part:
        match part["type"]:
            case "output_text":
                assert role == "assistant"
                assert part["annotations"] == []
                return Text(part["text"])
            case kind if role == "assistant":
                raise AssertionError(f"{kind} in a message of the assistant's")
            case "input_text":
                assert part["text"], "an empty text is refused"
                return Text(part["text"])
            case "input_image":
                assert self.capabilities.images
                assert part.get("detail", "") == self.options.image_detail
                return Image(url=part["image_url"])
            case "input_file":
                assert self.capabilities.documents
                return Document(url=part.get("file_url") or part["file_data"], name=part.get("filename"))
            case "input_audio":
                assert self.capabilities.audio
                sound = part["input_audio"]
                return Audio(data=sound["data"], media_type=f"audio/{sound['format']}")
        raise AssertionError(f"a part that was not expected: {part['type']}")

    def _tools(self, left: dict[str, Any], heard: Heard) -> None:
        for tool in left.pop("tools", []):
            assert tool["type"] == "function"
            assert ("strict" in tool) == self.options.strict_schema
            if tool.get("strict"):
                _check_strict(tool["parameters"])
            heard.tools.append((tool["name"], tool.get("description", ""), tool["parameters"]))
        choice = left.pop("tool_choice", None)
        assert choice is None or "required" in self.capabilities.tool_choice
        heard.tool_choice = choice["name"] if isinstance(choice, dict) else choice
        heard.parallel_tool_calls = left.pop("parallel_tool_calls", None)

    def _form(self, left: dict[str, Any], heard: Heard) -> None:
        form = left.pop("text", {}).get("format", {"type": "text"})
        if self.options.form == "response_format" and "response_format" in left:
            given = left.pop("response_format")
            form = {"type": given["type"], **given["json_schema"]}
        heard.json_mode = form["type"] == "json_object"
        if form["type"] == "json_schema":
            assert form["name"]
            heard.schema = form["schema"]
            if form.get("strict"):
                _check_strict(form["schema"])

    # What it answers

    def reply(self, answer: Answer) -> dict[str, Any]:
        return self._response(answer, [self._item(index, part, answer) for index, part in enumerate(answer.parts)])

    def _response(self, answer: Answer, output: list[dict[str, Any]]) -> dict[str, Any]:
        reason = _INCOMPLETE.get(answer.finish_reason)
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1700000000,
            "status": "incomplete" if reason else "completed",
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "metadata": {},
            "model": "served-model",
            "output": output,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": _usage(answer),
        }

    def _thought(self, text: str) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": text}] if text else []
        return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": self.seal}

    def _item(self, index: int, part: Part, answer: Answer) -> dict[str, Any]:
        status = "incomplete" if answer.finish_reason in _INCOMPLETE else "completed"
        match part:
            case Reasoning():
                return self._thought(part.text)
            case ToolCall():
                call = {"type": "function_call", "id": f"fc_{index}", "call_id": part.id, "name": part.name}
                return {**call, "arguments": dumps(part.arguments).decode(), "status": "completed"}
            case Text():
                said = [{"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}]
                return {"type": "message", "id": f"msg_{index}", "role": "assistant", "status": status, "content": said}
        raise AssertionError(part)

    def stream(self, answer: Answer) -> list[bytes]:
        begun = {**self._response(answer, []), "status": "in_progress", "usage": None, "incomplete_details": None}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        output = []
        for index, part in enumerate(answer.parts):
            item = self._item(index, part, answer)
            output.append(item)
            events.append({"type": "response.output_item.added", "output_index": index, "item": _beginning(item)})
            at = {"item_id": item["id"], "output_index": index}
            events += [{**event, **at} for event in _inside(part, item)]
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        response = self._response(answer, output)
        events.append({"type": f"response.{response['status']}", "response": response})
        return [b": keep-alive\n\n", *(_event(number, event) for number, event in enumerate(events))]

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        return dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        if kind is not None:  # nested, as it was seen too
            error = {"message": message, "type": kind, "param": None, "code": code}
            return _event(99, {"type": "error", "error": error})
        return _event(99, {"type": "error", "code": code, "message": message, "param": None})


def _check_strict(schema: dict[str, Any]) -> None:
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(schema["properties"])


def _event(number: int, event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + dumps({**event, "sequence_number": number}) + b"\n\n"


def _beginning(item: dict[str, Any]) -> dict[str, Any]:
    """An item as its first event has it: what is sealed may be incomplete there."""
    match item["type"]:
        case "message":
            return {**item, "content": [], "status": "in_progress"}
        case "function_call":
            return {**item, "arguments": "", "status": "in_progress"}
    return {**item, "summary": [], "encrypted_content": "gAAAA"}


def _inside(part: Part, item: dict[str, Any]) -> list[dict[str, Any]]:
    """The events inside of an item; a padding stands in them that says nothing."""
    more: dict[str, Any]
    match part:
        case ToolCall():
            written = item["arguments"]
            done = {"type": "response.function_call_arguments.done", "name": part.name, "arguments": written}
            return [*_deltas("function_call_arguments", written, {}), done]
        case Reasoning(text=""):
            return []
        case Reasoning():
            kind, around, at = "reasoning_summary_text", "reasoning_summary_part", {"summary_index": 0}
            whole, more = item["summary"][0], at
        case Text():
            kind, around, at = "output_text", "content_part", {"content_index": 0}
            whole, more = item["content"][0], {**at, "logprobs": []}
        case _:
            raise AssertionError(part)
    return [
        {"type": f"response.{around}.added", **at, "part": {**whole, "text": ""}},
        *_deltas(kind, part.text, more),
        {"type": f"response.{kind}.done", **more, "text": part.text},
        {"type": f"response.{around}.done", **at, "part": whole},
    ]


def _deltas(kind: str, text: str, more: Mapping[str, Any]) -> list[dict[str, Any]]:
    named = {"type": f"response.{kind}.delta", "obfuscation": "x", **more}
    return [{**named, "delta": piece} for piece in in_pieces(text)]


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    inputs, outputs = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": inputs + outputs,
    }
