"""T1 is reached, but no answer begins, or none that means anything, or not in time."""

from __future__ import annotations

import importlib
import time

import pytest

from llmswitch.testing.fault_server import (
    Close,
    Connection,
    Hang,
    NeverRead,
    Pause,
    ReadRequest,
    Reset,
    Send,
    SendForever,
    SendSlowly,
    Step,
    chunk,
    event_bytes,
    response,
    sse,
    sse_head,
)
from tests.faults.bench import (
    DONE,
    HEALTHY,
    IMPATIENT,
    LIBRARY,
    PATIENT,
    PROMPT,
    ROLE,
    STOP,
    Bench,
    answering,
    completion,
    text,
)

JSON_HEAD = response(200, b"", {"content-type": "application/json", "content-length": ""})

# Broken off


def test_row_8_a_reset_before_headers(bench: Bench) -> None:
    """A reset of a fresh connection before any answer is `NoResponse`, possibly billed, and moves."""
    bench.moved(bench.ask([ReadRequest(), Reset()]), "NoResponse", billed=True)


def test_row_8_a_reset_before_the_request_was_read(bench: Bench) -> None:
    """So is a reset of a connection whose request was not even read."""
    bench.moved(bench.ask([Pause(0.02), Reset()]), "NoResponse", billed=True)


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["EOF", "RST"])
def test_row_9_a_kept_connection_that_had_died(bench: Bench, end: Step) -> None:
    """A kept connection that ends before a byte is replaced once by a fresh one; the trail shows it."""
    first, last = answering("first"), answering("second")
    assert "first" == bench.ask(first, [ReadRequest(), end], last).text
    outcome = bench.ask()
    assert [("t1:m", "StaleConnection"), ("t1:m", None)] == outcome.trail
    assert "second" == outcome.text
    assert ["first", "retry"] == [attempt.kind for attempt in outcome.attempts]
    assert outcome.seconds < 1
    assert (2, 0) == (bench.t1.accepted, len(bench.t2.requests))


def test_row_9_a_kept_connection_that_was_closed_meanwhile(bench: Bench) -> None:
    """One that the server closed while it was idle is not even tried."""
    assert "first" == bench.ask([*answering("first"), Close()], answering("second")).text
    time.sleep(0.02)
    bench.settle()
    outcome = bench.ask()
    assert "second" == outcome.text
    assert ("t1:m", None) == outcome.trail[-1]


def test_row_9_only_once(bench: Bench) -> None:
    """Where the fresh connection ends in the same way it is `NoResponse`, and moves."""
    assert "first" == bench.ask(answering("first"), [ReadRequest(), Reset()], [ReadRequest(), Reset()]).text
    outcome = bench.ask()
    assert [("t1:m", "StaleConnection"), ("t1:m", "NoResponse"), ("t2:m", None)] == outcome.trail
    assert HEALTHY == outcome.text


def test_row_9_not_after_a_byte_of_an_answer(bench: Bench) -> None:
    """A kept connection that ends in the middle of the headers was alive: `NoResponse`."""
    script = [ReadRequest(), Send(b"HTTP/1.1 200 OK\r\nconte"), Close()]
    assert "first" == bench.ask(answering("first"), script).text
    bench.moved(bench.ask(), "NoResponse", billed=True)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-le"], ids=["nothing", "half-a-header"])
def test_row_10_the_end_before_headers(bench: Bench, sent: bytes) -> None:
    """An orderly end before the headers are whole is the same as a reset."""
    bench.moved(bench.ask([ReadRequest(), Send(sent), Close()]), "NoResponse", billed=True)


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["EOF", "RST"])
def test_row_11_the_end_before_any_event(bench: Bench, end: Step) -> None:
    """After the headers but before anything that means something: `StreamInterrupted`, unseen by the caller."""
    script = [ReadRequest(), Send(bench.head()), Pause(0.03), end]
    bench.moved(bench.ask(script), "StreamInterrupted", billed=True)


# Slow, and silent


def test_row_12_headers_that_drip(bench: Bench) -> None:
    """Headers that come a byte at a time run into the limit, which no byte sets back."""
    script = [ReadRequest(), SendSlowly(bench.head(), every=0.08)]
    bench.moved(bench.ask(script, limits=IMPATIENT), "FirstTokenTimeout", billed=True, within=2.0)


def test_row_13_a_body_that_drips(whole: Bench) -> None:
    """A whole answer that comes a byte at a time has the time of its attempt, and leaves T2 some."""
    body = response(200, completion("from T1"))
    script = [ReadRequest(), Send(body[:-40]), SendSlowly(body[-40:], every=0.08)]
    whole.moved(whole.ask(script, limits=IMPATIENT), "FirstTokenTimeout", billed=True, within=2.0)


