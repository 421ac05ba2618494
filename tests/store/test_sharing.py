"""What processes tell each other: cool-downs, breakers, resets, and that older news changes nothing."""

from __future__ import annotations

import logging

import pytest

from llmswitch import _fleet, _sharing
from llmswitch._errors import Arrears, ConnectFailed, ServerError
from llmswitch._outage import FAILURES, PAUSE
from llmswitch._sharing import GAP, PERIOD
from llmswitch._store import Record
from tests.store.play import target

T, OTHER = target("m"), target("n", account="b")


def test_a_cooldown_of_one_is_a_cooldown_of_all(process):
    """A rate limit that one process met keeps the calls of another away for as long, and says why."""
    one, two = process(), process()
    two.refused(T)
    one.limited(T, 20)
    one.turn()
    two.turn()
    refused = two.refused(T)
    assert ("cooling", "RateLimited", True) == (refused.kind, refused.reason, refused.transient)
    assert 1020.0 == pytest.approx(refused.until, abs=0.01)


def test_it_is_shared_at_the_scope_that_it_proves(process):
    """Arrears are the account's: all of its models are out elsewhere, and no other account's."""
    one, two = process(), process()
    same, another = target("n"), target("m", account="b")
    for each in (T, same, another):
        two.refused(each)
    one.fails(T, Arrears("pay"))
    one.turn()
    two.turn()
    assert ["Arrears", "Arrears", None] == [getattr(two.refused(each), "reason", None) for each in (T, same, another)]


def test_it_is_known_before_a_target_is_asked_for_the_second_time(process):
    """A target that this process has not met is looked up when it is first met."""
    one, two = process(), process()
    one.limited(T, 20)
    one.turn()
    two.turn()
    assert two.refused(T) is None
    two.turn()
    assert "cooling" == two.refused(T).kind


def test_the_later_end_stays(process, clock):
    """Of two cool-downs at once, the one that ends later counts everywhere."""
    one, two = process(), process()
    one.refused(T), two.refused(T)
    one.limited(T, 30)
    two.limited(T, 10)
    for each in (one, two, one, two):
        each.turn()
    assert [1030.0, 1030.0] == [pytest.approx(each.refused(T).until, abs=0.01) for each in (one, two)]


def test_what_is_over_is_not_brought_back(process, clock, store):
    """A store that comes back with what it had a minute ago keeps nobody from anything."""
    one, two = process(), process()
    two.refused(T)
    one.limited(T, 20)
    one.turn(), two.turn()
    old = dict(store.kept)
    clock.now += 60
    store.kept, store.skew = old, -60_000
    for _ in range(3):
        one.turn(), two.turn()
    assert [None, None] == [one.refused(T), two.refused(T)]


def test_a_store_with_an_older_state_is_told_the_newer(process, clock, store):
    """What the store has lost is written again, by any who knows it."""
    one, two = process(), process()
    two.refused(T)
    one.limited(T, 10)
    one.turn()
    old = dict(store.kept)
    clock.now += 5
    one.health._known.cooldowns.clear()
    one.limited(T, 100)
    one.turn(), two.turn()
    store.kept = old
    two.turn()
    three = process()
    three.refused(T)
    three.turn()
    assert 1105.0 == pytest.approx(three.refused(T).until, abs=0.01)
    store.kept = {}
    two.turn()
    assert store.kept


def test_a_reset_is_for_all(process):
    """What a person has put right in one process is right in all of them."""
    one, two = process(), process()
    two.refused(T)
    one.fails(T, Arrears("pay"))
    one.fails(OTHER, times=5)
    two.refused(OTHER)
    one.turn(), two.turn()
    assert ["Arrears", "ServerError"] == [two.refused(T).reason, two.refused(OTHER).reason]
    two.health.reset(T)
    two.health.reset(OTHER)
    two.turn(), one.turn()
    assert [None] * 4 == [each.refused(asked) for each in (one, two) for asked in (T, OTHER)]


