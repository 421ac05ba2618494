"""The bench of the fault rows: a chain over real sockets, T1 that fails and T2 that answers, asked in four ways."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import pytest

from llmswitch import AsyncClient, Client, LLMSwitchError
from llmswitch._async_network import AsyncStream
from llmswitch._events import ChatEvent, Finish, TextDelta
from llmswitch._network import Stream
from llmswitch._reply import Attempt, ChatReply
from llmswitch.testing.fault_server import (
    FaultServer,
    ReadRequest,
    Received,
    Respond,
    Step,
    response,
    sse,
    sse_head,
)

T = TypeVar("T")
Script = Sequence[Step]
JSON = dict[str, Any]

ENGINE = os.environ.get("LLMSWITCH_TEST_ENGINE", "httpx")
"""The HTTP library beneath every client of these tests."""

LIBRARY = "httpx" if ENGINE == "httptools" else ENGINE
"""That of a client that is brought along: the engine `httptools` has none."""

pooled = pytest.mark.skipif(ENGINE == "httptools", reason="it has no pool: as many connections as calls")
"""What can happen in a library's own pool alone."""

KEY = "CANARY-key-6f1ed002ab5595859014ebf0951522d9"
PROMPT = "CANARY-prompt-1c383cd30b7c298ab50293adfecb7b18"
HEALTHY = "the answer of T2"
DONE = "[DONE]"

PATIENT = {"timeout": 30.0, "first_token_timeout": 10.0, "idle_timeout": 10.0, "connect_timeout": 5.0}
# For servers that hang: a whole answer of T1 may take half of the time, a stream may begin 0.15 s late.
IMPATIENT = {"timeout": 0.6, "first_token_timeout": 0.15, "idle_timeout": 0.15, "connect_timeout": 0.2}


# What a server of the dialect says


def delta(fields: JSON | None = None, finish_reason: str | None = None, **more: Any) -> JSON:
    """One chunk of a stream."""
    return {"choices": [{"index": 0, "delta": fields or {}, "finish_reason": finish_reason}], **more}


def text(piece: str) -> JSON:
    """One chunk with a piece of text."""
    return delta({"content": piece})


ROLE = delta({"role": "assistant", "content": ""})
STOP = delta({}, "stop")
USAGE: JSON = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}


def words(number: int) -> list[JSON]:
    """So many chunks, a word each; `spelled` is their text."""
    return [text(f"w{index} ") for index in range(number)]


def spelled(number: int) -> str:
    return "".join(f"w{index} " for index in range(number))


def completion(content: str | None = HEALTHY, finish_reason: str | None = "stop", **message: Any) -> JSON:
    """A whole answer."""
    return {
        "id": "chatcmpl-1",
        "model": "served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7},
    }


def streamed(content: str = HEALTHY) -> list[JSON | str]:
    """A whole stream, cut into words."""
    return [ROLE, *(text(piece) for piece in content.replace(" ", " \0").split("\0")), STOP, USAGE, DONE]


def answering(content: str = HEALTHY) -> Script:
    """The script of a server that answers every request, as a stream where that was asked for."""

    def answer(request: Received) -> bytes:
        if request.json().get("stream"):
            return sse(streamed(content))
        return response(200, completion(content))

    return [ReadRequest(), Respond(answer)]


def refusing(status: int, body: JSON | str | bytes = b"", headers: Any = ()) -> Script:
    """The script of a server that refuses every request."""
    return [ReadRequest(), Respond(lambda _: response(status, body, headers))]


@dataclass
class Outcome:
    """What one call came to, and how long it took."""

    reply: ChatReply | None
    error: LLMSwitchError | None
    events: list[ChatEvent]
    seconds: float

    @property
    def attempts(self) -> Sequence[Attempt]:
        """The trail."""
        if self.error is not None:
            return self.error.attempts
        assert self.reply is not None
        return self.reply.attempts

    @property
    def trail(self) -> list[tuple[str, str | None]]:
        """Target and class of the failure, attempt by attempt."""
        return [(attempt.target, attempt.error) for attempt in self.attempts]

    @property
    def text(self) -> str:
        """What the caller saw of text."""
        if self.events:
            return "".join(event.text for event in self.events if isinstance(event, TextDelta))
        return self.reply.text if self.reply is not None else ""

    @property
    def answered(self) -> ChatReply:
        """The reply. Fails where there is none."""
        assert self.error is None, f"{type(self.error).__name__}: {self.error}"
        assert self.reply is not None
        return self.reply


@dataclass
class Way:
    """One of the four ways to ask."""

    sync: bool
    stream: bool

    def __str__(self) -> str:
        return f"{'sync' if self.sync else 'async'}-{'stream' if self.stream else 'whole'}"


