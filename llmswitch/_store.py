"""
What processes tell each other of health, and the store that they tell it through.

A store keeps one record per subject. Records are ordered, the greater one stays, and everybody arrives at the same one
in whatever order they hear of it: a later epoch first (something was closed or forgotten in between), then a later end.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from . import _errors
from ._config import KeyReference, StoreConfig
from ._errors import ConfigError
from ._secrets import Secret

if TYPE_CHECKING:
    from ._counter_store import CounterStore

__all__ = [
    "HORIZON",
    "Kind",
    "Record",
    "Store",
    "Subject",
    "address",
    "clients_opener",
    "counters_opener",
    "digest",
    "store_opener",
]

Kind: TypeAlias = Literal["breaker", "cooldown"]
Subject: TypeAlias = tuple[Kind, str]  # what is known, and the key of the scope of which it is

# Nothing keeps calls away for longer than this; so long, too, is it remembered that something was closed, or a process
# that was cut off could bring back what it knew before.
HORIZON = 24 * 3600.0

_VERSION = 1
_REASONS = frozenset(_errors.__all__)


@dataclass(slots=True, frozen=True)
class Record:
    """
    An open breaker or a cool-down of one scope, or that it is over. Times are milliseconds of the store's clock.

    `until` is 0 for what was closed or forgotten. `epoch` counts how often that happened. `reason`: the class of the
    error. `times`: how often in a row.
    """

    epoch: int
    since: int
    until: int
    reason: str = ""
    transient: bool = True
    times: int = 0

    def beats(self, other: Record | None) -> bool:
        """Whether this one stays where both are known."""
        return other is None or (self.epoch, self.until) > (other.epoch, other.until)

    @property
    def kept(self) -> int:
        """Until when the record is kept: an epoch has to outlive what it ended."""
        return max(self.until, self.since + int(HORIZON * 1000)) if self.epoch else self.until

    def left(self, now: int) -> float:
        """Seconds until it ends; never more than it had at its beginning, whatever the store's clock did since."""
        return min(self.until - now, self.until - self.since, HORIZON * 1000) / 1000

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(
            {
                "v": _VERSION,
                "epoch": self.epoch,
                "since": self.since,
                "until": self.until,
                "reason": self.reason,
                "transient": self.transient,
                "times": self.times,
            },
            separators=(",", ":"),
        )

    @classmethod
    def load(cls, raw: bytes | str) -> Record | None:
        """From JSON; `None` for what this version can't read. What is read comes from outside, and is bounded."""
        try:
            given = json.loads(raw)
        except (ValueError, RecursionError):
            return None
        if not isinstance(given, dict) or given.get("v") != _VERSION:
            return None
        epoch, since, until, times = (_count(given.get(name)) for name in ("epoch", "since", "until", "times"))
        reason = given.get("reason")
        if epoch is None or since is None or until is None or times is None or not isinstance(reason, str):
            return None
        known = reason if reason in _REASONS or not reason else "Overloaded"
        return cls(epoch, since, until, known, bool(given.get("transient")), min(times, 1000))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


class Store(Protocol):
    """
    Where records and leases are kept. Used by one thread, which is not that of a call; any method may raise anything,
    and takes a fraction of a second at the most. Rate windows and budgets are counted by another, a `CounterStore`.
    """

    def read(self, names: Sequence[str]) -> tuple[int, list[bytes | str | None]]:
        """The store's clock in milliseconds, and what is kept under each name."""

    def write(self, records: Sequence[tuple[str, Record]]) -> None:
        """Keep each record, unless what is there beats it."""

    def hold(self, name: str, token: str, seconds: float) -> bool:
        """
        Take or prolong the lease of a breaker. Nobody gets it while another token has it, or while the record under
        the same name says that the breaker is open.
        """

    def free(self, name: str, token: str) -> None:
        """Give the lease back, if it is this token's."""

    def close(self) -> None:
        """Close the connections."""


def digest(kind: str, key: str, machine: str, egress: str) -> str:
    """
    The name of a scope's record: a hash, since a scope's key names hosts, proxies and models.

    What is known of an endpoint is known of the way to it, which is `egress`'s own; a server on this machine is not
    the one of the same address on another.
    """
    origin, proxy, *account = key.split("|")
    way = machine if _local(origin) or _local(proxy) else "" if account else egress
    return f"{kind}:{hashlib.sha256(f'{way}|{key}'.encode()).hexdigest()}"


def _local(url: str) -> bool:
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def store_opener(config: StoreConfig, source: str, *, strict: bool = False) -> Callable[[], Store]:
    """
    What opens the store that the configuration names. Nothing is connected yet.

    Raises `ConfigError`, never with the address, where it is wrong or missing, or its library is not installed.
    """
    from ._redis_store import redis_opener

    return redis_opener(address(config.url, f"{source}: store.url", strict=strict), config.prefix, f"{source}: store")


def counters_opener(config: StoreConfig, source: str, *, strict: bool) -> Callable[[str], CounterStore]:
    """The same for the store that allowances are counted in; it is given this process's name. Raises `ConfigError`."""
    from ._redis_counters import RedisCounters

    client = clients_opener(config, source, strict=strict)
    return lambda process: RedisCounters(client(), config.prefix, process)


def clients_opener(config: StoreConfig, source: str, *, strict: bool) -> Callable[[], Any]:
    """What opens clients of that store, for what needs no more than its commands. Raises `ConfigError`."""
    from ._redis_store import redis_clients

    return redis_clients(address(config.url, f"{source}: store.url", strict=strict), f"{source}: store")


def address(reference: str | KeyReference | None, where: str, *, strict: bool) -> Secret:
    """The address of a store, which may hold a password. Raises `ConfigError`, never with it."""
    if isinstance(reference, str):
        return Secret(reference, where)
    assert reference is not None
    try:
        return Secret.read(reference, strict=strict, what="address")
    except ConfigError as problem:
        said = problem.message
    raise ConfigError(f"{where}: {said}")
