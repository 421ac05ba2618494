"""ModelScope: a day's allowance in headers, errors in the plural, texts as one string, and the open Qwen3 models."""

from __future__ import annotations

import pytest

from llmswitch import CapabilityMismatch, Image, Message, Text
from tests.rows import rows

MODEL = "modelscope:deepseek-ai/DeepSeek-V4-Flash"
PIXEL = "data:image/png;base64,aGk="


def plural(message: str) -> dict[str, object]:
    return {"errors": {"message": message, "request_id": "f31f863f"}}


def left(account: str, model: str) -> dict[str, str]:
    return {
        "modelscope-ratelimit-requests-limit": "2000",
        "modelscope-ratelimit-requests-remaining": account,
        "modelscope-ratelimit-model-requests-limit": "500",
        "modelscope-ratelimit-model-requests-remaining": model,
    }


GONE = "Model id : Qwen/Qwen2.5-7B-Instruct-1M , has no provider supported"
REFUSALS = {
    "minute": (429, plural("too many requests"), left("1895", "477"), "RateLimited", "account"),
    "day": (429, plural("too many requests"), left("0", "477"), "QuotaExhausted", "account"),
    "model's day": (429, plural("too many requests"), left("1895", "0"), "QuotaExhausted", "account"),
    "day with a code": (429, {"error": {"code": "rate_limit_exceeded"}}, left("0", "0"), "QuotaExhausted", "account"),
    "day in words": (429, plural("Free allocated quota exceeded."), {}, "QuotaExhausted", "account"),
    "no headers": (429, {}, {}, "RateLimited", "account"),
    "odd headers": (429, {}, left("", "n/a"), "RateLimited", "account"),
    "model": (400, plural(GONE), left("1895", "477"), "ModelGone", "target"),
    "model, and nothing left": (400, plural(GONE), left("0", "0"), "ModelGone", "target"),
    "key": (401, plural("please bind your Alibaba Cloud account before use."), {}, "AuthInvalid", "account"),
    "forbidden": (403, plural("no"), {}, "PermissionDenied", "target"),
    "long": (400, plural("maximum context length is 131072 tokens"), {}, "ContextTooLong", None),
    "server": (500, plural("no"), {}, "ServerError", None),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """One status for the minute's limit and the day's: what the headers have left tells them apart."""
    status, body, headers, becomes, reach = REFUSALS[name]
    error, reached = one_vendor(MODEL).refusal(status, body, headers)
    assert (becomes, reach) == (type(error).__name__, reached)


def test_what_an_error_carries(one_vendor):
    """Words and id of an error in the plural; the vendor's own code stays in the words where the header takes over."""
    error, _ = one_vendor(MODEL).refusal(400, plural(GONE))
    assert "has no provider supported" in str(error)
    assert "f31f863f" == error.request_id
    coded = {"error": {"code": "limit_requests", "message": "slow down"}}
    error, _ = one_vendor(MODEL).refusal(429, coded, left("0", "1"))
    assert "modelscope-ratelimit-requests-remaining" == error.code
    assert "limit_requests: slow down" in str(error)


def test_a_limit_that_is_not_reached_is_no_code(one_vendor):
    """A remaining count above 0 changes nothing."""
    error, _ = one_vendor(MODEL).refusal(429, plural("slow"), {**left("1", "1"), "retry-after": "3"})
    assert ("RateLimited", None, 3.0) == (type(error).__name__, error.code, error.retry_after)


def test_texts_are_one_string(one_vendor):
    """Several texts of a message are sent as one string; beside an image they stay a list."""
    body = one_vendor(MODEL).sent([Message("user", [Text("One. "), Text("Two.")])])
    assert "One. Two." == body["messages"][0]["content"]
    seen = one_vendor("modelscope:Qwen/Qwen3-VL-8B").sent([Message("user", [Text("What?"), Image(url=PIXEL)])])
    assert ["text", "image_url"] == [part["type"] for part in seen["messages"][0]["content"]]


def test_open_qwen(one_vendor):
    """The open Qwen3 models take a budget by level or by number; those that can't be switched are told nothing."""
    vendor = one_vendor("modelscope:Qwen/Qwen3-32B")
    said = vendor.sent(stream=True, reasoning="high")
    assert (True, 16384) == (said["enable_thinking"], said["thinking_budget"])
    assert (True, 500) == tuple(vendor.sent(reasoning=500)[name] for name in ("enable_thinking", "thinking_budget"))
    assert vendor.sent(reasoning="off")["enable_thinking"] is False
    assert "enable_thinking" not in one_vendor("modelscope:Qwen/Qwen3-Coder-30B-A3B-Instruct").sent(reasoning="off")


def test_the_thinking_switch(one_vendor):
    """On or off, where the model has it."""
    vendor = one_vendor(MODEL)
    assert [False, True] == [vendor.sent(reasoning=level)["enable_thinking"] for level in ("off", "high")]
    assert "enable_thinking" not in vendor.sent()
    with pytest.raises(CapabilityMismatch, match="no such level"):
        one_vendor("modelscope:LLM-Research/Llama-4").sent(reasoning="high")
