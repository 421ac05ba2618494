"""T1 can't be reached: names, addresses, ports, certificates, proxies, and what this process itself runs out of."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmswitch import AsyncClient, Client, ConfigError
from llmswitch.testing.fault_server import (
    Connection,
    Hang,
    ReadRequest,
    Send,
    Step,
    black_hole,
    refused_port,
    response,
)
from tests.everyday import sizes
from tests.faults.bench import (
    HEALTHY,
    NOTHING,
    PATIENT,
    PROMPT,
    WAY_ASYNC,
    WAY_SYNC,
    Bench,
    adjust,
    answering,
    in_use,
    pooled,
    refusing,
)
from tests.rows import rows

LINUX = Path("/proc/self/fd").exists()
only_on_linux = pytest.mark.skipif(not LINUX, reason="needs what Linux does with a full queue and with descriptors")
Resolver = Callable[..., list[Any]]


# Names


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[int], list[Any]]]:
    """What names resolve to, by name: a function of the port. Other names resolve as ever."""
    known: dict[str, Callable[[int], list[Any]]] = {}
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        return known[name](int(port or 0)) if name in known else list(resolve(host, port, *rest, **more))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.mark.parametrize("reason", [socket.EAI_NONAME, socket.EAI_AGAIN], ids=["NXDOMAIN", "SERVFAIL"])
def test_row_1_a_name_that_does_not_resolve(bench: Bench, names: dict[str, Any], reason: int) -> None:
    """A name that the resolver does not know, or can't look up, is `ConnectFailed`, and moves at once."""

    def fail(port: int) -> list[Any]:
        raise socket.gaierror(reason, "no such name")

    names["t1-nowhere"] = fail
    bench.moved(bench.ask(at="http://t1-nowhere:9/v1"), "ConnectFailed", billed=False, within=1.0)


def test_row_2_a_resolver_that_hangs(bench: Bench, names: dict[str, Any]) -> None:
    """The limit on connecting covers the resolver."""
    released = threading.Event()

    def hang(port: int) -> list[Any]:
        released.wait(1.2)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    names["t1-silent"] = hang
    try:
        outcome = bench.ask(at="http://t1-silent:9/v1", limits={**PATIENT, "connect_timeout": 0.2})
    finally:
        released.set()
    bench.moved(outcome, "ConnectFailed", billed=False, within=1.0)


@pytest.mark.parametrize("number", sizes(12, 40))
def test_row_2_a_resolver_that_hangs_for_one_name_answers_for_others(names: dict[str, Any], number: int) -> None:
    """Look-ups that hang take no thread that the look-up of a healthy name needs."""
    released = threading.Event()

    def hang(port: int) -> list[Any]:
        released.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    names["t1-silent"] = hang
    bench = Bench(WAY_ASYNC, ExitStack())

    async def storm(client: AsyncClient) -> list[str]:
        try:
            calls = (client.chat(PROMPT) for _ in range(number))
            return [reply.text for reply in await asyncio.gather(*calls)]
        finally:
            released.set()
            await client.aclose()

    with bench.stack:
        t2 = bench.serve(answering())
        urls = ("http://t1-silent:9/v1", f"http://localhost:{t2.port}/v1")
        client = AsyncClient.from_config(bench.config(*urls, limits={**PATIENT, "connect_timeout": 0.5}))
        started = time.monotonic()
        assert [HEALTHY] * number == asyncio.run(storm(client))
        assert time.monotonic() - started < 5


@only_on_linux
def test_row_3_one_dead_address_of_two(bench: Bench, names: dict[str, Any]) -> None:
    """Where the first address of a name is dead and the second alive, both are tried within the limit on connecting."""
    t1 = bench.serve(answering("from T1"))
    bench.stack.enter_context(black_hole("::1", t1.port))
    names["t1-dual"] = lambda port: [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    ]
    outcome = bench.ask(at=f"http://t1-dual:{t1.port}/v1", limits={**PATIENT, "connect_timeout": 1.0})
    assert [("t1:m", None)] == outcome.trail
    assert "from T1" == outcome.text
    assert outcome.seconds < 0.9


# Ports


