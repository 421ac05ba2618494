"""Server-sent events, as WHATWG HTML (section 9.2.6, Interpreting an event stream) reads them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .decoder import MAX_EVENT_BYTES, Decoder, decode_utf8

_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class ServerSentEvent:
    """
    One event of a stream; `data` stays out of the repr, for it is what the model wrote.

    `event` is "" where the stream named none (the standard's default, "message", is left to the reader).
    `complete` is False for an event that the end of the body cut before its blank line.
    `damaged` is True where invalid UTF-8 was replaced by U+FFFD.
    """

    event: str
    data: str = field(repr=False)
    complete: bool = True
    damaged: bool = False


class SSEDecoder(Decoder[ServerSentEvent]):
    """
    `text/event-stream` to events.

    Lines end by CR, LF or CRLF and nothing else; comments, `id`, `retry` and unknown fields are passed over.
    An event without a `data` field is dropped, one whose `data` field is empty is not: both as the standard
    has it.

    Whole events of one `data` line, or of an `event` line and a `data` line, are cut out of the chunk at
    once; all else goes line by line. An event's size is its data and name so far plus the line in progress.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._first_line = True  # it may open with a byte order mark
        self._after_cr = False  # the last chunk ended in CR: an LF that follows belongs to it
        self._line = bytearray()  # the line in progress
        self._data = bytearray()  # the event's data lines, each with its LF
        self._name = b""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        # what most chunks of a live stream are: one whole event of a `data` line, where none has begun
        if (
            chunk[:6] == b"data: "
            and chunk.find(b"\n") == len(chunk) - 2
            and chunk[-1:] == b"\n"
            and b"\r" not in chunk
            and not (self._line or self._data or self._name or self._first_line or self._after_cr)
            and self._fault is None
            and len(chunk) <= self._max_event_bytes
        ):
            try:
                return [ServerSentEvent("", chunk[6:-2].decode())]
            except UnicodeDecodeError:
                pass  # as every other chunk
        return super().feed(chunk)

    def _read(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        if not chunk:
            return
        if self._after_cr:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

        if self._first_line or self._line or self._data or self._name:  # inside an event: bring it to its end
            end = self._event_end(chunk)
            self._read_lines(chunk[:end], events)
            chunk = chunk[end:]
        # A chunk within the limit holds no event over it.
        last = chunk.rfind(b"\n\n") if len(chunk) <= self._max_event_bytes else -1
        if last >= 0:
            self._read_events(chunk[:last], events)
            chunk = chunk[last + 2 :]
        if chunk:
            self._read_lines(chunk, events)

    def _end(self, events: list[ServerSentEvent]) -> None:
        if self._line:
            line, self._line = self._line, bytearray()
            self._read_line(line, events)
        self._dispatch(events, complete=False)

    def _event_end(self, chunk: bytes) -> int:
        """Where the event in progress ends: after the first blank line, or with the chunk."""
        if not self._line and chunk.startswith(b"\n"):
            return 1
        blank = chunk.find(b"\n\n")
        return blank + 2 if blank >= 0 else len(chunk)

    def _read_events(self, blocks: bytes, events: list[ServerSentEvent]) -> None:
        """Read whole events, parted by blank lines; the last one's blank line is taken off."""
        try:
            text = blocks.decode()
        except UnicodeDecodeError:
            self._read_lines(blocks + b"\n\n", events)
            return
        for block in text.split("\n\n"):
            if block[:6] == "data: " and "\n" not in block:
                events.append(ServerSentEvent("", block[6:]))
                continue
            first, _, second = block.partition("\n")
            if first[:7] == "event: " and second[:6] == "data: " and "\n" not in second:
                events.append(ServerSentEvent(first[7:], second[6:]))
            else:
                self._read_lines(block.encode() + b"\n\n", events)

    def _read_lines(self, text: bytes, events: list[ServerSentEvent]) -> None:
        start = 0
        while (end := text.find(b"\n", start)) >= 0:
            self._check_size(len(self._data) + len(self._name) + len(self._line) + end - start)
            if self._line:
                self._line += text[start:end]
                line, self._line = self._line, bytearray()
                self._read_line(line, events)
            else:
                self._read_line(text[start:end], events)
            start = end + 1
        self._check_size(len(self._data) + len(self._name) + len(self._line) + len(text) - start)
        self._line += text[start:]

    def _read_line(self, line: bytes | bytearray, events: list[ServerSentEvent]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events, complete=True)
            return
        colon = line.find(b":")
        field_name, start = (line[:colon], colon + 1) if colon >= 0 else (line, len(line))
        if line[start : start + 1] == b" ":
            start += 1
        if field_name == b"data":
            self._data += memoryview(line)[start:]  # a line may be megabytes: no copy on the way
            self._data += b"\n"
        elif field_name == b"event":
            self._name = bytes(line[start:])

    def _dispatch(self, events: list[ServerSentEvent], *, complete: bool) -> None:
        if self._data:
            del self._data[-1]
            data, data_damaged = decode_utf8(self._data)
            name, name_damaged = decode_utf8(self._name)
            events.append(ServerSentEvent(name, data, complete, data_damaged or name_damaged))
            self._data = bytearray()
        self._name = b""
