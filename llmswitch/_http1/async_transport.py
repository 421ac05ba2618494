"""The async side: as the sync one, but for the waiting."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from .._async_network import AsyncBackend, AsyncStream
from .answer import Answer
from .request import Request
from .transport import READ_BYTES, Begun, Idle

__all__ = ["AsyncResponse", "AsyncTransport"]


class AsyncResponse(Begun):
    """Iterate over `stream` for the body, then close it."""

    @property
    def stream(self) -> AsyncIterator[bytes]:
        return _Body(self.answer, self._connection)

    async def aclose(self) -> None:
        """Let go of the connection."""
        for stream in self.leave():
            stream.close()


class _Body(AsyncIterator[bytes]):
    """No generator: one that is left half way would be ended by the loop, in a task of its own."""

    def __init__(self, answer: Answer, connection: AsyncStream) -> None:
        self._answer, self._connection = answer, connection

    async def __anext__(self) -> bytes:
        answer, connection = self._answer, self._connection
        while not answer.pieces:
            if answer.whole:
                raise StopAsyncIteration
            answer.feed(await connection.read(READ_BYTES))
        return answer.take()


class AsyncTransport:
    """`context`: the `ssl.SSLContext` of the connections over TLS. An idle one is kept for so many `seconds`."""

    def __init__(self, core: Any, backend: AsyncBackend, context: ssl.SSLContext, seconds: float) -> None:
        self._core, self._backend, self._context = core, backend, context
        self._idle = Idle(seconds)

    async def handle_async_request(self, request: Request) -> AsyncResponse:
        """The answer's head. Raises the exceptions of `core`."""
        stream, spent = self._idle.take(request.origin)
        for each in spent:
            each.close()
        if stream is None:
            stream = await self._connect(request)
        answer = Answer(self._core, bodiless=request.bodiless)
        try:
            await self._send(stream, request)
            while not answer.status:
                answer.feed(await stream.read(READ_BYTES, request.read))
        except BaseException:
            stream.close()
            raise
        return AsyncResponse(self._idle, request, stream, answer)

    async def _connect(self, request: Request) -> AsyncStream:
        origin = request.origin
        stream = await self._backend.connect_tcp(origin.host, origin.port, request.connect)
        if not origin.secure:
            return stream
        return await stream.start_tls(self._context, origin.host, request.connect)

    async def _send(self, stream: AsyncStream, request: Request) -> None:
        try:
            await stream.write(request.head, request.write)
            if isinstance(request.body, bytes):
                if request.body:
                    await stream.write(request.body, request.write)
                return
            framing = request.framing
            assert framing is not None
            assert isinstance(request.body, AsyncIterable)
            async for piece in request.body:
                await stream.write(framing.frame(piece), request.write)
            await stream.write(framing.end(), request.write)
        except self._core.WriteError:
            pass  # there may be an answer all the same

    async def aclose(self) -> None:
        """Close what is idle. What is in use is ended by whoever uses it."""
        for stream in self._idle.end():
            stream.close()
