"""Signatures of Tencent, Baidu and Zhipu, by worked examples that the vendors' own SDKs agree with."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import strategies as st

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import host_of
from llmswitch._errors import ConfigError
from llmswitch._secrets import Secret
from llmswitch.providers import bce_auth, tencent_native_tc3, zhipu_jwt
from llmswitch.providers.bce_auth import BCEAuth
from llmswitch.providers.qianfan_token import MintedKey
from llmswitch.providers.tencent_native_tc3 import TC3
from llmswitch.providers.wenxin_token import AccessToken
from llmswitch.providers.zhipu_jwt import SignedKey
from tests.everyday import examples
from tests.rows import rows

NOW = 1_700_000_000  # 2023-11-14T22:13:20Z
HUNYUAN = "https://hunyuan.tencentcloudapi.com"
SECRET_ID, SECRET_KEY = "AKIDEXAMPLEID0000000000000000000000", "ExampleSecretKey0000000000000000"
ACCESS_KEY, BCE_KEY = "ALTAKEXAMPLE0000000000", "0123456789abcdef0123456789abcdef"
ERNIE = "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions"
ZHIPU = "exampleid0000000000000000000000.ExampleSecret000"
JWT = (
    "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04iLCJ0eXAiOiJKV1QifQ."
    "eyJhcGlfa2V5IjoiZXhhbXBsZWlkMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCIsImV4cCI6MTcwMDAwMDIxMDAwMCwidGltZXN0YW1wIjoxNzAwMDAwMDAwMDAwfQ."
    "nwYc3WhycAx2SK_6PFXPPvmesjPThKJbAR9LOk5biJ8"
)


def secrets(**values: str) -> dict[str, Secret]:
    return {name: Secret(value, f"test {name}") for name, value in values.items()}


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (
            '{"Model": "hunyuan-turbos-latest", "Messages": [{"Role": "user", "Content": "hi"}], "Stream": false}',
            "d2ecb9b1c68a405de5b68102d3dddba410349be9fec26b7681eb688ae57175c4",
        ),
        (
            '{"Model":"hunyuan-turbos-latest","Messages":[{"Role":"user","Content":"你好"}],"Stream":true}',
            "54a1bd7f91f6586d54ecc2325164923494a8bab90e6349ce4b547648ded9469b",
        ),
    ],
    ids=["spaces", "non_ascii"],
)
def test_tc3(body: str, signature: str) -> None:
    """The exact bytes of the body are signed, with the UTC date and the first label of the host."""
    credential = TC3(secrets(secret_id=SECRET_ID, secret_key=SECRET_KEY), HUNYUAN, {})
    signed = credential.sign(HTTPRequest("/", body.encode()), HUNYUAN, NOW + 0.9)
    assert {
        "host": "hunyuan.tencentcloudapi.com",
        "content-type": "application/json",
        "x-tc-timestamp": "1700000000",
        "authorization": (
            f"TC3-HMAC-SHA256 Credential={SECRET_ID}/2023-11-14/hunyuan/tc3_request, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        ),
    } == signed.headers


def test_tc3_by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canonical request, the text that is signed and the chain of keys are those of the worked example."""
    digested: list[str] = []
    keys: list[str] = []
    digest, mac = tencent_native_tc3._digest, tencent_native_tc3._hmac

    def watch_digest(data: bytes) -> str:
        digested.append(data.decode())
        return digest(data)

    def watch_mac(key: bytes, text: str) -> bytes:
        keys.append(text)
        made = mac(key, text)
        keys.append(made.hex())
        return made

    monkeypatch.setattr(tencent_native_tc3, "_digest", watch_digest)
    monkeypatch.setattr(tencent_native_tc3, "_hmac", watch_mac)
    body = b'{"Model": "hunyuan-turbos-latest", "Messages": [{"Role": "user", "Content": "hi"}], "Stream": false}'
    tencent_native_tc3.authorization(HTTPRequest("/", body), HUNYUAN, SECRET_ID, SECRET_KEY, NOW)
    payload = "8a052c8bd71d1224af9a13987695b3aea59fb6d43c60b3ce5a95bee3a2ebc27c"
    canonical = (
        f"POST\n/\n\ncontent-type:application/json\nhost:hunyuan.tencentcloudapi.com\n\ncontent-type;host\n{payload}"
    )
    assert [body.decode(), canonical] == digested
    text_hash = "1f09bad3d5319c4b93dc695f122aa2a0cbafa47003560e313e3657bf00e9f1d3"
    assert [
        "2023-11-14",
        "b68dbf69b8eb415b86af85e27c5561295e31238a977f81db3a8b3c636e447fbf",
        "hunyuan",
        "7b2ae7f812eda12c5c817ab3fe5c367a3475e288651b5e96d89f9307ea36088b",
        "tc3_request",
        "9f79a194f2c7e7a6f8d8fd0bdecc3844c8eceddbcbf0abd06faa6291af2f6cf7",
        f"TC3-HMAC-SHA256\n1700000000\n2023-11-14/hunyuan/tc3_request\n{text_hash}",
        "d2ecb9b1c68a405de5b68102d3dddba410349be9fec26b7681eb688ae57175c4",
    ] == keys


