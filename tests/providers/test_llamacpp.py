"""The provider `llamacpp` against llama.cpp's own server, which answers with the noise of a model of random numbers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel

from llmswitch import Client, Image, Message, Text, Tool, ToolResult
from llmswitch._errors import (
    AuthInvalid,
    CapabilityMismatch,
    ConnectFailed,
    ContextTooLong,
    LLMSwitchError,
    Overloaded,
)
from llmswitch.testing._conversations import PIXEL

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("xllamacpp") is None, reason="the extra 'local'")]

KEY = "CANARY-key-5d41402abc4b2a76"

# A template that has a place for tools, in the form of Llama 3: a call begins with a brace.
TEMPLATE = """
{%- for tool in tools or [] %}{{ tool | tojson }}{% endfor %}
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}{{ message.content or '' }}
{%- for call in message.tool_calls or [] -%}
{{ '{"name": "' + call.function.name + '", "parameters": ' }}{{ call.function.arguments | tojson }}{{ '}' }}
{%- endfor %}{{ '<|im_end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
"""
SERVE = """
import json, sys
import xllamacpp
settings = json.loads(sys.argv[1])
params = xllamacpp.CommonParams()
params.model.path, params.port, params.api_keys = settings["weights"], settings["port"], [settings["key"]]
params.hostnames, params.chat_template, params.use_jinja = ["127.0.0.1"], settings["template"], True
params.n_ctx, params.n_parallel, params.endpoint_slots, params.verbosity = 4096, 1, True, -1
params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
LETTERS = {"llamacpp": {"grammar": "root ::= [a-z]+"}}  # noise is seldom UTF-8
ENDLESS = {"llamacpp": {"grammar": "root ::= [a-z]+", "ignore_eos": True}}
BRACE = {"llamacpp": {"logit_bias": [[3 + ord("{"), 100]]}}  # a token is a byte, after three of another kind
WEATHER = Tool(
    "get_weather",
    "The weather.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


class Mood(BaseModel):
    """A form for an answer."""

    mood: Literal["good", "bad"]


@dataclass
class Llama:
    """The server's process, and where it listens."""

    process: subprocess.Popen[str]
    url: str

    def client(self, **own: Any) -> Client:
        settings = {"base_url": f"{self.url}/v1", "api_key": {"env": "LLAMA_KEY"}, **own}
        return Client.from_config({"providers": {"llamacpp": settings}, "default": "llamacpp:any-name"})

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def begin(weights: Path, port: int = 0) -> Llama:
    settings = {"weights": str(weights), "port": port, "key": KEY, "template": TEMPLATE}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return Llama(process, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def llama(tiny_gguf: Path) -> Iterator[Llama]:
    """One server for all tests of this module."""
    running = begin(tiny_gguf)
    assert running.process.stdout is not None
    running.url = running.process.stdout.readline().strip()
    assert running.url.startswith("http://127.0.0.1:"), "the server did not start"
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)


def streamed(client: Client, messages: Any, **options: Any) -> Any:
    """The reply of a stream that was read to its end, and the text of its pieces."""
    with client.stream(messages, **options) as stream:
        said = "".join(event.text for event in stream if hasattr(event, "text"))
    assert said == stream.reply.text
    return stream.reply


def test_whole_and_streamed(llama: Llama) -> None:
    """The same answer in one piece and in many, with its usage, its end, and the name of whoever gave it."""
    with llama.client() as client:
        options = {"temperature": 0, "max_tokens": 40, "seed": 1, "extra": LETTERS}
        whole, pieces = client.chat("Say hello", **options), streamed(client, "Say hello", **options)
    assert whole.text == pieces.text
    assert (40, "length") == (len(whole.text), whole.finish_reason)
    assert [(28, 40), (28, 40)] == [(each.usage.input_tokens, each.usage.output_tokens) for each in (whole, pieces)]
    assert "tiny.gguf" == Path(whole.served_model or "").name
    assert [] == [warning.code for warning in (*whole.warnings, *pieces.warnings) if warning.code != "damaged_text"]


def test_stop_ends_it(llama: Llama) -> None:
    """A stop string ends the answer before it."""
    options = {"temperature": 0, "max_tokens": 40, "extra": LETTERS}
    with llama.client() as client:
        text = client.chat("Say hello", **options).text
        reply = client.chat("Say hello", stop=text[5:8], **options)
    assert (text[: text.index(text[5:8])], "stop") == (reply.text, reply.finish_reason)


def test_tools(llama: Llama) -> None:
    """A call that is required comes, whole and streamed, and the conversation goes on with its result."""
    options = {
        "tools": [WEATHER],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 200,
        "extra": BRACE,
    }
    with llama.client() as client:
        whole, pieces = client.chat("The weather?", **options), streamed(client, "The weather?", **options)
        for reply in (whole, pieces):
            (call,) = reply.tool_calls
            assert ("get_weather", {"city": "Oslo"}) == (call.name, call.arguments)
            assert "tool_calls" == reply.finish_reason
        (call,) = whole.tool_calls
        said = [Message("user", "The weather?"), whole.message, Message("tool", [ToolResult(call.id, "18 C")])]
        after = client.chat(said, tools=[WEATHER], tool_choice="none", max_tokens=5)
    assert 5 == after.usage.output_tokens


def test_a_form(llama: Llama) -> None:
    """A schema is held to, even by noise; whole and streamed."""
    with llama.client() as client:
        for reply in (
            client.chat("How are you?", response_format=Mood, max_tokens=300),
            streamed(client, "How are you?", response_format=Mood, max_tokens=300),
        ):
            assert isinstance(reply.parsed, Mood)
            assert "stop" == reply.finish_reason


def test_an_unfinished_answer(llama: Llama) -> None:
    """What is gone on with is no part of the answer, though the server says it again where it is whole."""
    said = [Message("user", "Count."), Message("assistant", "One, two,")]
    options = {"prefill": True, "temperature": 0, "max_tokens": 8, "extra": {"llamacpp": {"logit_bias": [[100, 100]]}}}
    with llama.client() as client:
        whole, pieces = client.chat(said, **options), streamed(client, said, **options)
    with llama.client(options={"prefill": {"echoes": False}}) as client:
        untold = client.chat(said, **options)
    assert ["a" * 8] * 2 == [whole.text, pieces.text]
    assert "One, two," + "a" * 8 == untold.text


BAD_SCHEMA = {"type": "object", "properties": {"n": {"$ref": "https://nowhere.invalid/n.json"}}}


@pytest.mark.parametrize(
    ("messages", "options", "kind", "said"),
    [
        ("x" * 5000, {}, ContextTooLong, "exceeds the available context size"),
        ("Hi", {"response_format": BAD_SCHEMA}, CapabilityMismatch, "JSON schema error"),
        ("Hi", {"extra": {"llamacpp": {"grammar": "root ::= ["}}}, CapabilityMismatch, "failed to parse grammar"),
        (
            [Message("user", [Text("?"), Image(data=PIXEL, media_type="image/png")])],
            {},
            CapabilityMismatch,
            "image input is not supported.*--mmproj",
        ),
    ],
    ids=["too_long", "schema", "grammar", "image"],
)
def test_refusals(llama: Llama, messages: Any, options: dict[str, Any], kind: type[LLMSwitchError], said: str) -> None:
    """What the server refuses is classified by its words, whole and streamed."""
    with llama.client() as client, pytest.raises(kind, match=said):
        client.chat(messages, **options)
    with llama.client() as client, pytest.raises(kind, match=said):
        streamed(client, messages, **options)


def test_a_wrong_key(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another key is refused, and shown nowhere."""
    monkeypatch.setenv("LLAMA_KEY", "CANARY-other-key-0123456789")
    with llama.client() as client, pytest.raises(AuthInvalid) as caught:
        client.chat("Hi")
    assert "CANARY" not in f"{caught.value}{caught.value!r}"


def test_vectors(llama: Llama) -> None:
    """Each text gets its vector, whoever else is asked beside it; what is longer than the window is refused."""
    with llama.client() as client:
        both, one = client.embed(["Oslo", "Rome"]), client.embed("Rome")
        with pytest.raises(ContextTooLong):
            client.embed("x" * 5000)
    assert (2, 64) == (len(both.vectors), both.dimensions)
    assert one.vectors[0] == pytest.approx(both.vectors[1], abs=1e-3)
    assert both.vectors[0] != pytest.approx(both.vectors[1], abs=1e-2)
    assert (8, 4) == (both.usage.input_tokens, one.usage.input_tokens)


def test_the_window_runs_out(llama: Llama) -> None:
    """An answer that the window cuts ends with `length`."""
    with llama.client() as client:
        reply = client.chat("x" * 4000, max_tokens=300, extra=ENDLESS)
    assert ("length", 4096) == (reply.finish_reason, (reply.usage.input_tokens or 0) + (reply.usage.output_tokens or 0))


def test_a_stream_that_is_left(llama: Llama) -> None:
    """Whoever leaves a stream in its midst stops the server's work on it."""

    def busy() -> bool:
        slots = httpx.get(f"{llama.url}/slots", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
        return any(slot["is_processing"] for slot in slots)

    with llama.client() as client:
        with client.stream("Hi", max_tokens=4000, extra=ENDLESS) as stream:
            next(iter(stream))
            assert busy()
        assert within(5, lambda: not busy())
        assert 5 == client.chat("Hi", max_tokens=5).usage.output_tokens


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.skipif(os.name != "posix", reason="a port that was free a moment ago")
def test_while_it_loads(tmp_path: Path, write_gguf: Callable[..., None]) -> None:
    """Before it listens, the error says what to start; while it loads, it is overloaded; then it answers."""
    weights = tmp_path / "wide.gguf"
    write_gguf(weights, feed_forward=100_000)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = begin(weights, port)
    said: list[str] = []

    def answered() -> bool:
        with running.client() as client:
            try:
                client.chat("Hi", max_tokens=1, timeout=0.5)
            except (ConnectFailed, Overloaded) as problem:
                said.append(problem.message)
                return False
            return True

    try:
        assert within(20, answered)
    finally:
        running.stop()
    assert "`llama-server -m MODEL.gguf` starts it" in said[0]
    assert "Loading model" in said[-1]
