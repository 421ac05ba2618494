"""From the configuration to what a call reserves: which allowances, how much of each, and what is said."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Generator
from decimal import Decimal
from typing import Any, cast

import pytest

from llmswitch import BudgetExceeded, ConfigError, RateLimited, Usage
from llmswitch._allowances import LEASE, Allowances, Held, Refused, Reserve
from llmswitch._budget_words import duration
from llmswitch._config_file import Loaded
from llmswitch._counters import MemoryCounters
from llmswitch._endpoint import Endpoint
from llmswitch._estimate import Spend
from llmswitch._limits import LARGEST, BudgetConfig
from llmswitch._prices import Price
from llmswitch._shared_counters import SharedCounters
from llmswitch._target import Target
from tests.rows import rows

SPEND = Spend(1000, 500)


def price(currency="USD", **given: Any) -> Price:
    """Two of the currency for a million tokens in, eight for a million out."""
    facts = {"model": "m", "input": "2", "output": "8", "source": "the test", "checked": "2026-11-27", **given}
    return Price.model_validate({"currency": currency, **facts})


def target(provider="openai", *, priced=None, base_url="https://vendor.example/v1", account="a") -> Target:
    """A target with as much of everything as its allowances ask for."""
    endpoint = Endpoint(provider, "main", base_url, "unknown", {}, account)
    return Target(provider, "m", cast("Any", None), endpoint, cast("Any", None), price=priced)


def allowances(config, clock) -> Allowances:
    """The allowances of a configuration, in memory, on the test's clock."""
    return Allowances.from_config(Loaded.from_mapping(config), counters=MemoryCounters(clock), machine="here")


def budget(**given: Any) -> dict[str, Any]:
    """A configuration with one budget a day."""
    return {"budgets": [{"per": "day", **given}]}


def held(plan: Reserve | None) -> Held:
    """What was reserved."""
    assert plan is not None
    outcome = plan.perform()
    assert isinstance(outcome, Held), outcome
    return outcome


def refused(plan: Reserve | None) -> Refused:
    """Why nothing was."""
    assert plan is not None
    outcome = plan.perform()
    assert isinstance(outcome, Refused), outcome
    return outcome


def spent(each: Allowances, of: Target, **call: Any) -> dict[str, Decimal | None]:
    """What is used of everything that holds for a call, by its label."""
    return {state.label: state.spent for state in each.show(of, **call)}


# Which allowances


def test_without_limits_nothing_is_reserved(clock):
    """Where nothing limits a call there is nothing for the driver to do."""
    assert None is allowances({}, clock).plan(target(), SPEND)
    elsewhere = budget(limit="5 USD", provider="zhipu")
    assert None is allowances(elsewhere, clock).plan(target(priced=price()), SPEND)


@pytest.mark.parametrize(
    ("scope", "call", "counts"),
    [
        ({}, {}, True),
        ({"provider": "openai"}, {}, True),
        ({"provider": "zhipu"}, {}, False),
        ({"chain": "c"}, {"chain": "c"}, True),
        ({"chain": "c"}, {"chain": "d"}, False),
        ({"tag": "batch"}, {"tags": ["night", "batch"]}, True),
        ({"tag": "batch"}, {"tags": ["night"]}, False),
        ({"tag": "batch"}, {}, False),
    ],
)
def test_a_budget_holds_for_its_scope(clock, scope, call, counts):
    """For all calls, or those to a provider, through a chain, or with a tag."""
    config = {**budget(tokens=10_000, **scope), "chains": {"c": {"targets": ["openai:m"]}}}
    each = allowances(config, clock)
    plan = each.plan(target(), SPEND, **call)
    assert counts is (plan is not None)
    assert int(counts) == len(each.show(target(), **call))


def test_the_limits_of_an_account(clock):
    """An account's limits hold for all models with its key, wherever they are named; another key has its own."""
    limits = {"requests_per_minute": 2, "tokens_per_minute": 9000, "requests_per_day": 50, "tokens_per_day": 90_000}
    config = {"providers": {name: {"limits": limits} for name in ("openai", "zhipu")}}
    each = allowances(config, clock)
    held(each.plan(target(), SPEND))
    held(each.plan(target("zhipu"), SPEND))
    no = refused(each.plan(target(), SPEND))
    assert (61.0, True) == (no.seconds, isinstance(no.error(target()), RateLimited))
    held(each.plan(target(account="b"), SPEND))
    held(each.plan(target(base_url="https://other.example/v1"), SPEND))
    assert [2, 3000, 2, 3000] == [int(state.spent) for state in each.show(target())]


