"""Content-Encoding undone: whatever the chunks, never past the limit, never a cut body for a whole one."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from llmswitch._framing import BodyTooLarge, FramingError, Inflater, inflate
from tests.everyday import examples
from tests.rows import rows

MIB = 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(body) + encoder.flush()


def same(body: bytes) -> bytes:
    return body


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", same),
    ("identity", same),
    ("gzip", gzip.compress),
    (" GZip ", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
]


def decode(chunks: list[bytes], inflater: Inflater) -> bytes:
    pieces = [piece for chunk in chunks for piece in inflater.feed(chunk)]
    inflater.finish()
    assert all(0 < len(piece) <= MIB for piece in pieces)
    return b"".join(pieces)


@examples(10, 50, st.sampled_from(ENCODINGS), st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_any_chunks_decode_to_the_body(
    encoding: tuple[str, Callable[[bytes], bytes]], body: bytes, cuts: list[int]
) -> None:
    """However the encoded body is cut, it decodes to the body, whole and byte by byte."""
    name, encode = encoding
    encoded = encode(body)
    cuts = sorted(min(cut, len(encoded)) for cut in cuts)
    chunks = [encoded[start:end] for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True)]
    assert body == decode(chunks, Inflater(name))
    assert body == decode([encoded], Inflater(name))
    assert body == decode([encoded[i : i + 1] for i in range(len(encoded))], Inflater(name))


@rows("level", [0, 1, 9])
def test_deflate_without_its_header_is_told_from_zlib(level: int) -> None:
    """Stored, fixed and dynamic blocks, with and without zlib's header, are all read."""
    for body in (b"", b"a", b"abc" * 1000, bytes(range(256)) * 300):
        for wbits in (-15, 9, 15):
            encoder = zlib.compressobj(level, wbits=wbits)
            assert body == decode([encoder.compress(body) + encoder.flush()], Inflater("deflate"))


