"""
`application/vnd.amazon.eventstream`: length-prefixed binary frames with typed headers and two checksums.

A frame, big-endian: total length (4 bytes), length of the headers (4), CRC-32 of these 8 bytes (4), headers,
payload, CRC-32 of all before it (4). A header: length of the name (1), name, type (1), value. From the
vendor's own SDK, checked 2026-11-23.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from .decoder import MAX_EVENT_BYTES, Decoder
from .errors import FramingError

_PRELUDE = Struct(">III")
_CHECKSUM_BYTES = 4
_FRAME_OVERHEAD = _PRELUDE.size + _CHECKSUM_BYTES

_BYTES, _STRING = 6, 7  # their values open with a length of 2 bytes
# true, false, byte, int16, int32, int64, timestamp, UUID
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


@dataclass(slots=True, repr=False)
class EventStreamMessage:
    """One frame: its headers of type string by name (the other types are dropped), and its payload."""

    headers: dict[str, str]
    payload: bytes

    def __repr__(self) -> str:
        return f"EventStreamMessage({', '.join(self.headers)}; {len(self.payload)} bytes)"


class EventStreamDecoder(Decoder[EventStreamMessage]):
    """
    Frames to messages. `max_event_bytes` bounds a frame's total length.

    A checksum or length that is wrong raises `FramingError`, and so does a body that ends inside a frame.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._buffer = bytearray()  # starts at a frame
        self._wanted = _PRELUDE.size  # bytes of it before the next step

    def _read(self, chunk: bytes, events: list[EventStreamMessage]) -> None:
        self._buffer += chunk
        start = 0
        with memoryview(self._buffer) as view:
            while len(view) - start >= self._wanted:
                total, headers_length, _ = _PRELUDE.unpack_from(view, start)
                if self._wanted == _PRELUDE.size:
                    self._check_prelude(view[start : start + _PRELUDE.size])
                    self._wanted = total
                else:
                    events.append(_message(view[start : start + total], headers_length))
                    self._wanted = _PRELUDE.size
                    start += total
        del self._buffer[:start]

    def _end(self, events: list[EventStreamMessage]) -> None:  # noqa: ARG002 (half a frame is no message)
        if self._buffer:
            raise FramingError(
                f"the event stream ended inside a frame: {len(self._buffer)} bytes of it came, "
                f"at least {self._wanted} were to come"
            )

    def _check_prelude(self, prelude: memoryview) -> None:
        total, headers_length, checksum = _PRELUDE.unpack(prelude)
        if crc32(prelude[:8]) != checksum:  # first, for the lengths of a damaged prelude mean nothing
            raise FramingError("the checksum of an event stream frame's first 8 bytes is wrong")
        if total < _FRAME_OVERHEAD + headers_length:
            raise FramingError(
                f"an event stream frame of {total} bytes can't hold {headers_length} bytes of headers: "
                f"{_FRAME_OVERHEAD} bytes of it are lengths and checksums"
            )
        self._check_size(total)


def _message(frame: memoryview, headers_length: int) -> EventStreamMessage:
    if crc32(frame[:-_CHECKSUM_BYTES]) != int.from_bytes(frame[-_CHECKSUM_BYTES:], "big"):
        raise FramingError(f"the checksum of an event stream frame of {len(frame)} bytes is wrong")
    payload_start = _PRELUDE.size + headers_length
    return EventStreamMessage(
        _string_headers(bytes(frame[_PRELUDE.size : payload_start])),
        bytes(frame[payload_start:-_CHECKSUM_BYTES]),
    )


def _string_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    position = 0
    try:
        while position < len(block):
            name_end = position + 1 + block[position]
            value_type = block[name_end]
            start = name_end + 1
            if value_type in {_BYTES, _STRING}:
                start += 2
                end = start + int.from_bytes(block[start - 2 : start], "big")
            else:
                end = start + _FIXED_SIZES[value_type]
            if value_type == _STRING:
                headers[block[position + 1 : name_end].decode()] = block[start:end].decode()
            position = end
    except KeyError as exc:
        raise FramingError(f"an event stream header has the unknown type {exc.args[0]}") from None
    except UnicodeDecodeError:
        raise FramingError("an event stream header isn't UTF-8") from None
    except IndexError:
        position = len(block) + 1
    if position != len(block):
        raise FramingError(f"the headers of an event stream frame run past their {len(block)} bytes")
    return headers
