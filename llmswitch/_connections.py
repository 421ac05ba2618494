"""
Connections: one pool per endpoint, so that a dead vendor can't take a healthy one's; per process and event loop.

Nothing is opened before it is needed. A forked child starts with none: it must not touch what its parent uses.
"""

from __future__ import annotations

import os
import ssl
import weakref
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, ClassVar

from ._endpoint import Endpoint
from ._engine import Engine, engine_named, engine_of
from ._errors import ConfigError
from ._http_log import scrub_http_logs
from ._network import Backend
from ._pools import Pool, Registry

__all__ = ["Connecting", "Connections"]

# More than the calls that a target lets in at once (`_health.BULKHEAD`), so that the queue before the pool is ours.
_MOST = 1024
_IDLE_SECONDS = 30.0

scrub_http_logs()

_all: weakref.WeakSet[Connecting] = weakref.WeakSet()


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


def _context(endpoint: Endpoint, ca_file: str | None) -> ssl.SSLContext:
    """For plain http a context that trusts nobody: it costs nothing, and can't be used by accident."""
    if endpoint.base_url.startswith("http://") and not _secret_way(endpoint):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _tls(ca_file)


def _checked(ca_file: str | None) -> str | None:
    """The file, read once: one that holds no certificates is said when the client is built, not by every call."""
    if ca_file is not None:
        _tls(ca_file)
    return ca_file


def _secret_way(endpoint: Endpoint) -> bool:
    """Whether there is a proxy that is spoken to over TLS."""
    return endpoint.proxy is not None and endpoint.proxy.name.startswith("https://")


class Connecting(ABC):
    """What the sync and the async side share: which engine, and how a pool is made."""

    sync: ClassVar[bool]
    backend: ClassVar[Any]
    brought: ClassVar[Any]

    def __init__(self, client: Any, ca_file: str | None, engine: str) -> None:
        self._engine: Engine = engine_of(client, sync=self.sync) if client is not None else engine_named(engine)
        if client is not None and isinstance(client, (self._engine.http.Client, self._engine.http.AsyncClient)):
            client = self.brought(client)
        self._given = client
        self._ca_file = _checked(ca_file)
        _all.add(self)

    @abstractmethod
    def forget(self) -> None:
        """In a forked child: start anew without touching what was there."""

    def _make(self, endpoint: Endpoint) -> Pool:
        if self._given is not None:
            return Pool(self._engine, self._given, ours=False)
        # the way through a proxy is httpx's business, whatever else is chosen
        engine = engine_named("httpx") if endpoint.proxy is not None and self._engine.direct else self._engine
        transport = engine.transport(
            self.backend(engine.core, _layers(endpoint)),
            sync=self.sync,
            verify=_context(endpoint, self._ca_file),
            proxy=endpoint.proxy.reveal() if endpoint.proxy is not None else None,
            most=_MOST,
            idle=_IDLE_SECONDS,
        )
        return Pool(engine, transport, ours=True)


class _Client:
    """A client that the caller brought along, as a transport: without its redirects and its own credentials."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: Any) -> Any:
        return self._client.send(request, stream=True, auth=None, follow_redirects=False)


class Connections(Connecting):
    """
    The sync side: one pool per endpoint, shared between threads.

    `client`: what the caller brought along to send everything through; without it `engine` is the library that does.
    Raises `TypeError` for a client that is none, `ConfigError` for an engine that is not installed.
    """

    sync, backend, brought = True, Backend, _Client

    def __init__(self, client: Any = None, ca_file: str | None = None, engine: str = "httpx") -> None:
        super().__init__(client, ca_file, engine)
        self._registry = Registry(self._make)

    def registry(self) -> Registry:
        """The pools of this process."""
        return self._registry

    def forget(self) -> None:
        """In a forked child: start anew without touching what was there."""
        self._registry.disown()
        self._registry = Registry(self._make)

    def close(self) -> None:
        """
        End what is in flight, and close every connection that was opened here. It waits for nobody.

        A client that was brought along stays open.
        """
        registry, self._registry = self._registry, Registry(self._make)
        for pool in registry.end():
            if pool.ours:
                pool.transport.close()


def _layers(endpoint: Endpoint) -> int:
    """How many times TLS begins on the way through a proxy that has to be asked for one."""
    if endpoint.proxy is None or not endpoint.base_url.startswith("https://"):
        return 0
    return 2 if _secret_way(endpoint) else 1


def _forget_all() -> None:
    for connections in list(_all):
        connections.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