def test_tc3_of_temporary_credentials() -> None:
    """A token is sent beside the signature; the service can be named where the host does not name it."""
    parts = secrets(secret_id=SECRET_ID, secret_key=SECRET_KEY, token="a-token")
    signed = TC3(parts, "http://127.0.0.1:8080", {"service": "lkeap"}).sign(
        HTTPRequest("/", b"{}"), "http://127.0.0.1:8080", NOW
    )
    assert "a-token" == signed.headers["x-tc-token"]
    assert "127.0.0.1:8080" == signed.headers["host"]
    assert "/2023-11-14/lkeap/tc3_request" in signed.headers["authorization"]


@rows(
    ("method", "url", "headers", "expected"),
    [
        (
            "POST",
            f"https://aip.baidubce.com{ERNIE}",
            {
                "host": "aip.baidubce.com",
                "content-type": "application/json",
                "x-bce-date": "2023-11-14T22:13:20Z",
            },
            "content-type;host;x-bce-date/12313d47a8148690870b0f9d9221db59198246616394ea4ffc39cf3432e75da9",
        ),
        (
            "POST",
            f"https://aip.baidubce.com{ERNIE}",
            {"host": "aip.baidubce.com"},
            "host/7eab29b366ea8d346af453d9ff52461ba144c1ed87dbaa9871201392623a5e98",
        ),
        (
            "GET",
            "https://iam.bj.baidubce.com/v1/BCE-BEARER/token?expireInSeconds=43200",
            {"host": "iam.bj.baidubce.com"},
            "host/d000d0fb6fcc7f3addd3eec89887392c2672f50530863786e766be8efb87971c",
        ),
    ],
    ids=["three_headers", "host_alone", "query"],
)
def test_bce(method: str, url: str, headers: dict[str, str], expected: str) -> None:
    """Method, path, query and the headers that are named are signed; the body is not."""
    made = bce_auth.authorization(method, url, headers, ACCESS_KEY, BCE_KEY, NOW)
    assert f"bce-auth-v1/{ACCESS_KEY}/2023-11-14T22:13:20Z/1800/{expected}" == made


def test_bce_by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is the text of a digest; the canonical request has no line break at its end."""
    seen: list[tuple[str, str]] = []
    mac = bce_auth._hmac
    monkeypatch.setattr(bce_auth, "_hmac", lambda key, text: seen.append((key, text)) or mac(key, text))
    credential = BCEAuth(secrets(access_key=ACCESS_KEY, secret_key=BCE_KEY), "https://aip.baidubce.com", {})
    signed = credential.sign(HTTPRequest(ERNIE, b"{}"), "https://aip.baidubce.com", NOW)
    headers = "content-type:application%2Fjson\nhost:aip.baidubce.com\nx-bce-date:2023-11-14T22%3A13%3A20Z"
    canonical = f"POST\n{ERNIE}\n\n{headers}"
    assert [
        (BCE_KEY, f"bce-auth-v1/{ACCESS_KEY}/2023-11-14T22:13:20Z/1800"),
        (
            "91c69691f5c4610af34704c41af9dcbc48e026ecb2e788000e0a4e3d512c1b8c",
            canonical,
        ),
    ] == seen
    assert signed.headers["authorization"].endswith("d9221db59198246616394ea4ffc39cf3432e75da9")
    assert "2023-11-14T22:13:20Z" == signed.headers["x-bce-date"]


def test_bce_leaves_out_what_is_empty_and_encodes_the_rest() -> None:
    """A header without a value is not signed; a query is sorted, and each half of a pair encoded."""
    url = "https://a.example.com/x y/z?b=&a=1/2"
    made = bce_auth.authorization("GET", url, {"host": "a.example.com", "x-empty": " "}, ACCESS_KEY, BCE_KEY, NOW)
    assert "/host/" in made
    same = bce_auth.authorization(
        "GET", "https://a.example.com/x y/z?a=1%2F2&b=", {"host": "a.example.com"}, ACCESS_KEY, BCE_KEY, NOW
    )
    assert same == made


def test_a_minted_key_is_asked_for_by_a_signed_request() -> None:
    """The request for Qianfan's key: a GET at the IAM host, with the date and the host signed."""
    credential = MintedKey(secrets(access_key=ACCESS_KEY, secret_key=BCE_KEY), "https://qianfan.baidubce.com/v2", {})
    renewal = credential.renewal(NOW)
    assert ("https://iam.bj.baidubce.com", "GET", "/v1/BCE-BEARER/token?expireInSeconds=43200", b"") == (
        renewal.base_url,
        renewal.request.method,
        renewal.request.path,
        renewal.request.body,
    )
    assert "host;x-bce-date/" in renewal.signed.headers["authorization"]


