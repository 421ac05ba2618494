"""The scripted server itself: exact to the byte, quick to start, and gone without a trace."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
import trustme

from llmswitch.testing.fault_server import (
    Close,
    Connection,
    FaultServer,
    Hang,
    NeverRead,
    Pause,
    ReadRequest,
    Reset,
    Respond,
    Send,
    SendForever,
    SendSlowly,
    Step,
    WaitFor,
    black_hole,
    refused_port,
    response,
    sse,
)

LINUX = Path("/proc/self/fd").exists()


def read_all(server: FaultServer, request: bytes = b"") -> bytes:
    """What the server sends until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(request)
        received = b""
        while data := client.recv(65536):
            received += data
        return received


def test_bytes_are_sent_as_they_are() -> None:
    """What a script sends arrives byte for byte, and a FIN ends it."""
    with FaultServer([Send(b"\x00any\xff"), Send(b" bytes"), Close()]) as server:
        assert b"\x00any\xff bytes" == read_all(server)


def test_requests_are_recorded() -> None:
    """Method, path, headers and the exact body of each request are kept, with the connection that it came by."""
    with FaultServer([ReadRequest(), Send(response(200, {"a": 1}))]) as server, httpx.Client(trust_env=False) as client:
        for number in range(2):
            assert {"a": 1} == client.post(f"{server.url}/v{number}", content=b"\x00body", headers={"X-A": "b"}).json()
        first, second = server.requests
        assert ("POST", "/v0", b"\x00body", "b", 0) == (
            first.method,
            first.path,
            first.body,
            first.headers["x-a"],
            first.connection,
        )
        assert ("/v1", 0) == (second.path, second.connection)
        assert first.time < second.time <= time.monotonic()
        assert (1, 1) == (server.accepted, server.open)
    assert 0 == server.open


def test_scripts_follow_each_other_on_one_connection_and_on_several() -> None:
    """The next script is played when more bytes come, by an open connection or by a new one; the last one repeats."""
    scripts = [[ReadRequest(), Send(response(status))] for status in (500, 429, 200)]
    with FaultServer(*scripts) as server:
        with httpx.Client(trust_env=False) as client:
            assert [500, 429] == [client.get(server.url).status_code for _ in range(2)]
        statuses = [httpx.get(server.url, trust_env=False).status_code for _ in range(2)]
        assert [200, 200] == statuses
        assert [0, 0, 1, 2] == [request.connection for request in server.requests]
        assert server.wait_closed()


def test_an_answer_may_depend_on_the_request() -> None:
    """`Respond` makes its bytes of the request that was read."""
    with FaultServer([ReadRequest(), Respond(lambda request: response(200, request.body))]) as server:
        assert b"echo" == httpx.post(server.url, content=b"echo", trust_env=False).content


def test_reset_is_a_reset() -> None:
    """After `Reset` the client's read raises, as it does when a machine goes away."""
    with FaultServer([ReadRequest(), Reset()]) as server:
        with pytest.raises(ConnectionResetError):
            read_all(server, b"GET / HTTP/1.1\r\n\r\n")
        assert server.wait_closed()


def test_slow_bytes_come_at_their_pace() -> None:
    """`SendSlowly` waits after every piece, and notices that the client has gone."""
    with FaultServer(
        [SendSlowly(b"abcd", size=2, every=0.05), Close()], [SendSlowly(b"x" * 999, every=0.01)]
    ) as server:
        started = time.monotonic()
        assert b"abcd" == read_all(server)
        assert 0.1 <= time.monotonic() - started < 2
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            assert b"x" == client.recv(1)
        assert server.wait_closed()


def test_a_script_can_wait_for_the_test() -> None:
    """`WaitFor` goes on when the test says so, `Pause` by itself."""
    go = threading.Event()
    script = [Send(b"1"), WaitFor(go), Send(b"2"), Pause(0.02), Send(b"3"), Close()]
    with FaultServer(script) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        assert b"1" == client.recv(10)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(10)
        client.settimeout(5)
        go.set()
        assert b"2" == client.recv(1)
        assert b"3" == client.recv(1)


