"""
How requests of one account prove who sends them, where that takes more than a key in a header: signatures and tokens.

A credential does no I/O. `sign` is a function of the request, the secrets and the time; a token that has to be fetched
is asked for by the exchange, which carries `renewal` out like any other request, one at a time for each account.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ._adapter import HTTPRequest
from ._bulkhead import Bulkhead, Turn
from ._secrets import Secret

__all__ = ["Credential", "Gate", "Refused", "Renewal", "Signed"]

_SKEW = 30.0  # seconds by which a clock may be off before it is a reason to be refused


@dataclass(slots=True, frozen=True, repr=False)
class Signed:
    """What signing adds to a request: headers, and a query that is appended to its address. Its repr shows neither."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


@dataclass(slots=True, frozen=True, repr=False)
class Renewal:
    """The request that fetches a token, at an address of the vendor's that may be another than that of its models."""

    base_url: str
    request: HTTPRequest
    signed: Signed = field(default_factory=Signed)


class Refused(Exception):
    """The vendor gives no token for these secrets. The message says what it said, and holds none of them."""


class Gate:
    """One renewal at a time, however many calls of whatever threads and loops need it."""

    def __init__(self) -> None:
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


class Credential(ABC):
    """
    The secrets of one account, by the names in `parts`. Made once per endpoint, and shared between threads.

    `now` is always Unix time as the vendor's clock has it: ours and `offset`. `options` are those of the provider's
    `auth.options`. `refused`: when (monotonic seconds) a token was refused last, and in which words.
    """

    parts: ClassVar[tuple[str, ...]] = ("key",)
    optional: ClassVar[tuple[str, ...]] = ()

    def __init__(self, secrets: Mapping[str, Secret], base_url: str, options: Mapping[str, Any]) -> None:
        self.secrets = secrets
        self.base_url = base_url
        self.options = options
        self.offset = 0.0
        self.gate = Gate()
        self.refused: tuple[float, str] | None = None

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

    def drop(self) -> bool:
        """The vendor refused the token though it had not ended; whether there is one to be fetched anew."""
        return False

    def distrust(self, served: float | None, now: float) -> bool:
        """
        The vendor refused a request at its time `served` (Unix seconds, `None` where it did not say), when it was `now`
        by our clock. Whether the request is worth repeating: with another time, or another token.
        """
        if served is not None and abs(served - now) > _SKEW and abs(served - now - self.offset) > _SKEW:
            self.offset = served - now
            return True
        return self.drop()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.secrets)})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("credentials can't be pickled: they are loaded again from where they came")
