"""Gemini: what it signs, what it is sent of others' calls, how its streams end, and what it says of failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmswitch import (
    CapabilityMismatch,
    Document,
    Image,
    MalformedResponse,
    Message,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    VendorPart,
    _errors,
)
from llmswitch.testing import instant_waits
from tests.providers.one_vendor import OneVendor
from tests.rows import rows

Make = Callable[..., OneVendor]
STAND_IN = "skip_thought_signature_validator"
WEATHER = Tool("weather", "W.", {"type": "object", "properties": {"city": {"type": "string"}}})
NEW, OLD = "gemini:gemini-3.5-flash", "gemini:gemini-2.5-flash"


@pytest.fixture(autouse=True)
def _no_waits():
    with instant_waits():
        yield


def whole(*parts: dict[str, Any], reason: str = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **more}
    return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}


def call(name: str, signature: str | None = None, **more: Any) -> dict[str, Any]:
    signed = {"thoughtSignature": signature} if signature else {}
    return {"functionCall": {"name": name, "args": {}, **more}, **signed}


def events(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


def test_signatures_go_back_on_the_part_on_which_they_came(one_vendor: Make) -> None:
    """Parallel calls keep the signature on the first, with the ids of the vendor's own; another model gets none."""
    parts = [{"text": "Hm.", "thought": True}, call("weather", "c2ln", id="a"), call("weather", id="b")]
    said = one_vendor(NEW).reply(whole(*parts)).message
    results = Message("tool", [ToolResult("a", "1 C"), ToolResult("b", "?", is_error=True)])
    asked = [Message("user", "Weather?"), said, results]
    contents = one_vendor(NEW).sent(asked, tools=[WEATHER])["contents"]
    assert contents[1]["parts"] == parts[1:]
    assert contents[2]["parts"] == [
        {"functionResponse": {"name": "weather", "id": "a", "response": {"output": "1 C"}}},
        {"functionResponse": {"name": "weather", "id": "b", "response": {"error": "?"}}},
    ]
    other = one_vendor("gemini:gemini-4-argon").sent(asked, tools=[WEATHER])["contents"]
    assert [part.get("thoughtSignature") for part in other[1]["parts"]] == [STAND_IN, None]


def test_streamed_signatures_stand_alone(one_vendor: Make) -> None:
    """A text that is signed is not joined with its neighbours, and an empty one that bears a signature is kept."""
    signed, empty = {"text": "c", "thoughtSignature": "MQ"}, {"text": "", "thoughtSignature": "Mg"}
    vendor = one_vendor(NEW)
    body = events(chunk({"text": "a"}), chunk({"text": "b"}), chunk(signed), chunk(empty, finishReason="STOP"))
    _, reply = vendor.streamed(body)
    assert reply.text == "abc"
    conversation = [Message("user", "Hi"), reply.message, Message("user", "Well?")]
    assert vendor.sent(conversation)["contents"][1]["parts"] == [{"text": "ab"}, signed, empty]


def test_others_calls_bear_the_documented_word(one_vendor: Make) -> None:
    """The first call of each step since the user last spoke has a stand-in, where the model wants one, and no id."""

    def step(number: int) -> list[Message]:
        calls = [ToolCall(f"{number}{each}", "weather", {}) for each in "ab"]
        return [Message("assistant", calls), Message("tool", [ToolResult(each.id, "1 C") for each in calls])]

    foreign = [Message("user", "Weather?"), *step(1), Message("user", "And now?"), *step(2), *step(3)]
    for target, expected in ((NEW, [None, STAND_IN, STAND_IN]), (OLD, [None, None, None])):
        turns = one_vendor(target).sent(foreign, tools=[WEATHER])["contents"]
        steps = [turn["parts"] for turn in turns if turn["role"] == "model"]
        assert [first.get("thoughtSignature") for first, _ in steps] == expected
        assert [second.get("thoughtSignature") for _, second in steps] == [None] * 3
        assert [part["functionCall"] for part in steps[2]] == [{"name": "weather", "args": {}}] * 2


def test_calls_without_ids_are_told_apart(one_vendor: Make) -> None:
    """An older model gives no ids: each call is given one here, which is sent nowhere; order says whose a result is."""
    vendor = one_vendor(OLD)
    reply = vendor.reply(whole(call("weather"), call("weather")))
    first, second = reply.tool_calls
    assert first.id != second.id
    results = Message("tool", [ToolResult(second.id, "2"), ToolResult(first.id, "1")])
    sent = vendor.sent([Message("user", "?"), reply.message, results], tools=[WEATHER])["contents"]
    assert sent[1]["parts"] == [call("weather"), call("weather")]
    assert [part["functionResponse"]["response"]["output"] for part in sent[2]["parts"]] == ["1", "2"]


