"""h11's chunked bodies, read together where they came together: the same bytes and the same ends, in fewer events."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import h11
import httpcore
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmswitch import Client
from llmswitch._drive import SyncDriver
from llmswitch._h11_body import Body, gather
from llmswitch.testing.fault_server import LAST_CHUNK, FaultServer, ReadRequest, Send, chunk, event_bytes, sse_head
from tests.everyday import many
from tests.faults.bench import DONE, ROLE, STOP, text

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\nX-Trailer: t\r\n\r\n"
NEXT = b"HTTP/1.1 500 Oops\r\n\r\n"
BROKEN = b"2\r\nhe\r\nno number\r\nllo\r\n"
FOOTLESS = b"2\r\nheXX3\r\nllo\r\n0\r\n\r\n"
CUT = b"2\r\nhe\r\n3\r\nl"


def begun(*, gathered: bool) -> h11.Connection:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(HEAD)
    assert isinstance(connection.next_event(), h11.Response)
    if gathered:
        gather(connection)
    return connection


def read(body: bytes, cuts: list[int], *, gathered: bool) -> tuple[bytes, list[Any], bytes]:
    """The bytes, the other events and what is left behind them; the connection ends with the body."""
    connection, data, others = begun(gathered=gathered), bytearray(), []
    places = sorted({0, len(body), *(cut % len(body) for cut in cuts)})
    for piece in (*(body[start:stop] for start, stop in pairwise(places)), b""):
        connection.receive_data(piece)
        try:
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Data):
                    data += event.data
                else:
                    others.append(type(event))
                    if isinstance(event, (h11.ConnectionClosed, h11.EndOfMessage)):
                        break
        except h11.RemoteProtocolError as problem:
            others.append(str(problem))
            break
        if others:
            break
    return bytes(data), others, connection.trailing_data[0]


@settings(max_examples=many(80), deadline=None)
@given(st.sampled_from([WHOLE, WHOLE + NEXT, BROKEN, FOOTLESS, CUT]), st.lists(st.integers(0, 60)))
def test_nothing_else_changes(body: bytes, cuts: list[int]) -> None:
    """Bytes, end, error and what came behind are those of h11 alone, however the body was cut on the way."""
    assert read(body, cuts, gathered=False) == read(body, cuts, gathered=True)


def test_one_event() -> None:
    """Chunks that came together are one event; the end that came with them is the next one."""
    connection = begun(gathered=True)
    connection.receive_data(WHOLE)
    event = connection.next_event()
    assert isinstance(event, h11.Data)
    assert b"hello" == event.data
    assert isinstance(connection.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize("connection", [None, object(), httpx.Response(200)])
def test_what_is_not_built_as_it_was(connection: Any) -> None:
    """Whatever is no such connection is left as it is."""
    gather(connection)
    assert not hasattr(connection, "_reader")


@pytest.mark.parametrize("engine", ["httpx", "httpx2"])
def test_beneath_a_client(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On either library a burst is read in few pieces, in order, and its connection is used again."""
    pytest.importorskip(engine)
    monkeypatch.setenv("T1_KEY", "made-up-key-of-t1")
    lengths: list[int] = []
    perform = SyncDriver.perform

    def noted(driver: SyncDriver, action: Any) -> Any:
        outcome = perform(driver, action)
        if isinstance(outcome, bytes):
            lengths.append(len(outcome))
        return outcome

    monkeypatch.setattr(SyncDriver, "perform", noted)
    said = [f"{number} " for number in range(300)]
    events = [event_bytes(each) for each in (ROLE, *map(text, said), STOP, DONE)]
    script = [ReadRequest(), Send(sse_head() + b"".join(map(chunk, events)) + LAST_CHUNK)]
    with FaultServer(script) as server:
        provider = {"dialect": "openai", "base_url": server.url, "api_key": {"env": "T1_KEY"}}
        with Client.from_config(
            {"default": "t1:m", "providers": {"t1": provider}, "http": {"engine": engine}}
        ) as client:
            for _ in range(2):
                assert said == list(client.stream("hi").text)
        assert 1 == server.accepted
    assert 2 * sum(map(len, events)) == sum(lengths)
    assert len(lengths) < 20


@settings(max_examples=many(60), deadline=None)
@given(st.sampled_from([WHOLE, WHOLE + NEXT, BROKEN, FOOTLESS, CUT]), st.lists(st.integers(0, 60)))
def test_a_body_is_read_as_it_comes(body: bytes, cuts: list[int]) -> None:
    """The pieces are those bytes; it ends where the body does, or with the error of h11 in the library's class."""
    expected, ends, _ = read(body, cuts, gathered=False)
    places = sorted({0, len(body), *(cut % len(body) for cut in cuts)})
    coming = iter([*(body[start:stop] for start, stop in pairwise(places)), b""])
    network = SimpleNamespace(read=lambda _: next(coming))
    made = Body(httpx, httpcore, SimpleNamespace(_h11_state=begun(gathered=False), _network_stream=network))
    got = bytearray()
    said: list[Any] = [h11.EndOfMessage]
    try:
        for piece in made:
            got += piece
    except httpx.RemoteProtocolError as problem:
        said = [str(problem)]
    assert (expected, ends) == (bytes(got), said)