def test_all_that_holds_is_reserved_together(clock):
    """A call that one budget refuses has taken nothing of the others, nor of the account's minute."""
    config = {
        "providers": {"openai": {"limits": {"requests_per_minute": 10}}},
        "budgets": [
            {"limit": "1 USD", "per": "month", "provider": "openai"},
            {"tokens": 2000, "per": "day", "tag": "batch"},
        ],
    }
    each, of = allowances(config, clock), target(priced=price())
    held(each.plan(of, SPEND, tags=["batch"]))
    before = spent(each, of, tags=["batch"])
    no = refused(each.plan(of, SPEND, tags=["batch"]))
    assert "for the tag 'batch'" in no.message
    assert before == spent(each, of, tags=["batch"])
    assert [1, Decimal("0.006"), 1500] == list(before.values())


# How much of each


@pytest.mark.parametrize(
    ("facts", "money"),
    [
        ({}, "0.006"),
        ({"cached": "0.2"}, "0.006"),
        ({"cache_write": "2.5"}, "0.0065"),
        ({"input": "0.0001", "output": "0"}, "0.000001"),
        ({"output_thinking": "20"}, "0.012"),
        (
            {"tiers": [{"over": 999, "input": "4", "output": "16"}, {"over": 1000, "input": "9", "output": "90"}]},
            "0.012",
        ),
        ({"tiers": [{"over": 500, "input": "1", "output": "1"}]}, "0.006"),
        ({"peak": {"input": "3", "output": "10", "hours": [["01:00", "02:00"]]}}, "0.008"),
        ({"up_to": 500}, "0.006"),
    ],
)
def test_money_is_reserved_at_the_dearest_tier(clock, facts, money):
    """At the dearest that may apply (written to a cache, thought over, long, at a busy hour), rounded up."""
    each, of = allowances(budget(limit="5 USD"), clock), target(priced=price(**facts))
    held(each.plan(of, SPEND))
    assert [Decimal(money)] == list(spent(each, of).values())


@pytest.mark.parametrize(
    ("usage", "money", "tokens", "requests"),
    [
        (Usage(100, 50), "0.0006", 150, 1),
        (Usage(100, 50, cached_tokens=100), "0.0006", 150, 1),
        (Usage(0, 0), "0", 0, 1),
        (Usage(100, None), "0.006", 1500, 1),
        (None, "0.006", 1500, 1),
        (Usage(5000, 5000), "0.05", 10_000, 1),
    ],
)
def test_what_is_settled(clock, usage, money, tokens, requests):
    """What the vendor counted, be it more than was reserved; what he did not say is charged as it was reserved."""
    config = {
        **budget(limit="5 USD"),
        "providers": {"openai": {"limits": {"requests_per_day": 9, "tokens_per_day": 10**6}}},
    }
    each, of = allowances(config, clock), target(priced=price())
    mine = held(each.plan(of, SPEND))
    mine.settle(usage)
    mine.settle(Usage(9, 9))
    mine.release()
    assert [requests, tokens, Decimal(money)] == list(spent(each, of).values())


def test_what_was_not_sent_costs_nothing(clock):
    """Released, all of it is there again, the request as well."""
    config = {**budget(limit="5 USD"), "providers": {"openai": {"limits": {"requests_per_minute": 1}}}}
    each, of = allowances(config, clock), target(priced=price())
    held(each.plan(of, SPEND)).release()
    assert [0, 0] == list(spent(each, of).values())
    held(each.plan(of, SPEND))


def test_an_end_that_is_never_said(clock):
    """A reservation that is lost stays charged in full, however long the call might have taken."""
    each, of = allowances(budget(tokens=10_000), clock), target()
    held(each.plan(of, SPEND, seconds=3600))
    (tally,) = each._counters._tallies.values()
    (ends,) = tally.open
    assert 3660 <= (ends - clock.now) / 1000 <= 3660 * 16 / 15
    held(each.plan(of, SPEND))
    assert clock.now + LEASE * 1000 in tally.open
    clock.tick(2 * 3600)
    assert [3000] == list(spent(each, of).values())


