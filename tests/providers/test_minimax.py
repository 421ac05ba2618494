"""MiniMax: failures under 200, codes at the end of a message, thoughts as parts, one system message."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest

from llmswitch import (
    Arrears,
    CapabilityMismatch,
    Client,
    Message,
    QuotaExhausted,
    RateLimited,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmswitch._registry import provider
from llmswitch.testing import FakeVendor
from tests.rows import rows

M3, M2 = "minimax:MiniMax-M3", "minimax:MiniMax-M2.7"
NOW = Tool("now", "The time.")


def status(code: int, message: str = "no") -> dict[str, object]:
    """A failure as it comes under 200."""
    begin = {"id": "m-1", "choices": None, "created": 1700000000, "model": "MiniMax-M3", "object": ""}
    return {**begin, "usage": {"total_tokens": 0}, "base_resp": {"status_code": code, "status_msg": message}}


# code -> class, how far it reaches
CODES = {
    1000: ("ServerError", None),
    1001: ("ServerError", None),
    1002: ("RateLimited", "account"),
    1004: ("AuthInvalid", "account"),
    1008: ("Arrears", "account"),
    1013: ("ServerError", None),
    1024: ("ServerError", None),
    1026: ("ContentFiltered", None),
    1027: ("ContentFiltered", None),
    1033: ("ServerError", None),
    1039: ("RateLimited", "account"),
    1041: ("RateLimited", "account"),
    1042: ("BadRequest", None),
    2013: ("BadRequest", None),
    2045: ("RateLimited", "account"),
    2049: ("AuthInvalid", "account"),
    2056: ("QuotaExhausted", "account"),
}


@rows("code", CODES)
def test_a_failure_under_200(one_vendor, code):
    """`base_resp` decides, whatever the status: a 200 with a code is that error, and takes out what it concerns."""
    error, reached = one_vendor(M3).refusal(200, status(code))
    assert CODES[code] == (type(error).__name__, reached)
    assert (str(code), "m-1") == (error.code, error.request_id)


@rows("code", CODES)
def test_the_same_code_at_the_end_of_a_message(one_vendor, code):
    """Under a proper status the error has OpenAI's or Anthropic's shape, and the code stands in its words."""
    error = {
        "type": "bad_request_error",
        "message": f"invalid params, invalid chat setting ({code})",
        "http_code": "400",
    }
    refused, reached = one_vendor(M3).refusal(400, {"type": "error", "error": error, "request_id": "0660b"})
    assert CODES[code] == (type(refused).__name__, reached)
    assert (str(code), "0660b") == (refused.code, refused.request_id)


@rows(
    ("words", "becomes"),
    [
        ("invalid params, context window exceeds limit", "ContextTooLong"),
        ("invalid params, unknown model 'MiniMax-M9'", "ModelGone"),
        ("invalid params, chat content has invalid message role: system", "BadRequest"),
    ],
)
def test_2013_is_several_things(one_vendor, words, becomes):
    """The code for bad parameters is told apart by its words, in either shape."""
    for body, code in ((status(2013, words), 200), ({"error": {"message": f"{words} (2013)", "code": None}}, 400)):
        error, _ = one_vendor(M3).refusal(code, body)
        assert becomes == type(error).__name__


def test_a_wrong_site_is_a_wrong_key(one_vendor):
    """A key of the other site is refused with 1004 or 2049; the error names the setting."""
    error, _ = one_vendor(M3).refusal(200, status(2049, "invalid api key"))
    assert 'set site = "intl" under [providers.minimax]' in str(error)


def test_another_target_answers_in_its_place(monkeypatch):
    """A failure under 200 is no answer: the chain moves on, and the account is out."""
    monkeypatch.setenv("MINIMAX_API_KEY", "k1")
    monkeypatch.setenv("ZHIPUAI_API_KEY", "k2")
    good = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    vendor = FakeVendor(
        lambda request: httpx.Response(200, json=status(1008) if "minimax" in request.url.host else good)
    )
    client = Client([M3, "zhipu:glm-4.6"], config={}, http_client=vendor)
    reply = client.chat("Hi")
    assert ("zhipu", "Arrears") == (reply.provider, reply.attempts[0].error)


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "name": "MiniMax AI", "audio_content": "", **delta}}
    if finish is not None:
        choice["finish_reason"] = finish
    body = {"id": "m-2", "object": "chat.completion.chunk", "created": 1780154823, "model": "MiniMax-M3"}
    flags = {"input_sensitive": False, "output_sensitive": False, "output_sensitive_int": 0}
    return b"data: " + json.dumps({**body, "choices": [choice], "usage": None, **flags, **more}).encode() + b"\n\n"


def thought(text: str) -> dict[str, object]:
    part = {"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0}
    return {"reasoning_details": [{**part, "text": text}]}


USAGE = {"total_tokens": 473, "total_characters": 0, "prompt_tokens": 418, "completion_tokens": 55}
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "pieces",
    [["The user", " is asking", " a thing"], ["The user", "The user is asking", "The user is asking a thing"]],
    ids=["in-pieces", "from-the-beginning"],
)
def test_thoughts_in_a_stream(one_vendor, pieces):
    """The documentation repeats the thoughts in every event, the server sends pieces: both add up to the same."""
    body = b"".join(chunk(thought(piece)) for piece in pieces) + chunk({"content": "Hi "}) + chunk({"content": "Hi"})
    _, reply = one_vendor(M3).streamed(body + chunk({}, "stop") + DONE)
    assert ("The user is asking a thing", "Hi Hi") == (reply.reasoning, reply.text)


def test_thoughts_are_read_once(one_vendor):
    """An event that has them in both fields says them once; one that has plain ones alone is read as well."""
    both = chunk({**thought("Hm."), "reasoning_content": "Hm."})
    _, reply = one_vendor(M3).streamed(both + chunk({"content": "Hi"}, "stop") + DONE)
    assert "Hm." == reply.reasoning
    _, reply = one_vendor(M3).streamed(chunk({"reasoning_content": "Hm."}) + chunk({"content": "Hi"}, "stop") + DONE)
    assert "Hm." == reply.reasoning


def test_a_last_event_that_repeats_the_message(one_vendor):
    """On some paths the last event holds the whole message again: its count is read, its text is not appended."""
    whole = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    last = {"id": "m-2", "object": "chat.completion", "choices": [whole], "usage": USAGE}
    last |= {"base_resp": {"status_code": 0, "status_msg": ""}}
    body = chunk({"content": "Hi"}) + b"data: " + json.dumps(last).encode() + b"\n\n"
    _, reply = one_vendor(M3).streamed(body)
    assert ("Hi", "stop", 418, 55) == (
        reply.text,
        reply.finish_reason,
        reply.usage.input_tokens,
        reply.usage.output_tokens,
    )


def test_a_failure_inside_a_stream(one_vendor):
    """A status may stand in any event: first it is the error itself, later the answer has broken off."""
    failed = b"data: " + json.dumps(status(1002, "rate limit")).encode() + b"\n\n"
    with pytest.raises(RateLimited):
        one_vendor(M3).streamed(failed)
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor(M3).streamed(chunk({"content": "Hel"}) + failed)
    assert isinstance(caught.value.__cause__, RateLimited)
    assert "Hel" == caught.value.partial.text


def test_a_plain_body_for_a_stream(one_vendor):
    """A request for a stream that fails early is answered in one piece, under 200: it is read as what it is."""
    client = one_vendor(M3).client(httpx.Response(200, json=status(2056, "plan limit")))
    with pytest.raises(QuotaExhausted), client.stream("Hi") as stream:
        list(stream)
    client = one_vendor(M3).client(httpx.Response(200, json=status(1008)))
    with pytest.raises(Arrears), client.stream("Hi") as stream:
        list(stream)


def test_a_whole_answer(one_vendor):
    """A status of 0 is none; flags, names and audio fields are passed over; thoughts come apart from the text."""
    message = {"role": "assistant", "name": "MiniMax AI", "content": "Hi", "audio_content": "", **thought("Hm.")}
    body = {
        "id": "066b",
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "model": "MiniMax-M3",
        "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 114}},
        "input_sensitive": False,
        "output_sensitive": False,
        "base_resp": {"status_code": 0, "status_msg": ""},
    }
    reply = one_vendor(M3).reply(body)
    assert ("Hi", "Hm.", 114) == (reply.text, reply.reasoning, reply.usage.cached_tokens)


CALLED = [
    Message("system", "Brief."),
    Message("user", "When?"),
    Message("assistant", [Reasoning("I must "), Reasoning("look."), ToolCall("c1", "now", {}, "{}")]),
    Message("tool", [ToolResult("c1", "noon")]),
    Message("system", "In English."),
    Message("user", [Text("And "), Text("now?")]),
]


def test_the_conversation(one_vendor):
    """Thoughts go back as the part in which they came, and all that the system says as one message at the front."""
    body = one_vendor(M3).sent(CALLED, tools=[NOW])
    messages = body["messages"]
    assert body["reasoning_split"] is True
    assert {"role": "system", "content": "Brief.\n\nIn English."} == messages[0]
    assert ["system", "user", "assistant", "tool", "user"] == [message["role"] for message in messages]
    assert thought("I must look.")["reasoning_details"] == messages[2]["reasoning_details"]
    assert "And now?" == messages[4]["content"]


def test_the_thinking_switch(one_vendor):
    """`adaptive` is what switches M3's thinking on; M2 always thinks, and can't be told to stop."""
    assert {"type": "disabled"} == one_vendor(M3).sent(reasoning="off")["thinking"]
    assert {"type": "adaptive"} == one_vendor(M3).sent(reasoning="high")["thinking"]
    assert "thinking" not in one_vendor(M3).sent()
    with pytest.raises(CapabilityMismatch, match="reasoning"):
        one_vendor(M2).sent(reasoning="off")


def test_settings(one_vendor):
    """The limit has its newer name, 0 is sent as 0.01, M2 takes at most 1; stop, seed and forms are not taken."""
    body = one_vendor(M3).sent(max_tokens=9, temperature=0.0, top_p=0.0)
    assert (9, 0.01, 0.01) == tuple(body[name] for name in ("max_completion_tokens", "temperature", "top_p"))
    assert 1.5 == one_vendor(M3).sent(temperature=1.5)["temperature"]
    with pytest.raises(CapabilityMismatch, match="temperature"):
        one_vendor(M2).sent(temperature=1.5)
    for options in ({"stop": ["x"]}, {"seed": 1}, {"response_format": "json"}, {"tools": [NOW], "tool_choice": "now"}):
        with pytest.raises(CapabilityMismatch):
            one_vendor(M3).sent(**options)


def test_prices_by_length_and_site():
    """Beyond 512,000 tokens of input M3 costs twice; in China the bill is in yuan."""
    minimax = provider("minimax")
    price, at = minimax.price("MiniMax-M3", "intl"), datetime(2026, 11, 27, tzinfo=UTC)
    assert [0.3, 0.6] == [float(price.rates(tokens, at).input) for tokens in (512_000, 512_001)]
    assert "CNY" == minimax.price("MiniMax-M2.7", "cn").currency
