"""The steps of a `FaultServer`'s scripts: what a server can do to a client, one thing at a time."""

from __future__ import annotations

import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from ._fault_connection import Connection, ConnectionOver, Received

__all__ = [
    "Close",
    "Hang",
    "NeverRead",
    "Pause",
    "ReadRequest",
    "Reset",
    "Respond",
    "Send",
    "SendForever",
    "SendSlowly",
    "Step",
    "WaitFor",
]


class Step(ABC):
    """One thing that a script does. Write your own by giving it a `play`; `connection.idle()` waits interruptibly."""

    @abstractmethod
    def play(self, connection: Connection) -> None:
        """Do it. An `OSError` that it raises ends the connection."""


@dataclass(frozen=True, slots=True)
class ReadRequest(Step):
    """Read one request, head and body, and record it in `FaultServer.requests`."""

    def play(self, connection: Connection) -> None:
        connection.read_request()


@dataclass(frozen=True, slots=True)
class Send(Step):
    """Send just these bytes."""

    data: bytes = field(repr=False)

    def play(self, connection: Connection) -> None:
        connection.send(self.data)


@dataclass(frozen=True, slots=True)
class SendSlowly(Step):
    """Send these bytes `size` at a time, waiting `every` seconds after each."""

    data: bytes = field(repr=False)
    size: int = 1
    every: float = 0.05

    def play(self, connection: Connection) -> None:
        for start in range(0, len(self.data), self.size):
            connection.send(self.data[start : start + self.size])
            connection.idle(self.every)


@dataclass(frozen=True, slots=True)
class SendForever(Step):
    """Send these bytes again and again, waiting `every` seconds after each time, until the client goes away."""

    data: bytes = field(repr=False)
    every: float = 0.0

    def play(self, connection: Connection) -> None:
        while True:
            connection.send(self.data)
            connection.idle(self.every)


@dataclass(frozen=True, slots=True)
class Respond(Step):
    """Send what `answer` makes of the request that was read last."""

    answer: Callable[[Received], bytes]

    def play(self, connection: Connection) -> None:
        if connection.request is None:
            raise RuntimeError("Respond stands before any ReadRequest in the script")
        connection.send(self.answer(connection.request))


@dataclass(frozen=True, slots=True)
class Pause(Step):
    """Do nothing for so many seconds."""

    seconds: float

    def play(self, connection: Connection) -> None:
        connection.idle(self.seconds)


@dataclass(frozen=True, slots=True)
class WaitFor(Step):
    """Do nothing until the test sets the event."""

    event: threading.Event

    def play(self, connection: Connection) -> None:
        connection.idle(event=self.event)


@dataclass(frozen=True, slots=True)
class Reset(Step):
    """End the connection with RST."""

    def play(self, connection: Connection) -> None:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
        raise ConnectionOver


@dataclass(frozen=True, slots=True)
class Close(Step):
    """End the connection with FIN. It counts as open until the client has closed its side too."""

    def play(self, connection: Connection) -> None:
        connection.finish()


@dataclass(frozen=True, slots=True)
class NeverRead(Step):
    """Read nothing, so that the client's writes come to a stand, for so many seconds or until the server ends."""

    seconds: float | None = None

    def play(self, connection: Connection) -> None:
        connection.ignore(self.seconds)


@dataclass(frozen=True, slots=True)
class Hang(Step):
    """Stay silent until the client goes away."""

    def play(self, connection: Connection) -> None:
        connection.idle()