def test_a_usage_without_bounds_is_bounded(clock):
    """A vendor that counts nonsense does not break the counting."""
    each, of = allowances(budget(tokens=10_000), clock), target()
    held(each.plan(of, SPEND)).settle(Usage(10**30, 1))
    held_none = each.plan(of, SPEND)
    assert LARGEST == next(iter(spent(each, of).values()))
    assert isinstance(held_none.perform(), Refused)


# Prices


def test_a_target_whose_price_is_not_known(clock):
    """It can't be counted, so a budget of money refuses it; one that is to be open lets it through uncounted."""
    no = refused(allowances(budget(limit="5 USD"), clock).plan(target(), SPEND))
    error = no.error(target())
    assert isinstance(error, BudgetExceeded)
    assert "openai:m: not asked: its price is not known, so the budget of 5 USD a day can't be kept" in str(error)
    assert None is allowances(budget(limit="5 USD", fail_open=True), clock).plan(target(), SPEND)


def test_a_server_of_ones_own_is_free(clock):
    """What runs on this machine or in a private network is billed by nobody, also when the budget is used up."""
    each = allowances(budget(limit="0.006 USD"), clock)
    held(each.plan(target(priced=price()), SPEND))
    refused(each.plan(target(priced=price()), SPEND))
    for url in ("http://127.0.0.1:8000/v1", "http://10.0.0.5/v1", "http://vllm:8000/v1"):
        assert None is each.plan(target("mine", base_url=url), SPEND)
    refused(each.plan(target("mine", base_url="https://vllm.example.com/v1"), SPEND))


def test_every_currency_has_its_own_budget(clock):
    """Nothing is converted: a budget counts its own currency, and where none counts a target's it is refused."""
    config = {"budgets": [{"limit": "5 USD", "per": "day"}, {"limit": "1 CNY", "per": "day"}]}
    each, yuan = allowances(config, clock), target("zhipu", priced=price("CNY"))
    held(each.plan(yuan, SPEND))
    assert [0, Decimal("0.006")] == list(spent(each, yuan).values())
    no = refused(allowances(budget(limit="5 USD"), clock).plan(yuan, SPEND))
    assert "it is priced in CNY, which the budget of 5 USD a day can't count; add a budget in CNY" == no.message


# What is said


def test_a_budget_that_is_used_up(clock):
    """The error says which, how much, and when it begins anew; it can be pickled and names no key."""
    each, of = (
        allowances(budget(limit="0.01 USD", zone="Asia/Shanghai", provider="openai"), clock),
        target(priced=price()),
    )
    held(each.plan(of, SPEND)).settle(None)
    no = refused(each.plan(of, SPEND))
    said = (
        "openai:m: not asked: the budget of 0.01 USD a day for the provider 'openai' has no room: 0.006 USD of "
        "0.01 USD are spent or reserved, and this call may need 0.006 USD; it has room again in 4 h"
    )
    error = no.error(of)
    assert said == str(error)
    assert (4 * 3600, False) == (error.retry_after, no.soon)
    copy = pickle.loads(pickle.dumps(error))
    assert (said, 4 * 3600) == (str(copy), copy.retry_after)


def test_a_budget_that_calls_under_way_may_leave_room_in(clock):
    """What is only reserved may come back: it says so."""
    each, of = allowances(budget(tokens=2000, zone="Asia/Shanghai"), clock), target()
    held(each.plan(of, SPEND))
    no = refused(each.plan(of, SPEND))
    assert no.soon
    assert no.message.endswith("this call may need 1500 tokens; it has room again in 4 h, or sooner")


def test_a_limit_that_is_used_up(clock):
    """A vendor's limit is told as he would tell it, with the seconds to wait."""
    each = allowances({"providers": {"openai": {"limits": {"requests_per_minute": 1}}}}, clock)
    held(each.plan(target(), SPEND))
    clock.tick(20)
    error = refused(each.plan(target(), SPEND)).error(target())
    assert isinstance(error, RateLimited)
    assert "openai:m: not asked: openai's limit of 1 requests a minute is used up; it has room again in 41 s" == str(
        error
    )
    assert 41 == error.retry_after


