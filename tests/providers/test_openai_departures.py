"""Departures of the Chat Completions dialect are options that any server's configuration can use."""

from __future__ import annotations

import json

import pytest

from llmswitch import ConfigError, LLMSwitchError, Message, Text

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


@pytest.mark.parametrize("code", ["NO", 7, 0])
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
