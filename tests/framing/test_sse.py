"""Server-sent events against the standard, whatever the chunks."""

from __future__ import annotations

import re
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import strategies as st

from llmswitch._framing import EventTooLarge, FramingError, ServerSentEvent, SSEDecoder
from tests.everyday import examples
from tests.rows import rows

MIB = 1024 * 1024
BOM = b"\xef\xbb\xbf"

# Pieces of a stream, from whole events down to halves of characters. U+FFFD itself is not among them.
PIECES = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b":", b": ", b" ", b"data", b"data:", b"data: "),
    *(
        b"event",
        b"event:",
        b"event: ping",
        b"id: 7",
        b"retry: 10",
        b": comment",
        b"unknown: x",
        b"x",
        b'{"a": 1}',
    ),
    *(
        b'data: {"a": 1}\n\n',
        b"data: a\ndata: b\n\n",
        b"event: tick\ndata: 1\n\n",
        b"data:\n\n",
        b": ping\n\n",
    ),
    *(
        "é你😀".encode(),
        "\u2028\u2029\u0085\v\f\x1c\x00".encode(),
        BOM,
        b"\xff",
        b"\xf0\x9f",
        b"\x80",
        b"\xc3",
    ),
]
WHOLE_EVENTS = [
    b'data: {"a": 1}\n\n',
    b"event: tick\ndata: 1\n\n",
    b"event:tight\ndata: 1\n\n",
    b"event: tick\ndata:1\n\n",
    b"data:no space\n\n",
    b"data:  two\n\n",
    b"data: \xe4\xbd\xa0\xf0\x9f\x98\x80\n\n",
    b"data: \xff\n\n",
    b"data: a\ndata: b\n\n",
    b"event: tick\ndata: a\ndata: b\n\n",
    b"event: a\nevent: b\n\n",
    b"data: 1\nevent: late\n\n",
    b": ping\n\n",
    b"data\n\n",
    b"\n",
]


def decode(chunks: list[bytes], decoder: SSEDecoder | None = None) -> list[ServerSentEvent]:
    decoder = decoder or SSEDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


def outcome(chunks: list[bytes], decoder: SSEDecoder) -> tuple[list[ServerSentEvent], type[Exception] | None]:
    events: list[ServerSentEvent] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.finish()
    except FramingError as error:
        return events, type(error)
    return events, None


