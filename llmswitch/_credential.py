"""
How requests of one account prove who sends them, where that takes more than a key in a header: signatures and tokens.

A credential does no I/O. `sign` is a function of the request, the secrets and the time; a token that has to be fetched
is asked for by the exchange, which carries `renewal` out like any other request, one at a time for each account.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from ._adapter import HTTPRequest
from ._bulkhead import Bulkhead, Turn
from ._errors import LLMSwitchError
from ._secrets import Secret

if TYPE_CHECKING:
    from ._errand import Send

__all__ = ["Credential", "Gate", "NotRenewed", "Refused", "Renewal", "Signed", "host_of"]

_SKEW = 30.0  # seconds by which a clock may be off before it is a reason to be refused
_PORTS = {"https": 443, "http": 80}


def host_of(base_url: str) -> str:
    """What the `Host` header of a request to this address says, for signatures that cover it."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


@dataclass(slots=True, frozen=True, repr=False)
class Signed:
    """What signing adds to a request: headers, and a query that is appended to its address. Its repr shows neither."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


@dataclass(slots=True, frozen=True, repr=False)
class Renewal:
    """
    The request that fetches a token, at an address of the vendor's that may be another than that of its models.

    `seconds`: the most that it may take, where that is less than the call has left.
    """

    base_url: str
    request: HTTPRequest
    signed: Signed = field(default_factory=Signed)
    seconds: float | None = None


class Refused(Exception):
    """The vendor gives no token for these secrets. The message says what it said, and holds none of them."""


@dataclass(slots=True, frozen=True)
class NotRenewed:
    """When (monotonic seconds) a token could not be had, of which class that was, and in which words."""

    at: float
    kind: type[LLMSwitchError]
    message: str


class Gate:
    """One renewal at a time, however many calls of whatever threads and loops need it."""

    def __init__(self) -> None:
        self.forget()
        _gates.add(self)

    def forget(self) -> None:
        """Start anew: in a forked child nobody ends what a thread of the parent's has begun."""
        self._lock = threading.Lock()
        self._room = Bulkhead(1)

    def enter(self, turn: Turn | None = None) -> bool:
        """Whether it is this call's turn now."""
        with self._lock:
            return self._room.enter(turn)

    def wait(self) -> Turn:
        """A place in the queue; to be given up in the end."""
        with self._lock:
            return self._room.wait()

    def give_up(self, turn: Turn) -> None:
        """Wait no more."""
        with self._lock:
            self._room.give_up(turn)

    def leave(self) -> None:
        """The next one's turn."""
        with self._lock:
            self._room.leave()


_gates: weakref.WeakSet[Gate] = weakref.WeakSet()


def _forget_all() -> None:
    for gate in list(_gates):
        gate.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class Credential(ABC):
    """
    The secrets of one account, by the names in `parts`. Made once per endpoint, and shared between threads.

    `optional` are the parts that need not be there; `shown` those that are no secret, and stand in requests as they
    are. `granted` is what the vendor answers where it gives a token, for fakes of it. `errand`: its token is fetched by
    a library that blocks, with `fetch` in place of `renewal` and `renewed`.

    `now` is always Unix time as the vendor's clock has it: ours and `offset`. `options` are those of the provider's
    `auth.options`. `tokens`: how many were fetched so far. `not_renewed`: the last time that none could be had.
    """

    parts: ClassVar[tuple[str, ...]] = ("key",)
    optional: ClassVar[tuple[str, ...]] = ()
    errand: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ()
    granted: ClassVar[bytes] = b""

    def __init__(self, secrets: Mapping[str, Secret], base_url: str, options: Mapping[str, Any]) -> None:
        self.secrets = secrets
        self.base_url = base_url
        self.options = options
        self.offset = 0.0
        self.gate = Gate()
        self.tokens = 0
        self.not_renewed: NotRenewed | None = None

    @property
    def account(self) -> str:
        """Tells accounts apart without telling a secret."""
        return "-".join(secret.fingerprint(f"{self.base_url}|{part}") for part, secret in self.secrets.items())

    @abstractmethod
    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        """What proves that the request is the account's. Raises nothing."""

    def stale(self, now: float) -> bool:  # noqa: ARG002
        """Whether a token has to be fetched before anything is sent."""
        return False

    def renewal(self, now: float) -> Renewal:
        """The request for a token. Only asked for where `stale` can be true."""
        raise AssertionError(f"{type(self).__name__} has no token to renew ({now})")

    def renewed(self, status: int, body: bytes, now: float) -> None:
        """Take in the answer to `renewal`. Raises `Refused` where it holds no token."""
        raise AssertionError(f"{type(self).__name__} has no token to take in ({status}, {len(body)} bytes, {now})")

    def fetch(self, send: Send, now: float) -> None:
        """
        Get a token by means of a library, in a thread of its own; what is to be sent goes by `send`.

        Raises `Refused` where there is none, and lets `Unsent` pass.
        """
        raise AssertionError(f"{type(self).__name__} sends nobody for a token ({send}, {now})")

    def drop(self, code: str | None) -> bool:  # noqa: ARG002
        """The vendor refused the token, by this code, though it had not ended; whether to fetch another."""
        return False

    def reset_clock(self, served: float | None, now: float) -> bool:
        """
        It was `served` by the vendor's clock (Unix seconds, `None` where it did not say) when it was `now` by ours.
        Whether that is news: what was refused may then have been refused for its time.
        """
        if served is None or abs(served - now) <= _SKEW or abs(served - now - self.offset) <= _SKEW:
            return False
        self.offset = served - now
        return True

    def distrust(self, served: float | None, now: float, code: str | None) -> bool:
        """
        The vendor refused a request, by this code and at these times. Whether it is worth repeating: with another time,
        or another token.
        """
        return self.reset_clock(served, now) or self.drop(code)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.secrets)})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("credentials can't be pickled: they are loaded again from where they came")
