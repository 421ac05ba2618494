"""What the exchange asks of a driver, and what it is told back. The two drivers differ only in how they wait."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ._adapter import HTTPRequest
from ._bulkhead import Turn
from ._credential import Signed
from ._endpoint import Endpoint
from ._events import ChatEvent
from ._reply import ChatReply
from ._target import Target

__all__ = ["Action", "Await", "Close", "Exchange", "Fault", "FaultKind", "Open", "Opened", "Outcome", "Read", "Sleep"]


@dataclass(slots=True)
class Open:
    """
    Send the request and wait for the headers of the answer, until `by` (monotonic seconds) at the latest.

    `endpoint` and `signed` stand in place of the target's own, for the request that fetches its token.
    """

    target: Target
    request: HTTPRequest
    by: float
    connect: float
    pool: float
    write: float
    endpoint: Endpoint | None = None
    signed: Signed | None = None


@dataclass(slots=True)
class Opened:
    """An answer has begun. Header names are lower case; `connect_ms` is `None` where a kept connection was used."""

    status: int
    headers: Mapping[str, str]
    connect_ms: float | None = None
    header_bytes: int = 0
    header_count: int = 0


@dataclass(slots=True)
class Read:
    """Wait for more of the body, until `by`; empty bytes are its end."""

    by: float


@dataclass(slots=True)
class Close:
    """Let go of the open answer."""


@dataclass(slots=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(slots=True)
class Await:
    """Wait until the turn is granted, until `by` at the latest."""

    turn: Turn
    by: float


# connect   no connection            tls       not to be trusted       stale    a kept connection was dead
# broken    it broke off             timeout   `by` has passed         garbage  not HTTP
# pool      no free connection here  local     this machine's fault   closed   the client was closed
FaultKind: TypeAlias = Literal["connect", "tls", "stale", "broken", "timeout", "garbage", "pool", "local", "closed"]


@dataclass(slots=True)
class Fault:
    """
    The network failed. It is told, not thrown: the traceback of the HTTP library, whose frames hold the key and the
    prompt, ends in the driver. `lasting`: to try again is of no use.
    """

    kind: FaultKind
    message: str
    lasting: bool = False


# A list of events is handed to the caller.
Action: TypeAlias = Open | Read | Close | Sleep | Await | list[ChatEvent]
Outcome: TypeAlias = Opened | Fault | bytes | None
Exchange: TypeAlias = Generator[Action, Outcome, ChatReply]