WAYS = [Way(sync, stream) for sync in (True, False) for stream in (False, True)]
WAY_SYNC, WAY_ASYNC = Way(sync=True, stream=False), Way(sync=False, stream=False)


@dataclass(repr=False)
class Bench:
    """
    A chain and the servers behind it. `t1`, `t2`: the servers that the last `ask` or `open` set up.

    What it asks it also watches: no key and no prompt in anything that comes back, and at T2 the key of T2 alone.
    """

    way: Way
    stack: ExitStack
    ca_file: str | None = None
    client: Client | AsyncClient = field(init=False)
    t1: FaultServer = field(init=False)
    t2: FaultServer = field(init=False)
    servers: list[FaultServer] = field(default_factory=list)
    _runner: asyncio.Runner | None = None

    def serve(self, *scripts: Script, **settings: Any) -> FaultServer:
        """A server that ends with the test."""
        server = self.stack.enter_context(FaultServer(*scripts, **settings))
        self.servers.append(server)
        return server

    def give_up(self) -> None:
        """End every server, so that a test whose client waits for ever fails instead."""
        for server in self.servers:
            server.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it in the bench's own event loop."""
        if self._runner is None:
            self._runner = self.stack.enter_context(asyncio.Runner())
        return self._runner.run(coroutine)

    def config(self, *urls: str, limits: Mapping[str, Any], providers: Mapping[str, JSON] | None = None) -> JSON:
        """A chain of t1, t2, … at these addresses, each with a key of its own."""
        made: JSON = {}
        for number, url in enumerate(urls, 1):
            made[f"t{number}"] = {
                "dialect": "openai",
                "base_url": url,
                "api_key": {"env": f"T{number}_KEY"},
                **((providers or {}).get(f"t{number}", {})),
            }
        chain = {"targets": [f"{name}:m" for name in made], **limits}
        http = {"engine": ENGINE, **({"ca_file": self.ca_file} if self.ca_file else {})}
        return {"default": "c", "chains": {"c": chain}, "providers": made, "http": http}

    def open(
        self,
        *scripts: Script,
        at: str | None = None,
        tls: Any = None,
        alone: bool = False,
        limits: Mapping[str, Any] | None = None,
        providers: Mapping[str, JSON] | None = None,
        http_client: Any = None,
    ) -> None:
        """
        Set up the chain T1 -> T2 and a client.

        `scripts`: T1's; `at`: where it is instead. `alone`: there is no T2.
        """
        if scripts:
            self.t1 = self.serve(*scripts, tls=tls)
        urls = [at or self.t1.url]
        if not alone:
            self.t2 = self.serve(answering())
            urls.append(self.t2.url)
        config = self.config(*urls, limits=limits or PATIENT, providers=providers)
        self.client = self.client_of(config, http_client)

    def client_for(self, *urls: str, providers: Mapping[str, JSON] | None = None) -> Client | AsyncClient:
        """A client with a chain of these servers, which ends with the test."""
        return self.client_of(self.config(*urls, limits=PATIENT, providers=providers))

    def client_of(self, config: JSON, http_client: Any = None) -> Client | AsyncClient:
        """A client with this configuration, which ends with the test."""
        if not self.way.sync:
            self.run(asyncio.sleep(0))  # the loop is there before the client, and so ends after it
        kind = Client if self.way.sync else AsyncClient
        client = kind.from_config(config, http_client=http_client)
        self.stack.callback(self._close, client)
        return client

    def ask(self, *scripts: Script, prompt: Any = PROMPT, options: JSON | None = None, **setting: Any) -> Outcome:
        """Set up the chain, where that is given, and ask it once."""
        if scripts or setting:
            self.open(*scripts, **setting)
        client, given = self.client, options or {}
        events: list[ChatEvent] = []
        started = monotonic()
        reply: ChatReply | None = None
        error: LLMSwitchError | None = None
        try:
            if isinstance(client, Client):
                reply = self._ask(client, prompt, given, events)
            else:
                reply = self.run(self._ask_async(client, prompt, given, events))
        except LLMSwitchError as problem:
            error = problem
        outcome = Outcome(reply, error, events, monotonic() - started)
        self._watch(outcome)
        return outcome

    def _ask(self, client: Client, prompt: Any, options: JSON, events: list[ChatEvent]) -> ChatReply:
        if not self.way.stream:
            return client.chat(prompt, **options)
        with client.stream(prompt, **options) as stream:
            for event in stream:
                events.append(event)  # noqa: PERF402 - one by one: what came before an error counts
            return stream.reply

    async def _ask_async(self, client: AsyncClient, prompt: Any, options: JSON, events: list[ChatEvent]) -> ChatReply:
        if not self.way.stream:
            return await client.chat(prompt, **options)
        async with client.stream(prompt, **options) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - as above
            return stream.reply

    def head(self) -> bytes:
        """The head of an answer that has begun well, of the kind that was asked for."""
        if self.way.stream:
            return sse_head()
        return response(200, b"", {"content-type": "application/json", "content-length": "1000"})

    # What a row expects

    def moved(
        self,
        outcome: Outcome,
        *errors: str,
        billed: bool | None,
        within: float = 3.0,
        tries: int = 1,
        closed: bool = True,
    ) -> None:
        """
        T1 failed in this way (or in one of these), after so many tries; T2 answered, and the caller saw nothing but
        its answer. `billed`: what the trail says of it, `None` for either.
        """
        reply = outcome.answered
        assert outcome.attempts[0].error in errors, outcome.trail
        assert [("t1:m", outcome.attempts[0].error)] * tries + [("t2:m", None)] == outcome.trail
        assert ("t2", "m", HEALTHY) == (reply.provider, reply.model, reply.text)
        if self.way.stream:
            assert HEALTHY == outcome.text
            assert [event for event in outcome.events if isinstance(event, Finish)] == outcome.events[-1:]
        assert billed is None or [billed] * tries == [attempt.possibly_billed for attempt in outcome.attempts[:-1]]
        assert outcome.seconds < within
        assert 1 == len(self.t2.requests)
        if closed and hasattr(self, "t1"):
            self.settle()
            assert self.t1.wait_closed(), "a connection to T1 was left open"

    def raised(self, outcome: Outcome, error: str, *, tries: int = 1, at_t2: int = 0) -> LLMSwitchError:
        """The call failed in this way after so many tries at T1; T2 was not asked."""
        assert outcome.error is not None, f"T{outcome.reply and outcome.reply.provider} answered"
        assert error == type(outcome.error).__name__, str(outcome.error)
        assert tries == len(outcome.attempts)
        assert not hasattr(self, "t2") or at_t2 == len(self.t2.requests)
        return outcome.error

    def settle(self) -> None:
        """Let the event loop do what closing left it to do."""
        if self._runner is not None:
            self.run(asyncio.sleep(0.005))

    def _watch(self, outcome: Outcome) -> None:
        said: list[str] = []
        if outcome.error is not None:
            told = traceback.TracebackException.from_exception(outcome.error, capture_locals=True)
            assert KEY not in "".join(told.format())
            said += [str(outcome.error), repr(outcome.error), repr(outcome.error.attempts), repr(outcome.error.args)]
            assert KEY.encode() not in pickle.dumps(outcome.error)
        if outcome.reply is not None:
            said += [repr(outcome.reply), repr(outcome.reply.attempts), repr(outcome.reply.warnings)]
        said.append(repr(self.client))
        for line in said:
            assert KEY not in line
            assert PROMPT not in line
        if hasattr(self, "t2"):
            assert all(f"Bearer {KEY}-t2" == request.headers["authorization"] for request in self.t2.requests)

    def _close(self, client: Client | AsyncClient) -> None:
        if isinstance(client, Client):
            client.close()
        else:
            self.run(client.aclose())


