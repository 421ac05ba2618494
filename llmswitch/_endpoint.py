"""Where requests go: an address that was checked, the headers that go with it, and whose account it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ._addresses import ip_address, is_metadata, is_odd_spelling, is_private, split
from ._errors import ConfigError
from ._provider import AuthSpec
from ._secrets import Secret

if TYPE_CHECKING:
    from ._classify import ErrorRules
    from ._credential import Credential
    from ._proxies import Proxy

__all__ = ["Address", "Endpoint", "check_base_url"]

_HOST = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


@dataclass(slots=True, frozen=True)
class Address:
    """A base URL without a trailing slash, and the headers that carry the key, ready to be sent."""

    base_url: str
    auth_headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Address({self.base_url})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an Address holds a key and can't be pickled")


@dataclass(slots=True, eq=False)
class Endpoint:
    """
    One account at one site. Connections, and what is learnt of its health, belong to it.

    `credential` proves whose the requests are, where that takes more than a key in a header.
    `idempotency_header` is the header by which the server knows a request that is repeated, where it has one.
    `max_in_flight` bounds the calls of this process that the account has in flight at a time, where that is configured.
    `follow_redirects`: a redirect that stays at this origin is followed.
    `start` brings up a server on this machine where the endpoint is one, and says where it is. It may block.
    `rules`: how failures there are classified, once one has happened.
    """

    provider: str
    site: str
    base_url: str
    jurisdiction: str
    headers: Mapping[str, str]
    account: str
    auth: AuthSpec | None = None
    secret: Secret | None = None
    proxy: Proxy | None = None
    credential: Credential | None = None
    idempotency_header: str | None = None
    max_in_flight: int | None = None
    follow_redirects: bool = False
    start: Callable[[], Address] | None = None
    rules: ErrorRules | None = None
    _address: Address | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port: what connections are pooled by, and what a key is bound to."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def own(self) -> bool:
        """Whether it is a server on this machine or in a private network, which nobody bills."""
        host = (urlsplit(self.base_url).hostname or "").lower()
        return self.start is not None or is_private(host)

    def address(self) -> Address:
        """Where to send, now. Starts the server first, where there is one to start."""
        if self.start is not None:
            return self.start()
        if self._address is None:
            headers = (
                {self.auth.header: f"{self.auth.prefix}{self.secret.reveal()}"}
                if self.secret is not None and self.auth is not None
                else {}
            )
            self._address = Address(self.base_url, headers)
        return self._address

    def beside(self, base_url: str) -> Endpoint:
        """
        Another address of the same vendor's, reached in the same way, without a key; a cloud's metadata service, which
        is on this machine, without a proxy.
        """
        proxy = None if is_metadata((urlsplit(base_url).hostname or "").lower()) else self.proxy
        return Endpoint(self.provider, self.site, base_url, self.jurisdiction, {}, self.account, proxy=proxy)

    def __repr__(self) -> str:
        return f"Endpoint({self.provider}, {self.site}, {self.base_url})"


def check_base_url(url: str, where: str, *, allow_insecure: bool = False) -> str:
    """
    A base URL that a key may be sent to, without its trailing slash.

    Plain http is taken for this machine and for private addresses; for any other only with `allow_insecure`. Raises
    `ConfigError` for what hides where the key really goes.
    """
    parts = split(url)
    if parts is None:
        raise ConfigError(f"{where}: base_url has a host or a port that can't be one")
    if parts.scheme not in ("https", "http"):
        raise ConfigError(f"{where}: base_url must begin with https:// (or http:// for a server of your own)")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ConfigError(f"{where}: base_url must not hold a user name or password; keys go into api_key")
    if parts.query or parts.fragment or "#" in url or "?" in url:
        raise ConfigError(f"{where}: base_url must not hold ? or #")
    host = (parts.hostname or "").lower()
    if ip_address(host) is None and not re.match(_HOST, host):
        raise ConfigError(f"{where}: base_url has no valid host name")
    if is_odd_spelling(host):
        raise ConfigError(f"{where}: base_url hides an address; write it as four decimal numbers")
    if is_metadata(host):
        raise ConfigError(f"{where}: base_url is a cloud metadata address, which is never asked")
    if parts.scheme == "http" and not allow_insecure and not is_private(host):
        raise ConfigError(
            f"{where}: base_url is http:// to a public host, where anybody on the way reads the key; use https://, or "
            "set allow_insecure = true"
        )
    return url.rstrip("/")
