"""
A scripted HTTP/1.1 server on raw TCP: every way in which a server can fail, on purpose and on time.

    from llmswitch import Client
    from llmswitch.testing.fault_server import FaultServer, ReadRequest, Reset, Send, sse

    words = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("one ", "two ")]
    with FaultServer([ReadRequest(), Send(sse(words, ended=False)), Reset()]) as vendor:
        client = Client.from_config({
            "default": "rehearsal",
            "chains": {"rehearsal": {"targets": ["broken:any", "PROVIDER:MODEL"]}},
            "providers": {"broken": {"dialect": "openai", "base_url": vendor.url}},
        })

It listens on this machine alone, on a port of its own, within a few milliseconds, and needs nothing but the standard
library. What a script does is exact to the byte. Ending the server ends every script, one that hangs included, and
leaves no thread and no socket behind.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Sequence
from time import sleep
from types import TracebackType
from typing import Self

from ._fault_bytes import LAST_CHUNK, chunk, event_bytes, response, sse, sse_head
from ._fault_connection import Connection, ConnectionOver, Received, wait_to_read
from ._fault_ports import black_hole, refused_port
from ._fault_steps import (
    Close,
    Hang,
    NeverRead,
    Pause,
    ReadRequest,
    Reset,
    Respond,
    Send,
    SendForever,
    SendSlowly,
    Step,
    WaitFor,
)

__all__ = [
    "LAST_CHUNK",
    "Close",
    "Connection",
    "ConnectionOver",
    "FaultServer",
    "Hang",
    "NeverRead",
    "Pause",
    "ReadRequest",
    "Received",
    "Reset",
    "Respond",
    "Send",
    "SendForever",
    "SendSlowly",
    "Step",
    "WaitFor",
    "black_hole",
    "chunk",
    "event_bytes",
    "refused_port",
    "response",
    "sse",
    "sse_head",
]

_SMALL_WINDOW = 4096
_JOIN_SECONDS = 5.0


class FaultServer:
    """
    The server. It runs from the beginning of a `with` block to its end.

    A script is a sequence of steps. The first one is played on the first connection as soon as that is accepted; the
    next one on the next connection, or, where a script left its connection open, as soon as more bytes come by it;
    the last one again and again. `tls`: a server-side context, for https. `host`: an address of this machine.
    """

    def __init__(self, *scripts: Sequence[Step], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        if not scripts:
            raise ValueError("a FaultServer needs a script; [ReadRequest(), Send(response())] is a short one")
        self._scripts = [tuple(script) for script in scripts]
        self._tls = tls
        self._host = host
        self._turn = 0
        self._changed = threading.Condition()
        self._connections: dict[Connection, threading.Thread] = {}
        self._received: list[Received] = []
        self._accepted = 0
        self._ending = False

    # What a test asks of it

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Where it is: `http://127.0.0.1:PORT`, or https with `tls`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        return self._accepted

    @property
    def open(self) -> int:
        """How many connections are open: until both sides have closed them, or one has broken them off."""
        return len(self._connections)

    @property
    def requests(self) -> list[Received]:
        """The requests that `ReadRequest` has read so far."""
        with self._changed:
            return list(self._received)

    def wait_closed(self, seconds: float = 1.0) -> bool:
        """Whether no connection is open, now or within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._connections, seconds)

    def wait_for_connections(self, number: int, seconds: float = 5.0) -> bool:
        """Whether so many connections have been accepted, now or within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._accepted >= number, seconds)

    def wait_for_requests(self, number: int, seconds: float = 5.0) -> bool:
        """Whether so many requests have been read, now or within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._received) >= number, seconds)

    # Its life

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        if any(isinstance(step, NeverRead) for script in self._scripts for step in script):
            # before it listens: a connection inherits its window
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
        self._listener.bind((self._host, 0))
        self._port = int(self._listener.getsockname()[1])
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._end, self._ended = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name=f"fault-server-{self._port}", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every script and every connection. Raises `RuntimeError` where a step of your own does not end."""
        if self._ending:
            return
        self._ending = True
        self._end.close()  # the other end can be read from now on, which is what everybody here waits for
        self._acceptor.join(_JOIN_SECONDS)
        self._listener.close()
        with self._changed:
            playing = dict(self._connections)
        for connection in playing:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)  # wakes a send to a client that does not read
            except OSError:
                pass  # it ended by itself meanwhile
        for thread in playing.values():
            thread.join(_JOIN_SECONDS)
        if any(thread.is_alive() for thread in playing.values()):
            raise RuntimeError("a step of a script does not end; it has to wait with connection.idle()")
        self._ended.close()

    def _accept(self) -> None:
        while True:
            try:
                wait_to_read(self._listener, self._ended, None)
                accepted, _ = self._listener.accept()
            except ConnectionOver:
                return
            except OSError:  # the client gave up meanwhile, or this process is out of descriptors
                sleep(0.01)
                continue
            accepted.setblocking(True)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(accepted, self._ended, self._accepted, self._record)
            with self._changed:
                thread = threading.Thread(target=self._play, args=(connection, self._next()), daemon=True)
                self._accepted += 1
                self._connections[connection] = thread
                self._changed.notify_all()
            thread.start()

    def _play(self, connection: Connection, script: tuple[Step, ...]) -> None:
        try:
            if self._tls is not None:
                connection.encrypt(self._tls)
            while True:
                for step in script:
                    step.play(connection)
                connection.wait_for_bytes()
                with self._changed:
                    script = self._next()
        except (ConnectionOver, OSError):
            pass  # the client went away, or the script sent it away: that is what scripts are for
        finally:
            connection.socket.close()
            with self._changed:
                del self._connections[connection]
                self._changed.notify_all()

    def _next(self) -> tuple[Step, ...]:
        script = self._scripts[min(self._turn, len(self._scripts) - 1)]
        self._turn += 1
        return script

    def _record(self, request: Received) -> None:
        with self._changed:
            self._received.append(request)
            self._changed.notify_all()
