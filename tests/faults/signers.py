"""Credentials for tests: one that signs with the time, one that needs a token first."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import ClassVar

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Refused, Renewal, Signed


class Timed(Credential):
    """A signature over the time and the body, with two secrets."""

    parts: ClassVar[tuple[str, ...]] = ("access_key", "secret_key")

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        stamp = str(int(now))
        secret = self.secrets["secret_key"].reveal().encode()
        said = hmac.new(secret, stamp.encode() + request.body, hashlib.sha256).hexdigest()
        return Signed({"x-time": stamp, "x-signature": said, "x-access": self.secrets["access_key"].reveal()})


class Token(Credential):
    """A token that is fetched with the key and lasts for a while."""

    token = ""
    ends = 0.0

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        return Signed(query=f"access_token={self.token}")

    def stale(self, now: float) -> bool:
        return not self.token or now >= self.ends

    def renewal(self, now: float) -> Renewal:
        signed = Signed({"authorization": f"Basic {self.secrets['key'].reveal()}"})
        return Renewal(self.base_url, HTTPRequest("/token", b"{}"), signed)

    def renewed(self, status: int, body: bytes, now: float) -> None:
        if status != 200:
            raise Refused(f"HTTP {status}")
        said = json.loads(body)
        self.token, self.ends = said["token"], now + said["seconds"]

    def drop(self, code: str | None) -> bool:
        self.ends = 0.0
        return True
