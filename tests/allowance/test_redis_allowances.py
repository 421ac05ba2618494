"""Allowances in a real Redis: what it keeps, what a process does when it fails, and many processes at once."""

from __future__ import annotations

import asyncio
import logging
import time

import httpx
import pytest

from llmswitch import Client, _outage
from llmswitch._allowance import Charge, Denied, Want
from llmswitch._config_file import Loaded
from llmswitch._counter_store import Give, Shut, Take, Taken, View, edges
from llmswitch._counters import MemoryCounters, Reservation
from llmswitch._doctor.store import spent_of_grants
from llmswitch._grants import Grants
from llmswitch._redis_counters import GRACE, RedisCounters
from llmswitch._redis_store import redis_clients
from llmswitch._secrets import Secret
from llmswitch._shared_counters import SharedCounters
from llmswitch._window import DAY, Calendar, Ever, Until
from llmswitch.testing import FakeVendor
from tests.allowance.play import allowance, rate
from tests.store.test_redis import FAULTS, heal, slow_way

pytestmark = pytest.mark.slow

BUDGET, RATE = allowance(limit=100_000, window=Calendar("month")), rate(limit=1_000_000)


def clients(url):
    return redis_clients(Secret(url, "the test"), "the test")


@pytest.fixture
def counting(monkeypatch):
    """Starts counters on a Redis, with a thread that does not wait ten seconds to look again."""
    monkeypatch.setattr(_outage, "PAUSE", 0.5)
    made = []

    def started(url):
        client = clients(url)
        made.append(SharedCounters(lambda name: RedisCounters(client(), "llmswitch", name)))
        return made[-1]

    yield started
    for each in made:
        each.close(wait=1.0)


def until(true, seconds=5.0):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.01)


def now_of(server):
    seconds, micros = server.admin.time()
    return seconds * 1000 + micros // 1000


def views(now, *limits):
    return [View(each, edges(each.window, now)) for each in limits]


def taken(store, token, *wants, now, lease=900.0):
    """What came of one reservation."""
    report = store.carry_out(views(now, *(want.allowance for want in wants)), [Take(token, wants, lease)])
    return report.results[0]


def spent(store, limit, now):
    return store.carry_out(views(now, limit), []).seen[limit.name].spent


# The store by itself


def test_what_it_keeps(server):
    """Hashes of integers and one string for each reservation, with nothing that can be read, and each with its end."""
    store = RedisCounters(clients(server.url)(), "llmswitch", "me")
    now = now_of(server)
    ever, dated = allowance("e", window=Ever()), allowance("u", window=Until(now + DAY))
    wants = [Want(each, 1) for each in (BUDGET, RATE, ever, dated)]
    every = views(now, *(want.allowance for want in wants))
    (result,) = store.carry_out(every, [Take("t", tuple(wants), 900.0)], beat=True).results
    assert isinstance(result, Taken)
    ttl = {key.removeprefix("llmswitch:1:"): server.admin.pttl(key) for key in server.admin.keys("*")}
    assert {"processes", "reservation:t", *(f"allowance:{each}" for each in "areu")} == set(ttl)
    end = BUDGET.window.span(now)[1]
    assert abs(end + DAY - now - ttl["allowance:a"]) < 10_000  # a machine that is busy takes its time
    assert 100_000 < ttl["allowance:r"] <= 120_000
    assert -1 == ttl["allowance:e"]
    assert abs(2 * DAY - ttl["allowance:u"]) < 10_000
    assert 890_000 + GRACE <= ttl["reservation:t"] <= 960_000 + GRACE
    assert 0 < ttl["processes"] <= 20_000
    for key in ("allowance:a", "allowance:r"):
        assert all(value.isdigit() for value in server.admin.hgetall(f"llmswitch:1:{key}").values())
    store.carry_out(every, [Give("t", result.charges, (1, 1, 1, 1), now + DAY, 300_000)])
    assert "done" == server.admin.get("llmswitch:1:reservation:t")
    assert 290_000 < server.admin.pttl("llmswitch:1:reservation:t") <= 300_000


def test_an_allowance_stays_small(server):
    """However many reservations there are, an allowance has a bounded number of fields."""
    store = RedisCounters(clients(server.url)(), "llmswitch", "me")
    for number in range(600):
        taken(store, f"t{number}", Want(BUDGET, 1), Want(RATE, 1), now=now_of(server), lease=1.0)
    assert server.admin.hlen("llmswitch:1:allowance:a") <= 4 + 17
    assert server.admin.hlen("llmswitch:1:allowance:r") <= 62


