"""Groups: who of several targets is asked first, by each rule, and whom a session keeps to."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from llmswitch import AsyncClient, Client, ConfigError, InvalidRequest
from llmswitch._balancing import answered, chosen_by, ordered, recall
from llmswitch._between_calls import spending_of
from llmswitch._call import Call
from llmswitch._chain import Chain
from llmswitch._config_file import Loaded
from llmswitch._errors import RateLimited, ServerError
from llmswitch._health import Admission, Health
from llmswitch._latency import HALF_LIFE
from llmswitch._outage import PAUSE
from llmswitch._planning import planned
from llmswitch._reference_rates import reference_rates
from llmswitch._request import ChatRequest
from llmswitch._sessions import Sessions
from llmswitch._setup import Setup
from llmswitch._shared_sessions import SharedSessions
from llmswitch._target import Target
from llmswitch.doors.passage import DOORS, asked_at
from tests.everyday import examples
from tests.health.simulator import World
from tests.health.test_hedging import slow
from tests.health.vendors import CONDITIONS, Weather
from tests.health.virtual import Clock
from tests.rows import rows

ASK = ChatRequest.read("How are you?")
BY = ("order", "weighted", "cheapest", "fastest", "least_busy")


def config(*steps: Any, own: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """A chain of servers that are called by one letter each; a list is a group, whose rule is `by`."""
    by = settings.pop("by", "order")
    members = [each for step in steps for each in (step if isinstance(step, list) else [step])]
    names = [(each if isinstance(each, str) else each["target"]).partition(":")[0] for each in members]
    return {
        "providers": {
            name: {"dialect": "openai", "base_url": f"https://{name}.example/v1", **(own or {})} for name in names
        },
        "chains": {
            "c": {
                "targets": [{"group": step, "by": by} if isinstance(step, list) else step for step in steps],
                **settings,
            }
        },
        "default": "c",
    }


def chain(*steps: Any, **settings: Any) -> Chain:
    return Setup(Loaded.from_mapping(config(*steps, **settings))).chain(None)


def weighing(**weights: float) -> list[dict[str, Any]]:
    """Members by their letters, each with its weight."""
    return [{"target": f"{name}:m", "weight": weight} for name, weight in weights.items()]


def names(targets: Sequence[Target]) -> str:
    return "".join(target.provider for target in targets)


class Group:
    """A chain, what is known of its targets, and calls through it, on a clock that is made up."""

    def __init__(self, *steps: Any, **settings: Any) -> None:
        self.clock = Clock(1000.0)
        self.health = Health(clock=self.clock)
        self.chain = chain(*steps, **settings)
        self.sessions = Sessions(self.clock)
        self.rng = random.Random(5)

    def call(self, session: str | None = None, request: ChatRequest = ASK) -> Call:
        return Call(
            self.chain,
            request,
            False,
            clock=self.clock,
            health=self.health,
            session=session,
            sessions=self.sessions,
            chance=self.rng.random,
        )

    def order(self, session: str | None = None) -> str:
        return names(ordered(self.call(session)))

    def firsts(self, calls: int) -> Counter[str]:
        return Counter(self.order()[0] for _ in range(calls))

    def target(self, name: str) -> Target:
        return next(target for target in self.chain.targets if target.provider == name)

    def begins(self, name: str) -> Admission:
        admission = self.health.admit(self.target(name), 5.0)
        assert isinstance(admission, Admission)
        return admission

    def answers(self, name: str, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            self.health.succeeded(self.begins(name), seconds=seconds)

    def goes_out(self, name: str) -> None:
        self.health.failed(self.begins(name), RateLimited("slow down", retry_after=60.0))


# In the configuration


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ([], {}, "chains.c.targets[0]: a group needs a target, such as 'provider:model'"),
    (["a:m"], {"by": "cheap"}, "chains.c.targets[0].by: input should be 'order', 'weighted', 'cheapest'"),
    (weighing(a=2), {"by": "fastest"}, "a:m: a weight is heeded by weighted and by least_busy, not by fastest"),
    (weighing(a=0), {"by": "weighted"}, "chains.c.targets[0].group[0].weight: input should be greater than 0"),
    (["a:m", "a:m"], {}, "chains.c: a:m is named twice"),
    (["a:m", {"target": "b:m", "max_token": 1}], {}, "unknown key (did you mean 'max_tokens'?)"),
    (["a:m"], {"sticky": "yes"}, "chains.c.sticky: true, false, or for how many seconds a session is remembered"),
]


@rows(("group", "settings", "said"), WRONG, ids=[said[-40:] for _, _, said in WRONG])
def test_what_is_wrong_with_a_group_is_said(group: Any, settings: dict[str, Any], said: str) -> None:
    """Each mistake is a `ConfigError` with its place and the way out."""
    with pytest.raises(ConfigError) as caught:
        Client.from_config(config(group, **settings))
    assert said in str(caught.value)


def test_a_step_that_is_no_group_is_no_group() -> None:
    """No group in a group, no rule without one, no weight of a target that stands alone, nothing sticky without one."""
    nested = config("a:m", "b:m")
    nested["chains"]["c"]["targets"] = [{"group": ["a:m", {"group": ["b:m"], "by": "order"}], "by": "order"}]
    without = config("a:m", "b:m")
    without["chains"]["c"]["targets"] = [{"group": ["a:m", "b:m"]}]
    for wrong, said in (
        (nested, "chains.c.targets[0]: a group holds targets, and no other group"),
        (without, "chains.c.targets[0].by: field required"),
        (config(*weighing(a=2)), "chains.c: a:m: weight is for a member of a group"),
        (config("a:m", sticky=True), "chains.c: sticky is for a chain with a group"),
    ):
        with pytest.raises(ConfigError) as caught:
            Client.from_config(wrong)
        assert said in str(caught.value)


def test_a_chain_without_groups_is_left_as_it_is() -> None:
    """The targets of a call are the very tuple of the chain, whatever else the call says."""
    group = Group("a:m", "b:m")
    assert group.chain.targets is ordered(group.call("s"))
    assert None is chosen_by(group.call("s"), group.target("a"))


def test_a_group_of_which_one_is_left_is_a_target() -> None:
    """Who is left out by the policy, or has no key, is no member; nothing is to be chosen among one."""
    given = config(["a:m", "b:m"], by="weighted", sticky=True)
    given["providers"]["b"].update(api_key={"env": "NOT_SET"}, optional=True)
    made = Setup(Loaded.from_mapping(given)).chain(None)
    assert ("a", (), None) == (names(made.targets), made.groups, made.sticky)


# The order


@examples(
    20,
    100,
    by=st.sampled_from(BY),
    out=st.sets(st.sampled_from("abcdef")),
    session=st.sampled_from([None, "s", "t"]),
    seed=st.integers(0, 9),
)
def test_a_group_stays_in_its_step(by: str, out: set[str], session: str | None, seed: int) -> None:
    """Each target once, each step in its place, who is out behind who is well; and the same when it is asked again."""
    group = Group("a:m", ["b:m", "c:m", "d:m"], ["e:m", "f:m"], by=by, sticky=True)
    for name in out:
        group.goes_out(name)
    group.rng.seed(seed)
    call = group.call(session)
    order = names(ordered(call))
    assert ["a", "bcd", "ef"] == ["".join(sorted(part)) for part in (order[0], order[1:4], order[4:])]
    for part in (order[1:4], order[4:]):
        states = [name in out for name in part]
        assert sorted(states) == states
    likeliest = ordered(call, lambda: 0.5)
    call.chain = Chain(call.chain.name, likeliest, call.chain.policy, False, call.chain.groups, call.chain.sticky)
    assert likeliest == ordered(call, lambda: 0.5)


def test_by_order() -> None:
    """The first that is well."""
    group = Group(["a:m", "b:m", "c:m"], by="order")
    assert "abc" == group.order()
    group.goes_out("a")
    assert "bca" == group.order()


def test_by_weight() -> None:
    """Each comes first as often as its weight says; the share of one that is out is the others', by their weights."""
    group = Group(weighing(a=1, b=3, c=6), by="weighted")
    found = group.firsts(5000)
    assert {"a": 0.1, "b": 0.3, "c": 0.6} == {name: pytest.approx(found[name] / 5000, abs=0.02) for name in "abc"}
    group.goes_out("c")
    found = group.firsts(5000)
    assert {"a": 0.25, "b": 0.75} == {name: pytest.approx(found[name] / 5000, abs=0.02) for name in "ab"}
    assert {"c"} == {group.order()[-1] for _ in range(20)}
    assert "bac" == names(ordered(group.call(), lambda: 0.5))


