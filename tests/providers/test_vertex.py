"""Vertex: where a region leads, and tokens that google-auth fetches through the exchange."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmswitch import AsyncClient, Client, ConfigError, _errors
from llmswitch._endpoint import Endpoint
from llmswitch._endpoints import has_key
from llmswitch._proxies import Proxy
from llmswitch._registry import provider
from llmswitch.testing import FakeVendor, instant_waits
from tests.providers.foreign_sdk import Ear, Sent, listening

google = pytest.importorskip("google.auth")

ANSWER = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
TOKEN = "ya29.CANARY-token-8277e0910d750195"
VARIABLES = ("GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    for name in (*VARIABLES, "CLOUDSDK_AUTH_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    with instant_waits():
        yield


def config(**own: Any) -> dict[str, Any]:
    chain = {"targets": ["vertex:gemini-3.5-flash"], "max_attempts": 2}
    return {"providers": {"vertex": own}, "chains": {"it": chain}, "default": "it"}


def asked(**own: Any) -> httpx.Request:
    """The request of one call, with a token that was given."""
    vendor = FakeVendor(lambda _request: httpx.Response(200, json=ANSWER))
    Client.from_config(config(**own), http_client=vendor).chat("Hi")
    return vendor.requests[-1]


def test_the_region_chooses_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world, a part of it, or one region: each has its host; the configuration comes before the environment."""
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)
    usual = asked()
    assert usual.headers["authorization"] == f"Bearer {TOKEN}"
    assert str(usual.url) == (
        "https://aiplatform.googleapis.com/v1beta1/projects/my-project/locations/global/publishers/google/models/"
        "gemini-3.5-flash:generateContent"
    )
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    assert asked().url.host == "europe-west4-aiplatform.googleapis.com"
    eu = asked(region="eu", resource="other").url
    assert (eu.host, eu.path.split("/")[3:6]) == ("aiplatform.eu.rep.googleapis.com", ["other", "locations", "eu"])
    assert asked(site="us").url.host == "aiplatform.us.rep.googleapis.com"
    for own, words in (
        ({"site": "us", "region": "eu"}, "this site is that of us"),
        ({"resource": "a.b/../c"}, "resource"),
        ({"region": "evil.example.com#"}, "region"),
    ):
        with pytest.raises(ConfigError, match=words):
            asked(**own)


def test_tokens_are_counted_of_the_fields_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here what is counted stands at the top, where the Developer API wants it in a field."""
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)
    vendor = FakeVendor(lambda _request: httpx.Response(200, json={"totalTokens": 3}))
    assert Client.from_config(config(), http_client=vendor).count_tokens("Hi").source == "vendor"
    assert json.loads(vendor.requests[0].content) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert vendor.requests[0].url.path.endswith("/models/gemini-3.5-flash:countTokens")


class Source:
    """What google-auth gives: `refresh` asks the token server, and the token lasts for so many seconds."""

    def __init__(self, url: str, seconds: float = 3600.0) -> None:
        self.url, self.seconds = url, seconds
        self.token: str | None = None
        self.expiry: datetime | None = None

    def refresh(self, request: Callable[..., Any]) -> None:
        from google.auth.exceptions import RefreshError

        answer = request(self.url, method="POST", body=b"a=1", headers={"Content-Type": "text/x"}, timeout=3)
        if answer.status != 200:
            raise RefreshError(f"invalid_grant ({answer.status})", {"all": "of it"})
        self.token = json.loads(answer.data)["access_token"]
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=self.seconds)

    def apply(self, headers: dict[str, str]) -> None:
        headers.update({"authorization": f"Bearer {self.token}", "x-goog-user-project": "billed"})


def found(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    monkeypatch.setattr(google, "default", lambda **_: (source, "my-project"))
    monkeypatch.setattr(google, "load_credentials_from_file", lambda _path, **_: (source, "my-project"))


@pytest.fixture
def ear():
    tokens = iter(range(100))

    def answer(sent: Sent) -> tuple[str, bytes]:
        body = {"access_token": f"{TOKEN}{next(tokens)}"} if sent.path == "/token" else ANSWER
        return "application/json", json.dumps(body).encode()

    yield from listening(answer)


def test_tokens_are_fetched_and_renewed(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """One token serves many calls, sync or async, and another is fetched before it ends."""
    monkeypatch.setenv("THE_FILE", "/its/path.json")
    own = config(scheme="adc", base_url=ear.url, credentials={"credentials_file": {"env": "THE_FILE"}})

    async def both() -> None:
        async with AsyncClient.from_config(own) as client:
            await client.chat("Hi")
            await client.chat("Hi")

    for seconds, fetched in ((3600.0, 1), (200.0, 2)):
        ear.heard.clear()
        found(monkeypatch, Source(f"{ear.url}/token", seconds))
        with Client.from_config(own) as client:
            client.chat("Hi")
            client.chat("Hi")
        asyncio.run(both())
        tokens = [sent for sent in ear.heard if sent.path == "/token"]
        calls = [sent for sent in ear.heard if sent.path != "/token"]
        assert (len(tokens), len(calls)) == (2 * fetched, 4)
        assert (tokens[0].method, tokens[0].headers["content-type"], tokens[0].body) == ("POST", "text/x", b"a=1")
        assert len({sent.headers["authorization"] for sent in calls}) == 2 * fetched
        assert calls[0].headers["x-goog-user-project"] == "billed"


def played(grant: httpx.Response, *statuses: int) -> tuple[Client, FakeVendor]:
    """A client whose token server always says the same, and whose vendor says one status after the other."""
    left = iter(statuses)

    def answer(_request: httpx.Request) -> httpx.Response:
        status = next(left)
        return httpx.Response(status, json=ANSWER if status == 200 else {"error": {"status": "UNAUTHENTICATED"}})

    def given(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(grant.status_code, content=grant.content) if request.url.host == "token.test" else None

    vendor = FakeVendor(answer, given)
    return Client.from_config(config(scheme="adc"), http_client=vendor), vendor


def test_a_token_that_is_refused_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor refuses a token before its end: another is fetched, and the request is repeated."""
    found(monkeypatch, Source("https://token.test/"))
    client, vendor = played(httpx.Response(200, json={"access_token": TOKEN}), 401, 200)
    assert client.chat("Hi").text == "Hi"
    assert (len(vendor.renewals), len(vendor.requests)) == (2, 2)