def test_large_numbers_are_exact(server):
    """The largest limit is counted to the unit."""
    store, large = RedisCounters(clients(server.url)(), "llmswitch", "me"), allowance(limit=10**13, window=Ever())
    kinds = [type(taken(store, f"{n}", Want(large, n), now=now_of(server))) for n in (10**13 - 1, 2, 1)]
    assert [Taken, Denied, Taken] == kinds
    assert 10**13 == spent(store, large, now_of(server))


def test_a_server_that_takes_no_writes_has_done_nothing(server):
    """Out of memory or read-only, an order is refused as a whole: nothing is half counted."""
    import redis

    store, now = RedisCounters(clients(server.url)(), "llmswitch", "me"), now_of(server)
    wants = Want(BUDGET, 5), Want(RATE, 5)
    taken(store, "t", *wants, now=now)

    def kept():
        keys = sorted(server.admin.keys("*"))
        return [(key, server.admin.hgetall(key) if "allowance" in key else server.admin.get(key)) for key in keys]

    def refused():
        every, charge = views(now, BUDGET, RATE), Charge(BUDGET, 0, 0, 0)
        with pytest.raises(redis.ResponseError):
            store.carry_out(
                every, [Shut(BUDGET, now + 9), Give("v", (charge,), (3,), now + 9, 9), Take("u", wants, 900.0)]
            )

    before = kept()
    server.admin.config_set("maxmemory-policy", "noeviction")
    server.admin.config_set("maxmemory", "1")
    refused()
    server.admin.config_set("maxmemory", "0")
    server.admin.replicaof("127.0.0.1", "1")
    refused()
    server.admin.replicaof("NO", "ONE")
    assert before == kept()


@pytest.mark.parametrize("field", ["settled", "start", "o1", "b1", "closed", "open", "changed"])
@pytest.mark.parametrize("value", ["nan", "inf", "-5", "0x10", "1e300", "9" * 40, ""])
def test_what_is_no_number_is_passed_over(server, field, value):
    """Text that somebody wrote into an allowance neither opens nor breaks it."""
    store, now = RedisCounters(clients(server.url)(), "llmswitch", "me"), now_of(server)
    for each in (BUDGET, RATE):
        server.admin.hset(f"llmswitch:1:allowance:{each.name}", field, value)
    assert isinstance(taken(store, "t", Want(BUDGET, 5), Want(RATE, 5), now=now), Taken)
    assert [5, 5] == [spent(store, each, now) for each in (BUDGET, RATE)]


# When it fails


def call(counters, spent, amount=2, actual=1):
    """A call under a budget and a rate; whether it was admitted, and how long it waited."""
    began = time.perf_counter()
    answer = counters.ask([Want(BUDGET, amount), Want(RATE, amount)], 900).wait()
    if isinstance(answer, Reservation):
        counters.settle(answer, (actual, actual))
        spent.append(actual)
    return isinstance(answer, Reservation), time.perf_counter() - began


