"""What no door answers passes through to the vendor, where the configuration says so: as it is, but for whose it is."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import pytest

import llmswitch
from llmswitch import Client, ConfigError, KeyMissing
from llmswitch._config_file import Loaded
from llmswitch._passthrough import read_passthrough
from llmswitch.testing.fault_server import (
    Connection,
    FaultServer,
    Hang,
    ReadRequest,
    Received,
    Reset,
    Respond,
    Send,
    Step,
    WaitFor,
    refused_port,
    response,
)
from tests.rows import rows

KEY, OWN = "CANARY-configured-1c383cd30b7c298a", "CANARY-programs-own-6f1ed002ab559585"
URL = "https://api.example.com/v1"
CREDENTIALS = {
    "authorization": f"Bearer {OWN}",
    "x-api-key": OWN,
    "cookie": f"session={OWN}",
    "x-organization": OWN,
    "x-llmswitch-session": OWN,
    "connection": "x-once",
    "x-once": OWN,
}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASS_KEY", KEY)


def config(base_url: str, beneath: str = "httpx", **more: Any) -> dict[str, Any]:
    """A configuration whose chain is never asked; `beneath`: the engine that carries what passes."""
    return {
        "http": {"engine": beneath},
        "chains": {"main": {"targets": ["down:m"]}},
        "providers": {"down": {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}},
        "passthrough": {"base_url": base_url, "api_key": {"env": "PASS_KEY"}, **more},
    }


def under(base_url: str, engine: Any = "httpx", **more: Any) -> Any:
    return llmswitch.openai_http_client(config=config(base_url, **more), engine=engine)


def under_async(base_url: str, engine: Any = "httpx", **more: Any) -> Any:
    return llmswitch.openai_async_http_client(config=config(base_url, **more), engine=engine)


def saying(status: int, body: Any, headers: Any = ()) -> list[Step]:
    return [ReadRequest(), Send(response(status, body, headers)), ReadRequest(), Send(response(status, body, headers))]


def checked(vendor: FaultServer) -> Received:
    """The last request: with the configured key, and with nothing of the program's own."""
    heard = vendor.requests[-1]
    assert heard.headers["authorization"] == f"Bearer {KEY}"
    assert OWN not in str(dict(heard.headers))
    assert "identity" == heard.headers["accept-encoding"]
    return heard


@pytest.mark.parametrize("engine", ["httpx", "httpx2"])
def test_what_is_no_door_passes_through(engine: str) -> None:
    """Method, path, query, body and answer are as they were; whose it is, is said by the configured key alone."""
    given = {"set-cookie": "a=b", "x-request-id": "r1", "connection": "x-hop", "x-hop": "1"}

    async def ask_async() -> Any:
        async with under_async(f"{vendor.url}/v1", engine) as http:
            return await http.post(f"{URL}/files?a=%2F&b", content=b"abc", headers=CREDENTIALS)

    def ask() -> Any:
        with under(f"{vendor.url}/v1", engine) as http:
            return http.post(f"{URL}/files?a=%2F&b", content=b"abc", headers=CREDENTIALS)

    with FaultServer(saying(201, {"id": "f"}, given)) as vendor:
        for answer in (ask(), asyncio.run(ask_async())):
            heard = checked(vendor)
            assert ("POST", "/v1/files?a=%2F&b", b"abc") == (heard.method, heard.path, heard.body)
            assert (201, {"id": "f"}, "r1") == (answer.status_code, answer.json(), answer.headers["x-request-id"])
            assert not {"set-cookie", "x-hop", "connection"} & set(answer.headers)
    with FaultServer(saying(200, b"")) as vendor, under(f"{vendor.url}/v1", engine) as http:
        assert 200 == http.delete(f"{URL}/files/f", headers=CREDENTIALS).status_code
        heard = checked(vendor)
        assert ("DELETE", "/v1/files/f", b"") == (heard.method, heard.path, heard.body)
        assert "transfer-encoding" not in heard.headers
        http.post(f"{URL}/threads/t/messages", json={"role": "user", "content": "Hi"})
        assert "/v1/threads/t/messages" == checked(vendor).path


