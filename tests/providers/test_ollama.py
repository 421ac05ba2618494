"""Ollama by its native API: where it is, the window that it is asked for, its lines, and what it says of failures."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmswitch import Client, ConnectFailed, Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from llmswitch._addresses import server_address
from llmswitch._errors import (
    CapabilityMismatch,
    ConfigError,
    LLMSwitchError,
    MalformedResponse,
    ModelGone,
    Overloaded,
    ServerError,
    StreamInterrupted,
)
from llmswitch._policy import Policy
from llmswitch._registry import provider
from llmswitch.testing import FakeVendor, instant_waits
from llmswitch.testing._vendor import respond
from tests.rows import rows

LINES = "application/x-ndjson"
NOW = Tool("now", "The time", {"type": "object", "properties": {}})
END = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with instant_waits():
        yield


def client(
    answer: Callable[[httpx.Request], httpx.Response], target: str = "ollama:qwen3:0.6b", **own: Any
) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    config = {"providers": {target.partition(":")[0]: own}, "default": target}
    return Client.from_config(config, http_client=vendor), vendor


def line(done: bool = False, reason: str | None = "stop", **message: Any) -> bytes:
    end = {**END, "done_reason": reason} if done else {"done": False}
    said = {"model": "qwen3:0.6b", "message": {"role": "assistant", "content": "", **message}, **end}
    return json.dumps(said).encode() + b"\n"


def whole(**message: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: respond(200, "application/json", [line(done=True, **message)])


def streamed(*lines: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: respond(200, LINES, lines)


def read(asked: Client, **options: Any) -> Any:
    with asked.stream("Hi", **options) as stream:
        for _event in stream:
            pass
    return stream.reply


def sent(vendor: FakeVendor) -> Any:
    return json.loads(vendor.requests[-1].content)


# Where it is


@rows(
    ("told", "url"),
    [
        ("gpu-box", "http://gpu-box:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":56789", "http://127.0.0.1:56789"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://example.com", "https://example.com:443"),
        ("example.com:56789/path/", "http://example.com:56789/path"),
        ("[::]", "http://127.0.0.1:11434"),
        ("[0001:2::1]:56789", "http://[0001:2::1]:56789"),
        ("http://user@host", "http://user@host"),
        ("host:port", "host:port"),
    ],
)
def test_an_address_as_the_server_is_told_it(told, url):
    """The SDK's own examples of OLLAMA_HOST, and what can be no address, which is left to be refused."""
    assert url == server_address(told, "http://127.0.0.1:11434")


def test_where_it_is_asked(monkeypatch):
    """By the variable, or by base_url before it; the compatible endpoint of the same server beside its own path."""
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.5")
    for target, own, url in (
        ("ollama:m", {}, "http://10.0.0.5:11434/api/chat"),
        ("ollama:m", {"base_url": "http://10.0.0.6:1"}, "http://10.0.0.6:1/api/chat"),
        ("ollama-openai:m", {}, "http://10.0.0.5:11434/v1/chat/completions"),
    ):
        asked, vendor = client(lambda request: httpx.Response(404), target, **own)
        with pytest.raises(ModelGone):
            asked.chat("Hi")
        assert url == str(vendor.requests[-1].url)
    monkeypatch.setenv("OLLAMA_HOST", "http://user:s3cret@host")
    with pytest.raises(ConfigError, match=r"from OLLAMA_HOST.*must not hold a user name") as caught:
        client(whole(content="Hi"))[0].chat("Hi")
    assert "s3cret" not in str(caught.value)


def test_the_key_of_the_cloud_takes_nothing_there(monkeypatch):
    """With OLLAMA_API_KEY set, `ollama` is still the machine near by, without a key; `ollama-cloud` is the cloud."""
    monkeypatch.setenv("OLLAMA_API_KEY", "CANARY-key-5d41402abc4b2a76")
    for target, host, key in (
        ("ollama:m", "127.0.0.1", None),
        ("ollama-cloud:m", "ollama.com", "Bearer CANARY-key-5d41402abc4b2a76"),
    ):
        asked, vendor = client(whole(content="Hi"), target)
        asked.chat("Hi")
        assert (host, key) == (vendor.requests[-1].url.host, vendor.requests[-1].headers.get("authorization"))


