"""The vendor's side of Chat Completions, for the conformance suite: the mirror image of the adapter beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from llmswitch._json import dumps, loads
from llmswitch._messages import Audio, Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._vendor_wire import Answer, Heard, VendorWire, in_pieces
from llmswitch.providers.openai_tools_as_schema import OFFER
from llmswitch.providers.openai_wire_rules import check_conversation

__all__ = ["ChatCompletionsWire"]

_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


class ChatCompletionsWire(VendorWire):
    """Reads requests and writes answers as OpenAI's SDK types say, with the departures of the provider's options."""

    @property
    def several_calls(self) -> bool:  # type: ignore[override]
        return not self.options.tools_as_schema

    @property
    def shows_reasoning(self) -> bool:  # type: ignore[override]
        return bool(self.options.reasoning_fields) or self.seals_thoughts

    @property
    def seals_thoughts(self) -> bool:  # type: ignore[override]
        return bool(self.options.thoughts_in_content)

    @property
    def says_filtered(self) -> bool:  # type: ignore[override]
        return not self.options.done_ends

    @property
    def joins_text(self) -> bool:  # type: ignore[override]
        return bool(self.options.joined_text)

    @property
    def keeps_thoughts(self) -> Literal["never", "with_calls", "always"]:  # type: ignore[override]
        replay = self.options.reasoning_replay
        return "never" if replay == "omit" else "with_calls" if replay == "with_calls" else "always"

    def expected(self, answer: Answer) -> Answer:
        """Where no finish reason is given, an answer has stopped, or has called."""
        cut = self.options.done_ends and answer.finish_reason != "tool_calls"
        return replace(answer, finish_reason="stop") if cut else answer

    def hear(self, body: dict[str, Any]) -> Heard:
        left = dict(body)
        for name, value in (*self.options.body.items(), *self.options.tools_body.items()):
            if left.get(name) == value:  # a default, where the caller said nothing else
                del left[name]
        left.pop("tool_stream", None)
        messages = left.pop("messages")
        offer = messages[0]["content"] if self.options.tools_as_schema else ""
        if isinstance(offer, str) and offer.startswith(OFFER):
            messages = messages[1:]
        check_conversation(messages, self.options, self.capabilities)
        if self.options.after_results:
            filler = {"role": "assistant", "content": self.options.after_results}
            messages = [each for each in messages if each != filler]
        heard = Heard(left.pop("model"), [self._heard(message) for message in messages])
        heard.opaque = [(index, part) for index, message in enumerate(messages) for part in self._sealed(message)]
        heard.prefill = self._goes_on(left, messages[-1])
        if self.options.tools_as_schema:
            heard.messages = [
                (role, _read_calls(parts) if role == "assistant" else parts) for role, parts in heard.messages
            ]
        heard.stream = left.pop("stream", False)
        assert heard.stream or not self.options.stream_only, "this model answers only as a stream"
        left.pop("stream_options", None)
        self._tools(left, heard)
        form = left.pop("response_format", {"type": "text"})
        heard.json_mode = form["type"] == "json_object"
        if form["type"] == "json_schema":
            self._form(form["json_schema"], heard, offer)
        heard.max_tokens = left.pop(self.options.max_tokens_field, None)
        heard.temperature = left.pop("temperature", None)
        heard.top_p = left.pop("top_p", None)
        stop = left.pop("stop", [])
        assert isinstance(stop, list) or not self.options.stop_as_list
        heard.stop = (stop,) if isinstance(stop, str) else tuple(stop)
        heard.seed = left.pop(self.options.seed_field, None)
        left.pop("suite_field", None)
        for fields in self.options.reasoning.values():
            heard.reasoning.update({name: left.pop(name) for name in fields if name in left})
        if heard.json_mode and heard.messages[0][1] == [Text("Answer in JSON.")]:
            heard.messages.pop(0)
        assert left == {}, f"fields that no provider of this dialect documents: {sorted(left)}"
        return heard

    def _heard(self, message: dict[str, Any]) -> tuple[str, list[Part]]:
        role, parts = _heard_message(message)
        thought = message.get(self.options.reasoning_fields[0]) if self.options.reasoning_fields else None
        text = "".join(part["text"] for part in thought) if isinstance(thought, list) else thought
        return role, [Reasoning(text), *parts] if text else parts

    def _sealed(self, message: dict[str, Any]) -> list[Any]:
        """The parts of a thought that were given by this account, each as it was given."""
        if self.options.thoughts_in_content:
            content = message.get("content")
            parts = content if isinstance(content, list) else []
            return [self._returned(part) for part in parts if "signature" in part]
        thought = message.get(self.options.reasoning_fields[0]) if self.options.reasoning_fields else None
        if not isinstance(thought, list):
            return []
        sealed = [part for part in thought if part != {**self.options.reasoning_parts, "text": part["text"]}]
        for part in sealed:
            assert [part] == self._thought(part["text"])[self.options.reasoning_fields[0]], "not as it was given"
        return sealed

    def _returned(self, part: dict[str, Any]) -> dict[str, Any]:
        """A thought among the parts of the content that was signed: it bears the seal of this account."""
        (words,) = part["thinking"]
        assert part == self._thinking(words["text"]), "a thought that is not as it was given"
        return part

    def _thinking(self, text: str) -> dict[str, Any]:
        return {"type": "thinking", "thinking": [{"type": "text", "text": text}], "signature": self.seal}

    def _goes_on(self, left: dict[str, Any], last: dict[str, Any]) -> bool:
        """Whether the last message is one that the model is to go on with."""
        asked = self.options.prefill
        if not self.capabilities.prefill or last["role"] != "assistant":
            return False
        said = last.items() >= asked.last.items() and left.items() >= asked.body.items()
        for name in asked.body if said else ():
            del left[name]
        return bool(said)

    def _tools(self, left: dict[str, Any], heard: Heard) -> None:
        for tool in left.pop("tools", []):
            assert tool["type"] == "function"
            function = tool["function"]
            heard.tools.append((function["name"], function.get("description", ""), function["parameters"]))
        choice = left.pop("tool_choice", None)
        heard.tool_choice = choice["function"]["name"] if isinstance(choice, dict) else choice
        heard.parallel_tool_calls = left.pop("parallel_tool_calls", None)

    def _form(self, form: dict[str, Any], heard: Heard, offer: str) -> None:
        schema = form["schema"]
        if form.get("strict") and form["name"] != "tool_call":
            assert schema["additionalProperties"] is False
            assert set(schema["required"]) == set(schema["properties"])
        if not self.options.tools_as_schema or form["name"] != "tool_call":
            heard.schema = schema
            return
        heard.tools = [_offered(line) for line in offer.splitlines() if line.startswith("- ")]
        members = schema.get("anyOf", [schema])
        callable_names = [member["properties"]["name"]["const"] for member in members if "name" in member["properties"]]
        if len(members) == len(callable_names):
            every = callable_names == [name for name, _, _ in heard.tools]
            heard.tool_choice = "required" if every else callable_names[0]

    def reply(self, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._text(answer) or None}
        thoughts = "".join(part.text for part in answer.parts if isinstance(part, Reasoning))
        if thoughts and self.options.thoughts_in_content:
            texts = [{"type": "text", "text": message["content"]}] if message["content"] else []
            message["content"] = [self._thinking(thoughts), *texts]
        elif thoughts:
            message.update(self._thought(thoughts))
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        if calls and not self.options.tools_as_schema:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": dumps(call.arguments).decode()},
                }
                for call in calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": self._finish(answer), "logprobs": None}
        if self.options.done_ends:
            del choice["finish_reason"]
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "served-model",
            "choices": [choice],
            "usage": _usage(answer),
            **self._status(),
        }

    def _thought(self, text: str) -> dict[str, Any]:
        parts = self.options.reasoning_parts
        if not self.options.reasoning_fields:
            return {}
        return {self.options.reasoning_fields[0]: [{**parts, "seal": self.seal, "text": text}] if parts else text}

    def _status(self, code: str | None = None, message: str = "") -> dict[str, Any]:
        """The verdict that stands in every answer of some vendors."""
        status = self.options.answer_status
        if status is None:
            return {}
        word = status.success if code is None else code
        said = {status.code: int(word) if word.isdigit() else word, status.message: message}
        return {status.at: said} if status.at else said

    def stream(self, answer: Answer) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
        thoughts = "".join(part.text for part in answer.parts if isinstance(part, Reasoning))
        pieces = in_pieces(thoughts)
        if thoughts and self.options.thoughts_in_content:
            parts = [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]} for piece in pieces]
            parts[-1]["signature"] = self.seal
            deltas += [{"content": [part]} for part in parts]
        else:
            deltas += [self._thought(piece) for piece in pieces]
        deltas += [{"content": piece} for piece in in_pieces(self._text(answer))]
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        for index, call in enumerate(calls if not self.options.tools_as_schema else ()):
            begin = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            deltas.append({"tool_calls": [{"index": index, **begin}]})
            written = dumps(call.arguments).decode() if call.arguments else ""
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in in_pieces(written)
            ]
        chunks = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        if not self.options.done_ends:
            chunks.append(_chunk([{"index": 0, "delta": {}, "finish_reason": self._finish(answer)}]))
        chunks.append(_chunk([], usage=_usage(answer)))
        chunks = [{**chunk, **self._status()} for chunk in chunks]
        return [b": keep-alive\n\n", *(b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]

    def _text(self, answer: Answer) -> str:
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        if calls and self.options.tools_as_schema:
            return dumps({"name": calls[0].name, "arguments": calls[0].arguments}).decode()
        return "".join(part.text for part in answer.parts if isinstance(part, Text))

    def _finish(self, answer: Answer) -> str:
        reasons = {neutral: word for word, neutral in self.options.finish_reasons.items() if neutral != "length"}
        return str({**_FINISH, **reasons}[answer.finish_reason])

    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:  # noqa: ARG002
        if code is not None and self.options.answer_status is not None:
            return dumps({"choices": None, **self._status(code, message)})
        return dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        return b"data: " + self.error(200, code, kind, message) + b"\n\n"


def _offered(line: str) -> tuple[str, str, dict[str, Any]]:
    """A tool from the line by which a model is told of it."""
    name, _, rest = line.removeprefix("- ").partition(": ")
    words, _, parameters = rest.partition(" Arguments: ")
    return name, words, loads(parameters)


def _read_calls(parts: list[Part]) -> list[Part]:
    """Calls that were written as text, for a model that can't be told of them otherwise."""
    out: list[Part] = []
    for part in parts:
        assert isinstance(part, Text)
        for line in part.text.split("\n"):
            call = loads(line) if line.startswith('{"name": "') else {}
            if "arguments" in call:
                out.append(ToolCall("", call["name"], call["arguments"]))
            else:
                out.append(Text(line))
    return out