def test_a_call_that_is_larger_than_the_budget(clock):
    """It never passes, and the way out is said."""
    no = refused(allowances(budget(tokens=1000), clock).plan(target(), SPEND))
    assert None is no.seconds
    assert "this call alone may need 1500 tokens of the budget of 1000 tokens a day: lower max_tokens" in no.message


@rows(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (119, "119 s"),
        (121, "3 min"),
        (3600, "1 h"),
        (4000, "1 h 7 min"),
        (172_801, "2 d 1 h"),
        (864_000, "10 d"),
    ],
)
def test_stretches_of_time(seconds, said):
    """In two units at the most, rounded up."""
    assert said == duration(seconds)


# What the vendor says


def test_the_vendor_says_that_it_is_used_up(clock):
    """The account's day is shut until his time, or else until it ends; its minute and own budgets are not."""
    limits = {"requests_per_minute": 100, "requests_per_day": 100}
    each = allowances({**budget(tokens=10**6), "providers": {"openai": {"limits": limits}}}, clock)
    each.exhausted(target(), 90.0)
    assert 90.0 == refused(each.plan(target(), SPEND)).seconds
    held(each.plan(target(account="b"), SPEND))
    clock.tick(90)
    held(each.plan(target(), SPEND))
    each.exhausted(target())
    assert 12 * 3600 - 90 == refused(each.plan(target(), SPEND)).seconds
    each.reset(target())
    held(each.plan(target(), SPEND))


# The configuration


SERVER = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}
WRONG = [
    (budget(limt="5 USD"), "budgets[0].limt: unknown key (did you mean 'limit'?)"),
    (budget(), "budgets[0]: give exactly one of limit and tokens"),
    (budget(limit="5 USD", tokens=5), "budgets[0]: give exactly one of limit and tokens"),
    (budget(limit="5 USD", chain="c", tag="t"), "budgets[0]: give at most one of provider, chain and tag"),
    *[
        (budget(limit=text), 'budgets[0]: limit is an amount of money and its currency, such as "5.00 USD"')
        for text in ("5", "5 usd", "USD 5", "-5 USD", "0 USD", "5,00 USD", "0.0000001 USD", "99999999 USD", "1e3 USD")
    ],
    (budget(limit=5.0), "budgets[0].limit: input should be a valid string"),
    (budget(tokens=0), "budgets[0].tokens: input should be greater than or equal to 1"),
    (budget(tokens=1.5), "budgets[0].tokens: input should be a valid integer"),
    ({"budgets": [{"limit": "5 USD"}]}, "budgets[0].per: field required"),
    ({"budgets": [{"limit": "5 USD", "per": "week"}]}, "budgets[0].per: input should be 'minute', 'hour', 'day'"),
    (
        budget(limit="5 USD", zone="Asia/Shangai"),
        "budgets[0].zone: no time zone of that name is known here (did you mean",
    ),
    (
        budget(limit="5 USD", provider="opnai"),
        "budgets[0].provider: no provider is named 'opnai' (did you mean 'openai'?)",
    ),
    (
        {**budget(limit="5 USD", chain="assistent"), "chains": {"assistant": {"targets": ["openai:m"]}}},
        "budgets[0].chain: no chain is named 'assistent' (did you mean 'assistant'?)",
    ),
    (
        {"budgets": [{"tokens": 5, "per": "day"}, {"tokens": 6, "per": "day"}]},
        "budgets[1]: another budget has the same",
    ),
    ({"providers": {"m": {**SERVER, "limits": {"request_per_minute": 5}}}}, "limits.request_per_minute: unknown key"),
    ({"providers": {"m": {**SERVER, "limits": {"requests_per_day": -1}}}}, "limits.requests_per_day: input should be"),
    ({"providers": {"m": {**SERVER, "limits": {"zone": "X"}}}}, "limits.zone: no time zone of that name"),
]


