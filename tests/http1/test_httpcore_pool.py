"""The pool of httpx as it is used here: who gets which connection, and how few of them are asked for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpcore
import pytest

from llmswitch._httpcore_pool import sparing


class Line:
    """A connection, with what was asked of its socket."""

    def __init__(self, origin: str = "a", *, idle: bool = True, expired: bool = False) -> None:
        self.origin, self.idle, self.expired = origin, idle, expired
        self.closed = False
        self.asked = 0

    def is_closed(self) -> bool:
        return self.closed

    def is_idle(self) -> bool:
        return self.idle

    def is_available(self) -> bool:
        return self.idle

    def has_expired(self) -> bool:
        self.asked += 1
        return self.expired

    def can_handle_request(self, origin: str) -> bool:
        return origin == self.origin


class Request:
    """A request in the pool's queue."""

    def __init__(self, origin: str = "a", connection: Any = None) -> None:
        self.request = SimpleNamespace(url=SimpleNamespace(origin=origin))
        self.connection = connection

    def is_queued(self) -> bool:
        return self.connection is None

    def assign_to_connection(self, connection: Any) -> None:
        self.connection = connection


def pool(lines: list[Line], requests: list[Request], most: int = 10, kind: Any = httpcore.ConnectionPool) -> Any:
    made = kind(max_connections=most)
    sparing(made)
    made._connections, made._requests = list(lines), requests
    made.create_connection = Line
    return made


@pytest.mark.parametrize("kind", [httpcore.ConnectionPool, httpcore.AsyncConnectionPool, httpcore.HTTPProxy])
def test_it_is_still_the_librarys(kind: Any) -> None:
    """What knows the library's classes, to patch or to trace them, finds them in it."""
    made = kind(proxy_url="http://p:1") if kind is httpcore.HTTPProxy else kind()
    before = type(made)
    sparing(made)
    assert isinstance(made, before)
    assert "ConnectionPool" in repr(made) or "HTTPProxy" in repr(made)
    assert before._assign_requests_to_connections is not type(made)._assign_requests_to_connections


def test_few_are_asked() -> None:
    """Of a hundred idle connections a request asks the oldest, and the youngest, which it gets; going, it asks none."""
    lines = [Line() for _ in range(100)]
    request = Request()
    made = pool(lines, [request])
    assert [] == made._assign_requests_to_connections()
    assert request.connection is lines[-1]
    made._requests.clear()
    assert [] == made._assign_requests_to_connections()
    assert [1, *[0] * 98, 1] == [line.asked for line in lines]


def test_what_has_ended_is_not_used() -> None:
    """An expired connection is closed where it is met, a closed one is forgotten, and a new one is made."""
    closed, busy, old, new = Line(), Line(idle=False), Line(expired=True), Line(expired=True)
    closed.closed = True
    request = Request()
    made = pool([closed, old, busy, new], [request, Request(connection=busy)])
    assert [old, new] == made._assign_requests_to_connections()
    assert [busy, request.connection] == made._connections
    assert request.connection not in (closed, old, busy, new)


def test_one_that_is_promised_is_nobody_elses() -> None:
    """A connection that a request has got, and has not begun to use, is not given to the next one."""
    line = Line()
    second = Request()
    made = pool([line], [Request(connection=line), second])
    made._assign_requests_to_connections()
    assert second.connection is not line
    assert 2 == len(made._connections)


def test_no_more_than_it_may_have() -> None:
    """Where there is no room a request waits for a connection that comes back; one to elsewhere makes room for it."""
    busy, elsewhere = Line(idle=False), Line("b")
    first, second = Request(), Request()
    made = pool([busy, elsewhere], [Request(connection=busy), first, second], most=2)
    assert [elsewhere] == made._assign_requests_to_connections()
    assert isinstance(first.connection, Line)
    assert second.connection is None
    made._requests.pop(0)
    busy.idle = True
    assert [] == made._assign_requests_to_connections()
    assert second.connection is busy


def test_one_that_is_built_otherwise() -> None:
    """A pool without these names is left as it is."""
    made = SimpleNamespace(_connections=[])
    sparing(made)
    assert SimpleNamespace is type(made)
