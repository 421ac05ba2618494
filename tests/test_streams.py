"""A stream as its caller holds it: what it gives, when it is whole, and how it begins anew where that was chosen."""

from __future__ import annotations

import httpx
import pytest

from llmswitch import (
    AllTargetsFailed,
    Client,
    Finish,
    Hooks,
    IncompleteToolCall,
    InvalidRequest,
    LLMSwitchError,
    StreamInterrupted,
    StreamReset,
    TextDelta,
    ToolArgumentsInvalid,
    ToolCallDone,
)
from llmswitch.providers.openai_reply import ChatCompletionsDecoder
from llmswitch.testing import FakeVendor

SSE = {"content-type": "text/event-stream"}


def chunk(text: str, finish: str | None = None) -> bytes:
    end = f'"{finish}"' if finish else "null"
    return f'data: {{"choices":[{{"delta":{{"content":"{text}"}},"finish_reason":{end}}}]}}\n\n'.encode()


CALL = (
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]},'
    b'"finish_reason":"tool_calls"}]}\n\n'
)
WHOLE = chunk("one") + chunk(" two", "stop") + b"data: [DONE]\n\n"
BROKEN = chunk("on") + b'data: {"error":{"message":"overloaded","type":"overloaded_error","code":"slow_down"}}\n\n'


def client(*bodies: bytes, policy: str = "raise") -> Client:
    """A chain of as many targets as there are bodies, each answering with its own."""
    names = [f"t{number}" for number in range(len(bodies))]
    by_host = {f"{name}.local": body for name, body in zip(names, bodies, strict=True)}
    vendor = FakeVendor(lambda request: httpx.Response(200, headers=SSE, content=by_host[request.url.host]))
    config = {
        "providers": {name: {"dialect": "openai", "base_url": f"http://{name}.local/v1"} for name in names},
        "chains": {"c": {"targets": [f"{name}:m" for name in names], "on_stream_failure": policy}},
        "default": "c",
    }
    return Client.from_config(config, http_client=vendor)


def test_events_then_the_reply():
    """A stream gives text as it comes, then Finish; then `.reply` is all of it."""
    with client(WHOLE).stream("Hi") as stream:
        with pytest.raises(LLMSwitchError, match="has not ended"):
            _ = stream.reply
        events = list(stream)
    assert [TextDelta("one"), TextDelta(" two")] == events[:2]
    assert isinstance(events[2], Finish)
    assert "one two" == stream.reply.text
    assert [] == list(stream)


def test_plain_text():
    """`.text` gives just the text."""
    assert ["one", " two"] == list(client(WHOLE).stream("Hi").text)


def test_nothing_is_sent_before_the_first_event_is_asked_for():
    """Making a stream sends nothing."""
    made = client(WHOLE)
    made.stream("Hi")
    assert [] == made._connections._given.requests


def test_the_default_raises_what_came():
    """After the first word a failure raises, with the class of the cause kept."""
    with pytest.raises(StreamInterrupted) as caught, client(BROKEN, WHOLE).stream("Hi") as stream:
        list(stream)
    assert "on" == caught.value.partial.text
    assert "Overloaded" == type(caught.value.__cause__).__name__
    assert ["Overloaded"] == [attempt.error for attempt in caught.value.attempts]


def test_restart_begins_anew_elsewhere():
    """With restart the caller is told to throw away what came, and gets the whole answer from the next target."""
    with client(BROKEN, WHOLE, policy="restart").stream("Hi") as stream:
        events = list(stream)
    assert [TextDelta("on"), StreamReset("Overloaded", 2, "t1:m"), TextDelta("one"), TextDelta(" two")] == events[:4]
    assert "one two" == stream.reply.text
    assert ["Overloaded", None] == [attempt.error for attempt in stream.reply.attempts]


def test_restart_with_nobody_left_raises_what_came():
    """Where no target is left to begin anew at, the broken answer is what is raised."""
    with pytest.raises(StreamInterrupted) as caught, client(BROKEN, b"", policy="restart").stream("Hi") as stream:
        list(stream)
    assert "on" == caught.value.partial.text


def test_a_call_that_was_handed_over_is_not_asked_for_twice():
    """After a whole tool call nothing begins anew: it may have been run."""
    broken = CALL + b'data: {"error":{"message":"overloaded","code":"slow_down"}}\n\n'
    stream = client(broken, WHOLE, policy="restart").stream("Hi")
    events = []
    with pytest.raises(StreamInterrupted) as caught:
        events.extend(stream)
    assert ["f"] == [call.name for call in caught.value.partial.tool_calls]
    assert not [event for event in events if isinstance(event, StreamReset)]


