"""Binary event stream frames: the vendor's format, its checksums, and every way to cut it."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import strategies as st

from llmswitch._framing import (
    EventStreamDecoder,
    EventStreamMessage,
    EventTooLarge,
    FramingError,
    aws_event_stream,
)
from tests.everyday import examples
from tests.rows import rows

MIB = 1024 * 1024

# Made by an encoder of our own and read back by botocore 1.44.5, 2026-11-23.
TEXT_DELTA = bytes.fromhex(
    "0000009e00000057fe1b824f0b3a6576656e742d74797065070011636f6e74656e74426c6f636b44656c74610d3a636f6e74"
    "656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b"
    "22636f6e74656e74426c6f636b496e646578223a302c2264656c7461223a7b2274657874223a224869227d2c2270223a2261"
    "6263227d9343f010"
)
EXCEPTION = bytes.fromhex(
    "000000b0000000614f5086b30f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e"
    "0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009"
    "657863657074696f6e7b226d657373616765223a22546f6f206d616e7920746f6b656e732c20706c65617365207761697420"
    "6265666f726520747279696e6720616761696e2e227df70ae57f"
)
ERROR = bytes.fromhex(
    "0000005a0000004a8188a08d0b3a6572726f722d636f646507000f496e7465726e616c4661696c7572650e3a6572726f722d"
    "6d657373616765070004626f6f6d0d3a6d6573736167652d747970650700056572726f72f8d6999d"
)
VECTORS = [TEXT_DELTA, EXCEPTION, ERROR]
MESSAGES = [
    EventStreamMessage(
        {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"},
        b'{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"abc"}',
    ),
    EventStreamMessage(
        {
            ":exception-type": "throttlingException",
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        b'{"message":"Too many tokens, please wait before trying again."}',
    ),
    EventStreamMessage(
        {":error-code": "InternalFailure", ":error-message": "boom", ":message-type": "error"},
        b"",
    ),
]


def frame(
    headers: bytes = b"", payload: bytes = b"", *, total: int | None = None, headers_length: int | None = None
) -> bytes:
    """A frame with right checksums, and lengths that may be wrong."""
    total = 16 + len(headers) + len(payload) if total is None else total
    prelude = struct.pack(">II", total, len(headers) if headers_length is None else headers_length)
    prelude += struct.pack(">I", zlib.crc32(prelude))
    return prelude + headers + payload + struct.pack(">I", zlib.crc32(prelude + headers + payload))


def header(name: str, value_type: int, value: bytes) -> bytes:
    length = struct.pack(">H", len(value)) if value_type in {6, 7} else b""
    return struct.pack("B", len(name.encode())) + name.encode() + struct.pack("B", value_type) + length + value


def decode(chunks: list[bytes], decoder: EventStreamDecoder | None = None) -> list[EventStreamMessage]:
    decoder = decoder or EventStreamDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


@rows(("vector", "message"), list(zip(VECTORS, MESSAGES, strict=True)), ids=["event", "exception", "error"])
def test_a_vector_is_read_at_every_cut(vector: bytes, message: EventStreamMessage) -> None:
    """A frame in one chunk, cut at each of its bytes, and byte by byte, is the same message."""
    assert [message] == decode([vector])
    for cut in range(len(vector) + 1):
        assert [message] == decode([vector[:cut], vector[cut:]])
    assert [message] == decode([vector[i : i + 1] for i in range(len(vector))])


def test_frames_do_not_line_up_with_chunks() -> None:
    """Chunks of any one size, from a byte to all of it, give the same messages."""
    body = b"".join(VECTORS) * 2
    for size in range(1, len(body) + 1):
        assert MESSAGES * 2 == decode([body[i : i + size] for i in range(0, len(body), size)])


def test_a_message_comes_out_with_its_last_byte() -> None:
    """No message waits for the frame after it."""
    decoder = EventStreamDecoder()
    assert [] == decoder.feed(TEXT_DELTA[:-1])
    assert [MESSAGES[0]] == decoder.feed(TEXT_DELTA[-1:])
    assert [] == decoder.finish()


FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
NAMES = st.sampled_from([":event-type", ":date", "a", "é", "n" * 200])
HEADERS = st.one_of(
    st.tuples(NAMES, st.just(7), st.text(max_size=20).map(str.encode)),
    st.tuples(NAMES, st.just(6), st.binary(max_size=20)),
    *(st.tuples(NAMES, st.just(kind), st.binary(min_size=size, max_size=size)) for kind, size in FIXED.items()),
)


@examples(
    8,
    40,
    st.lists(st.tuples(st.lists(HEADERS, max_size=6, unique_by=lambda h: h[0]), st.binary(max_size=40)), max_size=4),
    st.lists(st.integers(0, 600), max_size=6),
)
def test_any_frames_in_any_chunks_are_read(
    frames: list[tuple[list[tuple[str, int, bytes]], bytes]], cuts: list[int]
) -> None:
    """Payloads and string headers come out as they went in; headers of the other nine types are dropped."""
    body = b"".join(frame(b"".join(header(*h) for h in headers), payload) for headers, payload in frames)
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    expected = [
        EventStreamMessage({name: value.decode() for name, kind, value in headers if kind == 7}, payload)
        for headers, payload in frames
    ]
    chunks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert expected == decode(chunks)


@rows("vector", VECTORS, ids=["event", "exception", "error"])
def test_a_flipped_bit_anywhere_is_found(vector: bytes) -> None:
    """A frame with one wrong byte, wherever it is, gives no message."""
    for position in range(len(vector)):
        damaged = bytearray(vector)
        damaged[position] ^= 0x04
        with pytest.raises(FramingError, match="checksum"):
            decode([bytes(damaged)])


def test_a_wrong_first_checksum_is_found_before_the_frame_is_awaited() -> None:
    """The lengths of a damaged prelude are not believed: twelve bytes are enough to refuse it."""
    with pytest.raises(FramingError, match="checksum of an event stream frame's first 8 bytes"):
        EventStreamDecoder().feed(b"\x7f" + TEXT_DELTA[1:12])


@rows(("total", "headers_length"), [(0, 0), (15, 0), (16, 1), (20, 0xFFFFFFFF)])
def test_lengths_that_can_not_be_are_refused(total: int, headers_length: int) -> None:
    """A frame shorter than its own parts is refused, its checksums being right."""
    with pytest.raises(FramingError, match=f"frame of {total} bytes can't hold {headers_length} bytes of headers"):
        EventStreamDecoder().feed(frame(total=total, headers_length=headers_length))


def test_a_frame_over_the_limit_is_refused_before_it_comes() -> None:
    """The twelve bytes that announce it are enough; the limit itself is allowed."""
    with pytest.raises(EventTooLarge, match=r"at least 101 bytes, more than max_event_bytes=100"):
        EventStreamDecoder(max_event_bytes=100).feed(frame(total=101)[:12])
    assert [EventStreamMessage({}, b"x" * 84)] == decode([frame(payload=b"x" * 84)], EventStreamDecoder(100))
    with pytest.raises(EventTooLarge):
        EventStreamDecoder().feed(frame(total=16 * MIB + 1)[:12])


@rows(
    ("headers", "message"),
    [
        (b"\x01a\x0a", "unknown type 10"),
        (b"\x01a", "run past their 2 bytes"),
        (b"\x09a\x07\x00\x00", "run past their 5 bytes"),
        (b"\x01a\x07", "run past their 3 bytes"),
        (b"\x01a\x07\x00", "run past their 4 bytes"),
        (b"\x01a\x07\x00\x05four", "run past their 9 bytes"),
        (b"\x01a\x05\x00\x00", "run past their 5 bytes"),
        (b"\x01a\x09" + b"\x00" * 15, "run past their 18 bytes"),
        (b"\x01a\x07\x00\x01\xff", "isn't UTF-8"),
        (b"\x01\xff\x07\x00\x01a", "isn't UTF-8"),
    ],
)
def test_headers_that_break_the_format_are_refused(headers: bytes, message: str) -> None:
    """An unknown type, a value that runs past the headers, and text that isn't UTF-8 are faults."""
    with pytest.raises(FramingError, match=message):
        EventStreamDecoder().feed(frame(headers, b"payload" * 10))


