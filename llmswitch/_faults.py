"""What went wrong in the HTTP library, told without its exception: those hold requests, keys and prompts."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from time import monotonic

from ._engine import Engine
from ._network import Clock
from ._scrub import scrub
from ._wire import Fault

__all__ = ["fault_of"]

_OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CLOSED = ("server disconnected without sending", "peer closed connection", "incomplete")


def fault_of(problem: Exception, engine: Engine, clock: Clock) -> Fault:
    """
    The fault that an exception of the HTTP library stands for.

    What it should never raise is a fault as well: its frames hold the key. Raises that again which comes from a client
    that was brought along.
    """
    http = engine.http
    causes = list(_causes(problem))
    number = next((number for cause in causes if (number := _number(cause))), None)
    if number in _OUT_OF:
        return Fault("local", "out of file descriptors or buffers; raise the limit, or have fewer calls in flight")
    if not isinstance(problem, engine.caught):
        if not clock.measured:
            raise problem  # from a client that was brought along: not ours to judge
        return Fault("broken", f"{type(problem).__name__} in the HTTP library")
    kind = engine.kind(problem)
    if kind == "pool":
        # to wait for the same once more would be a multiple of the limit
        return Fault(kind, "every one is in use; have fewer calls in flight", lasting=True)
    if number == errno.EAGAIN and kind == "connect":
        return Fault("local", "this process can have no more threads, and a name needs one to be looked up")
    if isinstance(problem, http.ProxyError):
        return Fault("connect", f"it says {_said(problem)}", lasting=str(problem).startswith("407"))
    if kind == "connect":
        kind = "tls" if any(isinstance(cause, ssl.SSLError) for cause in causes) else kind
        return Fault(kind, _said(problem))
    if isinstance(problem, http.LocalProtocolError):
        return Fault("local", "the request could not be written as HTTP; look at the headers that you configured")
    if isinstance(problem, http.RemoteProtocolError) and not str(problem).lower().startswith(_CLOSED):
        kind = "garbage"
    if isinstance(problem, http.WriteTimeout):
        # the time of the attempt ended while it wrote, or a write took too long for itself
        return Fault("timeout" if monotonic() >= clock.by else kind, "the other side stopped reading the request")
    if kind == "broken" and clock.connect_ms is None and clock.received == 0 and clock.measured:
        kind = "stale"
    return Fault(kind, _said(problem))


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
