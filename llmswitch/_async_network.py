"""Beneath the HTTP library: the sockets of the async side. They wait for the network, and for nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any

from ._connecting import connect_async
from ._network import HELD, Clock, connected, current_clock, readable
from ._resolver import resolve_async
from ._tls import PIECE

__all__ = ["AsyncBackend", "AsyncStream"]

_NOBODYS = Clock()
_ROOM = 65_536  # bytes that are read at once
_FULL = 262_144  # bytes that may lie unread before the other side has to wait


class AsyncStream(asyncio.BufferedProtocol):
    """
    A connection of one event loop; `by` and `layers` as for a `Stream`. `room` is what the loop reads into: shared by
    connections of the loop, for it is emptied before anybody else's turn. Without it the loop would take a quarter of a
    mebibyte from the system for every event of a stream, and give it back.

    Closing it is not waited for, so nothing can come between.
    """

    def __init__(self, core: Any, room: memoryview, started: float, by: float, layers: int) -> None:
        self._core = core
        self._room = room
        self._started, self._by, self._layers = started, by, layers
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[bool] | None = None
        self._until = 0.0  # by the loop's clock, when the waiter gives up
        self._timer: asyncio.TimerHandle | None = None  # one for all waits, most of which end long before it
        self._strikes = 0.0  # when the timer does
        self.clock: Clock | None = None  # of the answer that comes by it, where that is known
        self._reading = False
        self._full = False  # of what is to be sent
        self._held = b""  # a head waits for its body, and goes out in one packet with it
        self._held_for: float | None = None
        self._ended = False
        self._over = False
        self._problem: Exception | None = None

    # What the loop tells

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.pause_reading()  # what comes before TLS begins is TLS

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's interface
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._chunks.append(bytes(self._room[:nbytes]))
        self._size += nbytes
        if self._size > _FULL and self._reading:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, problem: Exception | None) -> None:
        self._ended = True
        self._problem = problem
        self._wake()
        self._unwind()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    async def _wait(self, seconds: float | None, late: type[Exception]) -> None:
        """Until something happens; raises `late` where nothing does."""
        self._waiter = waiter = self._loop.create_future()
        self._until = self._loop.time() + (seconds if seconds is not None else 86_400.0)
        if self._timer is None or self._strikes > self._until:
            self._wind()
        clock = self.clock or current_clock.get() or _NOBODYS
        clock.open = True
        try:
            happened = await waiter
        finally:
            clock.open = False
            self._waiter = None
        if not happened:
            raise late

    def _unwind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()  # it holds on to this connection
            self._timer = None

    def _wind(self) -> None:
        self._unwind()
        self._strikes = self._until
        self._timer = self._loop.call_at(self._until, self._strike)

    def _strike(self) -> None:
        """The timer has run down: for whoever waits, or for somebody who waited before."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._until:
            self._wind()
        else:
            self._waiter.set_result(False)

    def _left(self, late: type[Exception], timeout: float | None) -> float | None:
        clock = self.clock or current_clock.get()
        if clock is not None:
            clock.open = False  # until it waits: what fails before that is cleared away in between
            timeout = clock.left(late, timeout)
        if self._layers:
            connecting = self._by - monotonic()
            if connecting <= 0:
                raise self._core.ConnectTimeout("the proxy did not answer")
            timeout = connecting if timeout is None or timeout > connecting else timeout
        return timeout

    # What the HTTP library asks for

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        core = self._core
        if self._held:
            try:
                await self._flush()
            except core.WriteError:
                pass  # there may be an answer all the same
        left = self._left(core.ReadTimeout, timeout)
        if self._over:
            raise core.ReadError("the connection was closed")
        while not self._chunks:
            if self._ended:
                if self._problem is not None:
                    raise core.ReadError(str(self._problem)) from self._problem
                return b""
            self._resume()
            await self._wait(left, core.ConnectTimeout if self._layers else core.ReadTimeout)
            if self._over:
                raise core.ReadError("the connection was closed")
        data = self._chunks.popleft()
        if len(data) > max_bytes:
            self._chunks.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        self._size -= len(data)
        clock = self.clock or current_clock.get()
        if clock is not None:
            clock.received += len(data)
        return data

    def _resume(self) -> None:
        if not (self._reading or self._ended or self._over) and self._size <= _FULL:
            self._reading = True
            self._transport.resume_reading()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held_for = timeout
        if len(self._held) + len(buffer) <= HELD:
            self._held += buffer
            return
        await self._flush()
        await self._send(buffer, timeout)

    async def _flush(self) -> None:
        held, self._held = self._held, b""
        await self._send(held, self._held_for)

    async def _send(self, buffer: bytes, timeout: float | None) -> None:
        core = self._core
        self._resume()  # an answer may come before the request is through
        for start in range(0, len(buffer), PIECE):
            left = self._left(core.WriteTimeout, timeout)
            if not self._ended and not self._over:
                piece = buffer if len(buffer) <= PIECE else buffer[start : start + PIECE]
                self._transport.write(piece)
                if self._full:
                    await self._wait_until_taken(left)
            if self._ended or self._over:
                raise core.WriteError(str(self._problem or "the connection was closed")) from self._problem

    async def _wait_until_taken(self, seconds: float | None) -> None:
        late = self._core.ConnectTimeout if self._layers else self._core.WriteTimeout
        until = monotonic() + (seconds if seconds is not None else 86_400.0)
        while self._full and not self._ended and not self._over:
            await self._wait(until - monotonic(), late)  # answers that come meanwhile wake it too

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncStream:
        core = self._core
        left = self._by - monotonic()
        left = left if timeout is None else min(left, timeout)
        secret = AsyncStream(core, self._room, self._started, self._by, max(0, self._layers - 1))
        clock = current_clock.get() or _NOBODYS
        clock.open = True
        try:
            if left <= 0:
                raise TimeoutError
            secret._reading = True  # the loop reads for the handshake
            secret._transport = await self._loop.start_tls(
                self._transport, secret, ssl_context, server_hostname=server_hostname, ssl_handshake_timeout=left
            )
        except (OSError, ValueError, TypeError) as problem:
            self.close()
            if isinstance(problem, TimeoutError) or monotonic() >= self._by:
                raise core.ConnectTimeout("the TLS handshake did not end") from None
            # Python 3.11 stumbles where the inner one of two handshakes fails, and says its own mistake
            cause = problem.__context__ if isinstance(problem, TypeError) and problem.__context__ else problem
            raise core.ConnectError(str(cause)) from cause
        except BaseException:
            self.close()
            raise
        finally:
            clock.open = False
        self._unwind()  # from here on it is the other one that waits
        connected(self._started)
        return secret

    def close(self) -> None:
        """At once."""
        self._over = True
        self._unwind()
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    async def aclose(self) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether this side has closed it."""
        return self._over

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # what has come may not have been noticed yet by a loop that was busy
            return bool(self._over or self._ended or self._chunks) or readable(self._transport.get_extra_info("socket"))
        name = {"client_addr": "sockname", "server_addr": "peername"}.get(info, info)
        return self._transport.get_extra_info(name)


class AsyncBackend:
    """Makes connections of one loop, and awaits. `layers` of TLS lead through a proxy that is asked for a way."""

    def __init__(self, core: Any, layers: int = 0) -> None:
        self._core = core
        self._layers = layers
        self._room = memoryview(bytearray(_ROOM))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the library's interface
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncStream:
        """`timeout` is for the name, the connection and TLS together."""
        clock = current_clock.get() or _NOBODYS
        clock.open = True
        try:
            return await self._connect(host, port, timeout, socket_options or ())
        finally:
            clock.open = False

    async def _connect(self, host: str, port: int, timeout: float | None, options: Iterable[Any]) -> AsyncStream:
        started = monotonic()
        by = started + (timeout if timeout is not None else 86_400.0)
        try:
            made = await connect_async(await resolve_async(host, port, by), by)
        except TimeoutError as problem:
            raise self._core.ConnectTimeout(str(problem)) from problem
        except OSError as problem:
            raise self._core.ConnectError(str(problem)) from problem
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in options:
            made.setsockopt(*option)
        stream = AsyncStream(self._core, self._room, started, by, self._layers)
        loop = asyncio.get_running_loop()
        # A matter of a turn or two. It is not interrupted: whose the socket is by then, loops do not agree.
        handing_over = loop.create_task(loop.create_connection(lambda: stream, sock=made))
        try:
            await asyncio.shield(handing_over)
        except BaseException:
            handing_over.add_done_callback(lambda _: stream.close())
            raise
        connected(started)
        return stream