@rows(("config", "said"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_is_said_with_its_place(config, said):
    """Each mistake is a `ConfigError` with its path and the way out."""
    with pytest.raises(ConfigError) as caught:
        Allowances.from_config(Loaded.from_mapping(config))
    assert said in str(caught.value)


@rows(
    ("text", "amount"),
    [("5.00 USD", 5_000_000), ("0.000001 CNY", 1), ("10000000 EUR", 10**13), ("1.5 JPY", 1_500_000)],
)
def test_money_is_read_exactly(text, amount):
    """Amounts are integers, of millionths of the currency."""
    assert (amount, text.split()[1]) == BudgetConfig(limit=text, per="day").amount


def test_names_are_hashes_that_tell_scopes_apart(clock):
    """Neither hosts nor tags can be read from them; the limit may be changed without beginning anew."""
    config = {
        "providers": {"openai": {"limits": {"requests_per_minute": 5, "requests_per_day": 5, "tokens_per_day": 5}}},
        "budgets": [
            {"tokens": 5, "per": "day"},
            {"tokens": 5, "per": "month"},
            {"tokens": 5, "per": "day", "zone": "Asia/Shanghai"},
            {"tokens": 5, "per": "day", "tag": "x"},
            {"tokens": 5, "per": "day", "provider": "openai"},
            {"limit": "5 USD", "per": "day"},
        ],
    }
    every = [each.name for each in allowances(config, clock)._for(target(), "", ("x",))]
    assert 9 == len(set(every))
    assert {64} == {len(name) for name in every}
    more = {"budgets": [{"tokens": 99, "per": "day"}]}
    assert every[3] == allowances(more, clock)._for(target(), "", ())[0].name


def test_a_server_on_this_machine_has_an_account_on_this_machine(clock):
    """The limits of a server on localhost are not those of another machine's; those of a vendor are everybody's."""
    config = {"providers": {"openai": {"limits": {"requests_per_day": 5}}}}
    fleet = [
        Allowances.from_config(Loaded.from_mapping(config), counters=MemoryCounters(clock), machine=machine)
        for machine in ("one", "two")
    ]
    for url, number in (("http://localhost:8000/v1", 2), ("https://vendor.example/v1", 1)):
        assert number == len({each._for(target(base_url=url), "", ())[0].name for each in fleet})


def test_the_store_is_used_where_it_is_configured():
    """With a store allowances are counted there, without one in memory; without allowances nothing is opened."""
    store = {"store": {"url": "redis://127.0.0.1:1/0"}}
    assert isinstance(
        Allowances.from_config(Loaded.from_mapping({**store, **budget(tokens=5)}))._counters, SharedCounters
    )
    assert isinstance(Allowances.from_config(Loaded.from_mapping(store))._counters, MemoryCounters)
    assert isinstance(Allowances.from_config(Loaded.from_mapping(budget(tokens=5)))._counters, MemoryCounters)


# As an exchange uses it


def attempt(each: Allowances, of: Target) -> Generator[Any, Any, str]:
    """What an exchange does for one attempt: reserve, ask, settle, on every way out."""
    reserve = each.plan(of, SPEND)
    mine = None
    if reserve is not None:
        mine = yield reserve
        if isinstance(mine, Refused):
            return str(mine.error(of))
    try:
        usage = yield "ask"
        if mine is not None:
            mine.settle(usage)
        return "answered"
    finally:
        if mine is not None:
            mine.settle()


def drive(steps: Generator[Any, Any, str]) -> str:
    """A driver that blocks."""
    outcome = None
    try:
        while True:
            action = steps.send(outcome)
            outcome = action.perform() if type(action) is Reserve else Usage(100, 50)
    except StopIteration as stop:
        return stop.value


async def adrive(steps: Generator[Any, Any, str]) -> str:
    """A driver that awaits."""
    outcome = None
    try:
        while True:
            action = steps.send(outcome)
            outcome = await action.aperform() if type(action) is Reserve else Usage(100, 50)
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("way", ["sync", "async"])
def test_in_an_exchange(clock, way):
    """The same generator is driven by blocking and by awaiting; what it was refused it says as an error."""
    each, of = allowances(budget(tokens=1700), clock), target()
    answers = [drive(attempt(each, of)) if way == "sync" else asyncio.run(adrive(attempt(each, of))) for _ in range(3)]
    assert ["answered", "answered"] == answers[:2]
    assert "has no room: 300 tokens of 1700 tokens are spent" in answers[2]
    assert [300] == list(spent(each, of).values())


def test_an_exchange_that_is_closed(clock):
    """Closed in the middle, by a cancelled task or a caller who breaks off, it is charged in full, once."""
    each, of = allowances(budget(tokens=10_000), clock), target()
    steps = attempt(each, of)
    action = next(steps)
    steps.send(action.perform())
    steps.close()
    assert [1500] == list(spent(each, of).values())