def test_row_4_a_refused_connection(bench: Bench) -> None:
    """A closed port is `ConnectFailed`, and moves at once: nothing was sent, so nothing can be billed."""
    with refused_port() as port:
        bench.moved(bench.ask(at=f"http://127.0.0.1:{port}/v1"), "ConnectFailed", billed=False, within=1.0)


def test_row_4_the_same_by_a_name_with_two_addresses(bench: Bench) -> None:
    """`localhost` with nobody at either address is the same."""
    with refused_port() as port:
        bench.moved(bench.ask(at=f"http://localhost:{port}/v1"), "ConnectFailed", billed=False, within=1.0)


@only_on_linux
def test_row_5_a_black_hole(bench: Bench) -> None:
    """A host that swallows whoever knocks costs the limit on connecting, once, and no slot of the pool."""
    with black_hole() as port:
        outcome = bench.ask(at=f"http://127.0.0.1:{port}/v1", limits={**PATIENT, "connect_timeout": 0.2})
        bench.moved(outcome, "ConnectFailed", billed=False, within=2.0)
        assert outcome.seconds >= 0.2


@only_on_linux
@pytest.mark.parametrize("calls", sizes(25, 300))
@pytest.mark.parametrize("cancelled", [False, True], ids=["timed-out", "cancelled"])
def test_row_5_a_black_hole_for_many_at_once(cancelled: bool, calls: int) -> None:
    """Calls at a black hole are answered by T2; no slot of a pool is lost, also where the callers give up."""
    bench = Bench(WAY_ASYNC, ExitStack())

    async def one(client: AsyncClient) -> str:
        try:
            return (await asyncio.wait_for(client.chat(PROMPT), 0.1 if cancelled else 20)).text
        except TimeoutError:
            return "gave up"

    async def storm(client: AsyncClient) -> None:
        replies = await asyncio.gather(*(one(client) for _ in range(calls)))
        assert {"gave up" if cancelled else HEALTHY} == set(replies)
        await asyncio.sleep(0.05)
        assert NOTHING == in_use(client)
        started = time.monotonic()
        assert HEALTHY == (await client.chat(PROMPT, model="t2:m")).text
        assert time.monotonic() - started < 0.5
        await client.aclose()

    with bench.stack, black_hole() as port:
        t2 = bench.serve(answering())
        # as long as this machine may need to begin so many connections at once
        limits = {**PATIENT, "connect_timeout": max(calls / 150, 0.3)}
        config = bench.config(f"http://127.0.0.1:{port}", t2.url, limits=limits)
        asyncio.run(storm(AsyncClient.from_config(config)))


@only_on_linux
@pytest.mark.parametrize("number", sizes(15, 60))
def test_row_5_a_black_hole_for_threads(number: int) -> None:
    """The same for threads at once."""
    bench = Bench(WAY_SYNC, ExitStack())
    with bench.stack, black_hole() as port:
        t2 = bench.serve(answering())
        config = bench.config(f"http://127.0.0.1:{port}", t2.url, limits={**PATIENT, "connect_timeout": 0.3})
        replies: list[str] = []
        with Client.from_config(config) as client:
            threads = [
                threading.Thread(target=lambda: replies.append(client.chat(PROMPT).text), daemon=True)
                for _ in range(number)
            ]
            started = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert [HEALTHY] * number == replies
            assert time.monotonic() - started < 4
            assert NOTHING == in_use(client)


# TLS


def certified(authority: trustme.CA, name: str = "127.0.0.1", **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **more).configure_cert(context)
    return context


