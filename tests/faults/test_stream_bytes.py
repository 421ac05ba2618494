"""How the bytes of a stream may come: cut anywhere, ended by any line break, damaged, compressed, or without end."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llmswitch._events import TextDelta
from llmswitch._framing import Inflater
from llmswitch.testing.fault_server import (
    LAST_CHUNK,
    ReadRequest,
    Send,
    SendForever,
    chunk,
    event_bytes,
    response,
    sse_head,
)
from tests.everyday import some
from tests.faults.bench import DONE, KEY, ROLE, STOP, USAGE, Bench, Script, completion, text

HARD = 'naïve 你好 🙂\u2028line\u2029para\x85next\x0b\x0c\ttab "quoted" \\back data: [DONE] \r\n\n: end'
MIB = 1024 * 1024


def raw(event: Any) -> bytes:
    """An event whose JSON holds its characters as they are, not as escapes."""
    return event_bytes(event if isinstance(event, str) else json.dumps(event, ensure_ascii=False))


BODY = b": hello\n\n" + b"".join(raw(event) for event in (ROLE, text(HARD), text("more"), STOP, USAGE, DONE))


def chunked(*pieces: bytes) -> Script:
    """The script of a server that sends these chunks."""
    return [ReadRequest(), Send(sse_head() + b"".join(map(chunk, pieces)) + LAST_CHUNK)]


def heard(bench: Bench, script: Script) -> str:
    """What a caller hears of T1, which is to answer at the first try."""
    outcome = bench.ask(script)
    assert [("t1:m", None)] == outcome.trail
    assert outcome.text == outcome.answered.text
    return outcome.text


def test_row_45_a_chunk_a_byte(bench: Bench) -> None:
    """A stream in chunks of one byte is the stream."""
    assert HARD + "more" == heard(bench, chunked(*(BODY[at : at + 1] for at in range(len(BODY)))))


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_row_45_cut_at_every_byte(streaming: Bench, step: int) -> None:
    """A stream cut in two, at any byte, inside a character too, is the stream."""
    places = range(1, len(BODY), step if streaming.way.sync else 4 * step)
    streaming.open(*(chunked(BODY[:at], BODY[at:]) for at in places))
    for at in places:
        outcome = streaming.ask()
        assert (at, HARD + "more") == (at, outcome.text)
        assert [HARD, "more"] == [event.text for event in outcome.events if isinstance(event, TextDelta)]


@pytest.mark.slow
def test_row_45_a_packet_a_byte(streaming: Bench) -> None:
    """The same with a packet for every byte."""
    from llmswitch.testing.fault_server import SendSlowly

    script = [ReadRequest(), Send(sse_head()), SendSlowly(chunk(BODY) + LAST_CHUNK, every=0.001)]
    assert HARD + "more" == heard(streaming, script)


ENDINGS: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
    "CR": lambda body: body.replace(b"\n", b"\r"),
    "mixed": lambda body: body.replace(b"\n\n", b"\r\n\r", 2).replace(b"\n\n", b"\n\r\n", 1),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_row_46_line_breaks(bench: Bench, ending: Callable[[bytes], bytes]) -> None:
    """CR, LF and CRLF end lines, also mixed, also where a chunk ends between CR and LF."""
    body = ending(BODY)
    after_cr = [piece for part in body.split(b"\r") for piece in (part, b"\r")][:-1]
    assert HARD + "more" == heard(bench, chunked(body))
    assert HARD + "more" == heard(bench, chunked(*after_cr))


@pytest.mark.parametrize("marks", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"], ids=["before-text", "before-a-line"])
def test_row_47_a_byte_order_mark(bench: Bench, marks: bytes) -> None:
    """A mark at the very beginning is no part of the first line."""
    assert HARD + "more" == heard(bench, chunked(marks + BODY.removeprefix(b": hello\n\n")))


def test_row_47_a_second_mark_is_text(bench: Bench) -> None:
    """A mark in the middle is a character like others."""
    assert "\ufeffa\ufeff" == heard(bench, chunked(raw(text("\ufeffa\ufeff")) + raw(STOP)))


@pytest.mark.parametrize(
    "mark", some(["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x00"], 2), ids=repr
)
def test_row_48_what_other_splitters_split_at(bench: Bench, mark: str) -> None:
    """What a line splitter of Python takes for a line break is text, as itself (where JSON allows it) and escaped."""
    escaped = event_bytes(text(f"a{mark}b"))
    sent = (raw(text(f"a{mark}b")) if mark in "\u2028\u2029\x85" else escaped) + escaped
    assert f"a{mark}b" * 2 == heard(bench, chunked(sent, raw(STOP)))


FIELDS = {
    "retry-and-id": b"retry: 10\nid: 7\n",
    "comment": b": a comment\n:\n",
    "unknown-field": b"colour: red\nno colon at all\n",
    "event-message": b"event: message\n",
    "empty-event": b"event:\n",
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_row_49_other_fields(bench: Bench, field: bytes) -> None:
    """Fields beside `data` change nothing."""
    assert "hi" == heard(bench, chunked(field + raw(text("hi")), field + b"\n", field + raw(STOP)))


def test_row_49_data_as_the_standard_has_it(bench: Bench) -> None:
    """`data` needs no space after its colon, and several lines of it are one text."""
    tight = raw(text("a")).replace(b"data: ", b"data:")
    lines = b"".join(b"data: %b\n" % line for line in json.dumps(text("b"), indent=1).encode().split(b"\n")) + b"\n"
    assert "ab" == heard(bench, chunked(tight, lines, raw(STOP)))


# Damaged text

INVALID = {"lone-byte": b"\xff", "cut-character": b"\xe4\xbd", "overlong": b"\xc0", "surrogate": b"\xed"}


@pytest.mark.parametrize("damage", INVALID.values(), ids=INVALID)
def test_row_50_invalid_utf_8(bench: Bench, damage: bytes) -> None:
    """Bytes that are no UTF-8 become U+FFFD, and the reply says so; nothing else is lost."""
    outcome = bench.ask(saying(bench, b"a@b".replace(b"@", damage)))
    assert ([("t1:m", None)], "a\ufffdb") == (outcome.trail, outcome.text)
    assert ["damaged_text"] == [warning.code for warning in outcome.answered.warnings]


def saying(bench: Bench, json_text: bytes) -> Script:
    """An answer with just these bytes inside the quotes of its text."""
    if bench.way.stream:
        return chunked(raw(text("@")).replace(b"@", json_text), raw(STOP))
    body = json.dumps(completion("@")).encode().replace(b"@", json_text)
    return [ReadRequest(), Send(response(200, body, {"content-type": "application/json"}))]


@pytest.mark.parametrize(
    ("escape", "expected"),
    [(r"\ud83d", "\ufffd"), (r"\ude00", "\ufffd"), (r"\ude00\ud83d", "\ufffd\ufffd"), (r"\u0000", "\x00")],
    ids=["high", "low", "swapped", "NUL"],
)
def test_row_51_lone_surrogates_and_nul(bench: Bench, escape: str, expected: str) -> None:
    """Escapes of half a character become U+FFFD, NUL stays; the text can be encoded, printed and sent on."""
    outcome = bench.ask(saying(bench, f"a{escape}b".encode()))
    assert ([("t1:m", None)], f"a{expected}b") == (outcome.trail, outcome.text)
    outcome.text.encode()
    json.dumps(outcome.answered.raw).encode()


def test_row_51_a_pair_in_two_events(streaming: Bench) -> None:
    """A character whose halves came in two events can be encoded too, if not read."""
    halves = [event_bytes(text("@")).replace(b"@", half) for half in (rb"\ud83d", rb"\ude42")]
    outcome = streaming.ask(chunked(*halves, raw(STOP)))
    outcome.text.encode()
    assert [("t1:m", None)] == outcome.trail


# Without end


def test_row_52_an_event_of_17_mib(streaming: Bench) -> None:
    """An event over 16 MiB is refused; what may yet come of it is not waited for."""
    block = chunk(b"x" * MIB)
    script = [ReadRequest(), Send(sse_head() + chunk(b'data: {"x": "')), SendForever(block)]
    outcome = streaming.ask(script)
    streaming.moved(outcome, "MalformedResponse", billed=True, within=5.0)


def test_row_52_after_text(streaming: Bench) -> None:
    """After text it raises, with what had arrived."""
    begun = sse_head() + chunk(raw(text("one ")) + b"data: ")
    outcome = streaming.ask([ReadRequest(), Send(begun), SendForever(chunk(b"x" * MIB))])
    error = streaming.raised(outcome, "StreamInterrupted")
    assert "one " == error.partial.text  # type: ignore[attr-defined]


def test_row_52_many_lines_of_one_event(streaming: Bench) -> None:
    """The limit holds for the event, not for a line of it."""
    line = b"data: " + b"x" * 1000 + b"\n"
    script = [ReadRequest(), Send(sse_head()), SendForever(chunk(line * 1000))]
    streaming.moved(streaming.ask(script), "MalformedResponse", billed=True, within=5.0)


@pytest.mark.parametrize("line", [b"x", b": comment without end "], ids=["field", "comment"])
def test_row_53_a_line_without_end(streaming: Bench, line: bytes) -> None:
    """A line that never ends is refused in the same way, in linear time."""
    script = [ReadRequest(), Send(sse_head()), SendForever(chunk(line * 4000))]
    started = time.process_time()
    streaming.moved(streaming.ask(script), "MalformedResponse", billed=True, within=8.0)
    assert time.process_time() - started < 5


def test_row_53_a_body_without_end(whole: Bench) -> None:
    """A whole answer without end is refused at 64 MiB."""
    head = response(200, b"", {"content-type": "application/json", "content-length": ""})
    script = [ReadRequest(), Send(head + b'{"x": "'), SendForever(b"x" * MIB)]
    whole.moved(whole.ask(script), "MalformedResponse", billed=True, within=8.0)


def test_row_53_a_refusal_without_end(bench: Bench) -> None:
    """Of a refusal the beginning is read; the status is what counts."""
    head = response(503, b"", {"content-length": ""})
    outcome = bench.ask([ReadRequest(), Send(head), SendForever(b"x" * 100_000)])
    bench.moved(outcome, "Overloaded", billed=None, within=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["event", "line", "bomb", "body"])
def test_rows_52_to_54_memory(fault: str) -> None:
    """None of these costs more than twice its limit in memory."""
    limit = 64 if fault in ("bomb", "body") else 16
    code = """
        import resource, sys
        from contextlib import ExitStack
        from tests.faults import test_stream_bytes as rows
        from tests.faults.bench import Bench, Way
        fault = sys.argv[1]
        with ExitStack() as stack:
            bench = Bench(Way(True, fault in ("event", "line")), stack)
            script = rows.ENDLESS[fault]()
            warm = Bench(Way(True, True), stack)
            warm.ask(rows.chunked(rows.raw(rows.text("hi")), rows.raw(rows.STOP)))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            outcome = bench.ask(script)
            assert "MalformedResponse" == outcome.attempts[0].error, outcome.trail
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), fault],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={"T1_KEY": f"{KEY}-t1", "T2_KEY": f"{KEY}-t2", "PATH": ""},
    )
    assert 0 == run.returncode, run.stderr
    assert int(run.stdout) <= 2 * limit


