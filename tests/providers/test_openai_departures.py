"""Departures of the Chat Completions dialect are options that any server's configuration can use."""

from __future__ import annotations

import json

import pytest

from llmswitch import (
    Audio,
    CapabilityMismatch,
    ConfigError,
    Image,
    LLMSwitchError,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from tests.rows import rows

RESULT = Message("tool", [ToolResult("a", "done")])
SERVER = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}


def test_the_least_legal_value(one_vendor):
    """What is below the least legal value is sent as that; what is not, as it is."""
    vendor = one_vendor("mine:m", **SERVER, options={"least": {"temperature": 0.1, "top_p": 0.2}})
    low, high = vendor.sent(temperature=0.0, top_p=0.0), vendor.sent(temperature=0.7, top_p=1.0)
    assert [(0.1, 0.2), (0.7, 1.0)] == [(body["temperature"], body["top_p"]) for body in (low, high)]
    plain = one_vendor("mine:m", **SERVER).sent(temperature=0.0, top_p=0.0)
    assert (0.0, 0.0) == (plain["temperature"], plain["top_p"])


def test_off_needs_no_word_where_there_is_no_switch(one_vendor):
    """A model that has no levels is told nothing, though its family's words are written down."""
    words = {"reasoning": {"off": {"think": False}, "high": {"think": True}}}
    assert "think" not in one_vendor("mine:m", **SERVER, options=words).sent(reasoning="off")
    able = one_vendor("mine:m", **SERVER, options=words, capabilities={"reasoning": ["off", "high"]})
    assert able.sent(reasoning="off")["think"] is False


def test_several_texts(one_vendor):
    """They are one string where the server wants that, and parts of their own elsewhere."""
    said = [Message("user", [Text("One. "), Text("Two.")])]
    joined = one_vendor("mine:m", **SERVER, options={"joined_text": True})
    assert "One. Two." == joined.sent(said)["messages"][0]["content"]
    assert ["One. ", "Two."] == [
        part["text"] for part in one_vendor("mine:m", **SERVER).sent(said)["messages"][0]["content"]
    ]


ANSWER = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("code", ["OK", None])
def test_a_code_of_success(one_vendor, code):
    """The code that says that all is well is none of an error, nor is its absence."""
    vendor = one_vendor("mine:m", **SERVER, options={"answer_status": {"success": "OK"}})
    assert "Hi" == vendor.reply({**ANSWER, **({"code": code} if code else {})}).text


@rows("code", ["NO", 7, 0])
def test_a_code_of_failure(one_vendor, code):
    """Any other is one, though there may be an answer beside it; where no such code is known it means nothing."""
    vendor = one_vendor("mine:m", **SERVER, options={"answer_status": {"success": "OK"}})
    with pytest.raises(LLMSwitchError) as caught:
        vendor.reply({**ANSWER, "code": code, "message": "no"})
    assert str(code) == caught.value.code
    assert "Hi" == one_vendor("mine:m", **SERVER).reply({**ANSWER, "code": code, "message": "no"}).text


def test_done_is_an_end_only_where_it_is_said_to_be(one_vendor):
    """Elsewhere `[DONE]` without a finish reason is an answer that was cut."""
    body = (
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"content": "Hi"}}]}).encode()
        + b"\n\ndata: [DONE]\n\n"
    )
    _, reply = one_vendor("mine:m", **SERVER, options={"done_ends": True}).streamed(body)
    assert ("Hi", "stop") == (reply.text, reply.finish_reason)
    with pytest.raises(LLMSwitchError):
        one_vendor("mine:m", **SERVER).streamed(body)


def test_limits_are_read_only_where_they_are_known(one_vendor):
    """A header that counts down, or a moment in words, means something where it is said to, and nowhere else."""
    headers = {"x-left": "0", "date": "Mon, 07 Sep 2026 08:00:00 GMT"}
    body = {"error": {"message": "limit resets at 2026-09-07 09:00:00"}}
    known = one_vendor("mine:m", **SERVER, options={"spent_headers": ["x-left"], "reset_clock": 0})
    assert ("x-left", 3600.0) == ((error := known.refusal(429, body, headers)[0]).code, error.retry_after)
    error, _ = one_vendor("mine:m", **SERVER).refusal(429, body, headers)
    assert (None, None) == (error.code, error.retry_after)
    assert known.refusal(503, body, headers)[0].code is None


