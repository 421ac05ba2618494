"""
The items of a Responses request as neutral messages.

Items that an answer is made of stand alone; those that follow each other are one message of the assistant's.
Facts: OpenAI's Python SDK 3.54.0 (types of the request), checked 2026-11-27.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from typing import TypeVar

from llmswitch._chat_shape import read_arguments
from llmswitch._errors import InvalidRequest
from llmswitch._messages import Audio, Document, Image, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult

from ._envelope import Envelopes
from ._fields import Fields, objects, refuse
from ._ledger import restore

__all__ = ["read_input"]

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_KINDS: Mapping[str, tuple[str, ...]] = {
    "user": ("input_text", "input_image", "input_file", "input_audio"),
    "system": ("input_text",),
    "assistant": ("output_text", "refusal", "input_text"),
    "tool": ("input_text", "input_image", "input_file"),
}
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}

Made = TypeVar("Made", Image, Document, Audio)


def read_input(instructions: str | None, given: str | list[object], envelopes: Envelopes) -> list[Message]:
    """The conversation. Raises `InvalidRequest` that names the item which can't be read."""
    messages = [Message("system", instructions)] if instructions else []
    if isinstance(given, str):
        return [*messages, Message("user", given)]
    reader = _Reader(messages, envelopes)
    for item, where in objects(given, "input"):
        reader.item(item, where)
    reader.close()
    if not given:
        refuse("input", "at least one item is required")
    return messages


class _Reader:
    """Items one after another. `_parts` and `_carried` are of the assistant's message that is being read."""

    def __init__(self, messages: list[Message], envelopes: Envelopes) -> None:
        self._messages = messages
        self._envelopes = envelopes
        self._parts: list[Part] = []
        self._carried: list[str] = []
        self._results: list[Part] = []

    def item(self, item: Fields, where: str) -> None:
        kind = item.take("type", str) or "message"
        item.ignore("id", "status")
        match kind:
            case "message":
                self._message(item, where)
            case "function_call":
                self._answer().append(_call(item, where))
            case "function_call_output":
                self._result(item, where)
            case "reasoning":
                self._thought(item, where)
            case "item_reference":
                refuse(f"{where}.type", "item_reference: nothing is kept here between two requests; send the item")
            case _:
                refuse(f"{where}.type", f"items of the type {kind[:64]!r} can't be read here")
        item.done("is no field that this item can have here")

    def close(self) -> None:
        """What is open is whole: the assistant's message, or the results of its calls."""
        if self._parts or self._carried:
            self._messages.append(Message("assistant", restore(self._parts, self._carried, self._envelopes)))
        if self._results:
            self._messages.append(Message("tool", self._results))
        self._parts, self._carried, self._results = [], [], []

    def _answer(self) -> list[Part]:
        if self._results:
            self.close()
        return self._parts

    def _message(self, item: Fields, where: str) -> None:
        role = _ROLES.get(item.need("role", str))
        if role is None:
            refuse(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
        content = item.need("content", str, list)
        item.ignore("phase")
        if role == "assistant":
            parts = [Text(content)] if isinstance(content, str) else _parts(content, role, f"{where}.content")
            self._answer().extend(parts)
            return
        self.close()
        read = content if isinstance(content, str) else _parts(content, role, f"{where}.content")
        self._messages.append(Message(role, read))

    def _thought(self, item: Fields, where: str) -> None:
        said = _words(item.take("summary", list), f"{where}.summary")
        whole = _words(item.take("content", list), f"{where}.content")
        answer = self._answer()
        if whole or said:
            answer.append(Reasoning(whole or said))
        self._carried += filter(None, [item.take("encrypted_content", str)])

    def _result(self, item: Fields, where: str) -> None:
        if not self._results:
            self.close()
        call_id, output = item.need("call_id", str), item.need("output", str, list)
        content = output if isinstance(output, str) else _parts(output, "tool", f"{where}.output")
        self._results.append(ToolResult(call_id, content))  # type: ignore[arg-type]  # the kinds of a tool are these


def _words(values: list[object] | None, where: str) -> str:
    words: list[str] = []
    for value, _ in objects(values or [], where):
        words.append(value.need("text", str))
    return "".join(words)


def _call(item: Fields, where: str) -> ToolCall:
    raw = item.need("arguments", str)
    arguments = read_arguments(raw)
    if arguments is None:
        refuse(f"{where}.arguments", "must be the text of a JSON object")
    item.ignore("parsed_arguments", "caller")
    return ToolCall(item.need("call_id", str), item.need("name", str), arguments, raw)


def _parts(content: list[object], role: str, where: str) -> list[Part]:
    return [_part(part, role, place) for part, place in objects(content, where)]


def _part(part: Fields, role: str, where: str) -> Part:
    kind = part.need("type", str)
    if kind not in _KINDS[role]:
        refuse(f"{where}.type", f"{kind[:64]!r} can't be read here (it takes {', '.join(_KINDS[role])})")
    made: Part
    match kind:
        case "input_image":
            made = _image(part, where)
        case "input_file":
            made = _file(part, where)
        case "input_audio":
            audio = Fields(part.need("input_audio", dict), f"{where}.input_audio")
            form = audio.need("format", str)
            made = Audio(data=audio.need("data", str), media_type=_AUDIO.get(form, f"audio/{form}"))
        case "refusal":
            made = Text(part.need("refusal", str))
        case _:
            made = Text(part.need("text", str))
            part.ignore("annotations", "logprobs", "parsed")
    part.ignore("prompt_cache_breakpoint")
    part.done("is no field that this part can have here")
    return made


def _image(part: Fields, where: str) -> Image:
    if part.take("file_id") is not None:
        refuse(f"{where}.file_id", "files that are kept elsewhere can't be read here; send image_url")
    url = part.need("image_url", str)
    detail = part.take("detail", str)
    image = _made(lambda: Image(url=url), f"{where}.image_url")
    match detail:
        case "low" | "high":
            image.detail = detail
        case "original":
            image.detail = "high"
        case None | "auto":  # what is meant where nothing is said
            pass
        case _:
            refuse(f"{where}.detail", "must be auto, low, high or original")
    return image


def _file(part: Fields, where: str) -> Document:
    if part.take("file_id") is not None:
        refuse(f"{where}.file_id", "files that are kept elsewhere can't be read here; send file_data or file_url")
    name, url, data = part.take("filename", str), part.take("file_url", str), part.take("file_data", str)
    part.ignore("detail")
    if data is not None and not data.startswith("data:"):
        kind = mimetypes.guess_type(name or "")[0] or "application/pdf"
        return _made(lambda: Document(data=data, media_type=kind, name=name), f"{where}.file_data")
    if data is not None and url is not None:
        refuse(f"{where}.file_url", "give either file_url or file_data, and not both")
    return _made(lambda: Document(url=data or url, name=name), where)


def _made(make: Callable[[], Made], where: str) -> Made:
    try:
        return make()
    except InvalidRequest as problem:
        refuse(where, problem.message)
