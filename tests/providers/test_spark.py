"""iFlytek Spark: a code in every body, no finish reason, calls that are no list, and failures under status 200."""

from __future__ import annotations

import json

import pytest

from llmswitch import CapabilityMismatch, LLMSwitchError, StreamInterrupted, Tool
from tests.everyday import mostly_slow
from tests.rows import rows

NOW = Tool("now", "The time.")
CLASSES = {
    "10003": ("BadRequest", None),
    "10004": ("BadRequest", None),
    "10005": ("BadRequest", None),
    "10163": ("BadRequest", None),
    "10007": ("Overloaded", "target"),
    "10008": ("Overloaded", "target"),
    "10010": ("Overloaded", "target"),
    "10110": ("Overloaded", "target"),
    "10012": ("ServerError", None),
    "10222": ("ServerError", None),
    "10013": ("ContentFiltered", None),
    "10014": ("ContentFiltered", None),
    "10019": ("ContentFiltered", None),
    "10021": ("ContentFiltered", None),
    "10015": ("PermissionDenied", "target"),
    "10016": ("PermissionDenied", "target"),
    "10017": ("PermissionDenied", "target"),
    "10404": ("ModelGone", "target"),
    "10907": ("ContextTooLong", None),
    "11200": ("QuotaExhausted", "account"),
    "11201": ("QuotaExhausted", "account"),
    "11202": ("RateLimited", "account"),
    "11203": ("RateLimited", "account"),
}


FORMS = [(status, shape, code) for status in (200, 400) for shape in ("flat", "number", "wrapped") for code in CLASSES]
EVERYDAY = [
    (status, shape, code) for status, shape, code in FORMS if code == "10013" or (status, shape) == (200, "flat")
]


@pytest.mark.parametrize("form", mostly_slow(FORMS, EVERYDAY), ids=lambda form: "-".join(map(str, form)))
def test_failures_by_code(one_vendor, form):
    """A code is classified alike under 200 and under a refusal, as text or number, flat or wrapped."""
    status, shape, code = form
    number: object = int(code) if shape == "number" else code
    body: dict[str, object] = {"code": number, "message": "no", "sid": "cha-2"}
    if shape == "wrapped":
        body = {"error": {"message": "AppIdNoAuthError:no", "type": "api_error", "param": None, "code": code}}
    error, reached = one_vendor("spark:4.0Ultra").refusal(status, body)
    assert (*CLASSES[code], code) == (type(error).__name__, reached, error.code)
    if shape != "wrapped":
        assert "cha-2" == error.request_id


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Unauthorized"},
        {"error": {"message": "invalid user", "type": "api_error", "param": None, "code": None}},
    ],
)
def test_the_gates_refusal(one_vendor, body):
    """A wrong key is told by the gate, without a code."""
    error, reached = one_vendor("spark:lite").refusal(401, body)
    assert ("AuthInvalid", "account") == (type(error).__name__, reached)


