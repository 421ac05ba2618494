"""The suite that every provider passes. What one says that it can't do, it has to refuse clearly."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

import httpx
import pytest

from llmswitch import _errors
from llmswitch._adapter import HTTPRequest
from llmswitch._client import AsyncClient, Client
from llmswitch._config_file import Loaded
from llmswitch._endpoints import signer
from llmswitch._errors import CapabilityMismatch, LLMSwitchError, StreamInterrupted
from llmswitch._json import dumps, loads
from llmswitch._messages import Text, ToolCall
from llmswitch._registry import provider as find_provider
from llmswitch._registry import provider_names
from llmswitch._reply import ChatReply
from llmswitch._setup import Setup
from llmswitch._target import Target
from llmswitch._vendor_wire import Answer, Heard, VendorWire

from ._answers import ANSWERS
from ._conversations import CONVERSATIONS, NOW, WEATHER, Conversation
from ._likeness import assert_adds_up, assert_heard, assert_same
from ._vendor import FakeVendor, cuts, respond
from ._waits import instant_waits

__all__ = ["ProviderSuite", "hear", "suite_keys"]

_KEY = "CANARY-key-5d41402abc4b2a76.71d211e9f6c54b1c"
_ID = "CANARY-id-c20ad4d76fe97759"
_PROMPT = "CANARY-prompt-b9719d911017c592"

# What everybody's statuses mean, unless the provider's own file says otherwise.
_STATUSES = {
    401: "AuthInvalid",
    402: "Arrears",
    404: "ModelGone",
    429: "RateLimited",
    500: "ServerError",
    503: "Overloaded",
}


class ProviderSuite:
    """
    Subclass it with `provider = "NAME"`; `model` is any model of it, by default its default one.

    `config` is what stands under `[providers.NAME]`: a site or a version, say. `byte_by_byte`: whether streams also
    arrive so, which takes the longest.
    """

    provider: ClassVar[str]
    model: ClassVar[str | None] = None
    config: ClassVar[dict[str, Any]] = {}
    byte_by_byte: ClassVar[bool] = True

    # Making what is tested

    @property
    def target_name(self) -> str:
        model = self.model or find_provider(self.provider).default_model or "some-model"
        return f"{self.provider}:{model}"

    @property
    def target(self) -> Target:
        return _target(self.target_name, repr(sorted(self.config.items())), self._configuration)

    @classmethod
    def _configuration(cls) -> dict[str, Any]:
        spec = find_provider(cls.provider)
        own = dict(cls.config)
        if spec.server is not None:
            own["base_url"] = "http://127.0.0.1:1/v1"
        site = spec.sites.get(own.get("site") or spec.site)
        if site is not None and "{resource}" in site.base_url:
            own.setdefault("resource", "the-resource")
        own["api_key"] = {"env": "LLMSWITCH_SUITE_KEY"}
        scheme = own.get("scheme") or spec.scheme
        auth = spec.schemes[scheme] if scheme is not None else spec.auth
        if auth is not None and auth.signer is not None:
            kind = signer(auth)
            own["credentials"] = {
                part: {"env": "LLMSWITCH_SUITE_ID" if part in kind.shown else "LLMSWITCH_SUITE_KEY"}
                for part in kind.parts
                if part not in kind.optional
            }
        return {"providers": {cls.provider: own}}

    @property
    def wire(self) -> VendorWire:
        adapter = self.target.adapter
        module, _, name = adapter.wire.partition(":")
        made: VendorWire = getattr(importlib.import_module(module), name)(adapter.options, adapter.capabilities)
        return made

    @pytest.fixture(autouse=True)
    def _key(self) -> Iterator[None]:
        with suite_keys(), instant_waits():
            yield

    def client(self, answer: Callable[[httpx.Request], httpx.Response]) -> tuple[Client, FakeVendor]:
        vendor = FakeVendor(answer, self._grant)
        return Client.from_config({**self._configuration(), "default": self.target_name}, http_client=vendor), vendor

    def able(self, need: str) -> bool:
        """Whether the provider says that it can do this."""
        record = self.target.adapter.capabilities
        name, _, value = need.partition(":")
        found = getattr(record, name, None)
        if found is None:
            return bool(getattr(self.wire, name)) and (name != "several_calls" or record.tools)
        if need == "reasoning:off" and not found:
            return not record.thinks_unasked  # a model that does not think needs no switch
        return value in found if value else bool(found)

    # Requests

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize("name", CONVERSATIONS)
    def test_the_vendor_hears_what_the_caller_said(self, name: str, stream: bool) -> None:
        """The request, read as the vendor reads it, says what the caller said; what can't be said is refused."""
        conversation = CONVERSATIONS[name]
        answer = _fitting(conversation)
        client, vendor = self.client(lambda request: self._answered(request, answer))
        lacking = [need for need in conversation.needs if not self.able(need)]
        if lacking:
            with pytest.raises(CapabilityMismatch) as refused:
                _run(client, conversation, stream=stream)
            assert self.provider in str(refused.value)
            assert vendor.requests == [], "bytes were sent before the refusal"
            return
        _run(client, conversation, stream=stream)
        assert len(vendor.requests) == 1
        heard = hear(self.wire, vendor.requests[0])
        assert heard.stream == self.target.adapter.asks_stream(stream=stream)
        assert_heard(heard, conversation, self.target, self.wire)

    def test_the_key_goes_where_it_belongs(self) -> None:
        """
        The key is in the one header that the provider names, and nowhere else in the request; one that signs is nowhere
        in it, and in no address.
        """
        client, vendor = self.client(lambda request: self._answered(request, ANSWERS["text"]))
        client.chat(_PROMPT)
        (request,) = vendor.requests
        auth = self.target.endpoint.auth
        assert auth is not None
        if auth.signer is not None:
            assert all(_KEY not in str(request.url.raw_path) for request in (*vendor.renewals, request))
            assert _KEY not in " ".join(request.headers.values())
            assert _KEY.encode() not in request.content
            return
        assert request.headers[auth.header] == auth.prefix + _KEY
        others = [value for name, value in request.headers.items() if name.lower() != auth.header.lower()]
        assert _KEY not in " ".join(others)
        assert _KEY not in str(request.url)
        assert _KEY.encode() not in request.content

    def test_extra_fields_reach_this_provider_alone(self) -> None:
        """`extra` is merged into the body of the provider that it names, and of no other."""
        client, vendor = self.client(lambda request: self._answered(request, ANSWERS["text"]))
        other = next(name for name in provider_names() if name != self.provider)
        client.chat("Hi", extra={self.provider: {"suite_field": [1, 2]}, other: {"foreign_field": True}})
        body = loads(vendor.requests[0].content)
        assert body["suite_field"] == [1, 2]
        assert "foreign_field" not in body

    # Answers

    @pytest.mark.parametrize("name", ANSWERS)
    def test_a_whole_answer_comes_back_as_it_was_given(self, name: str) -> None:
        """Text, reasoning, calls, finish reason and usage of an answer in one piece are the vendor's."""
        answer = self._possible(name)
        client, _ = self.client(lambda request: self._answered(request, answer, stream=False))
        assert_same(client.chat("Hi", **_offering(answer)), self.wire.expected(answer))

    @pytest.mark.parametrize("name", ANSWERS)
    def test_a_stream_is_the_same_however_it_is_cut(self, name: str) -> None:
        """At every chunking the events add up to the reply, and the reply is the vendor's answer."""
        answer = self._possible(name)
        for way, chunks in cuts(self.wire.stream(answer)).items():
            if way == "per_byte" and not self.byte_by_byte:
                continue
            client, _ = self.client(_giving(200, self.wire.content_type, chunks))
            with client.stream("Hi", **_offering(answer)) as stream:
                events = list(stream)
            assert stream.reply.attempts[-1].ok, way
            assert_same(stream.reply, self.wire.expected(answer))
            assert_adds_up(events, stream.reply)

    @pytest.mark.parametrize("name", ["text", "one_call"])
    def test_async_gives_the_same(self, name: str) -> None:
        """The async client gives the same reply and the same events as the sync one."""
        answer = self._possible(name)

        async def both() -> tuple[ChatReply, ChatReply]:
            vendor = FakeVendor(lambda request: self._answered(request, answer), self._grant)
            client = AsyncClient.from_config({**self._configuration(), "default": self.target_name}, http_client=vendor)
            whole = await client.chat("Hi", **_offering(answer))
            async with client.stream("Hi", **_offering(answer)) as stream:
                events = [event async for event in stream]
            assert_adds_up(events, stream.reply)
            return whole, stream.reply

        for reply in asyncio.run(both()):
            assert_same(reply, self.wire.expected(answer))

    def test_a_stream_that_is_cut_is_never_an_answer(self) -> None:
        """A stream that ends before its terminator is an error with what had arrived, wherever it is cut."""
        answer = ANSWERS["text"]
        events = self.wire.stream(answer)
        ends = next(number for number in range(1, len(events) + 1) if self._is_whole(events[:number]))
        for number in range(ends):
            client, _ = self.client(_giving(200, self.wire.content_type, events[:number]))
            with pytest.raises(LLMSwitchError) as caught, client.stream("Hi") as stream:
                for _event in stream:
                    pass
            assert isinstance(caught.value, (StreamInterrupted, _errors.MalformedResponse))
            if isinstance(caught.value, StreamInterrupted) and caught.value.partial is not None:
                assert "Hello, world.".startswith(caught.value.partial.text)
        assert ends > 1

    def _is_whole(self, events: list[bytes]) -> bool:
        client, _ = self.client(_giving(200, self.wire.content_type, events))
        try:
            with client.stream("Hi") as stream:
                for _event in stream:
                    pass
        except (StreamInterrupted, _errors.MalformedResponse):
            return False
        return True

    # Failures

    def test_every_code_of_the_provider_gives_its_class(self) -> None:
        """Each code and type in the provider's own error table, on its wire, gives the class that stands beside it."""
        for rule in find_provider(self.provider).errors:
            for status in rule.status or (400,):
                for code in rule.code or (None,):
                    for kind in rule.type or (None,):
                        if (code or kind) and not rule.text:
                            self._expect(rule.becomes, status, code, kind)

    @pytest.mark.parametrize("status", _STATUSES)
    def test_every_status_gives_its_class(self, status: int) -> None:
        """A refusal that says nothing but its status is classified by it."""
        self._expect(_STATUSES[status], status, None, None)

    def _expect(self, becomes: str, status: int, code: str | None, kind: str | None) -> None:
        body = self.wire.error(status, code, kind, f"it went wrong; you sent {_KEY}")
        client, _ = self.client(_giving(status, "application/json", [body]))
        with pytest.raises(LLMSwitchError) as caught:
            client.chat(_PROMPT, timeout=3)
        error = caught.value
        assert (becomes, status, code, kind) == (type(error).__name__, status, code, kind)
        assert issubclass(type(error), getattr(_errors, becomes))
        assert error.status == status
        assert error.target == self.target_name
        assert _KEY not in f"{error} {error!r} {error.attempts!r}"
        assert _PROMPT not in f"{error} {error!r} {error.attempts!r}"

    def test_an_error_inside_a_stream_is_an_error(self) -> None:
        """An error event after the answer began raises `StreamInterrupted` with what had arrived."""
        events = self.wire.stream(ANSWERS["long_text"])
        broken = [*events[: len(events) // 2], self.wire.stream_error(None, None, "it went wrong")]
        client, _ = self.client(_giving(200, self.wire.content_type, broken))
        with pytest.raises(StreamInterrupted) as caught, client.stream("Hi") as stream:
            for _event in stream:
                pass
        assert caught.value.partial is not None
        assert ("word " * 60).startswith(caught.value.partial.text)
        assert caught.value.partial.text

    @pytest.mark.parametrize(
        ("status", "content_type", "body"),
        [
            (200, "text/html", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
            (200, "application/json", b""),
            (200, "application/json", b'{"choices": [], "content": null}'),
            (200, "application/json", b'{"cut": '),
            (200, "application/json", b"[" * 100_000),
            (200, "application/json", b'{"n": NaN}'),
            (200, "application/json", b"9" * 10_000),
            (204, "", b""),
        ],
        ids=["html", "nothing", "no_answer", "cut", "deep", "nan", "long_number", "no_content"],
    )
    def test_what_is_no_answer_is_said_to_be_none(self, status: int, content_type: str, body: bytes) -> None:
        """A 200 that holds no answer is `MalformedResponse`, whatever it holds."""
        client, _ = self.client(_giving(status, content_type, [body]))
        with pytest.raises(_errors.MalformedResponse):
            client.chat("Hi", timeout=3)

    # Playing the vendor

    def _answered(self, request: httpx.Request, answer: Answer, *, stream: bool | None = None) -> httpx.Response:
        wire = self.wire
        if stream if stream is not None else wire.asks_stream(_plain(request)):
            return respond(200, wire.content_type, wire.stream(answer))
        return respond(200, "application/json", [dumps(wire.reply(answer))])

    def _grant(self, request: httpx.Request) -> httpx.Response | None:
        """The answer to a request for a token, where it is one."""
        credential = self.target.endpoint.credential
        if credential is None or not credential.granted:
            return None
        renewal = credential.renewal(0.0)
        if str(request.url.copy_with(query=None)) != renewal.base_url + renewal.request.path.partition("?")[0]:
            return None
        return respond(200, "application/json", [credential.granted])

    def _possible(self, name: str) -> Answer:
        answer = ANSWERS[name]
        lacking = [need for need in answer.needs if not self.able(need)]
        if lacking:
            pytest.skip(f"{self.provider} does not give such an answer ({', '.join(lacking)})")
        return answer


def hear(wire: VendorWire, request: httpx.Request) -> Heard:
    """What the vendor understands of a request. Raises `AssertionError` where it would refuse it."""
    return wire.hear_request(_plain(request))


def _plain(request: httpx.Request) -> HTTPRequest:
    """What was sent, as a vendor reads it: headers in lower case, with the path of the address and its query."""
    return HTTPRequest(request.url.raw_path.decode(), request.content, dict(request.headers), request.method)


@contextmanager
def suite_keys() -> Iterator[None]:
    """Within this block the environment holds the keys that the suite's configurations name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMSWITCH_SUITE_KEY", _KEY)
        patch.setenv("LLMSWITCH_SUITE_ID", _ID)
        yield


@cache
def _target(name: str, _config: str, configuration: Callable[[], dict[str, Any]]) -> Target:
    with suite_keys():
        return Setup(Loaded.from_mapping(configuration()), name).chain(None).targets[0]


def _run(client: Client, conversation: Conversation, *, stream: bool) -> None:
    if not stream:
        client.chat(list(conversation.messages), **conversation.options)
        return
    with client.stream(list(conversation.messages), **conversation.options) as running:
        for _event in running:
            pass


def _giving(status: int, content_type: str, chunks: Sequence[bytes]) -> Callable[[httpx.Request], httpx.Response]:
    """A vendor that answers everything in the same way."""
    return lambda _request: respond(status, content_type, chunks)


def _offering(answer: Answer) -> dict[str, Any]:
    """The tools that an answer calls have to be in the request."""
    return {"tools": [WEATHER, NOW]} if any(isinstance(part, ToolCall) for part in answer.parts) else {}


def _fitting(conversation: Conversation) -> Answer:
    """An answer of the form that the conversation asks for."""
    if conversation.options.get("response_format") is not None:
        return Answer((Text('{"name": "Paris", "population": 2102650, "n": 1}'),))
    return ANSWERS["text"]
