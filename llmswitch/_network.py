"""
Beneath httpx: reads that end at a moment, not after a span, and knowledge of whether a connection was new.

httpx's own read timeout starts anew with every read, so a server that sends a byte now and then is never timed out
(measured on 0.28.1); and a limit of our own from outside would cancel the call, which loses connections of the pool.
Here the limit is part of the read itself, so that it ends as httpx's own timeout does.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from time import monotonic
from typing import Any

import httpcore

__all__ = ["AsyncDeadlineBackend", "Clock", "DeadlineBackend", "current_clock"]


class Clock:
    """
    What one attempt tells its connection, and learns from it.

    `by`: monotonic seconds at which the next read ends. `connect_ms`: how long connecting took, `None` where a kept
    connection was used. `received`: bytes that arrived. `measured`: the connection is one that tells these things.
    `stream`: what is read from or written to.
    """

    __slots__ = ("by", "connect_ms", "measured", "received", "stream")

    def __init__(self) -> None:
        self.by = 0.0
        self.connect_ms: float | None = None
        self.received = 0
        self.measured = False
        self.stream: httpcore.NetworkStream | None = None

    def left(self, timeout: float | None) -> float:
        """Seconds until `by`; raises httpcore's own timeout where it has passed."""
        left = self.by - monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if timeout is None or timeout > left else timeout

    def interrupt(self) -> None:
        """End a read or write that another thread is in the middle of, and all that would follow."""
        self.by = 0.0
        connected = self.stream.get_extra_info("socket") if self.stream is not None else None
        if connected is not None:
            try:
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # beneath TLS, which that thread is using
            except OSError:
                pass  # it was closed meanwhile

    def left_to_write(self, timeout: float | None) -> float:
        """The same for a write."""
        left = self.by - monotonic()
        if left <= 0:
            raise httpcore.WriteTimeout
        return left if timeout is None or timeout > left else timeout


# A request goes out in pieces of this size, so that one that is taken in drips meets its limit in between.
_WRITE = 65_536

current_clock: ContextVar[Clock | None] = ContextVar("llmswitch_clock", default=None)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        clock = current_clock.get()
        if clock is None:
            return self._inner.read(max_bytes, timeout)
        clock.stream = self
        data = self._inner.read(max_bytes, clock.left(timeout))
        clock.received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        clock = current_clock.get()
        if clock is None:
            self._inner.write(buffer, timeout)
            return
        clock.stream = self
        for start in range(0, len(buffer), _WRITE):
            self._inner.write(buffer[start : start + _WRITE], clock.left_to_write(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class DeadlineBackend(httpcore.NetworkBackend):
    """The sync side."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        started = monotonic()
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        clock = current_clock.get()
        if clock is not None:
            clock.connect_ms = (monotonic() - started) * 1000
        return _Stream(stream)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(path, timeout, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        clock = current_clock.get()
        if clock is None:
            return await self._inner.read(max_bytes, timeout)
        data = await self._inner.read(max_bytes, clock.left(timeout))
        clock.received += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        clock = current_clock.get()
        if clock is None:
            await self._inner.write(buffer, timeout)
            return
        for start in range(0, len(buffer), _WRITE):
            await self._inner.write(buffer[start : start + _WRITE], clock.left_to_write(timeout))

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class AsyncDeadlineBackend(httpcore.AsyncNetworkBackend):
    """The async side."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        started = monotonic()
        stream = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        clock = current_clock.get()
        if clock is not None:
            clock.connect_ms = (monotonic() - started) * 1000
        return _AsyncStream(stream)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._inner.connect_unix_socket(path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
