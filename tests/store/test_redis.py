"""The store in a real Redis, and what a process does when that fails in every way that it can."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from itertools import pairwise

import pytest

from llmswitch import _outage
from llmswitch._errors import ServerError
from llmswitch._health import Admission, Health
from llmswitch._redis_store import redis_opener
from llmswitch._secrets import Secret
from llmswitch._sharing import Sharing
from llmswitch._store import Record
from tests.store.play import limited, target

pytestmark = pytest.mark.slow

T, OTHER = target("m"), target("n", account="b")


@pytest.fixture
def server(redis_server):
    """A Redis that runs."""
    redis_server.start()
    return redis_server


def opener(url):
    return redis_opener(Secret(url, "the test"), "llmswitch", "the test")


@pytest.fixture
def health(monkeypatch):
    """Starts a health on a store, with a thread that does not wait ten seconds to look again."""
    monkeypatch.setattr(_outage, "PAUSE", 0.5)
    made = []

    def started(url):
        made.append(Health(sharing=Sharing(opener(url))))
        return made[-1]

    yield started
    for each in made:
        each.close(wait=1.0)


def until(true, seconds=5.0):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.01)


def refused(health, asked):
    admission = health.admit(asked, 5.0)
    if isinstance(admission, Admission):
        health.released(admission)
        return False
    return True


def fails(health, asked, error):
    admission = health.admit(asked, 5.0)
    assert isinstance(admission, Admission)
    health.failed(admission, error)


def fresh(health):
    return health._sharing.fleet.fresh_until > time.monotonic()


# The store by itself


def test_the_greater_record_stays(server):
    """Records are merged in one step, whoever writes them and in whatever order."""
    store = opener(server.url)()
    now, _ = store.read([])
    low, high = Record(0, now, now + 5000, "ServerError"), Record(0, now, now + 9000, "ServerError")
    over = Record(1, now, 0)
    for given, kept in [([low], low), ([high], high), ([low], high), ([over], over), ([high], over)]:
        store.write([("breaker:a", record) for record in given])
        assert kept == Record.load(store.read(["breaker:a"])[1][0])


def test_a_record_expires_with_what_it_says(server):
    """A cool-down is gone from Redis when it ends; that something was closed is kept for a day."""
    store = opener(server.url)()
    now, _ = store.read([])
    store.write([("a", Record(0, now, now + 5000)), ("b", Record(1, now, 0)), ("c", Record(0, now - 9000, now - 1))])
    assert 4000 < server.admin.pttl("llmswitch:1:a") <= 5000
    assert 86_390_000 < server.admin.pttl("llmswitch:1:b") <= 86_400_000
    assert not server.admin.exists("llmswitch:1:c")


def test_a_lease_has_one_holder(server):
    """Another token gets it neither before it is free nor while the breaker is open, and can't free it."""
    store = opener(server.url)()
    now, _ = store.read([])
    assert store.hold("breaker:a", "one", 5)
    assert store.hold("breaker:a", "one", 9)
    assert 8000 < server.admin.pttl("llmswitch:1:lease:breaker:a") <= 9000
    assert not store.hold("breaker:a", "two", 5)
    store.free("breaker:a", "two")
    assert not store.hold("breaker:a", "two", 5)
    store.free("breaker:a", "one")
    store.write([("breaker:a", Record(0, now, now + 60_000))])
    assert not store.hold("breaker:a", "two", 5)
    store.write([("breaker:a", Record(1, now, 0))])
    assert store.hold("breaker:a", "two", 5)


def test_scripts_that_were_forgotten_are_sent_again(server):
    """SCRIPT FLUSH costs a round trip, not a failure."""
    store = opener(server.url)()
    now, _ = store.read([])
    for number in range(3):
        server.admin.script_flush()
        store.write([(f"breaker:{number}", Record(0, now, now + 60_000))])
        server.admin.script_flush()
        assert store.hold("breaker:x", "one", 5)
        server.admin.script_flush()
        store.free("breaker:x", "one")
    assert 3 == server.admin.dbsize()