def test_a_model_of_the_cloud_is_not_local():
    """What the daemon would pass on to its makers' cloud is not asked where data may not leave this machine."""
    config = {"policy": {"jurisdictions": ["local"]}, "default": "ollama:gpt-oss:120b-cloud,ollama:gpt-oss"}
    vendor = FakeVendor(whole(content="Hi"))
    asked = Client.from_config(config, http_client=vendor)
    assert "gpt-oss" == asked.chat("Hi").model
    assert "gpt-oss" == sent(vendor)["model"]
    with pytest.raises(ConfigError, match=r"ollama:kimi-k2:cloud is in: global"):
        Client.from_config({**config, "default": "ollama:kimi-k2:cloud"})


def test_an_answer_from_elsewhere_is_told_of():
    """Where the server says that it passed a request on, so does the reply."""
    said = {**json.loads(line(done=True, content="Hi")), "remote_host": "https://ollama.com:443"}
    asked, _ = client(lambda request: httpx.Response(200, json=said))
    assert ["passed_on"] == [warning.code for warning in asked.chat("Hi").warnings]


def test_a_daemon_that_does_not_run():
    """Where nobody listens, the error says what to start."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {"providers": {"ollama": {"base_url": f"http://127.0.0.1:{port}"}}, "default": "ollama:m"}
    with Client.from_config(config) as asked, pytest.raises(ConnectFailed, match=r"`ollama serve` starts it"):
        asked.chat("Hi", timeout=3)


def test_a_model_may_be_loaded_first():
    """Five minutes to the first piece of a stream, unless the chain or the target says otherwise."""
    spec = provider("ollama")
    assert 300 == Policy().first_token_for(reasoning=False, slow=spec.first_token_timeout)
    assert 20 == Policy(first_token=20).first_token_for(reasoning=False, slow=spec.first_token_timeout)


# What is asked


def test_nothing_is_cut_in_silence():
    """Cutting is switched off unless it is wanted, and `stream` is always said, since it is what comes unasked."""
    asked, vendor = client(whole(content="Hi"))
    asked.chat("Hi")
    assert (False, False, False) == tuple(sent(vendor)[name] for name in ("stream", "truncate", "shift"))
    asked, vendor = client(whole(content="Hi"), options={"cuts": True})
    asked.chat("Hi")
    assert {"stream"} == {"stream", "truncate", "shift"} & sent(vendor).keys()


@rows(
    ("own", "words", "window"),
    [
        ({}, 20_000, None),
        ({"capabilities": {"context": 40_960}}, 100, None),
        ({"capabilities": {"context": 40_960}}, 20_000, 16_384),
        ({"capabilities": {"context": 40_960}}, 70_000, 40_960),
        ({"capabilities": {"context": 40_960}, "options": {"sizes_window": False}}, 20_000, None),
        ({"options": {"num_ctx": 8192}}, 100, 8192),
        ({"options": {"num_ctx": 8192}, "capabilities": {"context": 40_960}}, 20_000, 8192),
    ],
)
def test_the_window_that_is_asked_for(own, words, window):
    """As the user says; or as large as a long prompt needs, and at most the model's; else it is the server's affair."""
    asked, vendor = client(whole(content="Hi"), **own)
    asked.chat("x" * words)
    assert window == sent(vendor).get("options", {}).get("num_ctx")


def test_options_stand_beside_each_other():
    """The server's own options, the caller's, and those of one request, of which the nearest wins."""
    own = {"options": {"body": {"keep_alive": "30m", "options": {"top_k": 40, "num_predict": 9, "min_p": 0.1}}}}
    asked, vendor = client(whole(content="Hi"), **own)
    asked.chat("Hi", max_tokens=5, extra={"ollama": {"logprobs": True, "options": {"min_p": 0.2}}})
    body = sent(vendor)
    assert {"top_k": 40, "num_predict": 5, "min_p": 0.2} == body["options"]
    assert ("30m", True) == (body["keep_alive"], body["logprobs"])


def test_a_choice_that_there_is_not():
    """`required` and a name are refused, or degraded where that is allowed; a form beside tools is refused."""
    asked, vendor = client(whole(content="Hi"))
    with pytest.raises(CapabilityMismatch, match="tool_choice"):
        asked.chat("Hi", tools=[NOW], tool_choice="required")
    with pytest.raises(CapabilityMismatch, match="a form and tools"):
        asked.chat("Hi", tools=[NOW], response_format="json", degrade=True)
    assert [] == vendor.requests
    reply = asked.chat("Hi", tools=[NOW], tool_choice="now", degrade=True)
    assert ["degraded"] == [warning.code for warning in reply.warnings]


def test_a_conversation():
    """Arguments are an object, a result names its call twice, thoughts go back, a picture is bare base64."""
    call = ToolCall("c1", "now", {"zone": "CET"})
    asked, vendor = client(whole(content="Noon."), capabilities={"tool_result_images": True})
    asked.chat(
        [
            Message("user", [Text("Now?"), Image(data="cG5n", media_type="image/png")]),
            Message("assistant", [Reasoning("Hm."), call]),
            Message(
                "tool", [ToolResult("c1", [Text("no"), Image(data="cG5n", media_type="image/png")], is_error=True)]
            ),
            Message("user", " "),
        ],
        tools=[NOW],
    )
    assert [
        {"role": "user", "content": "Now?", "images": ["cG5n"]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [{"id": "c1", "function": {"name": "now", "arguments": {"zone": "CET"}}}],
        },
        {"role": "tool", "content": "Error: no", "tool_name": "now", "tool_call_id": "c1", "images": ["cG5n"]},
    ] == sent(vendor)["messages"]
    with pytest.raises(CapabilityMismatch, match="nothing to answer"):
        asked.chat(" ")


# What comes back


def test_a_long_line_wherever_it_is_cut():
    """A line beyond 64 KiB is one line, and no cut within it changes that."""
    long = "word " * 30_000
    body = line(content=long) + line(done=True)
    pieces = [body[start : start + 65_537] for start in range(0, len(body), 65_537)]
    reply = read(client(streamed(*pieces))[0])
    assert (long, 3, 2) == (reply.text, reply.usage.input_tokens, reply.usage.output_tokens)


def test_calls_without_ids():
    """Old servers give calls no id: each gets one, and so does one that has the id of another."""
    function = {"function": {"name": "now", "arguments": {}}}
    lines = [line(tool_calls=[function]), line(tool_calls=[{"id": "a", **function}, {"id": "a", **function}])]
    reply = read(client(streamed(*lines, line(done=True)))[0], tools=[NOW])
    assert (3, "tool_calls") == (len({call.id for call in reply.tool_calls}), reply.finish_reason)


def test_what_is_not_counted():
    """A count of 0 is left out: the output's is then none; what the prompt took is not known."""
    for counts, usage in (({"prompt_eval_count": 3}, (3, 0)), ({"eval_count": 2}, (None, 2)), ({}, (None, None))):
        said = {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop", **counts}
        reply = client(lambda request, said=said: httpx.Response(200, json=said))[0].chat("Hi")
        assert usage == (reply.usage.input_tokens, reply.usage.output_tokens)


@rows(
    ("last", "kind", "said"),
    [
        (b'{"error": "server busy", "status_code": 503}\n', StreamInterrupted, "server busy"),
        (line(done=True, reason=""), StreamInterrupted, "ended before the answer"),
        (line(done=True, reason=None), StreamInterrupted, "ended before the answer"),
        (b"", StreamInterrupted, "ended"),
        (line(done=True)[:-40], StreamInterrupted, "ended"),
    ],
    ids=["error", "gone", "gone_too", "cut", "cut_line"],
)
def test_an_answer_that_breaks_off(last, kind, said):
    """An error in a line of its own, a runner that went away, and an end without `done`: never a whole answer."""
    with pytest.raises(kind, match=said) as caught:
        read(client(streamed(line(content="Hel"), last))[0])
    assert "Hel" == caught.value.partial.text


@rows(
    ("body", "kind"),
    [
        ({"error": "server busy"}, Overloaded),
        ({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "load"}, MalformedResponse),
        ({"message": {"role": "assistant", "content": "Hi"}, "done": False}, MalformedResponse),
        ({"message": {"role": "assistant", "content": "Hi"}, "done": True}, ServerError),
        ({"done": True, "done_reason": "stop"}, MalformedResponse),
    ],
)
def test_a_200_that_is_no_answer(body, kind):
    """An error under a 200, a model that was only loaded, and an answer that is not done."""
    with pytest.raises(LLMSwitchError) as caught:
        client(lambda request: httpx.Response(200, json=body))[0].chat("Hi", timeout=3)
    assert kind is type(caught.value)
