"""Connections of the async side, which a program without asyncio does not load."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

from ._async_network import AsyncBackend
from ._connections import Connecting
from ._network import Clock
from ._pools import Registry
from ._shield import shielded

__all__ = ["AsyncConnections"]

_Loops: TypeAlias = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Registry]
_inherited: list[_Loops] = []


class _AsyncClient:
    """A client that the caller brought along, as a transport."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def handle_async_request(self, request: Any) -> Any:
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)


class AsyncConnections(Connecting):
    """The async side: one pool per endpoint and event loop, since a connection belongs to the loop that opened it."""

    sync, backend, brought = False, AsyncBackend, _AsyncClient

    def __init__(self, client: Any = None, ca_file: str | None = None, engine: str = "httpx") -> None:
        super().__init__(client, ca_file, engine)
        self._lock = threading.Lock()
        self._loops: _Loops = weakref.WeakKeyDictionary()

    def forget(self) -> None:
        """In a forked child: start anew without touching what was there."""
        for registry in list(self._loops.values()):
            registry.disown()
        # what ends with its loop is told by the loop's own means, which a forked child shares with its parent
        _inherited.append(self._loops)
        self._lock, self._loops = threading.Lock(), weakref.WeakKeyDictionary()

    def registry(self) -> Registry:
        """The pools of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            with self._lock:
                for other in list(self._loops):
                    if other.is_closed():  # its connections hold on to it, so it would never go by itself
                        del self._loops[other]
                found = self._loops[loop] = Registry(self._make)
            found.guard = self._as_long_as_the_loop(loop, found)
            try:
                found.guard.asend(None).send(None)
            except StopIteration:
                pass  # it stands at its yield
        return found

    async def _as_long_as_the_loop(self, loop: asyncio.AbstractEventLoop, registry: Registry) -> AsyncGenerator[None]:
        """A loop that ends closes the generators that it has begun, and with this one the connections."""
        try:
            yield
        finally:
            with self._lock:
                if self._loops.get(loop) is registry:
                    del self._loops[loop]
            for pool in registry.end():
                if pool.ours:
                    await pool.transport.aclose()

    async def aclose(self) -> None:
        """
        End what is in flight in the running loop, and close what it opened. Another loop's can't be closed from here.

        It waits for nobody. A client that was brought along stays open.
        """
        with self._lock:
            registry = self._loops.pop(asyncio.get_running_loop(), None)
        if registry is not None:
            await shielded(registry.guard.aclose(), Clock(), closing=True)
