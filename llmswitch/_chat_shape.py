"""Messages as plain dicts, in the Chat Completions shape that most programs already have, made into `Message`s."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ._errors import InvalidRequest
from ._json import JSONInvalid, loads
from ._messages import Audio, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from ._nearest import nearest

__all__ = ["deepest_problem", "read_arguments", "read_messages"]

_strict = with_config(ConfigDict(extra="forbid"))


@_strict
class _TextPart(TypedDict):
    type: Literal["text", "input_text", "output_text"]
    text: str


@_strict
class _RefusalPart(TypedDict):
    type: Literal["refusal"]
    refusal: str


@_strict
class _ImageURL(TypedDict):
    url: str
    detail: NotRequired[Literal["auto", "low", "high"]]


@_strict
class _ImagePart(TypedDict):
    type: Literal["image_url"]
    image_url: _ImageURL


@_strict
class _AudioData(TypedDict):
    data: str
    format: str


@_strict
class _AudioPart(TypedDict):
    type: Literal["input_audio"]
    input_audio: _AudioData


@_strict
class _FileData(TypedDict):
    file_data: str
    filename: NotRequired[str]


@_strict
class _FilePart(TypedDict):
    type: Literal["file"]
    file: _FileData


@_strict
class _Function(TypedDict):
    name: str
    arguments: str | dict[str, Any]


@_strict
class _ToolCall(TypedDict):
    id: str
    type: NotRequired[Literal["function"]]
    index: NotRequired[int]
    function: _Function


_ContentPart: TypeAlias = Annotated[
    _TextPart | _RefusalPart | _ImagePart | _AudioPart | _FilePart, Field(discriminator="type")
]


@_strict
class _Message(TypedDict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: NotRequired[str | list[_ContentPart]]
    name: NotRequired[str]
    tool_calls: NotRequired[list[_ToolCall]]
    tool_call_id: NotRequired[str]
    refusal: NotRequired[str]
    reasoning_content: NotRequired[str]


_PART_TYPES = ("text", "input_text", "output_text", "refusal", "image_url", "input_audio", "file")
_KNOWN_KEYS = (
    *_Message.__annotations__,
    "type",
    "text",
    *_ImageURL.__annotations__,
    *_FileData.__annotations__,
)


@cache
def _adapter() -> TypeAdapter[_Message]:
    return TypeAdapter(_Message)


def read_messages(messages: object) -> list[Message]:
    """
    A string, one message, or a list of messages and dicts, as messages.

    Raises `InvalidRequest` that names the place (`messages[2].content[0]`) and never quotes what stood there.
    """
    if isinstance(messages, str):
        if not messages:
            raise InvalidRequest("messages is empty: there is nothing to ask", field="messages")
        return [Message("user", messages)]
    if isinstance(messages, Message):
        return [messages]
    if not isinstance(messages, Sequence) or isinstance(messages, (bytes, Mapping)):
        raise InvalidRequest("messages must be a string, a Message, or a list of messages", field="messages")
    if not messages:
        raise InvalidRequest("messages is empty: there is nothing to ask", field="messages")
    return [_read_one(message, index) for index, message in enumerate(messages)]


def _read_one(message: object, index: int) -> Message:
    if type(message) is dict and len(message) == 2:
        role, content = message.get("role"), message.get("content")
        if type(content) is str and role in ("user", "assistant", "system"):
            return Message(role, content)  # what most messages are; the schema would say the same of it
    if isinstance(message, Message):
        return message
    if not isinstance(message, Mapping):
        raise InvalidRequest(
            f"messages[{index}] is a {type(message).__name__}; it must be a Message or a dict",
            field=f"messages[{index}]",
        )
    try:
        # a dumped SDK object carries every field it has not got as null or []
        given = {key: value for key, value in message.items() if value is not None and value != []}
        return _convert(_adapter().validate_python(given))
    except ValidationError as problem:
        place, said = deepest_problem(problem, _PART_TYPES, _KNOWN_KEYS)
        where = f"messages[{index}]{place}"
        raise InvalidRequest(f"{where}: {said}", field=where) from None
    except InvalidRequest as problem:
        where = f"messages[{index}]" + (f".{problem.field}" if problem.field else "")
        raise InvalidRequest(f"{where}: {problem.message}", field=where) from None


def deepest_problem(problem: ValidationError, kinds: Iterable[str], keys: Iterable[str]) -> tuple[str, str]:
    """
    The deepest place at fault and the complaint, without the value that stood there.

    `kinds` are the types that a part may have, `keys` those that may have been meant by an unknown one.
    """
    errors = problem.errors(include_input=False, include_url=False, include_context=False)
    error = max(errors, key=lambda item: len(item["loc"]))
    steps: list[str | int] = []
    previous: str | int = ""
    for step in error["loc"]:
        # pydantic names the branch of a union it went into; that is no part of the caller's path
        branch = isinstance(step, str) and (step == "str" or step.startswith(("list[", "dict[")))
        tag = isinstance(previous, int) and "content" in steps
        if not branch and not tag:
            steps.append(step)
        previous = step
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    if error["type"] == "union_tag_invalid":
        return f"{place}.type", f"must be one of {', '.join(kinds)}"
    if error["type"] == "extra_forbidden":
        return place, f"unknown field{nearest(str(steps[-1]), keys)}"
    return place, error["msg"][:1].lower() + error["msg"][1:]


def _convert(message: _Message) -> Message:
    role = message["role"]
    content = message.get("content")
    if role == "tool":
        if "tool_call_id" not in message:
            raise InvalidRequest("a tool message needs the id of the call it answers", field="tool_call_id")
        parts: Any = content if isinstance(content, str) else [_part(part) for part in content or ()]
        return Message("tool", [ToolResult(message["tool_call_id"], parts, name=message.get("name"))])
    neutral: Literal["system", "user", "assistant"] = "system" if role == "developer" else role
    calls = message.get("tool_calls") or ()
    reasoning = message.get("reasoning_content")
    if isinstance(content, str) and not calls and reasoning is None:
        return Message(neutral, content, message.get("name"))
    out: list[Part] = []
    if reasoning is not None:
        out.append(Reasoning(reasoning))
    if isinstance(content, str):
        if content:
            out.append(Text(content))
    else:
        out.extend(_part(part) for part in content or ())
    if message.get("refusal"):
        out.append(Text(message["refusal"]))
    out.extend(_tool_call(call, index) for index, call in enumerate(calls))
    if not out:
        raise InvalidRequest("has no content", field="content")
    return Message(neutral, out, message.get("name"))


def _part(part: Any) -> Any:
    match part["type"]:
        case "image_url":
            return Image(url=part["image_url"]["url"], detail=part["image_url"].get("detail"))
        case "input_audio":
            audio = part["input_audio"]
            return Audio(data=audio["data"], media_type=f"audio/{audio['format']}")
        case "file":
            return Document(url=part["file"]["file_data"], name=part["file"].get("filename"))
        case "refusal":
            return Text(part["refusal"])
    return Text(part["text"])


def _tool_call(call: _ToolCall, index: int) -> ToolCall:
    given = call["function"]["arguments"]
    if isinstance(given, dict):
        return ToolCall(call["id"], call["function"]["name"], given)
    arguments = read_arguments(given)
    if arguments is None:
        raise InvalidRequest(
            "the arguments are not the text of a JSON object", field=f"tool_calls[{index}].function.arguments"
        )
    return ToolCall(call["id"], call["function"]["name"], arguments, given)


def read_arguments(text: str) -> dict[str, Any] | None:
    """A tool call's arguments from their JSON text; `{}` for no text at all, `None` where it is not an object."""
    if not text.strip():
        return {}
    try:
        value = loads(text)
    except JSONInvalid:
        return None
    return value if isinstance(value, dict) else None
