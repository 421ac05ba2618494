"""Processes that count together in a store in memory, and a Redis of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmswitch import _question, _shared_counters
from tests.allowance.play import Clock, MemoryCounterStore, Process
from tests.store.conftest import redis_server  # noqa: F401 - a fixture
from tests.store.redis_server import RedisServer, Worker


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryCounterStore:
    """What all processes of a test count in."""
    return MemoryCounterStore(clock)


@pytest.fixture
def process(store: MemoryCounterStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Process]:
    """Starts one of several processes, whose rounds are made by hand; no call waits for an answer that is not there."""
    monkeypatch.setattr(_shared_counters, "monotonic", lambda: clock.now / 1000)
    for name in ("EXACT", "PATIENCE", "LONGEST"):
        monkeypatch.setattr(_question, name, 0.0)
    numbers = iter(range(100))

    def started(**given: Any) -> Process:
        return Process(store, clock, f"process {next(numbers)}", **given)

    return started


class CountingWorker(Worker):
    """A process with counters of its own; a method of `worker.py` for each order."""

    script = Path(__file__).with_name("worker.py")


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:  # noqa: F811
    """A Redis that runs."""
    redis_server.start()
    return redis_server


@pytest.fixture
def worker() -> Iterator[Callable[..., Worker]]:
    """Starts a process that counts in a store."""
    workers: list[Worker] = []

    def started(url: str, **given: Any) -> Worker:
        workers.append(CountingWorker(url, **given))
        return workers[-1]

    yield started
    for each in workers:
        each.kill()
