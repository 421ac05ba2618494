"""AWS's own credentials: botocore finds and renews them, this library signs; its services are played on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmswitch import AsyncClient, AuthInvalid, Client, ConfigError, ConnectFailed
from llmswitch._endpoints import has_key
from llmswitch._registry import provider
from llmswitch.testing import FakeVendor, instant_waits
from tests.providers.foreign_sdk import Ear, Sent, listening

slow = pytest.mark.slow
SECRET = "CANARY-secret-6f4922f45568161a8cdf4ad2299f6d23"
TOKEN = "CANARY-session-1f0e3dad99908345f7439f8ffabdffc4"
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1},
}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home folder with nothing of AWS's in it, and an environment without its variables."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / ".aws" / "sso" / "cache").mkdir(parents=True)
    with instant_waits():
        yield tmp_path


def config(**own: Any) -> dict[str, Any]:
    chain = {"targets": ["bedrock:amazon.nova-pro-v1:0"], "max_attempts": 2}
    return {"providers": {"bedrock": {"scheme": "aws", **own}}, "chains": {"it": chain}, "default": "it"}


def played(*refusals: str) -> FakeVendor:
    """A model that refuses with these types, one after the other, and then answers."""
    left = list(refusals)

    def answer(_request: httpx.Request) -> httpx.Response:
        if left:
            return httpx.Response(403, json={"message": "no"}, headers={"x-amzn-errortype": left.pop(0)})
        return httpx.Response(200, json=ANSWER)

    return FakeVendor(answer)


def signed_by(request: httpx.Request) -> tuple[str, str | None]:
    """The access key's id and the session token that a request was signed with."""
    assert SECRET not in str(request.headers)
    key_id = request.headers["authorization"].partition("Credential=")[2].partition("/")[0]
    return key_id, request.headers.get("x-amz-security-token")


