"""Where requests go: an address that was checked, the headers that go with it, and whose account it is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ._errors import ConfigError
from ._provider import AuthSpec
from ._secrets import Secret

__all__ = ["Address", "Endpoint", "check_base_url"]

# Cloud metadata services answer any caller on the machine with its credentials; no model is served there.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
    )
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata"})
_HOST = re.compile(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")


@dataclass(slots=True, frozen=True)
class Address:
    """A base URL without a trailing slash, and the headers that carry the key, ready to be sent."""

    base_url: str
    auth_headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Address({self.base_url})"


@dataclass(slots=True, eq=False)
class Endpoint:
    """
    One account at one site. Connections, and what is learnt of its health, belong to it.

    `start` brings up a server on this machine where the endpoint is one, and says where it is. It may block.
    """

    provider: str
    site: str
    base_url: str
    jurisdiction: str
    headers: Mapping[str, str]
    account: str
    auth: AuthSpec | None = None
    secret: Secret | None = None
    proxy: str | None = None
    start: Callable[[], Address] | None = None
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
        return self.start is not None or _is_private(host, _as_address(host))

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

    def __repr__(self) -> str:
        return f"Endpoint({self.provider}, {self.site}, {self.base_url})"


def check_base_url(url: str, where: str, *, allow_insecure: bool = False) -> str:
    """
    A base URL that a key may be sent to, without its trailing slash.

    Plain http is taken for this machine and for private addresses; for any other only with `allow_insecure`. Raises
    `ConfigError` for what hides where the key really goes.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http"):
        raise ConfigError(f"{where}: base_url must begin with https:// (or http:// for a server of your own)")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ConfigError(f"{where}: base_url must not hold a user name or password; keys go into api_key")
    if parts.query or parts.fragment or "#" in url or "?" in url:
        raise ConfigError(f"{where}: base_url must not hold ? or #")
    host = (parts.hostname or "").lower()
    try:
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{where}: base_url has a port that is not a number up to 65535") from None
    address = _as_address(host)
    if address is None and not _HOST.match(host):
        raise ConfigError(f"{where}: base_url has no valid host name")
    if host in _METADATA_NAMES or (address is not None and _unmapped(address) in _METADATA):
        raise ConfigError(f"{where}: base_url is a cloud metadata address, which is never asked")
    if parts.scheme == "http" and not allow_insecure and not _is_private(host, address):
        raise ConfigError(
            f"{where}: base_url is http:// to a public host, where anybody on the way reads the key; use https://, or "
            "set allow_insecure = true"
        )
    return url.rstrip("/")


def _as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unmapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_private(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if address is not None:
        return _unmapped(address).is_private
    return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
