"""Messages as JSON objects and back: nothing is lost, and a broken object is told by its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import strategies as st

from llmswitch import (
    Audio,
    Document,
    Image,
    InvalidRequest,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    VendorData,
    VendorPart,
)
from tests.everyday import examples
from tests.rows import rows

CANARY = "CANARY-content-83c1"

words = st.text(max_size=12)
names = st.text("abcdefghijklmnop_-0123456789", min_size=1, max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, values, max_size=3)
vendors = st.none() | st.builds(VendorData, names, names, names, objects)
urls = st.just("https://example.com/a")
base64 = st.sampled_from(["", "UklGRg==", "JVBERi0xLjQK"])
types = st.sampled_from(["image/png", "application/pdf", "audio/wav"])


def blobs(kind, **more):
    """A blob by address, and one by its data."""
    return st.builds(kind, url=urls, media_type=st.none() | types, vendor=vendors, **more) | st.builds(
        kind, data=base64, media_type=types, vendor=vendors, **more
    )


texts = st.builds(Text, words, vendors)
images = blobs(Image, detail=st.sampled_from([None, "auto", "low", "high"]))
documents = blobs(Document, name=st.none() | words)
audio = blobs(Audio)
results = st.builds(
    ToolResult,
    words,
    words | st.lists(texts | images | documents, max_size=3),
    st.booleans(),
    st.none() | words,
    vendors,
)
answers = (
    texts
    | images
    | audio
    | st.builds(Reasoning, words, vendors)
    | st.builds(ToolCall, words, names, objects, words, vendors)
    | st.builds(VendorPart, vendors.filter(bool))
)
messages = (
    st.builds(Message, st.just("system"), words | st.lists(texts, max_size=3), st.none() | words)
    | st.builds(Message, st.just("user"), words | st.lists(texts | images | documents | audio, max_size=3))
    | st.builds(Message, st.just("assistant"), words | st.lists(answers, max_size=4))
    | st.builds(Message, st.just("tool"), st.lists(results, max_size=3))
)


@examples(8, 40, messages)
def test_nothing_is_lost(message):
    """A message that went through JSON is the message that it was, vendor data and all."""
    stored = json.dumps(message.to_dict(), allow_nan=False)
    assert message == Message.from_dict(json.loads(stored))


def test_the_form_is_plain():
    """The form holds what is there and no more: it is written down, and stays readable."""
    signed = VendorData("acme", "0123456789abcdef", "acme-1", {"signature": "c2ln"})
    answer = Message("assistant", [Reasoning("Hm.", signed), Text("Hi"), ToolCall("c1", "now", {}, "{}")])
    assert {
        "role": "assistant",
        "content": [
            {
                "type": "reasoning",
                "text": "Hm.",
                "vendor": {
                    "provider": "acme",
                    "account": "0123456789abcdef",
                    "model": "acme-1",
                    "data": {"signature": "c2ln"},
                },
            },
            {"type": "text", "text": "Hi"},
            {"type": "tool_call", "id": "c1", "name": "now", "arguments": {}, "raw_arguments": "{}"},
        ],
    } == answer.to_dict()
    assert {"role": "user", "content": "Hi"} == Message("user", "Hi").to_dict()


def test_the_object_is_a_copy():
    """What is done to the object does nothing to the message, and the other way round."""
    message = Message("assistant", [ToolCall("c1", "now", {"deep": [1]}, vendor=VendorData("p", "a", "m", {"x": [1]}))])
    stored = message.to_dict()
    again = Message.from_dict(stored)
    stored["content"][0]["arguments"]["deep"].append(2)
    stored["content"][0]["vendor"]["data"]["x"].append(2)
    assert {"deep": [1]} == message.tool_calls[0].arguments == again.tool_calls[0].arguments
    assert {"x": [1]} == message.tool_calls[0].vendor.data == again.tool_calls[0].vendor.data


@rows(
    ("stored", "field"),
    [
        (CANARY, "message"),
        ({"role": "user"}, "content"),
        ({"role": CANARY, "content": ""}, "role"),
        ({"role": "user", "content": "", "nam": CANARY}, "nam"),
        ({"role": "user", "content": [CANARY]}, "content[0]"),
        ({"role": "user", "content": [{"type": CANARY}]}, "content[0].type"),
        ({"role": "user", "content": [{"type": "text", "txt": CANARY}]}, "content[0].text"),
        ({"role": "user", "content": [{"type": "image"}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "tool_call", "id": "1", "name": "f", "arguments": {}}]}, "content[0]"),
        ({"role": "tool", "content": CANARY}, "content"),
        (
            {
                "role": "tool",
                "content": [{"type": "tool_result", "tool_call_id": "1", "content": [{"type": "text", "text": 7}]}],
            },
            "content[0].content[0].text",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "", "vendor": {"provider": "p"}}]},
            "content[0].vendor.account",
        ),
    ],
)
def test_a_broken_object_is_told_by_its_place(stored, field):
    """The place is named, what stood there is not."""
    with pytest.raises(InvalidRequest) as caught:
        Message.from_dict(stored)
    assert field == caught.value.field
    assert CANARY not in f"{caught.value} {caught.value!r}"
