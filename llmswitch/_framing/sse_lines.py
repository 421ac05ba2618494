"""Server-sent events of servers for which an event ends with its data line."""

from __future__ import annotations

from .decoder import MAX_EVENT_BYTES, decode_utf8
from .ndjson import NDJSONDecoder
from .sse import ServerSentEvent

_BOM = b"\xef\xbb\xbf"


class SSELinesDecoder(NDJSONDecoder):
    """
    `text/event-stream` line by line, as the SDKs of some vendors read it: each `data` line is an event of its own.

    The blank lines between events may be missing, and a line that is a JSON object stands for a `data` line: that is
    how those servers say that they failed after they had begun. An event's name comes before its data. Comments, `id`,
    `retry` and unknown fields are passed over.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._first_line = True
        self._name = b""

    def _take(self, line: bytes | bytearray, events: list[ServerSentEvent], *, complete: bool) -> None:
        line = line.strip(b" \t\r")
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line.startswith(b"{"):
            field, _, value = line.partition(b":")
            if field != b"data":
                # a blank line ends what was begun; everything else but a name says nothing
                self._name = bytes(value.strip()) if field == b"event" else self._name if line else b""
                return
            line = value.strip()
        name, self._name = self._name, b""
        if line:
            data, damaged = decode_utf8(line)
            events.append(ServerSentEvent(decode_utf8(name)[0], data, complete, damaged))
