"""
Zhipu's key as a token of three and a half minutes, for those who do not want to send the secret.

Source: zai-sdk 0.2.3 with PyJWT, 2026-11-23. Times are in milliseconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Signed
from llmswitch._errors import ConfigError
from llmswitch._json import dumps
from llmswitch._secrets import Secret

__all__ = ["SignedKey", "token"]

_LIFE = 210  # seconds; the SDK's own


def token(key_id: str, secret: str, now: float, life: float = _LIFE) -> str:
    """The token for a key of the form `id.secret`."""
    milliseconds = round(now * 1000)
    head = {"alg": "HS256", "sign_type": "SIGN", "typ": "JWT"}
    claims = {"api_key": key_id, "exp": milliseconds + round(life * 1000), "timestamp": milliseconds}
    text = f"{_base64(dumps(head))}.{_base64(dumps(claims))}"
    return f"{text}.{_base64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SignedKey(Credential):
    """
    Each request has a token of its own, made from the key. Raises `ConfigError` for a key of another form.

    `prefix`: what stands before it in the header. `expire_in_seconds`: how long it lasts.
    """

    def __init__(self, secrets: Mapping[str, Secret], base_url: str, options: Mapping[str, Any]) -> None:
        super().__init__(secrets, base_url, options)
        key_id, _, secret = secrets["key"].reveal().partition(".")
        form_is_right = bool(key_id) and bool(secret) and "." not in secret
        del key_id, secret
        if not form_is_right:
            raise ConfigError(f"{secrets['key'].source}: only a key of the form id.secret can be signed with")

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:  # noqa: ARG002
        key_id, _, secret = self.secrets["key"].reveal().partition(".")
        made = token(key_id, secret, now, self.options.get("expire_in_seconds", _LIFE))
        return Signed({"authorization": f"{self.options.get('prefix', 'Bearer ')}{made}"})
