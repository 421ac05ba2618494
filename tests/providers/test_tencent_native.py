"""Tencent's native protocol: PascalCase, signed headers, failures with the status 200; its service is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmswitch import Client, Image, Message, Text, Tool, ToolCall, ToolResult, _errors
from llmswitch._errors import CapabilityMismatch, ConfigError, LLMSwitchError, StreamInterrupted
from llmswitch._json import dumps, loads
from llmswitch._policy import rule_for
from llmswitch._registry import provider
from llmswitch.testing import instant_waits
from llmswitch.testing._vendor import FakeVendor, respond
from tests.rows import rows

USAGE = {"PromptTokens": 3, "CompletionTokens": 1, "TotalTokens": 4}
CREDENTIALS = {"secret_id": {"env": "CLOUD_ID"}, "secret_key": {"env": "CLOUD_KEY"}}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLOUD_ID", "AKIDEXAMPLE0000")
    monkeypatch.setenv("CLOUD_KEY", "ExampleSecretKey0000")
    with instant_waits():
        yield


def client(answer: Callable[[httpx.Request], httpx.Response], **own: Any) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    service = {"dialect": "tencent-native", "base_url": "https://hunyuan.example.com", "credentials": CREDENTIALS}
    config = {"providers": {"cloud": {**service, **own}}, "default": "cloud:a-model"}
    return Client.from_config(config, http_client=vendor), vendor


def answering(body: Any, headers: dict[str, str] | None = None) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        made = respond(200, "application/json", [dumps({"Response": body})])
        made.headers.update(headers or {})
        return made

    return answer


def framed(*frames: Any) -> Callable[[httpx.Request], httpx.Response]:
    chunks = [b"data: " + dumps(frame) + b"\n\n" for frame in frames]
    return lambda _request: respond(200, "text/event-stream", chunks)


def message(content: str, reason: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"FinishReason": reason, "Message": {"Role": "assistant", "Content": content, **more}}
    return {"RequestId": "r-1", "Id": "c-1", "Created": 1700000000, "Choices": [choice], "Usage": USAGE}


def delta(reason: str = "", **fields: Any) -> dict[str, Any]:
    return {"Id": "c-1", "Choices": [{"FinishReason": reason, "Delta": {"Role": "assistant", **fields}}]}


def test_the_service_is_closed() -> None:
    """Who names it is told since when, what to use now, and how others that speak so are asked."""
    for config in ({"default": "tencent-native:hunyuan-lite"}, {"providers": {"tencent-native": {}}}):
        with pytest.raises(ConfigError, match="closed Hunyuan's own API on 2026-09-30") as caught:
            Client.from_config(config)
        assert "use `tencent`" in str(caught.value)
        assert 'dialect = "tencent-native"' in str(caught.value)
    assert {} == provider("tencent-native").sites, "no address of a closed service"


def test_the_keys_of_the_environment_stay_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another service has to be given its credentials; what the vendor's own variables hold is not sent there."""
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "AKIDEXAMPLE0000")
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "ExampleSecretKey0000")
    with pytest.raises(ConfigError, match="not sent to another base_url"):
        client(answering(message("ok")), credentials={})


def test_the_request() -> None:
    """All that the vendor wants to know is in headers; the body's names are PascalCase, parameters are text."""
    asked, vendor = client(answering(message("ok")), options={"region": "ap-guangzhou", "language": "zh-CN"})
    tool = Tool("now", "The time.")
    asked.chat(
        [
            Message("system", "Brief."),
            Message("user", [Image(url="https://example.com/a.png"), Text("What?")]),
            Message("assistant", [Text("Looking."), ToolCall("1", "now", {}), ToolCall("2", "now", {"a": 1})]),
            Message("tool", [ToolResult("1", "noon"), ToolResult("2", "late", is_error=True)]),
        ],
        tools=[tool],
        tool_choice="now",
        temperature=0.5,
        top_p=0.25,
        stop="END",
        seed=7,
    )
    (request,) = vendor.requests
    assert "https://hunyuan.example.com/" == str(request.url)
    assert {
        "x-tc-action": "ChatCompletions",
        "x-tc-version": "2023-09-01",
        "x-tc-region": "ap-guangzhou",
        "x-tc-language": "zh-CN",
        "content-type": "application/json",
    }.items() <= dict(request.headers).items()
    assert "/hunyuan/tc3_request, SignedHeaders=content-type;host, " in request.headers["authorization"]
    parameters = '{"type":"object","properties":{}}'
    function = {"Type": "function", "Function": {"Name": "now", "Description": "The time.", "Parameters": parameters}}
    calls = [
        {"Id": "1", "Type": "function", "Function": {"Name": "now", "Arguments": "{}"}},
        {"Id": "2", "Type": "function", "Function": {"Name": "now", "Arguments": '{"a":1}'}},
    ]
    contents = [
        {"Type": "image_url", "ImageUrl": {"Url": "https://example.com/a.png"}},
        {"Type": "text", "Text": "What?"},
    ]
    assert {
        "Model": "a-model",
        "Messages": [
            {"Role": "system", "Content": "Brief."},
            {"Role": "user", "Contents": contents},
            {"Role": "assistant", "Content": "Looking.", "ToolCalls": calls},
            {"Role": "tool", "ToolCallId": "1", "Content": "noon"},
            {"Role": "tool", "ToolCallId": "2", "Content": "Error: late"},
        ],
        "Stream": False,
        "Temperature": 0.5,
        "TopP": 0.25,
        "Stop": ["END"],
        "Seed": 7,
        "Tools": [function],
        "ToolChoice": "custom",
        "CustomTool": function,
    } == loads(request.content)


