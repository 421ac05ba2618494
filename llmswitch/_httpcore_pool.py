"""
Who gets which connection of a pool of httpcore's.

Its own way, whenever a request comes or goes, asks the socket of every idle connection whether it is still there, and
counts all of them for each: a hundred calls at once cost several times what they do one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["sparing"]

_PRIVATE = ("_assign_requests_to_connections", "_connections", "_max_connections", "_requests", "create_connection")


def sparing(pool: Any) -> None:
    """
    Have a pool, which may keep as many idle connections as it may have at all, ask those alone that it is about to use.

    One that is not built as it was goes its own way, which takes longer and is no less right.
    """
    if all(hasattr(pool, name) for name in _PRIVATE):
        pool.__class__ = _kind(pool.__class__)


@cache
def _kind(of: Any) -> type:
    own = {"_assign_requests_to_connections": _Sparing._assign_requests_to_connections, "__module__": of.__module__}  # noqa: SLF001
    return type(of.__name__, (of,), own)


class _Sparing:
    """What a pool does otherwise. (Its class can't be a base: a pool that is there can't change its layout.)"""

    _requests: list[Any]
    _connections: list[Any]
    _max_connections: int
    create_connection: Callable[[Any], Any]

    def _assign_requests_to_connections(self) -> list[Any]:
        """
        Give the requests that wait a connection, as far as there are any; those that are to be closed. The pool's lock
        is held.
        """
        taken = {request.connection for request in self._requests}
        kept = [each for each in self._connections if not each.is_closed()]
        idle = [each for each in kept if each not in taken and each.is_idle()]
        waiting = [request for request in self._requests if request.is_queued()]
        closing = []
        if waiting and len(idle) > 1 and idle[0].has_expired():  # the oldest: the youngest are the ones that are used
            closing.append(idle.pop(0))
        for request in waiting:
            origin, found = request.request.url.origin, None
            while idle and found is None:
                found = idle.pop()
                if found.has_expired() or not (found.can_handle_request(origin) and found.is_available()):
                    closing.append(found)
                    found = None
            if found is None and len(kept) - len(closing) < self._max_connections:
                found = self.create_connection(origin)
                kept.append(found)
            if found is not None:
                request.assign_to_connection(found)
        self._connections = [each for each in kept if each not in closing] if closing else kept
        return closing
