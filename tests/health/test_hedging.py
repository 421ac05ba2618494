"""Hedging on a clock that is made up: when a second request goes out, who wins, and what each leaves behind."""

from __future__ import annotations

import random

import pytest

from llmswitch._errors import AllTargetsFailed, BadRequest, StreamInterrupted
from llmswitch._events import Finish
from llmswitch._hedge_budget import HedgeBudget
from tests.health.simulator import Played, World
from tests.health.vendors import CONDITIONS, Asked, Condition, Steps, Weather, refusal, well
from tests.health.virtual import chain
from tests.rows import rows

A, B, C = "a-x:m", "b-x:m", "c-x:m"


def slow(seconds: float, then: Condition = well) -> Condition:
    """Silent for a while."""

    def steps(asked: Asked) -> Steps:
        first = True
        for delay, what in then(asked):
            yield delay + (seconds if first else 0.0), what
            first = False

    return steps


def world(*scene: tuple[str, str | Condition], **settings: object) -> World:
    names = [name for name, _ in scene]
    own = {f"{name}!": like for name, like in scene if not isinstance(like, str)}
    weather = {name: Weather([(float("-inf"), like if isinstance(like, str) else f"{name}!")]) for name, like in scene}
    made = World(chain(*names, **{"hedge": True, **settings}), weather, seed=3, conditions={**CONDITIONS, **own})
    made.health._hedging.tokens = 1.0
    return made


