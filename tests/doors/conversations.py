"""Conversations as a person and a model may have them, for doors that have to give them back as they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from llmswitch._messages import Message, Part, Reasoning, Text, ToolCall, ToolResult, VendorData, VendorPart

__all__ = ["answers", "plain", "results"]

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1)  # what a vendor's JSON is read into
names = st.sampled_from(["add", "look_up"])
vendors = st.builds(VendorData, words, words, words, st.dictionaries(words, numbers | words, max_size=2))


@st.composite
def answers(draw: Any) -> list[Part]:
    """The parts of one answer. Thoughts have an author, as the assembly sees to."""
    kinds = draw(st.lists(st.sampled_from(["text", "thought", "hidden", "call", "vendor"]), min_size=1, max_size=6))
    parts: list[Part] = []
    for index, kind in enumerate(kinds):
        vendor = draw(st.none() | vendors)
        match kind:
            case "text":
                parts.append(Text(draw(words), vendor))
            case "thought":
                parts.append(Reasoning(draw(words), draw(vendors)))
            case "hidden":
                parts.append(Reasoning("", draw(vendors)))
            case "call":
                arguments = draw(st.dictionaries(words, numbers | words, max_size=2))
                parts.append(ToolCall(f"call_{index}", draw(names), arguments, vendor=vendor))
            case "vendor":
                parts.append(VendorPart(draw(vendors)))
    return parts


def plain(parts: Sequence[Part]) -> list[Part]:
    """The parts without what says nothing: how a call's arguments were spaced, and where a plain text was parted."""
    said: list[Part] = []
    for part in parts:
        last = said[-1] if said else None
        if isinstance(part, ToolCall):
            said.append(ToolCall(part.id, part.name, part.arguments, vendor=part.vendor))
        elif isinstance(part, Text) and isinstance(last, Text) and part.vendor is None and last.vendor is None:
            said[-1] = Text(last.text + part.text)
        else:
            said.append(part)
    return said


def results(parts: Sequence[Part]) -> list[Message]:
    """What the tools said to the calls of an answer."""
    calls = [part for part in parts if isinstance(part, ToolCall)]
    said: list[Part] = [ToolResult(call.id, "done", is_error=index == 1) for index, call in enumerate(calls)]
    return [Message("tool", said)] if said else []
