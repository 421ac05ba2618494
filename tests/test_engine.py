"""Which HTTP library carries the requests: by configuration, or the caller's own client; nothing above it can tell."""

from __future__ import annotations

import asyncio
import importlib
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmswitch import AsyncClient, Client, ConfigError
from llmswitch._connections import _tls
from llmswitch._engine import Engine, engine_named, engine_of
from llmswitch.testing.fault_server import FaultServer
from tests.faults.bench import HEALTHY, PROMPT, answering
from tests.rows import rows

ROOT = Path(__file__).parent.parent
NAMES = ("httpx", "httpx2")
WAYS = [(sync, name) for sync in (True, False) for name in NAMES]
each = pytest.mark.parametrize(
    ("sync", "name"), WAYS, ids=[f"{'sync' if sync else 'async'}-{name}" for sync, name in WAYS]
)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_KEY", "made-up-key-of-t1")


def library(name: str) -> Any:
    return pytest.importorskip(name)


def config(url: str, **http: Any) -> dict[str, Any]:
    provider = {"dialect": "openai", "base_url": url, "api_key": {"env": "T1_KEY"}}
    return {"default": "t1:m", "providers": {"t1": provider}, "http": http}


def asked(sync: bool, config: dict[str, Any], client: Any = None) -> tuple[str, str, Engine]:
    """A whole answer, a streamed one, and the engine that carried them."""
    if sync:
        with Client.from_config(config, http_client=client) as made:
            with made.stream(PROMPT) as stream:
                streamed = "".join(stream.text)
            said = made.chat(PROMPT).text, streamed, made._connections._engine
        if hasattr(client, "is_closed"):
            assert not client.is_closed
            client.close()
        return said

    async def main() -> tuple[str, str, Engine]:
        async with AsyncClient.from_config(config, http_client=client) as made:
            async with made.stream(PROMPT) as stream:
                streamed = "".join([piece async for piece in stream.text])
            said = (await made.chat(PROMPT)).text, streamed, made._connections._engine
        if hasattr(client, "is_closed"):
            assert not client.is_closed
            await client.aclose()
        return said

    return asyncio.run(main())


@rows("name", [*NAMES, "httptools"])
@rows("sync", [True, False], ids=["sync", "async"])
def test_chosen_by_configuration(sync: bool, name: str) -> None:
    """`http.engine` names the library; one connection carries both calls."""
    library(name)
    with FaultServer(answering()) as server:
        whole, streamed, engine = asked(sync, config(server.url, engine=name))
        assert 1 == server.accepted
    assert (HEALTHY, HEALTHY, name) == (whole, streamed, engine.name)


@each
def test_a_client_brought_along(sync: bool, name: str) -> None:
    """A client of either library carries the requests, whatever the configuration says, and stays open."""
    made = library(name).Client(trust_env=False) if sync else library(name).AsyncClient(trust_env=False)
    with FaultServer(answering()) as server:
        whole, streamed, engine = asked(sync, config(server.url, engine="httpx"), made)
    assert (HEALTHY, HEALTHY, name) == (whole, streamed, engine.name)


@each
def test_a_transport_brought_along(sync: bool, name: str) -> None:
    """So does a transport."""
    module = library(name)
    body = {"choices": [{"message": {"content": HEALTHY}, "finish_reason": "stop"}]}
    transport = module.MockTransport(lambda _: module.Response(200, json=body))
    whole, streamed, engine = asked(sync, config("http://t1.local"), transport)
    assert (HEALTHY, HEALTHY, name) == (whole, streamed, engine.name)


@each
def test_one_that_waits_in_the_other_way(sync: bool, name: str) -> None:
    """An async client in `Client`, or the other way round, is said when the client is built."""
    made = library(name).AsyncClient() if sync else library(name).Client()
    wanted = "Client" if sync else "AsyncClient"
    with pytest.raises(TypeError, match=rf"and {wanted} needs an {name}\.{wanted}$"):
        asked(sync, config("http://t1.local"), made)
    asyncio.run(made.aclose()) if sync else made.close()


@rows("given", [object(), "httpx", 1])
def test_what_is_no_client(given: object) -> None:
    """Anything else is said as well, and what would do."""
    with pytest.raises(TypeError, match=r"must be an httpx\.Client or an httpx2\.Client, or a transport of either"):
        Client.from_config(config("http://t1.local"), http_client=given)


def test_an_engine_that_there_is_none_of() -> None:
    """Another name is a mistake in the configuration."""
    with pytest.raises(ConfigError, match=r"http\.engine"):
        Client.from_config(config("http://t1.local", engine="requests"))


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is missing, the error names the extra that brings it."""
    engine_named.cache_clear()
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigError, match=r"pip install 'llmswitch\[httpx2\]'"):
        Client.from_config(config("http://t1.local", engine="httpx2"))
    engine_named.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_only_the_chosen_one_is_loaded(name: str) -> None:
    """A program that uses one of them has not loaded the other."""
    library(name)
    with FaultServer(answering()) as server:
        code = (
            "import json, sys; from llmswitch import Client\n"
            "with Client.from_config(json.loads(sys.argv[1])) as client: client.chat('Hi')\n"
            "print([name for name in ('httpx', 'httpcore', 'httpx2', 'httpcore2') if name in sys.modules])"
        )
        given = json.dumps(config(server.url, engine=name))
        run = subprocess.run(
            [sys.executable, "-c", code, given], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
        )
    assert f"{[name, name.replace('httpx', 'httpcore')]}" == run.stdout.strip()


@each
def test_the_roots_are_ours(sync: bool, name: str) -> None:
    """Both trust the same roots, for vendors and for proxies: neither's own choice is used."""
    library(name)
    made = config("https://api.example.org", engine=name)
    made["providers"]["t1"]["proxy"] = "https://proxy.example.org:3128"
    client: Any = (Client if sync else AsyncClient).from_config(made)
    pool = client._connections._make(client._setup.chain(None).targets[0].endpoint).transport._pool
    assert pool._ssl_context is pool._proxy_ssl_context is _tls(None)
    assert ssl.TLSVersion.TLSv1_2 == _tls(None).minimum_version


@pytest.mark.parametrize("name", NAMES)
def test_every_exception_of_the_library_is_known(name: str) -> None:
    """What the library can raise while it sends and reads has a meaning; so has that of its core."""
    module, engine = library(name), engine_named(name)
    core = importlib.import_module(name.replace("httpx", "httpcore"))
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, (module.RequestError, module.StreamError)):
            assert issubclass(found, engine.caught)
            assert any(issubclass(found, kind) for kind, _ in engine.kinds)
    for found in vars(core).values():
        if isinstance(found, type) and issubclass(
            found, (core.NetworkError, core.TimeoutException, core.ProtocolError)
        ):
            assert hasattr(module, found.__name__)
    assert engine is engine_of(module.MockTransport(lambda _: module.Response(200)), sync=True)
