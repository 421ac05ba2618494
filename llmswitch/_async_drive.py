"""The driver of a task: as that of a thread, but for the waiting."""

from __future__ import annotations

import asyncio
import os
from asyncio import sleep as async_sleep
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from ._async_connections import AsyncConnections
from ._async_network import AsyncStream
from ._drive import CLOSED, INHERITED, LATE
from ._endpoint import Endpoint
from ._engine import Engine
from ._errors import LLMSwitchError
from ._faults import fault_of
from ._http_message import body, make_request, opened, tainted
from ._network import Clock, current_clock
from ._pools import Pool, Registry
from ._shield import shielded
from ._wire import Await, Close, Fault, Open, Opened, Outcome, Race, Raced, Read, Sleep

if TYPE_CHECKING:
    from ._drill import Drill, Rehearsal

__all__ = ["AsyncDriver"]

_FINAL_PIECES = 64  # of an answer that nobody wants any more, at most


class AsyncDriver:
    """Carries out the actions of one exchange by awaiting."""

    def __init__(self, connections: AsyncConnections, drill: Drill | None = None) -> None:
        self._connections = connections
        self._drill = drill
        self._rehearsal: Rehearsal | None = drill.rehearsal() if drill is not None else None
        self._registry: Registry | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None
        self._response: Any = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._connection: AsyncStream | None = None  # by which it comes, where that is one of ours
        self._whole = False
        self._clock = Clock()
        self._at_work = False
        self._abandoned = False

    async def perform(self, action: Any) -> Outcome:
        """Do it, and say what came of it."""
        if self._rehearsal is not None:
            played = self._rehearsal.play(action)
            if played is not None:
                if played.wait:
                    await async_sleep(played.wait)
                return played.outcome
        if type(action) is not Read:
            return await self._do(action)
        if self._clock.over:
            return CLOSED
        clock, pool, chunks = self._clock, self._pool, self._chunks
        assert pool is not None
        assert chunks is not None
        clock.by = action.by
        # a connection that knows its clock need not look for it
        token = current_clock.set(clock) if self._connection is None else None
        self._at_work = True
        try:
            work: Any = anext(chunks) if self._connection is not None else _next_of(chunks)
            chunk: bytes | None = await shielded(work, clock)
            if chunk is None or clock.over:
                return CLOSED
            self._whole = not chunk
            return chunk if clock.measured or not chunk or monotonic() < action.by else LATE
        except StopAsyncIteration:
            self._whole = not clock.over
            return CLOSED if clock.over else b""
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return CLOSED if clock.over else fault_of(problem, pool.engine, clock)
        finally:
            self._at_work = False
            if token is not None:
                current_clock.reset(token)

    async def _do(self, action: Any) -> Outcome:
        if type(action) is Open:
            return await self._open(action)
        if type(action) is Sleep:
            await async_sleep(action.seconds)
            return None
        if type(action) is Await:
            await self._await(action)
            return None
        if type(action) is Race:
            return await self._race(action)
        if type(action) is Close:
            await self.aclose()
            return None
        reserved: Outcome = await action.aperform()
        return reserved

    async def _await(self, action: Await) -> None:
        loop = asyncio.get_running_loop()
        granted = asyncio.Event()  # another thread's call may be the one that ends

        def wake() -> bool:
            try:
                loop.call_soon_threadsafe(granted.set)
            except RuntimeError:  # the loop was closed, and the call with it
                return False
            return True

        action.turn.wake = wake
        if not action.turn.granted:
            try:
                async with asyncio.timeout(max(0.0, action.by - monotonic())):
                    await granted.wait()
            except TimeoutError:
                pass

    async def _open(self, action: Open) -> Opened | Fault:
        endpoint = action.to
        if self._registry is None:
            self._registry, self._loop = self._connections.registry(), asyncio.get_running_loop()
        outcome = await self._send(self._registry, action, endpoint)
        if type(outcome) is Fault and outcome.kind == "pool" and self._pool is not None:
            renewed = self._registry.renewed(endpoint, self._pool)
            await self.aclose()
            if renewed:
                return await self._send(self._registry, action, endpoint)
        return outcome

    async def _send(self, registry: Registry, action: Open, endpoint: Endpoint) -> Opened | Fault:
        clock = self._clock = Clock(action.by)
        pool, spent = registry.enter(endpoint, clock, action.connect)
        self._pool, clock.measured, self._at_work = pool, pool.ours, True
        token = current_clock.set(clock)
        try:
            if spent is not None:
                await spent.transport.aclose()
            outcome = await shielded(self._begin(pool, action, endpoint), clock)
            return CLOSED if outcome is None or clock.over else outcome
        finally:
            self._at_work = False
            current_clock.reset(token)

    async def _begin(self, pool: Pool, action: Open, endpoint: Endpoint) -> Opened | Fault:
        clock = self._clock
        try:
            # a server on this machine takes seconds to start: not in the loop
            address = await asyncio.to_thread(endpoint.address) if endpoint.start else endpoint.address()
            if clock.over:
                return CLOSED
            request = make_request(pool.engine, action, endpoint, address)
            self._response = await pool.transport.handle_async_request(request)
            self._chunks, self._whole = body(pool, request, self._response, action.idle, sync=False), False
            self._connection = _ours(self._response)
            if self._connection is not None:
                self._connection.clock = clock
            return opened(self._response, clock)
        except LLMSwitchError as problem:  # a server of our own that would not start
            return Fault("connect", problem.message, lasting=True)
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return fault_of(problem, pool.engine, clock)

    async def _race(self, action: Race) -> Raced:
        from ._racing import race_in_tasks

        raced, winner = await race_in_tasks(action, self._another)
        self._registry, self._pool, self._clock = winner._registry, winner._pool, winner._clock  # noqa: SLF001
        self._response, self._chunks, self._whole = winner._response, winner._chunks, winner._whole  # noqa: SLF001
        self._connection = winner._connection  # noqa: SLF001
        self._rehearsal, self._loop = winner._rehearsal, winner._loop  # noqa: SLF001
        return raced

    def _another(self) -> AsyncDriver:
        return AsyncDriver(self._connections, self._drill)

    async def aclose(self) -> None:
        """Let go of the open answer. A connection in the middle of one is closed, a finished one is kept."""
        if self._at_work:
            self._clock.end()  # it is another task that waits: its wait ends, and then it lets go
        elif self._pool is not None and not self._abandoned:
            await self._close()

    async def _close(self) -> None:
        if self._pool is None:
            return
        if self._registry is not None and self._registry.pid != os.getpid():
            INHERITED.append((self._response, self._chunks))
            self._response = self._chunks = self._connection = self._pool = None
            return
        await shielded(self._let_go(self._pool), self._clock, closing=True)

    async def _let_go(self, pool: Pool) -> None:
        response, chunks = self._response, self._chunks
        if self._connection is not None:
            self._connection.clock = None  # the next answer has its own
        self._response = self._chunks = self._connection = self._pool = None
        try:
            if response is not None:
                connection = tainted(pool, response, whole=self._whole)
                if connection is not None:
                    await connection.aclose()
                if isinstance(connection, AsyncStream):
                    await _read_no_more(pool.engine, chunks)
                elif connection is not None:
                    await asyncio.sleep(0)  # somebody else's connection ends in the loop's next turn
                await response.aclose()
        except pool.engine.caught:
            pass  # it was being thrown away
        finally:
            if self._registry is not None and self._registry.leave(pool, self._clock):
                await pool.transport.aclose()

    def abandon(self) -> None:
        """Let go without waiting, from whatever thread: whoever held the answer has forgotten it."""
        loop, registry = self._loop, self._registry
        if self._pool is None or loop is None or registry is None or registry.pid != os.getpid():
            return
        self._abandoned = True
        try:
            loop.call_soon_threadsafe(_let_go_later, loop, self)
        except RuntimeError:
            pass  # the loop was closed, and its connections with it


def _ours(response: Any) -> AsyncStream | None:
    connection = response.extensions.get("network_stream")
    return connection if isinstance(connection, AsyncStream) else None


async def _next_of(chunks: AsyncIterator[bytes]) -> bytes:
    """What comes next, and none of it at the end, of an iterator that may be anything."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""


async def _read_no_more(engine: Engine, chunks: Any) -> None:
    """
    Read on where the connection was closed, until that is noticed: generators that are dropped half way would be ended
    by the loop, one after the other, in tasks of its own.
    """
    try:
        for _ in range(_FINAL_PIECES):
            if await anext(chunks, None) is None:
                return
    except engine.caught:
        pass  # as it should


_letting_go: set[asyncio.Task[None]] = set()


def _let_go_later(loop: asyncio.AbstractEventLoop, driver: AsyncDriver) -> None:
    task = loop.create_task(driver._close())  # noqa: SLF001 - its own
    _letting_go.add(task)  # the loop itself holds tasks weakly
    task.add_done_callback(_letting_go.discard)
