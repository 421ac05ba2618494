"""The conversation in the shape of Converse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult, VendorPart
from llmswitch._request import ChatRequest
from llmswitch.providers.tool_ids import WireIds
from llmswitch.providers.user_turns import Block, Turn, lacks_thought, merge_turns, open_with_user

if TYPE_CHECKING:
    from llmswitch.providers.bedrock import ConverseOptions

__all__ = ["Conversation", "build_messages"]


_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}


@dataclass(slots=True)
class Conversation:
    """
    `system_moved`: a later system message could not stay one. `note_added`: a note stands before the first turn.
    `lacks_thought`: the calls that are being answered did not begin with a thought.
    """

    system: list[Block]
    messages: list[dict[str, Any]]
    system_moved: bool
    note_added: bool
    lacks_thought: bool


def build_messages(request: ChatRequest, options: ConverseOptions, identity: ModelIdentity) -> Conversation:
    """
    The conversation as it goes over the wire: turns of the user and the assistant by turns, the user's first.

    Neighbours of one role become one turn, with tool results before everything else in it. Blank text is left out, for
    it is refused; so is what only another vendor, account or model understands. Raises `CapabilityMismatch` that names
    the message for content that the dialect has no block for.
    """
    writer = _Writer(options, identity)
    system: list[Block] = []
    turns: list[Turn] = []
    moved = False
    for index, message in enumerate(request.messages):
        blocks = writer.blocks(message, f"messages[{index}]")
        if message.role != "system":
            turns += [("user" if message.role == "tool" else message.role, blocks)] if blocks else []
        elif all(earlier.role == "system" for earlier in request.messages[:index]):
            system += blocks
        elif blocks:
            moved = True
            turns.append(("user", [{"text": f"<system>\n{block['text']}\n</system>"} for block in blocks]))
    merged = merge_turns(turns, _is_result)
    if merged[-1][0] == "assistant":
        raise CapabilityMismatch(
            "messages: the last one is the assistant's, and no unfinished answer is gone on with here; end with a user "
            "message"
        )
    note_added = open_with_user(merged, lambda text: {"text": text}, degrade=request.degrade)
    unthought = lacks_thought(merged, _is_result, lambda block: "reasoningContent" in block)
    merged[-1][1].extend(options.cache_point("messages"))
    messages = [{"role": role, "content": blocks} for role, blocks in merged]
    return Conversation(system, messages, moved, note_added, unthought)


def _is_result(block: Block) -> bool:
    return "toolResult" in block


class _Writer:
    """Parts to blocks, for one request."""

    def __init__(self, options: ConverseOptions, identity: ModelIdentity) -> None:
        self._identity = identity
        self._ids = WireIds(options.tool_ids)
        self._documents = 0

    def blocks(self, message: Message, where: str) -> list[Block]:
        found = (self._block(part, message.role, where) for part in message.parts)
        blocks = [block for block in found if block is not None]
        if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
            raise CapabilityMismatch(f"{where}: a document needs a text beside it here; say what is to be done with it")
        return blocks

    def _block(self, part: Part, role: str, where: str) -> Block | None:
        match part:
            case Text():
                return {"text": part.text} if part.text.strip() else None
            case Image() | Document() if role == "assistant":
                raise CapabilityMismatch(f"{where}: this dialect takes no {_kind(part)} in an assistant message")
            case Image():
                return {"image": _source(part, _IMAGES, where)}
            case Document():
                self._documents += 1
                name = _document_name(part.name, self._documents)
                return {"document": {**_source(part, _DOCUMENTS, where), "name": name}}
            case Reasoning():
                return self._reasoning(part)
            case ToolCall():
                wire = self._ids.of_call(part.id)
                return {"toolUse": {"toolUseId": wire, "name": part.name, "input": part.arguments}}
            case ToolResult():
                return self._result(part, where)
            case VendorPart():
                return dict(part.vendor.data) if self._identity.owns(part.vendor, same_model=True) else None
        raise CapabilityMismatch(f"{where}: this dialect takes no {_kind(part)}")

    def _reasoning(self, part: Reasoning) -> Block | None:
        """A signature holds for the model that gave it alone, and unchanged (docs); thoughts without one stay here."""
        if part.vendor is None or not self._identity.owns(part.vendor, same_model=True):
            return None
        hidden = part.vendor.data.get("redactedContent")
        if hidden is not None:
            return {"reasoningContent": {"redactedContent": hidden}}
        signature = part.vendor.data.get("signature")
        if signature is None:
            return None
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": signature}}}

    def _result(self, part: ToolResult, where: str) -> Block:
        inner = [self._block(piece, "tool", where) for piece in part.parts]
        content = [piece for piece in inner if piece is not None]
        if not content and part.is_error:
            content = [{"text": "Error"}]
        result: Block = {"toolUseId": self._ids.of_result(part.tool_call_id), "content": content}
        if part.is_error:
            result["status"] = "error"
        return {"toolResult": result}


def _kind(part: Part) -> str:
    return type(part).__name__.lower()


def _source(part: Image | Document, formats: dict[str, str], where: str) -> Block:
    """The form and the bytes. The vendor fetches nothing from the web."""
    if part.url is not None:
        raise CapabilityMismatch(f"{where}: this dialect takes no {_kind(part)} by URL; pass its data")
    kind = (part.media_type or "").partition(";")[0].strip().lower()
    if kind not in formats:
        taken = ", ".join(dict.fromkeys(formats.values()))
        raise CapabilityMismatch(f"{where}: this dialect takes no {_kind(part)} of type {kind[:60]}, only {taken}")
    return {"format": formats[kind], "source": {"bytes": part.data}}


def _document_name(name: str | None, number: int) -> str:
    """Letters, digits, single spaces, hyphens and brackets, at most 200; each name once (docs, in part unsure)."""
    plain = re.sub(r"[^a-zA-Z0-9\s()\[\]-]|\s+", " ", name or "")
    plain = " ".join(plain.split())[:190] or "document"
    return plain if number == 1 else f"{plain} {number}"
