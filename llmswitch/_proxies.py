"""Proxies: one that the configuration names, or those that the environment names, where the configuration says so."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from ._addresses import ip_address, split
from ._errors import ConfigError
from ._scrub import remember

__all__ = ["EnvironmentProxies", "Proxy"]


class Proxy:
    """
    A proxy. Its repr and its name are scheme, host and port: who one is to the proxy is shown to nobody else.

    Raises `ConfigError` that names the place, and not the value, for what can't be the address of an HTTP proxy.
    """

    __slots__ = ("_url", "name", "scope")

    def __init__(self, url: str, where: str) -> None:
        problem = _problem(url)
        if problem is not None:
            del url
            raise ConfigError(f"{where}: {problem}")
        self._url = url
        parts = urlsplit(url)
        remember(unquote(parts.password or ""))
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        # some proxies choose the way by who asks
        self.scope = f"{self.name}#{hashlib.sha256(url.encode()).hexdigest()[:16]}" if "@" in url else self.name

    def reveal(self) -> str:
        """The whole URL, with the password."""
        return self._url

    def __repr__(self) -> str:
        return f"Proxy({self.name})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Proxy may hold a password and can't be pickled")


def _problem(url: str) -> str | None:
    parts = split(url)
    if parts is None or (parts.scheme in ("http", "https") and not parts.hostname):
        return "the proxy's host or port can't be one; write http://host:port"
    if parts.scheme not in ("http", "https"):
        return "the proxy's address must begin with http:// or https://"
    if parts.path.strip("/") or parts.query or parts.fragment:
        return "the proxy's address must end after its port; write http://host:port"
    return None


class EnvironmentProxies:
    """
    `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in small letters first, as they are now.

    Raises `ConfigError` that names the variable where one can't be read.
    """

    def __init__(self) -> None:
        self._proxies = {scheme: _from_environment(scheme) for scheme in ("http", "https")}
        self._exempt = tuple(_exemptions(os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""))

    def proxy(self, base_url: str) -> Proxy | None:
        """The proxy for requests to this address, `None` where they go straight."""
        parts = urlsplit(base_url)
        host = (parts.hostname or "").lower()
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if any(exempt.holds(host, port) for exempt in self._exempt):
            return None
        return self._proxies[parts.scheme]


def _from_environment(scheme: str) -> Proxy | None:
    names = [f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in os.environ:
        names = [name for name in names if name != "HTTP_PROXY"]  # in CGI it is a header of whoever asks (httpoxy)
    name = next((name for name in names if os.environ.get(name, "").strip()), None)
    if name is None:
        return None
    return Proxy(_with_scheme(os.environ[name].strip()), f"environment variable {name}")


def _with_scheme(value: str) -> str:
    """`host:port` alone is usual there."""
    return value if "://" in value else f"http://{value}"


# A host with or without a port; IPv6 has brackets where it has a port.
_ENTRY = r"(\[[^\]]+\]|[^:\[\]/]+)(?::(\d{1,5}))?"


class _Exempt:
    """
    One entry of NO_PROXY: a name with all beneath it, an address, a network, or `*`; the first two also with a port.

    Raises `ValueError` for what is none of them.
    """

    def __init__(self, entry: str) -> None:
        self.port: int | None = None
        self.network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
        found = re.fullmatch(_ENTRY, entry)
        host = found[1] if found is not None else entry
        if found is not None and found[2]:
            self.port = int(found[2])
        address = ip_address(host)
        if address is not None:
            host = str(address).partition("%")[0]  # an address of a link is the same on each
        if found is None or address is not None:
            self.network = ipaddress.ip_network(host, strict=False)
        self.name = host.lower().removeprefix("*").removeprefix(".")

    def holds(self, host: str, port: int) -> bool:
        """Whether requests to this host and port go straight."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = ip_address(host)
            return address is not None and address in self.network
        return not self.name or host == self.name or host.endswith(f".{self.name}")


def _exemptions(value: str) -> Iterator[_Exempt]:
    for entry in value.replace(",", " ").split():
        problem = None
        try:
            yield _Exempt(entry)
        except ValueError:
            problem = entry[:80]
        if problem is not None:
            raise ConfigError(f"environment variable NO_PROXY: {problem!r} is neither a host nor a network")
