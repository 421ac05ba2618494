"""What the exchange asks of a driver, and what it is told back. The two drivers differ only in how they wait."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ._adapter import HTTPRequest
from ._bulkhead import Turn
from ._endpoint import Endpoint
from ._events import ChatEvent
from ._target import Target

if TYPE_CHECKING:
    from ._allowances import Held, Refused, Reserve
    from ._cache import Finding
    from ._credential import Signed
    from ._operation import Reply
    from ._pieces import Flow
    from ._shared_sessions import Keep, Recall

__all__ = [
    "Action",
    "Await",
    "Close",
    "Content",
    "Exchange",
    "Fault",
    "FaultKind",
    "Lane",
    "Open",
    "Opened",
    "Outcome",
    "Race",
    "Raced",
    "Read",
    "Sleep",
]


Content: TypeAlias = "bytes | Iterable[bytes] | AsyncIterable[bytes]"


@dataclass(slots=True)
class Open:
    """
    Send the request and wait for the headers of the answer, until `by` (monotonic seconds) at the latest.

    `endpoint` and `signed` stand in place of the target's own, for the request that fetches its token. `url`: where to,
    in place of the request's own path; always at the target's own origin. `content`: the body in pieces, as the driver
    waits for them, in place of the request's. What is passed on for a program has an endpoint and no target. `idle`:
    seconds between two pieces of the answer, for a client that can be told no limit of each read.
    """

    target: Target | None
    request: HTTPRequest
    by: float
    connect: float
    pool: float
    write: float
    endpoint: Endpoint | None = None
    signed: Signed | None = None
    url: str | None = None
    content: Content | None = None
    idle: float = 0.0

    @property
    def to(self) -> Endpoint:
        """Where it goes."""
        if self.endpoint is not None:
            return self.endpoint
        assert self.target is not None
        return self.target.endpoint


class Opened(NamedTuple):
    """An answer has begun. Header names are lower case; `connect_ms` is `None` where a kept connection was used."""

    status: int
    headers: Mapping[str, str]
    connect_ms: float | None = None
    header_bytes: int = 0
    header_count: int = 0


@dataclass(slots=True)
class Read:
    """
    Wait for more of the body, until `by`; empty bytes are its end. `flow`, of a stream that is under way: makes events
    of what came, for a driver that will not wake the whole exchange for every piece.
    """

    by: float
    flow: Flow | None = None


@dataclass(slots=True)
class Close:
    """Let go of the open answer."""


class Sleep(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class Await(NamedTuple):
    """Wait until the turn is granted, until `by` at the latest."""

    turn: Turn
    by: float


class Race(NamedTuple):
    """
    Carry on with `first`; where neither an event for the caller nor an outcome has come of it by `after` (monotonic
    seconds), begin what `second()` gives beside it, if that is anything. Who is the first to have an event, or an
    outcome that `settles` it, wins. The other is closed, after `lost` was told its number.
    """

    first: Lane
    second: Callable[[], Lane | None]
    after: float
    settles: Callable[[Any], bool]
    lost: Callable[[int], None]


class Raced(NamedTuple):
    """
    How a race ended. `events`: those of the `winner`, whose answer goes on from there; `None` where it has ended.
    `results`: what the lanes that ended came to, by number.
    """

    winner: int
    events: list[ChatEvent] | None
    results: Mapping[int, Any]


# connect   no connection            tls       not to be trusted       stale    a kept connection was dead
# broken    it broke off             timeout   `by` has passed         garbage  not HTTP
# pool      no free connection here  local     this machine's fault   closed   the client was closed
FaultKind: TypeAlias = Literal["connect", "tls", "stale", "broken", "timeout", "garbage", "pool", "local", "closed"]


class Fault(NamedTuple):
    """
    The network failed. It is told, not thrown: the traceback of the HTTP library, whose frames hold the key and the
    prompt, ends in the driver. `lasting`: to try again is of no use.
    """

    kind: FaultKind
    message: str
    lasting: bool = False


# A list of events is handed to the caller.
Action: TypeAlias = "Open | Read | Close | Sleep | Await | Race | Reserve | Recall | Keep | Finding | list[ChatEvent]"
Outcome: TypeAlias = "Opened | Fault | Raced | Held | Refused | bytes | None"
Lane: TypeAlias = "Generator[Action, Outcome, Any]"
Exchange: TypeAlias = "Generator[Action, Outcome, Reply]"
