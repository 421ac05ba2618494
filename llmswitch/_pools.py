"""Pools of connections: one per endpoint and process, or event loop; and a look at whether they lose some."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from ._endpoint import Endpoint
from ._engine import Engine
from ._log import warn
from ._network import Clock

__all__ = ["Pool", "Registry"]

_LOOKS = 1.0  # seconds between two looks at a pool


class Pool:
    """
    A transport of the HTTP library with the connections that it keeps, and the attempts that are under way on it.

    `ours`: its connections are made by us, and tell an attempt what they know. `retired`: another one stands in its
    place, and it is closed with the last attempt.
    """

    __slots__ = ("calls", "engine", "leaking", "look_at", "ours", "retired", "transport")

    def __init__(self, engine: Engine, transport: Any, *, ours: bool) -> None:
        self.engine = engine
        self.transport = transport
        self.ours = ours
        self.calls: set[Clock] = set()
        self.retired = False
        self.leaking: float | None = None  # since when, for all that is known
        self.look_at = 0.0 if ours else float("inf")

    def lost(self) -> int:
        """Connections that it counts as used, and nobody uses."""
        return self.engine.lost(self.transport, self.calls) if self.ours else 0


class Registry:
    """The pools of one process, or of one event loop, by what they connect to."""

    def __init__(self, make: Callable[[Endpoint], Pool]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str | None], Pool] = {}
        self._retired: list[Pool] = []
        self.pid = os.getpid()
        self.closed = False
        self.guard: Any = None

    def enter(self, endpoint: Endpoint, clock: Clock, connect: float) -> tuple[Pool, Pool | None]:
        """
        The pool for an attempt, which is under way in it from now on; and one that is to be closed, if there is any.

        A pool that has lost connections for longer than `connect`, the limit on connecting, is replaced.
        """
        spent = None
        pool = self._pools.get(_key(endpoint))
        if pool is None:
            with self._lock:
                pool = self._pools.get(_key(endpoint))
                if pool is None:
                    pool = self._pools[_key(endpoint)] = self._make(endpoint)
        elif monotonic() >= pool.look_at:
            pool, spent = self._look(endpoint, pool, connect)
        pool.calls.add(clock)
        clock.over = self.closed  # it may have been closed since the call looked for it
        return pool, spent

    def _look(self, endpoint: Endpoint, pool: Pool, connect: float) -> tuple[Pool, Pool | None]:
        now = monotonic()
        pool.look_at = now + min(_LOOKS, connect)
        if not pool.lost():
            pool.leaking = None
        elif pool.leaking is None:
            pool.leaking = now
        elif now - pool.leaking > connect:
            return self._replace(endpoint, pool)
        return pool, None

    def renewed(self, endpoint: Endpoint, pool: Pool) -> bool:
        """
        Whether another pool stands in the place of this one, for whose connections an attempt has waited in vain: it
        does where some of them were lost.
        """
        if not pool.retired and pool.lost():
            self._replace(endpoint, pool)
        return pool.retired

    def leave(self, pool: Pool, clock: Clock) -> bool:
        """The attempt is over. Whether the pool is to be closed now, since it was the last one there."""
        pool.calls.discard(clock)
        return pool.retired and self._take(pool)

    def _take(self, pool: Pool) -> bool:
        """A retired pool that nobody uses any more, to be closed; once."""
        with self._lock:
            if pool.calls or pool not in self._retired:
                return False
            self._retired.remove(pool)
            return True

    def _replace(self, endpoint: Endpoint, pool: Pool) -> tuple[Pool, Pool | None]:
        lost = pool.lost()
        with self._lock:
            current = self._pools.get(_key(endpoint), pool)
            if current is not pool or self.closed:
                return current, None
            made = self._pools[_key(endpoint)] = self._make(endpoint)
            self._retired.append(pool)
            pool.retired = True
        warn("%s: the HTTP library lost %d connections, so all are replaced", endpoint.origin, lost)
        return made, pool if self._take(pool) else None

    def disown(self) -> None:
        """In a forked child: what is under way is the parent's, and no byte of it is read or sent here."""
        for pool in [*self._pools.values(), *self._retired]:
            for clock in list(pool.calls):
                clock.over = True

    def end(self) -> list[Pool]:
        """End whatever is under way. The pools, which are to be closed now; there will be no more."""
        with self._lock:
            self.closed = True
            pools = [*self._pools.values(), *self._retired]
            self._pools, self._retired = {}, []
        for pool in pools:
            for clock in list(pool.calls):
                clock.end()
        return pools


def _key(endpoint: Endpoint) -> tuple[str, str | None]:
    return endpoint.origin, endpoint.proxy.scope if endpoint.proxy is not None else None
