"""Messages as JSON objects and back, with nothing lost: for a conversation that outlives its process."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ._chat_shape import deepest_problem
from ._errors import InvalidRequest
from ._messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    VendorData,
    VendorPart,
)

__all__ = ["read_message", "write_message"]

_KINDS: Mapping[str, type[Any]] = {
    "text": Text,
    "image": Image,
    "document": Document,
    "audio": Audio,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "vendor": VendorPart,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}

_strict = with_config(ConfigDict(extra="forbid", strict=True))


@_strict
class _Vendor(TypedDict):
    provider: str
    account: str
    model: str
    data: dict[str, Any]


@_strict
class _Text(TypedDict):
    type: Literal["text"]
    text: str
    vendor: NotRequired[_Vendor]


@_strict
class _Reasoning(TypedDict):
    type: Literal["reasoning"]
    text: str
    vendor: NotRequired[_Vendor]


@_strict
class _Image(TypedDict):
    type: Literal["image"]
    url: NotRequired[str]
    data: NotRequired[str]
    media_type: NotRequired[str]
    detail: NotRequired[Literal["auto", "low", "high"]]
    vendor: NotRequired[_Vendor]


@_strict
class _Document(TypedDict):
    type: Literal["document"]
    url: NotRequired[str]
    data: NotRequired[str]
    media_type: NotRequired[str]
    name: NotRequired[str]
    vendor: NotRequired[_Vendor]


@_strict
class _Audio(TypedDict):
    type: Literal["audio"]
    url: NotRequired[str]
    data: NotRequired[str]
    media_type: NotRequired[str]
    vendor: NotRequired[_Vendor]


@_strict
class _ToolCall(TypedDict):
    type: Literal["tool_call"]
    id: str
    name: str
    arguments: dict[str, Any]
    raw_arguments: NotRequired[str]
    vendor: NotRequired[_Vendor]


@_strict
class _ToolResult(TypedDict):
    type: Literal["tool_result"]
    tool_call_id: str
    content: str | list[Annotated[_Text | _Image | _Document, Field(discriminator="type")]]
    is_error: NotRequired[bool]
    name: NotRequired[str]
    vendor: NotRequired[_Vendor]


@_strict
class _VendorPart(TypedDict):
    type: Literal["vendor"]
    vendor: _Vendor


_Part: TypeAlias = Annotated[
    _Text | _Reasoning | _Image | _Document | _Audio | _ToolCall | _ToolResult | _VendorPart,
    Field(discriminator="type"),
]


@_strict
class _Message(TypedDict):
    role: Role
    content: str | list[_Part]
    name: NotRequired[str]


_KEYS = sorted({key for kind in _KINDS.values() for key in (field.name for field in fields(kind))} | {"role", "type"})


@cache
def _adapter() -> TypeAdapter[_Message]:
    return TypeAdapter(_Message)


def write_message(message: Message) -> dict[str, Any]:
    """The message as an object of JSON. It shares nothing with the message."""
    content: Any = message.content
    if not isinstance(content, str):
        content = [_write(part) for part in content]
    return {"role": message.role, "content": content, **({"name": message.name} if message.name is not None else {})}


def _write(part: Part) -> dict[str, Any]:
    """What a part holds; what it has not got is left out."""
    out: dict[str, Any] = {"type": _NAMES[type(part)]}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, VendorData):
            value = {inner.name: getattr(value, inner.name) for inner in fields(value)}
            value["data"] = dict(value["data"])
        elif field.name == "content" and not isinstance(value, str):
            value = [_write(inner) for inner in value]
        if value != field.default:
            out[field.name] = copy.deepcopy(value)
    return out


def read_message(value: object) -> Message:
    """
    The message that `write_message` made the object from.

    Raises `InvalidRequest` that names the place (`content[0].text`) and never quotes what stood there.
    """
    try:
        found = _adapter().validate_python(value)
    except ValidationError as problem:
        place, said = deepest_problem(problem, _KINDS, _KEYS)
        where = place.removeprefix(".") or "message"
        raise InvalidRequest(f"{where}: {said}", field=where) from None
    content = found["content"]
    if isinstance(content, str):
        return Message(found["role"], content, found.get("name"))
    return Message(
        found["role"], [_read(part, f"content[{index}]") for index, part in enumerate(content)], found.get("name")
    )


def _read(part: Mapping[str, Any], where: str) -> Any:
    given = {name: copy.deepcopy(value) for name, value in part.items() if name != "type"}
    if "vendor" in given:
        given["vendor"] = VendorData(**given["vendor"])
    if part["type"] == "tool_result" and not isinstance(given["content"], str):
        given["content"] = [_read(inner, f"{where}.content[{index}]") for index, inner in enumerate(given["content"])]
    try:
        return _KINDS[part["type"]](**given)
    except InvalidRequest as problem:
        raise InvalidRequest(f"{where}: {problem.message}", field=where) from None
