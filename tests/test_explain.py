"""`client.explain()`: what a call would do, which is what it then does; and nothing is changed by asking."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from llmswitch import (
    AsyncClient,
    AuthInvalid,
    Client,
    ConfigError,
    ConnectFailed,
    Image,
    InvalidRequest,
    LLMSwitchError,
    Message,
    NoResponse,
    Plan,
    RateLimited,
    Text,
    deadline,
)
from llmswitch._balancing import answered
from llmswitch._exchange import exchange
from llmswitch._health import Admission
from llmswitch.testing import FakeVendor
from tests.everyday import many

GONE = httpx.Response(404, json={"error": {"code": "model_not_found", "message": "there is no such model"}})
ASK = "x" * 184


def config(*names: str, budgets: list[dict[str, Any]] | None = None, **own: Any) -> dict[str, Any]:
    """A chain of servers with these names, and what is set for each."""
    return {
        "providers": {
            name: {"dialect": "openai", "base_url": f"https://{name}.example/v1", **own.get(name, {})} for name in names
        },
        "chains": {"c": {"targets": [f"{name}:m" for name in names], **own.get("chain", {})}},
        "default": "c",
        "budgets": budgets or [],
    }


def client(given: dict[str, Any]) -> Client:
    """Of vendors who serve no model of that name, so that the chain goes on to the next."""
    return Client.from_config(given, http_client=FakeVendor(lambda request: GONE))


# The plan is what the call does


def world(chance: random.Random) -> dict[str, Any]:
    """A chain of servers that can do this and that, some of them elsewhere, some with little left."""
    names = [f"p{number}" for number in range(chance.randint(1, 5))]
    own: dict[str, Any] = {"chain": {"timeout": 3}}
    for name in names:
        able = {
            "images": chance.random() < 0.8,
            "tools": True,
            "json_schema": chance.random() < 0.8,
            "settings": ["max_tokens", "temperature", *(["seed"] if chance.random() < 0.8 else [])],
            "context": chance.choice([None, 100, 100_000]),
            "max_output": chance.choice([None, 50, 5000]),
        }
        own[name] = {"capabilities": able, "jurisdiction": chance.choice(["us", "us", "cn"])}
        if chance.random() < 0.2:
            own[name]["limits"] = {chance.choice(["requests_per_day", "requests_per_minute"]): chance.choice([1, 9])}
        if chance.random() < 0.2:
            expires = datetime.now(UTC).date() + timedelta(days=chance.choice([-1, 1, 9]))
            tokens, then = chance.choice([100, 10**6]), chance.choice(["pay", "stop"])
            own[name]["grants"] = [{"tokens": tokens, "expires": expires, "on_exhausted": then}]
        if chance.random() < 0.2:
            own[name]["max_in_flight"] = 1
    budgets: list[dict[str, Any]] = []
    for scope in ({"provider": chance.choice(names)}, {"tag": "t"}, {"chain": "c"}, {}):
        if chance.random() < 0.2:
            amount = chance.choice([{"tokens": 1000}, {"tokens": 10**6}, {"limit": "1.00 USD"}])
            budgets.append({**amount, "per": chance.choice(["day", "ever"]), **scope})
    given = config(*names, budgets=budgets, **own)
    if chance.random() < 0.4:
        rule = chance.choice(["weighted", "cheapest", "fastest", "least_busy", "order"])
        members = [{"target": f"{name}:m", "weight": chance.choice([1.0, 2.0, 5.0])} for name in names[:3]]
        steps = [{"group": members, "by": rule}, *(f"{name}:m" for name in names[3:])]
        given["chains"]["c"].update(targets=steps, sticky=True)
    return {**given, "policy": {"jurisdictions": ["us"]}} if chance.random() < 0.3 else given


def trouble(one: Client, chance: random.Random) -> None:
    """What was met before the call: some are out by hand, some failed, are throttled, full, or being tried anew."""
    health = one._health
    call = one._call(ASK, {"session": "s"}, stream=False)
    answered(call, chance.choice(call.chain.targets))
    for target in one._setup.chain(None).targets:
        kind = chance.choice(["", "", "", "isolated", "open", "endpoint", "probed", "due", "throttled", "key", "full"])
        if kind == "isolated":
            health.isolate(target)
        for _ in range(5 if kind in ("open", "endpoint", "probed", "due") else 0):
            admission = health.admit(target, 9.0)
            if isinstance(admission, Admission):
                health.failed(admission, (ConnectFailed if kind == "endpoint" else NoResponse)("no"))
        if kind in ("probed", "due"):
            health._known.breakers[target.scope("target")].until = monotonic() - 1
        if kind in ("probed", "full"):
            health.admit(target, 9.0)
        if kind in ("throttled", "key"):
            admission = health.admit(target, 9.0)
            error = RateLimited("slow down", retry_after=100) if kind == "throttled" else AuthInvalid("no")
            if isinstance(admission, Admission):
                health.failed(admission, error)


def question(chance: random.Random) -> tuple[Any, dict[str, Any]]:
    """A request that not everybody can take."""
    options: dict[str, Any] = {"max_tokens": chance.choice([20, 400]), "tags": chance.choice([[], ["t"]])}
    options |= {"degrade": chance.random() < 0.3, "session": chance.choice([None, "s"])}
    if chance.random() < 0.3:
        options["seed"] = 7
    if chance.random() < 0.3:
        schema = {"type": "object", "properties": {}}
        options["response_format"] = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    parts = [Text(ASK), *([Image(url="https://a.example/b.png")] if chance.random() < 0.4 else [])]
    return [Message("user", parts)], options


def known(one: Client) -> Any:
    """All that a client remembers between calls."""
    health = one._health
    counters: Any = one._allowances.counters if one._allowances is not None else None
    return repr(
        (
            health._known.breakers,
            health._known.cooldowns,
            {key: each for key, each in health._known.budgets.items() if each.tokens < each.capacity},
            health._known.in_flight,
            health._known.forced,
            one._sessions._known if one._sessions is not None else None,
            [(key, each.flying, len(each.queue)) for key, each in health._known.bulkheads.items() if each.flying],
            counters is not None and {name: each for name, each in counters._tallies.items() if each.seen().spent},
        )
    )


def timeless(said: str | None) -> str | None:
    """Without the seconds, which pass between two looks."""
    return said and re.sub(r"\b\d+ (s|min|h|d)\b", "…", said)


def trail(one: Client, messages: Any, options: dict[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """Whom a real call comes to, in order: why each is passed over, and as what error that counts."""
    call = one._call(messages, options, stream=False)
    call.chain = call.chain._replace(policy=call.chain.policy._replace(pool=0.001))
    call.chance = lambda: 0.5  # what a plan supposes
    with pytest.raises(LLMSwitchError) as caught:
        one._carry_out(exchange(call))
    for attempt in caught.value.attempts:
        yield attempt.target, timeless(attempt.skipped_because), attempt.error if attempt.skipped_because else None


def test_the_plan_is_what_the_call_does() -> None:
    """
    Whatever the targets can do, and whatever was met before: the call passes over whom the plan says, in that order,
    for that reason, and asks the others; and to plan changes nothing.
    """
    seen: set[str | None] = set()
    for seed in range(many(80)):
        chance = random.Random(seed)
        try:
            one = client(world(chance))
        except ConfigError:
            continue  # nobody is where data may go
        trouble(one, chance)
        messages, options = question(chance)
        before = known(one)
        plan = one.explain(messages, **options)
        assert before == known(one), seed
        met = list(trail(one, messages, options))
        first = {target: (target, why, error) for target, why, error in reversed(met)}
        expected = [(each.target, timeless(each.skipped_because), each.error) for each in plan.targets]
        assert expected == list(dict.fromkeys(first[target] for target, _, _ in met)), seed
        again = [target for target, why, _ in met[len(first) :] if why is None]
        assert again == [each.target for each in plan.targets if each.again_in == 0.0], seed
        asked = [target for target, why, _ in met if why is None]
        assert (plan.first and plan.first.target) == (asked[0] if asked else None), seed
        seen |= {each.error for each in plan.targets} | {each.chosen_by for each in plan.targets}
    assert {None, "CapabilityMismatch", "BudgetExceeded", "RateLimited", "NoResponse", "AuthInvalid"} <= seen
    assert {"Overloaded", "LocalOverload", "QuotaExhausted", "ConnectFailed", "session", "weighted"} <= seen


def test_both_clients_say_the_same() -> None:
    """The async client asks the store in its own way; the plan is the same."""
    given = config("a", "b", budgets=[{"tokens": 1000, "per": "day", "provider": "a"}])

    async def main() -> Plan:
        async with AsyncClient.from_config(given, http_client=FakeVendor(lambda request: GONE)) as one:
            return await one.explain(ASK, stream=True)

    one, other = client(given).explain(ASK, stream=True), asyncio.run(main())
    assert str(one) == str(other)
    assert (600.0, 30.0) == (one.seconds, one.targets[1].first_token)


def test_what_a_plan_has() -> None:
    """Sizes, prices, what is reserved and what is left of it, who pays, what is changed; as text and as JSON."""
    expires = datetime.now(UTC).date() + timedelta(days=9)
    able = {"context": 100, "max_output": 50, "settings": ["max_tokens"]}
    own = {"b": {"grants": [{"tokens": 10**6, "expires": expires}], "capabilities": able, "jurisdiction": "us"}}
    given = config("a", "b", budgets=[{"tokens": 1000, "per": "day", "provider": "b"}], **own)
    one = client({**given, "aliases": {"gpt-4o": "c"}})
    plan = one.explain("x" * 400, model="gpt-4o", seed=7, max_tokens=60, degrade=True, timeout=7, tags=["t"])
    assert (("gpt-4o", "c"), 7.0, "b:m", ("t",)) == (
        plan.names,
        plan.seconds,
        plan.first and plan.first.target,
        plan.tags,
    )
    found = plan.targets[0]
    assert (1, "openai", "us", 100, 50, False) == (
        found.position,
        found.dialect,
        found.jurisdiction,
        found.window,
        found.most_output,
        found.own,
    )
    assert found.fits is None  # somewhere about 100 tokens
    assert ["seed", "max_tokens"] == [change.message.split(": ")[1] for change in found.changes]
    grant, budget = found.reserves
    assert ("grant", "budget", Decimal(258), Decimal(1000)) == (
        grant.allowance.kind,
        budget.allowance.kind,
        budget.amount,
        budget.allowance.left,
    )
    assert grant.allowance.label == found.grant
    assert plan.to_dict() == json.loads(json.dumps(plan.to_dict()))
    assert "b:m" == plan.to_dict()["first"]
    for said in ("by gpt-4o -> c", "1. b:m: would be asked", "needs 258 tokens of the budget of 1000 tokens a day"):
        assert said in str(plan)


def test_prices_are_those_of_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most that an attempt may cost is what a budget would reserve; the input is priced as it is estimated."""
    monkeypatch.setenv("ZHIPUAI_API_KEY", "a-key-of-the-test")
    given = {"default": "zhipu:glm-5.2", "budgets": [{"limit": "9.00 CNY", "per": "day"}]}
    (found,) = client(given).explain(ASK, max_tokens=20).targets
    assert found.price_most is not None
    assert found.price_input is not None
    assert "CNY" == found.price_most.currency
    assert abs(found.reserves[0].amount - found.price_most.amount) < Decimal("0.000001")
    assert found.price_input.amount < found.price_most.amount
    assert found.price_checked is not None


