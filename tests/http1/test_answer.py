"""An answer of HTTP/1.1, from bytes: the same however they are cut, and nothing is taken for one that is none."""

from __future__ import annotations

from itertools import pairwise

import httpcore
import pytest
from hypothesis import strategies as st

pytest.importorskip("httptools")

from llmswitch._http1.answer import Answer
from tests.everyday import examples

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\nX-Trailer: t\r\n\r\n"
HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
ENDED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"  # by the end of the connection
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def read(data: bytes, cuts: list[int] | None = None, *, end: bool = False, bodiless: bool = False) -> Answer:
    answer = Answer(httpcore, bodiless=bodiless)
    body = bytearray()
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts or ())})
    for start, stop in pairwise(places):
        answer.feed(data[start:stop])
        body += answer.take()
    if end:
        answer.feed(b"")
    answer.body = bytes(body)  # type: ignore[attr-defined]
    return answer


@examples(12, 60, st.sampled_from([PLAIN, CHUNKED, HINTED, CLOSING, ENDED, OLD]), st.lists(st.integers(0, 400)))
def test_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    """Status, body and end are the same at every cut; what says so itself is kept for another request."""
    answer = read(data, cuts, end=data is ENDED)
    assert (200, b"hello", True, False) == (answer.status, answer.body, answer.whole, answer.unread)
    assert answer.kept == (data in (PLAIN, CHUNKED, HINTED))


def test_headers() -> None:
    """Names are in lower case, repeated ones stay apart, and those of a hint or a trailer are not among them."""
    expected = [("content-type", "text/plain"), ("x-a", "1"), ("x-a", "2"), ("content-length", "5")]
    assert expected == read(HINTED).multi_items()
    assert [("transfer-encoding", "chunked")] == read(CHUNKED).multi_items()


@pytest.mark.parametrize("more", [PLAIN, b"x", b"\r\nHTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\nx"])
def test_bytes_that_are_nobodys(more: bytes) -> None:
    """What comes behind an answer is no part of it, and its connection is not used again."""
    answer = read(PLAIN + more)
    assert (200, b"hello", True) == (answer.status, answer.body, answer.unread)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"<html>hello</html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000,
    ],
)
def test_what_is_no_http(data: bytes) -> None:
    """It is said, and no body is made of it."""
    with pytest.raises(httpcore.RemoteProtocolError):
        read(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "^Server disconnected"),
        (PLAIN[:30], "^Server disconnected"),
        (PLAIN[:-1], "^peer closed"),
        (CHUNKED[:-4], "^peer closed"),
    ],
)
def test_what_ends_early(data: bytes, said: str) -> None:
    """An answer whose length is known is whole with its last byte, and no sooner."""
    answer = Answer(httpcore, bodiless=False)
    if data:
        answer.feed(data)
    with pytest.raises(httpcore.RemoteProtocolError, match=said):
        answer.feed(b"")


@pytest.mark.parametrize("status", [204, 304])
def test_without_a_body(status: int) -> None:
    """Some statuses have none, nor has the answer to HEAD."""
    answer = read(b"HTTP/1.1 %d No\r\nContent-Length: 5\r\n\r\n" % status)
    assert (status, b"", True) == (answer.status, answer.body, answer.whole)
    assert read(PLAIN[:-5], bodiless=True).whole
