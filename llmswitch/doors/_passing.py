"""What no door answers, on its way to the vendor: what of the request goes along, and what of the answer comes back."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import unquote

from llmswitch._adapter import HTTPRequest
from llmswitch._attempt import unanswered
from llmswitch._endpoint import Endpoint
from llmswitch._framing import FramingError, Inflater
from llmswitch._passthrough import Passthrough
from llmswitch._scrub import scrub
from llmswitch._wire import Action, Close, Fault, Open, Opened, Outcome, Read

from ._failures import status_of
from .passage import SESSION_HEADER, Answer, whole

__all__ = ["Begun", "Patience", "asking", "broke_off", "closed", "passed_on"]

# Of one connection alone (RFC 9110, section 7.6.1), or said anew by whoever sends it on.
_HOP = frozenset(
    {
        "accept-encoding",
        "connection",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Whose the request is, is said by the configured key alone.
_WHOSE = re.compile(r"key|token|secret|auth|passw|credential|cookie|organi[sz]ation|project|account|workspace")
_HARMLESS = frozenset({"idempotency-key"})
_STEPS = 3  # so often may a path be encoded
_ERROR_BYTES = 256 * 1024


@dataclass(slots=True, frozen=True)
class Patience:
    """Seconds that a program waits: for a connection, for a place in the pool, and for each read and write."""

    connect: float
    pool: float
    read: float
    write: float

    @classmethod
    def of(cls, timeout: Mapping[str, Any] | None, usual: float) -> Patience:
        """What the HTTP library of an SDK says of it. `usual`: where it says nothing, or that there is no limit."""
        said = {name: value for name, value in (timeout or {}).items() if isinstance(value, (int, float)) and value > 0}
        return cls(**{name: float(said.get(name, usual)) for name in ("connect", "pool", "read", "write")})


@dataclass(slots=True, frozen=True)
class Begun:
    """An answer whose body is still to be read."""

    status: int
    headers: Mapping[str, str]


Passed: TypeAlias = "Begun | Answer"


def asking(
    way: Passthrough, method: str, target: str, headers: Iterable[tuple[str, str]], patience: Patience, content: Any
) -> Open:
    """
    The request as it is passed on, with no key in it. `target`: path and query, as they stand in the program's request,
    which is not `closed`; `content`: its body in pieces.
    """
    given: dict[str, str] = {}
    for written, value in headers:
        name = written.lower()
        given[name] = f"{given[name]}, {value}" if name in given else value
    body = given.get("content-length", "0") != "0" or "transfer-encoding" in given
    own = {name.strip().lower() for name in given.get("connection", "").split(",")}
    kept = {
        name: value
        for name, value in given.items()
        if name not in _HOP
        and name != SESSION_HEADER
        and name not in own
        and name not in way.endpoint.headers
        and (name in _HARMLESS or not _WHOSE.search(name))
    }
    # an error has to be readable, to have the keys taken out of it
    request = HTTPRequest(target.removeprefix(way.base_path), b"", {**kept, "accept-encoding": "identity"}, method)
    by = monotonic() + patience.connect + patience.read
    return Open(
        None,
        request,
        by,
        patience.connect,
        patience.pool,
        patience.write,
        endpoint=way.endpoint,
        content=content if body else None,
    )


def closed(way: Passthrough, target: str) -> str | None:
    """Why an address is not passed through; `None` where it is."""
    path, base = target.partition("?")[0], way.base_path
    if _misleads(path):
        return "[passthrough] takes no path with //, . or .. in it, however they are written"
    if path != base and not path.startswith(f"{base}/"):
        return (
            f"[passthrough] takes paths below {base} alone, which is that of its base_url: give the SDK such a base_url"
        )
    below = path.removeprefix(base)
    if way.paths is not None and not any(below == start or below.startswith(f"{start}/") for start in way.paths):
        paths = ", ".join(way.paths) or "none"
        return f"below the base_url of [passthrough] this is {below[:80]}, and its paths are {paths}"
    return None


def _misleads(path: str) -> bool:
    """Whether somebody on the way could read another path in it, or another host."""
    for _ in range(_STEPS):
        if not path.startswith("/") or "//" in path or "\\" in path or not path.isprintable():
            return True
        if any(step.partition(";")[0] in (".", "..") for step in path.split("/")):
            return True
        plain = unquote(path)
        if plain == path:
            return False
        path = plain
    return True


def passed_on(request: Open, seconds: float) -> Generator[Action, Outcome, Passed]:
    """
    Ask, and say how the answer begins; or the whole of it where it is an error.

    What the vendor says of an error comes as it is, but for keys. What the network says is a 502 or 504, which an SDK
    may ask again, as it would the vendor.
    """
    opened = yield request
    endpoint = request.to
    if isinstance(opened, Fault):
        return _unanswered(opened, endpoint)
    assert isinstance(opened, Opened)
    if opened.status < 300:
        return Begun(opened.status, _answered(opened.headers))
    if opened.status < 400 and opened.status != 304:
        yield Close()
        said = f"passthrough: {endpoint.origin} answered with a redirect (HTTP {opened.status}), which is not followed"
        return _failure(502, said, {"x-should-retry": "false"})
    body = yield from _error_body(opened, seconds)
    yield Close()
    length = {} if opened.status == 304 else {"content-length": str(len(body))}
    return Answer(opened.status, body, {**_answered(opened.headers, encoded=False), **length})


def _error_body(opened: Opened, seconds: float) -> Generator[Action, Outcome, bytes]:
    """The vendor's own words, without a key in them. What breaks off is as much as came."""
    try:
        inflater = Inflater(opened.headers.get("content-encoding", ""), max_decoded_bytes=_ERROR_BYTES)
    except FramingError:
        return b""
    body, by = bytearray(), monotonic() + seconds
    while len(body) < _ERROR_BYTES:
        chunk = yield Read(by)
        if isinstance(chunk, Fault) or not chunk:
            break
        assert isinstance(chunk, bytes)
        try:
            for piece in inflater.feed(chunk):
                body += piece
        except FramingError:
            break
    text = body.decode("utf-8", "surrogateescape")
    clean = scrub(text)
    return bytes(body) if clean == text else clean.encode("utf-8", "surrogateescape")


def _answered(headers: Mapping[str, str], *, encoded: bool = True) -> dict[str, str]:
    """The headers of an answer that are for the program. `encoded`: its body is as it came."""
    dropped = {"set-cookie", *(() if encoded else ("content-encoding", "content-length"))}
    own = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {name: value for name, value in headers.items() if name not in _HOP | dropped | own}


def _unanswered(fault: Fault, endpoint: Endpoint) -> Answer:
    kind, said = unanswered(fault, endpoint)
    at = "" if endpoint.origin in said else f" {endpoint.origin}:"
    return _failure(status_of(kind(said)), f"passthrough:{at} {said}", {})


def _failure(status: int, message: str, headers: Mapping[str, str]) -> Answer:
    error = {"message": message, "type": "server_error", "param": None, "code": "passthrough_failed"}
    return whole({"type": "error", "error": error}, status, headers)


def broke_off(fault: Fault, origin: str) -> str:
    """What is said where the body of an answer breaks off."""
    said = f": {fault.message}" if fault.message else ""
    return f"passthrough: the answer of {origin} broke off ({fault.kind}){said}"