def test_who_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a chain's targets those elsewhere, and those without a key that may be without one, each with the reason."""
    monkeypatch.setenv("ZHIPUAI_API_KEY", "a-key-of-the-test")
    given = {
        "policy": {"jurisdictions": ["cn"]},
        "providers": {"moonshot": {"optional": True}},
        "default": "openai:gpt-5,zhipu:glm-4.6,moonshot:kimi-k2",
    }
    plan = client(given).explain("Hi")
    assert ["zhipu:glm-4.6"] == [each.target for each in plan.targets]
    assert "policy.jurisdictions allows cn alone, and it is in: us" == plan.left_out["openai:gpt-5"]
    assert "MOONSHOT_API_KEY" in plan.left_out["moonshot:kimi-k2"]


def test_who_comes_back_in_time_is_waited_for() -> None:
    """A target that is throttled for a while is asked then, if nobody else answers; the plan says when."""
    one = client(config("a", "b"))
    target = one._setup.target("a:m")
    admission = one._health.admit(target, 9.0)
    assert isinstance(admission, Admission)
    one._health.failed(admission, RateLimited("slow down", retry_after=20))
    throttled, well = one.explain("Hi").targets
    assert throttled.again_in is not None
    assert 15 < throttled.again_in <= 20
    assert (False, True) == (throttled.would_try, well.would_try)
    alone = one.explain("Hi", model="a:m")
    assert "a:m" == (alone.first and alone.first.target)
    assert (None, "cooling") == (alone.error, alone.targets[0].health.state)