def test_never_read_stops_the_clients_writes() -> None:
    """With `NeverRead` a client can't write for long."""
    with FaultServer([NeverRead()]) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.sendall(b"x" * 30_000_000)


class Busy(Step):
    """A step that a user wrote."""

    def play(self, connection: Connection) -> None:
        connection.send(b"mine")
        connection.idle(60)


@pytest.mark.parametrize(
    "step",
    [Hang(), NeverRead(), Pause(60), WaitFor(threading.Event()), SendForever(b"x" * 65536), Busy()],
    ids=lambda step: type(step).__name__,
)
@pytest.mark.parametrize("encrypted", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "tls"])
def test_ending_the_server_ends_what_hangs(step: Step, encrypted: bool, authority: trustme.CA) -> None:
    """However a script hangs, the server ends at once and leaves no thread and no descriptor behind."""
    gc.collect()
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    context, trusting = tls(authority) if encrypted else (None, None)
    with FaultServer([step], tls=context) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        if trusting is not None:
            client = trusting.wrap_socket(client, server_hostname="127.0.0.1")
        assert server.wait_for_connections(1)
        time.sleep(0.02)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    client.close()
    assert set(threading.enumerate()) <= threads
    assert descriptors == open_descriptors()


def test_ending_the_server_ends_a_handshake() -> None:
    """A client that never says hello does not keep the server alive."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with FaultServer([Hang()], tls=context) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        assert server.wait_for_connections(1)
        time.sleep(0.02)
    client.close()


def test_it_starts_in_milliseconds() -> None:
    """A test can afford a server of its own."""
    started = time.monotonic()
    for _ in range(20):
        with FaultServer([Hang()]):
            pass
    assert (time.monotonic() - started) / 20 < 0.05


def test_tls_is_spoken(authority: trustme.CA) -> None:
    """With a server-side context it speaks https, and its requests are recorded as ever."""
    context, trusting = tls(authority)
    with FaultServer([ReadRequest(), Send(response(200, [1]))], tls=context) as server:
        assert server.url.startswith("https://")
        assert [1] == httpx.get(f"{server.url}/x", verify=trusting, trust_env=False).json()
        assert "/x" == server.requests[0].path


def test_a_refused_port_refuses() -> None:
    """Nobody listens there, and nobody can come to."""
    with refused_port() as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        with pytest.raises(OSError), socket.socket() as other:
            other.bind(("127.0.0.1", port))


@pytest.mark.skipif(not LINUX, reason="a full queue drops connections on Linux")
def test_a_black_hole_swallows() -> None:
    """Connecting there ends by the caller's own time limit alone."""
    with black_hole() as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), timeout=0.1)


def test_responses_say_what_they_are_told_to() -> None:
    """A length is added unless a false one is given, JSON is marked as such, and unknown statuses have no phrase."""
    assert b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi" == response(200, "hi")
    assert b"HTTP/1.1 529 \r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}" == response(529, {})
    assert b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi" == response(200, "hi", {"Content-Length": "9"})
    assert b"HTTP/1.1 200 OK\r\n\r\nhi" == response(200, "hi", {"content-length": ""})
    assert b"HTTP/1.1 429 Too Many Requests\r\na: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n" == response(
        429, b"", [("a", "1"), ("a", "2")]
    )
    assert b"HTTP/1.1 204 No Content\r\n\r\n" == response(204)


def test_streams_can_be_cut_anywhere() -> None:
    """Events are framed in chunks or by the end of the connection; a cut stream has no last chunk."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    chunked = head + b"transfer-encoding: chunked\r\n\r\n"
    assert chunked + b"9\r\ndata: a\n\n\r\na\r\ndata: {}\n\n\r\n0\r\n\r\n" == sse(["a", {}])
    assert chunked + b"4\r\ndata\r\n" == sse(["a", {}], cut=4)
    assert chunked + b"9\r\ndata: a\n\n\r\n" == sse(["a"], ended=False)
    assert head + b"\r\ndata: a\n\nraw" == sse(["a", b"raw"], framing="close")
    assert head + b"\r\ndata: a" == sse(["a", {}], framing="close", cut=7)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) if LINUX else 0


def tls(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that trusts it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return context, trusting
