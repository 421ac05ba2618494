"""
Beneath the HTTP library: what one attempt tells its connection, and the sockets of the sync side.

The library's read timeout starts anew with every read, so a server that sends a byte now and then is never timed out
(measured on httpx 0.28.1); and a limit of our own from outside would cancel the call, which loses connections of the
pool. Here the limit is part of the read itself, so that it ends as the library's own timeout does.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from time import monotonic
from typing import Any

from ._connecting import connect
from ._resolver import resolve
from ._tls import Nested

__all__ = ["HELD", "Backend", "Clock", "Stream", "connected", "current_clock", "readable"]

HELD = 65_536
"""A head waits for a body that is no larger than this, together with it."""

_NEAR = 0.005  # seconds that a wait may last too long


class Clock:
    """
    What one attempt tells its connection, and learns from it.

    `by`: monotonic seconds at which the next read ends. `connect_ms`: how long connecting took, with names and TLS;
    `None` where a kept connection was used. `received`: bytes that arrived. `measured`: the connection is one of ours,
    which tells these things. `over`: the client was closed. `stream`: the connection in use.

    Of an async call, `waiting` is what it waits for, and `open` says whether that is the network, or a place in the
    pool: nothing is lost where it is interrupted there.
    """

    __slots__ = ("by", "connect_ms", "measured", "open", "over", "received", "stream", "waiting")

    def __init__(self, by: float = 0.0, *, measured: bool = False) -> None:
        self.by = by
        self.connect_ms: float | None = None
        self.received = 0
        self.measured = measured
        self.open = True
        self.over = False
        self.stream: Any = None
        self.waiting: Any = None

    def left(self, late: type[Exception], timeout: float | None) -> float:
        """Seconds that a read or a write may take; raises `late` where there are none."""
        left = self.by - monotonic()
        if left <= 0 or self.over:
            raise late
        return left if timeout is None or timeout > left else timeout

    def end(self) -> None:
        """The client is being closed: end what this attempt waits for. From any thread, but of the same loop."""
        self.over = True
        stream, waiting = self.stream, self.waiting
        if waiting is not None:
            waiting.cancel()
        elif stream is not None:
            stream.close()


current_clock: ContextVar[Clock | None] = ContextVar("llmswitch_clock", default=None)


class Stream:
    """
    A connected socket. `by`: when connecting must end, TLS included. `layers`: of TLS that are still to come on the
    way through a proxy, until which whatever is read and written is a part of connecting.
    """

    def __init__(self, core: Any, made: socket.socket, started: float, by: float, layers: int) -> None:
        self._core = core
        self._socket: Any = made
        self._started, self._by, self._layers = started, by, layers
        self._set = -1.0  # the socket's own time limit
        self.clock: Clock | None = None  # of the answer that comes by it, where that is known
        self._inside = threading.Lock()  # a thread is in the socket
        self._ending = threading.RLock()
        self._over = False
        self._held = b""  # a head waits for its body, and goes out in one packet with it
        self._held_for: float | None = None

    def _left(self, clock: Clock | None, late: type[Exception], timeout: float | None) -> float | None:
        if clock is not None:
            clock.stream = self  # before it is asked whether all is over
            timeout = clock.left(late, timeout)
        if self._layers:
            connecting = self._by - monotonic()
            if connecting <= 0:
                raise self._core.ConnectTimeout("the proxy did not answer")
            timeout = connecting if timeout is None or timeout > connecting else timeout
        return timeout

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        core = self._core
        if self._held:
            try:
                self._flush()
            except core.WriteError:
                pass  # there may be an answer all the same
        clock = self.clock
        if clock is None or self._layers:
            clock = clock or current_clock.get()
            left = self._left(clock, core.ReadTimeout, timeout)
        else:  # what nearly every read is: `Clock.left`, written out
            clock.stream, left = self, clock.by - monotonic()
            if left <= 0 or clock.over:
                raise core.ReadTimeout
            left = left if timeout is None or timeout > left else timeout
        with self._inside:
            if self._over:
                raise core.ReadError("the connection was closed")
            try:
                if left is None or not left <= self._set < left + _NEAR:
                    self._limit(left)
                data: bytes = self._socket.recv(max_bytes)
            except TimeoutError:
                raise (core.ConnectTimeout if self._layers else core.ReadTimeout) from None
            except OSError as problem:
                raise core.ReadError(str(problem)) from problem
        if self._over:
            raise core.ReadError("the connection was closed")
        if clock is not None:
            clock.received += len(data)
        return data

    def _limit(self, seconds: float | None) -> None:
        """The socket's time limit: a call of the system, which is saved where the next one will do with the same."""
        self._set = -1.0 if seconds is None else seconds + _NEAR / 2
        self._socket.settimeout(None if seconds is None else self._set)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held_for = timeout
        if len(self._held) + len(buffer) <= HELD:
            self._held += buffer
            return
        self._flush()
        self._send(buffer, timeout)

    def _flush(self) -> None:
        held, self._held = self._held, b""
        self._send(held, self._held_for)

    def _send(self, buffer: bytes, timeout: float | None) -> None:
        core = self._core
        view = memoryview(buffer)
        while view:
            left = self._left(current_clock.get(), core.WriteTimeout, timeout)
            with self._inside:
                if self._over:
                    raise core.WriteError("the connection was closed")
                try:
                    self._limit(left)
                    view = view[self._socket.send(view) :]
                except TimeoutError:
                    raise (core.ConnectTimeout if self._layers else core.WriteTimeout) from None
                except OSError as problem:
                    raise core.WriteError(str(problem)) from problem

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        core, plain = self._core, self._socket
        by = min(self._by, monotonic() + timeout) if timeout is not None else self._by
        try:
            left = by - monotonic()
            if left <= 0:
                raise TimeoutError
            plain.settimeout(left)
            if isinstance(plain, ssl.SSLSocket):
                secret: Any = Nested(plain, ssl_context, server_hostname, by)
            else:
                secret = ssl_context.wrap_socket(plain, server_hostname=server_hostname)
        except TimeoutError:
            self.close()
            raise core.ConnectTimeout("the TLS handshake did not end") from None
        except (OSError, ValueError) as problem:
            self.close()
            raise core.ConnectError(str(problem)) from problem
        connected(self._started)
        return Stream(core, secret, self._started, self._by, max(0, self._layers - 1))

    def close(self) -> None:
        """
        From any thread. One that is inside is woken, and closes the socket itself: a number that is given back while
        somebody waits at it may be the next connection's.
        """
        with self._ending:
            self._over = True
            if self._inside.acquire(blocking=False):
                try:
                    self._socket.close()
                finally:
                    self._inside.release()
                return
            try:
                socket.socket.shutdown(getattr(self._socket, "outer", self._socket), socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was quicker

    @property
    def closed(self) -> bool:
        """Whether this side has closed it."""
        return self._over

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._over or readable(self._socket)
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, (ssl.SSLSocket, Nested)) else None
        if info == "socket":
            return self._socket
        if info == "client_addr":
            return self._socket.getsockname()
        return self._socket.getpeername() if info == "server_addr" else None


