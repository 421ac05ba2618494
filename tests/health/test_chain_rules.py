"""Single scenes of a chain on a clock that is made up: who is asked, who is passed over, and for how long."""

from __future__ import annotations

import math

import pytest

from llmswitch._errors import AllTargetsFailed, AllTargetsUnavailable, DeadlineExceeded, LLMSwitchError
from llmswitch._events import Finish
from llmswitch._exchange import Call, exchange
from llmswitch._wire import Fault, Open, Opened
from tests.health.simulator import REQUEST, Played, World
from tests.health.vendors import CONDITIONS, Asked, Condition, Steps, Weather, body, refusal, stale, well
from tests.health.virtual import chain
from tests.rows import rows

ALWAYS = -math.inf


def world(*scene: tuple[str, str | Condition], **settings: object) -> World:
    """Targets in the order of the chain, each with what it is like: a condition by its name, or one of the test's."""
    names = [name for name, _ in scene]
    own = {name: like for name, like in scene if not isinstance(like, str)}
    likes = {name: like if isinstance(like, str) else name for name, like in scene}
    weather = {name: Weather([(ALWAYS, like)]) for name, like in likes.items()}
    return World(chain(*names, **settings), weather, seed=1, conditions={**CONDITIONS, **own})


def change(made: World, name: str, condition: str) -> None:
    """From now on a target is like that."""
    made.weather[name].changes.append((made.clock.now, condition))


def asked(one: Played) -> list[str]:
    return [served.target for served in one.served]


def error_of(one: Played) -> LLMSwitchError:
    assert one.error is not None
    return one.error


def open_breaker(made: World, name: str) -> None:
    """Five failures of that target in a row."""
    change(made, name, "reset")
    for _ in range(5):
        made.call()
    refusal = made.health.refusal(next(target for target in made.chain.targets if target.name == name))
    assert refusal is not None
    assert "open" == refusal.kind


def half_open(made: World, name: str) -> None:
    """Well again, and its time is up."""
    open_breaker(made, name)
    made.clock.tick(6.0)
    change(made, name, "well")


# Declared facts


def test_a_rate_limited_target_is_passed_over_for_as_long_as_it_said() -> None:
    """429 with Retry-After: 20 moves at once, and for 20 s no request goes there; then one does."""
    made = world(("a-x:m", refusal(429, "slow down", {"retry-after": "20"})), ("b-x:m", "well"))
    first = made.call()
    assert (["a-x:m", "b-x:m"], 0.0) == (asked(first), first.slept)
    limited_at = first.served[0].at
    while made.clock.now < limited_at + 19.0:
        assert ["b-x:m"] == asked(made.call())
        made.clock.tick(1.0)
    made.clock.now = limited_at + 20.1
    assert ["a-x:m", "b-x:m"] == asked(made.call())


def test_a_wait_of_hours_is_not_slept() -> None:
    """429 with Retry-After: 7200 from the only target fails at once, and so does the next call, with the wait."""
    made = world(("a-x:m", refusal(429, "slow down", {"retry-after": "7200"})))
    first, second = made.call(), made.call()
    assert 7200.0 == error_of(first).retry_after
    assert 7199.0 < (error_of(second).retry_after or 0) < 7200.0
    assert (0.0, 0.0, 1, 0) == (first.slept, second.slept, len(first.served), len(second.served))
    assert second.ended == second.started


@rows(
    ("condition", "next_asked"),
    [
        ("arrears", ["a-y:m", "b-x:m"]),
        ("no_money", ["a-y:m", "b-x:m"]),
        ("wrong_key", ["a-y:m", "b-x:m"]),
        ("quota", ["a-y:m", "b-x:m"]),
        ("region", ["b-x:m"]),
        ("bad_certificate", ["b-x:m"]),
        ("model_gone", ["a-x:other", "a-y:m", "b-x:m"]),
        ("forbidden", ["a-x:other", "a-y:m", "b-x:m"]),
    ],
)
def test_a_fact_passes_over_all_that_it_concerns(condition: str, next_asked: list[str]) -> None:
    """An account without money takes its other models out, a country the whole host, a missing model nobody else."""
    made = world(("a-x:m", condition), ("a-x:other", "server_error"), ("a-y:m", "server_error"), ("b-x:m", "well"))
    one = made.call()
    assert one.reply is not None
    assert ["a-x:m", *next_asked] == list(dict.fromkeys(asked(one)))
    skipped = [attempt.target for attempt in one.reply.attempts if attempt.skipped_because is not None]
    assert {"a-x:other", "a-y:m", "b-x:m"} - set(next_asked) == set(skipped)