def test_an_option_with_a_slip(one_vendor):
    """A setting that has no least value is said to have none."""
    with pytest.raises(ConfigError, match=r"options\.least"):
        one_vendor("mine:m", **SERVER, options={"least": {"temprature": 0.1}}).sent()


def test_ids_of_tool_calls(one_vendor):
    """An id that a server refuses is replaced, in the call and in its result; one that it takes stays."""
    rule = {"tool_ids": {"pattern": "[a-zA-Z0-9]{9}", "length": 9}}
    said = [
        Message("user", "Go"),
        Message("assistant", [ToolCall("abcDEF123", "f", {}), ToolCall("functions.f:0", "f", {})]),
        Message("tool", [ToolResult("functions.f:0", "two"), ToolResult("abcDEF123", "one")]),
    ]
    _, turn, *results = one_vendor("mine:m", **SERVER, options=rule).sent(said)["messages"]
    first, second = (call["id"] for call in turn["tool_calls"])
    assert ("abcDEF123", True) == (first, second.isalnum() and len(second) == 9)
    assert [(second, "two"), (first, "one")] == [(each["tool_call_id"], each["content"]) for each in results]
    with pytest.raises(ConfigError, match="tool_ids"):
        one_vendor("mine:m", **SERVER, options={"tool_ids": {"pattern": "[g-z]{9}"}}).sent()


def test_pictures_of_several_results_follow_all_of_them(one_vendor):
    """Nothing stands between results of one turn, be they in one message or in several; pictures come after."""
    picture = Image(url="https://example.com/a.png")
    said = [
        Message("user", "Go"),
        Message("assistant", [ToolCall("a", "f", {}), ToolCall("b", "f", {}, "  ")]),
        Message("tool", [ToolResult("a", [Text("one"), picture])]),
        Message("tool", [ToolResult("b", [picture])]),
        Message("user", "Well?"),
    ]
    able = {"tool_result_images": True}
    messages = one_vendor("mine:m", **SERVER, capabilities=able).sent(said)["messages"]
    assert ["user", "assistant", "tool", "tool", "user", "user"] == [message["role"] for message in messages]
    shown = ["Returned by the tool call a:", None, "Returned by the tool call b:", None]
    assert shown == [part.get("text") for part in messages[4]["content"]]
    assert ["{}", "{}"] == [call["function"]["arguments"] for call in messages[1]["tool_calls"]]


def test_what_is_blank_is_left_out(one_vendor):
    """Messages and parts without a word are not sent; where nothing else is there, that is said."""
    vendor = one_vendor("mine:m", **SERVER)
    said = [
        Message("system", ""),
        Message("user", [Text(""), Text("Hi")]),
        Message("assistant", [Reasoning("Hm.")]),
        Message("user", " \n"),
        Message("user", "Well?"),
    ]
    assert [("user", "Hi"), ("user", "Well?")] == [
        (each["role"], each["content"]) for each in vendor.sent(said)["messages"]
    ]
    called = [Message("user", "Go"), Message("assistant", [Text("\n"), ToolCall("a", "f", {})]), RESULT]
    assert vendor.sent(called)["messages"][1]["content"] is None
    with pytest.raises(CapabilityMismatch, match="all of them are blank"):
        vendor.sent([Message("user", ""), Message("assistant", [Text("")])])


@pytest.mark.parametrize(
    "part", [Image(url="https://example.com/a.png"), Audio(data="UklGRg==", media_type="audio/wav")]
)
def test_what_an_assistant_showed_is_not_dropped_in_silence(one_vendor, part):
    """The dialect has no place for an assistant's pictures and recordings: they are refused, not left out."""
    vendor = one_vendor("mine:m", **SERVER, capabilities={"images": True, "audio": True})
    with pytest.raises(CapabilityMismatch, match=type(part).__name__):
        vendor.sent([Message("user", "Draw"), Message("assistant", [Text("Here"), part]), Message("user", "Thanks")])