def test_zhipu_jwt() -> None:
    """The token for a key at a time is the SDK's, to the letter."""
    signed = SignedKey(secrets(key=ZHIPU), "https://open.bigmodel.cn", {}).sign(HTTPRequest("/", b""), "", NOW)
    assert {"authorization": f"Bearer {JWT}"} == signed.headers
    bare = SignedKey(secrets(key=ZHIPU), "", {"prefix": ""}).sign(HTTPRequest("/", b""), "", NOW)
    assert {"authorization": JWT} == bare.headers


@examples(6, 30, st.floats(1_600_000_000, 2_000_000_000), st.from_regex(r"[A-Za-z0-9]{8,32}", fullmatch=True))
def test_zhipu_jwt_can_be_verified(now: float, secret: str) -> None:
    """Whoever has the secret can check the token; its times are milliseconds, and 210 seconds apart."""
    head, claims, signature = zhipu_jwt.token("an-id", secret, now).split(".")
    decoded: Any = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert {"api_key": "an-id", "exp": decoded["timestamp"] + 210_000, "timestamp": round(now * 1000)} == decoded
    import hmac

    mac = hmac.new(secret.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(mac).decode().rstrip("=") == signature


@rows("key", ["no-dot-in-it", "two.dots.here", ".7c1f9e", "7c1f9e."])
def test_zhipu_key_of_another_form(key: str) -> None:
    """A key that is not id.secret is refused by its source, and is not in the message."""
    with pytest.raises(ConfigError, match=r"the form id\.secret") as caught:
        SignedKey(secrets(key=key), "", {})
    assert key not in str(caught.value)


@rows(
    ("base_url", "host"),
    [
        ("https://a.example.com", "a.example.com"),
        ("https://A.example.com:443/v1", "a.example.com"),
        ("http://a.example.com:80", "a.example.com"),
        ("https://a.example.com:80", "a.example.com:80"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_host_is_what_is_sent(base_url: str, host: str) -> None:
    """The signed host is the one that httpx would send of itself."""
    import httpx

    assert host == host_of(base_url)
    assert host == httpx.Request("POST", base_url).headers["host"]


@rows(
    "credential",
    [
        TC3(secrets(secret_id=SECRET_ID, secret_key=SECRET_KEY), HUNYUAN, {}),
        BCEAuth(secrets(access_key=ACCESS_KEY, secret_key=BCE_KEY), "https://aip.baidubce.com", {}),
        AccessToken(secrets(client_id="an-id-of-theirs", client_secret=BCE_KEY), "https://aip.baidubce.com", {}),
        MintedKey(secrets(access_key=ACCESS_KEY, secret_key=BCE_KEY), "https://qianfan.baidubce.com", {}),
        SignedKey(secrets(key=ZHIPU), "https://open.bigmodel.cn", {}),
    ],
    ids=lambda credential: type(credential).__name__,
)
def test_no_repr_shows_a_secret(credential: Any) -> None:
    """Credentials, what they sign and what they fetch say nothing of their secrets."""
    said = [repr(credential), repr(credential.sign(HTTPRequest("/", b"{}"), credential.base_url, NOW))]
    if credential.granted:
        credential.renewed(200, credential.granted, NOW)
        renewal = credential.renewal(NOW)
        said += [repr(renewal), repr(renewal.request), repr(renewal.signed), repr(vars(credential))]
    for secret in credential.secrets.values():
        assert secret.reveal() not in " ".join(said)
    assert "0123456789abcdef" not in " ".join(said)
