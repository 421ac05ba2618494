"""TLS inside TLS, for a proxy that is itself spoken to over TLS: the standard library wraps a socket once."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

__all__ = ["PIECE", "Nested"]

PIECE = 262_144
"""A request goes out in pieces of this size, where they are not taken as the system has room for them."""

T = TypeVar("T")

_RECORD = 16_384 + 2048  # a TLS record with what surrounds it


class Nested:
    """What a socket does, as far as a connection asks for it, through the TLS of another one."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, server_hostname: str | None, by: float) -> None:
        """Raises `OSError` where the handshake fails, `TimeoutError` where it has not ended at `by`."""
        self.outer = outer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=server_hostname)
        self._by = by
        self._seconds = 86_400.0
        self._carry(self._tls.do_handshake)

    def settimeout(self, seconds: float | None) -> None:
        """For each reading and sending from now on."""
        self._seconds = seconds if seconds is not None else 86_400.0

    def recv(self, size: int) -> bytes:
        self._by = monotonic() + self._seconds
        try:
            return self._carry(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: bytes | memoryview) -> int:
        self._by = monotonic() + self._seconds
        return self._carry(lambda: self._tls.write(data[:PIECE]))

    def _carry(self, work: Callable[[], T]) -> T:
        """Carry records to and fro until it is done."""
        while True:
            wants = False
            try:
                done = work()
            except ssl.SSLWantReadError:
                wants = True
            self._flush()
            if not wants:
                return done
            self._leave_time()
            record = self.outer.recv(_RECORD)
            if record:
                self._in.write(record)
            else:
                self._in.write_eof()

    def _flush(self) -> None:
        out = memoryview(self._out.read())
        while out:
            self._leave_time()
            out = out[self.outer.send(out) :]

    def _leave_time(self) -> None:
        left = self._by - monotonic()
        if left <= 0:
            raise TimeoutError
        self.outer.settimeout(left)

    def pending(self) -> int:
        """Bytes that have arrived and were not read, at either depth."""
        return self._tls.pending() + self._in.pending + self.outer.pending()

    def selected_alpn_protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol()

    def fileno(self) -> int:
        return self.outer.fileno()

    def getsockname(self) -> object:
        return self.outer.getsockname()

    def getpeername(self) -> object:
        return self.outer.getpeername()

    def close(self) -> None:
        self.outer.close()
