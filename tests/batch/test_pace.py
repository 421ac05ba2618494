"""The room of a batch: it grows while nobody throttles, and is halved once for each throttling."""

from __future__ import annotations

from llmswitch._pace import Pace


def rounds(pace: Pace, count: int, now: float, *, throttled: bool = False) -> None:
    """So many rounds in which as many calls fly as there is room for, all answered, or all throttled."""
    for number in range(count):
        flying = 0
        while pace.open(now + number):
            pace.began()
            flying += 1
        for _ in range(flying):
            pace.ended(now + number, now + number + 0.5, answered=not throttled, throttled=throttled)


def test_room_grows_to_what_was_allowed_and_no_further() -> None:
    """It begins low, grows with the answers, and ends at the number that the caller gave."""
    pace = Pace(20)
    assert pace.room == 4
    rounds(pace, 1, 0.0)
    assert 4 < pace.room <= 8
    rounds(pace, 30, 1.0)
    assert pace.room == 20
    assert Pace(2).room == 2


def test_a_throttling_halves_once_for_all_who_were_in_flight() -> None:
    """Sixteen calls that are told the same at once are one event; the next event halves again, down to one call."""
    pace = Pace(16)
    rounds(pace, 20, 0.0)
    rounds(pace, 1, 100.0, throttled=True)
    assert pace.room == 8
    rounds(pace, 1, 101.0, throttled=True)
    assert pace.room == 4
    rounds(pace, 5, 102.0, throttled=True)
    assert pace.room == 1


def test_after_a_throttling_it_grows_by_one_each_round() -> None:
    """What was too much once is gone up to slowly."""
    pace = Pace(100)
    rounds(pace, 2, 0.0)
    rounds(pace, 1, 10.0, throttled=True)
    before = pace.room
    rounds(pace, 4, 20.0)
    assert before + 1 < pace.room <= before + 4


def test_room_that_nobody_needs_does_not_grow() -> None:
    """One call at a time proves nothing about many."""
    pace = Pace(100)
    for number in range(50):
        pace.began()
        pace.ended(number, number, answered=True, throttled=False)
    assert pace.room == 4


def test_one_wait_holds_everybody() -> None:
    """Nobody begins before the end of the longest wait."""
    pace = Pace(10)
    pace.hold(5.0)
    pace.hold(3.0)
    assert (pace.open(4.9), pace.open(5.0)) == (False, True)
