"""
Chains on a clock that is made up, with vendors that fall ill and get well, against an oracle that knows the future.

What the oracle says: where a target is well for as long as the call may take and nothing is held against it, the call
is answered. What everybody can check: nobody hears anything but what one vendor said in one answer.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import pytest

from llmswitch._errors import DeadlineExceeded, StreamInterrupted
from llmswitch._events import Finish, StreamReset
from tests.everyday import many, mostly_slow, sizes
from tests.health.simulator import Played, World
from tests.health.vendors import AFTER, BEFORE, DECLARED, OVERLOADED, UNWELL, Weather
from tests.health.virtual import chain

ALWAYS = -math.inf
LATE = 0.3  # to read a finished answer to its end, a call may take a moment more than its limit


def weather(*changes: tuple[float, str]) -> Weather:
    """Well until the first of these moments."""
    return Weather([(ALWAYS, "well"), *changes])


def always(condition: str) -> Weather:
    return Weather([(ALWAYS, condition)])


# What everybody can check


def check(one: Played, *, restart: bool) -> None:
    """Nothing lost, doubled, mixed or cut in silence; the trail is the truth; the limit was kept."""
    assert one.ended <= one.started + one.limit + LATE
    trail = one.reply.attempts if one.reply is not None else one.error.attempts if one.error is not None else ()
    assert [served.target for served in one.served] == [
        attempt.target for attempt in trail if attempt.skipped_because is None
    ]
    if one.reply is not None:
        last = one.served[-1]
        assert last.whole
        assert last.text == one.reply.text
        assert last.target == f"{one.reply.provider}:{one.reply.model}"
        if one.stream:
            assert last.text == one.heard
            assert [event for event in one.events if isinstance(event, Finish)] == one.events[-1:]
    else:
        assert one.error is not None
        _check_error(one, restart=restart)
    resets = [event for event in one.events if isinstance(event, StreamReset)]
    assert restart or not resets


def _check_error(one: Played, *, restart: bool) -> None:
    error = one.error
    assert not any(isinstance(event, Finish) for event in one.events), "it was said to be whole"
    if isinstance(error, StreamInterrupted) and error.partial is not None:
        begun = [served for served in one.served if served.sent and not served.whole]
        assert error.partial.text in [served.sent for served in begun], "the partial is not what was sent"
        assert error.partial.text == one.heard or restart
    elif isinstance(error, DeadlineExceeded) and error.partial is not None:
        assert one.served[-1].text.startswith(error.partial.text)
        assert error.partial.text == one.heard
    else:
        assert "" == one.heard, "words were handed over that nobody answers for"


def committed(one: Played) -> bool:
    """The caller had seen words when it broke off, so nobody else was asked."""
    return isinstance(one.error, (StreamInterrupted, DeadlineExceeded)) and one.error.partial is not None


# Random chains


def drawn_world(seed: int, kinds: list[str], *, healthy: bool, restart: bool) -> World:
    """A chain of one to five targets, some of them neighbours; with `healthy`, one that is always well and alone."""
    rng = random.Random(seed)
    size = rng.randint(2 if healthy else 1, 5)
    names = [f"{rng.choice('abcd')}-{rng.choice('xy')}:m{number}" for number in range(size)]
    sick = {
        name: Weather.drawn(rng, 1000.0, 1400.0, kinds, well_for=rng.choice([5.0, 30.0, 200.0]))
        if rng.random() < 0.8
        else always(rng.choice(kinds))
        for name in names
    }
    if healthy:
        names[rng.randrange(size)] = "z-x:always"
        sick["z-x:always"] = always("well")
    made = chain(*names, on_stream_failure="restart" if restart else "raise")
    return World(made, {name: sick[name] for name in names}, seed=seed)


def run(seed: int, calls: int, *, after: bool, healthy: bool) -> list[Played]:
    """Some calls through a drawn chain, each checked against what everybody can see and what the oracle knows."""
    rng = random.Random(-seed)
    restart = seed % 3 == 0
    world = drawn_world(seed, [*BEFORE, *(AFTER if after else ())], healthy=healthy, restart=restart)
    rate = rng.choice([0.2, 2.0, 20.0])
    arrivals, now = [], 1000.0
    for _ in range(calls):
        now += rng.expovariate(rate)
        arrivals.append((now, rng.random() < 0.5, rng.choice([None, None, None, 60.0, 10.0])))
    played = world.calls(arrivals)
    for one in played:
        check(one, restart=restart)
        if one.able or healthy:
            answered = one.reply is not None or (after and committed(one))
            assert answered, f"seed {seed}, call {one.number}: {one.error!r} although somebody was there"
    assert 0 == world.in_flight()
    return played


@pytest.mark.parametrize("seed", mostly_slow(range(10), range(1)))
def test_with_a_healthy_target_every_call_is_answered(seed: int) -> None:
    """Whatever the others do before their first word: each of 100 calls is answered, in time, by one vendor's words."""
    played = run(seed, 100, after=False, healthy=True)
    assert all(one.reply is not None for one in played)