def test_row_6_a_good_certificate(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """The other half of the row: a certificate of the configured authority is trusted."""
    bench.ca_file = ca_file
    outcome = bench.ask(answering("from T1"), tls=certified(authority))
    assert [("t1:m", None)] == outcome.trail
    assert "from T1" == outcome.text


@pytest.mark.parametrize("fault", ["expired", "self-signed", "wrong-host", "usual-roots"])
def test_row_6_a_certificate_not_to_be_trusted(bench: Bench, authority: trustme.CA, ca_file: str, fault: str) -> None:
    """A certificate that is expired, of an unknown authority or for another host is `TLSInvalid`, with one try."""
    bench.ca_file = None if fault == "usual-roots" else ca_file
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    context = {
        "expired": lambda: certified(authority, not_after=past, not_before=past - dt.timedelta(days=1)),
        "self-signed": lambda: certified(trustme.CA()),
        "wrong-host": lambda: certified(authority, "api.example.org"),
        "usual-roots": lambda: certified(authority),
    }[fault]()
    outcome = bench.ask(answering(), tls=context)
    bench.moved(outcome, "TLSInvalid", billed=False)
    assert (1, []) == (bench.t1.accepted, bench.t1.requests)


def test_row_6_alone_it_is_raised(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """With nobody else to ask the same server is not tried again, least of all unverified."""
    bench.ca_file = ca_file
    bench.raised(bench.ask(answering(), tls=certified(authority, "api.example.org"), alone=True), "TLSInvalid")
    assert 1 == bench.t1.accepted


@pytest.mark.parametrize("fault", ["stall", "plain-http", "closes", "TLS-1.1"])
def test_row_7_a_broken_handshake(bench: Bench, authority: trustme.CA, ca_file: str, fault: str) -> None:
    """A handshake that stalls, speaks plain HTTP or offers TLS 1.1 alone ends within the limit on connecting."""
    bench.ca_file = ca_file
    old = certified(authority)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    scripts: dict[str, list[Step]] = {
        "stall": [Hang()],
        "plain-http": [Send(response(400, "this is not https"))],
        "closes": [],
        "TLS-1.1": [*answering()],
    }
    t1 = bench.serve(scripts[fault] or [CloseAtOnce()], tls=old if fault == "TLS-1.1" else None)
    bench.t1 = t1
    at = t1.url.replace("http:", "https:")
    outcome = bench.ask(at=at, limits={**PATIENT, "connect_timeout": 0.3})
    bench.moved(outcome, "ConnectFailed", "TLSInvalid", billed=False, within=2.0)
    assert [] == t1.requests


class CloseAtOnce(Step):
    """Read the client's hello and say goodbye."""

    def play(self, connection: Connection) -> None:
        connection.wait_for_bytes()
        connection.finish()


def test_row_20_http_2_is_not_offered(bench: Bench, authority: trustme.CA, ca_file: str) -> None:
    """HTTP/2 is off: a server that would speak it is asked in HTTP/1.1, so its GOAWAY can't come."""
    bench.ca_file = ca_file
    context = certified(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    chosen: list[str | None] = []

    class Note(Step):
        def play(self, connection: Connection) -> None:
            assert isinstance(connection.socket, ssl.SSLSocket)
            chosen.append(connection.socket.selected_alpn_protocol())

    outcome = bench.ask([Note(), *answering("from T1")], tls=context)
    assert "from T1" == outcome.text
    assert ["http/1.1"] == chosen


# This process


def shrink(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, connections: int, seconds: float) -> None:
    """A pool of so many connections, and so many seconds to wait for one."""
    monkeypatch.setattr("llmswitch._connections._MOST", connections)
    adjust(bench.client, pool=seconds)


@pooled
def test_row_15_no_connection_becomes_free(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that finds every connection in use waits for its limit, then says so; nobody else is asked or blamed."""
    bench.open([ReadRequest(), Hang()])
    shrink(bench, monkeypatch, connections=1, seconds=0.2)
    with hogging(bench):
        assert bench.t1.wait_for_requests(1)
        outcome = bench.ask()
        error = bench.raised(outcome, "LocalOverload", tries=len(outcome.attempts))
    assert not error.possibly_billed
    assert 0.2 <= outcome.seconds < 0.4, "the wait is bounded by the limit, not by a multiple of it"


@pooled
def test_row_15_the_wait_is_part_of_the_time_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a connection does not go on past the caller's own limit."""
    bench.open([ReadRequest(), Hang()])
    shrink(bench, monkeypatch, connections=1, seconds=1.0)
    with hogging(bench):
        assert bench.t1.wait_for_requests(1)
        outcome = bench.ask(options={"timeout": 0.2})
    assert outcome.error is not None
    assert outcome.seconds < 0.8


@contextmanager
def hogging(bench: Bench) -> Iterator[None]:
    """Another call is in the middle of T1's silence."""
    client = bench.client
    if isinstance(client, Client):
        stream = client.stream(PROMPT)
        thread = threading.Thread(target=lambda: expect_failure(lambda: next(stream)), daemon=True)
        thread.start()
        yield
        bench.t1.close()
        thread.join(5)
        return
    assert client is not None

    async def begin() -> asyncio.Task[Any]:
        task = asyncio.ensure_future(client.chat(PROMPT))
        await asyncio.sleep(0.1)
        return task

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    task = bench.run(begin())
    yield
    bench.run(end())


def expect_failure(function: Callable[[], object]) -> None:
    from llmswitch import LLMSwitchError

    try:
        function()
    except LLMSwitchError:
        pass  # its server was taken away


@only_on_linux
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_row_16_out_of_descriptors(bench: Bench, host: str) -> None:
    """Out of descriptors is `LocalOverload` in plain words: no vendor is to blame, and nobody else is asked."""
    bench.open(answering("from T1"))
    at = f"http://{host}:{bench.t1.port}"
    bench.client = bench.client_for(at, bench.t2.url)
    socket.getaddrinfo(host, bench.t1.port)  # what the resolver keeps open it opens now
    with no_descriptors():
        outcome = bench.ask()
    error = bench.raised(outcome, "LocalOverload", tries=len(outcome.attempts))
    assert "descriptors" in str(error)
    assert not error.possibly_billed
    assert "from T1" == bench.ask().text


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Within this block this process can open nothing."""
    import resource  # not everywhere

    taken = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        while True:
            try:
                taken.append(socket.socket())
            except OSError as problem:
                if problem.errno != errno.EMFILE:
                    raise
                break
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            each.close()


# Proxies

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.mark.parametrize("value", ["http://user:CANARY-pw@127.0.0.1:1", "://nonsense", "http://[::1:x"])
def test_rows_17_and_18_proxies_of_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A proxy that the environment names, dead or malformed, is not used: requests go straight to the vendor."""
    for name in PROXY_VARIABLES:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,::1,[fe80::1%eth0]:80,*.example.org,,")
    outcome = bench.ask(answering("from T1"))
    assert [("t1:m", None)] == outcome.trail
    assert "from T1" == outcome.text


def test_row_17_a_configured_proxy_is_used(bench: Bench) -> None:
    """A target's own proxy carries its requests."""
    proxy = bench.serve(answering("by the proxy"))
    outcome = bench.ask(at="http://127.0.0.1:9/v1", providers={"t1": {"proxy": proxy.url}})
    assert "by the proxy" == outcome.text
    assert "http://127.0.0.1:9/v1/chat/completions" == proxy.requests[0].path


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_row_17_a_dead_proxy(bench: Bench, scheme: str) -> None:
    """A proxy that is not there is `ConnectFailed`, which names its host and not its password."""
    with refused_port() as port:
        proxy = f"http://user:CANARY-password@127.0.0.1:{port}"
        outcome = bench.ask(at=f"{scheme}://10.1.2.3:9/v1", providers={"t1": {"proxy": proxy}})
    bench.moved(outcome, "ConnectFailed", billed=False, within=1.0)
    message = outcome.attempts[0].message or ""
    assert "CANARY" not in message
    assert f"127.0.0.1:{port}" in message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_row_17_a_proxy_that_wants_a_password(bench: Bench, scheme: str) -> None:
    """A 407 is the proxy's, not the vendor's: `ConnectFailed`, which names the proxy's host and not its password."""
    script = refusing(407, "who are you?", {"proxy-authenticate": "Basic"})
    bench.t1 = proxy = bench.serve(script)
    url = proxy.url.replace("//", "//user:CANARY-password@")
    outcome = bench.ask(at=f"{scheme}://10.1.2.3:9/v1", providers={"t1": {"proxy": url}})
    bench.moved(outcome, "ConnectFailed", billed=False, within=1.0, closed=False)
    message = outcome.attempts[0].message or ""
    assert "CANARY" not in message
    assert f"127.0.0.1:{proxy.port}" in message


@rows("value", ["nonsense", "ftp://proxy:1", "http://[::1", "http://proxy:99999", "socks5://proxy:1", "http://", ""])
def test_row_18_a_malformed_proxy(value: str) -> None:
    """A proxy that can't be one is said when the client is built, not by every call."""
    bench = Bench(WAY_SYNC, ExitStack())
    config = bench.config("http://127.0.0.1:9", limits=PATIENT, providers={"t1": {"proxy": value}})
    with pytest.raises(ConfigError, match="proxy"):
        Client.from_config(config)
