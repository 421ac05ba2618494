"""Server-sent events of servers that say in bare JSON that they failed."""

from __future__ import annotations

from .decoder import MAX_EVENT_BYTES
from .sse import ServerSentEvent, SSEDecoder

_BOM = b"\xef\xbb\xbf"


class SSEJSONDecoder(SSEDecoder):
    """
    `text/event-stream`, in which JSON text may stand in place of an event, spread over lines and without `data:`.

    Such a text begins with `{` or `[` where no event has begun, and goes on to the next blank line, to a `data` line,
    or to the end of the body.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._bare = False  # the data so far is such a text

    def _read_line(self, line: bytes | bytearray, events: list[ServerSentEvent]) -> None:
        text = line.removeprefix(_BOM) if self._first_line else line
        if self._bare and (not text or text.startswith(b"data:")):
            self._bare = False
            self._dispatch(events, complete=True)
        elif self._bare or (not self._data and text.lstrip()[:1] in (b"{", b"[")):
            self._bare, self._first_line = True, False
            self._data += text
            self._data += b"\n"
            return
        super()._read_line(line, events)