def test_the_key_goes_into_its_header() -> None:
    """Another header than `Authorization` carries it where that is said; its headers replace others."""
    header = {"auth": {"header": "x-api-key", "prefix": ""}, "headers": {"x-version": "2", "x-organization": "ours"}}
    with FaultServer(saying(200, {})) as vendor, under(vendor.url, **header) as http:
        http.get(f"{URL}/files", headers={**CREDENTIALS, "x-version": "1"})
        heard = vendor.requests[-1]
    assert (KEY, "2", "ours") == (
        heard.headers["x-api-key"],
        heard.headers["x-version"],
        heard.headers["x-organization"],
    )
    assert "/v1/files" == heard.path
    assert "authorization" not in heard.headers
    assert OWN not in str(dict(heard.headers))


PIECE = b"x" * 100_000


class Heard(Step):
    """Tell the test that something has come."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def play(self, connection: Connection) -> None:
        connection.wait_for_bytes()
        self._event.set()


def script(came: threading.Event, read: threading.Event) -> list[Step]:
    head = response(200, b"", {"content-length": str(2 * len(PIECE))})
    return [Heard(came), ReadRequest(), Send(head + PIECE), WaitFor(read), Send(PIECE)]


LENGTH = {"content-length": str(2 * len(PIECE))}


@pytest.mark.parametrize("beneath", ["httpx", "httptools"])
def test_bodies_flow(beneath: str) -> None:
    """A body is sent while the program still makes it, and read while the vendor still sends it."""
    pytest.importorskip(beneath)
    came, read = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield PIECE
        assert came.wait(5), "nothing was sent before the body was whole"
        yield PIECE

    with (
        FaultServer(script(came, read)) as vendor,
        under(f"{vendor.url}/v1", beneath=beneath) as http,
        http.stream("POST", f"{URL}/files", content=body(), headers=LENGTH) as answer,
    ):
        pieces = answer.iter_raw()
        got = next(pieces)
        read.set()
        got += b"".join(pieces)
        assert (2 * PIECE, 2 * PIECE) == (got, vendor.requests[0].body)


@pytest.mark.parametrize("beneath", ["httpx", "httptools"])
def test_bodies_flow_async(beneath: str) -> None:
    """The same, awaited; the loop is free meanwhile."""
    pytest.importorskip(beneath)
    came, read = threading.Event(), threading.Event()

    async def body() -> AsyncIterator[bytes]:
        yield PIECE
        assert await asyncio.to_thread(came.wait, 5), "nothing was sent before the body was whole"
        yield PIECE

    async def run(vendor: FaultServer) -> bytes:
        async with (
            under_async(f"{vendor.url}/v1", beneath=beneath) as http,
            http.stream("POST", f"{URL}/files", content=body(), headers=LENGTH) as answer,
        ):
            pieces = answer.aiter_raw()
            got: bytes = await anext(pieces)
            read.set()
            return got + b"".join([piece async for piece in pieces])

    with FaultServer(script(came, read)) as vendor:
        assert 2 * PIECE == asyncio.run(run(vendor))
        assert 2 * PIECE == vendor.requests[0].body


def test_what_the_program_raises_is_its_own() -> None:
    """An error in the making of a body is no error of the network's."""

    def body() -> Iterator[bytes]:
        yield PIECE
        raise ZeroDivisionError

    async def body_async() -> AsyncIterator[bytes]:
        yield PIECE
        raise ZeroDivisionError

    async def ask() -> None:
        async with under_async(f"{vendor.url}/v1") as http:
            await http.post(f"{URL}/files", content=body_async(), headers=LENGTH)

    with FaultServer([ReadRequest()], [ReadRequest()]) as vendor:
        with under(f"{vendor.url}/v1") as http, pytest.raises(ZeroDivisionError):
            http.post(f"{URL}/files", content=body(), headers=LENGTH)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(ask())
        assert vendor.wait_closed()


