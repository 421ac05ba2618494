"""Turns by turns: any conversation becomes one that strict vendors take, and none of it is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import strategies as st

from llmswitch import CapabilityMismatch, Image, Message, Reasoning, Text, ToolCall, ToolResult
from llmswitch.providers.strict_turns import take_turns, text_of
from tests.everyday import examples

FILLER = "…"
TEXTS = st.sampled_from(["a", "b c", " ", "你好"])


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Any order of messages that a caller may send: every result answers a call that stands before it."""
    out: list[Message] = []
    unanswered: list[str] = []
    for number in range(draw(st.integers(1, 8))):
        role = draw(st.sampled_from(["system", "user", "assistant", "tool"]))
        if role == "tool" and unanswered:
            chosen = [unanswered.pop(0) for _ in range(draw(st.integers(1, len(unanswered))))]
            out.append(Message("tool", [ToolResult(each, draw(TEXTS)) for each in chosen]))
        elif role == "assistant":
            calls = [ToolCall(f"c{number}-{index}", "f", {}) for index in range(draw(st.integers(0, 3)))]
            unanswered += [call.id for call in calls]
            text = [Text(draw(TEXTS))] if draw(st.booleans()) or not calls else []
            out.append(Message("assistant", [*text, *calls]))
        elif role != "tool":
            out.append(Message(role, draw(TEXTS)))
    return out


def words(messages: list[Message]) -> list[str]:
    return [
        part.text
        for message in messages
        if message.role in ("user", "assistant")
        for part in message.parts
        if isinstance(part, Text) and part.text.strip()
    ]


@examples(12, 60, conversations(), st.booleans())
def test_any_conversation_becomes_turns(messages: list[Message], one_call: bool) -> None:
    """Roles alternate, nothing is blank, every call has a result, and all that was said is there in its order."""
    try:
        conversation = take_turns(messages, filler=FILLER, one_call=one_call)
    except CapabilityMismatch:
        assert _nothing_to_answer(messages)
        return
    turns = conversation.turns
    assert "user" == turns[0].role
    assert "assistant" != turns[-1].role
    follows = {"user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"tool", "assistant"}}
    for before, turn in pairwise(turns):
        assert turn.role in follows[before.role]
        assert turn.role != "tool" or before.role != "tool" or not one_call
    for turn in turns:
        assert turn.text.strip() or turn.calls or turn.result is not None
        assert len(turn.calls) <= 1 or not one_call
    if one_call:
        assert 1 == len(turns) % 2
    calls = [call.id for turn in turns for call in turn.calls]
    assert [call.id for message in messages for call in message.tool_calls] == calls
    assert calls == [turn.call.id for turn in turns if turn.call is not None]
    told = {part.tool_call_id: part for message in messages for part in message.parts if isinstance(part, ToolResult)}
    for turn in turns:
        if turn.result is not None and turn.result.tool_call_id in told:
            assert told[turn.result.tool_call_id] is turn.result
    spoken = [text for turn in turns for piece in turn.pieces if isinstance(piece, Text) for text in [piece.text]]
    assert words(messages) == [text for text in spoken if text not in (FILLER, "\n\n")]


def _nothing_to_answer(messages: list[Message]) -> bool:
    """The user said nothing, or the model spoke last: a result that comes late belongs to its call, not to the end."""
    said = [message for message in messages if message.role == "user" and message.text.strip()]
    spoke = [message for message in messages if message.role != "tool" and (message.text.strip() or message.tool_calls)]
    last = [message for message in spoke if message.role != "system"][-1:]
    return not said or (bool(last) and last[0].role == "assistant" and not last[0].tool_calls)


def test_system_messages_go_to_the_front() -> None:
    """All of them become one, and one that stood inside the conversation is said to have moved."""
    messages = [Message("system", "A"), Message("user", "Hi"), Message("system", "B"), Message("user", "You")]
    conversation = take_turns(messages, filler=FILLER, one_call=True)
    assert ("A\n\nB", True, False) == (conversation.system, conversation.system_moved, conversation.filled)
    assert ["Hi\n\nYou"] == [turn.text for turn in conversation.turns]


def test_calls_of_the_same_id_keep_their_results() -> None:
    """Some vendors number their calls anew in every turn: a result belongs to the first call that has none yet."""
    one, two = ToolCall("0", "f", {"n": 1}), ToolCall("0", "f", {"n": 2})
    messages = [
        Message("user", "Go"),
        Message("assistant", [one]),
        Message("tool", [ToolResult("0", "first")]),
        Message("assistant", [two]),
        Message("tool", [ToolResult("0", "second")]),
    ]
    turns = take_turns(messages, filler=FILLER, one_call=True).turns
    assert ["first", "second"] == [turn.result.content for turn in turns if turn.result is not None]


def test_opaque_parts_are_left_out_and_images_kept() -> None:
    """Reasoning belongs to its vendor; an image is something said."""
    image = Image(url="https://example.com/a.png")
    messages = [Message("user", [image]), Message("assistant", [Reasoning("hm"), Text("A cat.")]), Message("user", "?")]
    turns = take_turns(messages, filler=FILLER, one_call=True).turns
    assert [[image], [Text("A cat.")], [Text("?")]] == [turn.pieces for turn in turns]


def test_nothing_to_answer() -> None:
    """A conversation without a word of the user's is refused, as is one that the model is to go on with."""
    for messages in ([Message("system", "A")], [Message("user", " ")]):
        with pytest.raises(CapabilityMismatch, match="nothing to answer"):
            take_turns(messages, filler=FILLER, one_call=True)
    with pytest.raises(CapabilityMismatch, match="the last one is the assistant's"):
        take_turns([Message("user", "Hi"), Message("assistant", "Hel")], filler=FILLER, one_call=True)


def test_results_are_never_blank() -> None:
    """A result without text is the filler; an error says that it is one."""
    assert ["…", "Error: …", "Error: no", "ok"] == [
        text_of(result, FILLER)
        for result in (
            ToolResult("1", " "),
            ToolResult("1", "", is_error=True),
            ToolResult("1", "no", is_error=True),
            ToolResult("1", "ok"),
        )
    ]
