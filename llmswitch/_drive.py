"""The two drivers: each carries out what an exchange asks for. They differ in waiting, and in nothing else."""

from __future__ import annotations

import asyncio
import threading
from asyncio import sleep as async_sleep
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from time import monotonic, time
from typing import Any

import httpx
from tenacity import nap

from ._connections import AsyncConnections, Connections
from ._drill import Drill, Rehearsal
from ._endpoint import Address
from ._errors import LLMSwitchError
from ._faults import CAUGHT, fault_of
from ._network import Clock, current_clock
from ._racing import race_in_tasks, race_in_threads
from ._version import __version__
from ._wire import Await, Close, Fault, Open, Opened, Outcome, Race, Raced, Read, Sleep

__all__ = ["AsyncDriver", "SyncDriver"]

# A client that was brought along has limits for each read alone: what comes too late is not taken.
_LATE = Fault("timeout", "")
_USER_AGENT = f"llmswitch/{__version__}"


@lru_cache(maxsize=4096)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


class _SignedURL(httpx.URL):
    """
    An address whose query proves who asks. Its text leaves that out, for it is what gets written down: httpx's own
    client logs the text of every address at level INFO.
    """

    def __str__(self) -> str:
        return f"{self.copy_with(query=None)}?[secret]"

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"


def _request(action: Open, address: Address) -> httpx.Request:
    """The one place where the key is written into something that is sent."""
    request = action.request
    endpoint = action.endpoint or action.target.endpoint
    signed = action.signed
    if signed is None and endpoint.credential is not None:
        credential = endpoint.credential
        signed = credential.sign(request, address.base_url, time() + credential.offset)
    url = _url(action.url or address.base_url + request.path)
    if signed is not None and signed.query:
        url = url.copy_with(query=b"&".join(part for part in (url.query, signed.query.encode()) if part))
    made = httpx.Request(
        request.method,
        url,
        headers={
            "user-agent": _USER_AGENT,
            "accept-encoding": "gzip, identity",
            "content-type": "application/json",
            **endpoint.headers,
            **request.headers,
            **address.auth_headers,
            **(signed.headers if signed is not None else {}),
        },
        content=request.body,
        extensions={
            "timeout": {
                "connect": min(action.connect, max(0.001, action.by - monotonic())),
                "read": max(0.001, action.by - monotonic()),
                "write": min(action.write, max(0.001, action.by - monotonic())),
                "pool": action.pool,
            }
        },
    )
    if signed is not None and signed.query:
        made.url = _SignedURL(url)
    return made


def _opened(response: httpx.Response, clock: Clock) -> Opened:
    headers: dict[str, str] = {}
    size = count = 0
    for name, value in response.headers.multi_items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
        size += len(name) + len(value)
        count += 1
    return Opened(response.status_code, headers, clock.connect_ms, size, count)