def test_by_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog's prices in the vendors' own money are compared in one; who has no price is the last."""
    members = ["mine:m", "openai:gpt-5.4-mini", "zhipu:glm-5", "moonshot:kimi-k3", "anthropic:claude-haiku-4-5"]
    for name in ("OPENAI", "ZHIPUAI", "ZAI", "MOONSHOT", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "k" * 40)
    given = {
        "providers": {"mine": {"dialect": "openai", "base_url": "https://mine.example"}, "zhipu": {"site": "cn"}},
        "chains": {"c": {"targets": [{"group": members, "by": "cheapest"}]}},
        "default": "c",
    }
    made = Setup(Loaded.from_mapping(given)).chain(None)
    noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    for prompt, most in (("x" * 40_000, 1), ("x", 8000)):
        request = ChatRequest.read(prompt, max_tokens=most)
        found = ordered(Call(made, request, False, wall=noon.timestamp))
        assert "mine" == found[-1].provider
        costs = []
        for target in found[:-1]:
            assert target.price is not None
            assert ("CNY" if target.provider in ("zhipu", "moonshot") else "USD") == target.price.currency
            rates = target.price.rates(20_000, noon)
            assert rates is not None
            thinking = target.adapter.capabilities.thinks_unasked and rates.output_thinking
            dear = (len(prompt) / 2 + 8) * float(rates.input) + most * float(thinking or rates.output)
            costs.append(dear / float(reference_rates().per_euro[target.price.currency]))
        assert sorted(costs) == costs
        assert ["zhipu", "openai"] == [target.provider for target in found if target.provider in ("zhipu", "openai")]


def test_what_is_free_is_the_cheapest() -> None:
    """A grant that has tokens left comes first, whatever its step; one that has not enough for the request does not."""
    given = config(["a:m", "b:m"], "c:m", by="cheapest")
    ends = datetime.now(UTC).date() + timedelta(days=3)
    for tokens, order in ((1_000_000, "bac"), (10, "abc")):
        given["providers"]["b"]["grants"] = [{"tokens": tokens, "expires": ends}]
        loaded = Loaded.from_mapping(given)
        call = Call(Setup(loaded).chain(None), ASK, False, grants=spending_of(loaded)[1])
        assert order == names(ordered(call))


def test_by_pace() -> None:
    """Who was the quickest of late comes first; a failure counts as a slow answer; who is not known comes last."""
    group = Group(["a:m", "b:m", "c:m"], by="fastest")
    group.rng.random = lambda: 0.5  # type: ignore[method-assign]
    assert "abc" == group.order()
    group.answers("b", 0.9, times=5)
    assert "bac" == group.order()
    group.answers("c", 0.5, times=5)
    assert "cba" == group.order()
    group.health.failed(group.begins("c"), ServerError("no", status=500))
    assert "bca" == group.order()
    group.answers("c", 0.5, times=60)
    assert "cba" == group.order()


def test_what_was_quick_once_is_forgotten() -> None:
    """A hundred old answers weigh less than a few new ones."""
    group = Group(["a:m", "b:m"], by="fastest")
    group.rng.random = lambda: 0.5  # type: ignore[method-assign]
    group.answers("a", 0.2, times=100)
    group.answers("b", 1.0, times=100)
    assert "ab" == group.order()
    group.clock.tick(5 * HALF_LIFE)
    group.answers("a", 3.0)
    assert "ba" == group.order()


def test_the_unknown_is_tried_in_one_call_of_twenty() -> None:
    """One of whom little is known is asked first in 5 % of calls, and in none once he is known or is out."""
    group = Group(["a:m", "b:m", "c:m"], by="fastest")
    group.answers("a", 0.5, times=5)
    found = group.firsts(4000)
    assert [0.025, 0.025] == [pytest.approx(found[name] / 4000, abs=0.01) for name in "bc"]
    group.answers("b", 0.9, times=5)
    group.goes_out("c")
    assert {"a": 500} == group.firsts(500)
    group.clock.tick(4 * HALF_LIFE)
    assert {"a", "b", "c"} == set(group.firsts(500))


def test_a_stream_is_timed_apart_from_whole_answers() -> None:
    """The first word of a stream says nothing of how long a whole answer takes."""
    group = Group(["a:m", "b:m"], by="fastest")
    group.health.succeeded(group.begins("b"), stream=True, seconds=0.1)
    call = group.call()
    assert "ab" == names(ordered(call, lambda: 0.5))
    call.stream = True
    assert "ba" == names(ordered(call, lambda: 0.5))


def test_by_calls_in_flight() -> None:
    """Who has the fewest calls in flight comes first, whichever of equals; a call that ends makes room."""
    group = Group(["a:m", "b:m", "c:m"], by="least_busy")
    assert {"a", "b", "c"} == set(group.firsts(60))
    under_way = [group.begins(name) for name in "aab"]
    assert "cba" == group.order()
    group.health.released(under_way[2])
    assert {"bca", "cba"} == {group.order() for _ in range(40)}


def test_calls_in_flight_are_for_a_weight() -> None:
    """A member with three times the weight has three times the calls; or by `max_in_flight`, where all have one."""
    group = Group(weighing(a=1, b=3), by="least_busy")
    held = [group.begins(group.order()[0]) for _ in range(8)]
    assert {"a": 2, "b": 6} == Counter(admission.target.provider for admission in held)
    bounded = config(["a:m", "b:m"], by="least_busy")
    bounded["providers"]["a"]["max_in_flight"], bounded["providers"]["b"]["max_in_flight"] = 2, 4
    group.chain = Setup(Loaded.from_mapping(bounded)).chain(None)
    group.health = Health(clock=group.clock)
    held = [group.begins(group.order()[0]) for _ in range(6)]
    assert {"a": 2, "b": 4} == Counter(admission.target.provider for admission in held)


def test_who_loses_a_race_is_slow() -> None:
    """A hedge goes on to the next of the group; who was overtaken is no longer the first."""
    made = chain(["a-x:m", "b-x:m"], by="fastest", hedge=True, hedge_after=2.0)
    weather = {name: Weather([(float("-inf"), name)]) for name in ("a-x:m", "b-x:m")}
    world = World(made, weather, conditions={**CONDITIONS, "a-x:m": slow(20.0), "b-x:m": CONDITIONS["well"]})
    world.health._hedging.tokens = 1.0
    one, two = world.call(), world.call()
    assert one.reply is not None
    assert two.reply is not None
    assert [("a-x:m", "first"), ("b-x:m", "hedge")] == [(each.target, each.kind) for each in one.reply.attempts]
    assert [("b-x:m", "first", "fastest")] == [(each.target, each.kind, each.chosen_by) for each in two.reply.attempts]


# Sessions


def test_a_session_keeps_to_who_answered_it() -> None:
    """Whoever would be chosen otherwise; for as long as it is remembered, which each answer prolongs."""
    group = Group(["a:m", "b:m"], ["c:m", "d:m"], by="order", sticky=100)
    answered(group.call("s"), group.target("b"))
    assert ["bacd", "abcd", "abcd"] == [group.order("s"), group.order("other"), group.order()]
    assert ["session", "order"] == [chosen_by(group.call("s"), group.target(name)) for name in "ba"]
    answered(group.call("s"), group.target("d"))  # another group is another matter
    assert "badc" == group.order("s")
    group.clock.tick(99)
    answered(group.call("s"), group.target("b"))
    group.clock.tick(99)
    assert "bacd" == group.order("s")
    group.clock.tick(2)
    assert "abcd" == group.order("s")


def test_health_comes_before_a_session() -> None:
    """While its target is out the others come first; it is back with it, unless another one has answered meanwhile."""
    group = Group(["a:m", "b:m", "c:m"], by="order", sticky=True)
    answered(group.call("s"), group.target("b"))
    answered(group.call("t"), group.target("b"))
    group.goes_out("b")
    assert "acb" == group.order("s")
    answered(group.call("t"), group.target("c"))
    group.clock.tick(61)
    assert ["bac", "cab"] == [group.order("s"), group.order("t")]


def test_sessions_are_bounded() -> None:
    """Of too many those are forgotten that were silent for the longest; none is kept by its name."""
    group = Group(["a:m", "b:m"], by="order", sticky=True)
    group.sessions = Sessions(group.clock, most=2)
    for session in ("one", "two", "one", "three"):
        answered(group.call(session), group.target("b"))
    assert ["ba", "ab", "ba"] == [group.order(session) for session in ("one", "two", "three")]
    kept = repr(group.sessions._known)
    assert not any(said in kept for said in ("one", "two", "three", "b:m"))


def test_new_sessions_are_spread_alike_everywhere() -> None:
    """By weight, the same in every process; where a member goes, only its own sessions move."""
    whole, less = (
        Group(weighing(**given), by="weighted", sticky=True) for given in ({"a": 1, "b": 3, "c": 4}, {"a": 1, "c": 4})
    )
    sessions = [f"customer-{number}" for number in range(2000)]
    first = {session: whole.order(session)[0] for session in sessions}
    shares = Counter(first.values())
    assert [0.125, 0.375, 0.5] == [pytest.approx(shares[name] / 2000, abs=0.03) for name in "abc"]
    again = Group(weighing(a=1, b=3, c=4), by="weighted", sticky=True)
    assert first == {session: again.order(session)[0] for session in sessions}
    moved = {before for session, before in first.items() if less.order(session)[0] != before}
    assert {"b"} == moved


# In a store


class Redis:
    """As much of a client as is needed; `broken` makes it fail."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken = False
        self._results: list[Any] = []

    def pipeline(self, transaction: bool) -> Redis:
        return self

    def get(self, key: str) -> None:
        self._results.append(self.kept.get(key))

    def pexpire(self, key: str, _: int) -> None:
        self._results.append(key in self.kept)

    def set(self, key: str, value: str, px: int) -> None:
        assert 0 < px <= 3_600_000
        self.kept[key] = value.encode()
        self._results.append(True)

    def execute(self) -> list[Any]:
        results, self._results = self._results, []
        if self.broken:
            raise ConnectionError
        return results

    def close(self) -> None:
        return None