@rows(("name", "encode"), ENCODINGS[1:], ids=["identity", "gzip", "gzip-case", "zlib", "raw"])
@rows("size", [MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_pieces_are_at_most_a_mebibyte(name: str, encode: Callable[[bytes], bytes], size: int) -> None:
    """Large bodies come whole, in pieces of at most 1 MiB, at sizes on either side of a piece too."""
    body = b"x" * size
    assert body == decode([encode(body)], Inflater(name))


def test_flushed_parts_come_out_as_they_arrive() -> None:
    """What the server flushed is not held back until the body ends."""
    encoder = zlib.compressobj(wbits=31)
    inflater = Inflater("gzip")
    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        assert event == b"".join(inflater.feed(encoder.compress(event) + encoder.flush(zlib.Z_SYNC_FLUSH)))
    assert b"" == b"".join(inflater.feed(encoder.flush()))
    inflater.finish()


def test_what_zlib_holds_back_at_a_full_piece_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece may be full when all input is taken and more output is due: that comes at once too."""
    monkeypatch.setattr(inflate, "_PIECE_BYTES", 100)
    encoded = gzip.compress(bytes(50_000))
    inflater, unbounded = Inflater("gzip"), zlib.decompressobj(wbits=31)
    for byte in (encoded[i : i + 1] for i in range(len(encoded))):
        assert unbounded.decompress(byte) == b"".join(inflater.feed(byte))
    inflater.finish()


def test_concatenated_gzip_members_are_one_body() -> None:
    """Members that follow one another, empty ones too, decode to their bodies in a row, at every cut."""
    encoded = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    for cut in range(len(encoded) + 1):
        assert b"one two" == decode([encoded[:cut], encoded[cut:]], Inflater("gzip"))


def test_a_body_of_no_bytes_is_whole() -> None:
    """A gzip answer without a body, as 204 has it, decodes to nothing."""
    assert b"" == decode([], Inflater("gzip")) == decode([b""], Inflater("gzip"))


@rows(("name", "encode"), ENCODINGS[2:], ids=["gzip", "gzip-case", "zlib", "raw"])
def test_a_cut_body_is_a_fault(name: str, encode: Callable[[bytes], bytes]) -> None:
    """A body that ends before its encoding does raises at its end, wherever it was cut."""
    encoded = encode(b"some text that is long enough")
    for cut in range(1, len(encoded)):
        with pytest.raises(FramingError, match="cut short"):
            decode([encoded[:cut]], Inflater(name))


def test_a_cut_second_member_is_a_fault() -> None:
    """The end of one member is not the end of a body in which another has begun."""
    with pytest.raises(FramingError, match="gzip body was cut short: it decodes to 3 bytes so far"):
        decode([gzip.compress(b"one") + gzip.compress(b"two")[:5]], Inflater("gzip"))


@rows("body", [b'{"secret": 1}', b"<html>", b"\x1f\x8b\x09", gzip.compress(b"a", mtime=0) + b"secret"])
@rows("name", ["gzip", "deflate"])
def test_a_false_content_encoding_is_a_fault(name: str, body: bytes) -> None:
    """A body, or a rest of one, that isn't what its Content-Encoding says raises, and isn't quoted."""
    with pytest.raises(
        FramingError, match=f"isn't {name}, as its Content-Encoding says|{name} body was cut short"
    ) as caught:
        decode([body], Inflater(name))
    assert "secret" not in str(caught.value)


def test_a_wrong_gzip_checksum_is_a_fault() -> None:
    """Damage that only the trailer shows is found."""
    encoded = bytearray(gzip.compress(b"some text"))
    encoded[-8] ^= 1
    with pytest.raises(FramingError, match="isn't gzip"):
        decode([bytes(encoded)], Inflater("gzip"))


@rows("name", ["br", "zstd", "gzip, gzip", "x" * 5000])
def test_an_unknown_encoding_is_named(name: str) -> None:
    """An encoding that was never asked for is refused by name, of which 40 characters are enough."""
    with pytest.raises(FramingError, match=f"Content-Encoding '{name[:40]}'; only gzip, deflate and identity"):
        Inflater(name)


@rows(("name", "encode"), ENCODINGS, ids=["none", "identity", "gzip", "gzip-case", "zlib", "raw"])
def test_the_limit_is_of_the_decoded_body(name: str, encode: Callable[[bytes], bytes]) -> None:
    """A body at the limit is read, one byte more is refused, whether in one chunk or in many."""
    assert b"x" * 1000 == decode([encode(b"x" * 1000)], Inflater(name, max_decoded_bytes=1000))
    encoded = encode(b"x" * 1001)
    for chunks in ([encoded], [encoded[i : i + 1] for i in range(len(encoded))]):
        with pytest.raises(BodyTooLarge, match="over max_decoded_bytes=1000"):
            decode(chunks, Inflater(name, max_decoded_bytes=1000))


def test_the_limit_is_of_all_members_together() -> None:
    """Members can't each use the limit anew."""
    with pytest.raises(BodyTooLarge):
        decode([gzip.compress(b"x" * 600) * 2], Inflater("gzip", max_decoded_bytes=1000))


def test_a_gzip_bomb_is_never_held_whole() -> None:
    """A gzip a thousand times smaller than its body is refused at the limit, holding a few pieces at most."""
    encoded = gzip.compress(bytes(16 * MIB))
    assert len(encoded) < 20_000
    inflater = Inflater("gzip", max_decoded_bytes=8 * MIB)
    sizes: list[int] = []
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            sizes.extend(len(piece) for piece in inflater.feed(encoded))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [MIB] * 8 == sizes
    assert peak < 4 * MIB


def test_what_is_over_a_small_limit_is_never_decoded() -> None:
    """Past the limit one byte is decoded, to know; not a piece."""
    encoded = gzip.compress(bytes(MIB))
    inflater = Inflater("gzip", max_decoded_bytes=1000)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            next(inflater.feed(encoded))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB // 4


def test_gzip_under_the_name_of_deflate_is_a_fault() -> None:
    """The two names are not taken for one another."""
    with pytest.raises(FramingError, match="isn't deflate"):
        decode([gzip.compress(b"text")], Inflater("deflate"))


def test_a_run_of_tiny_members_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a member leaves of its chunk is copied for the next: 16 KiB at most, however long the chunk."""
    handed = 0
    make = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self.inner = make(wbits)

        def decompress(self, data: bytes, room: int) -> bytes:
            nonlocal handed
            handed += len(data)
            return self.inner.decompress(data, room)

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    member = gzip.compress(b"")
    assert b"" == decode([member * 5000], Inflater("gzip"))
    assert handed < 5000 * 16 * 1024
