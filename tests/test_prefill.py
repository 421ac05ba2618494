"""An unfinished answer that a model is to go on with: what is asked, who refuses it, and what comes back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from llmswitch import (
    CapabilityMismatch,
    Client,
    InvalidRequest,
    Message,
    Reasoning,
    Text,
    ToolCall,
    VendorData,
)
from llmswitch._json import loads
from llmswitch.testing import FakeVendor
from tests.rows import rows
from tests.test_streams import SSE, chunk

UNFINISHED = [Message("user", "Count to five."), Message("assistant", "One, two,")]


def client(options: dict[str, Any], answer: httpx.Response, **more: Any) -> tuple[Client, FakeVendor]:
    """A vendor of Chat Completions that goes on with answers, with these options, and what it says."""
    vendor = FakeVendor(lambda request: answer)
    capabilities = {"prefill": True, **more}
    provider = {
        "dialect": "openai",
        "base_url": "http://a.local/v1",
        "options": {"prefill": options},
        "capabilities": capabilities,
    }
    return Client.from_config({"providers": {"a": provider}, "default": "a:m"}, http_client=vendor), vendor


def whole(text: str) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


@rows(
    ("options", "path", "last", "body"),
    [
        ({"last": {"prefix": True}, "base_path": "/beta"}, "/v1/beta/chat/completions", {"prefix": True}, {}),
        ({"last": {"partial": True}}, "/v1/chat/completions", {"partial": True}, {}),
        ({"body": {"continue_final_message": True}}, "/v1/chat/completions", {}, {"continue_final_message": True}),
        ({}, "/v1/chat/completions", {}, {}),
    ],
    ids=["beta", "field", "body", "nothing"],
)
def test_how_it_is_asked(options: dict[str, Any], path: str, last: dict[str, Any], body: dict[str, Any]) -> None:
    """The option says what stands in the last message, in the body and before the path, and for such requests alone."""
    asked, vendor = client(options, whole(" three"))
    assert " three" == asked.chat(UNFINISHED, prefill=True).text
    asked.chat(UNFINISHED)
    with_it, without = ((request.url.path, loads(request.content)) for request in vendor.requests)
    assert path == with_it[0]
    assert {"role": "assistant", "content": "One, two,", **last} == with_it[1]["messages"][-1]
    assert body == {name: value for name, value in with_it[1].items() if name not in ("model", "messages")}
    assert "/v1/chat/completions" == without[0]
    assert {"role": "assistant", "content": "One, two,"} == without[1]["messages"][-1]
    assert {"model", "messages"} == without[1].keys()


ECHOES = {"last": {"prefix": True}, "echoes": True}


@rows(
    ("pieces", "expected"),
    [
        (["One, two,", " three"], " three"),
        (["One,", " two, th", "ree"], " three"),
        (["One, two, three"], " three"),
        (["One, two,"], ""),
        ([" three"], " three"),
        (["One", " more"], "One more"),
        (["One,"], "One,"),
    ],
)
def test_an_echo_is_no_part_of_the_answer(pieces: list[str], expected: str) -> None:
    """Where a vendor says the beginning again, it is left out, whole and streamed; what only looked like it is kept."""
    asked, _ = client(ECHOES, whole("".join(pieces)))
    assert expected == asked.chat(UNFINISHED, prefill=True).text
    body = b"".join(map(chunk, pieces)) + chunk("", "stop")
    asked, _ = client(ECHOES, httpx.Response(200, headers=SSE, content=body))
    with asked.stream(UNFINISHED, prefill=True) as stream:
        said = "".join(event.text for event in stream if hasattr(event, "text"))
    assert (expected, expected) == (said, stream.reply.text)


def test_an_echo_of_whole_answers_alone() -> None:
    """Who says the beginning again in one piece, and in no stream, is believed in a stream."""
    asked, _ = client({"echoes": "whole"}, whole("One, two, three"))
    assert " three" == asked.chat(UNFINISHED, prefill=True).text
    body = chunk("One, two,") + chunk("", "stop")
    asked, _ = client({"echoes": "whole"}, httpx.Response(200, headers=SSE, content=body))
    with asked.stream(UNFINISHED, prefill=True) as stream:
        list(stream)
    assert "One, two," == stream.reply.text


def test_without_the_option_an_echo_is_text() -> None:
    """A vendor who is not known to say it again is believed."""
    asked, _ = client({}, whole("One, two, three"))
    assert "One, two, three" == asked.chat(UNFINISHED, prefill=True).text


@pytest.mark.parametrize("model", ["openai:gpt-5.4-mini", "anthropic:claude-sonnet-5", "zhipu:glm-4.6"])
def test_who_cannot_refuses(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model without the capability refuses before a byte is sent, and no way out is offered."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ZHIPUAI_API_KEY"):
        monkeypatch.setenv(name, "key-0123456789")
    vendor = FakeVendor(lambda request: whole("no"))
    with pytest.raises(CapabilityMismatch, match="prefill: this model does not go on") as refused:
        Client(model, http_client=vendor).chat(UNFINISHED, prefill=True, degrade=True)
    assert [] == vendor.requests
    assert model == refused.value.target


def messages_client(monkeypatch: pytest.MonkeyPatch) -> tuple[Client, FakeVendor]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-0123456789")
    answer = {"content": [{"type": "text", "text": " three"}], "stop_reason": "end_turn"}
    vendor = FakeVendor(lambda request: httpx.Response(200, json=answer))
    return Client("anthropic:claude-haiku-4-5", http_client=vendor), vendor


def test_messages_goes_on_with_its_last_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the Messages dialect the last turn is gone on with as it is, less the space at its end."""
    asked, vendor = messages_client(monkeypatch)
    assert " three" == asked.chat([UNFINISHED[0], Message("assistant", "One, two, \n")], prefill=True).text
    last = loads(vendor.requests[0].content)["messages"][-1]
    assert {"role": "assistant", "content": "One, two,"} == last