def test_row_13_a_stream_that_drips_for_a_call_without(whole: Bench) -> None:
    """So has an answer that comes as a stream although a whole one was asked for."""
    piece = chunk(event_bytes(text("a ")))
    script = [ReadRequest(), Send(sse_head()), SendForever(piece, every=0.08)]
    whole.moved(whole.ask(script, limits=IMPATIENT), "FirstTokenTimeout", "StreamStalled", billed=True, within=2.0)


def test_row_13_with_a_client_brought_along(bench: Bench) -> None:
    """The limits hold for an HTTP client of the caller's own, too."""
    library = importlib.import_module(LIBRARY)
    engine = library.Client(trust_env=False) if bench.way.sync else library.AsyncClient(trust_env=False)
    beat = chunk(b": beat\n\n") if bench.way.stream else b" "
    head = sse_head() if bench.way.stream else JSON_HEAD
    script = [ReadRequest(), Send(head), SendSlowly(beat * 40, size=len(beat), every=0.05), Close()]
    outcome = bench.ask(script, limits=IMPATIENT, http_client=engine)
    if bench.way.sync:
        engine.close()
    else:
        bench.run(engine.aclose())
    bench.moved(outcome, "FirstTokenTimeout", billed=True, within=2.0)


LONG = PROMPT + "x" * 8_000_000  # more than what the system keeps for a reader that is slow
UNREAD = {**IMPATIENT, "timeout": 1.6, "first_token_timeout": 0.5}  # T2 has to read it within that


def test_row_14_a_prompt_that_is_never_read(bench: Bench) -> None:
    """A server that does not read a long prompt does not hold the call past its time."""
    outcome = bench.ask([NeverRead(2.0), Reset()], prompt=LONG, limits=UNREAD)
    bench.moved(outcome, "NoResponse", "FirstTokenTimeout", billed=None, within=1.8, closed=False)


@pytest.mark.slow
def test_row_14_a_prompt_that_is_read_in_drips(whole: Bench) -> None:
    """Nor does one that reads a little now and then: the clock is absolute."""

    class Sip(Step):
        def play(self, connection: Connection) -> None:
            for _ in range(70):
                connection.ignore(0.03)
                connection.socket.recv(20_000)

    outcome = whole.ask([Sip(), Reset(), NeverRead()], prompt=LONG, limits=UNREAD)
    whole.moved(outcome, "NoResponse", "FirstTokenTimeout", billed=None, within=1.8, closed=False)


@pytest.mark.slow
def test_row_14_on_a_kept_connection(whole: Bench) -> None:
    """The same on a kept connection is no stale connection: it is not tried again."""
    whole.open(answering("first"), [NeverRead(2.0), Reset()], limits=UNREAD)
    assert "first" == whole.ask().text
    outcome = whole.ask(prompt=LONG)
    whole.moved(outcome, "NoResponse", "FirstTokenTimeout", billed=None, within=1.8, closed=False)


@pytest.mark.slow
def test_row_14_a_prompt_of_20_mb(bench: Bench) -> None:
    """The row's own size, with a limit that leaves T2 time to read it."""
    limits = {**IMPATIENT, "timeout": 8.0, "first_token_timeout": 2.0}
    outcome = bench.ask([NeverRead(9.0), Reset()], prompt=PROMPT + "x" * 20_000_000, limits=limits)
    bench.moved(outcome, "NoResponse", "FirstTokenTimeout", billed=None, within=6.0, closed=False)


def test_row_22_silence_after_the_headers(bench: Bench) -> None:
    """Headers and then silence is `FirstTokenTimeout`: moves, and the connection is closed."""
    script = [ReadRequest(), Send(bench.head()), Hang()]
    bench.moved(bench.ask(script, limits=IMPATIENT), "FirstTokenTimeout", billed=True, within=2.0)


def test_row_22_silence_before_the_headers(bench: Bench) -> None:
    """So is silence from the beginning."""
    bench.moved(bench.ask([ReadRequest(), Hang()], limits=IMPATIENT), "FirstTokenTimeout", billed=True, within=2.0)


@pytest.mark.parametrize(
    "beat",
    [b": keep-alive\n\n", b"\n", b"data:\n\n", b"event: ping\ndata: {}\n\n", event_bytes(ROLE), event_bytes("{}")],
    ids=["comment", "blank-line", "empty-event", "ping", "role", "empty-object"],
)
def test_row_23_heart_beats_alone(streaming: Bench, beat: bytes) -> None:
    """What keeps a connection alive says nothing: the limit to the first token is not set back by it."""
    script = [ReadRequest(), Send(sse_head()), SendForever(chunk(beat), every=0.03)]
    outcome = streaming.ask(script, limits=IMPATIENT)
    streaming.moved(outcome, "FirstTokenTimeout", billed=True, within=2.0)
    assert outcome.seconds < 1.0