class SyncDriver:
    """Carries out the actions of one exchange by blocking."""

    def __init__(self, connections: Connections, drill: Drill | None = None) -> None:
        self._connections = connections
        self._drill = drill
        self._rehearsal = Rehearsal(drill) if drill is not None else None
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._clock = Clock()
        self.abandoned = False

    def perform(self, action: Any) -> Outcome:
        """Do it, and say what came of it."""
        if self._rehearsal is not None:
            played = self._rehearsal.play(action)
            if played is not None:
                if played.wait:
                    nap.sleep(played.wait)
                return played.outcome
        if type(action) is Read:
            return self._read(action)
        if type(action) is Open:
            return self._open(action)
        if type(action) is Sleep:
            nap.sleep(action.seconds)
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
        clock = self._clock = Clock()
        clock.by = action.by
        token = current_clock.set(clock)
        try:
            endpoint = action.endpoint or action.target.endpoint
            address = endpoint.address()
            transport = self._connections.transport(endpoint)
            clock.measured = isinstance(transport, httpx.HTTPTransport)
            self._response = transport.handle_request(_request(action, address))
            self._chunks = iter(self._response.stream)  # type: ignore[arg-type]
            return _opened(self._response, clock)
        except LLMSwitchError as problem:  # a server of our own that would not start
            return Fault("connect", problem.message, lasting=True)
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return fault_of(problem, clock)
        finally:
            current_clock.reset(token)

    def _read(self, action: Read) -> bytes | Fault:
        clock = self._clock
        clock.by = action.by
        token = current_clock.set(clock)
        try:
            for chunk in self._chunks:
                if chunk:
                    return chunk if clock.measured or monotonic() < action.by else _LATE
            return b""
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return fault_of(problem, clock)
        finally:
            current_clock.reset(token)

    def _race(self, action: Race) -> Raced:
        raced, driver = race_in_threads(action, self._another)
        self._response, self._chunks, self._clock = driver._response, driver._chunks, driver._clock  # noqa: SLF001
        self._rehearsal = driver._rehearsal  # noqa: SLF001
        return raced

    def _another(self) -> SyncDriver:
        return SyncDriver(self._connections, self._drill)

    def abandon(self) -> None:
        """From another thread: end what is under way, and do no more."""
        self.abandoned = True
        self._clock.interrupt()

    def close(self) -> None:
        """Let go of the open answer. A connection in the middle of one is closed, a finished one is kept."""
        response, self._response, self._chunks = self._response, None, iter(())
        if response is not None:
            try:
                response.close()
            except CAUGHT:
                pass  # it was being thrown away


class AsyncDriver:
    """Carries out the actions of one exchange by awaiting."""

    def __init__(self, connections: AsyncConnections, drill: Drill | None = None) -> None:
        self._connections = connections
        self._drill = drill
        self._rehearsal = Rehearsal(drill) if drill is not None else None
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._clock = Clock()

    async def perform(self, action: Any) -> Outcome:
        """Do it, and say what came of it."""
        if self._rehearsal is not None:
            played = self._rehearsal.play(action)
            if played is not None:
                if played.wait:
                    await async_sleep(played.wait)
                return played.outcome
        if type(action) is Read:
            return await self._read(action)
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
        clock = self._clock = Clock()
        clock.by = action.by
        token = current_clock.set(clock)
        try:
            endpoint = action.endpoint or action.target.endpoint
            # a server on this machine takes seconds to start: not in the loop
            address = await asyncio.to_thread(endpoint.address) if endpoint.start else endpoint.address()
            transport = self._connections.transport(endpoint)
            clock.measured = isinstance(transport, httpx.AsyncHTTPTransport)
            self._response = await transport.handle_async_request(_request(action, address))
            self._chunks = aiter(self._response.stream)  # type: ignore[arg-type]
            return _opened(self._response, clock)
        except LLMSwitchError as problem:  # a server of our own that would not start
            return Fault("connect", problem.message, lasting=True)
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return fault_of(problem, clock)
        finally:
            current_clock.reset(token)

    async def _read(self, action: Read) -> bytes | Fault:
        clock = self._clock
        clock.by = action.by
        token = current_clock.set(clock)
        try:
            assert self._chunks is not None
            async for chunk in self._chunks:
                if chunk:
                    return chunk if clock.measured or monotonic() < action.by else _LATE
            return b""
        except Exception as problem:  # noqa: BLE001 - told, or raised again
            return fault_of(problem, clock)
        finally:
            current_clock.reset(token)

    async def _race(self, action: Race) -> Raced:
        raced, driver = await race_in_tasks(action, self._another)
        self._response, self._chunks, self._clock = driver._response, driver._chunks, driver._clock  # noqa: SLF001
        self._rehearsal = driver._rehearsal  # noqa: SLF001
        return raced

    def _another(self) -> AsyncDriver:
        return AsyncDriver(self._connections, self._drill)

    async def aclose(self) -> None:
        """Let go of the open answer. A connection in the middle of one is closed, a finished one is kept."""
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            try:
                await response.aclose()
            except CAUGHT:
                pass  # it was being thrown away
