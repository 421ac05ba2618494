"""`client.batch`: many requests, few at a time, each result as it comes, and waits that are spent once."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import httpx
import pytest

from llmswitch import AsyncClient, BatchResult, Client, InvalidRequest, RateLimited, deadline
from llmswitch._bulk import Bulk
from llmswitch.testing import FakeVendor
from tests.rows import rows

CONFIG = {"providers": {"own": {"dialect": "openai", "base_url": "https://vendor.invalid/v1"}}}


def asked(request: httpx.Request) -> str:
    content: str = json.loads(request.content)["messages"][-1]["content"]
    return content


def answer(request: httpx.Request) -> httpx.Response:
    """Says again what it was asked."""
    message = {"role": "assistant", "content": asked(request)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return httpx.Response(200, json={"id": "1", "object": "chat.completion", "choices": [choice]})


def limited(seconds: str = "3") -> httpx.Response:
    return httpx.Response(429, headers={"retry-after": seconds}, json={"error": {"message": "slow down"}})


def client(vendor: FakeVendor) -> Client:
    return Client("own:m", config=CONFIG, http_client=vendor)


class Clock:
    """Time that jumps ahead where the batch would wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        self.waits: list[float] = []
        due = Bulk._due

        def spent(bulk: Bulk) -> float | None:
            seconds = due(bulk)
            if seconds and bulk.in_flight:
                return None
            if seconds:
                self.waits.append(round(seconds))
                self.ahead += seconds
                return 0.0
            return seconds

        monkeypatch.setattr(Bulk, "_due", spent)

    def __call__(self) -> float:
        return monotonic() + self.ahead

    def drive(self, client: Client, batch: Any) -> None:
        client._health._clock = self
        batch._clock = self
        check = batch._check

        def checked(*given: Any, **options: Any) -> Any:
            call = check(*given, **options)
            call.clock = self
            return call

        batch._check = checked


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def both(vendor: FakeVendor, requests: Any, **options: Any) -> list[list[BatchResult]]:
    """The results by the one client and by the other, each in the order of the requests."""

    async def gathered() -> list[BatchResult]:
        async with AsyncClient("own:m", config=CONFIG, http_client=vendor) as other:
            return [result async for result in other.batch(requests(), **options)]

    found = [list(client(vendor).batch(requests(), **options)), asyncio.run(gathered())]
    return [sorted(results, key=lambda result: result.index) for results in found]


def test_each_request_has_one_result_with_its_index_and_id() -> None:
    """A prompt, a mapping with a prompt or with messages; an id where one was given."""
    requests = ["a", {"id": "x", "prompt": "b"}, {"messages": [{"role": "user", "content": "c"}], "max_tokens": 5}]
    vendor = FakeVendor(answer)
    for results in both(vendor, lambda: requests, temperature=0.5):
        assert [(r.index, r.id, r.reply and r.reply.text) for r in results] == [
            (0, None, "a"),
            (1, "x", "b"),
            (2, None, "c"),
        ]
    third = next(json.loads(request.content) for request in vendor.requests if asked(request) == "c")
    assert (third["temperature"], third.get("max_completion_tokens", third.get("max_tokens"))) == (0.5, 5)


def test_a_wrong_request_is_the_error_of_its_result() -> None:
    """It costs no call, keeps its id, and does not end the batch."""
    requests = [{"id": "x"}, {"id": "y", "prompt": "a", "temprature": 1}, 7, {"id": "z", "prompt": "b"}]
    vendor = FakeVendor(answer)
    for results in both(vendor, lambda: requests):
        assert [(r.id, r.ok, type(r.error).__name__) for r in results] == [
            ("x", False, "InvalidRequest"),
            ("y", False, "InvalidRequest"),
            (None, False, "InvalidRequest"),
            ("z", True, "NoneType"),
        ]
    assert [asked(request) for request in vendor.requests] == ["b", "b"]


@rows(("name", "value"), [("concurrency", 0), ("concurrency", True), ("patience", float("inf"))])
def test_numbers_that_are_none_are_refused(name: str, value: Any) -> None:
    """Before a request is read."""
    with pytest.raises(InvalidRequest, match=name):
        client(FakeVendor(answer)).batch(iter([]), **{name: value})