@pytest.mark.parametrize("text", ["", "[]", "[[[[", "{}", '{"v":1,"epoch":"x","until":[]}', "nil"])
def test_what_is_no_record_is_written_over(server, text):
    """Text that says nothing stands in nobody's way."""
    store = opener(server.url)()
    now, _ = store.read([])
    server.admin.set("llmswitch:1:breaker:a", text)
    assert store.hold("breaker:a", "one", 5)
    store.write([("breaker:a", Record(0, now, now + 60_000))])
    assert store.read(["breaker:a"])[1][0]


def test_nothing_in_it_can_be_read(server, health):
    """Hashes for names, and in the records no host, model or account."""
    one = health(server.url)
    fails(one, T, limited(30))
    for _ in range(5):
        fails(one, OTHER, ServerError("CANARY"))
    until(lambda: server.admin.dbsize() >= 3)
    admin = server.admin
    for key in admin.keys("*"):
        prefix, version, *kind, name = key.split(":")
        assert ("llmswitch", "1") == (prefix, version)
        assert kind in (["breaker"], ["cooldown"], ["lease", "breaker"])
        assert 64 == len(name)
        if "lease" not in kind:
            assert {"v", "epoch", "since", "until", "reason", "transient", "times"} == set(json.loads(admin.get(key)))
    everything = str([(key, admin.get(key)) for key in admin.keys("*")])
    assert [] == [word for word in ("vendor", "example", "CANARY", "https") if word in everything]


# When it fails


