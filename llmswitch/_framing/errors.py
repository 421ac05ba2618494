"""What a body can be that no decoder reads. The messages count bytes and never quote them."""

from __future__ import annotations


class FramingError(ValueError):
    """The body breaks the rules of its framing or of its Content-Encoding."""


class EventTooLarge(FramingError):
    """One event is longer than `max_event_bytes`."""


class BodyTooLarge(FramingError):
    """The body is longer than `max_decoded_bytes` once its Content-Encoding is undone."""