def test_messages_does_not_think_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thinking is refused beside it, or switched off with a warning where that was allowed."""
    asked, vendor = messages_client(monkeypatch)
    with pytest.raises(CapabilityMismatch, match="while it thinks"):
        asked.chat(UNFINISHED, prefill=True, reasoning="low")
    reply = asked.chat(UNFINISHED, prefill=True, reasoning="low", degrade=True)
    assert ["degraded"] == [warning.code for warning in reply.warnings if warning.code != "default_max_tokens"]
    assert {"type": "disabled"} == loads(vendor.requests[0].content)["thinking"]
    asked.chat(UNFINISHED, prefill=True, reasoning="off")


CALL = ToolCall("1", "now", {})
FOREIGN = VendorData("x", "y", "z", {})


@rows(
    "last",
    [
        Message("user", "go on"),
        Message("assistant", ""),
        Message("assistant", "  \n"),
        Message("assistant", [Text("Let me see."), CALL]),
        Message("assistant", [Text("So"), Reasoning("hm", FOREIGN)]),
    ],
    ids=["user", "empty", "blank", "call", "thinking"],
)
def test_what_can_be_gone_on_with(last: Message) -> None:
    """Only an assistant's text can be; anything else is said before a byte is sent."""
    asked, vendor = client({}, whole("no"))
    with pytest.raises(InvalidRequest, match=r"messages\[1\], the last one") as refused:
        asked.chat([Message("user", "Hi"), last], prefill=True)
    assert ("prefill", []) == (refused.value.field, vendor.requests)


def test_prefill_is_a_flag() -> None:
    """The beginning of the answer is a message; given as the option itself it is refused."""
    asked, _ = client({}, whole("no"))
    with pytest.raises(InvalidRequest, match="True or False"):
        asked.chat(UNFINISHED, prefill="One, two,")  # type: ignore[arg-type]


@rows(
    "options",
    [{"last": {"prefix": True}, "base_path": "/beta"}, {"body": {"continue_final_message": True}}, {}],
    ids=["field", "body", "nothing"],
)
@rows("prefill", [True, False])
def test_the_wire_hears_it(options: dict[str, Any], prefill: bool) -> None:
    """The vendor's side of the dialect, which the suite hears through, knows the request for what it is."""
    from llmswitch._capabilities import Capabilities
    from llmswitch.providers.openai import ChatCompletionsOptions
    from llmswitch.providers.openai_wire import ChatCompletionsWire

    asked, vendor = client(options, whole(" three"))
    asked.chat(UNFINISHED, prefill=prefill)
    wire = ChatCompletionsWire(
        ChatCompletionsOptions.model_validate({"prefill": options}), Capabilities.model_validate({"prefill": True})
    )
    heard = wire.hear(loads(vendor.requests[0].content))
    assert (prefill or not options) == heard.prefill


@pytest.mark.parametrize(
    ("model", "url", "field"),
    [
        ("deepseek:deepseek-flash", "https://api.deepseek.com/beta/chat/completions", "prefix"),
        ("moonshot:kimi-k2.6", "https://api.moonshot.cn/v1/chat/completions", "partial"),
        ("dashscope:qwen-plus", "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions", "partial"),
    ],
)
def test_vendors_that_go_on(model: str, url: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked in its own way, and none thinks meanwhile."""
    monkeypatch.setenv(f"{model.partition(':')[0].upper()}_API_KEY", "key-0123456789")
    vendor = FakeVendor(lambda request: whole(" three"))
    reply = Client(model, http_client=vendor).chat(UNFINISHED, prefill=True)
    (request,) = vendor.requests
    body = loads(request.content)
    assert (url, " three") == (str(request.url), reply.text)
    assert {"role": "assistant", "content": "One, two,", field: True} == body["messages"][-1]
    assert body.get("thinking", {"type": "disabled"}) == {"type": "disabled"}
    said = ["thinking_off"] if "thinking" in body else []
    assert said == [warning.code for warning in reply.warnings]