def test_an_error_in_a_200_is_the_same_fact() -> None:
    """No money, said in words within an answer of 200, takes the account out as 402 does."""
    content = b'{"error": {"message": "insufficient balance"}}'
    made = world(("a-x:m", body(200, "application/json", content)), ("a-x:other", "well"), ("b-x:m", "well"))
    assert ["a-x:m", "b-x:m"] == asked(made.call())


# Failures


@rows("status", [500, 502, 504, 520, 524, 408, 409, 425, 499])
def test_a_server_error_is_repeated_once_within_50_ms(status: int) -> None:
    """One more request after at most 50 ms, then the next target."""
    made = world(("a-x:m", refusal(status, "it went wrong")), ("b-x:m", "well"))
    one = made.call()
    assert ["a-x:m", "a-x:m", "b-x:m"] == asked(one)
    assert 0.0 <= one.slept <= 0.05


@rows("condition", ["overloaded", "refused", "reset", "silent", "web_page", "cut_before", "redirect"])
def test_every_other_failure_moves_at_once(condition: str) -> None:
    """No repetition and no wait where there is somebody to move to."""
    made = world(("a-x:m", condition), ("b-x:m", "well"))
    one = made.call()
    assert (["a-x:m", "b-x:m"], 0.0) == (asked(one), one.slept)


def test_the_vendors_no_is_obeyed() -> None:
    """500 with `x-should-retry: false` is not repeated."""
    made = world(("a-x:m", refusal(500, "it went wrong", {"x-should-retry": "false"})), ("b-x:m", "well"))
    assert ["a-x:m", "b-x:m"] == asked(made.call())


def test_the_fifth_failure_is_the_last_request() -> None:
    """The request that opens the breaker is not repeated, and none follows it while the breaker is open."""
    made = world(("a-x:m", "server_error"), ("b-x:m", "well"))
    played = [made.call() for _ in range(6)]
    assert [2, 2, 1, 0, 0, 0] == [asked(one).count("a-x:m") for one in played]


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_in_a_hurry_blames_nobody(stream: bool) -> None:
    """With a limit of 1 s a target that is silent gets its slice, the next one answers, and nothing is counted."""
    made = world(("a-x:m", "silent"), ("b-x:m", "well"))
    for _ in range(20):
        one = made.call(stream=stream, timeout=1.0)
        assert one.reply is not None
        assert one.ended - one.started < 1.0
    assert "ok" == made.health.show(made.chain.targets)[0].state


@pytest.mark.parametrize("stream", [False, True])
def test_a_silence_of_full_length_counts(stream: bool) -> None:
    """A target that is silent for its own limit is counted, and after five times passed over."""
    made = world(("a-x:m", "silent"), ("b-x:m", "well"))
    for _ in range(5):
        made.call(stream=stream)
    assert ["b-x:m"] == asked(made.call(stream=stream))


def test_a_stream_that_drips_does_not_starve_the_rest_of_a_whole_call() -> None:
    """Where a whole answer was asked for, one that comes in drips for ever is left in time for the next target."""

    def drips(asked: Asked) -> Steps:
        yield 0.01, Opened(200, {"content-type": "text/event-stream"})
        while True:
            yield 5.0, b'data: {"choices":[{"index":0,"delta":{"content":"drip "}}]}\n\n'

    one = world(("a-x:m", drips), ("b-x:m", "well")).call(timeout=60.0)
    assert one.reply is not None
    assert ["a-x:m", "b-x:m"] == asked(one)


# Nobody is there


def test_a_chain_whose_every_target_is_out_says_so_at_once() -> None:
    """No request, no wait, the reason of each, the earliest time, and first what a person can do something about."""
    made = world(("a-x:m", "region"), ("b-x:m", "arrears"), ("c-x:m", "forbidden"))
    made.call()
    one = made.call()
    error = error_of(one)
    assert isinstance(error, AllTargetsUnavailable)
    assert ([], one.started) == (asked(one), one.ended)
    assert ["RegionBlocked", "Arrears", "PermissionDenied"] == [type(each).__name__ for each in error.exceptions]
    assert "b-x:m" in str(error).split(";", maxsplit=1)[0]
    assert error.retry_after == min(each.retry_after or 0.0 for each in error.exceptions)
    assert 590.0 < (error.retry_after or 0.0) < 700.0


