"""Server-sent events of servers for which an event ends with its data line."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from llmswitch._framing import EventTooLarge, ServerSentEvent, SSEDecoder, SSELinesDecoder, framer
from tests.everyday import examples

PIECES = [
    b"\n",
    b"\r\n",
    b"id:1\n",
    b"event:result\n",
    b"event: error\n",
    b":HTTP_STATUS/400\n",
    b'data:{"a":1}\n',
    b'data: {"a":"\xe4\xbd\xa0"}\n\n',
    b'{"error_code":18}\n',
    b"retry:5\n",
    b"noise\n",
    "data:\u2028\u0085\n".encode(),
    b"data:\xff\n",
]
# One frame of DashScope's, as its documentation prints it.
FRAME = b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{}}\n\n'


def decode(chunks: list[bytes]) -> list[ServerSentEvent]:
    decoder = SSELinesDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


@examples(12, 60, st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.randoms(use_true_random=False))
def test_any_chunks_give_the_same_events(body: bytes, chooser) -> None:
    """However a stream is cut, its events are the same."""
    places = sorted(chooser.sample(range(len(body) + 1), min(5, len(body))))
    cut = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    assert decode([body]) == decode(cut) == decode([body[i : i + 1] for i in range(len(body))])


def test_data_without_a_space_and_a_status_in_a_comment() -> None:
    """What the standard's decoder makes of such a frame, this one does too."""
    expected = [ServerSentEvent("result", '{"output":{}}')]
    assert expected == decode([FRAME])
    assert expected == SSEDecoder().feed(FRAME)


def test_blank_lines_between_events_may_be_missing() -> None:
    """Each data line is an event at once, with the name that stood before it and no other."""
    body = b"event:result\ndata:1\nid:2\nevent:error\ndata:2\ndata:3\n"
    decoder = SSELinesDecoder()
    assert [ServerSentEvent("result", "1"), ServerSentEvent("error", "2"), ServerSentEvent("", "3")] == decoder.feed(
        body
    )


def test_a_bare_json_line_is_an_event() -> None:
    """A JSON object without a field name is data; other text without one is not."""
    assert [ServerSentEvent("", '{"error_code": 18}')] == decode([b'noise\n{"error_code": 18}\n: {"x": 1}\n'])


def test_a_blank_line_ends_a_name() -> None:
    """An event without data gives its name to nobody."""
    assert [ServerSentEvent("", "1")] == decode([b"event:error\n\ndata:1\n"])


def test_a_last_line_without_its_end_is_incomplete() -> None:
    """What the end of the body cut is marked; a byte order mark and empty data are nothing."""
    assert [ServerSentEvent("", "1", complete=False)] == decode([b"\xef\xbb\xbfdata:\ndata: 1"])


def test_a_line_has_a_limit() -> None:
    """A line that outgrows the limit is refused before it has ended."""
    with pytest.raises(EventTooLarge):
        SSELinesDecoder(10).feed(b"data:12345678")
    assert isinstance(framer("sse-lines"), SSELinesDecoder)
