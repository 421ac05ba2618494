"""The neutral conversation: messages made of parts. It belongs to the caller, not to a vendor."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ._errors import InvalidRequest

__all__ = [
    "Audio",
    "Document",
    "Image",
    "Message",
    "Part",
    "Reasoning",
    "Role",
    "Text",
    "ToolCall",
    "ToolResult",
    "VendorData",
    "VendorPart",
]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(slots=True, frozen=True)
class VendorData:
    """
    What only one vendor understands (a thinking signature, a hosted tool's block), tagged with where it came from.

    It is returned untouched to that provider and account (and, where the vendor binds it, that model), and left out for
    any other. `data` is JSON.
    """

    provider: str
    account: str
    model: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"VendorData(provider={self.provider!r}, model={self.model!r}, keys={sorted(self.data)})"


@dataclass(slots=True)
class Text:
    """Plain text."""

    text: str
    vendor: VendorData | None = None

    def __repr__(self) -> str:
        return f"Text({len(self.text)} characters)"


@dataclass(slots=True)
class Blob:
    """Bytes as base64 text, or the URL where the vendor finds them. Exactly one of `url` and `data`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    vendor: VendorData | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if (self.url is None) == (self.data is None):
            raise InvalidRequest(f"{name}: give either url or data, and not both", field=name.lower())
        if self.url is not None and self.url.startswith("data:"):
            head, comma, payload = self.url[5:].partition(",")
            media_type, _, encoding = head.partition(";")
            if not comma or not encoding.endswith("base64"):
                raise InvalidRequest(f"{name}: a data: URL must be base64 (data:TYPE;base64,…)", field="url")
            self.url, self.data, self.media_type = None, payload, media_type or self.media_type
        elif self.url is not None and not self.url.startswith(("https://", "http://")):
            raise InvalidRequest(
                f"{name}: url must begin with https:// (for a file on disk use {name}.from_file(path))",
                field="url",
            )
        if self.data is not None and not self.media_type:
            raise InvalidRequest(f"{name}: data needs a media_type such as 'image/png'", field="media_type")

    @property
    def data_url(self) -> str:
        """The URL, or the data as a `data:` URL."""
        return self.url if self.url is not None else f"data:{self.media_type};base64,{self.data}"

    def __repr__(self) -> str:
        where = "url" if self.url is not None else f"{len(self.data or '')} base64 characters"
        return f"{type(self).__name__}({self.media_type or 'unknown type'}, {where})"


def _read_file(path: str | Path, media_type: str | None) -> tuple[str, str]:
    path = Path(path)
    media_type = media_type or mimetypes.guess_type(path.name)[0]
    if media_type is None:
        raise InvalidRequest(f"{path.name}: can't tell its type; pass media_type=", field="media_type")
    return base64.b64encode(path.read_bytes()).decode("ascii"), media_type


@dataclass(slots=True, repr=False)
class Image(Blob):
    """An image by https URL (which the vendor fetches) or by base64 data. `detail` is a hint some vendors take."""

    detail: Literal["auto", "low", "high"] | None = None

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None) -> Image:
        """Read an image from disk. Raises `OSError` where it can't be read."""
        data, media_type = _read_file(path, media_type)
        return cls(data=data, media_type=media_type)


@dataclass(slots=True, repr=False)
class Document(Blob):
    """A document, such as a PDF, by https URL or by base64 data."""

    name: str | None = None

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None) -> Document:
        """Read a document from disk. Raises `OSError` where it can't be read."""
        data, media_type = _read_file(path, media_type)
        return cls(data=data, media_type=media_type, name=Path(path).name)


@dataclass(slots=True, repr=False)
class Audio(Blob):
    """A recording by base64 data (`media_type` such as `audio/wav`)."""

    @classmethod
    def from_file(cls, path: str | Path, media_type: str | None = None) -> Audio:
        """Read a recording from disk. Raises `OSError` where it can't be read."""
        data, media_type = _read_file(path, media_type)
        return cls(data=data, media_type=media_type)


