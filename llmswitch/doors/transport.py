"""A transport beneath an SDK: its requests go through a door to the chain, and no byte of them over the network."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from llmswitch._client import AsyncClient, Client
from llmswitch._errors import ConfigError, LLMSwitchError, OutputInvalid
from llmswitch._events import ChatEvent
from llmswitch._hooks import Hooks
from llmswitch._stream import AsyncChatStream, ChatStream

from ._door import Door, EventWriter
from ._passing import closed
from .counting import counted, headers_of_count
from .embeddings import PATH as EMBEDDINGS
from .embeddings import embedded, read_texts
from .messages import MessagesDoor
from .passage import (
    SESSION_HEADER,
    Answer,
    asked_at,
    counts_at,
    despite_its_form,
    door_at,
    listed,
    no_door,
    read_json,
    refused,
    whole,
)
from .passthrough import AsyncPassing, Passing

__all__ = ["async_client", "sync_client"]

_USUAL_TIMEOUT = 600.0  # seconds; what both SDKs set where the program says nothing
_EVENTS = {"content-type": "text/event-stream; charset=utf-8"}


def sync_client(
    library: str, model: str | Sequence[str] | None, config: Mapping[str, Any] | None, hooks: Hooks | None
) -> Any:
    """A client of that HTTP library. Raises `ConfigError`."""
    http, transport, _ = _made_for(library)
    return http.Client(transport=transport(Client(model, config=config, hooks=hooks)))


def async_client(
    library: str, model: str | Sequence[str] | None, config: Mapping[str, Any] | None, hooks: Hooks | None
) -> Any:
    """The same, asynchronous."""
    http, _, transport = _made_for(library)
    return http.AsyncClient(transport=transport(AsyncClient(model, config=config, hooks=hooks)))


def _timeout(request: Any) -> float | None:
    """The seconds that the program gave the SDK, where it gave any."""
    read = (request.extensions.get("timeout") or {}).get("read")
    return float(read) if isinstance(read, (int, float)) and 0 < read != _USUAL_TIMEOUT else None


def _written(writer: EventWriter, first: ChatEvent | None, stream: ChatStream) -> Iterator[bytes]:
    yield writer.begin() + (writer.event(first) if first is not None else b"")
    try:
        for event in stream:
            said = writer.event(event)
            if said:
                yield said
        yield writer.end(stream.reply)
    except LLMSwitchError as problem:
        yield writer.failed(problem)


async def _written_async(writer: EventWriter, first: ChatEvent | None, stream: AsyncChatStream) -> AsyncIterator[bytes]:
    yield writer.begin() + (writer.event(first) if first is not None else b"")
    try:
        async for event in stream:
            said = writer.event(event)
            if said:
                yield said
        yield writer.end(stream.reply)
    except LLMSwitchError as problem:
        yield writer.failed(problem)


@lru_cache(maxsize=4)
def _made_for(library: str) -> tuple[Any, Any, Any]:
    """The library's module, and a transport of each kind for it."""
    try:
        http: Any = importlib.import_module(library)
    except ModuleNotFoundError:
        raise ConfigError(f"the HTTP library {library} is not installed, on which the SDK is built") from None

    class Pieces(http.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: ChatStream | Passing, pieces: Iterator[bytes]) -> None:
            self._stream, self._pieces = stream, pieces

        def __iter__(self) -> Iterator[bytes]:
            return self._pieces

        def close(self) -> None:
            self._stream.close()

    class AsyncPieces(http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: AsyncChatStream | AsyncPassing, pieces: AsyncIterator[bytes]) -> None:
            self._stream, self._pieces = stream, pieces

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._pieces

        async def aclose(self) -> None:
            await self._stream.aclose()

    def response(answer: Answer) -> Any:
        return http.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    class Transport(http.BaseTransport):  # type: ignore[misc]
        def __init__(self, client: Client) -> None:
            self._client = client
            self._way = client._setup.passthrough()  # noqa: SLF001 - of this package

        def handle_request(self, request: Any) -> Any:
            method, path = request.method, request.url.path
            door, counting = (door_at(path), counts_at(path)) if method == "POST" else (None, None)
            try:
                if door is not None:
                    return self._through(door, request)
                if counting is not None:
                    return self._counted(counting, request)
                if method == "POST" and path.endswith(EMBEDDINGS):
                    asked = read_texts(read_json(request.read()))
                    model = self._client.named(asked.model)
                    options: Any = asked.options
                    vectors = self._client.embed(asked.texts, model=model, **options)
                    return response(whole(embedded(asked, vectors)))
            except LLMSwitchError as problem:
                return response(refused(door or counting, problem))
            return response(listed(self._client)) if path.endswith("/models") else self._beyond(request)

        def _beyond(self, request: Any) -> Any:
            path, way = request.url.path, self._way
            why = closed(way, request.url.raw_path.decode("ascii")) if way is not None else None
            if way is None or why is not None:
                return response(no_door(request.method, path, why))
            passing = Passing(self._client, way, request, http.ReadError)
            passed = passing.begin()
            if isinstance(passed, Answer):
                return response(passed)
            return http.Response(passed.status, headers=dict(passed.headers), stream=Pieces(passing, iter(passing)))

        def _counted(self, door: MessagesDoor, request: Any) -> Any:
            asked, options = asked_at(door.read_count, request.read(), self._client, _timeout(request))
            count = self._client.count_tokens(asked.messages, **options)
            return response(whole(counted(count), headers=headers_of_count(count)))

        def _through(self, door: Door, request: Any) -> Any:
            session = request.headers.get(SESSION_HEADER)
            asked, options = asked_at(door.read, request.read(), self._client, _timeout(request), session)
            if not asked.stream:
                try:
                    reply = self._client.chat(asked.messages, **options)
                except OutputInvalid as problem:
                    reply = despite_its_form(problem)
                return response(whole(door.reply(asked, reply)))
            stream = self._client.stream(asked.messages, **options)
            first = next(stream, None)  # what fails before it is an HTTP error, which the SDK raises as its own
            pieces = _written(door.writer(asked), first, stream)
            return http.Response(200, headers=_EVENTS, stream=Pieces(stream, pieces))

        def close(self) -> None:
            self._client.close()

    class AsyncTransport(http.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, client: AsyncClient) -> None:
            self._client = client
            self._way = client._setup.passthrough()  # noqa: SLF001 - of this package

        async def handle_async_request(self, request: Any) -> Any:
            method, path = request.method, request.url.path
            door, counting = (door_at(path), counts_at(path)) if method == "POST" else (None, None)
            try:
                if door is not None:
                    return await self._through(door, request)
                if counting is not None:
                    return await self._counted(counting, request)
                if method == "POST" and path.endswith(EMBEDDINGS):
                    asked = read_texts(read_json(await request.aread()))
                    model = self._client.named(asked.model)
                    options: Any = asked.options
                    return response(
                        whole(embedded(asked, await self._client.embed(asked.texts, model=model, **options)))
                    )
            except LLMSwitchError as problem:
                return response(refused(door or counting, problem))
            return response(listed(self._client)) if path.endswith("/models") else await self._beyond(request)

        async def _beyond(self, request: Any) -> Any:
            path, way = request.url.path, self._way
            why = closed(way, request.url.raw_path.decode("ascii")) if way is not None else None
            if way is None or why is not None:
                return response(no_door(request.method, path, why))
            passing = AsyncPassing(self._client, way, request, http.ReadError)
            passed = await passing.begin()
            if isinstance(passed, Answer):
                return response(passed)
            stream = AsyncPieces(passing, aiter(passing))
            return http.Response(passed.status, headers=dict(passed.headers), stream=stream)

        async def _counted(self, door: MessagesDoor, request: Any) -> Any:
            asked, options = asked_at(door.read_count, await request.aread(), self._client, _timeout(request))
            count = await self._client.count_tokens(asked.messages, **options)
            return response(whole(counted(count), headers=headers_of_count(count)))

        async def _through(self, door: Door, request: Any) -> Any:
            session = request.headers.get(SESSION_HEADER)
            asked, options = asked_at(door.read, await request.aread(), self._client, _timeout(request), session)
            if not asked.stream:
                try:
                    reply = await self._client.chat(asked.messages, **options)
                except OutputInvalid as problem:
                    reply = despite_its_form(problem)
                return response(whole(door.reply(asked, reply)))
            stream = self._client.stream(asked.messages, **options)
            first = await anext(stream, None)
            pieces = _written_async(door.writer(asked), first, stream)
            return http.Response(200, headers=_EVENTS, stream=AsyncPieces(stream, pieces))

        async def aclose(self) -> None:
            await self._client.aclose()

    return http, Transport, AsyncTransport
