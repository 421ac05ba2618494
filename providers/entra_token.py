"""
Entra ID tokens, by which Microsoft's clouds know an application: fetched with its secret, and renewed before they end.

Source: Microsoft's documentation of the client credentials flow (v2.0 endpoint) and of the scopes of Azure OpenAI,
stored pages; azure-identity 1.25.1 (authority, form of the request); 2026-11-27.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Renewal
from llmswitch._errors import ConfigError
from llmswitch._secrets import Secret
from llmswitch.providers.fetched_token import FetchedToken

__all__ = ["EntraToken"]

_AUTHORITY = "https://login.microsoftonline.com"
_SCOPE = "https://cognitiveservices.azure.com/.default"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")  # an id, or a domain
_OWN = re.compile(r"(?:^|\.)(?:azure\.com|azure\.us|azure\.cn)$")


class EntraToken(FetchedToken):
    """
    A bearer token of an application (a service principal).

    `authority`: who gives it, for a national cloud; `scope`: what it is for. Raises `ConfigError` for a tenant that is
    no name, and for another host than Microsoft's where no authority is named either.
    """

    parts: ClassVar[tuple[str, ...]] = ("tenant_id", "client_id", "client_secret")
    shown: ClassVar[tuple[str, ...]] = ("tenant_id", "client_id")
    granted: ClassVar[bytes] = b'{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ0eXAiOiJKV1QifQ.e30.c2ln"}'
    early: ClassVar[float] = 300.0  # azure-identity's own

    def __init__(self, secrets: Mapping[str, Secret], base_url: str, options: Mapping[str, Any]) -> None:
        super().__init__(secrets, base_url, options)
        if not _TENANT.fullmatch(secrets["tenant_id"].reveal()):
            raise ConfigError("tenant_id has to be the tenant's id, or one of its domains")
        host = (urlsplit(base_url).hostname or "").lower()
        if not _OWN.search(host) and "authority" not in options:
            raise ConfigError("an Entra token is for Microsoft's own hosts; for a gateway of your own give an api_key")

    def renewal(self, now: float) -> Renewal:  # noqa: ARG002
        form = {
            "grant_type": "client_credentials",
            "client_id": self.secrets["client_id"].reveal(),
            "client_secret": self.secrets["client_secret"].reveal(),
            "scope": self.options.get("scope", _SCOPE),
        }
        path = f"/{self.secrets['tenant_id'].reveal()}/oauth2/v2.0/token"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return Renewal(self.options.get("authority", _AUTHORITY), HTTPRequest(path, urlencode(form).encode(), headers))
