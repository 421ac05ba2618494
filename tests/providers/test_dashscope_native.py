"""DashScope's native API: where requests go, how its frames are read, and what its failures are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmswitch import Audio, Client, Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult, _errors
from llmswitch._errors import CapabilityMismatch, LLMSwitchError, StreamInterrupted
from llmswitch._json import dumps, loads
from llmswitch._policy import rule_for
from llmswitch.testing import instant_waits
from llmswitch.testing._vendor import FakeVendor, respond
from tests.rows import rows

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
TEXT = "/api/v1/services/aigc/text-generation/generation"
PARTS = "/api/v1/services/aigc/multimodal-generation/generation"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-0123456789abcdef")
    with instant_waits():
        yield


def answering(body: Any, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: respond(status, "application/json", [dumps(body)])


def streaming(*chunks: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: respond(200, "text/event-stream", chunks)


def output(content: Any, reason: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"finish_reason": reason, "message": {"role": "assistant", "content": content, **message}}
    return {"request_id": "r-1", "output": {"choices": [choice]}, "usage": USAGE}


def frame(body: Any, name: str = "result", status: int = 200, end: bytes = b"\n\n") -> bytes:
    return b"id:1\nevent:%b\n:HTTP_STATUS/%d\ndata:%b" % (name.encode(), status, dumps(body)) + end


def client(
    answer: Callable[[httpx.Request], httpx.Response], model: str = "qwen-plus", **own: Any
) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    config = {"providers": {"dashscope-native": own}, "default": f"dashscope-native:{model}"}
    return Client.from_config(config, http_client=vendor), vendor


def streamed(*chunks: bytes, model: str = "qwen-plus", **own: Any) -> tuple[Any, list[Any]]:
    asked, _ = client(streaming(*chunks), model, **own)
    with asked.stream("Hi") as stream:
        events = list(stream)
    return stream.reply, events


# Requests


def test_a_stream_is_asked_for_in_a_header() -> None:
    """Whole and streamed differ in the headers and in `incremental_output`, and in nothing else of the body."""
    asked, vendor = client(answering(output("ok")))
    asked.chat("Hi", temperature=0.5, top_p=0.0, max_tokens=9, stop=["a", "b"], seed=7)
    list(asked.stream("Hi"))
    whole, stream = vendor.requests
    assert {
        "model": "qwen-plus",
        "input": {"messages": [{"role": "user", "content": "Hi"}]},
        "parameters": {
            "result_format": "message",
            "temperature": 0.5,
            "top_p": 0.01,
            "max_tokens": 9,
            "seed": 7,
            "stop": ["a", "b"],
        },
    } == loads(whole.content)
    assert {"result_format": "message", "incremental_output": True} == loads(stream.content)["parameters"]
    assert ["application/json", "text/event-stream"] == [each.headers["accept"] for each in vendor.requests]
    assert [None, "enable"] == [each.headers.get("x-dashscope-sse") for each in vendor.requests]
    assert "Bearer sk-0123456789abcdef" == whole.headers["authorization"]


def test_what_is_not_text_goes_to_another_address() -> None:
    """Images and audio make every message a list of parts without types; some models always take lists."""
    asked, vendor = client(answering(output([{"text": "ok"}])), "qwen3-vl-plus", site="intl")
    asked.chat("Hi")
    asked.chat(
        [
            Message("system", "Brief."),
            Message("user", [Image(url="https://example.com/a.png"), Text("What?")]),
            Message("assistant", [ToolCall("1", "now", {})]),
            Message("tool", [ToolResult("1", "noon", is_error=True)]),
        ]
    )
    assert [f"https://dashscope-intl.aliyuncs.com{PARTS}"] * 2 == [str(each.url) for each in vendor.requests]
    assert [{"role": "user", "content": [{"text": "Hi"}]}] == loads(vendor.requests[0].content)["input"]["messages"]
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    assert [
        {"role": "system", "content": [{"text": "Brief."}]},
        {"role": "user", "content": [{"image": "https://example.com/a.png"}, {"text": "What?"}]},
        {"role": "assistant", "content": [], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": [{"text": "Error: noon"}]},
    ] == loads(vendor.requests[1].content)["input"]["messages"]
    asked, vendor = client(answering(output("ok")), "my-model", capabilities={"audio": True})
    asked.chat("Hi")
    asked.chat([Message("user", [Audio(data="UklGRg==", media_type="audio/wav"), Text("Write")])])
    assert [TEXT, PARTS] == [each.url.path for each in vendor.requests]
    with pytest.raises(CapabilityMismatch):
        client(answering(output("ok")))[0].chat([Message("user", [Image(url="https://example.com/a.png")])])


def test_thinking_is_a_switch_and_a_budget() -> None:
    """Each level is parameters; a budget in tokens is one; the model's thoughts go back where that is asked for."""
    asked, vendor = client(answering(output("ok")))
    for level in ("off", "low", 500):
        asked.chat("Hi", reasoning=level)
    sent = [loads(each.content)["parameters"] for each in vendor.requests]
    assert [False, True, True] == [each["enable_thinking"] for each in sent]
    assert [None, 2048, 500] == [each.get("thinking_budget") for each in sent]
    history = [Message("user", "Hi"), Message("assistant", [Reasoning("Hm."), Text("Yes?")]), Message("user", "Go")]
    for replay, thoughts in (("omit", None), ("optional", "Hm.")):
        asked, vendor = client(answering(output("ok")), options={"reasoning_replay": replay})
        asked.chat(history)
        assert thoughts == loads(vendor.requests[0].content)["input"]["messages"][1].get("reasoning_content")