def test_plain_text_cannot_begin_anew():
    """`.text` refuses a chain whose answers may begin anew, before anything is sent."""
    with pytest.raises(InvalidRequest, match="StreamReset"):
        _ = client(WHOLE, policy="restart").stream("Hi").text


def test_before_the_first_word_the_caller_sees_nothing():
    """A preamble and then an error: the next target answers, and no event tells of it."""
    preamble = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
    error = b'data: {"error":{"message":"boom","code":"server_is_overloaded"}}\n\n'
    with client(preamble + error, WHOLE).stream("Hi") as stream:
        assert [TextDelta("one"), TextDelta(" two")] == list(stream)[:2]
    assert "t1" == stream.reply.provider


def test_a_chain_that_fails_says_it():
    """With no answer from anybody a stream raises as a call does."""
    with pytest.raises(AllTargetsFailed), client(b"", b"").stream("Hi") as stream:
        list(stream)


def test_a_call_is_done_before_the_end():
    """A tool call is handed over as soon as it is whole."""
    with client(CALL + b"data: [DONE]\n\n").stream("Hi") as stream:
        kinds = [type(event) for event in stream]
    assert ToolCallDone in kinds
    assert Finish is kinds[-1]


def test_a_whole_answer_that_the_limit_cut_in_a_call():
    """A tool call cut by the token limit is `IncompleteToolCall` with the rest of the answer; nobody else is asked."""
    call = {"id": "1", "function": {"name": "f", "arguments": '{"a": '}}
    choice = {"message": {"content": "Let me", "tool_calls": [call]}, "finish_reason": "length"}
    vendor = FakeVendor(lambda request: httpx.Response(200, json={"choices": [choice]}))
    config = {"providers": {"a": {"dialect": "openai", "base_url": "http://a.local"}}, "default": "a:m,a:n"}
    with pytest.raises(IncompleteToolCall, match="raise max_tokens") as caught:
        Client.from_config(config, http_client=vendor).chat("Hi")
    assert "Let me" == caught.value.reply.text
    assert 1 == len(vendor.requests)
    assert 1 == len(caught.value.attempts)


def test_arguments_that_are_no_object():
    """Arguments that are not a JSON object are `ToolArgumentsInvalid` with the vendor's text, and are not run."""
    call = {"id": "1", "function": {"name": "f", "arguments": "[1]"}}
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    vendor = FakeVendor(lambda request: httpx.Response(200, json={"choices": [choice]}))
    config = {"providers": {"a": {"dialect": "openai", "base_url": "http://a.local"}}, "default": "a:m"}
    with pytest.raises(ToolArgumentsInvalid) as caught:
        Client.from_config(config, http_client=vendor).chat("Hi")
    assert "[1]" == caught.value.raw_arguments


def test_a_server_of_ones_own_speaks_as_the_dialects_author_does():
    """A provider that is only a dialect and an address sends the headers and the key as the dialect's author wants."""
    vendor = FakeVendor(lambda request: httpx.Response(500))
    config = {"providers": {"mine": {"dialect": "anthropic", "base_url": "http://a.local/v1"}}, "default": "mine:m"}
    with pytest.raises(LLMSwitchError):
        Client.from_config(config, http_client=vendor).chat("Hi", timeout=1)
    assert "2023-06-01" == vendor.requests[0].headers["anthropic-version"]
    assert "http://a.local/v1/messages" == str(vendor.requests[0].url)


class Pieces(httpx.SyncByteStream):
    """Each of its chunks comes alone."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self):
        return iter(self._pieces)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_whatever_a_dialect_stumbles_over_reaches_everybody(monkeypatch: pytest.MonkeyPatch, at: int):
    """An error that nobody foresaw is the caller's and the hooks', also in an event that goes by quickly."""
    read, left = ChatCompletionsDecoder.read_chunk, [at]

    def stumbles(decoder, body):
        left[0] -= 1
        return read(decoder, body) if left[0] else 1 / 0

    monkeypatch.setattr(ChatCompletionsDecoder, "read_chunk", stumbles)
    heard = []

    class Ear:
        def began(self):
            pass

        def ended(self, attempts, reply, error):
            heard.append((type(error), len(attempts)))

    body = Pieces(*(chunk(f"{number} ") for number in range(3)), chunk("end", "stop"), b"data: [DONE]\n\n")
    vendor = FakeVendor(lambda _: httpx.Response(200, headers=SSE, stream=body))
    config = {"default": "t:m", "providers": {"t": {"dialect": "openai", "base_url": "http://t.local/v1"}}}
    stream = Client.from_config(config, http_client=vendor, hooks=Hooks(on_call=lambda _: Ear())).stream("Hi")
    with pytest.raises(ZeroDivisionError):
        list(stream)
    assert [(ZeroDivisionError, 1)] == heard