@rows("length", [1, 11, 12, 157])
def test_a_body_that_ends_inside_a_frame_is_a_fault(length: int) -> None:
    """The end of the body at any place but a frame's end raises, saying how much came."""
    decoder = EventStreamDecoder()
    assert [MESSAGES[0]] == decoder.feed(TEXT_DELTA + TEXT_DELTA[:length])
    with pytest.raises(FramingError, match=f"ended inside a frame: {length} bytes of it came, at least (12|158) were"):
        decoder.finish()


def test_messages_before_a_fault_come_out_first() -> None:
    """An exception frame isn't lost to the garbage behind it: it is returned, then the fault is raised."""
    decoder = EventStreamDecoder()
    assert [MESSAGES[1]] == decoder.feed(EXCEPTION + b"\x00" * 12)
    for _ in range(2):
        with pytest.raises(FramingError, match="checksum"):
            decoder.feed(TEXT_DELTA)
    with pytest.raises(FramingError, match="checksum"):
        decoder.finish()


def test_faults_and_reprs_quote_no_content() -> None:
    """Neither payload nor header values are in a message's repr or in the fault of a damaged frame."""
    shown = repr(MESSAGES[1])
    assert "EventStreamMessage(:exception-type, :content-type, :message-type; 63 bytes)" == shown
    with pytest.raises(FramingError) as caught:
        decode([EXCEPTION[:-1] + b"\x00"])
    assert "many tokens" not in str(caught.value)


def test_a_frame_that_comes_byte_by_byte_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte passes a checksum at most twice, the prelude's and the frame's, however many the chunks."""
    checked = 0

    def counting(data: memoryview) -> int:
        nonlocal checked
        checked += len(data)
        return zlib.crc32(data)

    monkeypatch.setattr(aws_event_stream, "crc32", counting)
    body = frame(payload=b"x" * 50_000)
    assert 1 == len(decode([body[i : i + 1] for i in range(len(body))]))
    assert 8 + len(body) - 4 == checked


def test_a_large_frame_is_held_about_twice() -> None:
    """A frame is held once while it comes, and its payload once more when it is whole."""
    chunk = b"x" * 65536
    whole = frame(payload=chunk * 32)
    chunks = [whole[i : i + 65536] for i in range(0, len(whole), 65536)]
    decoder = EventStreamDecoder()
    tracemalloc.start()
    try:
        for piece in chunks:
            decoder.feed(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.25 * len(whole)