# Compressed


@cache
def bomb(decoded: int = 96 * MIB) -> bytes:
    """So many bytes, in a thousandth of them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * MIB
    return b"".join(packer.compress(block) for _ in range(decoded // MIB)) + packer.flush()


ENDLESS: dict[str, Callable[[], Script]] = {
    "event": lambda: [ReadRequest(), Send(sse_head() + chunk(b"data: ")), SendForever(chunk(b"x" * MIB))],
    "line": lambda: [ReadRequest(), Send(sse_head()), SendForever(chunk(b"x" * 60_000))],
    "body": lambda: [
        ReadRequest(),
        Send(response(200, b"", {"content-type": "application/json", "content-length": ""})),
        SendForever(b" " * MIB),
    ],
    "bomb": lambda: [ReadRequest(), Send(compressed(bomb(), "application/json"))],
}


def compressed(body: bytes, kind: str, encoding: str = "gzip", status: int = 200) -> bytes:
    return response(status, body, {"content-type": kind, "content-encoding": encoding})


def test_row_54_a_bomb(bench: Bench) -> None:
    """A body of 96 KiB that would inflate to 96 MiB is refused when 64 MiB have come out."""
    kind = "text/event-stream" if bench.way.stream else "application/json"
    outcome = bench.ask([ReadRequest(), Send(compressed(bomb(), kind))])
    bench.moved(outcome, "MalformedResponse", billed=True, within=5.0, closed=False)


def test_row_54_a_bomb_in_a_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a refusal not much more is inflated than is read; the status is what counts."""
    inflated = []
    counted = Inflater._counted

    def count(self: Inflater, piece: bytes) -> bytes:
        inflated.append(len(piece))
        return counted(self, piece)

    monkeypatch.setattr(Inflater, "_counted", count)
    outcome = bench.ask([ReadRequest(), Send(compressed(bomb(), "application/json", status=503))])
    bench.moved(outcome, "Overloaded", billed=None, within=2.0, closed=False)
    assert sum(inflated) <= 2 * MIB, "tens of megabytes were inflated for a few words"


