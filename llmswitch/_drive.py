"""The driver of a thread: it carries out what an exchange asks for, and waits where it stands."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from ._connections import Connections
from ._endpoint import Endpoint
from ._errors import LLMSwitchError
from ._faults import fault_of
from ._http_message import body, make_request, opened, tainted
from ._network import Clock, current_clock
from ._pools import Pool, Registry
from ._wire import Await, Close, Fault, Open, Opened, Outcome, Race, Raced, Read, Sleep

# What few calls need, an outage that is rehearsed and a race, is loaded by the first that does.
if TYPE_CHECKING:
    from ._drill import Drill, Rehearsal

__all__ = ["CLOSED", "INHERITED", "LATE", "SyncDriver"]

# A client that was brought along has limits for each read alone: what comes too late is not taken.
LATE = Fault("timeout", "")
CLOSED = Fault("closed", "", lasting=True)
# What a forked child has of its parent's open answers. To let go of one takes locks that another thread of the parent
# may have held; so it is kept, and ends with the child.
INHERITED: list[object] = []


class SyncDriver:
    """Carries out the actions of one exchange by blocking."""

    def __init__(self, connections: Connections, drill: Drill | None = None) -> None:
        self._connections = connections
        self._drill = drill
        self._rehearsal: Rehearsal | None = drill.rehearsal() if drill is not None else None
        self._registry: Registry | None = None
        self._pool: Pool | None = None
        self._response: Any = None
        self._chunks: Iterator[bytes] = iter(())
        self._whole = False
        self._clock = Clock()
        self.abandoned = False

    def perform(self, action: Any) -> Outcome:
        """Do it, and say what came of it."""
        if self._rehearsal is not None:
            played = self._rehearsal.play(action)
            if played is not None:
                if played.wait:
                    sleep(played.wait)
                return played.outcome
        if type(action) is not Read:
            return self._do(action)
        clock, pool = self._clock, self._pool
        assert pool is not None
        clock.by = action.by
        # a connection that knows its clock need not look for it
        token = current_clock.set(clock) if clock.stream is None else None
        try:
            for chunk in self._chunks:
                if chunk:
                    return chunk if clock.measured or monotonic() < action.by else LATE
            self._whole = not clock.over
            return CLOSED if clock.over else b""
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return CLOSED if clock.over else fault_of(problem, pool.engine, clock)
        finally:
            if token is not None:
                current_clock.reset(token)

    def _do(self, action: Any) -> Outcome:
        if type(action) is Open:
            return self._open(action)
        if type(action) is Sleep:
            sleep(action.seconds)
            return None
        if type(action) is Await:
            self._await(action)
            return None
        if type(action) is Race:
            return self._race(action)
        if type(action) is Close:
            self.close()
            return None
        reserved: Outcome = action.perform()
        return reserved

    def _await(self, action: Await) -> None:
        granted = threading.Event()

        def wake() -> bool:
            granted.set()
            return True

        action.turn.wake = wake
        if not action.turn.granted:
            granted.wait(max(0.0, action.by - monotonic()))

    def _open(self, action: Open) -> Opened | Fault:
        endpoint = action.to
        registry = self._registry = self._registry or self._connections.registry()
        outcome = self._send(registry, action, endpoint)
        if type(outcome) is Fault and outcome.kind == "pool" and self._pool is not None:
            renewed = registry.renewed(endpoint, self._pool)
            self._leave()
            if renewed:
                return self._send(registry, action, endpoint)
        return outcome

    def _send(self, registry: Registry, action: Open, endpoint: Endpoint) -> Opened | Fault:
        clock = self._clock = Clock(action.by)
        pool, spent = registry.enter(endpoint, clock, action.connect)
        self._pool, clock.measured = pool, pool.ours
        token = current_clock.set(clock)
        try:
            if spent is not None:
                spent.transport.close()
            address = endpoint.address()
            if clock.over or self.abandoned:
                return CLOSED
            request = make_request(pool.engine, action, endpoint, address)
            self._response = pool.transport.handle_request(request)
            self._chunks, self._whole = body(pool, request, self._response, action.idle, sync=True), False
            if clock.stream is not None:
                clock.stream.clock = clock
            return opened(self._response, clock)
        except LLMSwitchError as problem:  # a server of our own that would not start
            return Fault("connect", problem.message, lasting=True)
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return CLOSED if clock.over else fault_of(problem, pool.engine, clock)
        finally:
            current_clock.reset(token)

    def _race(self, action: Race) -> Raced:
        from ._racing import race_in_threads

        raced, winner = race_in_threads(action, self._another)
        self._registry, self._pool, self._clock = winner._registry, winner._pool, winner._clock  # noqa: SLF001
        self._response, self._chunks, self._whole = winner._response, winner._chunks, winner._whole  # noqa: SLF001
        self._rehearsal = winner._rehearsal  # noqa: SLF001
        return raced

    def _another(self) -> SyncDriver:
        return SyncDriver(self._connections, self._drill)

    def abandon(self) -> None:
        """From another thread: end what is under way, and do no more."""
        self.abandoned = True
        self._clock.end()

    def close(self) -> None:
        """Let go of the open answer. A connection in the middle of one is closed, a finished one is kept."""
        response, chunks, pool = self._response, self._chunks, self._pool
        self._response, self._chunks = None, iter(())
        if pool is None:
            return
        if self._clock.stream is not None:
            self._clock.stream.clock = None  # the next answer has its own
        if self._registry is not None and self._registry.pid != os.getpid():
            INHERITED.append((response, chunks))
            return
        if response is not None:
            try:
                connection = tainted(pool, response, whole=self._whole)
                if connection is not None:
                    connection.close()
                response.close()
            except pool.engine.caught:
                pass  # it was being thrown away
        self._leave()

    def _leave(self) -> None:
        pool, registry, self._pool = self._pool, self._registry, None
        if pool is not None and registry is not None and registry.leave(pool, self._clock):
            pool.transport.close()
