"""Processes that share a store, and a Redis of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.store.play import Clock, MemoryStore, Process
from tests.store.redis_server import RedisServer, Worker, redis_server_in


@pytest.fixture
def clock() -> Clock:
    """Starts away from 0, so that a forgotten default shows."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    """What all processes of a test share."""
    return MemoryStore(clock)


@pytest.fixture
def process(store: MemoryStore, clock: Clock) -> Callable[..., Process]:
    """Starts one of several processes."""

    def started(**given: Any) -> Process:
        return Process(store, clock, **given)

    return started


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, with nothing in it; not yet started."""
    server = redis_server_in(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def worker() -> Iterator[Callable[..., Worker]]:
    """Starts a process that shares its health through a store."""
    workers: list[Worker] = []

    def started(url: str, **given: Any) -> Worker:
        workers.append(Worker(url, **given))
        return workers[-1]

    yield started
    for each in workers:
        each.kill()