def test_a_call_that_asks_nobody_says_what_it_would_raise() -> None:
    """With the class and the words of the call itself: no time, no ability, or a request that is wrong everywhere."""
    one = client(config("a", "b", budgets=[{"tokens": 10, "per": "day"}]))
    plan = one.explain(ASK)
    with pytest.raises(LLMSwitchError) as caught:
        one.chat(ASK)
    assert ("BudgetExceeded", str(caught.value), None) == (plan.error, plan.message, plan.first)
    with deadline(0.001):
        sleep(0.002)
        late = one.explain("Hi")
    assert "DeadlineExceeded" == late.error
    assert ["the call ends before it comes here"] * 2 == [each.skipped_because for each in late.targets]
    with pytest.raises(InvalidRequest, match="max_tokens"):
        one.explain("Hi", max_tokens=0)


def test_a_request_that_is_wrong_everywhere_ends_the_plan_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an adapter finds wrong with the request itself ends the call; nobody behind it is come to."""
    one = client(config("a", "b"))
    adapter = one._setup.chain(None).targets[0].adapter

    def build(request: Any, *, stream: bool) -> Any:
        raise InvalidRequest("it is wrong", field="messages")

    monkeypatch.setattr(adapter, "build", build)
    plan = one.explain("Hi")
    assert ("InvalidRequest", True, False) == (plan.error, plan.targets[0].ends_call, plan.targets[1].would_try)
    with pytest.raises(InvalidRequest, match="it is wrong"):
        one.chat("Hi")


def test_a_drill_is_named_and_not_played() -> None:
    """The plan is that of a day without the drill, and says that one is on."""
    one = client(config("a", "b"))
    one.rehearse({"a": "quota"})
    plan = one.explain("Hi")
    assert "a:m" == (plan.first and plan.first.target)
    assert "quota" in (plan.drill or "")
    assert "a drill is on" in str(plan)


def test_a_token_is_not_fetched_for_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a vendor wants a token that has to be fetched, the plan ends before that."""
    monkeypatch.setenv("THE_KEY", "a-key-of-the-test")
    credentials = {key: {"env": "THE_KEY"} for key in ("client_id", "client_secret")}
    given = {"default": "wenxin:ernie-4.0-8k", "providers": {"wenxin": {"credentials": credentials}}}
    vendor = FakeVendor(lambda request: GONE, lambda request: httpx.Response(200, json={"access_token": "t"}))
    one = Client.from_config(given, http_client=vendor)
    assert one.explain("Hi").targets[0].would_try
    assert ([], []) == (vendor.requests, vendor.renewals)
    with pytest.raises(LLMSwitchError):
        one.chat("Hi")
    assert vendor.renewals or vendor.requests