@rows(
    ("path", "why"),
    [
        ("/v1/files/%2e%2e/admin", "no path with"),
        ("/v1/files%2f..%2fadmin", "no path with"),
        ("/v1/files/%252e%252e/admin", "no path with"),
        ("/v1/files/..;/admin", "no path with"),
        ("/v1/files/%5c..%5cadmin", "no path with"),
        ("//evil.example/v1/files", "no path with"),
        ("/v1/files//admin", "no path with"),
        ("/v1/files/%0d%0ax", "no path with"),
        ("/v2/files", "below /v1 alone"),
        ("/v1@evil.example/files", "below /v1 alone"),
        ("/v1/images/generations", "its paths are /files"),
        ("/v1/filesystem", "its paths are /files"),
        ("/v1/%66iles", "its paths are /files"),
    ],
)
def test_what_does_not_pass(path: str, why: str) -> None:
    """A path that could be read as another one, or that the configuration does not name, is asked of nobody."""
    with FaultServer(saying(200, {})) as vendor, under(f"{vendor.url}/v1", paths=["/files"]) as http:
        refused = http.post(f"https://api.example.com{path}", content=b"x")
        assert 501 == refused.status_code
        assert why in refused.json()["error"]["message"]
        assert [] == vendor.requests


def test_errors_come_as_they_are_but_for_keys() -> None:
    """Status and words are the vendor's; the key that it quotes is not in them, compressed or not."""
    said = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    for body, headers in (
        (json.dumps(said).encode(), {"x-request-id": "r1"}),
        (gzip.compress(json.dumps(said).encode()), {"content-encoding": "gzip", "x-request-id": "r1"}),
    ):
        with FaultServer(saying(401, body, headers)) as vendor, under(f"{vendor.url}/v1") as http:
            answer = http.get(f"{URL}/files")
        assert (401, "r1") == (answer.status_code, answer.headers["x-request-id"])
        assert "Incorrect API key provided: [secret]" == answer.json()["error"]["message"]
    with FaultServer(saying(404, b'{"a":  1}')) as vendor, under(f"{vendor.url}/v1") as http:
        assert b'{"a":  1}' == http.get(f"{URL}/files").content


