"""What a host in a configuration really is: an IP address in one of its spellings, a private one, or a trap."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

__all__ = ["IPAddress", "ip_address", "is_metadata", "is_odd_spelling", "is_private", "server_address", "split"]

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services answer any caller on the machine with its credentials; no model is served there.
# From the clouds' documentation, gathered 2026-11-23.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",  # most of them
        "169.254.170.2",  # credentials of a container
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata"})
_NUMBER = r"0x[0-9a-f]*|[0-9]+"
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def split(url: str) -> SplitResult | None:
    """The parts of an address, `None` where it is not one. What `urlsplit` would leave out in silence is refused."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


_PORTS = {"http": 80, "https": 443}


def server_address(told: str, usual: str) -> str:
    """
    The base URL of a server from what the server itself was told: a host or a port may be all of it, and one that
    listens everywhere is asked on this machine. `usual` is its base URL where nothing was said.

    An address that can be none comes back as it is, to be refused as one.
    """
    scheme, found, rest = told.strip().rpartition("://")
    parts, default = split(f"{scheme or 'http'}://{rest}"), urlsplit(usual)
    if parts is None or "@" in rest or "?" in rest or "#" in rest:
        return told
    host = parts.hostname or ""
    address = ip_address(host)
    if not host or (address is not None and address.is_unspecified):
        host = "127.0.0.1"
    port = parts.port or (_PORTS.get(parts.scheme) if found else default.port)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path.rstrip('/')}{default.path}"


def ip_address(host: str) -> IPAddress | None:
    """The address that a host is written as, `None` for a name. IPv6 may stand in brackets."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def is_odd_spelling(host: str) -> bool:
    """Whether resolvers take it for an IPv4 address though it is not four decimal numbers (0x7f.1, 017700000001)."""
    return ip_address(host) is None and all(re.fullmatch(_NUMBER, part) for part in host.lower().split("."))


def is_metadata(host: str) -> bool:
    """Whether the host is a cloud's metadata service, by name or address, also as IPv6 translates the address."""
    address = ip_address(host)
    if address is None:
        return host.lower().rstrip(".") in _METADATA_NAMES
    return any(each in _METADATA for each in _within(address))


def is_private(host: str) -> bool:
    """Whether the host is this machine or in a private network: by its address, or a name that nobody else resolves."""
    address = ip_address(host)
    if address is not None:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_private
    return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host


def _within(address: IPAddress) -> Iterator[IPAddress]:
    """The address, and the IPv4 addresses that it leads to: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    yield ipaddress.IPv6Address(int(address))  # without its zone
    yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
    if address in _COMPATIBLE or any(address in network for network in _NAT64):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
