"""Beneath the HTTP library: names, addresses that race, bytes behind an answer, and proxies that speak TLS."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmswitch import _resolver
from llmswitch._connecting import _in_turns, connect, connect_async
from llmswitch._resolver import Address, resolve, resolve_async
from llmswitch.testing.fault_server import (
    LAST_CHUNK,
    Connection,
    Hang,
    Pause,
    ReadRequest,
    Send,
    Step,
    black_hole,
    chunk,
    event_bytes,
    refused_port,
    response,
    sse,
    sse_head,
)
from tests.faults.bench import PATIENT, Bench, answering, completion, streamed
from tests.faults.test_connecting import certified

only_on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a full queue drops connections on Linux")
V4, V6 = socket.AF_INET, socket.AF_INET6
Found = list[Address] | OSError


def found(work: Callable[..., Any], *given: Any) -> Any:
    """What it comes to, awaited where it has to be; or the `OSError` that it raises."""
    try:
        result = work(*given)
        return asyncio.run(result) if asyncio.iscoroutine(result) else result
    except OSError as problem:
        return problem


BOTH = pytest.mark.parametrize("work", [resolve, resolve_async], ids=["sync", "async"])


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were looked up, of which none is answered until the test has ended."""
    asked: list[str] = []
    released = threading.Event()

    def getaddrinfo(host: bytes, *_: Any, **__: Any) -> list[Any]:
        asked.append(host.decode())
        released.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    released.set()
    for thread in threading.enumerate():
        if "resolves" in thread.name:
            thread.join(5)


# Names


