"""The thread that shares: when it runs, when it ends, and that no call waits for it."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

from llmswitch._health import Admission, Health
from llmswitch._sharing import Sharing
from tests.store.play import MemoryStore, limited, target

T = target("m")


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "llmswitch-store"]


def until(true, seconds=3.0):
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.005)


def fails(health, error):
    admission = health.admit(T, 10.0)
    assert isinstance(admission, Admission)
    health.failed(admission, error)


@pytest.fixture
def shared():
    """A store on the real clock."""
    return MemoryStore(time.monotonic)


@pytest.fixture
def healthy(shared):
    """Starts a health that shares; what is started is stopped."""
    made = []

    def started(opened=None):
        made.append(Health(sharing=Sharing(opened or (lambda: shared))))
        return made[-1]

    yield started
    for health in made:
        health.close(wait=1.0)
    made.clear()
    until(lambda: not threads())


@pytest.fixture(autouse=True)
def _real_clock(monkeypatch):
    monkeypatch.setattr(MemoryStore, "now", property(lambda self: round(time.time() * 1000)))


def test_there_is_no_thread_before_there_is_a_call(healthy):
    """Making a client starts nothing, so that a server may fork after it."""
    health = healthy()
    assert [] == threads()
    health.admit(T, 1.0)
    assert 1 == len(threads())


def test_what_one_learns_the_other_knows_within_a_second(healthy):
    """A cool-down is told at once, and heard with the next round."""
    one, two = healthy(), healthy()
    two.admit(T, 1.0)
    time.sleep(0.1)
    fails(one, limited(20))
    began = time.monotonic()
    until(lambda: not isinstance(two.admit(T, 1.0), Admission))
    assert time.monotonic() - began < 1.0


def test_no_call_waits_for_the_store(healthy, shared):
    """A store that hangs costs a call nothing, whatever the call has to tell."""
    hanging = threading.Event()

    class Hanging(MemoryStore):
        def read(self, names):
            hanging.wait(5)
            return super().read(names)

    health = healthy(lambda: Hanging(shared.clock))
    spent = []
    for number in range(1000):
        began = time.perf_counter()
        admission = health.admit(T, 10.0)
        if isinstance(admission, Admission):
            health.failed(admission, limited(0.0001)) if number % 2 else health.succeeded(admission)
        spent.append(time.perf_counter() - began)
    hanging.set()
    assert sorted(spent)[990] < 0.001


def test_rounds_are_bounded_however_much_happens(healthy, shared):
    """A storm of failures is not a storm of rounds."""
    health = healthy()
    ends = time.monotonic() + 0.5
    while time.monotonic() < ends:
        admission = health.admit(T, 10.0)
        if isinstance(admission, Admission):
            health.failed(admission, limited(0.001))
    assert shared.calls <= 2 * (0.5 / 0.05 + 2)


def test_a_store_that_is_gone_is_left_in_peace(healthy, shared):
    """Whatever happens here, a store that failed three times is not asked for a while."""
    shared.broken = OSError("gone")
    health = healthy()
    ends = time.monotonic() + 0.3
    while time.monotonic() < ends:
        admission = health.admit(T, 10.0)
        if isinstance(admission, Admission):
            health.failed(admission, limited(0.001))
    assert 3 == shared.calls


def test_it_ends_with_its_health():
    """A client that is forgotten leaves no thread behind."""
    store = MemoryStore(time.monotonic)
    health = Health(sharing=Sharing(lambda: store))
    health.admit(T, 1.0)
    until(lambda: store.calls)
    del health
    gc.collect()
    until(lambda: not threads())


def test_it_ends_when_closed_and_begins_again(healthy, shared):
    """Closing tells what was still to be told; the next call shares again."""
    health = healthy()
    health.admit(T, 1.0)
    until(lambda: shared.calls)
    fails(health, limited(20))
    health.close(wait=1.0)
    assert [] == threads()
    assert 2 == len(shared.kept)
    health.admit(T, 1.0)
    assert 1 == len(threads())


def test_a_thread_that_cannot_be_had_harms_no_call(healthy, monkeypatch):
    """Where no thread can be started the call goes on, and the next one tries again."""
    health = healthy()

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", refuse)
        assert isinstance(health.admit(T, 1.0), Admission)
    assert isinstance(health.admit(T, 1.0), Admission)
    assert 1 == len(threads())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_thread(healthy, shared):
    """The child knows what was known, and starts a thread of its own with its first call."""
    health = healthy()
    health.admit(T, 1.0)
    fails(health, limited(20))
    until(lambda: shared.kept)
    child = os.fork()
    if child == 0:
        known = not isinstance(health.admit(T, 1.0), Admission)
        alone = len(threads()) == 1
        until(lambda: health._sharing.fleet.fresh_until > time.monotonic())
        os._exit(0 if known and alone else 1)
    assert 0 == os.waitpid(child, 0)[1]
    assert 1 == len(threads())
