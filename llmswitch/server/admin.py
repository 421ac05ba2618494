"""The administration, on a port of its own: metrics, the status page, the drill switch."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from starlette.routing import BaseRoute, Router

from llmswitch._errors import ConfigError

from .answering import Gateway
from .app import Alive, Way, nowhere
from .gate import ASGI, Gate, Receive, Scope, Send, answer_json, said
from .keys import KeyRing
from .limits import Declined, Gone, read_json

__all__ = ["admin_app", "admin_routes"]

_MOST_BYTES = 64 * 1024
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def admin_routes(gateway: Gateway) -> list[BaseRoute]:
    """What there is to see and to switch."""
    return [
        Way("/metrics", _Metrics(gateway), methods=["GET"]),
        Way("/status", _Page(), methods=["GET"]),
        Way("/status.json", _Status(gateway), methods=["GET"]),
        Way("/drill", _Drill(gateway), methods=["GET", "PUT", "DELETE"]),
        Way("/health", Alive(gateway), methods=["GET"]),
    ]


def admin_app(gateway: Gateway) -> ASGI:
    """For whoever runs the gateway."""
    ring = KeyRing(key for key in gateway.settings.keys if key.admin)
    return Gate(Router(admin_routes(gateway), redirect_slashes=False, default=nowhere), ring, people=True)


async def _answer(send: Send, kind: str, content: bytes, headers: dict[str, str] | None = None) -> None:
    lines = {"content-type": kind, "content-length": str(len(content)), "cache-control": "no-store", **(headers or {})}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": content})


class _Metrics:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _answer(send, _METRICS, self._gateway.watch.metrics(self._gateway.client))


class _Status:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        room = self._gateway.room
        shown = self._gateway.watch.status(self._gateway.client)
        await answer_json(
            send, 200, {**shown, "in_flight": room.taken, "closing": room.closing}, {"cache-control": "no-store"}
        )


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy by which a browser runs its own script and nothing else."""
    page = Path(__file__).with_name("status.html").read_bytes()
    hashes = {}
    for kind in (b"script", b"style"):
        found = re.search(rb"<%b>(.*?)</%b>" % (kind, kind), page, re.DOTALL)
        assert found is not None
        hashes[kind] = base64.b64encode(hashlib.sha256(found[1]).digest()).decode("ascii")
    return page, (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src 'sha256-{hashes[b'script']}'; "
        f"style-src 'sha256-{hashes[b'style']}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class _Page:
    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        page, policy = _page()
        headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        await _answer(send, "text/html; charset=utf-8", page, headers)


class _Drill:
    """GET says which drill is on, PUT `{"PROVIDER": "FAULT"}` begins one, DELETE ends it."""

    def __init__(self, gateway: Gateway) -> None:
        self._client = gateway.client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem, status = None, 400
        try:
            if scope["method"] == "DELETE":
                self._client.rehearse({})
            elif scope["method"] == "PUT":
                self._client.rehearse(_faults(await read_json(scope, receive, _MOST_BYTES)))
        except Gone:
            return
        except Declined as declined:
            problem, status = declined.error.message, declined.status or 400
        except ConfigError as error:
            problem = error.message
        if problem is not None:
            await answer_json(send, status, said("invalid_request_error", "invalid_request", problem))
            return
        await answer_json(send, 200, {"drill": self._client.drilled})


def _faults(body: object) -> dict[str, str]:
    if not isinstance(body, dict) or not all(isinstance(fault, str) for fault in body.values()):
        raise ConfigError('the body is {"PROVIDER": "FAULT"}, such as the faults of LLMSWITCH_DRILL')
    return body