def test_row_54_what_is_accepted(bench: Bench) -> None:
    """The request says that gzip and identity are read, and nothing else; gzip is."""
    kind = "text/event-stream" if bench.way.stream else "application/json"
    body = BODY if bench.way.stream else json.dumps(completion(HARD + "more")).encode()
    assert HARD + "more" == heard(bench, [ReadRequest(), Send(compressed(gzip.compress(body), kind))])
    assert "gzip, identity" == bench.t1.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "x-unknown"])
def test_row_55_an_unknown_encoding(bench: Bench, encoding: str) -> None:
    """A body in an encoding that was not asked for can't be read: moves."""
    sent = compressed(b"whatever", "application/json", encoding)
    bench.moved(bench.ask([ReadRequest(), Send(sent)]), "MalformedResponse", billed=True, closed=False)


@pytest.mark.parametrize("body", [b"{}", b"\x1f\x8b\x08\x00broken", gzip.compress(b"x" * 99, mtime=0)[:-12]])
def test_row_55_a_false_encoding(bench: Bench, body: bytes) -> None:
    """So is one that is not in the encoding that it says, or is cut."""
    kind = "text/event-stream" if bench.way.stream else "application/json"
    outcome = bench.ask([ReadRequest(), Send(compressed(body, kind))])
    bench.moved(outcome, "MalformedResponse", billed=True, closed=False)


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_row_55_a_refusal_in_an_unknown_encoding(bench: Bench, encoding: str) -> None:
    """The status of a refusal is known, whatever became of its body."""
    sent = compressed(b"\x00\x01\x02", "application/json", encoding, status=401)
    bench.moved(bench.ask([ReadRequest(), Send(sent)]), "AuthInvalid", billed=False, closed=False)
