"""The sync side: connections to one place after the other, kept while they are idle."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

from .._network import Backend, Stream
from .answer import Answer
from .request import Origin, Request

__all__ = ["Begun", "Idle", "Response", "Transport"]

READ_BYTES = 65_536


class Idle:
    """Connections that wait to be used again, by origin; the last one that came is the first to go."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: dict[Origin, list[tuple[float, Any]]] = {}
        self._closed = False

    def take(self, origin: Origin) -> tuple[Any, list[Any]]:
        """One that is alive, or `None`; and those that are not, to be closed."""
        spent: list[Any] = []
        with self._lock:
            kept = self._kept.get(origin)
            while kept:
                since, stream = kept.pop()
                if monotonic() - since < self._seconds and not stream.get_extra_info("is_readable"):
                    return stream, spent
                spent.append(stream)
        return None, spent

    def give(self, origin: Origin, stream: Any) -> list[Any]:
        """Keep this one; those that are to be closed instead."""
        now = monotonic()
        with self._lock:
            if self._closed:
                return [stream]
            kept = self._kept.setdefault(origin, [])
            old = 0
            while old < len(kept) and now - kept[old][0] >= self._seconds:
                old += 1
            spent = [each for _, each in kept[:old]]
            del kept[:old]
            kept.append((now, stream))
            return spent

    def end(self) -> list[Any]:
        """Keep nothing from now on; what was kept, to be closed."""
        with self._lock:
            self._closed = True
            kept = [stream for streams in self._kept.values() for _, stream in streams]
            self._kept.clear()
            return kept


class Begun:
    """An answer that has begun, and the connection that it comes by."""

    def __init__(self, idle: Idle, request: Request, stream: Any, answer: Answer) -> None:
        self._idle, self._request, self._connection, self.answer = idle, request, stream, answer
        self.status_code = answer.status
        self.headers = answer
        self.extensions = {"network_stream": stream}

    def leave(self) -> list[Any]:
        """Keep the connection, where the answer was read to its end; those that are to be closed."""
        answer = self.answer
        if answer.whole and answer.kept and not answer.unread and not self._connection.closed:
            return self._idle.give(self._request.origin, self._connection)
        return [self._connection]


class Response(Begun):
    """Iterate over `stream` for the body, then close it."""

    @property
    def stream(self) -> Iterator[bytes]:
        return self._body()

    def _body(self) -> Iterator[bytes]:
        answer, connection = self.answer, self._connection
        pieces = answer.pieces
        while True:
            if pieces:
                yield answer.take()
            elif answer.whole:
                return
            else:
                answer.feed(connection.read(READ_BYTES))

    def close(self) -> None:
        """Let go of the connection."""
        for stream in self.leave():
            stream.close()


class Transport:
    """`context`: the `ssl.SSLContext` of the connections over TLS. An idle one is kept for so many `seconds`."""

    def __init__(self, core: Any, backend: Backend, context: ssl.SSLContext, seconds: float) -> None:
        self._core, self._backend, self._context = core, backend, context
        self._idle = Idle(seconds)

    def handle_request(self, request: Request) -> Response:
        """The answer's head. Raises the exceptions of `core`."""
        stream, spent = self._idle.take(request.origin)
        for each in spent:
            each.close()
        if stream is None:
            stream = self._connect(request)
        answer = Answer(self._core, bodiless=request.bodiless)
        try:
            self._send(stream, request)
            while not answer.status:
                answer.feed(stream.read(READ_BYTES, request.read))
        except BaseException:
            stream.close()
            raise
        return Response(self._idle, request, stream, answer)

    def _connect(self, request: Request) -> Stream:
        origin = request.origin
        stream = self._backend.connect_tcp(origin.host, origin.port, request.connect)
        if not origin.secure:
            return stream
        return stream.start_tls(self._context, origin.host, request.connect)

    def _send(self, stream: Stream, request: Request) -> None:
        try:
            stream.write(request.head, request.write)
            if isinstance(request.body, bytes):
                if request.body:
                    stream.write(request.body, request.write)
                return
            framing = request.framing
            assert framing is not None
            assert isinstance(request.body, Iterable)
            for piece in request.body:
                stream.write(framing.frame(piece), request.write)
            stream.write(framing.end(), request.write)
        except self._core.WriteError:
            pass  # there may be an answer all the same

    def close(self) -> None:
        """Close what is idle. What is in use is ended by whoever uses it."""
        for stream in self._idle.end():
            stream.close()