def test_a_model_that_only_streams_is_asked_for_a_stream() -> None:
    """A whole answer of it is put together from one, and that is no surprise worth a warning."""
    body = frame(output("Hel", "null")) + frame(output("lo"))
    asked, vendor = client(streaming(body), "qwq-plus")
    reply = asked.chat("Hi")
    assert ("Hello", []) == (reply.text, reply.warnings)
    assert "enable" == vendor.requests[0].headers["x-dashscope-sse"]


def test_extra_parameters_stand_beside_ours() -> None:
    """What a caller adds to the parameters takes nothing away; other fields are his."""
    asked, vendor = client(answering(output("ok")))
    asked.chat("Hi", extra={"dashscope-native": {"parameters": {"top_k": 5}, "resources": []}})
    body = loads(vendor.requests[0].content)
    assert {"result_format": "message", "top_k": 5} == body["parameters"]
    assert [] == body["resources"]


def test_json_mode_speaks_of_json() -> None:
    """The vendor refuses JSON mode where no message does; one that does is left alone."""
    asked, vendor = client(answering(output("{}")))
    asked.chat("Hi", response_format="json")
    asked.chat("In JSON, please", response_format="json")
    sent = [loads(each.content)["input"]["messages"] for each in vendor.requests]
    assert {"role": "system", "content": "Answer in JSON."} == sent[0][0]
    assert 1 == len(sent[1])


# Which API is spoken


