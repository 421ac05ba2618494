"""Connections whose request does not arrive: uvicorn itself would keep them for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["Arriving"]

HEAD_SECONDS = 30.0  # for the head of a request to be whole, from the first byte or the opening of the connection


class Arriving(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # which of two classes it is depends on what is installed
    """Ends a connection that stays silent, or says its head byte by byte, before anybody has shown a key."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """From now on a request is waited for."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """More of it has come."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more is waited for."""
        self._leave_off()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Begins once for each head, and is not begun anew by each byte of it."""
        if not self._waits():
            self._leave_off()
        elif self._late is None:
            self._late = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._end)

    def _waits(self) -> bool:
        cycle = self.cycle
        return cycle is None or bool(cycle.response_complete)

    def _leave_off(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self) -> None:
        self._late = None
        if self._waits():
            self.transport.close()
