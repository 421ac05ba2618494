"""The engine `httptools`: what the others take from their library, by the files of this folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .._engine import Engine
from .._wire import Content
from .request import Request, make_request

__all__ = ["HTTPToolsEngine"]


class HTTPToolsEngine(Engine):
    """It says what goes wrong in the words of httpcore, as its sockets do."""

    __slots__ = ()
    direct = True

    def request(
        self,
        method: str,
        url: str,
        query: str,
        headers: Mapping[str, str],
        content: Content,
        limits: Mapping[str, float],
    ) -> Request:
        return make_request(self.core, method, url, query, headers, content, limits)

    def transport(self, backend: Any, *, sync: bool, verify: Any, proxy: str | None, most: int, idle: float) -> Any:  # noqa: ARG002 - as many as there are calls: they are bounded elsewhere
        assert proxy is None, "a proxy is asked for its way by httpx"
        if sync:
            from .transport import Transport

            return Transport(self.core, backend, verify, idle)
        from .async_transport import AsyncTransport  # with asyncio

        return AsyncTransport(self.core, backend, verify, idle)

    @staticmethod
    def lost(transport: Any, calls: Collection[object]) -> int:  # noqa: ARG004 - as the others
        """None: it counts none as used."""
        return 0

    @staticmethod
    def unread(response: Any) -> bool | None:
        """Whether bytes came behind the answer."""
        unread: bool = response.answer.unread
        return unread

    def body(self, response: Any, *, sync: bool) -> Any:
        """The pieces of the body as they come."""
        return iter(response.stream) if sync else aiter(response.stream)
