"""One answer as it is parsed: pure, from bytes to its head, its body and the word that it is whole."""

from __future__ import annotations

from typing import Any

import httptools

__all__ = ["Answer"]

_MOST_HEAD = 100 * 1024  # bytes of a head, as much as the other engines take
_EMPTY = frozenset({204, 304})


class Answer:
    """
    Feed it what comes. `status` is 0 until the head is there; `pieces` are those of the body that `take()` would give
    now; `whole` says that the answer is; `kept`, that its
    connection may be used again; `unread`, that bytes came behind it, which are nobody's.

    Raises `core.RemoteProtocolError` for what is no HTTP.
    """

    def __init__(self, core: Any, *, bodiless: bool) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.whole = self.kept = self.unread = False
        self._core = core
        self._bodiless = bodiless
        self._parser = httptools.HttpResponseParser(self)
        self.pieces: list[bytes] = []
        self._size = 0
        self._bounded = False  # its length is said, in one way or the other

    def multi_items(self) -> list[tuple[str, str]]:
        """The headers, their names in lower case."""
        return self.headers

    def feed(self, data: bytes) -> None:
        """What came; no bytes are the end of the connection."""
        if not data:
            self._ended()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            if not self.whole:
                raise self._core.RemoteProtocolError(_said(problem)) from None
            self.unread = True  # what comes behind a whole answer is not looked at
        if self._size > _MOST_HEAD:
            raise self._core.RemoteProtocolError("its head is too large")

    def take(self) -> bytes:
        """What has come of the body since this was asked last."""
        pieces = self.pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def _ended(self) -> None:
        if self.status == 0:
            raise self._core.RemoteProtocolError("Server disconnected without sending a response.")
        if not self.whole and self._bounded:
            raise self._core.RemoteProtocolError("peer closed connection without sending complete message body")
        self.whole, self.kept = True, False

    # What the parser tells

    def on_message_begin(self) -> None:
        if self.whole:
            self.unread = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + 4
        if self.status == 0 and self._size <= _MOST_HEAD:  # a trailer says nothing that is needed
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip()))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.whole:
            return
        if status < 200:  # one that says that another comes
            self.headers.clear()
            return
        self.status = status
        self.kept = self._parser.should_keep_alive()
        names = {name for name, _ in self.headers}
        self._bounded = not names.isdisjoint(("content-length", "transfer-encoding"))
        if self._bodiless or status in _EMPTY:
            self.whole = True

    def on_body(self, body: bytes) -> None:
        if self.unread or self._bodiless:
            self.unread = True
        else:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.status:
            self.whole = True


def _said(problem: Exception) -> str:
    """The parser's words for it; what one of its callbacks raised is not among them."""
    return str(problem) or type(problem).__name__
