"""What the western providers on Chat Completions do otherwise than the dialect."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from llmswitch import (
    Client,
    ConfigError,
    Message,
    ReasoningDelta,
    StreamInterrupted,
    TextDelta,
    Tool,
    ToolCall,
    ToolResult,
)
from llmswitch.testing import FakeVendor

KEY = "CANARY-key-5d41402abc4b2a76"


def whole(message: dict[str, Any], **usage: Any) -> httpx.Response:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return httpx.Response(200, json={"id": "1", "model": "m", "choices": [choice], "usage": usage})


def asked(
    target: str, monkeypatch: pytest.MonkeyPatch, variable: str, answer: httpx.Response, **own: Any
) -> tuple[Client, FakeVendor]:
    monkeypatch.setenv(variable, KEY)
    vendor = FakeVendor(lambda request: answer)
    name = target.partition(":")[0]
    config = {"providers": {name: own}, "default": target} if own else {"default": target}
    return Client.from_config(config, http_client=vendor), vendor


CALL = ToolCall("functions.now:0", "now", {})
LOOP = [Message("user", "Now?"), Message("assistant", [CALL]), Message("tool", [ToolResult(CALL.id, "noon")])]
NOW = Tool("now", "The time", {"type": "object", "properties": {}})


def test_mistral_is_asked_in_its_own_words(monkeypatch):
    """Nine letters for an id, another name for the seed, and an assistant's word before the user goes on."""
    client, vendor = asked("mistral:mistral-medium-2604", monkeypatch, "MISTRAL_API_KEY", whole({"content": "Noon."}))
    client.chat([*LOOP, Message("user", "Thanks")], tools=[NOW], seed=7)
    body = json.loads(vendor.requests[0].content)
    call, result, word, last = body["messages"][1:]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert result["tool_call_id"].isalnum()
    assert 9 == len(result["tool_call_id"])
    assert ({"role": "assistant", "content": "…"}, "user") == (word, last["role"])
    assert (7, None) == (body["random_seed"], body.get("seed"))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
    ],
    ids=["mistral", "databricks"],
)
def test_thoughts_in_the_content(part, monkeypatch):
    """Thinking that lies among the parts of the content is no part of the text."""
    answer = whole({"content": [part, {"type": "text", "text": "Noon."}]})
    client, _ = asked("mistral:magistral-medium-latest", monkeypatch, "MISTRAL_API_KEY", answer)
    reply = client.chat("Now?")
    assert ("Hm.", "Noon.") == (reply.reasoning, reply.text)


def test_mistral_has_its_thoughts_back_as_they_came(monkeypatch):
    """Thoughts that are signed, or have a source in them, return among the text as they are, in their order."""
    signed = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "c2ln"}
    source = {"type": "reference", "reference_ids": [1]}
    sourced = {"type": "thinking", "thinking": [{"type": "text", "text": "So"}, source]}
    content = [signed, {"type": "text", "text": "Noon."}, sourced, {"type": "text", "text": "Or not."}]
    client, vendor = asked("mistral:mistral-medium-2604", monkeypatch, "MISTRAL_API_KEY", whole({"content": content}))
    reply = client.chat("Now?")
    assert ("Hm.So", "Noon.Or not.") == (reply.reasoning, reply.text)
    client.chat([Message("user", "Now?"), reply.message, Message("user", "Sure?")])
    assert content == json.loads(vendor.requests[1].content)["messages"][1]["content"]


def test_xai_counts_thinking_beside_the_answer(monkeypatch):
    """Where the total says so, thinking is added to the output; where it does not, it is in it already."""
    details = {"completion_tokens_details": {"reasoning_tokens": 290}}
    for total, output in ((303, 291), (13, 1)):
        answer = whole({"content": "Hi"}, prompt_tokens=12, completion_tokens=1, total_tokens=total, **details)
        client, _ = asked("xai:grok-4.20-0309-non-reasoning", monkeypatch, "XAI_API_KEY", answer)
        usage = client.chat("Hi").usage
        assert (12, output, 290) == (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)


def stream(*chunks: dict[str, Any]) -> httpx.Response:
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return httpx.Response(200, content=body + b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"})


def piece(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def test_groqs_usage_lies_in_a_field_of_its_own(monkeypatch):
    """The last chunk of a stream has it in x_groq, unasked."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    answer = stream(piece({"reasoning": "Hm."}), piece({"content": "Hi"}), piece({}, "stop", x_groq={"usage": usage}))
    client, vendor = asked("groq:openai/gpt-oss-120b", monkeypatch, "GROQ_API_KEY", answer)
    with client.stream("Hi") as running:
        events = list(running)
    assert [ReasoningDelta, TextDelta] == [type(event) for event in events[:2]]
    assert (3, 2) == (running.reply.usage.input_tokens, running.reply.usage.output_tokens)
    assert "stream_options" not in json.loads(vendor.requests[0].content)


def test_an_error_in_groqs_field_is_one(monkeypatch):
    """A failure in the middle of a stream comes in x_groq too, as text."""
    answer = stream(piece({"content": "Hi"}), piece({}, x_groq={"error": "over capacity"}))
    client, _ = asked("groq:openai/gpt-oss-120b", monkeypatch, "GROQ_API_KEY", answer)
    with pytest.raises(StreamInterrupted, match="over capacity"), client.stream("Hi") as running:
        list(running)


@pytest.mark.parametrize("own", [{"resource": "mine"}, {"base_url": "https://mine.openai.azure.com/openai/v1"}])
def test_an_address_names_a_resource(own, monkeypatch):
    """It is set by its name or within the whole address, and the vendor's own key goes there."""
    client, vendor = asked("azure:my-gpt", monkeypatch, "AZURE_OPENAI_API_KEY", whole({"content": "Hi"}), **own)
    client.chat("Hi")
    assert "https://mine.openai.azure.com/openai/v1/chat/completions" == str(vendor.requests[0].url)
    assert KEY == vendor.requests[0].headers["api-key"]


@pytest.mark.parametrize("resource", ["evil.com/x", "evil.com#", "a@evil.com", "..", "", "a b"])
def test_a_resource_is_no_address(resource, monkeypatch):
    """What could lead elsewhere is refused, in the file and in the variable."""
    with pytest.raises(ConfigError, match="resource"):
        asked("azure:my-gpt", monkeypatch, "AZURE_OPENAI_API_KEY", whole({}), resource=resource)
    monkeypatch.setenv("AZURE_RESOURCE_NAME", resource)
    with pytest.raises(ConfigError, match="resource"):
        asked("azure:my-gpt", monkeypatch, "AZURE_OPENAI_API_KEY", whole({}))


@pytest.mark.parametrize(("name", "said"), [("github-models", "2026-07-30")])
def test_what_has_ended_says_so(name, said, monkeypatch):
    """A configuration that names it is told when it ended, before anything is sent."""
    with pytest.raises(ConfigError, match=said):
        asked(f"{name}:some-model", monkeypatch, "SOME_KEY", whole({}))


@pytest.mark.parametrize("variable", ["HF_TOKEN", "CLOUDFLARE_API_TOKEN", "DATABRICKS_TOKEN", "AZURE_OPENAI_API_KEY"])
def test_a_token_of_a_whole_cloud_is_nobodys_wish(variable, monkeypatch):
    """Without a configuration such a token puts nobody into the chain, and is in nobody's way there."""
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    client, vendor = asked("groq", monkeypatch, variable, whole({"content": "Hi"}))
    client = Client(http_client=vendor)
    assert ["groq"] == [health.target.partition(":")[0] for health in client.health()]
    assert "Hi" == client.chat("Hi").text
