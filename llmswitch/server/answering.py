"""One request at a door: read, asked of the chain, and answered; ended when the client leaves or the process ends."""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from llmswitch._client import AsyncClient
from llmswitch._config import ServerConfig, ServerKey
from llmswitch._deadline import deadline, is_span
from llmswitch._errors import (
    InvalidRequest,
    LLMSwitchError,
    LocalOverload,
    OutputInvalid,
    ServerError,
    StreamInterrupted,
)
from llmswitch._events import StreamReset
from llmswitch._json import dumps
from llmswitch._log import warn
from llmswitch.doors import Asked, Door, Envelopes, EventWriter, Refusal
from llmswitch.doors.passage import SESSION_HEADER, despite_its_form

from .gate import CALLER, Receive, Scope, Send
from .keys import Models
from .limits import Declined, Gone, Minutes, Room, header, read_json
from .watch import Entry, Watch

__all__ = ["Asking", "AtDoor", "Gateway", "askable"]

# What a client may set. Everything else of the library is the configuration's: addresses, headers, flags, tags.
ASKABLE = frozenset(
    {
        "degrade",
        "max_tokens",
        "parallel_tool_calls",
        "prefill",
        "reasoning",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)
_EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass(slots=True)
class Gateway:
    """What all doors share."""

    client: AsyncClient
    settings: ServerConfig
    models: Models
    watch: Watch
    room: Room
    minutes: Minutes = field(default_factory=Minutes)
    envelopes: Envelopes = field(default_factory=Envelopes)


class Out:
    """The answer on its way to the client."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.number = f"req_{secrets.token_hex(12)}"
        self._headers = {"x-request-id": self.number, "request-id": self.number}  # each SDK looks for another of them
        self.status: int | None = None
        self.writer: EventWriter | None = None

    async def whole(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """All of it at once."""
        content = dumps(body)
        await self._start(
            status, {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        )
        await self._send({"type": "http.response.body", "body": content})

    async def begin(self, writer: EventWriter) -> None:
        """A stream begins: from here on an error is an event."""
        await self._start(200, _EVENTS)
        self.writer = writer

    async def piece(self, data: bytes) -> None:
        """More of the stream."""
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """The last of it."""
        await self._send({"type": "http.response.body", "body": data})

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        lines = {**self._headers, **headers}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})


class Asking(ABC):
    """What every route that asks a model does, whatever the words are: `ask` does the asking."""

    name: str

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: ServerKey = scope[CALLER]
        out, entry = Out(send), self.gateway.watch.begin(self.name, caller.name)
        problem: LLMSwitchError | None = None
        status = None
        try:
            with self.gateway.room:
                self.gateway.minutes.take(caller)
                body = await read_json(scope, receive, self.gateway.settings.max_body_bytes)
                seconds = _seconds(header(scope, b"x-request-timeout"))
                session = header(scope, SESSION_HEADER.encode())
                work = self.ask(body, caller, out, entry, session)
                del body
                await self._attended(_within(seconds, work), receive)
        except Gone:
            entry.left()
        except Declined as declined:
            problem, status = declined.error, declined.status
        except LLMSwitchError as error:
            problem = error
        except asyncio.CancelledError:
            entry.left()
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails, the client is told and the log says where
            problem = _unforeseen(error)
        if problem is not None:
            entry.failed(problem)
            await self._tell(problem, status, out)
        self.gateway.watch.end(entry, out.status)

    async def _attended(self, work: Coroutine[Any, Any, None], receive: Receive) -> None:
        """Do the work while the client is there and the process goes on. Raises what it raises, or `Gone`."""
        working = asyncio.create_task(work)
        gone = asyncio.create_task(_gone(receive))
        over = asyncio.create_task(self.gateway.room.over.wait())
        try:
            await asyncio.wait({working, gone, over}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
                return
        finally:
            for task in (working, gone, over):
                task.cancel()
            await asyncio.wait({working, gone, over})
        if not working.cancelled() and working.exception() is None:
            return  # it was done in the same moment
        raise Gone if gone.done() and not gone.cancelled() else _ended()

    async def _tell(self, problem: LLMSwitchError, status: int | None, out: Out) -> None:
        """The error in the words of the protocol; as an event where the answer has begun."""
        try:
            if out.writer is not None:
                await out.end(out.writer.failed(problem))
            elif out.status is None:
                refusal = self.refusal(problem)
                body = refusal.body
                if "request_id" in body and body["request_id"] is None:  # where no vendor gave it one
                    body = {**body, "request_id": out.number}
                await out.whole(status or refusal.status, body, dict(refusal.headers))
        except OSError:
            pass  # the client has gone

    @abstractmethod
    async def ask(self, body: Any, caller: ServerKey, out: Out, entry: Entry, session: str) -> None:
        """Ask the chain and answer. `session`: what the header says of it; empty where it says nothing."""

    @abstractmethod
    def refusal(self, error: LLMSwitchError) -> Refusal:
        """The error in the words of the protocol."""

    def model(self, name: object, caller: ServerKey, entry: Entry) -> str | None:
        """The name as the library takes it. Raises `Declined` for one that the key may not ask."""
        if not isinstance(name, str) or not self.gateway.models.allows(caller, name):
            shown = repr(name[:100]) if isinstance(name, str) else "without a name"
            raise Declined(
                InvalidRequest(f"there is no model {shown} for this key; /v1/models lists them", field="model"), 404
            )
        entry.model = name
        return self.gateway.models.asked(name)


def askable(asked: Asked, model: str | None, caller: ServerKey) -> dict[str, Any]:
    """The options of the call: what a client may set, of what it did set."""
    given = {name: value for name, value in asked.options.items() if name in ASKABLE}
    return {**given, "model": model, "tags": [caller.name]}


class AtDoor(Asking):
    """One of the front doors."""

    def __init__(self, gateway: Gateway, door: Door) -> None:
        super().__init__(gateway)
        self._door = door
        self.name = door.path.strip("/").removeprefix("v1/")

    def refusal(self, error: LLMSwitchError) -> Refusal:
        """As the door says it."""
        return self._door.refusal(error)

    async def ask(self, body: Any, caller: ServerKey, out: Out, entry: Entry, session: str) -> None:
        """Whole, or as a stream that flows event by event."""
        asked = self._door.read(body)
        del body
        model = self.model(asked.model, caller, entry)
        options = askable(asked, model, caller)
        session = session or asked.options.get("session") or ""
        if session:  # one client's sessions are none of another's
            options["session"] = f"{caller.name}|{session}"
        if asked.stream:
            await self._stream(asked, options, out, entry)
            return
        try:
            reply = await self.gateway.client.chat(asked.messages, **options)
        except OutputInvalid as problem:
            reply = despite_its_form(problem)
        entry.answered(reply)
        headers = {"x-llmswitch-target": f"{reply.provider}:{reply.model}"}
        if reply.from_cache:
            headers["x-llmswitch-cache"] = "hit"
        await out.whole(200, self._door.reply(asked, reply), headers)

    async def _stream(self, asked: Asked, options: dict[str, Any], out: Out, entry: Entry) -> None:
        async with self.gateway.client.stream(asked.messages, **options) as stream:
            writer = self._door.writer(asked)
            async for event in stream:
                if out.writer is None:  # only now: an error before the first event has a status of its own
                    await out.begin(writer)
                    await out.piece(writer.begin())
                elif type(event) is StreamReset:
                    raise StreamInterrupted("the answer began anew elsewhere, and what was sent can't be taken back")
                await out.piece(writer.event(event))
            reply = stream.reply
        entry.answered(reply)
        if out.writer is None:
            await out.begin(writer)
            await out.piece(writer.begin())
        await out.end(writer.end(reply))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _within(seconds: float | None, work: Coroutine[Any, Any, None]) -> None:
    with nullcontext() if seconds is None else deadline(seconds):
        await work


def _seconds(text: str) -> float | None:
    """What a client says of its own patience; it only shortens."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not is_span(seconds):
        raise Declined(InvalidRequest("x-request-timeout must be a number of seconds", field="x-request-timeout"))
    return seconds


def _ended() -> LLMSwitchError:
    return LocalOverload("the gateway was shut down before the answer was whole; ask again")


def _unforeseen(error: Exception) -> LLMSwitchError:
    """The place, and not the message, which may hold what was asked."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "an unknown place"
    warn("the gateway failed with %s at %s", type(error).__name__, where)
    return ServerError("the gateway failed; its log says where")
