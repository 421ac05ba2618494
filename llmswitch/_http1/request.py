"""A request, and its head as bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

__all__ = ["Origin", "Request", "make_request"]

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
    body: bytes = field(repr=False)
    connect: float
    read: float
    write: float
    bodiless: bool  # the answer has a head alone


@lru_cache(maxsize=4096)
def _place(text: str) -> tuple[Origin, bytes, bytes]:
    """The origin of a URL, its `host` line and its target. httpx reads it, so that both engines say the same."""
    from httpx import URL

    url = URL(text)
    secure = url.scheme == "https"
    origin = Origin(url.raw_host.decode("ascii"), url.port or (443 if secure else 80), secure)
    return origin, url.netloc, url.raw_path


def make_request(
    core: Any,
    method: str,
    url: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
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
    if (body or method not in _BODILESS) and "content-length" not in names:
        lines.append(b"content-length: %d\r\n" % len(body))
    lines.append(b"\r\n")
    return Request(origin, b"".join(lines), body, limits["connect"], limits["read"], limits["write"], method == "HEAD")
