"""
What a model thought, as Chat Completions vendors carry it: read from the fields that hold it, sent back where wanted.

Facts: MiniMax's OpenAPI of `/v1/chat/completions` (`reasoning_details`), its issue MiniMax-M2#95 and the example of its
documentation, which disagree on whether events repeat what came before; DeepSeek's and Moonshot's documentation on what
must come back with tool calls, and public issue threads on what goes for a turn that another vendor made; how pieces of
`reasoning_details` belong together: OpenRouter's SDK; thoughts among the parts of the content: Mistral's SDK 3.7.0.
Gathered 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import ModelIdentity
from llmswitch._messages import Message, Reasoning, Text, VendorData

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["ContentThought", "GrowingThought", "Thought", "thought_fields"]

_GROWING = frozenset({"text", "summary"})  # what a stream brings in pieces; everything else comes whole


def thought_fields(
    message: Message, options: ChatCompletionsOptions, identity: ModelIdentity, *, unfinished: bool = False
) -> dict[str, Any]:
    """
    The field that takes an assistant's thinking back, or nothing where the vendor does not want it.

    Another provider's thoughts are no more than missing ones (DeepSeek was seen to refuse them, hermes-agent#15748).
    Nothing stands for those of an answer that is `unfinished`: the model would go on with it.
    """
    mode, field = options.reasoning_replay, options.reasoning_fields[0] if options.reasoning_fields else ""
    if mode == "omit" or (mode == "with_calls" and not message.tool_calls):
        return {}
    if options.thoughts_in_content:
        return {} if unfinished else _content_with_thoughts(message, identity)
    thoughts = [part for part in message.parts if isinstance(part, Reasoning) and identity.wrote(part.vendor)]
    whole = [part for thought in thoughts for part in _parts_of(thought, field, identity)]
    if whole:
        return {field: whole}
    text = "".join(thought.text for thought in thoughts)
    if not text:
        if mode == "optional" or unfinished:
            return {}
        text = options.reasoning_stand_in
    return {field: [{**options.reasoning_parts, "text": text}] if options.reasoning_parts else text}


def _parts_of(thought: Reasoning, field: str, identity: ModelIdentity) -> list[Any]:
    """The parts in which a thought came, for the account that gave them."""
    if thought.vendor is None or not identity.owns(thought.vendor):
        return []
    found = thought.vendor.data.get(field)
    return found if isinstance(found, list) else []


def _content_with_thoughts(message: Message, identity: ModelIdentity) -> dict[str, Any]:
    """The content as parts, where there is a thought of its own among them."""
    content: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, Text) and part.text.strip():
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, Reasoning):
            content += _content_part(part, identity)
    return {"content": content} if any(part["type"] != "text" for part in content) else {}


def _content_part(thought: Reasoning, identity: ModelIdentity) -> list[dict[str, Any]]:
    """A thought as it came, for the account that gave it; where it came in plain words, for any of the provider's."""
    came = thought.vendor.data.get("part") if thought.vendor is not None else None
    if came is not None:
        return [came] if identity.owns(thought.vendor) else []
    own = thought.text and identity.wrote(thought.vendor)
    return [{"type": "thinking", "thinking": [{"type": "text", "text": thought.text}]}] if own else []


class ContentThought:
    """A thought among the parts of the content, from its pieces to the part that goes back."""

    def __init__(self, identity: ModelIdentity) -> None:
        self._identity = identity
        self._part: dict[str, Any] = {"type": "thinking", "thinking": []}

    def add(self, piece: Mapping[str, Any]) -> None:
        """More of it: texts that follow each other are one, and of all else the last word counts."""
        for name, value in piece.items():
            if name == "thinking" and isinstance(value, list):
                for inner in value:
                    self._think(inner)
            elif value is not None:
                self._part[name] = value

    def _think(self, inner: Any) -> None:
        thoughts = self._part["thinking"]
        if thoughts and _is_words(thoughts[-1]) and _is_words(inner):
            thoughts[-1] = {"type": "text", "text": thoughts[-1]["text"] + inner["text"]}
        else:
            thoughts.append(inner)

    @property
    def vendor(self) -> VendorData:
        """Whose it is, with the part as it came where that is more than its words."""
        words = set(self._part) == {"type", "thinking"} and all(_is_words(inner) for inner in self._part["thinking"])
        data = {} if words else {"part": self._part}
        return VendorData(self._identity.provider, self._identity.account, self._identity.model, data)


def _is_words(inner: Any) -> bool:
    return isinstance(inner, Mapping) and set(inner) == {"type", "text"} and isinstance(inner["text"], str)


class GrowingThought:
    """
    Thinking that a vendor may send from its beginning in every event: what came before is left out.

    Whether it does so, the second event shows; the first that does not begin with what came before settles that it
    does not.
    """

    def __init__(self) -> None:
        self._whole = ""
        self._repeats = True

    def new(self, piece: str) -> str:
        """What is new in a piece."""
        if self._repeats and self._whole:
            self._repeats = piece.startswith(self._whole)
            if self._repeats:
                piece, self._whole = piece[len(self._whole) :], piece
                return piece
        self._whole = piece
        return piece


class Thought:
    """
    What an answer brings of thinking, as text or as parts, whose pieces belong together by index and type.

    The parts are kept as they go back, with the first thought of the answer. `spoken`: something else came since then,
    so what is thought from here on is another thought.
    """

    def __init__(self, identity: ModelIdentity, *, grows: bool) -> None:
        self._grows = grows
        self._identity = identity
        self._data: dict[str, Any] = {}
        self._parts: dict[object, dict[str, Any]] = {}
        self._growing: dict[object, GrowingThought] = {}
        self.spoken = False

    @property
    def vendor(self) -> VendorData:
        """Whose the thought is that is being read, and what it came in."""
        data = {} if self.spoken else self._data
        return VendorData(self._identity.provider, self._identity.account, self._identity.model, data)

    def read(self, message: Mapping[str, Any], fields: tuple[str, ...]) -> str | None:
        """The text that is new in a message or a delta, from the first field that has any; `None` without thinking."""
        parted = False
        for field in fields:
            found = message.get(field)
            if isinstance(found, str) and found:
                return self._new("", found)
            if isinstance(found, list) and found:
                parted = True
                pieces = [self._add(field, position, part) for position, part in enumerate(found)]
                texts = [text for text in pieces if text is not None]
                if texts:
                    return "".join(texts)
        return "" if parted else None

    def _add(self, field: str, position: int, piece: Any) -> str | None:
        """A piece of a part; the text that is new in it, or `None` where it has none."""
        if not isinstance(piece, Mapping):
            return None
        index = piece.get("index")
        key = (index if isinstance(index, int) else f"at {position}", piece.get("type"))
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = {}
            self._data.setdefault(field, []).append(part)
        text = None
        for name, value in piece.items():
            if name in _GROWING and isinstance(value, str):
                new = self._new((key, name), value) if value else ""
                part[name] = part.get(name, "") + new
                text = (text or "") + new if value else text
            elif value is not None or name not in part:
                part[name] = value
        return text

    def _new(self, key: object, piece: str) -> str:
        return self._growing.setdefault(key, GrowingThought()).new(piece) if self._grows else piece