@pytest.mark.parametrize("seed", mostly_slow(range(100, 110), range(100, 101)))
def test_whoever_is_there_is_found(seed: int) -> None:
    """With no target that is always well, a call is answered whenever one is that nothing is held against."""
    run(seed, 100, after=False, healthy=False)


@pytest.mark.parametrize("seed", mostly_slow(range(200, 210), range(200, 202)))
def test_what_breaks_after_the_first_word_is_reported(seed: int) -> None:
    """A broken answer is raised with just what had come; with restart it begins anew, and ends as one answer."""
    run(seed, 100, after=True, healthy=seed % 2 == 0)


@pytest.mark.slow
def test_thousands_of_calls() -> None:
    """The same for 5,000 calls: answered wherever it can be, and nothing lost, doubled, mixed or cut in silence."""
    calls = Counter[str]()
    for seed in range(1000, 1000 + many(50)):
        played = run(seed, 100, after=seed % 2 == 0, healthy=seed % 4 < 2)
        for one in played:
            calls["able" if one.able else "not able"] += 1
            calls["answered"] += one.reply is not None
    assert many(5_000) == calls["able"] + calls["not able"]
    assert calls["able"] > many(2_500)


class Dice(Weather):
    """Each request is well or ill by itself: one in five is ill."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def at(self, now: float) -> str:
        ill = self._rng.random() < 0.2
        return self._rng.choice(["refused", "reset", "server_error", "nothing", "cut_before"]) if ill else "well"

    def well_during(self, start: float, end: float) -> bool:
        return False  # nobody can know


@pytest.mark.parametrize("calls", sizes(250, many(5_000)))
def test_independent_faults(calls: int) -> None:
    """
    With three targets that each fail one request in five, one that knows the future and asks each of them once answers
    99.2 % of the calls. At least 99.9 % of those are answered: what breakers cost by chance, repetitions give back.
    """
    rng = random.Random(7)
    names = ("a-x:m", "b-x:m", "c-x:m")
    world = World(chain(*names), {name: Dice(rng) for name in names}, seed=7)
    played = world.calls((1000.0 + 0.5 * number, number % 2 == 0, None) for number in range(calls))
    assert sum(one.reply is not None for one in played) >= 0.999 * (1 - 0.2**3) * calls


# A dead target


@pytest.mark.parametrize(
    ("condition", "calls"),
    [
        *[("overloaded", 400), ("silent", 400)],
        *(pytest.param(name, 1200, marks=pytest.mark.slow) for name in sorted({**UNWELL, **OVERLOADED})),
    ],
)
def test_a_dead_target_is_asked_five_times_and_then_once_an_interval(condition: str, calls: int) -> None:
    """With a healthy one behind it a dead target sees five requests, and after that one for each time it is out."""
    world = World(chain("a-x:dead", "b-x:well"), {"a-x:dead": always(condition), "b-x:well": always("well")}, seed=1)
    played = world.calls((1000.0 + 0.5 * number, False, None) for number in range(calls))
    assert all(one.reply is not None for one in played)
    asked = [served.at for served in world.served if served.target == "a-x:dead"]
    if "silent" in condition or condition in ("heartbeats", "black_hole"):
        # calls that begin while the first ones still wait for it can't know yet
        asked = asked[sum(at < played[0].ended + 20 for at in asked) :]
    else:
        asked = asked[5:] if condition not in OVERLOADED else asked[4:]
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert len(asked) <= 8, "600 seconds hold 5 + 10 + 20 + … + 300 and no more"
    assert all(gap >= 4.0 for gap in gaps), gaps


@pytest.mark.parametrize("condition", mostly_slow(["refused", "server_error", "reset", "nothing"], ["server_error"]))
def test_a_target_that_gets_well_is_back_within_an_interval_and_two_probes(condition: str) -> None:
    """Once its time is up the first call is a probe, the second too, and then all calls are as before."""
    for out in (20.0, 100.0, 400.0):
        back = 1000.0 + out
        world = World(
            chain("a-x:ill", "b-x:well"),
            {"a-x:ill": Weather([(ALWAYS, condition), (back, "well")]), "b-x:well": always("well")},
            seed=3,
        )
        world.calls((1000.0 + number, False, None) for number in range(int(out)))
        refusal = world.health.refusal(world.chain.targets[0])
        interval = 0.0 if refusal is None else refusal.until - world.clock.now
        assert interval <= 300.0 * 1.2
        world.clock.now = max(world.clock.now, back) + interval
        for _ in range(10):
            played = world.call()
            assert played.reply is not None
            assert ["a-x:ill"] == [served.target for served in played.served]


@pytest.mark.parametrize("calls", sizes(250, 1000))
def test_many_calls_at_once_do_not_storm_a_dead_target(calls: int) -> None:
    """5 requests and those under way reach it; everybody is answered by the other one."""
    world = World(chain("a-x:dead", "b-x:well"), {"a-x:dead": always("refused"), "b-x:well": always("well")})
    played = world.calls((1000.0 + number / 10_000, False, None) for number in range(calls))
    assert all(one.reply is not None for one in played)
    asked = Counter(served.target for served in world.served)
    assert asked["a-x:dead"] <= 5 + 10  # it answers in a millisecond, in which ten calls begin
    assert calls == asked["b-x:well"]


# A total outage

_OUTAGES = {"everyday": ["server_error", "rate_limited"], "slow": sorted(BEFORE)}


def amplification(condition: str, size: int) -> float:
    """Requests for each call after ten minutes in which nobody has answered, at a call a second."""
    names = [f"{letter}-x:m" for letter in "abcde"[:size]]
    world = World(chain(*names), dict.fromkeys(names, always(condition)), seed=size)
    played = world.calls((1000.0 + number, number % 2 == 0, None) for number in range(700))
    assert all(one.reply is None for one in played)
    steady = [one for one in played if one.started >= 1600.0]
    return sum(len(one.served) for one in steady) / len(steady)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("condition", _OUTAGES["everyday"])
def test_an_outage_of_everybody_is_not_amplified(condition: str, size: int) -> None:
    """In the steady state of a total outage a call makes at most 1.10 requests."""
    assert amplification(condition, size) <= 1.10


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("condition", [name for name in _OUTAGES["slow"] if name != "stale"])
def test_no_outage_of_everybody_is_amplified(condition: str, size: int) -> None:
    """The same for every way to fail."""
    assert amplification(condition, size) <= 1.10


def test_declared_facts_are_not_asked_again() -> None:
    """After one answer that no money, no key or no region is there, nobody asks until its time is up."""
    for condition in sorted(DECLARED):
        if condition.startswith("rate_limited"):
            continue
        world = World(chain("a-x:m"), {"a-x:m": always(condition)})
        world.calls((1000.0 + number, False, None) for number in range(200))
        assert 1 == len(world.served), condition
