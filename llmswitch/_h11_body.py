"""
The body of an answer on httpx, read where h11 gives it.

The library that sends the request hands each piece up through four generators and as many contexts, which costs more
than all that is done with it here. It keeps the connection, and learns of its state from h11, as ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import h11

__all__ = ["AsyncBody", "Body", "connection_of", "gather"]

_READ_BYTES = 65_536


def connection_of(response: Any) -> Any:
    """The library's HTTP/1.1 connection, several layers beneath an answer; `None` where it is not found."""
    at = response.stream
    for _ in range(8):
        if isinstance(getattr(at, "_h11_state", None), h11.Connection) and hasattr(at, "_network_stream"):
            return at
        for name in ("_httpcore_stream", "_stream", "_connection"):
            if hasattr(at, name):
                at = getattr(at, name)
                break
        else:
            return None
    return None


class _Gathering:
    """
    In the place of h11's reader of a chunked body: as many of its events as have come, of which those with data are
    one. A vendor sends a chunk for each piece of text, and every event costs whatever is above h11 its whole way.

    `dry`: all that has come was handed up, so that there is no event before more comes.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.dry = False
        self._behind: Any = None  # what came behind data that is handed up first: the end, or what is no HTTP

    def __call__(self, buffer: Any) -> Any:
        behind, self._behind, self.dry = self._behind, None, False
        if isinstance(behind, Exception):
            raise behind
        if behind is not None:
            return behind
        if not buffer:
            return None
        first = self._reader(buffer)
        if type(first) is not h11.Data:
            return first
        pieces = [first.data]
        while buffer:
            try:
                event = self._reader(buffer)
            except Exception as problem:  # noqa: BLE001 - raised by the next call
                self._behind = problem
                break
            if type(event) is not h11.Data:
                self._behind = event
                break
            pieces.append(event.data)
        self.dry = not buffer and self._behind is None
        return first if len(pieces) == 1 else h11.Data(data=b"".join(pieces))

    def read_eof(self) -> Any:
        """The connection ended in the middle of the body."""
        return self._reader.read_eof()


def gather(protocol: Any) -> _Gathering | None:
    """
    Have an `h11.Connection` whose peer is about to send a chunked body read it so. One that is not built as it was
    reads it as ever, which is slower and no less right.
    """
    reader = getattr(protocol, "_reader", None)
    if type(reader).__module__ != "h11._readers" or type(reader).__name__ != "ChunkedReader":
        return None
    protocol._reader = gathering = _Gathering(reader)  # noqa: SLF001 - there is no other way to name it
    return gathering


class _Body:
    """
    `http` is the library, whose exceptions are raised, and `core` the part of it whose words its connections use. No
    generator: one that is left half way would have to be ended.
    """

    def __init__(self, http: Any, core: Any, connection: Any) -> None:
        self._http = http
        self._lost: tuple[type[Exception], ...] = (core.TimeoutException, core.NetworkError)
        self._protocol, self._network = connection._h11_state, connection._network_stream  # noqa: SLF001
        self._gathering = gather(self._protocol)

    def _next(self) -> bytes | None:
        """What has come; none of it at the end of the body, `None` where more has to come first."""
        if self._gathering is not None and self._gathering.dry:
            self._gathering.dry = False
            return None
        try:
            event = self._protocol.next_event()
        except h11.RemoteProtocolError as problem:
            raise self._http.RemoteProtocolError(str(problem)) from problem
        if type(event) is h11.Data:
            return bytes(event.data)
        return None if event is h11.NEED_DATA else b""

    def _failed(self, problem: Exception) -> Exception:
        """What the library would raise."""
        raised: Exception = getattr(self._http, type(problem).__name__)(str(problem))
        return raised


class Body(_Body, Iterator[bytes]):
    """Of a thread."""

    def __next__(self) -> bytes:
        while (piece := self._next()) is None:
            try:
                self._protocol.receive_data(self._network.read(_READ_BYTES))
            except self._lost as problem:
                raise self._failed(problem) from problem
        if not piece:
            raise StopIteration
        return piece


class AsyncBody(_Body, AsyncIterator[bytes]):
    """Of a task."""

    async def __anext__(self) -> bytes:
        while (piece := self._next()) is None:
            try:
                self._protocol.receive_data(await self._network.read(_READ_BYTES))
            except self._lost as problem:
                raise self._failed(problem) from problem
        if not piece:
            raise StopAsyncIteration
        return piece