def per_byte(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


@st.composite
def chunked(draw: st.DrawFn, pieces: list[bytes] = PIECES) -> list[bytes]:
    body = b"".join(draw(st.lists(st.sampled_from(pieces), max_size=30)))
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def by_the_standard(body: bytes) -> list[ServerSentEvent]:
    """The standard's steps, literally: decode it all, split it into lines, go through them."""
    events: list[ServerSentEvent] = []
    name = data = ""

    def dispatch(*, complete: bool) -> None:
        nonlocal name, data
        if data:
            damaged = "\ufffd" in name + data
            events.append(ServerSentEvent(name, data.removesuffix("\n"), complete, damaged))
        name = data = ""

    *lines, rest = re.split("\r\n|\r|\n", body.removeprefix(BOM).decode(errors="replace"))
    for line in [*lines, rest] if rest else lines:
        if line == "":
            dispatch(complete=True)
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data += value + "\n"
        elif field == "event":
            name = value
    dispatch(complete=False)
    return events


@examples(12, 60, chunked())
def test_any_chunks_give_the_events_of_the_standard(chunks: list[bytes]) -> None:
    """However a stream is cut, its events are those of the standard's algorithm run on the whole of it."""
    body = b"".join(chunks)
    expected = by_the_standard(body)
    assert expected == decode(chunks)
    assert expected == decode([body])
    assert expected == decode(per_byte(body))


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_two_cuts_of_a_stream_give_the_same_events(step: int) -> None:
    """All ways to cut a short stream of every shape in three, none left out, give the same events."""
    body = (
        b": hi\n\ndata: 1\n\nevent: e\ndata: 2\n\nevent: e\ndata: 2\ndata: 2\n\nevent:f\ndata:3\ndata\n\r\n"
        b"id: 4\rdata: \xc3\xa9\r\rdata: 5"
    )
    expected = by_the_standard(body)
    pairs = [(event.event, event.data) for event in expected]
    assert [("", "1"), ("e", "2"), ("e", "2\n2"), ("f", "3\n"), ("", "é"), ("", "5")] == pairs
    for first in range(0, len(body) + 1, step):
        for second in range(first, len(body) + 1):
            assert expected == decode([body[:first], body[first:second], body[second:]])


class LineByLine(SSEDecoder):
    """The decoder without its short cut for whole events."""

    def _read_events(self, blocks: bytes, events: list[ServerSentEvent]) -> None:
        self._read_lines(blocks + b"\n\n", events)


@examples(12, 60, chunked(WHOLE_EVENTS), st.integers(8, 40))
def test_the_short_cut_equals_the_line_parser(chunks: list[bytes], limit: int) -> None:
    """Events cut out of a chunk at once are those that the line parser gives, and so are the faults."""
    assert decode(chunks) == decode(chunks, LineByLine())
    assert outcome(chunks, LineByLine(limit)) == outcome(chunks, SSEDecoder(limit))


@examples(12, 60, chunked(), st.integers(0, 20))
def test_any_chunks_give_the_same_events_before_the_same_fault(chunks: list[bytes], limit: int) -> None:
    """Before the fault of an event that is too large come the same events, however the stream is cut."""
    body = b"".join(chunks)
    expected = outcome([body], SSEDecoder(limit))
    assert expected == outcome(chunks, SSEDecoder(limit))
    assert expected == outcome(per_byte(body), SSEDecoder(limit))


def test_common_events_take_the_short_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many plain events in one chunk only the stream's first is read line by line."""
    lines: list[bytes] = []
    read_lines = SSEDecoder._read_lines

    def counting(self: SSEDecoder, text: bytes, events: list[ServerSentEvent]) -> None:
        lines.append(text)
        read_lines(self, text, events)

    monkeypatch.setattr(SSEDecoder, "_read_lines", counting)
    events = decode([b"data: {}\n\n" * 100 + b"event: e\ndata: {}\n\n" * 100])
    assert [b"data: {}\n\n"] == lines
    assert [ServerSentEvent("", "{}")] * 100 + [ServerSentEvent("e", "{}")] * 100 == events


@rows(
    ("body", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [("", "a"), ("", "b")]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("", "YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
            [("", "first"), ("", "second"), ("", " third")],
        ),
        (b"data\n\ndata\ndata\n\n", [("", ""), ("", "\n")]),
        (b"data:test\n\ndata: test\n\n", [("", "test"), ("", "test")]),
        (b"event: add\ndata: 1\n\ndata: 2\n\n", [("add", "1"), ("", "2")]),
        (b"event:add\ndata: 1\n\nevent:  add\ndata:2\n\n", [("add", "1"), (" add", "2")]),
        (b"event: lost\n\ndata: 2\n\n", [("", "2")]),
        (b"event: a\nevent: b\ndata: 1\n\n", [("b", "1")]),
        (b"event: a\nevent\ndata: 1\n\n", [("", "1")]),
        (b"retry: 5\nid: 3\n: note\nData: x\n data: x\n\n", []),
        (b"data: a:b: c\n\n", [("", "a:b: c")]),
        (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [("", "a"), ("", "b")]),
        (b"", []),
    ],
)
def test_fields_are_read_as_the_standard_says(body: bytes, expected: list[tuple[str, str]]) -> None:
    """The standard's own examples and rules for fields: names, colons, one space, joined data, empty data."""
    assert [ServerSentEvent(*pair) for pair in expected] == decode([body])
    assert [ServerSentEvent(*pair) for pair in expected] == decode([b"data: first\n\n" + body])[1:]


@rows("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_ends_lines(end: bytes) -> None:
    """CR, LF and CRLF alike end lines, in one chunk and byte by byte."""
    body = b"event: e\ndata: a\ndata: b\n\ndata: c\n\n".replace(b"\n", end)
    expected = [ServerSentEvent("e", "a\nb"), ServerSentEvent("", "c")]
    assert expected == decode([body]) == decode(per_byte(body))


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    """LF at the start of a chunk belongs to the CR that ended the last one, past empty chunks too."""
    assert [ServerSentEvent("", "a\nb")] == decode([b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n"])


def test_an_event_ended_by_cr_does_not_wait_for_the_next_byte() -> None:
    """The blank line is over with its CR: the event comes out at once, and the LF after it adds nothing."""
    decoder = SSEDecoder()
    assert [ServerSentEvent("", "a")] == decoder.feed(b"data: a\r\n\r")
    assert [] == decoder.feed(b"\n")
    assert [ServerSentEvent("", "b")] == decoder.feed(b"data: b\r\n\r\n")


def test_other_line_separators_are_text() -> None:
    """U+2028, U+2029, U+0085, VT, FF, FS, GS, RS and NUL end no line."""
    text = "a\u2028b\u2029c\u0085d\ve\ff\x1cg\x1dh\x1ei\x00j"
    body = b"data: first\n\n" + f"data: {text}\n\n".encode()
    assert [ServerSentEvent("", "first"), ServerSentEvent("", text)] == decode([body]) == decode(per_byte(body))


def test_a_byte_order_mark_is_taken_off_once() -> None:
    """One mark at the start of the stream is dropped; a second, or one later on, is text."""
    body = BOM + b"data: a\n\n" + BOM + b"data: lost\n\ndata: " + BOM + b"b\n\n"
    expected = [ServerSentEvent("", "a"), ServerSentEvent("", "\ufeffb")]
    assert expected == decode([body]) == decode(per_byte(body))
    assert [] == decode([BOM + BOM + b"data: lost\n\n"])


@rows(
    ("raw", "text"),
    [
        (b"a\xffb", "a\ufffdb"),
        (b"\xf0\x9f\x98", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc3", "\ufffd"),
    ],
)
def test_invalid_utf8_is_replaced_and_flagged(raw: bytes, text: str) -> None:
    """Only the event with the invalid bytes is damaged; its neighbours in the same chunk are not."""
    body = b"data: a\n\ndata: b\n\ndata: " + raw + b"\n\ndata: c\n\n"
    expected = [
        ServerSentEvent("", "a"),
        ServerSentEvent("", "b"),
        ServerSentEvent("", text, damaged=True),
        ServerSentEvent("", "c"),
    ]
    assert expected == decode([body]) == decode(per_byte(body))


def test_valid_text_is_never_flagged() -> None:
    """A character cut by a chunk's end is whole again, and a U+FFFD that the vendor sent is no damage."""
    assert [ServerSentEvent("", "你😀\ufffd")] == decode(per_byte("data: 你😀\ufffd\n\n".encode()))


def test_a_damaged_event_name_is_flagged() -> None:
    """The flag speaks of the name too."""
    assert [ServerSentEvent("\ufffd", "a", damaged=True)] == decode([b"event: \xff\ndata: a\n\n"])


@rows(
    ("tail", "expected"),
    [
        (b"data: b", [ServerSentEvent("", "b", complete=False)]),
        (b"data: b\n", [ServerSentEvent("", "b", complete=False)]),
        (b"event: e\r\ndata: b\r\ndata: c", [ServerSentEvent("e", "b\nc", complete=False)]),
        (b"data: \xe4\xbd", [ServerSentEvent("", "\ufffd", complete=False, damaged=True)]),
        (b"event: e\n", []),
        (b": comment", []),
        (b"dat", []),
    ],
)
def test_an_event_without_its_blank_line_is_incomplete(tail: bytes, expected: list[ServerSentEvent]) -> None:
    """At the end of the body what is left of an event comes out marked incomplete, once."""
    decoder = SSEDecoder()
    assert [ServerSentEvent("", "a")] == decoder.feed(b"data: a\n\n" + tail)
    assert expected == decoder.finish()
    assert [] == decoder.finish()


def test_the_repr_hides_the_data() -> None:
    """What the model wrote is in no repr."""
    assert "secret" not in repr(ServerSentEvent("message", "secret"))


@rows(
    "body",
    [
        b"data: " + b"x" * 95,
        b"x" * 101,
        b": " + b"x" * 99,
        b"data: 12345678\n" * 11,
        b"data:\n" * 101,
        b"event: " + b"x" * 94,
    ],
)
def test_an_event_over_the_limit_is_refused_at_once(body: bytes) -> None:
    """An event is refused while it grows, whether it is one line or many, and its text isn't quoted."""
    decoder = SSEDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge, match=r"at least \d+ bytes, more than max_event_bytes=100") as caught:
        decoder.feed(body)
    assert "xx" not in str(caught.value)
    assert "1234" not in str(caught.value)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"data: a\n\n")
    with pytest.raises(EventTooLarge):
        decoder.finish()


@pytest.mark.parametrize("before", [b"", b"data: first\n\n"])
def test_an_event_at_the_limit_is_read(before: bytes) -> None:
    """The limit itself is allowed, for a line with its field name."""
    assert "x" * 94 == decode([before, b"data: " + b"x" * 94 + b"\n\n"], SSEDecoder(max_event_bytes=100))[-1].data


def test_the_limit_is_of_one_event() -> None:
    """A chunk and a stream may be longer than the limit when each event is within it."""
    assert 1000 == len(decode([b"data: 1\n\n" * 1000], SSEDecoder(max_event_bytes=10)))


def test_events_before_a_fault_come_out_first() -> None:
    """Events that end in the chunk of the fault are returned, and the fault is raised by the next call."""
    decoder = SSEDecoder(max_event_bytes=10)
    assert [ServerSentEvent("", "a")] == decoder.feed(b"data: a\n\n" + b"x" * 11)
    with pytest.raises(EventTooLarge):
        decoder.finish()


def feed_endlessly(decoder: SSEDecoder, chunk: bytes, times: int) -> tuple[int, int]:
    """Bytes held after the last chunk, and the most that was held at once."""
    tracemalloc.start()
    try:
        with suppress(EventTooLarge):
            for _ in range(times):
                decoder.feed(chunk)
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


@rows("chunk", [b"x" * 4096, b"data: " + b"x" * 4089 + b"\n", b"data: ab\n" * 400, b"data\n" * 800])
def test_an_endless_event_holds_little_more_than_the_limit(chunk: bytes) -> None:
    """Before an event is refused the decoder holds the limit and a quarter, and a few copies of one chunk."""
    limit = 40_000
    decoder = SSEDecoder(limit)
    _, peak = feed_endlessly(decoder, chunk, 100)
    assert limit / 2 < peak < 1.25 * limit + 4 * len(chunk)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"")


@rows("chunk", [b": keep-alive\n" * 500, b"id: 1\nretry: 2\nx\n" * 500, b"event: a\n" * 500, b"\n" * 5000])
def test_an_endless_run_of_ignored_lines_holds_nothing(chunk: bytes) -> None:
    """Comments, ignored fields and blank lines leave nothing behind, even in one endless event."""
    held, peak = feed_endlessly(SSEDecoder(), chunk, 8)
    assert held < 2048
    assert peak < 10 * len(chunk)


class Scanned(bytearray):
    """A buffer that counts the bytes that are read from it; appending and asking for its length are free."""

    read = 0

    def __getattribute__(self, name: str) -> object:
        if name in {
            "find",
            "rfind",
            "index",
            "split",
            "splitlines",
            "partition",
            "endswith",
            "startswith",
            "decode",
            "removeprefix",
        }:
            Scanned.read += len(self)
        return super().__getattribute__(name)

    def __contains__(self, item: object) -> bool:
        Scanned.read += len(self)
        return super().__contains__(item)  # type: ignore[operator]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        Scanned.read += len(self)
        return super().__getitem__(index)

    def __add__(self, other):  # type: ignore[no-untyped-def]
        Scanned.read += len(self)
        return Scanned(super().__add__(other))


def test_an_endless_line_is_never_read_twice() -> None:
    """A line that comes byte by byte is only appended to: what is held is read when its end has come."""
    decoder = SSEDecoder()
    decoder._line = Scanned(b"data: ")
    Scanned.read = 0
    for _ in range(MIB // 32):
        decoder.feed(b"x")
    assert isinstance(decoder._line, Scanned)
    assert 0 == Scanned.read
    assert ["x" * (MIB // 32)] == [event.data for event in decoder.feed(b"\n\n")]
    assert 0 < Scanned.read < MIB
