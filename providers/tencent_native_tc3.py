"""
TC3-HMAC-SHA256, by which Tencent Cloud's products know who sends a request.

Source: tencentcloud-sdk-python-common 3.1.195 and the vendor's documentation, 2026-11-23.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import urlsplit

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Signed, host_of

__all__ = ["TC3", "authorization"]

_TYPE = "application/json"  # it is signed, so it has to be sent just so


def authorization(
    request: HTTPRequest, base_url: str, secret_id: str, secret_key: str, now: float, service: str | None = None
) -> str:
    """The `Authorization` header of a request. `service` is by default the first label of the host."""
    url = urlsplit(base_url + request.path)
    host = host_of(base_url)
    moment = datetime.fromtimestamp(int(now), UTC)
    canonical = "\n".join(
        (
            request.method,
            url.path or "/",
            url.query,
            f"content-type:{_TYPE}",
            f"host:{host}",
            "",
            "content-type;host",
            _digest(request.body),
        )
    )
    service = service or host.partition(".")[0]
    scope = f"{moment:%Y-%m-%d}/{service}/tc3_request"
    text = f"TC3-HMAC-SHA256\n{int(now)}\n{scope}\n{_digest(canonical.encode())}"
    key = f"TC3{secret_key}".encode()
    for step in scope.split("/"):
        key = _hmac(key, step)
    signature = _hmac(key, text).hex()
    return f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders=content-type;host, Signature={signature}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class TC3(Credential):
    """
    Each request is signed with a secret id and key. `token` belongs to credentials that are temporary.

    `service`: the product, where the address does not name it.
    """

    parts: ClassVar[tuple[str, ...]] = ("secret_id", "secret_key", "token")
    optional: ClassVar[tuple[str, ...]] = ("token",)
    shown: ClassVar[tuple[str, ...]] = ("secret_id", "token")

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        headers = {
            "host": host_of(base_url),
            "content-type": _TYPE,
            "x-tc-timestamp": str(int(now)),
            "authorization": authorization(
                request,
                base_url,
                self.secrets["secret_id"].reveal(),
                self.secrets["secret_key"].reveal(),
                now,
                self.options.get("service"),
            ),
        }
        token = self.secrets.get("token")
        return Signed({**headers, "x-tc-token": token.reveal()} if token is not None else headers)