def test_a_reset_holds_against_who_was_cut_off(process, clock, store):
    """A process that did not hear of the reset cannot bring back what it knows from before."""
    one, two = process(), process()
    two.refused(T)
    one.fails(T, Arrears("pay"))
    one.turn(), two.turn()
    two.health.reset(T)
    two.turn()
    store.kept = {}  # and the store is a new one
    one.turn()
    two.turn()
    one.turn()
    assert [None, None] == [one.refused(T), two.refused(T)]


def test_what_went_out_again_after_a_reset_stays_out(process, clock, store):
    """A reset that could not be told for a while does not undo what happened after it."""
    one, two = process(), process()
    one.refused(T), two.refused(T)
    one.turn(), two.turn()
    store.broken = OSError("gone")
    one.health.reset(T)
    clock.now += 5
    store.broken = None
    two.limited(T, 60)
    two.turn()
    one.turn()
    two.turn()
    assert ["cooling", "cooling"] == [each.refused(T).kind for each in (one, two)]


def test_a_breaker_that_opened_is_open_for_all(process):
    """Five failures in one process are enough; the others send nothing."""
    one, two = process(), process()
    begun = [two.ask(T) for _ in range(3)]
    one.fails(T, times=5)
    one.turn(), two.turn()
    refused = two.refused(T)
    assert ("open", "ServerError") == (refused.kind, refused.reason)
    assert 1005.0 == pytest.approx(refused.until, abs=0.01)
    two.health.failed(begun.pop(), ServerError("begun before"))
    for admission in begun:
        two.health.succeeded(admission)
    assert 1005.0 == pytest.approx(two.refused(T).until, abs=0.01)


def test_a_breaker_that_closed_is_closed_for_all(process, clock):
    """Two good probes in one process let the calls of all through."""
    one, two = process(), process()
    two.refused(T)
    one.fails(T, times=5)
    one.turn(), two.turn()
    assert one.refused(T) is not None
    clock.now += 5.1
    one.turn()
    one.answers(T, times=2)
    one.turn(), two.turn()
    assert None is two.refused(T)
    assert "ok" == two.health.show([T])[0].state
    two.answers(T)
    two.fails(T, times=5)
    assert 10.0 == pytest.approx(two.refused(T).until - clock.now, abs=0.01)  # the second time in a row


def test_what_was_heard_is_not_told_again(process, clock, store):
    """Processes do not tell each other the same thing for ever."""
    one, two = process(), process()
    two.refused(T), two.refused(OTHER)
    one.fails(T, times=5)
    one.limited(OTHER, 1)
    one.turn(), two.turn()
    one.health.reset(T)
    one.turn(), two.turn()
    written = list(store.written)
    for _ in range(3):
        clock.now += 0.8
        one.answers(T), two.answers(T)
        one.turn(), two.turn()
    assert written == store.written


def test_a_reset_is_told_although_more_has_happened_since(process, store, clock):
    """A reset and a shorter cool-down after it, both told late, end the longer one that the others know."""
    one, two = process(), process()
    two.refused(T)
    one.limited(T, 600)
    one.turn(), two.turn()
    one.health.reset(T)
    clock.now += 1
    one.limited(T, 10)
    one.turn(), two.turn()
    assert [1011.0, 1011.0] == [pytest.approx(each.refused(T).until, abs=0.01) for each in (one, two)]


def test_an_old_opening_does_not_come_back(process, clock, store):
    """What was open in an older epoch stays closed, even where the store has forgotten that it was closed."""
    one, two = process(), process()
    one.fails(T, times=5)
    two.refused(T)
    one.turn(), two.turn()
    old = dict(store.kept)
    two.health.reset(T)
    two.turn(), one.turn()
    store.kept = old
    one.turn(), two.turn()
    assert [None, None] == [one.refused(T), two.refused(T)]