def _chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> dict[str, Any]:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "served-model"}
    return {**chunk, "choices": choices, "usage": usage}


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    inputs, outputs = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": inputs + outputs,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }


def _heard_message(message: dict[str, Any]) -> tuple[str, list[Part]]:
    role = {"developer": "system"}.get(message["role"], message["role"])
    content = message.get("content")
    if role == "tool":
        assert isinstance(content, str)
        return role, [ToolResult(message["tool_call_id"], content, is_error=content.startswith("Error: "))]
    parts: list[Part] = []
    if isinstance(content, str) and content:
        parts.append(Text(content))
    elif isinstance(content, list):
        parts += [_heard_part(part) for part in content]
    for call in message.get("tool_calls", []):
        assert call["type"] == "function"
        function = call["function"]
        parts.append(ToolCall(call["id"], function["name"], loads(function["arguments"])))
    return role, parts


def _heard_part(part: dict[str, Any]) -> Part:
    match part["type"]:
        case "image_url":
            url = part["image_url"]["url"]
            return Image(url=url) if ":" in url else Image(data=url, media_type="image/png")
        case "input_audio":
            if isinstance(part["input_audio"], str):
                return Audio(data=part["input_audio"], media_type="audio/wav")
            return Audio(data=part["input_audio"]["data"], media_type=f"audio/{part['input_audio']['format']}")
        case "document_url":
            return Document(url=part["document_url"], name=part.get("document_name"))
        case "thinking":
            return Reasoning("".join(piece["text"] for piece in part["thinking"]))
        case "file":
            return Document(url=part["file"]["file_data"], name=part["file"]["filename"])
    assert part["type"] == "text"
    return Text(part["text"])