def p99(seconds):
    return sorted(seconds)[len(seconds) * 99 // 100]


def measured(counters, spent, calls=1000):
    """The 99th percentile of what a call waits, in seconds, the best of three; all are admitted."""
    best = []
    for _ in range(3):
        waits = []
        for number in range(calls):
            admitted, waited = call(counters, spent)
            assert admitted
            waits.append(waited)
            if number % 10 == 0:
                time.sleep(0.001)
        best.append(p99(waits))
    return min(best)  # whatever else runs on the machine only adds to it


@pytest.mark.parametrize("fault", FAULTS)
def test_no_call_fails_for_it(redis_server, counting, caplog, fault, record_property):
    """Row 104: gone, silent, full or slow, calls go on by their share; it is noticed in time, and all is counted."""
    caplog.set_level(logging.INFO, "llmswitch")
    redis_server.start()
    with slow_way(redis_server.port) as (url, delay):
        one, spent = counting(url if fault == "slow" else redis_server.url), []
        assert call(one, spent)[0]
        alone = measured(MemoryCounters(), [])
        breaks, said = FAULTS[fault]
        breaks(redis_server, delay)
        began, waits = time.monotonic(), []
        while not one.outage.gone:
            admitted, waited = call(one, spent)
            assert admitted
            waits.append(waited)
        detected = time.monotonic() - began
        shared = measured(one, spent)
        print(
            f"{fault}: detected after {detected:.3f} s, longest wait {max(waits):.3f} s, "
            f"p99 alone {alone * 1e6:.0f} µs, then {shared * 1e6:.0f} µs"
        )
        record_property("detected after s", round(detected, 3))
        record_property("added p99 in µs", round((shared - alone) * 1e6, 1))
        assert detected <= 0.6
        assert shared - alone <= 0.001
        (line,) = [record.getMessage() for record in caplog.records]
        assert f"the store can't be used ({said}" in line or "TimeoutError" in line
        heal(redis_server, delay, fault)
        until(lambda: not one.outage.gone and len(caplog.records) == 2, 10)
        until(lambda: not len(one._outbox) and not one._books.ended)
        assert call(one, spent)[0]
        until(lambda: not len(one._outbox) and not one._books.ended)
        two = counting(redis_server.url)
        assert isinstance(two.ask([Want(BUDGET, 0)], 900).wait(), Reservation)
        if fault == "killed":  # what was reserved there and never settled is in nobody's books but ours
            assert sum(spent) - 2 <= two.seen(BUDGET).spent <= sum(spent) + 2
        else:
            assert sum(spent) == two.seen(BUDGET).spent


def test_a_budget_is_kept_without_it(server, counting):
    """Past its share a process spends nothing of a budget; rates go on; with it back the rest is there again."""
    one, two = counting(server.url), counting(server.url)
    limit = allowance("x", 100, Calendar("month"))
    for each in (one, two):
        assert isinstance(each.ask([Want(limit, 10)], 900).wait(), Reservation)
        each._beaten = float("-inf")
        each._wake()
    until(lambda: [2, 2] == [each._shares.processes for each in (one, two)])
    assert isinstance(two.ask([Want(limit, 0)], 900).wait(), Reservation)
    assert isinstance(one.ask([Want(limit, 0)], 900).wait(), Reservation)
    server.kill()
    admitted = [0, 0]
    for number, each in enumerate((one, two)):
        for _ in range(100):
            admitted[number] += isinstance(each.ask([Want(limit, 1)], 900).wait(), Reservation)
        assert isinstance(each.ask([Want(RATE, 1)], 900).wait(), Reservation)
    assert [40, 40] == admitted


def test_absent_at_the_start(redis_server, counting, caplog):
    """A process whose Redis is not there yet spends nothing of a budget and keeps rates; it counts when it comes."""
    one = counting(redis_server.url)
    began = time.monotonic()
    assert isinstance(one.ask([Want(BUDGET, 1)], 900).wait(), Denied)
    assert time.monotonic() - began <= 0.6
    assert isinstance(one.ask([Want(RATE, 1)], 900).wait(), Reservation)
    redis_server.start()
    until(lambda: not one.outage.gone and len(caplog.records) == 2, 10)
    assert isinstance(one.ask([Want(BUDGET, 1)], 900).wait(), Reservation)


def test_scripts_that_were_forgotten_are_sent_again(server, counting, caplog):
    """SCRIPT FLUSH before every call: nothing is noticed of it."""
    one, spent = counting(server.url), []
    for _ in range(20):
        server.admin.script_flush()
        assert call(one, spent)[0]
    until(lambda: not len(one._outbox) and not one._books.ended)
    assert {} == one.outage.counts
    assert [] == caplog.records
    one.ask([Want(BUDGET, 0)], 900).wait()
    assert 20 == one.seen(BUDGET).spent


def test_keys_of_another_type(server, counting, caplog):
    """A key that somebody made a list is as good as none; what was spent is filled in from what is known."""
    one, spent = counting(server.url), []
    for _ in range(5):
        assert call(one, spent)[0]
    until(lambda: not len(one._outbox) and not one._books.ended)
    one.ask([Want(BUDGET, 0)], 900).wait()
    flying = one.ask([Want(BUDGET, 7)], 900).wait()
    for key in server.admin.keys("*"):
        server.admin.delete(key)
        server.admin.rpush(key, "x")
    assert call(one, spent)[0]
    one.settle(flying, (7,))
    until(lambda: not len(one._outbox) and not one._books.ended)
    one.ask([Want(BUDGET, 0)], 900).wait()
    assert 6 + 7 == one.seen(BUDGET).spent
    assert {} == one.outage.counts
    assert [] == caplog.records
    one._beaten = float("-inf")
    one._wake()
    until(lambda: "zset" == server.admin.type("llmswitch:1:processes"))


def test_back_with_an_older_state(redis_server, counting):
    """Row 105: from a snapshot of before, what was spent since is not there to be spent again."""
    redis_server.start("--appendonly", "no")
    one, spent = counting(redis_server.url), []
    limit = allowance("x", 100, Calendar("month"))
    for amount in (30, 40):
        answer = one.ask([Want(limit, amount)], 900).wait()
        one.settle(answer, (amount,))
        until(lambda: not len(one._outbox) and not one._books.ended)
        if amount == 30:
            redis_server.admin.save()
    one.ask([Want(limit, 0)], 900).wait()
    redis_server.kill()
    assert isinstance(one.ask([Want(limit, 10)], 900).wait(), Reservation)
    redis_server.start()
    until(lambda: not one.outage.gone, 10)
    two = counting(redis_server.url)
    assert isinstance(two.ask([Want(limit, 30)], 900).wait(), Denied)
    assert 80 <= two.seen(limit).spent <= 80
    assert [] == spent


# Several processes


def test_a_thousand_calls_at_once_in_eight_processes(server, worker):
    """Row 106: 1,000 calls at once over 8 processes on a budget for 10: at most 11 pass, and no error is another."""
    for _ in range(3):
        server.admin.flushall()
        fleet = [worker(server.url, budget=10) for _ in range(8)]
        for each in fleet:
            assert each("warm")
        begin = time.time() + 3.0
        for each in fleet:
            each.order("storm", 125, begin)
        came = [each.answer() for each in fleet]
        lost = sum(each("lost") for each in fleet)
        held, refused = (sum(each.get(kind, 0) for each in came) for kind in ("held", "BudgetExceeded"))
        print(f"{held} admitted, {refused} refused, the store was lost {lost} times: {came}")
        if not lost:  # a machine that is too slow to answer within 200 ms is another matter
            break
    assert 0 == lost
    assert 10 <= held <= 11
    assert 1000 == held + refused


def test_a_killed_process_is_charged_once(server, worker):
    """Row 107: after kill -9 between reserve and settle the lease ends, and all of it is charged, once."""
    one, two = worker(server.url, budget=100, lease=3.0), worker(server.url, budget=100, lease=3.0)
    assert "held" == one("reserve", 60)
    one.kill()
    (key,) = server.admin.keys("llmswitch:1:allowance:*")
    states = []
    for _ in range(3):
        assert "BudgetExceeded" == two("reserve", 41)
        kept = server.admin.hgetall(key)
        states.append((int(kept["settled"]), sum(int(kept[field]) for field in kept if field[0] == "o")))
        time.sleep(3.5)
    assert [(0, 60), (60, 0), (60, 0)] == states
    assert "held" == two("reserve", 40)
    assert two("settle", 40)
    assert "BudgetExceeded" == two("reserve", 1)


def test_a_call_that_outlives_its_lease_is_corrected(server, worker):
    """Settled after the lease has ended, and after another process saw it charged, it counts for what it was."""
    one, two = worker(server.url, budget=100, lease=1.5), worker(server.url, budget=100, lease=1.5)
    assert "held" == one("reserve", 60)
    time.sleep(2.0)
    assert "BudgetExceeded" == two("reserve", 41)
    assert one("settle", 10)
    time.sleep(0.3)
    assert "held" == two("reserve", 90)


def test_a_process_ends_as_it_would_alone(server, worker):
    """The end of a program is not held up, and what it settled last is told."""
    for paused in (False, True):
        one = worker(server.url, budget=100)
        one("warm")
        one("reserve", 10)
        if paused:
            server.pause()
        one("settle", 5)
        began = time.monotonic()
        one.order("end")
        one._process.wait(5)
        assert time.monotonic() - began < 1.0
        assert 0 == one._process.returncode
        if not paused:
            (key,) = server.admin.keys("llmswitch:1:allowance:*")
            assert "5" == server.admin.hgetall(key)["settled"]
            assert 0 == server.admin.zcard("llmswitch:1:processes")


# What it costs


def test_what_a_call_waits(server, counting):
    """On loopback an answer takes a fraction of a millisecond, also for tasks of a loop and for fifty at once."""
    one, memory = counting(server.url), MemoryCounters()
    wants = [Want(BUDGET, 1), Want(RATE, 1)]

    def once(counters):
        began = time.perf_counter()
        answer = counters.ask(wants, 900).wait()
        counters.settle(answer, (0, 0))
        return time.perf_counter() - began

    async def tasks(number, at_once):
        async def task():
            began = time.perf_counter()
            answer = await one.ask(wants, 900).awaited()
            one.settle(answer, (0, 0))
            return time.perf_counter() - began

        return [
            each for _ in range(number // at_once) for each in await asyncio.gather(*(task() for _ in range(at_once)))
        ]

    once(one)
    figures = {
        "in memory": [once(memory) for _ in range(2000)],
        "threads": [once(one) for _ in range(2000)],
        "tasks, one at a time": asyncio.run(tasks(1000, 1)),
        "tasks, fifty at a time": asyncio.run(tasks(2000, 50)),
    }
    for name, seconds in figures.items():
        print(f"{name}: median {sorted(seconds)[len(seconds) // 2] * 1e6:.0f} µs, p99 {p99(seconds) * 1e6:.0f} µs")
    assert all(sorted(seconds)[len(seconds) // 2] < 0.05 for seconds in figures.values())


def test_a_charge_of_a_reservation_that_the_store_lost(server):
    """A store that has lost a reservation counts what it came to; one that may have forgotten it counts nothing."""
    store, now = RedisCounters(clients(server.url)(), "llmswitch", "me"), now_of(server)
    charge = Charge(BUDGET, 9, BUDGET.window.span(now)[0], now + 900_000)
    for token, kept, amount in (
        ("a", now + 60_000, 4),
        ("a", now + 60_000, 4),
        ("b", now - 1, 4),
        ("c", now + 60_000, 8),
    ):
        store.carry_out(views(now, BUDGET), [Give(token, (charge,), (4,), kept, 300_000)])
        assert amount == spent(store, BUDGET, now)


def test_the_doctor_reads_what_is_used_of_a_grant(server):
    """Another program tells what all have used of a grant, and counts nothing itself."""
    grant = {"tokens": 100_000, "expires": "2030-12-31"}
    given = {"providers": {"deepseek": {"grants": [grant]}}, "store": {"url": server.url}}
    loaded = Loaded.from_mapping(given)
    [counted] = Grants(loaded, MemoryCounters()).allowances()
    store = RedisCounters(clients(server.url)(), "llmswitch", "one")
    store.carry_out(views(now_of(server), counted), [Take("token", (Want(counted, 400),), 60)])
    store.close()
    assert {counted.label: 400} == spent_of_grants(loaded) == spent_of_grants(loaded)


def test_a_new_process_sees_what_the_others_have_spent(server):
    """A plan, and what is left, come from the store; neither leaves anything there."""
    given = {
        "providers": {
            "a": {
                "dialect": "openai",
                "base_url": "http://127.0.0.1:9/v1",
                "limits": {"requests_per_minute": 5},
                "grants": [{"tokens": 10_000, "expires": "2999-01-01"}],
            }
        },
        "default": "a:m",
        "budgets": [{"tokens": 1000, "per": "ever"}],
        "store": {"url": server.url},
    }
    answer = {
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20},
    }
    with Client.from_config(given, http_client=FakeVendor(lambda request: httpx.Response(200, json=answer))) as one:
        one.chat("x" * 184, max_tokens=20)
        until(lambda: {120, 1} == {state.spent for state in one.allowances() if state.spent is not None})
    before = {key for key in server.admin.keys("*") if "process" not in key}
    with Client.from_config(given) as two:
        (found,) = two.explain("Hi", max_tokens=900).targets
        assert ("BudgetExceeded", "a's grant of 10000 tokens until 2999-01-01") == (found.error, found.grant)
        assert "120 tokens of 1000 tokens are spent" in (found.skipped_because or "")
        assert {9880, 4, 880} == {each.allowance.left for each in found.reserves}
    assert before == {key for key in server.admin.keys("*") if "process" not in key}
