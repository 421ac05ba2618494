"""A request, and its head as bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .._engine import engine_named
from .._wire import Content

__all__ = ["Framing", "Origin", "Request", "make_request"]

# RFC 9110, sections 5.1 and 5.5; nothing else can end a line of the head and begin another.
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


@dataclass(slots=True, frozen=True)
class Origin:
    """Where a connection leads: a host as the resolver takes it, a port, and whether TLS is spoken there."""

    host: str
    port: int
    secure: bool


@dataclass(slots=True)
class Request:
    """What is sent. The times are seconds: to connect with names and TLS, for one read, and for one write."""

    origin: Origin
    head: bytes = field(repr=False)
    body: Content = field(repr=False)
    connect: float
    read: float
    write: float
    bodiless: bool  # the answer has a head alone
    framing: Framing | None = None  # of a body in pieces


class Framing:
    """
    How the pieces of a body are written whose size the head says, or does not say (`None`).

    Raises `core.LocalProtocolError` where they are more or less than that: what follows would be read amiss.
    """

    def __init__(self, core: Any, size: int | None) -> None:
        self._core = core
        self._left = size

    def frame(self, piece: bytes) -> bytes:
        """A piece as it is written."""
        if self._left is None:
            return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        self._left -= len(piece)
        if self._left < 0:
            raise self._core.LocalProtocolError("the body is longer than its content-length")
        return piece

    def end(self) -> bytes:
        """What is written after the last one."""
        if self._left:
            raise self._core.LocalProtocolError("the body is shorter than its content-length")
        return b"0\r\n\r\n" if self._left is None else b""


@lru_cache(maxsize=4096)
def _place(text: str) -> tuple[Origin, bytes, bytes]:
    """The origin of a URL, its `host` line and its target. httpx reads it, so that both engines say the same."""
    url = engine_named("httpx").http.URL(text)
    secure = url.scheme == "https"
    origin = Origin(url.raw_host.decode("ascii"), url.port or (443 if secure else 80), secure)
    return origin, url.netloc, url.raw_path


def make_request(
    core: Any,
    method: str,
    url: str,
    query: str,
    headers: Mapping[str, str],
    body: Content,
    limits: Mapping[str, float],
) -> Request:
    """`query` is added to that of the URL. Raises `core.LocalProtocolError` for a header that can't be written."""
    origin, host, target = _place(url)
    if query:
        target += (b"&" if b"?" in target else b"?") + query.encode("ascii")
    lines = [b"%s %s HTTP/1.1\r\n" % (method.encode("ascii"), target)]
    names = {name.lower() for name in headers}
    if "host" not in names:
        lines.append(b"host: %s\r\n" % host)
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise core.LocalProtocolError("a header holds what no header may")
        lines.append(f"{name}: {value}\r\n".encode("ascii"))
    framing = None
    if not isinstance(body, bytes):
        said = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
        framing = Framing(core, _size(core, said))
        lines += [] if said is not None else [b"transfer-encoding: chunked\r\n"]
    elif (body or method not in _BODILESS) and "content-length" not in names:
        lines.append(b"content-length: %d\r\n" % len(body))
    lines.append(b"\r\n")
    head, seconds = b"".join(lines), (limits["connect"], limits["read"], limits["write"])
    return Request(origin, head, body, *seconds, method == "HEAD", framing)


def _size(core: Any, said: str | None) -> int | None:
    if said is not None and not (said.isascii() and said.isdigit()):
        raise core.LocalProtocolError("the content-length is no number")
    return None if said is None else int(said)
