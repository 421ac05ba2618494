"""StepFun: thoughts in `reasoning`, an empty finish reason before the end, running usage, and 451 for content."""

from __future__ import annotations

import json

import pytest

from llmswitch import CapabilityMismatch, Message, Reasoning, StreamInterrupted, Text
from tests.rows import rows


def failure(kind: str, message: str = "no") -> dict[str, object]:
    return {"error": {"message": message, "type": kind}}


BLOCKED = failure("censorship_blocked", "The content you provided or machine outputted is blocked.")
REFUSALS = {
    "bad": (400, failure("invalid_request_error"), "BadRequest", None),
    "key": (401, failure("invalid_api_key"), "AuthInvalid", "account"),
    "no_money": (402, failure("insufficient_quota"), "Arrears", "account"),
    "no_money_bare": (402, {}, "Arrears", "account"),
    "model": (404, failure("not_found"), "ModelGone", "target"),
    "rate": (429, failure("rate_limited"), "RateLimited", "account"),
    "content": (451, BLOCKED, "ContentFiltered", None),
    "content_by_status": (451, {}, "ContentFiltered", None),
    "page": (451, b"<html>blocked here</html>", "RegionBlocked", "account"),
    "server": (500, failure("internal"), "ServerError", None),
    "busy": (503, failure("engine_busy"), "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor("stepfun:step-3.7-flash").refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)


def chunk(delta: dict[str, object], finish: str, output: int) -> bytes:
    usage = {"prompt_tokens": 8, "cached_tokens": 4, "completion_tokens": output, "total_tokens": 8 + output}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "s-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps({**body, "usage": usage}).encode() + b"\n\n"


STREAM = (
    chunk({"role": "assistant", "content": ""}, "", 0)
    + chunk({"reasoning": "Hm."}, "", 2)
    + chunk({"content": "Hel"}, "", 3)
    + chunk({"content": "lo"}, "", 4)
)


def test_a_stream(one_vendor):
    """An empty finish reason is none; usage runs along in every chunk, and the last count is the one."""
    body = STREAM + chunk({"content": ""}, "stop", 5) + b"data: [DONE]\n\n"
    _, reply = one_vendor("stepfun:step-3.7-flash").streamed(body)
    assert ("Hm.", "Hello", "stop") == (reply.reasoning, reply.text, reply.finish_reason)
    assert (8, 5, 4) == (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens)
    assert [] == reply.warnings


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
def test_a_stream_that_is_cut(one_vendor, end):
    """With empty finish reasons alone it never was whole."""
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor("stepfun:step-3.7-flash").streamed(STREAM + end)
    assert ("Hello", 4) == (caught.value.partial.text, caught.value.usage_estimate.output_tokens)


def test_a_whole_answer(one_vendor):
    """Thoughts are in `reasoning`, or in `reasoning_content` where that was asked for."""
    for field in ("reasoning", "reasoning_content"):
        message = {"role": "assistant", "content": "Hi", field: "Hm."}
        reply = one_vendor("stepfun:step-3.7-flash").reply({"choices": [{"message": message, "finish_reason": "stop"}]})
        assert ("Hm.", "Hi") == (reply.reasoning, reply.text)


@pytest.mark.parametrize(
    ("model", "levels"), [("step-3.7-flash", ["low", "medium", "high"]), ("step-3.5-flash-2603", ["low", "high"])]
)
def test_the_thinking_switch(one_vendor, model, levels):
    """The effort is a word; the levels that a model lacks are refused, and so is to switch it off."""
    vendor = one_vendor(f"stepfun:{model}")
    for level in ("off", "low", "medium", "high"):
        if level in levels:
            assert level == vendor.sent(reasoning=level)["reasoning_effort"]
        else:
            with pytest.raises(CapabilityMismatch, match="no such level"):
                vendor.sent(reasoning=level)
    assert "reasoning_effort" not in vendor.sent()


def test_thoughts_are_not_sent_back(one_vendor):
    """Older thoughts stay here."""
    said = [Message("user", "Hi"), Message("assistant", [Reasoning("Hm."), Text("Hi.")]), Message("user", "And?")]
    turn = one_vendor("stepfun:step-3.7-flash").sent(said)["messages"][1]
    assert {"role": "assistant", "content": "Hi."} == turn


def test_usage_is_not_asked_for(one_vendor):
    """It comes unasked."""
    assert "stream_options" not in one_vendor("stepfun:step-3.7-flash").sent(stream=True)


@rows(
    ("site", "url"),
    [
        ("cn", "https://api.stepfun.com/v1/chat/completions"),
        ("intl", "https://api.stepfun.ai/v1/chat/completions"),
        ("cn-plan", "https://api.stepfun.com/step_plan/v1/chat/completions"),
        ("intl-plan", "https://api.stepfun.ai/step_plan/v1/chat/completions"),
    ],
)
def test_the_sites(one_vendor, site, url):
    """The plan has a path of its own at each site."""
    vendor = one_vendor("stepfun:step-3.7-flash", site=site)
    vendor.sent()
    assert url == str(vendor.requests[0].url)