def test_row_23_heart_beats_in_the_middle(streaming: Bench) -> None:
    """Nor is the limit between tokens."""
    script = [
        ReadRequest(),
        Send(sse_head() + chunk(event_bytes(text("one ")))),
        SendForever(chunk(b": keep-alive\n\n"), every=0.03),
    ]
    outcome = streaming.ask(script, limits={**IMPATIENT, "timeout": 5.0})
    error = streaming.raised(outcome, "StreamStalled")
    assert "one " == error.partial.text  # type: ignore[attr-defined]
    assert outcome.seconds < 1.5


def test_row_24_blank_lines_and_then_an_answer(whole: Bench) -> None:
    """White space before a whole answer, as some vendors send it to keep the connection, does it no harm."""
    body = response(200, completion("from T1")).partition(b"\r\n\r\n")[2]
    script = [ReadRequest(), Send(JSON_HEAD), SendSlowly(b"\n \r\n\t\n", every=0.02), Send(body), Close()]
    outcome = whole.ask(script)
    assert [("t1:m", None)] == outcome.trail
    assert "from T1" == outcome.text


def test_row_24_blank_lines_alone(whole: Bench) -> None:
    """White space for ever ends with the time of the attempt."""
    script = [ReadRequest(), Send(JSON_HEAD), SendForever(b"\n", every=0.03)]
    whole.moved(whole.ask(script, limits=IMPATIENT), "FirstTokenTimeout", billed=True, within=2.0)


# Headers

INFORMATION = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("early", [INFORMATION, CONTINUE * 5, CONTINUE + INFORMATION + b"HTTP/1.1 102 \r\n\r\n"])
def test_row_19_informational_answers(bench: Bench, early: bytes) -> None:
    """What comes with 1xx before the answer is passed over, however often."""
    outcome = bench.ask([ReadRequest(), Send(early), *answering("from T1")[1:]])
    assert [("t1:m", None)] == outcome.trail
    assert "from T1" == outcome.text


def test_row_19_informational_answers_alone(bench: Bench) -> None:
    """Nothing but those, for ever, is no answer."""
    outcome = bench.ask([ReadRequest(), SendForever(CONTINUE, every=0.02)], limits=IMPATIENT)
    bench.moved(outcome, "FirstTokenTimeout", billed=True, within=2.0)


def test_row_19_switching_protocols(bench: Bench) -> None:
    """101 was not asked for: `MalformedResponse`."""
    head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    bench.moved(bench.ask([ReadRequest(), Send(head), Hang()], limits=IMPATIENT), "MalformedResponse", billed=True)


HEADERS = {
    "one-of-200-KiB": {"x-long": "x" * 200 * 1024},
    "ten-of-7-KiB": {f"x-{number}": "x" * 7 * 1024 for number in range(10)},
    "1001": {f"x-{number}": "x" for number in range(1001)},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_row_21_too_many_headers(bench: Bench, headers: dict[str, str]) -> None:
    """A head of more than 64 KiB, or of more than 1,000 headers, is `MalformedResponse`."""
    sent = sse([text("x"), STOP, DONE], headers) if bench.way.stream else response(200, completion(), headers)
    bench.moved(bench.ask([ReadRequest(), Send(sent)]), "MalformedResponse", billed=True)


def test_row_21_headers_without_end(bench: Bench) -> None:
    """A head that never ends is stopped long before it fills the memory."""
    script = [ReadRequest(), Send(b"HTTP/1.1 200 OK\r\n"), SendForever(b"x-more: " + b"x" * 1000 + b"\r\n")]
    bench.moved(bench.ask(script), "MalformedResponse", billed=True)


def test_row_21_many_headers(bench: Bench) -> None:
    """The other half of the row: 900 headers of 60 bytes are an answer."""
    headers = {f"x-{number}": "x" * 50 for number in range(900)}
    sent = sse([text("x"), STOP, DONE], headers) if bench.way.stream else response(200, completion("x"), headers)
    outcome = bench.ask([ReadRequest(), Send(sent)], limits=PATIENT)
    assert [("t1:m", None)] == outcome.trail


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 099 Weird\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: minus one\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a number\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"\x00\xff\x16\x03\x01",
        b"<html>not HTTP</html>\r\n\r\n",
    ],
    ids=["ssh", "status-99", "bad-length", "bad-header", "bad-chunk", "two-lengths", "bytes", "html"],
)
def test_what_is_not_http(bench: Bench, sent: bytes) -> None:
    """Beyond the rows: bytes that are not HTTP are `MalformedResponse`."""
    bench.moved(bench.ask([ReadRequest(), Send(sent), Close()]), "MalformedResponse", "NoResponse", billed=True)