def test_pictures_in_results_and_files_by_url(one_vendor: Make) -> None:
    """Pictures of a tool go into its result where the model takes them; a file on the web needs a type."""
    picture = Image(data="AAAA", media_type="image/png")
    shown = Message("tool", [ToolResult("c", [Text("Look"), picture])])
    asked = [Message("user", "?"), Message("assistant", [ToolCall("c", "weather", {})]), shown]
    result = one_vendor(NEW).sent(asked)["contents"][2]["parts"][0]["functionResponse"]
    assert result["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    files = [
        Document(url="https://example.com/a.pdf?x=1"),
        Document(url="https://generativelanguage.googleapis.com/v1beta/files/abc"),
    ]
    parts = one_vendor(NEW).sent([Message("user", files)])["contents"][0]["parts"]
    assert [part["fileData"].get("mimeType") for part in parts] == ["application/pdf", None]
    with pytest.raises(CapabilityMismatch, match="pass media_type"):
        one_vendor(NEW).sent([Message("user", [Image(url="https://example.com/a")])])
    with pytest.raises(CapabilityMismatch, match="by URL"):
        one_vendor(OLD).sent([Message("user", [Image(url="https://example.com/a.png")])])


def test_what_a_model_is_asked_for(one_vendor: Make) -> None:
    """Levels for the newer models, a budget for the older; options and extra fields stand beside what is there."""
    body = one_vendor(NEW, options={"body": {"serviceTier": "flex", "generationConfig": {"topK": 3}}}).sent(
        reasoning="low",
        max_tokens=9,
        extra={"gemini": {"safetySettings": [], "generationConfig": {"candidateCount": 1}}},
    )
    thinking = {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}
    assert body["generationConfig"] == {"maxOutputTokens": 9, **thinking, "topK": 3, "candidateCount": 1}
    assert (body["serviceTier"], body["safetySettings"]) == ("flex", [])
    budget = one_vendor(OLD).sent(reasoning=700)["generationConfig"]
    assert budget == {"thinkingConfig": {"thinkingBudget": 700, "includeThoughts": True}}
    with pytest.raises(CapabilityMismatch, match="unless the answer is streamed"):
        one_vendor("gemini:gemini-4-argon").sent(max_tokens=50_000)
    with pytest.raises(CapabilityMismatch, match=r"tools\.weather\.parameters\.properties\.x\.not"):
        one_vendor(NEW).sent(tools=[Tool("weather", "", {"type": "object", "properties": {"x": {"not": {}}}})])
    with pytest.raises(CapabilityMismatch, match=r"tools\.1st"):
        one_vendor(NEW).sent(tools=[Tool("1st", "The first.")])


def test_an_answer_that_was_paused_goes_on(one_vendor: Make) -> None:
    """The request is repeated with the vendor's word, and without the answer so far, which others get as it is."""
    vendor = one_vendor("gemini:gemini-4-argon")
    reply = vendor.reply(whole({"text": "One,"}, reason="CONTINUATION", continuationToken="dG9rZW4"))
    assert (reply.finish_reason, reply.text) == ("pause", "One,")
    body = vendor.sent([Message("user", "Count."), reply.message])
    assert (body["continuationToken"], len(body["contents"])) == ("dG9rZW4", 1)
    with pytest.raises(CapabilityMismatch, match="the last one is the assistant's"):
        one_vendor(NEW).sent([Message("user", "Count."), reply.message])
    after = vendor.sent([Message("user", "Count."), reply.message, Message("assistant", "two."), Message("user", "?")])
    assert "continuationToken" not in after
    assert after["contents"][1]["parts"] == [{"text": "One,"}, {"text": "two."}]


def test_tokens_are_counted_as_the_vendor_bills_them(one_vendor: Make) -> None:
    """Output is what was said and thought, input the prompt and what tools added to it."""
    counts = {"promptTokenCount": 100, "cachedContentTokenCount": 90, "candidatesTokenCount": 5}
    body = {**whole({"text": "Hi"}), "usageMetadata": {**counts, "thoughtsTokenCount": 7, "toolUsePromptTokenCount": 2}}
    usage = one_vendor(NEW).reply(body).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (102, 12, 90, 7)
    assert not usage.estimated


def test_what_hosted_tools_did_goes_back(one_vendor: Make) -> None:
    """A part that has no neutral form returns to the model that made it as it was."""
    vendor = one_vendor(NEW)
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    reply = vendor.reply(whole(code, {"text": "1"}))
    assert isinstance(reply.message.parts[0], VendorPart)
    sent = vendor.sent([Message("user", "?"), reply.message, Message("user", "So?")])
    assert sent["contents"][1]["parts"] == [code, {"text": "1"}]