@pytest.mark.parametrize("name", ["dashscope-native", "my-qwen"])
def test_the_dialect_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As a provider of its own, or as the dialect of one with another address, by whatever name."""
    monkeypatch.setenv("MY_KEY", "sk-another-key-0123")
    own = {"dialect": "dashscope-native", "base_url": "https://w.cn-beijing.maas.aliyuncs.com/api/v1"}
    vendor = FakeVendor(answering({"code": "Arrearage", "message": "no money"}, 400))
    providers = {name: {**own, "api_key": {"env": "MY_KEY"}}}
    asked = Client.from_config({"providers": providers, "default": f"{name}:qwen-plus"}, http_client=vendor)
    with pytest.raises(_errors.Arrears):
        asked.chat("Hi")
    assert f"https://w.cn-beijing.maas.aliyuncs.com{TEXT}" == str(vendor.requests[0].url)
    assert "Bearer sk-another-key-0123" == vendor.requests[0].headers["authorization"]


def test_nobody_gets_it_unasked() -> None:
    """With a key in the environment and no configuration it is the compatible mode that answers."""
    vendor = FakeVendor(answering({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}))
    reply = Client(http_client=vendor, config={}).chat("Hi")
    assert "dashscope" == reply.provider
    assert "/compatible-mode/v1/chat/completions" == vendor.requests[0].url.path


# Answers


def test_frames_without_blank_lines() -> None:
    """Some gateways leave the blank lines between frames out; each frame is read when its data line has come."""
    reply, events = streamed(frame(output("Hel", "null"), end=b"\n"), frame(output("lo"), end=b"\n"))
    assert ("Hello", "stop", "r-1") == (reply.text, reply.finish_reason, reply.id)
    assert ["Hel", "lo"] == [event.text for event in events if hasattr(event, "text")]


def test_the_word_null_is_no_end() -> None:
    """A stream whose last frame still says "null", or says nothing, is no answer."""
    for word in ("null", "", None):
        with pytest.raises(StreamInterrupted):
            streamed(frame(output("Hel", word)))  # type: ignore[arg-type]


def test_frames_that_tell_all_that_came_so_far() -> None:
    """Where a model gives no increments, what is new in each frame is what is handed over."""
    cumulative = {"options": {"incremental": False}}
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"a"'}}
    whole = {**call, "function": {"name": "now", "arguments": '{"a": 1}'}}
    chunks = [
        frame(output("", "null", reasoning_content="H")),
        frame(output("", "null", reasoning_content="Hm.")),
        frame(output("One", "null", reasoning_content="Hm.")),
        frame(output("One two", "null", tool_calls=[call])),
        frame(output("One two", "tool_calls", tool_calls=[whole])),
    ]
    reply, events = streamed(*chunks, **cumulative)
    assert ("One two", "Hm.", "tool_calls") == (reply.text, reply.reasoning, reply.finish_reason)
    assert {"a": 1} == reply.tool_calls[0].arguments
    assert ["H", "m.", "One", " two"] == [event.text for event in events if hasattr(event, "text")]
    with pytest.raises(LLMSwitchError, match="does not go on with"):
        streamed(frame(output("One", "null")), frame(output("Two")), **cumulative)


def test_tool_calls_in_pieces() -> None:
    """Pieces are one call by their index; those after the first may repeat its id and name, or leave them out."""
    one = {"index": 0, "id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}}
    more = [{"index": 0, "id": "", "function": {"arguments": '{"a"'}}, {**one, "function": {"arguments": ": 1}"}}]
    other = {"index": 1, "id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    chunks = [frame(output("", "null", tool_calls=[call])) for call in (one, *more, other)]
    asked, _ = client(streaming(*chunks, frame(output("", "tool_calls"))))
    with asked.stream("Hi", tools=[Tool("now")]) as stream:
        list(stream)
    assert [("c1", {"a": 1}), ("c2", {})] == [(call.id, call.arguments) for call in stream.reply.tool_calls]


@rows(
    ("body", "text"),
    [
        ({"output": {"text": "Hello", "finish_reason": "stop"}, "usage": USAGE, "request_id": "r"}, "Hello"),
        (output([{"text": "Hel"}, {"text": "lo"}]), "Hello"),
        (output("Hello", None), "Hello"),  # type: ignore[arg-type]
        ({**output("Hello"), "code": "", "message": "", "status_code": 200}, "Hello"),
    ],
    ids=["old_form", "parts", "no_reason", "empty_code"],
)
def test_forms_of_a_whole_answer(body: dict[str, Any], text: str) -> None:
    """Text in the output itself, in parts, without a reason, and beside a code that is empty."""
    reply = client(answering(body))[0].chat("Hi")
    assert (text, "stop", 3, 2) == (
        reply.text,
        reply.finish_reason,
        reply.usage.input_tokens,
        reply.usage.output_tokens,
    )


def test_usage() -> None:
    """Thoughts and cached tokens are counted where the vendor counts them, by either of the names for the latter."""
    for name in ("prompt_tokens_details", "input_tokens_details"):
        usage = {**USAGE, "output_tokens_details": {"reasoning_tokens": 1}, name: {"cached_tokens": 2}}
        reply = client(answering({**output("ok"), "usage": usage}))[0].chat("Hi")
        assert (3, 2, 2, 1) == (
            reply.usage.input_tokens,
            reply.usage.output_tokens,
            reply.usage.cached_tokens,
            reply.usage.reasoning_tokens,
        )


# Failures

# status, code, message -> class, and the scopes that it takes out (chapter 4.4 of the facts)
RANGE = "<400> InternalError.Algo.InvalidParameter: Range of {} should be [1, 30720]"
ACCOUNT, BOTH, TARGET = ("account",), ("account", "target"), ("target",)
FAILURES: list[tuple[int, str, str, str, tuple[str, ...]]] = [
    (400, "InvalidParameter", RANGE.format("input length"), "ContextTooLong", ()),
    (400, "InvalidParameter", RANGE.format("max_tokens"), "BadRequest", ()),
    (400, "InvalidParameter", "url error, please check url!", "BadRequest", ()),
    (400, "InvalidParameter.NotSupportEnableThinking", "no", "CapabilityMismatch", ()),
    (400, "Arrearage", "Access denied, account not in good standing", "Arrears", ACCOUNT),
    (400, "DataInspectionFailed", "Input data may contain inappropriate content.", "ContentFiltered", ()),
    (401, "InvalidApiKey", "Invalid API-key provided.", "AuthInvalid", ACCOUNT),
    (403, "AccessDenied", "no", "PermissionDenied", TARGET),
    (403, "AccessDenied.Unpurchased", "no", "PermissionDenied", TARGET),
    (403, "AllocationQuota.FreeTierOnly", "no", "QuotaExhausted", BOTH),
    (404, "ModelNotFound", "no", "ModelGone", TARGET),
    (404, "Model.NotExist", "no", "ModelGone", TARGET),
    (429, "Throttling", "no", "RateLimited", BOTH),
    (429, "Throttling.RateQuota", "no", "RateLimited", BOTH),
    (429, "Throttling.AllocationQuota", "Allocated quota exceeded", "RateLimited", BOTH),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", "QuotaExhausted", BOTH),
    (429, "PostpaidBillOverdue", "no", "Arrears", ACCOUNT),
    (500, "InternalError", "no", "ServerError", ()),
    (500, "InternalError.Algo", "no", "ServerError", ()),
    (504, "GatewayTimeout", "no", "ServerError", ()),
    (503, "ModelUnavailable", "no", "Overloaded", TARGET),
]


@rows(("status", "code", "message", "becomes", "scopes"), FAILURES)
def test_failures(status: int, code: str, message: str, becomes: str, scopes: tuple[str, ...]) -> None:
    """By its code: as a refusal, with the status 200, first in a stream, and after an answer had begun."""
    body = {"code": code, "message": message, "request_id": "r-9"}
    for answer in (answering(body, status), answering(body), streaming(frame(body, "error", status))):
        asked, _ = client(answer)
        with pytest.raises(LLMSwitchError) as caught, asked.stream("Hi", timeout=1) as stream:
            list(stream)
        cool = rule_for(caught.value).cool
        found = (type(caught.value).__name__, cool.scopes if cool is not None else (), caught.value.code)
        assert (becomes, scopes, code) == found
        assert "r-9" == caught.value.request_id
    asked, _ = client(streaming(frame(output("Hel", "null")), frame(body, "error", status)))
    with pytest.raises(StreamInterrupted) as broken, asked.stream("Hi", timeout=1) as stream:
        list(stream)
    assert (becomes, "Hel") == (type(broken.value.__cause__).__name__, broken.value.partial.text)


def test_a_refusal_in_the_form_of_a_stream() -> None:
    """A status that is not 200 may come with a stream's event in its body."""
    body = frame({"code": "Arrearage", "message": "no", "request_id": "r-9"}, "error", 400)
    asked, _ = client(lambda _request: respond(400, "text/event-stream", [body]))
    with pytest.raises(_errors.Arrears):
        asked.chat("Hi")
