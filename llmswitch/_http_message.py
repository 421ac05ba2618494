"""What is handed to the HTTP library for a request, and what its response is to the exchange."""

from __future__ import annotations

from time import monotonic, time
from typing import Any

from ._endpoint import Address, Endpoint
from ._engine import Engine
from ._network import Clock
from ._pools import Pool
from ._version import __version__
from ._wire import Open, Opened

__all__ = ["body", "make_request", "opened", "tainted"]

_USER_AGENT = f"llmswitch/{__version__}"


def make_request(engine: Engine, action: Open, endpoint: Endpoint, address: Address) -> Any:
    """The one place where the key is written into something that is sent."""
    request, signed = action.request, action.signed
    if signed is None and endpoint.credential is not None:
        credential = endpoint.credential
        signed = credential.sign(request, address.base_url, time() + credential.offset)
    left = max(0.001, action.by - monotonic())
    return engine.request(
        request.method,
        action.url or address.base_url + request.path,
        signed.query if signed is not None else "",
        {
            "user-agent": _USER_AGENT,
            "accept-encoding": "gzip, identity",
            "content-type": "application/json",
            **endpoint.headers,
            **request.headers,
            **address.auth_headers,
            **(signed.headers if signed is not None else {}),
        },
        request.body if action.content is None else action.content,
        {
            "connect": min(action.connect, left),
            "read": left,
            "write": min(action.write, left),
            "pool": min(action.pool, left),
        },
    )


def opened(response: Any, clock: Clock) -> Opened:
    headers: dict[str, str] = {}
    size = count = 0
    for name, value in response.headers.multi_items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
        size += len(name) + len(value)
        count += 1
    return Opened(response.status_code, headers, clock.connect_ms, size, count)


def body(pool: Pool, request: Any, response: Any, idle: float, *, sync: bool) -> Any:
    """
    The pieces of the body. What somebody else's client makes of it on the way is his; it looks up once how long it may
    wait for each, before the first one, so that has the time of the others too.
    """
    if pool.ours:
        return pool.engine.body(response, sync=sync)
    limits = request.extensions["timeout"]
    limits["read"] = max(limits["read"], idle)
    return iter(response.stream) if sync else aiter(response.stream)


def tainted(pool: Pool, response: Any, *, whole: bool) -> Any:
    """
    The connection of an answer that must not be used again; `None` where it may.

    It must not where the answer was not read to its end, nor where bytes came behind it that are of no answer: they
    would be read as the answer to the next request.
    """
    connection = response.extensions.get("network_stream")
    if connection is None or (not whole and pool.ours):
        return connection
    unread = pool.engine.unread(response)
    return connection if unread or (unread is None and pool.ours) else None