def test_a_redirect_is_not_followed() -> None:
    """Not by this library, and not by the SDK, which would follow it."""
    elsewhere = {"location": "http://127.0.0.1:9/secret"}
    with FaultServer(saying(307, b"", elsewhere)) as vendor, under(f"{vendor.url}/v1") as http:
        answer = http.get(f"{URL}/files", follow_redirects=True)
        assert 1 == len(vendor.requests)
    assert (502, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert "redirect (HTTP 307), which is not followed" in answer.json()["error"]["message"]
    assert "secret" not in answer.text


def test_faults_of_the_network() -> None:
    """Before an answer they are errors that say where; in the middle of one the body breaks off as the library's do."""
    with refused_port() as port, under(f"http://127.0.0.1:{port}/v1") as http:
        down = http.get(f"{URL}/files")
    assert 502 == down.status_code
    assert f"passthrough: no connection (http://127.0.0.1:{port})" in down.json()["error"]["message"]
    assert "x-should-retry" not in down.headers
    with FaultServer([ReadRequest(), Hang()]) as vendor, under(f"{vendor.url}/v1") as http:
        late = http.get(f"{URL}/files", timeout=httpx.Timeout(0.1))
    assert (504, True) == (late.status_code, vendor.url in late.json()["error"]["message"])
    broken: list[Step] = [ReadRequest(), Send(response(200, b"abc", {"content-length": "9"})), Reset()]
    with FaultServer(broken, broken) as vendor:
        with under(f"{vendor.url}/v1") as http, pytest.raises(httpx.ReadError, match="broke off"):
            http.get(f"{URL}/files/f/content")
        with under(f"{vendor.url}/v1", "httpx2") as http, pytest.raises(httpx2.ReadError, match="broke off"):
            http.get(f"{URL}/files/f/content")


def test_what_is_wrong_is_said_before_anything_is_asked() -> None:
    """Addresses and keys by the rules of providers; where the policy lets no data go, none goes this way either."""
    with pytest.raises(ConfigError, match="passthrough: base_url is http:// to a public host"):
        Client.from_config(config("http://api.example.com/v1"))
    with pytest.raises(ConfigError, match=r"passthrough: policy\.jurisdictions allows cn alone.*unknown"):
        Client.from_config({**config(URL), "policy": {"jurisdictions": ["cn"]}})
    Client.from_config({**config(URL, jurisdiction="cn"), "policy": {"jurisdictions": ["cn"]}})
    with pytest.raises(ConfigError, match=r"passthrough\.paths\[0\]: a path is one below base_url"):
        under(URL, paths=["/files/../x"])
    with pytest.raises(ConfigError, match="what has to be signed"):
        under(URL, auth={"signer": "a:B"})
    with pytest.raises(KeyMissing, match=r"passthrough\.api_key: the environment variable NOT_SET is not set"):
        under(URL, api_key={"env": "NOT_SET"})
    for found, why in (({"command": ["pass"]}, "run programs"), ({"env": "ANTHROPIC_API_KEY"}, "may not send it")):
        with pytest.raises(ConfigError, match=why):
            read_passthrough(Loaded.from_mapping(config(URL, api_key=found), trusted=False))


# The real SDK


@pytest.mark.slow
def test_files_and_images_of_the_sdk() -> None:
    """Files, images and a model by its name, sync and async, are answered by the vendor with the configured key."""
    openai = pytest.importorskip("openai")
    file = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 0, "filename": "a.jsonl", "purpose": "batch"}
    model = {"id": "m", "object": "model", "created": 0, "owned_by": "v"}
    said = {
        "/v1/files": (200, file),
        "/v1/images/generations": (200, {"created": 1, "data": [{"b64_json": "aGk="}]}),
        "/v1/models/m": (200, model),
        "/v1/files/file-1/content": (200, b"line\n" * 40_000),
        "/v1/files/none": (404, {"error": {"message": "no such file", "code": "missing"}}),
    }

    def answer(request: Received) -> bytes:
        return response(*said[request.path])

    async def run(sdk: Any) -> tuple[str, str, str, int]:
        async with sdk:
            made = await sdk.files.create(file=("a.jsonl", io.BytesIO(b"{}\n")), purpose="batch")
            image = await sdk.images.generate(model="gpt-image-1", prompt="A cat")
            got = await sdk.models.retrieve("m")
            size = 0
            async with sdk.files.with_streaming_response.content("file-1") as content:
                async for piece in content.iter_bytes():
                    size += len(piece)
            return made.id, image.data[0].b64_json, got.id, size

    one: list[Step] = [ReadRequest(), Respond(answer)]
    with FaultServer(one * 6, one * 6) as vendor:
        with openai.OpenAI(
            api_key=OWN, http_client=llmswitch.openai_http_client(config=config(f"{vendor.url}/v1"))
        ) as sdk:
            made = sdk.files.create(file=("a.jsonl", io.BytesIO(b"{}\n")), purpose="batch")
            image = sdk.images.generate(model="gpt-image-1", prompt="A cat")
            assert ("file-1", "aGk=") == (made.id, image.data[0].b64_json)
            assert b'filename="a.jsonl"' in vendor.requests[0].body
            assert b"{}\n" in vendor.requests[0].body
            assert "m" == sdk.models.retrieve("m").id
            assert 200_000 == len(sdk.files.content("file-1").read())
            with pytest.raises(openai.NotFoundError, match="no such file"):
                sdk.files.retrieve("none")
            with pytest.raises(openai.InternalServerError, match="no connection"):
                sdk.chat.completions.create(model="main", messages=[{"role": "user", "content": "Hi"}])
        under_it = llmswitch.openai_async_http_client(config=config(f"{vendor.url}/v1"))
        sdk = openai.AsyncOpenAI(api_key=OWN, http_client=under_it)
        assert ("file-1", "aGk=", "m", 200_000) == asyncio.run(run(sdk))
        for request in vendor.requests:
            assert f"Bearer {KEY}" == request.headers["authorization"]
            assert OWN not in str(dict(request.headers))
