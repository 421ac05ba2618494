"""
AWS Signature Version 4, by which Bedrock knows who sends a request where no Bedrock API key is there.

Source: botocore 1.44.5 (its signer, with a worked example computed by it), 2026-11-23. The path is encoded once more
for the signature; a request is signed anew for each try, for it holds five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import quote, urlsplit

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Signed, host_of

__all__ = ["SERVICE", "SigV4", "region_of", "signed_headers"]

_TYPE = "application/json"  # it is signed, so it has to be sent just so
SERVICE = "bedrock"
_HOST = re.compile(r"^bedrock-(?:mantle|runtime)(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws|api)\.")


def region_of(base_url: str, otherwise: str) -> str:
    """The region that a host of the vendor's own names; another host does not say."""
    found = _HOST.match(urlsplit(base_url).hostname or "")
    return found[1] if found is not None else otherwise


def signed_headers(
    request: HTTPRequest,
    base_url: str,
    key_id: str,
    secret_key: str,
    token: str | None,
    region: str,
    now: float,
    *,
    service: str = SERVICE,
) -> dict[str, str]:
    """The headers that sign a request to a service at that time (Unix seconds), and those that are signed."""
    url = urlsplit(base_url + request.path)
    moment = f"{datetime.fromtimestamp(int(now), UTC):%Y%m%dT%H%M%SZ}"
    headers = {"content-type": _TYPE, "host": host_of(base_url), "x-amz-date": moment}
    if token is not None:
        headers["x-amz-security-token"] = token
    names = ";".join(headers)
    lines = [f"{name}:{value.strip()}" for name, value in headers.items()]
    path = quote(url.path or "/", safe="/-_.~")
    canonical = "\n".join((request.method, path, url.query, *lines, "", names, _digest(request.body)))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{_digest(canonical.encode())}"
    key = f"AWS4{secret_key}".encode()
    for step in scope.split("/"):
        key = _hmac(key, step)
    said = f"Credential={key_id}/{scope}, SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {said}"}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class SigV4(Credential):
    """
    Each request is signed with an access key. `session_token` belongs to credentials that are temporary.

    `region`: which one the signature names where the address does not say it. `service`: which one it is for.
    """

    parts: ClassVar[tuple[str, ...]] = ("access_key_id", "secret_access_key", "session_token")
    optional: ClassVar[tuple[str, ...]] = ("session_token",)
    shown: ClassVar[tuple[str, ...]] = ("access_key_id", "session_token")

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        token = self.secrets.get("session_token")
        return Signed(
            signed_headers(
                request,
                base_url,
                self.secrets["access_key_id"].reveal(),
                self.secrets["secret_access_key"].reveal(),
                token.reveal() if token is not None else None,
                region_of(base_url, self.options.get("region", "us-east-1")),
                now,
                service=self.options.get("service", SERVICE),
            )
        )