@BOTH
def test_row_2_one_look_up_for_all_who_ask(silent: list[str], monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Calls that need the same name at the same time share a thread; a name has four at the most."""
    before = threading.active_count()
    for _ in range(3):
        assert isinstance(found(work, "a.local", 80, time.monotonic() + 0.01), TimeoutError)
    assert ["a.local"] == silent
    monkeypatch.setattr(_resolver, "_PATIENCE", 0.0)  # as if each of them had been silent for long
    for _ in range(10):
        assert isinstance(found(work, "a.local", 80, time.monotonic() + 0.01), TimeoutError)
    assert ["a.local"] * 4 == silent
    assert isinstance(found(work, "b.local", 80, time.monotonic() + 0.01), TimeoutError)
    assert "b.local" == silent[-1], "another name is not kept waiting"
    assert threading.active_count() <= before + 5 + 1  # the loop's own for signals, where there is one


@BOTH
def test_row_2_threads_that_look_up_end(work: Any) -> None:
    """A look-up that is done leaves nothing behind."""
    assert not isinstance(found(work, "localhost", 80, time.monotonic() + 5), OSError)
    for thread in threading.enumerate():
        assert "resolves localhost" not in thread.name or thread.join(2) is None
    assert {} == _resolver._lookups


@BOTH
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_row_2_an_address_is_not_looked_up(silent: list[str], work: Any, host: str) -> None:
    """What is an address already takes no thread."""
    if ":" in host:
        silent.clear()
        assert socket.inet_pton(V6, host)
        return
    assert [(V4, ("127.0.0.1", 80))] == found(work, host, 80, time.monotonic() + 5)
    assert [] == silent


@BOTH
def test_row_1_a_name_that_can_be_none(work: Any) -> None:
    """What the resolver refuses to look at is an `OSError` like any other."""
    assert isinstance(found(work, "a" * 70 + ".local", 80, time.monotonic() + 5), OSError)
    assert isinstance(found(work, "n\u00e4me.local", 80, time.monotonic() + 5), OSError)


@BOTH
def test_row_16_no_thread_for_a_name(monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """A process that can have no more threads says so at once."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    problem = found(work, "a.local", 80, time.monotonic() + 5)
    assert errno.EAGAIN == problem.errno
    assert {} == _resolver._lookups


def test_row_16_a_call_says_so(whole: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the call is `LocalOverload`, which blames nobody."""

    def refuse(_: Any) -> None:
        raise OSError(errno.EAGAIN, "no thread")

    whole.open(at="http://t1-somewhere:9/v1")
    monkeypatch.setattr("llmswitch._resolver._Lookup.begin", refuse)
    error = whole.raised(whole.ask(), "LocalOverload", tries=2)
    assert "threads" in str(error)


# Addresses

EITHER = pytest.mark.parametrize("work", [connect, connect_async], ids=["sync", "async"])


def test_row_3_families_take_turns() -> None:
    """One of the first address's family, one of the other, as RFC 8305 has it; else as the resolver had them."""
    addresses = [(V6, 1), (V6, 2), (V6, 3), (V4, 4), (V4, 5)]
    assert [1, 4, 2, 5, 3] == [place for _, place in _in_turns(addresses)]


@contextmanager
def listening() -> Iterator[Address]:
    with socket.socket(V4) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        yield V4, listener.getsockname()


@only_on_linux
@EITHER
@pytest.mark.parametrize("dead", ["silent", "refusing", "both"])
def test_row_3_the_one_that_lives(work: Any, dead: str) -> None:
    """Whatever is wrong with the first addresses, the one that lives is connected to; a refusal costs no time."""
    with listening() as alive, refused_port() as port, black_hole() as hole:
        addresses = {
            "silent": [(V4, ("127.0.0.1", hole))],
            "refusing": [(V4, ("127.0.0.1", port))],
            "both": [(V4, ("127.0.0.1", hole)), (V4, ("127.0.0.1", port))],
        }[dead]
        started = time.monotonic()
        made = found(work, [*addresses, alive], started + 3)
        took = time.monotonic() - started
        assert not isinstance(made, OSError), made
        with made:
            assert alive[1] == made.getpeername()
    assert took < (0.2 if dead == "refusing" else 0.8)


@only_on_linux
@EITHER
def test_row_3_nobody_lives(work: Any) -> None:
    """With nobody there it ends as refused, or with the limit; and leaves no socket open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with refused_port() as port, black_hole() as hole:
        refused, silent = (V4, ("127.0.0.1", port)), (V4, ("127.0.0.1", hole))
        assert isinstance(found(work, [refused, refused], time.monotonic() + 3), ConnectionRefusedError)
        for addresses in ([silent], [silent, silent], [silent, refused]):
            started = time.monotonic()
            assert isinstance(found(work, addresses, started + 0.2), TimeoutError)
            assert 0.15 <= time.monotonic() - started < 0.6
    assert before == len(list(Path("/proc/self/fd").iterdir()))


@only_on_linux
def test_row_92_a_race_that_is_cancelled() -> None:
    """A call that is cancelled while several addresses race leaves neither sockets nor tasks."""

    async def race(hole: int) -> None:
        addresses = [(V4, ("127.0.0.1", hole))] * 3
        task = asyncio.create_task(connect_async(addresses, time.monotonic() + 5))
        await asyncio.sleep(0.3)
        assert len(asyncio.all_tasks()) > 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    before = len(list(Path("/proc/self/fd").iterdir()))
    with black_hole() as hole:
        asyncio.run(race(hole))
    assert before == len(list(Path("/proc/self/fd").iterdir()))


# Behind an answer


@pytest.mark.parametrize("apart", [0.0, 0.02], ids=["at-once", "later"])
def test_row_62_behind_an_answer_over_tls(bench: Bench, authority: trustme.CA, ca_file: str, apart: float) -> None:
    """A second answer in a TLS record of its own, which the socket itself does not show, is nobody's too."""
    bench.ca_file = ca_file
    whole = response(200, completion("first")), response(200, completion("FOREIGN"))
    first, foreign = (sse(streamed("first")), sse(streamed("FOREIGN"))) if bench.way.stream else whole
    script = [ReadRequest(), Send(first), *([Pause(apart)] if apart else []), Send(foreign)]
    bench.open(script, answering("second"), tls=certified(authority))
    assert "first" == bench.ask().text
    time.sleep(0.05)
    bench.settle()
    assert "second" == bench.ask().text
    assert 2 == bench.t1.accepted


def test_row_62_with_a_client_brought_along(bench: Bench) -> None:
    """Nor is one that came by the connection of a client of the caller's own."""
    import httpx

    engine: Any = httpx.Client(trust_env=False) if bench.way.sync else httpx.AsyncClient(trust_env=False)
    first, foreign = (
        (sse(streamed("first")), sse(streamed("FOREIGN")))
        if bench.way.stream
        else (response(200, completion("first")), response(200, completion("FOREIGN")))
    )
    bench.open([ReadRequest(), Send(first + foreign)], answering("second"), http_client=engine)
    assert "first" == bench.ask().text
    assert "second" == bench.ask().text
    if bench.way.sync:
        engine.close()
    else:
        bench.run(engine.aclose())


# Proxies


async def _let_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    host, _, port = head.split()[1].decode().rpartition(":")
    there, back = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await asyncio.gather(_carry(reader, back), _carry(there, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one side went away
    writer.close()


@contextmanager
def proxy(tls: ssl.SSLContext | None) -> Iterator[tuple[str, list[int]]]:
    """A proxy that lets everybody through to where he asks for: its address, and how many have come."""
    ready, came = threading.Event(), [0]
    at: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = []

    async def serve() -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came[0] += 1
            try:
                await _let_through(reader, writer)
            except (OSError, EOFError, asyncio.CancelledError):  # the last is the end of the proxy
                pass
            finally:
                writer.close()

        over = asyncio.Event()
        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        at.append((asyncio.get_running_loop(), over, server.sockets[0].getsockname()[1]))
        ready.set()
        await over.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(5)
    loop, over, port = at[0]
    yield f"http{'s' if tls else ''}://127.0.0.1:{port}", came
    loop.call_soon_threadsafe(over.set)
    thread.join(5)


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "over-tls"])
def test_row_17_a_proxy_to_a_vendor_over_tls(bench: Bench, authority: trustme.CA, ca_file: str, over_tls: bool) -> None:
    """A proxy, be it spoken to over TLS itself, lets a TLS connection through; both are trusted by the same roots."""
    bench.ca_file = ca_file
    vendor = bench.serve(answering("from T1"), tls=certified(authority))
    url, came = bench.stack.enter_context(proxy(certified(authority) if over_tls else None))
    outcome = bench.ask(at=vendor.url, providers={"t1": {"proxy": url}})
    assert "from T1" == outcome.text
    assert "from T1" == bench.ask().text
    assert (1, 1) == (came[0], vendor.accepted)


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "over-tls"])
def test_row_17_a_proxy_that_is_silent(bench: Bench, authority: trustme.CA, ca_file: str, over_tls: bool) -> None:
    """The limit on connecting covers the way through a proxy."""
    bench.ca_file = ca_file
    bench.t1 = silent = bench.serve([Hang()], tls=certified(authority) if over_tls else None)
    limits = {**PATIENT, "connect_timeout": 0.3}
    url = silent.url.removesuffix("/v1")
    outcome = bench.ask(at="https://10.1.2.3:9/v1", providers={"t1": {"proxy": url}}, limits=limits)
    bench.moved(outcome, "ConnectFailed", billed=False, within=2.0)
    assert f"127.0.0.1:{silent.port}" in (outcome.attempts[0].message or "")


