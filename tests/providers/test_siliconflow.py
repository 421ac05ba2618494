"""SiliconFlow: flat errors and bare strings, no money under 403, the day's limits, and a switch that only some have."""

from __future__ import annotations

import json

import pytest

from llmswitch import CapabilityMismatch, LLMSwitchError, Message, Reasoning, ToolCall, ToolResult
from tests.rows import rows


def flat(code: int, message: str) -> dict[str, object]:
    return {"code": code, "message": message, "data": None}


LONG = "length of prompt_tokens (40000) must be less than max_seq_len (32768)."
REFUSALS = {
    "model": (400, flat(20012, "Model does not exist. Please check it carefully."), "ModelGone", "target"),
    "bad": (400, flat(20015, "The parameter is invalid. Please check again."), "BadRequest", None),
    "long": (400, flat(20015, LONG), "ContextTooLong", None),
    "long_in_all": (400, flat(20015, "max_total_tokens (40960) exceeded"), "ContextTooLong", None),
    "key": (401, "Api key is invalid", "AuthInvalid", "account"),
    "key_2": (401, "Invalid token", "AuthInvalid", "account"),
    "no_money": (403, flat(30001, "Sorry, your account balance is insufficient"), "Arrears", "account"),
    "no_money_by_words": (403, {"message": "your account balance is insufficient"}, "Arrears", "account"),
    "real_name": (403, flat(30003, "Model requires real-name verification"), "PermissionDenied", "target"),
    "path": (404, "404 page not found", "ModelGone", "target"),
    "rpm": (429, flat(50501, "Request was rejected due to rate limiting. Details:RPM limit"), "RateLimited", "account"),
    "tpm": (429, {"message": "TPM limit reached"}, "RateLimited", "account"),
    "rpd": (429, {"message": "RPD limit reached"}, "QuotaExhausted", "account"),
    "tpd": (429, {"message": "Details:TPD limit reached."}, "QuotaExhausted", "account"),
    "detail": (400, {"detail": "bad field"}, "BadRequest", None),
    "server": (500, flat(50000, "Unknown error"), "ServerError", None),
    "busy": (503, flat(50505, "Model service overloaded. Please try again later."), "Overloaded", "target"),
    "busy_by_status": (503, {"message": "System is really busy"}, "Overloaded", "target"),
    "late": (504, "Gateway timeout", "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Flat, bare or wrapped, each refusal is the class that says what to do next, with its words."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor("siliconflow:Qwen/Qwen3-8B").refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)
    if isinstance(body, str):
        assert body in str(error)


QWEN = "siliconflow:Qwen/Qwen3-8B"


def test_the_thinking_switch(one_vendor):
    """On or off, with a budget by level or by number; nothing is said where nobody asked."""
    vendor = one_vendor(QWEN)
    fields = ("enable_thinking", "thinking_budget")

    def said(**options: object) -> dict[str, object]:
        body = vendor.sent(**options)
        return {name: body[name] for name in fields if name in body}

    assert {"enable_thinking": False} == said(reasoning="off")
    assert {"enable_thinking": True, "thinking_budget": 1024} == said(reasoning="low")
    assert {"enable_thinking": True, "thinking_budget": 4096} == said(reasoning="medium")
    assert {"enable_thinking": True, "thinking_budget": 16384} == said(reasoning="high")
    assert {"enable_thinking": True, "thinking_budget": 777} == said(reasoning=777)
    assert {} == said()


def test_models_without_the_switch(one_vendor):
    """To send it would be a 400, so it is refused, but where nothing is to be switched off."""
    plain = one_vendor("siliconflow:Qwen/Qwen3-Next-80B-A3B-Instruct")
    with pytest.raises(CapabilityMismatch, match="no such level"):
        plain.sent(reasoning="high")
    assert "enable_thinking" not in plain.sent(reasoning="off")
    for level in ("off", "high"):
        with pytest.raises(CapabilityMismatch, match="no such level"):
            one_vendor("siliconflow:Qwen/Qwen3-235B-A22B-Thinking-2507").sent(reasoning=level)


def test_deepseeks_effort(one_vendor):
    """DeepSeek V4 Flash takes a word of effort instead."""
    body = one_vendor("siliconflow:deepseek-ai/DeepSeek-V4-Flash").sent(reasoning="high")
    assert ("high", False) == (body["reasoning_effort"], "enable_thinking" in body)


THOUGHT = [
    Message("user", "Weather?"),
    Message("assistant", [Reasoning("I look."), ToolCall("c1", "weather", {})]),
    Message("tool", [ToolResult("c1", "18 C")]),
    Message("assistant", "18 C."),
    Message("user", "And tomorrow?"),
]


@rows(
    ("model", "thoughts"),
    [
        ("deepseek-ai/DeepSeek-V4-Pro", ["I look.", " "]),
        ("zai-org/GLM-5.2", ["I look.", None]),
        ("Qwen/Qwen3-8B", [None, None]),
    ],
)
def test_the_replay_of_thoughts(one_vendor, model, thoughts):
    """Thoughts go back to the models whose makers want them back."""
    body = one_vendor(f"siliconflow:{model}").sent(THOUGHT)
    assert thoughts == [turn.get("reasoning_content") for turn in body["messages"] if turn["role"] == "assistant"]


def chunk(delta: dict[str, object], finish: str | None, output: int) -> bytes:
    usage = {"prompt_tokens": 8, "completion_tokens": output, "total_tokens": 8 + output}
    body = {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def test_a_stream(one_vendor):
    """Usage in every chunk, unasked, and `eos` for an end."""
    body = chunk({"reasoning_content": "Hm.", "content": None}, None, 1) + chunk({"content": "Hi"}, None, 2)
    _, reply = one_vendor(QWEN).streamed(body + chunk({"content": ""}, "eos", 3) + b"data: [DONE]\n\n")
    assert ("Hm.", "Hi", "stop", 3) == (reply.reasoning, reply.text, reply.finish_reason, reply.usage.output_tokens)
    assert "stream_options" not in one_vendor(QWEN).sent(stream=True)


def test_a_flat_error_in_place_of_a_stream(one_vendor):
    """A stream that fails early is answered in one piece, flat, under 200 or not."""
    with pytest.raises(LLMSwitchError) as caught:
        one_vendor(QWEN).reply(flat(30001, "Sorry, your account balance is insufficient"))
    assert ("Arrears", "30001") == (type(caught.value).__name__, caught.value.code)


def test_stops(one_vendor):
    """At most four."""
    with pytest.raises(CapabilityMismatch, match="at most 4 here"):
        one_vendor(QWEN).sent(stop=["a", "b", "c", "d", "e"])