class Sharing(Group):
    """The same in one of several processes that share a store."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(["a:m", "b:m"], by="order", sticky=True)
        self.sessions = Sessions(self.clock, shared=SharedSessions(lambda: redis, "llmswitch", self.clock))

    def order(self, session: str | None = None) -> str:
        asking = recall(self.call(session))
        if asking is not None:
            asking.perform()
        return super().order(session)

    def answered(self, name: str) -> bool:
        telling = answered(self.call("s"), self.target(name))
        if telling is not None:
            telling.perform()
        return telling is not None


def test_processes_agree_about_a_session(caplog: pytest.LogCaptureFixture) -> None:
    """What one has learnt the other heeds; a store that is gone is not waited for, and is told again what it lost."""
    redis = Redis()
    one, other = Sharing(redis), Sharing(redis)
    assert [True, False] == [one.answered("b"), one.answered("b")]
    assert "ba" == other.order("s")
    assert other.answered("a")
    assert ["ab", "ab"] == [one.order("s"), other.order("s")]
    assert not any("b:m" in key or "|s" in key for key in redis.kept)
    redis.broken = True
    assert one.answered("b")
    assert None is recall(one.call("s"))
    assert "ba" == one.order("s")
    assert 1 == len([record for record in caplog.records if "the store can't be used" in record.message])
    redis.broken = False
    redis.kept = dict.fromkeys(redis.kept, b"garbage")
    one.clock.tick(PAUSE + 1)
    assert "ba" == one.order("s")
    assert "the store can be used again, after 1 failures: sessions are remembered together" == caplog.messages[-1]
    assert one.answered("b")
    assert "ba" == other.order("s")


def test_a_plan_hears_of_a_session_and_prolongs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process knows of a session is heeded by a plan, and it is remembered there no longer for that."""
    redis = Redis()
    one, other = Sharing(redis), Sharing(redis)
    one.answered("b")
    monkeypatch.delattr(Redis, "pexpire")
    planning = planned(other.call("s"), ())
    next(planning).perform()
    with pytest.raises(StopIteration) as done:
        planning.send(None)
    found = [(target.target, target.chosen_by) for target in done.value.value.targets]
    assert [("b:m", "session"), ("a:m", "order")] == found


