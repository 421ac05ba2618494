"""Who tries an open breaker: of all the processes that share a store one, by a lease that always ends."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from llmswitch import _sharing
from llmswitch._errors import ConnectFailed, ServerError
from llmswitch._fleet import IDLE, RETRY
from llmswitch._health import Admission
from tests.store.play import target

T = target("m")


def due(clock, *processes):
    """Let the breaker's time pass, with rounds in between as the thread makes them."""
    for seconds in (2.0, 2.0, 1.1):
        for each in processes:
            each.turn()
        clock.now += seconds


@pytest.fixture
def opened(process, clock):
    """Three processes, whose breaker for `T` opened and is due now; each has calls for it."""
    three = [process() for _ in range(3)]
    for each in three:
        each.refused(T)
    three[0].fails(T, times=5)
    for each in three:
        each.turn()
    for each in three:
        assert "open" == each.refused(T).kind
    due(clock, *three)
    return three


def let_through(processes, limit=10.0):
    """The admissions of one call in each process."""
    admissions = [(each, each.health.admit(T, limit)) for each in processes]
    return [(each, admission) for each, admission in admissions if isinstance(admission, Admission)]


def test_one_process_probes(opened):
    """When the time is over nobody tries before he has the lease, and one process gets it."""
    assert [] == let_through(opened)
    for each in opened:
        each.turn()
    assert 1 == len(let_through(opened))
    assert [] == let_through(opened)


def test_a_call_before_the_end_is_reason_enough(opened):
    """Who was refused before has asked for the lease by the time that it is free: his next call is a probe."""
    opened[1].turn()
    ((prober, _),) = let_through(opened)
    assert opened[1] is prober


def test_who_has_no_calls_leaves_it_to_others(process, clock):
    """An idle process does not take the lease from those who could use it."""
    one, idle = process(), process()
    idle.refused(T)
    one.fails(T, times=5)
    one.turn(), idle.turn()
    due(clock, one, idle)
    idle.turn()
    one.refused(T)
    one.turn()
    assert None is one.refused(T)


def test_a_bad_probe_is_the_only_one_of_its_interval(opened, clock):
    """The breaker stays open for all, and nobody tries before the next interval is over."""
    for each in opened:
        each.turn()
    ((prober, admission),) = let_through(opened)
    prober.health.failed(admission, ServerError("still"))
    for _ in range(90):
        clock.now += 0.1
        for each in opened:
            assert [] == let_through(opened)
            each.turn()
    clock.now += 1.1
    for each in opened:
        each.turn()
    assert 1 == len(let_through(opened))


def test_a_lease_is_not_given_back_before_the_reason_is_known(opened, store):
    """Whoever gets the lease next can know by then that the probe failed."""
    for each in opened:
        each.turn()
    ((prober, admission),) = let_through(opened)
    prober.turn()
    write, store.write = store.write, lambda records: (_ for _ in ()).throw(OSError("full"))
    prober.health.failed(admission, ServerError("still"))
    prober.turn()
    assert store.leases
    store.write = write
    prober.turn()
    assert {} == store.leases
    for each in opened:
        each.turn()
    assert [] == let_through(opened)


def test_the_lease_lasts_as_long_as_the_probe(opened, clock, store):
    """It is prolonged to the limit of the call and a little more, and so long nobody else tries."""
    for each in opened:
        each.turn()
    ((prober, _),) = let_through(opened, limit=30.0)
    assert prober.sharing._called
    prober.turn()
    ((_, ends),) = store.leases.values()
    assert 35_000 == ends - store.now
    for _ in range(340):
        clock.now += 0.1
        for each in opened:
            if each is not prober:
                each.turn()
        assert [] == let_through(opened)


def test_a_dead_process_frees_its_lease_by_time(opened, clock):
    """A process that is killed with the lease keeps the others out for no longer than its probe could last."""
    for each in opened:
        each.turn()
    ((dead, _),) = let_through(opened, limit=30.0)
    dead.turn()
    left = [each for each in opened if each is not dead]
    clock.now += 35.2
    for each in left:
        each.turn()
    assert 1 == len(let_through(left))


