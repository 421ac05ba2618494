"""The gate before every route: without a key nothing is to be seen, not even which routes there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from llmswitch._json import dumps

from .keys import ANYBODY, KeyRing, presented

__all__ = ["ASGI", "CALLER", "Gate", "Receive", "Scope", "Send", "answer_json", "is_loopback", "said"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "llmswitch.caller"
OPEN = "/health"  # the one route without a key: it says nothing but that the process is there

_SECRET = (b"authorization", b"x-api-key", b"cookie")


def said(kind: str, code: str, message: str) -> dict[str, Any]:
    """An error in words that the SDKs of both OpenAI and Anthropic read."""
    error = {"type": kind, "code": code, "param": None, "message": message}
    return {"type": "error", "error": error}


_UNKNOWN = said(
    "authentication_error", "invalid_api_key", "no valid key: send it as Authorization: Bearer or x-api-key"
)
_ELSEWHERE = said(
    "permission_error", "host_refused", "without a key this gateway is asked as localhost alone; configure one"
)


class Gate:
    """
    Lets those through that show a key of the ring, and takes the key off the request.

    Where the ring is empty everybody on this machine may pass; a page in a browser that was led here under another
    host's name may not. `people`: a browser may ask a person for the key, as the password of any name.
    """

    def __init__(self, app: ASGI, ring: KeyRing, *, people: bool = False) -> None:
        self._app = app
        self._ring = ring
        self._people = people

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # there are no others: a websocket that is not accepted is closed
        if scope["path"] == OPEN:
            caller = ANYBODY
        elif self._ring:
            known = (self._ring.find(key) for key in presented(scope["headers"], basic=self._people))
            found = next((key for key in known if key is not None), None)
            if found is None:
                way = 'Basic realm="llmswitch: any name, and the key as password"' if self._people else "Bearer"
                await answer_json(send, 401, _UNKNOWN, {"www-authenticate": way})
                return
            caller = found
        elif not _asked_here(scope):
            await answer_json(send, 403, _ELSEWHERE)
            return
        else:
            caller = ANYBODY
        headers = [(name, value) for name, value in scope["headers"] if name not in _SECRET]
        await self._app({**scope, "headers": headers, CALLER: caller}, receive, send)


def _asked_here(scope: Scope) -> bool:
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return len(hosts) == 1 and is_loopback(_without_port(hosts[0]))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's alone."""
    from ipaddress import ip_address

    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def answer_json(send: Send, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    """A whole answer."""
    content = dumps(body)
    lines = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})