# In real calls


class Vendor:
    """Servers that answer, but for those that are down."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host.partition(".")[0]
        self.asked.append(name)
        if name in self.down:
            return httpx.Response(401, json={"error": {"message": "no"}})
        choice = {"message": {"content": "Hello"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return httpx.Response(200, json={"choices": [choice], "usage": usage})


def test_a_session_through_a_failover_and_back() -> None:
    """It goes to another member when its own fails, and stays there; the trail says by what each was chosen."""
    vendor = Vendor()
    own = {"api_key": {"command": ["echo", "k"]}}
    given = config(["a:m", "b:m"], "c:m", by="order", sticky=True, own=own)
    with Client(config=given, http_client=httpx.Client(transport=httpx.MockTransport(vendor))) as client:
        assert "a" == client.chat("?", session="s").provider
        vendor.down = {"a"}
        reply = client.chat("?", session="s")
        assert [("a:m", "session"), ("b:m", "order")] == [(each.target, each.chosen_by) for each in reply.attempts]
        vendor.down = set()
        client.reset("a:m")
        assert ["b", "a"] == [client.chat("?", session=name).provider for name in ("s", "t")]
        vendor.down = {"a", "b"}
        assert [None] == [each.chosen_by for each in client.chat("?", session="s").attempts[2:]]


def test_a_stream_that_is_left_has_answered() -> None:
    """Whoever leaves with the last event, or before it, has heard who answered, and comes back to him."""
    given = config(["a:m", "b:m"], by="order", sticky=True)
    words = b'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
    events = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=words)
    http = httpx.Client(transport=httpx.MockTransport(lambda _: events))
    with Client(config=given, http_client=http) as client:
        client.isolate("a:m")
        with client.stream("?", session="s") as stream:
            next(stream)
        client.reset("a:m")
        call = client._call("?", {"session": "s"}, stream=True)
        assert "ba" == names(ordered(call))


def test_a_call_of_a_batch_may_be_asked_again() -> None:
    """A session is an option of each request, and a call that is carried out again is put in order again."""
    vendor = Vendor()
    given = config(["a:m", "b:m", "d:m"], "c:m", by="weighted", sticky=True)
    http = httpx.AsyncClient(transport=httpx.MockTransport(vendor))

    async def answers() -> list[str]:
        async with AsyncClient(config=given, http_client=http) as client:
            asked = [{"prompt": "?", "session": f"s{number % 3}"} for number in range(12)]
            return [result.reply.provider async for result in client.batch(asked) if result.reply is not None]

    found = asyncio.run(answers())
    assert 12 == len(found)
    assert len(set(found)) <= 3


@rows("wrong", ["", 7, ["s"]])
def test_a_session_has_a_name(wrong: Any) -> None:
    """What is no name is refused before anything is sent."""
    with Client(config=config("a:m")) as client, pytest.raises(InvalidRequest, match="session must be a name"):
        client.chat("?", session=wrong)


def test_what_a_program_says_of_its_session() -> None:
    """The header says it at every door; else the key by which a program says that its requests begin alike."""
    hi = [{"role": "user", "content": "Hi"}]
    bodies = {"/chat/completions": {"messages": hi}, "/responses": {"input": "Hi"}}
    with Client(config=config("a:m")) as client:
        for door in DOORS:
            words = bodies.get(door.path, {"messages": hi, "max_tokens": 9})
            keyed = {**words, "prompt_cache_key": "k"} if door.path in bodies else words
            for body, header, session in ((words, "h", "h"), (keyed, "h", "h"), (words, None, None)):
                _, options = asked_at(door.read, json.dumps({"model": "c", **body}).encode(), client, None, header)
                assert session == options.get("session")
            if door.path in bodies:
                assert "k" == door.read({"model": "c", **keyed}).options["session"]
