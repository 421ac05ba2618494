"""
Framing: from the bytes of an answer's body to its events. Pure, incremental, bounded, linear in the bytes.

A body passes an `Inflater` where it is compressed, then the decoder of its media type:

- `text/event-stream`: `SSEDecoder`, which gives `ServerSentEvent`; or `SSELinesDecoder`, where an event is a line; or
  `SSEJSONDecoder`, where bare JSON may stand between events;
- `application/x-ndjson`: `NDJSONDecoder`, which gives `ServerSentEvent` too, without an event name;
- `application/vnd.amazon.eventstream`: `EventStreamDecoder`, which gives `EventStreamMessage`.
"""

from __future__ import annotations

from .aws_event_stream import EventStreamDecoder, EventStreamMessage
from .decoder import MAX_EVENT_BYTES, Decoder, decode_utf8
from .errors import BodyTooLarge, EventTooLarge, FramingError
from .inflate import MAX_DECODED_BYTES, Inflater
from .ndjson import NDJSONDecoder
from .sse import ServerSentEvent, SSEDecoder
from .sse_json import SSEJSONDecoder
from .sse_lines import SSELinesDecoder

_DECODERS: dict[str, type[SSEDecoder | NDJSONDecoder | EventStreamDecoder]] = {
    "sse": SSEDecoder,
    "sse-lines": SSELinesDecoder,
    "sse-json": SSEJSONDecoder,
    "ndjson": NDJSONDecoder,
    "aws-event-stream": EventStreamDecoder,
}


def framer(kind: str) -> SSEDecoder | NDJSONDecoder | EventStreamDecoder:
    """A fresh decoder for a dialect's framing: `sse`, `sse-lines`, `sse-json`, `ndjson` or `aws-event-stream`."""
    return _DECODERS[kind]()


__all__ = [
    "MAX_DECODED_BYTES",
    "MAX_EVENT_BYTES",
    "BodyTooLarge",
    "Decoder",
    "EventStreamDecoder",
    "EventStreamMessage",
    "EventTooLarge",
    "FramingError",
    "Inflater",
    "NDJSONDecoder",
    "SSEDecoder",
    "SSEJSONDecoder",
    "SSELinesDecoder",
    "ServerSentEvent",
    "decode_utf8",
    "framer",
]