def readable(idle: Any) -> bool:
    """Whether an idle connection has something to say, which can only be that it ends, or what nobody asked for."""
    if isinstance(idle, (ssl.SSLSocket, Nested)) and idle.pending():
        return True
    number = idle.fileno()
    if number < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([number], [], [], 0)[0])
    polled = select.poll()
    polled.register(number, select.POLLIN)
    return bool(polled.poll(0))


def connected(started: float) -> None:
    """Tell the attempt how long it took."""
    clock = current_clock.get()
    if clock is not None:
        clock.connect_ms = (monotonic() - started) * 1000


class Backend:
    """Makes connections, and blocks. `layers` of TLS lead through a proxy, where that is asked for a way."""

    def __init__(self, core: Any, layers: int = 0) -> None:
        self._core = core
        self._layers = layers

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the library's interface
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """`timeout` is for the name, the connection and TLS together."""
        started = monotonic()
        by = started + (timeout if timeout is not None else 86_400.0)
        try:
            made = connect(resolve(host, port, by), by)
        except TimeoutError as problem:
            raise self._core.ConnectTimeout(str(problem)) from problem
        except OSError as problem:
            raise self._core.ConnectError(str(problem)) from problem
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in socket_options or ():
            made.setsockopt(*option)
        connected(started)
        return Stream(self._core, made, started, by, self._layers)
