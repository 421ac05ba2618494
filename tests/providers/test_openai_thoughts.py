"""Thoughts in Chat Completions: whose they are, in which form they go back, and to whom they do not."""

from __future__ import annotations

from typing import Any

from llmswitch import Message, Reasoning, Text, ToolCall, VendorData
from llmswitch._adapter import ModelIdentity
from llmswitch.providers.openai import ChatCompletionsOptions
from llmswitch.providers.openai_reply import ChatCompletionsDecoder, parse_completion
from llmswitch.providers.openai_thoughts import thought_fields
from tests.rows import rows

ME = ModelIdentity("acme", "0123456789abcdef", "acme-1")
PARTED = ChatCompletionsOptions(
    reasoning_fields=("reasoning_details", "reasoning"),
    reasoning_replay="optional",
    reasoning_parts={"type": "reasoning.text"},
)


def streamed(*deltas: dict[str, Any], options: ChatCompletionsOptions = PARTED) -> Message:
    decoder = ChatCompletionsDecoder(options, ME)
    for delta in deltas:
        decoder.read_chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    list(decoder.end("stop"))
    return decoder.assembly.message()


def whole(message: dict[str, Any], options: ChatCompletionsOptions = PARTED) -> Message:
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return parse_completion(body, options, ME).message()


def sent(message: Message, identity: ModelIdentity = ME, options: ChatCompletionsOptions = PARTED) -> dict[str, Any]:
    return thought_fields(message, options, identity)


SIGNED = {"type": "reasoning.text", "index": 0, "text": "I look.", "signature": "c2ln", "format": "acme-v1"}
HIDDEN = {"type": "reasoning.encrypted", "index": 1, "data": "b3BhcXVl", "id": None}


def test_parts_go_back_as_they_came():
    """A whole answer's parts go back unchanged, those without text and unknown fields with them."""
    message = whole({"content": "Hi", "reasoning_details": [SIGNED, HIDDEN], "reasoning": "I look."})
    assert "I look." == "".join(part.text for part in message if isinstance(part, Reasoning))
    assert {"reasoning_details": [SIGNED, HIDDEN]} == sent(message)


def test_pieces_of_parts_belong_together_by_index_and_type():
    """A stream's pieces add up to the same parts: text grows, what comes later stands beside it."""
    message = streamed(
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "I ", "format": "acme-v1"}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "look."}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "c2ln"}, HIDDEN]},
        {"content": "Hi"},
    )
    assert [Reasoning, Text] == [type(part) for part in message]
    assert {"reasoning_details": [SIGNED, HIDDEN]} == sent(message)


def test_parts_without_an_index_are_parts_of_their_own():
    """Where parts have no number, the place in the list tells them apart."""
    parts = [{"type": "reasoning.text", "text": "One."}, {"type": "reasoning.text", "text": "Two."}]
    assert {"reasoning_details": parts} == sent(whole({"content": "Hi", "reasoning_details": parts}))


def test_a_thought_that_is_hidden_has_no_text():
    """A part with nothing to show is kept, as a thought without words, and shown words are taken from elsewhere."""
    message = whole({"content": "Hi", "reasoning_details": [HIDDEN]})
    assert ["", "Hi"] == [part.text for part in message]
    assert {"reasoning_details": [HIDDEN]} == sent(message)
    shown = whole({"content": "Hi", "reasoning_details": [HIDDEN], "reasoning": "In short."})
    assert "In short." == shown.parts[0].text
    assert {"reasoning_details": [HIDDEN]} == sent(shown)


def test_thoughts_after_words_are_other_thoughts():
    """Thinking that goes on after text is a part of its own; what is opaque is sent once."""
    piece = {"type": "reasoning.text", "index": 0, "text": "So."}
    message = streamed({"reasoning_details": [SIGNED]}, {"content": "Hi"}, {"reasoning_details": [piece]})
    assert [Reasoning, Text, Reasoning] == [type(part) for part in message]
    assert {"reasoning_details": [{**SIGNED, "text": "I look.So."}]} == sent(message)


def test_another_account_has_the_words_alone():
    """What is opaque belongs to the account; the words go to another account of the same vendor as any words do."""
    message = whole({"content": "Hi", "reasoning_details": [SIGNED, HIDDEN]})
    other = ModelIdentity("acme", "fedcba9876543210", "acme-1")
    assert {"reasoning_details": [{"type": "reasoning.text", "text": "I look."}]} == sent(message, other)
    assert {} == sent(message, ModelIdentity("elsewhere", ME.account, ME.model))


@rows(
    ("replay", "calls", "thought", "expected"),
    [
        ("omit", True, True, None),
        ("optional", False, True, "Hm."),
        ("optional", True, False, None),
        ("with_calls", False, True, None),
        ("with_calls", True, True, "Hm."),
        ("with_calls", True, False, " "),
        ("required", False, False, " "),
        ("required", False, True, "Hm."),
    ],
)
@rows("by", [None, "acme", "elsewhere"])
def test_where_thoughts_go_back(replay, calls, thought, expected, by):
    """Each rule says where thoughts go back; another provider's are none, and a stand-in is sent where some must be."""
    options = ChatCompletionsOptions(reasoning_replay=replay, reasoning_stand_in=" ")
    vendor = None if by is None else VendorData(by, "0123456789abcdef", "a-model", {})
    parts: list[Any] = [Reasoning("Hm.", vendor)] if thought else []
    parts.append(ToolCall("c1", "now", {}) if calls else Text("Hi"))
    if by == "elsewhere" and expected == "Hm.":
        expected = None if replay == "optional" else " "
    found = thought_fields(Message("assistant", parts), options, ME)
    assert ({} if expected is None else {"reasoning_content": expected}) == found


def test_whose_a_thought_is():
    """Every thought of an answer says who thought it."""
    options = ChatCompletionsOptions()
    for message in (
        whole({"content": "Hi", "reasoning_content": "Hm."}, options),
        streamed({"reasoning": "Hm."}, options=options),
    ):
        assert VendorData("acme", "0123456789abcdef", "acme-1", {}) == message.parts[0].vendor
