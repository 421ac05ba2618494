"""The conversation in the Messages shape."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult, VendorPart
from llmswitch._request import ChatRequest
from llmswitch.providers.tool_ids import WireIds
from llmswitch.providers.user_turns import Block, Turn, count_leading, lacks_thought, merge_turns, open_with_user

if TYPE_CHECKING:
    from llmswitch.providers.anthropic import MessagesOptions

__all__ = ["Conversation", "build_messages"]


_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_OWN = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})


@dataclass(slots=True)
class Conversation:
    """
    `system`: the system messages before the first turn. `prefill`: the last turn is an answer that the model is to go
    on with. `system_moved`: a later system message could not stay one.
    """

    system: str | list[Block]
    messages: list[dict[str, Any]]
    prefill: bool
    system_moved: bool
    note_added: bool
    lacks_thought: bool


def build_messages(request: ChatRequest, options: MessagesOptions, identity: ModelIdentity) -> Conversation:
    """
    The conversation as it goes over the wire.

    Neighbours of one role become one turn, with tool results before everything else in it. Blank text is left out, for
    it is refused; so is what only another vendor, account or model understands. Raises `CapabilityMismatch` that names
    the message for content that the dialect has no block for.
    """
    writer = _Writer(options, identity)
    written = [writer.blocks(message, f"messages[{index}]") for index, message in enumerate(request.messages)]
    leading = count_leading(request.messages)
    system = [block for blocks in written[:leading] for block in blocks]
    turns = [
        ("user" if message.role == "tool" else message.role, blocks)
        for message, blocks in zip(request.messages[leading:], written[leading:], strict=True)
        if blocks
    ]
    placed, moved = _place_system(turns, options)
    merged = merge_turns(placed, _is_result)
    note_added = options.user_first and open_with_user(merged, _text_block, degrade=request.degrade)
    prefill = _is_prefill(merged[-1])
    messages = [{"role": role, "content": _content(blocks)} for role, blocks in merged]
    unthought = lacks_thought(merged, _is_result, _is_thought)
    return Conversation(_content(system), messages, prefill, moved, note_added, unthought)


def _is_result(block: Block) -> bool:
    return bool(block["type"] == "tool_result")


def _is_thought(block: Block) -> bool:
    return block["type"] in ("thinking", "redacted_thinking")


def _place_system(turns: Sequence[Turn], options: MessagesOptions) -> tuple[list[Turn], bool]:
    """Where a system message can't stand as one, its text keeps its place in a user's turn, between tags."""
    placed: list[Turn] = []
    moved = False
    for index, (role, blocks) in enumerate(turns):
        if role != "system" or (options.system_turns and _may_stand(turns, index)):
            placed.append((role, blocks))
            continue
        moved = True
        tagged = [_text_block(f"<system>\n{block['text']}\n</system>") for block in blocks]
        placed.append(("user", tagged))
    return placed, moved


def _may_stand(turns: Sequence[Turn], index: int) -> bool:
    """A run of system messages has to follow a user's turn, and to end the conversation or precede an answer."""
    before = next((role for role, _ in reversed(turns[:index]) if role != "system"), None)
    after = next((role for role, _ in turns[index + 1 :] if role != "system"), "assistant")
    return before == "user" and after == "assistant"


def _is_prefill(turn: Turn) -> bool:
    """An answer with a hosted tool's block in it was paused by the vendor, who takes it back to go on."""
    role, blocks = turn
    if role != "assistant" or blocks[-1]["type"] == "tool_use" or any(block["type"] not in _OWN for block in blocks):
        return False
    if blocks[-1]["type"] == "text":
        blocks[-1]["text"] = blocks[-1]["text"].rstrip()  # white space at the very end is refused
    return True


def _content(blocks: list[Block]) -> str | list[Block]:
    """A lone text is sent as a string, which means the same."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _text_block(text: str) -> Block:
    return {"type": "text", "text": text}


class _Writer:
    """Parts to blocks, for one request."""

    def __init__(self, options: MessagesOptions, identity: ModelIdentity) -> None:
        self._identity = identity
        self._ids = WireIds(options.tool_ids)

    def blocks(self, message: Message, where: str) -> list[Block]:
        found = (self._block(part, message.role, where) for part in message.parts)
        return [block for block in found if block is not None]

    def _block(self, part: Part, role: str, where: str) -> Block | None:
        match part:
            case Text():
                return self._text(part, role)
            case Image() | Document() if role == "assistant":
                raise CapabilityMismatch(f"{where}: this dialect takes no {_kind(part)} in an assistant message")
            case Image():
                return _image(part, where)
            case Document():
                return _document(part, where)
            case Reasoning():
                return self._reasoning(part)
            case ToolCall():
                extra = part.vendor.data if part.vendor and self._identity.owns(part.vendor) else {}
                wire = self._ids.of_call(part.id)
                return {"type": "tool_use", "id": wire, "name": part.name, "input": part.arguments, **extra}
            case ToolResult():
                return self._result(part, where)
            case VendorPart():
                return dict(part.vendor.data) if self._identity.owns(part.vendor) else None
        raise CapabilityMismatch(f"{where}: this dialect takes no {_kind(part)}")

    def _text(self, part: Text, role: str) -> Block | None:
        if not part.text.strip():
            return None
        block = _text_block(part.text)
        # citations go back with the answer that they belong to; on a user's text they are refused (version 2026-10-21)
        if role == "assistant" and part.vendor is not None and self._identity.owns(part.vendor):
            block.update(part.vendor.data)
        return block

    def _reasoning(self, part: Reasoning) -> Block | None:
        """
        A signature holds for the model that gave it alone: the documentation says to strip it for any other.

        A thought that has none, as one of an answer that broke off, is refused, and left out.
        """
        if part.vendor is None or not part.vendor.data or not self._identity.owns(part.vendor, same_model=True):
            return None
        data = part.vendor.data
        return {**data, "thinking": part.text} if data.get("type") == "thinking" else dict(data)

    def _result(self, part: ToolResult, where: str) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._ids.of_result(part.tool_call_id)}
        inner = [self._block(piece, "tool", where) for piece in part.parts]
        content = _content([piece for piece in inner if piece is not None])
        if content or part.is_error:
            block["content"] = content or "Error"  # an error without a word is refused
        if part.is_error:
            block["is_error"] = True
        return block


def _kind(part: Part) -> str:
    return type(part).__name__.lower()


def _image(part: Image, where: str) -> Block:
    if part.url is not None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    kind = {"image/jpg": "image/jpeg"}.get(part.media_type or "", part.media_type)
    if kind not in _IMAGES:
        raise CapabilityMismatch(f"{where}: images are taken as PNG, JPEG, GIF or WebP, not as {kind}")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": part.data}}


def _document(part: Document, where: str) -> Block:
    source: Mapping[str, Any]
    kind = (part.media_type or "").partition(";")[0].strip()
    if part.url is not None:
        source = {"type": "url", "url": part.url}
    elif kind == "application/pdf":
        source = {"type": "base64", "media_type": kind, "data": part.data}
    elif kind.startswith("text/"):
        try:
            text = base64.b64decode(part.data or "", validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise CapabilityMismatch(f"{where}: a text document has to be UTF-8, in base64") from None
        source = {"type": "text", "media_type": "text/plain", "data": text}
    else:
        raise CapabilityMismatch(f"{where}: documents are taken as PDF or text, not as {kind}")
    return {"type": "document", "source": dict(source), **({"title": part.name} if part.name else {})}
