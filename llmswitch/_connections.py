"""
Connections: one pool per endpoint, so that a dead vendor can't take a healthy one's; per process and event loop.

Nothing is opened before it is needed. A forked child starts with none: it must not touch what its parent uses.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar

import httpx

from ._endpoint import Endpoint
from ._errors import ConfigError
from ._http_log import scrub_http_logs
from ._network import AsyncDeadlineBackend, DeadlineBackend

__all__ = ["AsyncConnections", "Connections"]

T = TypeVar("T", httpx.BaseTransport, httpx.AsyncBaseTransport)

# httpx keeps 20 idle connections by default and closes the rest again and again.
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=1000, keepalive_expiry=30.0)
scrub_http_logs()
_registries: weakref.WeakSet[_Registry[Any]] = weakref.WeakSet()


@lru_cache(maxsize=8)
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """
    One context for all connections: making one reads every root certificate, 30 ms.

    Raises `ConfigError` for a `ca_file` without certificates.
    """
    if ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except ssl.SSLError:
            raise ConfigError(f"http.ca_file: {ca_file} holds no certificate in PEM form") from None
        except OSError as problem:
            raise ConfigError(f"http.ca_file: {ca_file} can't be read: {problem.strerror}") from None
    else:
        import certifi

        context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Registry(Generic[T]):
    """Transports of one process, by what they connect to."""

    def __init__(self, make: Callable[[Endpoint], T]) -> None:
        self.make: Callable[[Endpoint], T] = make
        self.forget()
        _registries.add(self)

    def forget(self) -> None:
        """Start anew without touching what was there."""
        self.lock = threading.Lock()
        self.pid = os.getpid()
        self.transports: dict[tuple[str, str | None], T] = {}

    def get(self, endpoint: Endpoint) -> T:
        key = (endpoint.origin, endpoint.proxy.scope if endpoint.proxy is not None else None)
        found = self.transports.get(key)
        if found is None:
            with self.lock:
                found = self.transports.get(key)
                if found is None:
                    found = self.transports[key] = self.make(endpoint)
        return found

    def take_all(self) -> list[T]:
        with self.lock:
            taken = list(self.transports.values())
            self.transports = {}
        return taken


def _forget_all() -> None:
    for registry in list(_registries):
        registry.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class Connections:
    """The sync side: one pool per endpoint, shared between threads."""

    def __init__(self, client: httpx.Client | httpx.BaseTransport | None = None, ca_file: str | None = None) -> None:
        if client is not None and not isinstance(client, (httpx.Client, httpx.BaseTransport)):
            raise TypeError("http_client must be an httpx.Client")
        self._given = _ClientTransport(client) if isinstance(client, httpx.Client) else client
        self._ca_file = _checked(ca_file)
        self._registry: _Registry[httpx.BaseTransport] = _Registry(self._make)

    def transport(self, endpoint: Endpoint) -> httpx.BaseTransport:
        """What sends requests to this endpoint."""
        return self._given if self._given is not None else self._registry.get(endpoint)

    def _make(self, endpoint: Endpoint) -> httpx.BaseTransport:
        transport = httpx.HTTPTransport(
            verify=_context(endpoint, self._ca_file),
            trust_env=False,
            limits=_LIMITS,
            proxy=_proxy(endpoint, self._ca_file),
        )
        pool = transport._pool  # noqa: SLF001 - httpx offers no way to name the network backend
        pool._network_backend = DeadlineBackend(pool._network_backend)  # noqa: SLF001
        return transport

    def close(self) -> None:
        """Close every connection that was opened here; a client that was brought along stays open."""
        for transport in self._registry.take_all():
            transport.close()


class AsyncConnections:
    """The async side: one pool per endpoint and event loop, since a connection belongs to the loop that opened it."""

    def __init__(
        self, client: httpx.AsyncClient | httpx.AsyncBaseTransport | None = None, ca_file: str | None = None
    ) -> None:
        if client is not None and not isinstance(client, (httpx.AsyncClient, httpx.AsyncBaseTransport)):
            raise TypeError("http_client must be an httpx.AsyncClient")
        self._given = _AsyncClientTransport(client) if isinstance(client, httpx.AsyncClient) else client
        self._ca_file = _checked(ca_file)
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Registry[httpx.AsyncBaseTransport]] = (
            weakref.WeakKeyDictionary()
        )

    def transport(self, endpoint: Endpoint) -> httpx.AsyncBaseTransport:
        """What sends requests to this endpoint from the running loop."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        registry = self._loops.get(loop)
        if registry is None:
            registry = self._loops[loop] = _Registry(self._make)
        return registry.get(endpoint)

    def _make(self, endpoint: Endpoint) -> httpx.AsyncBaseTransport:
        transport = httpx.AsyncHTTPTransport(
            verify=_context(endpoint, self._ca_file),
            trust_env=False,
            limits=_LIMITS,
            proxy=_proxy(endpoint, self._ca_file),
        )
        pool = transport._pool  # noqa: SLF001 - httpx offers no way to name the network backend
        pool._network_backend = AsyncDeadlineBackend(pool._network_backend)  # noqa: SLF001
        return transport

    async def aclose(self) -> None:
        """Close what the running loop opened. Another loop's connections can't be closed from here."""
        registry = self._loops.pop(asyncio.get_running_loop(), None)
        for transport in registry.take_all() if registry is not None else ():
            await transport.aclose()


def _context(endpoint: Endpoint, ca_file: str | None) -> ssl.SSLContext:
    """For plain http a context that trusts nobody: it costs nothing, and can't be used by accident."""
    if endpoint.base_url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _tls(ca_file)


def _checked(ca_file: str | None) -> str | None:
    """The file, read once: one that holds no certificates is said when the client is built, not by every call."""
    if ca_file is not None:
        _tls(ca_file)
    return ca_file


def _proxy(endpoint: Endpoint, ca_file: str | None) -> httpx.Proxy | None:
    if endpoint.proxy is None:
        return None
    url = endpoint.proxy.reveal()
    return httpx.Proxy(url, ssl_context=_tls(ca_file) if url.startswith("https://") else None)


class _ClientTransport(httpx.BaseTransport):
    """A client that the caller brought along, without its redirects and its own credentials."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._client.send(request, stream=True, auth=None, follow_redirects=False)


class _AsyncClientTransport(httpx.AsyncBaseTransport):
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)