@contextlib.contextmanager
def slow_way(port):
    """A way to the server on which every answer takes as long as the test says."""
    delay = {"seconds": 0.0}
    sockets = [socket.create_server(("127.0.0.1", 0))]

    def carry(source, sink, *, late):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay["seconds"] if late else 0)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = sockets[0].accept()
                server = socket.create_connection(("127.0.0.1", port))
                sockets.extend((client, server))
                threading.Thread(target=carry, args=(client, server), kwargs={"late": False}, daemon=True).start()
                threading.Thread(target=carry, args=(server, client), kwargs={"late": True}, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"redis://127.0.0.1:{sockets[0].getsockname()[1]}/0", delay
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _absent(server, delay):
    server.kill()


def _paused(server, delay):
    server.pause()


def _replica(server, delay):
    server.admin.replicaof("127.0.0.1", "1")


def _full(server, delay):
    server.admin.config_set("maxmemory-policy", "noeviction")
    server.admin.config_set("maxmemory", "1")


def _slow(server, delay):
    delay["seconds"] = 0.3


def _asleep(server, delay):
    def sleep():
        with contextlib.suppress(Exception):
            server.admin.execute_command("DEBUG", "SLEEP", "4")

    threading.Thread(target=sleep, daemon=True).start()
    time.sleep(0.05)


def _password(server, delay):
    server.admin.config_set("requirepass", "CANARY-pa55")
    server.admin_with("CANARY-pa55").client_kill_filter(_type="normal", skipme=True)


FAULTS = {
    "killed": (_absent, "ConnectionError"),
    "stopped": (_paused, "TimeoutError"),
    "read only": (_replica, "ReadOnlyError"),
    "out of memory": (_full, "OutOfMemoryError"),
    "slow": (_slow, "TimeoutError"),
    "asleep": (_asleep, "TimeoutError"),
    "password": (_password, "AuthenticationError"),
}


def measured(health, calls=4000):
    """The 99th percentile of what health costs a call, in seconds: leave, and what came of it."""
    spent = []
    asked = [target(f"p{number}", account=f"{number}") for number in range(20)]
    for number in range(calls):
        began = time.perf_counter()
        admission = health.admit(asked[number % 20], 5.0)
        if isinstance(admission, Admission):
            if number % 50 == 0:
                health.failed(admission, limited(0.01))
            else:
                health.succeeded(admission)
        spent.append(time.perf_counter() - began)
        if number % 10 == 0:
            time.sleep(0.001)
    return sorted(spent)[calls * 99 // 100]


@pytest.mark.parametrize("fault", FAULTS)
def test_no_call_fails_and_none_waits(redis_server, health, caplog, fault, record_property):
    """Gone, silent, full or slow: calls go on as in a process alone, one line says so, and one that it is back."""
    caplog.set_level(logging.INFO, "llmswitch")
    redis_server.start()
    with slow_way(redis_server.port) as (url, delay):
        one = health(url if fault == "slow" else redis_server.url)
        refused(one, T)
        until(lambda: fresh(one))
        alone = measured(Health())
        breaks, said = FAULTS[fault]
        began = time.monotonic()
        breaks(redis_server, delay)
        fails(one, T, limited(60))
        for _ in range(5):
            fails(one, OTHER, ServerError("500"))
        until(lambda: one._sharing.outage.gone)
        detected = time.monotonic() - began
        shared = measured(one)
        assert [True, True] == [refused(one, T), refused(one, OTHER)]
        assert shared - alone <= 0.001
        assert detected <= 0.9
        assert {said} <= set(one._sharing.outage.counts)
        (line,) = [record.getMessage() for record in caplog.records]
        assert f"the store can't be used ({said}" in line
        record_property("added p99 in µs", round((shared - alone) * 1e6, 1))
        record_property("detected after s", round(detected, 3))
        print(f"{fault}: detected {detected:.3f} s, p99 alone {alone * 1e6:.1f} µs, shared {shared * 1e6:.1f} µs")
        heal(redis_server, delay, fault)
        until(lambda: fresh(one) and len(caplog.records) == 2, 10)
        assert "the store can be used again" in caplog.records[1].getMessage()
        two = health(redis_server.url)
        refused(two, T)
        until(lambda: refused(two, T))


def heal(server, delay, fault):
    """Undo it."""
    if fault == "killed":
        server.start()
    elif fault == "stopped":
        server.go_on()
    elif fault == "read only":
        server.admin.replicaof("NO", "ONE")
    elif fault == "out of memory":
        server.admin.config_set("maxmemory", "0")
    elif fault == "slow":
        delay["seconds"] = 0.0
    elif fault == "password":
        server.admin_with("CANARY-pa55").config_set("requirepass", "")


def test_absent_at_the_start(redis_server, health, caplog):
    """A process whose Redis is not there yet starts all the same, and shares when it comes."""
    one = health(redis_server.url)
    fails(one, T, limited(60))
    until(lambda: one._sharing.outage.gone)
    alone, shared = measured(Health()), measured(one)
    assert shared - alone <= 0.001
    redis_server.start()
    until(lambda: redis_server.admin.dbsize() == 2)
    assert 2 == len(caplog.records)


def test_keys_of_another_type(server, health, caplog):
    """A key that somebody made a list is as good as none, and is put right by the next one who knows."""
    one = health(server.url)
    fails(one, T, limited(60))
    until(lambda: server.admin.dbsize() == 2)
    for key in server.admin.keys("*"):
        with server.admin.pipeline(transaction=True) as both:  # whoever writes it again does so after that
            both.delete(key).rpush(key, "x").execute()
    two = health(server.url)
    refused(two, T)
    until(lambda: refused(two, T))
    assert {"string"} == {server.admin.type(key) for key in server.admin.keys("*")}
    assert {} == one._sharing.outage.counts
    assert [] == caplog.records


def test_scripts_flushed_while_it_runs(server, health, caplog):
    """Nothing is noticed of it."""
    one = health(server.url)
    for number in range(5):
        server.admin.script_flush()
        fails(one, target(f"x{number}", account=f"{number}"), limited(60))
        until(lambda: server.admin.dbsize() == 2 * (number + 1))
    assert {} == one._sharing.outage.counts
    assert [] == caplog.records


def test_back_with_an_older_state(redis_server, health):
    """From a snapshot of before, nothing that was reset or is over comes back, and nothing newer is shortened."""
    redis_server.start("--appendonly", "no")
    one = health(redis_server.url)
    third = target("o", account="c")
    fails(one, T, limited(600))
    fails(one, OTHER, limited(20))
    fails(one, third, limited(2))
    until(lambda: redis_server.admin.dbsize() == 6)
    redis_server.admin.save()
    one.reset(T)
    one._known.cooldowns.clear()
    fails(one, OTHER, limited(300))
    time.sleep(0.3)
    redis_server.kill()
    time.sleep(2.0)
    redis_server.start()
    assert redis_server.admin.dbsize() >= 4
    two = health(redis_server.url)
    for each in (T, OTHER, third):
        refused(two, each)
    until(lambda: one.refusal(OTHER) and not one._sharing.outage.gone and fresh(one))
    until(lambda: not refused(two, T) and refused(two, OTHER) and two.refusal(OTHER).until - time.monotonic() > 200)
    assert [False, True, False] == [refused(one, each) for each in (T, OTHER, third)]
    assert [False, True, False] == [refused(two, each) for each in (T, OTHER, third)]


# Several processes


def test_four_processes_share_a_cooldown(server, worker):
    """What one process is told keeps the others away 1.2 seconds later at the latest."""
    fleet = [worker(server.url) for _ in range(4)]
    for each in fleet:
        assert each("warm", "m")
    latest = 0.0
    for model in ("m", "n"):
        for each in fleet[1:]:
            each("warm", model)
            each.order("until_refused", model, 4)
        time.sleep(0.5)
        at = fleet[0]("limit", model, 60)
        seen = [each.answer() for each in fleet[1:]]
        assert None not in seen
        latest = max(latest, *(moment - at for moment in seen))
    print(f"seen by the last of the others after {latest:.3f} s")
    assert latest <= 1.2
    for each in fleet:
        each("reset", "m")
    time.sleep(1.2)
    assert [True] * 4 == [each("admitted", "m") for each in fleet]


@pytest.mark.parametrize("kind", ["down", "gone"])
def test_a_fleet_probes_a_dead_target_once_an_interval(server, worker, kind):
    """Once a breaker has opened, four busy processes together send one call an interval; then all come back."""
    numbers = {"first": 1.5, "longest": 1.5, "spread": 0.0}
    fleet = [worker(server.url, numbers=numbers) for _ in range(4)]
    for each in fleet:
        assert each("warm", "m")
    opening = fleet[0]("calls", "m", 0.3, 0.001, kind)
    time.sleep(1.0)
    seconds = 12
    for each in fleet:
        each.order("calls", "m", seconds, 0.002, kind)
    sent = sorted(moment for each in fleet for moment in each.answer())
    gaps = [round(later - sooner, 2) for sooner, later in pairwise(sent)]
    print(f"{len(opening)} to open it, then {len(sent)} probes in {seconds} s, at least {min(gaps)} s apart: {gaps}")
    assert 5 == len(opening)
    assert seconds / 1.5 * 0.6 <= len(sent) <= seconds / 1.5 + 1
    assert min(gaps) >= 1.45
    for each in fleet:
        each.order("calls", "m", 5, 0.002, "up")
    assert all(len(each.answer()) > 100 for each in fleet)


def test_a_killed_prober_frees_its_lease_in_time(server, worker):
    """After kill -9 of the process that probes another one probes when the lease has ended, and not before."""
    numbers = {"first": 1.0, "longest": 1.0, "spread": 0.0, "lease": 1.0}
    fleet = [worker(server.url, numbers=numbers) for _ in range(3)]
    for each in fleet:
        assert each("warm", "m")
    fleet[0]("calls", "m", 0.3, 0.001)
    at = fleet[0]("probe", "m", 5, 7.0)
    for each in fleet[1:]:
        each.order("probe", "m", 15, 7.0)
    time.sleep(0.3)
    fleet[0].kill()
    took = min(filter(None, (each.answer() for each in fleet[1:]))) - at
    print(f"next probe {took:.3f} s after the first; its lease was 8 s")
    assert 7.9 <= took <= 9.0


def test_a_process_ends_as_it_would_alone(server, worker):
    """The end of a program is not held up, and what it learned last is told."""
    one = worker(server.url)
    one("warm", "m")
    one("limit", "m", 60)
    began = time.monotonic()
    one.order("end")
    one._process.wait(5)
    assert time.monotonic() - began < 1.0
    assert 0 == one._process.returncode
    assert 2 == server.admin.dbsize()
    server.pause()
    two = worker(server.url)
    two("limit", "m", 60)
    began = time.monotonic()
    two.order("end")
    two._process.wait(5)
    assert time.monotonic() - began < 1.0
