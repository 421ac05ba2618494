"""
The short-lived key of Baidu's Qianfan API, minted with an access key of the account's IAM.

Source: qianfan 0.4.12.3 and bce-python-sdk 0.9.79, 2026-11-23.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Refused, Renewal, Signed, host_of
from llmswitch._errors import ConfigError
from llmswitch._json import JSONInvalid, loads
from llmswitch._secrets import Secret
from llmswitch.providers.bce_auth import authorization, utc

__all__ = ["MintedKey"]

_HOST = "https://iam.bj.baidubce.com"
_LIFE = 43_200  # seconds; the SDK's own
_EARLY = 60.0  # seconds before its end at which a key is no longer used


class MintedKey(Credential):
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
    _token: tuple[Secret, float] | None = None
    _dropped = False

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:  # noqa: ARG002
        token = self._token
        return Signed({"authorization": f"Bearer {token[0].reveal()}"} if token is not None else {})

    def stale(self, now: float) -> bool:
        token = self._token
        return token is None or self._dropped or now >= token[1] - _EARLY

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

    def renewed(self, status: int, body: bytes, now: float) -> None:
        try:
            said = loads(body)
        except JSONInvalid:
            raise Refused(f"HTTP {status}, and no JSON") from None
        said = said if isinstance(said, dict) else {}
        token = said.get("token")
        if not isinstance(token, str):
            words = [str(said[name])[:80] for name in ("code", "message") if said.get(name)]
            raise Refused(f"HTTP {status}: {', '.join(words) or 'there is no token in the answer'}")
        try:
            self._token = Secret(token, "the vendor's minted key"), now + self._life(said)
        except ConfigError:
            raise Refused("what it gives can't stand in a header") from None
        self._dropped = False

    def _life(self, said: dict[str, Any]) -> float:
        """How long it lasts: from the vendor's times, neither of which is compared with ours."""
        asked = float(self.options.get("expire_in_seconds", _LIFE))
        try:
            begins, ends = (datetime.fromisoformat(said[name]) for name in ("createTime", "expireTime"))
            seconds = (ends - begins).total_seconds()
        except (KeyError, TypeError, ValueError):
            seconds = 0.0
        return min(seconds, asked) if seconds > 0 else asked

    def drop(self, code: str | None) -> bool:
        if code != "invalid_iam_token":
            return False
        self._dropped = True
        return True
