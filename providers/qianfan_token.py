"""
The short-lived key of Baidu's Qianfan API, minted with an access key of the account's IAM.

Source: qianfan 0.4.12.3 and bce-python-sdk 0.9.79, 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Renewal, Signed, host_of
from llmswitch.providers.bce_auth import authorization, utc
from llmswitch.providers.fetched_token import FetchedToken

__all__ = ["MintedKey"]

_HOST = "https://iam.bj.baidubce.com"
_LIFE = 43_200  # seconds; the SDK's own


class MintedKey(FetchedToken):
    """
    A bearer key that is fetched by a request signed with BCE-AUTH v1.

    `host`: where it is asked for. `expire_in_seconds`: for how long it is to last.
    """

    parts: ClassVar[tuple[str, ...]] = ("access_key", "secret_key")
    shown: ClassVar[tuple[str, ...]] = ("access_key",)
    granted: ClassVar[bytes] = (
        b'{"userId":"u","token":"bce-v3/0123456789abcdef","status":"enable",'
        b'"createTime":"2023-11-14T22:13:20Z","expireTime":"2023-11-15T10:13:20Z"}'
    )
    field: ClassVar[str] = "token"
    reasons: ClassVar[tuple[str, ...]] = ("code", "message")
    refusals: ClassVar[frozenset[str] | None] = frozenset({"invalid_iam_token"})

    def renewal(self, now: float) -> Renewal:
        base_url = self.options.get("host", _HOST)
        path = f"/v1/BCE-BEARER/token?expireInSeconds={self.options.get('expire_in_seconds', _LIFE)}"
        headers = {"host": host_of(base_url), "x-bce-date": utc(now)}
        headers["authorization"] = authorization(
            "GET",
            base_url + path,
            headers,
            self.secrets["access_key"].reveal(),
            self.secrets["secret_key"].reveal(),
            now,
        )
        return Renewal(base_url, HTTPRequest(path, b"", method="GET"), Signed(headers))

    def life(self, said: Mapping[str, Any]) -> float:
        """From the vendor's times, neither of which is compared with ours."""
        asked = float(self.options.get("expire_in_seconds", _LIFE))
        try:
            begins, ends = (datetime.fromisoformat(said[name]) for name in ("createTime", "expireTime"))
            seconds = (ends - begins).total_seconds()
        except (KeyError, TypeError, ValueError):
            seconds = 0.0
        return min(seconds, asked) if seconds > 0 else asked
