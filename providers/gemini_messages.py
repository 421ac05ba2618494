"""The conversation in the shape of generateContent."""

from __future__ import annotations

import mimetypes
import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    VendorData,
    VendorPart,
)
from llmswitch._request import ChatRequest
from llmswitch.providers.user_turns import Block, Turn, count_leading, merge_turns, open_with_user

if TYPE_CHECKING:
    from llmswitch.providers.gemini import GeminiOptions

__all__ = ["Conversation", "build_messages"]

# A file that was uploaded before: the vendor knows its type itself (google-genai 3.4.0).
_UPLOADED = re.compile(r"https://([a-z0-9-]+-)?generativelanguage\.googleapis\.com/v1[a-z]*/files/[a-z0-9-]+")


@dataclass(slots=True)
class Conversation:
    """
    `system_moved`: a later system message could not stay one. `note_added`: a note stands before the first turn.
    `paused`: the word by which the vendor goes on with an answer that it paused; that answer is not in `contents`.
    """

    system: list[Block]
    contents: list[dict[str, Any]]
    system_moved: bool
    note_added: bool
    paused: str | None


def build_messages(request: ChatRequest, options: GeminiOptions, identity: ModelIdentity) -> Conversation:
    """
    The conversation as it goes over the wire: turns of the user and the model by turns.

    Neighbours of one role become one turn, with tool results before everything else in it. Empty text is left out, and
    so is what only another vendor, account or model understands. Raises `CapabilityMismatch` that names the message for
    content that the dialect has no part for.
    """
    messages, paused = _paused(request.messages, identity)
    writer = _Writer(options, identity)
    leading = count_leading(messages)
    system: list[Block] = []
    turns: list[Turn] = []
    moved = False
    for index, message in enumerate(messages):
        blocks = writer.blocks(message, f"messages[{index}]")
        if message.role != "system":
            turns += [("user" if message.role == "tool" else message.role, blocks)] if blocks else []
        elif index < leading:
            system += blocks
        elif blocks:
            moved = True
            turns.append(("user", [{"text": f"<system>\n{block['text']}\n</system>"} for block in blocks]))
    merged = merge_turns(turns, lambda block: "functionResponse" in block)
    for role, blocks in merged:
        if role == "user":
            blocks.sort(key=writer.place)
    if merged[-1][0] == "assistant":
        raise CapabilityMismatch(
            "messages: the last one is the assistant's, and no unfinished answer is gone on with here; end with a user "
            "message"
        )
    note_added = options.user_first and open_with_user(merged, lambda text: {"text": text}, degrade=request.degrade)
    if options.signature_stand_in:
        _stand_in(merged, options.signature_stand_in)
    roles = {"user": "user", "assistant": "model"}
    contents = [{"role": roles[role], "parts": blocks} for role, blocks in merged]
    return Conversation(system, contents, moved, note_added, paused)


def _paused(messages: Sequence[Message], identity: ModelIdentity) -> tuple[Sequence[Message], str | None]:
    """
    The messages before an answer that this model paused, and the word by which it goes on with it.

    The request is repeated with that word, and the answer so far is the vendor's to know (google-genai 3.4.0).
    """
    end, paused = len(messages), None
    while end and messages[end - 1].role == "assistant":
        word = next((word for part in messages[end - 1].parts if (word := _word(part, identity)) is not None), None)
        if word is None:
            break
        end, paused = end - 1, paused or word
    return messages[:end], paused


def _word(part: Part, identity: ModelIdentity) -> str | None:
    if isinstance(part, VendorPart) and identity.owns(part.vendor, same_model=True):
        word = part.vendor.data.get("continuationToken")
        return word if isinstance(word, str) else None
    return None