def in_use(client: Client | AsyncClient) -> dict[str, int]:
    """What is left of calls in the pools: connections that are neither idle nor closed, and requests in httpcore's."""
    connections: Any = client._connections
    registries = [connections._registry] if isinstance(client, Client) else list(connections._loops.values())
    transports = [pool.transport for registry in registries for pool in registry._pools.values()]
    if ENGINE == "httptools":
        return {"connections": _busy(transports), "requests": 0}
    pools = [transport._pool for transport in transports]
    busy = [each for pool in pools for each in pool._connections if not each.is_idle() and not each.is_closed()]
    return {"connections": len(busy), "requests": sum(len(pool._requests) for pool in pools)}


def _busy(transports: Sequence[Any]) -> int:
    """Open connections that the transports do not keep: they count none themselves."""
    idle = [stream for each in transports for streams in each._idle._kept.values() for _, stream in streams]
    kept = {id(stream) for stream in idle}
    streams = [each for each in gc.get_objects() if type(each) in (Stream, AsyncStream) and id(each) not in kept]
    return sum(not each.closed and not each._ended if type(each) is AsyncStream else _opened(each) for each in streams)


def _opened(stream: Any) -> bool:
    return not stream.closed and stream._socket.fileno() >= 0


NOTHING = {"connections": 0, "requests": 0}


def adjust(client: Any, **limits: float) -> None:
    """Give the client's own chain limits that no configuration sets."""
    chain = client._setup.chain(None)
    client._setup._chains[""] = chain._replace(policy=chain.policy._replace(**limits))
