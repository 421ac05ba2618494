"""NDJSON: one JSON text a line."""

from __future__ import annotations

from .decoder import MAX_EVENT_BYTES, Decoder, decode_utf8
from .sse import ServerSentEvent


class NDJSONDecoder(Decoder[ServerSentEvent]):
    """
    `application/x-ndjson` to events without a name, one for each line; blank lines are passed over.

    Lines end by LF. The CR of a CRLF is JSON whitespace, and like all of it is taken off at both ends of a
    line. A last line without its LF comes from `finish` with `complete=False`: the framing can't tell whether
    it is whole.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._line = bytearray()  # the line in progress

    def _read(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._check_size(len(self._line) + end - start)
            if self._line:
                self._line += chunk[start:end]
                line, self._line = self._line, bytearray()
                self._take(line, events, complete=True)
            else:
                self._take(chunk[start:end], events, complete=True)
            start = end + 1
        self._check_size(len(self._line) + len(chunk) - start)
        self._line += chunk[start:]

    def _end(self, events: list[ServerSentEvent]) -> None:
        line, self._line = self._line, bytearray()
        self._take(line, events, complete=False)

    def _take(self, line: bytes | bytearray, events: list[ServerSentEvent], *, complete: bool) -> None:
        line = line.strip(b" \t\r")
        if line:
            data, damaged = decode_utf8(line)
            events.append(ServerSentEvent("", data, complete, damaged))