def test_an_endless_source_is_read_only_as_far_as_there_is_room() -> None:
    """However slow the results are taken, what was read and not taken is never more than may be in flight."""
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield str(read)

    with client(FakeVendor(answer)).batch(source(), concurrency=5) as batch:
        for taken in range(1, 200):
            next(batch)
            assert read - taken <= 5
    assert list(batch) == []


def test_results_that_were_not_taken_count_as_in_flight() -> None:
    """Whoever dies with results in hand has at most `concurrency` requests to ask again."""

    async def run() -> None:
        vendor = FakeVendor(answer)
        async with AsyncClient("own:m", config=CONFIG, http_client=vendor) as other:
            batch = other.batch(map(str, range(60)), concurrency=4)
            for taken in range(60):
                assert len(vendor.requests) - taken <= 4
                await anext(batch)
                await asyncio.sleep(0.002)  # the writing of it, in which those in flight end

    asyncio.run(run())


def test_an_endless_asynchronous_source_likewise() -> None:
    """It is waited for without holding up the results that are there."""

    async def run() -> None:
        more = asyncio.Event()
        read = 0

        async def source() -> Any:
            nonlocal read
            for number in itertools.count():
                if number == 3:
                    await more.wait()
                read += 1
                yield str(number)

        async with AsyncClient("own:m", config=CONFIG, http_client=FakeVendor(answer)) as other:
            batch = other.batch(source(), concurrency=4)
            first = {(await anext(batch)).index for _ in range(3)}
            assert first == {0, 1, 2}
            more.set()
            for taken in range(4, 50):
                await anext(batch)
                assert read - taken <= 4
            await batch.aclose()

    asyncio.run(run())


def test_never_more_in_flight_than_asked_for() -> None:
    """Threads that wait at the vendor's are as many as `concurrency` says at the most, and reach it."""
    flying = most = 0
    lock = threading.Lock()
    go = threading.Barrier(3)

    def slow(request: httpx.Request) -> httpx.Response:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        go.wait(5)
        with lock:
            flying -= 1
        return answer(request)

    results = list(client(FakeVendor(slow)).batch(map(str, range(30)), concurrency=3))
    assert (len(results), all(result.ok for result in results), most) == (30, True, 3)


def test_a_wait_is_spent_once_and_nobody_fails(clock: Clock) -> None:
    """Four calls are throttled at once: all wait for the same moment, and the room is halved."""
    gate = threading.Barrier(4)
    count = itertools.count()

    def throttling(request: httpx.Request) -> httpx.Response:
        if next(count) < 4:
            gate.wait(5)
            return limited()
        return answer(request)

    vendor = FakeVendor(throttling)
    own = client(vendor)
    batch = own.batch(map(str, range(10)), concurrency=8)
    clock.drive(own, batch)
    texts = sorted(result.reply.text for result in batch if result.reply is not None)
    assert texts == sorted(map(str, range(10)))
    assert clock.waits == [3]
    assert len(vendor.requests) == 14


class Metered:
    """Takes so many requests in each minute, and says in every answer how many are left and until when."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self.clock, self.limit = clock, limit
        self.hosts: dict[str, tuple[int, int]] = {}
        self.refused = 0
        self._began = clock()
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        minute, second = divmod(self.clock() - self._began, 60)
        with self._lock:
            then, used = self.hosts.get(request.url.host, (minute, 0))
            used = (used if then == minute else 0) + 1
            self.hosts[request.url.host] = (int(minute), used)
            self.refused += used > self.limit
        response = answer(request) if used <= self.limit else limited()
        response.headers["x-ratelimit-limit-requests"] = str(self.limit)
        response.headers["x-ratelimit-remaining-requests"] = str(max(0, self.limit - used))
        response.headers["x-ratelimit-reset-requests"] = f"{60.01 - second:.3f}s"
        return response


def test_what_answers_say_of_limits_is_kept(clock: Clock) -> None:
    """Thirty requests at twenty a minute: nobody is refused, and the first half of a minute's goes at once."""
    vendor = Metered(clock, 20)
    own = client(FakeVendor(vendor))
    batch = own.batch(map(str, range(30)), concurrency=4)
    clock.drive(own, batch)
    assert [True] * 30 == [result.ok for result in batch]
    assert (0, True) == (vendor.refused, 55 < clock.ahead < 65)


