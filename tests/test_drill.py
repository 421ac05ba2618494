"""The outage drill: a provider fails in the named way, in any program, loudly, and without a packet sent to it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import httpx
import pytest

from llmswitch import AsyncClient, Client, ConfigError, LLMSwitchError, StreamInterrupted, TextDelta
from llmswitch.testing import FakeVendor
from tests.rows import rows

OK = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
CHAIN = {
    "providers": {
        name: {"api_key": {"env": "DRILL_KEY"}, "base_url": f"http://{name}.local"}
        for name in ("openai", "zhipu", "anthropic")
    }
}


def vendor() -> FakeVendor:
    sse = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'

    def answer(request: httpx.Request) -> httpx.Response:
        if b'"stream":true' in request.content:
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=sse)
        return httpx.Response(200, json=OK)

    return FakeVendor(answer)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("DRILL_KEY", "sk-0123456789")


FAULTS = {
    "region_blocked": "RegionBlocked",
    "quota": "QuotaExhausted",
    "arrears": "Arrears",
    "bad_key": "AuthInvalid",
    "rate_limit:30s": "RateLimited",
    "overloaded": "Overloaded",
    "model_gone": "ModelGone",
    "refused": "ConnectFailed",
    "dns": "ConnectFailed",
    "bad_certificate": "TLSInvalid",
    "reset": "NoResponse",
    "garbage": "MalformedResponse",
    "cut_after:0": None,
    "empty": None,
}


@rows("stream", [False, True], ids=["whole", "stream"])
@rows("provider", ["openai", "zhipu", "anthropic"])
@rows(("fault", "becomes"), FAULTS.items())
def test_the_drilled_provider_fails_and_the_next_answers(monkeypatch, caplog, provider, fault, becomes, stream):
    """Each fault, at each dialect: its class in the trail, the next one answers, no packet to the drilled."""
    caplog.clear()
    monkeypatch.setenv("LLMSWITCH_DRILL", f"{provider}={fault}")
    other = "openai" if provider != "openai" else "zhipu"
    models = {"openai": "gpt-4.1", "zhipu": "glm-4.6", "anthropic": "claude-haiku-4-5"}
    heard = vendor()
    chain = [f"{name}:{models[name]}" for name in (provider, other)]
    with caplog.at_level(logging.WARNING, "llmswitch"):
        client = Client.from_config(CHAIN, chain, http_client=heard)
        if stream:
            with client.stream("Hi") as running:
                list(running)
            reply = running.reply
        else:
            reply = client.chat("Hi")
    assert other == reply.provider
    assert becomes in (None, reply.attempts[0].error)
    assert {f"{other}.local"} == {request.url.host for request in heard.requests}
    assert "drill" == reply.warnings[0].code
    assert f"{provider}={fault.removesuffix('s')}" in reply.warnings[0].message
    assert all("drill" in record.message for record in caplog.records)
    assert len(caplog.records) >= 2


# Who signs requests or fetches a token first, and asks for a stream elsewhere than in `stream`.
SIGNING = {
    "wenxin": {"client_id": {"env": "DRILL_KEY"}, "client_secret": {"env": "DRILL_KEY"}},
    "tencent-native": {"secret_id": {"env": "DRILL_KEY"}, "secret_key": {"env": "DRILL_KEY"}},
    "dashscope-native": {},
}


@rows("dialect", SIGNING)
@rows("fault", ["region_blocked", "quota", "arrears", "rate_limit", "reset"])
def test_a_provider_that_proves_who_asks(monkeypatch, dialect, fault):
    """Its token is played too, as given, and the fault is that of the request; a cut stream begins as one."""
    own = {"credentials": SIGNING[dialect]} if SIGNING[dialect] else {"api_key": {"env": "DRILL_KEY"}}
    own = {**own, "dialect": dialect, "base_url": "https://vendor.example.com"}
    heard = vendor()
    monkeypatch.setenv("LLMSWITCH_DRILL", f"a={fault}")
    config = {"providers": {**CHAIN["providers"], "a": own}}
    reply = Client.from_config(config, ["a:m", "openai:m"], http_client=heard).chat("Hi")
    assert FAULTS.get(fault, "RateLimited") == reply.attempts[0].error
    monkeypatch.setenv("LLMSWITCH_DRILL", "a=cut_after:9")
    with pytest.raises(StreamInterrupted) as caught:
        list(Client.from_config(config, "a:m", http_client=heard).stream("Hi"))
    assert caught.value.partial.text.startswith("drill: word")
    assert {"openai.local"} == {request.url.host for request in heard.requests}


@pytest.mark.parametrize("provider", ["openai", "zhipu", "anthropic"])
def test_a_stream_is_cut_after_so_many_pieces(monkeypatch, provider):
    """`cut_after:N` gives a beginning of an answer and then breaks off."""
    monkeypatch.setenv("LLMSWITCH_DRILL", f"{provider}=cut_after:20")
    client = Client.from_config(CHAIN, f"{provider}:m", http_client=vendor())
    pieces = []
    with pytest.raises(StreamInterrupted, match="drill") as caught, client.stream("Hi") as stream:
        pieces.extend(event.text for event in stream if isinstance(event, TextDelta))
    assert caught.value.partial.text.startswith("drill: word word")
    assert 10 <= caught.value.attempts[0].characters // 7 <= 24


def test_a_hang_lasts_as_long_as_the_limit():
    """`hang` is silence until the time limit, and counts as such."""
    config = {**CHAIN, "drill": {"openai": "hang"}}
    client = Client.from_config(config, ["openai:gpt-4.1", "zhipu:glm-4.6"], http_client=vendor())
    reply = client.chat("Hi", timeout=0.4)
    assert ["FirstTokenTimeout", None] == [attempt.error for attempt in reply.attempts]
    assert 150 <= reply.attempts[0].end_ms <= 350


def test_async_and_in_config():
    """`[drill]` in the configuration does the same, async as well."""

    async def ask() -> str:
        config = {**CHAIN, "drill": {"openai": "refused"}}
        client = AsyncClient.from_config(config, ["openai:gpt-4.1", "zhipu:glm-4.6"], http_client=vendor())
        return (await client.chat("Hi")).provider

    assert "zhipu" == asyncio.run(ask())


@pytest.mark.parametrize(
    ("drill", "said"),
    [
        ("opnai=refused", "no provider is named 'opnai'"),
        ("openai=refusd", "did you mean 'refused'"),
        ("openai=refused:5", "a number from 0"),
        ("openai=cut_after:many", "a number from 0"),
        ("openai", "no fault is named ''"),
    ],
)
def test_a_drill_that_cannot_be_meant(monkeypatch, drill, said):
    """An unknown provider or fault is a configuration error: a drill that does nothing would lull."""
    monkeypatch.setenv("LLMSWITCH_DRILL", drill)
    with pytest.raises(ConfigError, match=said):
        Client.from_config(CHAIN, "openai:gpt-4.1", http_client=vendor())


@pytest.mark.slow
def test_a_drill_needs_no_test_tools(monkeypatch):
    """The drill works where pytest is not installed."""
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from llmswitch import Client, LLMSwitchError\n"
        "try: Client('openai:gpt-4.1').chat('Hi')\n"
        "except LLMSwitchError as error: print(type(error).__name__)\n"
    )
    monkeypatch.setenv("LLMSWITCH_DRILL", "openai=region_blocked")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "RegionBlocked\n" == done.stdout
    assert "a drill is on" in done.stderr


def test_every_error_says_that_it_is_a_drill():
    """An error of a drilled provider says so in its text."""
    for fault in ("refused", "region_blocked", "reset", "bad_key"):
        client = Client.from_config({**CHAIN, "drill": {"openai": fault}}, "openai:gpt-4.1", http_client=vendor())
        with pytest.raises(LLMSwitchError, match="drill"):
            client.chat("Hi")
