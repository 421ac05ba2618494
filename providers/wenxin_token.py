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
from llmswitch._credential import Renewal, Signed
from llmswitch.providers.fetched_token import FetchedToken

__all__ = ["AccessToken"]

_PATH = "/oauth/2.0/token"


class AccessToken(FetchedToken):
    """
    A token that is fetched with the application's id and secret, and lasts for 30 days.

    `secrets_in` is `form`, or `query` as the vendor's Python SDK has it.
    """

    parts: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")
    granted: ClassVar[bytes] = b'{"access_token":"24.0123456789abcdef","expires_in":2592000}'
    usual: ClassVar[float] = 2_592_000.0
    longest: ClassVar[float] = usual
    refusals: ClassVar[frozenset[str] | None] = frozenset({"100", "110", "111"})  # missing, invalid, expired

    def signed(self, token: str) -> Signed:
        return Signed(query=f"access_token={quote(token, safe='')}")

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