@pytest.mark.parametrize("targets", [["a:m", "b:m"], [{"group": ["a:m", "b:m"], "by": "order"}]])
def test_who_is_not_due_is_asked_after_the_others(clock: Clock, targets: list[Any]) -> None:
    """The second target of a chain, or of a group, answers what the first has no room for, before anybody refuses."""
    vendor = Metered(clock, 20)
    providers = {name: {"dialect": "openai", "base_url": f"https://{name}.invalid/v1"} for name in "ab"}
    config = {"providers": providers, "chains": {"c": {"targets": targets}}, "default": "c"}
    own = Client.from_config(config, http_client=FakeVendor(vendor))
    batch = own.batch(map(str, range(30)), concurrency=4)
    clock.drive(own, batch)
    by = [(result.reply.provider, len(result.reply.attempts)) for result in batch if result.reply is not None]
    assert {("a", 1): True, ("b", 1): True} == {each: by.count(each) >= 10 for each in set(by)}
    assert (0, True, 30) == (vendor.refused, clock.ahead < 60, len(by))


def test_patience_ends(clock: Clock) -> None:
    """Who is throttled without end fails with the vendor's word; the others are not waited for anew, each by itself."""
    own = client(FakeVendor(lambda _request: limited("40")))
    batch = own.batch(map(str, range(6)), concurrency=1, patience=100)
    clock.drive(own, batch)
    results = list(batch)
    assert [type(result.error) for result in results] == [RateLimited] * 6
    assert sum(clock.waits) <= 120


def test_an_outage_is_waited_out(clock: Clock) -> None:
    """Once the breaker is open, requests wait for it; only those that had opened it have failed."""
    down = httpx.Response(500, json={"error": {"message": "broken"}})
    vendor = FakeVendor(lambda request: answer(request) if clock.ahead > 60 else down)
    own = client(vendor)
    batch = own.batch(map(str, range(40)), concurrency=2)
    clock.drive(own, batch)
    failed = [result for result in batch if not result.ok]
    assert 0 < len(failed) <= 6
    assert 60 < sum(clock.waits) < 120


def test_a_bound_of_ones_own_is_no_failure() -> None:
    """Where `max_in_flight` is less than the batch would have, its calls take turns."""
    config = {"providers": {"own": {**CONFIG["providers"]["own"], "max_in_flight": 1}}}
    results = list(Client("own:m", config=config, http_client=FakeVendor(answer)).batch(map(str, range(20))))
    assert [result.ok for result in results] == [True] * 20


def test_what_does_not_pass_is_not_waited_for(clock: Clock) -> None:
    """A refused key is said at once."""
    own = client(FakeVendor(lambda _request: httpx.Response(401, json={"error": {"message": "no"}})))
    batch = own.batch(["a", "b"], concurrency=1)
    clock.drive(own, batch)
    assert [type(result.error).__name__ for result in batch] == ["AuthInvalid", "AuthInvalid"]
    assert clock.waits == []


def test_stopped_it_gives_what_is_in_flight_and_begins_nothing() -> None:
    """`stop()` is for whoever wants to leave without losing what was asked already."""
    vendor = FakeVendor(answer)
    batch = client(vendor).batch(map(str, itertools.count()), concurrency=2)
    first = next(batch)
    batch.stop()
    rest = list(batch)
    assert sorted(result.index for result in [first, *rest]) == list(range(len(vendor.requests)))


def test_a_source_that_fails_is_the_callers_own_error() -> None:
    """It comes through, and what was asked before can still be taken."""

    def source() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    batch = client(FakeVendor(answer)).batch(source())
    with pytest.raises(ZeroDivisionError):
        next(batch)
    assert [result.reply.text for result in batch if result.reply] == ["a"]


def test_a_deadline_around_it_holds_for_its_calls() -> None:
    """`deadline()` of the thread that takes the results."""
    with deadline(0.000001):
        results = list(client(FakeVendor(answer)).batch(["a"]))
    assert [type(result.error).__name__ for result in results] == ["DeadlineExceeded"]


def test_an_error_of_the_program_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of llmswitch's comes out where the results are taken."""

    def broken(_request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    for take in (_taken, _taken_async):
        with pytest.raises(ZeroDivisionError):
            take(FakeVendor(broken))


def _taken(vendor: FakeVendor) -> None:
    list(client(vendor).batch(["a"]))


def _taken_async(vendor: FakeVendor) -> None:
    async def run() -> None:
        async for _ in AsyncClient("own:m", config=CONFIG, http_client=vendor).batch(["a"]):
            pass

    asyncio.run(run())
