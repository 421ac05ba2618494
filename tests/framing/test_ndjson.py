"""NDJSON lines, whatever the chunks."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import strategies as st

from llmswitch._framing import EventTooLarge, NDJSONDecoder, ServerSentEvent
from tests.everyday import examples

MIB = 1024 * 1024
PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b'{"a": 1}',
    b'{"b":\t"\xe4\xbd\xa0"}\n',
    "\u2028\u0085\v\f".encode(),
    b"\xff",
]


def decode(chunks: list[bytes], decoder: NDJSONDecoder | None = None) -> list[ServerSentEvent]:
    decoder = decoder or NDJSONDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    body = b"".join(draw(st.lists(st.sampled_from(PIECES), max_size=20)))
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@examples(12, 60, chunked())
def test_any_chunks_give_the_same_lines(chunks: list[bytes]) -> None:
    """However a stream is cut, its events are its lines by LF, stripped, without the blank ones."""
    body = b"".join(chunks)
    *lines, rest = (line.strip(" \t\r") for line in body.decode(errors="replace").split("\n"))
    expected = [ServerSentEvent("", line, damaged="\ufffd" in line) for line in lines if line]
    if rest:
        expected.append(ServerSentEvent("", rest, complete=False, damaged="\ufffd" in rest))
    assert expected == decode(chunks)
    assert expected == decode([body])
    assert expected == decode([body[i : i + 1] for i in range(len(body))])


def test_lines_end_by_lf_or_crlf() -> None:
    """Both line ends give the same JSON texts; blank lines give none."""
    assert [ServerSentEvent("", '{"a":1}'), ServerSentEvent("", "[]")] == decode([b'{"a":1}\r\n\r\n \n[]\n'])


def test_other_line_separators_are_text() -> None:
    """U+2028, U+2029 and U+0085, legal inside a JSON string, end no line."""
    line = '"a\u2028b\u2029c\u0085d"'
    assert [ServerSentEvent("", line)] == decode([line.encode() + b"\n"])


def test_a_line_comes_out_with_its_lf() -> None:
    """No line waits for the one after it."""
    decoder = NDJSONDecoder()
    assert [] == decoder.feed(b'{"a":')
    assert [ServerSentEvent("", '{"a":1}')] == decoder.feed(b"1}\n")


def test_a_last_line_without_lf_is_incomplete() -> None:
    """At the end of the body the rest of a line comes out marked incomplete, once."""
    decoder = NDJSONDecoder()
    assert [ServerSentEvent("", "1")] == decoder.feed(b"1\n2")
    assert [ServerSentEvent("", "2", complete=False)] == decoder.finish()
    assert [] == decoder.finish()


def test_invalid_utf8_is_replaced_and_flagged() -> None:
    """The line with the invalid bytes is damaged, its neighbour is not."""
    assert [ServerSentEvent("", '"\ufffd"', damaged=True), ServerSentEvent("", "1")] == decode([b'"\xff"\n1\n'])


def test_a_line_over_the_limit_is_refused_while_it_grows() -> None:
    """The limit itself is allowed; one byte more is refused, with its LF or not, and isn't quoted."""
    assert ["x" * 100] == [event.data for event in NDJSONDecoder(100).feed(b"x" * 100 + b"\n")]
    for body in (b"x" * 101, b"x" * 101 + b"\n"):
        with pytest.raises(EventTooLarge, match=r"at least 101 bytes, more than max_event_bytes=100") as caught:
            NDJSONDecoder(100).feed(body)
        assert "xx" not in str(caught.value)


def test_lines_before_a_fault_come_out_first() -> None:
    """Lines that end in the chunk of the fault are returned, and the fault is raised by the next call."""
    decoder = NDJSONDecoder(10)
    assert [ServerSentEvent("", "1")] == decoder.feed(b"1\n" + b"x" * 11)
    with pytest.raises(EventTooLarge):
        decoder.feed(b"\n")


def test_an_endless_line_holds_little_more_than_the_limit() -> None:
    """Before a line is refused the decoder holds the limit and a quarter, and a few copies of one chunk."""
    decoder, chunk = NDJSONDecoder(MIB), b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(16):
            decoder.feed(chunk)
        with pytest.raises(EventTooLarge):
            decoder.feed(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.25 * MIB + 4 * len(chunk)
