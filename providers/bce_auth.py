"""
BCE-AUTH v1, by which Baidu's cloud knows requests that were signed with an access key of its IAM.

Source: bce-python-sdk 0.9.79 and the vendor's documentation, 2026-11-23. The body is not signed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Signed, host_of

__all__ = ["BCEAuth", "authorization", "utc"]

_LIFE = 1800  # seconds for which a signature holds; the SDK's own


def utc(now: float) -> str:
    """The time as the signature says it."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def authorization(
    method: str, url: str, headers: Mapping[str, str], access_key: str, secret_key: str, now: float, life: int = _LIFE
) -> str:
    """The `Authorization` header for a request to `url` with these headers (in lower case), all of which it signs."""
    parts = urlsplit(url)
    query = sorted(
        f"{_encode(name)}={_encode(value)}" for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    signed = {name: value.strip() for name, value in headers.items() if value.strip()}
    lines = sorted(f"{_encode(name)}:{_encode(value)}" for name, value in signed.items())
    canonical = "\n".join((method, quote(parts.path, safe="/-_.~"), "&".join(query), "\n".join(lines)))
    prefix = f"bce-auth-v1/{access_key}/{utc(now)}/{life}"
    # the text of the first digest is the key of the second, not its bytes
    signature = _hmac(_hmac(secret_key, prefix), canonical)
    return f"{prefix}/{';'.join(sorted(signed))}/{signature}"


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _hmac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


class BCEAuth(Credential):
    """Each request is signed with an access key. `expire_in_seconds`: for how long a signature holds."""

    parts: ClassVar[tuple[str, ...]] = ("access_key", "secret_key")
    shown: ClassVar[tuple[str, ...]] = ("access_key",)

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        headers = {"host": host_of(base_url), "content-type": "application/json", "x-bce-date": utc(now)}
        headers["authorization"] = authorization(
            request.method,
            base_url + request.path,
            headers,
            self.secrets["access_key"].reveal(),
            self.secrets["secret_key"].reveal(),
            now,
            self.options.get("expire_in_seconds", _LIFE),
        )
        return Signed(headers)