def until(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def printing(home: Path, seconds: float) -> Path:
    """A profile whose credentials a program prints, each time others; the file that counts them."""
    counter = home / "count"
    program = home / "print.py"
    program.write_text(
        f"import json, pathlib, datetime\n"
        f"file = pathlib.Path({str(counter)!r})\n"
        f"number = int(file.read_text()) + 1 if file.exists() else 1\n"
        f"file.write_text(str(number))\n"
        f"end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds={seconds})\n"
        f"print(json.dumps(dict(Version=1, AccessKeyId=f'ASIAEXAMPLE{{number:05d}}', SecretAccessKey={SECRET!r},\n"
        f"    SessionToken={TOKEN!r}, Expiration=end.isoformat())))\n"
    )
    (home / ".aws" / "config").write_text(f"[profile work]\ncredential_process = {sys.executable} {program}\n")
    return counter


# Where they are found


def given(number: int) -> dict[str, str]:
    key = f"ASIAEXAMPLE{number:05d}"
    return {"AccessKeyId": key, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": until(3600)}


def service(sent: Sent) -> tuple[str, bytes]:
    """AWS's token services and the metadata of a machine, each as botocore reads it."""
    if sent.path == "/latest/api/token":
        return "text/plain", b"metadata-token"
    if sent.path == "/latest/meta-data/iam/security-credentials/":
        return "text/plain", b"my-role"
    if sent.path.startswith("/latest/"):
        return "application/json", json.dumps({**given(2), "Code": "Success"}).encode()
    if sent.path == "/container":
        return "application/json", json.dumps(given(1)).encode()
    if sent.path.startswith("/federation/credentials"):
        end = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
        role = {"accessKeyId": "ASIAEXAMPLE00004", "secretAccessKey": SECRET, "sessionToken": TOKEN, "expiration": end}
        return "application/json", json.dumps({"roleCredentials": role}).encode()
    fields = given(3)
    fields["SessionToken"] = fields.pop("Token")
    said = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return "text/xml", (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
        f"<Credentials>{said}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ).encode()


@pytest.fixture
def ear() -> Iterator[Ear]:
    yield from listening(service)


Setting = Callable[[pytest.MonkeyPatch, Path, str], None]


def by_environment(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE00000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def by_profile(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    file = home / ".aws" / "credentials"
    file.write_text(f"[work]\naws_access_key_id = AKIAEXAMPLE00000\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_PROFILE", "work")


def by_container(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/container")


def by_machine(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)


def by_assumed_role(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    by_profile(monkeypatch, home, url)
    role = "arn:aws:iam::123456789012:role/model"
    text = f"[profile model]\nrole_arn = {role}\nsource_profile = work\nregion = eu-west-1\n"
    (home / ".aws" / "config").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "model")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)


def by_single_sign_on(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    start = "https://example.awsapps.com/start"
    account = "sso_account_id = 123456789012\nsso_role_name = model\nsso_region = eu-west-1\n"
    (home / ".aws" / "config").write_text(f"[profile single]\nsso_start_url = {start}\n{account}")
    token = {"startUrl": start, "region": "eu-west-1", "accessToken": "sso-token", "expiresAt": until(3600)}
    name = hashlib.sha1(start.encode()).hexdigest()
    (home / ".aws" / "sso" / "cache" / f"{name}.json").write_text(json.dumps(token))
    monkeypatch.setenv("AWS_PROFILE", "single")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", url)
    # botocore looked for the home folder when it was loaded
    cache = str(home / ".aws" / "sso" / "cache")
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", cache)


@slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("setting", "key_id", "token"),
    [
        (by_environment, "AKIAEXAMPLE00000", None),
        (by_profile, "AKIAEXAMPLE00000", None),
        (by_container, "ASIAEXAMPLE00001", TOKEN),
        (by_machine, "ASIAEXAMPLE00002", TOKEN),
        (by_assumed_role, "ASIAEXAMPLE00003", TOKEN),
        (by_single_sign_on, "ASIAEXAMPLE00004", TOKEN),
    ],
)
def test_where_they_are_found(
    monkeypatch: pytest.MonkeyPatch, home: Path, ear: Ear, setting: Setting, key_id: str, token: str | None
) -> None:
    """Requests are signed with what AWS's own tools would use, and each service is asked once."""
    pytest.importorskip("botocore")
    setting(monkeypatch, home, ear.url)
    vendor = played()
    with Client.from_config(config(), http_client=vendor) as client:
        assert ("Hi", "Hi") == (client.chat("Hi").text, client.chat("Hi").text)
    assert [(key_id, token)] * 2 == [signed_by(request) for request in vendor.requests]
    paths = [sent.path for sent in ear.heard]
    assert len(paths) == len(set(paths))


# Their end


@slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_they_are_renewed_before_their_end(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """What was long-lived and is near its end is replaced; what was short-lived from the beginning is used up."""
    pytest.importorskip("botocore")
    counter = printing(home, 250.0)
    monkeypatch.setenv("AWS_PROFILE", "work")
    vendor = played()
    with Client.from_config(config(), http_client=vendor) as client:
        client.chat("Hi")
        client.chat("Hi")
        once = int(counter.read_text())
        client._setup.chain(None).targets[0].endpoint.credential._early = 300  # as if they had been long-lived
        client.chat("Hi")
    first, second, third = (signed_by(request)[0] for request in vendor.requests)
    assert (first, once + 1) == (second, int(counter.read_text()))
    assert third > first


@slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_look_serves_all_calls(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Tasks that call at once wait for one look, which holds up no loop."""
    pytest.importorskip("botocore")
    counter = printing(home, 3600.0)
    monkeypatch.setenv("AWS_PROFILE", "work")
    vendor = played()

    async def many() -> None:
        async with AsyncClient.from_config(config(), http_client=vendor) as client:
            await asyncio.gather(*(client.chat("Hi") for _ in range(4)))

    asyncio.run(many())
    assert ("1", 4) == (counter.read_text(), len(vendor.requests))
    assert {("ASIAEXAMPLE00001", TOKEN)} == {signed_by(request) for request in vendor.requests}


@slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_refused_is_looked_for_again(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Credentials that ended before their time are replaced, once; a refusal for another reason is the last word."""
    pytest.importorskip("botocore")
    counter = printing(home, 3600.0)
    monkeypatch.setenv("AWS_PROFILE", "work")
    vendor = played("ExpiredTokenException")
    with Client.from_config(config(), http_client=vendor) as client:
        assert "Hi" == client.chat("Hi").text
    assert ["ASIAEXAMPLE00001", "ASIAEXAMPLE00002"] == [signed_by(request)[0] for request in vendor.requests]
    other = played("InvalidSignatureException")
    with Client.from_config(config(), http_client=other) as client, pytest.raises(AuthInvalid):
        client.chat("Hi")
    assert "3" == counter.read_text()


# What goes wrong


@slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_none_are_found(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """That there are none is the account's fault, that nobody answers is the network's; the model is not asked."""
    pytest.importorskip("botocore")
    vendor = played()
    with Client.from_config(config(), http_client=vendor) as client, pytest.raises(AuthInvalid, match="finds none"):
        client.chat("Hi")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with Client.from_config(config(), http_client=vendor) as client, pytest.raises(AuthInvalid, match="nobody"):
        client.chat("Hi")
    by_assumed_role(monkeypatch, home, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with Client.from_config(config(), http_client=vendor) as client, pytest.raises(ConnectFailed, match="no token"):
        client.chat("Hi")
    assert [] == vendor.requests


def test_what_is_needed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without botocore the extra is named; a host not AWS's needs a profile; a cloud's profile chooses no model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmswitch.providers.bedrock_chain.find_spec", lambda _name: None)
        with pytest.raises(ConfigError, match=r"llmswitch\[aws\]"):
            Client.from_config(config())
    monkeypatch.setattr("llmswitch.providers.bedrock_chain.find_spec", lambda _name: object())
    monkeypatch.setenv("AWS_PROFILE", "work")
    with pytest.raises(ConfigError, match="name a profile"):
        Client.from_config(config(base_url="https://amazonaws.com.example.com"))
    Client.from_config(config(base_url="https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com"))
    assert not has_key(provider("bedrock"))
