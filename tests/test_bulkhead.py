"""Room for calls in flight: who waits for a turn, for how long, and that none is ever lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from llmswitch import AsyncClient, Client, DeadlineExceeded, LocalOverload
from llmswitch._bulkhead import Bulkhead, Turn
from tests.everyday import examples

ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}


def config(*names: str, **settings: Any) -> dict[str, Any]:
    provider = {"dialect": "openai", "base_url": "http://vendor.local/v1", **settings}
    return {
        "providers": {name: {**provider, "base_url": f"http://{name}.local/v1"} for name in names},
        "chains": {"c": {"targets": [f"{name}:m" for name in names]}},
        "default": "c",
    }


class Slow(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers after a while, and knows how many requests it had at once, by host."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self._lock = threading.Lock()

    def _count(self, request: httpx.Request, by: int) -> httpx.Response:
        with self._lock:
            host = request.url.host
            self.now[host] = self.now.get(host, 0) + by
            self.most[host] = max(self.most.get(host, 0), self.now[host])
        return httpx.Response(200, json=ANSWER)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._count(request, 1)
        threading.Event().wait(self.seconds)
        return self._count(request, -1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._count(request, 1)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            answer = self._count(request, -1)
        return answer


# The bookkeeping


@examples(
    20, 100, st.lists(st.tuples(st.sampled_from(["enter", "leave", "wait", "give_up"]), st.integers(0, 5)), max_size=60)
)
def test_no_place_is_lost_or_doubled(steps: list[tuple[str, int]]) -> None:
    """Whatever comes in whatever order: never more in flight than allowed, and nobody waits while there is room."""
    bulkhead, inside, waiting = Bulkhead(2), 0, list[Turn]()
    for what, which in steps:
        if what == "enter":
            inside += bulkhead.enter()
        elif what == "leave" and inside:
            inside -= 1
            bulkhead.leave()
        elif what == "wait" and bulkhead.full:
            waiting.append(bulkhead.wait())
        elif what == "give_up" and waiting:
            bulkhead.give_up(waiting.pop(which % len(waiting)))
        for turn in [turn for turn in waiting if turn.granted and which % 2]:
            assert bulkhead.enter(turn)
            inside += 1
            waiting.remove(turn)
        granted = sum(turn.granted for turn in waiting)
        assert inside + granted == bulkhead.flying <= 2
        assert bulkhead.flying == 2 or not [turn for turn in waiting if not turn.granted]


def test_turns_come_in_order() -> None:
    """First come, first served; who is not there any more is passed over."""
    bulkhead, woken = Bulkhead(1), list[int]()
    assert bulkhead.enter()

    def noting(number: int, *, there: bool) -> Callable[[], bool]:
        return lambda: woken.append(number) is None and there

    turns = [bulkhead.wait() for _ in range(3)]
    for number, turn in enumerate(turns):
        turn.wake = noting(number, there=number != 0)
    bulkhead.leave()
    assert [0, 1] == woken
    assert [False, True, False] == [turn.granted for turn in turns]
    bulkhead.give_up(turns[1])
    assert [0, 1, 2] == woken


# The client


def test_threads_wait_for_their_turn() -> None:
    """With max_in_flight = 2, ten threads are answered, two at a time."""
    vendor = Slow()
    client = Client.from_config(config("a", max_in_flight=2), http_client=vendor)
    queued: list[float | None] = []
    threads = [
        threading.Thread(target=lambda: queued.append(client.chat("Hi").attempts[0].queued_ms)) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"a.local": 2} == vendor.most
    assert (10, 2) == (len(queued), queued.count(None))
    assert 0 == client.health()[0].in_flight


def test_tasks_wait_for_their_turn() -> None:
    """The same in an event loop, where tasks that are cancelled while they wait keep nobody waiting."""

    async def main() -> tuple[int, int]:
        vendor = Slow()
        client = AsyncClient.from_config(config("a", max_in_flight=2), http_client=vendor)
        tasks = [asyncio.create_task(client.chat("Hi")) for _ in range(12)]
        await asyncio.sleep(0.02)
        for task in tasks[1:6]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert {"a.local": 2} == vendor.most
        assert 0 == client.health()[0].in_flight
        cancelled = sum(isinstance(each, asyncio.CancelledError) for each in done)
        return cancelled, sum(not isinstance(each, BaseException) for each in done)

    assert (5, 7) == asyncio.run(main())


@pytest.fixture
def short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for 0.1 s."""
    from llmswitch._policy import Policy

    original = Policy.from_config
    monkeypatch.setattr(
        Policy,
        "from_config",
        classmethod(lambda _cls, config: _with_pool(original(config))),  # type: ignore[arg-type]
    )


def _with_pool(policy: Any) -> Any:

    return policy._replace(pool=0.1)


@pytest.mark.usefixtures("short_queue")
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another target"])
def test_a_full_target_is_waited_for_and_then_left(others: int) -> None:
    """After its time in the queue a call goes to the next target; where there is none it says what was full."""
    vendor = Slow(0.5)
    names = ["a", "b"][: 1 + others]
    client = Client.from_config(config(*names, max_in_flight=1), http_client=vendor)
    first = threading.Thread(target=lambda: client.chat("Hi"))
    first.start()
    while not vendor.now.get("a.local"):
        threading.Event().wait(0.001)
    began = monotonic()
    if others:
        reply = client.chat("Hi")
        assert ("b", "LocalOverload") == (reply.provider, reply.attempts[0].error)
        assert reply.attempts[0].skipped_because is not None
    else:
        with pytest.raises(LocalOverload, match="max_in_flight") as caught:
            client.chat("Hi")
        assert (None, False) == (caught.value.retry_after, caught.value.possibly_billed)
    assert 0.1 <= monotonic() - began - (0.5 if others else 0.0) < 0.4
    first.join()
    assert ["ok"] * len(names) == [shown.state for shown in client.health()]


def test_the_callers_limit_bounds_the_wait() -> None:
    """A call with a limit of 0.1 s does not wait for 2 s."""
    vendor = Slow(0.5)
    client = Client.from_config(config("a", max_in_flight=1), http_client=vendor)
    first = threading.Thread(target=lambda: client.chat("Hi"))
    first.start()
    while not vendor.now.get("a.local"):
        threading.Event().wait(0.001)
    began = monotonic()
    with pytest.raises((LocalOverload, DeadlineExceeded)):
        client.chat("Hi", timeout=0.1)
    assert monotonic() - began < 0.4
    first.join()
