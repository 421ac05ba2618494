"""Zhipu and Z.ai: the vendor's own numbers, resets in words, the thinking switch, replay, and odd streams."""

from __future__ import annotations

import json

import pytest

from llmswitch import (
    CapabilityMismatch,
    LLMSwitchError,
    Message,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.rows import rows

NOW = {"date": "Mon, 07 Sep 2026 08:00:30 GMT"}  # 16:00:30 in Beijing


def failure(code: str, message: str = "no") -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


# status, code -> class, how far it reaches
REFUSALS = {
    ("401", "1000"): ("AuthInvalid", "account"),
    ("401", "1002"): ("AuthInvalid", "account"),
    ("429", "1110"): ("AuthInvalid", "account"),
    ("429", "1112"): ("PermissionDenied", "target"),
    ("429", "1113"): ("Arrears", "account"),
    ("429", "1120"): ("ServerError", None),
    ("400", "1210"): ("BadRequest", None),
    ("400", "1211"): ("ModelGone", "target"),
    ("400", "1212"): ("CapabilityMismatch", None),
    ("400", "1214"): ("BadRequest", None),
    ("434", "1220"): ("PermissionDenied", "target"),
    ("404", "1221"): ("ModelGone", "target"),
    ("500", "1230"): ("ServerError", None),
    ("500", "1234"): ("ServerError", None),
    ("400", "1261"): ("ContextTooLong", None),
    ("429", "1300"): ("ContentFiltered", None),
    ("400", "1301"): ("ContentFiltered", None),
    ("429", "1302"): ("RateLimited", "account"),
    ("429", "1303"): ("RateLimited", "account"),
    ("429", "1304"): ("QuotaExhausted", "account"),
    ("429", "1305"): ("Overloaded", "target"),
    ("429", "1308"): ("QuotaExhausted", "account"),
    ("429", "1309"): ("QuotaExhausted", "account"),
    ("429", "1310"): ("QuotaExhausted", "account"),
    ("429", "1311"): ("PermissionDenied", "target"),
    ("429", "1312"): ("Overloaded", "target"),
    ("429", "1313"): ("PermissionDenied", "target"),
    ("429", "1316"): ("QuotaExhausted", "account"),
    ("500", "500"): ("ServerError", None),
}


@rows(("status", "code"), REFUSALS)
def test_refusals(one_vendor, status, code):
    """The vendor's number decides, not the status, under which an empty account looks like a rate limit."""
    error, reached = one_vendor("zhipu:glm-4.6").refusal(int(status), failure(code))
    assert (*REFUSALS[status, code], code) == (type(error).__name__, reached, error.code)


def test_refusals_without_a_number(one_vendor):
    """A number may come as one, a filter's verdict may stand beside it, and 434 alone says that the API is not open."""
    vendor = one_vendor("zhipu:glm-4.6")
    assert "Arrears" == type(vendor.refusal(429, {"error": {"code": 1113, "message": "x"}})[0]).__name__
    blocked = {"contentFilter": [{"level": 1, "role": "user"}], **failure("1301", "unsafe content")}
    assert "ContentFiltered" == type(vendor.refusal(400, blocked)[0]).__name__
    assert "PermissionDenied" == type(vendor.refusal(434, {})[0]).__name__


RESETS = {
    "Usage limit reached for 5 hour. Your limit will reset at 2026-09-07 17:00:30": 3600.0,
    "已达到 5 小时的使用上限。您的限额将在 2026-09-07 16:30:30 重置。": 1800.0,
    "已达到 7 天使用上限。您的限额将在 `2026-09-07 16:10` 重置。": 570.0,
    "已达到每周/每月使用上限。您的限额将在 2026-09-21 17:00:30 重置": 86400.0,
    "Your limit will reset at 2026-09-07 15:00:30": None,
    "Your limit will reset at 2026-99-07 15:00:30": None,
    "Usage limit reached": None,
}


@rows("message", RESETS)
def test_the_moment_of_a_reset(one_vendor, message):
    """A plan's cap names in words when it resets, by Beijing's clock: it is measured against the answer's own date."""
    error, _ = one_vendor("zhipu:glm-5.1", site="cn-coding").refusal(429, failure("1308", message), NOW)
    assert ("QuotaExhausted", RESETS[message]) == (type(error).__name__, error.retry_after)


def test_a_reset_needs_a_date(one_vendor):
    """Without the answer's date nothing is guessed by the local clock, and a header's own wait goes before words."""
    said = failure("1308", "Your limit will reset at 2026-09-07 17:00:30")
    assert one_vendor("zhipu:glm-5.1").refusal(429, said)[0].retry_after is None
    assert one_vendor("zhipu:glm-5.1").refusal(429, said, {"date": "yesterday"})[0].retry_after is None
    assert 9.0 == one_vendor("zhipu:glm-5.1").refusal(429, said, {**NOW, "retry-after": "9"})[0].retry_after


ON, OFF = {"type": "enabled"}, {"type": "disabled"}
THINKING = {
    ("glm-4.6", "off"): {"thinking": OFF},
    ("glm-4.7", "low"): {"thinking": ON},
    ("glm-5.1", "high"): {"thinking": ON},
    ("glm-5.2", "off"): {"thinking": OFF},
    ("glm-5.2", "medium"): {"thinking": ON, "reasoning_effort": "medium"},
    ("glm-5.3", "low"): {"thinking": ON, "reasoning_effort": "low"},
    ("glm-5.3", "medium"): {"thinking": ON, "reasoning_effort": "high"},
    ("glm-5.3-flash", "high"): {"thinking": ON, "reasoning_effort": "high"},
}


@rows(("model", "level"), THINKING)
def test_the_thinking_switch(one_vendor, model, level):
    """Each level is said as the model takes it; nothing is said where nobody asked."""
    vendor = one_vendor(f"zhipu:{model}")
    body = vendor.sent(reasoning=level)
    assert THINKING[model, level] == {key: body[key] for key in body if key in ("thinking", "reasoning_effort")}
    assert not {"thinking", "reasoning_effort"} & set(vendor.sent())


def test_what_always_thinks_can_not_be_switched_off(one_vendor):
    """GLM-5.3 takes `none` and thinks all the same, so switching it off is refused instead."""
    with pytest.raises(CapabilityMismatch, match="no such level"):
        one_vendor("zhipu:glm-5.3").sent(reasoning="off")


THOUGHTS = "First…\n  then 你好 \u2028 \t"
THOUGHT = [
    Message("user", "Weather?"),
    Message("assistant", [Reasoning(THOUGHTS), ToolCall("c1", "weather", {})]),
    Message("tool", [ToolResult("c1", "18 C")]),
    Message("assistant", [Text("18 C.")]),
    Message("user", "And tomorrow?"),
]


@pytest.mark.parametrize(("model", "thoughts"), [("glm-4.6", [THOUGHTS, None]), ("glm-4-plus", [None, None])])
def test_the_replay_of_thoughts(one_vendor, model, thoughts):
    """Thoughts go back byte for byte to the models that think, and to no other."""
    turns = [turn for turn in one_vendor(f"zhipu:{model}").sent(THOUGHT)["messages"] if turn["role"] == "assistant"]
    assert thoughts == [turn.get("reasoning_content") for turn in turns]


def test_thinking_that_is_kept(one_vendor):
    """`clear_thinking = false` is one line of a configuration; the other levels stay as they are."""
    keep = {"thinking": {"type": "enabled", "clear_thinking": False}}
    vendor = one_vendor("zhipu:glm-4.7", options={"reasoning": {"high": keep}})
    body = vendor.sent(THOUGHT, reasoning="high")
    assert keep["thinking"] == body["thinking"]
    assert THOUGHTS == body["messages"][1]["reasoning_content"]
    assert OFF == vendor.sent(reasoning="off")["thinking"]


def test_tool_choice_is_auto_or_nothing(one_vendor):
    """Only `auto` is known: `none` is said by leaving the tools out, a forced call is refused."""
    vendor, now = one_vendor("zhipu:glm-4.6"), Tool("now", "The time.")
    assert "auto" == vendor.sent(tools=[now], tool_choice="auto")["tool_choice"]
    assert "tools" not in vendor.sent(tools=[now], tool_choice="none")
    assert "tool_stream" not in vendor.sent(tools=[now])
    assert vendor.sent(tools=[now], stream=True)["tool_stream"] is True
    for forced in ("required", "now"):
        with pytest.raises(CapabilityMismatch, match="tool_choice"):
            vendor.sent(tools=[now], tool_choice=forced)


def test_settings_at_their_ends(one_vendor):
    """Temperature and top_p lie strictly between 0 and 1; 0 is greedy; a single stop is a list."""
    body = one_vendor("zhipu:glm-4.6").sent(temperature=0.0, top_p=1.0, stop="END")
    assert (0.01, False, 0.99, ["END"]) == (body["temperature"], body["do_sample"], body["top_p"], body["stop"])


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    body = {"id": "1", "created": 1700000000, "model": "glm-5.3", **more}
    return (
        b"data: "
        + json.dumps({**body, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
        + b"\n\n"
    )


def test_a_stream_as_it_comes(one_vendor):
    """Thoughts before words, usage in the last chunk with words, unasked."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    body = (
        chunk({"role": "assistant", "reasoning_content": "Hm."})
        + chunk({"role": "assistant", "content": "Hi"})
        + chunk({"role": "assistant", "content": ""}, "stop", usage=usage)
        + b"data: [DONE]\n\n"
    )
    _, reply = one_vendor("zhipu:glm-5.3").streamed(body)
    assert ("Hm.", "Hi", "stop") == (reply.reasoning, reply.text, reply.finish_reason)
    counted = reply.usage
    assert (9, 5, 4, 3) == (
        counted.input_tokens,
        counted.output_tokens,
        counted.cached_tokens,
        counted.reasoning_tokens,
    )


def test_a_finish_reason_that_is_a_failure(one_vendor):
    """`network_error` ends a stream that broke off: it is never an answer, and what had come is kept."""
    vendor = one_vendor("zhipu:glm-5.3")
    with pytest.raises(StreamInterrupted) as caught:
        vendor.streamed(chunk({"content": "He"}) + chunk({"content": "llo"}, "network_error"))
    assert "Hello" == caught.value.partial.text
    alone = {"choices": [{"message": {"content": "He"}, "finish_reason": "network_error"}]}
    for fail in (lambda: vendor.reply(alone), lambda: vendor.streamed(chunk({"content": "He"}, "network_error"))):
        with pytest.raises(LLMSwitchError) as caught:
            fail()
        assert ("ServerError", "1234") == (type(caught.value).__name__, caught.value.code)


@pytest.mark.parametrize(
    ("word", "reason"), [("sensitive", "content_filter"), ("model_context_window_exceeded", "length")]
)
def test_finish_reasons(one_vendor, word, reason):
    """The vendor's own words for an end."""
    _, reply = one_vendor("zhipu:glm-5.3").streamed(chunk({"content": "He"}, word) + b"data: [DONE]\n\n")
    assert reason == reply.finish_reason


@pytest.mark.parametrize("event", [b"", b"event: error\n"])
def test_an_error_inside_a_stream(one_vendor, event):
    """An error frame, with the event's name or without, is classified like a refusal."""
    body = event + b"data: " + json.dumps(failure("1302", "too many")).encode() + b"\n\n"
    with pytest.raises(LLMSwitchError) as caught:
        one_vendor("zhipu:glm-5.3").streamed(body)
    assert ("RateLimited", "1302") == (type(caught.value).__name__, caught.value.code)


def test_a_plan_has_a_path_of_its_own(one_vendor):
    """The coding plan's path is a site; the advice for an empty account names the sites' mix-up in the file's note."""
    vendor = one_vendor("zhipu:glm-5.1", site="intl-coding")
    vendor.sent()
    assert "https://api.z.ai/api/coding/paas/v4/chat/completions" == str(vendor.requests[0].url)