@pytest.mark.parametrize(("status", "becomes"), [(400, _errors.AuthInvalid), (503, _errors.Overloaded)])
def test_no_token_is_given(monkeypatch: pytest.MonkeyPatch, status: int, becomes: type[Exception]) -> None:
    """A refusal is the key's, a server that is down is not; either way nothing is sent to the model."""
    found(monkeypatch, Source("https://token.test/"))
    client, vendor = played(httpx.Response(status, json={}))
    with pytest.raises(becomes, match="invalid_grant") as caught:
        client.chat("Hi", timeout=3)
    assert "all" not in str(caught.value).replace("all attempts", "")
    assert vendor.requests == []


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_library_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The call's own time ends the wait for a token, and the next call is not held by it."""
    source, go_on = Source("https://token.test/"), threading.Event()
    quick = source.refresh
    monkeypatch.setattr(source, "refresh", lambda _request: go_on.wait(5))
    found(monkeypatch, source)
    granted = httpx.Response(200, json={"access_token": TOKEN})
    client, vendor = played(granted, 200)
    waiting = AsyncClient.from_config(config(scheme="adc"), http_client=vendor)
    with pytest.raises(_errors.DeadlineExceeded):
        client.chat("Hi", timeout=0.1) if way == "sync" else asyncio.run(waiting.chat("Hi", timeout=0.1))
    monkeypatch.setattr(source, "refresh", quick)
    assert client.chat("Hi").text == "Hi"
    go_on.set()


def test_the_token_server_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection to the token server is a fault of the network, told as one."""
    found(monkeypatch, Source("http://127.0.0.1:9/"))
    with Client.from_config(config(scheme="adc")) as client, pytest.raises(_errors.ConnectFailed, match="no token"):
        client.chat("Hi", timeout=3)


def test_a_service_accounts_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """google-auth itself signs for a service account, whose file the usual variable names."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "account.json"
    account = {"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "project_id": "p"}
    account |= {"private_key": key.private_bytes(*form).decode(), "token_uri": "https://token.test/token"}
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    vendor = FakeVendor(
        lambda _request: httpx.Response(200, json=ANSWER),
        lambda request: (
            httpx.Response(200, json={"access_token": TOKEN, "expires_in": 3600})
            if request.url.host == "token.test"
            else None
        ),
    )
    Client.from_config(config(), http_client=vendor).chat("Hi")
    (renewal,), (request,) = vendor.renewals, vendor.requests
    assert b"grant_type=urn" in renewal.content
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)
    assert not has_key(provider("vertex")), "credentials of a whole cloud choose no model"


def test_the_metadata_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no file, google-auth asks the machine's metadata server, in as many requests as it likes."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    said = {"/token": {"access_token": TOKEN, "expires_in": 3600}, "/default/": {"email": "a@b", "scopes": ["s"]}}

    def given(request: httpx.Request) -> httpx.Response | None:
        if request.url.host not in ("169.254.169.254", "metadata.google.internal"):
            return None
        assert request.headers["metadata-flavor"] == "Google"
        body = next((body for end, body in said.items() if request.url.path.endswith(end)), "p")
        return httpx.Response(200, json=body, headers={"metadata-flavor": "Google"})

    vendor = FakeVendor(lambda _request: httpx.Response(200, json=ANSWER), given)
    Client.from_config(config(scheme="adc"), http_client=vendor).chat("Hi")
    assert vendor.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert len(vendor.renewals) > 2


def test_what_is_needed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without google-auth the extra is named; what lies around is for Google's hosts alone; a metadata server is asked
    without a proxy.
    """
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/its/path.json")
    with pytest.raises(ConfigError, match="for Google's own hosts"):
        Client.from_config(config(scheme="adc", base_url="https://elsewhere.test"))
    monkeypatch.setattr("llmswitch.providers.vertex_token.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"llmswitch\[vertex\]"):
        Client.from_config(config(scheme="adc"))
    near = Endpoint("vertex", "global", "https://a.test", "us", {}, "", proxy=Proxy("http://p.test:1", "here"))
    assert near.beside("http://metadata.google.internal").proxy is None
    assert near.beside("https://token.test").proxy is not None
