"""Turns of blocks that begin with the user's, in which results of tools stand: for Messages and for Converse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Message
from llmswitch._reply import ChatWarning

__all__ = [
    "Block",
    "Turn",
    "change_warnings",
    "count_leading",
    "lacks_thought",
    "may_be_changed",
    "merge_turns",
    "open_with_user",
]

Block: TypeAlias = dict[str, Any]
Turn: TypeAlias = tuple[str, list[Block]]

_NOTE = "(The conversation begins with the assistant's message.)"


class Changed(Protocol):
    """`system_moved`: a later system message could not stay one. `note_added`: a note stands before the first turn."""

    system_moved: bool
    note_added: bool


def count_leading(messages: Sequence[Message]) -> int:
    """How many system messages stand before all others."""
    return next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))


def may_be_changed(messages: Sequence[Message]) -> bool:
    """Whether it may not go over the wire as it is: for a later system message, or a first word of the assistant's."""
    turns = messages[count_leading(messages) :]
    first = turns[0] if turns else None
    spoken = first is None or (first.role == "user" and bool(first.text.strip()))
    return not spoken or any(message.role == "system" for message in turns)


def merge_turns(turns: Iterable[Turn], is_result: Callable[[Block], bool]) -> list[Turn]:
    """
    Neighbours of one role as one turn, with tool results before everything else in the user's.

    Raises `CapabilityMismatch` where there is no turn.
    """
    merged: list[Turn] = []
    for role, blocks in turns:
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)
        else:
            merged.append((role, list(blocks)))
    if not merged:
        raise CapabilityMismatch("messages: besides system messages there is nothing to answer here, or it is blank")
    for role, blocks in merged:
        if role == "user":
            blocks.sort(key=lambda block: not is_result(block))
    return merged


def open_with_user(turns: list[Turn], text_block: Callable[[str], Block], *, degrade: bool) -> bool:
    """
    Put a note before a first turn that is the assistant's; whether it was needed.

    Raises `CapabilityMismatch` where it is needed and the request does not allow it.
    """
    if turns[0][0] != "assistant":
        return False
    if not degrade:
        raise CapabilityMismatch(
            "messages: the first one is the assistant's, which is refused here; begin with a user message, or pass "
            "degrade=True to have a note put before it"
        )
    turns.insert(0, ("user", [text_block(_NOTE)]))
    return True


def lacks_thought(
    turns: Sequence[Turn], is_result: Callable[[Block], bool], is_thought: Callable[[Block], bool]
) -> bool:
    """Whether the calls that the last turn answers did not begin with a thought."""

    def answers(turn: Turn) -> bool:
        return any(map(is_result, turn[1]))

    if not answers(turns[-1]):
        return False
    begun = len(turns)
    while begun and (turns[begun - 1][0] != "user" or answers(turns[begun - 1])):
        begun -= 1
    first = next(blocks for role, blocks in turns[begun:] if role == "assistant")
    return not is_thought(first[0])


def change_warnings(messages: Sequence[Message], build: Callable[[], Changed], target: str) -> Iterator[ChatWarning]:
    """What was changed in the conversation: it has to be said on the reply. It is built again only where it may be."""
    if may_be_changed(messages):
        changed = build()
        if changed.system_moved:
            said = "a system message inside the conversation went into a user's turn, between <system> tags"
            yield ChatWarning("system_in_user_turn", f"{target}: {said}")
        if changed.note_added:
            said = "messages: the first one is the assistant's, which is refused; a note stands before it"
            yield ChatWarning("degraded", f"{target}: {said}")
    if any(message.name for message in messages):
        yield ChatWarning("name_left_out", f"{target}: messages[].name: there is no such field here; left out")
