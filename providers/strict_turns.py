"""For vendors who insist on turns by turns: the user's, or what tools answered, then the model's, and so on."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeGuard

from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Image, Message, Text, ToolCall, ToolResult
from llmswitch._reply import ChatWarning

__all__ = ["Conversation", "Turn", "change_warnings", "take_turns", "text_of"]

_Piece: TypeAlias = Text | Image | ToolCall


@dataclass(slots=True)
class Turn:
    """
    One turn: `pieces` are what the user or the model said, `result` is what a tool answered to `call`.

    What a vendor binds to itself is not in it: reasoning, and blocks that only their author understands.
    """

    role: Literal["user", "assistant", "tool"]
    pieces: list[_Piece] = field(default_factory=list)
    result: ToolResult | None = None
    call: ToolCall | None = None

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that the model made in it."""
        return [piece for piece in self.pieces if isinstance(piece, ToolCall)]

    @property
    def images(self) -> list[Image]:
        """The images that the user showed in it."""
        return [piece for piece in self.pieces if isinstance(piece, Image)]

    @property
    def text(self) -> str:
        """All text of it."""
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Text))


@dataclass(slots=True)
class Conversation:
    """
    `system` is all that system messages said. `system_moved`: one of them stood inside the conversation. `filled`: a
    turn was missing, and a filler stands for it.
    """

    system: str
    turns: list[Turn]
    system_moved: bool
    filled: bool


def take_turns(messages: Sequence[Message], *, filler: str, one_call: bool) -> Conversation:
    """
    The conversation in turns. It begins with the user's and ends with his or a tool's; neighbours of one role are one.

    `one_call`: a turn of the model's holds one call, so calls that it made at once follow one another, each with its
    result. Blank text is left out. Raises `CapabilityMismatch` where the last turn is the model's.
    """
    leading = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    system = [message.text for message in messages if message.role == "system" and message.text.strip()]
    moved = any(message.role == "system" for message in messages[leading:])
    turns = list(_merged(_turns(messages, filler=filler, one_call=one_call)))
    if turns and turns[-1].role == "assistant":
        raise CapabilityMismatch(
            "messages: the last one is the assistant's, and this vendor does not go on with an unfinished answer; end "
            "with a user message"
        )
    if not turns:
        raise CapabilityMismatch("messages: besides system messages there is nothing to answer here, or it is blank")
    whole = list(_filled(turns, filler))
    return Conversation("\n\n".join(system), whole, moved, len(whole) > len(turns))


def _turns(messages: Sequence[Message], *, filler: str, one_call: bool) -> Iterator[Turn]:
    # some vendors number their calls anew in every turn: a result belongs to the first call of its id that has none
    results: defaultdict[str, deque[ToolResult]] = defaultdict(deque)
    for part in (part for message in messages for part in message.parts):
        if isinstance(part, ToolResult):
            results[part.tool_call_id].append(part)
    for message in messages:
        if message.role == "user":
            yield Turn("user", [part for part in message.parts if _says_something(part)])
        elif message.role == "assistant":
            said: list[_Piece] = [part for part in message.parts if _says_something(part)]
            calls = [part for part in message.parts if isinstance(part, ToolCall)]
            for number in range(0, len(calls) or 1, 1 if one_call else max(1, len(calls))):
                made = calls[number : number + 1] if one_call else calls
                yield Turn("assistant", [*(said if number == 0 else ()), *made])
                for call in made:  # a call that was not answered would stand alone, which is refused
                    given = results[call.id]
                    yield Turn("tool", result=given.popleft() if given else ToolResult(call.id, filler), call=call)


def _says_something(part: object) -> TypeGuard[Text | Image]:
    return isinstance(part, Image) or (isinstance(part, Text) and bool(part.text.strip()))


def _merged(turns: Iterator[Turn]) -> Iterator[Turn]:
    last: Turn | None = None
    for turn in turns:
        if turn.result is None and not turn.pieces:
            continue
        if last is not None and last.role == turn.role != "tool":
            last.pieces += [*([Text("\n\n")] if last.text and turn.text else []), *turn.pieces]
            continue
        if last is not None:
            yield last
        last = turn
    if last is not None:
        yield last


def _filled(turns: Sequence[Turn], filler: str) -> Iterator[Turn]:
    if turns[0].role == "assistant":
        yield Turn("user", [Text(filler)])
    for before, turn in zip([None, *turns], turns, strict=False):
        if before is not None and before.role == "tool" and turn.role == "user":
            yield Turn("assistant", [Text(filler)])
        yield turn


def text_of(result: ToolResult, filler: str) -> str:
    """What a tool answered, as text that says whether it is an error, and is not blank."""
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    text = text if text.strip() else filler
    return f"Error: {text}" if result.is_error else text


def change_warnings(conversation: Conversation, filler: str, target: str) -> Iterator[ChatWarning]:
    """What was changed in the conversation: it has to be said on the reply."""
    if conversation.system_moved:
        yield ChatWarning("system_moved", f"{target}: a system message inside the conversation went to its front")
    if conversation.filled:
        said = f"turns have to alternate here; {filler!r} stands for one that was missing"
        yield ChatWarning("turn_filled", f"{target}: {said}")
