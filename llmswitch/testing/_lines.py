"""What was said, and what was heard of it, in lines that can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from llmswitch._messages import Audio, Document, Image, Message, Part, Text, ToolCall, ToolResult

__all__ = ["heard_as", "said"]

_Turns = list[tuple[str, list[str]]]


def said(messages: Sequence[Message], *, joined: bool, one_call: bool = False) -> _Turns:
    """
    The messages as lines. `joined`: several texts of one message arrive as one; `one_call`: calls that were made at
    once arrive one after another, each with its result.
    """
    turns: _Turns = [(message.role, _lines(message.parts)) for message in messages]
    if one_call:
        turns = _apart(turns)
    return [(role, _joined(lines)) for role, lines in turns] if joined else turns


def heard_as(heard: Sequence[tuple[str, Sequence[Part]]], meant: _Turns) -> _Turns:
    """What was heard, cut into the turns of what was said: dialects differ in whether neighbours share a turn."""
    lines = [(role, line) for role, parts in heard for line in _lines(parts)]
    out: _Turns = []
    for role, wanted in meant:
        taken: list[str] = []
        while lines and lines[0][0] == role and len(taken) < len(wanted):
            taken.append(lines.pop(0)[1])
        out.append((role, taken))
    return [*out, *((role, [line]) for role, line in lines)]


def _apart(turns: _Turns) -> _Turns:
    """Each call in a turn of its own, with its result right after it."""
    out: _Turns = []
    waiting: list[list[str]] = []
    for role, lines in turns:
        calls = [line for line in lines if line.startswith("call ")]
        if role == "tool":
            for line in lines:
                out += [("assistant", waiting.pop(0)), (role, [line])]
        elif calls:
            waiting = [[call] for call in calls]
            waiting[0] = [*(line for line in lines if line not in calls), *waiting[0]]
        else:
            out.append((role, lines))
    return out


def _lines(parts: Sequence[Part]) -> list[str]:
    return [line for part in parts if (line := _line(part))]


def _joined(lines: list[str]) -> list[str]:
    texts = all(line.startswith("text ") for line in lines)
    return ["text " + "".join(line.removeprefix("text ") for line in lines)] if texts and len(lines) > 1 else lines


def _line(part: Part) -> str | None:
    """A part in one line for comparison; `None` for what does not cross from vendor to vendor."""
    match part:
        case Text():
            return f"text {part.text}"
        case Image() | Document() | Audio():
            return f"{type(part).__name__} {part.data_url}"
        case ToolCall():
            return f"call {part.name} {sorted(part.arguments.items())}"
        case ToolResult():
            words = "".join(inner.text for inner in part.parts if isinstance(inner, Text))
            return f"result {words.removeprefix('Error: ')} {part.is_error}"
    return None