def test_row_17_a_proxy_over_tls_that_is_not_to_be_trusted(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """A proxy's certificate is checked as a vendor's is."""
    bench.ca_file = ca_file
    url, _ = bench.stack.enter_context(proxy(certified(authority, "proxy.example.org")))
    outcome = bench.ask(at="https://10.1.2.3:9/v1", providers={"t1": {"proxy": url}})
    bench.moved(outcome, "TLSInvalid", billed=False)


def test_row_6_a_wrong_certificate_behind_a_proxy_over_tls(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """And so is the vendor's behind it."""
    bench.ca_file = ca_file
    url, _ = bench.stack.enter_context(proxy(certified(authority)))
    bench.t1 = vendor = bench.serve(answering(), tls=certified(authority, "api.example.org"))
    outcome = bench.ask(at=vendor.url, providers={"t1": {"proxy": url}})
    bench.moved(outcome, "TLSInvalid", billed=False)
    assert [] == vendor.requests


def test_row_7_a_handshake_that_drips(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """A handshake that comes a byte at a time has the time of connecting, and no more."""

    class Drip(Step):
        def play(self, connection: Connection) -> None:
            connection.wait_for_bytes()
            for _ in range(100):
                connection.socket.sendall(b"\x16\x03\x03\x3f\xff"[:1])
                connection.idle(0.03)

    bench.ca_file = ca_file
    bench.t1 = bench.serve([Drip()])
    at = bench.t1.url.replace("http:", "https:")
    outcome = bench.ask(at=at, limits={**PATIENT, "connect_timeout": 0.4})
    bench.moved(outcome, "ConnectFailed", "TLSInvalid", billed=False, within=1.5)


def test_tls_carries_long_requests_and_answers(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """A megabyte in both directions comes through whole, also by way of a proxy over TLS."""
    bench.ca_file = ca_file
    content = "0123456789abcdef" * 60_000
    url, _ = bench.stack.enter_context(proxy(certified(authority)))
    vendor = bench.serve(answering(content), tls=certified(authority))
    config = bench.config(vendor.url, limits=PATIENT, providers={"t1": {"proxy": url}})
    bench.client = bench.client_of(config)
    assert content == bench.ask(prompt=content).text
    assert content == vendor.requests[0].json()["messages"][0]["content"]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_the_limit_of_a_read_is_that_of_each(
    streaming: Bench, authority: trustme.CA, ca_file: str, layers: int
) -> None:
    """A stream that lasts longer than the limit between two pieces is heard to its end, however deep its TLS is."""
    streaming.ca_file = ca_file
    content = "one by one, each of them well within its time"
    said = streamed(content)
    pieces = [Send(chunk(event_bytes(each))) for each in said]
    script = [
        ReadRequest(),
        Send(sse_head()),
        *(step for each in pieces for step in (each, Pause(0.09))),
        Send(LAST_CHUNK),
    ]
    vendor = streaming.serve(script, tls=certified(authority) if layers else None)
    own = {"proxy": streaming.stack.enter_context(proxy(certified(authority)))[0]} if layers == 2 else {}
    limits = {**PATIENT, "first_token_timeout": 0.5, "idle_timeout": 0.5}
    assert 0.09 * len(content.split()) > 0.5
    assert content == streaming.ask(at=vendor.url, providers={"t1": own}, limits=limits).text


def test_a_request_goes_out_in_one_piece(bench: Bench) -> None:
    """Head and body of an ordinary request are one packet, not two."""
    came: list[bytes] = []

    class Note(Step):
        def play(self, connection: Connection) -> None:
            came.append(connection.socket.recv(65_536))
            connection.send(response(200, completion("from T1")))

    bench.ask([Note()], alone=True)
    head, _, body = came[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST ")
    assert body.endswith(b"}")


@pytest.mark.slow
def test_a_slow_reader_of_a_long_stream(streaming: Bench) -> None:
    """An answer that comes faster than it is read is kept back by the network, and nothing of it is lost."""
    words = [f"{number:07d} " * 100 for number in range(2000)]
    from tests.faults.bench import DONE, STOP, text

    streaming.open([ReadRequest(), Send(sse([*map(text, words), STOP, DONE]))], alone=True)
    client: Any = streaming.client

    def read() -> str:
        with client.stream("x") as stream:
            return "".join(_slowly(stream.text))

    async def read_async() -> str:
        pieces = []
        async with client.stream("x") as stream:
            async for piece in stream.text:
                pieces.append(piece)
                if len(pieces) in (1, 500):
                    await asyncio.sleep(0.1)
        return "".join(pieces)

    assert "".join(words) == (read() if streaming.way.sync else streaming.run(read_async()))


def _slowly(pieces: Iterator[str]) -> Iterator[str]:
    for number, piece in enumerate(pieces):
        if number in (1, 500):
            time.sleep(0.1)
        yield piece