def test_a_process_that_leaves_frees_its_lease(opened, store):
    """A program that ends in good order leaves the lease to the others at once."""
    for each in opened:
        each.turn()
    assert store.leases
    for each in opened:
        each.sharing._leave(store)
    assert {} == store.leases


@pytest.mark.parametrize("how", ["released", "answered"])
def test_a_lease_that_no_call_uses_goes_round(opened, clock, how):
    """After a probe that said nothing, or was good, the lease waits some seconds for the next call, then it is free."""
    for each in opened:
        each.turn()
    ((prober, admission),) = let_through(opened, limit=100.0)
    prober.turn()
    (prober.health.released if how == "released" else prober.health.succeeded)(admission)
    prober.turn()
    left = [each for each in opened if each is not prober]
    clock.now += IDLE - 0.1
    for each in left:
        each.turn()
    assert [] == let_through(left)
    clock.now += max(0.2, RETRY)
    for each in left:
        each.turn()
    assert 1 == len(let_through(left))


def test_two_good_probes_close_it_for_all(opened, clock):
    """Both may be of the one process that has the lease; then everybody's calls pass, and the lease is free."""
    for each in opened:
        each.turn()
    ((prober, admission),) = let_through(opened)
    prober.health.succeeded(admission)
    prober.turn()
    prober.answers(T)
    for each in opened:
        each.turn()
    for each in opened:
        each.turn()
    assert 3 == len(let_through(opened))
    assert {} == prober.store.leases


def test_a_probe_that_fails_elsewhere_is_one_more_in_a_row(opened, clock):
    """The intervals grow for the fleet as they grow for a process alone, whoever probes."""
    opened[1].turn()
    ((prober, admission),) = let_through(opened)
    assert opened[1] is prober
    prober.health.failed(admission, ServerError("still"))
    prober.turn()
    opened[0].turn()
    assert [10.0] * 2 == [pytest.approx(each.refused(T).until - clock.now, abs=0.01) for each in opened[:2]]


def test_a_lease_is_given_back_after_the_reason_is_told(opened, store, monkeypatch):
    """Where there is too much to tell for one round, the lease stays until what came of the probe is among it."""
    for each in opened:
        each.turn()
    ((prober, admission),) = let_through(opened)
    monkeypatch.setattr(_sharing, "SLICE", -1.0)
    monkeypatch.setattr(_sharing, "BATCH", 1)
    prober.limited(target("n", account="b"), 60)
    prober.health.failed(admission, ServerError("still"))
    for _ in range(2):
        prober.turn()
        assert store.leases
    prober.turn()
    assert {} == store.leases


def test_a_lease_has_a_token_of_its_own(opened, store, clock):
    """The next lease of a process has another token, so that a command that comes late can't free it."""
    opened[0].turn()
    ((first, _),) = store.leases.values()
    ((prober, admission),) = let_through(opened)
    prober.health.failed(admission, ServerError("still"))
    due(clock, *opened)
    due(clock, *opened)
    opened[0].turn()
    ((second, _),) = store.leases.values()
    assert first != second


def test_a_lease_that_another_has_is_asked_for_now_and_then(opened, store, monkeypatch, clock):
    """However many calls want to try, a process asks for the lease four times a second."""
    opened[0].turn()
    asked = []
    hold = store.hold
    monkeypatch.setattr(store, "hold", lambda *given: asked.append(given) or hold(*given))
    assert RETRY == opened[1].turn()
    for _ in range(20):
        clock.now += 0.05
        opened[1].refused(T)
        opened[1].turn()
    assert 4 <= len(asked) <= 5


