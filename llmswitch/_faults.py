"""What went wrong in the HTTP library, told without its exception: those hold requests, keys and prompts."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator

import httpx

from ._network import Clock
from ._scrub import scrub
from ._wire import Fault, FaultKind

__all__ = ["CAUGHT", "fault_of"]

# What sending and reading can raise. StreamError and InvalidURL stand beside HTTPError in httpx.
CAUGHT: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError)

# Most specific first. "broken" becomes "stale" where a kept connection had not answered anything.
_KINDS: tuple[tuple[type[Exception], FaultKind], ...] = (
    (httpx.ConnectTimeout, "connect"),
    (httpx.PoolTimeout, "pool"),
    (httpx.ReadTimeout, "timeout"),
    (httpx.WriteTimeout, "broken"),
    (httpx.TimeoutException, "timeout"),
    (httpx.ConnectError, "connect"),
    (httpx.ProxyError, "connect"),
    (httpx.RemoteProtocolError, "broken"),
    (httpx.LocalProtocolError, "local"),
    (httpx.UnsupportedProtocol, "local"),
    (httpx.DecodingError, "garbage"),
    (httpx.NetworkError, "broken"),
    (httpx.TooManyRedirects, "garbage"),
    (httpx.InvalidURL, "local"),
    (httpx.StreamError, "broken"),
    (httpx.HTTPError, "broken"),
    (OSError, "broken"),
)
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CLOSED = ("server disconnected without sending", "peer closed connection", "incomplete")


def fault_of(problem: Exception, clock: Clock) -> Fault:
    """
    The fault that an exception of the HTTP library stands for.

    What it should never raise is a fault as well: its frames hold the key. Raises that again which comes from a client
    that was brought along.
    """
    causes = list(_causes(problem))
    number = next((cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    if number in _OUT_OF_DESCRIPTORS:
        return Fault("local", "out of file descriptors or buffers; raise the limit, or have fewer calls in flight")
    if not isinstance(problem, CAUGHT):
        if not clock.measured:
            raise problem  # from a client that was brought along: not ours to judge
        return Fault("broken", f"{type(problem).__name__} in the HTTP library")
    kind = next(kind for base, kind in _KINDS if isinstance(problem, base))
    if kind == "connect" and any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Fault("tls", _said(problem))
    if isinstance(problem, httpx.ProxyError):
        return Fault("connect", f"it says {_said(problem)}", lasting=str(problem).startswith("407"))
    if isinstance(problem, httpx.LocalProtocolError):
        return Fault("local", "the request could not be written as HTTP; look at the headers that you configured")
    if isinstance(problem, httpx.RemoteProtocolError) and not str(problem).lower().startswith(_CLOSED):
        kind = "garbage"
    if isinstance(problem, httpx.WriteTimeout):
        return Fault(kind, "the other side stopped reading the request")
    if kind == "broken" and clock.connect_ms is None and clock.received == 0 and clock.measured:
        kind = "stale"
    return Fault(kind, _said(problem))


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while problem is not None and seen < 8:
        yield problem
        problem = problem.__cause__ or problem.__context__
        seen += 1


def _said(problem: Exception) -> str:
    """The library's words, cut and scrubbed; the kind of the problem where it has none."""
    words = scrub(str(problem)).splitlines()
    return words[0][:160] if words and words[0] else type(problem).__name__