def whole(message: dict[str, object]) -> dict[str, object]:
    return {
        "code": 0,
        "message": "Success",
        "sid": "cha-1",
        "choices": [{"message": {"role": "assistant", **message}, "index": 0}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def test_an_answer_without_a_finish_reason(one_vendor):
    """An answer with neither id, model nor finish reason is an answer that has stopped."""
    reply = one_vendor("spark:4.0Ultra").reply(whole({"content": "Hello"}))
    assert ("Hello", "stop", None) == (reply.text, reply.finish_reason, reply.id)
    assert (1, 2) == (reply.usage.input_tokens, reply.usage.output_tokens)


CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}


@pytest.mark.parametrize("calls", [[CALL], CALL], ids=["list", "one_object"])
def test_a_call(one_vendor, calls):
    """A call that comes as one object, where a list belongs, is a call."""
    reply = one_vendor("spark:4.0Ultra").reply(whole({"content": "", "tool_calls": calls}))
    assert (["now"], "tool_calls") == ([call.name for call in reply.tool_calls], reply.finish_reason)


def test_calls_are_asked_for_as_a_list(one_vendor):
    """The switch goes with every request that has tools, and with no other."""
    vendor = one_vendor("spark:4.0Ultra")
    assert vendor.sent(tools=[NOW])["tool_calls_switch"] is True
    assert "tool_calls_switch" not in vendor.sent()
    with pytest.raises(CapabilityMismatch, match="calls no tools"):
        one_vendor("spark:lite").sent(tools=[NOW])


def frames(*bodies: object, end: str = "data:[DONE]\n\n") -> bytes:
    return "".join(f"data:{json.dumps(body)}\n\n" for body in bodies).encode() + end.encode()


def piece(delta: dict[str, object], **more: object) -> dict[str, object]:
    head = {"code": 0, "message": "Success", "sid": "cha-3", "id": "cha-3", "created": 1}
    return {**head, "choices": [{"delta": delta, "index": 0}], **more}


USAGE = {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}


def test_a_stream(one_vendor):
    """Events without a space, without a finish reason; usage in the last; `[DONE]` says that it is whole."""
    body = frames(piece({"content": "Hel"}), piece({"content": "lo"}, **USAGE))
    _, reply = one_vendor("spark:4.0Ultra").streamed(body)
    assert ("Hello", "stop", 2) == (reply.text, reply.finish_reason, reply.usage.output_tokens)
    assert [] == reply.warnings


@pytest.mark.parametrize("calls", [[CALL], CALL], ids=["list", "one_object"])
def test_a_call_in_a_stream(one_vendor, calls):
    """A call in a stream is done at `[DONE]`, whichever form it has."""
    _, reply = one_vendor("spark:4.0Ultra").streamed(frames(piece({"tool_calls": calls}, **USAGE)), tools=[NOW])
    assert (["now"], "tool_calls") == ([call.name for call in reply.tool_calls], reply.finish_reason)


def test_a_stream_that_is_cut(one_vendor):
    """Without `[DONE]` it is never an answer, though no finish reason was to be expected; nor is `[DONE]` alone."""
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor("spark:4.0Ultra").streamed(frames(piece({"content": "Hel"}), end=""))
    assert "Hel" == caught.value.partial.text
    with pytest.raises(LLMSwitchError):
        one_vendor("spark:4.0Ultra").streamed(b"data:[DONE]\n\n")


def test_a_stream_that_is_refused(one_vendor):
    """A code in an event is a failure: first in the stream as in a refusal, later with what had come."""
    refused = {"code": 10013, "message": "input blocked", "sid": "cha-4"}
    with pytest.raises(LLMSwitchError) as caught:
        one_vendor("spark:4.0Ultra").streamed(frames(refused))
    assert ("ContentFiltered", "10013") == (type(caught.value).__name__, caught.value.code)
    with pytest.raises(StreamInterrupted) as broken:
        one_vendor("spark:4.0Ultra").streamed(
            frames(piece({"content": "I was"}), {"code": 10014, "message": "output blocked", "sid": "cha-4"})
        )
    assert ("I was", "10014") == (broken.value.partial.text, broken.value.code)


@rows(
    ("model", "given", "sent"), [("4.0Ultra", 0.0, 0.01), ("4.0Ultra", 1.0, 1.0), ("x1", 0.0, 0.01), ("x1", 1.7, 1.7)]
)
def test_temperature(one_vendor, model, given, sent):
    """0 is not legal, so the least legal value stands for it; the upper end is the model's."""
    assert sent == one_vendor(f"spark:{model}").sent(temperature=given)["temperature"]


def test_a_temperature_that_is_too_high(one_vendor):
    """What is above the model's interval is refused, or lowered aloud."""
    vendor = one_vendor("spark:4.0Ultra")
    with pytest.raises(CapabilityMismatch, match="at most 1 here"):
        vendor.sent(temperature=1.5)
    assert 1.0 == vendor.sent(temperature=1.5, degrade=True)["temperature"]


def test_the_thinking_switch(one_vendor):
    """X models switch thinking by an object; the first X1 has no switch."""
    vendor = one_vendor("spark:spark-x", site="cn-x2")
    assert {"type": "disabled"} == vendor.sent(reasoning="off")["thinking"]
    assert {"type": "enabled"} == vendor.sent(reasoning="high")["thinking"]
    assert "https://spark-api-open.xf-yun.com/x2/chat/completions" == str(vendor.requests[0].url)
    with pytest.raises(CapabilityMismatch, match="no such level"):
        one_vendor("spark:x1", site="cn-x1").sent(reasoning="high")


def test_usage_is_not_asked_for(one_vendor):
    """It comes unasked."""
    assert "stream_options" not in one_vendor("spark:4.0Ultra").sent(stream=True)


def test_hosted_models_say_why_they_end(one_vendor):
    """A hosted model's stream needs a finish reason as anywhere."""
    body = frames({"choices": [{"delta": {"content": "Hel"}, "index": 0, "finish_reason": None}]})
    with pytest.raises(StreamInterrupted):
        one_vendor("spark:xopdeepseekv4", site="astron").streamed(body)
