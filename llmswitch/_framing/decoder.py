"""What the framing decoders share: `feed`, `finish`, and the order of events and faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import Generic, TypeVar

from .errors import EventTooLarge, FramingError

EventT = TypeVar("EventT")

MAX_EVENT_BYTES = 16 * 1024 * 1024


class Decoder(ABC, Generic[EventT]):
    """
    Bytes in, events out; how the bytes were cut into chunks makes no difference.

    A fault is raised by the `feed` that meets it. Where that chunk also ended events, they are returned first
    and the fault is raised by the next `feed` or `finish`: what arrived before it is never lost. After a
    fault every call raises it again.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._fault: FramingError | None = None

    def feed(self, chunk: bytes) -> list[EventT]:
        """
        Take the next bytes of the body, any number of them; return the events they end.

        Raises `EventTooLarge` when one event outgrows `max_event_bytes`, `FramingError` on bytes that break
        the format.
        """
        if self._fault is not None:
            raise copy(self._fault)
        events: list[EventT] = []
        try:
            self._read(chunk, events)
        except FramingError as fault:
            self._fault = copy(fault)  # without its traceback, which holds the buffers and this object
            if not events:
                raise
        return events

    def finish(self) -> list[EventT]:
        """Take the end of the body; return the event it cut short, if there is one. Raises as `feed` does."""
        if self._fault is not None:
            raise copy(self._fault)
        events: list[EventT] = []
        self._end(events)
        return events

    @abstractmethod
    def _read(self, chunk: bytes, events: list[EventT]) -> None: ...

    @abstractmethod
    def _end(self, events: list[EventT]) -> None: ...

    def _check_size(self, size: int) -> None:
        if size > self._max_event_bytes:
            raise EventTooLarge(
                f"an event of the stream has at least {size} bytes, more than max_event_bytes={self._max_event_bytes}"
            )


def decode_utf8(raw: bytes | bytearray) -> tuple[str, bool]:
    """The text of `raw`, and whether invalid UTF-8 in it had to be replaced by U+FFFD."""
    try:
        return raw.decode(), False
    except UnicodeDecodeError:
        return raw.decode(errors="replace"), True
