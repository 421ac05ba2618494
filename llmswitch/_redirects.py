"""Redirects are never followed, but for one that stays at its own origin, where a provider's configuration says so."""

from __future__ import annotations

from urllib.parse import urljoin

from ._addresses import split
from ._endpoint import Endpoint
from ._wire import Opened

__all__ = ["MOST_REDIRECTS", "redirected"]

MOST_REDIRECTS = 3
_KEEPS_THE_BODY = frozenset({307, 308})  # the others turn a question into a request for a page


def redirected(opened: Opened, endpoint: Endpoint, url: str) -> str | None:
    """
    Where the answer to a request to `url` sends it, or `None` where that is not followed.

    What comes back begins with the endpoint's own scheme, host and port, whatever the vendor wrote: a key belongs to
    one origin. A request that is signed is signed for its path.
    """
    if not endpoint.follow_redirects or endpoint.credential is not None or opened.status not in _KEEPS_THE_BODY:
        return None
    location = opened.headers.get("location", "")
    if not location or split(location) is None:
        return None
    parts, own = split(urljoin(url, location)), split(endpoint.origin)
    if parts is None or own is None or "@" in parts.netloc:
        return None
    ports = {"http": 80, "https": 443}
    there, here = ((each.scheme, each.hostname, each.port or ports.get(each.scheme)) for each in (parts, own))
    if there != here:
        return None
    return endpoint.origin + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
