"""The head of a request: what httpx would write, and nothing that could be taken for two."""

from __future__ import annotations

from typing import Any

import httpcore
import pytest

pytest.importorskip("httptools")

from llmswitch._http1.request import Origin, make_request

LIMITS = {"connect": 1.0, "read": 2.0, "write": 3.0, "pool": 4.0}


def made(url: str, method: str = "POST", query: str = "", body: bytes = b"{}", **headers: str) -> Any:
    return make_request(httpcore, method, url, query, headers, body, LIMITS)


def test_the_head() -> None:
    """The host comes first and the length last; the query that proves who asks joins the one that is there."""
    request = made("https://api.example.com:8443/v1/chat?a=1", query="sign=x%2F", authorization="Bearer k")
    expected = b"POST /v1/chat?a=1&sign=x%2F HTTP/1.1\r\nhost: api.example.com:8443\r\n"
    assert expected + b"authorization: Bearer k\r\ncontent-length: 2\r\n\r\n" == request.head
    assert Origin("api.example.com", 8443, secure=True) == request.origin


def test_without_a_body() -> None:
    """A GET says no length; a POST says that it has none."""
    assert (
        b"GET /v1/models HTTP/1.1\r\nhost: [::1]:80\r\n\r\n".replace(b":80", b"")
        == made("http://[::1]/v1/models", "GET", body=b"").head
    )
    assert made("http://a/", body=b"").head.endswith(b"content-length: 0\r\n\r\n")
    assert made("http://a/", "HEAD", body=b"").bodiless


@pytest.mark.parametrize(
    "headers",
    [{"x": "a\r\ny: b"}, {"x": "a\nb"}, {"x": "a\x00"}, {"x y": "a"}, {"x:": "a"}, {"": "a"}, {"x": " a"}, {"x": "ä"}],
)
def test_a_header_that_would_be_two(headers: dict[str, str]) -> None:
    """What can't stand in a header is not sent."""
    with pytest.raises(httpcore.LocalProtocolError) as told:
        made("http://a/", **headers)
    assert "a\r" not in str(told.value)


def test_a_body_in_pieces() -> None:
    """It is as long as the head says, or goes out in chunks; another length would be read as another request."""
    chunked = made("http://a/", body=iter(()))  # type: ignore[arg-type]
    assert chunked.head.endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n")
    assert [b"a\r\n0123456789\r\n", b"", b"0\r\n\r\n"] == [
        chunked.framing.frame(b"0123456789"),
        chunked.framing.frame(b""),
        chunked.framing.end(),
    ]
    for pieces in ([b"123"], [b"1234", b"5"]):
        sized = made("http://a/", body=iter(()), **{"content-length": "4"})  # type: ignore[arg-type]
        assert b"chunked" not in sized.head
        with pytest.raises(httpcore.LocalProtocolError):
            [*map(sized.framing.frame, pieces), sized.framing.end()]
    with pytest.raises(httpcore.LocalProtocolError):
        made("http://a/", body=iter(()), **{"content-length": "+4"})  # type: ignore[arg-type]


def test_it_shows_nothing() -> None:
    """Neither the key nor the prompt stands in its repr."""
    shown = repr(made("http://a/", body=b"prompt", authorization="Bearer key"))
    assert "prompt" not in shown
    assert "Bearer" not in shown