def test_who_has_been_answered_since_believes_himself(process, clock):
    """A process whose calls are answered takes no breaker from one whose own network may be down."""
    sick, well, idle = process(), process(), process()
    well.refused(T), idle.refused(T)
    sick.fails(T, times=5)
    sick.turn()
    clock.now += 0.1
    well.answers(T)
    well.turn(), idle.turn()
    assert None is well.refused(T)
    assert "open" == idle.refused(T).kind


def test_an_endpoint_is_shared_by_those_of_one_egress(process):
    """That a machine gets no connection says nothing about another machine's way, unless they go the same."""
    here, same, there = process(machine="x"), process(machine="x"), process(machine="y")
    east, also = process(machine="p", egress="east"), process(machine="q", egress="east")
    for each in (same, there, east, also):
        each.refused(T)
    for each in (here, east):
        each.fails(T, ConnectFailed("refused"), times=5)
        each.turn()
    for each in (same, there, also):
        each.turn()
    assert ["open", None, "open"] == [getattr(each.refused(T), "kind", None) for each in (same, there, also)]


def test_what_is_done_by_hand_is_this_process_alone(process):
    """`isolate` and `disable` stay where they were said, and nothing that is heard changes them."""
    one, two, three = process(), process(), process()
    three.refused(T)
    one.fails(T, times=5)
    two.health.isolate(T)
    two.refused(T)
    three.health.disable(T)
    for each in (one, two, three):
        each.turn()
    assert "isolated" == two.refused(T).reason
    assert None is three.refused(T)
    four = process()
    four.refused(T)
    four.turn()
    assert "ServerError" == four.refused(T).reason


def test_the_next_time_in_a_row_is_counted_together(process, clock):
    """A cool-down that doubles goes on doubling in whichever process meets it next."""
    one, two = process(), process()
    two.refused(T)
    one.fails(T, Arrears("pay"))
    one.turn(), two.turn()
    clock.now += 700
    two.turn()
    two.fails(T, Arrears("pay"))
    assert 1200.0 <= two.refused(T).until - clock.now <= 1320.0


# When the store is gone


def test_nothing_is_raised_and_everything_works_without_the_store(process, store):
    """A store that fails in whatever way leaves each process as it would be alone."""
    store.broken = ConnectionError("redis://user:password@host is gone")
    one = process()
    for _ in range(5):
        one.turn()
    one.limited(T, 20)
    one.fails(OTHER, times=5)
    one.turn()
    assert ["cooling", "open"] == [one.refused(T).kind, one.refused(OTHER).kind]


def test_three_failures_are_ten_seconds_of_peace(process, store):
    """A store that fails is asked three times at once, then every ten seconds, whatever happens here."""
    one = process()
    store.broken = TimeoutError()
    assert [0.0] * (FAILURES - 1) + [PAUSE, PAUSE] == [one.turn() for _ in range(FAILURES + 1)]
    store.broken = None
    assert PERIOD == one.turn()
    assert {"TimeoutError": FAILURES + 1} == one.sharing.outage.counts


def test_a_change_of_state_is_one_line(process, store, caplog):
    """Going and coming back are said once each, without the address."""
    caplog.set_level(logging.INFO, "llmswitch")
    one = process()
    one.turn()
    store.broken = RuntimeError("OOM redis://user:password@host")
    for _ in range(10):
        one.turn()
    store.broken = None
    for _ in range(3):
        one.turn()
    gone, back = [record.getMessage() for record in caplog.records]
    assert "the store can't be used (RuntimeError: OOM): each process goes on with what it knows" == gone
    assert "the store can be used again, after 10 failures: what each process learns is shared" == back


def test_what_happened_meanwhile_is_told_later(process, store, clock):
    """When the store is back, what is still true is told, and the newest of each."""
    one, two = process(), process()
    two.refused(T), two.refused(OTHER)
    store.broken = OSError("gone")
    one.limited(OTHER, 3)
    for seconds in (20, 30, 40):
        one.health._known.cooldowns.clear()
        one.limited(T, seconds)
        one.turn()
    clock.now += 5
    store.broken = None
    one.turn(), two.turn()
    assert 1040.0 == pytest.approx(two.refused(T).until, abs=0.01)
    assert None is two.refused(OTHER)
    assert 2 == len(store.written)


