"""Content-Encoding undone in bounded pieces: a body of 63 KiB may be a gzip of 64 MiB."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .errors import BodyTooLarge, FramingError

if TYPE_CHECKING:
    from zlib import _Decompress

MAX_DECODED_BYTES = 64 * 1024 * 1024

_PIECE_BYTES = 1024 * 1024  # the most that comes out at once
_SLICE_BYTES = 16 * 1024  # the most that goes in at once: zlib copies what is left whenever it stops

_AUTO_HEADER = 32 + zlib.MAX_WBITS  # zlib tells gzip from zlib by the header
_NO_HEADER = -zlib.MAX_WBITS


class Inflater:
    """
    Undoes one Content-Encoding: "" or "identity", "gzip", "deflate". Any other raises `FramingError`.

    `max_decoded_bytes` bounds the decoded body, that of "identity" too; more raises `BodyTooLarge`, and is
    never decoded.
    """

    def __init__(self, encoding: str, max_decoded_bytes: int = MAX_DECODED_BYTES) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in {"", "identity", "gzip", "deflate"}:
            raise FramingError(
                f"the answer has Content-Encoding {self._encoding[:40]!r}; only gzip, deflate and identity are read"
            )
        self._plain = self._encoding in {"", "identity"}
        self._max_decoded_bytes = max_decoded_bytes
        self._decoded = 0
        self._member: _Decompress | None = None  # the gzip member or zlib stream in progress

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """
        Take the next bytes of the body; what they decode to, in pieces of at most 1 MiB, none empty.

        To iterate does the work: do it to the end before the next `feed`. Raises `BodyTooLarge` past the
        limit, `FramingError` where the body isn't what its Content-Encoding says.
        """
        if not self._plain or not 0 < len(chunk) <= _PIECE_BYTES:
            return self._pieces(chunk)
        self._decoded += len(chunk)
        return (chunk,) if self._decoded <= self._max_decoded_bytes else (self._counted(b""),)

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        if self._plain:
            for start in range(0, len(chunk), _PIECE_BYTES):
                yield self._counted(chunk[start : start + _PIECE_BYTES])
        else:
            for start in range(0, len(chunk), _SLICE_BYTES):
                yield from self._inflate(chunk[start : start + _SLICE_BYTES])

    def finish(self) -> None:
        """Take the end of the body. Raises `FramingError` where it was cut; a body of no bytes is whole."""
        if self._member is not None:
            raise FramingError(f"the {self._encoding} body was cut short: it decodes to {self._decoded} bytes so far")

    def _inflate(self, compressed: bytes) -> Iterator[bytes]:
        while compressed or self._member is not None:
            if self._member is None:
                self._member = zlib.decompressobj(self._window_bits(compressed[0]))
            room = min(_PIECE_BYTES, self._max_decoded_bytes - self._decoded + 1)
            try:
                piece = self._member.decompress(compressed, room)
            except zlib.error:
                raise FramingError(
                    f"the answer's body isn't {self._encoding}, as its Content-Encoding says: "
                    f"decoding failed after {self._decoded} bytes"
                ) from None
            if piece:
                yield self._counted(piece)
            if self._member.eof:
                compressed, self._member = self._member.unused_data, None  # another member may follow
            elif len(piece) == room:
                compressed = self._member.unconsumed_tail  # even an empty tail may have more to give
            else:
                return

    def _window_bits(self, first: int) -> int:
        # Some servers send deflate without its zlib header. That header's low half-byte is 8; deflate data
        # that opened so would be a stored block with its padding bits set, which no encoder writes.
        if self._encoding == "deflate" and first & 0x0F != 0x08:
            return _NO_HEADER
        return _AUTO_HEADER

    def _counted(self, piece: bytes) -> bytes:
        self._decoded += len(piece)
        if self._decoded > self._max_decoded_bytes:
            raise BodyTooLarge(f"the answer's body decodes to over max_decoded_bytes={self._max_decoded_bytes}")
        return piece
