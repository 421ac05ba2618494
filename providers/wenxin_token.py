"""
The access token of Baidu's older API: OAuth client credentials, in the query of each request.

Sources, 2026-11-23: qianfan 0.4.12.3 (token request, codes, the 10 s by which it is early); the vendor's Java SDK for
`aip.baidubce.com` and several programs of others send id and secret as a form, which keeps them out of the address. No
header that carries the token was found.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote, urlencode

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Refused, Renewal, Signed
from llmswitch._errors import ConfigError
from llmswitch._json import JSONInvalid, loads
from llmswitch._secrets import Secret

__all__ = ["AccessToken"]

_PATH = "/oauth/2.0/token"
_EARLY = 60.0  # seconds before its end at which a token is no longer used
_LIFE = 2_592_000.0  # what the vendor gives, and the most that is believed: 30 days
_RENEWABLE = frozenset({"100", "110", "111"})  # missing, invalid, expired


class AccessToken(Credential):
    """
    A token that is fetched with the application's id and secret, and lasts for 30 days.

    `secrets_in` is `form`, or `query` as the vendor's Python SDK has it.
    """

    parts: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")
    granted: ClassVar[bytes] = b'{"access_token":"24.0123456789abcdef","expires_in":2592000}'
    _token: tuple[Secret, float] | None = None
    _dropped = False

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:  # noqa: ARG002
        token = self._token
        return Signed(query=f"access_token={quote(token[0].reveal(), safe='')}" if token is not None else "")

    def stale(self, now: float) -> bool:
        token = self._token
        return token is None or self._dropped or now >= token[1] - _EARLY

    def renewal(self, now: float) -> Renewal:  # noqa: ARG002
        fields = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self.secrets["client_id"].reveal(),
                "client_secret": self.secrets["client_secret"].reveal(),
            }
        )
        if self.options.get("secrets_in", "form") == "query":
            return Renewal(self.base_url, HTTPRequest(_PATH, b""), Signed(query=fields))
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return Renewal(self.base_url, HTTPRequest(_PATH, fields.encode(), headers))

    def renewed(self, status: int, body: bytes, now: float) -> None:
        try:
            said = loads(body)
        except JSONInvalid:
            raise Refused(f"HTTP {status}, and no JSON") from None
        said = said if isinstance(said, dict) else {}
        token, life = said.get("access_token"), said.get("expires_in")
        if not isinstance(token, str):
            # the description names what is wrong: "unknown client id", "Client authentication failed"
            words = [str(said[name])[:80] for name in ("error", "error_description") if said.get(name)]
            raise Refused(f"HTTP {status}: {', '.join(words) or 'there is none in the answer'}")
        seconds = min(float(life), _LIFE) if isinstance(life, (int, float)) and life > 0 else _LIFE
        try:
            self._token = Secret(token, "the vendor's access token"), now + seconds
        except ConfigError:
            raise Refused("what it gives can't stand in an address") from None
        self._dropped = False

    def drop(self, code: str | None) -> bool:
        if code not in _RENEWABLE:
            return False
        self._dropped = True
        return True
