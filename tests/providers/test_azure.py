"""Azure's older addresses, and the tokens of an application: what is sent, renewed and refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from llmswitch import AuthInvalid, Client, ConfigError
from llmswitch._credential import Refused
from llmswitch._secrets import Secret
from llmswitch.providers.entra_token import EntraToken
from llmswitch.testing import FakeVendor
from tests.providers.foreign_sdk import Ear, Sent, listening
from tests.rows import rows

NOW = 1_700_000_000.0
SECRET = "CANARY~secret.of-an-application"
HOST = "https://res.openai.azure.com/openai/v1"
APP = {"AZURE_TENANT_ID": "11111111-2222", "AZURE_CLIENT_ID": "an-application", "AZURE_CLIENT_SECRET": SECRET}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Ok."}, "finish_reason": "stop"}]}


def credential(tenant: str = "11111111-2222", base_url: str = HOST, **options: Any) -> EntraToken:
    given = {"tenant_id": tenant, "client_id": "an-application", "client_secret": SECRET}
    return EntraToken({name: Secret(value, name) for name, value in given.items()}, base_url, options)


def test_a_token_is_asked_for_with_the_applications_secret() -> None:
    """The form goes to Microsoft's own address, or to a national cloud's; the token is used until it nearly ends."""
    made = credential()
    renewal = made.renewal(NOW)
    assert "https://login.microsoftonline.com" == renewal.base_url
    assert "/11111111-2222/oauth2/v2.0/token" == renewal.request.path
    assert [
        ("grant_type", "client_credentials"),
        ("client_id", "an-application"),
        ("client_secret", SECRET),
        ("scope", "https://cognitiveservices.azure.com/.default"),
    ] == parse_qsl(renewal.request.body.decode())
    assert made.stale(NOW)
    made.renewed(200, made.granted, NOW)
    assert (False, True) == (made.stale(NOW + 3298), made.stale(NOW + 3300))
    assert made.drop(None)
    assert made.stale(NOW)
    assert (
        "https://login.microsoftonline.us"
        == credential(authority="https://login.microsoftonline.us").renewal(0).base_url
    )


@rows(
    ("status", "body", "said"),
    [
        (401, b'{"error":"invalid_client","error_description":"AADSTS7000215: no.\\r\\nTrace"}', "AADSTS7000215: no."),
        (200, b"{}", "there is no token"),
        (502, b"<html>", "no JSON"),
        (200, b'{"access_token":"a b\\n"}', "can't stand in a request"),
    ],
)
def test_a_token_that_is_not_given_is_said_in_their_words(status: int, body: bytes, said: str) -> None:
    """The first line of them, which names the fault."""
    with pytest.raises(Refused, match=said) as caught:
        credential().renewed(status, body, NOW)
    assert "Trace" not in str(caught.value)


def test_an_application_is_asked_for_at_its_own_clouds_alone() -> None:
    """No tenant leads elsewhere, and no token goes to a host of somebody else's."""
    for tenant in ("../evil", "a/b", "a?b", ""):
        with pytest.raises(ConfigError):
            credential(tenant)
    with pytest.raises(ConfigError, match="Microsoft's own hosts"):
        credential(base_url="https://azure.com.example.org/v1")


def test_an_application_asks_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is fetched once, sent as a bearer, and fetched anew where it is refused; nothing shows the secret."""
    for name, value in {**APP, "AZURE_RESOURCE_NAME": "res"}.items():
        monkeypatch.setenv(name, value)
    given = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "login.microsoftonline.com":
            given.append(f"token-{len(given)}")
            return httpx.Response(200, json={"access_token": given[-1], "expires_in": 3599})
        if request.headers["authorization"] == "Bearer token-0" and len(vendor.requests) > 4:
            return httpx.Response(401, json={"error": {"code": "401", "message": "ended"}})
        return httpx.Response(200, json=ANSWER)

    vendor = FakeVendor(answer)
    config = {"providers": {"azure": {"scheme": "service-principal"}}, "default": "azure:gpt-4.1"}
    with Client.from_config(config, http_client=vendor) as client:
        assert ["Ok."] * 4 == [client.chat("Hi").text for _ in range(4)]
    assert ["token-0", "token-1"] == given
    assert SECRET not in repr(client)


def test_a_wrong_secret_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the vendor's words, and the secret is in none of them."""
    for name, value in {**APP, "AZURE_RESOURCE_NAME": "res"}.items():
        monkeypatch.setenv(name, value)
    said = {"error": "invalid_client", "error_description": f"AADSTS7000215: {SECRET} is wrong."}
    vendor = FakeVendor(lambda request: httpx.Response(401, json=said))
    config = {"providers": {"azure": {"scheme": "service-principal"}}, "default": "azure:gpt-4.1"}
    with (
        Client.from_config(config, http_client=vendor) as client,
        pytest.raises(AuthInvalid, match="AADSTS7") as caught,
    ):
        client.chat("Hi")
    assert SECRET not in str(caught.value)


@pytest.fixture
def ear():
    yield from listening(lambda sent: ("application/json", json.dumps(ANSWER).encode()))


@pytest.mark.slow
@pytest.mark.parametrize("token", [False, True], ids=["key", "token"])
def test_the_sdk_sends_the_same_to_a_deployment(ear: Ear, monkeypatch: pytest.MonkeyPatch, token: bool) -> None:
    """OpenAI's own client for Azure: the deployment in the path, the version behind it, the key where it belongs."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("AZURE_KEY", "0123456789abcdef0123456789abcdef")
    own = {"base_url": f"{ear.url}/openai", "api_key": {"env": "AZURE_KEY"}, **({"scheme": "entra"} if token else {})}
    config = {"providers": {"azure-deployments": own}, "default": "azure-deployments:my deployment"}
    with Client.from_config(config) as client:
        client.chat("Hi", max_tokens=5)
    ours: Sent = ear.heard[-1]
    proof = (
        {"azure_ad_token": "0123456789abcdef0123456789abcdef"}
        if token
        else {"api_key": "0123456789abcdef0123456789abcdef"}
    )
    with openai.AzureOpenAI(azure_endpoint=ear.url, api_version="2024-10-21", **proof) as sdk:
        hi = [{"role": "user", "content": "Hi"}]
        sdk.chat.completions.create(model="my deployment", messages=hi, max_completion_tokens=5)
    theirs: Sent = ear.heard[-1]
    assert (theirs.path, theirs.json) == (ours.path, ours.json)
    for name in ("api-key", "authorization"):
        assert theirs.headers.get(name) == ours.headers.get(name)
