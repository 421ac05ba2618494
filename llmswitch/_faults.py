"""What went wrong in the HTTP library, told without its exception: those hold requests, keys and prompts."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from ._engine import Engine
from ._network import Clock
from ._secrets import scrub
from ._wire import Fault

__all__ = ["by_proxy", "fault_of"]

_OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CLOSED = ("server disconnected without sending", "peer closed connection", "incomplete")


def fault_of(problem: Exception, engine: Engine, clock: Clock, proxy: str | None = None) -> Fault:
    """The fault that an exception of the HTTP library stands for. `proxy`: the proxy's address, if there is one."""
    http = engine.http
    causes = list(_causes(problem))
    number = next((number for cause in causes if (number := _number(cause))), None)
    if number in _OUT_OF:
        return Fault("local", "out of file descriptors or buffers; raise the limit, or have fewer calls in flight")
    kind = engine.kind(problem)
    if kind == "pool":
        # to wait for the same once more would be a multiple of the limit
        return Fault(kind, "every one is in use; have fewer calls in flight", lasting=True)
    if number == errno.EAGAIN and kind == "connect":
        return Fault("local", "this process can have no more threads, and a name needs one to be looked up")
    if kind == "connect":
        kind = "tls" if any(isinstance(cause, ssl.SSLError) for cause in causes) else kind
        return Fault(kind, by_proxy(proxy, _said(problem)))
    if isinstance(problem, http.LocalProtocolError):
        return Fault("local", "the request could not be written as HTTP; look at the headers that you configured")
    if isinstance(problem, http.RemoteProtocolError) and not str(problem).lower().startswith(_CLOSED):
        kind = "garbage"
    if isinstance(problem, http.WriteTimeout):
        return Fault(kind, "the other side stopped reading the request")
    if kind == "broken" and clock.connect_ms is None and clock.received == 0 and clock.measured:
        kind = "stale"
    return Fault(kind, _said(problem))


def by_proxy(proxy: str | None, said: str) -> str:
    """What was said on the way through a proxy, whose host is named and whose password is not."""
    if proxy is None:
        return said
    place = urlsplit(proxy)
    port = f":{place.port}" if place.port is not None else ""
    return f"by way of the proxy {place.hostname}{port}: {said}"


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while problem is not None and seen < 8:
        yield problem
        problem = problem.__cause__ or problem.__context__
        seen += 1


def _number(cause: BaseException) -> int | None:
    """The system's number for it; the resolver has numbers of its own, which mean other things."""
    return cause.errno if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror) else None


def _said(problem: Exception) -> str:
    """The library's words, cut and scrubbed; the kind of the problem where it has none."""
    words = scrub(str(problem)).splitlines()
    return words[0][:160] if words and words[0] else type(problem).__name__