def test_a_round_comes_when_the_breaker_is_due(process, clock):
    """The lease is asked for at the moment from which it may be had."""
    one = process()
    one.refused(T)
    one.fails(T, times=5)
    one.turn()
    one.refused(T)
    clock.now += 4.5
    assert 0.5 == pytest.approx(one.turn(), abs=0.01)


def test_one_call_is_no_reason_for_ever(opened, clock, store):
    """A process without calls for five minutes leaves the lease alone."""
    for _ in range(400):
        clock.now += 0.8
        for each in opened:
            each.turn()
    clock.now += 5.1
    for each in opened:
        each.turn()
    assert [] == [ends for _, ends in store.leases.values() if ends > store.now]


def test_without_the_store_each_probes_for_itself(opened, store, clock):
    """When the store is gone the rule of a process alone holds: one probe each."""
    store.broken = OSError("gone")
    for each in opened:
        for _ in range(3):
            each.turn()
    assert 3 == len(let_through(opened))
    assert [] == let_through(opened)


def test_a_store_that_hangs_holds_up_no_probe_for_long(opened, clock):
    """Even while it is not yet known that the store is gone, a probe waits for it for seconds only."""
    assert [] == let_through(opened)
    clock.now += 3.1
    assert 3 == len(let_through(opened))


def test_who_has_no_other_target_asks_once_a_second(opened, clock):
    """Where nobody else could be asked a call goes through in spite of all, but not every call."""
    sent = 0
    opened[1].turn()
    for _ in range(50):
        clock.now += 0.095
        opened[0].turn()
        admission = opened[0].health.admit(T, 1.0, forced=True)
        if isinstance(admission, Admission):
            assert [] == [permit for permit in admission.permits.values() if permit.probe]
            sent += 1
            opened[0].health.released(admission)
    assert 5 <= sent <= 6


def test_both_breakers_of_a_target_need_their_lease(process, clock):
    """An endpoint's breaker and a target's are tried one at a time each, together where both are due."""
    one, two = process(), process()
    two.refused(T)
    begun = [one.ask(T) for _ in range(10)]
    for number, admission in enumerate(begun):
        one.health.failed(admission, ConnectFailed("refused") if number % 2 else ServerError("500"))
    one.turn(), two.turn()
    one.refused(T), two.refused(T)
    due(clock, one, two)
    one.turn(), two.turn()
    assert 2 == len(one.store.leases)
    assert 1 == len(let_through([one, two]))


@pytest.mark.parametrize("seed", range(8))
def test_a_fleet_probes_once_an_interval(process, clock, seed):
    """Whatever the order of calls and rounds, a dead target is sent one call an interval; a well one is found."""
    chance = random.Random(seed)
    fleet = [process() for _ in range(4)]
    for each in fleet:
        each.refused(T)
    fleet[0].fails(T, times=5)
    for each in fleet:
        each.turn()
    flying: list[tuple[float, object, Admission]] = []
    sent: list[float] = []
    turns = [clock.now + chance.random() for _ in fleet]
    end, well = clock.now + 400, clock.now + 250
    while clock.now < end:
        clock.now += 0.05
        for number, each in enumerate(fleet):
            if clock.now >= turns[number]:
                pause = each.turn()
                turns[number] = clock.now + min(pause, 0.8)
            if chance.random() < 0.1:
                admission = each.health.admit(T, 10.0)
                if isinstance(admission, Admission):
                    sent.append(clock.now)
                    flying.append((clock.now + chance.uniform(0.05, 9), each, admission))
        for landed in [flight for flight in flying if flight[0] <= clock.now]:
            flying.remove(landed)
            _, each, admission = landed
            if clock.now >= well:
                each.health.succeeded(admission)
            else:
                each.health.failed(admission, ServerError("500"))
    dead = [moment for moment in sent if moment < well]
    # 5, 10, 20, 40, 80, 160 seconds: it opened before the first of these
    assert 4 <= len(dead) <= 6
    assert all(later - sooner >= 5 for sooner, later in pairwise(dead))
    assert {"ok"} == {each.health.show([T])[0].state for each in fleet}
