"""Server-sent events between which bare JSON may stand."""

from __future__ import annotations

from hypothesis import strategies as st

from llmswitch._framing import ServerSentEvent, SSEDecoder, SSEJSONDecoder, framer
from tests.everyday import examples

PIECES = [b"\n", b"\r\n", b"data: 1\n\n", b"data:{\r\n", b"event: x\n", b": c\n", b"{\n", b'  "a": [\r\n', b"]}\n\n"]
PIECES += [b"[1]\n", b"noise\n", b"\xef\xbb\xbf{\n", b'{"data": 1}\n\n', b"  data: 1}\n"]


def decode(chunks: list[bytes]) -> list[ServerSentEvent]:
    decoder = SSEJSONDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


@examples(12, 60, st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.randoms(use_true_random=False))
def test_any_chunks_give_the_same_events(body: bytes, chooser) -> None:
    """However a stream is cut, its events are the same; without bare JSON they are the standard's."""
    places = sorted(chooser.sample(range(len(body) + 1), min(5, len(body))))
    chunks = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    assert decode(chunks) == decode([body])
    plain = body.replace(b"{", b"x").replace(b"[", b"x")
    standard = SSEDecoder()
    assert decode([plain]) == standard.feed(plain) + standard.finish()


def test_bare_json_is_an_event() -> None:
    """JSON over several lines is one event: up to a blank line, to a `data` line, or to the end of the body."""
    text = b'[{\r\n  "error": {"code": 503}\r\n}]'
    joined = '[{\n  "error": {"code": 503}\n}]'
    assert decode([b"data: 1\r\n\r\n" + text]) == [ServerSentEvent("", "1"), ServerSentEvent("", joined, False)]
    assert decode([text + b"\r\n\r\n"]) == [ServerSentEvent("", joined)]
    assert decode([text + b"\ndata: 2\n\n"]) == [ServerSentEvent("", joined), ServerSentEvent("", "2")]
    assert isinstance(framer("sse-json"), SSEJSONDecoder)