@dataclass(slots=True)
class Reasoning:
    """
    What the model thought. `text` may be empty where the vendor shows only a signature (in `vendor`).

    Whose thoughts they are, `vendor` says too: they go back to that provider, and are left out for any other. Without
    it they go to every vendor who wants thoughts back.
    """

    text: str
    vendor: VendorData | None = None

    def __repr__(self) -> str:
        return f"Reasoning({len(self.text)} characters{', signed' if self.vendor and self.vendor.data else ''})"


@dataclass(slots=True)
class ToolCall:
    """A call the model asks for. `arguments` is the parsed object, `raw_arguments` the vendor's own text."""

    id: str
    name: str
    arguments: dict[str, Any]
    raw_arguments: str = ""
    vendor: VendorData | None = None

    def __repr__(self) -> str:
        return f"ToolCall(id={self.id!r}, name={self.name!r}, arguments={sorted(self.arguments)})"


@dataclass(slots=True)
class ToolResult:
    """What a tool answered to the call `tool_call_id`. `content` is text, or parts where the target takes them."""

    tool_call_id: str
    content: str | list[Text | Image | Document]
    is_error: bool = False
    name: str | None = None
    vendor: VendorData | None = None

    @property
    def parts(self) -> Sequence[Text | Image | Document]:
        return [Text(self.content)] if isinstance(self.content, str) else self.content

    def __repr__(self) -> str:
        return f"ToolResult(tool_call_id={self.tool_call_id!r}, is_error={self.is_error})"


@dataclass(slots=True)
class VendorPart:
    """A block that only its vendor understands and wants back verbatim, such as a hosted tool's trace."""

    vendor: VendorData


Part: TypeAlias = Text | Image | Document | Audio | Reasoning | ToolCall | ToolResult | VendorPart

_ALLOWED: Mapping[str, tuple[type, ...]] = {
    "system": (Text,),
    "user": (Text, Image, Document, Audio),
    "assistant": (Text, Image, Audio, Reasoning, ToolCall, VendorPart),
    "tool": (ToolResult,),
}


@dataclass(slots=True)
class Message:
    """
    One turn. `role` is `system`, `user`, `assistant` or `tool`; `content` a string or a list of parts.

    Tool calls are parts of an assistant message, tool results parts of a tool message.
    Raises `InvalidRequest` for an unknown role or a part that the role can't hold.
    """

    role: Role
    content: str | list[Part]
    name: str | None = None

    def __post_init__(self) -> None:
        allowed = _ALLOWED.get(self.role)
        if allowed is None:
            raise InvalidRequest(f"role must be one of {', '.join(_ALLOWED)}", field="role")
        if isinstance(self.content, str):
            if self.role == "tool":
                raise InvalidRequest("a tool message holds ToolResult parts, not a string", field="content")
            return
        for index, part in enumerate(self.content):
            if not isinstance(part, allowed):
                names = ", ".join(kind.__name__ for kind in allowed)
                raise InvalidRequest(
                    f"a {self.role} message can't hold {type(part).__name__} (it takes {names})",
                    field=f"content[{index}]",
                )

    @property
    def parts(self) -> Sequence[Part]:
        """The content as parts."""
        return [Text(self.content)] if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """All text of the message, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls of an assistant message, in order."""
        if isinstance(self.content, str):
            return []
        return [part for part in self.content if isinstance(part, ToolCall)]

    def to_dict(self) -> dict[str, Any]:
        """
        The message as an object of JSON that holds all of it, vendor data included; `from_dict` makes it again.

        It is this library's own form, not a vendor's. An account in it is a fingerprint, and no secret.
        """
        from ._stored import write_message

        return write_message(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Message:
        """The message of `to_dict`. Raises `InvalidRequest` that names the place where the object is none."""
        from ._stored import read_message

        return read_message(value)

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __repr__(self) -> str:
        if isinstance(self.content, str):
            return f"Message({self.role!r}, {len(self.content)} characters)"
        return f"Message({self.role!r}, {list(self.content)!r})"
