"""Bedrock by Converse: its signature, its frames, its conversations, and what it says of failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmswitch import Client, Document, Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult, _errors
from llmswitch._adapter import HTTPRequest
from llmswitch._endpoints import has_key
from llmswitch._errors import CapabilityMismatch, ConfigError, LLMSwitchError, MalformedResponse, StreamInterrupted
from llmswitch._json import dumps, loads
from llmswitch._registry import provider
from llmswitch.providers.bedrock_sigv4 import region_of, signed_headers
from llmswitch.providers.bedrock_wire import frame
from llmswitch.testing import instant_waits
from llmswitch.testing._vendor import FakeVendor, respond
from tests.rows import rows

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BASE = "https://bedrock-runtime.us-east-1.amazonaws.com"
PATH = "/model/anthropic.claude-3-haiku-20240307-v1%3A0"
BODY = b'{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}'
NOW = 1767323045.0  # 2026-01-02T03:04:05Z
STREAM = "application/vnd.amazon.eventstream"
# botocore decodes it to an exception (the facts of 2026-11-23)
THROTTLED = bytes.fromhex(
    "000000b0000000614f5086b30f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e7465"
    "6e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d6573"
    "73616765223a22546f6f206d616e7920746f6b656e732c20706c656173652077616974206265666f726520747279696e6720616761696e2e22"
    "7df70ae57f"
)
FAILED = bytes.fromhex(
    "0000005a0000004a8188a08d0b3a6572726f722d636f646507000f496e7465726e616c4661696c7572650e3a6572726f722d6d657373616765"
    "070004626f6f6d0d3a6d6573736167652d747970650700056572726f72f8d6999d"
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-0123456789")
    with instant_waits():
        yield


def client(
    answer: Callable[[httpx.Request], httpx.Response], model: str = "global.anthropic.claude-sonnet-4-6", **own: Any
) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    config = {"providers": {"bedrock": own}, "default": f"bedrock:{model}"}
    return Client.from_config(config, http_client=vendor), vendor


def whole(*blocks: dict[str, Any], reason: str = "end_turn", **usage: int) -> Callable[[httpx.Request], httpx.Response]:
    body = {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": reason,
        "usage": {"inputTokens": 3, "outputTokens": 1, **usage},
    }
    return lambda _request: respond(200, "application/json", [dumps(body)])


def event(name: str, **payload: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, dumps(payload))


def text(piece: str) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=0, delta={"text": piece})


END = [event("messageStop", stopReason="end_turn"), event("metadata", usage={"inputTokens": 3, "outputTokens": 1})]


def streamed(*chunks: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: respond(200, STREAM, chunks)


def sent(vendor: FakeVendor) -> Any:
    return loads(vendor.requests[-1].content)


@pytest.mark.parametrize(
    ("way", "token", "signature"),
    [
        ("converse", None, "a11c91f6c34762fc25714faa65f78558bf9da09b5c8ef7cfc0da81c9afa9e802"),
        (
            "converse-stream",
            "FwoGZXIvYXdzEXAMPLETOKEN",
            "cc46bd859a9e8884c050d59d8982b4e116b057f8032ba1afb69f2829faa10bac",
        ),
    ],
)
def test_the_worked_examples_of_the_signature(way: str, token: str | None, signature: str) -> None:
    """The signatures are those that botocore 1.44.5 computes, with and without a session token."""
    headers = signed_headers(HTTPRequest(f"{PATH}/{way}", BODY), BASE, KEY_ID, SECRET, token, "us-east-1", NOW)
    names = "content-type;host;x-amz-date" + (";x-amz-security-token" if token else "")
    assert headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260102/us-east-1/bedrock/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_the_region_that_is_signed() -> None:
    """A host of the vendor's names its region itself; for another it has to be said."""
    assert region_of("https://bedrock-runtime-fips.us-west-2.amazonaws.com", "x") == "us-west-2"
    assert region_of("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "x") == "cn-north-1"
    assert region_of("http://127.0.0.1:8000", "eu-west-1") == "eu-west-1"


def test_the_address_names_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration's region comes before the environment's, and that before the usual one."""
    hosts = []
    for variable, own in ((None, {}), ("eu-west-3", {}), ("eu-west-3", {"region": "eu-central-1"})):
        if variable:
            monkeypatch.setenv("AWS_REGION", variable)
        asking, vendor = client(whole({"text": "Hi"}), **own)
        asking.chat("Hello")
        hosts.append(vendor.requests[0].url.host.split(".")[1])
    assert hosts == ["us-east-1", "eu-west-3", "eu-central-1"]


def test_a_region_that_would_lead_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region can't smuggle another host into the address."""
    monkeypatch.setenv("AWS_REGION", "evil.example.com/")
    with pytest.raises(ConfigError, match="no valid region"):
        client(whole())


def test_access_keys_sign_where_there_is_no_bearer_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bearer key wins; without it the access keys of the environment sign, with a session token or without."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    asking, vendor = client(whole({"text": "Hi"}))
    asking.chat("Hello")
    assert vendor.requests[0].headers["authorization"] == "Bearer bedrock-api-key-0123456789"
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    asking, vendor = client(whole({"text": "Hi"}))
    asking.chat("Hello")
    assert vendor.requests[0].headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={KEY_ID}/")
    assert vendor.requests[0].url.raw_path == b"/model/global.anthropic.claude-sonnet-4-6/converse"


def test_a_clouds_keys_choose_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Access keys may be for any service: where nothing is configured, only a Bedrock key says that it is meant."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert has_key(provider("bedrock"))
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    assert not has_key(provider("bedrock"))


def test_thoughts_go_back_as_they_came() -> None:
    """A signed thought and a hidden one return to the model that gave them, and to no other."""
    thoughts = [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
    ]
    asking, vendor = client(whole(*thoughts, {"text": "Yes."}))
    reply = asking.chat("Really?")
    assert reply.reasoning == "Hm."
    conversation = [Message("user", "Really?"), reply.message, Message("user", "Sure?")]
    asking.chat(conversation)
    assert sent(vendor)["messages"][1]["content"] == [*thoughts, {"text": "Yes."}]
    other, elsewhere = client(whole({"text": "Yes."}), "us.anthropic.claude-opus-4-8")
    other.chat(conversation)
    assert sent(elsewhere)["messages"][1]["content"] == [{"text": "Yes."}]


def test_streamed_thoughts_are_signed() -> None:
    """The signature comes in a delta of its own, after the text, without a start of the block."""
    deltas: list[dict[str, Any]] = [{"text": "Hm"}, {"text": "."}, {"signature": "c2ln"}]
    frames = [event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": delta}) for delta in deltas]
    asking, _ = client(streamed(*frames, event("contentBlockStop", contentBlockIndex=0), *END))
    with asking.stream("Really?") as stream:
        list(stream)
    (part,) = stream.reply.message.parts
    assert isinstance(part, Reasoning)
    assert part.vendor is not None
    assert (part.text, part.vendor.data) == ("Hm.", {"signature": "c2ln"})


def test_calls_in_the_conversation_bring_their_tools() -> None:
    """Results of one turn are one user message, and a tool that was called is named though none is offered."""
    asking, vendor = client(whole({"text": "Cold."}))
    calls = [ToolCall("a b", "weather", {"city": "Oslo"}), ToolCall("c.2", "weather", {"city": "Rome"})]
    results = [Message("tool", [ToolResult("a b", "1 C")]), Message("tool", [ToolResult("c.2", "?", is_error=True)])]
    asking.chat([Message("user", "?"), Message("assistant", calls), *results, Message("user", "So?")])
    body = sent(vendor)
    renamed = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert " " not in renamed
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": renamed, "content": [{"text": "1 C"}]}},
        {"toolResult": {"toolUseId": "c.2", "content": [{"text": "?"}], "status": "error"}},
        {"text": "So?"},
    ]
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["weather"]


def test_cache_points_stand_where_they_are_wanted() -> None:
    """A point follows the system message, the tools and the last message; the cache's tokens are the input's too."""
    options = {"cache_points": ["system", "tools", "messages"], "cache_ttl": "1h"}
    answer = whole({"text": "Hi"}, cacheReadInputTokens=100, cacheWriteInputTokens=20)
    asking, vendor = client(answer, options=options)
    reply = asking.chat([Message("system", "Brief."), Message("user", "Hello")], tools=[Tool("now", "The time.")])
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    body = sent(vendor)
    assert [body["system"][-1], body["toolConfig"]["tools"][-1], body["messages"][-1]["content"][-1]] == [point] * 3
    assert (reply.usage.input_tokens, reply.usage.cached_tokens, reply.usage.cache_write_tokens) == (123, 100, 20)


@rows(
    ("parts", "words"),
    [
        ([Image(url="https://example.com/a.png"), Text("?")], "by URL"),
        ([Image(data="AAAA", media_type="image/tiff"), Text("?")], "image/tiff"),
        ([Document(data="AAAA", media_type="application/pdf")], "a document needs a text"),
    ],
)
def test_what_the_dialect_has_no_form_for_is_refused(parts: list[Any], words: str) -> None:
    """Nothing is sent of a request that the vendor would refuse, and the message names the place."""
    asking, vendor = client(whole({"text": "Hi"}))
    with pytest.raises(CapabilityMismatch, match=words):
        asking.chat([Message("user", parts)])
    assert vendor.requests == []


def test_a_form_goes_as_text() -> None:
    """The schema of an answer is JSON in a string, closed; one that can't be said is refused with the target's name."""
    asking, vendor = client(whole({"text": '{"n": 1}'}))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asking.chat("One?", response_format=schema)
    form = sent(vendor)["outputConfig"]["textFormat"]
    assert loads(form["structure"]["jsonSchema"]["schema"]) == {**schema, "additionalProperties": False}
    free = {"type": "object", "properties": {"n": {}}, "required": ["n"]}
    with pytest.raises(CapabilityMismatch) as refused:
        asking.chat("One?", response_format=free)
    assert (refused.value.provider, len(vendor.requests)) == ("bedrock", 1)


def test_a_document_has_a_name_that_is_taken() -> None:
    """What the vendor takes in no name becomes a space, and there is one where none was given."""
    asking, vendor = client(whole({"text": "Hi"}))
    named = [Document(data="AAAA", media_type="application/pdf", name=name) for name in ("a_b/c.pdf", None)]
    asking.chat([Message("user", [*named, Text("Sum up")])])
    documents = [block["document"]["name"] for block in sent(vendor)["messages"][0]["content"][:2]]
    assert documents == ["a b c pdf", "document 2"]


@rows(
    ("status", "kind", "message", "becomes"),
    [
        (400, "ValidationException", "Input is too long for requested model.", "ContextTooLong"),
        (
            400,
            "ValidationException",
            "not allowed from unsupported countries, regions, or territories",
            "RegionBlocked",
        ),
        (400, "ValidationException", "with on-demand throughput isn't supported", "BadRequest"),
        (429, "ThrottlingException", "Too many tokens per day, please wait", "QuotaExhausted"),
        (429, "ThrottlingException:http://internal.amazon.com/x", "Too many requests", "RateLimited"),
        (403, "AccessDeniedException", "no access", "PermissionDenied"),
        (403, "ExpiredTokenException", "expired", "AuthInvalid"),
    ],
)
def test_failures_by_type_and_words(status: int, kind: str, message: str, becomes: str) -> None:
    """The type comes in a header, cut at its colon; where several faults share one, the words tell them apart."""

    def answer(_request: httpx.Request) -> httpx.Response:
        made = respond(status, "application/json", [dumps({"message": message})])
        made.headers["x-amzn-errortype"] = kind
        return made

    asking, _ = client(answer)
    with pytest.raises(LLMSwitchError) as caught:
        asking.chat("Hello", timeout=3)
    assert type(caught.value) is getattr(_errors, becomes)


@pytest.mark.parametrize(("last", "cause"), [(THROTTLED, "RateLimited"), (FAILED, "ServerError")])
def test_exceptions_inside_a_stream(last: bytes, cause: str) -> None:
    """An exception and an error in the frames break a stream off, with what had come and why, even per byte."""
    body = text("Hel") + last
    asking, _ = client(streamed(*(body[i : i + 1] for i in range(len(body)))))
    with pytest.raises(StreamInterrupted) as caught, asking.stream("Hello") as stream:
        list(stream)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, type(caught.value.__cause__).__name__) == ("Hel", cause)


def test_damaged_frames_are_no_answer() -> None:
    """A frame with a wrong checksum, and one that is cut, end a stream as an error and never as an answer."""
    whole_stream = b"".join([text("Hello"), *END])
    damaged = bytearray(whole_stream)
    damaged[len(text("Hello")) - 10] ^= 1
    for body in (bytes(damaged), whole_stream[: len(text("Hello")) + 20]):
        asking, _ = client(streamed(body))
        with pytest.raises((StreamInterrupted, MalformedResponse)), asking.stream("Hello") as stream:
            list(stream)


def test_a_broken_tool_call_of_the_model_is_no_answer() -> None:
    """`malformed_tool_use` is the model's failure, and another target may do better."""
    asking, _ = client(whole({"text": "x"}, reason="malformed_tool_use"))
    with pytest.raises(MalformedResponse, match="malformed_tool_use"):
        asking.chat("Hello", timeout=3)