def trail(one: Played) -> list[tuple[str, str, str | None, str | None]]:
    attempts = one.reply.attempts if one.reply is not None else one.error.attempts if one.error is not None else ()
    return [(each.target, each.kind, each.error, each.cancelled_by) for each in attempts]


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_target_is_overtaken(stream: bool) -> None:
    """After hedge_after seconds the next one is asked as well; it answers, and the first is closed and said billed."""
    made = world((A, slow(20.0)), (B, "well"), hedge_after=2.0)
    one = made.call(stream=stream)
    assert one.reply is not None
    assert [(A, "first", None, "hedge"), (B, "hedge", None, None)] == trail(one)
    assert (True, 2.0) == (one.reply.attempts[0].possibly_billed, one.served[1].at - one.served[0].at)
    assert one.reply.text == one.served[1].text
    assert one.ended - one.started < 3.0
    if stream:
        assert one.heard == one.reply.text
        assert 1 == sum(isinstance(event, Finish) for event in one.events)
    assert [0, 0] == [shown.in_flight for shown in made.health.show(made.chain.targets)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_may_still_win(stream: bool) -> None:
    """Where the first answers before the second, the second is closed."""
    one = world((A, slow(3.0)), (B, slow(9.0)), hedge_after=2.0).call(stream=stream)
    assert one.reply is not None
    assert [(A, "first", None, None), (B, "hedge", None, "hedge")] == trail(one)
    assert one.reply.text == one.served[0].text


def test_a_quick_target_is_not_hedged() -> None:
    """What answers in time is alone."""
    one = world((A, "well"), (B, "well"), hedge_after=2.0).call()
    assert [(A, "first", None, None)] == trail(one)


def test_a_failure_starts_the_next_one_at_once() -> None:
    """A first that fails before its time is a plain failover, and costs no hedge."""
    made = world((A, refusal(503, "overloaded")), (B, "well"), hedge_after=2.0)
    one = made.call()
    assert [(A, "first", "Overloaded", None), (B, "fallback", None, None)] == trail(one)
    assert 1.0 <= made.health._hedging.tokens


@pytest.mark.parametrize("stream", [False, True])
def test_one_of_the_two_fails(stream: bool) -> None:
    """The other goes on, whichever of them it is, and the failure is in the trail and counts."""
    one = world((A, slow(3.0, refusal(503, "no"))), (B, slow(9.0)), hedge_after=2.0).call(stream=stream)
    assert [(A, "first", "Overloaded", None), (B, "hedge", None, None)] == trail(one)
    one = world((A, slow(9.0)), (B, refusal(503, "no")), hedge_after=2.0).call(stream=stream)
    assert [(A, "first", None, None), (B, "hedge", "Overloaded", None)] == trail(one)


def test_both_fail() -> None:
    """One combined error; a third target would have been asked next."""
    both = ((A, slow(5.0, refusal(503, "no"))), (B, slow(5.0, refusal(401, "no"))))
    one = world(*both, hedge_after=2.0).call()
    assert isinstance(one.error, AllTargetsFailed)
    assert ["Overloaded", "AuthInvalid"] == [type(each).__name__ for each in one.error.exceptions]
    one = world(*both, (C, "well"), hedge_after=2.0).call()
    assert [(A, "first"), (B, "hedge"), (C, "fallback")] == [each[:2] for each in trail(one)]


def test_a_refusal_that_holds_for_all_ends_it() -> None:
    """400 from one of the two is the answer, as it is without a hedge."""
    one = world((A, slow(9.0)), (B, refusal(400, "no")), hedge_after=2.0).call()
    assert isinstance(one.error, BadRequest)
    assert [(A, "first", None, "hedge"), (B, "hedge", "BadRequest", None)] == trail(one)


def test_a_winner_that_breaks_is_broken() -> None:
    """After its first word a hedge is like any other answer: what breaks is reported, not mixed with the other's."""
    one = world((A, slow(30.0)), (B, "cut_after"), hedge_after=2.0).call(stream=True)
    assert isinstance(one.error, StreamInterrupted)
    assert one.error.partial is not None
    assert one.error.partial.text == one.heard == one.served[1].sent


# Whether there is one at all


def test_what_is_usual_decides() -> None:
    """Without a number the 95th percentile of what the target took before is the time, at least a second."""
    made = world((A, slow(0.0)), (B, "well"))
    for _ in range(25):
        assert 1 == len(made.call().served)
    assert (made.health.usual(made.chain.targets[0], stream=False) or 0) < 0.6
    made._conditions["a-x:m!"] = slow(4.0)
    one = made.call()
    assert [A, B] == [each.target for each in one.served]
    assert 1.0 == pytest.approx(one.served[1].at - one.served[0].at)


@rows(
    ("scene", "settings"),
    [
        ([(A, slow(9.0)), (B, "well")], {"hedge": False}),
        ([(A, slow(9.0)), ("a-y:m", "well")], {}),
        ([(A, slow(9.0))], {}),
    ],
    ids=["not asked for", "the same endpoint", "nobody else"],
)
def test_no_hedge(scene: list[tuple[str, Condition]], settings: dict[str, bool]) -> None:
    """None unless the chain says so, and only to another endpoint."""
    one = world(*scene, hedge_after=2.0, **settings).call()
    assert 1 == len(one.served)


def test_none_while_anything_is_wrong() -> None:
    """An open breaker anywhere in the chain, or a retry budget under half, and slowness is no accident."""
    made = world((A, slow(9.0)), (B, "well"), (C, "well"), hedge_after=2.0)

    made.call()
    target = made.chain.targets[2]
    made.health.isolate(target)
    made.health._hedging.tokens = 1.0
    assert 1 == len(made.call().served)
    made.health.reset(target)
    made.health._known.budget(made.chain.targets[1]).tokens = 200.0
    made.health._hedging.tokens = 1.0
    assert 1 == len(made.call().served)


def test_one_call_in_twenty() -> None:
    """However slow a target is, hedges are at most 5 % of calls."""
    made = world((A, slow(9.0)), (B, "well"), hedge_after=2.0)
    made.health._hedging.tokens = 0.0
    hedged = sum(len(made.call().served) - 1 for _ in range(400))
    assert 0 < hedged <= 20


def test_the_bucket_is_bounded() -> None:
    """A long quiet time is no reason for a storm."""
    budget = HedgeBudget()
    for _ in range(1000):
        budget.answered()
    assert 5 == sum(budget.take() for _ in range(100))


def test_whatever_happens_nothing_is_mixed() -> None:
    """Two hundred calls through random weather: each is answered by one attempt's words, and nothing is left open."""
    rng = random.Random(11)
    made = world((A, "well"), (B, "well"), (C, "well"), hedge_after=1.0)
    likes: list[Condition] = [slow(s, then) for s in (0.5, 1.5, 3.0) for then in (well, refusal(503, "no"))]
    for number in range(200):
        made._conditions.update({f"w{target}": rng.choice(likes) for target in (A, B, C)})
        for target in (A, B, C):
            made.weather[target].changes.append((made.clock.now, f"w{target}"))
        made.health._hedging.tokens = 1.0
        one = made.call(stream=bool(number % 2))
        if one.reply is not None:
            assert one.reply.text in [served.text for served in one.served]
            assert not one.stream or one.heard == one.reply.text
        assert [0, 0, 0] == [shown.in_flight for shown in made.health.show(made.chain.targets)]
        made.clock.tick(30.0)