@rows(
    ("body", "becomes"),
    [
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}}, "ContentFiltered"),
        (whole(reason="MALFORMED_FUNCTION_CALL"), "MalformedResponse"),
        (whole(reason="MISSING_THOUGHT_SIGNATURE"), "BadRequest"),
        ({"usageMetadata": {"promptTokenCount": 1}}, "MalformedResponse"),
        ([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}}], "Overloaded"),
    ],
)
def test_what_is_no_answer_under_a_200(one_vendor: Make, body: Any, becomes: str) -> None:
    """A refused prompt, a broken answer and an error are errors, each of its class."""
    with pytest.raises(getattr(_errors, becomes)) as caught:
        one_vendor(NEW).reply(body)
    assert type(caught.value).__name__ == becomes


def test_unusual_ends_are_said(one_vendor: Make) -> None:
    """A candidate without content is an empty answer; a reason that is none of the usual ones is warned of."""
    assert one_vendor(NEW).reply({"candidates": [{"finishReason": "STOP"}]}).empty
    assert one_vendor(NEW).reply(whole({"text": "a"}, reason="RECITATION")).finish_reason == "content_filter"
    reply = one_vendor(NEW).reply(whole({"text": "a"}, reason="OTHER"))
    assert (reply.finish_reason, [each.code for each in reply.warnings]) == ("other", ["unknown_finish_reason"])


@rows("form", ["{}", "[{}]", "data: {}"])
def test_an_error_inside_a_stream(one_vendor: Make, form: str) -> None:
    """It comes as bare JSON over several lines, in a list or not, or as an event."""
    error = json.dumps({"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}})
    spread = error if form.startswith("data") else error.replace("{", "{\r\n ")
    with pytest.raises(StreamInterrupted) as caught:
        one_vendor(NEW).streamed(events(chunk({"text": "Hel"})) + form.replace("{}", spread).encode())
    assert isinstance(caught.value.__cause__, _errors.Overloaded)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"


def test_a_stream_without_a_reason_was_cut(one_vendor: Make) -> None:
    """Nothing says that a stream has ended but the reason in its last chunk."""
    with pytest.raises(StreamInterrupted):
        one_vendor(NEW).streamed(events(chunk({"text": "Hello"})))
    with pytest.raises(MalformedResponse, match="in pieces"):
        one_vendor(NEW).streamed(events(chunk(call("weather", willContinue=True))))


def test_a_thought_is_shown_and_stays_here(one_vendor: Make) -> None:
    """A summary of thoughts is the reply's reasoning, and need not go back."""
    vendor = one_vendor(NEW)
    _, reply = vendor.streamed(
        events(chunk({"text": "Hm.", "thought": True}), chunk({"text": "Hi"}, finishReason="STOP"))
    )
    assert (reply.reasoning, reply.text) == ("Hm.", "Hi")
    assert isinstance(reply.message.parts[0], Reasoning)
    sent = vendor.sent([Message("user", "?"), reply.message, Message("user", "So?")])
    assert sent["contents"][1]["parts"] == [{"text": "Hi"}]


QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"


def exhausted(quota: str | None, message: str, delay: str | None = None) -> dict[str, Any]:
    details: list[dict[str, Any]] = [{"@type": QUOTA, "violations": [{"quotaId": quota}]}] if quota else []
    details += [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}] if delay else []
    return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


@rows(
    ("body", "becomes", "after"),
    [
        (exhausted("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quota", "46s"), "QuotaExhausted", 46.0),
        (
            exhausted("RequestsPerMinutePerModel", "quota", "45.837906927s"),
            "RateLimited",
            45.837906927,
        ),
        (exhausted(None, "Quota exceeded, limit: 0, model: m"), "QuotaExhausted", None),
        (exhausted(None, "Quota exceeded, limit: 0.5, model: m"), "RateLimited", None),
        (exhausted(None, "Please retry in 10h17m5.72s."), "RateLimited", 37025.72),
        (exhausted(None, "Resource exhausted. Please try again later."), "Overloaded", None),
        (exhausted(None, "quota", "-3s"), "RateLimited", None),
    ],
)
def test_quota_or_rate(one_vendor: Make, body: Any, becomes: str, after: float | None) -> None:
    """What is used up for the day is told apart from what comes back in a minute, and the wait is the vendor's."""
    error, _ = one_vendor(NEW).refusal(429, body)
    assert (type(error).__name__, error.retry_after) == (becomes, after)
