"""Answers of a server as exact bytes, right ones and wrong ones, for the scripts of a `FaultServer`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

__all__ = ["LAST_CHUNK", "Event", "Framing", "Headers", "chunk", "event_bytes", "response", "sse", "sse_head"]

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
Event: TypeAlias = bytes | str | Mapping[str, Any]
Framing: TypeAlias = Literal["chunked", "close"]

LAST_CHUNK = b"0\r\n\r\n"
"""What ends a chunked body."""


def response(
    status: int = 200, body: bytes | str | Mapping[str, Any] | Sequence[Any] = b"", headers: Headers = ()
) -> bytes:
    """
    One whole HTTP/1.1 response.

    `body`: bytes as they are; anything else as JSON, with its Content-Type. A Content-Length is added, unless `headers`
    holds one (a false one, say) or a Transfer-Encoding; `("content-length", "")` leaves it out, so that the body ends
    with the connection.
    """
    pairs = _pairs(headers)
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
        if "content-type" not in _names(pairs):
            pairs.append(("content-type", "application/json"))
    if not {"content-length", "transfer-encoding"} & _names(pairs) and status >= 200 and status not in (204, 304):
        pairs.append(("content-length", str(len(body))))
    return _head(status, pairs) + body


def sse(
    events: Iterable[Event],
    headers: Headers = (),
    *,
    framing: Framing = "chunked",
    cut: int | None = None,
    ended: bool = True,
) -> bytes:
    """
    One response with a stream of server-sent events.

    `events`: bytes as they are; a text or a mapping as the data of an event, a mapping as JSON. `framing`: `chunked`,
    one chunk an event, or `close`, where the body ends with the connection. `cut`: only so many bytes of the body are
    there. `ended`: the last chunk of a chunked body is there; it never is where the body is cut.
    """
    pieces = [event_bytes(event) for event in events]
    if cut is not None:
        pieces, ended = [b"".join(pieces)[:cut]], False
    if framing == "close":
        return sse_head(headers, framing=framing) + b"".join(pieces)
    return sse_head(headers) + b"".join(map(chunk, pieces)) + (LAST_CHUNK if ended else b"")


def sse_head(headers: Headers = (), *, framing: Framing = "chunked") -> bytes:
    """The head of such a response alone, for a script that sends the events by and by, as `chunk()`s or as they are."""
    pairs = _pairs(headers)
    if "content-type" not in _names(pairs):
        pairs.append(("content-type", "text/event-stream"))
    if framing == "chunked":
        pairs.append(("transfer-encoding", "chunked"))
    return _head(200, pairs)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no bytes, since an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def event_bytes(event: Event) -> bytes:
    """One event as it stands in the body, with its blank line; bytes as they are."""
    if isinstance(event, bytes):
        return event
    data = event if isinstance(event, str) else json.dumps(event)
    return b"data: %b\n\n" % data.encode()


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _names(pairs: Iterable[tuple[str, str]]) -> set[str]:
    return {name.lower() for name, _ in pairs}


def _head(status: int, pairs: Iterable[tuple[str, str]]) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:  # 529, 524 and other statuses that only one vendor has
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in pairs if (name.lower(), value) != ("content-length", "")]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