def test_what_is_meant_otherwise_is_said() -> None:
    """That an answer ends after the text of stop, and a turn that was filled in, are warnings on the reply."""
    asked, vendor = client(answering(message("One END")))
    history = [Message("assistant", "Hello."), Message("user", [Image(url="https://example.com/a.png")])]
    codes = [warning.code for warning in asked.chat(history, stop="END").warnings]
    assert ["turn_filled", "stop_included"] == codes
    sent = loads(vendor.requests[0].content)["Messages"]
    assert {"Role": "user", "Content": "…"} == sent[0]
    assert {"Type": "text", "Text": "…"} == sent[2]["Contents"][1]


def test_what_can_not_be_sent() -> None:
    """There is no limit of tokens, no form, no forced choice among tools; seeds and messages have limits."""
    asked, vendor = client(answering(message("ok")))
    long = [Message("assistant" if number % 2 else "user", "Hi") for number in range(41)]
    for messages, options in [
        ("Hi", {"max_tokens": 5}),
        ("Hi", {"response_format": "json"}),
        ("Hi", {"tools": [Tool("now")], "tool_choice": "required"}),
        ("Hi", {"seed": 0}),
        ("Hi", {"seed": 10_001}),
        (long, {}),
    ]:
        with pytest.raises(CapabilityMismatch) as caught:
            asked.chat(messages, **options)
        assert "cloud:a-model" == caught.value.target
    assert [] == vendor.requests


@rows(
    ("body", "reason", "codes"),
    [
        (message("ok"), "stop", []),
        (message("ok", ""), "stop", []),
        (message("ok", "sensitive"), "content_filter", []),
        (message("ok", "new word"), "other", ["unknown_finish_reason"]),
        ({**message("ok"), "ModerationLevel": "1"}, "stop", ["moderation"]),
        ({**message("ok"), "ErrorMsg": None}, "stop", []),
    ],
    ids=["stop", "none", "sensitive", "unknown", "moderation", "no_error"],
)
def test_why_an_answer_ended(body: dict[str, Any], reason: str, codes: list[str]) -> None:
    """The vendor's words, and its advice to end a conversation."""
    reply = client(answering(body))[0].chat("Hi")
    assert (reason, codes, "c-1") == (reply.finish_reason, [warning.code for warning in reply.warnings], reply.id)


def test_a_stream() -> None:
    """Frames have no wrapper and no end of their own; pieces of a call belong together by their id."""
    first = {"Id": "t1", "Index": 0, "Type": "function", "Function": {"Name": "now", "Arguments": '{"a"'}}
    more = {"Id": "t1", "Index": 0, "Type": "function", "Function": {"Name": "now", "Arguments": ": 1}"}}
    frames = [
        delta(ReasoningContent="Hm."),
        delta(Content="Look"),
        delta(Content="", ToolCalls=[first]),
        delta(Content="", ToolCalls=[more]),
        {**delta("tool_calls", Content=""), "Usage": {**USAGE, "PromptTokensDetails": {"CachedTokens": "2"}}},
    ]
    asked, _ = client(framed(*frames))
    with asked.stream("Hi", tools=[Tool("now")]) as stream:
        list(stream)
    reply = stream.reply
    assert ("Hm.", "Look", "tool_calls") == (reply.reasoning, reply.text, reply.finish_reason)
    assert [("t1", "now", {"a": 1})] == [(call.id, call.name, call.arguments) for call in reply.tool_calls]
    assert (3, 1, 2) == (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens)
    with pytest.raises(StreamInterrupted):
        list(client(framed(*frames[:2]))[0].stream("Hi"))