def test_the_outbox_is_bounded(process, store, monkeypatch):
    """What can't be told for long is dropped, the oldest first, and counted."""
    monkeypatch.setattr(_fleet, "OUTBOX", 10)
    one = process()
    for number in range(10):
        one.limited(target(f"m{number}", account=f"{number}"), 60)
    assert 10 == one.sharing.fleet.dropped
    one.turn()
    assert 10 == len(store.written)


def test_many_changes_are_written_in_batches(process, store, monkeypatch):
    """Nothing is left over, however much there was to tell."""
    one, two = process(), process()
    asked = [target(f"m{number}", account=f"{number}") for number in range(300)]
    for each in asked:
        one.limited(each, 60)
        two.refused(each)
    one.turn(), two.turn()
    assert 600 == len(store.kept)
    assert {"cooling"} == {two.refused(each).kind for each in asked}


def test_writing_leaves_time_to_listen(process, store, monkeypatch):
    """What does not fit into a round's time is written in the next one, which comes soon."""
    monkeypatch.setattr(_sharing, "SLICE", -1.0)
    monkeypatch.setattr(_sharing, "BATCH", 2)
    one = process()
    for number in range(3):
        one.limited(target(f"m{number}", account=f"{number}"), 60)
    assert [GAP, GAP, PERIOD] == [one.turn() for _ in range(3)]
    assert 6 == len(store.kept)


def test_what_others_have_written_there_is_passed_over(process, store):
    """A record that can't be read changes nothing, and is put right by who knows better."""
    one, two = process(), process()
    two.refused(T)
    one.limited(T, 20)
    one.turn(), two.turn()
    for name in store.kept:
        store.kept[name] = "[[[", store.now + 10**6
    two.turn()
    three = process()
    three.refused(T)
    three.turn()
    assert ["cooling", "cooling"] == [two.refused(T).kind, three.refused(T).kind]


def test_a_clock_that_jumps_changes_no_end(process, store, clock):
    """A store's clock that goes a day back or forth moves nothing of what is known here."""
    one = process()
    one.limited(T, 20)
    one.turn()
    for skew in (-86_400_000, 86_400_000):
        store.skew = skew
        one.turn()
        assert 1020.0 == pytest.approx(one.refused(T).until, abs=0.01)
    clock.now += 20.1
    one.turn()
    assert None is one.refused(T)


def test_an_answer_that_came_too_late_is_not_used(process, store, clock, monkeypatch):
    """A process that was stopped while it read does not take an old time for now."""
    one, two = process(), process()
    two.refused(T)
    one.limited(T, 20)
    one.turn()
    read = store.read

    def slept(names):
        got = read(names)
        clock.now += 15
        return got

    monkeypatch.setattr(store, "read", slept)
    two.turn()
    assert None is two.refused(T)
    monkeypatch.setattr(store, "read", read)
    two.turn()
    assert 1020.0 == pytest.approx(two.refused(T).until, abs=0.01)


def test_an_epoch_is_remembered_for_a_day(store):
    """What was closed is remembered longer than anything can have been open; what never was, only until its end."""
    assert 86_400_000 + 5 == Record(1, 5, 0).kept
    assert 86_400_000 + 5 == Record(1, 5, 10).kept
    assert 10 == Record(0, 5, 10).kept


def test_a_forked_child_knows_what_was_known(process, store, clock):
    """It goes on with the parent's knowledge, and tells nothing in the parent's place."""
    one = process()
    one.limited(T, 20)
    one.turn()
    one.limited(OTHER, 20)
    one.health.after_fork()
    assert one.sharing.fleet is one.health._fleet
    assert ["cooling", "cooling"] == [one.refused(T).kind, one.refused(OTHER).kind]
    before = len(store.written)
    one.turn()
    assert before == len(store.written)