def test_an_open_breaker_is_overruled_once_a_second_where_nobody_else_is_left() -> None:
    """Ten calls within a second to a chain that is out: one of them is sent, and the others fail at once."""
    made = world(("a-x:m", "well"), ("b-x:m", "arrears"))
    made.call()
    open_breaker(made, "a-x:m")
    made.clock.tick(1.0)
    played = made.calls((made.clock.now + number / 10, False, None) for number in range(10))
    assert 1 == sum(len(one.served) for one in played)
    assert all(one.ended - one.started < 0.01 for one in played)


def test_a_chain_that_is_out_finds_its_way_back() -> None:
    """The forced request that is answered is the answer of its call; after two of them all is well."""
    made = world(("a-x:m", "well"))
    open_breaker(made, "a-x:m")
    change(made, "a-x:m", "well")
    for _ in range(2):
        made.clock.tick(1.0)
        assert made.call().reply is not None
    assert ["ok"] == [shown.state for shown in made.health.show(made.chain.targets)]


def test_a_probe_that_fails_is_invisible() -> None:
    """The call that happens to be the probe is answered by the next target like any other."""
    made = world(("a-x:m", "well"), ("b-x:m", "well"))
    half_open(made, "a-x:m")
    change(made, "a-x:m", "server_error")
    one = made.call()
    assert one.reply is not None
    assert ["a-x:m", "b-x:m"] == asked(one)
    assert ["b-x:m"] == asked(made.call())


# Waits, dead connections and early ends


@pytest.mark.parametrize("how", [{"headers": {"retry-after": "30"}}, {"message": "please try again in 30 seconds"}])
def test_a_server_error_never_holds_a_call_up(how: dict[str, object]) -> None:
    """500 with Retry-After: 30 and a healthy target behind it: nobody sleeps while somebody is left."""
    steps = refusal(500, **{"message": "it went wrong", **how})  # type: ignore[arg-type]
    one = world(("a-x:m", steps), ("b-x:m", "well")).call()
    assert one.reply is not None
    assert one.slept <= 0.05


def test_after_a_wait_a_dead_connection_is_replaced_too() -> None:
    """A call that waited for a rate limit meets a connection that died meanwhile: one silent try on a fresh one."""
    made = world(("a-x:m", "well"))
    change(made, "a-x:m", "rate_limited")
    made.call(timeout=0.5)
    change(made, "a-x:m", "stale")
    assert made.call().reply is not None


def test_before_a_wait_a_dead_connection_is_replaced() -> None:
    """At the first pass it is, silently, and it does not count as an attempt."""
    one = world(("a-x:m", stale), ("b-x:m", "well")).call()
    assert one.reply is not None
    assert ["a-x:m", "a-x:m"] == asked(one)


def test_a_short_wait_is_better_than_a_dead_target() -> None:
    """T1 has been dead for long, T2 comes back in 2 s: the call waits for T2, as it would had it asked T1 in vain."""
    made = world(("a-x:m", "well"), ("b-x:m", "well"))
    open_breaker(made, "a-x:m")
    made.weather["b-x:m"].changes.append((made.clock.now, "overloaded_for_a_while"))
    made.call(timeout=1.0)
    change(made, "b-x:m", "well")
    assert made.call().reply is not None


def test_a_caller_who_stops_at_finish_had_an_answer() -> None:
    """Two probes whose callers leave the stream at its Finish event close the breaker."""
    made = world(("a-x:m", "well"), ("b-x:m", "well"))
    half_open(made, "a-x:m")
    for _ in range(2):
        steps = exchange(Call(made.chain, REQUEST, stream=True, clock=made.clock, health=made.health))
        answer: Steps | None = None
        action = next(steps)
        while not (isinstance(action, list) and isinstance(action[-1], Finish)):
            outcome: Opened | bytes | Fault | None = None
            if isinstance(action, Open):
                answer = well(Asked(action, made._serve(action, Played(1, True, 0.0, 1.0)), made.rng))
            if answer is not None and not isinstance(action, list):
                _, outcome = next(answer)
            action = steps.send(outcome)
        steps.close()
    assert "ok" == made.health.show(made.chain.targets)[0].state


def test_out_of_time_says_whom_it_had_asked() -> None:
    """A call whose every target is silent ends at its limit, with the names of those that were asked."""
    one = world(("a-x:m", "silent"), ("b-x:m", "silent")).call(timeout=20.0)
    error = error_of(one)
    assert isinstance(error, (DeadlineExceeded, AllTargetsFailed))
    assert "a-x:m" in str(error)
    assert one.ended <= one.started + 20.0