# code -> class, and the scopes that it takes out (chapter 3.3 of the facts; the status is 200 in all of them)
ACCOUNT, BOTH, TARGET = ("account",), ("account", "target"), ("target",)
FAILURES: list[tuple[str, str, tuple[str, ...]]] = [
    ("AuthFailure.SignatureFailure", "AuthInvalid", ACCOUNT),
    ("AuthFailure.SignatureExpire", "AuthInvalid", ACCOUNT),
    ("AuthFailure.SecretIdNotFound", "AuthInvalid", ACCOUNT),
    ("AuthFailure.SomethingNew", "AuthInvalid", ACCOUNT),
    ("AuthFailure.UnauthorizedOperation", "PermissionDenied", TARGET),
    ("UnauthorizedOperation", "PermissionDenied", TARGET),
    ("FailedOperation.UserUnAuthError", "PermissionDenied", TARGET),
    ("FailedOperation.ServiceNotActivated", "PermissionDenied", TARGET),
    ("RequestLimitExceeded", "RateLimited", BOTH),
    ("RequestLimitExceeded.UinLimitExceeded", "RateLimited", BOTH),
    ("FailedOperation.EngineServerLimitExceeded", "RateLimited", BOTH),
    ("FailedOperation.FreeResourcePackExhausted", "QuotaExhausted", BOTH),
    ("ResourceInsufficient.ChargeResourceExhaust", "QuotaExhausted", BOTH),
    ("FailedOperation.ServiceStopArrears", "Arrears", ACCOUNT),
    ("ResourceUnavailable.LowBalance", "Arrears", ACCOUNT),
    ("InvalidParameterValue.Model", "ModelGone", TARGET),
    ("ResourceNotFound", "ModelGone", TARGET),
    ("ActionOffline", "ModelGone", TARGET),
    ("InvalidParameterValue", "BadRequest", ()),
    ("InvalidParameterValue.ParameterValueError", "BadRequest", ()),
    ("InvalidParameter.SomethingNew", "BadRequest", ()),
    ("MissingParameter", "BadRequest", ()),
    ("UnknownParameter", "CapabilityMismatch", ()),
    ("OperationDenied.TextIllegalDetected", "ContentFiltered", ()),
    ("FailedOperation.EngineRequestTimeout", "ServerError", ()),
    ("FailedOperation.SomethingNew", "ServerError", ()),
    ("InternalError", "ServerError", ()),
]


@rows(("code", "becomes", "scopes"), FAILURES)
def test_failures(code: str, becomes: str, scopes: tuple[str, ...]) -> None:
    """The code decides, and what stands before its first dot where the rest is new; in place of a stream too."""
    body = {"Error": {"Code": code, "Message": "it went wrong"}, "RequestId": "r-9"}
    for stream in (False, True):
        asked, _ = client(answering(body))
        with pytest.raises(LLMSwitchError) as caught:
            list(asked.stream("Hi", timeout=1)) if stream else asked.chat("Hi", timeout=1)
        cool = rule_for(caught.value).cool
        found = (type(caught.value).__name__, cool.scopes if cool is not None else (), caught.value.code)
        assert (becomes, scopes, code) == found
        assert "r-9" == caught.value.request_id


@pytest.mark.parametrize("code", [4000, 4001])
def test_a_failure_inside_a_stream(code: int) -> None:
    """`ErrorMsg` after an answer had begun breaks it off; before that it is the failure itself."""
    failure = {"Id": "c-1", "ErrorMsg": {"Msg": "it went wrong", "Code": code}}
    asked, _ = client(framed(delta(Content="Hel"), failure))
    with pytest.raises(StreamInterrupted) as caught, asked.stream("Hi") as stream:
        list(stream)
    assert ("Hel", str(code)) == (caught.value.partial.text, caught.value.code)
    asked, _ = client(framed(failure))
    with pytest.raises(_errors.ServerError):
        list(asked.stream("Hi", timeout=1))


def test_the_request_is_named_by_a_header() -> None:
    """An answer's id of the request is in a header of the vendor's own."""
    reply = client(answering(message("ok"), {"X-TC-RequestId": "r-7"}))[0].chat("Hi")
    assert "r-7" == reply.attempts[0].request_id