def _stand_in(turns: Sequence[Turn], word: str) -> None:
    """
    A signature for calls that have none of this model's: for the first one of each step since the user last spoke.

    Without one the request is refused; the vendor documents the word for calls that another model made (docs).
    """
    spoke = max(
        (
            index
            for index, (role, blocks) in enumerate(turns)
            if role == "user" and any("functionResponse" not in block for block in blocks)
        ),
        default=-1,
    )
    for role, blocks in turns[spoke + 1 :]:
        first = next((block for block in blocks if "functionCall" in block), None)
        if role == "assistant" and first is not None:
            first.setdefault("thoughtSignature", word)


class _Writer:
    """Parts to parts, for one request."""

    def __init__(self, options: GeminiOptions, identity: ModelIdentity) -> None:
        self._options = options
        self._identity = identity
        # calls that wait for their results, by their ids: the number, the name, and the id if it is the vendor's own
        self._open: defaultdict[str, deque[tuple[int, str, str | None]]] = defaultdict(deque)
        self._calls = 0
        self._places: dict[int, int] = {}

    def blocks(self, message: Message, where: str) -> list[Block]:
        found = (self._block(part, where) for part in message.parts)
        return [block for block in found if block is not None]

    def place(self, block: Block) -> int:
        """Results stand in the order of their calls, for without ids that says whose they are; then comes the rest."""
        return self._places.get(id(block.get("functionResponse")), self._calls)

    def _block(self, part: Part, where: str) -> Block | None:
        match part:
            case Text():
                return {"text": part.text, **self._signature(part.vendor)} if part.text else None
            case Image() | Document() | Audio():
                return self._blob(part, where)
            case Reasoning():
                return self._thought(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part, where)
            case VendorPart():
                mine = self._identity.owns(part.vendor, same_model=True)
                return dict(part.vendor.data) if mine and "continuationToken" not in part.vendor.data else None

    def _signature(self, vendor: VendorData | None) -> Block:
        """What the vendor signed goes back on the part on which it came, to the model that signed it alone (docs)."""
        if vendor is None or not self._identity.owns(vendor, same_model=True):
            return {}
        signature = vendor.data.get("thoughtSignature")
        return {} if signature is None else {"thoughtSignature": signature}

    def _thought(self, part: Reasoning) -> Block | None:
        """Thoughts are summaries that need not go back (docs), unless one bears a signature."""
        signature = self._signature(part.vendor)
        return {"text": part.text, "thought": True, **signature} if signature else None

    def _call(self, part: ToolCall) -> Block:
        """The id only if it came from this vendor: some models give none, and an invented one means nothing to it."""
        given = part.vendor.data.get("id") if part.vendor and self._identity.owns(part.vendor) else None
        self._open[part.id].append((self._calls, part.name, given))
        self._calls += 1
        call: Block = {"name": part.name, "args": part.arguments}
        if given is not None:
            call["id"] = given
        return {"functionCall": call, **self._signature(part.vendor)}

    def _result(self, part: ToolResult, where: str) -> Block:
        number, name, given = self._open[part.tool_call_id].popleft()
        text = "".join(piece.text for piece in part.parts if isinstance(piece, Text))
        result: Block = {"name": name, "response": {"error" if part.is_error else "output": text}}
        shown = [self._blob(piece, where) for piece in part.parts if not isinstance(piece, Text)]
        if shown:
            result["parts"] = shown
        if given is not None:
            result["id"] = given
        self._places[id(result)] = number
        return {"functionResponse": result}

    def _blob(self, part: Image | Document | Audio, where: str) -> Block:
        """The bytes, or where the vendor finds them."""
        if part.url is None:
            return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        kind = type(part).__name__.lower()
        if _UPLOADED.match(part.url):
            return {"fileData": {"fileUri": part.url, **({"mimeType": part.media_type} if part.media_type else {})}}
        if not self._options.web_urls:
            raise CapabilityMismatch(f"{where}: this model takes no {kind} by URL; pass its data")
        media_type = part.media_type or mimetypes.guess_type(urlsplit(part.url).path)[0]
        if media_type is None:
            raise CapabilityMismatch(f"{where}: the vendor wants to know the type of the {kind}; pass media_type")
        return {"fileData": {"fileUri": part.url, "mimeType": media_type}}
