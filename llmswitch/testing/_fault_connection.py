"""One connection of a `FaultServer`: it reads, sends and waits, and is over as soon as the server is."""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

__all__ = ["Connection", "ConnectionOver", "Received", "wait_to_read"]

_READ_BYTES = 256 * 1024
_KEPT_BYTES = 64 * 1024  # are read while it waits, so that a client that goes away is noticed
_TICK = 0.01

# poll has no limit on the numbers of descriptors, select has; Windows has select alone
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class ConnectionOver(Exception):
    """The client closed it, the script did, or the server ended. Not an error."""


@dataclass(frozen=True, slots=True)
class Received:
    """
    One request as it arrived. Its repr shows no header and no body.

    `time`: monotonic seconds at which it was whole. `headers`: by lower-case name, several of one name joined by a
    comma. `connection`: which connection it came by, counted from 0.
    """

    time: float
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    connection: int

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` where it is not."""
        return json.loads(self.body)


def wait_to_read(wanted: socket.socket | None, ended: socket.socket, seconds: float | None) -> bool:
    """Whether `wanted` can be read from within so many seconds. Raises `ConnectionOver` where `ended` can."""
    with _Selector() as selector:
        selector.register(ended, selectors.EVENT_READ)
        if wanted is not None:
            selector.register(wanted, selectors.EVENT_READ)
        ready = [key.fileobj for key, _ in selector.select(seconds)]
    if ended in ready:
        raise ConnectionOver
    return bool(ready)


class Connection:
    """
    One accepted connection, as a step of a script sees it.

    `number`: which one it is, counted from 0. `request`: what `read_request` read last.
    """

    def __init__(
        self, accepted: socket.socket, ended: socket.socket, number: int, record: Callable[[Received], None]
    ) -> None:
        self.socket = accepted
        self.number = number
        self.request: Received | None = None
        self._ended = ended
        self._record = record
        self._unread = bytearray()

    def send(self, data: bytes) -> None:
        """Send all of it, however long the client takes to read."""
        self.socket.sendall(data)

    def idle(self, seconds: float | None = None, event: threading.Event | None = None) -> None:
        """Wait so long, or until the event is set. The connection is over where the client closes it meanwhile."""
        until = None if seconds is None else monotonic() + seconds
        while event is None or not event.is_set():
            left = None if until is None else until - monotonic()
            if left is not None and left <= 0:
                return
            seconds = left if event is None else _TICK
            if len(self._unread) < _KEPT_BYTES:
                self._take(seconds)
            else:
                wait_to_read(None, self._ended, seconds)

    def ignore(self, seconds: float | None = None) -> None:
        """Wait so long, or until the server ends, and read nothing."""
        wait_to_read(None, self._ended, seconds)

    def read_request(self) -> Received:
        """Read a head, and as much of a body as its Content-Length says, and record it."""
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            self._take(None)
        lines = self._unread[:end].decode("latin-1").split("\r\n")
        del self._unread[: end + 4]
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        length = int(headers.get("content-length", "0"))
        while len(self._unread) < length:
            self._take(None)
        body = bytes(self._unread[:length])
        del self._unread[:length]
        method, _, rest = lines[0].partition(" ")
        self.request = Received(monotonic(), method, rest.partition(" ")[0], headers, body, self.number)
        self._record(self.request)
        return self.request

    def wait_for_bytes(self) -> None:
        """Wait until the client has sent something that was not read yet."""
        while not self._unread:
            self._take(None)

    def finish(self) -> None:
        """Send FIN and wait for the client's. Over TLS no close_notify goes before it."""
        self.socket.shutdown(socket.SHUT_WR)
        while True:
            self._unread.clear()
            self._take(None)

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Go over to TLS, as the server."""
        wrapped = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.socket = wrapped  # before the handshake: the server's end has to be able to interrupt it
        wrapped.do_handshake()

    def _take(self, seconds: float | None) -> None:
        """Wait at most so long for bytes and keep them."""
        encrypted = isinstance(self.socket, ssl.SSLSocket)
        pending = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0
        if not pending and not wait_to_read(self.socket, self._ended, seconds):
            return
        self.socket.settimeout(_TICK if encrypted else None)
        try:
            data = self.socket.recv(_READ_BYTES)
        except TimeoutError:  # what came was TLS's own
            return
        finally:
            self.socket.settimeout(None)
        if not data:
            raise ConnectionOver
        self._unread += data
